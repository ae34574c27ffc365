"""How each toolkit trains for `time_to_bleu.py`, which calls this file with the Python of the toolkit's environment.

The same for all: Adam with betas 0.9 and 0.98, peak rate, warm-up, dropout and label smoothing of our configuration,
clipping at norm 1, one matrix for all embeddings. What differs:

    seq2seq   `seq2seq fit` with the configuration: cosine to zero
    hf        MarianMTModel in a plain loop with our batches, optimiser and schedule
    hf-trainer
              the same model as its users train it: Seq2SeqTrainer, sentences of like length together, as many as in
              our batches on average, and the C library's memory as it comes
    joey      `joeynmt train` with the inverse square root of the updates, for it has no cosine; dropout also on
              attention weights. Its batches of tokens are not sorted by length, so about half of them is padding: they
              are twice as large, to hold as many target tokens as ours. Not validated during the warm-up: translations
              do not end by themselves yet, and its search reads the whole prefix anew for each piece
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

Task = dict[str, Any]

JOEY = """
name: joey
joeynmt_version: 2.3.0
model_dir: %(folder)s
use_cuda: false
random_seed: %(seed)d
data:
  train: %(data)s/train
  dev: %(data)s/val
  dataset_type: plain
  src: &language
    lang: de
    level: bpe
    max_length: %(max_length)d
    voc_file: %(folder)s/pieces.txt
    tokenizer_type: sentencepiece
    tokenizer_cfg: {model_file: %(pieces)s}
  trg: {<<: *language, lang: en}
  special_symbols: {unk_id: 0, pad_id: 1, bos_id: 2, eos_id: 3}  # it wants this order; the pieces are the same
testing: {batch_size: 64, batch_type: sentence, max_output_length: 100, eval_metrics: [bleu]}
training:
  optimizer: adam
  adam_betas: [0.9, 0.98]
  scheduling: warmupinversesquareroot
  learning_rate: %(lr)f
  learning_rate_min: 0.000001
  learning_rate_warmup: %(warmup_steps)d
  normalization: tokens
  clip_grad_norm: 1.0
  label_smoothing: %(label_smoothing)f
  batch_size: %(twice_max_tokens)d
  batch_type: token
  epochs: 1000
  validation_freq: %(valid_every)d
  logging_freq: %(valid_every)d
  early_stopping_metric: bleu
model:
  initializer: xavier_uniform
  embed_initializer: xavier_uniform
  tied_embeddings: true
  tied_softmax: true
  encoder: &stack
    type: transformer
    num_layers: %(num_encoder_layers)d
    num_heads: %(num_heads)d
    hidden_size: %(d_model)d
    ff_size: %(d_ff)d
    dropout: %(dropout)f
    layer_norm: pre
    embeddings: {embedding_dim: %(d_model)d, scale: true, dropout: %(dropout)f}
  decoder: {<<: *stack, num_layers: %(num_decoder_layers)d}
"""


def report(updates: int, seconds: float, target_tokens: int, hypotheses: list[str], own_bleu: float | None) -> None:
    """Hand over a validation, and wait for an answer: to go on, or nothing, to end."""
    row = dict(updates=updates, seconds=round(seconds, 2), target_tokens=target_tokens, own_bleu=own_bleu)
    print(json.dumps({**row, "hypotheses": hypotheses}), file=results, flush=True)
    if not sys.stdin.readline():
        os._exit(0)  # the toolkits would finish, save and test


def seq2seq(task: Task) -> None:
    from lightning.pytorch.callbacks import Callback

    from seq2seq.training.fit import FitCLI
    from seq2seq.training.options import command_line

    class Report(Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                hypotheses = [done.hypothesis for _, done in sorted(pl_module._valid_translations.items())]
                spent = cli.meter.seconds, cli.meter.target_tokens
                report(trainer.global_step, *spent, hypotheses, pl_module.valid_bleu)

    options = {
        "config": task["config"],
        "run_dir": task["folder"],
        "seed_everything": task["seed"],
        "data.train": f"{task['data']}/train",
        "data.valid": f"{task['data']}/val",
        "data.tests": "null",
        "data.tokenizer.path": task["pieces"],
        "data.pad_to_multiple_of": task["pad_to_multiple_of"],
        "trainer.max_steps": task["updates"],
        "trainer.val_check_interval": task["valid_every"],
        "trainer.precision": "bf16-mixed" if task["bfloat16"] else "32-true",
    }
    cli = command_line(FitCLI, [f"--{name}={value}" for name, value in options.items()])
    cli.trainer.callbacks.append(Report())  # type: ignore[attr-defined]
    sys.exit(cli.fit())


class Marian:
    """What both ways of training with Hugging Face share: model, pieces, greedy translations of the validation set."""

    def __init__(self, task: Task) -> None:
        import torch
        from transformers import MarianConfig, MarianMTModel

        from seq2seq.batching import TokenBatchSampler, round_up
        from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID
        from seq2seq.tokenizer import Tokenizer

        torch.manual_seed(task["seed"])
        self.tokenizer = Tokenizer.load(task["pieces"])
        config = MarianConfig(
            vocab_size=self.tokenizer.vocab_size,
            d_model=task["d_model"],
            encoder_layers=task["num_encoder_layers"],
            decoder_layers=task["num_decoder_layers"],
            **{f"{side}_attention_heads": task["num_heads"] for side in ("encoder", "decoder")},
            **{f"{side}_ffn_dim": task["d_ff"] for side in ("encoder", "decoder")},
            activation_function="relu",
            dropout=task["dropout"],
            activation_dropout=task["dropout"],  # inside the feed-forward
            scale_embedding=True,
            pad_token_id=PAD_ID,
            bos_token_id=BOS_ID,
            eos_token_id=EOS_ID,
            decoder_start_token_id=BOS_ID,
            forced_eos_token_id=None,
        )
        self.model = MarianMTModel(config)

        def encode(name: str) -> list[list[int]]:
            text = Path(task["data"], name).read_text(encoding="utf-8")
            return self.tokenizer.encode(text.removesuffix("\n").split("\n"))

        self.pairs = list(zip(encode("train.de"), encode("train.en"), strict=True))
        lengths_N2 = torch.tensor([(len(src) + 1, len(tgt) + 1) for src, tgt in self.pairs])
        lengths_N2 = round_up(lengths_N2, task["pad_to_multiple_of"])
        self.sampler = TokenBatchSampler(
            lengths_N2, max_tokens_per_batch=task["max_tokens_per_batch"], shuffle=True, seed=task["seed"]
        )
        self.valid = encode("val.de")

    def translate(self) -> list[str]:
        from seq2seq.batching import pad_sources

        longest_first = sorted(range(len(self.valid)), key=lambda row: -len(self.valid[row]))
        found: dict[int, list[int]] = {}
        for start in range(0, len(self.valid), 64):
            rows = longest_first[start : start + 64]
            src, is_padding = pad_sources([self.valid[row] for row in rows])
            attended = (~is_padding).long()
            ids = self.model.generate(input_ids=src, attention_mask=attended, num_beams=1, max_new_tokens=100)
            found |= zip(rows, ids.tolist(), strict=True)
        return self.tokenizer.decode([found[row] for row in range(len(self.valid))])


def hf(task: Task) -> None:
    import torch
    from torch.nn import functional as F

    from seq2seq.batching import collate
    from seq2seq.special_ids import PAD_ID
    from seq2seq.training.schedules import Optimization, make_optimizer, make_schedule

    marian = Marian(task)
    how = Optimization(**task["optimization"])
    optimizer = make_optimizer(marian.model, how, fused=True)
    schedule = make_schedule(optimizer, how, total_steps=task["updates"])
    updates, tokens, seconds = 0, 0, 0.0
    marian.model.train()
    start = time.perf_counter()
    while True:
        for rows in marian.sampler:
            pairs = [marian.pairs[row] for row in rows]
            sides = [src for src, _ in pairs], [tgt for _, tgt in pairs]
            batch = collate(*sides, rows, pad_to_multiple_of=task["pad_to_multiple_of"])
            attended = (~batch.src_key_padding_mask_BS).long()
            with torch.autocast("cpu", torch.bfloat16, enabled=task["bfloat16"]):
                logits = marian.model(batch.src_BS, attended, decoder_input_ids=batch.tgt_in_BT, use_cache=False).logits
                loss = F.cross_entropy(
                    logits.flatten(0, 1).float(),
                    batch.tgt_out_BT.flatten(),
                    ignore_index=PAD_ID,
                    label_smoothing=task["label_smoothing"],
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(marian.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            updates += 1
            tokens += batch.num_tgt_tokens
            if updates % task["valid_every"] == 0:
                seconds += time.perf_counter() - start
                report(updates, seconds, tokens, marian.translate(), None)
                marian.model.train()
                start = time.perf_counter()
            if updates == task["updates"]:
                return
        marian.sampler.set_epoch(marian.sampler.epoch + 1)


def hf_trainer(task: Task) -> None:
    import torch
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

    from seq2seq.batching import collate
    from seq2seq.special_ids import PAD_ID

    marian, how = Marian(task), task["optimization"]
    tokens, seconds, start = 0, 0.0, 0.0

    def collated(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        nonlocal tokens
        batch = collate([row["input_ids"] for row in rows], [row["labels"] for row in rows], range(len(rows)))
        tokens += batch.num_tgt_tokens
        return {
            "input_ids": batch.src_BS,
            "attention_mask": (~batch.src_key_padding_mask_BS).long(),
            "decoder_input_ids": batch.tgt_in_BT,
            "labels": batch.tgt_out_BT.masked_fill(batch.tgt_out_BT == PAD_ID, -100),
        }

    class Report(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            nonlocal start
            start = time.perf_counter()

        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            nonlocal seconds, start
            if state.global_step % task["valid_every"] == 0:
                seconds += time.perf_counter() - start
                report(state.global_step, seconds, tokens, marian.translate(), None)
                marian.model.train()
                start = time.perf_counter()

    arguments = Seq2SeqTrainingArguments(
        output_dir=task["folder"],
        max_steps=task["updates"],
        per_device_train_batch_size=round(len(marian.pairs) / len(marian.sampler)),
        train_sampling_strategy="group_by_length",
        learning_rate=how["lr"],
        lr_scheduler_type="cosine",
        warmup_steps=how["warmup_steps"],
        adam_beta2=0.98,
        label_smoothing_factor=task["label_smoothing"],
        max_grad_norm=1.0,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        seed=task["seed"],
    )
    rows = [{"input_ids": src, "labels": tgt} for src, tgt in marian.pairs]
    Seq2SeqTrainer(marian.model, arguments, collated, rows, callbacks=[Report()]).train()


def joey(task: Task) -> None:
    import yaml
    from joeynmt import training

    from seq2seq.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(task["pieces"])
    folder = Path(task["folder"])
    folder.mkdir()
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    (folder / "pieces.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    values = task | task["optimization"] | {"twice_max_tokens": 2 * task["max_tokens_per_batch"]}
    start = seconds = 0.0
    train = training.TrainManager.train_and_validate

    def train_and_validate(manager: Any, *data: Any, **named: Any) -> None:
        nonlocal start
        start = time.perf_counter()
        train(manager, *data, **named)

    def validate(manager: Any, data: Any) -> None:
        nonlocal start, seconds
        if manager.stats.steps <= values["warmup_steps"]:
            return
        seconds += time.perf_counter() - start
        how = dict(device=manager.device, n_gpu=0, args=manager.dev_cfg, autocast=manager.autocast)
        scores, _, hypotheses, *_ = training.predict(manager.model, data, **how)
        report(manager.stats.steps, seconds, manager.stats.total_tokens, hypotheses, scores["bleu"])
        start = time.perf_counter()

    training.TrainManager.train_and_validate = train_and_validate
    training.TrainManager._validate = validate
    training.train(rank=0, world_size=None, cfg=yaml.safe_load(JOEY % values), skip_test=True)


if __name__ == "__main__":
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # toolkits print freely
    {"seq2seq": seq2seq, "hf": hf, "hf-trainer": hf_trainer, "joey": joey}[sys.argv[1]](json.loads(sys.argv[2]))
