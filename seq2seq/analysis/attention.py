"""Where a model looks: the weights of each layer and head, over words instead of pieces, and what they are like.

The weight of a word is the sum over its pieces, that of a word of the translation the mean over its rows, so rows still
sum to 1. With a_ts the weight of source word s for target word t:

    entropy        -sum_s a_ts log2 a_ts, mean over t; in bits: 0 looks at one word, log2 S at all alike
    monotonicity   Kendall's tau of t and the mean position sum_s s a_ts: 1 reads on and on, -1 backwards
    coverage       mean over s of min(1, sum_t a_ts), the term of Wu et al. 2016, eq. 14: 1 has looked at everything

Letters: see `models/interface.py`; S and T count words here where a name says so.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.analysis.alignment import Gold, Link, error_rate
from seq2seq.analysis.pairs import SentencePairs
from seq2seq.batching import Batch
from seq2seq.decoding.forced import attention_over_source
from seq2seq.models import EncoderDecoder
from seq2seq.models.masks import may_attend_to_keys
from seq2seq.models.transformer import Transformer
from seq2seq.tokenizer import Tokenizer

SOURCE, ENCODER, DECODER = "decoder to source", "encoder to itself", "decoder to itself"
NUM_DRAWN = 3  # pairs of which all maps are kept


@dataclass(frozen=True)
class Measure:
    """What the maps of one layer and head are like.

    Attributes:
        name: "decoder to source, layer 2, head 1"; of an attention model "decoder to source".
        entropy: see above.
        monotonicity: see above; None of self-attention, or where no translation has two words.
        coverage: see above; None of self-attention.
        alignment_error_rate: of the links from each word of the translation to the source word with most weight, the
            end of sentence left out; None of self-attention and without given alignments.
    """

    name: str
    entropy: float
    monotonicity: float | None
    coverage: float | None
    alignment_error_rate: float | None


@dataclass(frozen=True)
class Attention:
    """Measures of all maps, and the maps of some pairs, as `report.attention.AttentionPage` draws them."""

    measures: list[Measure]
    maps: list[dict[str, str | int | list[str]]]


class Side(NamedTuple):
    """The words of one sentence, and the word of each of its tokens."""

    words: list[str]
    word_of_token: list[int]

    def merge(self) -> Tensor:
        """(tokens, words), 1 where a token belongs to a word."""
        return torch.nn.functional.one_hot(torch.tensor(self.word_of_token), len(self.words)).double()


@torch.inference_mode()
def attention(model: EncoderDecoder, pairs: SentencePairs, gold: Sequence[Gold] | None = None) -> Attention:
    """Look at every map over some text.

    Args:
        model: in evaluation mode, with attention; it reads the given translations.
        pairs: the text.
        gold: alignments of all lines that `pairs` was made of.
    """
    device = next(model.parameters()).device
    sums: dict[str, list[list[float]]] = {}
    links: dict[str, list[tuple[set[Link], Gold]]] = {}
    drawn: dict[int, list[dict[str, str | int | list[str]]]] = {}
    for batch in pairs.batches():
        found = {name: alpha.cpu().double() for name, alpha in weights_of(model, batch.to(device)).items()}
        for b, row in enumerate(batch.rows_B.tolist()):
            src = side(pairs.tokenizers.src, pairs.sources[row])
            tgt, read = (side(pairs.tokenizers.tgt, pairs.targets[row], begins=begins) for begins in (False, True))
            for name, alpha_BTS in found.items():
                kind = name.partition(",")[0]
                queries, keys = {SOURCE: (tgt, src), ENCODER: (src, src), DECODER: (tgt, read)}[kind]
                alpha_TS = over_words(alpha_BTS[b], queries, keys)
                sums.setdefault(name, []).append([*_figures(alpha_TS, across=kind == SOURCE)])
                if gold is not None and kind == SOURCE:
                    links.setdefault(name, []).append((_links(alpha_TS), gold[pairs.lines[row]]))
                if row < NUM_DRAWN:
                    drawn.setdefault(row, []).append(_drawn(pairs, row, name, queries.words, keys.words, alpha_TS))
    measures = []
    for name, rows in sums.items():
        entropy, monotonicity, coverage = (_mean(column) for column in zip(*rows, strict=True))
        rate = error_rate(links[name]) if name in links else None
        assert entropy is not None
        measures.append(Measure(name, entropy, monotonicity, coverage, rate))
    return Attention(measures, [one for row in sorted(drawn) for one in drawn[row]])


def weights_of(model: EncoderDecoder, batch: Batch) -> dict[str, Tensor]:
    """All attention weights by name: "decoder to source, layer 1, head 2" (B, T, S), to itself (B, S, S), (B, T, T)."""
    padding_BS = batch.src_key_padding_mask_BS
    if not isinstance(model, Transformer):
        alpha_BTS = attention_over_source(model, batch.src_BS, padding_BS, batch.tgt_in_BT)
        assert alpha_BTS is not None, "the model has no attention"
        return {SOURCE: alpha_BTS}
    return {
        name: alpha
        for kind, layer, alpha_BHTS in _layers(model, batch)
        for name, alpha in _heads(kind, layer, alpha_BHTS)
    }


def over_words(alpha_TS: Tensor, queries: Side, keys: Side) -> Tensor:
    """Weights of pieces (padding behind them) as weights of words: sums over keys, means over queries."""
    to_queries, to_keys = queries.merge(), keys.merge()
    alpha_TS = alpha_TS[: len(to_queries), : len(to_keys)]
    return (to_queries.t() @ alpha_TS @ to_keys) / to_queries.sum(0)[:, None].clamp(min=1)


def side(tokenizer: Tokenizer, line: str, *, begins: bool = False) -> Side:
    """The words between white space of a line, with <s> before them or </s> behind.

    A token behind the last word belongs to it.
    """
    words = line.split()
    found = [len(words) - 1 if word is None else word for word in tokenizer.words_of_line(line)]
    if begins:
        return Side(["<s>", *words], [0, *(word + 1 for word in found)])
    return Side([*words, "</s>"], [*found, len(words)])


def _layers(model: Transformer, batch: Batch) -> Iterator[tuple[str, int, Tensor]]:
    """What attends to what, the layer, and the weights (B, H, T, S)."""
    may_attend = may_attend_to_keys(batch.src_key_padding_mask_BS)
    x = model.embed(model.src_embedding, batch.src_BS)
    for number, encoder in enumerate(model.encoder_layers, 1):
        q = encoder.around_attention.enter(x)
        yield ENCODER, number, encoder.self_attention.weights(q, encoder.self_attention.project_keys(q), may_attend)
        x = encoder(x, may_attend)
    h_BSD = model.encoder_norm(x)
    x = model.embed(model.tgt_embedding, batch.tgt_in_BT)
    for number, decoder in enumerate(model.decoder_layers, 1):
        source = decoder.cross_attention.project_keys(h_BSD)
        q = decoder.around_self_attention.enter(x)
        past = decoder.self_attention.project_keys(q)
        yield DECODER, number, decoder.self_attention.weights(q, past, None)
        q = decoder.around_self_attention.leave(x, decoder.self_attention(q, past, None))
        q = decoder.around_cross_attention.enter(q)
        yield SOURCE, number, decoder.cross_attention.weights(q, source, may_attend)
        x = decoder(x, source, may_attend)


def _heads(kind: str, layer: int, alpha_BHTS: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Each head's weights, and over the source their mean, which is what `translate --alignment` looks at."""
    for head, alpha_BTS in enumerate(alpha_BHTS.unbind(1), 1):
        yield f"{kind}, layer {layer}, head {head}", alpha_BTS
    if kind == SOURCE:
        yield f"{kind}, layer {layer}, mean of heads", alpha_BHTS.mean(1)


def _figures(alpha_TS: Tensor, *, across: bool) -> Iterator[float]:
    """Entropy, monotonicity and coverage of one map of words; NaN for what it has not."""
    yield max(0.0, -float(alpha_TS.xlogy(alpha_TS).sum(1).mean()) / math.log(2))
    words_TS = alpha_TS[:-1, :-1]  # without the ends of sentences
    num_words = len(words_TS)
    if not across:
        yield from (torch.nan, torch.nan)
        return
    places_S = torch.arange(words_TS.shape[1], dtype=words_TS.dtype)
    mean_T = words_TS @ places_S / words_TS.sum(1).clamp(min=1e-12)
    order = (mean_T[None, :] - mean_T[:, None]).sign().triu(1).sum()
    yield float(order / (num_words * (num_words - 1) / 2)) if num_words > 1 else torch.nan
    yield float(alpha_TS[:, :-1].sum(0).clamp(max=1).mean())


def _links(alpha_TS: Tensor) -> set[Link]:
    return {(s, t) for t, s in enumerate(alpha_TS[:-1, :-1].argmax(1).tolist())}


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else None


def _drawn(
    pairs: SentencePairs, row: int, name: str, queries: list[str], keys: list[str], alpha_TS: Tensor
) -> dict[str, str | int | list[str]]:
    weights = bytes(round(255 * min(1.0, alpha)) for alpha in alpha_TS.flatten().tolist())
    return {
        "number": f"{pairs.lines[row] + 1}",
        "source": pairs.sources[row],
        "translation": pairs.targets[row],
        "name": name,
        "source_pieces": keys,
        "target_pieces": queries,
        "weights": base64.b64encode(weights).decode(),
    }
