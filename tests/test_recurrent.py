"""What the recurrent encoder-decoder with a fixed context says beyond the contract (`test_contract.py`)."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq2seq.models.cells import lstm_step
from seq2seq.models.recurrent import RecurrentEncoderDecoder

V = 11


def model(**keywords: object) -> RecurrentEncoderDecoder:
    torch.manual_seed(1)
    return RecurrentEncoderDecoder(V, V, **({"d_embedding": 6, "d_model": 8} | keywords)).double().eval()


def sources() -> tuple[Tensor, Tensor]:
    src_BS = torch.randint(4, V, (3, 5), generator=torch.Generator().manual_seed(2))
    return src_BS, torch.arange(5) >= torch.tensor([5, 2, 4])[:, None]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_z_is_the_encoders_last_state_of_both_directions(bidirectional: bool) -> None:
    m = model(bidirectional=bidirectional)
    src_BS, padding_BS = sources()
    z_BD = m.encode(src_BS, padding_BS).z_BD
    for b, length in enumerate((5, 2, 4)):
        x_1SE = m.src_embedding(src_BS[b : b + 1, :length])
        _, (last, _) = m.encoder.layers(x_1SE)  # torch's own layer: (directions, 1, width)
        assert_close(z_BD[b], last[:, 0].flatten())


def test_the_context_enters_every_step_and_the_readout() -> None:
    """d_t = f_2(d_{t-1}, y_{t-1}, z) and y_t = g(d_t, y_{t-1}, z), by hand with the model's weights."""
    m = model(num_layers=1, bridge="zeros")
    memory = m.encode(*sources())
    z_BD = memory.z_BD
    U, b_U = m.decoder.layers.weight_ih_l0, m.decoder.layers.bias_ih_l0
    W, b_W = m.decoder.layers.weight_hh_l0, m.decoder.layers.bias_hh_l0
    d_BD = cell_BD = torch.zeros(3, 8, dtype=torch.float64)
    state = m.init_state(memory)
    for y in (2, 5, 9):
        y_BE = math.sqrt(m.tgt_embedding.embedding_dim) * m.tgt_embedding.weight[y].expand(3, -1)
        d_BD, cell_BD = lstm_step(torch.cat([y_BE, z_BD], dim=-1) @ U.T + b_U, d_BD @ W.T + b_W, cell_BD)
        hidden_BE = torch.tanh(torch.cat([d_BD, y_BE, z_BD], dim=-1) @ m.readout.w.weight.T + m.readout.w.bias)
        expected_BV = hidden_BE @ m.readout.projection.weight.T + m.readout.projection.bias
        step = m.step(torch.full((3, 1), y), state, memory)
        state = step.state
        assert_close(step.logits_BWV[:, 0], expected_BV)


def test_the_context_is_fixed_over_target_time() -> None:
    """Once z and the first state are known, nothing else of the source can reach the decoder."""
    m = model()
    memory = m.encode(*sources())
    assert memory._fields == ("z_BD", "start")
    assert m.step(torch.full((3, 1), 2), m.init_state(memory), memory).attention_BWS is None


def test_bridge_zeros_starts_the_decoder_at_zero() -> None:
    assert not any(part.any() for part in model(bridge="zeros").encode(*sources()).start)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_bridge_last_starts_each_layer_where_the_encoders_ended(num_layers: int) -> None:
    m = model(bridge="last", num_layers=num_layers, bidirectional=False)
    src_BS, _ = sources()
    start = m.encode(src_BS, torch.zeros_like(src_BS, dtype=torch.bool)).start
    _, (h_LBD, cell_LBD) = m.encoder.layers(m.src_embedding(src_BS))
    assert_close(start.h_BWLD[:, 0], h_LBD.transpose(0, 1))
    assert_close(start.cell_BWLD[:, 0], cell_LBD.transpose(0, 1))


def test_bridge_dense_starts_each_layer_at_tanh_of_w_z() -> None:
    m = model(bridge="dense", num_layers=2)
    memory = m.encode(*sources())
    for part, linear in ((memory.start.h_BWLD, m.bridge.h), (memory.start.cell_BWLD, m.bridge.cell)):
        for layer in range(2):
            rows = slice(8 * layer, 8 * (layer + 1))
            expected_BD = torch.tanh(memory.z_BD @ linear.weight[rows].T + linear.bias[rows])
            assert_close(part[:, 0, layer], expected_BD)


@pytest.mark.parametrize(("cell", "num_vectors"), [("rnn", 1), ("gru", 1), ("lstm", 2)])
def test_bridge_learned_starts_each_layer_at_a_vector_that_all_sentences_share(cell: str, num_vectors: int) -> None:
    m = model(bridge="learned", cell=cell, num_layers=2)
    vectors = list(m.bridge.parameters())
    assert [tuple(v.shape) for v in vectors] == [(16,)] * num_vectors
    for vector in vectors:
        assert not vector.any()  # where training begins
        torch.nn.init.normal_(vector)
    for part, vector in zip(m.encode(*sources()).start, vectors, strict=False):
        for b in range(3):
            assert_close(part[b, 0, 0], vector[:8])
            assert_close(part[b, 0, 1], vector[8:])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cell": "qrnn"}, "^cell is 'qrnn'; use one of rnn, gru, lstm$"),
        ({"bridge": "mean"}, "^bridge is 'mean'; use zeros, last, dense or learned$"),
        ({"d_model": 9}, "^d_model is 9; two directions share it, so it must be even$"),
    ],
)
def test_options_that_cannot_be_are_refused_with_those_that_can(keywords: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**keywords)
