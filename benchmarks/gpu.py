"""Training speed on a GPU: models of the literature's sizes on synthetic ids with the lengths of a real corpus.

    python benchmarks/gpu.py --lengths LENGTHS.tsv                  all models, bfloat16, about two minutes each
    python benchmarks/gpu.py --lengths LENGTHS.tsv --compile        whether torch.compile pays
    python benchmarks/gpu.py --tiny --device cpu --steps 6          whether it runs at all

LENGTHS.tsv has a line of names and then source and target length in pieces of one pair per line, tab between; without
it, lengths are drawn from a log-normal with mean 25. Prints one line of JSON for each model:

    tokens_per_s   target tokens without padding a second, from step start to step start
    mfu            model FLOPs a second (matrix products of the real tokens) over the device's bfloat16 peak
    fill           real tokens among all positions of source and target
    peak_gb        the most memory that tensors took
    idle           share of the time in which the training waited for its next batch
"""

import argparse
import json
import math
import random
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import Dataset

from seq2seq.batching import Batch, ResumableLoader, TokenBatchSampler, collate, round_up
from seq2seq.special_ids import EOS_ID
from seq2seq.training.flops import count_flops
from seq2seq.training.schedules import Optimization
from seq2seq.training.systems import SYSTEMS

VOCABULARY = 32_000
_BASE = dict(num_encoder_layers=6, num_decoder_layers=6, norm="post")
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    # Vaswani et al. 2017, table 3
    "transformer base": ("transformer", dict(d_model=512, d_ff=2048, num_heads=8, **_BASE)),
    "transformer big": ("transformer", dict(d_model=1024, d_ff=4096, num_heads=16, dropout=0.3, **_BASE)),
    # Bahdanau et al. 2015, appendix A.2, with LSTMs
    "attention": ("attention", dict(d_model=1024, d_embedding=620)),
    # the widths and depth of Wu et al. 2016 (GNMT), with a fixed context
    "lstm, GNMT's size": ("lstm", dict(d_model=1024, d_embedding=1024, num_layers=4, dropout=0.2)),
}
PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "V100": 125}  # dense, of 16-bit products


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--lengths", type=Path)
    parser.add_argument("--max_tokens_per_batch", type=int, default=25_000)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--warm_up", type=int, default=30, help="steps that are not counted, at most half of them")
    parser.add_argument("--pad_to_multiple_of", type=int, default=8, help="of both lengths; fewer shapes (default: 8)")
    parser.add_argument("--compile", action="store_true", help="the model, but for its last layer, with torch.compile")
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a sixteenth of all widths, batches and words")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("this machine has no GPU for torch; --tiny --device cpu shows whether the benchmark runs")
    torch.set_float32_matmul_precision("high")
    vocabulary = VOCABULARY // (16 if arguments.tiny else 1)
    pairs = SyntheticPairs(lengths(arguments.lengths), vocabulary, arguments.pad_to_multiple_of)
    for name in arguments.models:
        print(json.dumps({"model": name, **measure(name, pairs, arguments)}), flush=True)


def lengths(path: Path | None) -> list[tuple[int, int]]:
    """Source and target pieces of each pair, end of sentence included; at most 200."""
    if path is not None:
        lines = path.read_text(encoding="utf-8").split("\n")[1:]
        found = [tuple(map(int, line.split("\t"))) for line in lines if line]
    else:
        generator = random.Random(1)
        # exp(mu + sigma^2 / 2) = 25
        draws = [math.exp(generator.gauss(3.0, 0.66)) for _ in range(100_000)]
        found = [(max(2, round(x)), max(2, round(x * generator.uniform(0.8, 1.2)))) for x in draws]
    return [(S, T) for S, T in found if max(S, T) <= 200]


class SyntheticPairs(Dataset[Batch]):
    """Random ids of given lengths, in the form in which the data module's corpora give batches."""

    def __init__(self, lengths: list[tuple[int, int]], vocabulary: int, pad_to_multiple_of: int) -> None:
        self.sizes, self.vocabulary, self.multiple = lengths, vocabulary, pad_to_multiple_of

    def __getitem__(self, place: tuple[int, list[int]]) -> Batch:  # type: ignore[override]
        epoch, rows = place
        generator = random.Random(f"{epoch} {rows[0]}")

        def ids(length: int) -> list[int]:
            return generator.choices(range(EOS_ID + 1, self.vocabulary), k=length - 1)

        sides = [ids(self.sizes[i][0]) for i in rows], [ids(self.sizes[i][1]) for i in rows]
        return collate(*sides, rows, pad_to_multiple_of=self.multiple)


class Data(L.LightningDataModule):
    """What a TranslationModule wants to know of its data."""

    def __init__(self, pairs: SyntheticPairs, max_tokens_per_batch: int, num_workers: int) -> None:
        super().__init__()
        self.pairs, self.num_workers = pairs, num_workers
        self.max_tokens_per_batch = self.batch_tokens = max_tokens_per_batch
        side = SimpleNamespace(vocab_size=pairs.vocabulary)
        self.tokenizers = SimpleNamespace(src=side, tgt=side, joint=True)

    def sampler(self) -> TokenBatchSampler:
        sizes, most = round_up(torch.tensor(self.pairs.sizes), self.pairs.multiple), self.max_tokens_per_batch
        return TokenBatchSampler(sizes, max_tokens_per_batch=most, shuffle=True, seed=1)

    def train_dataloader(self) -> ResumableLoader:
        return ResumableLoader(self.pairs, self.sampler(), num_workers=self.num_workers)

    def sizes(self, steps: int) -> list[list[tuple[int, int]]]:
        """Lengths of the pairs of the first steps."""
        sampler = self.sampler()
        found: list[list[tuple[int, int]]] = []
        while len(found) < steps:
            found += [[self.pairs.sizes[i] for i in rows] for rows in sampler]
            sampler.set_epoch(sampler.epoch + 1)
        return found[:steps]


class Clock(Callback):
    """Counts tokens and FLOPs between the end of the warm-up and the last step, and waits for the device there only."""

    def __init__(self, flops: Any, sizes: list[list[tuple[int, int]]], warm_up: int) -> None:
        self.flops_of, self.sizes, self.warm_up = flops, sizes, warm_up
        self.tokens = self.flops = self.real = self.positions = 0
        self.waited = self.ended = self.start = self.seconds = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        step = trainer.global_step
        if step == self.warm_up:
            self.start = _now(pl_module.device)
        elif step > self.warm_up:
            self.waited += time.perf_counter() - self.ended
        if step == len(self.sizes) - 1:
            self.seconds = _now(pl_module.device) - self.start
        elif step >= self.warm_up:
            self.tokens += batch.num_tgt_tokens
            self.real += sum(S + T for S, T in self.sizes[step])
            self.positions += batch.src_BS.numel() + batch.tgt_out_BT.numel()
            self.flops += sum(self.flops_of(1, S, T) for S, T in self.sizes[step])

    def on_train_batch_end(self, *_: Any) -> None:
        self.ended = time.perf_counter()


class Compile(Callback):
    """The loss computes the last layer itself, together with its gradient."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.model.features = torch.compile(pl_module.model.features, dynamic=True)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(name: str, pairs: SyntheticPairs, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for some steps; the figures of the docstring above."""
    architecture, config = MODELS[name]
    max_tokens = arguments.max_tokens_per_batch
    if arguments.tiny:
        config = {key: size // 16 if key.startswith("d_") else size for key, size in config.items()}
        config |= {"num_heads": 4} if "num_heads" in config else {}
        max_tokens = max(256, max_tokens // 16)
    module = SYSTEMS[architecture](**config, optimization=Optimization(lr=1e-4, warmup_steps=10))
    flops = count_flops(architecture, module.model_config, pairs.vocabulary, pairs.vocabulary)
    data = Data(pairs, max_tokens, arguments.num_workers)
    clock = Clock(flops, data.sizes(arguments.steps), min(arguments.warm_up, arguments.steps // 2))
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="gpu" if arguments.device == "cuda" else "cpu",
            devices=1,
            precision=arguments.precision,
            max_steps=arguments.steps,
            gradient_clip_val=1.0,
            callbacks=[clock, *([Compile()] if arguments.compile else [])],
            use_distributed_sampler=False,
            log_every_n_steps=50,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        if arguments.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        trainer.fit(module, datamodule=data)
    device_name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    peak = next((tflops for gpu, tflops in PEAK_TFLOPS.items() if gpu in device_name), None)
    rate = clock.flops / clock.seconds / 1e12
    return {
        "device": device_name,
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in module.parameters()),
        "max_tokens_per_batch": max_tokens,
        "compiled": arguments.compile,
        "tokens_per_s": round(clock.tokens / clock.seconds),
        "tflops_per_s": round(rate, 3),
        "mfu": None if peak is None else round(rate / peak, 3),
        "fill": round(clock.real / clock.positions, 3),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2) if arguments.device == "cuda" else None,
        "idle": round(clock.waited / clock.seconds, 3),
    }


if __name__ == "__main__":
    main()
