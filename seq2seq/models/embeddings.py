"""Token embeddings and the vocabulary projection, tied or not (Press & Wolf 2017).

none        three matrices: source embedding, target embedding, vocabulary projection
two_way     the vocabulary projection is the target embedding
three_way   all are one matrix; source and target must share one vocabulary

Entries start as N(0, 1/E) and are read with a factor sqrt(E) (Vaswani et al. 2017, section 3.4): what enters the
network has variance 1, and the logits of a tied projection are no larger. Without the factor a recurrent encoder's
states hardly differ at first, and attention over them takes epochs to begin.
"""

import math
from typing import Literal

from torch import Tensor, nn

from seq2seq.models.products import Linear
from seq2seq.special_ids import PAD_ID

Tie = Literal["none", "two_way", "three_way"]


class Embedding(nn.Embedding):
    """sqrt(E) times row y of the matrix."""

    def forward(self, input: Tensor) -> Tensor:
        return math.sqrt(self.embedding_dim) * super().forward(input)


def make_embeddings(
    src_vocab_size: int,
    tgt_vocab_size: int,
    *,
    d_embedding: int,
    tie: Tie,
    projection_bias: bool,
    std: float | None = None,
) -> tuple[Embedding, Embedding, nn.Linear]:
    """Source embedding, target embedding and the projection (E -> V), padding at zero.

    `std` is the standard deviation that entries begin with, 1/sqrt(E) if None.

    Raises:
        ValueError: unknown `tie`, or three-way tying of vocabularies that differ in size.
    """
    if tie not in ("none", "two_way", "three_way"):
        raise ValueError(f"tie_embeddings is {tie!r}; use none, two_way or three_way")
    if tie == "three_way" and src_vocab_size != tgt_vocab_size:
        raise ValueError(
            f"tie_embeddings three_way needs one joint vocabulary, came {src_vocab_size} source and {tgt_vocab_size} "
            "target pieces; train a joint tokenizer or use two_way"
        )
    std = d_embedding**-0.5 if std is None else std
    src_embedding = _embedding(src_vocab_size, d_embedding, std)
    tgt_embedding = src_embedding if tie == "three_way" else _embedding(tgt_vocab_size, d_embedding, std)
    projection = Linear(d_embedding, tgt_vocab_size, bias=projection_bias)
    nn.init.normal_(projection.weight, std=std)
    if projection_bias:
        nn.init.zeros_(projection.bias)
    if tie != "none":
        projection.weight = tgt_embedding.weight
    return src_embedding, tgt_embedding, projection


def _embedding(vocab_size: int, d_embedding: int, std: float) -> Embedding:
    embedding = Embedding(vocab_size, d_embedding, padding_idx=PAD_ID)
    nn.init.normal_(embedding.weight, std=std)
    nn.init.zeros_(embedding.weight[PAD_ID].data)
    return embedding
