"""The language of configurations, through the real parser: short names, several files, and errors of one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from seq2seq.training.configuration import CLASS_PATHS, explain, long_form
from seq2seq.training.fit import main

Captured = pytest.CaptureFixture[str]


def error_of(capsys: Captured, *argv: str | Path) -> str:
    """The one line of a `fit` that refuses its configuration."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in argv])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("seq2seq: error: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("seq2seq: error: ").rstrip("\n")


def printed(capsys: Captured, *argv: str | Path) -> str:
    """What --print_config prints."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, argv), "--print_config"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def write(tmp_path: Path, toy_config: Path) -> Callable[..., Path]:
    """write(name, key="data.max_length", value=3) -> toy.yaml with one more key."""

    def write(name: str, key: str, value: object) -> Path:
        config = yaml.safe_load(toy_config.read_text(encoding="utf-8"))
        *sections, last = key.split(".")
        section = config
        for part in sections:
            section = section.setdefault(part, {})
        section[last] = value
        (tmp_path / name).write_text(yaml.safe_dump(config), encoding="utf-8")
        return tmp_path / name

    return write


# Short forms


def test_arguments_have_short_forms() -> None:
    lstm, transformer = CLASS_PATHS["lstm"], CLASS_PATHS["transformer"]
    assert long_form(["--model", "lstm", "--model.d_model", "8"]) == ["--model", lstm, "--model.d_model", "8"]
    assert long_form(["--model=transformer"]) == [f"--model={transformer}"]
    assert long_form(["--model", "my.own.Model", "--model=my.Other"]) == ["--model", "my.own.Model", "--model=my.Other"]
    assert long_form(["--config", "a", "b", "c", "--run_dir", "lstm"]) == [
        *("--config", "a", "--config", "b", "--config", "c", "--run_dir", "lstm")
    ]
    assert long_form(["-c", "a", "b", "--config=c"]) == ["-c", "a", "--config", "b", "--config=c"]


@pytest.mark.parametrize("name", CLASS_PATHS)
def test_a_short_name_stands_for_its_system_on_the_command_line_and_in_a_file(
    capsys: Captured, toy_config: Path, write: Callable[..., Path], name: str
) -> None:
    given = printed(capsys, "--config", toy_config, "--model", name, "--model.dropout", "0.3")
    assert yaml.safe_load(given)["model"]["class_path"] == CLASS_PATHS[name]
    assert yaml.safe_load(given)["model"]["init_args"]["dropout"] == 0.3
    in_file = write("run.yaml", "model", {"class_path": name, "init_args": {"dropout": 0.3}})
    assert printed(capsys, "--config", in_file) == given
    in_short = write("short.yaml", "model", name)
    assert printed(capsys, "--config", in_short, "--model.dropout=0.3") == given


def test_what_print_config_prints_is_a_configuration(capsys: Captured, tmp_path: Path, toy_config: Path) -> None:
    options = ["--model=attention", "--model.energy=dot", "--model.optimization.lr=0.5", "--data.max_length=50"]
    text = printed(capsys, "--config", toy_config, *options)
    config = yaml.safe_load(text)
    assert config["model"]["init_args"]["energy"] == "dot"
    assert config["model"]["init_args"]["optimization"]["lr"] == 0.5
    assert config["data"]["max_length"] == 50
    assert config["data"]["tokenizer"]["vocab_size"] == 300
    assert config["data"]["tokenizer"]["joint"] is True, "defaults are shown too"
    (tmp_path / "printed.yaml").write_text(text, encoding="utf-8")
    assert printed(capsys, "--config", tmp_path / "printed.yaml") == text


def test_what_stands_later_wins(capsys: Captured, write: Callable[..., Path]) -> None:
    first, second = write("a.yaml", "data.max_length", 40), write("b.yaml", "data.max_length", 30)
    options = ["--model", "lstm"]
    assert yaml.safe_load(printed(capsys, "--config", first, second, *options))["data"]["max_length"] == 30
    assert yaml.safe_load(printed(capsys, "--config", second, "--config", first, *options))["data"]["max_length"] == 40
    late = printed(capsys, "--config", first, *options, "--data.max_length=20")
    assert yaml.safe_load(late)["data"]["max_length"] == 20


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        # misspelt
        (["--data.max_lenght=3"], "unknown key data.max_lenght; did you mean data.max_length?"),
        (
            ["--data.tokenizer.vocabsize=9"],
            "unknown key data.tokenizer.vocabsize; did you mean data.tokenizer.vocab_size?",
        ),
        (["--trainer.max_step=3"], "unknown key trainer.max_step; did you mean trainer.max_steps?"),
        (["--model.d_modle=8"], "unknown key d_modle; did you mean d_model?"),
        (["--model.optimization.lrr=1"], "unknown key optimization.lrr; did you mean optimization.lr?"),
        # in the wrong place
        (["--data.lr=1"], "unknown key data.lr; did you mean model.optimization.lr?"),
        (["--model.cell=gru"], "unknown key cell; did you mean model.cell, which not every model has?"),
        (["--rundir=x"], "unknown key rundir; did you mean run_dir?"),
        (["--quux=1"], "unknown key quux; seq2seq fit --print_config shows all keys"),
        # abbreviated
        (["--over=true"], "unknown key over; did you mean overwrite?"),
        # wrong values
        (["--data.max_length=many"], "data.max_length is many; expected int"),
        (["--data.max_tokens_per_batch=atuo"], "data.max_tokens_per_batch is atuo; expected int, one of ['auto']"),
        (["--model.dropout=much"], "dropout is much; expected float"),
        (["--monitor=bleu"], "monitor is bleu; expected one of ['valid_bleu', 'valid_loss']"),
        (
            ["--model.optimization.schedule=linear"],
            "optimization.schedule is linear; expected one of ['inverse_sqrt', 'cosine', 'plateau', 'constant']",
        ),
        (["--data.tokenizer.kind=wort"], "data.tokenizer.kind is wort; expected one of ['unigram', 'bpe', 'word']"),
        (["--overwrite=perhaps"], "overwrite is perhaps; expected bool"),
        (["--data.max_length"], "argument --data.max_length: expected one argument"),
        (["stray"], "unrecognized arguments: stray"),
    ],
)
def test_a_wrong_option_is_explained_in_one_line(
    capsys: Captured, toy_config: Path, options: list[str], message: str
) -> None:
    assert error_of(capsys, "--config", toy_config, "--model=transformer", *options) == message


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.max_lenght", 3, "unknown key max_lenght; did you mean data.max_length?"),
        ("data.tokenizer.vocabsize", 9, "unknown key tokenizer.vocabsize; did you mean data.tokenizer.vocab_size?"),
        ("trainer.max_step", 3, "unknown key max_step; did you mean trainer.max_steps?"),
        ("modle", {"class_path": "lstm"}, "unknown key modle.class_path; did you mean model?"),
        ("lr", 1, "unknown key lr; did you mean model.optimization.lr?"),
        ("model", {"class_path": "lstm", "init_args": {"d_modle": 8}}, "unknown key d_modle; did you mean d_model?"),
        (
            "model",
            {"class_path": "lstm", "init_args": {"optimization": {"lrr": 8}}},
            "unknown key lrr; did you mean optimization.lr?",
        ),
        (
            "model",
            {"class_path": "lstm", "d_model": 8},
            "model has other keys beside class_path; they belong under model.init_args",
        ),
        ("model", {"class_path": "transfromer"}, "unknown model transfromer; did you mean transformer?"),
        ("model", {"class_path": "my.Model"}, "unknown model my.Model; use lstm, attention, transformer"),
        ("model", "lstn", "unknown model lstn; did you mean lstm?"),
        ("data.max_length", "many", "data.max_length is many; expected int"),
    ],
)
def test_a_wrong_key_in_a_file_is_explained_in_one_line(
    capsys: Captured, write: Callable[..., Path], key: str, value: object, message: str
) -> None:
    model = [] if key == "model" else ["--model=lstm"]
    assert error_of(capsys, "--config", write("run.yaml", key, value), *model) == message


def test_an_unknown_model_is_refused(capsys: Captured, toy_config: Path) -> None:
    assert error_of(capsys, "--config", toy_config, "--model", "lstn") == "unknown model lstn; did you mean lstm?"
    for name in ("rwkv", "torch.nn.Linear", "my.own.Model"):
        assert error_of(capsys, "--config", toy_config, f"--model={name}") == (
            f"unknown model {name}; use lstm, attention, transformer"
        )


def test_what_is_missing_is_named(capsys: Captured, tmp_path: Path, toy_config: Path) -> None:
    assert error_of(capsys, "--config", toy_config) == (
        "no model is named; add --model with one of lstm, attention, transformer"
    )
    assert error_of(capsys, "--model=lstm") == (
        "missing data.src_lang, data.tgt_lang, data.train, data.valid; set it in a --config file or on the command line"
    )
    none = tmp_path / "none.yaml"
    assert error_of(capsys, "--config", none, "--model=lstm") == f"config: File does not exist: '{none}'"


def test_a_file_that_is_no_yaml_is_refused(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("data: {src_lang: de\ntrainer: [", encoding="utf-8")
    assert "Problems parsing config" in error_of(capsys, "--config", tmp_path / "broken.yaml")


def test_a_message_that_is_not_known_becomes_one_line() -> None:
    assert explain('Parser key "data":\n  Something\n  else', []) == "data: Something else"
