"""Models that can be computed by hand, small nets of every architecture, and all translations of the former."""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from seq2seq.batching import pad_sources
from seq2seq.decoding import Hypothesis, SearchOptions
from seq2seq.models import ARCHITECTURES, EncoderDecoder, Step
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

W1, W2 = 4, 5
Table = Callable[[int, tuple[int, ...]], list[float]]  # (first source token, target tokens so far) -> logits


class TableMemory(NamedTuple):
    first_B: Tensor


class TableState(NamedTuple):
    read_BWT: Tensor


class TableModel(EncoderDecoder):
    """A model whose logits stand in a table, a row for each source sentence and each beginning of a translation.

    So do its attention weights over the source positions, if there is a second table; padding needs weight 0 in it.
    """

    def __init__(self, table: Table, attention: Table | None = None) -> None:
        super().__init__()
        self.table = table
        self.attention = attention

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> TableMemory:
        return TableMemory(src_BS[:, 0])

    def init_state(self, memory: TableMemory) -> TableState:
        return TableState(memory.first_B.new_zeros(len(memory.first_B), 1, 0))

    def step(self, y_BW: Tensor, state: TableState, memory: TableMemory) -> Step:
        state = TableState(torch.cat([state.read_BWT, y_BW[:, :, None]], dim=2))
        logits_BWV, attention_BWS = (
            table
            and torch.tensor(
                [
                    [table(first, tuple(read[1:])) for read in read_WT]  # without the begin of sentence
                    for first, read_WT in zip(memory.first_B.tolist(), state.read_BWT.tolist(), strict=True)
                ],
                dtype=torch.float64,
            )
            for table in (self.table, self.attention)
        )
        assert logits_BWV is not None
        return Step(logits_BWV, state, attention_BWS)

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        raise AssertionError("a search calls step")

    def output_layer(self) -> nn.Linear:
        raise AssertionError("a search calls step")


def logits(p_w1: float, p_w2: float, p_end: float) -> list[float]:
    """The row of a table in which nothing else has a probability."""
    row = [-math.inf] * 6
    for token, p in ((W1, p_w1), (W2, p_w2), (EOS_ID, p_end)):
        row[token] = math.log(p) if p > 0 else -math.inf
    return row


def random_table(seed: int, *, vocab_size: int, num_levels: int | None = None) -> Table:
    """Normal logits; with `num_levels` whole ones below it, of which many are equal."""

    def table(first: int, prefix: tuple[int, ...]) -> list[float]:
        generator = random.Random(f"{seed} {first} {prefix}")
        if num_levels is not None:
            return [float(generator.randrange(num_levels)) for _ in range(vocab_size)]
        return [2 * generator.gauss(0, 1) for _ in range(vocab_size)]

    return table


def net(architecture: str, *, seed: int, vocab_size: int = 12) -> EncoderDecoder:
    """A small float64 net with large random weights, so that its translations differ in words and lengths."""
    torch.manual_seed(seed)
    small = (
        {"d_model": 8, "d_ff": 12, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 2}
        if architecture == "transformer"
        else {"d_embedding": 6, "d_model": 8, "num_layers": 2}
    )
    model = ARCHITECTURES[architecture](vocab_size, vocab_size, **small, tie_embeddings="none").double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter += torch.randn_like(parameter)
            if "embedding" in name and architecture != "transformer":
                parameter /= parameter.shape[-1] ** 0.5  # what is read of it is that much larger
            if name.endswith("projection.weight"):
                parameter[EOS_ID] *= 2  # or few translations would end
    return model


def sources(seed: int, number: int, *, vocab_size: int = 12) -> list[list[int]]:
    generator = random.Random(seed)
    return [[generator.randrange(4, vocab_size) for _ in range(generator.randint(1, 9))] for _ in range(number)]


def all_translations(table: Table, first: int, max_length: int, options: SearchOptions) -> list[Hypothesis]:
    """Every possible translation, that is each that ends or reaches `max_length` tokens, best first.

    The model may give padding, unknown token and begin of sentence a probability, but no translation has them.
    """

    def walk(prefix: tuple[int, ...], log_probability: float) -> Iterator[tuple[tuple[int, ...], float, bool]]:
        row = table(first, prefix)
        log_sum = math.log(sum(map(math.exp, row)))
        for y, logit in enumerate(row):
            if logit == -math.inf or y in (PAD_ID, UNK_ID, BOS_ID):
                continue
            if y == EOS_ID:
                yield prefix, log_probability + logit - log_sum, True
            elif len(prefix) + 1 == max_length:
                yield (*prefix, y), log_probability + logit - log_sum, False
            else:
                yield from walk((*prefix, y), log_probability + logit - log_sum)

    found = []
    for tokens, log_probability, finished in walk((), 0.0):
        length = len(tokens) + finished
        divisor = {"none": 1, "average": length, "gnmt": ((5 + length) / 6) ** options.alpha}[options.length_penalty]
        found.append(Hypothesis(list(tokens), log_probability / divisor, log_probability, finished))
    return sorted(found, key=lambda h: -h.score)


def assert_same(left: list[list[Hypothesis]], right: list[list[Hypothesis]]) -> None:
    """Equal translations, and scores up to rounding."""
    assert [len(one) for one in left] == [len(one) for one in right]
    for one, other in zip(itertools.chain(*left), itertools.chain(*right), strict=True):
        assert (one.tokens, one.finished) == (other.tokens, other.finished)
        assert (one.score, one.log_probability) == pytest.approx((other.score, other.log_probability), abs=1e-9)


def fairseq_table(first: int, prefix: tuple[int, ...]) -> list[float]:
    """The two sentences of fairseq's tests/utils.py, `sequence_generator_setup`: p of w1, w2 and the end."""
    probabilities = {
        (1, ()): (0.9, 0.1, 0.0),
        (1, (W1,)): (0.0, 0.0, 1.0),
        (1, (W2,)): (0.9, 0.1, 0.0),
        (1, (W2, W1)): (0.1, 0.9, 0.0),
        (1, (W2, W2)): (0.2, 0.2, 0.6),
        (2, ()): (0.7, 0.3, 0.0),
        (2, (W1,)): (0.35, 0.4, 0.25),
        (2, (W2,)): (0.1, 0.9, 0.0),
        (2, (W1, W2)): (0.4, 0.0, 0.6),
        (2, (W2, W2)): (0.0, 0.99, 0.01),
        (2, (W2, W2, W2)): (0.5, 0.4, 0.1),
    }
    return logits(*probabilities.get((first, prefix), (0.0, 0.0, 1.0)))


FAIRSEQ_SOURCES = pad_sources([[1, W1, W2], [2, W1, W2]])
