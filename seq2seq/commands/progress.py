"""How far a translation is: on a terminal a line that is always up to date, elsewhere a line a minute."""

import datetime
import time
from typing import TextIO

_EVERY_S = 60.0


class Progress:
    """Says on `out` how many lines are done, how fast, and how long the others will take.

    Args:
        out: standard error.
        num_lines: of the whole text; None if nobody knows.
        prefix: which process this is, if there are several.
        on_one_line: whether `out` is a terminal of our own.
        in_a_log: whether to say it once a minute if it is not.
    """

    def __init__(
        self, out: TextIO, *, num_lines: int | None, prefix: str = "", on_one_line: bool, in_a_log: bool
    ) -> None:
        self._out, self._num_lines, self._prefix = out, num_lines, prefix
        self._on_one_line, self._in_a_log = on_one_line, in_a_log
        self._started_s = self._said_s = time.monotonic()
        self._translated = self._seen = self._seen_before = 0
        self._is_shown = False

    def add(self, num_lines: int, *, translated: bool, before: bool = False) -> None:
        """Count lines.

        Args:
            num_lines: one after the other.
            translated: whether by this process and now.
            before: whether by an earlier job.
        """
        self._seen += num_lines
        self._translated += num_lines if translated else 0
        self._seen_before += num_lines if before else 0
        if not translated:
            return
        now_s = time.monotonic()
        if self._on_one_line:
            print(f"\r{self._figures(now_s)}\x1b[K", end="", file=self._out, flush=True)
            self._is_shown = True
        elif self._in_a_log and now_s - self._said_s >= _EVERY_S:
            self._said_s = now_s
            print(f"seq2seq: {self._figures(now_s)}", file=self._out, flush=True)

    def say(self, line: str) -> None:
        """Say something else in a line of its own."""
        self.close()
        print(line, file=self._out, flush=True)

    def close(self) -> None:
        """Let what is shown stay."""
        if self._is_shown:
            print(file=self._out)
        self._is_shown = False

    def _figures(self, now_s: float) -> str:
        elapsed_s = now_s - self._started_s
        speed = f"{self._translated / elapsed_s:,.1f} sentences/s"
        if self._num_lines is None:
            return f"{self._prefix}{self._seen:,} lines, {speed}"
        # Other processes' lines count as well: all of them go through the text at the same time.
        left_s = elapsed_s * (self._num_lines - self._seen) / (self._seen - self._seen_before)
        left = datetime.timedelta(seconds=round(left_s))
        return f"{self._prefix}{self._seen:,} of {self._num_lines:,} lines, {speed}, {left} left"
