"""A finished model's folder: weights, configuration, tokenizers, and the hashes of them all.

    model.safetensors    the weights, each shared one once
    config.json          format_version, architecture, model (its arguments), src_lang, tgt_lang, training, versions
    tokenizer.model      or tokenizer.src.model and tokenizer.tgt.model
    SHA256SUMS           `sha256sum -c SHA256SUMS` checks the folder without us

Loading runs no code from the folder. A bundle written by any release loads in every later one.
"""

import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from seq2seq import __version__
from seq2seq.atomic import folder_replaced_when_whole
from seq2seq.models import ARCHITECTURES, EncoderDecoder, Ensemble
from seq2seq.models.ensemble import Average
from seq2seq.tokenizer import Tokenizer, TokenizerPair

FORMAT_VERSION = 1
WEIGHTS, CONFIG, SUMS = "model.safetensors", "config.json", "SHA256SUMS"


@dataclass(frozen=True)
class Bundle:
    """A loaded model with all that it takes to use it.

    Attributes:
        model: in evaluation mode.
        tokenizers: of the source and target language.
        config: what config.json says; of an ensemble what it is made of.
        folder: where it was read from; of an ensemble the first member's.
        sha256: hash of SHA256SUMS, so of everything: it tells one model from another.
    """

    model: EncoderDecoder
    tokenizers: TokenizerPair
    config: dict[str, Any]
    folder: Path
    sha256: str


def save_bundle(
    folder: str | os.PathLike[str],
    model: EncoderDecoder,
    *,
    architecture: str,
    model_config: dict[str, Any],
    tokenizers: TokenizerPair,
    src_lang: str,
    tgt_lang: str,
    training: dict[str, Any],
) -> None:
    """Write a bundle; if that fails or is interrupted, `folder` holds what it held before.

    Args:
        folder: to create, or an older bundle to replace.
        model: its weights are written as they are.
        architecture: a name in `ARCHITECTURES`, the class of `model`.
        model_config: the keyword arguments that `model` was made with. Arguments left out are written with the
            default values of today, so that a later release may change them.
        tokenizers: their vocabulary sizes are the model's.
        src_lang, tgt_lang: names of the languages.
        training: anything worth knowing about how the weights came to be, as JSON.

    Raises:
        ValueError: `folder` holds something else than a bundle.
    """
    folder = Path(folder)
    assert type(model) is ARCHITECTURES[architecture], f"{type(model).__name__} is not {architecture!r}"
    if folder.exists() and not (folder / SUMS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is no bundle; a model is not written over it: choose another folder")
    defaults = _defaults(architecture)
    assert model_config.keys() <= defaults.keys(), f"{architecture} takes no {model_config.keys() - defaults.keys()}"
    config = {
        "format_version": FORMAT_VERSION,
        "architecture": architecture,
        "model": defaults | model_config,
        "src_lang": src_lang,
        "tgt_lang": tgt_lang,
        "training": training,
        "versions": {
            "seq2seq": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "sentencepiece": importlib.metadata.version("sentencepiece"),
        },
    }

    with folder_replaced_when_whole(folder) as new:
        (new / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        (new / WEIGHTS).write_bytes(safetensors.torch.save(_unshared_weights(model)))  # save_file would make it 0600
        names = sorted([CONFIG, WEIGHTS, *tokenizers.save(new)])
        sums = "".join(f"{_sha256(new / name)}  {name}\n" for name in names)
        (new / SUMS).write_text(sums, encoding="utf-8")


def load_bundle(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Bundle:
    """Read a bundle after checking the hash of every file.

    Args:
        path: a bundle, or a run folder with a bundle in model/.
        device: where to put the model.

    Raises:
        FileNotFoundError: there is no model at `path`, or a file of it is missing.
        ValueError: a file was altered, or a newer release wrote it.
    """
    folder = find_bundle(path)
    _check_hashes(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{folder} has format_version {config['format_version']}, seq2seq {__version__} reads {FORMAT_VERSION}; "
            "upgrade seq2seq"
        )
    _check_known(folder, config)
    tokenizers = TokenizerPair.load(folder)
    model = ARCHITECTURES[config["architecture"]](
        tokenizers.src.vocab_size, tokenizers.tgt.vocab_size, **config["model"]
    )
    _load_weights(model, folder / WEIGHTS)
    sha256 = _sha256(folder / SUMS)
    return Bundle(model.to(device).eval(), tokenizers, config, folder, sha256)


def load_bundles(
    paths: Sequence[str | os.PathLike[str]],
    device: str | torch.device = "cpu",
    *,
    ensemble: Average = "linear",
    weights: Sequence[float] | None = None,
) -> Bundle:
    """One bundle as it is, several as the bundle of their ensemble.

    Args:
        paths: as for `load_bundle`.
        device: where to put all of them.
        ensemble: what is averaged, see `models/ensemble.py`.
        weights: one a path; equal if None.

    Raises:
        FileNotFoundError, ValueError: as `load_bundle` does; their vocabularies or languages differ; the weights are no
            weights.
    """
    first, *others = bundles = [load_bundle(path, device) for path in paths]
    if not others and weights is None:
        return first
    for other in others:
        _check_same_text(first, other)
    model = Ensemble([bundle.model for bundle in bundles], average=ensemble, weights=weights)
    made_of = {
        "average": model.average,
        "weights": model.weights,
        "architectures": [bundle.config["architecture"] for bundle in bundles],
        "models": [bundle.config["model"] for bundle in bundles],
        "bundles_sha256": [bundle.sha256 for bundle in bundles],
    }
    languages = {name: first.config[name] for name in ("src_lang", "tgt_lang")}
    sha256 = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    return Bundle(model.eval(), first.tokenizers, {"ensemble": made_of, **languages}, first.folder, sha256)


def find_bundle(path: str | os.PathLike[str]) -> Path:
    """The bundle that a MODEL names: the folder itself, or model/ of a run folder.

    Raises:
        FileNotFoundError: it names neither; the message says what is missing.
    """
    path = Path(path)
    if (path / SUMS).is_file():
        return path
    if (path / "model" / SUMS).is_file():
        return path / "model"
    what = "a MODEL is the folder of a finished run, or the bundle model/ inside it"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {what}")
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; {what}")
    if (path / "config.yaml").is_file():
        raise FileNotFoundError(f"{path} is a run that has not finished: it has no {path / 'model'}; let it end")
    raise FileNotFoundError(f"{path} is no model: there is no {SUMS} in it; {what}")


def _check_same_text(first: Bundle, other: Bundle) -> None:
    """Members of an ensemble read and write the same languages in the same pieces."""
    both = f"{first.folder} and {other.folder}"
    advice = "the members of an ensemble share languages and tokenizer"
    pairs = [f"{bundle.config['src_lang']}-{bundle.config['tgt_lang']}" for bundle in (first, other)]
    if pairs[0] != pairs[1]:
        raise ValueError(f"{both} translate {pairs[0]} and {pairs[1]}; {advice}")
    for side, one, two in (
        ("source", first.tokenizers.src, other.tokenizers.src),
        ("target", first.tokenizers.tgt, other.tokenizers.tgt),
    ):
        if one.model != two.model:
            raise ValueError(f"{both} have different {side} vocabularies: {_difference(one, two)}; {advice}")


def _difference(one: Tokenizer, two: Tokenizer) -> str:
    if one.vocab_size != two.vocab_size:
        return f"{one.vocab_size} and {two.vocab_size} pieces"
    for i, (left, right) in enumerate(zip(*(t.pieces(range(t.vocab_size)) for t in (one, two)), strict=True)):
        if left != right:
            return f"piece {i} is {left!r} in the one and {right!r} in the other"
    return "the same pieces, but with other scores or another normalization"


def _defaults(architecture: str) -> dict[str, Any]:
    """The keyword arguments of an architecture and their default values."""
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _check_known(folder: Path, config: dict[str, Any]) -> None:
    """A bundle of a newer release may have the same format, but an architecture or a setting that is new."""
    written_by = f"it was written by seq2seq {config['versions']['seq2seq']}, this is {__version__}: upgrade it"
    if config["architecture"] not in ARCHITECTURES:
        raise ValueError(f"{folder} has the unknown architecture {config['architecture']!r}; {written_by}")
    if unknown := config["model"].keys() - _defaults(config["architecture"]).keys():
        raise ValueError(f"{folder} has the unknown setting {min(unknown)!r} of its model; {written_by}")


def _unshared_weights(model: EncoderDecoder) -> dict[str, torch.Tensor]:
    """The state dict with each tied parameter under its first name only."""
    # Not safetensors' save_model: it refuses parts of one block of memory, as cuDNN lays recurrent weights out.
    first_names = {name for name, _ in model.named_parameters()}
    all_names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return {
        name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in all_names - first_names
    }


def _load_weights(model: EncoderDecoder, path: Path) -> None:
    try:
        weights = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error}); copy the bundle again") from None
    parameters = dict(model.named_parameters(remove_duplicate=False))
    # A tied parameter is complete when any of its names is there: which one was the first may change with a release.
    filled = {id(parameters[name]) for name in weights if name in parameters}
    state = model.state_dict()
    missing = [name for name in state if name not in weights and id(parameters.get(name)) not in filled]
    unexpected = [name for name in weights if name not in state]
    wrong = [name for name in weights if name in state and weights[name].shape != state[name].shape]
    for names, what in ((missing, "lacks"), (unexpected, "has an unknown"), (wrong, "has another shape for")):
        if names:
            raise ValueError(f"{path} {what} {names[0]}: weights and {CONFIG} do not belong together")
    model.load_state_dict(weights, strict=False)


def _check_hashes(folder: Path) -> None:
    sums = {}
    for line in (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing; copy the whole bundle again")
        if _sha256(folder / name) != digest:
            raise ValueError(f"{folder / name} was altered: its hash is not the one in {SUMS}; copy the bundle again")
    # A file that nobody vouches for must not slip in beside the others.
    for name in (CONFIG, WEIGHTS, *sorted(path.name for path in folder.glob("tokenizer*.model"))):
        if name not in sums:
            raise ValueError(f"{folder / name} has no hash in {SUMS}; copy the bundle again")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
