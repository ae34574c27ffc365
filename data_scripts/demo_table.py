"""Print what `make demo` found: one line for each run folder given.

python data_scripts/demo_table.py runs/demo/lstm runs/demo/attention runs/demo/transformer
"""

import json
import sys
from pathlib import Path


def row(run: Path) -> list[str]:
    """Name, parameters, minutes of training and, for each test set, BLEU and chrF."""
    training = json.loads((run / "model" / "config.json").read_text(encoding="utf-8"))["training"]
    cells = [run.name, f"{training['parameters']:,}", f"{training['minutes']:.1f}"]
    for scores in test_scores(run).values():
        cells += [f"{scores['BLEU']['value']:.1f}", f"{scores['chrF']['value']:.1f}"]
    return cells


def test_scores(run: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Test set -> metric -> what `seq2seq test` wrote about it; cased BLEU, not the other one."""
    found = {}
    for path in sorted((run / "test").glob("*.json")):
        scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
        found[path.stem] = {s["name"]: s for s in reversed(scores)}  # the first of a name, BLEU's cased one, wins
    return found


def main(runs: list[Path]) -> None:
    """Print the table and the signatures."""
    tests = test_scores(runs[0])
    head = ["", "parameters", "minutes", *(f"{name} {metric}" for name in tests for metric in ("BLEU", "chrF"))]
    rows = [head, *map(row, runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for cells in rows:
        print("  ".join([cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]))
    signatures = {
        (m, str(s[m]["signature"])) for run in runs for s in test_scores(run).values() for m in ("BLEU", "chrF")
    }
    print()
    for metric, signature in sorted(signatures):
        print(f"{metric}  {signature}")


if __name__ == "__main__":
    main([Path(run) for run in sys.argv[1:]])
