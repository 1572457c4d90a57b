"""Attention, feed-forward and rotary positions of the trunk.

Shapes: R rows, T positions, H heads, K width of a head, D width, P positions looked back.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LONGEST_PLAIN = 512  # positions up to which attention on a processor holds all its scores in memory


class Surroundings(NamedTuple):
    """What a position (row) may see: others (columns) by attention [R, 1, T, T], its rotation, and which of the P
    positions before it are of its document [P, R, T, 1].
    """

    allowed_R1TT: Tensor
    rotation: tuple[Tensor, Tensor]
    near_PRT1: Tensor

    def of_rows(self, rows: Tensor) -> Surroundings:
        """The same for some of the rows."""
        return Surroundings(self.allowed_R1TT[rows], self.rotation, self.near_PRT1[:, rows])


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions (Su et al. 2021) and normalised queries and keys (Henry et al.
    2020).

    The first `induction_heads` see every key one position later and begin with keys like queries: they look for what
    followed the same token before (Olsson et al. 2022) from the first step on.
    """

    def __init__(self, width: int, heads: int, layers: int, induction_heads: int = 0) -> None:
        super().__init__()
        self.heads, self.induction_heads = heads, induction_heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.log_sharpness = nn.Parameter(torch.zeros(heads))
        nn.init.normal_(self.query_key_value.weight, std=width**-0.5)
        query_key_value_3HKD = self.query_key_value.weight.data.view(
            3, heads, width // heads, width
        )
        query_key_value_3HKD[1, :induction_heads] = query_key_value_3HKD[0, :induction_heads]
        nn.init.normal_(self.output.weight, std=(2 * layers * width) ** -0.5)

    def forward(self, hidden_RTD: Tensor, around: Surroundings) -> Tensor:
        """[R, T, D] to [R, T, D]."""
        rows, positions, width = hidden_RTD.shape
        split = self.query_key_value(hidden_RTD).view(
            rows, positions, 3, self.heads, width // self.heads
        )
        query, key, value = split.permute(2, 0, 3, 1, 4)
        if self.induction_heads:
            later = (
                functional.pad(key[:, : self.induction_heads, :-1], (0, 0, 1, 0))
                * around.near_PRT1[0][:, None]
            )
            key = torch.cat([later, key[:, self.induction_heads :]], dim=1)
        query, key = (
            rotate(normalise(part), around.rotation).to(value.dtype) for part in (query, key)
        )
        query = query * self.log_sharpness.exp()[:, None, None].to(query.dtype)
        mixed_RHTK = attend(query, key, value, around.allowed_R1TT)
        return self.output(mixed_RHTK.transpose(1, 2).reshape(rows, positions, width))


def attend(query: Tensor, key: Tensor, value: Tensor, allowed_R1TT: Tensor) -> Tensor:
    """softmax(query @ key.T / sqrt(K)) @ value, [R, H, T, K], over the allowed positions.

    The fused kernel of processors takes five times as long as three plain products on rows of 128 (docs/LOG.md).
    """
    if query.device.type != "cpu" or query.shape[-2] > LONGEST_PLAIN:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed_R1TT)
    bias = torch.zeros_like(allowed_R1TT, dtype=query.dtype).masked_fill_(~allowed_R1TT, -torch.inf)
    scores_RHTT = (query * query.shape[-1] ** -0.5) @ key.mT + bias
    return scores_RHTT.softmax(-1) @ value


class FeedForward(nn.Module):
    """Two layers with a squared rectifier between (So et al. 2021), four times as wide inside."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.rise = nn.Linear(width, 4 * width, bias=False)
        self.fall = nn.Linear(4 * width, width, bias=False)
        nn.init.normal_(self.rise.weight, std=width**-0.5)
        nn.init.normal_(self.fall.weight, std=(2 * layers * 4 * width) ** -0.5)

    def forward(self, hidden_RTD: Tensor) -> Tensor:
        """[R, T, D] to [R, T, D]."""
        risen = functional.relu(self.rise(hidden_RTD))
        return self.fall(risen * risen)


class ShortConvolution(nn.Module):
    """Adds to every channel a weighted sum of its values at the last P positions of the document (Allen-Zhu 2025).

    The weights begin at zero. It looks backwards only, in bidirectional rows too. With P = 0 it does nothing.
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.weight_PD = nn.Parameter(torch.zeros(reach, width)) if reach else None

    def forward(self, hidden_RTD: Tensor, near_PRT1: Tensor) -> Tensor:
        """[R, T, D] to [R, T, D]."""
        if self.weight_PD is None:
            return hidden_RTD
        mixed_RTD = hidden_RTD
        for back, (weight_D, near_RT1) in enumerate(
            zip(self.weight_PD, near_PRT1, strict=True), start=1
        ):
            before_RTD = functional.pad(hidden_RTD, (0, 0, back, 0))[:, : hidden_RTD.shape[1]]
            mixed_RTD = mixed_RTD + before_RTD * (weight_D * near_RT1).to(hidden_RTD.dtype)
        return mixed_RTD


class Block(nn.Module):
    """Attention, then feed-forward, each on the normalised residual stream, mixed with the positions just before."""

    def __init__(
        self, width: int, heads: int, layers: int, reach: int = 0, induction_heads: int = 0
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, layers, induction_heads)
        self.feed_forward = FeedForward(width, layers)
        self.before_attention = ShortConvolution(width, reach)
        self.before_feed_forward = ShortConvolution(width, reach)

    def forward(self, hidden_RTD: Tensor, around: Surroundings) -> Tensor:
        """[R, T, D] to [R, T, D]."""
        mixed_RTD = self.before_attention(normalise(hidden_RTD), around.near_PRT1)
        hidden_RTD = hidden_RTD + self.attention(mixed_RTD, around)
        return hidden_RTD + self.feed_forward(
            self.before_feed_forward(normalise(hidden_RTD), around.near_PRT1)
        )


def normalise(hidden: Tensor) -> Tensor:
    """Layer normalisation over the last dimension, without weights: on processors it is one kernel, root-mean-square
    norm is seven.
    """
    return functional.layer_norm(hidden, hidden.shape[-1:])


def rotary_table(positions: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, K / 2] for rotary positions with base 10,000."""
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2, device=device) / width)
    angles = torch.arange(positions, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(part_RHTK: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of channels by its position's angle."""
    cosine, sine = rotation
    first, second = part_RHTK.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
