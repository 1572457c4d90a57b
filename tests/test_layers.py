"""Attention and short convolutions against their definitions, and which layers sequences take."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch.nn import functional

from ssl_lib.model.layers import (
    LONGEST_PLAIN,
    Attention,
    AttentionInputs,
    Block,
    FeedForward,
    ShortConvolution,
    attend,
    attention_mask,
    normalize,
    rotary_table,
    rotate,
    same_document_before,
)
from ssl_lib.model.trunk import MODES, Trunk, TrunkShape
from tests.reference import slow_attention, slow_keys_of_the_position_before, slow_short_convolution

SEQUENCES, HEADS, POSITIONS, WIDTH = 2, 3, 9, 8


def _parts(positions: int = POSITIONS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(SEQUENCES, HEADS, positions, WIDTH, generator=generator, requires_grad=True)
        for _ in range(3)
    ]


def _allowed(positions: int = POSITIONS) -> torch.Tensor:
    """A causal sequence and one of two documents."""
    allowed_BTT = torch.ones(SEQUENCES, positions, positions, dtype=torch.bool)
    allowed_BTT[0] = allowed_BTT[0].tril()
    allowed_BTT[1, :4, 4:] = allowed_BTT[1, 4:, :4] = False
    return allowed_BTT[:, None]


def test_attention_is_the_weighted_mean_of_the_allowed_values() -> None:
    query, key, value = _parts()
    expected = slow_attention(query, key, value, _allowed())
    torch.testing.assert_close(
        attend(query / query.shape[-1] ** 0.5, key, value, _allowed()),
        expected,
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("positions", [POSITIONS, LONGEST_PLAIN + 1])
def test_plain_and_fused_attention_have_the_same_gradients(positions: int) -> None:
    parts, allowed = _parts(positions), _allowed(positions)
    fused = functional.scaled_dot_product_attention(*parts, attn_mask=allowed)
    expected = torch.autograd.grad(fused.square().sum(), parts)
    query, key, value = parts
    mixed = attend(query / WIDTH**0.5, key, value, allowed)
    found = torch.autograd.grad(mixed.square().sum(), parts)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def _around(documents_BT: torch.Tensor, causal_B: torch.Tensor, width: int) -> AttentionInputs:
    rotation = rotary_table(documents_BT.shape[1], width, documents_BT.device)
    return AttentionInputs(
        attention_mask(documents_BT, causal_B), rotation, same_document_before(documents_BT, 1)
    )


@pytest.mark.parametrize("induction_heads", [0, 1, 3])
def test_induction_heads_see_the_key_of_the_position_before(induction_heads: int) -> None:
    torch.manual_seed(0)
    attention = Attention(HEADS * WIDTH, HEADS, 2, induction_heads)
    torch.nn.init.normal_(attention.query_key_value.weight)
    hidden_BTD, documents_BT = (
        torch.randn(2, POSITIONS, HEADS * WIDTH),
        torch.tensor([[0] * 9, [3] * 4 + [5] * 5]),
    )
    around = _around(documents_BT, torch.tensor([True, False]), WIDTH)
    projected = (hidden_BTD @ attention.query_key_value.weight.T).view(
        2, POSITIONS, 3, HEADS, WIDTH
    )
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    key = slow_keys_of_the_position_before(key, documents_BT, induction_heads)
    query_key = torch.stack([query, key]).permute(1, 3, 0, 2, 4)
    query, key = rotate(normalize(query_key), *around.rotation)
    mixed = slow_attention(query, key, value, around.allowed_B1TT).transpose(1, 2).flatten(2)
    expected = mixed @ attention.output.weight.T
    torch.testing.assert_close(attention(hidden_BTD, around), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("induction_heads", [0, 1])
def test_an_induction_head_begins_by_looking_at_what_followed_the_same_token(
    induction_heads: int,
) -> None:
    """Of twelve random tokens said twice; values are codes of positions, as is the output."""
    torch.manual_seed(0)
    width, tokens = 32, 12
    attention = Attention(2 * width, 2, 1, induction_heads)
    weight_3HKD = attention.query_key_value.weight.data.view(3, 2, width, 2 * width)
    weight_3HKD[:2, 0, :, :width] = 0.0
    weight_3HKD[2, 0] = torch.eye(width, 2 * width)
    attention.output.weight.data = torch.eye(2 * width)
    hidden_TD = torch.cat(
        [torch.eye(2 * tokens, width), torch.randn(tokens, width).repeat(2, 1)], dim=1
    )
    around = _around(torch.zeros(1, 2 * tokens, dtype=torch.long), torch.tensor([True]), width)
    looked_at_T = attention(hidden_TD[None], around)[0, tokens:, :width].argmax(-1)
    followed = looked_at_T == torch.arange(1, tokens + 1)
    assert followed.sum() >= tokens - 1 if induction_heads else followed.sum() <= tokens // 3


def _trunk(**shape: int) -> Trunk:
    torch.manual_seed(0)
    trunk = Trunk(TrunkShape(vocab_size=40, width=16, layers=2, heads=2, **shape)).eval()
    for block in trunk.all_blocks:
        for part in (block.before_attention, block.before_feed_forward):
            if part.weight_PD is not None:
                torch.nn.init.normal_(part.weight_PD)
    return trunk


def _sequences() -> tuple[torch.Tensor, torch.Tensor]:
    ids_BT = torch.randint(40, (4, 12), generator=torch.Generator().manual_seed(2))
    documents_BT = torch.zeros_like(ids_BT)
    documents_BT[:, 7:] = 1
    return ids_BT, documents_BT


def test_short_convolution_is_the_weighted_sum_of_the_positions_before() -> None:
    mix = ShortConvolution(5, 3)
    torch.nn.init.normal_(mix.weight_PD)
    hidden_BTD, documents_BT = torch.randn(2, 9, 5), torch.tensor([[0] * 4 + [1] * 5, [3] * 9])
    found = mix(hidden_BTD, same_document_before(documents_BT, 3))
    torch.testing.assert_close(
        found, slow_short_convolution(hidden_BTD, documents_BT, mix.weight_PD)
    )


def test_sequences_go_through_the_layers_of_their_mode() -> None:
    trunk = _trunk(mode_specific_layers=1, short_convolution=2)
    ids_BT, documents_BT = _sequences()
    mixed = trunk(ids_BT, documents_BT, torch.tensor([True, False, True, False]))
    for place, causal in enumerate([True, False, True, False]):
        alone = trunk(
            ids_BT[place : place + 1], documents_BT[place : place + 1], torch.tensor([causal])
        )
        torch.testing.assert_close(mixed[place : place + 1], alone)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_specific_layer_moves_the_sequences_of_its_mode_alone(mode: str) -> None:
    trunk = _trunk(mode_specific_layers=1, short_convolution=2)
    ids_BT, documents_BT = _sequences()
    causal_B = torch.tensor([True, True, False, False])
    before = trunk(ids_BT, documents_BT, causal_B)
    with torch.no_grad():
        trunk.mode_specific_blocks[mode][0].feed_forward.up_proj.weight.mul_(2.0)
    changed_B = (trunk(ids_BT, documents_BT, causal_B) != before).flatten(1).any(1)
    assert changed_B.tolist() == (causal_B if mode == "causal" else ~causal_B).tolist()


@pytest.mark.parametrize("kernel_size", [0, 3])
def test_a_document_and_the_past_are_all_that_a_causal_sequence_sees(kernel_size: int) -> None:
    trunk = _trunk(mode_specific_layers=1, short_convolution=kernel_size, induction_heads=1)
    ids_BT, documents_BT = _sequences()
    causal_B = torch.ones(4, dtype=torch.bool)
    before = trunk(ids_BT, documents_BT, causal_B)
    other_BT = ids_BT.clone()
    other_BT[:, 6] = (ids_BT[:, 6] + 1) % 40  # the last position of the first document
    changed_T = (trunk(other_BT, documents_BT, causal_B) != before).any(2).any(0)
    assert changed_T.tolist() == [False] * 6 + [True] + [False] * 5


def test_the_first_layer_alone_has_induction_heads() -> None:
    found = {}
    for specific in range(3):
        trunk = _trunk(mode_specific_layers=specific, induction_heads=2)
        found[specific] = [block.attention.induction_heads for block in trunk.all_blocks]
    assert found == {0: [2, 0], 1: [2, 0, 0], 2: [2, 0, 2, 0]}


def test_more_induction_heads_than_heads_are_an_error() -> None:
    with pytest.raises(ValueError, match="induction_heads must be at most heads = 2, got 3"):
        _trunk(induction_heads=3)


def test_more_mode_specific_layers_than_layers_are_an_error() -> None:
    with pytest.raises(ValueError, match="mode_specific_layers must be at most layers = 2, got 3"):
        _trunk(mode_specific_layers=3)


def test_rotation_multiplies_pairs_of_channels_by_complex_numbers() -> None:
    torch.manual_seed(0)
    part = torch.randn(2, 7, 2, 3, 8, dtype=torch.float64)
    cosine_TK, sine_TK = (table.double() for table in rotary_table(7, 8, part.device))
    pairs = torch.complex(part[..., :4], part[..., 4:])
    turned = pairs * torch.complex(cosine_TK, sine_TK)[:, None, None]
    expected = torch.cat([turned.real, turned.imag], dim=-1).permute(2, 0, 3, 1, 4)
    torch.testing.assert_close(rotate(part, cosine_TK, sine_TK), expected)


def test_gradients_of_the_hand_written_functions_are_those_of_differences() -> None:
    """By finite differences: rotation, short convolution over a border, squared rectifier."""
    torch.manual_seed(0)
    tables = [table.double() for table in rotary_table(5, 4, torch.device("cpu"))]
    part = torch.randn(2, 5, 2, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: rotate(values, *tables), part)

    convolution = ShortConvolution(4, 3).double()
    hidden_BTD = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    weight_PD = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    near_PBT1 = same_document_before(torch.tensor([[0, 0, 1, 1, 1, -1], [4] * 6]), 3)

    def convolved(hidden_BTD: torch.Tensor, weight_PD: torch.Tensor) -> torch.Tensor:
        weights = {"weight_PD": weight_PD}
        return torch.func.functional_call(convolution, weights, (hidden_BTD, near_PBT1))

    assert torch.autograd.gradcheck(convolved, (hidden_BTD, weight_PD))

    feed_forward = FeedForward(4, 1).double()
    assert torch.autograd.gradcheck(feed_forward, hidden_BTD)


@pytest.mark.skipif(
    not any(shutil.which(name) for name in ("g++", "clang++")), reason="no C++ compiler"
)
def test_a_block_compiles_as_one_graph_with_the_same_gradients() -> None:
    block = Block(16, heads=2, layers=2, kernel_size=2, induction_heads=1)
    torch.nn.init.normal_(block.before_attention.weight_PD)
    documents = torch.tensor([[0] * 9, [1] * 4 + [2] * 5])
    inputs = AttentionInputs(
        attention_mask(documents, torch.tensor([True, False])),
        rotary_table(9, 8, documents.device),
        same_document_before(documents, 2),
    )
    hidden = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(2), requires_grad=True)
    read = [hidden, *block.parameters()]
    plain = block(hidden, inputs)
    expected = torch.autograd.grad(plain.square().sum(), read)
    # with fullgraph whatever does not fit into one graph is an error
    compiled = torch.compile(block, fullgraph=True, dynamic=False)(hidden, inputs)
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)
    found = torch.autograd.grad(compiled.square().sum(), read)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_model_of_124_million_weights_has_its_shapes_without_memory() -> None:
    # numbers are looked for by their values, which a meta device has not
    shape = TrunkShape(width=768, layers=12, heads=12, short_convolution=3, number_embedding="none")
    trunk = Trunk(shape).to("meta")
    with torch.device("meta"):
        ids = torch.zeros(4, 1024, dtype=torch.int64)
        hidden = trunk(ids, torch.zeros_like(ids), torch.ones(4, dtype=torch.bool))
    assert hidden.shape == (4, 1024, 768)
    assert 120e6 < sum(parameter.numel() for parameter in trunk.parameters()) < 130e6
