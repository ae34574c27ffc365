"""Which matrices are one, in every architecture."""

import pytest
import torch

from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.special_ids import PAD_ID

SMALL = {
    "lstm": {"d_embedding": 6, "d_model": 8},
    "attention": {"d_embedding": 6, "d_model": 8},
    "transformer": {"d_model": 8, "d_ff": 12, "num_heads": 2},
}


def matrices(model: EncoderDecoder) -> list[torch.Tensor]:
    """Source embedding, target embedding, vocabulary projection."""
    (projection,) = (module for name, module in model.named_modules() if name.split(".")[-1] == "projection")
    return [model.src_embedding.weight, model.tgt_embedding.weight, projection.weight]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("tie", "num_distinct"), [("none", 3), ("two_way", 2), ("three_way", 1)])
def test_tied_weights_are_the_same_tensor(architecture: str, tie: str, num_distinct: int) -> None:
    model = ARCHITECTURES[architecture](11, 11, **SMALL[architecture], tie_embeddings=tie)
    src, tgt, projection = matrices(model)
    assert len({id(src), id(tgt), id(projection)}) == num_distinct
    assert (projection is tgt) == (tie != "none")
    assert sum(p.numel() for p in model.parameters() if p.shape == src.shape) == num_distinct * src.numel()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_embeddings_start_with_variance_one_over_their_width_and_padding_at_zero(architecture: str) -> None:
    torch.manual_seed(1)
    width = {"d_model": 16} if architecture == "transformer" else {"d_embedding": 16}
    for tie in ("none", "two_way", "three_way"):
        for table in matrices(
            ARCHITECTURES[architecture](2000, 2000, **(SMALL[architecture] | width), tie_embeddings=tie)
        ):
            assert table[4:].std().item() == pytest.approx(1 / 4, rel=0.05)
        src, tgt, _ = matrices(ARCHITECTURES[architecture](20, 20, **SMALL[architecture], tie_embeddings=tie))
        assert not src[PAD_ID].any()
        assert not tgt[PAD_ID].any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_matrix_for_two_vocabularies_is_refused_with_both_sizes(architecture: str) -> None:
    with pytest.raises(
        ValueError, match="^tie_embeddings three_way needs one joint vocabulary, came 11 source and 13 target"
    ):
        ARCHITECTURES[architecture](11, 13, **SMALL[architecture], tie_embeddings="three_way")
    ARCHITECTURES[architecture](11, 13, **SMALL[architecture], tie_embeddings="two_way")  # the source may differ here


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_unknown_tying_is_refused_with_the_known_ones(architecture: str) -> None:
    with pytest.raises(ValueError, match="^tie_embeddings is 'all'; use none, two_way or three_way$"):
        ARCHITECTURES[architecture](11, 11, **SMALL[architecture], tie_embeddings="all")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_read_has_variance_one_whatever_the_width(architecture: str) -> None:
    width = "d_model" if architecture == "transformer" else "d_embedding"
    for size in (16, 64):
        torch.manual_seed(1)
        model = ARCHITECTURES[architecture](2000, 2000, **(SMALL[architecture] | {width: size}))
        assert model.tgt_embedding(torch.arange(4, 2000)).std().item() == pytest.approx(1, rel=0.05)
