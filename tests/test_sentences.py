"""Kinds of sentences and faults of translations, counted by hand; chrF of sentences against the `sacrebleu` command."""

import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.evaluation.sentences import (
    MIN_SENTENCES,
    by_rarest_word,
    by_source_length,
    fault_shares,
    repeated_sequences,
    sentence_chrf,
    words,
)


def lines_of(lengths: dict[int, int]) -> list[str]:
    """So many lines (values) of so many words (keys)."""
    return [" ".join(["Wort"] * length) for length, count in lengths.items() for _ in range(count)]


def test_words_lose_the_punctuation_at_their_ends() -> None:
    assert words("Der Hund läuft.") == ["Der", "Hund", "läuft", "."]
    assert words("(Don't go-there...)") == ["(", "Don't", "go-there", "...)"]
    assert words(" 3,5 %\u2028»Ja«  ") == ["3,5", "%", "»", "Ja", "«"]
    assert words("... –") == ["...", "–"]
    assert words("हिन्दी।") == ["हिन्दी", "।"]  # vowel signs are no punctuation
    assert words(" \t") == []


def test_buckets_of_length_have_fixed_edges() -> None:
    sources = lines_of(dict.fromkeys((1, 5, 6, 10, 11, 15, 16, 20, 21, 30, 31, 40, 41, 90), 20))
    groups = by_source_length(sources)
    assert [group.label for group in groups] == [
        "1-5 words",
        "6-10 words",
        "11-15 words",
        "16-20 words",
        "21-30 words",
        "31-40 words",
        "41+ words",
    ]
    assert [group.rows for group in groups] == [list(range(start, start + 40)) for start in range(0, 280, 40)]


def test_small_buckets_are_merged_with_their_smaller_neighbour() -> None:
    groups = by_source_length(lines_of({3: 3, 8: 40, 12: 60, 18: 19, 25: 30, 50: 1}))
    # 41+ and the empty 31-40 go to 21-30, 16-20 to the smaller of 11-15 and 21+, and 1-5 to 6-10.
    assert [(group.label, len(group.rows)) for group in groups] == [
        ("1-10 words", 43),
        ("11-15 words", 60),
        ("16+ words", 50),
    ]


@pytest.mark.parametrize("lengths", [{4: 300}, {4: 19, 30: 1}, {7: 30, 50: MIN_SENTENCES - 1}, {}])
def test_one_bucket_alone_is_not_shown(lengths: dict[int, int]) -> None:
    assert by_source_length(lines_of(lengths)) == []


def test_every_sentence_is_in_one_bucket_in_order() -> None:
    sources = lines_of({0: 2, 2: 30, 9: 7, 33: 25, 14: 50})
    groups = by_source_length(sources[::-1])
    assert groups[0].label == "0-10 words"  # the empty sources as well
    assert sorted(row for group in groups for row in group.rows) == list(range(len(sources)))
    assert all(group.rows == sorted(group.rows) and len(group.rows) >= MIN_SENTENCES for group in groups)


def test_buckets_of_the_rarest_word() -> None:
    groups = by_rarest_word([0, 1, 9, 10, 99, 100, 999, 1000, 50_000] * 20)
    assert [(group.label, len(group.rows)) for group in groups] == [
        ("never seen", 20),
        ("seen 1-9 times", 40),
        ("seen 10-99 times", 40),
        ("seen 100-999 times", 40),
        ("seen 1000+ times", 40),
    ]
    groups = by_rarest_word([0] * 5 + [4] * 30 + [60] * 30)
    assert [(group.label, len(group.rows)) for group in groups] == [("seen 0-9 times", 35), ("seen 10+ times", 30)]


def test_repetitions_are_sequences_twice_in_a_row() -> None:
    assert repeated_sequences(words("the dog the dog sleeps")) == {("the", "dog")}
    assert repeated_sequences(words("a b c d a b c d")) == {("a", "b", "c", "d")}
    assert repeated_sequences(words("a b c d e a b c d e")) == set()
    assert repeated_sequences(words("the dog and the dog")) == set()
    assert ("very",) in repeated_sequences(words("a very very old dog"))


def test_faults_are_counted_as_defined() -> None:
    references = [
        "the dog sleeps on the sofa",
        "it is very very cold",
        "one two three four five six seven eight",
        "yes",
    ]
    sources = ["Quelle", "Quelle", "Quelle", "Quelle"]
    good = fault_shares([references], references, sources)
    assert good == {"length_ratio": 1.0, "repetition": 0, "over_translation": 0, "under_translation": 0, "empty": 0}
    bad = [
        "the dog The Dog sleeps on the sofa",  # 8 words for 6: repeats, and is 1.33 times as long
        "it is very very cold .",  # repeats what the reference repeats
        "one two three four five",  # 5 words for 8 is 0.625
        "",  # a word too few is not yet under-translation
    ]
    assert fault_shares([bad], references, sources) == {
        "length_ratio": 19 / 20,
        "repetition": 1 / 4,
        "over_translation": 1 / 4,
        "under_translation": 1 / 4,
        "empty": 1 / 4,
    }
    over_runs = fault_shares([references, bad], references, sources)
    assert over_runs["repetition"] == 1 / 8
    assert over_runs["length_ratio"] == 39 / 40


def test_an_empty_translation_of_nothing_is_no_fault() -> None:
    assert fault_shares([["", "", "."]], ["a dog", "", "x"], ["ein Hund", " ", "x"])["empty"] == pytest.approx(1 / 3)
    assert fault_shares([["", "", "."]], ["a dog", "", "x"], [])["empty"] == pytest.approx(1 / 3)  # sources unknown
    assert fault_shares([[""]], [""], [""])["length_ratio"] == 0


def test_chrf_of_sentences_equals_the_sacrebleu_command(tmp_path: Path) -> None:
    references = ["Der Hund läuft nicht.", "Ein kleines Haus am Fluss", "ja", "über", "", "Nein!"]
    hypotheses = ["Der Hund lief nicht.", "Ein Haus am großen Fluss", "nein", "", "etwas", "Nein!"]
    for name, lines in (("ref", references), ("hyp", hypotheses)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "chrf", "--sentence-level", "-b", "-w", "9"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    found = sentence_chrf(hypotheses, references)
    assert found == pytest.approx([float(line) for line in printed.split()], abs=1e-8)
    assert found[5] == 100 > found[0] > found[2]
