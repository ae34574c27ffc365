"""The share of lines that are right as a whole, by distance: what counts in a task that has one right answer.

    python data_scripts/accuracy.py data/tasks/agreement/test runs/tasks/rnn runs/tasks/lstm

CORPUS stands for CORPUS.src and CORPUS.tgt. If there is CORPUS.distance its numbers are the distances, or else the
words of each source are. A HYPOTHESIS is a file, or a run's folder with what `seq2seq test` has written for the test
set of CORPUS's name.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from corpus_folder import OneLineParser


def read_lines(path: Path) -> list[str]:
    """The lines of a file; a line end at U+2028 and its like is none."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def read_distances(corpus: Path) -> list[int]:
    """The distance of each line of CORPUS."""
    if Path(f"{corpus}.distance").is_file():
        return [int(line) for line in read_lines(Path(f"{corpus}.distance"))]
    return [len(line.split()) for line in read_lines(Path(f"{corpus}.src"))]


def grouped(distances: Sequence[int], num_groups: int) -> list[tuple[str, list[int]]]:
    """Ranges of distances with about as many different ones in each, and the lines that belong to them."""
    values = sorted(set(distances))
    num_groups = min(num_groups, len(values))
    ends = [len(values) * i // num_groups for i in range(num_groups + 1)]
    groups = []
    for start, end in pairwise(ends):
        low, high = values[start], values[end - 1]
        rows = [row for row, distance in enumerate(distances) if low <= distance <= high]
        groups.append((str(low) if low == high else f"{low}-{high}", rows))
    return groups


def table(names: Sequence[str], groups: list[tuple[str, list[int]]], is_right: list[list[bool]]) -> str:
    """Percent of right lines, a row for each group and a column for each system."""
    header = ["distance", "lines", *names]
    rows = [
        [label, str(len(rows)), *(f"{100 * sum(right[row] for row in rows) / len(rows):.1f}" for right in is_right)]
        for label, rows in groups
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = OneLineParser(prog="accuracy.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", metavar="CORPUS", type=Path, help="data/tasks/TASK/test, without ending")
    parser.add_argument("hypotheses", metavar="HYPOTHESIS", type=Path, nargs="+", help="a file or a run's folder")
    parser.add_argument("--groups", metavar="N", type=int, default=10, help="ranges of distances (default: 10)")
    arguments = parser.parse_args(argv)
    if arguments.groups < 1:
        parser.error(f"--groups is {arguments.groups}; it must be at least 1")
    files = [
        given / "test" / f"{arguments.corpus.name}.hyp.txt" if given.is_dir() else given
        for given in arguments.hypotheses
    ]
    try:
        references = read_lines(Path(f"{arguments.corpus}.tgt"))
        distances = read_distances(arguments.corpus)
        systems = [read_lines(file) for file in files]
        for file, lines in zip(files, systems, strict=True):
            if len(lines) != len(references):
                raise ValueError(f"{file} has {len(lines)} lines, {arguments.corpus}.tgt has {len(references)}")
    except FileNotFoundError as error:
        hint = "; `seq2seq test` writes it" if error.filename in map(str, files) else ""
        parser.error(f"no file {error.filename}{hint}")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    is_right = [
        [line.split() == reference.split() for line, reference in zip(lines, references, strict=True)]
        for lines in systems
    ]
    groups = [*grouped(distances, arguments.groups), ("all", list(range(len(references))))]
    print(table([given.name for given in arguments.hypotheses], groups, is_right))
    return 0


if __name__ == "__main__":
    sys.exit(main())
