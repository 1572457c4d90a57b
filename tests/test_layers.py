"""Attention and short convolutions against their definitions, and which rows go through which layers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ssl_lib.model.layers import LONGEST_PLAIN, ShortConvolution, attend
from ssl_lib.model.trunk import MODES, Trunk, TrunkShape, same_document_before
from tests.reference import slow_attention, slow_short_convolution

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


def _trunk(**shape: int) -> Trunk:
    torch.manual_seed(0)
    trunk = Trunk(TrunkShape(vocab_size=40, width=16, layers=2, heads=2, **shape)).eval()
    for block in trunk.all_blocks:
        for part in (block.before_attention, block.before_feed_forward):
            if part.weight_PD is not None:
                torch.nn.init.normal_(part.weight_PD)
    return trunk


def _rows() -> tuple[torch.Tensor, torch.Tensor]:
    ids_RT = torch.randint(40, (4, 12), generator=torch.Generator().manual_seed(2))
    documents_RT = torch.zeros_like(ids_RT)
    documents_RT[:, 7:] = 1
    return ids_RT, documents_RT


def test_short_convolution_is_the_weighted_sum_of_the_positions_before() -> None:
    mix = ShortConvolution(5, 3)
    torch.nn.init.normal_(mix.weight_PD)
    hidden_RTD, documents_RT = torch.randn(2, 9, 5), torch.tensor([[0] * 4 + [1] * 5, [3] * 9])
    found = mix(hidden_RTD, same_document_before(documents_RT, 3))
    torch.testing.assert_close(found, slow_short_convolution(hidden_RTD, documents_RT, mix.weight_PD))


def test_rows_go_through_the_private_layers_of_their_kind() -> None:
    trunk = _trunk(private_layers=1, short_convolution=2)
    ids_RT, documents_RT = _rows()
    mixed = trunk(ids_RT, documents_RT, torch.tensor([True, False, True, False]))
    for row, causal in enumerate([True, False, True, False]):
        alone = trunk(ids_RT[row : row + 1], documents_RT[row : row + 1], torch.tensor([causal]))
        torch.testing.assert_close(mixed[row : row + 1], alone)


@pytest.mark.parametrize("mode", MODES)
def test_a_private_layer_moves_the_rows_of_its_kind_alone(mode: str) -> None:
    trunk = _trunk(private_layers=1, short_convolution=2)
    ids_RT, documents_RT = _rows()
    causal_R = torch.tensor([True, True, False, False])
    before = trunk(ids_RT, documents_RT, causal_R)
    with torch.no_grad():
        trunk.private_blocks[mode][0].feed_forward.rise.weight.mul_(2.0)
    changed_R = (trunk(ids_RT, documents_RT, causal_R) != before).flatten(1).any(1)
    assert changed_R.tolist() == (causal_R if mode == "causal" else ~causal_R).tolist()


def test_a_document_and_the_past_are_all_that_a_causal_row_sees() -> None:
    trunk = _trunk(private_layers=1, short_convolution=3)
    ids_RT, documents_RT = _rows()
    causal_R = torch.ones(4, dtype=torch.bool)
    before = trunk(ids_RT, documents_RT, causal_R)
    other_RT = ids_RT.clone()
    other_RT[:, 6] = (ids_RT[:, 6] + 1) % 40  # the last position of the first document
    changed_T = (trunk(other_RT, documents_RT, causal_R) != before).any(2).any(0)
    assert changed_T.tolist() == [False] * 6 + [True] + [False] * 5


def test_more_private_layers_than_layers_are_an_error() -> None:
    with pytest.raises(ValueError, match="private_layers must be at most layers = 2, got 3"):
        _trunk(private_layers=3)
