"""Translation speed beside other toolkits, with models of the same sizes and the same pieces, in turns: A B C A B C ...

    python benchmarks/decode.py --data FOLDER               ours alone; FOLDER has train, val and test, .de and .en
    python benchmarks/decode.py --peers FOLDER --rounds 3   beside those whose environments are in the work folder

FOLDER of --peers is that of train.py, which must have left a model of every toolkit and work (a few steps will do).
Each is run as

    WORK_DIR/venv-NAME/bin/python run_NAME.py decode WORK --beam N --batch-size M --length L --work-dir WORK_DIR ...

and prints one line of JSON: sentences a second, the loading of the model and a first pass not counted. All translations
have L pieces, for models that have hardly been trained do not know where to end; so all compute the same. CTranslate2,
which translates what OpenNMT-py has trained, runs in its environment.

Prints each measurement as it comes, then for each work and beam a table of medians, each system at its fastest batch
size, and the share of the time that our own products take when nothing else is computed: as torch multiplies, and with
the fastest that torch brings.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from train import ANOTHER_MODEL, MOST_OTHER_CORES, measure
from works import WORKS, with_our_ids

HAS_NO_C = {"hf", "ctranslate2", "sockeye"}  # no recurrent model
ENVIRONMENTS = {"ctranslate2": "onmt"}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=["A", "C"])
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[32, 64, 128], help="sentences")
    parser.add_argument("--length", type=int, default=16, help="pieces of every translation")
    parser.add_argument("--peers", type=Path, help="folder of the other toolkits' harnesses")
    parser.add_argument("--toolkits", nargs="*", default=["hf", "ctranslate2", "onmt", "eole"])
    parser.add_argument("--work_dir", type=Path, default=Path("peers-work"), help="default: ./peers-work")
    parser.add_argument("--data", type=Path, help="default: the work folder's data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    data = arguments.data or arguments.work_dir / "data"
    names = arguments.toolkits if arguments.peers else []

    rows: dict[tuple[str, int, str, int], list[Row]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.model"
        with_our_ids(data / "spm.model", tokenizer)
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "SEQ2SEQ_CACHE": folder}

        def ours(work: str, beam: int, batch_size: int) -> list[str]:
            options = {"beam": beam, "batch_size": batch_size, "length": arguments.length}
            flat = [word for name, value in options.items() for word in (f"--{name}", str(value))]
            where = ["--data", str(data), "--tokenizer", str(tokenizer)]
            return [sys.executable, str(Path(__file__).parent / "ours.py"), "decode", work, *flat, *where]

        def theirs(name: str, work: str, beam: int, batch_size: int) -> list[str]:
            python = arguments.work_dir / f"venv-{ENVIRONMENTS.get(name, name)}/bin/python"
            options = {"beam": beam, "batch-size": batch_size, "length": arguments.length}
            options |= {"work-dir": arguments.work_dir, "threads": arguments.threads}
            flat = [word for option, value in options.items() for word in (f"--{option}", str(value))]
            return [str(python), str(arguments.peers / f"run_{name}.py"), "decode", work, *flat]

        for number in range(arguments.rounds):
            for work, beam, batch_size in (
                (w, k, b) for w in arguments.works for k in arguments.beams for b in arguments.batch_sizes
            ):
                commands = {"seq2seq": ours(work, beam, batch_size)}
                for name in names:
                    if (name, work) not in ANOTHER_MODEL and not (work == "C" and name in HAS_NO_C):
                        commands[name] = theirs(name, work, beam, batch_size)
                for name, command in commands.items():
                    row = measure(command, environment)
                    if row is None:
                        continue
                    place = {"round": number + 1, "work": work, "beam": beam, "batch_size": batch_size, "system": name}
                    print(json.dumps(place | row), flush=True)
                    if row["other_cores"] <= MOST_OTHER_CORES:
                        rows[work, beam, name, batch_size].append(row)
    for work in arguments.works:
        for beam in arguments.beams:
            found = {(name, size): r for (w, k, name, size), r in rows.items() if (w, k) == (work, beam)}
            print("\n" + table(work, beam, found))


def table(work: str, beam: int, rows: dict[tuple[str, int], list[Row]]) -> str:
    """Medians as Markdown, the fastest first, each system at its fastest batch size."""
    medians = {key: statistics.median(row["sentences_per_s"] for row in found) for key, found in rows.items()}
    best = {name: max((k for k in medians if k[0] == name), key=medians.__getitem__) for name, _ in medians}
    lines = [
        f"Work {work}, {'greedy' if beam == 1 else f'beam {beam}'}",
        "",
        "| system | sentences/s | batch | all rounds | ours / this | its products alone | peak MB |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for name, key in sorted(best.items(), key=lambda item: -medians[item[1]]):
        every = ", ".join(f"{row['sentences_per_s']:.0f}" for row in rows[key])
        ratio = f"{medians[best['seq2seq']] / medians[key]:.2f}" if "seq2seq" in best else ""
        shares = " / ".join(
            f"{statistics.median(row[share] for row in rows[key]):.0%}"
            for share in ("share_of_products", "share_of_best_products")
            if share in rows[key][0]
        )
        memory = statistics.median(row["rss_mb"] for row in rows[key])
        lines.append(f"| {name} | {medians[key]:.0f} | {key[1]} | {every} | {ratio} | {shares} | {memory:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
