"""Distributions of gates, against gates that are known and against the states between which they stood."""

import pytest
import torch

from seq2seq.analysis.gates import NUM_BINS, Gate, gates
from seq2seq.batching import collate
from seq2seq.models import ARCHITECTURES, EncoderDecoder
from tests.small_models import sources

PARTS = ["encoder, left to right", "encoder, right to left", "decoder"]


def recurrent(architecture: str, **options: object) -> EncoderDecoder:
    torch.manual_seed(3)
    model = ARCHITECTURES[architecture](12, 12, d_embedding=6, d_model=8, **options).eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return model


def by_key(found: list[Gate]) -> dict[tuple[str, int, str], Gate]:
    return {(gate.part, gate.layer, gate.gate): gate for gate in found}


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
@pytest.mark.parametrize(
    ("cell", "values"),
    [("lstm", {"forget": 0.93, "input": 0.02, "output": 0.5}), ("gru", {"reset": 0.3, "update": 0.7})],
)
def test_gates_that_are_known_fall_into_their_bin(architecture: str, cell: str, values: dict[str, float]) -> None:
    order = ["input", "forget", "candidate", "output"] if cell == "lstm" else ["reset", "update", "candidate"]
    model = recurrent(architecture, cell=cell, num_layers=2)
    for stack in (model.encoder, model.decoder):
        d = stack.layers.hidden_size  # type: ignore[union-attr]
        for name, parameter in stack.named_parameters():  # type: ignore[union-attr]
            parameter.data.zero_()
            if "bias_ih" in name:
                for gate, value in values.items():
                    place = order.index(gate)
                    parameter.data[place * d : (place + 1) * d] = torch.logit(torch.tensor(value))
    src, tgt = [[5, 6, 7], [8]], [[4, 9], [10, 11, 4, 5]]
    found = gates(model, [collate(src, tgt, [0, 1])])  # type: ignore[arg-type]
    assert [(gate.part, gate.layer, gate.gate) for gate in found] == [
        (part, layer, gate) for part in PARTS for layer in (1, 2) for gate in values
    ]
    for gate in found:
        assert gate.mean == pytest.approx(values[gate.gate])
        assert gate.shares[int(values[gate.gate] * NUM_BINS)] == 1
        assert (gate.closed, gate.open) == (values[gate.gate] < 0.1, values[gate.gate] > 0.9)
        tokens = 3 + 5 if gate.part == "decoder" else 4 + 2  # with the ends of sentences
        assert gate.count == tokens * (8 if gate.part == "decoder" else 4)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("lstm", {}),
        ("attention", {}),
        ("attention", {"placement": "current"}),
        ("attention", {"placement": "input_feeding"}),
        ("attention", {"bridge": "learned"}),
    ],
)
def test_the_output_gate_is_what_lies_between_cell_and_state(architecture: str, options: dict[str, str]) -> None:
    """g = h / tanh(c), from the states that the model's own steps and fused layers give."""
    model = recurrent(architecture, num_layers=2, bidirectional=False, **options)
    batch = collate([[5, 6, 7, 9]], [[4, 9, 11]], [0])
    expected: dict[tuple[str, int, str], list[torch.Tensor]] = {}
    with torch.no_grad():
        x_BSE = model.src_embedding(batch.src_BS)  # type: ignore[operator]
        for length in range(1, 6):
            _, last = model.encoder.read(x_BSE[:, :length], torch.tensor([length]))  # type: ignore[union-attr,operator]
            for layer in range(2):
                ratio = last.h_BWLD[0, 0, layer] / last.cell_BWLD[0, 0, layer].tanh()
                expected.setdefault((PARTS[0], layer + 1, "output"), []).append(ratio)
        memory = model.encode(batch.src_BS, batch.src_key_padding_mask_BS)
        state = model.init_state(memory)
        for y_B1 in batch.tgt_in_BT.split(1, dim=1):
            state = model.step(y_B1, state, memory).state
            for layer in range(2):
                ratio = state.h_BWLD[0, 0, layer] / state.cell_BWLD[0, 0, layer].tanh()  # type: ignore[attr-defined]
                expected.setdefault((PARTS[2], layer + 1, "output"), []).append(ratio)
    found = by_key(gates(model, [batch]))  # type: ignore[arg-type]
    for key, ratios in expected.items():
        value_N = torch.cat(ratios)
        assert found[key].count == len(value_N)
        assert found[key].mean == pytest.approx(float(value_N.mean()), rel=1e-4)
        assert found[key].open == pytest.approx(float((value_N > 0.9).float().mean()))
        assert found[key].shares == pytest.approx((value_N.histc(NUM_BINS, 0, 1) / len(value_N)).tolist())


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_padding_and_batches_do_not_change_the_distribution(architecture: str, cell: str) -> None:
    model, src = recurrent(architecture, cell=cell), sources(5, 5)
    together = gates(model, [collate(src, src[::-1], range(5))])  # type: ignore[arg-type]
    alone = gates(model, [collate([one], [other], [0]) for one, other in zip(src, src[::-1], strict=True)])  # type: ignore[arg-type]
    for one, other in zip(together, alone, strict=True):
        assert (one.part, one.layer, one.gate, one.count) == (other.part, other.layer, other.gate, other.count)
        assert one.mean == pytest.approx(other.mean, rel=1e-5)
        assert sum(one.shares) == pytest.approx(1)
