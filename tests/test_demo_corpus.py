"""The demo corpus: what it promises for every sentence, and the command that writes it."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DATA_SCRIPTS = Path(__file__).resolve().parents[1] / "data_scripts"
sys.path.insert(0, str(DATA_SCRIPTS))

import demo  # noqa: E402
from demo_grammar import lexicon as lex  # noqa: E402
from demo_grammar.dice import Dice  # noqa: E402
from demo_grammar.english import english  # noqa: E402
from demo_grammar.german import german  # noqa: E402
from demo_grammar.meaning import depth  # noqa: E402
from demo_grammar.sampling import Sampler  # noqa: E402

SUBORDINATORS = "weil|obwohl|wenn|als|bevor|dass|ob"


@pytest.fixture(scope="module")
def corpus():
    return demo.generate()


@pytest.fixture(scope="module")
def german_sentences(corpus):
    return [pair.de for pairs in corpus.values() for pair in pairs]


def finite_forms():
    """Every finite form, as it stands at the end of a subordinate clause (aufmacht) or second (macht)."""
    second, last = set(), set()
    for word in (*lex.VERBS, *lex.MODALS):
        prefix = getattr(word, "prefix", "")
        for forms in (word.present, word.preterite or ()):
            second.update(forms)
            last.update(prefix + form for form in forms)
    return second, last | {"hat", "hast", "habe", "haben", "bin", "bist", "ist", "sind"}


def test_the_default_corpus_is_the_same_everywhere(corpus):
    content = b"".join(demo.corpus_files(corpus).values())
    assert hashlib.sha256(content).hexdigest() == "34a10a205c8772afeba53bda0e5ba445c6fb8e486326c1e992b27513b7387ad1"


def test_the_default_corpus_has_the_promised_sizes(corpus):
    assert {name: len(pairs) for name, pairs in corpus.items()} == {
        "train": 12000,
        "valid": 500,
        "test": 500,
        "test_long": 300,
    }


def test_no_sentence_of_either_language_occurs_twice(corpus):
    for side in (0, 1):
        sentences = [pair[side] for pairs in corpus.values() for pair in pairs]
        assert len(set(sentences)) == len(sentences)


def test_lengths_from_3_to_30_words_occur_in_train_and_31_to_60_in_test_long(corpus):
    lengths = {name: [len(pair.de.split()) for pair in pairs] for name, pairs in corpus.items()}
    for name in ("train", "valid", "test"):
        assert min(lengths[name]) >= 3 and max(lengths[name]) <= 30
    assert set(lengths["train"]) == set(range(3, 31))
    assert {length: lengths["test_long"].count(length) for length in range(31, 61)} == dict.fromkeys(range(31, 61), 10)
    assert 10 <= sum(lengths["train"]) / 12000 <= 13


def test_the_english_of_test_long_is_longer_than_all_of_train_too(corpus):
    assert min(len(pair.en.split()) for pair in corpus["test_long"]) > max(
        len(pair.en.split()) for pair in corpus["train"]
    )


def test_test_long_is_nested_deeper_than_anything_in_train(corpus):
    assert {depth(pair.tree) for pair in corpus["train"]} == {0, 1, 2}
    assert {depth(pair.tree) for pair in corpus["test_long"]} == {3, 4, 5}


def test_the_text_is_clean(corpus):
    sentence = re.compile(r"[A-ZÄÖÜ0-9][\w'’]*(,? [\w'’]+)*[.?]")
    for pairs in corpus.values():
        for pair in pairs:
            for text in pair[:2]:
                assert sentence.fullmatch(text), text
            assert sorted(re.findall(r"\d+", pair.de)) == sorted(re.findall(r"\d+", pair.en)), pair


def test_the_vocabulary_is_compact(corpus):
    for side, limit in ((0, 540), (1, 320)):
        words = {word.strip(".,?").lower() for pair in corpus["train"] for word in pair[side].split()}
        assert 250 < len([word for word in words if not word.isdigit()]) < limit


def test_subordinate_and_relative_clauses_end_in_their_finite_verb(german_sentences):
    _, last = finite_forms()
    relative = re.compile(r"((in|auf|unter|neben) )?(der|die|das|den|dem|denen) ")
    innermost = []
    for text in german_sentences:
        segments = re.split(", |[.?]", text[0].lower() + text[1:])[:-1]
        # What follows a comma goes on with the outer clause if the last word was the verb of an inner one, and opens a
        # relative clause if it was a noun.
        is_opened = [bool(re.match(rf"({SUBORDINATORS}) ", segment)) for segment in segments]
        for i in range(1, len(segments)):
            is_opened[i] |= bool(relative.match(segments[i])) and segments[i - 1].split()[-1][0].isupper()
        # An inner clause cuts off the outer one before its verb, so only innermost clauses are whole.
        innermost += [
            segment for i, segment in enumerate(segments) if is_opened[i] and not any(is_opened[i + 1 : i + 2])
        ]
    assert len(innermost) > 5000
    assert not [segment for segment in innermost if segment.split()[-1] not in last]


def test_main_clauses_have_their_finite_verb_second(german_sentences):
    second, _ = finite_forms()
    fronts = [
        "Gestern",
        "Heute",
        "Morgen",
        "Jeden Tag",
        "Am Montag",
        "Am Abend",
        "Letzte Woche",
        "Hier",
        "Draußen",
        "Ich",
        "Du",
        "Er",
        "Wir",
        "Mir",
        "Ihm",
        "Ihnen",
        "Ihn",
        "Mich",
        "Anna",
        "Warum",
        "Wer",
        "Was",
        "Wo",
    ]
    found = [re.match(rf"(?:{'|'.join(fronts)}) (\w+)", text) for text in german_sentences]
    behind_a_clause = [
        re.match(rf"(?:{SUBORDINATORS}) [^,]*, (\w+)", text[0].lower() + text[1:])
        for text in german_sentences
        if text.count(",") == 1
    ]
    verbs = [match.group(1) for match in (*found, *behind_a_clause) if match]
    assert len(verbs) > 3000
    assert not [verb for verb in verbs if verb not in second]


def test_separable_verbs_are_joined_only_at_the_end_of_a_clause(german_sentences):
    joined = {verb.prefix + form for verb in lex.VERBS if verb.prefix for form in verb.present[1:3]}
    found = [match for text in german_sentences for match in re.findall(rf"\b({'|'.join(sorted(joined))})\b(.)", text)]
    assert len(found) > 300
    assert {after for _, after in found} <= {",", ".", "?"}


def test_the_english_article_fits_the_next_word(corpus):
    text = "\n".join(pair.en for pairs in corpus.values() for pair in pairs)
    assert re.search(r"\ban (old|honest|office|apple|expensive)\b", text)
    assert not re.search(r"\b[Aa] ([aeiou]|honest)", text)
    assert not re.search(r"\b[Aa]n (?!honest)[^aeiou]", text)


def test_a_german_sentence_has_one_english_one():
    sampler = Sampler(Dice(5))
    translations: dict[str, str] = {}
    repeated = 0
    for _ in range(6000):
        tree = sampler.sentence(0)
        repeated += german(tree) in translations
        assert translations.setdefault(german(tree), english(tree)) == english(tree)
    assert repeated > 20


def test_a_seed_gives_the_same_corpus_and_another_seed_another_one():
    sizes = {"train": 40, "valid": 5, "test": 5, "test_long": 3}
    assert demo.generate(seed=4, **sizes) == demo.generate(seed=4, **sizes)
    assert demo.generate(seed=4, **sizes) != demo.generate(seed=5, **sizes)


def test_the_test_sets_do_not_depend_on_the_size_of_train():
    sizes = {"valid": 5, "test": 5, "test_long": 3}
    small, large = demo.generate(train=10, **sizes), demo.generate(train=30, **sizes)
    assert [small[name] for name in sizes] == [large[name] for name in sizes]
    assert small["train"] == large["train"][:10]


def test_a_chosen_depth_is_the_deepest_of_train_and_less_than_that_of_test_long():
    corpus = demo.generate(train=200, valid=5, test=5, test_long=5, depth=1)
    assert {depth(pair.tree) for pair in corpus["train"]} == {0, 1}
    assert min(depth(pair.tree) for pair in corpus["test_long"]) == 2


def run(*arguments):
    command = [sys.executable, str(DATA_SCRIPTS / "demo.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


SMALL = ("--train", 20, "--valid", 5, "--test", 5, "--test_long", 3)


@pytest.fixture
def small_corpus(tmp_path):
    assert run(tmp_path / "demo", *SMALL).returncode == 0
    return tmp_path / "demo"


def assert_refused(result, *words):
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("demo.py: error: ")
    assert all(word in result.stderr for word in words), result.stderr


def test_the_command_writes_the_splits_and_says_what_they_are(small_corpus):
    names = {f"{split}.{language}" for split in ("train", "valid", "test", "test_long") for language in ("de", "en")}
    assert {path.name for path in small_corpus.iterdir()} == names | {"corpus.json"}
    assert [path.name for path in small_corpus.parent.iterdir()] == ["demo"]
    description = json.loads((small_corpus / "corpus.json").read_text(encoding="utf-8"))
    assert description["licence"] == "CC0-1.0"
    assert description["arguments"] == {"seed": 1, "train": 20, "valid": 5, "test": 5, "test_long": 3, "depth": 2}
    for name in names:
        content = (small_corpus / name).read_bytes()
        assert content.count(b"\n") == description["pairs"][name.split(".")[0]] and b"\r" not in content
        assert hashlib.sha256(content).hexdigest() == description["sha256"][name]


def test_a_second_run_does_nothing_and_says_so(small_corpus):
    before = {path: path.stat().st_mtime_ns for path in small_corpus.iterdir()}
    result = run(small_corpus, *SMALL)
    assert result.returncode == 0 and "nothing to do" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in small_corpus.iterdir()} == before


def test_a_corpus_of_other_arguments_is_refused(small_corpus):
    assert_refused(run(small_corpus, *SMALL, "--seed", 2), "'seed': 1", "'seed': 2", "another folder")


def test_an_altered_corpus_is_refused(small_corpus):
    (small_corpus / "train.de").write_text("Hallo\n", encoding="utf-8")
    assert_refused(run(small_corpus, *SMALL), "train.de", "not as written")


@pytest.mark.parametrize("corpus_json", [None, "[]", "{", '{"version": 1, "arguments": {}, "sha256": 3}'])
def test_a_folder_that_holds_something_else_is_refused(tmp_path, corpus_json):
    (tmp_path / "mine.txt").write_text("keep me\n", encoding="utf-8")
    if corpus_json is not None:
        (tmp_path / "corpus.json").write_text(corpus_json, encoding="utf-8")
    assert_refused(run(tmp_path, *SMALL), "no demo corpus", "another folder")
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "keep me\n"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "demo").write_text("", encoding="utf-8")
    assert_refused(run(tmp_path / "demo", *SMALL), "no demo corpus")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "demo").mkdir()
    assert run(tmp_path / "demo", *SMALL).returncode == 0
    assert (tmp_path / "demo" / "train.de").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--depth", 5], ["--depth is 5", "1 to 4"]),
        (["--train", 0], ["--train is 0", "at least 1"]),
        (["--seed", -1], ["--seed is -1", "at least 0"]),
        (["--tran", 5], ["--tran"]),
        (["--train", "many"], ["many"]),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path, arguments, words):
    assert_refused(run(tmp_path / "demo", *arguments), *words)
    assert not (tmp_path / "demo").exists()
