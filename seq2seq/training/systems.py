"""The three systems: typed hyperparameters of an architecture, with defaults, for the command line and for Python."""

from seq2seq.decoding import SearchOptions
from seq2seq.models.attention import Placement
from seq2seq.models.cells import Cell
from seq2seq.models.embeddings import Tie
from seq2seq.models.energies import EnergyName
from seq2seq.models.recurrent import BridgeName
from seq2seq.models.transformer import Norm, Positions
from seq2seq.training.module import TranslationModule
from seq2seq.training.schedules import Optimization

GREEDY = SearchOptions(beam_width=1)


class LSTMSeq2Seq(TranslationModule):
    """Recurrent encoder-decoder with one fixed context vector.

    Args:
        cell: recurrent cell of encoder and decoder.
        d_embedding: width of the embeddings.
        d_model: width of the context vector and of the decoder state.
        num_layers: recurrent layers of encoder and decoder each.
        bidirectional: whether the encoder also reads right to left.
        bridge: first decoder state: zeros, the last encoder state, a dense layer over the context, or learned.
        dropout: on embeddings, between layers and in the readout.
        tie_embeddings: none, two_way (target embedding = vocabulary projection) or three_way (all one matrix).
        bptt_steps: after so many steps the gradient through time is cut, in encoder and decoder; null for never.
        label_smoothing: of the training loss.
        optimization: optimiser and learning-rate schedule.
        search: how validation translates.
    """

    architecture = "lstm"

    def __init__(
        self,
        cell: Cell = "lstm",
        d_embedding: int = 256,
        d_model: int = 512,
        num_layers: int = 1,
        bidirectional: bool = True,
        bridge: BridgeName = "dense",
        dropout: float = 0.1,
        tie_embeddings: Tie = "none",
        bptt_steps: int | None = None,
        label_smoothing: float = 0.1,
        optimization: Optimization = Optimization(),  # noqa: B008  # frozen
        search: SearchOptions = GREEDY,
    ) -> None:
        config = dict(
            cell=cell,
            d_embedding=d_embedding,
            d_model=d_model,
            num_layers=num_layers,
            bidirectional=bidirectional,
            bridge=bridge,
            dropout=dropout,
            tie_embeddings=tie_embeddings,
            bptt_steps=bptt_steps,
        )
        super().__init__(config, label_smoothing=label_smoothing, optimization=optimization, search=search)


class AttentionSeq2Seq(TranslationModule):
    """Recurrent encoder-decoder with attention.

    Args:
        cell: recurrent cell of encoder and decoder.
        energy: how a decoder state is compared with an encoder state.
        placement: of the query: the previous decoder state (what it finds enters the step), the current one (what it
            finds enters the readout alone; trains fastest), or the current one and input_feeding (the next step too).
        d_embedding: width of the embeddings.
        d_model: width of encoder and decoder states.
        num_layers: recurrent layers of encoder and decoder each.
        bidirectional: whether the encoder also reads right to left.
        bridge: first decoder state: zeros, the last encoder state, a dense layer over it, or learned.
        dropout: on embeddings, between layers and in the readout.
        tie_embeddings: none, two_way (target embedding = vocabulary projection) or three_way (all one matrix).
        bptt_steps: after so many steps the gradient through time is cut, in encoder and decoder; null for never.
        label_smoothing: of the training loss.
        optimization: optimiser and learning-rate schedule.
        search: how validation translates.
    """

    architecture = "attention"

    def __init__(
        self,
        cell: Cell = "lstm",
        energy: EnergyName = "additive",
        placement: Placement = "previous",
        d_embedding: int = 256,
        d_model: int = 512,
        num_layers: int = 1,
        bidirectional: bool = True,
        bridge: BridgeName = "dense",
        dropout: float = 0.1,
        tie_embeddings: Tie = "none",
        bptt_steps: int | None = None,
        label_smoothing: float = 0.1,
        optimization: Optimization = Optimization(),  # noqa: B008  # frozen
        search: SearchOptions = GREEDY,
    ) -> None:
        config = dict(
            cell=cell,
            energy=energy,
            placement=placement,
            d_embedding=d_embedding,
            d_model=d_model,
            num_layers=num_layers,
            bidirectional=bidirectional,
            bridge=bridge,
            dropout=dropout,
            tie_embeddings=tie_embeddings,
            bptt_steps=bptt_steps,
        )
        super().__init__(config, label_smoothing=label_smoothing, optimization=optimization, search=search)


class TransformerSeq2Seq(TranslationModule):
    """Transformer.

    Args:
        d_model: width of embeddings and layers.
        d_ff: inner width of the feed-forward.
        num_heads: attention heads; must divide d_model.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        norm: layer norm before each function (pre) or after each sum (post).
        positions: sinusoidal or learned.
        max_positions: longest sentence that learned positions can number.
        dropout: on embeddings, inside the feed-forward and on what enters each residual sum.
        attention_dropout: on attention weights.
        tie_embeddings: none, two_way (target embedding = vocabulary projection) or three_way (all one matrix).
        label_smoothing: of the training loss.
        optimization: optimiser and learning-rate schedule.
        search: how validation translates.
    """

    architecture = "transformer"

    def __init__(
        self,
        d_model: int = 256,
        d_ff: int = 1024,
        num_heads: int = 4,
        num_encoder_layers: int = 3,
        num_decoder_layers: int = 3,
        norm: Norm = "pre",
        positions: Positions = "sinusoidal",
        max_positions: int = 1024,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        tie_embeddings: Tie = "three_way",
        label_smoothing: float = 0.1,
        optimization: Optimization = Optimization(),  # noqa: B008  # frozen
        search: SearchOptions = GREEDY,
    ) -> None:
        config = dict(
            d_model=d_model,
            d_ff=d_ff,
            num_heads=num_heads,
            num_encoder_layers=num_encoder_layers,
            num_decoder_layers=num_decoder_layers,
            norm=norm,
            positions=positions,
            max_positions=max_positions,
            dropout=dropout,
            attention_dropout=attention_dropout,
            tie_embeddings=tie_embeddings,
        )
        super().__init__(config, label_smoothing=label_smoothing, optimization=optimization, search=search)


SYSTEMS: dict[str, type[TranslationModule]] = {
    "lstm": LSTMSeq2Seq,
    "attention": AttentionSeq2Seq,
    "transformer": TransformerSeq2Seq,
}
