"""The transformer against `torch.nn.Transformer` with the same weights, and against the paper's formulas."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seq2seq.models.transformer import MultiHeadAttention, Transformer, sinusoids
from seq2seq.special_ids import PAD_ID

V, D, F, H, L = 11, 8, 12, 2, 2


def transformer(**keywords: object) -> Transformer:
    """A small float64 one whose weights are all random, biases and norms too."""
    torch.manual_seed(1)
    sizes = {"d_model": D, "d_ff": F, "num_heads": H, "num_encoder_layers": L, "num_decoder_layers": L, "dropout": 0.0}
    model = Transformer(V, V, **(sizes | keywords)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    src_BS = torch.randint(4, V, (3, 5), generator=generator)
    tgt_BT = torch.randint(4, V, (3, 4), generator=generator)
    return src_BS, torch.arange(5) >= torch.tensor([5, 2, 4])[:, None], tgt_BT


def by_torch_names(model: Transformer, value: Callable[[nn.Parameter], Tensor]) -> dict[str, Tensor]:
    """`value` (the weights or their gradients) of both stacks' parameters, under the names of `nn.Transformer`."""
    named: dict[str, Tensor] = {}

    def add(name: str, module: nn.Linear | nn.LayerNorm) -> None:
        named[f"{name}.weight"], named[f"{name}.bias"] = value(module.weight), value(module.bias)

    def add_attention(name: str, attention: MultiHeadAttention) -> None:
        for kind in ("weight", "bias"):
            q, kv = (value(getattr(linear, kind)) for linear in (attention.w_q, attention.w_kv))
            named[f"{name}.in_proj_{kind}"] = torch.cat([q, kv])
        add(f"{name}.out_proj", attention.w_o)

    for stack, layers in (("encoder", model.encoder_layers), ("decoder", model.decoder_layers)):
        for number, layer in enumerate(layers):
            name = f"{stack}.layers.{number}"
            add_attention(f"{name}.self_attn", layer.self_attention)
            if stack == "encoder":
                residuals = (layer.around_attention, layer.around_feed_forward)
            else:
                add_attention(f"{name}.multihead_attn", layer.cross_attention)
                residuals = (layer.around_self_attention, layer.around_cross_attention, layer.around_feed_forward)
            add(f"{name}.linear1", layer.feed_forward[0])
            add(f"{name}.linear2", layer.feed_forward[-1])
            for n, residual in enumerate(residuals, start=1):
                add(f"{name}.norm{n}", residual.norm)
    for stack, norm in (("encoder", model.encoder_norm), ("decoder", model.decoder_norm)):
        if isinstance(norm, nn.LayerNorm):
            add(f"{stack}.norm", norm)
    return named


def torch_transformer(model: Transformer, *, norm_first: bool) -> nn.Transformer:
    """PyTorch's with the same weights; a norm ends each stack for "pre" only, as Xiong et al. 2020 have it."""
    options = dict(dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64)
    norms = [nn.LayerNorm(D, dtype=torch.float64) if norm_first else None for _ in range(2)]
    theirs = nn.Transformer(
        D,
        H,
        custom_encoder=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(D, H, F, **options), L, norm=norms[0], enable_nested_tensor=False
        ),
        custom_decoder=nn.TransformerDecoder(nn.TransformerDecoderLayer(D, H, F, **options), L, norm=norms[1]),
        batch_first=True,
    )
    theirs.load_state_dict(by_torch_names(model, lambda p: p.detach()), strict=True)
    return theirs


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_equal_those_of_torch_with_the_same_weights(norm: str, training: bool) -> None:
    model = transformer(norm=norm, tie_embeddings="none").train(training)
    theirs = torch_transformer(model, norm_first=norm == "pre").train(training)
    src_BS, padding_BS, tgt_BT = pairs()

    def embed(table_VD: Tensor, ids: Tensor) -> Tensor:
        return table_VD[ids] * math.sqrt(D) + sinusoids(ids.shape[1], D).double()

    out_BTD = theirs(
        embed(model.src_embedding.weight.detach(), src_BS),
        embed(model.tgt_embedding.weight.detach(), tgt_BT),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64).isinf(),
        src_key_padding_mask=padding_BS,
        memory_key_padding_mask=padding_BS,
    )
    expected_BTV = out_BTD @ model.projection.weight.detach().T
    logits_BTV = model(src_BS, padding_BS, tgt_BT)
    assert_close(logits_BTV, expected_BTV)

    downstream_BTV = torch.randn(3, 4, V, dtype=torch.float64)
    (logits_BTV * downstream_BTV).sum().backward()
    (expected_BTV * downstream_BTV).sum().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    assert_close(by_torch_names(model, lambda p: p.grad), expected)


# A CPU pads few keys of float32, but not of float64.
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def attention_pair(dtype: torch.dtype) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    torch.manual_seed(1)
    ours = MultiHeadAttention(D, num_heads=H, dropout=0.0).to(dtype)
    theirs = nn.MultiheadAttention(D, H, batch_first=True, dtype=dtype)
    theirs.in_proj_weight.data = torch.cat([ours.w_q.weight, ours.w_kv.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([ours.w_q.bias, ours.w_kv.bias]).detach()
    theirs.out_proj.load_state_dict(ours.w_o.state_dict())
    return ours, theirs


@dtypes
def test_attention_all_at_once_and_written_out_equal_that_of_torch(dtype: torch.dtype) -> None:
    ours, theirs = attention_pair(dtype)
    x_BTD, h_BSD = torch.randn(3, 4, D, dtype=dtype), torch.randn(3, 5, D, dtype=dtype)
    padding_BS = pairs()[1]
    expected_BTD, expected_BHTS = theirs(x_BTD, h_BSD, h_BSD, key_padding_mask=padding_BS, average_attn_weights=False)
    source = ours.project_keys(h_BSD)
    assert_close(ours(x_BTD, source, ~padding_BS[:, None, None]), expected_BTD)
    written_out_BTD, alpha_BHTS = ours.step(x_BTD, source, padding_BS)
    assert_close(written_out_BTD, expected_BTD)
    assert_close(alpha_BHTS, expected_BHTS)


@dtypes
def test_causal_attention_equals_that_of_torch(dtype: torch.dtype) -> None:
    ours, theirs = attention_pair(dtype)
    x_BTD = torch.randn(3, 4, D, dtype=dtype)
    later = torch.ones(4, 4, dtype=torch.bool).triu(1)
    expected_BTD, _ = theirs(x_BTD, x_BTD, x_BTD, attn_mask=later)
    assert_close(ours(x_BTD, ours.project_keys(x_BTD), None), expected_BTD)


def test_sinusoids_are_those_of_the_paper_sines_before_cosines() -> None:
    table = sinusoids(200, D)
    for pos in (0, 1, 7, 199):
        for i in range(D // 2):
            angle = pos / 10000 ** (2 * i / D)
            assert table[pos, i].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert table[pos, D // 2 + i].item() == pytest.approx(math.cos(angle), abs=1e-4)


def test_sentences_may_be_longer_than_the_table_of_sinusoids() -> None:
    short, long = transformer(max_positions=2), transformer(max_positions=64)
    long.load_state_dict(short.state_dict())
    expected_BTV = long(*pairs())
    assert_close(short(*pairs()), expected_BTV)
    src_BS, padding_BS, tgt_BT = pairs()
    memory = short.encode(src_BS, padding_BS)
    state = short.init_state(memory)
    for t, y_B1 in enumerate(tgt_BT.split(1, dim=1)):
        logits_B1V, state, _ = short.step(y_B1, state, memory)
        assert_close(logits_B1V[:, 0], expected_BTV[:, t])


def test_learned_positions_end_with_a_message_that_says_what_to_do() -> None:
    src_BS, padding_BS, tgt_BT = pairs()
    message = "^a sentence has 5 tokens, learned positions end at 4; raise max_positions or split it$"
    model = transformer(positions="learned", max_positions=4)
    with pytest.raises(ValueError, match=message):
        model(src_BS, padding_BS, tgt_BT)
    model(src_BS[:, :4], padding_BS[:, :4], tgt_BT)  # four fit
    memory = model.encode(src_BS[:, :4], padding_BS[:, :4])
    state = model.init_state(memory)
    for _ in range(4):
        state = model.step(tgt_BT[:, :1], state, memory).state
    with pytest.raises(ValueError, match=message):
        model.step(tgt_BT[:, :1], state, memory)


def test_queries_keys_and_values_start_as_projections_of_their_own() -> None:
    """Glorot's bound for D x D; as one D x 2D matrix the keys and values would start smaller."""
    attention = Transformer(V, V, d_model=64, num_heads=4).encoder_layers[0].self_attention
    bound = math.sqrt(6 / (64 + 64))
    for weight in (attention.w_q.weight, *attention.w_kv.weight.chunk(2), attention.w_o.weight):
        assert 0.95 * bound < weight.abs().max().item() <= bound


def test_on_a_cpu_attention_is_of_float32_under_bfloat16_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's backward pass of it in bfloat16 takes 60 times as long there."""
    seen, attend = [], nn.functional.scaled_dot_product_attention

    def watched(*qkv: Tensor, **options: object) -> Tensor:
        seen.extend([*(x.dtype for x in qkv), torch.is_autocast_enabled("cpu")])
        return attend(*qkv, **options)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    attention = MultiHeadAttention(32, num_heads=4, dropout=0.0)
    x_BTD = torch.randn(2, 5, 32)
    expected = attention(x_BTD, attention.project_keys(x_BTD), None)
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(x_BTD, attention.project_keys(x_BTD), None)
    assert seen == [torch.float32] * 3 + [False]
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), expected, atol=0.02, rtol=0.02)


def test_with_norms_after_the_sums_every_matrix_starts_small() -> None:
    """N(0, 0.02), the embeddings' too, whose padding stays zero: a layer first adds a tenth to what it is given."""
    model = Transformer(300, 300, d_model=64, d_ff=128, norm="post")
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            assert abs(parameter.std().item() - 0.02) < 0.001, name
    assert not model.src_embedding.weight[PAD_ID].any()
    layer, x = model.encoder_layers[0].eval(), torch.randn(1, 5, 64)
    assert layer.feed_forward(x).norm() < 0.1 * x.norm()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"norm": "before"}, "^norm is 'before'; use pre or post$"),
        ({"positions": "rotary"}, "^positions is 'rotary'; use sinusoidal or learned$"),
        ({"num_heads": 3}, "^d_model is 8 and num_heads 3; the heads must divide d_model$"),
        ({"d_model": 9, "num_heads": 3}, "^d_model is 9; sinusoidal positions need an even one"),
    ],
)
def test_options_that_cannot_be_are_refused_with_those_that_can(keywords: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transformer(**keywords)
