"""Writes a small trained model of each architecture for `test_bundle.py`, once per release:

    python tests/data/make_bundles.py

bundles/VERSION-ARCHITECTURE/ is the bundle, bundles/VERSION-ARCHITECTURE.tsv has lines and their translations. Both
stay for ever: later releases must load the one and get the other. The models know their 36 sentences by heart, so that
no processor's rounding tips a translation. Takes about a minute.
"""

import itertools
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from seq2seq import __version__
from seq2seq.batching import collate
from seq2seq.bundle import load_bundle, save_bundle
from seq2seq.decoding import SearchOptions
from seq2seq.models import ARCHITECTURES
from seq2seq.special_ids import PAD_ID
from seq2seq.tokenizer import Tokenizer, TokenizerPair
from seq2seq.translator import Translator

FOLDER = Path(__file__).parent / "bundles"
OPTIONS = SearchOptions(beam_width=3, length_penalty="average", max_length_factor=2.0, max_length_offset=5)
MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"d_embedding": 16, "d_model": 32},
    "attention": {"d_embedding": 16, "d_model": 32, "cell": "gru", "tie_embeddings": "two_way"},
    "transformer": {"d_model": 24, "d_ff": 48, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 2},
}
SUBJECTS = [("der Hund", "the dog"), ("die Katze", "the cat"), ("das Mädchen", "the girl"), ("unser König", "our king")]
VERBS = [("schläft", "is asleep"), ("lacht", "laughs"), ("läuft nach Hause", "runs home")]
ADVERBS = [("heute", "today"), ("schon wieder", "once again"), ("nicht", "not at all")]


def sentence_pairs() -> list[tuple[str, str]]:
    """36 pairs, such as ("heute lacht der Hund", "the dog laughs today")."""
    return [
        (f"{adverb[0]} {verb[0]} {subject[0]}", f"{subject[1]} {verb[1]} {adverb[1]}")
        for subject, verb, adverb in itertools.product(SUBJECTS, VERBS, ADVERBS)
    ]


def write(architecture: str, tokenizers: TokenizerPair) -> None:
    """Train one model, write its bundle and what it translates."""
    torch.manual_seed(1)
    src, tgt = zip(*sentence_pairs(), strict=True)
    batch = collate(tokenizers.src.encode(src), tokenizers.tgt.encode(tgt), range(len(src)))
    config = MODELS[architecture]
    model = ARCHITECTURES[architecture](tokenizers.src.vocab_size, tokenizers.tgt.vocab_size, **config, dropout=0.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss = torch.tensor(torch.inf)
    while loss > 0.003:
        logits_BTV = model(batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT)
        loss = cross_entropy(logits_BTV.flatten(0, 1), batch.tgt_out_BT.flatten(), ignore_index=PAD_ID)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    folder = FOLDER / f"{__version__}-{architecture}"
    save_bundle(
        folder,
        model,
        architecture=architecture,
        model_config={**config, "dropout": 0.0},
        tokenizers=tokenizers,
        src_lang="de",
        tgt_lang="en",
        training={"data": Path(__file__).name, "loss": loss.item()},
    )
    lines = [*src[::4], ""]
    translations = Translator(load_bundle(folder), options=OPTIONS).translate(lines)
    assert translations[: len(src[::4])] == list(tgt[::4]), f"{architecture}: {translations}, loss {loss}"
    table = "".join(f"{line}\t{translation}\n" for line, translation in zip(lines, translations, strict=True))
    folder.with_name(f"{folder.name}.tsv").write_text(table, encoding="utf-8")


def main() -> None:
    """Write all three: one with two vocabularies, two with a joint one."""
    src, tgt = zip(*sentence_pairs(), strict=True)
    # identity: the table of the usual normalization alone would take 240 kB
    train = {"kind": "bpe", "vocab_size": 320, "normalization": "identity"}
    joint = Tokenizer.train([*src, *tgt], **train)
    for architecture in MODELS:
        separate = TokenizerPair(Tokenizer.train(src, **train), Tokenizer.train(tgt, **train))
        write(architecture, separate if architecture == "lstm" else TokenizerPair(joint, joint))


if __name__ == "__main__":
    main()
