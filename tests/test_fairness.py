"""What was equal, and what it cost."""

import dataclasses
from typing import Any

import pytest

from seq2seq.evaluation.fairness import Equality, costs, equalities
from seq2seq.evaluation.results import Output, Results, Run, System
from seq2seq.evaluation.results import TestSet as Texts  # pytest would take a name that begins with Test for a test

SEARCH = {"beam_width": 5, "length_penalty": "average"}
ORIGIN = {
    "cpu": "Zuse Z3 (2 threads)",
    "device": "cpu",
    "num_threads": 2,
    "torch": "2.13.0",
    "train_sha256": "0123456789abcdef0123",
    "valid_sha256": "aa",
    "tokenizer_sha256": "bb",
}
TRAINING = {
    "parameters": 6_000_000,
    "target_tokens": 1_200_000,
    "updates": 1000,
    "minutes_in_updates": 20.0,
    "minutes": 23.0,
    "flops": 3_000_000_000_000_000,
    "peak_memory_bytes": 1_000,
}


def run(
    system: str,
    seed: int,
    *,
    search: dict[str, Any] = SEARCH,
    origin: Any = (),
    dropout: float = 0.2,
    lr: float = 1e-3,
    **training: Any,
) -> Run:
    outputs = {"test": Output(["ja"] * 30, 2.0, search), "long": Output(["ja"] * 30, 4.0, search)}
    model = {"d_model": len(system), "dropout": dropout, "optimization": {"lr": lr}, system: "only here"}
    config = {
        "data": {"max_tokens_per_batch": 1250, "seed": seed},
        "model": {"class_path": system, "init_args": model},
        "run_dir": f"runs/{system}-{seed}",
    }
    return Run(system, seed, outputs, training=TRAINING | training, origin=ORIGIN | dict(origin), config=config)


def foreign(system: str) -> Run:
    return Run(system, None, {"test": Output(["ja"] * 30), "long": Output(["ja"] * 30)})


def compared(*runs: Run, tried: int | None = 1, **fields: Any) -> Results:
    """These runs with a budget of 20 minutes, unless `fields` say otherwise."""
    systems = [System(name, configs_tried=tried) for name in dict.fromkeys(run.system for run in runs)]
    texts = [Texts("test", [], ["yes"] * 30), Texts("long", [], ["yes"] * 30)]
    return Results("fair", systems, texts, [*runs], **{"budget": {"minutes": 20.0}} | fields)


def named(results: Results, what: str) -> Equality:
    (found,) = [row for row in equalities(results) if row.what == what]
    return found


def test_a_fair_comparison_is_equal_in_everything() -> None:
    results = compared(*[run(system, seed) for system in ("lstm", "gru") for seed in (1, 2)], parameters=6_050_000)
    rows = equalities(results)
    assert [row.what for row in rows] == [
        "training data",
        "validation data",
        "tokenizer",
        "search",
        "budget",
        "parameters",
        "training tokens",
        "updates",
        "training minutes",
        "training FLOPs",
        "hardware",
        "software",
        "recipe",
        "number of seeds",
        "tuning effort",
    ]
    assert all(row.equal for row in rows)
    details = {row.what: row.detail for row in rows}
    assert details["training data"] == "sha256 0123456789abcdef"
    assert details["search"] == "beam_width 5, length_penalty average"
    assert details["budget"] == "20 training minutes for each"
    assert details["parameters"] == "lstm 6,000,000, gru 6,000,000"
    assert details["training FLOPs"] == "lstm 3e+15, gru 3e+15"
    assert details["hardware"] == "cpu Zuse Z3 (2 threads), device cpu, num_threads 2"
    assert details["recipe"] == "3 options alike"
    assert (details["number of seeds"], details["tuning effort"]) == ("2", "1 configuration")
    demanded = [row.what for row in rows if row.demanded]
    assert demanded == ["training data", "validation data", "tokenizer", "search", "budget", "parameters", "hardware"]


@pytest.mark.parametrize(
    ("what", "other", "detail"),
    [
        (
            "training data",
            run("gru", 1, origin={"train_sha256": "ff"}),
            "lstm: sha256 0123456789abcdef; gru: sha256 ff",
        ),
        ("tokenizer", run("gru", 1, origin={"tokenizer_sha256": "cc"}), "lstm: sha256 bb; gru: sha256 cc"),
        (
            "search",
            run("gru", 1, search={"beam_width": 1}),
            "lstm: beam_width 5, length_penalty average; gru: beam_width 1",
        ),
        ("budget", run("gru", 1, minutes_in_updates=15.1), "20 training minutes for each; gru, seed 1, spent 15.1"),
        ("budget", run("gru", 1, minutes_in_updates=20.5), "20 training minutes for each; gru, seed 1, spent 20.5"),
        ("parameters", run("gru", 1, parameters=5_800_000), "lstm 6,000,000, gru 5,800,000"),
        ("updates", run("gru", 1, updates=1021), "lstm 1,000, gru 1,021"),
        (
            "hardware",
            run("gru", 1, origin={"num_threads": 1}),
            "lstm: cpu Zuse Z3 (2 threads), device cpu, num_threads 2; "
            "gru: cpu Zuse Z3 (2 threads), device cpu, num_threads 1",
        ),
        ("software", run("gru", 1, origin={"torch": "2.6"}), "lstm: torch 2.13.0; gru: torch 2.6"),
    ],
)
def test_what_differs_is_named_with_its_systems(what: str, other: Run, detail: str) -> None:
    assert named(compared(run("lstm", 1), other, parameters=6_000_000), what) == Equality(
        what, False, detail, demanded=what not in ("updates", "software")
    )


def test_recipes_are_set_side_by_side_where_architectures_have_the_same_options() -> None:
    runs = [run("lstm", 1), run("lstm", 2), run("gru", 1, dropout=0.1, lr=2e-3), run("rnn", 1, lr=2e-3)]
    found = named(compared(*runs), "recipe")
    assert (found.equal, found.demanded) == (False, False)
    assert found.detail == (
        "model.dropout 0.2 (lstm and rnn), 0.1 (gru); model.optimization.lr 0.001 (lstm), 0.002 (gru and rnn)"
    )


def test_two_seeds_of_one_system_must_be_equal_as_well() -> None:
    results = compared(run("lstm", 1), run("gru", 1), run("gru", 2, origin={"train_sha256": "ff"}))
    found = named(results, "training data")
    assert (found.equal, found.detail) == (
        False,
        "lstm: sha256 0123456789abcdef; gru: sha256 0123456789abcdef or sha256 ff",
    )


@pytest.mark.parametrize(("spent", "equal"), [(19.61, True), (20.39, True), (19.59, False), (20.41, False)])
def test_a_budget_is_spent_within_two_percent(spent: float, equal: bool) -> None:
    assert named(compared(run("lstm", 1), run("gru", 1, minutes_in_updates=spent)), "budget").equal is equal


@pytest.mark.parametrize("kind", ["target_tokens", "updates", "flops"])
def test_a_budget_can_be_counted_otherwise(kind: str) -> None:
    amount = float(TRAINING[kind])
    results = compared(run("lstm", 1), run("gru", 1, minutes_in_updates=90.0), budget={kind: amount})
    assert named(results, "budget").equal
    assert not named(results, "training minutes").equal
    assert not named(results, "hardware").demanded  # only a budget of time depends on it
    half = run("gru", 1, **{kind: amount / 2})
    assert named(compared(run("lstm", 1), half, budget={kind: amount}), "budget").equal is False


def test_parameters_are_demanded_only_if_the_specification_says_how_many() -> None:
    runs = [run("lstm", 1), run("gru", 1, parameters=9_000_000)]
    assert named(compared(*runs), "parameters") == Equality("parameters", False, "lstm 6,000,000, gru 9,000,000", False)
    both_off = [run("lstm", 1), run("gru", 1)]
    assert (
        named(compared(*both_off, parameters=7_000_000), "parameters").equal is False
    )  # equal, but to nothing asked for


def test_a_missing_budget_is_unequal_unless_something_else_was_equal() -> None:
    other = run("gru", 1, minutes_in_updates=40.0, updates=500, target_tokens=9, flops=None)
    found = named(compared(run("lstm", 1), other, foreign("google"), budget={}), "budget")
    assert found == Equality("budget", False, "none was set: each training went as far as its configuration says", True)
    same_updates = run("gru", 1, minutes_in_updates=40.0, target_tokens=9, flops=1)
    found = named(compared(run("lstm", 1), same_updates, budget={}), "budget")
    assert (found.equal, found.detail) == (True, "none was set, but equal were updates")
    assert named(compared(run("lstm", 1), same_updates, foreign("google"), budget={}), "budget").equal is None


def test_of_foreign_systems_it_is_unknown() -> None:
    rows = {row.what: row for row in equalities(compared(run("lstm", 1), foreign("google"), tried=None))}
    assert all(row.equal is None for row in rows.values())
    assert rows["tokenizer"].detail == "lstm: sha256 bb; google: unknown"
    assert rows["parameters"].detail == "lstm 6,000,000, google unknown"
    assert rows["number of seeds"].detail == "lstm: 1; google: unknown"
    assert rows["tuning effort"].detail == "unknown"
    late = compared(run("lstm", 1, minutes_in_updates=30.0), foreign("google"))
    assert named(late, "budget").equal is False


def test_of_foreign_systems_alone_nothing_is_said_of_training_costs() -> None:
    results = compared(foreign("google"), foreign("deepl"), budget={}, tried=None)
    rows = equalities(results)
    assert {row.what for row in rows}.isdisjoint({"budget", "parameters", "updates", "training minutes"})
    assert {(row.equal, row.detail) for row in rows} == {(None, "unknown")}
    for cost in costs(results):
        assert set(dataclasses.asdict(cost).values()) == {cost.system, None}


def test_costs_are_means_over_the_runs() -> None:
    first, second = run("lstm", 1), run("lstm", 2, target_tokens=2_400_000, peak_memory_bytes=3_000, minutes=27.0)
    second.outputs["test"] = Output(["ja"] * 30, 6.0, SEARCH)
    (cost,) = costs(compared(first, second, tried=4))
    assert cost.parameters == 6_000_000
    assert cost.target_tokens == 1_800_000
    assert (cost.minutes, cost.minutes_total) == (20, 25)
    assert cost.tokens_per_s == (1000 + 2000) / 2
    assert cost.peak_memory_bytes == 2_000
    assert cost.sentences_per_s == (60 / 6 + 60 / 10) / 2
    assert cost.configs_tried == 4


def test_costs_that_some_runs_lack_are_means_of_the_others() -> None:
    (cost,) = costs(compared(run("lstm", 1), run("lstm", 2, flops=None, minutes_in_updates=0)))
    assert cost.flops == 3e15
    assert cost.tokens_per_s == 1000
