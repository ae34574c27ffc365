"""One measurement of ours, as one line of JSON; `train.py` and `decode.py` call it, in turns with other toolkits.

python benchmarks/ours.py train A 60 --data FOLDER --tokenizer MODEL      `seq2seq fit` with a clock around its steps
python benchmarks/ours.py products A --data FOLDER --tokenizer MODEL      the matrix products of such a step alone
python benchmarks/ours.py profile A 30 --data FOLDER --tokenizer MODEL    what the steps spend their time on
python benchmarks/ours.py decode A --data FOLDER --tokenizer MODEL        a search over test.de, random weights
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

from seq2seq.batching import pad_sources
from seq2seq.decoding import Hypothesis, SearchOptions, decode, side_by_side
from seq2seq.device_memory import keep_memory
from seq2seq.models import products as our_products
from seq2seq.training.fit import FitCLI
from seq2seq.training.flops import count_flops
from seq2seq.training.options import command_line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "products", "profile", "decode"])
    parser.add_argument("work", choices=["A", "B", "C"])
    parser.add_argument("steps", type=int, nargs="?", default=60)
    parser.add_argument("--skip", type=int, default=20, help="steps of warm-up that are not counted")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.de, train.en, val.de, val.en")
    parser.add_argument("--tokenizer", type=Path, required=True, help="SentencePiece model with our special ids")
    parser.add_argument("--beam", type=int, default=5, help="of decode; 1 is greedy")
    parser.add_argument("--batch_size", type=int, default=64, help="of decode, sentences")
    parser.add_argument("--length", type=int, default=16, help="of decode, pieces of every translation")
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
            case "decode":
                found = decode_rate(cli, arguments)
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
        if name in ("mm", "bmm", "matmul", "linear", "addmm", "baddbmm", "addmm_", "baddbmm_"):
            left, right = args[1:3] if "add" in name else args[:2]
            if name == "linear":  # a search is not taken apart any further
                left, right = left.flatten(0, -2), right.t()
            self.seen[tuple((tuple(x.shape), x.stride()) for x in (left, right))] += 1
        return func(*args, **(kwargs or {}))

    @classmethod
    def of(cls, compute: Callable[[], Any]) -> "Products":
        """Those of a computation, with nothing fused that would hide them."""
        chosen = our_products._mkl_leaves_avx512_unused
        our_products._mkl_leaves_avx512_unused = lambda: False
        with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH), cls() as seen:
            compute()
        our_products._mkl_leaves_avx512_unused = chosen
        return seen

    def alone(self) -> tuple[float, float, float]:
        """FLOPs of all, seconds that they take as torch multiplies, and with oneDNN where that is faster."""
        flops = seconds = seconds_of_best = 0.0
        uses_onednn = our_products._mkl_leaves_avx512_unused()
        for (left, right), count in self.seen.items():
            a, b = (torch.empty_strided(*x).normal_() for x in (left, right))
            flops += count * 2 * a.numel() * b.shape[-1]
            plain = best = _seconds(lambda a=a, b=b: a @ b)
            if uses_onednn and a.dim() == 2:
                best = min(plain, _seconds(lambda a=a, b=b: our_products._onednn_product(a, b.t(), None)))
            seconds += count * plain
            seconds_of_best += count * best
        return flops, seconds, seconds_of_best


def prepared(cli: FitCLI) -> tuple[Any, Any]:
    """Data module and module with its model, as when a training begins."""
    data, module = cli.datamodule, cli.model
    data.prepare_data()
    data.setup()
    module.trainer = cli.trainer
    cli.trainer.datamodule = data  # type: ignore[attr-defined]
    module.configure_model()
    return data, module


def products(cli: FitCLI) -> dict[str, Any]:
    """The rates at which the products of one step run alone, and the FLOPs of a target token without padding.

    `gflops_per_s` is that of torch's own; `best_gflops_per_s` takes what `fit` may take instead where that is faster.
    """
    data, module = prepared(cli)
    batches = sorted(data.train_dataloader(), key=lambda batch: batch.tgt_out_BT.shape[1])
    batch = batches[len(batches) // 2]
    seen = Products.of(lambda: module._loss_sum(batch, module.label_smoothing).backward())
    flops, seconds, seconds_of_best = seen.alone()
    of_batch = count_flops(module.architecture, module.model_config, *[data.tokenizers.src.vocab_size] * 2)
    lengths = data._train_pairs.lengths().tolist()
    model_flops = sum(of_batch(1, S, T) for S, T in lengths)
    return {
        "gflops_per_s": round(flops / seconds / 1e9, 1),
        "best_gflops_per_s": round(flops / seconds_of_best / 1e9, 1),
        "mflops_per_token": round(model_flops / sum(T for _, T in lengths) / 1e6, 2),
    }


def decode_rate(cli: FitCLI, arguments: argparse.Namespace) -> dict[str, Any]:
    """Sentences a second from raw text to pieces, longest first, and how long the products of it take alone."""
    data, module = prepared(cli)
    model = module.model.eval()
    lines = (arguments.data / "test.de").read_text(encoding="utf-8").rstrip("\n").split("\n")
    limits = {"min_length": arguments.length, "max_length_factor": 0.0, "max_length_offset": arguments.length}
    options = SearchOptions(beam_width=arguments.beam, **limits)

    def batches() -> list[list[list[int]]]:
        src = sorted(data.tokenizers.src.encode(lines), key=len, reverse=True)
        return [src[start : start + arguments.batch_size] for start in range(0, len(src), arguments.batch_size)]

    def search(src: list[list[int]]) -> list[list[Hypothesis]]:
        return decode(model, *pad_sources(src), options)

    def translate() -> None:
        for _, translations in side_by_side(search, batches(), torch.get_num_threads()):
            assert all(len(best.tokens) == arguments.length for best, *_ in translations)

    translate()
    start = time.perf_counter()
    translate()
    seconds = time.perf_counter() - start
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    _, plain, best = Products.of(lambda: list(map(search, batches()))).alone()  # those of this thread
    return {
        "beam": arguments.beam,
        "batch_size": arguments.batch_size,
        "sentences_per_s": round(len(lines) / seconds, 1),
        "share_of_products": round(plain / seconds, 3),
        "share_of_best_products": round(best / seconds, 3),
        "rss_mb": rss_mb,
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
