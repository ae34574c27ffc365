"""One measurement of ours, as one line of JSON; `train.py` calls it, in turns with other toolkits.

python benchmarks/ours.py train A 60 --data FOLDER --tokenizer MODEL      `seq2seq fit` with a clock around its steps
python benchmarks/ours.py products A --data FOLDER --tokenizer MODEL      the matrix products of such a step alone
python benchmarks/ours.py profile A 30 --data FOLDER --tokenizer MODEL    what the steps spend their time on
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from works import fit_options

from seq2seq.models import products as our_products
from seq2seq.training.fit import FitCLI
from seq2seq.training.flops import count_flops
from seq2seq.training.heap import keep_memory
from seq2seq.training.options import command_line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "products", "profile"])
    parser.add_argument("work", choices=["A", "B", "C"])
    parser.add_argument("steps", type=int, nargs="?", default=60)
    parser.add_argument("--skip", type=int, default=20, help="steps of warm-up that are not counted")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.de, train.en, val.de, val.en")
    parser.add_argument("--tokenizer", type=Path, required=True, help="SentencePiece model with our special ids")
    arguments = parser.parse_args()
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--run_dir", folder, "--trainer.max_steps", str(arguments.steps), "--trainer.limit_val_batches", "0"]
        cli = command_line(FitCLI, [*fit_options(arguments.work, arguments.data, arguments.tokenizer), *options])
        match arguments.what:
            case "train":
                found = train(cli, arguments.skip)
            case "products":
                found = products(cli)
            case _:
                found = profile_of(cli, arguments.skip)
    print(json.dumps({"system": "seq2seq", "work": arguments.work, **found}), flush=True)


class Clock(Callback):
    """When each step began, and its target tokens; a step ends where the next one begins, loading included."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.tokens: list[int] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.starts.append(time.perf_counter())
        self.tokens.append(batch.num_tgt_tokens)


def train(cli: FitCLI, skip: int) -> dict[str, Any]:
    """Rates over the steps after the warm-up; the last one, which no other follows, is not counted."""
    clock = Clock()
    cli.trainer.callbacks.insert(0, clock)  # type: ignore[attr-defined]
    code = cli.fit()
    if code:
        sys.exit(code)
    seconds = [end - start for start, end in zip(clock.starts, clock.starts[1:], strict=False)][skip:]
    tokens = clock.tokens[skip:-1]
    return {
        "parameters": sum(p.numel() for p in cli.model.parameters()),
        "measured_steps": len(seconds),
        "tokens_per_s": round(statistics.median(n / s for n, s in zip(tokens, seconds, strict=True)), 1),
        "tokens_per_s_mean": round(sum(tokens) / sum(seconds), 1),
        "tokens_per_step": round(statistics.mean(tokens), 1),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


class Profile(Callback):
    """Profiles the steps after the warm-up."""

    def __init__(self, skip: int) -> None:
        self.skip = skip
        self.profiler = profile(activities=[ProfilerActivity.CPU])

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.skip:
            self.profiler.start()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.profiler.stop()


# The first that is part of an operation's name says what it belongs to.
PARTS = {
    "products": ("mm", "linear", "mkldnn", "lstm"),
    "attention": ("scaled_dot_product", "attention"),
    "dropout": ("random_", "lt", "dropout", "Dropout", "mul", "threshold_backward"),
    "softmax and loss": ("softmax", "amax", "log", "gather", "scatter", "_CrossEntropy"),
    "norms": ("norm",),
    "optimiser": ("adam", "Adam", "foreach"),
    "activations": ("tanh", "sigmoid", "relu"),
    "copies": ("copy", "clone", "contiguous", "cat", "index", "embedding"),
    "sums": ("add", "sum", "sub", "fill", "zero"),
}


def profile_of(cli: FitCLI, skip: int) -> dict[str, Any]:
    """Shares of the time spent in torch's operations, in percent, and the ten that take most."""
    watch = Profile(skip)
    cli.trainer.callbacks.insert(0, watch)  # type: ignore[attr-defined]
    if code := cli.fit():
        sys.exit(code)
    spent = Counter({event.key: event.self_cpu_time_total for event in watch.profiler.key_averages()})
    parts: Counter[str] = Counter()
    for name, microseconds in spent.items():
        found = [part for part, words in PARTS.items() if any(word in name for word in words)]
        parts[found[0] if found else "other"] += microseconds
    whole = spent.total()
    shares, largest = ({k: round(100 * v / whole, 1) for k, v in c.most_common(10)} for c in (parts, spent))
    return {"shares": shares, "largest": largest}


class Products(TorchDispatchMode):
    """Counts the matrix products by the shapes and strides of their two matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm", "addmm_", "baddbmm_"):
            left, right = args[:2] if name in ("mm", "bmm") else args[1:3]
            self.seen[tuple((tuple(x.shape), x.stride()) for x in (left, right))] += 1
        return func(*args, **(kwargs or {}))


def products(cli: FitCLI) -> dict[str, Any]:
    """The rates at which the products of one step run alone, and the FLOPs of a target token without padding.

    `gflops_per_s` is that of torch's own; `best_gflops_per_s` takes what `fit` may take instead where that is faster.
    """
    data, module = cli.datamodule, cli.model
    data.prepare_data()
    data.setup()
    module.trainer = cli.trainer
    cli.trainer.datamodule = data  # type: ignore[attr-defined]
    module.configure_model()
    batches = sorted(data.train_dataloader(), key=lambda batch: batch.tgt_out_BT.shape[1])
    batch = batches[len(batches) // 2]
    uses_onednn = our_products._mkl_leaves_avx512_unused()
    our_products._mkl_leaves_avx512_unused = lambda: False  # fused kernels would hide their products
    with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH), Products() as seen:
        module._loss_sum(batch, module.label_smoothing).backward()
    flops = seconds = seconds_of_best = 0.0
    for (left, right), count in seen.seen.items():
        a, b = (torch.empty_strided(*x).normal_() for x in (left, right))
        flops += count * 2 * a.numel() * b.shape[-1]
        plain = best = _seconds(lambda a=a, b=b: a @ b)
        if uses_onednn and a.dim() == 2:
            best = min(plain, _seconds(lambda a=a, b=b: our_products._onednn_product(a, b.t(), None)))
        seconds += count * plain
        seconds_of_best += count * best
    of_batch = count_flops(module.architecture, module.model_config, *[data.tokenizers.src.vocab_size] * 2)
    lengths = data._train_pairs.lengths().tolist()
    model_flops = sum(of_batch(1, S, T) for S, T in lengths)
    return {
        "gflops_per_s": round(flops / seconds / 1e9, 1),
        "best_gflops_per_s": round(flops / seconds_of_best / 1e9, 1),
        "mflops_per_token": round(model_flops / sum(T for _, T in lengths) / 1e6, 2),
    }


def _seconds(product: Callable[[], Tensor]) -> float:
    """Of one product: the median of as many as take a twentieth of a second, at least five."""
    durations: list[float] = []
    while len(durations) < 7 or sum(durations) < 0.05:
        start = time.perf_counter()
        product()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations[2:])


if __name__ == "__main__":
    main()
