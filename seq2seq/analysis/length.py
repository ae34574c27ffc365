"""Translating by the length of the source: how good it is, how long it takes, and how much memory.

An encoder with one fixed vector has as much room for fifty words as for five, attention looks at each of them. So the
former should lose BLEU as sentences grow, the latter not (Cho et al. 2014; Bahdanau et al. 2015, figure 2).

Time and memory are those of batches with equally many sentences. Batches of equally many tokens, as `translate` makes
them, hold more of the short sentences, and a bucket of a few sentences would not fill one.
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from seq2seq.device_memory import with_peak
from seq2seq.evaluation.sentences import MIN_SENTENCES, SHORTEST_IN_BUCKETS, by_source_length, words
from seq2seq.evaluation.significance import Scorer, interval_of_mean

# Each bucket has two full batches or more, so their mean has an interval; a multiple of 8: see `models.products`.
SENTENCES_AT_ONCE = 8
Translate = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bucket:
    """Sentences of similar length, and what it is to translate them.

    Attributes:
        label: "6-10 words".
        num_sentences: in it.
        mean_words: of their sources.
        bleu: of their translations; interval if other sentences were drawn.
        seconds: for one sentence, mean over the full batches.
        peak_bytes: the most memory at a time beyond what model and program hold, mean over the full batches; None if
            nobody counts it.
    """

    label: str
    num_sentences: int
    mean_words: float
    bleu: Estimate
    seconds: Estimate
    peak_bytes: Estimate | None


@dataclass(frozen=True)
class ByLength:
    """All buckets of one model.

    Attributes:
        signature: of BLEU, sacreBLEU's.
        device: that translated: "cpu, 2 threads", or a GPU's name.
        sentences_at_once: in a batch.
        buckets: two or more, shortest first.
    """

    signature: str
    device: str
    sentences_at_once: int
    buckets: list[Bucket]


def by_length(
    translate: Translate, sources: Sequence[str], references: Sequence[str], device: torch.device
) -> ByLength:
    """Translate each bucket on its own, shortest first: once for BLEU and memory, then once more for the time.

    Args:
        translate: lines as one batch; their translations.
        sources: raw text.
        references: line for line.
        device: of the model.

    Raises:
        ValueError: there are no two buckets.
    """
    groups = by_source_length(sources)
    if not groups:
        edges = ", ".join(map(str, SHORTEST_IN_BUCKETS[1:]))
        raise ValueError(
            f"the {len(sources):,} pairs are too few, or too alike in length, to be compared by it; give text with "
            f"{MIN_SENTENCES} or more sentences in two of the buckets, which begin at 1, {edges} words"
        )
    translate([sources[row] for row in groups[0].rows[:SENTENCES_AT_ONCE]])  # what a first use takes shall not count
    buckets = []
    for group in groups:
        lines, expected = ([text[row] for row in group.rows] for text in (sources, references))
        batches = [lines[start : start + SENTENCES_AT_ONCE] for start in range(0, len(lines), SENTENCES_AT_ONCE)]
        outputs: list[str] = []
        peaks, seconds = [], []
        for batch in batches:
            found, peak = with_peak(device, functools.partial(translate, batch))
            outputs += found
            if peak is not None and len(batch) == SENTENCES_AT_ONCE:
                peaks.append(peak)
        for batch in batches:  # now nothing is new, and no memory was just given back
            begin = time.perf_counter()
            translate(batch)  # gives text, so a GPU has ended as well
            if len(batch) == SENTENCES_AT_ONCE:
                seconds.append((time.perf_counter() - begin) / len(batch))
        scorer = Scorer("BLEU", expected)
        stats = scorer.statistics(outputs)
        buckets.append(
            Bucket(
                group.label,
                len(lines),
                fmean(len(words(line)) for line in lines),
                Estimate(scorer.score(stats), *scorer.interval(stats)),
                _mean(seconds),
                _mean(peaks) if peaks else None,
            )
        )
    return ByLength(scorer.signature, _name_of(device), SENTENCES_AT_ONCE, buckets)


def _mean(values: Sequence[float]) -> Estimate:
    interval = interval_of_mean(values)
    assert interval is not None, "every bucket has two full batches"
    return Estimate(fmean(values), max(0.0, interval[0]), interval[1])


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    number = torch.get_num_threads()
    return f"{device}, {number} {'thread' if number == 1 else 'threads'}"
