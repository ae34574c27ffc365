"""Translating by length: BLEU against sacreBLEU, seconds and memory against a translation that takes known ones."""

import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from sacrebleu.metrics.bleu import BLEU

from seq2seq.analysis.length import Bucket, by_length
from seq2seq.analysis.sections import length_sections

CPU = torch.device("cpu")
SHORT, LONG = "ein Hund und eine {}", "ein Hund sieht einen Mann und eine alte {}"  # 5 and 9 words


@pytest.fixture(scope="module")
def references() -> list[str]:
    """21 short sentences and 30 long ones, which alternate while there are both."""
    return [line.format(number) for number in range(30) for line in (SHORT, LONG) if number < 21 or line == LONG]


def worse_if_long(lines: Sequence[str]) -> list[str]:
    return [line.replace("sieht einen", "hat") for line in lines]


def test_bleu_of_a_bucket_is_that_of_its_sentences(references: list[str]) -> None:
    found = by_length(worse_if_long, references, references, CPU)
    assert [bucket.label for bucket in found.buckets] == ["1-5 words", "6+ words"]
    for bucket, num_words in zip(found.buckets, (5, 9), strict=True):
        lines = [line for line in references if len(line.split()) == num_words]
        expected = BLEU(force=True).corpus_score(worse_if_long(lines), [lines])
        assert bucket.bleu.value == pytest.approx(expected.score)
        assert (bucket.num_sentences, bucket.mean_words) == (len(lines), num_words)
        expected = BLEU(force=True).corpus_score(worse_if_long(lines), [lines], n_bootstrap=1000)
        assert (bucket.bleu.low + bucket.bleu.high) / 2 == pytest.approx(expected._mean)
        assert (bucket.bleu.high - bucket.bleu.low) / 2 == pytest.approx(expected._ci)
    short, long = found.buckets
    assert short.bleu.value == pytest.approx(100) and long.bleu.value < 70
    assert "|tok:13a|" in found.signature and found.device.startswith("cpu, ")


def test_each_bucket_is_translated_on_its_own_shortest_first_in_equal_batches(references: list[str]) -> None:
    batches: list[list[str]] = []

    def translate(lines: Sequence[str]) -> Sequence[str]:
        batches.append([*lines])
        return lines

    by_length(translate, references, references, CPU)
    lengths = [{len(line.split()) for line in batch} for batch in batches]
    assert lengths == [{5}] * 7 + [{9}] * 8
    assert [len(batch) for batch in batches] == [8, *2 * [8, 8, 5], *2 * [8, 8, 8, 6]]  # the first warms up
    translated = [line for batch in batches[1:4] + batches[7:11] for line in batch]
    assert sorted(translated) == sorted(references)
    assert batches[1:4] == batches[4:7] and batches[7:11] == batches[11:]


def test_seconds_are_those_of_a_sentence_without_the_first_time(references: list[str]) -> None:
    seen = set()

    def translate(lines: Sequence[str]) -> Sequence[str]:
        time.sleep(len(lines) * len(lines[0].split()) * 0.0005 + (0 if lines[0] in seen else 0.1))
        seen.add(lines[0])
        return lines

    short, long = by_length(translate, references, references, CPU).buckets
    for bucket, seconds in ((short, 0.0025), (long, 0.0045)):
        assert seconds <= bucket.seconds.value < seconds + 0.01  # of a busy machine; 0.1 s / 8 would be 0.0125
        assert 0 <= bucket.seconds.low <= bucket.seconds.value <= bucket.seconds.high


def two_sizes(references: list[str]) -> list[Bucket]:
    def translate(lines: Sequence[str]) -> Sequence[str]:
        # The short ones take more, so their memory would lie free when the long ones' turn comes.
        pieces = [torch.ones(25_000) for _ in range(400 if len(lines[0].split()) == 5 else 150)]  # 100 kB each
        assert bool(pieces[-1].all())
        return lines

    return by_length(translate, references, references, CPU).buckets


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_what_a_batch_takes_whatever_was_freed_before(references: list[str]) -> None:
    # In a process of its own: what earlier tests have left in the heap cannot all be given back.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        short, long = process.submit(two_sizes, references).result(timeout=120)
    for bucket, expected in ((short, 40e6), (long, 15e6)):
        assert bucket.peak_bytes is not None
        assert bucket.peak_bytes.value == pytest.approx(expected, abs=2e6)
        assert bucket.peak_bytes.low <= bucket.peak_bytes.value <= bucket.peak_bytes.high


def test_where_nobody_counts_memory_the_page_says_so(references: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, *_: object, **__: object) -> int:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "write_text", refused)
    found = by_length(worse_if_long, references, references, CPU)
    assert [bucket.peak_bytes for bucket in found.buckets] == [None, None]
    html = "".join(section.html() for section in length_sections({"one": found}))
    assert "Memory was not measured" in html and "Memory by source" not in html and html.count("<svg ") == 2
    assert html.count('<td class="r">–</td>') == 2


def test_sentences_of_one_length_have_nothing_to_be_compared_with(references: list[str]) -> None:
    alike = [line for line in references if len(line.split()) == 5]
    with pytest.raises(
        ValueError, match="^the 21 pairs are too few, or too alike in length, .* at 1, 6, 11, .* 41 words$"
    ):
        by_length(worse_if_long, alike, alike, CPU)
