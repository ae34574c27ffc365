"""Any model as two ONNX graphs: the encoder, and one step of the decoder that a search repeats."""

from pathlib import Path
from typing import Any

from seq2seq.bundle import Bundle
from seq2seq.models.transformer import Transformer

NOTES = """\
`encoder.onnx` reads the source, `decoder.onnx` is one step. What the encoder gives has the names that the decoder
takes; `new.state.*` is the next step's `state.*`. Sentences, their tokens and W may be of any number: a search with W
hypotheses for each sentence gives `y` the shape (sentences, W), repeats `state.*` along its second dimension and takes
those of `new.state.*` that go on, while `memory.*` stays one for each sentence. `attention`, where a model has it, has
the weights (sentences, W, source tokens).
"""


def write(bundle: Bundle, folder: Path) -> None:
    """Write encoder.onnx and decoder.onnx."""
    from seq2seq.export import onnx_recurrent, onnx_transformer

    graphs: Any = onnx_transformer if isinstance(bundle.model, Transformer) else onnx_recurrent
    graphs.encoder_graph(bundle.model).save(folder / "encoder.onnx")
    graphs.decoder_graph(bundle.model).save(folder / "decoder.onnx")
