"""The lecture's claims: what decides of each, and the cheap ones measured in small."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import lecture  # noqa: E402
from claims import britz, costs, delays, gradients, lengths  # noqa: E402
from claims.claim import Place, fit_power  # noqa: E402


def test_the_exponent_of_a_power_law_is_found_and_its_error_is_that_of_the_residuals() -> None:
    exact = fit_power([1, 2, 4, 8], [3 * n**1.5 for n in (1, 2, 4, 8)])
    assert (exact.exponent, exact.error) == (pytest.approx(1.5), pytest.approx(0, abs=1e-9))
    # Logarithms 0, 1, 1 over 0, 1, 2: slope 1/2, residuals -1/6, 1/3, -1/6, with squares of 1/6 over one degree of
    # freedom, and a spread of 2.
    noisy = fit_power([1, 2, 4], [1, 2, 2])
    assert (noisy.exponent, noisy.error) == (pytest.approx(0.5), pytest.approx((1 / 12) ** 0.5))


# Made-up figures: what is confirmed, and what is not


def norms(factor: float) -> list[dict[str, float]]:
    return [{"distance": d, "low": factor**d, "median": factor**d, "high": factor**d} for d in range(21)]


@pytest.mark.parametrize(
    ("lstm", "rnn", "is_confirmed"),
    [
        (0.9, 0.5, True),  # 0.9^20 = 0.12 is left, and 0.5^20
        (0.9, 0.85, False),  # 0.85^20 = 0.039
        (0.8, 0.5, False),  # the LSTM's vanishes as well: 0.012
    ],
)
def test_the_rnns_gradient_has_to_fall_by_100_and_the_lstms_by_no_more_than_10(
    lstm: float, rnn: float, is_confirmed: bool
) -> None:
    one = {"delay": 16, "first_symbol": 20, "norms": {"lstm": norms(lstm), "rnn": norms(rnn)}}
    judgement = gradients.judge({"delays": [one]})
    assert judgement.is_confirmed == is_confirmed, judgement.reasons


@pytest.mark.parametrize(
    ("rnn", "lstm", "is_confirmed"),
    [
        ([1.0, 0.9, 0.2, 0.0], [1.0, 1.0, 1.0, 0.1], True),
        ([0.4, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], False),  # it never solves any
        ([1.0, 1.0, 1.0, 0.9], [1.0, 1.0, 1.0, 1.0], False),  # it never fails
        ([1.0, 0.9, 0.2, 0.0], [1.0, 1.0, 0.8, 0.8], False),  # where it fails the LSTM does not succeed
        ([1.0, 0.0, 0.9, 0.7], [1.0, 1.0, 1.0, 1.0], False),  # it fails at 5 and not beyond
    ],
)
def test_the_rnn_has_to_fail_beyond_a_delay_that_the_lstm_solves(
    rnn: list[float], lstm: list[float], is_confirmed: bool
) -> None:
    judgement = delays.judge({"delays": [2, 5, 10, 20], "right": {"rnn": rnn, "lstm": lstm}})
    assert judgement.is_confirmed == is_confirmed, judgement.reasons


@pytest.mark.parametrize(
    ("lstm", "attention", "is_confirmed"),
    [((60, 20), (90, 80), True), ((60, 40), (90, 80), False), ((60, 20), (90, 50), False)],
)
def test_the_fixed_context_has_to_lose_half_and_attention_much_less(
    lstm: tuple[float, float], attention: tuple[float, float], is_confirmed: bool
) -> None:
    buckets = [
        {"words": words, "sentences": 9, "bleu": {"lstm": [a - 1.0, a + 1.0], "attention": [float(b)]}}
        for words, a, b in zip(("3-10", "51-60"), lstm, attention, strict=True)
    ]
    assert lengths.judge({"buckets": buckets}).is_confirmed == is_confirmed


BRITZ = {"lstm": 22.0, "gru": 21.6, "rnn": 15.0, "dot": 18.0, "none": 10.0}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"rnn": 21.5}, "NO: gru 21.6 > rnn 21.5"),
        ({"gru": 18.0}, "NO: gru and lstm differ by 4.0"),
        ({"none": 18.0}, "NO: none has 82% of its BLEU"),
        ({"dot": 23.0}, "NO: additive 22.0 >= dot 23.0"),
    ],
)
def test_all_of_britz_et_al_has_to_hold(changed: dict[str, float], reason: str | None) -> None:
    bleu = {name: [mean - 0.3, mean, mean + 0.3] for name, mean in (BRITZ | changed).items()}
    judgement = britz.judge({"bleu": bleu})
    assert judgement.is_confirmed == (reason is None)
    failed = [text for text in judgement.reasons if text.startswith("NO")]
    assert reason is None or any(text.startswith(reason) for text in failed), failed


@pytest.mark.parametrize(
    ("lstm", "scores", "is_confirmed"), [(1.02, 1.98, True), (1.3, 1.98, False), (1.02, 1.2, False)]
)
def test_linear_and_quadratic_are_exponents_near_1_and_2(lstm: float, scores: float, is_confirmed: bool) -> None:
    exponents = {"lstm": (lstm, 0.01), "written out": (scores, 0.01)}
    found = {"exponents": {name: {"seconds": one, "bytes": one} for name, one in exponents.items()}}
    assert costs.judge(found).is_confirmed == is_confirmed


# In small


def record(folder: Path, letter: str) -> dict[str, Any]:
    return json.loads((folder / f"{letter}.json").read_text(encoding="utf-8"))


def test_the_score_matrix_has_as_many_bytes_as_its_entries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lecture.main(["--claims", "e", "--toy", "--output_dir", str(tmp_path)]) == 0
    figures = record(tmp_path, "e")["figures"]
    entries = [costs.SENTENCES * costs.HEADS * n * n for n in figures["lengths"]]
    assert figures["bytes"]["written out"] == [4 * count for count in entries]
    assert figures["exponents"]["written out"]["bytes"] == [2, 0]
    assert figures["bytes"]["fused"][2] == 2 * figures["bytes"]["fused"][1]
    assert figures["bytes"]["lstm"][2] == pytest.approx(2 * figures["bytes"]["lstm"][1], rel=0.2)
    assert {path.name for path in tmp_path.glob("*.svg")} == {"e-bytes.svg", "e-seconds.svg"}
    said = capsys.readouterr().out
    assert f"e is {record(tmp_path, 'e')['verdict']}" in said and "written out" in said


def test_runs_are_trained_once_and_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--claims", "a", "--toy", "--jobs", "1", "--output_dir", str(tmp_path)]
    assert lecture.main(command) == 0
    weights = tmp_path / "copy-memory" / "lstm-2" / "model" / "model.safetensors"
    when = weights.stat().st_mtime_ns
    found = record(tmp_path, "a")["figures"]
    # the symbols, the delay and the end of the sentence
    assert [len(points) for points in found["delays"][0]["norms"].values()] == [delays.SYMBOLS + 2 + 1] * 3
    assert (tmp_path / "a-norms-2.svg").read_text(encoding="utf-8").startswith("<svg")
    assert lecture.main(command) == 0
    assert weights.stat().st_mtime_ns == when
    assert "a is " in capsys.readouterr().out


def test_britz_needs_multi30k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        ([], "claim d needs --data, a folder with train.de, train.en, val.de, val.en; or leave d out"),
        (["--data", str(tmp_path)], f"--data {tmp_path} has no train.de"),
    ):
        with pytest.raises(SystemExit):
            lecture.main(["--claims", "d", "--output_dir", str(tmp_path / "out"), *options])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_command_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    from claims.claim import run_commands

    with pytest.raises(ValueError, match=r"nothing.* \(all of it: .*one\.log\)"):
        run_commands(Place(tmp_path, jobs=1), {"one": [["test", str(tmp_path / "nothing")]]})
