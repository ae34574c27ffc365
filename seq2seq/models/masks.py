"""Masks, and what True means in each of them.

`*_padding_mask`: True = padding, do not look (PyTorch's convention for modules). `may_attend`: True = look, the sense
that `scaled_dot_product_attention` wants. The one turns into the other here and nowhere else.
"""

import torch
from torch import Tensor


def may_attend_to_keys(key_padding_mask_BS: Tensor) -> Tensor:
    """(B, 1, 1, S), True where a key may be attended to, for every head and every query."""
    return ~key_padding_mask_BS[:, None, None, :]


def mask_energies(e: Tensor, key_padding_mask_BS: Tensor) -> Tensor:
    """Energies e (B, ..., S) with -inf on padding, so that a softmax gives it weight zero."""
    batch, length = key_padding_mask_BS.shape
    padding = key_padding_mask_BS.view(batch, *(1 for _ in e.shape[1:-1]), length)
    return e.masked_fill(padding, -torch.inf)
