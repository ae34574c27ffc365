"""What the recurrent encoder-decoder with attention says beyond the contract (`test_contract.py`)."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq2seq.models.attention import AttentionEncoderDecoder
from seq2seq.models.cells import lstm_step

V = 11
PLACEMENTS = ("previous", "current", "input_feeding")


def model(**keywords: object) -> AttentionEncoderDecoder:
    torch.manual_seed(1)
    return AttentionEncoderDecoder(V, V, **({"d_embedding": 6, "d_model": 8} | keywords)).double().eval()


def sources() -> tuple[Tensor, Tensor]:
    src_BS = torch.randint(4, V, (3, 5), generator=torch.Generator().manual_seed(2))
    return src_BS, torch.arange(5) >= torch.tensor([5, 2, 4])[:, None]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_step_is_the_lectures_table_read_downwards(placement: str) -> None:
    """e_it = v . tanh(W q_t + U h_i), a_it = softmax_i, z_t = sum_i a_it h_i, d_t and the readout, by hand."""
    m = model(energy="additive", placement=placement)
    memory = m.encode(*sources())
    state = m.init_state(memory)
    d_BD, cell_BD, r_BE = state.h_BWLD[:, 0, 0], state.cell_BWLD[:, 0, 0], torch.zeros(3, 6, dtype=torch.float64)
    decoder = m.decoder.layers

    def attend(q_D: Tensor, h_SD: Tensor) -> tuple[Tensor, Tensor]:
        e = [m.energy.v.weight[0] @ torch.tanh(m.energy.w(q_D) + m.energy.u(h_D)) for h_D in h_SD]
        a = [e_i.exp() / sum(e_j.exp() for e_j in e) for e_i in e]
        return torch.stack(a), sum(a_i * h_D for a_i, h_D in zip(a, h_SD, strict=True))

    for y in (2, 5, 9):
        step = m.step(torch.full((3, 1), y), state, memory)
        state = step.state
        y_E = math.sqrt(m.tgt_embedding.embedding_dim) * m.tgt_embedding.weight[y]
        new_d, new_cell, new_r = [], [], []
        for b, length in enumerate((5, 2, 4)):
            h_SD = memory.h_BSD[b, :length]
            if placement == "previous":
                a_S, z_D = attend(d_BD[b], h_SD)
                x = torch.cat([y_E, z_D])
            else:
                x = torch.cat([y_E, r_BE[b]]) if placement == "input_feeding" else y_E
            ux = decoder.weight_ih_l0 @ x + decoder.bias_ih_l0
            wh = decoder.weight_hh_l0 @ d_BD[b] + decoder.bias_hh_l0
            d_D, cell_D = lstm_step(ux, wh, cell_BD[b])
            if placement != "previous":
                a_S, z_D = attend(d_D, h_SD)
            r_E = torch.tanh(m.readout.w(torch.cat([d_D, y_E, z_D])))
            assert_close(step.attention_BWS[b, 0, :length], a_S)
            assert_close(step.logits_BWV[b, 0], m.readout.projection(r_E))
            new_d.append(d_D)
            new_cell.append(cell_D)
            new_r.append(r_E)
        d_BD, cell_BD, r_BE = torch.stack(new_d), torch.stack(new_cell), torch.stack(new_r)


def test_the_context_differs_from_step_to_step() -> None:
    m = model()
    memory = m.encode(*sources())
    first = m.step(torch.full((3, 1), 2), m.init_state(memory), memory)
    second = m.step(torch.full((3, 1), 5), first.state, memory)
    z = [step.attention_BWS @ memory.h_BSD for step in (first, second)]
    assert ((z[0] - z[1]).abs().amax(-1) > 1e-9).all()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_weights_depend_on_the_token_of_their_step_only_if_the_current_state_asks(placement: str) -> None:
    m = model(placement=placement)
    memory = m.encode(*sources())
    one, other = (m.step(torch.full((3, 1), y), m.init_state(memory), memory) for y in (5, 9))
    assert torch.equal(one.attention_BWS, other.attention_BWS) == (placement == "previous")
    assert not torch.equal(one.logits_BWV, other.logits_BWV)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_what_attention_found_enters_the_next_state_unless_the_placement_is_current(placement: str) -> None:
    m = model(placement=placement, bridge="zeros")
    memory = m.encode(*sources())
    state = m.init_state(memory)
    for y in (5, 9):
        state = m.step(torch.full((3, 1), y), state, memory).state
    changed = torch.autograd.grad(state.h_BWLD.sum(), memory.h_BSD, allow_unused=True)[0]
    assert (changed is not None and bool(changed.any())) == (placement != "current")


def test_with_the_current_state_as_query_all_steps_run_in_one_fused_call(monkeypatch: pytest.MonkeyPatch) -> None:
    m = model(placement="current")
    calls = []
    fused = m.decoder.layers.forward
    monkeypatch.setattr(m.decoder.layers, "forward", lambda x, state: calls.append(x.shape) or fused(x, state))
    monkeypatch.setattr(m.decoder, "step", None)
    m(*sources(), torch.full((3, 7), 5))
    assert calls == [(3, 7, 6)]


def test_of_several_layers_the_top_one_asks() -> None:
    m = model(num_layers=2)
    memory = m.encode(*sources())
    start = m.init_state(memory)
    bottom, top = (start.h_BWLD.clone() for _ in range(2))
    bottom[:, :, 0] += 1
    top[:, :, 1] += 1
    before, with_bottom, with_top = (
        m.step(torch.full((3, 1), 2), start._replace(h_BWLD=h_BWLD), memory).attention_BWS
        for h_BWLD in (start.h_BWLD, bottom, top)
    )
    assert torch.equal(with_bottom, before)
    assert not torch.equal(with_top, before)


def test_an_unknown_energy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="^energy is 'luong'; use dot, scaled_dot, cosine, general or additive$"):
        model(energy="luong")


def test_an_unknown_placement_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="^placement is 'luong'; use previous, current or input_feeding$"):
        model(placement="luong")
