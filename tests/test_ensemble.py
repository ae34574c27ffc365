"""Ensembles: by hand arithmetic, against their members, and through the commands."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from seq2seq import cli
from seq2seq.batching import collate, pad_sources
from seq2seq.bundle import Bundle, load_bundle, load_bundles
from seq2seq.decoding import SearchOptions, attention_over_source, decode, token_log_probabilities
from seq2seq.models import Ensemble
from seq2seq.special_ids import BOS_ID, EOS_ID
from seq2seq.tokenizer import Tokenizer, TokenizerPair
from seq2seq.translator import Translator
from tests.markov import OTHER_WEATHER, W1, W2, WEATHER, Markov

OPTIONS = SearchOptions(beam_width=3, num_best=3, max_length_factor=1.0, max_length_offset=4)
FAST = ["--beam_width", "2", "--max_length_factor", "1", "--max_length_offset", "2"]
Captured = pytest.CaptureFixture[str]
ErrorOf = Callable[..., str]
WriteBundle = Callable[..., Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, write_bundle: WriteBundle) -> list[str]:
    """A bundle of each architecture over one vocabulary."""
    root = tmp_path_factory.mktemp("members")
    return [str(write_bundle(root / name, name)) for name in ("lstm", "attention", "transformer")]


@pytest.fixture(scope="module")
def bundles(folders: list[str]) -> list[Bundle]:
    return [load_bundle(folder) for folder in folders]


# By hand


@pytest.mark.parametrize(
    ("average", "weights", "expected"),
    [
        ("linear", None, (0.3, 0.2, 0.5)),
        ("linear", [3, 1], (0.4, 0.25, 0.35)),
        ("log_linear", None, (0.05**0.5, 0.03**0.5, 0.16**0.5)),
        ("log_linear", [1, 3], (0.5**0.25 * 0.1**0.75, 0.3**0.25 * 0.1**0.75, 0.2**0.25 * 0.8**0.75)),
    ],
)
def test_the_next_token_is_as_probable_as_by_hand(
    average: str, weights: list[float] | None, expected: tuple[float, ...]
) -> None:
    """The members give 0.5, 0.3, 0.2 and 0.1, 0.1, 0.8 to W1, W2 and the end."""
    model = Ensemble([WEATHER, OTHER_WEATHER], average=average, weights=weights)  # type: ignore[arg-type]
    src_BS, src_key_padding_mask_BS = pad_sources([[W1]])
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    logits_V = model.step(torch.tensor([[BOS_ID]]), model.init_state(memory), memory).logits_BWV[0, 0]
    p = logits_V.softmax(0)
    assert p[[W1, W2, EOS_ID]].tolist() == pytest.approx([value / sum(expected) for value in expected])
    assert p[[0, 1, BOS_ID]].tolist() == [0, 0, 0]


def test_a_search_over_an_ensemble_finds_what_no_member_prefers() -> None:
    """Alone, one says W1 W2 and the other nothing. Together: (0.5 + 0.1) / 2 for W1, 0.8 / 2 + 0.2 / 2 for the end."""
    options = SearchOptions(beam_width=1, length_penalty="none", max_length_factor=0, max_length_offset=4)
    found = {
        name: decode(model, *pad_sources([[W1]]), options)[0][0]
        for name, model in {
            "one": WEATHER,
            "other": OTHER_WEATHER,
            "both": Ensemble([WEATHER, OTHER_WEATHER]),
            "three to one": Ensemble([WEATHER, OTHER_WEATHER], weights=[3, 1]),
        }.items()
    }
    assert found["one"].tokens[:2] == [W1, W2]
    assert found["other"].tokens == []
    assert (found["both"].tokens, math.exp(found["both"].log_probability)) == ([], pytest.approx(0.5))
    assert found["three to one"].tokens[:2] == [W1, W2]


def test_attention_is_the_mean_of_the_members_that_have_it() -> None:
    batch = collate([[W1]], [[W1]], [0])
    inputs = batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT
    members = [WEATHER, OTHER_WEATHER, Markov({BOS_ID: (0.2, 0.3, 0.5)}, looks_at=0)]
    assert_close(
        attention_over_source(Ensemble(members, weights=[5, 3, 1]), *inputs),
        torch.tensor([[[0.25, 0.75]] * 2], dtype=torch.float64),
    )
    assert attention_over_source(Ensemble([WEATHER, WEATHER]), *inputs) is None


# Against its members


@pytest.mark.parametrize("average", ["linear", "log_linear"])
def test_a_model_with_itself_is_the_model(folders: list[str], sentences: list[str], average: str) -> None:
    for folder in folders:
        alone = Translator(load_bundle(folder), options=OPTIONS)
        twice = Translator(load_bundles([folder, folder], ensemble=average, weights=[1, 3]), options=OPTIONS)  # type: ignore[arg-type]
        pairs = zip(alone.translate_nbest(sentences[:10]), twice.translate_nbest(sentences[:10]), strict=True)
        for one, other in ((a, b) for nbest, same in pairs for a, b in zip(nbest, same, strict=True)):
            assert one.tokens == other.tokens
            assert one.score == pytest.approx(other.score, abs=1e-4)
        assert alone.has_attention == twice.has_attention


def test_steps_equal_teacher_forcing_over_different_architectures(bundles: list[Bundle], sentences: list[str]) -> None:
    model = Ensemble([bundle.model.double() for bundle in bundles], weights=[1, 2, 3])
    tokenizer = bundles[0].tokenizers.src
    batch = collate(tokenizer.encode(sentences[:4]), tokenizer.encode(sentences[4:8]), range(4))
    memory = model.encode(batch.src_BS, batch.src_key_padding_mask_BS)
    state = model.init_state(memory)
    logits = []
    for y_B1 in batch.tgt_in_BT.split(1, dim=1):
        logits_B1V, state, _ = model.step(y_B1, state, memory)
        logits.append(logits_B1V)
    with torch.no_grad():
        at_once_BTV = model(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
        assert_close(torch.cat(logits, dim=1), at_once_BTV)
    log_p_BT = token_log_probabilities(
        model, batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT, batch.tgt_out_BT
    )
    own = [
        token_log_probabilities(
            bundle.model, batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT, batch.tgt_out_BT
        ).exp()
        for bundle in bundles
    ]
    assert_close(log_p_BT.exp(), (own[0] + 2 * own[1] + 3 * own[2]) / 6)
    for bundle in bundles:
        bundle.model.float()


def test_the_batch_a_sentence_sits_in_never_changes_its_translation(folders: list[str], sentences: list[str]) -> None:
    bundle = load_bundles(folders)
    lines = [*sentences[:12], "", *sentences[40:44]]
    together = Translator(bundle, options=OPTIONS, max_tokens_per_batch=100).translate_nbest(lines)
    alone = Translator(bundle, options=OPTIONS, max_tokens_per_batch=1)
    for line, nbest in zip(lines, together, strict=True):
        (expected,) = alone.translate_nbest([line])
        assert [one.tokens for one in nbest] == [one.tokens for one in expected]
    assert len({nbest[0].text for nbest in together}) > 10


# Loading


def test_one_bundle_is_no_ensemble_and_several_are_one_of_their_own(folders: list[str], bundles: list[Bundle]) -> None:
    assert load_bundles(folders[:1]).sha256 == bundles[0].sha256
    several = load_bundles(folders, weights=[2, 1, 1])
    assert several.config == {
        "ensemble": {
            "average": "linear",
            "weights": [0.5, 0.25, 0.25],
            "architectures": ["lstm", "attention", "transformer"],
            "models": [bundle.config["model"] for bundle in bundles],
            "bundles_sha256": [bundle.sha256 for bundle in bundles],
        },
        "src_lang": "de",
        "tgt_lang": "en",
    }
    others = [load_bundles(folders), load_bundles(folders, ensemble="log_linear", weights=[2, 1, 1]), bundles[0]]
    assert len({one.sha256 for one in [several, *others]}) == 4


def test_models_over_other_vocabularies_are_refused_with_the_difference(
    folders: list[str],
    tmp_path: Path,
    sentences: list[str],
    tokenizers: TokenizerPair,
    separate_tokenizers: TokenizerPair,
    write_bundle: WriteBundle,
) -> None:
    both = f"^{folders[0]} and {tmp_path}"
    end = "; the members of an ensemble share languages and tokenizer$"
    write_bundle(tmp_path / "smaller", "lstm", separate_tokenizers)
    with pytest.raises(
        ValueError, match=rf"{both}/smaller have different target vocabularies: 310 and 300 pieces{end}"
    ):
        load_bundles([folders[0], tmp_path / "smaller"])
    settings = {"kind": "bpe", "vocab_size": 310}
    other = Tokenizer.train([line[::-1] for line in sentences], **settings, normalization="identity")  # type: ignore[arg-type]
    write_bundle(tmp_path / "other", "lstm", TokenizerPair(other, other))
    with pytest.raises(
        ValueError, match=rf"{both}/other have different source vocabularies: piece (\d+) is"
    ) as refused:
        load_bundles([folders[0], tmp_path / "other"])
    number = next(i for i in range(310) if tokenizers.src.pieces([i]) != other.pieces([i]))
    left, right = tokenizers.src.pieces([number])[0], other.pieces([number])[0]
    assert f": piece {number} is {left!r} in the one and {right!r} in the other; " in str(refused.value)
    nfkc = Tokenizer.train(sentences, **settings, normalization="nfkc")  # type: ignore[arg-type]
    write_bundle(tmp_path / "normalized", "lstm", TokenizerPair(nfkc, nfkc))
    with pytest.raises(ValueError, match=rf": the same pieces, but with other scores or another normalization{end}"):
        load_bundles([folders[0], tmp_path / "normalized"])


def test_models_of_other_languages_are_refused(
    bundles: list[Bundle], folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = dataclasses.replace(bundles[1], config=bundles[1].config | {"src_lang": "en", "tgt_lang": "de"})
    found = iter([bundles[0], turned])
    monkeypatch.setattr("seq2seq.bundle.load_bundle", lambda *_: next(found))
    with pytest.raises(ValueError, match=r"lstm and .*attention translate de-en and en-de; the members of an ensemble"):
        load_bundles(folders[:2])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"weights": [1, 2]}, "^there are 2 weights for 3 models; give one for each$"),
        ({"weights": [1, 0, 2]}, "^weights are 1, 0, 2; each must be above 0$"),
        ({"weights": [1, math.nan, 2]}, "^weights are 1, nan, 2; each must be above 0$"),
        ({"ensemble": "mean"}, "^ensemble is 'mean'; use linear or log_linear$"),
    ],
)
def test_weights_that_are_none_are_refused(folders: list[str], keywords: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_bundles(folders, **keywords)


# Commands


def test_translate_and_test_take_several_models(
    folders: list[str], sentences: list[str], tmp_path: Path, capsys: Captured, error_of: ErrorOf
) -> None:
    for name, first in (("in", 0), ("ref", 20)):
        lines = sentences[first : first + 5]
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    text, output = str(tmp_path / "in"), tmp_path / "out"
    weights = ["--weights", "1", "1", "2", "--ensemble", "log_linear"]
    own = ["--input", text, "--output", str(output)]
    assert cli.main(["translate", folders[0], *weights, *FAST, *folders[1:], *own]) == 0
    options = SearchOptions(beam_width=2, max_length_factor=1, max_length_offset=2)
    bundle = load_bundles(folders, ensemble="log_linear", weights=[1, 1, 2])
    expected = Translator(bundle, options=options).translate(sentences[:5])
    assert output.read_text(encoding="utf-8").split("\n") == [*expected, ""]

    scores = tmp_path / "scores"
    own = ["--source", text, "--reference", str(tmp_path / "ref"), "--output_dir", str(scores)]
    assert cli.main(["test", *folders, *weights, *FAST, *own]) == 0
    assert capsys.readouterr().out.startswith("in  BLEU ")
    assert (scores / "in.hyp.txt").read_bytes() == output.read_bytes()
    result = json.loads((scores / "in.json").read_text())
    assert (result["bundle_sha256"], result["ensemble"]) == (bundle.sha256, bundle.config["ensemble"])
    assert error_of("translate", folders[0], text, "--input", text) == (
        f"{text} is not a folder; a MODEL is the folder of a finished run, or the bundle model/ inside it"
    )


def test_an_ensemble_is_no_result_of_its_first_run(
    folders: list[str], tmp_path: Path, sentences: list[str], capsys: Captured
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model").symlink_to(folders[0])
    for lang in ("de", "en"):
        (tmp_path / f"one.{lang}").write_text(sentences[0] + "\n", encoding="utf-8")
    (tmp_path / "run" / "config.yaml").write_text(json.dumps({"data": {"tests": {"one": str(tmp_path / "one")}}}))
    assert cli.main(["test", str(tmp_path / "run"), folders[1], *FAST]) == 0
    assert capsys.readouterr().out.startswith("one  BLEU ")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml", "model"]
