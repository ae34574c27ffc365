"""How far a gradient reaches: |dL_t/dh_k| by the steps between t and k, and what carries it.

With L_t = -ln p(y_t | y_1 .. y_{t-1}, x), the loss of one target token,

    dL_t/dh_k = dL_t/dh_S  dh_S/dh_{S-1} ... dh_{k+1}/dh_k

is a product with one factor for each step. Where the factors shrink, it vanishes (Bengio et al. 1994; Pascanu et al.
2013). The lstm adds to its cell instead: along c alone, with the gates taken as they are,

    dc_t/dc_k = f_t f_{t-1} ... f_{k+1}        elementwise (Gers et al. 2000)

which stays near 1 while the forget gates do. Both sides are measured here: the product from the gates, the derivative
by autograd. In float64, because float32 has nothing below 1e-45.

Letters: see `models/interface.py`; C width of one direction's states.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq2seq.analysis.unrolled import Trace, read_unrolled
from seq2seq.batching import Batch
from seq2seq.models import EncoderDecoder
from seq2seq.models.attention import AttentionEncoderDecoder
from seq2seq.models.masks import may_attend_to_keys
from seq2seq.models.recurrent import RecurrentEncoderDecoder
from seq2seq.models.transformer import Transformer
from seq2seq.special_ids import PAD_ID

FEWEST = 0.1  # of as many values as the commonest distance has: of fewer, chance makes the curve
DIRECTIONS = ("encoder, left to right", "encoder, right to left")
DECODER = "decoder"
PRODUCT, ALONG_CELLS, ALL_PATHS = "product of f", "dc along c", "dc, all paths"


@dataclass(frozen=True)
class Point:
    """All values at one distance: their number, median and quartiles."""

    distance: int
    count: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Gradients:
    """Norms of gradients over some text; see `docs/analysis.md`.

    Attributes:
        inputs_from_end: |dL_t/dx_s| of each t by the tokens after x_s, the embedded token; 0 is the end of sentence.
        inputs_from_start: the same by the tokens before x_s.
        states: of the recurrent models. "encoder, left to right" and "encoder, right to left": |dL_t/dh_k| of the top
            layer by the steps from k to where that direction ends. "decoder": |dL_t/dd_k| of the top layer by t - k.
        cells: of the lstm, for the encoder's top layer from left to right, by the steps from k to the last state c_S:
            the root mean square of the product of the forget gates between, that of dc_S/dc_k along the cells alone,
            and |dc_S/dc_k| / sqrt(C), its Frobenius norm over all paths (estimated with one random vector of signs).
        largest_difference: between a product of forget gates and dc_S/dc_k along the cells, over everything; or None.
    """

    inputs_from_end: list[Point]
    inputs_from_start: list[Point]
    states: dict[str, list[Point]]
    cells: dict[str, list[Point]]
    largest_difference: float | None


def gradients(model: EncoderDecoder, batches: Iterable[Batch]) -> Gradients:
    """Measure how a model's gradients fade with distance.

    Args:
        model: in evaluation mode, as a bundle has it; it stays as it is.
        batches: pairs of sentences.
    """
    model = copy.deepcopy(model).double().requires_grad_(False)
    device = next(model.parameters()).device
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}  # distances and values
    differences = []

    def add(name: str, distance: Tensor, value: Tensor, wanted: Tensor) -> None:
        pairs = (distance.expand_as(wanted)[wanted].cpu(), value[wanted].cpu())
        found.setdefault(name, []).append(pairs)

    for batch in batches:
        batch = batch.to(device)
        wanted_BS = ~batch.src_key_padding_mask_BS
        places_S = torch.arange(wanted_BS.shape[1], device=device)
        to_end_BS = wanted_BS.sum(-1, keepdim=True) - 1 - places_S
        x_BSE, traces, d_steps, logits = _forward(model, batch)
        for t, logits_BV in enumerate(logits):
            is_token_B = batch.tgt_out_BT[:, t] != PAD_ID
            log_p_B = logits_BV.log_softmax(-1).gather(-1, batch.tgt_out_BT[:, t, None])[:, 0]
            loss = -log_p_B[is_token_B].sum()  # of different sentences, which know nothing of each other
            states = [*(h for trace in traces for h in trace.h), *d_steps[: t + 1]]
            dx_BSE, *others = torch.autograd.grad(loss, [x_BSE, *states], retain_graph=True, materialize_grads=True)
            wanted = wanted_BS & is_token_B[:, None]
            add("from end", to_end_BS, dx_BSE.norm(dim=-1), wanted)
            add("from start", places_S, dx_BSE.norm(dim=-1), wanted)
            for name in DIRECTIONS[: len(traces)]:
                dh_BSC, others = torch.stack(others[: len(places_S)], dim=1), others[len(places_S) :]
                add(name, to_end_BS, dh_BSC.norm(dim=-1), wanted)
            if others:  # d_0 .. d_t, before the step that scores y_t
                dd_BT = torch.stack([d_BWLD[:, 0, -1] for d_BWLD in others], dim=1).norm(dim=-1)
                distance_T = torch.arange(t + 1, 0, -1, device=device)
                add(DECODER, distance_T, dd_BT, is_token_B[:, None].expand_as(dd_BT))
        if traces and traces[0].cell:
            assert isinstance(model, RecurrentEncoderDecoder | AttentionEncoderDecoder)
            alone = read_unrolled(model.encoder, x_BSE, batch.src_key_padding_mask_BS, along_cells_only=True)
            product_BSC = _products_of_forget_gates(traces[0], wanted_BS)
            along_BSC, signs_BC = _dc(alone.traces[-1][0])
            all_paths_BSC, _ = _dc(traces[0])
            differences.append((along_BSC * signs_BC[:, None] - product_BSC)[wanted_BS].abs().max())
            for name, dc_BSC in ((PRODUCT, product_BSC), (ALONG_CELLS, along_BSC), (ALL_PATHS, all_paths_BSC)):
                add(name, to_end_BS, dc_BSC.square().mean(-1).sqrt(), wanted_BS)

    curves = {name: _points(*(torch.cat(side) for side in zip(*pairs, strict=True))) for name, pairs in found.items()}
    return Gradients(
        inputs_from_end=curves["from end"],
        inputs_from_start=curves["from start"],
        states={name: curves[name] for name in (*DIRECTIONS, DECODER) if name in curves},
        cells={name: curves[name] for name in (PRODUCT, ALONG_CELLS, ALL_PATHS) if name in curves},
        largest_difference=float(torch.stack(differences).max()) if differences else None,
    )


def _forward(model: EncoderDecoder, batch: Batch) -> tuple[Tensor, list[Trace], list[Tensor], list[Tensor]]:
    """Teacher forcing in parts that gradients can be asked of.

    Returns:
        The embedded source (B, S, E); the encoder's top layer in each direction; the decoder's states d_0 .. d_{T-1}
        (B, 1, L, D); the logits (B, V) of each y_t. A transformer has neither traces nor states.
    """
    padding_BS = batch.src_key_padding_mask_BS
    if isinstance(model, Transformer):
        x_BSD = model.embed(model.src_embedding, batch.src_BS).requires_grad_()
        may_attend = may_attend_to_keys(padding_BS)
        y_BTD = model.embed(model.tgt_embedding, batch.tgt_in_BT)
        written_BTD = model.write(y_BTD, model.read(x_BSD, may_attend), may_attend)
        return x_BSD, [], [], [model.projection(written_BD) for written_BD in written_BTD.unbind(1)]
    assert isinstance(model, RecurrentEncoderDecoder | AttentionEncoderDecoder)
    x_BSE = model.src_embedding(batch.src_BS).requires_grad_()
    reading = read_unrolled(model.encoder, x_BSE, padding_BS)
    memory: Any = model.remember(reading.h_BSD, reading.last, padding_BS)
    state: Any = model.init_state(memory)
    d_steps, logits = [], []
    for y_B1 in batch.tgt_in_BT.split(1, dim=1):
        d_steps.append(state.h_BWLD.requires_grad_())  # where it begins with zeros, nothing else asks for it
        step = model.step(y_B1, state, memory)
        state = step.state
        logits.append(step.logits_BWV[:, 0])
    return x_BSE, reading.traces[-1], d_steps, logits


def _products_of_forget_gates(trace: Trace, wanted_BS: Tensor) -> Tensor:
    """f_S f_{S-1} ... f_{k+1} for each k, (B, S, C)."""
    f_BSC = trace.gates["forget"].masked_fill(~wanted_BS[..., None], 1)
    after_BSC = torch.cat([f_BSC[:, 1:], torch.ones_like(f_BSC[:, :1])], dim=1)
    return after_BSC.flip(1).cumprod(1).flip(1)


def _dc(trace: Trace) -> tuple[Tensor, Tensor]:
    """v^T dc_S/dc_k for each k, (B, S, C), and its random signs v, which cost a matrix with one 1 a row nothing."""
    c_BC = trace.last_cell
    generator = torch.Generator().manual_seed(0)
    signs_BC = (2 * torch.randint(2, c_BC.shape, generator=generator) - 1).to(c_BC)
    dc = torch.autograd.grad((c_BC * signs_BC).sum(), trace.cell, retain_graph=True, materialize_grads=True)
    return torch.stack(dc, dim=1), signs_BC


def _points(distance_N: Tensor, value_N: Tensor) -> list[Point]:
    """Median and quartiles by distance, while there are enough values."""
    counts = distance_N.bincount()
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=value_N.dtype)
    points = []
    for distance, count in enumerate(counts.tolist()):
        if count >= max(1, FEWEST * int(counts.max())):
            low, median, high = value_N[distance_N == distance].quantile(quarters).tolist()
            points.append(Point(distance, count, low, median, high))
    return points


def tail(points: Sequence[Point]) -> float:
    """How much of the median is left at the largest distance, relative to the smallest."""
    return points[-1].median / points[0].median if points[0].median else 0.0
