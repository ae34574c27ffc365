"""What an examination finds: figures to read, and what is wrong.

A finding is an error (training cannot begin, or would hang), a warning (training would cost time or give figures that
mislead) or a note (to know; nothing to do).
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

Level = Literal["error", "warning", "note"]
MOST_LINES = 100_000  # that a finding lists
EXIT_CODES: dict[Level, int] = {"note": 0, "warning": 1, "error": 2}


@dataclass(frozen=True)
class Finding:
    """One line about something that is wrong.

    Args:
        check: its name, for programs: "overlap", "unused key".
        level: see above.
        message: what came, how much of it, what to do; one line.
        examples: some places, as "train line 17: ein Hund ||| a dog".
        lines: numbers of the lines of the corpus that are meant, from 1, the first `MOST_LINES`; empty if it is not
            about lines.
    """

    check: str
    level: Level
    message: str
    examples: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


@dataclass
class Section:
    """One part of an examination.

    Args:
        title: what was looked at.
        text: figures for people, a line each.
        figures: the same for programs.
        findings: what is wrong.
    """

    title: str
    text: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def print(self, file: TextIO) -> None:
        """For people: the figures, then the findings, the worst first."""
        print(f"\n{self.title}", file=file)
        for line in self.text:
            print(f"  {line}", file=file)
        for finding in sorted(self.findings, key=lambda finding: -EXIT_CODES[finding.level]):
            print(f"  {finding.level}: {finding.message}", file=file)
            for example in finding.examples:
                print(f"      {example}", file=file)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return dataclasses.asdict(self)


def exit_code(sections: list[Section]) -> int:
    """0: go on; 1: there are warnings; 2: there are errors."""
    return max((EXIT_CODES[finding.level] for section in sections for finding in section.findings), default=0)
