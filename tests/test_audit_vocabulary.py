"""What `examine_vocabulary` says of corpora whose pieces, words and characters are counted here by hand."""

import random
from pathlib import Path

import pytest

from seq2seq.audit.findings import Finding, Section
from seq2seq.audit.vocabulary import examine_vocabulary
from seq2seq.tokenizer import Tokenizer, TokenizerPair

WORDS = ["Hund", "Katze", "Haus", "Garten", "Lampe", "läuft", "sieht", "und", "alte", "groß"]


def write(folder: Path, name: str, src: list[str], tgt: list[str]) -> str:
    for lang, lines in (("de", src), ("en", tgt)):
        (folder / f"{name}.{lang}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(folder / name)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Three hundred lines of five words."""
    dice = random.Random(1)
    return [" ".join(dice.choices(WORDS, k=5)) for _ in range(300)]


@pytest.fixture(scope="module")
def tokenizers(lines: list[str]) -> TokenizerPair:
    """One vocabulary for both sides, in which each of the words is a piece."""
    tokenizer = Tokenizer.train(lines, kind="word", vocab_size=300)
    return TokenizerPair(tokenizer, tokenizer)


def finding(section: Section, check: str) -> Finding:
    (found,) = [finding for finding in section.findings if finding.check == check]
    return found


def test_lengths_and_new_words_are_counted(tmp_path: Path, lines: list[str], tokenizers: TokenizerPair) -> None:
    train = write(tmp_path, "train", lines, lines)
    test = write(tmp_path, "test", ["Hund und Hund", "Pferd und Katze"], ["Hund", "Katze"])
    section = examine_vocabulary(tokenizers, [train], {"test": test}, "de", "en", 100)
    of_train, of_test = section.figures["corpora"]["train"], section.figures["corpora"]["test"]
    assert list(section.figures["corpora"]) == ["train", "test"]
    assert of_train["pairs"] == 300
    assert of_train["de"]["pieces_per_word"] == 1
    assert of_train["de"]["characters_per_piece"] == sum(map(len, lines)) / 1500
    assert of_train["de"]["unknown_share"] == 0
    assert "new_word_share" not in of_train["de"]
    # Pferd: one word of six, one of four different ones
    assert of_test["de"]["new_word_share"] == pytest.approx(1 / 6)
    assert of_test["de"]["new_type_share"] == pytest.approx(1 / 4)
    assert of_test["en"]["new_word_share"] == 0


def test_what_the_vocabulary_does_not_have_is_named(tmp_path: Path, lines: list[str]) -> None:
    tokenizer = Tokenizer.train(lines, kind="bpe", vocab_size=320)
    train = write(tmp_path, "train", lines, lines)
    test = write(tmp_path, "test", ["Hund ß", "Żala Ż", "alte Ż"], ["Hund"] * 3)
    section = examine_vocabulary(TokenizerPair(tokenizer, tokenizer), [train], {"test": test}, "de", "en", 100)
    found = finding(section, "unknown pieces")
    assert found.level == "warning"
    assert "test de: " in found.message
    assert "Ż U+017B LATIN CAPITAL LETTER Z WITH DOT ABOVE (3)" in found.message
    assert found.examples[0] == "test line 2: Żala Ż"
    assert section.figures["corpora"]["test"]["de"]["unknown"] == {"Ż": 3}


def test_rare_characters_come_with_name_and_line(tmp_path: Path, lines: list[str], tokenizers: TokenizerPair) -> None:
    odd = [*lines[:20], "die alte\u00ad Lampe é", *lines[20:]]
    section = examine_vocabulary(tokenizers, [write(tmp_path, "train", odd, [*lines, "und"])], {}, "de", "en", 100)
    found = finding(section, "rare characters")
    assert found.level == "note"
    assert "train de: 2 of " in found.message
    assert "1 of them not printable: U+00AD SOFT HYPHEN, é U+00E9 LATIN SMALL LETTER E WITH ACUTE" in found.message
    assert found.examples == ("train line 21: die alte<U+00AD> Lampe é",)
    assert section.figures["rare characters of de"] == {"U+00AD": 1, "U+00E9": 1}


def test_pieces_of_a_joint_vocabulary_are_counted_on_both_sides(tmp_path: Path, lines: list[str]) -> None:
    tokenizer = Tokenizer.train([*lines, "selten", "nie"], kind="word", vocab_size=300)
    train = write(tmp_path, "train", [*lines, "selten"], [*lines, "selten"])
    section = examine_vocabulary(TokenizerPair(tokenizer, tokenizer), [train], {}, "de", "en", 100)
    assert section.figures["joint vocabulary"] == {"pieces": 12, "never": 1, "rare": 2, "often": 10}


def test_separate_vocabularies_are_counted_on_their_sides(tmp_path: Path, lines: list[str]) -> None:
    src, tgt = (Tokenizer.train(text, kind="word", vocab_size=300) for text in (lines, ["ja nein"] * 9))
    train = write(tmp_path, "train", lines, ["ja"] * 300)
    section = examine_vocabulary(TokenizerPair(src, tgt), [train], {}, "de", "en", 100)
    assert section.figures["vocabulary of de"]["never"] == 0
    assert section.figures["vocabulary of en"] == {"pieces": 2, "never": 1, "rare": 1, "often": 1}


def test_a_vocabulary_too_large_for_its_text_is_warned_of(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(200)]
    tokenizer = Tokenizer.train([*names, *["und"] * 300], kind="word", vocab_size=500)
    train = write(tmp_path, "train", [*names, *["und"] * 300], ["und"] * 500)
    section = examine_vocabulary(TokenizerPair(tokenizer, tokenizer), [train], {}, "de", "en", 100)
    found = finding(section, "large vocabulary")
    assert found.level == "warning"
    assert "200 of 201 pieces occur fewer than 10 times in train" in found.message
    assert "lower data.tokenizer.vocab_size, perhaps to 100" in found.message


def test_a_vocabulary_too_small_for_its_text_is_warned_of(tmp_path: Path, lines: list[str]) -> None:
    tokenizer = Tokenizer.train(lines, kind="bpe", vocab_size=285)
    train = write(tmp_path, "train", ["a"] * len(lines), lines)
    section = examine_vocabulary(TokenizerPair(tokenizer, tokenizer), [train], {}, "de", "en", 100)
    found = finding(section, "small vocabulary")
    assert found.message.startswith("train en: ")
    assert found.message.endswith("raise data.tokenizer.vocab_size")


def test_pairs_that_training_would_drop_are_counted(
    tmp_path: Path, lines: list[str], tokenizers: TokenizerPair
) -> None:
    src = [*lines, " ".join(["und"] * 9), " ".join(["und"] * 10), "und", *lines[:100]]
    tgt = [*lines, "und", "und", " ".join(["und"] * 10), *lines[:100]]
    train = write(tmp_path, "train", src, tgt)
    section = examine_vocabulary(tokenizers, [train], {}, "de", "en", 10)
    assert section.figures["long_pairs"] == 2  # the end of the sentence counts
    assert not [found for found in section.findings if found.check == "long pairs"]
    section = examine_vocabulary(tokenizers, [train], {}, "de", "en", 5)
    assert finding(section, "long pairs").lines == tuple(range(1, 404))
    assert "train: 100.0% of the pairs have more than 5 pieces on a side" in finding(section, "long pairs").message


def test_empty_lines_count_as_nothing(tmp_path: Path, lines: list[str], tokenizers: TokenizerPair) -> None:
    train = write(tmp_path, "train", [*lines, ""], [*lines, "und"])
    test = write(tmp_path, "test", [""], [""])
    section = examine_vocabulary(tokenizers, [train], {"test": test}, "de", "en", 100)
    assert section.figures["corpora"]["test"]["de"]["pieces_per_word"] == 0
