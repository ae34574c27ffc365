"""What the results of a comparison say: every number of a report, and what a reader must be warned of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seq2seq.evaluation.fairness import Cost, Equality, costs, equalities
from seq2seq.evaluation.metrics import METRICS
from seq2seq.evaluation.results import Results, Run, TestSet
from seq2seq.evaluation.scores import Pair, SystemScore, pairs_of, preferred, system_score
from seq2seq.evaluation.sentences import Group, by_rarest_word, by_source_length, fault_shares
from seq2seq.evaluation.significance import Scorer, Statistics

__all__ = ["Analysis", "Bucket", "Cost", "Equality", "Faults", "Pair", "SystemScore", "analyse"]

MIN_SEEDS = 3  # with fewer the spread of a recipe is a guess
MIN_SENTENCES = 500  # with fewer only large differences are significant


@dataclass(frozen=True)
class Bucket:
    """Score of the representative run on sentences of one kind: of a length, or with a rarest word of a frequency.

    Attributes:
        label: "6-10 words", "seen 10-99 times".
        low, high: 95 % interval under resampling of these sentences.
    """

    test_set: str
    system: str
    by: Literal["source length", "rarest word"]
    label: str
    num_sentences: int
    bleu: float
    low: float
    high: float


@dataclass(frozen=True)
class Faults:
    """How one system's translations go wrong on one test set, over all its runs.

    Attributes:
        length_ratio: words of the translations / words of the references.
        repetition: share of sentences in which a sequence of one to four words stands twice in a row where the
            reference has no such repetition.
        over_translation: share of sentences with more than 1.3 times the reference's words (and 2 words more).
        under_translation: share of sentences with less than 0.7 times the reference's words (and 2 words less).
        empty: share of empty translations of sources that are not.
    """

    test_set: str
    system: str
    length_ratio: float
    repetition: float
    over_translation: float
    under_translation: float
    empty: float


@dataclass(frozen=True)
class Analysis:
    """All that a report says beyond the results themselves.

    Attributes:
        signatures: of each metric, sacreBLEU's.
        representative: for each system the seed of the run that the tests on sentences take: the median one by
            validation BLEU, chosen without looking at a test set; None for a foreign system.
        cautions: what a reader must know first, one sentence each: demanded equality that does not hold, metrics that
            contradict each other, too few seeds, few sentences.
    """

    signatures: dict[str, str]
    representative: dict[str, int | None]
    cautions: list[str]
    equalities: list[Equality]
    scores: list[SystemScore]
    costs: list[Cost]
    pairs: list[Pair]
    buckets: list[Bucket]
    faults: list[Faults]


def analyse(results: Results) -> Analysis:
    """Compute everything.

    Raises:
        ValueError: a test set has no sentences.
    """
    runs = {system.name: results.runs_of(system.name) for system in results.systems}
    places = {name: _representative(of_system) for name, of_system in runs.items()}
    signatures: dict[str, str] = {}
    scores: list[SystemScore] = []
    pairs: list[Pair] = []
    buckets: list[Bucket] = []
    faults: list[Faults] = []
    for test in results.test_sets:
        if not test.references:
            raise ValueError(f"test set {test.name} has no sentences; leave it out")
        outputs = {name: [run.outputs[test.name].hypotheses for run in of_system] for name, of_system in runs.items()}
        for metric in METRICS:
            scorer = Scorer(metric, test.references)
            signatures[metric] = scorer.signature
            stats = {name: [scorer.statistics(hypotheses) for hypotheses in outputs[name]] for name in runs}
            chosen = {name: stats[name][places[name]] for name in runs}
            of_metric = [
                system_score(test.name, name, metric, scorer=scorer, runs=stats[name], representative=chosen[name])
                for name in runs
            ]
            scores += of_metric
            pairs += pairs_of(of_metric, scorer=scorer, representatives=chosen)
            if metric == "BLEU":
                buckets += _buckets(test, scorer, chosen)
        faults += [
            Faults(test.name, name, **fault_shares(outputs[name], test.references, test.sources)) for name in runs
        ]
    compared = equalities(results)
    return Analysis(
        signatures=signatures,
        representative={name: runs[name][place].seed for name, place in places.items()},
        cautions=[
            *(f"Unequal {row.what}: {row.detail}." for row in compared if row.demanded and row.equal is False),
            *contradictions(pairs),
            *_unknowns(results),
        ],
        equalities=compared,
        scores=scores,
        costs=costs(results),
        pairs=pairs,
        buckets=buckets,
        faults=faults,
    )


def _representative(runs: Sequence[Run]) -> int:
    """Place of the median run by validation BLEU: the lower of two in the middle, the first of equals."""

    def valid_bleu(place: int) -> float:
        final = runs[place].training.get("valid_bleu")  # not there if another figure chose the best weights
        return float(final) if final is not None else max((p.valid_bleu for p in runs[place].curve), default=0.0)

    return sorted(range(len(runs)), key=valid_bleu)[(len(runs) - 1) // 2]


def _buckets(test: TestSet, scorer: Scorer, chosen: Mapping[str, Statistics]) -> list[Bucket]:
    """BLEU of each kind of sentences; the statistics are those of the representative runs."""
    kinds: list[tuple[Literal["source length", "rarest word"], list[Group]]] = [
        ("source length", by_source_length(test.sources)),
        ("rarest word", by_rarest_word(test.rarest_word_frequency or [])),
    ]
    return [
        Bucket(test.name, name, by, group.label, len(group.rows), scorer.score(part), *scorer.interval(part))
        for by, groups in kinds
        for name, stats in chosen.items()
        for group in groups
        for part in [stats[group.rows]]
    ]


def contradictions(pairs: Sequence[Pair]) -> list[str]:
    """For each test set the pairs of systems of which one metric prefers one and another metric the other.

    A metric prefers the significantly better one; where there is none, the one whose mean over the seeds is better.
    """
    votes: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for pair in pairs:
        winner = pair.better or preferred(pair.metric, pair.seeds_difference)
        if winner:
            vote = pair.metric if pair.better else f"{pair.metric} (not significantly)"
            by_winner = votes.setdefault((pair.test_set, pair.a, pair.b), {})
            by_winner.setdefault(pair.a if winner == "a" else pair.b, []).append(vote)
    return [
        f"The metrics contradict each other on {test_set}: "
        + ", ".join(f"{name} is better by {' and '.join(metrics)}" for name, metrics in by_winner.items())
        + "."
        for (test_set, _, _), by_winner in votes.items()
        if len(by_winner) > 1
    ]


def _unknowns(results: Results) -> list[str]:
    """What too few seeds, too few sentences and systems trained elsewhere leave in the dark."""
    runs = {system.name: results.runs_of(system.name) for system in results.systems}
    foreign = [name for name, of_system in runs.items() if of_system[0].seed is None]
    few = [f"{name} {len(of)}" for name, of in runs.items() if len(of) < MIN_SEEDS and name not in foreign]
    short = [f"{t.name} {len(t.references)}" for t in results.test_sets if len(t.references) < MIN_SENTENCES]
    cautions = []
    if few:
        cautions.append(
            f"Too few seeds ({', '.join(few)}): with fewer than {MIN_SEEDS} nothing is known of the recipe, only of "
            "these models."
        )
    if short:
        cautions.append(
            f"Few sentences ({', '.join(short)}): with fewer than {MIN_SENTENCES} only large differences can be told "
            "from chance."
        )
    if foreign:
        cautions.append(
            f"Nothing is known of how {', '.join(foreign)} came to be: data, budget, size and search may be unequal."
        )
    return cautions
