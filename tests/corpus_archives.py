"""Archives in the layout of the originals, of the shared corpora where those are there, else of generated sentences."""

import gzip
import json
import random
from pathlib import Path
from typing import NamedTuple

from tests.test_unpack import tar_of, zip_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
Lines = list[str]


def sentences(seed: int, count: int) -> Lines:
    dice = random.Random(seed)
    words = ["über", "Haus", "l'eau", "naïve", "&", "the", "<b>", "Łódź", "東京", "–", "2 < 3", "quick"]
    return [f"{number} {' '.join(dice.choices(words, k=1 + dice.randrange(12)))}" for number in range(count)]


def shared(corpus: str, split: str, lang: str, count: int) -> Lines:
    """The beginning of a shared corpus, or as many generated sentences."""
    path = SHARED / corpus / f"{split}.{lang}"
    if not path.is_file():
        return sentences(sum(map(ord, corpus + split)) + (lang == "en"), count)
    return path.read_text(encoding="utf-8").split("\n")[:-1][:count]


def text(lines: Lines) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def sgml(lines: Lines, kind: str = "srcset") -> bytes:
    escaped = [line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines]
    body = "\n".join(f'<seg id="{number}"> {line} </seg>' for number, line in enumerate(escaped, 1))
    return f'<?xml version="1.0"?>\n<{kind} setid="t"><doc docid="1">\n{body}\n</doc></{kind}>\n'.encode()


def ted(lines: Lines, speaker: str) -> bytes:
    half = len(lines) // 2
    head = f"<doc docid=1 genre=lectures>\n<url>http://ted.com</url>\n<speaker>{speaker}</speaker>\n<title>A</title>\n"
    talks = ["".join(f" {line} \n" for line in part) for part in (lines[:half], lines[half:])]
    return "".join(f"{head}{talk}</doc>\n" for talk in talks).encode()


class Case(NamedTuple):
    """What a server has, how a script is called, and what must come out."""

    arguments: list[str]
    files: dict[str, bytes]
    splits: dict[str, tuple[Lines, Lines] | None]  # None: held out of train


def packed(folder: Path, name: str, members: dict[str, bytes]) -> bytes:
    return (zip_of if name.endswith(".zip") else tar_of)(folder / name, members).read_bytes()


def multi30k(folder: Path) -> Case:
    sizes = {"train": 29000, "val": 1014, "test_2016_flickr": 1000, "test_2017_flickr": 1000}
    sizes |= {"test_2017_mscoco": 461, "test_2018_flickr": 1071}
    splits = {split: tuple(shared("multi30k", split, lang, n) for lang in ("de", "en")) for split, n in sizes.items()}
    files = {
        f"multi30k-{split}.{lang}.gz": gzip.compress(text(lines), 1)
        for split, sides in splits.items()
        for lang, lines in zip(("de", "en"), sides, strict=True)
    }
    return Case([], files, splits)


def tatoeba(folder: Path) -> Case:
    de, en = (shared("tatoeba", "train", lang, 3000) for lang in ("de", "en"))
    by = "CC-BY 2.0 (France) Attribution: tatoeba.org #1 (a) & #2 (b)"
    rows = [f"{tgt}\t{src}\t{by}" for src, tgt in zip(de, en, strict=True)]
    archive = packed(folder, "tatoeba-deu-eng.zip", {"deu.txt": text(rows), "_about.txt": b"about\n"})
    arguments = ["--valid", "100", "--test", "50"]
    return Case(arguments, {"tatoeba-deu-eng.zip": archive}, {"train": (de, en), "valid": None, "test": None})


def iwslt14(folder: Path) -> Case:
    de, en = (shared("tatoeba", "train", lang, 900) for lang in ("de", "en"))
    tests = ["TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012"]
    members = {"de-en/README": b"read me"}
    test: tuple[Lines, Lines] = ([], [])
    for number, name in enumerate(tests):
        for side, lang in enumerate(("de", "en")):
            lines = shared("tatoeba", "test", lang, 50)[10 * number : 10 * number + 10]
            members[f"de-en/IWSLT14.{name}.de-en.{lang}.xml"] = sgml(lines)
            test[side].extend(lines)
    members |= {"de-en/train.tags.de-en.de": ted(de, "Müller"), "de-en/train.tags.de-en.en": ted(en, "Miller")}
    files = {"iwslt14-de-en.tgz": packed(folder, "iwslt14-de-en.tgz", members)}
    return Case(["--valid", "40"], files, {"train": (de, en), "test": test, "valid": None})


def iwslt2017(folder: Path) -> Case:
    splits = {"train": tuple(shared("tatoeba", "train", lang, 500) for lang in ("de", "en"))}
    members = {f"de-en/train.tags.de-en.{lang}": ted(splits["train"][i], "x") for i, lang in enumerate(("de", "en"))}
    for number, name in enumerate(["dev2010", *(f"tst{year}" for year in range(2010, 2016))]):
        sides = tuple(shared("tatoeba", "valid", lang, 70)[10 * number : 10 * number + 10] for lang in ("de", "en"))
        splits["valid" if name == "dev2010" else name] = sides
        for lang, lines in zip(("de", "en"), sides, strict=True):
            members[f"de-en/IWSLT17.TED.{name}.de-en.{lang}.xml"] = sgml(lines)
    files = {"iwslt2017-de-en.tgz": packed(folder, "iwslt2017-de-en.tgz", members)}
    splits["tst2017"] = tuple(shared("tatoeba", "test", lang, 20) for lang in ("de", "en"))
    for lines, pair in zip(splits["tst2017"], ("de-en", "en-de"), strict=True):
        member = f"{pair}/IWSLT17.TED.tst2017.{pair}.{pair[:2]}.xml"
        name = f"iwslt2017-test-{pair}.tgz"
        files[name] = packed(folder, name, {member: sgml(lines)})
    return Case([], files, splits)


def wmt14(folder: Path) -> Case:
    """English with French: the parts that German has, and the two larger ones, one of them packed twice."""
    en, fr = shared("news", "train", "en", 500), shared("news", "train", "de", 500)
    names = {
        "wmt-training-parallel-europarl-v7.tgz": "training/europarl-v7.fr-en.{}",
        "wmt-training-parallel-commoncrawl.zip": "commoncrawl.fr-en.{}",
        "wmt-training-parallel-nc-v9.zip": "training/news-commentary-v9.fr-en.{}",
        "wmt-training-parallel-un.zip": "un/undoc.2000.fr-en.{}",
        "wmt-training-giga-fren.tar": "giga-fren.release2.fixed.{}.gz",
    }
    files = {}
    for number, (name, member) in enumerate(names.items()):
        part = slice(100 * number, 100 * number + 100)
        pack = gzip.compress if member.endswith(".gz") else bytes
        members = {member.format("fr"): pack(text(fr[part])), member.format("en"): pack(text(en[part]))}
        files[name] = packed(folder, name, members)
    valid = tuple(shared("news", "valid", lang, 100) for lang in ("en", "de"))
    test = tuple(shared("news", "newstest2014", lang, 3003) for lang in ("en", "de"))
    dev = {
        "dev/newstest2013.en": text(valid[0]),
        "dev/newstest2013.fr": text(valid[1]),
        "dev/newstest2014-fren-src.fr.sgm": sgml(test[1]),
        "dev/newstest2014-fren-ref.en.sgm": sgml(test[0], "refset"),
    }
    files["wmt-dev.zip"] = packed(folder, "wmt-dev.zip", dev)
    return Case(["--tgt_lang", "fr"], files, {"train": (en, fr), "valid": valid, "test": test})


def tsv(folder: Path, name: str, *more: str) -> Case:
    de, en = (shared("news", "train", lang, 800) for lang in ("de", "en"))
    rows = ["\t".join(row) for row in zip(de, en, *([column] * len(de) for column in more), strict=True)]
    arguments = ["--valid", "30", "--test", "20"]
    return Case(arguments, {name: gzip.compress(text(rows))}, {"train": (de, en), "valid": None, "test": None})


def europarl(folder: Path) -> Case:
    return tsv(folder, "europarl-v9.de-en.tsv.gz")


def news_commentary(folder: Path) -> Case:
    return tsv(folder, "news-commentary-v14.de-en.tsv.gz", "a third column")


def opus(folder: Path) -> Case:
    de, en = (shared("news", "train", lang, 800) for lang in ("de", "en"))
    members = {"README": b"", "LICENSE": b"", "Books.de-en.de": text(de), "Books.de-en.en": text(en)}
    name = "opus-Books-v1-de-en.zip"
    listing = {"corpora": [{"corpus": "Books", "version": "v1", "url": "http://x", "alignment_pairs": 800}]}
    files = {name: packed(folder, name, members), "opus-Books-de-en.json": json.dumps(listing).encode()}
    arguments = ["--corpus", "Books", "--valid", "30", "--test", "20"]
    return Case(arguments, files, {"train": (de, en), "valid": None, "test": None})


CASES = {
    "multi30k": multi30k,
    "tatoeba": tatoeba,
    "iwslt14": iwslt14,
    "iwslt2017": iwslt2017,
    "wmt14": wmt14,
    "europarl": europarl,
    "news_commentary": news_commentary,
    "opus": opus,
}
