"""What `seq2seq translate` writes of some lines: text or JSON, word alignments, attention maps."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seq2seq.atomic import replaced_when_whole

if TYPE_CHECKING:
    from seq2seq.translator import Reading, Translation, Translator

Format = Literal["text", "jsonl"]


@dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Attributes:
        format: "text" is one line a line, or with `nbest` lines INDEX ||| TEXT ||| SCORE; "jsonl" is one object a line.
        nbest: all translations that the search gives, not only the best.
        alignment: the words that belong together, of the best translation, in JSON of all.
        attention: a map of each best translation's attention, for a page.
    """

    format: Format = "text"
    nbest: bool = False
    alignment: bool = False
    attention: bool = False


class Written(NamedTuple):
    """What becomes of one line."""

    text: str  # in the format that is wanted, without a newline at its end
    alignment: str  # in Pharaoh's format, "0-0 1-2": word of the source - word of the translation
    map: dict[str, Any] | None  # for `report.attention.AttentionPage`; None of a blank line


def write_lines(
    translator: "Translator",
    lines: Sequence[str],
    nbests: "Sequence[Sequence[Translation]]",
    first_index: int,
    wanted: Wanted,
) -> list[Written]:
    """Write down what is wanted of lines and their translations.

    Args:
        translator: has translated them, and tells more of its translations.
        lines, nbests: what came, and `Translator.translate_nbest` of it.
        first_index: number of the first of the lines, from 0.
        wanted: see there.
    """
    if not wanted.nbest:
        nbests = [nbest[:1] for nbest in nbests]
    texts = [_text(nbest, index, wanted) for index, nbest in enumerate(nbests, first_index)]
    if wanted.format == "text" and not (wanted.alignment or wanted.attention):
        return [Written(text, "", None) for text in texts]  # the figures of each token cost time

    described = nbests if wanted.format == "jsonl" else [nbest[:1] for nbest in nbests]
    sources = [line for line, nbest in zip(lines, described, strict=True) for _ in nbest]
    tokens = [translation.tokens for nbest in described for translation in nbest]
    readings = iter(translator.read(sources, tokens, attention=wanted.alignment or wanted.attention))
    written = []
    for number, (line, nbest, text) in enumerate(zip(lines, described, texts, strict=True), first_index + 1):
        read = [_without_open_end(translation, next(readings)) for translation in nbest]
        if wanted.format == "jsonl":
            text = _json(translator, line, nbest, read, wanted)
        alignment = pharaoh(translator, line, nbest[0], read[0]) if wanted.alignment else ""
        attention = packed(read[0]) if wanted.attention else None
        of_line = {"number": number, "source": line, "translation": nbest[0].text}
        written.append(Written(text, alignment, None if attention is None else of_line | attention))
    return written


@contextmanager
def side_files(
    alignment: str | None, attention: str | None, title: str
) -> Iterator[Callable[[Sequence[Written]], None]]:
    """What takes the alignments and maps of one group of lines after the other to their files.

    Args:
        alignment: file of the alignments, if there is one.
        attention: file of the page of maps, if there is one; written at the end.
        title: of that page.
    """
    with ExitStack() as files:
        alignment_file, page_file = (
            files.enter_context(replaced_when_whole(path)) if path else None for path in (alignment, attention)
        )
        if page_file is not None:
            from seq2seq.report.attention import AttentionPage

            page = AttentionPage(title)

        def write(lines: Sequence[Written]) -> None:
            if alignment_file is not None:
                alignment_file.write("".join(line.alignment + "\n" for line in lines).encode("utf-8"))
            if page_file is not None:
                page.add([line.map for line in lines if line.map is not None])

        yield write
        if page_file is not None:
            page_file.write(page.html().encode("utf-8"))


def pharaoh(translator: "Translator", line: str, translation: "Translation", reading: "Reading") -> str:
    """Which words belong together, by attention: "0-0 1-2", sorted, each pair once.

    Each piece of the translation goes with that piece of the line to which most attention was given, the end of
    sentence left out; a piece stands for the word between white space that it is part of.
    """
    if reading.alpha_TS is None or len(reading.src_pieces) < 2:
        return ""
    src_words = translator.tokenizers.src.words_of_line(line)
    tgt_words = translator.tokenizers.tgt.words_of_ids(translation.tokens)
    # Without the ends of both sentences.
    chosen = reading.alpha_TS[: len(tgt_words), :-1].argmax(1).tolist()
    pairs = {(src_words[s], tgt_word) for s, tgt_word in zip(chosen, tgt_words, strict=True)}
    return " ".join(f"{s}-{t}" for s, t in sorted((s, t) for s, t in pairs if s is not None and t is not None))


def packed(reading: "Reading") -> dict[str, Any] | None:
    """Attention as `evaluation.results.Attention` has it: a byte for each weight, 255 for 1; None of blank lines."""
    if reading.alpha_TS is None:
        return None
    weights = bytes(round(255 * alpha) for alpha in reading.alpha_TS.flatten().tolist())
    return {
        "source_pieces": reading.src_pieces,
        "target_pieces": reading.tgt_pieces,
        "weights": base64.b64encode(weights).decode(),
    }


def _text(nbest: "Sequence[Translation]", index: int, wanted: Wanted) -> str:
    if not wanted.nbest:
        return nbest[0].text
    return "\n".join(f"{index} ||| {translation.text} ||| {translation.score:.6f}" for translation in nbest)


def _json(
    translator: "Translator",
    line: str,
    nbest: "Sequence[Translation]",
    readings: "Sequence[Reading]",
    wanted: Wanted,
) -> str:
    entries = []
    for translation, reading in zip(nbest, readings, strict=True):
        entry: dict[str, Any] = {
            "text": translation.text,
            "score": round(translation.score, 6),
            "log_probability": round(translation.log_probability, 6),
            "finished": translation.finished,
            "tokens": reading.tgt_pieces,
            "token_log_probabilities": [round(log_p, 6) for log_p in reading.log_probabilities],
        }
        if wanted.alignment:
            alpha = [] if reading.alpha_TS is None else reading.alpha_TS.tolist()
            entry["alignment"] = pharaoh(translator, line, translation, reading)
            entry["attention"] = [[round(weight, 4) for weight in row] for row in alpha]
        entries.append(entry)
    found = entries[0] | {"unknown": translator.tokenizers.src.unknown(line)}
    if wanted.alignment:
        found["source_tokens"] = readings[0].src_pieces
    if wanted.nbest:
        found["nbest"] = entries
    return json.dumps(found, ensure_ascii=False)


def _without_open_end(translation: "Translation", reading: "Reading") -> "Reading":
    """A translation that was cut has no end of sentence."""
    if translation.finished:
        return reading
    return reading._replace(
        tgt_pieces=reading.tgt_pieces[:-1],
        log_probabilities=reading.log_probabilities[:-1],
        alpha_TS=None if reading.alpha_TS is None else reading.alpha_TS[:-1],
    )
