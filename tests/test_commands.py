"""The subcommands `translate`, `score` and `test`: what they print and what they leave behind."""

import base64
import functools
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.evaluation.metrics import score
from seq2seq.special_ids import EOS_ID

COMMAND = [sys.executable, "-m", "seq2seq.cli"]
Captured = pytest.CaptureFixture[str]
ErrorOf = Callable[..., str]


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


# translate


def translate(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], text: bytes, *argv: str
) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of `seq2seq translate` with `text` as its standard input."""
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    with open(reading, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        code = cli.main(["translate", *argv])
    captured = capfdbinary.readouterr()
    return code, captured.out, captured.err.decode()


FAST = ["--beam_width", "2", "--max_length_factor", "1", "--max_length_offset", "2"]


def test_translate_gives_a_line_for_a_line_in_order(
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    bundle_folder: Path,
    sentences: list[str],
) -> None:
    lines = [*sentences[:5], "", "  ", *sentences[5:9]]
    model = str(bundle_folder)
    code, out, err = translate(monkeypatch, capfdbinary, "\n".join(lines).encode(), model, *FAST)
    assert (code, err) == (0, "")
    translations = out.decode().split("\n")
    assert len(translations) == len(lines) + 1  # what follows the last newline is no line
    assert translations[5] == translations[6] == ""
    for index in (0, 4, 10):
        alone = translate(monkeypatch, capfdbinary, f"{lines[index]}\n".encode(), model, *FAST)
        assert alone == (0, f"{translations[index]}\n".encode(), "")
    assert len(set(translations)) > 5


def test_translate_reads_and_writes_files(
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    bundle_folder: Path,
    sentences: list[str],
    tmp_path: Path,
) -> None:
    text = "".join(line + "\n" for line in sentences[:6]).encode()
    expected = translate(monkeypatch, capfdbinary, text, str(bundle_folder), *FAST)[1]
    (tmp_path / "in.gz").write_bytes(gzip.compress(text))
    for name in ("out", "out.gz"):
        paths = ["--input", str(tmp_path / "in.gz"), "--output", str(tmp_path / name)]
        assert translate(monkeypatch, capfdbinary, b"", str(bundle_folder), *FAST, *paths) == (0, b"", "")
    assert (tmp_path / "out").read_bytes() == gzip.decompress((tmp_path / "out.gz").read_bytes()) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gz", "out", "out.gz"]


def test_translate_prints_n_best(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], bundle_folder: Path
) -> None:
    arguments = [str(bundle_folder), *FAST, "--num_best", "2"]
    code, out, _ = translate(monkeypatch, capfdbinary, b"der Hund\n\ndie Katze\n", *arguments)
    rows = [line.split(" ||| ") for line in out.decode().removesuffix("\n").split("\n")]
    assert code == 0
    assert [row[0] for row in rows] == ["0", "0", "1", "2", "2"]
    assert rows[2] == ["1", "", "0.000000"]
    assert float(rows[0][2]) >= float(rows[1][2])
    best = translate(monkeypatch, capfdbinary, b"der Hund\n\ndie Katze\n", str(bundle_folder), *FAST)[1]
    assert best.decode().split("\n")[:3] == [rows[0][1], "", rows[3][1]]


def test_translate_stops_at_text_that_is_not_utf8(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], bundle_folder: Path, tmp_path: Path
) -> None:
    text = b"der Hund\ndie Katze\n\xfcber\nund\n"
    code, out, err = translate(monkeypatch, capfdbinary, text, str(bundle_folder), *FAST)
    assert code == 2
    assert out.count(b"\n") == 2  # the lines before it are out
    assert err.startswith("seq2seq: error: standard input, line 3: byte 1 (0xfc) is not UTF-8; ")
    output = write(tmp_path / "out", "old")
    assert translate(monkeypatch, capfdbinary, text, str(bundle_folder), *FAST, "--output", output)[0] == 2
    assert (tmp_path / "out").read_text() == "old\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_translate_refuses_what_it_cannot_do(error_of: ErrorOf, bundle_folder: Path, tmp_path: Path) -> None:
    model = str(bundle_folder)
    text = write(tmp_path / "in", "der Hund")
    assert error_of("translate", model, "--input", f"{tmp_path}/none") == (
        f"{tmp_path}/none: No such file or directory"
    )
    assert error_of("translate", str(tmp_path), "--input", text).startswith(f"{tmp_path} is no model: ")
    assert "num_best is 6; it must lie between 1 and" in error_of(
        "translate", model, "--input", text, "--num_best", "6"
    )
    assert "there is no device 'gpu' here" in error_of("translate", model, "--input", text, "--device", "gpu")
    assert "there is no folder" in error_of("translate", model, "--input", text, "--output", f"{tmp_path}/none/out")


# What only a process of its own shows: that it answers at once, without Lightning, and cleans up when it is killed.
WATCHED = """
import sys
from seq2seq.cli import main
code = main(sys.argv[1:])
assert not {"lightning", "lightning_fabric", "pytorch_lightning", "datasets", "tensorboard"} & set(sys.modules)
sys.exit(code)
"""


def test_translate_answers_each_line_at_once_and_never_imports_lightning(bundle_folder: Path) -> None:
    command = [sys.executable, "-c", WATCHED, "translate", str(bundle_folder), *FAST]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        patience = threading.Timer(60, process.kill)
        patience.start()
        process.stdin.write(b"der Hund\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")  # while standard input is still open
        patience.cancel()
        out, err = process.communicate(b"\ndie Katze")
    assert (process.returncode, err) == (0, b"")
    assert out.startswith(b"\n")
    assert out.count(b"\n") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_translate_leaves_nothing_half_written(bundle_folder: Path, tmp_path: Path, number: int) -> None:
    output = Path(write(tmp_path / "out", "old"))
    command = [*COMMAND, "translate", str(bundle_folder), *FAST, "--output", str(output)]
    # A shell's background jobs, a test run among them, are deaf to SIGINT and so are their children.
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, preexec_fn=listen) as process:
        assert process.stdin is not None
        process.stdin.write(b"der Hund\n")
        process.stdin.flush()
        while not (partial := [path for path in tmp_path.iterdir() if path != output]) or not partial[0].stat().st_size:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b"seq2seq: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert output.read_text() == "old\n"


# score


@pytest.fixture
def scored(tmp_path: Path) -> tuple[str, str]:
    """A hypothesis file and a reference file."""
    hyp = write(tmp_path / "hyp", "the dog sees the cat.", "a very small house", "")
    return hyp, write(tmp_path / "ref", "The dog sees a cat.", "a very small Haus, too", "über")


def test_score_prints_one_line_a_metric_with_its_signature(capsys: Captured, scored: tuple[str, str]) -> None:
    assert cli.main(["score", "--hypothesis", scored[0], "--reference", scored[1]]) == 0
    lines = capsys.readouterr().out.split("\n")
    hypotheses = ["the dog sees the cat.", "a very small house", ""]
    references = ["The dog sees a cat.", "a very small Haus, too", "über"]
    for line, expected in zip(lines, score(hypotheses, references), strict=False):
        assert line.split() == [expected.name, f"{expected.value:.1f}", expected.signature]
    assert lines[3:] == [""]


def test_score_gives_json_equal_to_the_sacrebleu_command(capsys: Captured, scored: tuple[str, str]) -> None:
    assert cli.main(["score", "--hypothesis", scored[0], "--reference", scored[1], "--lowercase", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    command = [sys.executable, "-m", "sacrebleu", scored[1], "-i", scored[0], "-m", "bleu", "chrf", "ter", "-w", "12"]
    done = subprocess.run([*command, "-lc", "--chrf-lowercase"], capture_output=True, text=True, check=True)
    for mine, theirs in zip(ours, json.loads(done.stdout), strict=True):
        assert (round(mine["value"], 12), mine["signature"]) == (theirs["score"], theirs["signature"])


def test_score_refuses_files_that_do_not_match(error_of: ErrorOf, scored: tuple[str, str], tmp_path: Path) -> None:
    hypothesis, reference = scored
    short, empty = write(tmp_path / "short", "a"), write(tmp_path / "empty")
    message = error_of("score", "--hypothesis", hypothesis, "--reference", short)
    assert message.startswith(f"{hypothesis} has 3 lines and {short} has 1; ")
    message = error_of("score", "--hypothesis", empty, "--reference", reference)
    assert message == f"{empty} is empty; it must hold at least one line"
    (tmp_path / "latin1").write_bytes("a\nüb\nc\n".encode("latin-1"))
    message = error_of("score", "--hypothesis", str(tmp_path / "latin1"), "--reference", reference)
    assert f"{tmp_path}/latin1, line 2: byte 1 (0xfc) is not UTF-8" in message


# test


@pytest.fixture
def run(tmp_path: Path, bundle_folder: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run in the working directory, with two test sets and one whose files are gone."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle_folder, tmp_path / "run" / "model")
    (tmp_path / "data").mkdir()
    for name, first in (("one", 0), ("two", 20)):
        write(tmp_path / "data" / f"{name}.de", *sentences[first : first + 6])
        write(tmp_path / "data" / f"{name}.en", *sentences[first + 1 : first + 7])
    tests = {"one": "data/one", "two": "data/two.de,data/two.en", "gone": "data/gone"}
    data = {"src_lang": "de", "tgt_lang": "en", "train": "data/train", "tests": tests}
    write(tmp_path / "run" / "config.yaml", json.dumps({"data": data}))  # JSON is YAML
    return tmp_path / "run"


def test_test_scores_the_test_sets_of_a_run_and_keeps_the_translations(run: Path, capsys: Captured) -> None:
    assert cli.main(["test", "run", "--tests", "one", "two", *FAST]) == 0
    printed = capsys.readouterr().out.split("\n")
    written = sorted(path.name for path in (run / "test").iterdir())
    assert written == ["one.hyp.txt", "one.json", "two.hyp.txt", "two.json"]
    for line, name in zip(printed, ("one", "two"), strict=False):
        result = json.loads((run / "test" / f"{name}.json").read_text(encoding="utf-8"))
        hypotheses = (run / "test" / f"{name}.hyp.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        references = Path(f"data/{name}.en").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        expected = score(hypotheses, references)
        assert [one["value"] for one in result["scores"][:3]] == [one.value for one in expected]
        assert line == (
            f"{name}  BLEU {expected[0].value:.1f}  chrF {expected[1].value:.1f}  TER {expected[2].value:.1f}  "
            f"{expected[0].signature}"
        )
        assert [one["name"] for one in result["scores"]] == ["BLEU", "chrF", "TER", "BLEU"]
        assert "case:lc" in result["scores"][3]["signature"]
        assert result["search"] == {
            "beam_width": 2,
            "length_penalty": "average",
            "alpha": 0.6,
            "max_length_factor": 1.0,
            "max_length_offset": 2,
        }
        assert result["sentences"] == 6
        assert result["seconds"] > 0
        assert len(result["bundle_sha256"]) == 64
    assert printed[2:] == [""]


def test_test_translates_as_translate_does(run: Path, capsys: Captured) -> None:
    assert cli.main(["test", "run", "--tests", "one", *FAST]) == 0
    assert cli.main(["translate", "run", "--input", "data/one.de", "--output", "one.txt", *FAST]) == 0
    assert Path("one.txt").read_bytes() == (run / "test" / "one.hyp.txt").read_bytes()


def test_test_keeps_the_attention_when_asked(run: Path, capsys: Captured) -> None:
    assert cli.main(["test", "run", "--tests", "one", "--attention", *FAST]) == 0
    kept = json.loads((run / "test" / "one.attention.json").read_text(encoding="utf-8"))
    hypotheses = (run / "test" / "one.hyp.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    tokenizer = load_bundle(run).tokenizers.tgt
    assert len(kept) == 6
    for one, hypothesis in zip(kept, hypotheses, strict=True):
        assert one["target_pieces"] == tokenizer.pieces([*tokenizer.encode([hypothesis])[0], EOS_ID])
        weights = base64.b64decode(one["weights"])
        width = len(one["source_pieces"])
        assert len(weights) == width * len(one["target_pieces"])
        for start in range(0, len(weights), width):
            assert sum(weights[start : start + width]) == pytest.approx(255, abs=width)


def test_test_takes_a_bundle_and_two_files(run: Path, capsys: Captured) -> None:
    own = ["--source", "data/two.de", "--reference", "data/two.en", *FAST]
    assert cli.main(["test", "run/model", *own]) == 0
    assert capsys.readouterr().out.startswith("two  BLEU ")
    assert not (run / "test").exists()
    assert cli.main(["test", "run/model", *own, "--output_dir", "scores/deep"]) == 0
    assert sorted(path.name for path in Path("scores/deep").iterdir()) == ["two.hyp.txt", "two.json"]
    assert cli.main(["test", "run", *own]) == 0
    assert (run / "test" / "two.json").exists()


def test_test_says_what_is_missing_before_it_translates(run: Path, error_of: ErrorOf, tmp_path: Path) -> None:
    message = error_of("test", "run")  # all three sets, of which the last is gone
    assert message.startswith("test set gone: no corpus 'data/gone': looked for data/gone.de and data/gone.de.gz")
    assert message.endswith("paths in a run's config.yaml hold in the folder where it was started")
    assert not (run / "test").exists()
    assert error_of("test", "run", "--tests", "tow") == "there is no test set 'tow'; did you mean two?"
    assert error_of("test", "run/model") == (
        "run/model has no config.yaml that names test sets; give --source and --reference"
    )
    assert "together" in error_of("test", "run", "--source", "data/one.de")
    write(run / "config.yaml", json.dumps({"data": {"tests": None}}))
    assert error_of("test", "run") == (
        "run/config.yaml names no test sets under data.tests; give --source and --reference"
    )
    shutil.rmtree(run / "model")
    assert error_of("test", "run") == "run is a run that has not finished: it has no run/model; let it end"
