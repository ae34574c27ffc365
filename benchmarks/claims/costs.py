"""Claim e: what a training step costs as both sides of its sentences grow, and attention's score matrix by itself.

Four random sentences of n source and n target tokens, models of the demo's sizes, one thread, float32, no dropout.

Bytes are those that the graph keeps for the backward pass, without the weights, and of the last two without queries,
keys and values: counted from torch's saved tensors, so exact. Seconds are the processor's, of one thread, and the
median of the rounds, in each of which every model and length has its turn. An exponent is the slope of a straight line
through the logarithms.

    lstm            one fixed context vector                                n states a side
    attention       additive energy: keeps tanh(W q + U k) of every pair    n^2 vectors of width A
    transformer     fused attention, which never stores a score             n rows a layer
    written out     softmax(Q K^T / sqrt(K)) V alone: 4 heads of width 32   n^2 scores a head
    fused           the same as one kernel                                  no score is stored, n^2 are computed

So the transformer's *memory* is linear here: Rabe & Staats 2021 and Dao et al. 2022 compute the scores in pieces. The
quadratic matrix of the lecture is that of attention as its equation stands, Vaswani et al. 2017, eq. 1.
"""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from claims.claim import Judgement, Place, fit_power, judged, lines_of, mark, save
from torch import Tensor
from torch.nn import functional as F

from seq2seq.batching import collate
from seq2seq.device_memory import keep_memory
from seq2seq.models import ARCHITECTURES
from seq2seq.report.chart import chart
from seq2seq.training.loss import cross_entropy_sum
from seq2seq.training.memory import bytes_kept

SAYS = "time and memory of a recurrent network grow linearly with the length, attention's score matrix quadratically"
LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
NUM_FITTED = 4  # lengths, the longest: below, what a step costs at any length hides how it grows
LONGEST = {"attention": 512}  # of 2048 it would keep 9 GB
VOCABULARY, SENTENCES, HEADS, WIDTH, ROUNDS = 1000, 4, 4, 32, 5
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {"d_embedding": 64, "d_model": 128}),
    "attention": ("attention", {"d_embedding": 64, "d_model": 128}),
    "transformer": ("transformer", {"d_model": 128, "d_ff": 512, "num_encoder_layers": 2, "num_decoder_layers": 2}),
}
LSTM, WRITTEN_OUT, FUSED = "lstm", "written out", "fused"
# How far an exponent may lie from the whole number that theory gives. Bytes are exact, but of a step some do not grow.
BYTES_TOLERANCE, SECONDS_TOLERANCE = 0.05, 0.25


class Work(NamedTuple):
    """Something to differentiate: its forward pass, and what is there before and after it."""

    forward: Callable[[], Tensor]
    inputs: list[Tensor]


MakeWork = Callable[[int], Work]
"""Of a length."""


def measure(place: Place) -> dict[str, Any]:
    """Bytes and seconds of everything at each length, and their exponents."""
    keep_memory()  # as `seq2seq fit` does
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    lengths, rounds = (LENGTHS[:3], 1) if place.is_toy else (LENGTHS, ROUNDS)
    makers = {name: _training_step(*MODELS[name]) for name in MODELS}
    makers |= {WRITTEN_OUT: _attention(written_out), FUSED: _attention(F.scaled_dot_product_attention)}
    upto = {name: [n for n in lengths if n <= LONGEST.get(name, n)] for name in makers}
    kept = {name: [bytes_kept(*make(n)) for n in upto[name]] for name, make in makers.items()}
    seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(1 + rounds):
        for name, make in makers.items():
            for n in upto[name]:
                work = make(n)
                start = time.process_time()
                torch.autograd.grad(work.forward(), work.inputs, allow_unused=True)
                seconds[name, n].append(time.process_time() - start)
    torch.set_num_threads(num_threads)
    # Without the first round, in which kernels are chosen.
    medians = {name: [statistics.median(seconds[name, n][1:]) for n in upto[name]] for name in makers}
    return {
        "lengths": list(lengths),
        "sentences": SENTENCES,
        "rounds": rounds,
        "bytes": kept,
        "seconds": medians,
        "exponents": {
            name: {"bytes": _exponent(upto[name], kept[name]), "seconds": _exponent(upto[name], medians[name])}
            for name in makers
        },
    }


def _exponent(lengths: Sequence[int], values: Sequence[float]) -> list[float]:
    """Of the longest, and its standard error."""
    power = fit_power(lengths[-NUM_FITTED:], values[-NUM_FITTED:])
    return [round(power.exponent, 4), round(power.error, 4)]


def _training_step(architecture: str, sizes: dict[str, Any]) -> MakeWork:
    """A model's step with n source and n target tokens."""
    model = ARCHITECTURES[architecture](VOCABULARY, VOCABULARY, dropout=0.0, **sizes)

    def make(n: int) -> Work:
        rows = torch.randint(4, VOCABULARY, (SENTENCES, n - 1)).tolist()  # each gets its end of sentence
        batch = collate(rows, rows, range(SENTENCES))

        def forward() -> Tensor:
            x_BTE = model.features(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
            return cross_entropy_sum(x_BTE.flatten(0, 1), model.output_layer(), batch.tgt_out_BT.flatten())

        return Work(forward, list(model.parameters()))

    return make


def _attention(attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> MakeWork:
    """One layer's attention of n queries to n keys, without its projections."""

    def make(n: int) -> Work:
        inputs = [torch.randn(SENTENCES, HEADS, n, WIDTH, requires_grad=True) for _ in range(3)]
        return Work(lambda: attend(*inputs).sum(), inputs)

    return make


def written_out(q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(K)) V, with its matrix of scores."""
    alpha_BHTS = (q_BHTK @ k_BHSK.transpose(-1, -2) / math.sqrt(q_BHTK.shape[-1])).softmax(-1)
    return alpha_BHTS @ v_BHSK


def judge(found: dict[str, Any]) -> Judgement:
    """Linear and quadratic, within the tolerances."""
    statements = []
    for name, whole, what in ((LSTM, 1, "the lstm's step"), (WRITTEN_OUT, 2, "the score matrix")):
        for unit, verb, tolerance in (
            ("bytes", "keeps bytes", BYTES_TOLERANCE),
            ("seconds", "takes time", SECONDS_TOLERANCE),
        ):
            exponent, error = found["exponents"][name][unit]
            text = f"{what} {verb} ~ n^({exponent:.2f} ± {error:.2f}), wanted {whole} ± {tolerance}"
            statements.append((abs(exponent - whole) <= tolerance, text))
    return judged(*statements)


def table(found: dict[str, Any]) -> str:
    """Milliseconds and kilobytes of each length, and the exponents."""
    lines = [f"{'':24}" + "".join(f"{n:>9}" for n in found["lengths"]) + "   exponent (of the longest 4)"]
    for unit, factor in (("seconds", 1e3), ("bytes", 1e-3)):
        for name, values in found[unit].items():
            exponent, error = found["exponents"][name][unit]
            cells = "".join(
                f"{value * factor:>9,.0f}" if value * factor >= 10 else f"{value * factor:>9.2f}" for value in values
            )
            label = f"{name:12} {'ms' if unit == 'seconds' else 'kB':11}"
            lines.append(f"{label}{cells:{9 * len(found['lengths'])}}   {exponent:.2f} ± {error:.2f}")
    return "\n".join(lines)


def draw(found: dict[str, Any], place: Place, letter: str) -> None:
    """Time and memory over the length, both by factors: straight lines have the exponent as their slope."""
    categories = [str(n) for n in found["lengths"]]
    for unit, y_label in (("seconds", "seconds"), ("bytes", "bytes")):
        curves = {
            name: [
                mark(i, y, title=f"{name}: {y:.3g} {unit} at {n}")
                for i, (n, y) in enumerate(zip(found["lengths"], values, strict=False))
            ]
            for name, values in found[unit].items()
        }
        exponents = "; ".join(f"{name} n^{found['exponents'][name][unit][0]:.2f}" for name in curves)
        what = "a training step takes" if unit == "seconds" else "its graph keeps"
        svg = chart(
            f"{unit} that {what}, by length: {exponents}",
            "tokens of each side",
            y_label,
            lines_of(curves),
            categories=categories,
            log_y=True,
        )
        save(place, f"{letter}-{unit}", svg)
