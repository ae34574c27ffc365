"""The whole system learns what it should, with the recipes of configs/tasks, and what cannot be known costs as much as
theory says."""

import csv
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from seq2seq import cli
from seq2seq.batching import collate
from seq2seq.special_ids import EOS_ID
from seq2seq.tokenizer import Tokenizer
from seq2seq.training.loss import cross_entropy_sum

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "data_scripts"))

import tasks  # noqa: E402


def valid_ppl(folder: Path, config: str, corpus: list[str], *options: str) -> float:
    """The lowest perplexity that the recipe reaches on the validation set of a generated corpus."""
    assert tasks.main([*corpus, "--output", str(folder / "data")]) == 0
    places = [f"--data.{split}={folder / 'data' / split}" for split in ("train", "valid")]
    places += [f"--data.cache_dir={folder / 'cache'}", f"--run_dir={folder / 'run'}", "--trainer.accelerator=cpu"]
    places.append("--data.tests=null")
    assert cli.main(["fit", f"--config={ROOT / 'configs' / 'tasks' / config}", *places, *options]) == 0
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        return min(float(row["valid_ppl"]) for row in csv.DictReader(file) if row["valid_ppl"])


def test_a_transformer_of_two_layers_of_width_32_copies(tmp_path: Path) -> None:
    options = "--model.d_model=32", "--model.num_encoder_layers=2", "--model.num_decoder_layers=2"
    corpus = ["copy", "--train", "10000", "--valid", "100"]
    ppl = valid_ppl(tmp_path, "copy.yaml", corpus, *options, "--trainer.max_epochs=10")
    assert 1 <= ppl <= 1.02


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
def test_recurrent_models_reverse_short_sequences(tmp_path: Path, architecture: str) -> None:
    corpus = ["reverse", "--symbols", "8", "--max_length", "4", "--train", "2500", "--valid", "200"]
    options = f"--model={architecture}", "--model.d_embedding=16", "--model.d_model=64", "--trainer.max_epochs=20"
    ppl = valid_ppl(
        tmp_path, "reverse.yaml", corpus, *options, "--data.max_tokens_per_batch=400", "--data.max_length=9"
    )
    assert 1 <= ppl <= 1.05


@pytest.mark.parametrize("delay", [100, 200])
def test_remembering_nothing_costs_10_ln_8_of_t_plus_20_nats_a_symbol(delay: int) -> None:
    """Arjovsky et al. 2016, section 5.1: blanks are certain, each of the ten symbols is one of eight.

    Their network writes in every one of its T + 20 steps: T + 10 blanks while it reads, then the ten symbols. An
    encoder-decoder writes the ten alone, after as many steps of reading: the same sum, in nats, is over 10 target
    tokens and the end.
    """
    splits = tasks.generate(
        "copy-memory",
        seed=1,
        sizes={"train": 40, "valid": 1, "test": 1},
        options={"delay": delay, "min_delay": 0, "length": 10},
    )
    src, tgt = ([getattr(example, side) for example in splits["train"]] for side in ("src", "tgt"))
    tokenizer = Tokenizer.train([*src, *tgt], kind="word", vocab_size=300, normalization="identity")
    ours = tokenizer.encode(tgt)
    theirs = tokenizer.encode([" ".join([tasks.BLANK] * (delay + 10) + line.split()) for line in tgt])
    (symbols,) = tokenizer.encode([" ".join("abcdefgh")])
    (blank,) = tokenizer.encode([tasks.BLANK])[0]
    assert len(symbols) == 8 and {len(row) for row in ours} == {10} and {len(row) for row in theirs} == {delay + 20}
    assert {len(row) for row in tokenizer.encode(src)} == {delay + 10}

    # The model: three kinds of places, in each of which equally many tokens are possible.
    projection = nn.Linear(3, tokenizer.vocab_size, bias=False)
    nn.init.constant_(projection.weight, -100.0)
    for kind, possible in enumerate(([blank], symbols, [EOS_ID])):
        projection.weight.data[possible, kind] = 0.0

    def nats(rows: list[list[int]]) -> tuple[float, int]:
        """The loss summed over the target tokens as training counts them, and their number."""
        batch = collate(rows, rows, range(len(rows)))
        tgt_N = batch.tgt_out_BT.take(batch.tgt_places_N)
        kind_N = torch.ones_like(tgt_N).where(tgt_N != blank, 0).where(tgt_N != EOS_ID, 2)
        x_N3 = torch.eye(3)[kind_N]
        return cross_entropy_sum(x_N3, projection, tgt_N).item(), batch.num_tgt_tokens

    for rows in (ours, theirs):
        total, num_tokens = nats(rows)
        assert num_tokens == sum(len(row) + 1 for row in rows)  # the end costs nothing
        assert total / len(rows) == pytest.approx(10 * math.log(8), rel=1e-5)
        assert total / len(rows) / (delay + 20) == pytest.approx(10 * math.log(8) / (delay + 20), rel=1e-5)
    assert nats(ours)[0] / nats(ours)[1] == pytest.approx(10 * math.log(8) / 11, rel=1e-5)  # valid_loss
