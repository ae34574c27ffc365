"""Scores, against the `sacrebleu` command."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.evaluation.metrics import bleu_from_statistics, bleu_statistics, score


@pytest.fixture
def translations() -> tuple[list[str], list[str]]:
    """Sixty sentences and a damaged copy: capitals, punctuation, umlauts, blanks at the end, an empty line."""
    generator = random.Random(7)
    text = "Der die das Hund Katze läuft, schläft nicht; 3,5 % über U.S. straße ÄRGER . ? x-y don't"
    words = text.split()
    references = [" ".join(generator.choices(words, k=generator.randint(3, 25))) for _ in range(60)]
    hypotheses = []
    for line in references:
        kept = [word if generator.random() > 0.2 else generator.choice(words) for word in line.split()]
        hypotheses.append(" ".join(kept[: generator.randint(2, len(kept))]))
    hypotheses[5], hypotheses[6], hypotheses[7] = "", hypotheses[6].upper(), hypotheses[7] + "  "
    references[8] += " \t"
    return hypotheses, references


def sacrebleu_command(folder: Path, hypotheses: list[str], references: list[str], *options: str) -> dict[str, dict]:
    hyp, ref = folder / "hyp", folder / "ref"
    hyp.write_text("".join(line + "\n" for line in hypotheses), encoding="utf-8")
    ref.write_text("".join(line + "\n" for line in references), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", str(ref), "-i", str(hyp), "-m", "bleu", "chrf", "ter", "-w", "12"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return {result["name"].rstrip("2"): result for result in json.loads(done.stdout)}


@pytest.mark.parametrize(("lowercase", "options"), [(False, ()), (True, ("-lc", "--chrf-lowercase"))])
def test_scores_and_signatures_equal_the_sacrebleu_command_to_the_last_digit(
    tmp_path: Path, translations: tuple[list[str], list[str]], lowercase: bool, options: tuple[str, ...]
) -> None:
    expected = sacrebleu_command(tmp_path, *translations, *options)
    scores = score(*translations, lowercase=lowercase)
    assert [result.name for result in scores] == ["BLEU", "chrF", "TER"]
    for result in scores:
        assert round(result.value, 12) == expected[result.name]["score"]
        assert result.signature == expected[result.name]["signature"]
    assert 5 < scores[0].value < 95  # neither end of the scale, where anything would agree


def test_lowercase_ignores_case() -> None:
    references = ["The Cat sat on the Mat in Berlin"]
    hypotheses = ["the cat sat on THE mat in berlin"]
    cased, uncased = (score(hypotheses, references, lowercase=lowercase) for lowercase in (False, True))
    assert cased[0].value < 90
    assert cased[1].value < 90
    assert [result.value for result in uncased] == pytest.approx([100, 100, 0])
    assert cased[2].value == 0  # TER never minds the case
    assert ["case:lc" in result.signature for result in (*cased, *uncased)] == [False, False, True, True, True, True]


def test_summed_statistics_of_shards_give_the_corpus_bleu_exactly(translations: tuple[list[str], list[str]]) -> None:
    hypotheses, references = translations
    shards = [bleu_statistics(hypotheses[rank::3], references[rank::3]) for rank in range(3)]
    summed = [sum(numbers) for numbers in zip(*shards, bleu_statistics([], []), strict=True)]
    assert summed == bleu_statistics(hypotheses, references)
    assert bleu_from_statistics(summed) == score(hypotheses, references)[0].value
    assert summed == [sum(numbers) for numbers in zip(*shards, strict=True)]  # reading them did not change them


def test_bleu_from_statistics_smooths_as_the_corpus_score_does() -> None:
    hypotheses, references = ["a b c d e"], ["a b x c d y e z"]  # no 3-gram matches: smoothing decides
    assert bleu_statistics(hypotheses, references)[2] == 0
    assert bleu_from_statistics(bleu_statistics(hypotheses, references)) == score(hypotheses, references)[0].value > 0


def test_nothing_right_scores_zero() -> None:
    assert bleu_from_statistics(bleu_statistics(["x"], ["y"])) == 0.0
    assert bleu_from_statistics([0] * 10) == 0.0


def test_unequal_and_empty_inputs_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^2 hypotheses against 1 references; there must be one for each"):
        score(["a", "b"], ["a"])
    with pytest.raises(ValueError, match=r"^2 hypotheses against 1 references"):
        bleu_statistics(["a", "b"], ["a"])
    with pytest.raises(ValueError, match=r"^there are 0 sentences to score"):
        score([], [])
