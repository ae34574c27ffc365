"""The command `seq2seq`: what it prints, what it leaves behind, and its exit codes."""

import contextlib
import importlib
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.commands.arguments import SEARCH_OPTIONS
from seq2seq.decoding import SearchOptions

COMMAND = [sys.executable, "-m", "seq2seq.cli"]
Captured = pytest.CaptureFixture[str]
ErrorOf = Callable[..., str]


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = "import sys; from seq2seq.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name, (_, help_line) in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(help_line)}$", done.stdout, re.MULTILINE)
    assert "SEQ2SEQ_TRACEBACK" in done.stdout
    assert not {"torch", "numpy", "lightning", "sacrebleu", "sentencepiece", "yaml"} & set(done.stderr.split())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there(name: str) -> None:
    main = importlib.import_module(cli.COMMANDS[name][0]).main
    assert list(inspect.signature(main).parameters) == ["argv"]


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "fit"])
def test_every_command_explains_itself(capsys: Captured, name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: seq2seq {name} ")


def test_version(capsys: Captured) -> None:
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"seq2seq \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_misspelt_command_or_option_gets_a_suggestion(error_of: ErrorOf) -> None:
    assert error_of("transalte", "x") == "'transalte' is no command; did you mean translate?"
    assert error_of("xyz") == f"'xyz' is no command; there are {', '.join(cli.COMMANDS)}"
    assert error_of("translate", "x", "--beam-width=3") == (
        "there is no option --beam-width; did you mean --beam_width? (see seq2seq translate --help)"
    )
    assert "there is no option --hypotesis; did you mean --hypothesis?" in error_of("score", "--hypotesis", "x")
    assert "invalid int value: 'five'" in error_of("translate", "x", "--beam_width", "five")
    assert "required: --reference" in error_of("score", "--hypothesis", "x")


def run_source(monkeypatch: pytest.MonkeyPatch, source: str, module_name: str = "seq2seq.commands.fake") -> int:
    """Exit code of a command whose main consists of `source`."""
    module = types.ModuleType(module_name)
    exec(f"def main(argv):\n    {source}", module.__dict__)
    monkeypatch.setitem(sys.modules, module_name, module)
    monkeypatch.setitem(cli.COMMANDS, "fake", (module_name, ""))
    return cli.main(["fake"])


def test_what_we_raise_for_users_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert run_source(monkeypatch, "raise ValueError('no\\nsuch thing')") == 2
    assert run_source(monkeypatch, "open('/none/such')") == 2
    assert run_source(monkeypatch, "raise FileNotFoundError('no corpus')") == 2
    assert capsys.readouterr().err.split("\n") == [
        "seq2seq: error: no such thing",
        "seq2seq: error: /none/such: No such file or directory",
        "seq2seq: error: no corpus",
        "",
    ]


def test_our_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        run_source(monkeypatch, "int('x')")
    with pytest.raises(ValueError, match="not enough values to unpack"):
        run_source(monkeypatch, "a, b = [1]")
    with pytest.raises(ValueError, match="of a library"):
        run_source(monkeypatch, "raise ValueError('of a library')", module_name="somebody.elses")
    with pytest.raises(TypeError):
        run_source(monkeypatch, "raise TypeError('x')")
    monkeypatch.setenv("SEQ2SEQ_TRACEBACK", "1")
    with pytest.raises(ValueError, match="such thing"):
        run_source(monkeypatch, "raise ValueError('no such thing')")


def test_the_first_process_of_a_container_ends_when_it_is_told_to(tmp_path: Path) -> None:
    as_first = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if not shutil.which("unshare") or subprocess.run([*as_first, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("making a process namespace (unshare --user --pid) is not possible here")
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    command = [*as_first, *COMMAND, "score", "--hypothesis", str(endless), "--reference", str(endless)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, endless.open("wb"):  # both are there
        first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        os.kill(first, signal.SIGTERM)
        try:
            assert process.wait(timeout=20) == 130
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
        assert process.stderr is not None
        assert process.stderr.read() == "seq2seq: interrupted\n"


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert run_source(monkeypatch, "raise KeyboardInterrupt") == 130
    assert capsys.readouterr().err == "seq2seq: interrupted\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}  # so that the last write comes when all is said
    done = subprocess.run([*COMMAND, "--help"], stdout=writing, stderr=subprocess.PIPE, env=buffered)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_help_names_the_defaults_of_the_search() -> None:
    options = SearchOptions()
    assert options.num_best == 1
    for name in SEARCH_OPTIONS.keys() - {"num_best"}:
        assert SEARCH_OPTIONS[name]["help"].endswith(f"default {getattr(options, name)}")
