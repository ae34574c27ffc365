"""CTranslate2 folders against our own greedy search."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.batching import collate, pad_sources
from seq2seq.bundle import load_bundle
from seq2seq.decoding import SearchOptions, decode
from seq2seq.export.folder import export_bundle
from seq2seq.tokenizer import Tokenizer, TokenizerPair
from seq2seq.translator import Translator

ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")

TRAINED = sorted((Path(__file__).parent / "data" / "bundles").glob("*-transformer"))[-1]
WriteBundle = Callable[..., Path]

VARIANTS: list[dict[str, Any]] = [
    {"norm": "pre", "positions": "sinusoidal", "tie_embeddings": "three_way"},
    {"norm": "post", "positions": "sinusoidal", "tie_embeddings": "two_way", "num_decoder_layers": 2},
    {"norm": "pre", "positions": "learned", "tie_embeddings": "none", "num_heads": 4},
    {"norm": "post", "positions": "learned", "tie_embeddings": "three_way", "num_encoder_layers": 2},
]


def pieces(tokenizer: Tokenizer, sentences: Sequence[str]) -> list[list[str]]:
    return [tokenizer.pieces(ids) for ids in tokenizer.encode(sentences)]


# What our searches never choose; CTranslate2's scores are then those of a distribution without it.
WITHOUT_SPECIAL_PIECES: dict[str, Any] = {"disable_unk": True, "suppress_sequences": [["<pad>"], ["<s>"]]}


def greedy(translator: Any, src: list[list[str]], **options: Any) -> list[Any]:
    """At most 40 tokens, with the log-probability of them all as the score."""
    return translator.translate_batch(
        src,
        beam_size=1,
        length_penalty=0,
        max_decoding_length=40,
        min_decoding_length=0,
        return_scores=True,
        **options,
    )


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_log_probabilities_and_greedy_tokens_are_ours(
    tmp_path: Path,
    sentences: list[str],
    tokenizers: TokenizerPair,
    separate_tokenizers: TokenizerPair,
    write_bundle: WriteBundle,
    config: dict[str, Any],
) -> None:
    pair = tokenizers if config["tie_embeddings"] == "three_way" else separate_tokenizers
    bundle = load_bundle(write_bundle(tmp_path / "bundle", tokenizers=pair, **config))
    export_bundle(bundle, tmp_path / "exported", "ctranslate2")
    translator = ctranslate2.Translator(str(tmp_path / "exported"))

    references = sentences[::-1]
    batch = collate(pair.src.encode(sentences), pair.tgt.encode(references), range(len(sentences)))
    with torch.no_grad():
        logits_BTV = bundle.model(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
    log_p_BT = logits_BTV.log_softmax(-1).gather(2, batch.tgt_out_BT[:, :, None])[:, :, 0]
    results = translator.score_batch(pieces(pair.src, sentences), pieces(pair.tgt, references))
    for result, log_p_T, tgt_T in zip(results, log_p_BT, batch.tgt_out_BT, strict=True):
        assert result.log_probs == pytest.approx(log_p_T[tgt_T != 0].tolist(), abs=1e-4)

    options = SearchOptions(beam_width=1, max_length_factor=0, max_length_offset=40)
    expected = decode(bundle.model, batch.src_BS, batch.src_key_padding_mask_BS, options)
    results = greedy(translator, pieces(pair.src, sentences), **WITHOUT_SPECIAL_PIECES)
    for [hypothesis], result in zip(expected, results, strict=True):
        assert result.hypotheses[0] == pair.tgt.pieces(hypothesis.tokens)


def test_translations_of_a_trained_model_are_ours_with_their_scores(tmp_path: Path) -> None:
    bundle = load_bundle(TRAINED)
    export_bundle(bundle, tmp_path, "ctranslate2")
    lines = [
        line.split("\t")[0] for line in TRAINED.with_name(f"{TRAINED.name}.tsv").read_text("utf-8").split("\n")[:9]
    ]
    results = greedy(ctranslate2.Translator(str(tmp_path)), pieces(bundle.tokenizers.src, lines))
    expected = Translator(bundle, options=SearchOptions(beam_width=1)).translate_nbest(lines)
    for [translation], result in zip(expected, results, strict=True):
        assert translation.finished
        assert "".join(result.hypotheses[0]).replace("▁", " ").strip() == translation.text
        assert result.scores[0] == pytest.approx(translation.log_probability, abs=1e-4)


def test_tied_matrices_are_written_once(tmp_path: Path, write_bundle: WriteBundle) -> None:
    sizes = []
    for tie in ("three_way", "none"):
        export_bundle(load_bundle(write_bundle(tmp_path / "bundle", tie_embeddings=tie)), tmp_path / tie, "ctranslate2")
        sizes.append((tmp_path / tie / "model.bin").stat().st_size)
    matrix = 4 * 310 * 16  # bytes
    assert sizes[1] - sizes[0] == pytest.approx(2 * matrix, rel=0.01)


def test_sinusoids_go_on_after_max_positions(tmp_path: Path, write_bundle: WriteBundle) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "bundle", max_positions=8))
    export_bundle(bundle, tmp_path / "exported", "ctranslate2")
    src = bundle.tokenizers.src.encode(["Hund " * 400])
    [[hypothesis]] = decode(bundle.model, *pad_sources(src), SearchOptions(beam_width=1, max_length_factor=0))
    [result] = ctranslate2.Translator(str(tmp_path / "exported")).translate_batch(
        [bundle.tokenizers.src.pieces(src[0])],
        beam_size=1,
        max_input_length=0,
        max_decoding_length=10,
        min_decoding_length=0,
    )
    assert len(src[0]) > 400 and result.hypotheses[0] == bundle.tokenizers.tgt.pieces(hypothesis.tokens)
