"""Rules: what is changed in both sentences of a pair, and what a pair is dropped for. All are off unless named.

    normalize, tidy                                   change
    blank, broken, markup                             what is no clean text
    min_words, max_words, max_word_length, max_ratio  length
    copies, script, language                          a side that is not in its language
    duplicates, repeats                               what came before: see duplicates.py

Untranslated and wrong-language sentences are what hurts a neural system most (Khayrallah and Koehn 2018, "On the Impact
of Various Types of Noise on Neural Machine Translation").
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Literal, NamedTuple

from seq2seq.cleaning.language import Identifier
from seq2seq.cleaning.sentences import letter_words, tidy, words

Check = Callable[[str, str], bool]  # source, target -> whether the pair is to be dropped
Change = Callable[[str], str]
Sameness = Literal["exact", "near"]


@dataclass(frozen=True)
class Rules:
    """Which rules are named, and how strict they are; None or False is off.

    Args:
        normalize: the Unicode form that both sides get: nfc, or nfkc, which makes ﬁ two letters and full width half.
        tidy: takes invisible characters away and makes any white space one space.
        blank: drops pairs with a side without a character.
        broken: drops what another encoding has left: U+FFFD, "Ã¤" for ä, "f?r" for für, characters of no meaning.
            Bytes that are no UTF-8, which end the reading otherwise, are read as U+FFFD.
        markup: drops residue of tags, entities, wikis, subtitles, escapes and tokenizers.
        min_words: fewest words of each side; of scripts without spaces, characters.
        max_words: most words of each side.
        max_word_length: most characters of a word of letters and digits.
        max_ratio: how many times as long as usual one side may be, beside the other; in characters, 10 of which are
            added to both, because short sentences differ more.
        copies: share of words that both sides have, of the side with more; from 3 words on.
        script: share of a side's letters in the corpus's usual scripts, below which the pair is dropped.
        language: how probable another language must be for the pair to be dropped.
        duplicates: drops all but the first of equal pairs, or of nearly equal ones.
        repeats: drops a pair if either sentence came before, whatever its translation.
    """

    normalize: Literal["nfc", "nfkc"] | None = None
    tidy: bool = False
    blank: bool = False
    broken: bool = False
    markup: bool = False
    min_words: int | None = None
    max_words: int | None = None
    max_word_length: int | None = None
    max_ratio: float | None = None
    copies: float | None = None
    script: float | None = None
    language: float | None = None
    duplicates: Sameness | None = None
    repeats: Sameness | None = None

    def __post_init__(self) -> None:
        for name in ("min_words", "max_words", "max_word_length"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        for name in ("copies", "script", "language"):
            if (value := getattr(self, name)) is not None and not 0 < value <= 1:
                raise ValueError(f"{name} is {value}; it is a share, above 0 and at most 1")
        if self.max_ratio is not None and self.max_ratio <= 1:
            raise ValueError(f"max_ratio is {self.max_ratio}; it must be above 1")

    def named(self) -> list[str]:
        """The names of the rules that are on."""
        return [field.name for field in fields(self) if getattr(self, field.name) not in (None, False)]


# What a rule does that is named without a value; those that are off here change meaning or hold for few corpora.
USUAL = Rules(
    normalize="nfc",
    tidy=True,
    blank=True,
    broken=True,
    markup=True,
    max_words=200,
    max_word_length=40,
    max_ratio=3.0,
    copies=0.8,
    script=0.5,
    language=0.5,
    duplicates="near",
)


class Corpus(NamedTuple):
    """What is usual in a corpus; each pair is small beside all of them."""

    langs: tuple[str, str]
    scripts: tuple[frozenset[str], frozenset[str]]  # of each side, those of at least a tenth of its letters
    ratio: float  # target characters per source character


def corpus_of(src: Iterable[str], tgt: Iterable[str], langs: tuple[str, str]) -> Corpus:
    """What is usual in some thousand pairs of a corpus."""
    scripts, lengths = [], []
    for side in (src, tgt):
        found: Counter[str] = Counter()
        length = 1
        for text in side:
            length += len(text)
            found.update(script_of(character) for character in text if character.isalpha())
        scripts.append(frozenset(script for script, count in found.items() if count >= 0.1 * found.total()))
        lengths.append(length)
    return Corpus(langs, (scripts[0], scripts[1]), lengths[1] / lengths[0])


def checks(rules: Rules, corpus: Corpus) -> list[tuple[str, Check]]:
    """The rules that drop pairs and look at one pair alone, by name, in the order in which they are asked."""
    found: dict[str, Check] = {}
    if rules.blank:
        found["blank"] = lambda src, tgt: not (src.strip() and tgt.strip())
    if rules.broken:
        found["broken"] = lambda src, tgt: is_broken(src) or is_broken(tgt)
    if rules.markup:
        found["markup"] = lambda src, tgt: has_markup(src) or has_markup(tgt)
    if (fewest := rules.min_words) is not None:
        found["min_words"] = lambda src, tgt: min(len(words(src)), len(words(tgt))) < fewest
    if (most := rules.max_words) is not None:
        found["max_words"] = lambda src, tgt: any(len(side) > most and len(words(side)) > most for side in (src, tgt))
    if (longest := rules.max_word_length) is not None:
        found["max_word_length"] = lambda src, tgt: has_long_word(src, longest) or has_long_word(tgt, longest)
    if (times := rules.max_ratio) is not None:
        found["max_ratio"] = lambda src, tgt: length_ratio(src, tgt, corpus.ratio) > times
    if (shared := rules.copies) is not None:
        found["copies"] = lambda src, tgt: share_copied(src, tgt) >= shared
    if (share := rules.script) is not None:
        found["script"] = lambda src, tgt: (
            share_in_scripts(src, corpus.scripts[0]) < share or share_in_scripts(tgt, corpus.scripts[1]) < share
        )
    if rules.language is not None:
        is_other = Identifier(corpus.langs, rules.language).is_other
        src_lang, tgt_lang = corpus.langs
        found["language"] = lambda src, tgt: is_other(src, src_lang) or is_other(tgt, tgt_lang)
    return list(found.items())


def changes(rules: Rules) -> list[tuple[str, Change]]:
    """The rules that change sentences, by name, in the order in which they do."""
    found: list[tuple[str, Change]] = []
    if rules.normalize is not None:
        form: Literal["NFC", "NFKC"] = "NFC" if rules.normalize == "nfc" else "NFKC"
        found.append(("normalize", partial(unicodedata.normalize, form)))
    if rules.tidy:
        found.append(("tidy", tidy))
    return found


def has_long_word(text: str, most: int) -> bool:
    """Whether more than so many letters and digits stand in a row; in scripts without spaces each is a word."""
    return any(
        len(run) > most and any(len(part) > most for word in words(run) for part in _NO_WORD.split(word))
        for run in text.split()
    )


_NO_WORD = re.compile(r"\W+")

# UTF-8 that was read as Latin-1 or Windows-1252 (ä: Ã¤, ’: â€™), and letters that an encoding did not have (f?r).
_MISREAD = re.compile(
    "[ÃÂ][\x80-\xbfŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]|â€[\x80-\xbf˜™œ“”¦¢šž]|[^\\W\\d_]\\?[^\\W\\d_A-Z]|\ufffd"
)
_MISREAD_BEGINS = re.compile("[ÃÂâ?\ufffd]")
_ADDRESS = re.compile(r"\w://|www\.|\.\w{2,4}\?")  # in which a "?" may stand between letters


def is_broken(text: str) -> bool:
    """Whether a sentence went through the wrong encoding, or holds characters that mean nothing."""
    found = _MISREAD.search(text) if _MISREAD_BEGINS.search(text) else None
    if found and ("?" not in found.group() or not _ADDRESS.search(text)):
        return True
    # Cc control, but white space; Co private use; Cn not assigned
    return not text.isprintable() and any(
        unicodedata.category(character) in ("Cc", "Co", "Cn") and not character.isspace() for character in text
    )


_MARKUP = re.compile(
    r"</?[a-zA-Z][^<>]{0,200}>"  # tags
    r"|&(?:[a-zA-Z]{2,8}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});"  # entities
    r"|\[\[|\]\]|\{\{|\}\}|'''"  # wikis
    r"|\[/?(?:b|i|u|url|img|quote|code)\b[^\]]*\]"  # forums
    r"|\{\\?[a-zA-Z]+\d*[^{}]*\}"  # subtitles
    r"|\\[nrt](?![a-z])|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}"  # escapes
    r"| @-@ |(?<=\w)@@ |▁"  # tokenizers
)


_MARKUP_BEGINS = re.compile(r"[<&\[\]{}\\@▁]|''\'")


def has_markup(text: str) -> bool:
    """Whether residue of tags, entities, wikis, forums, subtitles, escapes or tokenizers stands in a sentence."""
    return _MARKUP_BEGINS.search(text) is not None and _MARKUP.search(text) is not None


def length_ratio(src: str, tgt: str, usual: float) -> float:
    """How many times as long as usual one side is beside the other, at least 1; see `Rules`."""
    ratio = (len(tgt) + 10) / (usual * len(src) + 10)
    return max(ratio, 1 / ratio)


def share_copied(src: str, tgt: str) -> float:
    """Share of the words that both sides have, of the side with more; 0 below three words."""
    src_words, tgt_words = letter_words(src), letter_words(tgt)
    most = max(len(src_words), len(tgt_words))
    return 0.0 if most < 3 else len(src_words & tgt_words) / most


_FOREIGN = re.compile(r"[^\W\d_\x00-\x7f]")  # letters that are not ASCII's


def share_in_scripts(text: str, scripts: frozenset[str]) -> float:
    """Share of a sentence's letters in these scripts; 1 if it has no letters, or the corpus had none."""
    if not scripts or (
        "LATIN" in scripts
        and (text.isascii() or all(script_of(letter) in scripts for letter in _FOREIGN.findall(text)))
    ):
        return 1.0
    found = [script_of(character) in scripts for character in text if character.isalpha()]
    return sum(found) / len(found) if found else 1.0


@lru_cache(maxsize=1 << 16)
def script_of(letter: str) -> str:
    """The script of a letter, as the first word of its Unicode name: LATIN, CYRILLIC, CJK; "" if it has no name."""
    return unicodedata.name(letter, "").partition(" ")[0]
