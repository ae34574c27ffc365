"""Every script of a corpus, from archives in the original's layout on a server to what `seq2seq` reads.

In between come kills, full disks, wrong and missing files, and no network.
"""

import gzip
import hashlib
import importlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sacrebleu.dataset import DATASETS

from seq2seq.corpus import read_pairs
from tests.corpus_archives import CASES, Case, packed, sgml, ted, text
from tests.file_server import FileServer, file_server

ROOT = Path(__file__).resolve().parents[1]
DATA_SCRIPTS = ROOT / "data_scripts"


@pytest.fixture(scope="session")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """The case of a script, made once."""
    made: dict[str, Case] = {}

    def case(script: str) -> Case:
        if script not in made:
            made[script] = CASES[script](tmp_path_factory.mktemp(script))
        return made[script]

    return case


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


class Result(NamedTuple):
    """What a command said, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Result]


@pytest.fixture
def call(server: FileServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """call(script, *arguments): the script in this process. No request leaves this machine."""
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("download._WAITS_S", ())

    def run(script: str, *arguments: object) -> Result:
        capsys.readouterr()
        try:
            code = importlib.import_module(script).main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Result(code, *capsys.readouterr())

    return run


def from_house(server: FileServer, case: Case, out_dir: Path) -> list[str]:
    """Arguments that name the server as a house mirror, and what sums its files have."""
    server.files |= case.files
    sums = out_dir.parent / "SHA256SUMS"
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in case.files.items()]
    sums.write_text("".join(lines), encoding="utf-8")
    return [str(out_dir), *case.arguments, "--mirror", server.url, "--sums", str(sums)]


def environment(server: FileServer) -> dict[str, str]:
    """What is for the world goes to the server, which refuses."""
    return {"https_proxy": server.url, "http_proxy": server.url, "no_proxy": "127.0.0.1"}


def process(
    server: FileServer, script: str, arguments: list[str], variables: dict[str, str] | None = None, **how: Any
) -> subprocess.Popen[str]:
    """The script in a process of its own."""
    command = [sys.executable, str(DATA_SCRIPTS / f"{script}.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | environment(server) | (variables or {}), **pipes, **how)


def result_of(running: subprocess.Popen[str]) -> Result:
    out, err = running.communicate(timeout=60)
    return Result(running.returncode, out, err)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but corpus.json, which names the addresses."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "corpus.json"}


def assert_one_line(result: Result, *words: str) -> None:
    assert result.returncode == 2 and result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if ": error: " in line]
    assert len(errors) == 1 and result.stderr.splitlines()[-1] == errors[0], result.stderr
    assert "Traceback" not in result.stderr
    assert not [word for word in words if word not in errors[0]], errors


@pytest.mark.parametrize("script", CASES)
def test_a_corpus_becomes_what_seq2seq_reads(script, case_of, server, tmp_path, call):
    case, out_dir = case_of(script), tmp_path / "corpus"
    arguments = from_house(server, case, out_dir)
    result = call(script, *arguments)
    assert result.returncode == 0, result.stderr
    description = json.loads((out_dir / "corpus.json").read_text(encoding="utf-8"))
    langs = (description["arguments"]["src_lang"], description["arguments"]["tgt_lang"])
    assert set(contents(out_dir)) == {f"{split}.{lang}" for split in case.splits for lang in langs}
    found = {split: read_pairs(str(out_dir / split), *langs) for split in case.splits}
    held_out = [split for split, sides in case.splits.items() if sides is None]
    for split, sides in case.splits.items():
        assert description["splits"][split]["pairs"] == len(found[split][0])
        if sides is not None and not (split == "train" and held_out):
            assert found[split] == sides, split
    if held_out:
        check_held_out(found, held_out, case.splits["train"], description)
    assert {name: hashlib.sha256(content).hexdigest() for name, content in contents(out_dir).items()} == (
        description["sha256"]
    )
    assert {archive["path"]: archive["sha256"] for archive in description["archives"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in case.files.items()
    }
    assert all(description[key] for key in ("name", "origin", "licence", "citation", "version", "made_by"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".corpora.lock", "SHA256SUMS", "archives", "corpus"]

    num_asked = len(server.asked)
    again = call(script, *arguments)
    assert (again.returncode, again.stdout) == (0, f"{out_dir} holds this corpus already: nothing to do\n")
    assert len(server.asked) == num_asked


def check_held_out(found, held_out, train, description) -> None:
    """Together they are the whole, and no sentence is on both sides of the border."""
    sizes = {split: description["arguments"][split] for split in held_out}
    assert {split: len(found[split][0]) for split in held_out} == sizes
    for side in (0, 1):
        taken = [sentence for split in held_out for sentence in found[split][side]]
        assert len(taken) == len(set(taken))
        assert not set(taken) & set(found["train"][side])
    num_dropped = description["splits"]["train"]["dropped"].get("with a sentence of valid or test", 0)
    assert len(found["train"][0]) + sum(sizes.values()) + num_dropped == len(train[0])
    kept = set(zip(*found["train"], strict=True))
    assert [pair for pair in zip(*train, strict=True) if pair in kept] == list(zip(*found["train"], strict=True))


@pytest.mark.parametrize("script", ["tatoeba", "europarl", "news_commentary", "opus"])
def test_the_files_do_not_depend_on_the_direction(script, case_of, server, tmp_path, call):
    for langs in (("de", "en"), ("en", "de")):
        arguments = from_house(server, case_of(script), tmp_path / "-".join(langs))
        assert call(script, *arguments, "--src_lang", langs[0], "--tgt_lang", langs[1]).returncode == 0
    assert contents(tmp_path / "de-en") == contents(tmp_path / "en-de")


def test_czech_has_fewer_test_sets(server, tmp_path, call):
    splits = ("train", "val", "test_2016_flickr", "test_2018_flickr")
    names = [f"multi30k-{split}.{lang}.gz" for split in splits for lang in ("cs", "fr")]
    case = Case(["--src_lang", "cs", "--tgt_lang", "fr"], dict.fromkeys(names, gzip.compress(b"a\nb\n")), {})
    assert call("multi30k", *from_house(server, case, tmp_path / "corpus")).returncode == 0
    assert set(contents(tmp_path / "corpus")) == {f"{split}.{lang}" for split in splits for lang in ("cs", "fr")}


def test_the_multilingual_archive_of_iwslt2017(server, tmp_path, call):
    folder = "DeEnItNlRo-DeEnItNlRo"
    members = {f"{folder}/train.tags.it-nl.{lang}": ted(["a", "b"], "x") for lang in ("it", "nl")}
    for name in ("dev2010", "tst2010"):
        members |= {f"{folder}/IWSLT17.TED.{name}.it-nl.{lang}.xml": sgml(["c"]) for lang in ("it", "nl")}
    archive = packed(tmp_path, "iwslt2017-DeEnItNlRo.tgz", members)
    case = Case(["--src_lang", "it", "--tgt_lang", "nl"], {"iwslt2017-DeEnItNlRo.tgz": archive}, {})
    assert call("iwslt2017", *from_house(server, case, tmp_path / "corpus")).returncode == 0
    assert sorted(contents(tmp_path / "corpus")) == sorted(
        f"{split}.{lang}" for split in ("train", "valid", "tst2010") for lang in ("it", "nl")
    )


def test_the_older_europarl(server, tmp_path, call):
    lines = {f"europarl-v7.fr-en.{lang}": text([f"{lang}{i}" for i in range(9)]) for lang in ("fr", "en")}
    archive = packed(tmp_path, "europarl-v7-fr-en.tgz", lines)
    arguments = ["--release", "v7", "--src_lang", "fr", "--valid", "2", "--test", "1"]
    case = Case(arguments, {"europarl-v7-fr-en.tgz": archive}, {})
    assert call("europarl", *from_house(server, case, tmp_path / "corpus")).returncode == 0
    assert len((tmp_path / "corpus" / "train.fr").read_text(encoding="utf-8").split()) == 6


def test_what_is_dropped_or_changed_is_counted(server, tmp_path, call):
    rows = [f"English {number}\tDeutsch {number}\tby" for number in range(20)]
    rows += [f"English {number}\tdeutsch {number}\tby" for number in range(20)]  # held out is one of both
    rows += ["a\u2028b\tc\x85d\rx\tby", "\tleer\tby", "one column", "blank\t \tby"]
    content = text(rows) + b"bad \xff\tschlecht\tby\n"
    archive = packed(tmp_path, "tatoeba-deu-eng.zip", {"deu.txt": content})
    case = Case(["--valid", "1", "--test", "1"], {"tatoeba-deu-eng.zip": archive}, {})
    result = call("tatoeba", *from_house(server, case, tmp_path / "corpus"))
    reasons = "2 blank, 1 not UTF-8, 1 too few columns, 2 with a sentence of valid or test"
    assert f"/train: 37 pairs; dropped: {reasons}\n" in result.stdout
    description = json.loads((tmp_path / "corpus" / "corpus.json").read_text(encoding="utf-8"))
    assert description["splits"]["train"] == {
        "pairs": 37,
        "dropped": {"blank": 2, "not UTF-8": 1, "too few columns": 1, "with a sentence of valid or test": 2},
        "changed": {"line ends within": 2},
    }
    assert "c d x\n" in (tmp_path / "corpus" / "train.de").read_text(encoding="utf-8")
    assert "a b\n" in (tmp_path / "corpus" / "train.en").read_text(encoding="utf-8")


def test_no_sentence_is_held_out_twice(server, tmp_path, call):
    rows = [f"English {number}\tDeutsch {number}, {way}" for number in range(20) for way in range(5)]
    archive = packed(tmp_path, "tatoeba-deu-eng.zip", {"deu.txt": text(rows)})
    case = Case(["--valid", "8", "--test", "8"], {"tatoeba-deu-eng.zip": archive}, {})
    result = call("tatoeba", *from_house(server, case, tmp_path / "corpus"))
    assert "/train: 20 pairs; dropped: 64 with a sentence of valid or test\n" in result.stdout
    files = contents(tmp_path / "corpus")
    assert len(set((files["valid.en"] + files["test.en"]).splitlines())) == 16


KILLED_AT = """
import os, signal, sys
sys.path.insert(0, {data_scripts!r})
import tatoeba
left = {number}
def count(event, arguments):
    global left
    touches = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir") or event == "open" and arguments[1] != "rb"
    if touches and str(arguments[0]).startswith({folder!r}):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
sys.exit(tatoeba.main(sys.argv[1:]))
"""


def test_a_kill_at_any_moment_leaves_nothing_or_all(case_of, server, tmp_path, call):
    """Before the first, the second, ... time that a file or folder is written, made, renamed or removed."""
    case = case_of("tatoeba")
    arguments = from_house(server, case, tmp_path / "undisturbed")
    assert call("tatoeba", *arguments).returncode == 0
    (tmp_path / "archives" / "tatoeba-deu-eng.zip").unlink()
    out_dir = tmp_path / "corpus"
    arguments[0] = str(out_dir)
    for number in range(1, 99):
        code = KILLED_AT.format(data_scripts=str(DATA_SCRIPTS), number=number, folder=str(tmp_path))
        killed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True)
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        if out_dir.exists():
            assert contents(out_dir) == contents(tmp_path / "undisturbed")
            shutil.rmtree(out_dir)
        if number % 2:  # half of the time with what has been downloaded
            (tmp_path / "archives" / "tatoeba-deu-eng.zip").unlink(missing_ok=True)
    assert number > 15
    assert contents(out_dir) == contents(tmp_path / "undisturbed")
    names = [".corpora.lock", "SHA256SUMS", "archives", "corpus", "undisturbed"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [path.name for path in (tmp_path / "archives").iterdir()] == ["tatoeba-deu-eng.zip"]


def test_a_limit_on_files_is_one_line_and_nothing_is_left(case_of, server, tmp_path, call):
    """As a full disk or a quota: while a file arrives, and while the text is written."""
    case = case_of("tatoeba")
    arguments = from_house(server, case, tmp_path / "corpus")
    size = len(case.files["tatoeba-deu-eng.zip"])
    for most, left in ((size // 2, "tatoeba-deu-eng.zip.partial"), (size + 1000, "tatoeba-deu-eng.zip")):
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))
        assert_one_line(result_of(process(server, "tatoeba", arguments, preexec_fn=limit)), "File too large")
        assert (tmp_path / "archives" / left).is_file()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".corpora.lock", "SHA256SUMS", "archives"]
    assert call("tatoeba", *arguments).returncode == 0


def test_a_full_disk_is_one_line_and_nothing_is_left(case_of, server, tmp_path, call):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.decode().strip()}")
    try:
        arguments = from_house(server, case_of("multi30k"), tmp_path / "corpus")
        arguments[0] = str(small / "corpus")
        assert_one_line(call("multi30k", *arguments), f"no room in {small / 'archives'}", "are free")
        roomy = call("multi30k", *arguments, "--archives", tmp_path / "archives")
        assert_one_line(roomy, "No space left on device", str(small))
        assert [path.name for path in small.iterdir() if path.name != "archives"] == [".corpora.lock"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_where_nothing_can_be_had_it_says_what_to_place_where(case_of, server, tmp_path, call):
    """Then, with the file placed there, all goes on without a network."""
    case = case_of("europarl")
    arguments = from_house(server, case, tmp_path / "corpus")
    server.files.clear()
    place = tmp_path / "archives" / "europarl-v9.de-en.tsv.gz"
    url = "https://www.statmt.org/europarl/v9/training/europarl-v9.de-en.tsv.gz"
    by_hand = f"these files are missing in {place.parent}: {place.name} from {url}"
    words = ("HTTP 404", "403 Forbidden", f"proxies: {server.url}; ", by_hand)
    assert_one_line(call("europarl", *arguments), *words)
    assert_one_line(call("europarl", *arguments, "--offline"), "--offline was given", by_hand)
    place.write_bytes(next(iter(case.files.values())))
    num_asked = len(server.asked)
    assert call("europarl", *arguments, "--offline").returncode == 0
    assert len(server.asked) == num_asked


def test_the_sums_of_the_world_refuse_what_is_not_the_corpus(case_of, server, tmp_path, call):
    server.files |= case_of("europarl").files
    result = call("europarl", tmp_path / "corpus", "--mirror", server.url)
    assert_one_line(result, "(it has ", " bytes, not 204,454,328)")
    assert not (tmp_path / "corpus").exists() and not list((tmp_path / "archives").iterdir())


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("multi30k", ["--src_lang", "es"], ["Multi30k has no es", "cs, de, en, fr"]),
        ("multi30k", ["--src_lang", "en"], ["are both en"]),
        ("multi30k", ["--src_lang", "../x"], ["'../x' is no language"]),
        ("tatoeba", ["--tgt_lang", "fr"], ["pairs languages with English, not de with fr"]),
        ("tatoeba", ["--valid", "0"], ["--valid is 0", "at least 1"]),
        ("iwslt14", ["--src_lang", "fr"], ["see iwslt2017.py"]),
        ("iwslt2017", ["--src_lang", "pt"], ["there is no pt-en"]),
        ("wmt14", ["--tgt_lang", "cs"], ["en with de or fr, not en with cs"]),
        ("europarl", ["--src_lang", "fr"], ["release v9 has no fr-en", "cs, de, fi, lt"]),
        ("europarl", ["--release", "v8"], ["invalid choice: 'v8'"]),
        ("opus", ["--corpus", "a/b"], ["'a/b' is no name of a corpus"]),
        ("opus", [], ["required: --corpus"]),
        ("tatoeba", ["--sha256", "tatoeba-deu-eng.zip"], ["has 64 hexadecimal digits"]),
        ("tatoeba", ["--sums", "/nowhere/sums"], ["No such file or directory: /nowhere/sums"]),
    ],
)
def test_what_cannot_be_is_one_line(script, arguments, words, tmp_path, call):
    assert_one_line(call(script, tmp_path / "corpus", "--offline", *arguments), *words)
    assert not (tmp_path / "corpus").exists()


def test_a_folder_with_something_else_or_other_arguments_is_left_alone(case_of, server, tmp_path, call):
    arguments = from_house(server, case_of("europarl"), tmp_path / "corpus")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine").write_text("keep", encoding="utf-8")
    assert_one_line(call("europarl", *arguments), "holds no europarl corpus")
    (tmp_path / "corpus" / "mine").unlink()
    assert call("europarl", *arguments).returncode == 0
    assert_one_line(call("europarl", *arguments, "--valid", 31), "'valid': 30", "'valid': 31", "another folder")


def test_too_few_pairs_to_hold_out_is_one_line(case_of, server, tmp_path, call):
    arguments = from_house(server, case_of("europarl"), tmp_path / "corpus")
    result = call("europarl", *arguments, "--test", 10**6)
    assert_one_line(result, "1,000,030 are to be held out; lower --valid and --test")
    assert not (tmp_path / "corpus").exists()


def test_an_unknown_name_of_a_sum_is_said(case_of, server, tmp_path, call):
    arguments = from_house(server, case_of("europarl"), tmp_path / "corpus")
    result = call("europarl", *arguments, "--sha256", f"x={'0' * 64}")
    assert_one_line(result, "--sha256 names x; the files are europarl-v9")


def test_opus_without_the_pair_is_one_line(server, tmp_path, call):
    arguments = [tmp_path / "corpus", "--mirror", server.url, "--corpus", "Books"]
    server.files["opus-Books-de-en.json"] = b'{"corpora": []}'
    assert_one_line(call("opus", *arguments), "OPUS has no Books of de-en")
    server.files["opus-Books-de-en.json"] = b"<html>"
    assert_one_line(call("opus", *arguments), "opus-Books-de-en.json is no answer of OPUS")


def test_a_second_run_at_the_same_time_waits_and_then_has_nothing_to_do(case_of, server, tmp_path):
    arguments = from_house(server, case_of("tatoeba"), tmp_path / "corpus")
    second_waits = threading.Event()
    server.faults["tatoeba-deu-eng.zip"] = [second_waits.wait]
    first = process(server, "tatoeba", arguments)
    while not (tmp_path / "archives" / "tatoeba-deu-eng.zip.partial").exists():
        time.sleep(0.01)
    second = process(server, "tatoeba", arguments)
    assert "waiting for another data script" in second.stderr.readline()
    second_waits.set()
    assert result_of(first).returncode == 0
    assert "nothing to do" in result_of(second).stdout


PAIRS = [{"de": f"Satz {number}\nzwei", "en": f"sentence {number}"} for number in range(30)]


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_a_set_of_the_hugging_face_hub(server, tmp_path):
    """The answers of the Hub to what `datasets` 5.2 asks it, under its own addresses."""
    commit = "0123456789" * 4
    card = b"---\nconfigs:\n- config_name: de-en\n  data_files:\n  - split: train\n    path: de-en/train-*\n---\n"
    content = jsonl([{"translation": pair} for pair in [*PAIRS, {"de": None, "en": "x"}]])
    file = {"type": "file", "path": "de-en/train-0.jsonl", "size": len(content), "oid": "0" * 40}
    folder = {"type": "directory", "path": "de-en", "size": 0, "oid": "0" * 40}
    server.headers = {"X-Repo-Commit": commit, "X-Error-Code": "EntryNotFound"}
    tree, query = f"api/datasets/me/set/tree/{commit}", "?recursive=false&expand=false"
    server.files = {
        "datasets/me/set/resolve/main/README.md": card,
        f"datasets/me/set/resolve/{commit}/{file['path']}": content,
        f"api/datasets/me/set/revision/{commit}": json.dumps({"id": "me/set", "sha": commit, "siblings": []}).encode(),
        f"{tree}{query}": json.dumps([folder]).encode(),
        f"{tree}/de-en{query}": json.dumps([file]).encode(),
    }
    variables = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "cache")}
    arguments = ["--dataset", "me/set", "--config", "de-en", "--valid", "3", "--test", "4"]
    num_asked = 0
    for out_dir, offline in ((tmp_path / "corpus", []), (tmp_path / "again", ["--offline"])):
        result = result_of(process(server, "huggingface", [str(out_dir), *arguments, *offline], variables))
        assert result.returncode == 0, result.stderr
        description = json.loads((out_dir / "corpus.json").read_text(encoding="utf-8"))
        assert description["revision"] == commit
        assert description["splits"]["train"]["dropped"] == {"no text": 1}
        sizes = {split: counts["pairs"] for split, counts in description["splits"].items()}
        assert sizes == {"train": 23, "valid": 3, "test": 4}
        num_asked = num_asked or len(server.asked)
    assert contents(tmp_path / "corpus") == contents(tmp_path / "again")
    assert len(server.asked) == num_asked > 0


def test_a_local_set_with_a_column_for_each_language(tmp_path, monkeypatch, call):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    source = tmp_path / "set"
    source.mkdir()
    for split, pairs in (("train", PAIRS), ("validation", PAIRS[:3])):
        (source / f"{split}.jsonl").write_bytes(jsonl(pairs))
    result = call("huggingface", tmp_path / "corpus", "--dataset", source, "--test", 4)
    assert result.returncode == 0, result.stderr
    assert {name: content.count(b"\n") for name, content in contents(tmp_path / "corpus").items()} == {
        f"{split}.{lang}": size for split, size in (("train", 26), ("valid", 3), ("test", 4)) for lang in ("de", "en")
    }
    assert (tmp_path / "corpus" / "valid.de").read_text(encoding="utf-8").startswith("Satz 0 zwei\n")
    result = call("huggingface", tmp_path / "other", "--dataset", source, "--src_lang", "fr")
    assert_one_line(result, "train, has no fr; it has de, en")


def test_the_pinned_sums_are_those_that_sacrebleu_checks():
    """Outside truth, as far as it is on this machine: sacreBLEU pins some of the same files by MD5."""
    multi30k, iwslt2017 = importlib.import_module("multi30k"), importlib.import_module("iwslt2017")
    pinned = {}
    for name in ("iwslt17", "iwslt17/tst2015", "multi30k/2018"):
        pinned |= dict(zip(DATASETS[name].data, DATASETS[name].md5, strict=True))
    for lang in ("cs", "de", "fr"):
        assert (
            pinned[f"{multi30k.MIRRORS[0]}/data/task1/raw/test_2018_flickr.{lang}.gz"]
            == (multi30k.MD5["test_2018_flickr"][lang])
        )
    for sums, folder in ((iwslt2017.TEST_MD5, "2017-01-ted-test"), (iwslt2017.TRAINING_MD5, "2017-01-trnted")):
        for pair, md5 in sums.items():
            assert pinned[f"{iwslt2017.WIT3}/{folder}/texts/{pair.replace('-', '/')}/{pair}.tgz"] == md5


def test_every_pinned_sum_is_one():
    """Some eighty were copied; a digit less would only show in a download."""
    for script in CASES:
        source = (DATA_SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
        digests = re.findall(r'"(?:md5:|sha256:)?([0-9a-f]{30,})"', source)
        assert all(len(digest) in (32, 64) for digest in digests)
        assert len(digests) == len(set(digests)), script
