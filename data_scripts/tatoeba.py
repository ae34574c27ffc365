"""Tatoeba: short everyday sentences in English and some 80 other languages, as manythings.org compiles them for Anki.

    python data_scripts/tatoeba.py data/tatoeba
    python data_scripts/tatoeba.py data/tatoeba-tr --src_lang tr --sha256 tatoeba-tur-eng.zip=SUM

The compilation grows by the week, so no sum can be known beforehand: the one found is printed and stands in
corpus.json, and --sha256 insists on it. Releases of Tatoeba that stay: opus.py --corpus Tatoeba --release v2023-04-12.
"""

import argparse
import sys

from download import Downloads, Source
from parallel_corpus import Corpus, add_hold_out, corpus_parser, run
from parallel_text import Side, reader

VERSION = 1
# ISO 639-1 to the codes of the archives; other languages by their code there.
CODES = {
    "ar": "ara", "bg": "bul", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "es": "spa", "et": "est", "fi": "fin",
    "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "it": "ita", "ja": "jpn", "ko": "kor", "lt": "lit", "nl": "nld",
    "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sv": "swe", "tr": "tur", "uk": "ukr", "vi": "vie", "zh": "cmn",
}  # fmt: skip


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """Lines ENGLISH TAB OTHER TAB ATTRIBUTION; addresses and layout read in public code on 23 November 2026."""
    langs = (options.src_lang, options.tgt_lang)
    others = [lang for lang in langs if lang not in ("en", "eng")]
    if len(others) != 1:
        raise ValueError(f"manythings.org pairs languages with English, not {langs[0]} with {langs[1]}; see opus.py")
    code = CODES.get(others[0], others[0])
    copies = tuple(
        Source(f"tatoeba-{code}-eng.zip", f"{scheme}://www.manythings.org/anki/{code}-eng.zip")
        for scheme in ("https", "http")
    )
    src, tgt = (Side(copies, member=f"{code}.txt", column=int(lang in others)) for lang in langs)
    return Corpus(
        homepage="https://www.manythings.org/anki/",
        licence="CC BY 2.0 FR",
        citation="Tatoeba, https://tatoeba.org, through Tab-delimited Bilingual Sentence Pairs, manythings.org",
        splits={"train": reader(downloads, [(src, tgt)])},
        hold_out={"valid": options.valid, "test": options.test},
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = corpus_parser("tatoeba.py", __doc__)
    add_hold_out(parser, valid=3000, test=5000)
    return run(parser, VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
