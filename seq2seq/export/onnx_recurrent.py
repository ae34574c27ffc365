"""`models/recurrent.py` and `models/attention.py` as ONNX graphs, their encoders in ONNX's recurrent layers.

Letters: see `models/interface.py`; X width of an input, A inner width of an energy, G gates side by side.
"""

import torch
from torch import Tensor

from seq2seq.export.onnx_graph import BOOL, INT, Graph
from seq2seq.models.attention import AttentionEncoderDecoder
from seq2seq.models.cells import RecurrentStack
from seq2seq.models.energies import Additive, Cosine, Dot, Energy, General
from seq2seq.models.recurrent import Bridge, RecurrentEncoderDecoder

Recurrent = RecurrentEncoderDecoder | AttentionEncoderDecoder

# Operator, torch's number of each gate in ONNX's order, attributes: in both GRUs r acts after the matrix product.
_CELLS = {
    "rnn": ("RNN", [0], {}),
    "gru": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "lstm": ("LSTM", [0, 3, 1, 2], {}),
}


def encoder_graph(model: Recurrent) -> Graph:
    """src, src_key_padding_mask -> memory.*, state.*: `encode` and `init_state`."""
    g = Graph("encoder")
    src_BS = g.input("src", ["B", "S"], INT)
    mask_BS = g.input("src_key_padding_mask", ["B", "S"], BOOL)
    is_token = g.op("Cast", g.op("Not", mask_BS), to=6)  # int32
    lengths_B = g.op("ReduceSum", is_token, g.constant([1]), keepdims=0)
    x_SBE = g.op("Transpose", g.embedding(src_BS, model.src_embedding), perm=[1, 0, 2])
    h_SBD, last = _read(g, model.encoder, x_SBE, lengths_B)

    z_BD = last["h"][-1]
    num_layers, d_model = model.decoder.num_layers, model.decoder.layers.hidden_size
    for name, x in _bridge(g, model.bridge, z_BD, last).items():
        g.output(f"state.{name}", g.reshape(x, [0, 1, num_layers, d_model]), ["B", 1, num_layers, d_model])
    if isinstance(model, RecurrentEncoderDecoder):
        g.output("memory.z", z_BD, ["B", d_model])
        return g
    h_BSD = g.op("Transpose", h_SBD, perm=[1, 0, 2])
    g.output("memory.h", h_BSD, ["B", "S", d_model])
    g.output("memory.keys", _project_keys(g, model.energy, h_BSD), ["B", "S", d_model])
    if model.placement == "previous":
        u_z = _split_inputs(model)[1]
        g.output("memory.uh", g.product(h_BSD, u_z), ["B", "S", len(u_z)])
    elif model.placement == "input_feeding":
        d_embedding = model.tgt_embedding.embedding_dim
        shape = g.op("Concat", g.size(src_BS, 0), g.constant([1, d_embedding]), axis=0)
        g.output("state.r", g.op("ConstantOfShape", shape), ["B", 1, d_embedding])
    g.output("memory.src_key_padding_mask", mask_BS, ["B", "S"], BOOL)
    return g


def decoder_graph(model: Recurrent) -> Graph:
    """y, memory.*, state.* -> logits, new.state.*, with attention also where it looked: `step`."""
    g = Graph("decoder")
    y_BW = g.input("y", ["B", "W"], INT)
    num_layers, d_model = model.decoder.num_layers, model.decoder.layers.hidden_size
    names = ["h", "cell"] if model.decoder.cell == "lstm" else ["h"]
    state = {name: g.input(f"state.{name}", ["B", "W", num_layers, d_model]) for name in names}
    y_BWE = g.embedding(y_BW, model.tgt_embedding)
    d_embedding = model.tgt_embedding.embedding_dim
    u_y, u_z = _split_inputs(model)
    ux = g.op("Add", g.product(y_BWE, u_y), g.constant(_weight(model.decoder, "bias_ih", 0)))
    alpha_BWS = None
    if isinstance(model, RecurrentEncoderDecoder):
        z = g.unsqueeze(g.input("memory.z", ["B", d_model]), 1)
        d_BWD, new_state = _step(g, model.decoder, g.op("Add", ux, g.product(z, u_z)), state)
    elif model.placement == "previous":
        alpha_BWS, z = _attend(g, model, _layer_of(g, state["h"], num_layers - 1))
        uz = g.op("MatMul", alpha_BWS, g.input("memory.uh", ["B", "S", len(u_z)]))
        d_BWD, new_state = _step(g, model.decoder, g.op("Add", ux, uz), state)
    else:
        if model.placement == "input_feeding":
            ux = g.op("Add", ux, g.product(g.input("state.r", ["B", "W", d_embedding]), u_z))
        d_BWD, new_state = _step(g, model.decoder, ux, state)
        alpha_BWS, z = _attend(g, model, d_BWD)

    readout = model.readout
    parts = [(d_BWD, d_model), (y_BWE, d_embedding), (z, d_model)]
    hidden = g.op("Tanh", g.sum_of_products(parts, readout.w.weight, readout.w.bias))
    g.output("logits", g.projection(hidden, readout.projection), ["B", "W", readout.projection.out_features])
    if alpha_BWS is not None:
        g.output("attention", alpha_BWS, ["B", "W", "S"])
    for name, x in new_state.items():
        g.output(f"new.state.{name}", x, ["B", "W", num_layers, d_model])
    if isinstance(model, AttentionEncoderDecoder) and model.placement == "input_feeding":
        g.output("new.state.r", hidden, ["B", "W", d_embedding])
    return g


def _split_inputs(model: Recurrent) -> tuple[Tensor, Tensor]:
    """U of the decoder's first layer: its columns for y_{t-1} and those for z, z_t or r_{t-1}."""
    u, width = _weight(model.decoder, "weight_ih", 0), model.tgt_embedding.embedding_dim
    return u[:, :width], u[:, width:]


def _weight(stack: RecurrentStack, name: str, layer: int, suffix: str = "") -> Tensor:
    return getattr(stack.layers, f"{name}_l{layer}{suffix}")


def _read(g: Graph, stack: RecurrentStack, x: str, lengths_B: str) -> tuple[str, dict[str, list[str]]]:
    """`RecurrentStack.read`: outputs (S, B, D), and the last states (B, D) of each layer."""
    operator, order, attributes = _CELLS[stack.cell]
    layers = stack.layers
    suffixes = ["", "_reverse"] if layers.bidirectional else [""]
    direction = "bidirectional" if layers.bidirectional else "forward"
    last: dict[str, list[str]] = {"h": [], "cell": []} if stack.cell == "lstm" else {"h": []}

    def weights(name: str, layer: int) -> Tensor:
        """The weights of both directions, (directions, G, ...), the gates in ONNX's order."""
        both = [_weight(stack, name, layer, suffix) for suffix in suffixes]
        return torch.stack([torch.cat([w.chunk(len(order))[gate] for gate in order]) for w in both])

    for layer in range(stack.num_layers):
        biases = torch.cat([weights("bias_ih", layer), weights("bias_hh", layer)], dim=1)
        parameters = [weights("weight_ih", layer), weights("weight_hh", layer), biases]
        inputs = [x, *(g.constant(parameter) for parameter in parameters), lengths_B]
        outputs, *states = g.ops(
            operator,
            *inputs,
            num_outputs=1 + len(last),
            hidden_size=layers.hidden_size,
            direction=direction,
            **attributes,
        )
        x = g.reshape(g.op("Transpose", outputs, perm=[0, 2, 1, 3]), [0, 0, -1])  # from (S, directions, B, D / 2)
        for of_layers, state in zip(last.values(), states, strict=True):
            of_layers.append(g.reshape(g.op("Transpose", state, perm=[1, 0, 2]), [0, -1]))
    return x, last


def _bridge(g: Graph, bridge: Bridge, z_BD: str, last: dict[str, list[str]]) -> dict[str, str]:
    """The decoder's first state, layers side by side."""
    layers = {"h": bridge.h, "cell": bridge.cell}
    learned = {"h": bridge.first_h, "cell": bridge.first_cell}
    first = {}
    for name, of_layers in last.items():
        side_by_side = g.op("Concat", *of_layers, axis=1)
        layer, vector = layers[name], learned[name]
        if bridge.name == "zeros":
            first[name] = g.op("ConstantOfShape", g.op("Shape", side_by_side))
        elif vector is not None:
            first[name] = g.op("Expand", g.constant(vector), g.op("Shape", side_by_side))
        elif layer is not None:
            first[name] = g.op("Tanh", g.linear(z_BD, layer))
        else:
            first[name] = side_by_side
    return first


def _step(g: Graph, stack: RecurrentStack, ux: str, state: dict[str, str]) -> tuple[str, dict[str, str]]:
    """`RecurrentStack.step`: the top layer's h_t (B, W, D) and the new state."""
    new: dict[str, list[str]] = {name: [] for name in state}
    for layer in range(stack.num_layers):
        if layer > 0:
            ux = g.product(new["h"][-1], _weight(stack, "weight_ih", layer))
            ux = g.op("Add", ux, g.constant(_weight(stack, "bias_ih", layer)))
        h_prev = _layer_of(g, state["h"], layer)
        wh = g.product(h_prev, _weight(stack, "weight_hh", layer))
        wh = g.op("Add", wh, g.constant(_weight(stack, "bias_hh", layer)))
        if stack.cell == "lstm":
            h, cell = _lstm_step(g, ux, wh, _layer_of(g, state["cell"], layer))
            new["cell"].append(cell)
        elif stack.cell == "gru":
            h = _gru_step(g, ux, wh, h_prev)
        else:
            h = g.op("Tanh", g.op("Add", ux, wh))
        new["h"].append(h)
    stacked = {name: g.op("Concat", *(g.unsqueeze(x, 2) for x in xs), axis=2) for name, xs in new.items()}
    return new["h"][-1], stacked


def _layer_of(g: Graph, x_BWLD: str, layer: int) -> str:
    return g.op("Squeeze", g.op("Gather", x_BWLD, g.constant([layer]), axis=2), g.constant([2]))


def _gru_step(g: Graph, ux: str, wh: str, h_prev: str) -> str:
    ux_r, ux_v, ux_n = g.ops("Split", ux, axis=-1, num_outputs=3)
    wh_r, wh_v, wh_n = g.ops("Split", wh, axis=-1, num_outputs=3)
    r = g.op("Sigmoid", g.op("Add", ux_r, wh_r))
    v = g.op("Sigmoid", g.op("Add", ux_v, wh_v))
    n = g.op("Tanh", g.op("Add", ux_n, g.op("Mul", r, wh_n)))
    return g.op("Add", n, g.op("Mul", v, g.op("Sub", h_prev, n)))


def _lstm_step(g: Graph, ux: str, wh: str, cell_prev: str) -> tuple[str, str]:
    a_i, a_f, a_u, a_g = g.ops("Split", g.op("Add", ux, wh), axis=-1, num_outputs=4)
    f, i, gate, u = g.op("Sigmoid", a_f), g.op("Sigmoid", a_i), g.op("Sigmoid", a_g), g.op("Tanh", a_u)
    cell = g.op("Add", g.op("Mul", f, cell_prev), g.op("Mul", i, u))
    return g.op("Mul", gate, g.op("Tanh", cell)), cell


def _attend(g: Graph, model: AttentionEncoderDecoder, q_BWD: str) -> tuple[str, str]:
    """The weights (B, W, S) of every query, and the context (B, W, D)."""
    d_model = model.decoder.layers.hidden_size
    h_BSD, keys_BSA = (g.input(f"memory.{name}", ["B", "S", d_model]) for name in ("h", "keys"))
    padding_B1S = g.unsqueeze(g.input("memory.src_key_padding_mask", ["B", "S"], BOOL), 1)
    alpha_BWS = g.masked_softmax(_energies(g, model.energy, q_BWD, keys_BSA), padding_B1S)
    return alpha_BWS, g.op("MatMul", alpha_BWS, h_BSD)


def _project_keys(g: Graph, energy: Energy, h_BSD: str) -> str:
    match energy:
        case Dot():
            return h_BSD
        case Cosine():
            return _normalized(g, h_BSD)
        case General():
            return g.linear(h_BSD, energy.w)
        case Additive():
            return g.linear(h_BSD, energy.u)
    raise AssertionError(f"{type(energy).__name__} has no ONNX graph")


def _energies(g: Graph, energy: Energy, q_BWD: str, keys_BSA: str) -> str:
    if isinstance(energy, Additive):
        sum_BWSA = g.op("Add", g.unsqueeze(g.linear(q_BWD, energy.w), 2), g.unsqueeze(keys_BSA, 1))
        return g.op("Squeeze", g.linear(g.op("Tanh", sum_BWSA), energy.v), g.constant([3]))
    if isinstance(energy, Dot):
        q_BWD = g.op("Mul", q_BWD, g.constant(energy.scale))
    elif isinstance(energy, Cosine):
        q_BWD = g.op("Mul", _normalized(g, q_BWD), g.constant(energy.log_sharpness.exp()))
    return g.op("MatMul", q_BWD, g.op("Transpose", keys_BSA, perm=[0, 2, 1]))


def _normalized(g: Graph, x: str) -> str:
    """x / |x|, as `torch.nn.functional.normalize`."""
    norm = g.op("ReduceL2", x, axes=[-1], keepdims=1)
    return g.op("Div", x, g.op("Max", norm, g.constant(1e-12)))
