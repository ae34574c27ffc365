"""Any translation set of the Hugging Face Hub, by name, with its splits; or one in a local folder.

    python data_scripts/huggingface.py data/books --dataset Helsinki-NLP/opus_books --config de-en
    python data_scripts/huggingface.py data/wmt16 --dataset wmt/wmt16 --config ro-en --src_lang ro --revision main

The set has a column `translation` with both languages, or a column for each. `validation` becomes valid; where valid or
test are missing they are taken out of train. `datasets` downloads, checks and caches, as its environment tells it
(HF_ENDPOINT, HF_DATASETS_CACHE, HF_TOKEN, ...). The revision that was read stands in corpus.json.
`seq2seq fit --data.train hf:NAME:CONFIG:train` reads such sets without this script; this one pins and describes them.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from download import Downloads
from parallel_corpus import Corpus, add_hold_out, corpus_parser, run
from parallel_text import Flaw, Pair

VERSION = 1
SPLITS = {"validation": "valid", "dev": "valid"}


def build(options: argparse.Namespace, downloads: Downloads) -> Corpus:
    """Downloads the set through `datasets`."""
    if options.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when this is imported
    import datasets

    name, langs = options.dataset, (options.src_lang, options.tgt_lang)
    try:
        builder = datasets.load_dataset_builder(name, options.config, revision=options.revision)
        builder.download_and_prepare(verification_mode="all_checks")  # which takes the sums of the files
        splits = builder.as_dataset()
    except Exception as error:  # a dozen kinds, of several libraries
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"cannot load {name}: {reason}; check --dataset, --config and the network") from None
    for split, table in splits.items():
        columns = table.features.get("translation") or table.features
        languages = getattr(columns, "languages", None) or list(columns)
        if missing := [lang for lang in langs if lang not in languages]:
            raise ValueError(f"{name}, {split}, has no {' and no '.join(missing)}; it has {', '.join(languages)}")
    tables = {SPLITS.get(split, split): table for split, table in splits.items()}
    if "train" not in tables:
        raise ValueError(f"{name} has no split train but {', '.join(splits)}")
    info = builder.info
    return Corpus(
        homepage=info.homepage or f"https://huggingface.co/datasets/{name}",
        licence=info.license or "see the set's page",
        citation=" ".join(info.citation.split()) or "see the set's page",
        splits={split: partial(pairs, table, langs) for split, table in tables.items()},
        hold_out={split: getattr(options, split) for split in ("valid", "test") if split not in tables},
        details={
            "revision": builder.hash,  # on the Hub the commit
            "downloaded": {url: known.get("checksum") for url, known in (info.download_checksums or {}).items()},
            "datasets": datasets.__version__,
        },
    )


def pairs(table: Any, langs: tuple[str, str], scratch: Path) -> Iterator[Pair]:
    """The pairs of a split, in its order."""
    column = "translation" if "translation" in table.column_names else None
    for row in table:
        texts = row[column] if column else row
        src, tgt = (sentence(texts[lang]) for lang in langs)
        yield src, tgt


def sentence(text: object) -> str | Flaw:
    """The text on one line."""
    if not isinstance(text, str):
        return Flaw("no text")
    return text.replace("\n", " ")


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = corpus_parser("huggingface.py", __doc__, downloads=False)
    parser.add_argument("--dataset", metavar="NAME", required=True, help="as on the Hub, or a folder")
    parser.add_argument("--config", help="which of its configurations, where there are several")
    parser.add_argument("--revision", help="commit, tag or branch (default: the newest)")
    add_hold_out(parser, valid=2000, test=2000)
    return run(parser, VERSION, build, argv)


if __name__ == "__main__":
    sys.exit(main())
