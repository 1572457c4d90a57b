"""Attention, feed-forward and rotary positions of the encoder.

Shapes: B sequences, T positions, H heads, K width of a head, D width, P positions before one's own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssl_lib.model.cache import Past

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

    def forward(
        self, hidden_BTD: Tensor, inputs: AttentionInputs, past: Past | None = None
    ) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        sequences, positions, width = hidden_BTD.shape
        projected = self.query_key_value(hidden_BTD)
        split_BT3HK = projected.view(sequences, positions, 3, self.heads, width // self.heads)
        query_key_BT2HK = normalize(split_BT3HK[:, :, :2])
        value_BHTK = split_BT3HK[:, :, 2].transpose(1, 2)
        if self.induction_heads:
            near_BT1 = inputs.near_PBT1[0, :, -positions:]
            query_key_BT2HK = self._with_later_keys(query_key_BT2HK, near_BT1, past)
        query, key = rotate(query_key_BT2HK, *inputs.rotation)  # each [B, H, T, K]
        if past is not None:
            key = past.joined("key", key, dim=2)
            value_BHTK = past.joined("value", value_BHTK, dim=2)
        # Normalized queries and keys have products below K; each head learns how sharp they are.
        sharpness_H11 = self.log_sharpness.exp()[:, None, None]
        query = query * (sharpness_H11 * key.shape[-1] ** -0.5).to(query.dtype)
        mixed_BHTK = attend(query, key, value_BHTK, inputs.allowed_B1TT)
        mixed_BTD = mixed_BHTK.transpose(1, 2).reshape(sequences, positions, width)
        output_BTD: Tensor = self.output(mixed_BTD)
        return output_BTD

    def _with_later_keys(
        self, query_key_BT2HK: Tensor, near_BT1: Tensor, past: Past | None
    ) -> Tensor:
        """The keys of induction heads moved one position on, not into a document's first one."""
        keys_BTHK = query_key_BT2HK[:, :, 1]
        own, others = keys_BTHK.tensor_split([self.induction_heads], dim=2)
        whole = own if past is None else past.joined("induction", own, dim=1, last=1)
        # the first position of all gets zeros, those that grow get the key that was kept
        lacking = 1 - (whole.shape[1] - own.shape[1])
        later = functional.pad(whole[:, :-1], (0, 0, 0, 0, lacking, 0))
        later = torch.where(near_BT1[..., None], later, 0.0)
        keys_BTHK = torch.cat([later, others], dim=2)
        return torch.stack([query_key_BT2HK[:, :, 0], keys_BTHK], dim=2)


def attend(query: Tensor, key: Tensor, value: Tensor, allowed_B1TT: Tensor) -> Tensor:
    """softmax(query @ key.T) @ value, [B, H, T, K], over the allowed positions.

    On a CPU the fused kernel takes five times as long as three plain products on sequences of 128
    tokens (docs/LOG.md).
    """
    if query.device.type != "cpu" or query.shape[-2] > LONGEST_PLAIN:
        fused: Tensor = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed_B1TT, scale=1.0
        )
        return fused
    # Added, not filled in: one tensor [B, 1, T, T] serves all heads.
    bias = torch.zeros_like(allowed_B1TT, dtype=query.dtype)
    bias.masked_fill_(~allowed_B1TT, -torch.inf)
    scores_BHTT = (query @ key.mT).add_(bias)
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
        # torch leaves `apply` without types
        inner = _SquaredRectifier.apply(self.up_proj(hidden_BTD))  # type: ignore[no-untyped-call]
        output_BTD: Tensor = self.down_proj(inner)
        return output_BTD


class _SquaredRectifier(torch.autograd.Function):
    """relu(x) squared, in three passes over memory instead of six."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """The square of what is positive."""
        positive = functional.relu(values)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Twice the positive value times the gradient from outside."""
        (positive,) = ctx.saved_tensors
        return torch.mul(gradients[0], positive).mul_(2.0)


class ShortConvolution(nn.Module):
    """Adds to every channel a weighted sum of its last `kernel_size` values (Allen-Zhu 2025).

    Only those of the same document. The weights begin at zero. It looks backwards only, in
    bidirectional sequences too. With a kernel size of 0 it does nothing.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.weight_PD = nn.Parameter(torch.zeros(kernel_size, width)) if kernel_size else None

    def forward(
        self, hidden_BTD: Tensor, near_PBT1: Tensor, past: Past | None = None, name: str = ""
    ) -> Tensor:
        """[B, T, D] to [B, T, D]; `name` says under what `past` keeps the inputs."""
        if self.weight_PD is None:
            return hidden_BTD
        if past is not None:
            positions = hidden_BTD.shape[1]
            whole_BTD = past.joined(name, hidden_BTD, dim=1, last=len(self.weight_PD))
            return self.forward(whole_BTD, near_PBT1)[:, -positions:]
        # torch leaves `apply` without types
        mixed_BTD: Tensor = _CausalMix.apply(  # type: ignore[no-untyped-call]
            hidden_BTD, self.weight_PD.to(hidden_BTD.dtype), near_PBT1.to(hidden_BTD.dtype)
        )
        return mixed_BTD


class _CausalMix(torch.autograd.Function):
    """What `ShortConvolution` adds, in place: a fifth of the memory traffic of plain operations."""

    @staticmethod
    def forward(ctx: Any, hidden_BTD: Tensor, weight_PD: Tensor, near_PBT1: Tensor) -> Tensor:
        """hidden[t] + sum over p of weight[p] * hidden[t - p], inside documents."""
        ctx.save_for_backward(hidden_BTD, weight_PD, near_PBT1)
        mixed_BTD = hidden_BTD.clone()
        for back, (weight_D, near_BT1) in enumerate(zip(weight_PD, near_PBT1, strict=True), 1):
            # near is 0 or 1: before it lies another document, or the same one
            before = hidden_BTD[:, :-back] * near_BT1[:, back:]
            mixed_BTD[:, back:].addcmul_(before, weight_D)
        return mixed_BTD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients of the hidden states and of the weights."""
        hidden_BTD, weight_PD, near_PBT1 = ctx.saved_tensors
        (outer_BTD,) = gradients
        inner_BTD = outer_BTD.clone()
        slopes = []
        for back, (weight_D, near_BT1) in enumerate(zip(weight_PD, near_PBT1, strict=True), 1):
            reached = outer_BTD[:, back:] * near_BT1[:, back:]
            inner_BTD[:, :-back].addcmul_(reached, weight_D)
            slopes.append(reached.mul_(hidden_BTD[:, :-back]).sum((0, 1)))
        return inner_BTD, torch.stack(slopes), None


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

    def forward(
        self, hidden_BTD: Tensor, inputs: AttentionInputs, past: Past | None = None
    ) -> Tensor:
        """[B, T, D] to [B, T, D]; with a `past`, of the positions behind it."""
        near_PBT1 = inputs.near_PBT1
        normal_BTD = as_read(normalize(hidden_BTD))
        mixed_BTD = self.before_attention(normal_BTD, near_PBT1, past, "attention")
        hidden_BTD = hidden_BTD + self.attention(mixed_BTD, inputs, past)
        normal_BTD = as_read(normalize(hidden_BTD))
        mixed_BTD = self.before_feed_forward(normal_BTD, near_PBT1, past, "feed_forward")
        hidden_BTD = hidden_BTD + self.feed_forward(mixed_BTD)
        return hidden_BTD


def normalize(hidden: Tensor) -> Tensor:
    """Layer normalization over the last dimension, without weights.

    On a CPU it is one kernel; root-mean-square normalization is seven.
    """
    normalized: Tensor = functional.layer_norm(hidden, hidden.shape[-1:])
    return normalized


def as_read(hidden: Tensor) -> Tensor:
    """The states in the type in which a linear map reads them: under autocast the lower one."""
    device = hidden.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return hidden.to(torch.get_autocast_dtype(device))
    return hidden


def rotary_table(positions: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, K / 2] for rotary positions with base 10,000."""
    # From one radian a position down to nearly 1 / 10,000 of that.
    exponents = torch.arange(0, width, 2, device=device)
    frequencies = torch.exp(-math.log(10_000.0) * exponents / width)
    angles = torch.arange(positions, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(query_key_BT2HK: Tensor, cosine_TK: Tensor, sine_TK: Tensor) -> Tensor:
    """Turn each pair of channels by its position's angle: [B, T, 2, H, K] to [2, B, H, T, K]."""
    # torch leaves `apply` without types
    turned: Tensor = _Rotation.apply(  # type: ignore[no-untyped-call]
        query_key_BT2HK.permute(2, 0, 3, 1, 4),
        cosine_TK.to(query_key_BT2HK.dtype),
        sine_TK.to(query_key_BT2HK.dtype),
    )
    return turned


class _Rotation(torch.autograd.Function):
    """Rotary positions (Su et al. 2021), written once, in the layout that attention reads."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, cosine_TK: Tensor, sine_TK: Tensor) -> Tensor:
        """[..., T, K] turned, contiguous."""
        ctx.save_for_backward(cosine_TK, sine_TK)
        return _turned(part, cosine_TK, sine_TK)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, turned back."""
        cosine_TK, sine_TK = ctx.saved_tensors
        return _turned(gradients[0], cosine_TK, -sine_TK), None, None


def _turned(part: Tensor, cosine_TK: Tensor, sine_TK: Tensor) -> Tensor:
    """Channel i of the first half makes a pair with channel i of the second."""
    first, second = part.chunk(2, dim=-1)
    turned = torch.empty_like(part, memory_format=torch.contiguous_format)
    turned_first, turned_second = turned.chunk(2, dim=-1)
    # in place, because torch.compile makes no graph of `out=` in a part of a tensor
    turned_first.copy_(first).mul_(cosine_TK).addcmul_(second, sine_TK, value=-1.0)
    turned_second.copy_(second).mul_(cosine_TK).addcmul_(first, sine_TK)
    return turned


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
