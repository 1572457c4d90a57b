"""A plain GPT in float32, as a tutorial would write it: what a step of training may cost.

Shapes: B sequences, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention


class Size(NamedTuple):
    """Of a model and its batch."""

    layers: int
    width: int
    heads: int
    vocabulary: int
    context: int
    sequences: int


class Block(nn.Module):
    """Pre-norm attention and feed-forward (Radford et al. 2019)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.before_attention = nn.LayerNorm(size.width)
        self.query_key_value = nn.Linear(size.width, 3 * size.width)
        self.output = nn.Linear(size.width, size.width)
        self.before_feed_forward = nn.LayerNorm(size.width)
        self.up_proj = nn.Linear(size.width, 4 * size.width)
        self.down_proj = nn.Linear(4 * size.width, size.width)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        sequences, positions, width = hidden_BTD.shape
        projected = self.query_key_value(self.before_attention(hidden_BTD))
        split = projected.view(sequences, positions, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        mixed_BTD = mixed.transpose(1, 2).reshape(sequences, positions, width)
        hidden_BTD = hidden_BTD + self.output(mixed_BTD)
        inner = gelu(self.up_proj(self.before_feed_forward(hidden_BTD)))
        return hidden_BTD + self.down_proj(inner)


class PlainGPT(nn.Module):
    """Learned positions, tied vocabulary, next-token loss."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.context, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """The mean next-token loss in nats."""
        hidden_BTD = self.tokens(ids_BT) + self.positions.weight[: ids_BT.shape[1]]
        for block in self.blocks:
            hidden_BTD = block(hidden_BTD)
        logits_BTV = self.norm(hidden_BTD) @ self.tokens.weight.T
        return cross_entropy(logits_BTV[:, :-1].flatten(0, 1), ids_BT[:, 1:].flatten())


def plain_step(model: nn.Module, loss_of: str = "") -> Callable[[Tensor], None]:
    """A function that takes ids [B, T] and makes one step of fused AdamW, gradients clipped."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def step(ids_BT: Tensor) -> None:
        if loss_of:
            loss = getattr(model(input_ids=ids_BT, labels=ids_BT), loss_of)
        else:
            loss = model(ids_BT)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
