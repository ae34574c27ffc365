"""Train, translate with and compare sequence-to-sequence architectures on translation.

import seq2seq

translator = seq2seq.load("runs/transformer")
translator.translate(["Ein Hund läuft durch den Schnee."])
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from seq2seq.decoding import SearchOptions
    from seq2seq.translator import Translator

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(
    *models: str | os.PathLike[str],
    device: str = "auto",
    options: "SearchOptions | None" = None,
    ensemble: Literal["linear", "log_linear"] = "linear",
    weights: Sequence[float] | None = None,
    max_tokens_per_batch: int = 4096,
) -> "Translator":
    """Load a model, or several as an ensemble, to translate with; any number of threads may use it at the same time.

    Args:
        models: folders of finished runs, or of bundles.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        options: of the search, `seq2seq.decoding.SearchOptions`; a beam of 5 if None.
        ensemble: what of several models is averaged at each step: probabilities (linear) or their logarithms.
        weights: of several models in that average; equal if None.
        max_tokens_per_batch: source tokens searched at once, padding included; lower it when memory runs out.

    Raises:
        FileNotFoundError: there is no model.
        ValueError: a model was altered, models do not go together, or there is no such device.
    """
    # Here and not above: torch takes seconds to import, and the command's --help shall not.
    from seq2seq.bundle import load_bundles
    from seq2seq.decoding import SearchOptions
    from seq2seq.translator import Translator, choose_device

    if not models:
        raise TypeError("load needs at least one model")
    bundle = load_bundles(models, choose_device(device), ensemble=ensemble, weights=weights)
    return Translator(bundle, options=options or SearchOptions(), max_tokens_per_batch=max_tokens_per_batch)
