"""What kinds of sentences a system is good at, and how its translations go wrong, from the text alone."""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sacrebleu.metrics.chrf import CHRF

SHORTEST_IN_BUCKETS = (0, 6, 11, 16, 21, 31, 41)  # source words of the shortest sentence in each bucket
RAREST_IN_BUCKETS = (0, 1, 10, 100, 1000)  # the same for occurrences in the training text
MIN_SENTENCES = 20  # in a bucket: the score of fewer says nothing

LONGEST_REPEATED = 4  # words
TOO_LONG, TOO_SHORT, MIN_WORDS_OFF = 1.3, 0.7, 2


@dataclass(frozen=True)
class Group:
    """Sentences of one kind.

    Attributes:
        label: "6-10 words", "seen 10-99 times".
        rows: their places in the test set.
    """

    label: str
    rows: list[int]


def words(text: str) -> list[str]:
    """The words of a text as this module counts them.

    What white space separates is a word, except that the punctuation marks and symbols at its ends are words of their
    own: `(Don't go-there...)` gives `(`, `Don't`, `go-there`, `...)`. Scripts without spaces are not segmented.
    """
    found = []
    for token in text.split():
        if token.isalnum():
            found.append(token)
            continue
        start, end = 0, len(token)
        while start < end and _is_mark(token[start]):
            start += 1
        while end > start and _is_mark(token[end - 1]):
            end -= 1
        found += [part for part in (token[:start], token[start:end], token[end:]) if part]
    return found


def by_source_length(sources: Sequence[str]) -> list[Group]:
    """The sentences by the number of words in the source, shortest first; see `_grouped`."""
    lengths = [len(words(source)) for source in sources]
    # An empty source is shorter than the shortest bucket's label says; usually there is none.
    edges = SHORTEST_IN_BUCKETS if 0 in lengths else (1, *SHORTEST_IN_BUCKETS[1:])
    return _grouped(lengths, edges, "{} words")


def by_rarest_word(frequencies: Sequence[int]) -> list[Group]:
    """The sentences by how often their rarest word stands in the training text, rarest first; see `_grouped`."""
    groups = _grouped(frequencies, RAREST_IN_BUCKETS, "seen {} times")
    return [Group("never seen", group.rows) if group.label == "seen 0-0 times" else group for group in groups]


def _grouped(values: Sequence[int], edges: Sequence[int], label: str) -> list[Group]:
    """Buckets between the edges, the smallest merged with its smaller neighbour until all hold enough sentences.

    One bucket alone says nothing that the whole test set does not: there are two or more, or none.
    """
    starts = list(edges)
    buckets: list[list[int]] = [[] for _ in starts]
    for row, value in enumerate(values):
        buckets[bisect_right(starts, value) - 1].append(row)
    while len(buckets) > 1 and len(smallest := min(buckets, key=len)) < MIN_SENTENCES:
        place = buckets.index(smallest)
        neighbours = [other for other in (place - 1, place + 1) if 0 <= other < len(buckets)]
        first = min(place, min(neighbours, key=lambda other: len(buckets[other])))
        buckets[first : first + 2] = [sorted(buckets[first] + buckets[first + 1])]
        del starts[first + 1]
    if len(buckets) == 1:
        return []
    ranges = [f"{start}-{end - 1}" for start, end in pairwise(starts)] + [f"{starts[-1]}+"]
    return [Group(label.format(one), rows) for one, rows in zip(ranges, buckets, strict=True)]


def fault_shares(
    outputs: Sequence[Sequence[str]], references: Sequence[str], sources: Sequence[str]
) -> dict[str, float]:
    """How translations go wrong; the keys and their definitions are those of `analysis.Faults`.

    Args:
        outputs: the translations of one or several runs.
        references: line for line.
        sources: line for line, or none if they are not known: then a reference stands in for its source.
    """
    reference_words = [words(reference.lower()) for reference in references]
    excused = [repeated_sequences(line) for line in reference_words]
    is_empty = [not source.strip() for source in sources or references]
    counts = dict.fromkeys(("repetition", "over_translation", "under_translation", "empty"), 0)
    length = 0
    for hypotheses in outputs:
        for row, hypothesis in enumerate(hypotheses):
            line = words(hypothesis.lower())
            length += len(line)
            excess = len(line) - len(reference_words[row])
            ratio = len(line) / max(1, len(reference_words[row]))
            counts["repetition"] += bool(repeated_sequences(line) - excused[row])
            counts["over_translation"] += ratio > TOO_LONG and excess >= MIN_WORDS_OFF
            counts["under_translation"] += ratio < TOO_SHORT and -excess >= MIN_WORDS_OFF
            counts["empty"] += not line and not is_empty[row]
    num_sentences = len(outputs) * len(references)
    reference_length = len(outputs) * sum(len(line) for line in reference_words)
    return {"length_ratio": length / max(1, reference_length)} | {
        name: count / max(1, num_sentences) for name, count in counts.items()
    }


def repeated_sequences(line: Sequence[str]) -> set[tuple[str, ...]]:
    """The sequences of one to four words that stand twice in a row."""
    return {
        tuple(line[start : start + size])
        for size in range(1, LONGEST_REPEATED + 1)
        for start in range(len(line) - 2 * size + 1)
        if line[start : start + size] == line[start + size : start + 2 * size]
    }


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF of each sentence alone, in percent: what `sacrebleu -m chrf --sentence-level` prints.

    For sorting sentences, not for judging them: the score of one sentence is mostly noise.
    """
    chrf = CHRF()
    pairs = zip(hypotheses, references, strict=True)
    return [float(chrf.sentence_score(hypothesis, [reference]).score) for hypothesis, reference in pairs]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
