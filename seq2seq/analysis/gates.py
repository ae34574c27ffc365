"""How far open the gates of a recurrent model stand over some text: forget, input and output, or reset and update.

A gate is a number between 0 and 1 for each unit at each step. A forget gate near 1 keeps the cell as it is, a unit
whose forget gate stays near 0 has no memory at all. Source: Karpathy et al. 2015, "Visualizing and Understanding
Recurrent Networks", section 4.2, which counts gates below 0.1 and above 0.9.

Letters: see `models/interface.py`; C width of one direction's states, N gates of all units and steps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq.analysis.gradients import DECODER, DIRECTIONS
from seq2seq.analysis.unrolled import gates_of, read_unrolled
from seq2seq.batching import Batch
from seq2seq.models.attention import AttentionEncoderDecoder, FedState
from seq2seq.models.recurrent import RecurrentEncoderDecoder
from seq2seq.special_ids import PAD_ID

NUM_BINS = 20
CLOSED, OPEN = 0.1, 0.9


@dataclass(frozen=True)
class Gate:
    """One kind of gate in one layer.

    Attributes:
        part: "encoder, left to right", "encoder, right to left" or "decoder".
        layer: from 1.
        gate: "forget", "input", "output" (lstm), "reset" or "update" (gru).
        count: of numbers, one for each unit at each step.
        mean: of them.
        closed: share below 0.1.
        open: share above 0.9.
        shares: in 20 bins of equal width from 0 to 1.
    """

    part: str
    layer: int
    gate: str
    count: int
    mean: float
    closed: float
    open: float
    shares: list[float]


@torch.inference_mode()
def gates(model: RecurrentEncoderDecoder | AttentionEncoderDecoder, batches: Iterable[Batch]) -> list[Gate]:
    """The distribution of each kind of gate in each layer, in the order of the encoder's directions, then the decoder.

    Args:
        model: in evaluation mode, with lstm or gru cells.
        batches: pairs of sentences; the decoder reads the given translations.
    """
    device = next(model.parameters()).device
    sums: dict[tuple[str, int, str], Tensor] = {}  # the bins, then count, sum, closed and open
    for batch in batches:
        for key, value_N in _values(model, batch.to(device)):
            bins = value_N.float().histc(NUM_BINS, 0, 1).double()
            figures = torch.stack([value_N.new_tensor(len(value_N)), value_N.sum(), *(_ends(value_N))]).double()
            found = torch.cat([bins, figures]).cpu()
            sums[key] = sums[key] + found if key in sums else found
    order = (*DIRECTIONS, DECODER)
    return [
        Gate(*key, int(count), total / count, closed / count, open_ / count, [share / count for share in bins])
        for key, sum_ in sorted(sums.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
        for *bins, count, total, closed, open_ in [sum_.tolist()]
    ]


def _ends(value_N: Tensor) -> tuple[Tensor, Tensor]:
    return (value_N < CLOSED).sum().to(value_N), (value_N > OPEN).sum().to(value_N)


def _values(
    model: RecurrentEncoderDecoder | AttentionEncoderDecoder, batch: Batch
) -> Iterator[tuple[tuple[str, int, str], Tensor]]:
    """(part, layer, gate) and the gates of all real tokens."""
    padding_BS = batch.src_key_padding_mask_BS
    reading = read_unrolled(model.encoder, model.src_embedding(batch.src_BS), padding_BS)
    for layer, of_layer in enumerate(reading.traces, 1):
        for part, trace in zip(DIRECTIONS, of_layer, strict=False):
            for gate, value_BSC in trace.gates.items():
                yield (part, layer, gate), value_BSC[~padding_BS].flatten()
    is_token_BT = batch.tgt_out_BT != PAD_ID
    for layer, of_decoder in enumerate(_decoder_gates(model, batch), 1):
        for gate, value_BTD in of_decoder.items():
            yield (DECODER, layer, gate), value_BTD[is_token_BT].flatten()


def _decoder_gates(
    model: RecurrentEncoderDecoder | AttentionEncoderDecoder, batch: Batch
) -> Iterator[dict[str, Tensor]]:
    """The gates (B, T, D) of each layer, from the states between which they stood."""
    memory: Any = model.encode(batch.src_BS, batch.src_key_padding_mask_BS)
    state: Any = model.init_state(memory)
    states, beside = [state.h_BWLD], []
    for y_B1 in batch.tgt_in_BT.split(1, dim=1):
        step = model.step(y_B1, state, memory)
        # What the first layer reads beside the token before, as `step` has it.
        if isinstance(state, FedState):
            beside.append(state.r_BWE)
        elif isinstance(model, RecurrentEncoderDecoder):
            beside.append(memory.z_BD[:, None])
        elif model.placement == "previous":
            beside.append(step.attention_BWS @ memory.h_BSD)
        state = step.state
        states.append(state.h_BWLD)
    h_BTLD = torch.cat(states, dim=1)
    x_BTX = model.tgt_embedding(batch.tgt_in_BT)
    if beside:
        x_BTX = torch.cat([x_BTX, torch.cat(beside, dim=1)], dim=-1)
    for layer in range(model.decoder.num_layers):
        w_ih, w_hh, b_ih, b_hh = model.decoder.weights(f"l{layer}")
        ux, wh = F.linear(x_BTX, w_ih, b_ih), F.linear(h_BTLD[:, :-1, layer], w_hh, b_hh)
        yield gates_of(model.decoder, ux, wh)
        x_BTX = h_BTLD[:, 1:, layer]
