"""Every architecture, in every variant, keeps the contract of `models/interface.py`. Letters: see there."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq2seq.models import ARCHITECTURES, EncoderDecoder, take_hypotheses, take_sentences
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID

RECURRENT = {"d_embedding": 6, "d_model": 8, "num_layers": 2}
TRANSFORMER = {"d_model": 8, "d_ff": 12, "num_heads": 2, "num_encoder_layers": 2, "num_decoder_layers": 2}
V = 13


def variants() -> dict[str, tuple[str, dict]]:
    """Name -> (architecture, keywords): cell x bridge x directions, energy x placement, norm x positions x tying."""
    found: dict[str, tuple[str, dict]] = {}

    def add(architecture: str, **keywords: object) -> None:
        small = TRANSFORMER if architecture == "transformer" else RECURRENT
        found["-".join([architecture, *(f"{value}" for value in keywords.values())])] = (architecture, small | keywords)

    for architecture in ("lstm", "attention"):
        for cell, bridge in itertools.product(("rnn", "gru", "lstm"), ("zeros", "last", "dense", "learned")):
            add(architecture, cell=cell, bridge=bridge, bidirectional=True)
            add(architecture, cell=cell, bridge=bridge, bidirectional=False)
        for tie in ("two_way", "three_way"):
            add(architecture, tie_embeddings=tie)
        add(architecture, num_layers=1)
    for energy in ("dot", "scaled_dot", "cosine", "general", "additive"):
        for placement in ("previous", "current", "input_feeding"):
            add("attention", energy=energy, placement=placement)
    for cell, placement in itertools.product(("rnn", "gru"), ("current", "input_feeding")):
        add("attention", cell=cell, placement=placement)
    for placement in ("previous", "current", "input_feeding"):
        add("attention", placement=placement, bptt_steps=2)
    for cell in ("rnn", "gru", "lstm"):
        add("lstm", cell=cell, bptt_steps=2)
    for norm, positions in itertools.product(("pre", "post"), ("sinusoidal", "learned")):
        for tie in ("none", "two_way", "three_way"):
            add("transformer", norm=norm, positions=positions, tie_embeddings=tie)
    return found


VARIANTS = variants()


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def model(request: pytest.FixtureRequest) -> EncoderDecoder:
    """A small float64 model in evaluation mode, none of whose weights is special (not even biases and padding)."""
    architecture, keywords = request.param
    torch.manual_seed(1)
    model = ARCHITECTURES[architecture](V, V, **keywords).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def sentences() -> tuple[Tensor, Tensor, Tensor]:
    """Four pairs: sources of 5, 1, 7 and 3 tokens, targets of 6."""
    generator = torch.Generator().manual_seed(2)
    lengths_B = torch.tensor([5, 1, 7, 3])
    src_key_padding_mask_BS = torch.arange(7) >= lengths_B[:, None]
    src_BS = torch.randint(4, V, (4, 7), generator=generator)
    src_BS[torch.arange(4), lengths_B - 1] = EOS_ID
    tgt_BT = torch.randint(4, V, (4, 6), generator=generator)
    tgt_BT[:, 0] = BOS_ID
    return src_BS.masked_fill(src_key_padding_mask_BS, PAD_ID), src_key_padding_mask_BS, tgt_BT


def after(model: EncoderDecoder, tgt_BT: Tensor, memory: tuple) -> tuple:
    """The state after the tokens of each sentence, W = 1."""
    state = model.init_state(memory)
    for y_B1 in tgt_BT.split(1, dim=1):
        state = model.step(y_B1, state, memory).state
    return state


def leaves(tree: Tensor | int | tuple) -> list[Tensor]:
    if isinstance(tree, int):  # the same for all sentences
        return []
    return [tree] if isinstance(tree, Tensor) else [leaf for branch in tree for leaf in leaves(branch)]


def test_steps_equal_teacher_forcing(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    memory = model.encode(src_BS, padding_BS)
    state, steps = model.init_state(memory), []
    for y_B1 in tgt_BT.split(1, dim=1):
        step = model.step(y_B1, state, memory)
        state = step.state
        steps.append(step.logits_BWV)
    assert_close(torch.cat(steps, dim=1), model(src_BS, padding_BS, tgt_BT))


def test_padding_does_not_change_a_sentence(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    together_BTV = model(src_BS, padding_BS, tgt_BT)
    for b, length in enumerate((~padding_BS).sum(1).tolist()):
        alone_BTV = model(src_BS[b : b + 1, :length], padding_BS[b : b + 1, :length], tgt_BT[b : b + 1])
        assert_close(together_BTV[b : b + 1], alone_BTV)


def test_what_stands_in_the_padding_does_not_matter(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    assert_close(model(src_BS.masked_fill(padding_BS, 7), padding_BS, tgt_BT), model(src_BS, padding_BS, tgt_BT))


def test_every_source_token_changes_the_logits(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    logits_BTV = model(src_BS, padding_BS, tgt_BT)
    for s in range(src_BS.shape[1]):
        changed_BS = src_BS.clone()
        changed_BS[:, s] = 4 + (src_BS[:, s] + 1) % (V - 4)
        difference_B = (model(changed_BS, padding_BS, tgt_BT) - logits_BTV).abs().amax((1, 2))
        assert torch.equal(difference_B > 1e-9, ~padding_BS[:, s])


def test_later_targets_do_not_change_earlier_logits(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    logits_BTV = model(src_BS, padding_BS, tgt_BT)
    for t in range(1, tgt_BT.shape[1]):
        changed_BT = tgt_BT.clone()
        changed_BT[:, t] = 4 + (tgt_BT[:, t] + 1) % (V - 4)
        changed_BTV = model(src_BS, padding_BS, changed_BT)
        assert_close(changed_BTV[:, :t], logits_BTV[:, :t])
        difference_BT = (changed_BTV - logits_BTV).abs().amax(2)
        assert (difference_BT[:, t:] > 1e-9).all()  # but they do change those from their own on


def test_memory_leads_with_sentences_and_state_with_hypotheses(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    memory = model.encode(src_BS, padding_BS)
    assert all(len(leaf) == 4 for leaf in leaves(memory))
    for state in (model.init_state(memory), after(model, tgt_BT, memory)):
        assert all(leaf.shape[:2] == (4, 1) for leaf in leaves(state))


def test_taking_sentences_commutes_with_a_step(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    memory = model.encode(src_BS, padding_BS)
    state = after(model, tgt_BT[:, :3], memory)
    rows_B = torch.tensor([3, 0, 3])
    y_BW = tgt_BT[:, 3:4]
    after_BWV, after_state = take_sentences(tuple(model.step(y_BW, state, memory)[:2]), rows_B)
    before_BWV, before_state, _ = model.step(y_BW[rows_B], *take_sentences((state, memory), rows_B))
    assert_close(before_BWV, after_BWV)
    assert_close(leaves(before_state), leaves(after_state))


def test_taking_hypotheses_commutes_with_a_step(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    memory = model.encode(src_BS, padding_BS)
    state = take_hypotheses(after(model, tgt_BT[:, :2], memory), torch.zeros(4, 3, dtype=torch.long))
    y_BW = tgt_BT[:, 2:5]
    state = model.step(y_BW, state, memory).state  # now the three hypotheses differ
    for parent_BW in (
        torch.tensor([[2, 0, 0, 1], [1, 1, 2, 2], [0, 1, 2, 0], [2, 2, 2, 2]]),  # widened
        torch.tensor([[1], [2], [0], [1]]),  # narrowed
    ):
        after_BWV, after_state = take_hypotheses(tuple(model.step(y_BW, state, memory)[:2]), parent_BW)
        before_BWV, before_state, _ = model.step(y_BW.gather(1, parent_BW), take_hypotheses(state, parent_BW), memory)
        assert_close(before_BWV, after_BWV)
        assert_close(leaves(before_state), leaves(after_state))


def test_hypotheses_at_once_equal_the_same_ones_by_one(model: EncoderDecoder) -> None:
    src_BS, padding_BS, _ = sentences()
    memory = model.encode(src_BS, padding_BS)
    tgt_BWT = torch.randint(4, V, (4, 3, 5), generator=torch.Generator().manual_seed(3))
    state = take_hypotheses(model.init_state(memory), torch.zeros(4, 3, dtype=torch.long))
    at_once = []
    for y_BW in tgt_BWT.unbind(2):
        step = model.step(y_BW, state, memory)
        state = step.state
        at_once.append(step.logits_BWV)
    one_by_one = [model(src_BS, padding_BS, tgt_BT) for tgt_BT in tgt_BWT.unbind(1)]
    assert_close(torch.stack(at_once, dim=2), torch.stack(one_by_one, dim=1))


def test_nothing_is_kept_on_the_module_between_calls(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    memory = model.encode(src_BS, padding_BS)
    state = after(model, tgt_BT[:, :2], memory)
    first = model.step(tgt_BT[:, 2:3], state, memory)
    after(model, tgt_BT.flip(1), model.encode(src_BS.flip(0), padding_BS.flip(0)))  # other sentences in between
    again = model.step(tgt_BT[:, 2:3], state, memory)
    assert torch.equal(first.logits_BWV, again.logits_BWV)
    assert all(map(torch.equal, leaves(first.state), leaves(again.state)))


def test_every_parameter_gets_a_gradient(model: EncoderDecoder) -> None:
    model.train()
    model(*sentences()).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().amax() > 1e-9]
    assert without == []


def test_attention_rows_sum_to_one_and_padding_gets_weight_zero(model: EncoderDecoder) -> None:
    src_BS, padding_BS, tgt_BT = sentences()
    memory = model.encode(src_BS, padding_BS)
    state = take_hypotheses(after(model, tgt_BT[:, :2], memory), torch.zeros(4, 3, dtype=torch.long))
    alpha_BWS = model.step(tgt_BT[:, 2:5], state, memory).attention_BWS
    assert (alpha_BWS is not None) == model.has_attention == (not isinstance(model, ARCHITECTURES["lstm"]))
    if alpha_BWS is None:
        return
    assert alpha_BWS.shape == (4, 3, 7)
    assert_close(alpha_BWS.sum(-1), torch.ones(4, 3, dtype=torch.float64))
    assert torch.equal(alpha_BWS > 0, ~padding_BS[:, None].expand(4, 3, 7))
