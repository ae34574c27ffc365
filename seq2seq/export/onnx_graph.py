"""An ONNX graph written node by node, so that a model's equations become ONNX's operators one by one.

Not `torch.onnx.export`: its tracer writes the lengths of its example into the graph and its successor cannot take
packed sequences, while ONNX itself has recurrent layers that know lengths. Letters: see `models/interface.py`.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
# The first with LayerNormalization, of 2022, and the file format of its time.
_OPSET, _IR_VERSION = 17, 8


class Graph:
    """A graph that grows: each method adds what it says and returns the name of the value it gives."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[Any, Any] = {}
        self._kept: list[Tensor] = []  # a constant is known by its address, which no other tensor must get

    def input(self, name: str, dims: list[int | str], kind: int = FLOAT) -> str:
        """An input; a dimension with a name may have any size."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, dims))
        return name

    def output(self, name: str, value: str, dims: list[int | str], kind: int = FLOAT) -> None:
        """Give `value` out under `name`."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, dims))

    def constant(self, value: Tensor | float | list[int]) -> str:
        """Weights, a number, or a shape; the same one is written once, however often it is asked for."""
        key: Any
        if isinstance(value, Tensor):
            self._kept.append(value)
            key, array = (value.data_ptr(), value.shape, value.stride()), _array(value)
        else:
            array = np.array(value, np.int64 if isinstance(value, list) else np.float32)
            key = str(value)
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, f"constant_{len(self._constants)}")
        return str(self._constants[key].name)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of an ONNX operator with one output."""
        return self.ops(kind, *inputs, num_outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, num_outputs: int, **attributes: Any) -> list[str]:
        """A node with several outputs."""
        outputs = [f"{kind}_{len(self._nodes)}_{i}" for i in range(num_outputs)]
        self._nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def save(self, path: Path) -> None:
        """Check the graph and write it."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values()))
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="seq2seq")
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())

    # What several models are made of.

    def product(self, x: str, w_YX: Tensor) -> str:
        """x W^T."""
        return self.op("MatMul", x, self.constant(w_YX.t()))

    def linear(self, x: str, layer: nn.Linear) -> str:
        """x W^T + b, or without b."""
        y = self.product(x, layer.weight)
        return y if layer.bias is None else self.op("Add", y, self.constant(layer.bias))

    def projection(self, x: str, layer: nn.Linear) -> str:
        """The same for a matrix that may also be an embedding: it is turned when the graph is loaded."""
        weight_EV = self.op("Transpose", self.constant(layer.weight), perm=[1, 0])
        logits = self.op("MatMul", x, weight_EV)
        return logits if layer.bias is None else self.op("Add", logits, self.constant(layer.bias))

    def sum_of_products(self, parts: list[tuple[str, int]], w_YX: Tensor, b_Y: Tensor) -> str:
        """W [part; part; ...] + b of parts that broadcast to each other, given with their widths."""
        y, start = self.constant(b_Y), 0
        for part, width in parts:
            y = self.op("Add", y, self.product(part, w_YX[:, start : start + width]))
            start += width
        return y

    def embedding(self, ids: str, layer: nn.Embedding) -> str:
        """sqrt(E) times the rows `ids` of the matrix."""
        rows = self.op("Gather", self.constant(layer.weight), ids)
        return self.op("Mul", rows, self.constant(math.sqrt(layer.embedding_dim)))

    def reshape(self, x: str, shape: list[int]) -> str:
        """x in another shape, where 0 keeps a dimension and -1 takes what is left."""
        return self.op("Reshape", x, self.constant(shape))

    def unsqueeze(self, x: str, *axes: int) -> str:
        """x with new dimensions of size 1."""
        return self.op("Unsqueeze", x, self.constant(list(axes)))

    def size(self, x: str, axis: int) -> str:
        """The size of a dimension, as a vector of one number."""
        return self.op("Shape", x, start=axis, end=axis + 1)

    def masked_softmax(self, e: str, padding: str) -> str:
        """Softmax over the last dimension, where what `padding` is True for gets none of it."""
        return self.op("Softmax", self.op("Where", padding, self.constant(-math.inf), e), axis=-1)


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().numpy())
