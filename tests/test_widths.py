"""Widths for a wanted number of parameters: near the target, near the configured proportions, and buildable."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seq2seq.comparison.widths import match_parameters
from seq2seq.models import ARCHITECTURES

CONFIGS = Path(__file__).parents[1] / "configs" / "multi30k"


def shipped(architecture: str) -> dict[str, Any]:
    """Hyperparameters of the shipped Multi30k configuration, those of its training included."""
    return yaml.safe_load((CONFIGS / f"{architecture}.yaml").read_text(encoding="utf-8"))["model"]["init_args"]


def count(architecture: str, init_args: dict[str, Any], vocab_size: int) -> int:
    """Parameters of the model itself."""
    options = {key: v for key, v in init_args.items() if key not in ("label_smoothing", "optimization", "search")}
    with torch.device("meta"):
        model = ARCHITECTURES[architecture](vocab_size, vocab_size, **options)
    return sum(p.numel() for p in model.parameters())


def proportion(init_args: dict[str, Any]) -> float:
    """Inner width over outer width."""
    if "d_ff" in init_args:
        return init_args["d_ff"] / init_args["d_model"]
    return init_args["d_model"] / init_args["d_embedding"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("vocab_size", [4000, 32000])
@pytest.mark.parametrize("target", [4_000_000, 6_000_000, 6_500_000, 10_000_000])
def test_the_shipped_systems_can_be_made_equal(architecture: str, vocab_size: int, target: int) -> None:
    configured = shipped(architecture)

    widths = match_parameters(architecture, configured, vocab_size, vocab_size, target)

    matched = configured | widths
    assert count(architecture, matched, vocab_size) == pytest.approx(target, rel=0.005)
    assert proportion(matched) == pytest.approx(proportion(configured), rel=0.25)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("transformer", {"num_heads": 5, "d_model": 100, "d_ff": 300}),
        ("transformer", {"num_heads": 3, "d_model": 96, "d_ff": 384, "positions": "learned", "tie_embeddings": "none"}),
        ("lstm", {"cell": "rnn", "d_embedding": 100, "d_model": 300, "num_layers": 3, "bidirectional": False}),
        ("lstm", {"cell": "gru", "tie_embeddings": "two_way", "bridge": "zeros"}),
        ("attention", {"energy": "cosine", "num_layers": 2}),
        ("attention", {"placement": "input_feeding"}),
        ("attention", {"d_embedding": 512, "d_model": 128}),
        ("transformer", {}),
    ],
)
def test_every_variant_is_matched_with_widths_that_it_can_be_built_with(architecture: str, options: dict) -> None:
    for target in (1_000_000, 30_000_000):
        widths = match_parameters(architecture, options, 5000, 5000, target)

        assert count(architecture, options | widths, 5000) == pytest.approx(target, rel=0.02)


def test_widths_suit_the_hardware_where_that_leaves_the_proportions_alone() -> None:
    fine = match_parameters("transformer", shipped("transformer"), 4000, 4000, 6_000_000)
    coarse = match_parameters("transformer", shipped("transformer"), 32000, 32000, 4_000_000)

    assert [width % 8 for width in fine.values()] == [0, 0]
    # Here 3 of the 4 million are d_model times the vocabulary: with 96 or 104 the feed-forward would change a lot.
    assert coarse["d_model"] == 100


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_system_that_has_the_wanted_size_is_left_as_it_is(architecture: str) -> None:
    configured = shipped(architecture)
    widths = {"d_model": 372, "d_ff": 999} if architecture == "transformer" else {"d_embedding": 123, "d_model": 354}
    own = count(architecture, configured | widths, 4000)

    assert match_parameters(architecture, configured | widths, 4000, 4000, own) == widths


def test_a_vocabulary_that_is_larger_than_the_target_is_refused_with_the_nearest_size() -> None:
    with pytest.raises(ValueError) as error:
        match_parameters("transformer", shipped("transformer"), 32000, 32000, 100_000)

    nearest = count("transformer", shipped("transformer") | {"d_model": 4, "d_ff": 4}, 32000)
    assert str(error.value) == (
        "100,000 parameters are wanted of the transformer, but with 32000 source and 32000 target pieces the nearest "
        f"it can have are {nearest:,}, at d_model 4 and d_ff 4; change parameters or the vocabulary size"
    )
