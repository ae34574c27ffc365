"""OPUS: any of its thousand corpora, by name: Books, OpenSubtitles, TED2020, Tatoeba, WikiMatrix, ...

    python data_scripts/opus.py data/books --corpus Books
    python data_scripts/opus.py data/tatoeba --corpus Tatoeba --release v2023-04-12 --src_lang fi

Without --release OPUS is asked for its latest one; its answer is kept among the archives. There are no sums on record:
the one found is printed and stands in corpus.json, and --sha256 insists on it.
"""

import argparse
import json
import re
import sys
import urllib.parse

from download import Downloads, Source
from parallel_corpus import Corpus, add_hold_out, corpus_parser, run
from parallel_text import Side, reader

VERSION = 1
# Addresses, the API's answer and the archives' layout: read in public code that uses them, on 23 November 2026.
API = "https://opus.nlpl.eu/opusapi/"
STORE = "https://object.pouta.csc.fi"


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """A zip file with CORPUS.de-en.de and CORPUS.de-en.en, beside README and LICENSE."""
    langs = (options.src_lang, options.tgt_lang)
    pair, corpus = "-".join(sorted(langs)), options.corpus
    if not re.fullmatch(r"[\w.-]+", corpus):
        raise ValueError(f"{corpus!r} is no name of a corpus; https://opus.nlpl.eu lists them")
    release = options.release or latest_release(corpus, pair, downloads)
    name = f"opus-{corpus}-{release}-{pair}.zip"
    copies = (
        Source(name, f"{STORE}/OPUS-{corpus}/{release}/moses/{pair}.txt.zip"),
        Source(name, f"https://opus.nlpl.eu/download.php?f={corpus}/{release}/moses/{pair}.txt.zip"),
    )
    src, tgt = (Side(copies, member=f"{corpus}.{pair}.{lang}") for lang in langs)
    return Corpus(
        homepage=f"https://opus.nlpl.eu/{corpus}",
        licence="that of the source: see its page, and LICENSE in the archive",
        citation="Tiedemann 2012, Parallel Data, Tools and Interfaces in OPUS (L12-1246); its page may ask for more",
        splits={"train": reader(downloads, [(src, tgt)])},
        hold_out={"valid": options.valid, "test": options.test},
        details={"release": release},
    )


def latest_release(corpus: str, pair: str, downloads: Downloads) -> str:
    """What OPUS calls the newest release of the corpus that has the pair."""
    src, tgt = pair.split("-")
    query = urllib.parse.urlencode(
        {"corpus": corpus, "source": src, "target": tgt, "preprocessing": "moses", "version": "latest"}
    )
    answer = downloads.get(Source(f"opus-{corpus}-{pair}.json", f"{API}?{query}")).path
    try:
        found = [entry["version"] for entry in json.loads(answer.read_text(encoding="utf-8"))["corpora"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{answer} is no answer of OPUS; delete it, or name a --release") from None
    if not found:
        answer.unlink()
        raise ValueError(f"OPUS has no {corpus} of {pair}; https://opus.nlpl.eu lists names, languages and releases")
    return str(found[0])


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = corpus_parser("opus.py", __doc__)
    parser.add_argument("--corpus", metavar="NAME", required=True, help="as OPUS writes it: Books, OpenSubtitles, ...")
    parser.add_argument("--release", metavar="V", help="for example v1 or v2023-04-12 (default: the latest)")
    add_hold_out(parser, valid=2000, test=2000)
    return run(parser, VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
