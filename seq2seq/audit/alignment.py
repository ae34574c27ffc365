"""Which pairs of a corpus are probably no translations of each other, and where one side is shifted against the other.

The words judge. IBM Model 1 learns from one half of an even sample which words translate which and scores the other
half, and the other way round. The score of a pair is the log-likelihood ratio of its words, those of each side given
the other side, against their frequencies. What scores mean is seen on shuffled pairs, of targets of like length.

Single pairs: `_suspects`. A pair with fewer than seven words that say something is never one: four and three, say.
Stretches that are shifted: `seq2seq.audit.shifts`.

What `benchmarks/audit.py` found of planted faults (2026-11-23), precision / recall over all lines; of sentences cut in
half it finds one in a hundred at most:

    de-en                           Multi30k       Tatoeba      news
    pairs                             29,000       159,145    27,743
    suspects as it is                      1            46        24
    1 % of the targets swapped   0.94 / 0.93   0.81 / 0.89   0.75 / 0.95
    5 %                          0.98 / 0.99   0.88 / 0.97   0.90 / 0.98
    1 % with ones of like length 0.92 / 0.97   0.83 / 0.80   0.80 / 0.89
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from seq2seq.audit.findings import MOST_LINES, Finding, Section
from seq2seq.audit.model1 import BothWays, Floats, Ints, Score, Sentences, Words
from seq2seq.audit.shifts import OFFSETS, SHORTEST, Stretch, doubtful, trace
from seq2seq.cleaning.sentences import cut
from seq2seq.corpus import iter_pairs

LEAST_PAIRS = 1000
_MOST_PAIRS, _MOST_CHARACTERS = 250_000, 40_000_000  # of the sample
_TELLING = 0.5  # of the pairs score above shuffled ones; less, and perhaps most are shifted. Of clean corpora 0.94 do.
_CHANCE = 0.1
_LEARN_SHIFTED = 5000  # of the first lines, where perhaps most are shifted
_MOST_CELLS = 2_000_000  # word by word, of the pairs that one model learns from
_LEAST_TYPES = 500  # in text; a task's alphabet may say nothing about its answers, as in addition

# A pair is compared with shuffled ones that have as many words that say something: from .. to below the next.
_CLASSES = (7, 11, 17, 26, 41, 1000)
_LEAST_SHUFFLED = 50  # of a class
_QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99)
_PURITY = 0.8  # of the suspects
_WARN_SHARE = 0.005  # Multi30k has 0.0001, Tatoeba 0.0006, news 0.0015


class _Corpus(NamedTuple):
    spec: str
    src_lang: str
    tgt_lang: str


class _Sample(NamedTuple):
    """Every `step`-th pair of a corpus of `total` pairs."""

    src: list[str]
    tgt: list[str]
    step: int
    total: int


def examine_alignment(spec: str, src_lang: str, tgt_lang: str, name: str) -> Section:
    """Looks for pairs that are no translations of each other and for stretches that are shifted.

    Args:
        spec: a corpus, as `seq2seq.corpus.iter_pairs` reads it; read once, and again where something is wrong.
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.
        name: what the corpus is called in the findings.

    Raises:
        FileNotFoundError, ValueError: as `iter_pairs`.
    """
    corpus = _Corpus(spec, src_lang, tgt_lang)
    section = Section(f"alignment of {name}")
    sample = _every_few(corpus)
    section.figures = {"pairs": sample.total, "looked_at": len(sample.src), "step": sample.step}
    if sample.total < LEAST_PAIRS:
        section.text.append(
            f"{sample.total:,} pairs: too few to learn from which words translate which ({LEAST_PAIRS:,} are needed)"
        )
        return section
    which = "all" if sample.step == 1 else f"every {sample.step}th"
    section.text.append(f"{sample.total:,} pairs, {which} looked at")

    judge = _Judge(sample)
    scores, shuffled = judge.sample(), judge.shuffled()
    telling = _telling(scores, shuffled)
    if telling < _TELLING and len(judge.words) < _LEAST_TYPES:
        section.text.append(f"{len(judge.words)} different words, which say little about each other: no judgement")
        return section
    shifted = _shifted_judge(corpus, sample, telling) if telling < _TELLING else None
    if shifted:
        stretches = _trace(corpus, shifted, sample, [(0, len(sample.src) - 1)])
        section.text.append("single pairs are not judged, because most lines are shifted")
    elif telling > _CHANCE:
        stretches = _trace(corpus, judge, sample, doubtful(scores.total))
        _report_suspects(section, name, sample, scores, shuffled, stretches)
    else:
        stretches = [Stretch(0, sample.total - 1, None)]
    _report_stretches(section, name, corpus, stretches)
    return section


def _every_few(corpus: _Corpus) -> _Sample:
    src: list[str] = []
    tgt: list[str] = []
    step, total, size = 1, 0, 0
    for some_src, some_tgt in iter_pairs(*corpus):
        first = -total % step
        src += some_src[first::step]
        tgt += some_tgt[first::step]
        size += sum(map(len, chain(some_src[first::step], some_tgt[first::step])))
        total += len(some_src)
        while len(src) > _MOST_PAIRS or size > _MOST_CHARACTERS:
            src, tgt, step = src[::2], tgt[::2], 2 * step
            size = sum(map(len, chain(src, tgt)))
    return _Sample(src, tgt, step, total)


class _Judge:
    """Two models, each of which scores the pairs that the other one learns from, so that no pair explains itself."""

    def __init__(self, sample: _Sample) -> None:
        self.words = Words()
        self.step = sample.step
        self.src, self.tgt = self.words.read(sample.src), self.words.read(sample.tgt)
        cells = (self.src.lengths + 1) * (self.tgt.lengths + 1)
        self._models = []
        for half in (0, 1):
            rows = np.flatnonzero(_half(np.arange(len(cells))) == half)
            every = 1 + int(cells[rows].sum()) // _MOST_CELLS
            self._models.append(BothWays(self.src, self.tgt, rows[::every], len(self.words)))

    def sample(self) -> Score:
        """Scores of the sample's pairs."""
        rows = np.arange(len(self.src.starts) - 1)
        return self._score(self.src, rows, self.tgt, rows, rows)

    def shuffled(self) -> Score:
        """Scores of each source beside the target of another one, of like length."""
        lengths = self.tgt.lengths
        order = np.lexsort((np.random.default_rng(1).random(len(lengths)), lengths))
        return self._score(self.src, order, self.tgt, np.roll(order, 1), order)

    def score(self, lines: list[int], src: list[str], tgt: list[str]) -> Floats:
        """Scores of other pairs, whose sources stand on some lines, from 0."""
        rows = np.arange(len(lines))
        return self._score(self.words.read(src), rows, self.words.read(tgt), rows, np.array(lines) // self.step).total

    def _score(self, src: Sentences, src_rows: Ints, tgt: Sentences, tgt_rows: Ints, of_sample: Ints) -> Score:
        """Scores of pairs of rows; of_sample: row of the sample on or behind which each pair lies."""
        total, words = np.zeros(len(src_rows)), np.zeros(len(src_rows), dtype=np.int64)
        for half, model in enumerate(self._models):
            chosen = np.flatnonzero(_half(of_sample) != half)
            if len(chosen):
                total[chosen], words[chosen] = model.score(src, src_rows[chosen], tgt, tgt_rows[chosen])
        return Score(total, words)


def _half(rows: Ints) -> Ints:
    """0 or 1 for each row, as if drawn: every other row may be of one kind."""
    return (rows * 0x9E3779B1 >> 16) & 1


def _telling(scores: Score, shuffled: Score) -> float:
    """Share of the pairs that score higher than all but one in twenty shuffled ones."""
    return float(np.mean(scores.mean() > np.quantile(shuffled.mean(), 0.95)))


def _shifted_judge(corpus: _Corpus, sample: _Sample, telling: float) -> _Judge | None:
    """One that has learnt from pairs at another offset, where more of these tell something than `telling`."""
    texts = _read(corpus, range(min(sample.total, _LEARN_SHIFTED)))
    src = [pair[0] for pair in texts.values()]
    for offset in sorted(OFFSETS, key=abs)[1:]:
        tgt = [texts.get(line + offset, ("", ""))[1] for line in texts]
        judge = _Judge(_Sample(src, tgt, 1, sample.total))
        # News of one article share words: a neighbour's neighbour may tell something too.
        if _telling(judge.sample(), judge.shuffled()) > max(telling, _TELLING):
            return judge
    return None


class _Suspects(NamedTuple):
    rows: Ints  # of the sample
    share: float  # of pairs that are no translations, as estimated
    found: float  # share of shuffled pairs that would be suspects


def _suspects(scores: Score, shuffled: Score) -> _Suspects:
    """Pairs whose words fit no better than those of shuffled pairs.

    Below the median of the shuffled pairs hardly any translation is found, so what lies there tells how many pairs are
    misaligned: twice as many. Above it translations begin to mix in. The threshold is the highest quantile of the
    shuffled pairs below which four of five pairs are misaligned by that estimate, so it is higher where more is wrong.
    """
    mean, shuffled_mean = scores.mean(), shuffled.mean()
    rows: list[Ints] = []
    misaligned = found = judged = 0.0
    for least, below in pairwise(_CLASSES):
        there = np.flatnonzero((scores.words >= least) & (scores.words < below))
        others = shuffled_mean[(shuffled.words >= least) & (shuffled.words < below)]
        if len(others) < _LEAST_SHUFFLED:
            continue
        thresholds = np.quantile(others, _QUANTILES)
        lower = [int(np.sum(mean[there] < threshold)) for threshold in thresholds]
        estimate = lower[0] / _QUANTILES[0]
        chosen = max(i for i, part in enumerate(_QUANTILES) if i == 0 or lower[i] * _PURITY <= estimate * part)
        rows.append(there[mean[there] < thresholds[chosen]])
        misaligned += estimate
        judged += len(there)
        found += _QUANTILES[chosen] * len(others) / len(shuffled_mean)
    return _Suspects(np.sort(np.concatenate([np.empty(0, dtype=np.int64), *rows])), misaligned / max(judged, 1), found)


def _report_suspects(
    section: Section, name: str, sample: _Sample, scores: Score, shuffled: Score, stretches: list[Stretch]
) -> None:
    """Adds what there is to say about single pairs."""
    apart = np.ones(len(sample.src), dtype=bool)
    for stretch in stretches:
        apart[-(-stretch.first // sample.step) : stretch.last // sample.step + 1] = False
    rows, share, found = _suspects(Score(scores.total[apart], scores.words[apart]), shuffled)
    rows = np.flatnonzero(apart)[rows]
    section.figures |= {"suspects": len(rows), "misaligned_share": share, "found_share": found}
    section.text.append(
        f"{len(rows):,} of them ({len(rows) / len(sample.src):.2%}) look like no translations of each other; of pairs "
        f"put together at random {found:.0%} would"
    )
    if not len(rows):
        return
    worst = rows[np.argsort(scores.total[rows])][:3]
    # The estimate less two standard deviations of the count behind it.
    certain = share * (1 - 2 / len(rows) ** 0.5) > _WARN_SHARE
    message = f"{len(rows):,} of the {len(sample.src):,} pairs of {name} that were looked at"
    section.findings.append(
        Finding(
            "misaligned",
            "warning" if certain else "note",
            f"{message} are probably no translations of each other, by estimate {share:.1%}; look at some, and "
            "remove them where that is true"
            if certain
            else f"{message} fit badly; clean corpora have as many, mostly free translations: nothing to do",
            tuple(_example(name, int(row) * sample.step, sample.src[row], sample.tgt[row]) for row in worst),
            tuple(int(row) * sample.step + 1 for row in rows),
        )
    )


def _trace(corpus: _Corpus, judge: _Judge, sample: _Sample, stretches: list[tuple[int, int]]) -> list[Stretch]:
    """What is shifted in some stretches of the sample; see `shifts.trace`."""

    def score(lines: list[int]) -> Floats:
        texts = _read(corpus, {line + offset for line in lines for offset in OFFSETS})
        src = [texts[line][0] for line in lines]
        tgt = ([texts.get(line + offset, ("", ""))[1] for line in lines] for offset in OFFSETS)
        return np.stack([judge.score(lines, src, texts) for texts in tgt], axis=1)

    return trace(score, stretches, step=sample.step, total=sample.total)


def _report_stretches(section: Section, name: str, corpus: _Corpus, stretches: list[Stretch]) -> None:
    section.figures["stretches"] = [
        {"first": first + 1, "last": last + 1, "offset": offset} for first, last, offset in stretches
    ]
    if not stretches:
        shortest = SHORTEST * section.figures["step"]
        section.text.append(f"no stretch is shifted (one of {shortest:,} lines or more would be seen)")
    shown = {stretch: range(stretch.first, min(stretch.first + 3, stretch.last + 1)) for stretch in stretches}
    texts = _read(corpus, chain.from_iterable(shown.values()))
    for first, last, offset in stretches:
        where = f"{name} lines {first + 1:,} to {last + 1:,}"
        if offset is None:
            message = f"{where}: hardly any fits its target, or one near; look whether both sides are of one text"
        else:
            count = f"{abs(offset)} line{'s' if abs(offset) > 1 else ''}"
            side, fault = ("below", f"lacks {count}") if offset < 0 else ("above", f"has {count} too many")
            message = (
                f"{where} are shifted: each target belongs to the source {count} {side}; before line {first + 1:,} the "
                f"target {fault}, or the source the other way round: mend it there"
            )
        section.findings.append(
            Finding(
                "misaligned" if offset is None else "shifted",
                "warning" if offset is None else "error",
                message,
                tuple(_example(name, line, *texts[line]) for line in shown[Stretch(first, last, offset)]),
                tuple(range(first + 1, min(last + 2, first + 1 + MOST_LINES))),
            )
        )


def _read(corpus: _Corpus, lines: Iterable[int]) -> dict[int, tuple[str, str]]:
    """The pairs on some lines, from 0; lines that are not there are left out."""
    wanted = sorted(set(lines))
    found: dict[int, tuple[str, str]] = {}
    total = 0
    if not wanted:
        return found
    for src, tgt in iter_pairs(*corpus):
        for line in wanted[bisect_left(wanted, total) : bisect_left(wanted, total + len(src))]:
            found[line] = src[line - total], tgt[line - total]
        total += len(src)
        if total > wanted[-1]:
            break
    return found


def _example(name: str, line: int, src: str, tgt: str) -> str:
    return f"{name} line {line + 1}: {cut(src, 80)} ||| {cut(tgt, 80)}"
