"""Training speed beside other toolkits, on the same work and the same pieces, in turns: A B C A B C ...

    python benchmarks/train.py --data FOLDER                     ours alone; FOLDER has train and val, .de and .en
    python benchmarks/train.py --peers FOLDER --rounds 3         beside those whose environments are in the work folder

FOLDER of --peers holds prepare.py, which writes WORK_DIR/data with spm.model, and for each toolkit run_NAME.py; the
toolkit's environment is WORK_DIR/venv-NAME. Each is run as

    WORK_DIR/venv-NAME/bin/python run_NAME.py train WORK STEPS --work-dir WORK_DIR --threads N --allocator tuned|default

and prints one line of JSON: `tokens_per_s` is the median over its steps of target tokens without padding a second,
`rss_mb` its peak memory. `tuned` keeps freed memory, `default` leaves glibc as it is; ours keeps it by itself.

Prints each measurement as it comes, then per work a table of medians: tokens a second, how many times as fast ours is,
and the fraction of the machine's own rate of matrix products: model FLOPs a second over the rate at which the products
of one step run when nothing else is computed, by torch's own functions and by the fastest that torch brings; both are
measured in the same rounds. Works: see works.py.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from works import WORKS, with_our_ids

# An epoch of Multi30k: a few batches of it hold up to a tenth more or fewer target tokens than the others.
STEPS = 130
WARM_UP = 10
MOST_OTHER_CORES = 0.1  # used by other processes meanwhile: above, a measurement is printed but not counted
# Of what a measurement prints.
KEPT = ["tokens_per_s", "tokens_per_step", "measured_steps", "rss_mb"]
KEPT += ["gflops_per_s", "best_gflops_per_s", "mflops_per_token"]
KEPT += ["sentences_per_s", "share_of_products", "share_of_best_products"]
ANOTHER_MODEL = {("fairseq", "C")}  # dot attention and a smaller output layer
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--peers", type=Path, help="folder of the other toolkits' harnesses")
    parser.add_argument("--toolkits", nargs="*", help="names; default: all with an environment in the work folder")
    parser.add_argument("--work_dir", type=Path, default=Path("peers-work"), help="default: ./peers-work")
    parser.add_argument("--data", type=Path, help="default: the work folder's data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each measurement, {WARM_UP} of warm-up included")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    data = arguments.data or arguments.work_dir / "data"
    names = arguments.toolkits
    if names is None:
        names = sorted(path.name.removeprefix("venv-") for path in arguments.work_dir.glob("venv-*"))
    if arguments.peers is None:
        names = []

    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.model"
        with_our_ids(data / "spm.model", tokenizer)
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "SEQ2SEQ_CACHE": folder}

        def ours(what: str, work: str) -> list[str]:
            here = Path(__file__).parent / "ours.py"
            counts = [str(arguments.steps), "--skip", str(WARM_UP)]
            return [sys.executable, str(here), what, work, *counts, "--data", str(data), "--tokenizer", str(tokenizer)]

        def theirs(name: str, work: str, allocator: str) -> list[str]:
            python, script = arguments.work_dir / f"venv-{name}/bin/python", arguments.peers / f"run_{name}.py"
            options = {"--work-dir": arguments.work_dir, "--threads": arguments.threads, "--allocator": allocator}
            flat = [str(word) for option in options.items() for word in option]
            return [str(python), str(script), "train", work, str(arguments.steps), *flat, "--skip", str(WARM_UP)]

        for number in range(arguments.rounds):
            for work in arguments.works:
                commands = {"products": ours("products", work), "seq2seq": ours("train", work)}
                for name in names:
                    if (name, work) not in ANOTHER_MODEL:
                        commands |= {f"{name}, {a}": theirs(name, work, a) for a in ("tuned", "default")}
                for name, command in commands.items():
                    row = measure(command, environment)
                    if row is not None:
                        print(json.dumps({"round": number + 1, "system": name, **row}), flush=True)
                        if row["other_cores"] <= MOST_OTHER_CORES:
                            rows[work, name].append(row)
    for work in arguments.works:
        print("\n" + table(work, {name: found for (of, name), found in rows.items() if of == work}))


def measure(command: list[str], environment: dict[str, str]) -> Row | None:
    """The line of JSON that the command prints, with the cores that others used meanwhile; None if it fails."""
    before = clocks()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        print(f"{' '.join(command[1:4])}: exit {done.returncode}: {said[-1]}", file=sys.stderr)
        return None
    wall, all_cpu, own = (after - start for after, start in zip(clocks(), before, strict=True))
    row: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return {k: row[k] for k in KEPT if k in row} | {"other_cores": round(max(0.0, all_cpu - own) / wall, 2)}


def clocks() -> tuple[float, float, float]:
    """Seconds: of the clock, of all processes' CPU, of our finished processes' CPU."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), busy, usage.ru_utime + usage.ru_stime


def table(work: str, rows: dict[str, list[Row]]) -> str:
    """Medians as Markdown, the fastest first."""
    products = rows.pop("products")
    rate, best_rate = (statistics.median(row[f"{k}gflops_per_s"] for row in products) for k in ("", "best_"))
    mflops = products[0]["mflops_per_token"]
    medians = {name: statistics.median(row["tokens_per_s"] for row in found) for name, found in rows.items()}
    lines = [
        f"Work {work}: {mflops} MFLOP a target token. Its matrix products alone run at {rate:.0f} GFLOP/s as torch "
        f"multiplies, at {best_rate:.0f} with the fastest.",
        "",
        "| system | target tokens/s | all rounds | ours / this | of torch's rate | of the fastest | peak MB |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for name, speed in sorted(medians.items(), key=lambda item: -item[1]):
        every = ", ".join(f"{row['tokens_per_s']:.0f}" for row in rows[name])
        memory = statistics.median(row["rss_mb"] for row in rows[name])
        shares = " | ".join(f"{speed * mflops / 1000 / r:.0%}" for r in (rate, best_rate))
        ratio = f"{medians['seq2seq'] / speed:.2f}"
        lines.append(f"| {name} | {speed:.0f} | {every} | {ratio} | {shares} | {memory:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
