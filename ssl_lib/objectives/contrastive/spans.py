"""Spans of positions as vectors: sentences, numbers, whole rows.

A span is the positions that hold its index in `span_RT` (-1: no span). Shapes: R rows, T positions, D width, N spans,
S positions inside spans.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ODD = (
    0x1E3779B97F4A7C15,
    0x3F58476D1CE4E5B9,
    0x14D049BB133111EB,
)  # multipliers of SplitMix64, made to fit int64


def unit(vectors: Tensor) -> Tensor:
    """Float32 vectors of length one."""
    return functional.normalize(vectors.float(), dim=-1)


def mean_of_spans(hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
    """Mean hidden state [N, D] of each span."""
    span_T = span_RT.flatten()
    inside_S = (span_T >= 0).nonzero()[:, 0]
    states_SD = hidden_RTD.reshape(-1, hidden_RTD.shape[-1])[inside_S]
    ones = torch.ones(len(inside_S), 1, device=states_SD.device)
    counts_N1 = sum_by(ones, span_T[inside_S], count).clamp_min(1.0)
    return (sum_by(states_SD, span_T[inside_S], count) / counts_N1).to(hidden_RTD.dtype)


def renumbered(span_RT: Tensor, kept_N: Tensor) -> Tensor:
    """The spans with the indices `kept_N` alone, numbered from 0 in that order."""
    numbers = torch.full(
        (int(span_RT.max()) + 2 if span_RT.numel() else 1,), -1, device=span_RT.device
    )
    numbers[kept_N] = torch.arange(len(kept_N), device=span_RT.device)
    return torch.where(span_RT >= 0, numbers[span_RT], -1)


def content_labels(ids_RT: Tensor, span_RT: Tensor, count: int) -> Tensor:
    """A label [N] from 0 to 2^63 - 1 for each span: equal for equal ids in equal order, else different but for a chance
    of 2^-63."""
    span_T = span_RT.flatten()
    inside_S = (span_T >= 0).nonzero()[:, 0]
    span_S = span_T[inside_S]
    first_N = torch.full((count,), span_T.numel(), device=ids_RT.device).scatter_reduce(
        0, span_S, inside_S, "amin"
    )
    mixed_S = (ids_RT.flatten()[inside_S] + 1) * _ODD[0] + (inside_S - first_N[span_S]) * _ODD[1]
    mixed_S = (mixed_S ^ (mixed_S >> 31)) * _ODD[2]
    mixed_S = mixed_S ^ (mixed_S >> 29)
    sums_N = torch.zeros(count, dtype=torch.int64, device=ids_RT.device).index_add(
        0, span_S, mixed_S
    )
    return sums_N & (2**63 - 1)


def sum_by(values_SD: Tensor, index_S: Tensor, count: int) -> Tensor:
    """Sums [N, D], float32, of the rows with each index."""
    return torch.zeros(count, values_SD.shape[-1], device=values_SD.device).index_add(
        0, index_S, values_SD.float()
    )
