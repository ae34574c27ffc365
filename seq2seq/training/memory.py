"""Batches and the memory of the device: taking one in pieces that does not fit, and finding out how large one may be.

The loss of an update is a sum over its target tokens, so the gradient of a batch is the sum of the gradients of its
parts: a batch in pieces trains as a whole one does, but for rounding and for what dropout draws.

Letters: L length of both sides.
"""

import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from seq2seq.batching import Batch, collate
from seq2seq.device_memory import Found, give_back, unless_out_of_memory

Gradients = list[Tensor | None]  # of each parameter

# Of what is free when training begins, batches may fill so much; the rest is for fragments, and for other programs.
_SHARE = 0.8
_GROWTH = 3.2  # of a process on a CPU, over what a graph keeps: measured 2.6 to 3.2, the heap has holes


class Pieces:
    """Loss and gradients of batches, of which those that do not fit into the memory are taken in pieces.

    Under several ranks, which wait for each other in the backward pass, none may fail there. So a batch that is larger
    than all before is first tried by itself, forwards and backwards, and only its gradients take part.

    Args:
        loss_sum: of a batch.
        parameters: that gradients are taken of.
        is_alone: whether no other rank waits.

    Attributes:
        num_split: batches so far that came in pieces.
    """

    def __init__(
        self, loss_sum: Callable[[Batch], Tensor], parameters: Sequence[nn.Parameter], *, is_alone: bool
    ) -> None:
        self._loss_sum, self._parameters, self._is_alone = loss_sum, parameters, is_alone
        self._fitted: list[tuple[int, int]] = []  # padded source and target tokens of batches that did
        self._most = math.inf  # padded tokens of both sides that are tried as a whole
        self._batch: Batch | None = None  # that `forward` has had and `backward` has not
        self._taken: Gradients | None = None  # of this batch, if they need no graph any more
        self.num_split = 0

    def forward(self, batch: Batch) -> Tensor:
        """The summed loss, for `backward`.

        Raises:
            ValueError: a single sentence pair does not fit.
        """
        self._batch, self._taken, loss_sum = batch, None, None
        if not self._must_be_split(batch) and (self._is_alone or self._is_known_to_fit(batch)):
            loss_sum = self._try(batch, lambda: self._loss_sum(batch))
        if loss_sum is None:
            value, self._taken = self._take(batch)
            # The graph of a loss without gradients: with it, the ranks meet.
            loss_sum = value + 0 * torch.stack([parameter.sum() for parameter in self._parameters]).sum()
        return loss_sum

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to the parameters'.

        Args:
            loss: what `forward` gave last, perhaps multiplied by a number and divided by it again.
        """
        assert self._batch is not None
        if self._is_alone:
            if self._taken is None:
                self._taken = self._try(self._batch, lambda: self._gradients(loss))
            if self._taken is None:
                loss.detach_()  # sets free what the forward pass has kept
                _, self._taken = self._take(self._batch)
            self._add(self._taken)
        else:
            if self._taken is not None:
                self._add(self._taken)
            if unless_out_of_memory(lambda: loss.backward() or True) is None:
                src, tgt = _sizes(self._batch)
                raise ValueError(
                    f"a batch of {src} source and {tgt} target tokens does not fit into the memory, though one as "
                    "large did; lower data.max_tokens_per_batch, and go on with --resume auto"
                )
        self._batch = self._taken = None

    def _is_known_to_fit(self, batch: Batch) -> bool:
        """Whether one fitted that was no smaller on either side."""
        src, tgt = _sizes(batch)
        return any(src <= fitted_src and tgt <= fitted_tgt for fitted_src, fitted_tgt in self._fitted)

    def _must_be_split(self, batch: Batch) -> bool:
        """Whether one that was hardly larger did not fit."""
        return len(batch.src_BS) > 1 and sum(_sizes(batch)) > self._most

    def _try(self, batch: Batch, compute: Callable[[], Found]) -> Found | None:
        found = unless_out_of_memory(compute)
        if found is None:
            self._most = 0.75 * sum(_sizes(batch))  # of three rows, two go together
            give_back(batch.src_BS.device)
        return found

    def _take(self, batch: Batch) -> tuple[Tensor, Gradients]:
        """The summed loss, without its graph, and its gradients; the parameters' own are left alone."""
        losses: list[Tensor] = []
        gradients: Gradients = [None] * len(self._parameters)
        waiting = [batch]
        while waiting:
            piece = waiting.pop()
            num_rows, (src, tgt) = len(piece.src_BS), _sizes(piece)
            found = None
            if not self._must_be_split(piece):
                found = self._try(piece, lambda piece=piece: self._whole(piece))  # type: ignore[misc]
            if found is not None:
                losses.append(found[0])
                gradients = [_sum(*pair) for pair in zip(gradients, found[1], strict=True)]
            elif num_rows > 1:
                waiting += [piece.part(num_rows // 2, num_rows), piece.part(0, num_rows // 2)]
            else:
                raise ValueError(
                    f"a sentence pair of {src} and {tgt} tokens does not fit into the memory; lower data.max_length or "
                    "the sizes of the model"
                )
        src, tgt = _sizes(batch)
        if len(losses) == 1:
            self._fitted = [(s, t) for s, t in self._fitted if s > src or t > tgt] + [(src, tgt)]
        else:
            self.num_split += 1
            if self.num_split == 1:
                print(
                    f"seq2seq: a batch of {src} source and {tgt} target tokens does not fit into the memory and comes "
                    f"in {len(losses)} pieces, as others will; a lower data.max_tokens_per_batch is faster",
                    file=sys.stderr,
                )
        return torch.stack(losses).sum(), gradients

    def _whole(self, batch: Batch) -> tuple[Tensor, Gradients]:
        loss_sum = self._loss_sum(batch)
        return loss_sum.detach(), self._gradients(loss_sum)

    def _gradients(self, loss: Tensor) -> Gradients:
        return list(torch.autograd.grad(loss, self._parameters, allow_unused=True))

    def _add(self, gradients: Gradients) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            # Laid out as autograd leaves them: fused optimisers want that.
            parameter.grad = _sum(parameter.grad, None if gradient is None else gradient.contiguous())


def _sizes(batch: Batch) -> tuple[int, int]:
    """Source and target tokens, padding included."""
    return batch.src_BS.numel(), batch.tgt_out_BT.numel()


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a.add_(b)


def tokens_that_fit(
    loss_sum: Callable[[Batch], Tensor],
    parameters: Sequence[nn.Parameter],
    *,
    length: int,
    vocab_sizes: tuple[int, int],
    device: torch.device,
    bytes_free: float,
) -> int:
    """How many tokens of each side a batch may have, all of whose sentences are of the given length.

    What two small batches need is measured, and follows a straight line from there.

    Args:
        loss_sum: of a batch.
        parameters: of which gradients are taken.
        length: L of the longest sentences; they need more memory a token than others, where attention is kept.
        vocab_sizes: of source and target.
        device: where the batches are to lie.
        bytes_free: for all that a batch needs.

    Returns:
        A multiple of L, at least L.
    """
    counts = (8, 24)
    batches = (_made_up(num_rows, length, vocab_sizes, device) for num_rows in counts)
    few, many = (bytes_needed(loss_sum, parameters, batch) for batch in batches)
    per_row = (many - few) / (counts[1] - counts[0])
    rows = (bytes_free - few) / per_row + counts[0]
    return max(1, int(rows)) * length


def bytes_needed(loss_sum: Callable[[Batch], Tensor], parameters: Sequence[nn.Parameter], batch: Batch) -> float:
    """For loss and gradients: on a GPU by the peak, elsewhere by what the graph keeps."""
    device = batch.src_BS.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        torch.autograd.grad(loss_sum(batch), parameters, allow_unused=True)
        return torch.cuda.max_memory_allocated(device) - before
    return _GROWTH * bytes_kept(lambda: loss_sum(batch))


def bytes_kept(compute: Callable[[], object], besides: Iterable[Tensor] = ()) -> int:
    """Bytes that the graph of a forward pass keeps for the backward pass: exact, each storage once.

    Args:
        compute: the forward pass.
        besides: what lives longer than the graph and is not counted, such as weights.
    """
    kept: dict[int, int] = {}

    def see(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(see, lambda x: x):
        compute()
    for x in besides:
        kept.pop(x.untyped_storage().data_ptr(), None)
    return sum(kept.values())


def _made_up(num_rows: int, length: int, vocab_sizes: tuple[int, int], device: torch.device) -> Batch:
    src, tgt = ([[size - 1] * (length - 1)] * num_rows for size in vocab_sizes)
    return collate(src, tgt, range(num_rows)).to(device)


def bytes_for_batches(device: torch.device, num_processes: int, parameters: Sequence[nn.Parameter]) -> float:
    """What batches may fill, gradients, the optimiser's two averages and one of the weights taken off.

    Args:
        device: of the training.
        num_processes: that share the machine's memory; a GPU is not shared.
        parameters: of the model.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    else:
        free = _machine_bytes() // num_processes
    return _SHARE * free - 4 * sum(p.numel() * p.element_size() for p in parameters)


def _machine_bytes() -> int:
    """Free memory of this machine, or of this container if it has less."""
    try:
        [line] = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
        free = int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return free if limit == "max" else min(free, int(limit) - int(used))
    except OSError:
        return free
