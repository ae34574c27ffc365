"""A line of any bytes in, what is written for it out: bad lines are reported, and as many come out as went in."""

from collections.abc import Callable, Sequence
from typing import Literal

from seq2seq.commands.files import MAX_LINE_BYTES, decode_line
from seq2seq.commands.outputs import Written
from seq2seq.translator import LineLengthError

BadLines = Literal["stop", "skip", "translate"]
# (lines, number of the first, from 0) -> what is written for each.
Write = Callable[[Sequence[str], int], list[Written]]


class BadLineError(ValueError):
    """A line at which the translation stops.

    Attributes:
        number: of the line, from 0.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class LineTranslator:
    """Translates chunks of raw lines.

    Args:
        write: translates good lines and lays them out.
        shortened: the beginning of a line with at most so many tokens.
        name: of the text, for messages.
        column: of a TSV file, from 1, that is translated; None takes the whole line.
        bad_lines: what to do with one that is not UTF-8, too long, or lacks the column: "stop" with an error, "skip" it
            as if it were blank, or "translate" what can be: U+FFFD for bytes that are not UTF-8, and its beginning.
        say: takes what is to be said of bad lines.
    """

    def __init__(
        self,
        write: Write,
        shortened: Callable[[str, int], str],
        *,
        name: str,
        column: int | None,
        bad_lines: BadLines,
        say: Callable[[str], None],
    ) -> None:
        self._write, self._shortened, self._name, self._column = write, shortened, name, column
        self._bad_lines, self._say = bad_lines, say

    def __call__(self, raw: Sequence[bytes], first: int) -> tuple[list[Written], list[int]]:
        """What is written for each line, and the numbers of the bad ones.

        Args:
            raw: lines without newlines.
            first: the number of the first of them, from 0.

        Raises:
            BadLineError: there is a bad line, and `bad_lines` is "stop".
        """
        bad: set[int] = set()
        lines = [self._text(line, number, bad) for number, line in enumerate(raw, first)]
        while True:
            try:
                return self._write(lines, first), sorted(bad)
            except LineLengthError as error:
                for row, (reason, max_tokens) in error.rows.items():
                    cut = self._shortened(lines[row], max_tokens)
                    lines[row] = self._mended(cut, first + row, reason, f"cut to {max_tokens:,} tokens", bad)

    def _text(self, line: bytes, number: int, bad: set[int]) -> str:
        """The text to translate."""
        field = line
        if self._column is not None and line.strip() and len(line) <= MAX_LINE_BYTES:
            fields = line.split(b"\t")
            if len(fields) < self._column:
                return self._mended("", number, f"no column {self._column}", "skipped", bad)
            field = fields[self._column - 1]
        try:
            return decode_line(field)
        except ValueError as error:
            text = field[:MAX_LINE_BYTES].decode("utf-8", errors="replace")
            return self._mended(text, number, str(error), "translated as far as possible", bad)

    def _mended(self, text: str, number: int, reason: str, how: str, bad: set[int]) -> str:
        """Report a line; its text as mended, or none."""
        bad.add(number)
        where = f"{self._name}, line {number + 1}: {reason}"
        if self._bad_lines == "stop":
            raise BadLineError(f"{where}; --bad_lines skip or translate goes on", number)
        if self._bad_lines == "skip":
            text, how = "", "skipped"
        self._say(f"seq2seq: {where}; {how}")
        return text
