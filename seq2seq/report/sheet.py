"""A page of sections, without a comparison behind it."""

import html
from collections.abc import Sequence
from string import Template

from seq2seq import __version__
from seq2seq.report.blocks import Figure, Row, Section
from seq2seq.report.render import hash_of, part


def sheet(title: str, lead: str, sections: Sequence[Section]) -> str:
    """One HTML file that needs nothing else, in the report's look.

    Args:
        title: the heading.
        lead: a sentence on what follows.
        sections: in order.
    """
    style, script = part("page.css"), part("elements.js") + part("sheet.js")
    return Template(part("sheet.html")).substitute(
        title=html.escape(title),
        lead=html.escape(lead),
        style_hash=hash_of(style),
        script_hash=hash_of(script),
        style=style,
        script=script,
        contents="".join(f'<li><a href="#{one.name}">{html.escape(one.title)}</a></li>\n' for one in sections),
        sections="".join(section.html() for section in sections),
        version=html.escape(__version__),
    )


def figures_of(sections: Sequence[Section]) -> list[Figure]:
    """All figures of the page, in order."""
    blocks = [block for section in sections for block in section.blocks]
    alone = [inner for block in blocks for inner in (block.blocks if isinstance(block, Row) else [block])]
    return [block for block in alone if isinstance(block, Figure)]
