"""The Python interface: `seq2seq.load`."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

import seq2seq
from seq2seq.bundle import load_bundle, load_bundles
from seq2seq.decoding import SearchOptions
from seq2seq.translator import Translator

OPTIONS = SearchOptions(beam_width=3, max_length_factor=1.0, max_length_offset=4)
WriteBundle = Callable[..., Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, write_bundle: WriteBundle) -> list[Path]:
    root = tmp_path_factory.mktemp("models")
    return [write_bundle(root / name, name) for name in ("lstm", "attention", "transformer")]


def test_one_path_is_a_model_and_several_are_an_ensemble(folders: list[Path], sentences: list[str]) -> None:
    lines = [*sentences[:5], ""]
    for folder in folders:
        expected = Translator(load_bundle(folder), options=OPTIONS).translate(lines)
        assert seq2seq.load(folder, device="cpu", options=OPTIONS).translate(lines) == expected
    bundle = load_bundles(folders, weights=[1, 2, 3], ensemble="log_linear")
    found = seq2seq.load(*map(str, folders), device="cpu", options=OPTIONS, weights=[1, 2, 3], ensemble="log_linear")
    assert found.translate(lines) == Translator(bundle, options=OPTIONS).translate(lines)
    default = seq2seq.load(folders[2], device="cpu").translate_nbest(lines[:2])
    assert default == Translator(load_bundle(folders[2])).translate_nbest(lines[:2])


def test_threads_that_translate_at_the_same_time_disturb_nobody(folders: list[Path], sentences: list[str]) -> None:
    # But for last bits: how many of torch's threads a product gets depends on what runs beside.
    groups = [sentences[start : start + 2 + start % 4] for start in range(0, 24, 3)]
    for paths in [*([folder] for folder in folders), folders]:
        translator = seq2seq.load(*paths, device="cpu", options=OPTIONS, max_tokens_per_batch=40)
        translations = [translator.translate_nbest(group) for group in groups]
        readings = [translator.read(group, group) for group in groups]
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(translator.translate_nbest, groups))
            found_again = list(threads.map(translator.read, groups, groups))
        for one, other in zip(chain(*chain(*translations)), chain(*chain(*found)), strict=True):
            assert (one.text, one.tokens) == (other.text, other.tokens)
            assert (one.score, one.log_probability) == pytest.approx((other.score, other.log_probability), rel=1e-5)
        for before, after in zip(chain(*readings), chain(*found_again), strict=True):
            assert (before.src_pieces, before.tgt_pieces) == (after.src_pieces, after.tgt_pieces)
            assert before.log_probabilities == pytest.approx(after.log_probabilities, rel=1e-5)


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, seq2seq; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "sentencepiece", "lightning", "argparse"} & set(done.stdout.split())


def test_what_cannot_be_loaded_is_said(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no/such does not exist; a MODEL is the folder of a finished run"):
        seq2seq.load("no/such", device="cpu")
    with pytest.raises(ValueError, match=r"^there is no device 'tpu' here"):
        seq2seq.load(folders[0], device="tpu")
    with pytest.raises(TypeError, match=r"^load needs at least one model$"):
        seq2seq.load()


def test_one_string_is_not_taken_for_lines_of_one_letter(folders: list[Path]) -> None:
    translator = seq2seq.load(folders[0], device="cpu")
    with pytest.raises(ValueError, match=r"^'Ein Hund' is one string; give a list of lines$"):
        translator.translate("Ein Hund")
