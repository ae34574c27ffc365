"""Text in, text out: the order, the blank lines, and that a line's neighbours do not matter."""

import copy
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import seq2seq.translator
from seq2seq.bundle import Bundle, load_bundle
from seq2seq.decoding import SearchOptions, decode
from seq2seq.models import EncoderDecoder, Step
from seq2seq.tokenizer import TokenizerPair
from seq2seq.translator import LineLengthError, Translator, choose_device

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
    for translation, hypothesis in zip(translations, expected, strict=True):
        for name in ("tokens", "score", "log_probability", "finished"):
            assert getattr(translation, name) == getattr(hypothesis, name)


def test_reading_gives_attention_and_chain_rule_of_the_steps_on_the_sentence_alone(
    bundle: Bundle, sentences: list[str]
) -> None:
    sources, texts = [*sentences[:9], "", "", "Hund"], [*sentences[3:12], "", "Hund", " "]
    readings = Translator(bundle, max_tokens_per_batch=60).read(sources, texts, attention=True)
    assert readings[9] == ([], [], [], None)
    del readings[9], sources[9], texts[9]
    for source, text, found in zip(sources, texts, readings, strict=True):
        src, tgt = bundle.tokenizers.src.encode([source])[0], bundle.tokenizers.tgt.encode([text])[0]
        assert (len(found.src_pieces), found.src_pieces[-1]) == (len(src) + 1, "</s>")
        assert (len(found.tgt_pieces), found.tgt_pieces[-1]) == (len(tgt) + 1, "</s>")
        assert (found.alpha_TS is None) == (bundle.config["architecture"] == "lstm")
        src_BS = torch.tensor([[*src, 3]])
        memory = bundle.model.encode(src_BS, src_BS == 0)
        state = bundle.model.init_state(memory)
        for t, (y_prev, y) in enumerate(zip([2, *tgt], [*tgt, 3], strict=True)):
            step = bundle.model.step(torch.tensor([[y_prev]]), state, memory)
            state = step.state
            log_p_V = step.logits_BWV[0, 0].log_softmax(-1)
            assert found.log_probabilities[t] == pytest.approx(log_p_V[y].item(), abs=1e-4)
            if found.alpha_TS is not None:
                assert step.attention_BWS is not None
                torch.testing.assert_close(found.alpha_TS[t], step.attention_BWS[0, 0], atol=1e-5, rtol=0)


@pytest.fixture
def set_num_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_source_tokens_are_searched_at_once_than_allowed(
    bundle: Bundle,
    sentences: list[str],
    at_once: int,
    set_num_threads: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes = []

    def spy(model: EncoderDecoder, src_BS: Tensor, *rest: object) -> list:
        shapes.append(tuple(src_BS.shape))
        return decode(model, src_BS, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(seq2seq.translator, "decode", spy)
    set_num_threads(at_once)
    long_line, most = " ".join(sentences[:15]), at_once * 90
    Translator(bundle, options=SearchOptions(beam_width=1), max_tokens_per_batch=most).translate(
        [*sentences, long_line]
    )
    assert [rows for rows, length in shapes if length > 90] == [1]  # the long line alone
    assert all(rows * length <= 90 for rows, length in shapes if length <= 90)
    assert sum(rows for rows, _ in shapes) == 61
    assert len(shapes) < 20
    shapes.clear()
    options = SearchOptions(beam_width=1, num_samples=3, max_length_factor=0, max_length_offset=1)
    Translator(bundle, options=options, max_tokens_per_batch=most).translate(sentences)
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
        logits_BWV[..., 3] = 10.0 * (y_BW == self.newline_id)  # a mask and a number as one index: not in torch 2.6
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
        for arguments in ((translator.translate, ["Hund"]), (translator.read, ["Hund"], ["dog"])):
            with pytest.raises(ValueError, match=r"^the model gives no probabilities but NaN: its training diverged"):
                arguments[0](*arguments[1:])


def without_memory(monkeypatch: pytest.MonkeyPatch, max_tokens: int) -> list[tuple[int, int]]:
    """Let every batch of more tokens fail; what comes back is filled with the shapes of all batches."""
    shapes = []

    def of_little_memory(model: EncoderDecoder, src_BS: Tensor, *rest: object) -> list:
        shapes.append(tuple(src_BS.shape))
        if src_BS.numel() > max_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(model, src_BS, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(seq2seq.translator, "decode", of_little_memory)
    return shapes


def test_a_batch_that_does_not_fit_is_translated_in_halves_and_the_next_are_smaller(
    bundle: Bundle, sentences: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    translator = Translator(bundle, options=OPTIONS, max_tokens_per_batch=10_000)
    expected = translator.translate(sentences)
    shapes = without_memory(monkeypatch, 300)
    assert translator.translate(sentences) == expected
    assert shapes[0][0] == 60
    message = capsys.readouterr().err
    assert message.startswith("seq2seq: 60 lines of up to ")
    assert message.endswith(" are translated in halves, as others will be; a lower max_tokens_per_batch is faster\n")
    shapes.clear()
    assert translator.translate(sentences) == expected
    assert shapes[0][0] <= 30
    assert sum(rows * length > 300 for rows, length in shapes) <= 3  # of shorter sentences
    assert capsys.readouterr().err == ""


def test_a_line_that_does_not_fit_alone_is_named_and_may_be_tried_shorter(
    bundle: Bundle, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = Translator(bundle, options=OPTIONS)
    without_memory(monkeypatch, 60)
    lines = [*sentences[:3], " ".join(sentences[:20])]
    with pytest.raises(
        ValueError, match=r"^line 4: \d+ tokens, for which the memory of cpu does not suffice; split it$"
    ):
        translator.translate(lines)
    with pytest.raises(LineLengthError) as error:
        translator.translate(lines)
    [(row, (_, max_tokens))] = error.value.rows.items()
    tokenizer = bundle.tokenizers.src
    num_tokens = len(tokenizer.encode(lines)[row])
    assert (row, max_tokens) == (3, num_tokens // 2)
    cut = translator.shortened(lines[3], max_tokens)
    assert lines[3].startswith(cut)
    assert 0.8 * max_tokens < len(tokenizer.encode([cut])[0]) <= max_tokens


def test_a_line_that_only_fits_alone_is_translated_alone(
    bundle: Bundle, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        translator = Translator(bundle, options=OPTIONS, max_tokens_per_batch=1)
        expected = translator.translate(sentences[:5])
        calls, first_two = itertools.count(), threading.Barrier(2)
        memory, failed = threading.Semaphore(1), []

        def needs_all_memory(*arguments: object) -> list:
            is_mine = memory.acquire(blocking=False)
            if next(calls) < 2:
                first_two.wait(60)
            if not is_mine:
                failed.append(arguments)
                raise torch.OutOfMemoryError("not enough memory")
            try:
                return decode(*arguments)  # type: ignore[arg-type]
            finally:
                memory.release()

        monkeypatch.setattr(seq2seq.translator, "decode", needs_all_memory)
        assert translator.translate(sentences[:5]) == expected
        assert failed
    finally:
        torch.set_num_threads(threads)


def test_lines_over_the_limit_are_named_before_anything_is_translated(bundle: Bundle, sentences: list[str]) -> None:
    lines = [*sentences[:3], " ".join(sentences[:20]), "", " ".join(sentences[:9])]
    lengths = [len(ids) for ids in bundle.tokenizers.src.encode(lines)]
    limit = max(lengths[:3])
    with pytest.raises(LineLengthError) as error:
        Translator(bundle, options=OPTIONS, max_tokens_per_line=limit).translate(lines)
    assert {row: why.max_tokens for row, why in error.value.rows.items()} == {3: limit, 5: limit}
    assert error.value.rows[5].reason == f"{lengths[5]} tokens, and max_tokens_per_line has room for {limit}"
    assert len(Translator(bundle, options=OPTIONS, max_tokens_per_line=lengths[3]).translate(lines)) == 6


def test_a_line_within_learned_positions_never_fails(
    tmp_path: Path, write_bundle: Callable[..., Path], tokenizers: TokenizerPair
) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "learned", positions="learned", max_positions=30))
    options = SearchOptions(beam_width=1, max_length_factor=2.0, max_length_offset=4)
    translator = Translator(bundle, options=options, max_tokens_per_line=1000)
    words = ["Hund " * number for number in range(1, 40)]
    lengths = [len(ids) for ids in tokenizers.src.encode(words)]
    with pytest.raises(LineLengthError, match=r"tokens, and the model's learned positions have room for 12; ") as error:
        translator.translate(words)
    good = [word for row, word in enumerate(words) if row not in error.value.rows]
    assert max(length for row, length in enumerate(lengths) if row not in error.value.rows) == 12
    assert any(not nbest[0].finished for nbest in translator.translate_nbest(good))  # it did use all positions


def test_no_lines_give_no_lines(bundle: Bundle) -> None:
    assert Translator(bundle, options=OPTIONS).translate([]) == []


def test_a_batch_must_have_room(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match=r"^max_tokens_per_batch is 0; it must be at least 1$"):
        Translator(bundle, options=OPTIONS, max_tokens_per_batch=0)
    with pytest.raises(ValueError, match=r"^max_tokens_per_line is 0; it must be at least 1$"):
        Translator(bundle, options=OPTIONS, max_tokens_per_line=0)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^there is no device 'cuda' here; use auto or cpu$"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert [choose_device("auto", rank).index for rank in range(3)] == [0, 1, 0]
    assert choose_device("cuda:1", 0) == torch.device("cuda:1")
    with pytest.raises(ValueError, match=r"^there is no device 'cuda:2' here; use auto or cpu or cuda or cuda:0 or"):
        choose_device("cuda:2")
