"""Single sentences: what can be put right in one, its length in words, and when two are nearly the same."""

import re
import unicodedata

# Control characters but white space, soft hyphens, byte order marks, what has no width, marks of direction. The joiners
# U+200C and U+200D stay: Persian, Indic scripts and emoji are written with them.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SPACES = re.compile(r"\s+")  # of any kind: also line ends within a sentence, such as U+2028
# Scripts that put no space between words, of which each character counts as one: Thai, Lao, Burmese, Khmer, kana, han.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")
_LETTERS = re.compile(f"[{UNSPACED}]|[^\\W\\d_{UNSPACED}]+")
_NO_LETTER_OR_DIGIT = re.compile(r"[\W_]+")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+(?:[.,:'’\u00a0\u202f ]\d+)*")


def tidy(text: str) -> str:
    """Without invisible characters; one plain space for any white space, none at both ends."""
    if text.isprintable() and "  " not in text:  # of white space, only the plain space is printable
        return text.strip(" ")
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


def words(text: str) -> list[str]:
    """What stands between spaces; of scripts that have none, each character."""
    return text.split() if text.isascii() else _WORD.findall(text)


def letter_words(text: str) -> set[str]:
    """The words of letters alone, whatever their case: no numbers, no punctuation."""
    return set(_LETTERS.findall(text.casefold()))


def numbers(text: str) -> set[str]:
    """The numbers in digits, without what separates digits: 3,000 and 3.000 are one."""
    return {"".join(filter(str.isdigit, number)) for number in _NUMBER.findall(text)}


def near_form(text: str) -> str:
    """Equal for sentences that differ in case, spaces, punctuation, the digits of numbers or forms of characters only.

    A text without letters and digits is its own near form.
    """
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
    return _DIGIT.sub("0", _NO_LETTER_OR_DIGIT.sub("", text)) or text


def cut(text: str, most: int) -> str:
    """Its first characters, for people."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
