"""A page of attention maps: where a model looked while it wrote each translation."""

import html
import json
from collections.abc import Sequence
from string import Template
from typing import Any

from seq2seq import __version__
from seq2seq.report.blocks import Section
from seq2seq.report.browser import MAX_ATTENTION_CHARACTERS, json_in_html
from seq2seq.report.render import hash_of, part


class AttentionPage:
    """Collects maps; the page has them all until it would become too large for a browser, and says where it ends.

    Args:
        title: the heading.
        sections: what stands before the maps.
        of: what each map is of, for their number.
        legend: what rows and columns are.
    """

    def __init__(
        self,
        title: str,
        sections: Sequence[Section] = (),
        *,
        of: str = "sentence",
        legend: str = "Rows are the pieces of the translation, columns those of the source",
    ) -> None:
        self._title, self._sections, self._of, self._legend = title, sections, of, legend
        self._maps: list[dict[str, Any]] = []
        self._num_characters = 0
        self._num_left_out = 0

    def add(self, maps: Sequence[dict[str, Any]]) -> None:
        """Add maps, each with number (of the line), source, translation and the fields of `results.Attention`.

        If each of several maps of a sentence has a name too, they follow each other.
        """
        for one in maps:
            self._num_characters += len(json.dumps(one, ensure_ascii=False))
            if self._num_characters > MAX_ATTENTION_CHARACTERS:
                self._num_left_out += 1
            else:
                self._maps.append(one)

    def html(self) -> str:
        """One file that needs nothing else."""
        number = len(self._maps)
        lead = f"{number:,} {self._of if number == 1 else f'{self._of}s'}."
        if self._num_left_out:
            lead += f" The {self._num_left_out:,} after these are left out: the page would become too large."
        style, script = part("page.css"), part("elements.js") + part("attention.js")
        return Template(part("attention.html")).substitute(
            title=html.escape(self._title),
            lead=html.escape(lead),
            legend=html.escape(self._legend),
            style_hash=hash_of(style),
            script_hash=hash_of(script),
            style=style,
            script=script,
            sections="".join(section.html() for section in self._sections),
            maps=json_in_html(self._maps),
            version=html.escape(__version__),
        )
