"""The forms of a corpus, and what is said about a broken one."""

import gzip
import hashlib
import json
import os
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest

from seq2seq.corpus import (
    corpus_files,
    fingerprint,
    fingerprints,
    first_pairs,
    iter_pairs,
    iter_shard,
    outer_fingerprint,
    read_pairs,
    sample_pairs,
)

DE = ["ein Hund", "zwei  Katzen\tund\u2028mehr", "", "grün 😀 "]
EN = ["a dog", "two cats", "\x85", "green"]
ROWS = [{"de": de, "en": en, "id": 5} for de, en in zip(DE, EN, strict=True)]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_text_files_are_read_by_prefix_or_by_name(folder: Path, ending: str) -> None:
    write(folder / f"train.de{ending}", "\n".join(DE) + "\n")
    write(folder / f"train.en{ending}", "\n".join(EN))  # a last line without an end is a line
    assert read_pairs("train", "de", "en") == (DE, EN)
    assert read_pairs("train", "en", "de") == (EN, DE)
    assert read_pairs(f"train.de{ending},train.en{ending}", "x", "y") == (DE, EN)
    assert corpus_files("train", "de", "en") == [Path(f"train.de{ending}"), Path(f"train.en{ending}")]


def test_line_ends_of_windows_and_a_byte_order_mark_are_not_text(folder: Path) -> None:
    write(folder / "train.de", "\ufeffein Hund\r\n\r\nzwei\r\n")
    write(folder / "train.en", "a dog\n\ntwo\n")
    assert read_pairs("train", "de", "en") == (["ein Hund", "", "zwei"], ["a dog", "", "two"])


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_tables_of_text_are_read(folder: Path, ending: str) -> None:
    pairs = (["ein Hund", "grün"], ["a dog", ""])
    write(folder / f"x.tsv{ending}", "ein Hund\ta dog\ngrün\t\n")
    assert read_pairs(f"x.tsv{ending}", "de", "en") == pairs
    for wrap in (lambda row: row, lambda row: {"translation": row, "id": 3}):
        lines = [json.dumps(wrap({"de": de, "en": en})) for de, en in zip(*pairs, strict=True)]
        write(folder / f"x.jsonl{ending}", "\n".join(lines))
        assert read_pairs(f"x.jsonl{ending}", "de", "en") == pairs


@pytest.mark.parametrize("rows", [ROWS, [{"translation": row} for row in ROWS]], ids=["columns", "translation"])
def test_arrow_parquet_and_saved_datasets_are_read(folder: Path, rows: list[dict]) -> None:
    dataset = datasets.Dataset.from_list(rows)
    dataset.save_to_disk(folder / "saved")
    pyarrow.parquet.write_table(dataset.data.table, folder / "x.parquet")
    [arrow] = corpus_files("saved", "de", "en")
    for spec in ("saved", "x.parquet", str(arrow)):
        assert read_pairs(spec, "de", "en") == (DE, EN)


def test_hub_names_are_read_by_split_and_part_of_a_split(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    (folder / "name").mkdir()
    for split, rows in (("train", ROWS), ("test", ROWS[:1])):
        write(folder / "name" / f"{split}.jsonl", "\n".join(json.dumps(row) for row in rows))
    spec = f"hf:{folder}/name:train"
    assert read_pairs(spec, "de", "en") == (DE, EN)
    assert read_pairs(f"hf:{folder}/name:default:test", "de", "en") == (DE[:1], EN[:1])
    assert read_pairs(f"{spec}[1:3]", "de", "en") == (DE[1:3], EN[1:3])
    assert fingerprint(spec, "de", "en") == fingerprint(spec, "de", "en") != fingerprint(f"{spec}[1:3]", "de", "en")
    with pytest.raises(ValueError, match=r"cannot load .*name:valid: .*valid.*; check name and split") as error:
        read_pairs(f"hf:{folder}/name:valid", "de", "en")
    assert "\n" not in str(error.value)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'nobody/x' on the Hub\nand more")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ValueError) as error:
        read_pairs("hf:nobody/x:train", "de", "en")
    assert str(error.value) == (
        "cannot load hf:nobody/x:train: Couldn't reach 'nobody/x' on the Hub; check name and split; if you are "
        "offline, fetch it once while online or use local files"
    )


def test_a_line_end_inside_a_sentence_becomes_a_space(folder: Path) -> None:
    write(folder / "x.jsonl", json.dumps({"de": "ein\nHund\r\n", "en": "a dog"}))
    assert read_pairs("x.jsonl", "de", "en") == (["ein Hund "], ["a dog"])


def test_a_corpus_comes_in_parts(folder: Path) -> None:
    lines = [str(number) for number in range(25_001)]
    write(folder / "t.de.gz", "\n".join(lines))
    write(folder / "t.en", "\n".join(lines) + "\n")
    parts = list(iter_pairs("t", "de", "en"))
    assert [len(src) for src, _ in parts] == [10_000, 10_000, 5_001]
    assert [line for src, _ in parts for line in src] == [line for _, tgt in parts for line in tgt] == lines
    write(folder / "t.en", "\n".join(lines[:-2]) + "\n")
    with pytest.raises(ValueError, match=r"t\.de\.gz has 25001 lines but t\.en has 24999; "):
        list(iter_pairs("t", "de", "en"))
    write(folder / "t.en", "\n".join(lines).encode() + b"\xff")
    with pytest.raises(ValueError, match=r"t\.en line 25001: byte 0xff is not UTF-8; "):
        list(iter_pairs("t", "de", "en"))


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_several_files_are_one_corpus_in_the_order_of_their_names(folder: Path, ending: str) -> None:
    for name, rows in (("b", ROWS[2:]), ("a", ROWS[:2])):
        dataset = datasets.Dataset.from_list(rows)
        if ending == "jsonl":
            dataset.to_json(folder / f"x-{name}.jsonl")
        else:
            dataset.to_parquet(folder / f"x-{name}.parquet")
    assert corpus_files(f"x-*.{ending}", "de", "en") == [Path(f"x-a.{ending}"), Path(f"x-b.{ending}")]
    assert read_pairs(f"x-*.{ending}", "de", "en") == (DE, EN)
    with pytest.raises(FileNotFoundError, match=rf"^no file y-\*\.{ending}; check the path of the corpus"):
        read_pairs(f"y-*.{ending}", "de", "en")


def test_a_sample_is_spread_evenly_over_the_corpus(folder: Path) -> None:
    lines = [str(number) for number in range(30_000)]
    for lang in ("de", "en"):
        write(folder / f"t.{lang}", "\n".join(lines))
    assert sample_pairs("t", "de", "en", most=30_000) == (lines, lines)
    src, tgt = sample_pairs("t", "de", "en", most=7_000)
    assert src == tgt == lines[::8]


def test_the_fingerprint_follows_contents_and_languages_not_names(folder: Path) -> None:
    for name in ("a", "b"):
        write(folder / f"{name}.de", "eins\n")
        write(folder / f"{name}.en", "one\n")
    first = fingerprint("a", "de", "en")
    assert fingerprint("b", "de", "en") == first
    assert fingerprint("a", "en", "de") != first
    write(folder / "b.en", "One\n")
    assert fingerprint("b", "de", "en") != first


def test_the_hash_of_a_large_file_is_remembered_until_the_file_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "_LARGE_FILE", 8)
    write(folder / "a.tsv", "a\tb\n" * 3)
    first = fingerprint("a.tsv", "de", "en", remember_in=folder / "cache")
    assert first == fingerprint("a.tsv", "de", "en")
    [note] = (folder / "cache").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert fingerprint("a.tsv", "de", "en", remember_in=folder / "cache") == first
    write(folder / "a.tsv", "a\tc\n" * 3)
    os.utime(folder / "a.tsv", ns=(0, 5))
    assert fingerprint("a.tsv", "de", "en", remember_in=folder / "cache") != first
    assert len(list((folder / "cache").iterdir())) == 2 and note.exists()
    assert fingerprint("a.tsv", "de", "en", remember_in=folder / "a.tsv" / "cache")  # a folder that cannot be


def test_the_outer_fingerprint_follows_names_sizes_and_both_ends(folder: Path) -> None:
    def of(text: str, name: str = "a") -> str:
        write(folder / f"{name}.tsv", text)
        return outer_fingerprint(f"{name}.tsv", "de", "en")

    middle = "x" * 2**21
    first = of(f"a\t{middle}b")
    assert of(f"a\t{middle}b") == first
    others = {of(f"a\t{middle}c"), of(f"b\t{middle}b"), of(f"a\t{middle}xb"), of(f"a\t{middle}b", name="b")}
    assert len(others | {first}) == 5


@pytest.mark.parametrize("form", ["text", "tsv.gz", "jsonl", "parquet", "saved", "hub"])
@pytest.mark.parametrize("start", [0, 3, 19, 20, 47, 50])
def test_a_shard_is_read_from_any_row_on(folder: Path, monkeypatch: pytest.MonkeyPatch, form: str, start: int) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    rows = [{"de": f"\u2028 {number}", "en": str(number)} for number in range(50)]
    dataset = datasets.Dataset.from_list(rows)
    write(folder / "x.de", "".join(row["de"] + "\n" for row in rows))
    write(folder / "x.en", "".join(row["en"] + "\n" for row in rows))
    write(folder / "x.tsv.gz", "".join("{de}\t{en}\n".format(**row) for row in rows))
    dataset.to_json("x.jsonl")
    dataset.to_parquet("x.parquet", batch_size=20)
    dataset.save_to_disk("x")
    (folder / "name").mkdir()
    dataset.to_json("name/train.jsonl")
    spec = {"text": "x.de,x.en", "saved": "x", "hub": f"hf:{folder}/name:train"}.get(form, f"x.{form}")
    pairs = list(iter_shard(spec, "de", "en", start=start, streaming=True))
    assert pairs == [(row["de"], row["en"]) for row in rows[start:]]
    assert len(list((folder / "cache").rglob("*.arrow"))) == 0, "nothing is kept"


def test_the_first_pairs_of_all_files_are_taken(folder: Path) -> None:
    for part in range(3):
        write(folder / f"x-{part}.tsv", "".join(f"{part}\t{number}\n" for number in range(100)))
    src, tgt = first_pairs("x-*.tsv", "de", "en", most=30)
    assert src == ["0"] * 10 + ["1"] * 10 + ["2"] * 10
    assert tgt == [str(number) for number in range(10)] * 3


GOOD = "a\nb\nc\n"


@pytest.mark.parametrize(
    ("files", "spec", "message"),
    [
        (
            {"t.de": GOOD, "t.en": "a\nb\n"},
            "t",
            r"t\.de has 3 lines but t\.en has 2; the translation of each line must",
        ),
        ({"t.de": GOOD, "t.en": b"a\n\nb\xe4\n"}, "t", r"t\.en line 3: byte 0xe4 is not UTF-8; convert"),
        ({"t.de": GOOD}, "t", r"no corpus 't': looked for t\.en and t\.en\.gz"),
        ({"t.de": GOOD, "t.en": GOOD}, "t.de", r"t\.de is one file: write SOURCE_FILE,TARGET_FILE"),
        ({"t.de": GOOD, "t.en": GOOD}, ".", r"\. is a folder: name the beginning of the files"),
        ({"t.de": GOOD}, "t.de,t.fr", r"no file t\.fr; check the path of the corpus 't\.de,t\.fr'"),
        ({"t.de": GOOD}, "t.de,t.de,t.de", r"names 3 files; write SOURCE_FILE,TARGET_FILE"),
        ({"t.de": "", "t.en": ""}, "t", r"t\.de and t\.en hold no lines"),
        ({"t.de.gz": GOOD, "t.en": GOOD}, "t.de.gz,t.en.gz", r"no file t\.en\.gz"),
        ({}, "x.tsv", r"no file x\.tsv; check the path"),
        ({"x.tsv": "a\tb\na b\n"}, "x.tsv", r"x\.tsv line 2 has 1 columns; each line must be SOURCE TAB TARGET"),
        ({"x.tsv.gz": "a\tb\tc\n"}, "x.tsv.gz", r"x\.tsv\.gz line 1 has 3 columns"),
        ({"x.jsonl": '{"de": "a", "en": "b"}\n{"de": \n'}, "x.jsonl", r"x\.jsonl line 2 is not JSON \(.*\); each line"),
        ({"x.jsonl": '["a", "b"]\n'}, "x.jsonl", r"x\.jsonl line 1 is no JSON object; write \{'de': "),
        ({"x.jsonl": '{"de": "a", "fr": "b"}\n'}, "x.jsonl", r"line 1 has no 'en'; choose .* from de, fr"),
        ({"x.jsonl": '{"de": "a", "en": null}\n'}, "x.jsonl", r"line 1 holds None in place of a sentence"),
        ({"x.jsonl": '{"de": "a", "en": "\\ud83d"}\n'}, "x.jsonl", r"line 1 holds half of a UTF-16 pair"),
        ({"x.parquet": "text"}, "x.parquet", r"cannot load x\.parquet: .*; check the file"),
        ({}, "hf:name", r"'hf:name' is not hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT"),
    ],
)
def test_a_broken_corpus_is_one_line_that_says_where(
    folder: Path, files: dict[str, str | bytes], spec: str, message: str
) -> None:
    for name, text in files.items():
        write(folder / name, text)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        read_pairs(spec, "de", "en")
    assert "\n" not in str(error.value)


def test_a_damaged_gzip_file_is_one_line(folder: Path) -> None:
    write(folder / "t.de", GOOD)
    for data in (gzip.compress(b"text" * 99)[:-9], b"no gzip"):
        (folder / "t.en.gz").write_bytes(data)
        with pytest.raises(ValueError, match=r"t\.en\.gz is no complete gzip file"):
            read_pairs("t", "de", "en")


def test_missing_columns_rows_and_splits_are_named(folder: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    with pytest.raises(ValueError, match=r"saved has no 'fr'; choose src_lang and tgt_lang from de, en, id"):
        read_pairs("saved", "de", "fr")
    datasets.Dataset.from_list([*ROWS, {"de": "x", "en": None}]).save_to_disk(folder / "gap")
    with pytest.raises(ValueError, match="gap row 5 holds None in place of a sentence"):
        read_pairs("gap", "de", "en")
    datasets.Dataset.from_list([{"translation": {"de": "x", "en": "y"}}]).save_to_disk(folder / "nested")
    with pytest.raises(ValueError, match="nested row 1 has no 'fr'; choose src_lang and tgt_lang from de, en"):
        read_pairs("nested", "fr", "en")
    datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)).save_to_disk(folder / "splits")
    with pytest.raises(ValueError, match="splits holds the splits train; name one of them as splits/SPLIT"):
        read_pairs("splits", "de", "en")
    assert read_pairs("splits/train", "de", "en") == (DE, EN)
