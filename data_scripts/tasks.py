"""Generates tasks whose answer is known exactly, each of which asks one thing of a model: see docs/tasks.md.

    python data_scripts/tasks.py copy
    python data_scripts/tasks.py copy-memory --delay 200 --output data/tasks/copy-memory-200
    python data_scripts/tasks.py agreement --max_distance 20 --seed 7

OUTPUT gets train, valid and test, each as .src and .tgt, one sentence a line, symbols separated by spaces, and
corpus.json, which says what they are; of agreement also train.distance and so on, a number a line. The same arguments
give the same files everywhere. No source occurs twice. test and valid are drawn first: they stay the same whatever
--train says.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from agreement import minimal_pairs
from corpus_folder import OneLineParser, holds_corpus, write_corpus
from demo_grammar.dice import Dice
from demo_grammar.sampling import Sampler

VERSION = 1  # goes up whenever the same arguments give other files
SYMBOLS = "abcdefghijklmnopqrstuvwxyz"
MEMORY_SYMBOLS, BLANK, GO = SYMBOLS[:8], "_", "go"
SIZES = {"train": 10000, "valid": 500, "test": 500}
MANY = 10**9
_MOST_REPEATED = 100_000  # draws in a row that gave nothing new, after which there is hardly anything left


class Example(NamedTuple):
    """A source with its only right target."""

    src: str
    tgt: str
    distance: int | None = None  # tokens between what has to be remembered and where it is asked for


Draw = Callable[[Dice, dict[str, int]], Iterator[tuple[Example, ...]]]
"""Endlessly, examples that belong into the same split: one, or a minimal pair."""


def _sequences(answer: Callable[[list[str]], list[str]]) -> Draw:
    """Letters, and what `answer` makes of them; every length is as frequent as any other."""

    def draw(dice: Dice, options: dict[str, int]) -> Iterator[tuple[Example, ...]]:
        while True:
            length = options["min_length"] + dice.below(options["max_length"] - options["min_length"] + 1)
            src = [SYMBOLS[dice.below(options["symbols"])] for _ in range(length)]
            yield (Example(" ".join(src), " ".join(answer(src))),)

    return draw


def _copy_memory(dice: Dice, options: dict[str, int]) -> Iterator[tuple[Example, ...]]:
    """Some symbols, a delay, in whose last place stands the go signal, and the symbols once more."""
    min_delay = options["min_delay"] or options["delay"]
    while True:
        remembered = [dice.choice(MEMORY_SYMBOLS) for _ in range(options["length"])]
        delay = min_delay + dice.below(options["delay"] - min_delay + 1)
        src = [*remembered, *[BLANK] * (delay - 1), GO]
        yield (Example(" ".join(src), " ".join(remembered), delay),)


def _addition(dice: Dice, options: dict[str, int]) -> Iterator[tuple[Example, ...]]:
    """Two numbers, digit by digit, and their sum; numbers of one digit are as frequent as those of any other length."""

    def number() -> int:
        length = 1 + dice.below(options["digits"])
        least = 10 ** (length - 1) if length > 1 else 0
        return least + dice.below(10**length - least)

    while True:
        a, b = number(), number()
        yield (Example(" ".join(f"{a}+{b}"), " ".join(str(a + b))),)


def _agreement(dice: Dice, options: dict[str, int]) -> Iterator[tuple[Example, ...]]:
    """What precedes a verb, and the number that the verb has to have; all distances are equally frequent."""
    for pair in minimal_pairs(Sampler(dice, branching=0.5), max_distance=options["max_distance"]):
        yield (
            Example(pair.singular, "singular", pair.distance),
            Example(pair.plural, "plural", pair.distance),
        )


class Option(NamedTuple):
    default: int
    least: int
    most: int
    help: str


class Task(NamedTuple):
    help: str
    draw: Draw
    options: dict[str, Option]
    num_together: int = 1  # examples that are drawn at once


_SEQUENCE = {
    "symbols": Option(26, 2, 26, "different letters"),
    "min_length": Option(1, 1, 1000, "letters of the shortest source"),
    "max_length": Option(10, 1, 1000, "letters of the longest source"),
}
TASKS = {
    "copy": Task("the letters of the source", _sequences(list), _SEQUENCE),
    "reverse": Task("the letters of the source from the last to the first", _sequences(lambda s: s[::-1]), _SEQUENCE),
    "sort": Task("the letters of the source in the order of the alphabet", _sequences(sorted), _SEQUENCE),
    "copy-memory": Task(
        "the symbols before a delay",
        _copy_memory,
        {
            "delay": Option(100, 1, 10000, "T, the blanks and the go signal"),
            "min_delay": Option(0, 0, 10000, "the shortest, where delays differ; 0: all are --delay"),
            "length": Option(10, 1, 1000, "symbols to remember"),
        },
    ),
    "addition": Task("the sum of two decimal numbers", _addition, {"digits": Option(3, 1, 100, "of either number")}),
    "agreement": Task(
        "singular or plural, as the subject",
        _agreement,
        {"max_distance": Option(50, 0, 60, "most words between subject and verb")},
        num_together=2,
    ),
}


def generate(task: str, *, seed: int, sizes: dict[str, int], options: dict[str, int]) -> dict[str, list[Example]]:
    """The splits of a task by name.

    Args:
        task: one of `TASKS`.
        seed: of all choices.
        sizes: examples in train, valid and test.
        options: the task's own.

    Raises:
        ValueError: there are not so many different sources, or pairs that a split would tear apart.
    """
    draws = TASKS[task].draw(Dice(seed), options)
    seen: set[str] = set()
    splits: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}
    for name, size in sizes.items():
        if size % TASKS[task].num_together:
            raise ValueError(f"--{name} is {size}; {task} comes in pairs, so it must be even")
    for name in reversed(splits):
        split, num_repeated = splits[name], 0
        while len(split) < sizes[name]:
            examples = next(draws)
            sources = {example.src for example in examples}
            if sources & seen:
                num_repeated += 1
                if num_repeated == _MOST_REPEATED:
                    asked = f"{sum(sizes.values())} different sources"
                    given = " ".join(f"--{option} {value}" for option, value in options.items())
                    raise ValueError(f"{task} has not {asked} with {given}; ask for fewer or let them be longer")
                continue
            seen |= sources
            split += examples
            num_repeated = 0
    return splits


def corpus_files(splits: dict[str, list[Example]]) -> dict[str, bytes]:
    """The bytes of each file, one example a line."""
    files = {}
    for name, examples in splits.items():
        for field in Example._fields:
            values = [getattr(example, field) for example in examples]
            if None not in values:
                files[f"{name}.{field}"] = "".join(f"{value}\n" for value in values).encode()
    return files


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = OneLineParser(prog="tasks.py", description=(__doc__ or "").split("\n")[0])
    subparsers = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, task in TASKS.items():
        subparser = subparsers.add_parser(name, help=task.help, prog=f"tasks.py {name}", description=task.help)
        subparser.add_argument(
            "--output", metavar="DIR", type=Path, help=f"folder to write (default: {Path('data/tasks', name)})"
        )
        options = {
            **task.options,
            **{split: Option(size, 1, MANY, f"examples in {split}") for split, size in SIZES.items()},
            "seed": Option(1, 0, MANY, "of all choices"),
        }
        for key, option in options.items():
            text = f"{option.help} (default: {option.default})"
            subparser.add_argument(f"--{key}", metavar="N", type=int, default=option.default, help=text)
        subparser.set_defaults(parser=subparser, limits=options)
    parsed = vars(parser.parse_args(argv))
    name, parser, limits = parsed.pop("task"), parsed.pop("parser"), parsed.pop("limits")
    out_dir: Path = parsed.pop("output") or Path("data/tasks", name)
    arguments: dict[str, int] = parsed
    for key, value in arguments.items():
        least, most = limits[key].least, limits[key].most
        if not least <= value <= most:
            parser.error(
                f"--{key} is {value}; it must be {f'{least} to {most}' if most < MANY else f'at least {least}'}"
            )
    for low, high in (("min_length", "max_length"), ("min_delay", "delay")):
        if low in arguments and arguments[low] > arguments[high]:
            parser.error(f"--{low} {arguments[low]} is above --{high} {arguments[high]}")
    sizes = {split: arguments[split] for split in SIZES}
    try:
        if holds_corpus(out_dir, name, VERSION, arguments):
            print(f"{out_dir} holds this corpus already: nothing to do")
            return 0
        options = {key: arguments[key] for key in TASKS[name].options}
        files = corpus_files(generate(name, seed=arguments["seed"], sizes=sizes, options=options))
        write_corpus(
            out_dir,
            files,
            {
                "name": name,
                "origin": "generated by data_scripts/tasks.py of seq2seq",
                "licence": "CC0-1.0",
                "version": VERSION,
                "arguments": arguments,
                "pairs": sizes,
            },
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"{out_dir}: " + ", ".join(f"{size} {split}" for split, size in sizes.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
