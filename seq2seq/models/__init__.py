"""The architectures, to be read as the lecture goes: interface, cells, recurrent, energies, attention, transformer."""

from seq2seq.models.attention import AttentionEncoderDecoder
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.interface import EncoderDecoder, Step, take_hypotheses, take_sentences
from seq2seq.models.recurrent import RecurrentEncoderDecoder
from seq2seq.models.transformer import Transformer

ARCHITECTURES: dict[str, type[EncoderDecoder]] = {
    "lstm": RecurrentEncoderDecoder,
    "attention": AttentionEncoderDecoder,
    "transformer": Transformer,
}

__all__ = ["ARCHITECTURES", "EncoderDecoder", "Ensemble", "Step", "take_hypotheses", "take_sentences"]
