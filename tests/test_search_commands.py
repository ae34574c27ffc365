"""The search options on the command lines of `translate` and `test`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.decoding import SearchOptions
from seq2seq.evaluation.metrics import sentence_score
from seq2seq.translator import Translator

SHORT = ["--max_length_factor", "1", "--max_length_offset", "2"]
ErrorOf = Callable[..., str]


@pytest.fixture
def text(tmp_path: Path, sentences: list[str]) -> list[str]:
    """Lines that stand in text.de as well."""
    lines = [*sentences[:4], "", sentences[5]]
    (tmp_path / "text.de").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return lines


@pytest.fixture
def translate(bundle_folder: Path, tmp_path: Path, text: list[str]) -> Callable[..., list[str]]:
    """translate(*options) -> the lines that `seq2seq translate` writes for the text."""

    def run(*options: str) -> list[str]:
        paths = ["--input", str(tmp_path / "text.de"), "--output", str(tmp_path / "out")]
        assert cli.main(["translate", str(bundle_folder), *paths, *SHORT, *options]) == 0
        return (tmp_path / "out").read_text(encoding="utf-8").removesuffix("\n").split("\n")

    return run


Translate = Callable[..., list[str]]


def translator(bundle_folder: Path, **keywords: object) -> Translator:
    utility = keywords.pop("utility", None)
    options = SearchOptions(max_length_factor=1.0, max_length_offset=2, **keywords)  # type: ignore[arg-type]
    return Translator(load_bundle(bundle_folder), options=options, utility=utility)  # type: ignore[arg-type]


def test_samples_are_printed_as_n_best_are(translate: Translate, bundle_folder: Path, text: list[str]) -> None:
    rows = [line.split(" ||| ") for line in translate("--num_samples", "3", "--temperature", "0.8", "--seed", "7")]
    assert [row[0] for row in rows] == [*"000111222333", "4", *"555"]
    expected = translator(bundle_folder, beam_width=1, num_samples=3, temperature=0.8, seed=7).translate_nbest(text)
    assert [row[1:] for row in rows] == [[one.text, f"{one.score:.6f}"] for nbest in expected for one in nbest]


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (["--num_samples", "6"], {"beam_width": 1, "num_samples": 6}),
        (["--beam_width", "3"], {"beam_width": 3, "num_best": 3}),  # all that the beam ends with
    ],
)
def test_mbr_gives_a_line_for_a_line(
    options: list[str], keywords: dict, translate: Translate, bundle_folder: Path, text: list[str]
) -> None:
    expected = translator(bundle_folder, **keywords, utility=sentence_score("chrf")).translate(text)
    assert translate(*options, "--mbr", "chrf") == expected
    assert expected[4] == ""


def test_a_translation_begins_with_its_line_of_the_prefix_file(
    translate: Translate, bundle_folder: Path, tmp_path: Path, text: list[str]
) -> None:
    prefixes = ["die Katze", "", "Öl", "", "das Haus", "der"]
    (tmp_path / "prefixes").write_text("".join(line + "\n" for line in prefixes), encoding="utf-8")
    written = translate("--prefix", str(tmp_path / "prefixes"))
    assert written[4] == ""  # a blank line stays blank
    for index in (0, 2, 5):
        assert written[index].startswith(prefixes[index])
    free = translate()
    assert [written[index] for index in (1, 3)] == [free[index] for index in (1, 3)]
    assert written == translator(bundle_folder).translate(text, prefixes)


def test_prefixes_that_do_not_match_the_text_are_refused(
    error_of: ErrorOf, bundle_folder: Path, tmp_path: Path, text: list[str]
) -> None:
    prefixes = tmp_path / "prefixes"
    arguments = ["translate", str(bundle_folder), *SHORT, "--input", str(tmp_path / "text.de")]
    arguments += ["--output", str(tmp_path / "out"), "--prefix", str(prefixes)]
    assert error_of(*arguments) == f"{prefixes}: No such file or directory"
    prefixes.write_text("der\n" * 3)
    assert error_of(*arguments) == "--prefix has 3 lines and the text 6; line n of one must belong to line n"
    prefixes.write_text("der\n" * 9)
    assert error_of(*arguments) == "--prefix has 9 lines and the text 6; line n of one must belong to line n"
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="^2 prefixes for 1 lines; give one for each, blank for nothing$"):
        translator(bundle_folder).translate(["Hund"], ["der", "die"])


def test_constraints_reach_the_search(translate: Translate, bundle_folder: Path, text: list[str]) -> None:
    given = ["--min_length", "4", "--no_repeat_ngram_size", "1", "--coverage_penalty", "0.3", "--allow_unk"]
    keywords = {"min_length": 4, "no_repeat_ngram_size": 1, "coverage_penalty": 0.3, "allow_unk": True}
    written = translate(*given)
    assert written == translator(bundle_folder, **keywords).translate(text)
    assert written != translate()


def test_options_that_contradict_are_refused_in_one_line(
    error_of: ErrorOf, bundle_folder: Path, tmp_path: Path, text: list[str]
) -> None:
    arguments = ["translate", str(bundle_folder), "--input", str(tmp_path / "text.de")]
    assert error_of(*arguments, "--num_samples", "2", "--beam_width", "4") == (
        "num_samples 2 draws, beam_width 4 and num_best 1 search for the best; set both to 1, or leave num_samples out"
    )
    assert error_of(*arguments, "--top_p", "0.9") == (
        "top_p is of no use to a search; give num_samples to draw translations"
    )
    assert error_of(*arguments, "--beam_width", "1", "--mbr", "chrf").startswith(
        "minimum Bayes risk chooses among several translations; "
    )


@pytest.fixture
def run(tmp_path: Path, bundle_folder: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle and a test set in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle_folder, tmp_path / "model")
    for lang, first in (("de", 0), ("en", 3)):
        lines = "".join(line + "\n" for line in sentences[first : first + 4])
        (tmp_path / f"one.{lang}").write_text(lines, encoding="utf-8")
    return tmp_path / "out" / "one.json"


def test_a_result_records_the_options_that_are_not_as_usual(run: Path) -> None:
    """Those of a result from before there were more options look as if it had been made today."""
    usual = {"beam_width": 5, "length_penalty": "average", "alpha": 0.6}
    usual |= {"max_length_factor": 1.0, "max_length_offset": 2}
    for options, expected in [
        ([], {}),
        (["--min_length", "0", "--coverage_penalty", "0"], {}),
        (["--min_length", "3", "--coverage_penalty", "0.1"], {"coverage_penalty": 0.1, "min_length": 3}),
        (["--mbr", "bleu"], {"num_best": 5, "mbr": "bleu"}),
        (["--num_samples", "2", "--seed", "3"], {"beam_width": 1, "num_samples": 2, "seed": 3}),
    ]:
        files = ["--source", "one.de", "--reference", "one.en", "--output_dir", "out"]
        assert cli.main(["test", "model", *files, *SHORT, *options]) == 0
        assert json.loads(run.read_text(encoding="utf-8"))["search"] == usual | expected
