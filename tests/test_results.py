"""The results' file: written, read, checked and merged."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seq2seq.evaluation.results import (
    FORMAT,
    Attention,
    Output,
    Point,
    Results,
    Run,
    System,
    merge,
    read_results,
    sha256_of_lines,
    write_results,
)
from seq2seq.evaluation.results import TestSet as Texts  # pytest would take a name that begins with Test for a test

SOURCES = ["Der Hund läuft.", "Ein Satz mit\u2028Zeilentrenner", "<b>„Ja“</b>"]
REFERENCES = ["The dog runs.", "A sentence with\u2028a line separator", '<b>"Yes"</b>']


def run(system: str, seed: int | None, *tests: str, **fields: Any) -> Run:
    return Run(system, seed, {name: Output([f"{system} {seed}", "", "yes"]) for name in tests or ("flickr",)}, **fields)


def comparison(name: str = "mine", **fields: Any) -> Results:
    """One system with two seeds on one test set, unless `fields` say otherwise."""
    training = {"parameters": 5, "updates": 10}
    usual: dict[str, Any] = {
        "systems": [System("lstm", "lstm", 2)],
        "test_sets": [Texts("flickr", SOURCES, REFERENCES, [4, 0, 17])],
        "runs": [run("lstm", 2, training=training), run("lstm", 1, training=training)],
        "budget": {"updates": 10.0},
    }
    return Results(name=name, **usual | fields)


def foreign(name: str = "google") -> Results:
    """Translations of which nothing else is known."""
    return comparison(
        name, systems=[System(name)], test_sets=[Texts("flickr", [], REFERENCES)], runs=[run(name, None)], budget={}
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_results(comparison(), tmp_path / "results.json")
    return tmp_path / "results.json"


Change = Callable[[dict[str, Any]], object]


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    attention = Attention(["▁Der", "</s>"], ["▁the", "</s>"], "AP8A/w==")
    full = run(
        "lstm",
        1,
        training={"parameters": 12, "valid_bleu": 31.5, "note": None},
        curve=[Point(100, 5000, 0.5, 12.25, 3.5)],
        config={"model": {"init_args": {"tie": [1, 2.5, True, None]}}},
        commands=["seq2seq fit --config a.yaml"],
        origin={"cpu": "Zuse Z3"},
    )
    full.outputs["flickr"] = Output(["a", "b", "c"], 1.5, {"beam_width": 5}, [attention, None, None])
    results = comparison(runs=[full], parameters=12)
    write_results(results, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_the_file_is_readable_text(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert "läuft" in text
    assert json.loads(text)["format"] == FORMAT


def test_defaults_may_be_left_out(written: Path) -> None:
    content = json.loads(written.read_text(encoding="utf-8"))
    for one in content["runs"]:
        one.clear()
        one.update(system="lstm", seed=content["runs"].index(one), outputs={"flickr": {"hypotheses": ["a", "b", "c"]}})
    written.write_text(json.dumps(content), encoding="utf-8")
    assert read_results(written).runs[1] == Run("lstm", 1, {"flickr": Output(["a", "b", "c"])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=FORMAT + 1), f"results of format {FORMAT + 1}; this version reads format {FORMAT}"),
        (lambda c: c.pop("format"), "not the results of a comparison; give a results.json that seq2seq compare wrote"),
        (lambda c: c.update(extra=1), "results has an unknown key extra"),
        (lambda c: c["runs"][1].pop("outputs"), r"results.runs\[1\] lacks the key outputs"),
        (lambda c: c["runs"][0].update(seed="one"), r"results.runs\[0\].seed is 'one'; expected int"),
        (lambda c: c["runs"][0].update(seed=True), r"results.runs\[0\].seed is 'True'; expected int"),
        (
            lambda c: c["test_sets"][0]["references"].insert(0, 7),
            r"results.test_sets\[0\].references\[0\] is '7'; expected str",
        ),
        (lambda c: c.update(systems={}), "results.systems is '{}'; expected list"),
        (
            lambda c: c.update(budget={"pages": 3}),
            "the budget is {'pages': 3.0}; it must be one of target_tokens, updates",
        ),
        (
            lambda c: c["runs"][0]["outputs"]["flickr"]["hypotheses"].pop(),
            "run lstm, seed 2: 2 hypotheses for flickr, 3 ",
        ),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_name_and_the_place(
    written: Path, change: Change, message: str
) -> None:
    content = json.loads(written.read_text(encoding="utf-8"))
    change(content)
    written.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(written))}: {message}"):
        read_results(written)


@pytest.mark.parametrize("content", [b"<html>", b"", b'{"format": 1', b"[1]", b'{"format": 1, "name": "\xff"}'])
def test_what_is_no_results_file_is_refused_in_one_line(written: Path, content: bytes) -> None:
    written.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(written))}: ") as caught:
        read_results(written)
    assert "\n" not in str(caught.value)


def test_numbers_that_json_lacks_are_not_written_and_leave_the_old_file(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_results(comparison(budget={"minutes": float("nan")}), written)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"runs": [run("lstm", 1), run("lstm", 1)]}, "run lstm, seed 1 stands in the results twice"),
        ({"systems": [System("lstm"), System("lstm")]}, "system lstm stands in the results twice"),
        ({"systems": [System("lstm"), System("gru")]}, "system gru has no finished run"),
        ({"runs": [run("lstm", 1), run("gru", 1)]}, "run gru, seed 1: there is no such system"),
        ({"runs": [run("lstm", 1, "other")]}, "run lstm, seed 1 did not translate flickr, which others did"),
        ({"test_sets": [Texts("flickr", SOURCES[:2], REFERENCES)]}, "test set flickr: 2 sources, 3 references"),
        ({"test_sets": [Texts("flickr", SOURCES, REFERENCES, [1])]}, "test set flickr: 1 frequencies, 3 references"),
        ({"test_sets": [Texts("flickr", [], ["a"])]}, "run lstm, seed 2: 3 hypotheses for flickr, 1 references"),
        ({"budget": {"updates": 1.0, "minutes": 1.0}}, "the budget is .* it must be one of"),
    ],
)
def test_results_that_do_not_fit_together_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        comparison(**fields)


def test_runs_of_a_system_come_by_seed() -> None:
    assert [run.seed for run in comparison().runs_of("lstm")] == [1, 2]


def test_a_merge_holds_the_runs_of_all() -> None:
    second = comparison(
        "other machine", systems=[System("lstm", "lstm", 2), System("gru")], runs=[run("lstm", 3), run("gru", 1)]
    )
    merged = merge([comparison(), second, foreign()])
    assert [system.name for system in merged.systems] == ["lstm", "gru", "google"]
    assert [(run.system, run.seed) for run in merged.runs] == [
        ("lstm", 2),
        ("lstm", 1),
        ("lstm", 3),
        ("gru", 1),
        ("google", None),
    ]
    assert (merged.name, merged.budget) == ("mine", {"updates": 10.0})


def test_a_merge_in_any_order_knows_the_sources_and_the_budget() -> None:
    one, other = merge([comparison(), foreign()]), merge([foreign(), comparison()])
    assert one.test_sets == other.test_sets == comparison().test_sets
    assert one.budget == other.budget == {"updates": 10.0}
    assert merge([foreign("google"), foreign("deepl")]).budget == {}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (comparison("new"), "run lstm, seed 2 stands in the results twice"),
        (
            comparison(
                "new", systems=[System("gru")], runs=[run("gru", 1)], test_sets=[Texts("flickr", SOURCES, ["a"] * 3)]
            ),
            "test set flickr has other sentences in new than in mine",
        ),
        (
            comparison(
                "new",
                systems=[System("gru")],
                runs=[run("gru", 1)],
                test_sets=[Texts("flickr", ["a"] * 3, REFERENCES)],
            ),
            "test set flickr has other sentences in new than in mine",
        ),
        (
            comparison("new", runs=[run("lstm", 3)], systems=[System("lstm", "lstm", 9)]),
            "system lstm differs between mine and new; rename one",
        ),
        (
            comparison("new", runs=[run("lstm", 3, training={"updates": 20})], budget={"updates": 20.0}),
            "new has budget {'updates': 20.0} and parameters None, mine {'updates': 10.0} and None; they cannot be one",
        ),
        (
            comparison("new", runs=[run("lstm", 3, training={"updates": 20})], budget={}, parameters=5),
            "new has budget none and parameters 5, mine",
        ),
        (
            comparison("new", runs=[run("lstm", 3, "other")], test_sets=[Texts("other", SOURCES, REFERENCES)]),
            "run lstm, seed 2 did not translate other, which others did",
        ),
    ],
)
def test_what_is_not_one_comparison_is_not_merged(other: Results, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        merge([comparison(), other])


def test_a_merge_changes_neither_part() -> None:
    parts = [comparison(), foreign()]
    before = [dataclasses.asdict(part) for part in parts]
    merge(parts)
    assert [dataclasses.asdict(part) for part in parts] == before


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("".join(line + "\n" for line in SOURCES).encode())
    assert sha256_of_lines(SOURCES) == hashlib.sha256((tmp_path / "text").read_bytes()).hexdigest()
