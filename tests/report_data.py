"""Comparisons made up for the tests of the report: no model, no metric, the same at every call."""

import base64
import itertools
import random

from seq2seq.evaluation.analysis import Analysis, Bucket, Cost, Equality, Faults, Pair, SystemScore
from seq2seq.evaluation.results import Attention, Output, Point, Results, Run, System, TestSet

NAMES = ["lstm", "attention", "transformer", "lstm-wide", "attention-deep", "transformer-pre", "transformer-post"]
NAMES += ["a-system-with-a-long-name", "online"]
METRICS = {"BLEU": 36.0, "chrF": 58.0, "TER": 45.0}
SUBJECTS = {"Ein Mann": "A man", "Eine Frau": "A woman", "Ein Kind": "A child", "Der Hund": "The dog"}
VERBS = {"sieht": "sees", "trägt": "carries", "malt": "paints", "sucht": "looks for"}
OBJECTS = {"einen Ball": "a ball", "ein Boot": "a boat", "den Fluss": "the river", "eine Brücke": "a bridge"}
HOSTILE = [
    "<script>document.title = 'run'</script>",
    '</script><img src="x" onerror="document.title=\'run\'"> "quotes" & &lt;ampersands&gt;',
    "הכלב רואה את הנהר",
    "one line\u2028still the same line",
    "| a | table |\n<!-- in two lines -->",
]


def sentence_pair(rng: random.Random) -> tuple[str, str]:
    """German and its English translation, of three to twelve phrases."""
    clauses = []
    for _ in range(rng.randint(1, 4)):
        phrases = [rng.choice(list(words.items())) for words in (SUBJECTS, VERBS, OBJECTS)]
        clauses.append([" ".join(side) for side in zip(*phrases, strict=True)])
    german, english = (" und ".join(side) for side in zip(*clauses, strict=True))
    return german + ".", english.replace(" und ", " and ") + "."


def translated(reference: str, rng: random.Random) -> str:
    """The reference with some words replaced or lost."""
    words = [word if rng.random() > 0.15 else rng.choice(["boat", "", "sees", "a"]) for word in reference.split()]
    return " ".join(filter(None, words))


def attention_of(source: str, target: str, rng: random.Random) -> Attention:
    """Weights that run along the diagonal, but for chance."""
    pieces = [[f"▁{word}" for word in text.split()] + ["</s>"] for text in (source, target)]
    weights = b""
    for row in range(len(pieces[1])):
        centre = row * len(pieces[0]) / len(pieces[1])
        raw = [2.0 ** -abs(column - centre) * rng.uniform(0.5, 1) for column in range(len(pieces[0]))]
        weights += bytes(round(255 * weight / sum(raw)) for weight in raw)
    return Attention(*pieces, base64.b64encode(weights).decode())


def make_results(
    num_systems: int = 3, num_seeds: int = 3, num_sentences: int = 40, *, hostile: bool = False, foreign: bool = False
) -> Results:
    """A comparison on two test sets.

    Args:
        hostile: the first system's translations of the first test set begin with `HOSTILE`, and the names are hostile.
        foreign: nothing is known but references and translations.
    """
    rng = random.Random(7)
    names = [f'<i>{name}</i> & "co"' if hostile else name for name in NAMES[:num_systems]]
    tests = []
    for name, count in (("test_2016_flickr", num_sentences), ("test_2017_flickr", num_sentences // 2)):
        sources, references = map(list, zip(*(sentence_pair(rng) for _ in range(count)), strict=True))
        frequencies = [rng.randrange(2000) for _ in sources]
        tests.append(TestSet(name, [], references) if foreign else TestSet(name, sources, references, frequencies))
    runs = []
    for index, name in enumerate(names):
        for seed in [None] if foreign else range(1, num_seeds + 1):
            outputs = {}
            for test in tests:
                lines = [translated(reference, rng) for reference in test.references]
                if hostile and index == 0 and test is tests[0]:
                    lines[: len(HOSTILE)] = HOSTILE
                maps: list[Attention | None] = []
                if index > 0 and seed == 1:  # of a large test set only some, as they take their time
                    some = list(zip(test.sources, lines, strict=True))[:100]
                    maps = [attention_of(*pair, rng) for pair in some] + [None] * (len(lines) - len(some))
                outputs[test.name] = Output(lines, 12.5, {"beam_width": 5}, maps)
            runs.append(
                Run(name, seed, outputs) if foreign or seed is None else trained(name, index, seed, outputs, rng)
            )
    systems = [System(name, None if foreign else name.split("-")[0], None if foreign else 2) for name in names]
    budget = {} if foreign else {"minutes": 20.0}
    name = "<i>multi30k</i>" if hostile else "multi30k"
    return Results(name, systems, tests, runs, budget, None if foreign else 6_000_000)


def trained(name: str, index: int, seed: int, outputs: dict[str, Output], rng: random.Random) -> Run:
    """A run of 2,400 updates."""
    speed = [2100, 1500, 2600][index % 3]
    top = 24 + 5 * (index % 3) + rng.uniform(-0.4, 0.4)
    curve = [
        Point(step, step * 900, step * 900 / speed / 60, top * (1 - 0.995 ** (step / 3)), 2 + 2 * 0.99**step)
        for step in range(200, 2401, 200)
    ]
    training = {
        "parameters": 5_950_000 + 30_000 * (index % 3),
        "updates": 2400,
        "target_tokens": 2_160_000,
        "minutes": curve[-1].minutes + 2,
        "minutes_in_updates": curve[-1].minutes,
        "valid_bleu": curve[-1].valid_bleu,
    }
    origin = {"host_cpu": "Xeon, 2 cores", "torch": "2.13.0", "bundle_sha256": f"{rng.getrandbits(256):064x}"}
    commands = [
        f"seq2seq fit --config configs/multi30k/{name}.yaml --seed_everything {seed}",
        f"seq2seq test {name}-{seed}",
    ]
    config = {"model": {"class_path": name, "init_args": {"d_model": 256, "dropout": 0.15}}, "seed_everything": seed}
    return Run(name, seed, outputs, training, curve, config, commands, origin)


def make_analysis(results: Results) -> Analysis:
    """Numbers for every place of the report; they are not computed from the results' text."""
    rng = random.Random(11)
    names = [system.name for system in results.systems]
    is_foreign = results.runs[0].seed is None
    scores, pairs, buckets, faults, costs = [], [], [], [], []
    for test, (metric, top) in itertools.product(results.test_sets, METRICS.items()):
        for index, name in enumerate(names):
            mean = top + 4 * (index % 3) - 4 + 0.3 * index
            values = [mean + rng.uniform(-0.4, 0.4) for _ in results.runs_of(name)]
            deviation = None if len(values) < 2 else 0.31
            scores.append(
                SystemScore(test.name, name, metric, values, mean, deviation, values[0], mean - 1.2, mean + 1.1)
            )
        for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
            difference = 4.0 * (i % 3 - j % 3) + 0.3 * (i - j)
            clear = abs(difference) > 1.5
            winner = ("a" if (difference > 0) != (metric == "TER") else "b") if clear else None
            p = 0.0003 if clear else 0.21
            recipe = (None, None, None) if is_foreign else (difference - 0.6, difference + 0.6, p)
            agreement = None if metric == "TER" else 0.72
            pairs.append(
                Pair(
                    *(test.name, metric, a, b),
                    *(difference, p, 3 * p, p, 3 * p, agreement),
                    *(difference, *recipe),
                    better=winner,
                    better_recipe=None if is_foreign else winner,
                )
            )
    for test, (index, name) in itertools.product(results.test_sets, enumerate(names)):
        share = rng.uniform(0.01, 0.05)
        faults.append(Faults(test.name, name, 0.97, share, share / 2, share / 3, 0.0))
        if test.sources:
            for place, label in enumerate(["1-5 words", "6-10 words", "11-15 words", "16-20 words", "21+ words"]):
                bleu = 30 + 4 * (index % 3) + 0.3 * index - (1.5 + 2 * (index % 3 == 0)) * place
                bucket = (test.name, name, "source length", label, 40 + place, bleu, bleu - 2, bleu + 2)
                buckets.append(Bucket(*bucket))
            for place, label in enumerate(["never seen", "seen 1-9 times", "seen 10-99 times", "seen 100-999 times"]):
                bleu = 28 + 4 * (index % 3) + 1.4 * place
                buckets.append(Bucket(test.name, name, "rarest word", label, 30 + place, bleu, bleu - 2, bleu + 2))
    for index, name in enumerate(names):
        nothing = [None] * 9
        measured = [5.95e6 + 3e4 * (index % 3), 2.16e6 + 1e5 * index, 2400, 17.1 + index, 19.0 + index, 4.1e15]
        measured += [[2100.0, 1500.0, 2600.0][index % 3], 7.4e8 + 2e8 * index, 41.0 - 6 * (index % 3)]
        costs.append(Cost(name, *(nothing if is_foreign else measured), None if is_foreign else 2))
    equalities = [
        Equality("training data", None if is_foreign else True, "29,000 pairs, SHA-256 0f3a1c", True),
        Equality("tokenizer", None if is_foreign else True, "BPE of 4,000 pieces, one for all", True),
        Equality("updates", False, "lstm 2,400, attention 1,800, transformer 3,100", False),
    ]
    return Analysis(
        signatures={metric: f"nrefs:1|case:mixed|of:{metric}|version:2.6.0" for metric in METRICS},
        representative={name: results.runs_of(name)[-1].seed for name in names},
        cautions=["BLEU prefers attention and chrF prefers lstm on test_2017_flickr, both significantly."],
        equalities=equalities,
        scores=scores,
        costs=costs,
        pairs=pairs,
        buckets=buckets,
        faults=faults,
    )
