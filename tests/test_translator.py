"""Text in, text out: the order, the blank lines, and that a line's neighbours do not matter."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import seq2seq.translator
from seq2seq.bundle import Bundle, load_bundle
from seq2seq.decoding import SearchOptions, decode
from seq2seq.models import EncoderDecoder, Step
from seq2seq.tokenizer import TokenizerPair
from seq2seq.translator import Translator, choose_device

OPTIONS = SearchOptions(beam_width=3, num_best=3, max_length_factor=1.0, max_length_offset=5)


@pytest.fixture(scope="module", params=["lstm", "attention", "transformer"])
def bundle(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., Path]
) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundles") / request.param, request.param))


def test_each_line_gets_the_translation_it_has_alone(bundle: Bundle, sentences: list[str]) -> None:
    lines = [*sentences[:20], "", *sentences[20:25], " \t\u00a0", "Hund"]
    together = Translator(bundle, options=OPTIONS, max_tokens_per_batch=100).translate(lines)
    alone = Translator(bundle, options=OPTIONS, max_tokens_per_batch=1)
    assert together == [alone.translate([line])[0] for line in lines]
    assert together[20] == together[26] == ""
    assert len(set(together)) > 15  # a model that ignores its source would pass in any order


def test_n_best_come_best_first_and_begin_with_the_translation(bundle: Bundle, sentences: list[str]) -> None:
    translator = Translator(bundle, options=OPTIONS)
    lines = ["", *sentences[:8]]
    nbests = translator.translate_nbest(lines)
    assert [len(nbest) for nbest in nbests] == [1] + [3] * 8
    assert nbests[0][0].text == ""
    for nbest in nbests:
        assert sorted(nbest, key=lambda translation: -translation.score) == nbest
    assert translator.translate(lines) == [nbest[0].text for nbest in nbests]


def test_scores_are_those_of_the_search(bundle: Bundle, sentences: list[str]) -> None:
    line = sentences[4]
    src_BS = torch.tensor([bundle.tokenizers.src.encode([line])[0] + [3]])
    expected = decode(bundle.model, src_BS, src_BS == 0, OPTIONS)[0]
    translations = Translator(bundle, options=OPTIONS).translate_nbest([line])[0]
    assert [translation[1:] for translation in translations] == [hypothesis[1:] for hypothesis in expected]


def test_attention_is_that_of_the_steps_on_the_sentence_alone(bundle: Bundle, sentences: list[str]) -> None:
    sources, texts = [*sentences[:9], ""], [*sentences[3:12], ""]
    maps = Translator(bundle, max_tokens_per_batch=60).attention(sources, texts)
    if bundle.config["architecture"] == "lstm":
        assert maps is None
        return
    assert maps is not None
    assert (maps[9].src_pieces, maps[9].tgt_pieces, maps[9].alpha_TS.shape) == ([], [], (0, 0))
    for source, text, found in zip(sources[:9], texts, maps, strict=False):
        src, tgt = bundle.tokenizers.src.encode([source])[0], bundle.tokenizers.tgt.encode([text])[0]
        assert (len(found.src_pieces), found.src_pieces[-1]) == (len(src) + 1, "</s>")
        assert (len(found.tgt_pieces), found.tgt_pieces[-1]) == (len(tgt) + 1, "</s>")
        src_BS = torch.tensor([[*src, 3]])
        memory = bundle.model.encode(src_BS, src_BS == 0)
        state = bundle.model.init_state(memory)
        for alpha_S, token in zip(found.alpha_TS, [2, *tgt], strict=True):
            step = bundle.model.step(torch.tensor([[token]]), state, memory)
            state = step.state
            assert step.attention_BWS is not None
            torch.testing.assert_close(alpha_S, step.attention_BWS[0, 0], atol=1e-5, rtol=0)


def test_no_batch_holds_more_source_tokens_than_allowed(
    bundle: Bundle, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []

    def spy(model: EncoderDecoder, src_BS: Tensor, *rest: object) -> list:
        shapes.append(tuple(src_BS.shape))
        return decode(model, src_BS, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(seq2seq.translator, "decode", spy)
    long_line = " ".join(sentences[:15])
    Translator(bundle, options=SearchOptions(beam_width=1), max_tokens_per_batch=90).translate([*sentences, long_line])
    assert shapes[0][0] == 1
    assert shapes[0][1] > 90  # the long line alone
    assert all(rows * length <= 90 for rows, length in shapes[1:])
    assert sum(rows for rows, _ in shapes) == 61
    assert len(shapes) < 20
    shapes.clear()
    options = SearchOptions(beam_width=1, num_samples=3, max_length_factor=0, max_length_offset=1)
    Translator(bundle, options=options, max_tokens_per_batch=90).translate(sentences)
    assert all(rows == 1 or 3 * rows * length <= 90 for rows, length in shapes)
    assert max(3 * rows * length for rows, length in shapes) > 70


class LineBreaker(EncoderDecoder):
    """Translates everything into the byte of a newline, then ends."""

    def __init__(self, newline_id: int, vocab_size: int) -> None:
        super().__init__()
        self.newline_id = newline_id
        self.weight = torch.nn.Parameter(torch.zeros(vocab_size))

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> tuple:
        return (src_BS,)

    def init_state(self, memory: tuple) -> tuple:
        return (torch.zeros(len(memory[0]), 1),)

    def step(self, y_BW: Tensor, state: tuple, memory: tuple) -> Step:
        logits_BWV = self.weight.expand(*y_BW.shape, -1).clone()
        logits_BWV[..., self.newline_id] = 5.0
        logits_BWV[y_BW == self.newline_id, 3] = 10.0
        return Step(logits_BWV, state, None)

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        raise NotImplementedError

    def output_layer(self) -> nn.Linear:
        raise NotImplementedError


def test_a_translation_is_one_line_whatever_the_model_says(bundle: Bundle, tokenizers: TokenizerPair) -> None:
    size = tokenizers.tgt.vocab_size
    newline_id = [tokenizers.tgt.pieces([index])[0] for index in range(size)].index("<0x0A>")
    breaker = dataclasses.replace(bundle, model=LineBreaker(newline_id, size).eval())
    assert Translator(breaker, options=SearchOptions(beam_width=1)).translate(["Hund", "Katze"]) == [" ", " "]


def test_what_goes_wrong_in_a_model_is_said_in_one_line(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    diverged = copy.deepcopy(bundle.model)
    for parameter in diverged.parameters():
        parameter.data.fill_(torch.nan)
    for options in (OPTIONS, SearchOptions(beam_width=1), SearchOptions(beam_width=1, num_samples=2)):
        translator = Translator(dataclasses.replace(bundle, model=diverged), options=options)
        with pytest.raises(ValueError, match=r"^the model gives no probabilities but NaN: its training diverged"):
            translator.translate(["Hund"])

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(seq2seq.translator, "decode", fail)
    with pytest.raises(ValueError, match=r"^a batch of 1 lines .* of cpu; lower max_tokens_per_batch or beam_width$"):
        Translator(bundle, options=OPTIONS).translate(["Hund"])


def test_no_lines_give_no_lines(bundle: Bundle) -> None:
    assert Translator(bundle, options=OPTIONS).translate([]) == []


def test_a_batch_must_have_room(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match=r"^max_tokens_per_batch is 0; it must be at least 1$"):
        Translator(bundle, options=OPTIONS, max_tokens_per_batch=0)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^there is no device 'cuda' here; use auto or cpu$"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match=r"^there is no device 'cuda:2' here; use auto or cpu or cuda or cuda:0 or"):
        choose_device("cuda:2")
