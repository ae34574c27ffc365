"""What truncated backpropagation through time saves: time and memory of a training step against the source's length.

    python benchmarks/bptt.py --models lstm attention --lengths 25 50 100 200 400 --bptt_steps 25

Random sentences of one length, targets of --tgt_length, so that only the source grows; plain SGD, float32, no dropout.
Each measurement is a process of its own: seconds are the median step's, MB what the largest memory of the steps is
above that of the process after one tiny step. The encoder of `lstm-one-way` reads from left to right only. Without
attention only those pieces of the encoder's top layer that z comes from have a gradient, with attention all have.

Prints each measurement as a line of JSON as it comes, whole and truncated in turns, then a table of medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from seq2seq.device_memory import keep_memory
from seq2seq.models import ARCHITECTURES
from seq2seq.training.loss import cross_entropy_sum

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "lstm-one-way": ("lstm", {"bidirectional": False}),
    "attention": ("attention", {}),
    "attention-current": ("attention", {"placement": "current"}),
}
VOCABULARY = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--lengths", nargs="+", type=int, default=[25, 50, 100, 200, 400], help="of the sources")
    parser.add_argument("--bptt_steps", type=int, default=25)
    parser.add_argument("--tgt_length", type=int, default=25)
    parser.add_argument("--batch_size", type=int, default=16, help="sentences")
    parser.add_argument("--d_model", type=int, default=256)
    parser.add_argument("--num_layers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what a process of its own measures
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments, **json.loads(arguments.one))))
        return

    rows: dict[tuple[str, int, int | None], list[dict[str, float]]] = defaultdict(list)
    for _ in range(arguments.rounds):
        for name in arguments.models:
            for length in arguments.lengths:
                for bptt_steps in (None, arguments.bptt_steps):
                    what = {"name": name, "length": length, "bptt_steps": bptt_steps}
                    command = [sys.executable, __file__, *sys.argv[1:], "--one", json.dumps(what)]
                    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
                    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                    rows[name, length, bptt_steps].append(json.loads(done.stdout))
                    print(json.dumps(what | rows[name, length, bptt_steps][-1]), flush=True)

    print("\n| model | source | s, whole | s, truncated | MB, whole | MB, truncated |\n|---|---:|---:|---:|---:|---:|")
    for name in arguments.models:
        for length in arguments.lengths:
            cells = [
                f"{statistics.median(row[unit] for row in rows[name, length, bptt_steps]):.{digits}f}"
                for unit, digits in (("s", 3), ("mb", 0))
                for bptt_steps in (None, arguments.bptt_steps)
            ]
            print(f"| {name} | {length} | {' | '.join(cells)} |")


def measure(arguments: argparse.Namespace, name: str, length: int, bptt_steps: int | None) -> dict[str, float]:
    """Seconds of the median step, and MB of the largest one's memory."""
    keep_memory()  # as `seq2seq fit` does
    torch.manual_seed(1)
    architecture, options = MODELS[name]
    sizes = {"d_model": arguments.d_model, "d_embedding": arguments.d_model // 2, "num_layers": arguments.num_layers}
    model = ARCHITECTURES[architecture](VOCABULARY, VOCABULARY, **sizes, **options, dropout=0.0, bptt_steps=bptt_steps)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(src_length: int, tgt_length: int) -> float:
        src_BS, tgt_BT = (torch.randint(4, VOCABULARY, (arguments.batch_size, n)) for n in (src_length, tgt_length + 1))
        start = time.perf_counter()
        optimizer.zero_grad()
        x_BTE = model.features(src_BS, torch.zeros_like(src_BS, dtype=torch.bool), tgt_BT[:, :-1])
        tgt_N = tgt_BT[:, 1:].flatten()
        loss = cross_entropy_sum(x_BTE.flatten(0, 1), model.output_layer(), tgt_N, label_smoothing=0.0)
        (loss / len(tgt_N)).backward()
        optimizer.step()
        return time.perf_counter() - start

    step(1, 1)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak so far is forgotten
    before = memory_mb("VmRSS")
    seconds = [step(length, arguments.tgt_length) for _ in range(arguments.steps)]
    return {"s": round(statistics.median(seconds), 4), "mb": round(memory_mb("VmHWM") - before, 1)}


def memory_mb(field: str) -> float:
    """Of /proc/self/status: VmRSS now, VmHWM the most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    main()
