"""`seq2seq doctor`: sections in turn, an exit code, and nothing left behind."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from seq2seq import cli
from seq2seq.doctor import command, steps
from tests.run_folder import error_of

sys.path.insert(0, str(Path(__file__).parents[1] / "data_scripts"))
import demo

Captured = pytest.CaptureFixture[str]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def sound() -> dict[str, bytes]:
    """The files of 900 training pairs and 50 for validation, by name."""
    files = demo.corpus_files(demo.generate(train=900, valid=50, test=1, test_long=30))
    return {name: content for name, content in files.items() if name.startswith(("train.", "valid."))}


@pytest.fixture
def write(tmp_path: Path, toy_config: Path, sound: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Write:
    """write(**data) -> a configuration of a small transformer on sound text, with these settings of the data."""
    for name, content in sound.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(steps, "_ROUNDS", 1)
    monkeypatch.setattr(command.os, "getloadavg", lambda: (0.0, 0.0, 0.0))

    def write(**data: Any) -> Path:
        config = yaml.safe_load(toy_config.read_text(encoding="utf-8"))
        sizes = {"d_model": 16, "d_ff": 32, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1}
        config["model"] = {"class_path": "transformer", "init_args": {**sizes, "optimization": {"warmup_steps": 4}}}
        corpora = {name: str(tmp_path / name) for name in ("train", "valid")}
        tokenizer = {"kind": "bpe", "vocab_size": 700, "normalization": "identity"}
        config["data"] |= {
            "max_length": 100,
            "tests": {},
            "tokenizer": tokenizer,
            "cache_dir": str(tmp_path / "cache"),
            **corpora,
            **data,
        }
        (tmp_path / "my.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return tmp_path / "my.yaml"

    return write


def test_a_sound_configuration_is_examined_to_the_end(
    write: Write, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert cli.main(["doctor", str(config), "--json", str(tmp_path / "found.json")]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.split("\n") if line and not line.startswith(" ")] == [
        *("Configuration", "Files", f"train: {tmp_path}/train", "valid in train", f"valid: {tmp_path}/valid"),
        *("alignment of train", "alignment of valid", "vocabulary", "Training"),
        "0 errors, 0 warnings, 4 notes",
    ]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["exit_code"] == 0
    figures = {section["title"]: section["figures"] for section in found["sections"]}
    assert figures[f"valid: {tmp_path}/valid"]["pairs"] == 50
    assert figures["vocabulary"]["corpora"]["train"]["pairs"] == 900
    assert figures["Training"]["end"]["updates"] == 12
    assert list((tmp_path / "empty").iterdir()) == [], "nothing is written"


def test_fit_finds_the_text_that_the_doctor_has_tokenised(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(write(cache_dir=str(tmp_path / "cache")))
    assert cli.main(["doctor", config]) == 0
    before = sorted((tmp_path / "cache").iterdir())
    assert len(before) > 2
    assert cli.main(["fit", "--config", config, "--trainer.max_steps=5", "--run_dir", str(tmp_path / "run")]) == 0
    assert sorted((tmp_path / "cache").iterdir()) == before


def test_quick_reads_no_corpus_and_trains_nothing(write: Write, tmp_path: Path, capsys: Captured) -> None:
    config = str(write(cache_dir=str(tmp_path / "cache")))
    assert cli.main(["doctor", "--quick", config, "--model.optimization.momentum=0.9"]) == 1
    out = capsys.readouterr().out
    assert "vocabulary" not in out and "Training" not in out
    assert "warning: model.optimization.momentum 0.9 has no effect" in out
    assert out.endswith("\n0 errors, 1 warning, 0 notes\n")
    assert not (tmp_path / "cache").exists()


def test_what_is_missing_is_an_error_and_the_rest_is_left_out(write: Write, capsys: Captured) -> None:
    config = str(write(valid="data/nothing", tests={"other": "data/none.tsv"}, tokenizer={"path": "no.model"}))
    assert cli.main(["doctor", "--config", config]) == 2
    out = capsys.readouterr().out
    assert "error: data.valid: no corpus 'data/nothing': looked for data/nothing.de and data/nothing.de.gz" in out
    assert "error: data.tests.other: no file data/none.tsv" in out
    assert "error: data.tokenizer.path: no tokenizer no.model; give a .model file or a folder that holds one" in out
    assert "alignment" not in out


def test_text_that_cannot_be_read_is_an_error_and_nothing_is_trained(
    write: Write, tmp_path: Path, toy_config: Path, capsys: Captured
) -> None:
    for lang, text in (("de", "ein Hund\nzwei\n"), ("en", "a dog\n")):
        (tmp_path / f"odd.{lang}").write_text(text, encoding="utf-8")
    assert cli.main(["doctor", str(write(train=str(tmp_path / "odd")))]) == 2
    out = capsys.readouterr().out
    assert "odd.de has 2 lines but" in out
    assert "Training" not in out


def test_an_error_of_the_settings_leaves_the_training_out(write: Write, capsys: Captured) -> None:
    assert cli.main(["doctor", str(write()), "--trainer.num_nodes=2"]) == 2
    out = capsys.readouterr().out
    assert "error: trainer.num_nodes is 2, but" in out
    assert "alignment" in out and "Training" not in out


def test_a_misspelt_key_is_one_line(write: Write, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", str(write()), "--trainer.max_step=3"])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "seq2seq: error: unknown key trainer.max_step; did you mean trainer.max_steps?\n"


def test_what_fit_says_of_a_value_the_doctor_says_too(write: Write, capsys: Captured) -> None:
    assert error_of(capsys, "doctor", str(write()), "--model.dropout=2").startswith("dropout")
    assert error_of(capsys, "doctor", str(write()), "--json") == "--json needs the name of a file"


def test_an_interrupted_examination_leaves_no_file(
    write: Write, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps._Stopwatch, "on_train_batch_end", interrupt)
    assert cli.main(["doctor", str(write()), "--json", str(tmp_path / "found.json")]) == 130
    assert capsys.readouterr().err.endswith("seq2seq: interrupted\n")
    assert not (tmp_path / "found.json").exists()


def test_configurations_and_options_find_their_place() -> None:
    argv, quick, json_file = command._own_options(["--quick", "a", "b", "--data.seed", "3", "--json=found.json"])
    assert argv == ["--config", "a", "--config", "b", "--data.seed", "3"]
    assert quick
    assert json_file == Path("found.json")


def test_what_of_valid_stands_in_train_is_told_by_fit_too(write: Write, tmp_path: Path, capsys: Captured) -> None:
    for lang in ("de", "en"):
        text = (tmp_path / f"train.{lang}").read_text(encoding="utf-8")
        (tmp_path / f"leaky.{lang}").write_text("".join(text.splitlines(keepends=True)[:20]), encoding="utf-8")
    config = str(write(valid=str(tmp_path / "leaky")))
    assert cli.main(["doctor", config]) == 1
    assert "warning: 20 of 20 pairs (100.00%): in train as they are" in capsys.readouterr().out
    assert cli.main(["fit", "--config", config, "--trainer.max_steps=1", "--run_dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    assert "seq2seq: warning: 20 of 20 pairs of valid stand in train, so scores on them are too good;" in said


def test_a_mixture_and_a_stream_are_looked_at(write: Write, tmp_path: Path, capsys: Captured) -> None:
    train, valid = str(tmp_path / "train"), str(tmp_path / "valid")
    assert cli.main(["doctor", str(write(train={train: 3, valid: 1}))]) == 1
    out = capsys.readouterr().out
    assert f"train {train}: {train}" in out and f"train {valid}: {valid}" in out
    assert f"line 1 is line 1 of train {valid}: " in out
    options = ["--data.streaming=true", "--trainer.val_check_interval=4", "--trainer.check_val_every_n_epoch=null"]
    assert cli.main(["doctor", str(write()), *options]) == 0
    out = capsys.readouterr().out
    assert "  900 pairs\n" in out and "alignment of train" not in out and "Training" in out
