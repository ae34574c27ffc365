"""What the tokenizer makes of the corpora: how long text becomes, what is unknown, and what is rare."""

import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2seq.audit.findings import MOST_LINES, Finding, Section
from seq2seq.audit.model1 import words_of
from seq2seq.corpus import iter_pairs
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.tokenizer import Tokenizer, TokenizerPair

_RARE_PIECE = 10  # occurrences below which an embedding hardly learns
_OFTEN = 100
_RARE_CHARACTER = 5
_SHOWN = 5  # characters of each side in a list
_LINES_READ = 2000  # with something unknown: enough for what is most frequent

# Of Multi30k's joint BPE pieces 0.06 are rare with 4,000 of them, 0.15 with 8,000, 0.63 with 16,000; of Tatoeba's 0.13
# with 16,000, 0.61 with 32,000 (2026-11-23).
_WARN_RARE = 0.5
# Multi30k's German: 1.5 pieces a word with 4,000, 2.2 with 1,000, 3.3 with 500.
_WARN_PIECES_PER_WORD = 3.0
_WARN_UNKNOWN = 0.005  # of a side's pieces
_WARN_LONG = 0.01  # of train


@dataclass
class _Side:
    """Sums over one side of a corpus, and an example of each rare or unknown character."""

    lang: str
    tokenizer: Tokenizer
    lines: int = 0
    words: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # of characters, and of what is unknown

    def __post_init__(self) -> None:
        size = self.tokenizer.vocab_size
        self.pieces = np.zeros(size, dtype=np.int64)
        self.characters = np.zeros(0x110000, dtype=np.int64)
        names = self.tokenizer.pieces(range(size))
        self.is_unknown = np.array([i == UNK_ID or name.startswith("<0x") for i, name in enumerate(names)])
        self._lines_read = 0

    def add(self, name: str, lines: list[str], words: int) -> NDArray[np.int64]:
        """Counts some lines, which have so many words; returns the pieces of each."""
        rows = self.tokenizer.encode(lines)
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
        self.pieces += np.bincount(ids, minlength=len(self.pieces))
        row = np.repeat(np.arange(len(rows)), lengths)
        self._add_unknown(name, lines, np.unique(row[self.is_unknown[ids]]).tolist())
        self._add_characters(name, lines)
        self.words += words
        self.lines += len(lines)
        return lengths

    def _add_unknown(self, name: str, lines: list[str], rows: list[int]) -> None:
        for row in rows[: _LINES_READ - self._lines_read]:
            self._lines_read += 1
            for what in self.tokenizer.unknown(lines[row]):
                self.unknown[what] += 1
                self.examples.setdefault(what, _example(name, self.lines + row, lines[row], what))

    def _add_characters(self, name: str, lines: list[str]) -> None:
        text = "".join(lines)
        here = np.bincount(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), minlength=len(self.characters))
        self.characters += here
        ends = list(accumulate(map(len, lines)))
        for code in np.flatnonzero((here > 0) & (self.characters < _RARE_CHARACTER)):
            character = chr(code)
            if character not in self.examples:
                row = bisect_right(ends, text.index(character))
                self.examples[character] = _example(name, self.lines + row, lines[row], character)

    @property
    def pieces_per_word(self) -> float:
        return int(self.pieces.sum()) / max(self.words, 1)

    @property
    def characters_per_piece(self) -> float:
        return int(self.characters.sum()) / max(int(self.pieces.sum()), 1)

    @property
    def unknown_share(self) -> float:
        """Of the pieces, those that are bytes or <unk>."""
        return int(self.pieces[self.is_unknown].sum()) / max(int(self.pieces.sum()), 1)

    def rare_characters(self) -> list[str]:
        """Those that occur seldom, what is no letter, mark or sign first, then the rarest."""
        rare = map(chr, np.flatnonzero((self.characters > 0) & (self.characters < _RARE_CHARACTER)))
        return sorted(rare, key=lambda character: (not _is_odd(character), self.characters[ord(character)]))


def examine_vocabulary(
    tokenizers: TokenizerPair,
    train: Sequence[str],
    held_out: Mapping[str, str],
    src_lang: str,
    tgt_lang: str,
    max_length: int,
) -> Section:
    """Encodes all corpora once and counts.

    A vocabulary is best, found Gowda & May 2020 ("Finding the Optimal Vocabulary Size for Neural Machine Translation"),
    as large as it can be while 95 % of its pieces occur 100 times or more. That is shown; warned of is only what is far
    from it, for 37 % do with the 4,000 pieces of the configurations for Multi30k.

    Args:
        tokenizers: of source and target.
        train: the corpora that are trained on.
        held_out: valid and tests by name.
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.
        max_length: pieces of a side, end of sentence included, above which training drops a pair.

    Raises:
        FileNotFoundError, ValueError: as `seq2seq.corpus.iter_pairs`.
    """
    langs = src_lang, tgt_lang
    counts = {name: _count(tokenizers, name, [spec], langs) for name, spec in held_out.items()}
    # The words of the others, less those that come in train: so train's need not be kept.
    missing = tuple(set().union(*(count.words[side] for count in counts.values())) for side in (0, 1))
    of_train = _count(tokenizers, "train", train, langs, missing=missing, max_length=max_length)

    section = Section("vocabulary", figures={"corpora": {}})
    _report_corpus(section, "train", of_train, None)
    for name, count in counts.items():
        _report_corpus(section, name, count, missing)
    _report_long(section, of_train, max_length)
    src, tgt = of_train.sides
    if tokenizers.joint:
        _report_pieces(section, "joint vocabulary", src, src.pieces + tgt.pieces)
    else:
        for side in (src, tgt):
            _report_pieces(section, f"vocabulary of {side.lang}", side, side.pieces)
    for side in (src, tgt):
        _report_small(section, side)
        _report_rare_characters(section, side)
    return section


class _Count(NamedTuple):
    """Sums over a corpus: its sides, how often each word comes on each, and the lines that are too long."""

    sides: tuple[_Side, _Side]
    words: tuple[Counter[str], Counter[str]]
    long: list[int]


def _count(
    tokenizers: TokenizerPair,
    name: str,
    specs: Sequence[str],
    langs: tuple[str, str],
    *,
    missing: tuple[set[str], ...] | None = None,
    max_length: int | None = None,
) -> _Count:
    """Reads a corpus once. With `missing`, its words are taken out of there, and not kept."""
    count = _Count((_Side(langs[0], tokenizers.src), _Side(langs[1], tokenizers.tgt)), (Counter(), Counter()), [])
    for pair in chain.from_iterable(iter_pairs(spec, *langs) for spec in specs):
        before = count.sides[0].lines
        lengths = []
        for i, (side, lines) in enumerate(zip(count.sides, pair, strict=True)):
            words = words_of("\n".join(lines))
            if missing is None:
                count.words[i].update(words)
            else:
                missing[i].difference_update(words)
            lengths.append(side.add(name, lines, len(words)))
        if max_length is not None:
            long = np.maximum(*lengths) + 1 > max_length
            count.long.extend((before + 1 + np.flatnonzero(long)).tolist())
    return count


def _report_corpus(section: Section, name: str, count: _Count, missing: tuple[set[str], ...] | None) -> None:
    """Lengths, what is unknown, and for what is not trained on, the words that train does not have."""
    figures: dict[str, Any] = {"pairs": count.sides[0].lines}
    section.text.append(f"{name}: {count.sides[0].lines:,} pairs")
    for i, side in enumerate(count.sides):
        figures[side.lang] = {
            "pieces_per_word": side.pieces_per_word,
            "characters_per_piece": side.characters_per_piece,
            "unknown_share": side.unknown_share,
            "unknown": dict(side.unknown.most_common(100)),
        }
        lengths = f"{side.pieces_per_word:.2f} pieces a word, {side.characters_per_piece:.1f} characters a piece"
        line = f"  {side.lang}: {lengths}"
        if side.unknown_share:
            most = ", ".join(_visible(what) for what, _ in side.unknown.most_common(_SHOWN))
            line += (
                f"; {int(side.pieces[side.is_unknown].sum()):,} pieces spell what the vocabulary does not have: {most}"
            )
        if missing is not None:
            new = {word: times for word, times in count.words[i].items() if word in missing[i]}
            tokens, types = count.words[i].total(), len(count.words[i])
            shares = (sum(new.values()) / max(tokens, 1), len(new) / max(types, 1))
            figures[side.lang] |= {"new_word_share": shares[0], "new_type_share": shares[1]}
            line += f"; {shares[0]:.1%} of the words ({shares[1]:.0%} of the different ones) are not in train"
        section.text.append(line)
        if side.unknown_share > _WARN_UNKNOWN:
            most = ", ".join(f"{_named(what)} ({times})" for what, times in side.unknown.most_common(_SHOWN))
            section.findings.append(
                Finding(
                    "unknown pieces",
                    "warning",
                    f"{name} {side.lang}: {side.unknown_share:.1%} of the pieces spell what has no piece of its own, "
                    f"most often {most}; train the tokenizer on text that has it, or clean it away",
                    tuple(dict.fromkeys(side.examples[what] for what, _ in side.unknown.most_common(3))),
                )
            )
    section.figures["corpora"][name] = figures


def _report_long(section: Section, count: _Count, max_length: int) -> None:
    pairs = count.sides[0].lines
    section.figures["long_pairs"] = len(count.long)
    section.text.append(
        f"train: {len(count.long):,} pairs have more than {max_length} pieces on a side (data.max_length)"
    )
    if len(count.long) > _WARN_LONG * pairs:
        section.findings.append(
            Finding(
                "long pairs",
                "warning",
                f"train: {len(count.long) / pairs:.1%} of the pairs have more than {max_length} pieces on a side and "
                "will be dropped; raise data.max_length, or split them",
                lines=tuple(count.long[:MOST_LINES]),
            )
        )


def _report_pieces(section: Section, what: str, side: _Side, counts: NDArray[np.int64]) -> None:
    """How often the pieces of a vocabulary come in train; bytes and special ids are no pieces here."""
    counts = counts[~(side.is_unknown | np.isin(np.arange(len(counts)), (PAD_ID, BOS_ID, EOS_ID)))]
    size = max(len(counts), 1)
    never, rare, often = int((counts == 0).sum()), int((counts < _RARE_PIECE).sum()), int((counts >= _OFTEN).sum())
    section.figures[what] = {"pieces": len(counts), "never": never, "rare": rare, "often": often}
    section.text.append(
        f"{what}: {len(counts):,} pieces; in train {never:,} never occur, {rare:,} ({rare / size:.0%}) fewer than "
        f"{_RARE_PIECE} times, {often / size:.0%} at least {_OFTEN} times (Gowda and May 2020 advise 95%)"
    )
    if rare > _WARN_RARE * size:
        section.findings.append(
            Finding(
                "large vocabulary",
                "warning",
                f"{what}: {rare:,} of {len(counts):,} pieces occur fewer than {_RARE_PIECE} times in train, too seldom "
                f"to be learnt; lower data.tokenizer.vocab_size, perhaps to {len(counts) // 2:,}",
            )
        )


def _report_small(section: Section, side: _Side) -> None:
    if side.pieces_per_word > _WARN_PIECES_PER_WORD:
        section.findings.append(
            Finding(
                "small vocabulary",
                "warning",
                f"train {side.lang}: {side.pieces_per_word:.1f} pieces a word make long sequences, which cost time; "
                "raise data.tokenizer.vocab_size",
            )
        )


def _report_rare_characters(section: Section, side: _Side) -> None:
    rare = side.rare_characters()
    section.figures[f"rare characters of {side.lang}"] = {
        f"U+{ord(character):04X}": int(side.characters[ord(character)]) for character in rare[:100]
    }
    if not rare:
        return
    odd = sum(map(_is_odd, rare))
    listed = ", ".join(_named(character) for character in rare[:_SHOWN])
    section.findings.append(
        Finding(
            "rare characters",
            "note",
            f"train {side.lang}: {len(rare)} of {np.count_nonzero(side.characters)} characters occur fewer than "
            f"{_RARE_CHARACTER} times{f', {odd} of them not printable' if odd else ''}: {listed}"
            f"{', ...' if len(rare) > _SHOWN else ''}; some may be errors",
            tuple(dict.fromkeys(side.examples[character] for character in rare[:3])),
        )
    )


def _is_odd(character: str) -> bool:
    """No text: control, format, private, unassigned characters and the sign for what could not be decoded."""
    return unicodedata.category(character)[0] == "C" or character == "\ufffd"


def _named(what: str) -> str:
    """A character with its number and name in Unicode; anything longer in quotes."""
    if len(what) != 1:
        return repr(what)
    shown = f"{what} " if what.isprintable() and not what.isspace() else ""
    unnamed = {"Cc": "control character", "Co": "private character"}.get(unicodedata.category(what), "without a name")
    return f"{shown}U+{ord(what):04X} {unicodedata.name(what, unnamed)}"


def _example(name: str, row: int, line: str, what: str) -> str:
    """The surroundings of something in a line."""
    at = max(line.find(what), 0)
    begin, end = max(at - 30, 0), at + len(what) + 30
    text = ("..." if begin else "") + line[begin:end] + ("..." if end < len(line) else "")
    return f"{name} line {row + 1}: {_visible(text)}"


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)
