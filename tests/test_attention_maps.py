"""Attention of every layer and head, against the models' own; words and measures, by hand."""

import base64

import pytest
import torch
from torch.testing import assert_close

from seq2seq.analysis.alignment import parse_gold
from seq2seq.analysis.attention import SOURCE, Side, attention, over_words, side, weights_of
from seq2seq.analysis.pairs import SentencePairs
from seq2seq.batching import collate
from seq2seq.decoding.forced import attention_over_source
from seq2seq.models.masks import may_attend_to_keys
from seq2seq.models.transformer import MultiHeadAttention
from seq2seq.tokenizer import TokenizerPair
from tests.small_models import net, sources


@pytest.mark.parametrize("causal", [False, True])
def test_weights_average_the_values_to_what_the_layer_gives(causal: bool) -> None:
    torch.manual_seed(1)
    layer = MultiHeadAttention(8, num_heads=2, dropout=0.0).double().eval()
    x_BTD = torch.randn(2, 5, 8, dtype=torch.float64)
    kv = layer.project_keys(x_BTD)
    padding_BS = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    may_attend = None if causal else may_attend_to_keys(padding_BS)
    alpha_BHTS = layer.weights(x_BTD, kv, may_attend)
    assert_close(alpha_BHTS.sum(-1), torch.ones(2, 2, 5, dtype=torch.float64))
    assert_close(layer.w_o((alpha_BHTS @ kv.v).transpose(1, 2).flatten(2)), layer(x_BTD, kv, may_attend))


@pytest.mark.parametrize("architecture", ["attention", "transformer"])
def test_the_last_layers_mean_is_what_a_search_sees(architecture: str) -> None:
    model, src = net(architecture, seed=4), sources(5, 4)
    batch = collate(src, src[::-1], range(4))
    found = weights_of(model, batch)
    names = [name for name in found if name.startswith(SOURCE)]
    if architecture == "transformer":
        heads = [f"layer {layer}, {head}" for layer in (1, 2) for head in ("head 1", "head 2", "mean of heads")]
        assert names == [f"{SOURCE}, {head}" for head in heads]
        assert len(found) == len(names) + 2 * 2 + 1 * 2  # two layers of the decoder, one of the encoder
    expected = attention_over_source(model, batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
    assert_close(found[names[-1]], expected)


def test_nobody_looks_at_padding_or_ahead() -> None:
    model, src = net("transformer", seed=4), sources(5, 4)
    batch = collate(src, src[::-1], range(4))
    for name, alpha in weights_of(model, batch).items():
        if "decoder to itself" in name:
            assert not alpha.triu(1).any()
        else:
            assert not alpha.transpose(1, 2)[batch.src_key_padding_mask_BS].any()


def test_weights_of_pieces_become_those_of_words() -> None:
    alpha_TS = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.1, 0.1, 0.8, 0.0], [0.0, 0.0, 1.0, 0.0], [9.0] * 4]).double()
    queries, keys = Side(["the", "</s>"], [0, 0, 1]), Side(["Hund", "</s>"], [0, 0, 1])  # the rest is padding
    assert_close(over_words(alpha_TS, queries, keys), torch.tensor([[0.475, 0.525], [0.0, 1.0]]).double())


def test_words_are_those_between_white_space(tokenizers: TokenizerPair) -> None:
    line = "Hundehaus  und Öl. "
    found = side(tokenizers.src, line)
    assert found.words == ["Hundehaus", "und", "Öl.", "</s>"]
    assert len(found.word_of_token) == len(tokenizers.src.encode([line])[0]) + 1
    assert found.word_of_token == sorted(found.word_of_token) and set(found.word_of_token) == {0, 1, 2, 3}
    begun = side(tokenizers.src, line, begins=True)
    assert begun.words == ["<s>", "Hundehaus", "und", "Öl."]
    assert begun.word_of_token == [0, *(word + 1 for word in found.word_of_token[:-1])]


class Looks(torch.nn.Module):
    """Stands for a model whose weights are told: `attention` asks `weights_of` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize(
    ("order", "entropy", "monotonicity", "coverage", "rate"),
    [
        ([0, 1, 2], 0.0, 1.0, 1.0, 0.0),
        ([2, 1, 0], 0.0, -1.0, 1.0, 1 - 2 / 6),
        ([0, 0, 0], 0.0, 0.0, 1 / 3, 1 - 2 / 6),
        (None, 2.0, 0.0, 1.0, 1 - 2 / 6),
    ],
)
def test_measures_are_those_of_the_definition(
    monkeypatch: pytest.MonkeyPatch,
    tokenizers: TokenizerPair,
    order: list[int] | None,
    entropy: float,
    monotonicity: float,
    coverage: float,
    rate: float,
) -> None:
    """Three words of one piece each; each looks at the word that `order` says, or at all alike."""
    line = "der der der"
    assert len(tokenizers.src.encode([line])[0]) == 3
    alpha_TS = torch.full((4, 4), 0.25) if order is None else torch.eye(4)[[*order, 3]]
    monkeypatch.setattr("seq2seq.analysis.attention.weights_of", lambda *_: {SOURCE: alpha_TS[None]})
    pairs = SentencePairs(tokenizers, ["", line], ["", line])
    gold = [parse_gold(""), parse_gold("0-0 1-1 2-2")]
    found = attention(Looks(), pairs, gold)  # type: ignore[arg-type]
    [measure] = found.measures
    assert measure.entropy == pytest.approx(entropy, abs=1e-6)
    assert (measure.monotonicity, measure.coverage) == pytest.approx((monotonicity, coverage))
    assert measure.alignment_error_rate == pytest.approx(rate)
    [drawn] = found.maps
    assert (drawn["number"], drawn["source"], drawn["source_pieces"]) == ("2", line, ["der", "der", "der", "</s>"])
    assert list(base64.b64decode(str(drawn["weights"]))) == [round(255 * a) for a in alpha_TS.flatten().tolist()]
