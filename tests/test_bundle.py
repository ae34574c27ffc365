"""A model's folder: nothing lost, nothing altered, nothing executed, and readable for ever."""

import hashlib
import json
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from seq2seq.bundle import find_bundle, load_bundle, save_bundle
from seq2seq.decoding import SearchOptions
from seq2seq.models import ARCHITECTURES
from seq2seq.tokenizer import TokenizerPair
from seq2seq.translator import Translator

RELEASES = Path(__file__).parent / "data" / "bundles"


def rewrite_sums(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    rewrite_sums(folder)


@pytest.fixture
def copied(tmp_path: Path, bundle_folder: Path) -> Path:
    """A bundle that a test may alter."""
    return Path(shutil.copytree(bundle_folder, tmp_path / "copied"))


@pytest.mark.parametrize("tie", ["none", "two_way", "three_way"])
@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_a_loaded_bundle_computes_what_the_saved_model_does(
    tmp_path: Path, tokenizers: TokenizerPair, write_bundle: Callable[..., Path], architecture: str, tie: str
) -> None:
    first = load_bundle(write_bundle(tmp_path / "first", architecture, tie_embeddings=tie))
    config = first.config["model"]
    save_bundle(
        tmp_path / "second",
        first.model,
        architecture=architecture,
        model_config=config,
        tokenizers=tokenizers,
        src_lang="de",
        tgt_lang="en",
        training={},
    )
    second = load_bundle(tmp_path / "second")
    src_BS, tgt_BT = torch.tensor([[7, 8, 9, 3]]), torch.tensor([[2, 9, 8]])
    padding_BS = torch.zeros(1, 4, dtype=torch.bool)
    with torch.no_grad():
        logits = [loaded.model(src_BS, padding_BS, tgt_BT) for loaded in (first, second)]
    assert torch.equal(*logits)
    assert logits[0].std() > 0
    assert not second.model.training
    num_names = len(list(second.model.named_parameters(remove_duplicate=False)))
    assert num_names - len(list(second.model.parameters())) == {"none": 0, "two_way": 1, "three_way": 2}[tie]


def test_separate_tokenizers_come_back(
    tmp_path: Path, separate_tokenizers: TokenizerPair, write_bundle: Callable[..., Path]
) -> None:
    folder = write_bundle(tmp_path / "b", tokenizers=separate_tokenizers, tie_embeddings="two_way")
    loaded = load_bundle(folder).tokenizers
    assert (loaded.src.model, loaded.tgt.model) == (separate_tokenizers.src.model, separate_tokenizers.tgt.model)


def test_weights_that_share_one_block_of_memory_are_saved(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "b", "lstm"))
    parameters = list(bundle.model.parameters())
    block = torch.cat([parameter.detach().flatten() for parameter in parameters])  # as cuDNN lays them out
    expected = [parameter.detach().clone() for parameter in parameters]
    for parameter, part in zip(parameters, block.split([p.numel() for p in parameters]), strict=True):
        parameter.data = part.view_as(parameter)
    save_bundle(
        tmp_path / "b",
        bundle.model,
        architecture="lstm",
        model_config=bundle.config["model"],
        tokenizers=bundle.tokenizers,
        src_lang="de",
        tgt_lang="en",
        training={},
    )
    loaded = load_bundle(tmp_path / "b").model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(loaded, expected, strict=True))


def test_the_configuration_says_everything_even_what_was_left_to_defaults(bundle_folder: Path) -> None:
    config = json.loads((bundle_folder / "config.json").read_text(encoding="utf-8"))
    assert config["format_version"] == 1
    assert config["model"]["d_model"] == 16
    assert config["model"]["norm"] == "pre"  # a default, which a later release may change
    assert (config["src_lang"], config["tgt_lang"], config["training"]) == ("de", "en", {"steps": 0})
    assert config["versions"].keys() == {"seq2seq", "torch", "python", "sentencepiece"}


def test_all_files_have_the_rights_that_the_umask_leaves(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    """So that another user than the one who trained can translate."""
    (tmp_path / "other").touch()
    expected = (tmp_path / "other").stat().st_mode
    assert {path.stat().st_mode for path in write_bundle(tmp_path / "bundle").iterdir()} == {expected}


def test_sha256sum_checks_the_folder(bundle_folder: Path) -> None:
    command = shutil.which("sha256sum")
    if command is None:
        pytest.skip("no sha256sum here")
    done = subprocess.run([command, "-c", "SHA256SUMS"], cwd=bundle_folder, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK\n") == len(list(bundle_folder.iterdir())) - 1 == 3


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.model"])
def test_an_altered_or_missing_file_is_refused_by_name(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"^{copied / name} was altered"):
        load_bundle(copied)
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"^{copied / name} is missing"):
        load_bundle(copied)


def test_a_file_without_a_hash_is_refused(copied: Path) -> None:
    (copied / "README.md").write_text("a model card", encoding="utf-8")
    load_bundle(copied)  # which harms nobody
    shutil.copy(copied / "tokenizer.model", copied / "tokenizer.src.model")
    with pytest.raises(ValueError, match=r"tokenizer.src.model has no hash in SHA256SUMS"):
        load_bundle(copied)


def test_what_a_newer_release_wrote_is_refused_with_advice(copied: Path) -> None:
    edit_config(copied, format_version=2)
    with pytest.raises(ValueError, match=r"has format_version 2, seq2seq .* reads 1; upgrade seq2seq$"):
        load_bundle(copied)
    edit_config(copied, format_version=1, architecture="mamba")
    with pytest.raises(ValueError, match=r"unknown architecture 'mamba'; it was written by seq2seq .* upgrade"):
        load_bundle(copied)
    edit_config(copied, architecture="transformer", model={"d_model": 16, "swirl": 1})
    with pytest.raises(ValueError, match=r"unknown setting 'swirl' of its model; it was written by .* upgrade"):
        load_bundle(copied)


def test_weights_of_another_model_are_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))["model"]
    edit_config(copied, model=config | {"d_ff": 48})
    with pytest.raises(ValueError, match=r"another shape for .*: weights and config.json do not belong together"):
        load_bundle(copied)
    edit_config(copied, model=config | {"num_decoder_layers": 2})
    with pytest.raises(ValueError, match=r"model.safetensors lacks decoder_layers.1"):
        load_bundle(copied)
    edit_config(copied, model=config | {"norm": "post"})
    with pytest.raises(ValueError, match=r"model.safetensors has an unknown (de|en)coder_norm"):
        load_bundle(copied)


def test_loading_runs_no_code(copied: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    (copied / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    rewrite_sums(copied)
    with pytest.raises(ValueError, match=r"model.safetensors is no safetensors file"):
        load_bundle(copied)
    assert not (tmp_path / "sprung").exists()


def test_a_model_is_a_bundle_or_the_run_that_holds_one(tmp_path: Path, bundle_folder: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(bundle_folder, run / "model")
    assert find_bundle(run) == find_bundle(run / "model") == run / "model"
    assert load_bundle(run).folder == run / "model"
    assert load_bundle(run).sha256 == load_bundle(bundle_folder).sha256


def test_what_is_no_model_is_refused_saying_what_is_missing(tmp_path: Path) -> None:
    what = "a MODEL is the folder of a finished run, or the bundle model/ inside it"
    with pytest.raises(FileNotFoundError, match=rf"^{tmp_path}/none does not exist; {what}$"):
        find_bundle(tmp_path / "none")
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(FileNotFoundError, match=rf"last.ckpt is not a folder; {what}$"):
        find_bundle(tmp_path / "last.ckpt")
    with pytest.raises(FileNotFoundError, match=rf"^{tmp_path} is no model: there is no SHA256SUMS in it; {what}$"):
        find_bundle(tmp_path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(FileNotFoundError, match=rf"is a run that has not finished: it has no {tmp_path}/model"):
        find_bundle(tmp_path)


def test_saving_that_fails_leaves_the_older_bundle_and_nothing_else(
    tmp_path: Path, write_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bundle(tmp_path / "model")
    before = load_bundle(folder)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TokenizerPair, "save", fail)
        with pytest.raises(KeyboardInterrupt):
            write_bundle(folder, "lstm")
    assert load_bundle(folder).sha256 == before.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

    write_bundle(folder, "lstm")
    assert isinstance(load_bundle(folder).model, ARCHITECTURES["lstm"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"exists and is no bundle; a model is not written over it"):
        write_bundle(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_bundle_belongs_to_its_architecture(tmp_path: Path, tokenizers: TokenizerPair) -> None:
    with pytest.raises(AssertionError, match="Linear is not 'lstm'"):
        save_bundle(
            tmp_path / "b",
            nn.Linear(2, 2),  # type: ignore[arg-type]
            architecture="lstm",
            model_config={},
            tokenizers=tokenizers,
            src_lang="de",
            tgt_lang="en",
            training={},
        )


@pytest.mark.parametrize("folder", sorted(RELEASES.glob("*/")), ids=lambda folder: folder.name)
def test_the_models_of_every_release_still_translate_as_they_did(folder: Path) -> None:
    table = (RELEASES / f"{folder.name}.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    sources, expected = zip(*(row.split("\t") for row in table), strict=True)
    options = SearchOptions(beam_width=3, length_penalty="average", max_length_factor=2.0, max_length_offset=5)
    translator = Translator(load_bundle(folder), options=options)
    assert translator.translate(sources) == list(expected)


def test_models_of_releases_are_kept() -> None:
    architectures = {folder.name.partition("-")[2] for folder in RELEASES.glob("*/")}
    assert architectures >= ARCHITECTURES.keys()
