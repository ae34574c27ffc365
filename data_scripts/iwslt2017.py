"""IWSLT2017: TED talks, some 200,000 pairs of English with ar, de, fr, ja, ko or zh, or of two of de, en, it, nl, ro.

    python data_scripts/iwslt2017.py data/iwslt2017
    python data_scripts/iwslt2017.py data/iwslt2017-it-nl --src_lang it --tgt_lang nl

valid is dev2010. Tests: tst2010 to tst2015, and tst2017 as in the evaluation; with it, nl and ro tst2010 alone.
"""

import argparse
import sys

from download import Downloads, Source
from parallel_corpus import Corpus, corpus_parser, run
from parallel_text import Markup, Reader, Side, reader

VERSION = 1
HUGGING_FACE = "https://huggingface.co/datasets/iwslt2017/resolve/ebd7c60d9800c2a1be010a227e5f0a2363730f7a/data"
WIT3 = "https://raw.githubusercontent.com/hlt-mt/WIT3/master/archive"
# Sizes and SHA-256 sums: `datasets/iwslt2017/dataset_infos.json` of huggingface/datasets at 040102f. MD5 sums, of the
# archives in WIT3's repository: sacreBLEU 2.6.0 (iwslt17). All read on 23 November 2026.
MULTILINGUAL = Source(
    "iwslt2017-DeEnItNlRo.tgz",
    f"{HUGGING_FACE}/2017-01-trnmted/texts/DeEnItNlRo/DeEnItNlRo/DeEnItNlRo-DeEnItNlRo.tgz",
    "sha256:cebb3839b7580f8e4eecf66d75424caa29b9410a9a491a732b2d343626ee0243",
    329331279,
)
TRAINING = {  # size and SHA-256
    "ar-en": (27747532, "f1b77caa115cf5cbd00e519b425e33615080c8735fd9dd59a0c811bacd10ab70"),
    "de-en": (16751373, "ebcd53c53c8df742437e3a0fb964772e78764c3f6d4e38df0b6a2f71abc3a8b4"),
    "en-ar": (29332212, "7c9446ebf519fb9ca85d7fb7a6681918772eafc6a33bfdf9852f87442aabd3f7"),
    "en-de": (16751364, "623caec69988b224dbe741f16ad90411b93430117a8021c4bb2bcab7ad1eb21e"),
    "en-fr": (27691674, "1f5bd8cd242de15fb58a04af265adb8e604a7e1b805a42cb0de7dfd15447c5c6"),
    "en-ja": (26983540, "27322c1170d057a92f27edd475cfd2c46f38bd1acdd52bbcffbe725e78b3d472"),
    "en-ko": (19363699, "0ac6caa1fbfbb0c79f1e9ef2f8e5493b83003d6ad85ef504a5584e3b8b006f00"),
    "en-zh": (27596371, "d178f2ede07d7d600e244649e2092fb5fcbdda9729a3bb016502512028e2615b"),
    "fr-en": (26872507, "a40ca3b9a0064bd1fd582df4ced260dd3e7ff9f6f7bf863f139f74b7a5cabd78"),
    "ja-en": (26190272, "19b394f0256e7398bc69fb27c0fde15cd2a6c372a910ad99707ae32d54371640"),
    "ko-en": (19363701, "c0cba8c055a9bd55902aff5d61783ddad281df86f2ebb673d97b126b734a0987"),
    "zh-en": (26848340, "8cecd4e8e196e5cd1e0af48b30e26c36acd33002d1e0f6e448570f68da290258"),
}
TRAINING_MD5 = {  # of the same in WIT3's repository, where on record
    "de-en": "ca2b94d694150d4d6c5dc64c200fa589",
    "en-de": "d8a32cfc002a4f12b17429cfa78050e6",
    "en-fr": "3cf07ebe305312b12f7f1a4d5f8f8377",
    "en-zh": "575b788dad6c5b9c5cee636f9ac1094a",
    "fr-en": "19927da9de0f40348cad9c0fc61642ac",
    "zh-en": "1c0ae40171d52593df8a6963d3828116",
}
TEST_MD5 = {
    "ar-en": "4b5141d14b98706c081371e2f8afe0ca",
    "de-en": "e3f5b2a075a2da1a395c8b60bf1e9be1",
    "en-ar": "ecdc6bc4ab4c8984e919444f3c05183a",
    "en-de": "b68e7097b179491f6c466ef41ad72b9b",
    "en-fr": "1849bcc3b006dc0642a8843b11aa7192",
    "en-ja": "d957ee79de1f33c89077d37c5a2c5b06",
    "en-ko": "59f6a81c707378176e9ad8bb8d811f5f",
    "en-zh": "975a858783a0ebec8c57d83ddd5bd381",
    "fr-en": "79bf7a2ef02d226875f55fb076e7e473",
    "ja-en": "c213e8bb918ebf843543fe9fd2e33db2",
    "ko-en": "7e580af973bb389ec1d1378a1850742f",
    "zh-en": "cc51d9b7fe1ff2af858c6a0dd80b8815",
}


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """Archives with tagged training text and XML test sets, one for each direction or one for all."""
    src, tgt = options.src_lang, options.tgt_lang
    pair = f"{src}-{tgt}"
    if pair in TRAINING:
        size, sha256 = TRAINING[pair]
        path = f"2017-01-trnted/texts/{src}/{tgt}/{pair}.tgz"
        copies = [Source(f"iwslt2017-{pair}.tgz", f"{HUGGING_FACE}/{path}", f"sha256:{sha256}", size)]
        if pair in TRAINING_MD5:
            copies.append(Source(f"iwslt2017-wit3-{pair}.tgz", f"{WIT3}/{path}", f"md5:{TRAINING_MD5[pair]}"))
        folder, years = pair, range(2010, 2016)
    elif {src, tgt} <= {"de", "en", "it", "nl", "ro"}:
        copies, folder, years = [MULTILINGUAL], "DeEnItNlRo-DeEnItNlRo", range(2010, 2011)
    else:
        raise ValueError(
            f"there is no {pair}; choose en with ar, de, fr, ja, ko or zh, or two of de, en, it, nl and ro"
        )

    def split(name: str, markup: Markup) -> Reader:
        sides = [Side(tuple(copies), f"{folder}/{name.format(lang)}", markup=markup) for lang in (src, tgt)]
        return reader(downloads, [(sides[0], sides[1])])

    splits = {
        "train": split(f"train.tags.{pair}.{{}}", "ted"),
        "valid": split(f"IWSLT17.TED.dev2010.{pair}.{{}}.xml", "sgml"),
        **{f"tst{year}": split(f"IWSLT17.TED.tst{year}.{pair}.{{}}.xml", "sgml") for year in years},
    }
    if pair in TRAINING:
        splits["tst2017"] = reader(downloads, [(evaluation(src, tgt), evaluation(tgt, src))])
    return Corpus(
        homepage="https://wit3.fbk.eu/2017-01",
        licence="CC BY-NC-ND 4.0 (TED talks)",
        citation="Cettolo et al. 2017, Overview of the IWSLT 2017 Evaluation Campaign (2017.iwslt-1.1); "
        "Cettolo et al. 2012, WIT3",
        splits=splits,
    )


def evaluation(lang: str, other: str) -> Side:
    """One side of tst2017, which came out as the source of its direction."""
    pair = f"{lang}-{other}"
    url = f"{WIT3}/2017-01-ted-test/texts/{lang}/{other}/{pair}.tgz"
    source = Source(f"iwslt2017-test-{pair}.tgz", url, f"md5:{TEST_MD5[pair]}")
    return Side((source,), f"{pair}/IWSLT17.TED.tst2017.{pair}.{lang}.xml", markup="sgml")


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run(corpus_parser("iwslt2017.py", __doc__), VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
