"""News-Commentary: opinion pieces of Project Syndicate in 15 languages; some 300,000 pairs of German and English.

    python data_scripts/news_commentary.py data/news-commentary
    python data_scripts/news_commentary.py data/news-commentary-fr --src_lang fr --release v16

Release v14 of cs-en, de-en, de-fr, en-kk, en-ru and en-zh has known sums.
"""

import argparse
import sys

from download import Downloads, Source
from parallel_corpus import Corpus, add_hold_out, corpus_parser, run
from parallel_text import Side, reader

VERSION = 1
# Sizes and SHA-256 sums: `wmt19_translate.txt` in tensorflow_datasets/url_checksums of tensorflow/datasets at 333639b;
# of other pairs and releases none are on record. Addresses: there and in public code. All read on 23 November 2026.
V14 = {
    "cs-en": (28119465, "b0ef38b810bc67811eb908080243e0211062c26a7a71cc05996c96ea6c55e0ff"),
    "de-en": (39390551, "8aaa98a77d38bd39dcbdbcb775f3b6c633700e4c10fd915cf3dc6b9bfd0f2dca"),
    "de-fr": (33904548, "31a7735fe2ae6d6841847fdebb5aed03d5da1c15500695154d3c35d40c29cb09"),
    "en-kk": (1269004, "bc0fdd1dd040c53409ace60c019a8a58450a36f128bc1e4263fcb5d4fc1bf0cb"),
    "en-ru": (41411245, "09aef10a0bb51104622ff6852cdf4f693b5906de970156b4e8db1e64ec55340c"),
    "en-zh": (36696769, "fc9cc3f28ad62872d8eece1dffb1148f972baf6621bc87ba049a3ae0aab4025b"),
}


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """One file with a column for each language, in alphabetical order."""
    langs = (options.src_lang, options.tgt_lang)
    pair = "-".join(sorted(langs))
    release = options.release
    file = f"news-commentary-{release.partition('.')[0]}.{pair}.tsv.gz"
    size, sha256 = V14.get(pair, (None, None)) if release == "v14" else (None, None)
    copies = tuple(
        Source(
            f"news-commentary-{release}.{pair}.tsv.gz",
            f"{scheme}://data.statmt.org/news-commentary/{release}/training/{file}",
            f"sha256:{sha256}" if sha256 else None,
            size,
        )
        for scheme in ("https", "http")
    )
    src, tgt = (Side(copies, column=int(lang == max(langs))) for lang in langs)
    return Corpus(
        homepage="https://data.statmt.org/news-commentary/",
        licence="research use, as WMT asks; the articles are Project Syndicate's",
        citation="Barrault et al. 2019, Findings of the 2019 Conference on Machine Translation (W19-5301)",
        splits={"train": reader(downloads, [(src, tgt)])},
        hold_out={"valid": options.valid, "test": options.test},
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = corpus_parser("news_commentary.py", __doc__)
    parser.add_argument("--release", default="v14", help="v14, v15, v16, v17, v18 or v18.1 (default: v14)")
    add_hold_out(parser, valid=2000, test=2000)
    return run(parser, VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
