"""`seq2seq compare`, with real trainings on a small corpus: what it leaves, and that nothing can spoil it."""

import contextlib
import dataclasses
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import filelock
import pytest
import yaml

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.comparison.collect import collect, rarest_word_frequencies
from seq2seq.comparison.plan import plan
from seq2seq.comparison.spec import read_spec
from seq2seq.evaluation.results import Results, read_results
from seq2seq.models import ARCHITECTURES
from tests import forked

SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"d_embedding": 8, "d_model": 16},
    "transformer": {"d_model": 16, "d_ff": 32, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1},
}
ErrorOf = Callable[..., str]
WriteSpec = Callable[..., Path]


@pytest.fixture(scope="module")
def write_spec(toy_config: Path, tmp_path_factory: pytest.TempPathFactory) -> WriteSpec:
    """write_spec("name", seeds=[1, 2]) -> a specification of lstm and transformer on the toy corpus."""
    folder = tmp_path_factory.mktemp("compare")
    systems = {}
    for name, sizes in SMALL.items():
        optimization = {"lr": 0.02, "warmup_steps": 4}
        model = {"class_path": name, "init_args": {**sizes, "dropout": 0.2, "optimization": optimization}}
        content = {"model": model, "trainer": {"val_check_interval": 4}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        systems[name] = {"config": [os.path.relpath(toy_config, folder), f"{name}.yaml"]}

    def write(name: str, **keys: Any) -> Path:
        content = {
            "name": name,
            "output_dir": str(folder / name),
            "systems": systems,
            "budget": {"updates": 40},
            "search": {"beam_width": 2, "allow_unk": True},
            "jobs": 2,
        }
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content | keys, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="module")
def compared(write_spec: WriteSpec) -> tuple[Path, str]:
    """A comparison that nobody disturbed: its specification, and what the command printed. Not to be altered."""
    spec = write_spec("undisturbed")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.main(["compare", str(spec)]) == 0
    return spec, printed.getvalue()


def results_of(spec: Path) -> Results:
    return read_results(spec.with_suffix("") / "results.json")


def outcome(spec: Path) -> list[Any]:
    """What a second comparison of the same kind has to come to as well: all but times, memory and names of folders."""
    same = ("parameters", "updates", "best_at_update", "target_tokens", "flops", "valid_bleu", "seed")
    results = results_of(spec)
    return [
        results.test_sets,
        [
            (
                run.system,
                {name: (output.hypotheses, output.attention) for name, output in run.outputs.items()},
                {name: run.training[name] for name in same},
                [(point.updates, point.target_tokens, point.valid_bleu, point.valid_loss) for point in run.curve],
            )
            for run in results.runs
        ],
    ]


def times_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


# What it leaves


def test_a_comparison_ends_with_the_path_of_its_report(compared: tuple[Path, str]) -> None:
    spec, printed = compared
    folder = spec.with_suffix("")
    assert {path.name for path in folder.iterdir()} >= {"results.json", "report.html", "report.md", "report.json"}
    assert printed.rstrip("\n").split("\n")[-1] == str(folder / "report.html")
    for name in SMALL:
        assert name in printed


def test_the_results_are_what_the_runs_have_left(compared: tuple[Path, str], toy_config: Path) -> None:
    spec, _ = compared
    results = results_of(spec)
    assert [(system.name, system.architecture) for system in results.systems] == [(name, name) for name in SMALL]
    assert (results.name, results.budget, results.parameters) == ("undisturbed", {"updates": 40}, None)
    [test] = results.test_sets
    for lines, lang in ((test.sources, "de"), (test.references, "en")):
        assert lines == (toy_config.parent / f"valid.{lang}").read_text(encoding="utf-8").splitlines()
    for run in results.runs:
        folder = spec.with_suffix("") / "runs" / f"{run.system}-1"
        output = run.outputs["valid"]
        assert output.hypotheses == (folder / "test" / "valid.hyp.txt").read_text(encoding="utf-8").splitlines()
        assert (output.search["beam_width"], output.search["allow_unk"], len(output.hypotheses)) == (2, True, 12)
        assert output.seconds is not None
        bundle = load_bundle(folder)
        assert run.training == bundle.config["training"]
        assert run.origin["bundle_sha256"] == bundle.sha256
        assert run.origin["train_sha256"] == results.runs[0].origin["train_sha256"]
        assert [point.updates for point in run.curve][-1] == 40
        assert max(point.valid_bleu for point in run.curve) == pytest.approx(run.training["valid_bleu"], abs=1e-4)
        assert run.config == yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        assert [command.split()[:2] for command in run.commands] == [["seq2seq", "fit"], ["seq2seq", "test"]]


def test_attention_is_kept_of_what_attends(compared: tuple[Path, str]) -> None:
    lstm, transformer = (run.outputs["valid"].attention for run in results_of(compared[0]).runs)
    assert lstm == []
    assert len(transformer) == 12
    kept = next(one for one in transformer if one is not None)
    assert kept.source_pieces
    assert kept.target_pieces


def test_the_rarest_word_is_counted_in_the_training_text() -> None:
    training = ["Der Hund sieht die Katze.", "der Hund läuft.", "Der Igel läuft und läuft."]
    counted = rarest_word_frequencies({"test": ["der Hund läuft", "Die Maus.", "Der Igel, der Hund", ""]}, training)
    # der 3, Hund 2, läuft 3, die 1, Maus 0, Igel 1, ",": 0; no word at all: as often as the commonest
    assert counted == {"test": [2, 0, 0, 3]}


# That it is done once


def test_what_is_done_is_not_done_again(compared: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    spec, printed = compared
    before, content = times_of(spec.with_suffix("") / "runs"), results_of(spec)
    assert cli.main(["compare", str(spec)]) == 0
    captured = capsys.readouterr()
    assert "2 of 2 runs are done already" in captured.err
    assert captured.out == printed
    assert times_of(spec.with_suffix("") / "runs") == before
    assert results_of(spec) == content


def is_trained(run: Path) -> bool:
    record = Path(f"{run}.json")
    return record.exists() and json.loads(record.read_text())["done"] > 0


def has_new_checkpoint(run: Path, begun: float) -> bool:
    checkpoint = run / "checkpoints" / "last.ckpt"
    return checkpoint.exists() and checkpoint.stat().st_mtime > begun


def test_a_comparison_that_was_ended_and_killed_comes_to_the_same_results(
    compared: tuple[Path, str], write_spec: WriteSpec
) -> None:
    spec = write_spec("disturbed")
    runs = [spec.with_suffix("") / "runs" / f"{system}-1" for system in SMALL]

    def disturb(number: signal.Signals) -> int | None:
        """Exit code of a comparison that gets this signal when all runs have a new checkpoint, or are done."""
        begun = time.time()
        process = forked.start(["compare", str(spec)])
        while not all(is_trained(run) or has_new_checkpoint(run, begun) for run in runs):
            assert process.is_alive()
            assert time.time() < begun + 100
            time.sleep(0.01)
        os.kill(process.pid, number)
        if number == signal.SIGKILL:  # and all that it has started
            for run in runs:
                with contextlib.suppress(ProcessLookupError):  # one may have been at its end
                    os.killpg(int(Path(f"{run}.lock").read_text().split()[0]), signal.SIGKILL)
        process.join(60)
        return process.exitcode

    assert disturb(signal.SIGTERM) == 130
    assert disturb(signal.SIGKILL) == -signal.SIGKILL
    assert not spec.with_suffix("").joinpath("results.json").exists()
    assert cli.main(["compare", str(spec)]) == 0
    assert any(Path(f"{run}.log").read_text().count("--resume=auto") == 3 for run in runs), "it came too late"
    assert outcome(spec) == outcome(compared[0])


def test_runs_under_another_specification_are_refused(
    compared: tuple[Path, str], error_of: ErrorOf, write_spec: WriteSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compared[0].with_suffix("")
    before = times_of(folder)
    message = error_of("compare", str(write_spec("changed", output_dir=str(folder), budget={"updates": 41})))
    assert message == (
        "run lstm, seed 1 began with budget.updates 40, the specification now says 41; give another output_dir, or "
        f"delete {folder}/runs/lstm-1 to train it again"
    )
    assert times_of(folder) == before


def test_two_comparisons_do_not_work_in_one_folder(compared: tuple[Path, str], error_of: ErrorOf) -> None:
    folder = compared[0].with_suffix("")
    with filelock.FileLock(folder / ".lock"):
        message = error_of("compare", str(compared[0]))
    assert message == f"another seq2seq compare is at work in {folder}; wait for it or end it"


def test_a_run_that_failed_means_no_report(
    compared: tuple[Path, str], write_spec: WriteSpec, error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_spec("failing")
    monkeypatch.setattr("seq2seq.comparison.watch.work_through", lambda runs, launcher: runs[1:])
    assert error_of("compare", str(spec)) == (
        "no report, for 1 of 2 runs failed (transformer, seed 1); mend what is said of them above, then the same "
        "command goes on"
    )
    assert not (spec.with_suffix("") / "results.json").exists()


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "lstm-1.json",
            lambda text: text.replace('"data.tests.valid": "', '"data.tests.valid": "0'),
            "the text of data.tests.valid was changed after run lstm, seed 1 began; bring back the old text",
        ),
        (
            "lstm-1/test/valid.json",
            lambda text: text.replace('"bundle_sha256": "', '"bundle_sha256": "0'),
            "run lstm, seed 1: valid was translated by another model; delete .*lstm-1/test to translate it again",
        ),
        (
            "lstm-1/test/valid.hyp.txt",
            lambda text: text.partition("\n")[2],
            "run lstm, seed 1: 11 hypotheses for valid, 12 references",
        ),
    ],
    ids=["text", "model", "line"],
)
def test_files_that_do_not_belong_together_give_no_results(
    compared: tuple[Path, str], tmp_path: Path, name: str, spoil: Callable[[str], str], message: str
) -> None:
    shutil.copytree(compared[0].with_suffix("") / "runs", tmp_path / "runs")
    spec = read_spec(compared[0])
    runs = [dataclasses.replace(run, folder=tmp_path / "runs" / run.folder.name) for run in plan(spec)]
    assert collect(spec, runs).test_sets == results_of(compared[0]).test_sets
    spoilt = spoil((tmp_path / "runs" / name).read_text(encoding="utf-8"))
    (tmp_path / "runs" / name).write_text(spoilt, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        collect(spec, runs)


# What is planned


def commands_of(capsys: pytest.CaptureFixture[str], spec: Path, *options: str) -> list[str]:
    capsys.readouterr()
    assert cli.main(["compare", str(spec), "--dry_run", *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_dry_run_prints_the_commands_and_writes_nothing(
    write_spec: WriteSpec, toy_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec("dry", seeds=[3, 1], data={"max_length": 50, "tokenizer": {"vocab_size": 290}})
    lines = commands_of(capsys, spec)
    folder = spec.parent
    assert lines[:2] == [
        f"seq2seq fit --config={toy_config} --config={folder}/lstm.yaml --data.max_length=50 "
        "--data.tokenizer.vocab_size=290 --budget.updates=40 --trainer.max_steps=-1 --trainer.max_epochs=-1 "
        f"--seed_everything=3 --data.seed=3 --run_dir={folder}/dry/runs/lstm-3",
        f"seq2seq test {folder}/dry/runs/lstm-3 --beam_width=2 --allow_unk --attention",
    ]
    assert lines[-1] == f"seq2seq test {folder}/dry/runs/transformer-1 --beam_width=2 --allow_unk"
    assert len(lines) == 8
    assert not (folder / "dry").exists()


def test_equal_parameters_are_equal_within_two_percent(write_spec: WriteSpec) -> None:
    spec = read_spec(write_spec("sized", parameters=60_000))
    for run in plan(spec):
        assert [option for option in run.commands[0] if option.startswith("--model.d_")]
        architecture, configured = ARCHITECTURES[run.system], run.config["model"]["init_args"]
        options = {name: configured[name] for name in signature(architecture).parameters if name in configured}
        built = architecture(300, 300, **options)
        assert sum(p.numel() for p in built.parameters()) == pytest.approx(60_000, rel=0.02)


@pytest.mark.parametrize(
    ("systems", "keys", "message"),
    [
        (
            {"data.max_length": 50},
            {},
            "data.max_length is 60 in system lstm and 50 in other; all systems need the same data: ",
        ),
        (
            {"data.tokenizer.kind": "unigram"},
            {},
            "data.tokenizer.kind is bpe in system lstm and unigram in other; all systems need the same data: ",
        ),
        ({"data.max_tokens_per_batch": 90, "data.num_workers": 1}, {}, None),
        ({"model.d_modle": 8}, {}, "system other: unknown key d_modle; did you mean d_model?"),
        ({"model.optimization.lr": -1}, {}, "system other: lr -1.0 must be positive and warmup_steps 4 not negative"),
        ({"keep_best": 0}, {}, "system other: keep_best is 0; it must be at least 1"),
        ({"trainer.num_nodes": 2}, {}, "system other: trainer.num_nodes is 2, but neither torchrun nor srun has "),
        (
            {"budget.minutes": 1},
            {},
            "system other: its configuration sets budget.minutes beside the budget of the comparison; remove it",
        ),
        (
            {},
            {"data": {"max_tokens_per_batch": "auto"}},
            "system lstm: data.max_tokens_per_batch auto gives each system other batches; write a number",
        ),
        (
            {},
            {"search": {"coverage_penalty": 0.2}},
            "system lstm: search.coverage_penalty needs attention, which this system has not; leave it out",
        ),
        ({}, {"data": {"tests": {}}}, "there is no test set; name one under data.tests of the specification"),
        ({}, {"data": {"vlaid": "x"}}, "system lstm: unknown key data.vlaid; did you mean data.valid?"),
        (
            {},
            {"data": {"valid": "none/there"}},
            "no corpus 'none/there': looked for none/there.de and none/there.de.gz",
        ),
        ({}, {"parameters": 100}, "system lstm: "),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    write_spec: WriteSpec, error_of: ErrorOf, systems: dict[str, Any], keys: dict[str, Any], message: str | None
) -> None:
    spec = write_spec("impossible", **keys)
    content = yaml.safe_load(spec.read_text())
    lstm = content["systems"]["lstm"]
    content["systems"] = {"lstm": lstm, "other": {**lstm, "overrides": systems}}
    spec.write_text(yaml.safe_dump(content, sort_keys=False))
    if message is None:
        assert cli.main(["compare", str(spec), "--dry_run"]) == 0
    else:
        assert error_of("compare", str(spec)).startswith(message)
    assert not spec.with_suffix("").exists()


def test_settings_without_effect_are_said_before_anything_is_trained(
    write_spec: WriteSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec("idle")
    content = yaml.safe_load(spec.read_text())
    # That `compare` runs on another machine than the trainings is nothing to complain about.
    content["systems"]["lstm"]["overrides"] = {"model.optimization.momentum": 0.5, "trainer.num_nodes": 2}
    spec.write_text(yaml.safe_dump(content, sort_keys=False))
    capsys.readouterr()
    assert cli.main(["compare", str(spec), "--dry_run", "--launcher=slurm"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings == [
        "seq2seq: warning: system lstm: model.optimization.momentum 0.5 has no effect: only sgd has it; leave it out"
    ]


def test_wrong_arguments_are_refused_at_once(error_of: ErrorOf, write_spec: WriteSpec, tmp_path: Path) -> None:
    assert error_of("compare", f"{tmp_path}/none.yaml") == f"{tmp_path}/none.yaml: No such file or directory"
    assert "did you mean --dry_run?" in error_of("compare", "x.yaml", "--dry-run")
    assert "invalid choice: 'pbs'" in error_of("compare", "x.yaml", "--launcher=pbs")
