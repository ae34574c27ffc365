"""Reading given translations: by hand, as the search, and as the command `score-model` prints it."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.batching import collate
from seq2seq.bundle import load_bundle
from seq2seq.decoding import SearchOptions, attention_over_source, token_log_probabilities
from seq2seq.translator import Translator
from tests.markov import OTHER_WEATHER, W1, W2, WEATHER

BUNDLES = Path(__file__).parent / "data" / "bundles"
Captured = pytest.CaptureFixture[str]
ErrorOf = Callable[..., str]


def test_each_token_has_its_factor_of_the_chain_rule() -> None:
    batch = collate([[W1], [W1, W2]], [[W1, W2, W1], []], [0, 1])
    inputs = batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT
    log_p_BT = token_log_probabilities(WEATHER, *inputs, batch.tgt_out_BT)
    assert log_p_BT[0].exp().tolist() == pytest.approx([0.5, 0.8, 0.4, 0.1])
    assert log_p_BT[1, 0].exp().item() == pytest.approx(0.2)
    assert attention_over_source(WEATHER, *inputs) is None
    alpha_BTS = attention_over_source(OTHER_WEATHER, *inputs)
    assert alpha_BTS is not None
    assert alpha_BTS.tolist() == [[[0, 1, 0]] * 4] * 2


@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_reading_finds_what_the_search_has_reported(architecture: str) -> None:
    options = SearchOptions(beam_width=3, num_best=3, max_length_factor=1.0, max_length_offset=0)
    translator = Translator(load_bundle(BUNDLES / f"0.1.0-{architecture}"), options=options)
    table = (BUNDLES / f"0.1.0-{architecture}.tsv").read_text(encoding="utf-8")
    lines = [row.partition("\t")[0] for row in table.split("\n") if row]
    pairs = [(line, one) for line, nbest in zip(lines, translator.translate_nbest(lines), strict=True) for one in nbest]
    readings = translator.read([line for line, _ in pairs], [translation.tokens for _, translation in pairs])
    for (_, translation), reading in zip(pairs, readings, strict=True):
        num_tokens = len(translation.tokens) + translation.finished  # one that was cut has no end
        log_probability = sum(reading.log_probabilities[:num_tokens])
        assert log_probability == pytest.approx(translation.log_probability, abs=1e-3)
    assert {translation.finished for _, translation in pairs} == {True, False}


@pytest.fixture
def pair(tmp_path: Path, sentences: list[str]) -> tuple[str, str]:
    """A source and a target file of six lines; the fifth is blank on both sides."""
    for name, first in (("src", 0), ("tgt", 10)):
        lines = [*sentences[first : first + 4], "", sentences[first + 4]]
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(tmp_path / "src"), str(tmp_path / "tgt")


def test_score_model_prints_each_log_probability_and_the_perplexity(
    bundle_folder: Path, pair: tuple[str, str], capsys: Captured
) -> None:
    files = ["--source", pair[0], "--target", pair[1]]
    assert cli.main(["score-model", str(bundle_folder), *files]) == 0
    captured = capsys.readouterr()
    translator = Translator(load_bundle(bundle_folder))
    sources, targets = (Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n") for path in pair)
    readings = translator.read(sources, targets)
    rows = [line.split("\t") for line in captured.out.removesuffix("\n").split("\n")]
    assert [int(row[1]) for row in rows] == [len(reading.log_probabilities) for reading in readings]
    assert [float(row[0]) for row in rows] == pytest.approx([sum(r.log_probabilities) for r in readings], abs=1e-4)
    assert rows[4] == ["0.000000", "0"]
    num_tokens = sum(int(row[1]) for row in rows)
    assert num_tokens == sum(len(ids) + 1 for ids in translator.tokenizers.tgt.encode(targets) if ids)
    perplexity = math.exp(-sum(float(row[0]) for row in rows) / num_tokens)
    words = captured.err.split()
    assert words[:3] == ["perplexity", "per", "token:"]
    assert float(words[3]) == pytest.approx(perplexity, rel=1e-3)
    assert captured.err.endswith(f" ({num_tokens} tokens of 6 pairs)\n")


def test_score_model_gives_the_figures_of_each_token_as_json(
    bundle_folder: Path, pair: tuple[str, str], capsys: Captured
) -> None:
    files = ["--source", pair[0], "--target", pair[1]]
    assert cli.main(["score-model", str(bundle_folder), *files, "--format", "jsonl"]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.removesuffix("\n").split("\n")]
    assert len(objects) == 6
    for one in objects:
        assert sum(one["token_log_probabilities"]) == pytest.approx(one["log_probability"], abs=1e-4)
        assert len(one["tokens"]) == len(one["token_log_probabilities"])
    assert objects[0]["tokens"][-1] == "</s>"
    assert objects[4] == {"log_probability": 0.0, "tokens": [], "token_log_probabilities": []}


def test_score_model_refuses_files_that_do_not_belong_together(
    bundle_folder: Path, pair: tuple[str, str], tmp_path: Path, error_of: ErrorOf
) -> None:
    (tmp_path / "short").write_text("Hund\n")
    message = error_of("score-model", str(bundle_folder), "--source", pair[0], "--target", str(tmp_path / "short"))
    assert message.startswith(f"{pair[0]} has 6 lines and {tmp_path}/short has 1; ")
    assert "required: --target" in error_of("score-model", str(bundle_folder), "--source", pair[0])
