"""What `seq2seq compare` says while it waits: lines that stay, and on a terminal one that is always up to date."""

import datetime
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from seq2seq.comparison.curves import read_figures
from seq2seq.comparison.runs import Run

_STATUS_EVERY_S = 2.0
_SHARE_TO_JUDGE_BY = 0.02  # of a training: less says little of how long the whole will take


class Progress:
    """Says how far the runs are.

    Args:
        runs: all of the comparison.
        num_places: how many are done at a time.
        out: where to say it; a line that changes only if it is a terminal.
    """

    def __init__(self, runs: Sequence[Run], num_places: int, out: TextIO) -> None:
        self._numbers = {run: f"[{number}/{len(runs)}] {run}" for number, run in enumerate(runs, 1)}
        self._num_places, self._out = num_places, out
        self._begun: dict[Run, tuple[float, float]] = {}  # when it was started here, and how far it was then
        self._durations_s: list[float] = []  # of the runs that were done here from beginning to end
        self._next_status_s = 0.0

    def say(self, line: str) -> None:
        """A line that stays."""
        self.clear()
        print(line, file=self._out, flush=True)

    def started(self, run: Run, where: str) -> None:
        """Say that `run` was started, and where it is done."""
        can_go_on = (run.folder / "checkpoints" / "last.ckpt").is_file()
        updates, share, _ = how_far(run) if can_go_on else (0, 0.0, None)
        self._begun[run] = time.monotonic(), share
        what = "tests" if run.record.done else f"goes on after update {updates}" if updates else "trains"
        self.say(f"{self._numbers[run]}: {what} {where}".rstrip())

    def ended(self, run: Run, error: str | None, waiting: int) -> None:
        """Say how `run` ended: well, or with an error; `waiting` others have not begun."""
        begun_s, share = self._begun.pop(run)
        if error is not None:
            self.say(f"{self._numbers[run]}: failed: {error} (see {run.beside('.log')})")
            return
        if share == 0:
            self._durations_s.append(time.monotonic() - begun_s)
        config = json.loads((run.folder / "model" / "config.json").read_text(encoding="utf-8"))
        bleu = config["training"].get("valid_bleu")
        score = "" if bleu is None else f", valid BLEU {bleu:.1f}"
        figures = f"trained in {config['training']['minutes_in_updates']:.1f} min{score}"
        self.say("; ".join([f"{self._numbers[run]}: {figures}", *self._expected_end(waiting)]))

    def show(self, waiting: int) -> None:
        """Bring the last line up to date, every now and then; `waiting` runs have not begun."""
        if not self._out.isatty() or not self._begun or time.monotonic() < self._next_status_s:
            return
        self._next_status_s = time.monotonic() + _STATUS_EVERY_S
        parts = []
        for run in self._begun:
            updates, share, bleu = how_far(run)
            done = f"{share:.0%}" if share else f"update {updates}" if updates else "begins"
            score = "" if bleu is None else f", valid BLEU {bleu:.1f}"
            parts.append(f"{run}: tests" if run.record.done else f"{run}: {done}{score}")
        parts += self._expected_end(waiting)
        line = " | ".join(parts)[: shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{line}", end="", file=self._out, flush=True)

    def clear(self) -> None:
        """Take the changing line away."""
        if self._out.isatty():
            print("\r\x1b[K", end="", file=self._out, flush=True)

    def remaining_s(self, shares: Mapping[Run, float], waiting: int) -> float | None:
        """Time until all runs are done, if those to come take as long as the others; None: not known yet.

        Args:
            shares: of their training that the runs at work have done.
            waiting: runs that have not begun.
        """
        elapsed_s = {run: time.monotonic() - begun_s for run, (begun_s, _) in self._begun.items()}
        here = {run: share - self._begun[run][1] for run, share in shares.items()}
        projected_s = {run: elapsed_s[run] / here[run] for run in here if here[run] > _SHARE_TO_JUDGE_BY}
        whole_s = [*self._durations_s, *projected_s.values()]
        if not whole_s:
            return None
        mean_s = sum(whole_s) / len(whole_s)
        rest_s = [projected_s.get(run, mean_s) * (1 - share) for run, share in shares.items()]
        return max([*rest_s, (sum(rest_s) + waiting * mean_s) / self._num_places])

    def _expected_end(self, waiting: int) -> list[str]:
        """When all runs will be done, in words; nothing if that is not known, or now."""
        remaining_s = self.remaining_s({run: how_far(run)[1] for run in self._begun}, waiting)
        if not remaining_s:
            return []
        end = datetime.datetime.now() + datetime.timedelta(seconds=remaining_s)
        return [f"all done about {end:%H:%M}" if remaining_s < 43_200 else f"all done about {end:%d %b %H:%M}"]


def how_far(run: Run) -> tuple[int, float, float | None]:
    """Updates done, share of the training done (0 if nobody knows) and last validation BLEU."""
    figures = read_figures(run.folder / "metrics.csv")
    latest: dict[str, float] = {}
    for _, row in sorted(figures.items()):
        latest |= row
    updates = max(figures, default=0)
    num_updates = run.config["budget"]["updates"] or run.config["trainer"]["max_steps"]
    share = latest.get("budget_used", updates / num_updates if num_updates > 0 else 0.0)
    return updates, share, latest.get("valid_bleu")
