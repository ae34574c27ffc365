"""The loss around the weights, against a model whose loss is known in closed form, and against torch's own loss."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.analysis.landscape import landscape, loss_per_token, random_direction
from seq2seq.batching import Batch, collate
from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.special_ids import BOS_ID, EOS_ID

VOCABULARY = 7
TARGETS = [[4, 5, 5], [6], [4, 6, 5, 4]]


class Bigrams(EncoderDecoder):
    """The logits of a token are a row of a matrix, chosen by the token before it, plus a bias."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.rows = nn.Embedding(VOCABULARY, VOCABULARY, dtype=torch.float64)
        self.bias = nn.Parameter(torch.randn(VOCABULARY, dtype=torch.float64))

    def forward(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        logits_BTV: Tensor = self.rows(tgt_BT) + self.bias
        return logits_BTV

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        raise AssertionError

    def output_layer(self) -> nn.Linear:
        raise AssertionError

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> Any:
        raise AssertionError

    def init_state(self, memory: Any) -> Any:
        raise AssertionError

    def step(self, y_BW: Tensor, state: Any, memory: Any) -> Any:
        raise AssertionError


def closed_form(rows_VV: np.ndarray, bias_V: np.ndarray) -> float:
    """ln sum exp of each chosen row, less the logit of what follows, as numpy has it."""
    pairs = [pair for one in TARGETS for pair in zip([BOS_ID, *one], [*one, EOS_ID], strict=True)]
    logits = [rows_VV[before] + bias_V for before, _ in pairs]
    return float(
        np.mean([np.log(np.exp(row).sum()) - row[after] for row, (_, after) in zip(logits, pairs, strict=True)])
    )


def batches() -> list[Batch]:
    return [collate([[4, 5], [6]], TARGETS[:2], [0, 1]), collate([[5, 6, 4]], TARGETS[2:], [2])]


def small(architecture: str, **options: object) -> EncoderDecoder:
    torch.manual_seed(3)
    sizes = (
        {"d_model": 8, "d_ff": 16, "num_heads": 2}
        if architecture == "transformer"
        else {"d_embedding": 6, "d_model": 8}
    )
    return ARCHITECTURES[architecture](VOCABULARY, VOCABULARY, **sizes, **options).eval()  # type: ignore[arg-type]


def test_the_plane_is_that_of_the_closed_form() -> None:
    model = Bigrams()
    found = landscape(model, batches(), seed=4)
    generator = torch.Generator().manual_seed(4)
    w, d, e = (
        x.detach().numpy()
        for x in (model.rows.weight, *(random_direction(model, generator)["rows.weight"] for _ in range(2)))
    )
    bias = model.bias.detach().numpy()
    assert found.alphas == found.betas == pytest.approx(np.linspace(-1, 1, 21))
    expected = [[closed_form(w + a * d + b * e, bias) for a in found.alphas] for b in found.betas]
    for row, expected_row in zip(found.losses, expected, strict=True):
        assert row == pytest.approx(expected_row)
    assert found.loss == pytest.approx(closed_form(w, bias))
    assert found.share_near == np.mean(np.array(expected) < found.loss + 1)
    assert 0 < found.share_near <= 1
    # The second derivative from much smaller steps, which only the closed form is exact enough for.
    for curvature, v in ((found.curvature_alpha, d), (found.curvature_beta, e)):
        h = 1e-4
        exact = (closed_form(w + h * v, bias) - 2 * closed_form(w, bias) + closed_form(w - h * v, bias)) / h**2
        assert curvature == pytest.approx(exact, rel=0.02) and curvature > 0


@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_the_middle_is_the_loss_of_the_model_and_the_model_stays_as_it_is(architecture: str) -> None:
    model = small(architecture)
    before = copy.deepcopy(model.state_dict())
    found = landscape(model, batches(), seed=1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    loss = num_tokens = 0.0
    for src, tgt in zip([[4, 5], [6], [5, 6, 4]], TARGETS, strict=True):  # one by one, without padding
        src_BS, tgt_in_BT = torch.tensor([[*src, EOS_ID]]), torch.tensor([[BOS_ID, *tgt]])
        logits_BTV = model(src_BS, torch.zeros_like(src_BS, dtype=torch.bool), tgt_in_BT)
        loss += F.cross_entropy(logits_BTV[0], torch.tensor([*tgt, EOS_ID]), reduction="sum").item()
        num_tokens += len(tgt) + 1
    assert found.loss == pytest.approx(loss / num_tokens, rel=1e-5)
    assert found.loss == found.losses[10][10] == loss_per_token(model, batches())


@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_a_direction_has_the_lengths_of_the_rows_and_leaves_biases_and_norms(architecture: str) -> None:
    model = small(architecture)
    direction = random_direction(model, torch.Generator().manual_seed(1))
    for name, w in model.named_parameters():
        assert (name in direction) == (not name.endswith("bias") and "bias_" not in name and "norm" not in name)
        if name in direction:
            assert direction[name].shape == w.shape and not torch.allclose(direction[name], w)
            torch.testing.assert_close(direction[name].norm(dim=1), w.norm(dim=1))


def test_a_row_of_zeros_does_not_move() -> None:
    model = Bigrams()
    model.rows.weight.data[3] = 0
    direction = random_direction(model, torch.Generator().manual_seed(1))["rows.weight"]
    assert bool((direction[3] == 0).all()) and bool(direction[4].all())


def test_a_matrix_that_is_used_twice_moves_once() -> None:
    model = small("transformer", tie_embeddings="three_way")
    found = landscape(model, batches(), seed=1)
    direction = random_direction(model, torch.Generator().manual_seed(1))
    embeddings = [name for name in direction if "layers" not in name]
    assert embeddings == ["src_embedding.weight"]
    moved = small("transformer", tie_embeddings="none")  # holds the same numbers three times
    state = model.state_dict()
    for name in ("src_embedding.weight", "tgt_embedding.weight", "projection.weight"):
        direction[name] = direction["src_embedding.weight"]
    moved.load_state_dict({name: w + 0.5 * direction[name] if name in direction else w for name, w in state.items()})
    assert found.losses[10][15] == pytest.approx(loss_per_token(moved, batches()), rel=1e-5)


def test_a_seed_gives_the_same_plane_again_and_another_one_another() -> None:
    model = small("lstm")
    one, again, other = (landscape(model, batches(), seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.loss == other.loss and one.losses != other.losses


def test_an_error_leaves_the_weights_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = small("lstm"), []
    before = copy.deepcopy(model.state_dict())

    def broken(*arguments: Any) -> float:
        calls.append(arguments)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return 1.0

    monkeypatch.setattr("seq2seq.analysis.landscape.loss_per_token", broken)
    with pytest.raises(KeyboardInterrupt):
        landscape(model, batches(), seed=1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_that_are_no_numbers_are_an_error() -> None:
    model = small("lstm")
    next(model.parameters()).data.fill_(torch.nan)
    expected = "^the model's loss is no number: its training diverged; train it anew$"
    with pytest.raises(ValueError, match=expected):
        landscape(model, batches(), seed=1)
