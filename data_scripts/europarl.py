"""Europarl: proceedings of the European Parliament, up to 2 million pairs of English and another language of the Union.

    python data_scripts/europarl.py data/europarl
    python data_scripts/europarl.py data/europarl-fr --src_lang fr --release v7

Release v9 has cs, de, fi and lt with en, and known sums; v7 has 20 languages with en; v10 has cs, de, fi, fr, lt and pl
with en, and some others.
"""

import argparse
import sys

from download import Downloads, Source
from parallel_corpus import Corpus, add_hold_out, corpus_parser, run
from parallel_text import Side, reader

VERSION = 1
# Sizes and SHA-256 sums of v9: `wmt19_translate.txt` in tensorflow_datasets/url_checksums of tensorflow/datasets at
# 333639b; of v7 and v10 none are on record. Addresses and layouts: there, in huggingface/datasets' wmt_utils.py and in
# mtdata's index. All read on 23 November 2026.
V9 = {
    "cs": (68176874, "e5e46de957439cf14e5048fc4127656d91315646822f2ac6c0193b5758617f60"),
    "de": (204454328, "c2aef75d81bf06b22e4a9237319c1d53ba9668a13cb155c6b1361182cd3abc84"),
    "fi": (194574376, "6bd65e497db4cc783b08f8be62aaa4b85c67c1e260a09e785cef77ff9e4488e8"),
    "lt": (64351345, "9ff4cf5ab95603a6f2c9b6342dd8fdaa9ab307dce3ba25b4317cc6da98069a2d"),
}
V7 = [
    "bg",
    "cs",
    "da",
    "de",
    "el",
    "es",
    "et",
    "fi",
    "fr",
    "hu",
    "it",
    "lt",
    "lv",
    "nl",
    "pl",
    "pt",
    "ro",
    "sk",
    "sl",
    "sv",
]


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """v7: two files of lines in an archive; v9 and v10: one file with a column for each language."""
    langs = (options.src_lang, options.tgt_lang)
    first, second = sorted(langs, key=lambda lang: (lang == "en", lang))  # as the files are called: de-en, but en-es
    pair, release = f"{first}-{second}", options.release
    known = {"v7": V7, "v9": set(V9)}.get(release)
    if known and (second != "en" or first not in known):
        raise ValueError(f"release {release} has no {pair}; it has en with {', '.join(sorted(known))}")
    statmt = "https://www.statmt.org/europarl"
    if release == "v7":
        copies: tuple[Source, ...] = (Source(f"europarl-v7-{pair}.tgz", f"{statmt}/v7/{pair}.tgz"),)
        sides = [Side(copies, member=f"europarl-v7.{pair}.{lang}") for lang in langs]
    else:
        name, path = f"europarl-{release}.{pair}.tsv.gz", f"{release}/training/europarl-{release}.{pair}.tsv.gz"
        size, sha256 = V9[first] if release == "v9" else (None, None)
        digest = f"sha256:{sha256}" if sha256 else None
        copies = (
            Source(name, f"{statmt}/{path}", digest, size),
            Source(name, f"https://huggingface.co/datasets/wmt/europarl/resolve/main/{path}", digest, size),
        )
        sides = [Side(copies, column=int(lang == second)) for lang in langs]
    return Corpus(
        homepage="https://www.statmt.org/europarl/",
        licence="no copyright restrictions known to its authors",
        citation="Koehn 2005, Europarl: A Parallel Corpus for Statistical Machine Translation (2005.mtsummit-papers)",
        splits={"train": reader(downloads, [(sides[0], sides[1])])},
        hold_out={"valid": options.valid, "test": options.test},
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = corpus_parser("europarl.py", __doc__)
    parser.add_argument("--release", choices=["v7", "v9", "v10"], default="v9", help="(default: v9)")
    add_hold_out(parser, valid=2000, test=2000)
    return run(parser, VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
