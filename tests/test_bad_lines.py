"""Lines that cannot be translated: named by number, and whatever comes in, as many lines go out."""

import os
import pty
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.commands import files
from seq2seq.translator import LineLengthError, TooLong, Translation, Translator

MODEL = str(Path(__file__).parent / "data" / "bundles" / "0.1.0-lstm")
FAST = ["--beam_width", "1", "--max_length_factor", "1", "--max_length_offset", "2"]
GOOD, ITS_TRANSLATION = "heute schläft der Hund".encode(), b"the dog is asleep today"
LONG = b"der Hund und " * 50
Translate = Callable[..., tuple[int, list[bytes], list[str]]]


@pytest.fixture
def translate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Translate:
    """translate([b"line", ...], *options) -> exit code, lines of the output, lines of standard error."""
    options = ["--beam_width", "1", "--max_tokens_per_line", "100"]

    def run(lines: list[bytes], *more: str) -> tuple[int, list[bytes], list[str]]:
        (tmp_path / "in").write_bytes(b"".join(line + b"\n" for line in lines))
        paths = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
        code = cli.main(["translate", MODEL, *options, *paths, *more])
        output = (tmp_path / "out").read_bytes().split(b"\n") if code == 0 else [b""]
        assert output.pop() == b""
        return code, output, capfd.readouterr().err.replace(f"{tmp_path}/", "").splitlines()

    return run


def test_a_bad_line_stops_a_job_unless_it_is_told_to_go_on(translate: Translate) -> None:
    code, _, said = translate([GOOD, b"\xff", GOOD])
    assert (code, said) == (
        2,
        ["seq2seq: error: in, line 2: byte 1 (0xff) is not UTF-8; --bad_lines skip or translate goes on"],
    )
    code, _, said = translate([GOOD, GOOD, LONG])
    assert code == 2
    assert said[0].startswith("seq2seq: error: in, line 3: ")
    assert said[0].endswith(" tokens, and max_tokens_per_line has room for 100; --bad_lines skip or translate goes on")


def test_skipped_lines_are_blank_and_reported_by_number(translate: Translate) -> None:
    code, output, said = translate([GOOD, b"\xff", b"", LONG, GOOD], "--bad_lines", "skip")
    assert code == 0
    assert output == [ITS_TRANSLATION, b"", b"", b"", ITS_TRANSLATION]
    assert said[0] == "seq2seq: in, line 2: byte 1 (0xff) is not UTF-8; skipped"
    assert said[1].startswith("seq2seq: in, line 4: ")
    assert said[1].endswith(" tokens, and max_tokens_per_line has room for 100; skipped")
    assert said[2:] == ["seq2seq: out is whole; bad lines: 2, 4 (2 in all)"]


def test_what_can_be_is_translated_and_reported(translate: Translate) -> None:
    code, output, said = translate([GOOD, b"heute schl\xe4ft der Hund", LONG], "--bad_lines", "translate")
    assert (code, output[0]) == (0, ITS_TRANSLATION)
    assert said[0].endswith("; translated as far as possible")
    assert said[1].endswith("; cut to 100 tokens")
    # As if these had stood there.
    cut = Translator(load_bundle(MODEL)).shortened(LONG.decode(), 100)
    assert translate(["heute schl\ufffdft der Hund".encode(), cut.encode()])[:2] == (0, output[1:])


def test_a_line_for_which_the_memory_does_not_suffice_is_a_bad_one(
    translate: Translate, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_translator = Translator.translate_nbest

    def of_little_memory(self: Translator, lines: list[str], prefixes: None) -> list[list[Translation]]:
        for row, line in enumerate(lines):
            if len(line) > 20:
                raise LineLengthError({row: TooLong("9 tokens, for which ... does not suffice", 4)})
        return of_translator(self, lines, prefixes)

    monkeypatch.setattr(Translator, "translate_nbest", of_little_memory)
    lines = [b"der Hund", GOOD, b"die Katze", GOOD]
    assert translate(lines)[2] == [
        "seq2seq: error: in, line 2: 9 tokens, for which ... does not suffice; --bad_lines skip or translate goes on"
    ]
    _, output, said = translate(lines, "--bad_lines", "skip")
    assert [bool(line) for line in output] == [True, False, True, False]
    assert said[-1] == "seq2seq: out is whole; bad lines: 2, 4 (2 in all)"
    _, output, said = translate(lines, "--bad_lines", "translate")
    assert all(output)
    assert said[0] == "seq2seq: in, line 2: 9 tokens, for which ... does not suffice; cut to 4 tokens"


def test_a_column_of_a_tsv_is_translated_alone(translate: Translate) -> None:
    rows = [b"1\t" + GOOD + b"\tx", b"", b"2\t" + GOOD, b"3"]
    code, output, said = translate(rows, "--column", "2", "--bad_lines", "translate")
    assert (code, output) == (0, [ITS_TRANSLATION, b"", ITS_TRANSLATION, b""])
    assert said[0] == "seq2seq: in, line 4: no column 2; skipped"
    code, output, _ = translate([GOOD + b"\t\r", GOOD + b"\t4\r"], "--column", "1")
    assert output == [ITS_TRANSLATION] * 2
    assert translate([b"3\r"], "--column", "0")[2] == ["seq2seq: error: column is 0; the first is 1"]


def test_a_line_without_end_is_not_kept(translate: Translate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.commands.lines.MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 1000)
    lines = [GOOD, b"a" * 1001, b"\xc3\xa4" * 100_000, GOOD]
    _, output, said = translate(lines, "--bad_lines", "skip")
    assert output == [ITS_TRANSLATION, b"", b"", ITS_TRANSLATION]
    assert said[0] == "seq2seq: in, line 2: more than 1,000 bytes; skipped"
    assert len(translate(lines, "--bad_lines", "translate")[1]) == 4


def test_in_a_dialogue_a_bad_line_is_passed_over(bundle_folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "seq2seq.cli",
        "translate",
        str(bundle_folder),
        *FAST,
        "--max_tokens_per_line",
        "9",
    ]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.write(ours, LONG[:500] + b"\nHund\n\x04")
        out, err = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0
    assert out.count(b"\n") == 2
    assert out.startswith(b"\n")
    said = err.decode()
    assert said.startswith("Type one sentence a line; Ctrl-D ends.\n> seq2seq: standard input, line 1: ")
    assert "; skipped\n> " in said
    assert said.endswith("> \n")  # a prompt for each time that lines came, and a newline behind Ctrl-D


ALPHABETS = [
    "abcdefg äöüß",
    "".join(map(chr, [*range(10), *range(11, 32), 127, 0x85, 0xA0])),  # control characters, without the newline
    "😀🏳️\u200d🌈👩🏽\u200d🚀é\u0301",
    "שלום עולם مرحبا\u202e\u202c\u200f",
    "\u2028\u2029\u200b\ufeff\u00ad\ufffd\uffff",
    " \t\r\u3000",
    "ﷺ㍿①ﬃ",  # one character, many after normalization
    "中文字",
]


def any_line(generator: random.Random) -> bytes:
    """A line that may be anything."""
    characters = "".join(generator.sample(ALPHABETS, generator.randint(1, 3)))
    text = "".join(generator.choices(characters, k=generator.choice([0, 1, 2, 5, 20, 60])))
    kind = generator.random()
    if kind < 0.1:
        return generator.randbytes(len(text)).replace(b"\n", b"")
    if kind < 0.12:
        return text.encode() * generator.randint(1, 300)
    if kind < 0.14:
        return generator.choice(characters).encode() * 2000  # one long word
    return text.encode()


@pytest.mark.parametrize("bad_lines", ["skip", "translate"])
def test_any_bytes_give_a_line_for_a_line(translate: Translate, bad_lines: str) -> None:
    generator = random.Random(4)
    num_lines = 10_000
    lines = [any_line(generator) for _ in range(num_lines)]
    short = ["--max_length_factor", "0.1", "--max_length_offset", "5"]
    code, output, said = translate(lines, "--bad_lines", bad_lines, *short)
    assert (code, len(output)) == (0, num_lines)
    text = b"\n".join(output).decode()  # it is UTF-8
    assert "\r" not in text
    for line, translation in zip(lines, output, strict=True):
        if not line.strip():
            assert translation == b""
    numbers = {int(line.split(":")[1].split()[-1]) for line in said[:-1]}
    assert said[-1].endswith(f", ... ({len(numbers):,} in all)")
    assert len(numbers) > 100
    if bad_lines == "skip":
        assert {output[number - 1] for number in numbers} == {b""}
