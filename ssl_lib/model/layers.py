"""Attention, feed-forward and rotary positions of the encoder.

Shapes: B sequences, T positions, H heads, K width of a head, D width, P positions before one's own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LONGEST_PLAIN = 512  # positions up to which attention on a CPU holds all its scores in memory


class AttentionInputs(NamedTuple):
    """What a position may see, beside the hidden states.

    `allowed_B1TT` says which others (columns) by attention, `rotation` is the rotary table, and
    `near_PBT1` says which of the P positions before it lie in its document.
    """

    allowed_B1TT: Tensor
    rotation: tuple[Tensor, Tensor]
    near_PBT1: Tensor

    def of_sequences(self, indices: Tensor) -> AttentionInputs:
        """The same for some of the sequences."""
        allowed_B1TT = self.allowed_B1TT[indices]
        near_PBT1 = self.near_PBT1[:, indices]
        return AttentionInputs(allowed_B1TT, self.rotation, near_PBT1)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions (Su et al. 2021).

    Queries and keys are normalized (Henry et al. 2020). The first `induction_heads` see every key
    one position later and begin with keys like queries: they look for what followed the same token
    before (Olsson et al. 2022) from the first step on.
    """

    def __init__(self, width: int, heads: int, layers: int, induction_heads: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.induction_heads = induction_heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.log_sharpness = nn.Parameter(torch.zeros(heads))
        nn.init.normal_(self.query_key_value.weight, std=width**-0.5)
        # Induction heads begin with the same projection for keys (1) as for queries (0).
        weight_3HKD = self.query_key_value.weight.data.view(3, heads, width // heads, width)
        weight_3HKD[1, :induction_heads] = weight_3HKD[0, :induction_heads]
        nn.init.normal_(self.output.weight, std=(2 * layers * width) ** -0.5)

    def forward(self, hidden_BTD: Tensor, inputs: AttentionInputs) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        sequences, positions, width = hidden_BTD.shape
        projected = self.query_key_value(hidden_BTD)
        split = projected.view(sequences, positions, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each [B, H, T, K]
        if self.induction_heads:
            # These keys move one position on, except into the first position of a document.
            own, others = key.tensor_split([self.induction_heads], dim=1)
            later = functional.pad(own[:, :, :-1], (0, 0, 1, 0))
            later = later * inputs.near_PBT1[0][:, None]
            key = torch.cat([later, others], dim=1)
        # Normalized queries and keys have products below K; each head learns how sharp they are.
        query = rotate(normalize(query), inputs.rotation).to(value.dtype)
        key = rotate(normalize(key), inputs.rotation).to(value.dtype)
        sharpness_H11 = self.log_sharpness.exp()[:, None, None]
        query = query * sharpness_H11.to(query.dtype)
        mixed_BHTK = attend(query, key, value, inputs.allowed_B1TT)
        mixed_BTD = mixed_BHTK.transpose(1, 2).reshape(sequences, positions, width)
        output_BTD: Tensor = self.output(mixed_BTD)
        return output_BTD


def attend(query: Tensor, key: Tensor, value: Tensor, allowed_B1TT: Tensor) -> Tensor:
    """softmax(query @ key.T / sqrt(K)) @ value, [B, H, T, K], over the allowed positions.

    On a CPU the fused kernel takes five times as long as three plain products on sequences of 128
    tokens (docs/LOG.md).
    """
    if query.device.type != "cpu" or query.shape[-2] > LONGEST_PLAIN:
        fused: Tensor = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed_B1TT
        )
        return fused
    # Added, not filled in: one tensor [B, 1, T, T] serves all heads.
    bias = torch.zeros_like(allowed_B1TT, dtype=query.dtype)
    bias.masked_fill_(~allowed_B1TT, -torch.inf)
    scaled = query * query.shape[-1] ** -0.5
    scores_BHTT = scaled @ key.mT + bias
    mixed_BHTK: Tensor = scores_BHTT.softmax(-1) @ value
    return mixed_BHTK


class FeedForward(nn.Module):
    """Two layers with a squared rectifier between (So et al. 2021), four times as wide inside."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(width, 4 * width, bias=False)
        self.down_proj = nn.Linear(4 * width, width, bias=False)
        nn.init.normal_(self.up_proj.weight, std=width**-0.5)
        nn.init.normal_(self.down_proj.weight, std=(2 * layers * 4 * width) ** -0.5)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        inner = functional.relu(self.up_proj(hidden_BTD))
        output_BTD: Tensor = self.down_proj(inner * inner)
        return output_BTD


class ShortConvolution(nn.Module):
    """Adds to every channel a weighted sum of its last `kernel_size` values (Allen-Zhu 2025).

    Only those of the same document. The weights begin at zero. It looks backwards only, in
    bidirectional sequences too. With a kernel size of 0 it does nothing.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.weight_PD = nn.Parameter(torch.zeros(kernel_size, width)) if kernel_size else None

    def forward(self, hidden_BTD: Tensor, near_PBT1: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        if self.weight_PD is None:
            return hidden_BTD
        mixed_BTD = hidden_BTD
        positions = hidden_BTD.shape[1]
        pairs = zip(self.weight_PD, near_PBT1, strict=True)
        for back, (weight_D, near_BT1) in enumerate(pairs, start=1):
            before_BTD = functional.pad(hidden_BTD, (0, 0, back, 0))[:, :positions]
            weight_BTD = (weight_D * near_BT1).to(hidden_BTD.dtype)
            mixed_BTD = mixed_BTD + before_BTD * weight_BTD
        return mixed_BTD


class Block(nn.Module):
    """Attention, then feed-forward, each added to the residual stream.

    Both read the normalized stream, mixed with the positions just before.
    """

    def __init__(
        self, width: int, heads: int, layers: int, kernel_size: int = 0, induction_heads: int = 0
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, layers, induction_heads)
        self.feed_forward = FeedForward(width, layers)
        self.before_attention = ShortConvolution(width, kernel_size)
        self.before_feed_forward = ShortConvolution(width, kernel_size)

    def forward(self, hidden_BTD: Tensor, inputs: AttentionInputs) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        mixed_BTD = self.before_attention(normalize(hidden_BTD), inputs.near_PBT1)
        hidden_BTD = hidden_BTD + self.attention(mixed_BTD, inputs)
        mixed_BTD = self.before_feed_forward(normalize(hidden_BTD), inputs.near_PBT1)
        hidden_BTD = hidden_BTD + self.feed_forward(mixed_BTD)
        return hidden_BTD


def normalize(hidden: Tensor) -> Tensor:
    """Layer normalization over the last dimension, without weights.

    On a CPU it is one kernel; root-mean-square normalization is seven.
    """
    normalized: Tensor = functional.layer_norm(hidden, hidden.shape[-1:])
    return normalized


def rotary_table(positions: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, K / 2] for rotary positions with base 10,000."""
    # From one radian a position down to nearly 1 / 10,000 of that.
    exponents = torch.arange(0, width, 2, device=device)
    frequencies = torch.exp(-math.log(10_000.0) * exponents / width)
    angles = torch.arange(positions, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(part_BHTK: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of channels by its position's angle."""
    cosine, sine = rotation
    # Channel i of the first half makes a pair with channel i of the second.
    first, second = part_BHTK.chunk(2, dim=-1)
    turned_first = first * cosine - second * sine
    turned_second = first * sine + second * cosine
    return torch.cat([turned_first, turned_second], dim=-1)


def attention_mask(document_ids_BT: Tensor, causal_B: Tensor) -> Tensor:
    """[B, 1, T, T], True where a position may look: in its document, if causal only backwards."""
    same_BTT = document_ids_BT[:, :, None] == document_ids_BT[:, None, :]
    # Row t, column s: position t may look at position s.
    past_TT = same_BTT.new_ones(same_BTT.shape[1:]).tril()
    allowed_BTT = same_BTT & (past_TT | ~causal_B[:, None, None])
    return allowed_BTT[:, None]


def same_document_before(document_ids_BT: Tensor, kernel_size: int) -> Tensor:
    """[P, B, T, 1], True where the position 1, 2, ... P places before lies in the same document."""
    width = document_ids_BT.shape[1]
    same_PBT = []
    for back in range(1, kernel_size + 1):
        # Before the first position lies document -2, which is none, not even padding.
        before_BT = functional.pad(document_ids_BT, (back, 0), value=-2)[:, :width]
        same_PBT.append(document_ids_BT == before_BT)
    return torch.stack(same_PBT)[..., None]
