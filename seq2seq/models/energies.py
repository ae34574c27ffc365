"""Energies e = f_e(q, k): how well a query fits each key, before the softmax turns them into attention weights.

    dot          e_i = q . k_i                          Luong et al. 2015, eq. 8
    scaled_dot   e_i = q . k_i / sqrt(K)                Vaswani et al. 2017, eq. 1
    cosine       e_i = s * q . k_i / (|q| |k_i|)        Graves et al. 2014, eq. 6 (similarity, learned sharpness s)
    general      e_i = q . W k_i                        Luong et al. 2015, eq. 8 (bilinear)
    additive     e_i = v . tanh(W q + U k_i)            Bahdanau et al. 2015, appendix A.1.2

An energy knows keys only. What its weights then add up, the values, is the model's business: the states themselves
in `attention.py` (simple attention), projections of their own in `transformer.py` (extended attention).

`project_keys` is the part that depends on the source alone: it is computed once per sentence, for all steps and
hypotheses.
Letters: B batch, W queries of one sentence (hypotheses), S source length, Q query width, D key width, A inner width.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.models.products import Linear

EnergyName = Literal["dot", "scaled_dot", "cosine", "general", "additive"]


class Energy(nn.Module, ABC):
    """e_BWS = energy(q_BWQ, project_keys(h_BSD))."""

    @abstractmethod
    def project_keys(self, h_BSD: Tensor) -> Tensor:
        """What the energy needs of the source states, (B, S, A)."""

    @abstractmethod
    def forward(self, q_BWQ: Tensor, keys_BSA: Tensor) -> Tensor:
        """Energies (B, W, S) of every query with every key."""


class Dot(Energy):
    """Dot energy e_i = q . k_i; scaled, e_i = q . k_i / sqrt(K), whose variance does not grow with the width K."""

    def __init__(self, d_query: int, d_key: int, *, scaled: bool = False) -> None:
        super().__init__()
        if d_query != d_key:
            raise ValueError(
                f"a dot energy needs queries and keys of one size, came {d_query} and {d_key}; use general or additive"
            )
        self.scale = 1 / math.sqrt(d_key) if scaled else 1.0

    def project_keys(self, h_BSD: Tensor) -> Tensor:
        return h_BSD

    def forward(self, q_BWQ: Tensor, keys_BSA: Tensor) -> Tensor:
        return self.scale * q_BWQ @ keys_BSA.transpose(1, 2)


class Cosine(Energy):
    """Cosine energy e_i = s * cos(q, k_i); without the learned s > 0 a softmax over [-1, 1] could never be sharp."""

    def __init__(self, d_query: int, d_key: int) -> None:
        super().__init__()
        if d_query != d_key:
            raise ValueError(
                f"a cosine energy needs queries and keys of one size, came {d_query} and {d_key}; "
                "use general or additive"
            )
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(10.0)))

    def project_keys(self, h_BSD: Tensor) -> Tensor:
        return F.normalize(h_BSD, dim=-1)

    def forward(self, q_BWQ: Tensor, keys_BSA: Tensor) -> Tensor:
        return self.log_sharpness.exp() * F.normalize(q_BWQ, dim=-1) @ keys_BSA.transpose(1, 2)


class General(Energy):
    """General (bilinear) energy e_i = q . W k_i."""

    def __init__(self, d_query: int, d_key: int) -> None:
        super().__init__()
        self.w = Linear(d_key, d_query, bias=False)

    def project_keys(self, h_BSD: Tensor) -> Tensor:
        return self.w(h_BSD)

    def forward(self, q_BWQ: Tensor, keys_BSA: Tensor) -> Tensor:
        return q_BWQ @ keys_BSA.transpose(1, 2)


class Additive(Energy):
    """Additive energy e_i = v . tanh(W q + U k_i)."""

    def __init__(self, d_query: int, d_key: int) -> None:
        super().__init__()
        self.w = Linear(d_query, d_key, bias=False)
        self.u = Linear(d_key, d_key)
        self.v = nn.Linear(d_key, 1, bias=False)

    def project_keys(self, h_BSD: Tensor) -> Tensor:
        return self.u(h_BSD)

    def forward(self, q_BWQ: Tensor, keys_BSA: Tensor) -> Tensor:
        hidden_BWSA = torch.tanh(self.w(q_BWQ)[:, :, None] + keys_BSA[:, None])
        return self.v(hidden_BWSA).squeeze(-1)


def make_energy(name: EnergyName, *, d_query: int, d_key: int) -> Energy:
    """The energy called `name` for queries of width `d_query` and keys of width `d_key`.

    Raises:
        ValueError: unknown name, or sizes that the energy cannot join.
    """
    match name:
        case "dot":
            return Dot(d_query, d_key)
        case "scaled_dot":
            return Dot(d_query, d_key, scaled=True)
        case "cosine":
            return Cosine(d_query, d_key)
        case "general":
            return General(d_query, d_key)
        case "additive":
            return Additive(d_query, d_key)
    raise ValueError(f"energy is {name!r}; use dot, scaled_dot, cosine, general or additive")
