"""How long does each toolkit train until its greedy translations of the validation set reach a BLEU?

    python benchmarks/time_to_bleu.py --data FOLDER --work_dir FOLDER      --data: train and val, each .de and .en

The model is that of configs/multi30k/transformer.yaml, or the nearest that a toolkit has; data, pieces (one
SentencePiece model, trained here) and threads are the same for all. The toolkits' environments are WORK_DIR/venv-hf and
WORK_DIR/venv-joey; learners.py says how each trains. All but hf-trainer keep freed memory, which makes them faster.

Every so many updates a toolkit stops its clock, translates the validation set greedily and hands over the text; BLEU is
computed here, for all alike: sacreBLEU, cased, 13a, on raw text. `seconds` are of training alone, from the first step
on, loading and optimiser included; `wall_s` has start-up, validations and checkpoints in it too. A toolkit is stopped
when it has reached the goal: the time at which it did is taken from the straight line between the two validations
around it.

Prints one line of JSON for each validation, then a table. `own_bleu` is the toolkit's own BLEU of the same text.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from train import clocks

from seq2seq.evaluation.metrics import score
from seq2seq.tokenizer import Tokenizer

HERE = Path(__file__).absolute().parent
CONFIG = HERE.parent / "configs" / "multi30k" / "transformer.yaml"
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
OF_ALL = ("updates", "valid_every", "seed", "bfloat16", "pad_to_multiple_of")
SYSTEMS = ["seq2seq", "hf", "hf-trainer", "joey"]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.de, train.en, val.de, val.en")
    parser.add_argument("--work_dir", type=Path, default=Path("peers-work"), help="default: ./peers-work")
    parser.add_argument("--goal", type=float, default=30.0, help="BLEU")
    parser.add_argument("--updates", type=int, default=2000, help="after which a cosine is at zero and ends")
    parser.add_argument("--valid_every", type=int, default=100, help="updates")
    parser.add_argument("--most_minutes", type=float, default=60, help="of training, then a system is stopped")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="products in bfloat16; of seq2seq and hf only")
    parser.add_argument("--pad_to_multiple_of", type=int, default=1, help="of seq2seq and hf: lengths of batches")
    arguments = parser.parse_args()
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    data, model = config["data"], config["model"]["init_args"]
    train_de, train_en, references = (lines(arguments.data / name) for name in ("train.de", "train.en", "val.en"))
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pieces = f"{folder}/tokenizer.model"
        Tokenizer.train(train_de + train_en, **data["tokenizer"]).save(pieces)
        task = model | {name: data[name] for name in ("max_tokens_per_batch", "max_length")}
        task |= {name: getattr(arguments, name) for name in OF_ALL}
        task |= {"config": str(CONFIG), "data": str(arguments.data.absolute()), "pieces": pieces}
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "SEQ2SEQ_CACHE": folder}
        environment["PYTHONPATH"] = str(HERE.parent)
        for name in arguments.systems:
            python = sys.executable
            if name != "seq2seq":
                python = str(arguments.work_dir / f"venv-{name.removesuffix('-trainer')}/bin/python")
            command = [python, str(HERE / "learners.py"), name, json.dumps(task | {"folder": f"{folder}/{name}"})]
            own = environment | (KEEP_MEMORY if name in ("hf", "joey") else {})
            found[name] = follow(name, command, own, references, arguments.goal, 60 * arguments.most_minutes)
    print("\n" + table(found, arguments.goal))


def lines(path: Path) -> list[str]:
    """Not splitlines(), which splits at other characters too."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def follow(
    name: str, command: list[str], environment: dict[str, str], references: list[str], goal: float, most_seconds: float
) -> list[Row]:
    """One row for each validation of a learner, until it reaches the goal, has had its time or ends."""
    rows: list[Row] = []
    start, before = time.perf_counter(), clocks()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    for line in process.stdout:
        row = json.loads(line)
        bleu = score(row.pop("hypotheses"), references, metrics=["BLEU"])[0]
        row |= {"bleu": bleu.value, "signature": bleu.signature, "wall_s": round(time.perf_counter() - start, 1)}
        print(json.dumps({"system": name, **row}), flush=True)
        rows.append(row)
        if row["bleu"] >= goal or row["seconds"] >= most_seconds:
            break
        process.stdin.write("go on\n")
        process.stdin.flush()
    process.stdin.close()
    if process.wait():
        sys.exit(f"{name}: exit {process.returncode}")
    wall, all_cpu, own = (after - earlier for after, earlier in zip(clocks(), before, strict=True))
    rows[-1]["other_cores"] = max(0.0, all_cpu - own) / wall
    return rows


def at_goal(rows: list[Row], goal: float) -> dict[str, float] | None:
    """Where the straight line between the validations around the goal meets it; None if none of them reached it."""
    before: dict[str, float] = dict.fromkeys(("seconds", "updates", "target_tokens", "bleu"), 0)
    for row in rows:
        if row["bleu"] >= goal:
            share = (goal - before["bleu"]) / (row["bleu"] - before["bleu"])
            return {name: earlier + share * (row[name] - earlier) for name, earlier in before.items()}
        before = {name: row[name] for name in before}
    return None


def table(found: dict[str, list[Row]], goal: float) -> str:
    """Markdown. `wall s` is until the end; `other cores` is what other processes used meanwhile, and this one."""
    text = [
        f"| system | seconds to {goal:g} BLEU | this / ours | updates | target tokens | tokens/s | tokens an update | "
        "best BLEU | wall s | other cores |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ours = at_goal(found.get("seq2seq", []), goal)
    for name, rows in found.items():
        last, reached = rows[-1], at_goal(rows, goal)
        spent = reached or last
        seconds = ("" if reached else "not in ") + f"{spent['seconds']:.0f}"
        ratio = f"{reached['seconds'] / ours['seconds']:.2f}" if reached and ours else ""
        text.append(
            f"| {name} | {seconds} | {ratio} | {spent['updates']:.0f} | {spent['target_tokens']:.0f} | "
            f"{last['target_tokens'] / last['seconds']:.0f} | {last['target_tokens'] / last['updates']:.0f} | "
            f"{max(row['bleu'] for row in rows):.2f} | {last['wall_s']:.0f} | {last['other_cores']:.2f} |"
        )
    return "\n".join(text)


if __name__ == "__main__":
    main()
