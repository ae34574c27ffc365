"""`seq2seq analyze`: the files that it writes, and its errors."""

import base64
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from seq2seq import cli

ErrorOf = Callable[..., str]
WriteBundle = Callable[..., Path]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, write_bundle: WriteBundle) -> Path:
    """A folder with a bundle in NAME/model for each architecture, and an rnn."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("lstm", "attention", "transformer"):
        write_bundle(folder / name / "model", name)
    write_bundle(folder / "rnn", "lstm", cell="rnn")
    return folder


@pytest.fixture
def text(tmp_path: Path, sentences: list[str]) -> list[str]:
    """Options that name eight pairs of lines, of which two have a blank side."""
    sides = {"source": [*sentences[:6], "", "und"], "target": [*sentences[8:14], "und", " "]}
    for name, lines in sides.items():
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return [part for name in sides for part in (f"--{name}", str(tmp_path / name))]


Analyze = Callable[..., tuple[Path, Any]]


@pytest.fixture
def analyze(tmp_path: Path, text: list[str], capsys: pytest.CaptureFixture[str]) -> Analyze:
    """analyze(what, *models and options) -> the folder and the JSON that it wrote."""

    def run(what: str, *arguments: object) -> tuple[Path, Any]:
        folder = tmp_path / "new" / "inside"
        assert cli.main(["analyze", what, *map(str, arguments), *text, "--output_dir", str(folder)]) == 0
        assert capsys.readouterr().out == f"{folder / what}.html\n"
        return folder, json.loads((folder / f"{what}.json").read_text(encoding="utf-8"))

    return run


def test_gradients_of_all_architectures_share_figures(analyze: Analyze, models: Path) -> None:
    names = ["lstm", "attention", "transformer"]
    folder, found = analyze("gradients", *(models / name for name in names))
    assert (found["what"], found["num_pairs"]) == ("gradients", 6)
    assert [(one["name"], one["architecture"]) for one in found["models"]] == [(name, name) for name in names]
    lstm, attention, transformer = (one["gradients"] for one in found["models"])
    parts = ["encoder, left to right", "encoder, right to left", "decoder"]
    assert list(lstm["states"]) == list(attention["states"]) == parts and transformer["states"] == {}
    assert lstm["largest_difference"] < 1e-5
    point = lstm["inputs_from_end"][0]
    assert point["distance"] == 0 and 0 < point["low"] <= point["median"] <= point["high"]

    page = (folder / "gradients.html").read_text(encoding="utf-8")
    drawings = sorted(folder.glob("gradients-*.svg"))
    assert page.count("<svg ") == len(drawings) == 2 + 3 + 2  # inputs, states, cells of the two with an lstm
    assert all(f">{name}</text>" in drawings[0].read_text(encoding="utf-8") for name in names)
    for drawing in drawings:
        content = drawing.read_text(encoding="utf-8")
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in content and "light-dark" not in content


def test_gates_have_a_section_for_each_model_and_old_figures_go(analyze: Analyze, models: Path) -> None:
    folder, found = analyze("gates", models / "lstm", models / "attention" / "model")
    assert [one["name"] for one in found["models"]] == ["lstm", "attention"]
    assert {(gate["part"], gate["gate"]) for gate in found["models"][1]["gates"]} == {
        (part, gate)
        for part in ("encoder, left to right", "encoder, right to left", "decoder")
        for gate in ("forget", "input", "output")
    }
    assert len(list(folder.glob("gates-*.svg"))) == 6
    (folder / "gates-2018.txt").touch()
    analyze("gates", models / "lstm", "--num_pairs", "3")
    assert {path.name for path in folder.iterdir()} == {
        *("gates.html", "gates.json", "gates-1.svg", "gates-2.svg", "gates-3.svg", "gates-2018.txt")
    }
    page = (folder / "gates.html").read_text(encoding="utf-8")
    assert "lstm, on 3 pairs of" in page and "https:" not in page


def test_translating_by_length_has_a_line_for_each_model(
    analyze: Analyze, models: Path, tmp_path: Path, sentences: list[str]
) -> None:
    for side in ("source", "target"):
        (tmp_path / side).write_text("".join(line + "\n" for line in [*sentences, ""]), encoding="utf-8")
    names = ["lstm", "attention", "transformer"]
    folder, found = analyze("length", *(models / name for name in names), "--device", "cpu")
    assert (found["num_pairs"], [one["name"] for one in found["models"]]) == (60, names)
    for one in found["models"]:
        assert [bucket["label"] for bucket in one["length"]["buckets"]] == ["1-5 words", "6+ words"]
        assert sum(bucket["num_sentences"] for bucket in one["length"]["buckets"]) == 60
        assert all(0 < bucket["seconds"]["value"] < bucket["seconds"]["high"] for bucket in one["length"]["buckets"])
    page = (folder / "length.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == 3 == len(list(folder.glob("length-*.svg")))
    assert found["models"][0]["length"]["signature"] in page and all(f">{name}</text>" in page for name in names)


def test_the_middle_of_a_landscape_is_the_perplexity_that_score_model_prints(
    analyze: Analyze, models: Path, text: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("source", "target"):  # without the pairs of which one side is blank
        kept = (tmp_path / side).read_text(encoding="utf-8").splitlines(keepends=True)[:6]
        (tmp_path / side).write_text("".join(kept), encoding="utf-8")
    folder, found = analyze("landscape", models / "lstm", models / "transformer", "--seed", "7")
    for name, model in zip(("lstm", "transformer"), found["models"], strict=True):
        one = model["landscape"]
        assert cli.main(["score-model", str(models / name), *text, "--device", "cpu"]) == 0
        perplexity = re.findall(r"perplexity per token: ([\d.]+)", capsys.readouterr().err)[0]
        assert math.exp(one["loss"]) == pytest.approx(float(perplexity), rel=1e-3)
        assert len(one["losses"]) == len(one["losses"][0]) == len(one["alphas"]) == len(one["betas"]) == 21
        assert (one["seed"], one["losses"][10][10]) == (7, one["loss"])
    page = (folder / "landscape.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == 2 == len(list(folder.glob("landscape-*.svg")))
    scales = [re.findall(r'class="tick"[^>]*>([^<]+)<', path.read_text("utf-8")) for path in folder.glob("*.svg")]
    assert scales[0] == scales[1] and len(scales[0]) > 10  # the axes' and those of the scale


def test_what_a_model_has_not_is_refused_before_anything_is_written(
    models: Path, text: list[str], tmp_path: Path, error_of: ErrorOf
) -> None:
    rest = [*text, "--output_dir", str(tmp_path / "out")]
    lstm, rnn, transformer = (str(models / name) for name in ("lstm", "rnn", "transformer"))
    expected = f"{transformer} is a transformer, which has no gates; give an lstm or gru"
    assert error_of("analyze", "gates", lstm, transformer, *rest) == expected
    expected = f"{rnn} is made of rnn cells, which have no gates; give an lstm or gru"
    assert error_of("analyze", "gates", rnn, *rest) == expected
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_explained_in_one_line(
    models: Path, text: list[str], tmp_path: Path, error_of: ErrorOf
) -> None:
    lstm, rest = str(models / "lstm"), [*text, "--output_dir", str(tmp_path / "out")]
    assert "invalid choice: 'gate' (choose from" in error_of("analyze", "gate", lstm, *rest)
    assert error_of("analyze", "gates", str(models), *rest).startswith(f"{models} is no model: ")
    assert error_of("analyze", "gates", str(models / "no"), *rest).startswith(f"{models / 'no'} does not exist; ")
    assert error_of("analyze", "gates", lstm, f"{lstm}/model", *rest) == "a MODEL is given twice; give each once"
    expected = "num_pairs is 0; it must be at least 1"
    assert error_of("analyze", "gates", lstm, *rest, "--num_pairs", "0") == expected
    (tmp_path / "file").touch()
    expected = f"--output_dir {tmp_path / 'file'} is no folder; give one, which is made if it is not there"
    assert error_of("analyze", "gates", lstm, *text, "--output_dir", str(tmp_path / "file")) == expected
    expected = "--seed belongs to landscape; leave it out for length"
    assert error_of("analyze", "length", lstm, *rest, "--seed", "3") == expected
    expected = "seed is -1; it must be at least 0 and below 2^63"
    assert error_of("analyze", "landscape", lstm, *rest, "--seed", "-1") == expected
    assert "no option --sources; did you mean --source?" in error_of("analyze", "gates", lstm, "--sources", "x")


@pytest.mark.parametrize("what", ["gates", "length", "landscape"])
def test_text_that_has_nothing_to_look_at_is_refused(
    models: Path, tmp_path: Path, error_of: ErrorOf, what: str
) -> None:
    def error(source: str, target: str) -> str:
        for name, content in (("source", source), ("target", target)):
            (tmp_path / name).write_text(content, encoding="utf-8")
        files = ["--source", str(tmp_path / "source"), "--target", str(tmp_path / "target")]
        return error_of("analyze", what, str(models / "lstm"), *files, "--output_dir", str(tmp_path / "out"))

    assert error("", "") == f"{tmp_path / 'source'} is empty; it must hold at least one line"
    assert re.search("has 2 lines and .* has 1; line n of one must belong to line n", error("a\nb\n", "a\n"))
    expected = "of 2 pairs of lines each has a blank side; give text to look at"
    assert error("a\n\n", " \nb\n") == expected
    if what == "length":
        expected = "the 1 pairs are too few, or too alike in length, to be compared by it; give text with 20 or more "
        assert error("a\n", "b\n").startswith(expected)
    assert not (tmp_path / "out").exists()


def test_names_are_as_short_as_they_may_be(
    analyze: Analyze, write_bundle: WriteBundle, models: Path, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "other" / "lstm", "lstm", cell="gru")
    _, found = analyze("gates", models / "lstm" / "model", tmp_path / "other" / "lstm")
    assert [one["name"] for one in found["models"]] == [f"{models.name}/lstm", "other/lstm"]
    assert {gate["gate"] for gate in found["models"][1]["gates"]} == {"reset", "update"}


def test_attention_of_every_layer_and_head_is_measured_and_drawn(
    analyze: Analyze, models: Path, tmp_path: Path
) -> None:
    links = ["0-0", "0-0 0?1", "", "0-0", "0p0", "", "", ""]
    (tmp_path / "gold").write_text("".join(line + "\n" for line in links), encoding="utf-8")
    names = ["attention", "transformer"]
    folder, found = analyze("attention", *(models / name for name in names), "--alignments", tmp_path / "gold")
    attention, transformer = (one["attention"] for one in found["models"])
    assert [one["name"] for one in attention["measures"]] == ["decoder to source"]
    kinds = {f"{kind}, layer 1, head {h}" for kind in ("encoder to itself", "decoder to itself") for h in (1, 2)}
    across = {f"decoder to source, layer 1, {which}" for which in ("head 1", "head 2", "mean of heads")}
    assert {one["name"] for one in transformer["measures"]} == kinds | across
    for one in (*attention["measures"], *transformer["measures"]):
        assert one["entropy"] > 0
        is_across = one["name"].startswith("decoder to source")
        for measure in ("monotonicity", "coverage", "alignment_error_rate"):
            assert (one[measure] is not None) == is_across
        assert not is_across or 0 <= one["alignment_error_rate"] <= 1
    assert (len(attention["maps"]), len(transformer["maps"])) == (3, 3 * 7)
    page = (folder / "attention.html").read_text(encoding="utf-8")
    assert "24 maps." in page and ">AER</th>" in page and "decoder to source, layer 1, head 2" in page
    # The maps of the first pair, of both models, are files too.
    assert len(list(folder.glob("attention-*.svg"))) == 1 + 7
    first = attention["maps"][0]
    cells = [rect for rect in ElementTree.parse(folder / "attention-1.svg").getroot().iter(f"{SVG}rect") if len(rect)]
    assert [cell[0].text for cell in cells] == [
        f"{query} ← {key}: {weight / 255:.2f}"
        for (query, key), weight in zip(
            product(first["target_pieces"], first["source_pieces"]), base64.b64decode(first["weights"]), strict=True
        )
    ]


def test_alignments_that_do_not_fit_are_refused(
    models: Path, text: list[str], tmp_path: Path, error_of: ErrorOf
) -> None:
    gold = tmp_path / "gold"
    rest = [*text, "--output_dir", str(tmp_path / "out"), "--alignments", str(gold)]

    def error(content: str, what: str = "attention", model: str = "attention") -> str:
        gold.write_text(content, encoding="utf-8")
        return error_of("analyze", what, str(models / model), *rest)

    assert error("0-0\n", what="gates") == "--alignments belongs to attention; leave it out for gates"
    expected = f"{gold} has 1 lines and the text 8; line n of one must belong to line n"
    assert error("0-0\n") == expected
    expected = f"{gold}, line 2: '1x2' is no link; write 0-0 for a sure one, 0?1 or 0p1 for a possible one"
    assert error("\n1x2\n" + 6 * "\n") == expected
    expected = f"{gold}, line 1: link 99-0, but the source has 1 words and the translation 9, counted from 0; "
    assert error("99-0\n" + 7 * "\n").startswith(expected)
    expected = f"{models / 'lstm'} has no attention; give an attention model or a transformer"
    assert error(8 * "\n", model="lstm") == expected
    assert not (tmp_path / "out").exists()
