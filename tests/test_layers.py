"""Attention against its definition, one position at a time."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ssl_lib.model.layers import LONGEST_PLAIN, attend
from tests.reference import slow_attention

ROWS, HEADS, POSITIONS, WIDTH = 2, 3, 9, 8


def _parts(positions: int = POSITIONS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(ROWS, HEADS, positions, WIDTH, generator=generator, requires_grad=True) for _ in range(3)]


def _allowed(positions: int = POSITIONS) -> torch.Tensor:
    """A causal row and a row of two documents."""
    allowed_RTT = torch.ones(ROWS, positions, positions, dtype=torch.bool)
    allowed_RTT[0] = allowed_RTT[0].tril()
    allowed_RTT[1, :4, 4:] = allowed_RTT[1, 4:, :4] = False
    return allowed_RTT[:, None]


def test_attention_is_the_weighted_mean_of_the_allowed_values() -> None:
    query, key, value = _parts()
    expected = slow_attention(query, key, value, _allowed())
    torch.testing.assert_close(attend(query, key, value, _allowed()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("positions", [POSITIONS, LONGEST_PLAIN + 1])
def test_plain_and_fused_attention_have_the_same_gradients(positions: int) -> None:
    parts, allowed = _parts(positions), _allowed(positions)
    fused = functional.scaled_dot_product_attention(*parts, attn_mask=allowed)
    expected = torch.autograd.grad(fused.square().sum(), parts)
    found = torch.autograd.grad(attend(*parts, allowed).square().sum(), parts)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
