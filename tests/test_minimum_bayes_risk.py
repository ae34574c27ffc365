"""Minimum Bayes risk: cases that can be computed by hand, and the translations of a model."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import sacrebleu

from seq2seq.bundle import Bundle, load_bundle
from seq2seq.decoding import SearchOptions, expected_utilities
from seq2seq.evaluation.metrics import sentence_score
from seq2seq.translator import Translator


def shared_words(hypothesis: str, reference: str) -> float:
    """Of the words of both, the share that is in both."""
    left, right = set(hypothesis.split()), set(reference.split())
    return len(left & right) / len(left | right)


def test_what_agrees_with_the_others_wins_over_what_is_more_probable() -> None:
    candidates = ["no idea", "a dog runs", "a dog walks", "the dog runs"]
    expected = expected_utilities(candidates, [0.35, 0.25, 0.2, 0.2], shared_words)
    assert list(expected) == ["a dog runs", "a dog walks", "the dog runs", "no idea"]
    assert list(expected.values()) == pytest.approx(
        [
            0.25 + 0.2 * 2 / 4 + 0.2 * 2 / 4,
            0.2 + 0.25 * 2 / 4 + 0.2 * 1 / 5,
            0.2 + 0.25 * 2 / 4 + 0.2 * 1 / 5,
            0.35,
        ]
    )


def test_equal_candidates_are_one_with_the_weight_of_all() -> None:
    """As samples are that come several times; weights need not sum to 1."""
    once = expected_utilities(["a b", "b c", "d"], [2.0, 1.0, 1.0], shared_words)
    assert expected_utilities(["a b", "d", "a b", "b c"], [1.0] * 4, shared_words) == pytest.approx(once)
    assert once == pytest.approx({"a b": (2 + 1 / 3) / 4, "b c": (1 + 2 / 3) / 4, "d": 1 / 4})


def test_one_candidate_is_chosen_however_improbable() -> None:
    assert expected_utilities(["a"], [1e-300], shared_words) == {"a": 1.0}


@pytest.mark.parametrize(("name", "truth"), [("bleu", sacrebleu.sentence_bleu), ("chrf", sacrebleu.sentence_chrf)])
def test_the_utilities_are_those_of_sacrebleu(name: str, truth: Callable[..., sacrebleu.metrics.base.Score]) -> None:
    texts = ["A dog runs.", "The dog runs over the grass, quickly.", "dog", "Eine Katze"]
    for hypothesis in texts:
        for reference in texts:
            assert sentence_score(name)(hypothesis, reference) == truth(hypothesis, [reference]).score


# Translations of a model

SAMPLING = SearchOptions(beam_width=1, num_samples=6, max_length_factor=1.0, max_length_offset=5)
BEAM = SearchOptions(beam_width=4, num_best=4, max_length_factor=1.0, max_length_offset=5)


@pytest.fixture(scope="module")
def bundle(bundle_folder: Path) -> Bundle:
    return load_bundle(bundle_folder)


@pytest.mark.parametrize("options", [SAMPLING, BEAM], ids=["samples", "beam"])
def test_a_translator_orders_its_candidates_by_expected_utility(
    bundle: Bundle, options: SearchOptions, sentences: list[str]
) -> None:
    utility = sentence_score("chrf")
    lines = [*sentences[:6], ""]
    candidates = Translator(bundle, options=options).translate_nbest(lines)
    translator = Translator(bundle, options=options, utility=utility)
    found = translator.translate_nbest(lines)
    for one, nbest in zip(candidates[:-1], found, strict=False):
        # The definition, over candidates with their repetitions; those of a beam count by their probability.
        weights = [1.0 if options.num_samples else math.exp(c.log_probability) for c in one]
        expected = {
            h.text: sum(w * utility(h.text, y.text) for w, y in zip(weights, one, strict=True)) / sum(weights)
            for h in one
        }
        assert {h.text: h.score for h in nbest} == pytest.approx(expected)
        assert [h.score for h in nbest] == sorted((h.score for h in nbest), reverse=True)
        assert all((h.log_probability, h.finished) in {c[2:4] for c in one} for h in nbest)
    assert [[h.text for h in nbest] for nbest in found[-1:]] == [[""]]
    assert translator.translate(lines) == [nbest[0].text for nbest in found]
    assert [one[0].text for one in candidates] != [nbest[0].text for nbest in found]  # or the order never mattered


def test_one_translation_is_nothing_to_choose_from(bundle: Bundle) -> None:
    message = "^minimum Bayes risk chooses among several translations; give num_samples, or num_best and beam_width, "
    for options in (SearchOptions(), SearchOptions(beam_width=1, num_samples=1)):
        with pytest.raises(ValueError, match=message):
            Translator(bundle, options=options, utility=shared_words)
