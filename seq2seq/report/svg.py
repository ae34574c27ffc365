"""A figure of a page as a file of its own."""

import re

from seq2seq.report.chart import NUM_COLOURS
from seq2seq.report.render import part


def standalone(svg: str) -> str:
    """A drawing of `chart` or `heat_map` as an .svg file, on white and in the light theme's colours.

    It has rules of page.css in it, with plain colours: not every program that reads SVG knows variables.
    """
    css = part("page.css")
    colours = dict(re.findall(r"(--[\w-]+): light-dark\((#\w+),", css))
    rules = []
    for selector, body in re.findall(r"^(svg [^{]+) \{(.*)\}$", css, flags=re.MULTILINE):
        if "var(--own)" not in body:
            rules.append(f"{selector} {{{body}}}")
        else:
            for index in range(NUM_COLOURS):
                own = body.replace("--own", f"--series-{index}")
                rules.append(f"svg .series-{index} {selector.removeprefix('svg ')} {{{own}}}")
    style = re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], "\n".join(rules))
    opening, rest = svg.split(">", 1)
    width, height = re.findall(r'viewBox="0 0 (\d+) (\d+)"', opening)[0]
    size = f'width="{width}" height="{height}"'
    opening = opening.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" {size} ', 1)
    page = f'<rect {size} fill="{colours["--page"]}"/>'
    return f"{opening}>\n<style>\n{style}\n</style>\n{page}{rest}\n"
