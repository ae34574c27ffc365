"""Gradients by distance, against the fused models, finite differences and the forget gates."""

from itertools import pairwise
from statistics import median, quantiles

import pytest
import torch
from torch import Tensor

from seq2seq.analysis.gradients import ALL_PATHS, ALONG_CELLS, DECODER, PRODUCT, gradients, tail
from seq2seq.batching import Batch, collate
from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.special_ids import EOS_ID
from tests.small_models import net, sources

SRC, TGT = [5, 9, 4, 11, 7], [6, 4, 10]


def recurrent(architecture: str = "lstm", **options: object) -> EncoderDecoder:
    torch.manual_seed(3)
    model = ARCHITECTURES[architecture](12, 12, d_embedding=6, d_model=8, **options).double().eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def losses(model: EncoderDecoder, batch: Batch) -> Tensor:
    logits_BTV = model(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
    return torch.nn.functional.cross_entropy(logits_BTV[0], batch.tgt_out_BT[0], reduction="none")


@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_gradients_of_the_source_are_those_of_the_model_as_it_is_trained(architecture: str) -> None:
    model, batch = net(architecture, seed=4), collate([SRC], [TGT], [0])
    embedded: list[Tensor] = []
    hook = model.src_embedding.register_forward_hook(lambda _, __, x: embedded.append(x))  # type: ignore[union-attr]
    of_steps = [torch.autograd.grad(loss, embedded[0], retain_graph=True)[0][0] for loss in losses(model, batch)]
    hook.remove()
    norms_TS = torch.stack(of_steps).norm(dim=-1)
    found = gradients(model, [batch])
    assert [point.distance for point in found.inputs_from_start] == list(range(len(SRC) + 1))
    for points, expected_TS in ((found.inputs_from_start, norms_TS), (found.inputs_from_end, norms_TS.flip(1))):
        for point, column_T in zip(points, expected_TS.t().tolist(), strict=True):
            assert point.count == len(TGT) + 1
            expected = quantiles(column_T, n=4, method="inclusive")
            assert (point.low, point.median, point.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_gradients_of_the_decoder_are_finite_differences(architecture: str, cell: str) -> None:
    """|dL_t/dd_k| by shifting d_k along each axis and going on from there."""
    model, batch = recurrent(architecture, cell=cell, bridge="zeros"), collate([SRC], [TGT], [0])
    norms: dict[int, list[float]] = {}
    with torch.no_grad():
        memory = model.encode(batch.src_BS, batch.src_key_padding_mask_BS)
        states = [model.init_state(memory)]
        for t in range(len(TGT) + 1):
            states.append(model.step(batch.tgt_in_BT[:, t : t + 1], states[-1], memory).state)

        def loss(state: tuple, k: int, t: int) -> float:
            for place in range(k, t + 1):
                logits_BWV, state, _ = model.step(batch.tgt_in_BT[:, place : place + 1], state, memory)
            return float(-logits_BWV[0, 0].log_softmax(-1)[batch.tgt_out_BT[0, t]])

        for t in range(len(TGT) + 1):
            for k in range(t + 1):
                slopes = []
                for axis in range(8):
                    both = []
                    for shift in (1e-6, -1e-6):
                        h_BWLD = states[k].h_BWLD.clone()  # type: ignore[attr-defined]
                        h_BWLD[..., axis] += shift
                        both.append(loss(states[k]._replace(h_BWLD=h_BWLD), k, t))  # type: ignore[attr-defined]
                    slopes.append((both[0] - both[1]) / 2e-6)
                norms.setdefault(t + 1 - k, []).append(sum(slope**2 for slope in slopes) ** 0.5)
    found = gradients(model, [batch]).states[DECODER]
    assert [point.distance for point in found] == [1, 2, 3, 4]
    for point in found:
        assert point.median == pytest.approx(median(norms[point.distance]), rel=1e-4)


def test_gradients_of_the_encoder_shrink_as_the_rnn_is_told_to() -> None:
    """With W = I / 2 and h near 0, each step halves the gradient."""
    model = recurrent(cell="rnn", bidirectional=False)
    W = model.encoder.weights("l0")[1]  # type: ignore[union-attr]
    for name, parameter in model.encoder.named_parameters():  # type: ignore[union-attr]
        parameter.data *= 1e-4 if "_ih" in name or "bias" in name else 0
    W.data += torch.eye(8) / 2
    found = gradients(model, [collate([SRC], [TGT], [0])]).states
    assert found.keys() == {"encoder, left to right", "decoder"}
    medians = [point.median for point in found["encoder, left to right"]]
    assert [after / before for before, after in pairwise(medians)] == pytest.approx([0.5] * 5, rel=1e-3)
    assert tail(found["encoder, left to right"]) == pytest.approx(1 / 32, rel=1e-3)


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_along_the_cells_the_derivative_is_the_product_of_the_forget_gates(architecture: str, num_layers: int) -> None:
    model = recurrent(architecture, num_layers=num_layers).float()
    src = sources(3, 6)
    found = gradients(model, [collate(src, src, range(6))])
    assert found.largest_difference is not None and found.largest_difference < 1e-5
    for one, other in zip(found.cells[PRODUCT], found.cells[ALONG_CELLS], strict=True):
        assert (one.distance, one.count, one.median) == pytest.approx((other.distance, other.count, other.median))
    assert all(points[0].median == pytest.approx(1) for points in found.cells.values())
    assert found.cells[ALL_PATHS][-1].median != pytest.approx(found.cells[PRODUCT][-1].median, rel=1e-3)


def test_the_product_is_that_of_gates_which_are_known() -> None:
    model = recurrent(bidirectional=False)
    for name, parameter in model.encoder.named_parameters():  # type: ignore[union-attr]
        parameter.data.zero_()
        if name.endswith("bias_ih_l0"):
            parameter.data[8:16] = torch.logit(torch.tensor(0.8))  # f is the second of torch's gates
    found = gradients(model, [collate([SRC], [TGT], [0])])
    for points in found.cells.values():  # nothing flows but through the cells
        assert [point.median for point in points] == pytest.approx([0.8**distance for distance in range(6)])


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_without_cells_there_is_no_product(cell: str) -> None:
    found = gradients(recurrent(cell=cell), [collate([SRC], [TGT], [0])])
    assert (found.cells, found.largest_difference) == ({}, None)


@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_padding_and_batches_do_not_change_what_is_measured(architecture: str) -> None:
    model, src = net(architecture, seed=4), sources(5, 5)
    together = gradients(model, [collate(src, src[::-1], range(5))])
    alone = gradients(model, [collate([one], [other], [0]) for one, other in zip(src, src[::-1], strict=True)])
    for left, right in (
        (together.inputs_from_end, alone.inputs_from_end),
        *zip(together.states.values(), alone.states.values(), strict=True),
        *((together.cells[name], alone.cells[name]) for name in {PRODUCT, ALONG_CELLS} & together.cells.keys()),
    ):
        assert [(p.distance, p.count) for p in left] == [(p.distance, p.count) for p in right]
        assert [p.median for p in left] == pytest.approx([p.median for p in right])


def test_a_distance_that_hardly_comes_is_left_out_and_the_model_stays_as_it_was() -> None:
    model = net("lstm", seed=1).float()
    short, long = [[7, 8]] * 12, [list(range(4, 12))]
    found = gradients(model, [collate(short + long, [[6]] * 13, range(13))])
    assert [point.distance for point in found.inputs_from_end] == [0, 1, 2]
    assert found.inputs_from_end[0].count == 26
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert EOS_ID not in long[0]
