"""Rows of all processes together, for losses whose negatives come from the whole batch.

Shapes: N rows of this process, M of all processes, W processes, L rows of the process that has most, P width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional


class Gathered(NamedTuple):
    """Rows [M, P] of all processes in the order of their ranks; those of this process begin at `start`."""

    rows: Tensor
    start: int


def process_count() -> int:
    """Processes that train together; 1 outside a distributed run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(rows_NP: Tensor, everywhere: bool = True) -> Gathered:
    """The rows of all processes, which may have different numbers of them; gradients flow back to where they came from.

    Every process must call it equally often. With one process, or not `everywhere`, the rows are given back.
    """
    if not everywhere or process_count() == 1:
        return Gathered(rows_NP, 0)
    sizes = _sizes(rows_NP)
    padding = (0, 0) * (rows_NP.ndim - 1) + (0, max(sizes) - len(rows_NP))
    stacked_WLP = _AllGather.apply(functional.pad(rows_NP, padding))
    rows_MP = torch.cat([rows[:size] for rows, size in zip(stacked_WLP, sizes, strict=True)])
    return Gathered(rows_MP, sum(sizes[: dist.get_rank()]))


def _sizes(rows_NP: Tensor) -> list[int]:
    own = torch.tensor([len(rows_NP)], device=rows_NP.device)
    sizes = [torch.empty_like(own) for _ in range(process_count())]
    dist.all_gather(sizes, own)
    return torch.cat(sizes).tolist()


class _AllGather(Function):
    """Equal shapes [L, P] of all processes as [W, L, P]; a row's gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(context: Any, rows_LP: Tensor) -> Tensor:
        rows_LP = rows_LP.contiguous()
        gathered = [torch.empty_like(rows_LP) for _ in range(process_count())]
        dist.all_gather(gathered, rows_LP)
        return torch.stack(gathered)

    @staticmethod
    def backward(context: Any, gradient_WLP: Tensor) -> Tensor:
        total_WLP = gradient_WLP.contiguous()
        dist.all_reduce(total_WLP)
        return total_WLP[dist.get_rank()]
