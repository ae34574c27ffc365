"""SentencePiece models: train, load, encode, sample, decode.

Byte fallback spells every unknown character (of the kind "word": every unknown word) as UTF-8 bytes, so no text becomes
<unk>. The special ids 0..3 (pad, unk,
bos, eos) are the same in every model; encoding adds none of them and decoding passes over all of them.
"""

import io
import math
import os
import random
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple

import sentencepiece

from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

_SPACE = "▁"  # how SentencePiece writes a space inside its pieces
_SPECIAL_IDS = frozenset((PAD_ID, UNK_ID, BOS_ID, EOS_ID))
# The pieces of a unigram model depend on the number of threads, so it must not be the machine's.
_NUM_TRAINING_THREADS = 8
_MAX_CACHED_WORDS = 20_000  # of some kilobytes each


class Tokenizer:
    """One SentencePiece model, held as bytes: it can be pickled, and threads can share it."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor()
        self._segmenter: _RandomSegmenter | None = None
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError:
            raise ValueError("this is not a SentencePiece model; give a .model file that SentencePiece wrote") from None
        p = self._processor
        ids = (p.pad_id(), p.unk_id(), p.bos_id(), p.eos_id())
        if ids != (PAD_ID, UNK_ID, BOS_ID, EOS_ID):
            raise ValueError(
                "this SentencePiece model has pad, unk, bos, eos at {}, {}, {}, {}; they must be at 0, 1, 2, 3: "
                "train it with --pad_id=0 --unk_id=1 --bos_id=2 --eos_id=3".format(*ids)
            )

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[bytes]]:
        return Tokenizer, (self.model,)

    @property
    def vocab_size(self) -> int:
        """Number of ids, the special ones and the 256 bytes included."""
        return int(self._processor.get_piece_size())

    @classmethod
    def train(
        cls,
        lines: Iterable[str],
        *,
        kind: Literal["unigram", "bpe", "word"],
        vocab_size: int,
        character_coverage: float = 1.0,
        normalization: str = "nmt_nfkc",
    ) -> "Tokenizer":
        """Fit a vocabulary to `lines`: the same lines and settings give the same bytes on every machine.

        Args:
            lines: training text; the order does not matter to the quality, but it does to the bytes.
            kind: "unigram" (Kudo 2018, https://arxiv.org/abs/1804.10959), "bpe" (Sennrich et al. 2016) or "word": what
                stands between spaces is one piece, punctuation marks included.
            vocab_size: number of ids, with the 4 special ones and the 256 bytes; of words at most so many, the most
                frequent ones.
            character_coverage: share of the characters that get a piece of their own; the others are spelt as bytes.
            normalization: SentencePiece's rule: nmt_nfkc, nfkc, nmt_nfkc_cf, nfkc_cf (cf: lower-cased) or identity.

        Raises:
            ValueError: the text is too small or has too many characters for `vocab_size`, or a setting is unknown.
        """
        if vocab_size < 1:
            raise ValueError(f"vocab_size {vocab_size} must be positive; 8000 is a good start")
        if not 0.98 <= character_coverage <= 1:
            raise ValueError(f"character_coverage {character_coverage} must lie between 0.98 and 1")
        written = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=written,
                model_type=kind,
                vocab_size=vocab_size,
                hard_vocab_limit=kind != "word",
                character_coverage=character_coverage,
                normalization_rule_name=normalization,
                byte_fallback=True,
                pad_id=PAD_ID,
                unk_id=UNK_ID,
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                num_threads=_NUM_TRAINING_THREADS,
                minloglevel=2,  # errors only
            )
        except RuntimeError as error:
            raise ValueError(_explain(str(error), vocab_size, normalization)) from None
        return cls(written.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Tokenizer":
        """Read a .model file; ValueError if it is none or has other special ids."""
        try:
            return cls(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the .model file that `load` and every other SentencePiece program reads."""
        Path(path).write_bytes(self.model)

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """The ids of the best segmentation of each line, without special ids."""
        # Starting threads costs more than it brings for the few lines of a batch.
        num_threads = 1 if len(lines) < 1000 else min(os.cpu_count() or 1, 16)
        return self._processor.encode(list(lines), num_threads=num_threads)

    def sample(self, lines: Sequence[str], *, alpha: float, seed: int) -> list[list[int]]:
        """The ids of one random segmentation of each line, for subword regularisation.

        Args:
            lines: text.
            alpha: unigram: exponent of the segmentations' probabilities, smaller is wilder (Kudo 2018 uses 0.1 to 0.5);
                bpe: probability to leave out a merge (BPE-dropout, Provilkov et al. 2020, uses 0.1).
            seed: the same lines, alpha and seed give the same ids, on every machine.
        """
        if self._segmenter is None:
            self._segmenter = _RandomSegmenter(self._processor)
        generator = random.Random(seed)
        return [self._segmenter.draw(self._processor.normalize(line), alpha, generator) for line in lines]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids; special ids are passed over. One row is one line: no text holds a line end."""
        rows = [[int(i) for i in row if i not in _SPECIAL_IDS] for row in ids]
        # A model may produce the bytes of a line end, which would shift every later line of an output file.
        lines = [text.replace("\n", " ").replace("\r", " ") for text in self._processor.decode(rows, num_threads=1)]
        # A word that is spelt as bytes has its space among them.
        return [text.replace(_SPACE, " ").lstrip(" ") if _SPACE in text else text for text in lines]

    def normalize(self, lines: Sequence[str]) -> list[str]:
        """What `decode` gives back for the encoding of each line."""
        return [self._processor.normalize(line).replace(_SPACE, " ").lstrip(" ") for line in lines]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The name of each id as the vocabulary has it: "▁" for a space, <0x0A> for a byte."""
        return [self._processor.id_to_piece(int(i)) for i in ids]

    def words_of_line(self, line: str) -> list[int | None]:
        """For each piece of the line's encoding, which of the words `line.split()` it stands in (or before)."""
        return _words(line, self._processor.encode(line, return_type="offset_mapping")["offsets"])

    def words_of_ids(self, ids: Sequence[int]) -> list[int | None]:
        """For each of the ids, which of the words of their text (see `decode`) it stands in; None for special ids."""
        shown = [int(i) for i in ids if i not in _SPECIAL_IDS]
        decoded = self._processor.decode(shown, return_type="offset_mapping")
        words = iter(_words(decoded["text"].replace(_SPACE, " "), decoded["offsets"]))
        return [None if i in _SPECIAL_IDS else next(words) for i in ids]

    def unknown(self, line: str) -> list[str]:
        """What of the line has no piece in the vocabulary, in its order: characters spelt as bytes, or become <unk>."""
        found = self._processor.encode(line, return_type="offset_mapping")
        return [
            line[begin:end].strip()
            for i, (begin, end) in zip(found["ids"], found["offsets"], strict=True)
            # Of a character's bytes, the last one has its place in the line.
            if i == UNK_ID or (self._processor.is_byte(i) and end > begin)
        ]


@dataclass(frozen=True)
class TokenizerPair:
    """The tokenizers of the source and of the target; they are equal if the vocabulary is joint."""

    src: Tokenizer
    tgt: Tokenizer

    @property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary, as tied embeddings need it."""
        return self.src.model == self.tgt.model

    def save(self, folder: str | os.PathLike[str]) -> list[str]:
        """Write tokenizer.model (joint) or tokenizer.src.model and tokenizer.tgt.model; returns these names."""
        if self.joint:
            named = {"tokenizer.model": self.src}
        else:
            named = {"tokenizer.src.model": self.src, "tokenizer.tgt.model": self.tgt}
        for name, tokenizer in named.items():
            tokenizer.save(Path(folder) / name)
        return list(named)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "TokenizerPair":
        """Read what `save` wrote; FileNotFoundError if `folder` does not hold it."""
        folder = Path(folder)
        if (folder / "tokenizer.model").is_file():
            tokenizer = Tokenizer.load(folder / "tokenizer.model")
            return cls(tokenizer, tokenizer)
        src, tgt = folder / "tokenizer.src.model", folder / "tokenizer.tgt.model"
        if not (src.is_file() and tgt.is_file()):
            raise FileNotFoundError(
                f"no tokenizer in {folder}: looked for tokenizer.model, tokenizer.src.model and tokenizer.tgt.model"
            )
        return cls(Tokenizer.load(src), Tokenizer.load(tgt))


def _words(text: str, offsets: Sequence[tuple[int, int]]) -> list[int | None]:
    """Number of the word in which, or before which, each piece begins; None behind the last word."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    found = [bisect(ends, begin) for begin, _ in offsets]
    return [word if word < len(ends) else None for word in found]


class _RandomSegmenter:
    """Random segmentations of normalised text, word by word: no piece reaches over a space.

    SentencePiece draws them too and faster, but not twice: beside the seed it uses a salt that each process draws anew.
    """

    def __init__(self, processor: sentencepiece.SentencePieceProcessor) -> None:
        p = processor
        special = (p.is_control, p.is_unknown, p.is_unused, p.is_byte)
        ids = [i for i in range(p.get_piece_size()) if not any(is_special(i) for is_special in special)]
        self._ids = {p.id_to_piece(i): i for i in ids}
        self._scores = {i: p.get_score(i) for i in ids}
        self._byte_ids = [p.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]  # UNK_ID without byte fallback
        self._max_piece_length = max(map(len, self._ids))
        self._unknown_score = min(self._scores.values()) - 10  # as in SentencePiece
        # The score of a BPE piece is minus its rank, that of a unigram piece its log-probability.
        self._is_bpe = all(score == int(score) for score in self._scores.values())
        self._lattices: dict[tuple[str, float], list[_Choice]] = {}

    def draw(self, normalized: str, alpha: float, generator: random.Random) -> list[int]:
        """The ids of one segmentation."""
        draw_word = self._draw_merges if self._is_bpe else self._draw_path
        ids: list[int] = []
        for word in re.findall(f"{_SPACE}[^{_SPACE}]*|[^{_SPACE}]+", normalized):
            for piece in draw_word(word, alpha, generator):
                if (i := self._ids.get(piece)) is not None:
                    ids.append(i)
                else:
                    ids += [self._byte_ids[byte] for byte in piece.encode()]
        return ids

    def _draw_merges(self, word: str, alpha: float, generator: random.Random) -> list[str]:
        """BPE-dropout, algorithm 1 of Provilkov et al. 2020 (https://arxiv.org/abs/1910.13267)."""
        pieces = list(word)
        while True:
            best, best_score = None, -math.inf
            for i in range(len(pieces) - 1):
                score = self._scores.get(self._ids.get(pieces[i] + pieces[i + 1], -1), -math.inf)
                if score > best_score and generator.random() >= alpha:
                    best, best_score = i, score
            if best is None:
                return pieces
            pieces[best : best + 2] = [pieces[best] + pieces[best + 1]]

    def _draw_path(self, word: str, alpha: float, generator: random.Random) -> list[str]:
        """A segmentation x with probability P(x)^alpha / Z (Kudo 2018, section 3.2), drawn from end to start."""
        lattice = self._lattices.get((word, alpha))
        if lattice is None:
            if len(self._lattices) >= _MAX_CACHED_WORDS:
                self._lattices.clear()
            lattice = self._lattices[word, alpha] = self._lattice(word, alpha)
        pieces, end = [], len(word)
        while end > 0:
            starts, cumulated = lattice[end]
            chosen = bisect(cumulated, generator.random() * cumulated[-1], hi=len(starts) - 1)
            pieces.append(word[starts[chosen] : end])
            end = starts[chosen]
        return pieces[::-1]

    def _lattice(self, word: str, alpha: float) -> "list[_Choice]":
        """For each end within `word`, where the piece that ends there may start, and the cumulated weights of these."""
        log_sums, choices = [0.0], [_Choice([], [])]  # over all segmentations of word[:end]
        for end in range(1, len(word) + 1):
            starts, log_weights = [], []
            for start in range(max(0, end - self._max_piece_length), end):
                score = self._scores.get(self._ids.get(word[start:end], -1))
                if score is None and start == end - 1:
                    score = self._unknown_score
                if score is not None:
                    starts.append(start)
                    log_weights.append(log_sums[start] + alpha * score)
            largest = max(log_weights)
            weights = [math.exp(log_weight - largest) for log_weight in log_weights]
            log_sums.append(largest + math.log(sum(weights)))
            choices.append(_Choice(starts, list(accumulate(weights))))
        return choices


class _Choice(NamedTuple):
    starts: list[int]
    cumulated: list[float]


def _explain(error: str, vocab_size: int, normalization: str) -> str:
    """One line for a user out of SentencePiece's RuntimeError."""
    if needed := re.search(r"smaller than required_chars\. \d+ vs (\d+)", error):
        return (
            f"vocab_size {vocab_size} is too small: characters, bytes and special ids alone need {needed[1]}; "
            "raise vocab_size or lower character_coverage"
        )
    if "insert_id" in error or "word_model_trainer" in error:
        return f"vocab_size {vocab_size} is too small: bytes and special ids alone need 260; raise vocab_size"
    if largest := re.search(r"set it to a value <= (\d+)", error):
        return f"vocab_size {vocab_size} is too large: this text gives at most {largest[1]} pieces; lower vocab_size"
    if "sentences_.empty()" in error or "all_chars_count" in error:
        return "there is no text to train a tokenizer on (lines of more than 4192 bytes do not count)"
    if "charsmap" in error:
        return f"unknown normalization {normalization!r}; choose nmt_nfkc, nfkc, nmt_nfkc_cf, nfkc_cf or identity"
    return f"SentencePiece cannot train this tokenizer: {' '.join(error.split())}"
