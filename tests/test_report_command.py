"""`seq2seq report`: what it renders, merges and refuses."""

import dataclasses
import json
from pathlib import Path

import pytest

from seq2seq.commands import report
from seq2seq.evaluation.results import System, read_results, write_results
from tests.report_data import make_results


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with a test set of 30 lines and the output of two foreign systems."""
    tests = make_results(2, foreign=True).test_sets[0].references[:30]
    for name, lines in {
        "flickr.de": [f"Satz {number}" for number in range(30)],
        "flickr.en": tests,
        "ours.txt": [line.replace("A ", "The ") for line in tests],
        "theirs.txt": [line.replace("and", ",") for line in tests],
        "short.txt": tests[:-1],
    }.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tmp_path


def test_foreign_systems_alone_make_a_report(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = texts / "out" / "foreign"
    argv = ["--output_dir", str(out), "--reference", "flickr", f"{texts}/flickr.en"]
    argv += ["--source", "flickr", f"{texts}/flickr.de"]
    for name in ("ours", "theirs"):
        argv += ["--foreign", name, "flickr", f"{texts}/{name}.txt"]
    report.main(argv)
    assert capsys.readouterr().out == f"{out}/report.html\n"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<title>Comparison foreign</title>" in page
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert data["systems"] == ["ours", "theirs"]
    assert data["tests"][0]["sources"][7] == "Satz 7"


def test_results_are_rendered_again_merged_and_set_beside_foreign_systems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = make_results(2, 1)
    for index, system in enumerate(both.systems):
        runs = [run for run in both.runs if run.system == system.name]
        (tmp_path / str(index)).mkdir()
        write_results(dataclasses.replace(both, systems=[system], runs=runs), tmp_path / str(index) / "results.json")
    argv = [f"{tmp_path}/0", f"{tmp_path}/1/results.json", "--output_dir", f"{tmp_path}/out"]
    for test in both.test_sets:
        (tmp_path / test.name).write_text("".join(f"{line}\n" for line in test.references), encoding="utf-8")
        argv += ["--foreign", "online", test.name, f"{tmp_path}/{test.name}"]
    report.main(argv)
    content = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {score["system"] for score in content["scores"]} == {"lstm", "attention", "online"}
    perfect = [score["mean"] for score in content["scores"] if (score["system"], score["metric"]) == ("online", "BLEU")]
    assert perfect == pytest.approx([100, 100])
    assert capsys.readouterr().out == f"{tmp_path}/out/report.html\n"

    merged = tmp_path / "out" / "results.json"
    assert [system.name for system in read_results(merged).systems] == ["lstm", "attention", "online"]
    before = merged.read_bytes()
    report.main([f"{tmp_path}/out", "--output_dir", f"{tmp_path}/out"])
    assert merged.read_bytes() == before
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == content


def test_the_command_refuses_what_cannot_be_compared(texts: Path, tmp_path: Path) -> None:
    def error_of(*argv: str) -> str:
        with pytest.raises(ValueError) as caught:
            report.main([*argv, "--output_dir", f"{texts}/out"])
        assert not (texts / "out").exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    ours = ["--foreign", "ours", "flickr", f"{texts}/ours.txt"]
    reference = ["--reference", "flickr", f"{texts}/flickr.en"]
    assert error_of(*reference, *ours[:3], f"{texts}/short.txt") == (
        f"{texts}/short.txt has 29 lines and test set flickr has 30; line n of one must belong to line n of the other"
    )
    assert error_of(*reference, "--foreign", "ours", "flicker", f"{texts}/ours.txt") == (
        "--foreign ours names test set flicker; there are flickr"
    )
    assert "twice" in error_of(*reference, *ours, *ours)
    assert "twice" in error_of(*reference, *reference, *ours)
    assert "for which there is no --reference" in error_of(*reference, *ours, "--source", "other", f"{texts}/flickr.de")
    assert error_of() == error_of(*ours) == error_of(*reference)
    assert "did you mean --foreign" in error_of("--foreing", "a", "b", "c")

    full = make_results(2, 1, 20)
    write_results(full, tmp_path / "results.json")
    changed = [
        dataclasses.replace(test, references=["Something else.", *test.references[1:]]) for test in full.test_sets
    ]
    runs = [dataclasses.replace(full.runs[0], system="other")]
    other = dataclasses.replace(full, test_sets=changed, systems=[System("other")], runs=runs)
    write_results(other, tmp_path / "other.json")
    both = [f"{tmp_path}/results.json", f"{tmp_path}/other.json"]
    assert "test_2016_flickr has other sentences" in error_of(*both)
    assert "leave out --reference" in error_of(both[0], *reference)
    one_of_two = ["--foreign", "online", "test_2016_flickr", f"{texts}/short20.txt"]
    (texts / "short20.txt").write_text("a\n" * 20, encoding="utf-8")
    assert "online did not translate test_2017_flickr" in error_of(both[0], *one_of_two)
    (texts / "text.json").write_text("a\n", encoding="utf-8")
    assert error_of(f"{texts}/text.json").startswith(f"{texts}/text.json: ")
