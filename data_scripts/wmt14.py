"""WMT14 English-German (4.5 million pairs) or English-French (41 million): the benchmark of the first transformer.

    python data_scripts/wmt14.py data/wmt14-de
    python data_scripts/wmt14.py data/wmt14-fr --src_lang en --tgt_lang fr

train is Europarl v7, Common Crawl and News Commentary v9; of French also the UN corpus and the 10^9 corpus (giga-fren).
valid is newstest2013, test newstest2014 in the version with 3,003 sentences. Downloads: 1.7 GB; French 6.7 GB.
"""

import argparse
import sys

from download import Downloads, Source
from parallel_corpus import Corpus, corpus_parser, run
from parallel_text import Markup, Side, reader

VERSION = 1
# First the copy on the Hugging Face Hub, with the same members in a zip file, then the original. Sizes and sums: of the
# former `datasets/wmt14/dataset_infos.json` of huggingface/datasets at 040102f, of the latter `wmt14_translate.txt` and
# `wmt15_translate.txt` in tensorflow_datasets/url_checksums of tensorflow/datasets at 333639b; layout: wmt_utils.py of
# the former. All read on 23 November 2026.
HUGGING_FACE, STATMT = "https://huggingface.co/datasets/wmt", "https://www.statmt.org"
ARCHIVES = {
    "europarl-v7": (
        (f"{HUGGING_FACE}/wmt13/resolve/main-zip/training-parallel-europarl-v7.zip", 658092427,
         "5b2d8b32c2396da739b4e731871c597fcc6e75729becd74619d0712eecf7770e"),
        (f"{STATMT}/wmt13/training-parallel-europarl-v7.tgz", 657632379,
         "0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7"),
    ),
    "commoncrawl": (
        (f"{HUGGING_FACE}/wmt13/resolve/main-zip/training-parallel-commoncrawl.zip", 918734483,
         "5ffe980072ea29adfd84568d099bea366d9f72772b988e670794ae851b4e5627"),
        (f"{STATMT}/wmt13/training-parallel-commoncrawl.tgz", 918311367,
         "c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5"),
    ),
    "news-commentary-v9": (
        (f"{HUGGING_FACE}/wmt14/resolve/main-zip/training-parallel-nc-v9.zip", 80462375,
         "ce199f93ec56ff480137ba29f0819f9a22e70d88be6d7458f112303d67d623d5"),
        (f"{STATMT}/wmt14/training-parallel-nc-v9.tgz", 80418416,
         "cb8953f292298e6877ae433c98912b927cb0766b303f4540512ddd286c748485"),
    ),
    "un": (
        (f"{HUGGING_FACE}/wmt13/resolve/main-zip/training-parallel-un.zip", 2366237633,
         "74f07002e053c81bc7f73b4fdab58e7987e831338748f264cbda82a8b062d2e2"),
        (f"{STATMT}/wmt13/training-parallel-un.tgz", 2365634246,
         "29141b5c1eba149a94f7a59d3b1a834b2e47fe0f8758d68dcd77a3d3f497ee47"),
    ),
    "giga-fren": (
        (f"{HUGGING_FACE}/wmt10/resolve/main-zip/training-giga-fren.zip", 2595877717,
         "9439f86523e5dff3f923526dbf6c6929da1786c18dbf64436d2b7564b83aaba3"),
        (f"{STATMT}/wmt10/training-giga-fren.tar", 2595102720,
         "3ff8319f6919393520559bfbc7ad6a747ec81b3abc7be9993b338d4b017b4d9a"),
    ),
    "dev": (
        (f"{HUGGING_FACE}/wmt19/resolve/main-zip/translation-task/dev.zip", 38714274,
         "d796e363740fdc4261aa6f5a3d2f8223e3adaee7d737b7724863325b8956dfd1"),
        ("https://data.statmt.org/wmt19/translation-task/dev.tgz", 38654961,
         "7a7deccf82ebb05ba508dba5eb21356492224e8f630ec4f992132b029b4b25e7"),
    ),
}  # fmt: skip
MEMBERS = {
    "europarl-v7": "training/europarl-v7.{pair}.{lang}",
    "commoncrawl": "commoncrawl.{pair}.{lang}",
    "news-commentary-v9": "training/news-commentary-v9.{pair}.{lang}",
    "un": "un/undoc.2000.{pair}.{lang}",
    "giga-fren": "giga-fren.release2.fixed.{lang}.gz",
}


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """Plain text in archives; the test set in SGML."""
    src, tgt = options.src_lang, options.tgt_lang
    others = {src, tgt} - {"en"}
    if others not in ({"de"}, {"fr"}):
        raise ValueError(f"this script has en with de or fr, not {src} with {tgt}; see huggingface.py for others")
    other = others.pop()

    def part(archive: str, member: str, markup: Markup | None = None) -> tuple[Side, Side]:
        copies = tuple(
            Source(f"wmt-{url.rpartition('/')[2]}", url, f"sha256:{sha256}", size)
            for url, size, sha256 in ARCHIVES[archive]
        )
        sides = [
            Side(copies, member.format(pair=f"{other}-en", lang=lang, role=role), markup=markup)
            for lang, role in ((lang, "ref" if lang == "en" else "src") for lang in (src, tgt))
        ]
        return sides[0], sides[1]

    names = list(MEMBERS)[: 3 if other == "de" else 5]
    return Corpus(
        homepage="https://www.statmt.org/wmt14/translation-task.html",
        licence="research use, as WMT asks; the parts have terms of their own",
        citation="Bojar et al. 2014, Findings of the 2014 Workshop on Statistical Machine Translation (W14-3302)",
        splits={
            "train": reader(downloads, [part(name, MEMBERS[name]) for name in names]),
            "valid": reader(downloads, [part("dev", "dev/newstest2013.{lang}")]),
            "test": reader(downloads, [part("dev", f"dev/newstest2014-{other}en-{{role}}.{{lang}}.sgm", "sgml")]),
        },
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run(corpus_parser("wmt14.py", __doc__, "en", "de"), VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
