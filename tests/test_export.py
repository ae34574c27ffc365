"""`seq2seq export`: folders that are whole, explain themselves and translate without us."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.export.folder import FORMATS
from seq2seq.tokenizer import Tokenizer

ErrorOf = Callable[..., str]
WriteBundle = Callable[..., Path]

TRAINED = {path.name.split("-")[-1]: path for path in sorted((Path(__file__).parent / "data" / "bundles").glob("*/"))}
PACKAGES = {"ctranslate2": ["ctranslate2"], "huggingface": ["transformers"], "onnx": ["onnx", "onnxruntime"]}
PAIRS = [*((name, "transformer") for name in FORMATS), ("onnx", "lstm"), ("onnx", "attention")]


def export(model: Path, format_name: str, output: Path) -> None:
    assert cli.main(["export", str(model), "--format", format_name, "--output", str(output)]) == 0


def block(readme: str, language: str) -> str:
    """The lines of a README's only block of code in this language."""
    _, _, rest = readme.partition(f"```{language}\n")
    code, end, others = rest.partition("```\n")
    assert end and f"```{language}" not in others
    return code


@pytest.mark.parametrize(("format_name", "architecture"), PAIRS)
def test_the_lines_of_the_readme_translate_without_us(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format_name: str, architecture: str
) -> None:
    for package in PACKAGES[format_name]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    export(TRAINED[architecture], format_name, tmp_path / "exported")
    assert capsys.readouterr().out == f"{tmp_path / 'exported'}\n"
    readme = (tmp_path / "exported" / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "exported" / "translate.py").read_text(encoding="utf-8") == block(readme, "python")

    table = TRAINED[architecture].with_name(f"{TRAINED[architecture].name}.tsv").read_text(encoding="utf-8")
    sources, expected = zip(*(row.split("\t") for row in table.split("\n")[:-1]), strict=True)
    assert "" in sources and "" in expected
    folder = Path(shutil.copytree(tmp_path / "exported", tmp_path / "copied"))  # no file of ours is near
    (folder / "source.txt").write_text("".join(f"{line}\n" for line in sources), encoding="utf-8")
    traps = tmp_path / "traps"
    traps.mkdir()
    for package in ("seq2seq", "torch"):
        (traps / f"{package}.py").write_text(f"open('{traps}/{package}.imported', 'w')\nraise ImportError", "utf-8")
    if format_name == "huggingface":
        (traps / "torch.py").unlink()
    _, command = block(readme, "sh").rstrip("\n").split("\n")  # the other line installs packages
    environment = os.environ | {"PYTHONPATH": str(traps), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = command.replace("python3", sys.executable)
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "translation.txt").read_text(encoding="utf-8").split("\n")[:-1] == list(expected)
    assert not list(traps.glob("*.imported"))


def test_an_export_replaces_an_older_one_and_nothing_else(
    tmp_path: Path,
    bundle_folder: Path,
    error_of: ErrorOf,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "exported"
    export(bundle_folder, "huggingface", output)
    (output / "stale.json").touch()
    with monkeypatch.context() as patched:

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(Tokenizer, "save", fail)
        command = ["export", str(bundle_folder), "--format", "huggingface", "--output", str(output)]
        assert cli.main(command) == 130
    assert capsys.readouterr().err == "seq2seq: interrupted\n"
    assert (output / "stale.json").exists()
    export(bundle_folder, "huggingface", output)
    assert not (output / "stale.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]

    (output / "README.md").write_text("# my thesis", encoding="utf-8")
    names = sorted(path.name for path in output.iterdir())
    assert error_of("export", str(bundle_folder), "--format=huggingface", f"--output={output}") == (
        f"{output} exists and is no export; nothing is written over it: choose another folder"
    )
    assert sorted(path.name for path in output.iterdir()) == names


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
def test_recurrent_models_are_told_the_way_to_onnx(tmp_path: Path, error_of: ErrorOf, architecture: str) -> None:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    model, output = str(TRAINED[architecture]), str(tmp_path / "exported")
    assert error_of("export", model, "--format=ctranslate2", f"--output={output}") == (
        f"CTranslate2 runs transformers only, {model} is {architecture}; use --format onnx"
    )
    assert error_of("export", model, "--format=huggingface", f"--output={output}") == (
        f"Hugging Face has no class for {model}, which is {architecture}; use --format onnx"
    )
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_one_line(
    tmp_path: Path, bundle_folder: Path, error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, output = str(bundle_folder), f"--output={tmp_path / 'exported'}"
    message = error_of("export", model, "--format=tflite", output)
    assert message.startswith("argument --format: invalid choice: 'tflite' (choose from ")
    assert all(name in message for name in FORMATS)
    assert error_of("export", model, "--format=onnx", "--output_dir=x") == (
        "there is no option --output_dir; did you mean --output? (see seq2seq export --help)"
    )
    assert error_of("export", str(tmp_path), "--format=onnx", output).startswith(f"{tmp_path} is no model")
    monkeypatch.chdir(tmp_path)
    assert error_of("export", model, "--format=huggingface", "--output=.") == (
        f"{tmp_path} is the current folder, which cannot be replaced from within: choose another folder"
    )
    for package in ("onnx", "ctranslate2"):
        monkeypatch.setitem(sys.modules, package, None)
        assert error_of("export", model, f"--format={package}", output) == (
            f"--format {package} needs the package {package}: pip install 'seq2seq[export]'"
        )
    assert list(tmp_path.iterdir()) == []
