"""The controlled tasks: that each target is right, what the splits promise, and the two commands."""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DATA_SCRIPTS = Path(__file__).resolve().parents[1] / "data_scripts"
sys.path.insert(0, str(DATA_SCRIPTS))

import tasks  # noqa: E402
from demo_grammar import lexicon as lex  # noqa: E402

SIZES = {"train": 400, "valid": 60, "test": 60}
LETTERS = {"symbols": 26, "min_length": 1, "max_length": 10}
OPTIONS = {
    "copy": LETTERS,
    "reverse": LETTERS,
    "sort": LETTERS,
    "copy-memory": {"delay": 100, "min_delay": 0, "length": 10},
    "addition": {"digits": 3},
    "agreement": {"max_distance": 30},
}


def generate(task, *, seed=1, sizes=SIZES, **options):
    return tasks.generate(task, seed=seed, sizes=sizes, options=OPTIONS[task] | options)


@pytest.fixture(scope="module")
def corpora():
    return {task: generate(task) for task in tasks.TASKS}


def examples_of(splits):
    return [example for split in splits.values() for example in split]


# What is right


def test_a_copy_is_its_source(corpora):
    for example in examples_of(corpora["copy"]):
        assert re.fullmatch("[a-z]( [a-z]){0,9}", example.src)
        assert example.tgt == example.src


def test_a_reversed_source_reads_the_same_from_the_right(corpora):
    assert all(example.tgt == "".join(reversed(example.src)) for example in examples_of(corpora["reverse"]))


def test_a_sorted_source_has_its_letters_in_the_order_of_the_alphabet(corpora):
    for example in examples_of(corpora["sort"]):
        assert example.tgt.split() == [c for c in "abcdefghijklmnopqrstuvwxyz" for _ in range(example.src.count(c))]


@pytest.mark.parametrize("delay", [100, 200])
def test_what_stands_before_the_delay_is_to_be_remembered(delay):
    """Arjovsky et al. 2016, section 5.1: ten symbols, T - 1 blanks, the delimiter; then ten steps to write them in."""
    for example in examples_of(generate("copy-memory", delay=delay)):
        found = re.fullmatch(rf"([a-h](?: [a-h]){{9}})(?: _){{{delay - 1}}} go", example.src)
        assert found and found[1] == example.tgt and example.distance == delay
        assert len(example.src.split()) + len(example.tgt.split()) == delay + 20


def test_delays_may_differ_and_so_may_the_number_of_symbols():
    found = examples_of(generate("copy-memory", delay=6, min_delay=4, length=3, sizes=dict.fromkeys(SIZES, 100)))
    assert {example.distance for example in found} == {4, 5, 6}
    assert all(example.src == f"{example.tgt}{' _' * (example.distance - 1)} go" for example in found)
    assert {len(example.tgt.split()) for example in found} == {3}


def test_all_symbols_to_remember_are_equally_frequent(corpora):
    counts = Counter(symbol for example in corpora["copy-memory"]["train"] for symbol in example.tgt.split())
    assert sorted(counts) == list("abcdefgh")
    # 4000 symbols: 500 of each, with a standard deviation of 21
    assert all(abs(count - 500) < 4 * 21 for count in counts.values())


def test_a_sum_is_that_of_its_numbers(corpora):
    operands = []
    for example in examples_of(corpora["addition"]):
        assert re.fullmatch(r"\d( \d){0,2} \+ \d( \d){0,2}", example.src)
        a, b = example.src.replace(" ", "").split("+")
        assert example.tgt.replace(" ", "") == str(int(a) + int(b))
        assert example.tgt == " ".join(example.tgt.replace(" ", ""))
        operands += [a, b]
    assert not [number for number in operands if number != str(int(number))], "no number begins with a zero"
    assert {len(number) for number in operands} == {1, 2, 3}


def subject_of(words):
    """The number of the first noun of a sentence by the lexicon, and the words behind it."""
    adjectives = {adjective.english for adjective in lex.ADJECTIVES}
    start = 2 if words[1] in adjectives else 1
    forms = [(noun.english.split(), "singular") for noun in lex.NOUNS]
    forms += [(noun.english_plural.split(), "plural") for noun in lex.NOUNS]
    # The longest: a kitchen table is no kitchen.
    form, number = max((f for f in forms if words[start : start + len(f[0])] == f[0]), key=lambda f: len(f[0]))
    return number, words[start + len(form) :]


def test_a_verb_agrees_with_the_first_noun_which_is_so_many_words_away(corpora):
    for example in examples_of(corpora["agreement"]):
        number, behind = subject_of(example.src.split())
        assert example.tgt == number, example
        assert example.distance == len(behind), example


def test_what_has_forgotten_the_subject_is_right_in_half_of_the_sentences(corpora):
    """Behind the subject, each sentence has the same words as one whose subject has the other number."""
    for split in corpora["agreement"].values():
        answers = {}
        for example in split:
            answers.setdefault(" ".join(subject_of(example.src.split())[1]), []).append(example.tgt)
        for behind, numbers in answers.items():
            assert numbers.count("singular") == numbers.count("plural"), behind


def test_attractors_of_either_number_stand_between_subject_and_verb(corpora):
    plurals = {noun.english_plural for noun in lex.NOUNS}
    singulars = {noun.english for noun in lex.NOUNS} - plurals
    far = [e for e in examples_of(corpora["agreement"]) if e.distance >= 10]
    opposite = {"singular": plurals, "plural": singulars}
    attracted = [e for e in far if opposite[e.tgt] & set(subject_of(e.src.split())[1])]
    assert len(far) > 300
    assert 0.5 < len(attracted) / len(far) < 1
    assert {e.tgt for e in attracted} == {"singular", "plural"}


def test_all_distances_are_equally_frequent(corpora):
    counts = Counter(example.distance for example in corpora["agreement"]["train"])
    assert set(counts) == set(range(31))
    assert max(counts.values()) - min(counts.values()) <= 2  # one pair


# What the splits promise


@pytest.mark.parametrize("task", tasks.TASKS)
def test_no_source_occurs_twice(corpora, task):
    sources = [example.src for example in examples_of(corpora[task])]
    assert {name: len(split) for name, split in corpora[task].items()} == SIZES
    assert len(set(sources)) == len(sources)


@pytest.mark.parametrize("task", tasks.TASKS)
def test_a_seed_gives_the_same_examples_and_another_seed_others(corpora, task):
    assert generate(task) == corpora[task]
    assert not {e.src for e in generate(task, seed=2)["test"]} <= {e.src for e in corpora[task]["test"]}


@pytest.mark.parametrize("task", tasks.TASKS)
def test_the_test_sets_do_not_depend_on_the_size_of_train(corpora, task):
    smaller = generate(task, sizes=SIZES | {"train": 100})
    assert smaller == {**corpora[task], "train": corpora[task]["train"][:100]}


def test_every_length_is_there(corpora):
    for task in ("copy", "reverse", "sort"):
        assert {len(example.src.split()) for example in corpora[task]["train"]} == set(range(1, 11))


def test_the_files_are_the_same_everywhere(corpora):
    """Where this changes, `VERSION` has to go up."""
    content = b"".join(b"".join(tasks.corpus_files(corpora[task]).values()) for task in OPTIONS)
    assert hashlib.sha256(content).hexdigest() == "bd0c90b33da40178deef7b13eba1c6673fdec478cf66075d07ede551309cc895"


# The commands


def run(script, *arguments, cwd=None):
    command = [sys.executable, str(DATA_SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=cwd)


def assert_refused(result, *words):
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and ": error: " in result.stderr, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


FEW = ("--train", 20, "--valid", 4, "--test", 4)


@pytest.mark.parametrize("task", tasks.TASKS)
def test_the_command_writes_parallel_files_and_says_what_they_are(tmp_path, task):
    assert run("tasks.py", task, *FEW, cwd=tmp_path).returncode == 0
    folder = tmp_path / "data" / "tasks" / task
    fields = ("src", "tgt", "distance") if task in ("agreement", "copy-memory") else ("src", "tgt")
    names = {f"{split}.{field}" for split in SIZES for field in fields}
    assert {path.name for path in folder.iterdir()} == names | {"corpus.json"}
    description = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    assert description["name"] == task
    assert description["arguments"].items() >= {"train": 20, "valid": 4, "test": 4, "seed": 1}.items()
    for name in names:
        content = (folder / name).read_bytes()
        assert content.count(b"\n") == description["pairs"][name.split(".")[0]] and b"\r" not in content
        assert hashlib.sha256(content).hexdigest() == description["sha256"][name]


def test_a_second_run_does_nothing_and_another_task_is_refused(tmp_path):
    folder = tmp_path / "here"
    assert run("tasks.py", "copy", "--output", folder, *FEW).returncode == 0
    assert "nothing to do" in run("tasks.py", "copy", "--output", folder, *FEW).stdout
    assert_refused(run("tasks.py", "reverse", "--output", folder, *FEW), "no reverse corpus", "another folder")
    assert_refused(run("tasks.py", "copy", "--output", folder, *FEW, "--seed", 2), "'seed': 1", "'seed': 2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["TASK"]),
        (["copi"], ["copi", "copy"]),
        (["copy", "--symbols", 27], ["tasks.py copy", "--symbols is 27", "2 to 26"]),
        (["copy", "--train", 0], ["--train is 0", "at least 1"]),
        (["copy", "--delay", 5], ["--delay"]),
        (["sort", "--min_length", 4, "--max_length", 3], ["--min_length 4", "--max_length 3"]),
        (["copy-memory", "--min_delay", 9, "--delay", 8], ["--min_delay 9", "--delay 8"]),
        (["addition", "--digits", "many"], ["many"]),
        (["addition", "--digits", 1], ["addition", "11000 different sources", "--digits 1", "fewer"]),
        (["agreement", "--valid", 5, "--test", 4], ["--valid is 5", "even"]),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path, arguments, words):
    assert_refused(run("tasks.py", *arguments, cwd=tmp_path), *words)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def corpus(tmp_path):
    for ending, lines in (("src", ["a", "b", "a b", "c d"]), ("tgt", ["A", "B", "A B", "C D"])):
        (tmp_path / f"test.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "one" / "test").mkdir(parents=True)
    (tmp_path / "one" / "test" / "test.hyp.txt").write_text("A\nB\nA B\nC X\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("A\nx\nA\nC\n", encoding="utf-8")
    return tmp_path / "test"


def rows(result):
    assert (result.returncode, result.stderr) == (0, "")
    return [line.split() for line in result.stdout.splitlines()]


def test_accuracy_is_the_share_of_right_lines_by_source_length(corpus):
    assert rows(run("accuracy.py", corpus, corpus.parent / "one", corpus.parent / "two.txt")) == [
        ["distance", "lines", "one", "two.txt"],
        ["1", "2", "100.0", "50.0"],
        ["2", "2", "50.0", "0.0"],
        ["all", "4", "75.0", "25.0"],
    ]


def test_accuracy_is_by_distance_where_there_are_distances(corpus):
    Path(f"{corpus}.distance").write_text("3\n9\n0\n3\n", encoding="utf-8")
    one = corpus.parent / "one"
    assert rows(run("accuracy.py", corpus, one))[1:-1] == [
        ["0", "1", "100.0"],
        ["3", "2", "50.0"],
        ["9", "1", "100.0"],
    ]
    assert rows(run("accuracy.py", corpus, one, "--groups", 2))[1:-1] == [["0", "1", "100.0"], ["3-9", "3", "66.7"]]


def test_accuracy_names_what_is_missing(corpus):
    (corpus.parent / "two.txt").write_text("A\n", encoding="utf-8")
    assert_refused(run("accuracy.py", corpus, corpus.parent / "two.txt"), "two.txt has 1 lines", "test.tgt has 4")
    assert_refused(
        run("accuracy.py", corpus, corpus.parent), f"no file {corpus.parent}/test/test.hyp.txt", "seq2seq test"
    )
    assert_refused(run("accuracy.py", corpus.parent / "valid", corpus.parent / "one"), "valid.tgt")
    assert_refused(run("accuracy.py", corpus, corpus.parent / "one", "--groups", 0), "--groups is 0")
