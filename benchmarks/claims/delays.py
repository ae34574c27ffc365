"""Claim b: remembering some symbols over a delay, each delay trained by itself, with three cells at equal terms.

The copy-memory task of Arjovsky et al. 2016, section 5.1, with SYMBOLS of 8 letters (data_scripts/tasks.py, and
configs/tasks/copy-memory.yaml: unidirectional encoder, one context vector, d_model 64): the same updates, rate,
schedule, clipping and sentences a batch for every cell and delay, one seed. The score is the share of unseen test
sources whose symbols all come back in order.

The vanilla RNN has an orthogonal W to begin with, so that nothing vanishes in the first update; what fails is learning
to hold (Bengio et al. 1994: where a state holds what it knows, its gradient vanishes).
"""

import sys
from typing import Any

from claims.claim import ROOT, Judgement, Place, judged, lines_of, mark, run_commands, save

from seq2seq.report.chart import chart

sys.path.append(str(ROOT / "data_scripts"))

import accuracy
import tasks

SAYS = "with a growing delay a vanilla RNN fails at remembering where an LSTM still succeeds"
CELLS = ("rnn", "gru", "lstm")
DELAYS = (2, 5, 10, 20, 40, 80)
SYMBOLS, UPDATES, RATE, SENTENCES = 4, 2000, 3e-3, 64
SIZES = {"train": 3000, "valid": 96, "test": 500}  # of 8^4 = 4096 different sources
SOLVED, FAILED = 0.9, 0.5


def measure(place: Place) -> dict[str, Any]:
    """The share of right answers by delay, of each cell."""
    delays, updates = (DELAYS[:2], 20) if place.is_toy else (DELAYS, UPDATES)
    folders = trained(place, CELLS, delays)
    return {
        "delays": list(delays),
        "symbols": SYMBOLS,
        "updates": updates,
        "rate": RATE,
        "sentences": SENTENCES,
        "right": {cell: [right(place, folders[cell, delay], delay) for delay in delays] for cell in CELLS},
    }


def trained(place: Place, cells: tuple[str, ...], delays: tuple[int, ...]) -> dict[tuple[str, int], str]:
    """Folders of the runs, trained and tested where they were not yet."""
    folders, runs = {}, {}
    for delay in sorted(delays, reverse=True):  # the longest first, so that the last to end is short
        corpus = place.folder / "copy-memory" / f"{delay}"
        sizes = [f"--{name}={size}" for name, size in SIZES.items()]
        arguments = ["copy-memory", f"--length={SYMBOLS}", f"--delay={delay}", *sizes, f"--output={corpus}"]
        if tasks.main(arguments) != 0:
            raise ValueError(f"{corpus} could not be written")
        for cell in cells:
            folder = place.folder / "copy-memory" / f"{cell}-{delay}"
            folders[cell, delay] = str(folder)
            if not (folder / "test" / "test.json").is_file():
                runs[f"copy-memory/{cell}-{delay}"] = [
                    _fit(place, cell, delay),
                    ["test", str(folder), "--beam_width=1", "--device=cpu"],
                ]
    run_commands(place, runs)
    return folders


def _fit(place: Place, cell: str, delay: int) -> list[str]:
    folder = place.folder / "copy-memory"
    return [
        "fit",
        f"--config={ROOT / 'configs' / 'tasks' / 'copy-memory.yaml'}",
        f"--model.cell={cell}",
        f"--model.optimization.lr={RATE}",
        *(f"--data.{split}={folder / str(delay) / split}" for split in ("train", "valid")),
        f"--data.tests.test={folder / str(delay) / 'test'}",
        f"--data.max_tokens_per_batch={SENTENCES * (SYMBOLS + delay + 1)}",
        f"--data.cache_dir={place.folder / 'cache'}",
        f"--budget.updates={20 if place.is_toy else UPDATES}",
        "--trainer.max_epochs=-1",
        "--trainer.check_val_every_n_epoch=1000",  # once, at the end
        "--trainer.accelerator=cpu",
        "--overwrite=true",
        f"--run_dir={folder / f'{cell}-{delay}'}",
    ]


def right(place: Place, run: str, delay: int) -> float:
    references = accuracy.read_lines(place.folder / "copy-memory" / f"{delay}" / "test.tgt")
    answers = accuracy.read_lines(ROOT / run / "test" / "test.hyp.txt")
    pairs = zip(answers, references, strict=True)
    return sum(answer.split() == reference.split() for answer, reference in pairs) / len(references)


def judge(found: dict[str, Any]) -> Judgement:
    """The RNN solves the shortest delay, and fails from some delay on where the LSTM solves one."""
    delays, right = found["delays"], found["right"]
    solved = [delay for delay, share in zip(delays, right["rnn"], strict=True) if share >= SOLVED]
    failing = len(delays)
    while failing > 0 and right["rnn"][failing - 1] < FAILED:
        failing -= 1
    lstm = [delay for delay, share in zip(delays, right["lstm"], strict=True) if share >= SOLVED]
    beyond = [delay for delay in lstm if delay in delays[failing:]]
    from_ = f"from delay {delays[failing]} on" if failing < len(delays) else "at no end of the ladder"
    return judged(
        (bool(solved), f"the rnn is right in {SOLVED:.0%} or more at delays {solved or 'none'}"),
        (bool(failing < len(delays)), f"it is right in less than {FAILED:.0%} {from_}"),
        (bool(beyond), f"of those the lstm is right in {SOLVED:.0%} or more at {beyond or 'none'}"),
    )


def table(found: dict[str, Any]) -> str:
    """Percent of right answers."""
    lines = [f"{'delay':8}" + "".join(f"{delay:>7}" for delay in found["delays"])]
    lines += [
        f"{cell:8}" + "".join(f"{100 * share:>7.1f}" for share in shares) for cell, shares in found["right"].items()
    ]
    return "\n".join(lines)


def draw(found: dict[str, Any], place: Place, letter: str) -> None:
    """Right answers over the delay."""
    curves = {
        cell: [mark(i, 100 * share, title=f"{cell}: {share:.1%}") for i, share in enumerate(shares)]
        for cell, shares in found["right"].items()
    }
    title = f"{found['symbols']} symbols remembered over a delay: % of examples right"
    categories = [str(delay) for delay in found["delays"]]
    save(place, f"{letter}-right", chart(title, "delay, steps", "% right", lines_of(curves), categories=categories))
