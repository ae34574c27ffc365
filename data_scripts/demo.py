"""Generates the demo corpus: German-English sentence pairs from our own grammar, the same for a seed everywhere.

    python data_scripts/demo.py data/demo
    python data_scripts/demo.py data/demo-deep --seed 7 --train 50000 --depth 3

OUT_DIR gets train, valid, test and test_long, each as .de and .en, and corpus.json, which says what they are. train,
valid and test hold sentences of 3 to 30 words with at most --depth levels of nested clauses. test_long holds sentences
of 31 to 60 words, as many of each length as of any other, nested deeper than anything in train. No sentence, German or
English, occurs twice. test_long, test and valid are drawn first: they stay the same whatever --train says. The grammar
lives in demo_grammar/.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from corpus_folder import OneLineParser, holds_corpus, write_corpus
from demo_grammar.dice import Dice
from demo_grammar.english import english
from demo_grammar.german import german
from demo_grammar.meaning import Sentence
from demo_grammar.sampling import Sampler

VERSION = 1  # of the grammar: goes up whenever the same arguments give other sentences
MIN_WORDS, MAX_WORDS, MAX_LONG_WORDS = 3, 30, 60
DEPTHS = range(1, 5)
LONG_EXTRA_DEPTH = 3
DEFAULTS = {"seed": 1, "train": 12000, "valid": 500, "test": 500, "test_long": 300, "depth": 2}


class Pair(NamedTuple):
    """A sentence in both languages with its meaning tree."""

    de: str
    en: str
    tree: Sentence


def num_words(text: str) -> int:
    """The number of words, as separated by blanks."""
    return text.count(" ") + 1


def generate(
    *,
    seed: int = DEFAULTS["seed"],
    train: int = DEFAULTS["train"],
    valid: int = DEFAULTS["valid"],
    test: int = DEFAULTS["test"],
    test_long: int = DEFAULTS["test_long"],
    depth: int = DEFAULTS["depth"],
) -> dict[str, list[Pair]]:
    """The splits of the corpus by name.

    Args:
        seed: of all choices.
        train: number of pairs; likewise valid, test and test_long.
        depth: levels of nested clauses in train, valid and test; test_long has one to three more.

    Returns:
        The pairs of train, valid, test and test_long.
    """
    dice = Dice(seed)
    seen: set[str] = set()

    def unseen(draw: Callable[[], Sentence], min_words: int, max_words: int) -> Iterator[Pair]:
        """Endlessly, pairs whose two sentences are of the wanted length and new."""
        while True:
            tree = draw()
            pair = Pair(german(tree), english(tree), tree)
            fits = all(min_words <= num_words(text) <= max_words for text in pair[:2])
            if fits and pair.de not in seen and pair.en not in seen:
                yield pair

    def take(pair: Pair) -> Pair:
        seen.update(pair[:2])
        return pair

    long_sampler = Sampler(dice, branching=0.5)
    num_lengths = MAX_LONG_WORDS - MAX_WORDS
    quota = {MAX_WORDS + 1 + i: test_long // num_lengths + (i < test_long % num_lengths) for i in range(num_lengths)}
    long_pairs: list[Pair] = []
    candidates = unseen(
        lambda: long_sampler.sentence(depth + 1 + dice.below(LONG_EXTRA_DEPTH)), MAX_WORDS + 1, MAX_LONG_WORDS
    )
    while len(long_pairs) < test_long:
        pair = next(candidates)
        if quota[num_words(pair.de)] > 0:
            quota[num_words(pair.de)] -= 1
            long_pairs.append(take(pair))

    sampler = Sampler(dice)
    # Each further level of nested clauses is half as frequent as the one before it.
    weights = {level: 2 ** (depth - level) for level in range(depth + 1)}
    candidates = unseen(lambda: sampler.sentence(dice.weighted(weights)), MIN_WORDS, MAX_WORDS)
    splits = {
        name: [take(next(candidates)) for _ in range(n)]
        for name, n in (("test", test), ("valid", valid), ("train", train))
    }
    return {"train": splits["train"], "valid": splits["valid"], "test": splits["test"], "test_long": long_pairs}


def corpus_files(splits: dict[str, list[Pair]]) -> dict[str, bytes]:
    """The bytes of each file of the corpus, one sentence a line."""
    return {
        f"{name}.{language}": "".join(getattr(pair, language) + "\n" for pair in pairs).encode()
        for name, pairs in splits.items()
        for language in ("de", "en")
    }


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = OneLineParser(prog="demo.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out_dir", metavar="OUT_DIR", type=Path, help="folder to write; must not hold anything else")
    for name, default in DEFAULTS.items():
        what = {"seed": "seed of all choices", "depth": "levels of nested clauses in train, valid and test, 1 to 4"}
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=int,
            default=default,
            help=f"{what.get(name, f'pairs in {name}')} (default: {default})",
        )
    options = vars(parser.parse_args(argv))
    out_dir: Path = options.pop("out_dir")
    arguments: dict[str, int] = options
    for name, value in arguments.items():
        if name == "depth" and value not in DEPTHS:
            parser.error(f"--depth is {value}; it must be {DEPTHS[0]} to {DEPTHS[-1]}")
        least = 0 if name == "seed" else 1
        if value < least:
            parser.error(f"--{name} is {value}; it must be at least {least}")
    try:
        if holds_corpus(out_dir, "demo", VERSION, arguments):
            print(f"{out_dir} holds this corpus already: nothing to do")
            return 0
        files = corpus_files(generate(**arguments))
        write_corpus(
            out_dir,
            files,
            {
                "name": "demo",
                "origin": "generated by data_scripts/demo.py of seq2seq from its own grammar",
                "licence": "CC0-1.0",
                "version": VERSION,
                "arguments": arguments,
                "pairs": {name: arguments[name] for name in ("train", "valid", "test", "test_long")},
            },
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    pairs = ", ".join(f"{arguments[name]} {name}" for name in ("train", "valid", "test", "test_long"))
    print(f"{out_dir}: {pairs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
