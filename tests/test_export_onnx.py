"""ONNX graphs against the models that they were written from, in ONNX Runtime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seq2seq.bundle import load_bundle
from seq2seq.export.folder import export_bundle
from seq2seq.models.interface import EncoderDecoder, take_hypotheses
from seq2seq.tokenizer import TokenizerPair

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

WriteBundle = Callable[..., Path]

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("transformer", {"norm": "pre", "positions": "sinusoidal", "num_encoder_layers": 2, "num_decoder_layers": 2}),
    ("transformer", {"norm": "post", "positions": "learned", "tie_embeddings": "none"}),
    ("transformer", {"norm": "post", "positions": "sinusoidal", "tie_embeddings": "two_way", "num_heads": 4}),
    ("transformer", {"norm": "pre", "positions": "learned"}),
    ("lstm", {}),
    ("lstm", {"num_layers": 3, "bridge": "last", "tie_embeddings": "three_way"}),
    ("lstm", {"cell": "gru", "num_layers": 2, "bidirectional": False, "bridge": "zeros"}),
    ("lstm", {"cell": "rnn", "num_layers": 2}),
    ("lstm", {"num_layers": 2, "bridge": "learned"}),
    ("attention", {"energy": "additive"}),
    ("attention", {"energy": "dot", "cell": "gru", "num_layers": 2, "bridge": "last"}),
    ("attention", {"energy": "scaled_dot", "cell": "rnn", "bridge": "learned"}),
    ("attention", {"energy": "general", "bidirectional": False, "tie_embeddings": "two_way"}),
    ("attention", {"energy": "cosine", "num_layers": 2}),
    ("attention", {"placement": "current", "num_layers": 2}),
    ("attention", {"placement": "input_feeding", "num_layers": 2, "cell": "gru"}),
    ("attention", {"placement": "input_feeding", "energy": "dot", "tie_embeddings": "three_way"}),
]


def steps_of_the_model(model: EncoderDecoder, src_BS: Tensor, y_BWT: Tensor) -> list[tuple[Tensor, Tensor | None]]:
    """Logits and attention at each step of W given translations."""
    with torch.inference_mode():
        memory = model.encode(src_BS, src_BS == 0)
        state = take_hypotheses(model.init_state(memory), torch.zeros(y_BWT.shape[:2], dtype=torch.long))
        steps = []
        for y_BW in y_BWT.unbind(2):
            logits_BWV, state, attention_BWS = model.step(y_BW, state, memory)
            steps.append((logits_BWV, attention_BWS))
    return steps


def steps_of_the_graphs(folder: Path, src_BS: Tensor, y_BWT: Tensor) -> list[tuple[Tensor, Tensor | None]]:
    """The same, as the README says that a search with W hypotheses goes."""
    encoder, decoder = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("encoder", "decoder"))
    src = src_BS.numpy()
    encoded = encoder.run(None, {"src": src, "src_key_padding_mask": src == 0})
    tensors = dict(zip([output.name for output in encoder.get_outputs()], encoded, strict=True))
    assert tensors.keys() | {"y"} == {value.name for value in decoder.get_inputs()}
    for name in [name for name in tensors if name.startswith("state.")]:
        tensors[name] = np.repeat(tensors[name], y_BWT.shape[1], axis=1)
    names = [output.name for output in decoder.get_outputs()]
    steps = []
    for y_BW in y_BWT.unbind(2):
        outputs = dict(zip(names, decoder.run(None, {"y": y_BW.numpy(), **tensors}), strict=True))
        tensors |= {name.removeprefix("new."): new for name, new in outputs.items() if name.startswith("new.")}
        attention_BWS = torch.from_numpy(outputs["attention"]) if "attention" in outputs else None
        steps.append((torch.from_numpy(outputs["logits"]), attention_BWS))
    return steps


def padded(lengths: Sequence[int], vocab_size: int) -> Tensor:
    """Random sentences of these lengths, each with its end."""
    generator = torch.Generator().manual_seed(3)
    src_BS = torch.randint(4, vocab_size, (len(lengths), max(lengths)), generator=generator)
    for row, length in enumerate(lengths):
        src_BS[row, length - 1 :] = 0
        src_BS[row, length - 1] = 3
    return src_BS


@pytest.mark.parametrize(("architecture", "config"), VARIANTS, ids=str)
def test_the_graphs_compute_what_the_model_does(
    tmp_path: Path,
    separate_tokenizers: TokenizerPair,
    tokenizers: TokenizerPair,
    write_bundle: WriteBundle,
    architecture: str,
    config: dict[str, Any],
) -> None:
    """Of sentences of many lengths in one batch, and of translations longer than they are."""
    default = "three_way" if architecture == "transformer" else "none"
    pair = tokenizers if config.get("tie_embeddings", default) == "three_way" else separate_tokenizers
    bundle = load_bundle(write_bundle(tmp_path / "bundle", architecture, pair, **config))
    export_bundle(bundle, tmp_path / "onnx", "onnx")
    for lengths in ([5, 1, 30, 2], [1]):
        src_BS = padded(lengths, pair.src.vocab_size)
        generator = torch.Generator().manual_seed(4)
        y_BWT = torch.randint(2, pair.tgt.vocab_size, (len(lengths), 3, 12), generator=generator)
        expected = steps_of_the_model(bundle.model, src_BS, y_BWT)
        assert expected[0][0].std() > 0.1
        torch.testing.assert_close(steps_of_the_graphs(tmp_path / "onnx", src_BS, y_BWT), expected, atol=1e-4, rtol=0)


def test_sinusoids_have_no_end(tmp_path: Path, tokenizers: TokenizerPair, write_bundle: WriteBundle) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "bundle", max_positions=8))
    export_bundle(bundle, tmp_path / "onnx", "onnx")
    src_BS = padded([3000], tokenizers.src.vocab_size)
    y_BWT = torch.full((1, 1, 20), 7)
    steps = steps_of_the_graphs(tmp_path / "onnx", src_BS, y_BWT), steps_of_the_model(bundle.model, src_BS, y_BWT)
    torch.testing.assert_close(*steps, atol=1e-4, rtol=0)
