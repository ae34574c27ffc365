"""What a report is built of; each block can be written as HTML and as Markdown."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        caption: what it shows, to be understood without the text around it.
        headings: one a column.
        align: "l" or "r" for each column.
        rows: the cells; what follows a newline in a cell stands smaller below it.
        bad: numbers of the rows that are shown in red.
    """

    caption: str
    headings: Sequence[str]
    align: str
    rows: Sequence[Sequence[str]]
    bad: frozenset[int] = frozenset()

    def html(self) -> str:
        head = "".join(
            f'<th scope="col" class="{side}">{_cell(heading)}</th>'
            for heading, side in zip(self.headings, self.align, strict=True)
        )
        body = ""
        for number, (name, *cells) in enumerate(self.rows):
            columns = zip(cells, self.align[1:], strict=True)
            data = "".join(f'<td class="{side}">{_cell(cell)}</td>' for cell, side in columns)
            opening = '<tr class="bad">' if number in self.bad else "<tr>"
            body += f'{opening}<th scope="row" class="{self.align[0]}">{_cell(name)}</th>{data}</tr>\n'
        # A wide table scrolls in its own box; its caption stays where it can be read.
        return (
            f'<div class="scroll table"><table><caption>{_line(self.caption)}</caption>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
        )

    def markdown(self) -> str:
        rule = "|".join("--:" if side == "r" else ":--" for side in self.align)
        lines = ["|".join(f" {escape_markdown(cell)} " for cell in row) for row in self._lines()]
        table = [lines[0], rule, *lines[1:]]
        return f"{escape_markdown(self.caption)}\n\n" + "".join(f"|{line}|\n" for line in table)

    def text(self) -> str:
        """For a terminal: columns of equal width under the caption."""
        rows = self._lines()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                f"{cell:>{width}}" if side == "r" else f"{cell:<{width}}"
                for cell, width, side in zip(row, widths, self.align, strict=True)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([self.caption, *lines]) + "\n"

    def _lines(self) -> list[list[str]]:
        """Headings and rows with cells of one line: "lstm, 3 runs", "36.2 ± 0.3 [35.0, 37.4]"."""
        one_line = [[cell.replace("\n", " ") for cell in row[1:]] for row in (self.headings, *self.rows)]
        names = [row[0].replace("\n", ", ") for row in (self.headings, *self.rows)]
        return [[name, *cells] for name, cells in zip(names, one_line, strict=True)]


@dataclass(frozen=True)
class Figure:
    """A drawing, which Markdown leaves out.

    Attributes:
        svg: an <svg> element.
        caption: what it shows; what follows a newline stands smaller below it.
    """

    svg: str
    caption: str

    def html(self) -> str:
        return f"<figure><figcaption>{_cell(self.caption)}</figcaption>\n{self.svg}</figure>\n"

    def markdown(self) -> str:
        return ""


@dataclass(frozen=True)
class Text:
    """A paragraph; a bad one is a warning that nobody may overlook, a legend explains figures and goes with them."""

    text: str
    kind: Literal["prose", "bad", "legend"] = "prose"

    def html(self) -> str:
        return f'<p class="{self.kind}">{_line(self.text)}</p>\n'

    def markdown(self) -> str:
        if self.kind == "legend":
            return ""
        return f"**{escape_markdown(self.text)}**\n" if self.kind == "bad" else f"{escape_markdown(self.text)}\n"


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]

    def html(self) -> str:
        return "<ul>\n" + "".join(f"<li>{html.escape(item)}</li>\n" for item in self.items) + "</ul>\n"

    def markdown(self) -> str:
        return "".join(f"- {escape_markdown(item)}\n" for item in self.items)


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is."""

    text: str

    def html(self) -> str:
        return f'<pre class="scroll"><code>{html.escape(self.text)}</code></pre>\n'

    def markdown(self) -> str:
        fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", self.text))])
        return f"{fence}\n{self.text}\n{fence}\n"


@dataclass(frozen=True)
class Row:
    """Blocks side by side where the page is wide enough."""

    blocks: "Sequence[Block]"

    def html(self) -> str:
        return '<div class="row">\n' + "".join(block.html() for block in self.blocks) + "</div>\n"

    def markdown(self) -> str:
        return join_markdown(self.blocks)


@dataclass(frozen=True)
class Details:
    """Blocks that show when somebody wants them."""

    summary: str
    blocks: "Sequence[Block]"

    def html(self) -> str:
        inside = "".join(block.html() for block in self.blocks)
        return f"<details><summary>{html.escape(self.summary)}</summary>\n{inside}</details>\n"

    def markdown(self) -> str:
        opening = f"<details><summary>{html.escape(self.summary)}</summary>"
        return f"{opening}\n\n{join_markdown(self.blocks)}\n</details>\n"


Block = Table | Figure | Text | Bullets | Code | Row | Details


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading of its own.

    Attributes:
        name: short and without spaces: the address of the section.
        title: the heading.
        blocks: in order.
    """

    name: str
    title: str
    blocks: Sequence[Block]

    def html(self) -> str:
        inside = "".join(block.html() for block in self.blocks)
        title = html.escape(self.title)
        return f'<section id="{self.name}" aria-labelledby="{self.name}-title">\n' + (
            f'<h2 id="{self.name}-title">{title}</h2>\n{inside}</section>\n'
        )

    def markdown(self) -> str:
        inside = join_markdown(self.blocks)
        return f"## {escape_markdown(self.title)}\n\n{inside}" if inside else ""


def join_markdown(blocks: Sequence[Block | Section]) -> str:
    """The blocks that have a form in Markdown, an empty line between them."""
    return "\n".join(text for block in blocks if (text := block.markdown()))


def escape_markdown(text: str) -> str:
    """The text with what Markdown would take for markup made harmless."""
    escaped = re.sub(r"([\\|*`]|\](?=\())", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("\n", " ")


def _line(text: str) -> str:
    """Escaped, and with no end of line between a number and its %."""
    return html.escape(text).replace(" %", "\N{NO-BREAK SPACE}%")


def _cell(text: str) -> str:
    first, *below = map(_line, text.split("\n"))
    return first + "".join(f'<span class="below">{line}</span>' for line in below)
