"""`seq2seq clean`: what it writes, what it says of it, and that nothing is lost in silence."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seq2seq import cli
from seq2seq.cleaning.duplicates import Seen
from seq2seq.corpus import reading
from seq2seq.parallel import in_order

PAIRS = [
    ("Ein Hund.", "A dog."),
    ("Zwei Katzen schlafen.", "Two cats sleep."),
    ("ein hund!", "a dog"),  # near the first
    ("Ein Hund.", "A hound."),  # the source of the first
    ("", "Nothing."),
    ("Zwei Katzen schlafen.", "Two cats sleep."),
    ("Drei  Vögel\u2028singen.", "Three birds sing."),
    ("Vier <b>Fische</b>.", "Four fish."),
]
LANGS = ["--src_lang", "de", "--tgt_lang", "en"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a corpus `raw`."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "raw", PAIRS)
    return tmp_path


def write(prefix: Path, pairs: list[tuple[str, str]]) -> None:
    for side, lang in enumerate(("de", "en")):
        text = "".join(f"{pair[side]}\n" for pair in pairs)
        prefix.with_suffix(f".{lang}").write_text(text, encoding="utf-8")


def written(prefix: str = "out") -> list[tuple[str, str]]:
    sides = [Path(f"{prefix}.{lang}").read_text(encoding="utf-8").split("\n")[:-1] for lang in ("de", "en")]
    return list(zip(*sides, strict=True))


def clean(*options: str, out: str = "out") -> dict[str, Any]:
    assert cli.main(["clean", "raw", out, *LANGS, "--processes", "1", *options]) == 0
    report: dict[str, Any] = json.loads(Path(f"{out}.cleaning.json").read_text(encoding="utf-8"))
    return report


def test_one_rule_does_what_it_says_and_nothing_else(folder: Path) -> None:
    report = clean("--markup")
    assert written() == PAIRS[:-1]
    assert report["dropped"] == {"markup": 1}
    assert report["examples"] == {"markup": [[8, "Vier <b>Fische</b>.", "Four fish."]]}
    assert (report["pairs_in"], report["pairs_out"], report["changed"]) == (8, 7, {})


def test_duplicates_leave_the_first(folder: Path) -> None:
    clean("--duplicates", "exact")
    assert written() == [pair for number, pair in enumerate(PAIRS) if number != 5]
    clean("--duplicates")
    assert written() == [pair for number, pair in enumerate(PAIRS) if number not in (2, 5)]


def test_repeats_are_of_either_side(folder: Path) -> None:
    report = clean("--repeats", "near", "--duplicates", "exact")
    assert written() == [pair for number, pair in enumerate(PAIRS) if number not in (2, 3, 5)]
    assert report["dropped"] == {"duplicates": 1, "repeats": 2}


def test_nothing_is_lost_in_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = clean("--all", "--except", "language", "--dropped", "dropped.tsv")
    dropped = [line.split("\t") for line in Path("dropped.tsv").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [(rule, int(line)) for rule, line, *_ in dropped] == [
        ("duplicates", 3),
        ("blank", 5),
        ("duplicates", 6),
        ("markup", 8),
    ]
    assert report["pairs_in"] == report["pairs_out"] + len(dropped) == len(PAIRS)
    assert report["changed"] == {"tidy": 1}
    assert written()[-1] == ("Drei Vögel singen.", "Three birds sing.")
    said = capsys.readouterr().err
    assert "8 pairs read, 4 written" in said
    assert r"line 7: Drei  V\xf6gel\u2028singen. -> Drei V\xf6gel singen." in said


def test_processes_and_chunks_do_not_change_the_result(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 3)
    options = ["--all", "--repeats", "exact", "--except", "language", "--dropped"]
    clean(*options, "one.tsv", out="one")
    clean(*options, "two.tsv", "--processes", "2", out="two")
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 10_000)
    clean(*options, "whole.tsv", out="whole")
    for ending in (".de", ".en", ".tsv", ".cleaning.json"):
        assert Path(f"one{ending}").read_bytes() == Path(f"two{ending}").read_bytes()
        assert Path(f"one{ending}").read_bytes() == Path(f"whole{ending}").read_bytes()
    assert not list(folder.glob(".*")), "nothing of the work is left"


def test_bytes_that_are_no_text_end_it_unless_the_rule_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = Path("raw.de").read_bytes().replace(b"Zwei", b"Zw\xe4i", 1)
    Path("raw.de").write_bytes(raw)
    assert cli.main(["clean", "raw", "out", *LANGS, "--blank"]) == 2
    assert "raw.de line 2: byte 0xe4 is not UTF-8" in capsys.readouterr().err
    assert not list(folder.glob("out*"))
    assert clean("--broken")["examples"] == {"broken": [[2, "Zw\ufffdi Katzen schlafen.", "Two cats sleep."]]}


def test_other_forms_become_lines(folder: Path) -> None:
    rows = [{"translation": {"de": src, "en": tgt}} for src, tgt in PAIRS[:2]]
    Path("raw.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert cli.main(["clean", "raw.jsonl", "out", *LANGS, "--blank"]) == 0
    assert written() == PAIRS[:2]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no rule is named; name some, or --all, see seq2seq clean --help"),
        (["--max_word", "3"], "there is no option --max_word; did you mean --max_words? (see seq2seq clean --help)"),
        (["--processes", "0", "--blank"], "processes is 0; it must be at least 1"),
        (["--min_words", "9"], "no pair of 8 is left; dropped are {'min_words': 8}; nothing is written"),
        (["--dropped", "no/x.tsv", "--blank"], "cannot write x.tsv: there is no folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert cli.main(["clean", "raw", "out", *LANGS, *argv]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"seq2seq: error: {message}")
    assert not list(folder.glob("out*")) + list(folder.glob(".*"))


def test_a_corpus_is_not_overwritten_while_it_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["clean", "raw", "./raw", *LANGS, "--blank"]) == 2
    assert "raw.de would be overwritten while it is read" in capsys.readouterr().err
    assert written("raw") == PAIRS


def test_an_interrupt_leaves_nothing(folder: Path) -> None:
    write(folder / "raw", PAIRS * 40_000)
    command = [sys.executable, "-m", "seq2seq.cli", "clean", "raw", "out", *LANGS, "--tidy", "--duplicates"]
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    process = subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs are deaf to it
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob(".out.cleaning/parts")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
    assert process.communicate(timeout=60)[1].endswith("seq2seq: interrupted\n")
    assert process.returncode == 130
    assert sorted(path.name for path in folder.iterdir()) == ["raw.de", "raw.en"]


def test_what_a_killed_process_has_left_is_taken_away(folder: Path) -> None:
    left = folder / ".out.cleaning" / "0"
    left.mkdir(parents=True)
    (left / "17").write_bytes(b"half")
    clean("--duplicates")
    assert sorted(path.name for path in folder.iterdir()) == [
        "out.cleaning.json",
        "out.de",
        "out.en",
        "raw.de",
        "raw.en",
    ]


def test_later_rows_are_those_that_a_search_finds(tmp_path: Path) -> None:
    generator = random.Random(1)
    rows = [generator.randrange(400) * 2**55 + generator.randrange(2) for _ in range(1000)]
    seen = Seen(tmp_path)
    for start in range(0, 1000, 300):
        seen.add(np.array(rows[start : start + 300], dtype=np.uint64))
    assert seen.later().tolist() == [row in rows[:number] for number, row in enumerate(rows)]


def _double_or_die(victim: int) -> Callable[[int], int]:
    def double(number: int) -> int:
        if number == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number

    return double


def test_a_killed_process_is_named() -> None:
    assert list(in_order(partial(_double_or_die, -1), iter(range(9)), processes=2)) == [*range(0, 18, 2)]
    with pytest.raises(ValueError, match="^one of 2 processes was killed, as a rule because memory ran out"):
        list(in_order(partial(_double_or_die, 3), iter(range(9)), processes=2))
