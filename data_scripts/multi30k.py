"""Multi30k: captions of pictures in German, English, French and Czech; 29,000 training pairs.

    python data_scripts/multi30k.py data/multi30k
    python data_scripts/multi30k.py data/multi30k-en-fr --src_lang en --tgt_lang fr

The splits keep their names: train, val and the test sets that have both languages (Czech: 2016 and 2018 only).
"""

import argparse
import sys

from download import Downloads, Source
from parallel_corpus import Corpus, corpus_parser, run
from parallel_text import Side, reader

VERSION = 1
# The files of github.com/multi30k/dataset, data/task1/raw. MD5 sums from torchtext (torchtext/datasets/multi30k.py of
# 2021, task1), those of test_2018_flickr in cs, de and fr from sacreBLEU 2.6.0 (multi30k/2018); both read on 23
# November 2026. There is no public record of SHA-256 sums, nor of sizes.
MD5 = {
    "train": {
        "cs": "d9a5fc268917725a2b0efce3a0cc8607",
        "de": "81ff90b99829c0cd4b1b587d394afd39",
        "en": "0065d13af80720a55ca8153d126e6627",
        "fr": "6cb767741dcad3931f966fefbc05203f",
    },
    "val": {
        "cs": "83cdc082f646b769095615384cf5c0ca",
        "de": "6e0e229eb049e3fc99a1ef02fb2d5f91",
        "en": "2b69aa9253948ac9f67e94917272dd40",
        "fr": "93fc564584b7e5ba410c761ea5a1c682",
    },
    "test_2016_flickr": {
        "cs": "3104872229daa1bef3b401d44dd2220b",
        "de": "efd67d314d98489b716b145475101932",
        "en": "ff2c0fcb4893a13bd73414306bc250ae",
        "fr": "08dc7cd4a662f31718412de95ca9bfe3",
    },
    "test_2017_flickr": {
        "de": "6a8d5c87f6ae19e3d35681aa6fd16571",
        "en": "005396bac545d880abe6f00bbb7dbbb4",
        "fr": "cb09af7d2b501f9112f2d6a59fa1360d",
    },
    "test_2017_mscoco": {
        "de": "e8cd6ec2bc8a11fc846fa48a46e3d0bb",
        "en": "a7b684e0edbef1d4a23660c8e8e743fd",
        "fr": "4995d10954a804d3cdfd907b9fd093e8",
    },
    "test_2018_flickr": {
        "cs": "4c6b6490e58107b2e397c5e3e1690abc",
        "de": "87e00327083dd69feaa029a8f7c1a047",
        "en": "a152878809942757a55ce087073486b8",
        "fr": "a64563e986438ed731a6713027c36bfd",
    },
}
MIRRORS = (
    "https://raw.githubusercontent.com/multi30k/dataset/master",
    "https://cdn.jsdelivr.net/gh/multi30k/dataset@master",
)


def side(split: str, lang: str) -> Side:
    """One file, from either mirror."""
    name, digest = f"{split}.{lang}.gz", f"md5:{MD5[split][lang]}"
    return Side(tuple(Source(f"multi30k-{name}", f"{mirror}/data/task1/raw/{name}", digest) for mirror in MIRRORS))


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """Both languages of every split that has them."""
    langs = (options.src_lang, options.tgt_lang)
    if unknown := set(langs) - set(MD5["train"]):
        raise ValueError(f"Multi30k has no {' and no '.join(sorted(unknown))}; choose from {', '.join(MD5['train'])}")
    return Corpus(
        homepage="https://github.com/multi30k/dataset",
        licence="non-commercial research and education",
        citation="Elliott et al. 2016, Multi30K: Multilingual English-German Image Descriptions (W16-3210); test sets: "
        "Elliott et al. 2017 (W17-4718), Barrault et al. 2018 (W18-6402)",
        splits={
            split: reader(downloads, [(side(split, langs[0]), side(split, langs[1]))])
            for split, sums in MD5.items()
            if set(langs) <= sums.keys()
        },
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run(corpus_parser("multi30k.py", __doc__), VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
