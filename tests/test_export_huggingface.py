"""Hugging Face folders: their classes must tokenise, compute and translate as we do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.batching import collate
from seq2seq.bundle import Bundle, load_bundle
from seq2seq.decoding import SearchOptions
from seq2seq.export.folder import export_bundle
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID
from seq2seq.tokenizer import TokenizerPair
from seq2seq.translator import Translator

transformers = pytest.importorskip("transformers", minversion="5", reason="transformers is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

WriteBundle = Callable[..., Path]

VARIANTS: list[dict[str, Any]] = [
    {"norm": "pre", "tie_embeddings": "three_way"},
    {"norm": "pre", "tie_embeddings": "two_way", "num_decoder_layers": 2},
    {"norm": "pre", "tie_embeddings": "none"},
    {"norm": "post", "tie_embeddings": "three_way"},
    {"norm": "post", "tie_embeddings": "two_way", "num_encoder_layers": 2},
    {"norm": "post", "tie_embeddings": "none", "num_heads": 4},
]


def load(folder: Path) -> tuple[Any, Any]:
    """The tokenizer and the model."""
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    for kind, names in model[1].items():
        assert not names, f"{kind}: {names}"
    return transformers.AutoTokenizer.from_pretrained(folder), model[0]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def exported(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tokenizers: TokenizerPair,
    separate_tokenizers: TokenizerPair,
    write_bundle: WriteBundle,
) -> tuple[Bundle, Any, Any]:
    """A bundle, and the tokenizer and the model that were read from its export."""
    config = request.param
    folder = tmp_path_factory.mktemp("huggingface")
    joint = config["norm"] == "pre" or config["tie_embeddings"] == "three_way"
    pair = tokenizers if joint else separate_tokenizers
    bundle = load_bundle(write_bundle(folder / "bundle", tokenizers=pair, **config))
    export_bundle(bundle, folder / "exported", "huggingface")
    return bundle, *load(folder / "exported")


def test_logits_are_ours(exported: tuple[Bundle, Any, Any], sentences: list[str]) -> None:
    bundle, _, model = exported
    src, tgt = bundle.tokenizers.src.encode(sentences), bundle.tokenizers.tgt.encode(sentences[::-1])
    batch = collate(src, tgt, range(len(src)))
    mask_BS = (~batch.src_key_padding_mask_BS).long()
    with torch.no_grad():
        expected = bundle.model(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
        outputs = model(input_ids=batch.src_BS, attention_mask=mask_BS, decoder_input_ids=batch.tgt_in_BT)
        is_token_BT = batch.tgt_out_BT != 0
        torch.testing.assert_close(outputs.logits[is_token_BT], expected[is_token_BT], atol=1e-5, rtol=1e-5)
        # Its training starts a translation as ours does.
        labels_BT = batch.tgt_out_BT
        trained = model(input_ids=batch.src_BS, attention_mask=mask_BS, labels=labels_BT)
        torch.testing.assert_close(trained.logits[is_token_BT], expected[is_token_BT], atol=1e-5, rtol=1e-5)


def test_texts_are_tokenised_as_ours(exported: tuple[Bundle, Any, Any], sentences: list[str]) -> None:
    bundle, tokenizer, _ = exported
    texts = [*sentences, "", "  zwei  Leerzeichen ", "</s> <pad> <s> <unk>", "Tab\tund ▁ und 😀", "ﬁ ½ İ"]
    for side, pair in (("text", bundle.tokenizers.src), ("text_target", bundle.tokenizers.tgt)):
        expected = [[*ids, 3] for ids in pair.encode(texts)]
        assert tokenizer(**{side: texts})["input_ids"] == expected
    tgt = bundle.tokenizers.tgt.encode(sentences)
    rows = [[2, *ids, 3, 0, 0] for ids in tgt]
    assert tokenizer.batch_decode(rows, skip_special_tokens=True) == bundle.tokenizers.tgt.decode(tgt)


def test_generate_gives_our_translations(exported: tuple[Bundle, Any, Any], sentences: list[str]) -> None:
    bundle, tokenizer, model = exported
    options = SearchOptions(beam_width=1, max_length_factor=0, max_length_offset=20)
    expected = [nbest[0].tokens for nbest in Translator(bundle, options=options).translate_nbest(sentences)]
    inputs = tokenizer(sentences, padding=True, return_tensors="pt")
    outputs = model.generate(**inputs, num_beams=1, max_new_tokens=20)
    # Not as texts: bytes that are no character become other numbers of replacement characters there.
    assert [[i for i in ids if i not in (PAD_ID, BOS_ID, EOS_ID)] for ids in outputs.tolist()] == expected
    assert len(set(map(tuple, expected))) > 5  # the source matters


def test_a_model_that_was_saved_again_computes_the_same(
    exported: tuple[Bundle, Any, Any], tmp_path: Path, sentences: list[str]
) -> None:
    _, tokenizer, model = exported
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again_tokenizer, again = load(tmp_path)
    inputs = tokenizer(sentences, padding=True, return_tensors="pt")
    assert again_tokenizer(sentences)["input_ids"] == tokenizer(sentences)["input_ids"]
    y_B1 = torch.full((len(sentences), 1), 2)
    with torch.no_grad():
        logits, again_logits = (one(**inputs, decoder_input_ids=y_B1).logits for one in (model, again))
    torch.testing.assert_close(again_logits, logits, atol=1e-5, rtol=1e-5)


def test_what_neither_class_can_hold_is_refused(
    tmp_path: Path, separate_tokenizers: TokenizerPair, write_bundle: WriteBundle
) -> None:
    learned = load_bundle(write_bundle(tmp_path / "learned", positions="learned"))
    with pytest.raises(ValueError, match=r"learned has learned positions, which neither .*; use --format ctranslate2"):
        export_bundle(learned, tmp_path / "exported", "huggingface")
    separate = write_bundle(tmp_path / "separate", tokenizers=separate_tokenizers, tie_embeddings="none")
    with pytest.raises(ValueError, match=r"separate has 310 source and 300 target pieces and norm pre; Pegasus needs"):
        export_bundle(load_bundle(separate), tmp_path / "exported", "huggingface")
    assert not (tmp_path / "exported").exists()
