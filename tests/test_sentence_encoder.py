"""Vectors of sentences: their slow reference, what a unit of measure may change, what a view may know."""

from __future__ import annotations

import math

import pytest
import tiktoken
import torch
from contrasting import assert_same_loss_and_gradients, seeded
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import sentence_vectors_loop

from ssl_lib.batches.datasets import padded_batch
from ssl_lib.batches.noising import noised_view
from ssl_lib.batches.views import View
from ssl_lib.config import DenoisingSettings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.sentence_encoder import COARSE, FINE, SentenceEncoder, log_values, logarithms
from ssl_lib.tokens.alignment import tokenize_texts

WIDTH = 16


def encoder_of(seed: int = 0) -> SentenceEncoder:
    torch.manual_seed(seed)
    encoder = SentenceEncoder(WIDTH)
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return encoder


def plain_view(encoding: tiktoken.Encoding, text: str) -> View:
    batch, nothing = padded_batch(tokenize_texts(encoding, [text])), torch.zeros(0, dtype=torch.int64)
    return View(batch.token_ids_BT, batch.document_ids_BT, False, nothing, nothing)


def test_vectors_and_gradients_equal_the_loop() -> None:
    encoder, hidden_RTD = encoder_of(), torch.randn(3, 7, WIDTH, generator=seeded(), requires_grad=True)
    span_RT = torch.tensor([[0, 0, 0, 1, 1, -1, -1], [2, -1, 2, 2, 3, 3, 3], [-1, 4, 4, 4, 4, 4, -1]])
    decades_RT = torch.randn(3, 7, generator=seeded(1), dtype=torch.float64) * 2.0
    decades_RT[torch.rand(3, 7, generator=seeded(2)) < 0.5] = math.nan
    decades_RT[1, 4:] = math.nan  # a span without a number
    fast = encoder(hidden_RTD, decades_RT, span_RT, 5)
    slow = sentence_vectors_loop(encoder, FINE, COARSE, hidden_RTD, decades_RT, span_RT)
    weights_ND = torch.randn(5, WIDTH, generator=seeded(3))
    inputs = [hidden_RTD, *encoder.parameters()]
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    assert_same_loss_and_gradients((fast * weights_ND).sum(), (slow * weights_ND).sum(), inputs)


@budget(max_examples=40, deadline=None)
@given(value=st.floats(1e-3, 1e6), power=st.integers(-6, 6), factor=st.floats(1.001, 9.0))
def test_a_power_of_ten_leaves_a_number_what_it_is_and_another_factor_does_not(
    value: float, power: int, factor: float
) -> None:
    """As long as no unit is known to differ, and magnitudes are left out."""
    encoder = encoder_of()
    with torch.no_grad():
        encoder.unit_shift.weight.zero_()
        for half in encoder.numbers.weight.chunk(2, dim=1):
            half[:, len(FINE) :] = 0.0
    hidden_RTD, span_RT = torch.randn(1, 1, WIDTH, generator=seeded()), torch.zeros(1, 1, dtype=torch.int64)

    def vector(number: float) -> torch.Tensor:
        return encoder(hidden_RTD, torch.tensor([[math.log10(number)]], dtype=torch.float64), span_RT, 1)[0]

    torch.testing.assert_close(vector(value * 10.0**power), vector(value), rtol=0, atol=1e-4)
    assert float((vector(value * factor) - vector(value)).detach().norm()) > 1e-3


def test_values_are_those_of_the_digits_so_far(trunk: Trunk, encoding: tiktoken.Encoding) -> None:
    view = plain_view(encoding, "The sum of 12,345.5 and 0 is it.")
    found = log_values(trunk, view)[0]
    values = [round(10.0 ** float(each), 6) for each in found[found.isfinite()]]
    assert values[-1] == 12345.5
    assert 12345.0 in values
    assert log_values(trunk, plain_view(encoding, "No number here."))[0].isnan().all()


def test_without_a_number_embedding_no_value_is_known(encoding: tiktoken.Encoding) -> None:
    shape = TrunkShape(encoding.n_vocab, width=32, layers=1, heads=2, number_embedding="none")
    assert log_values(Trunk(shape, encoding), plain_view(encoding, "It is 12,345.")).isnan().all()


@pytest.mark.parametrize("kinds", [{}, {"deletion_share": 0.5}])
def test_a_view_knows_the_values_that_it_shows_at_their_clean_positions(
    trunk: Trunk, encoding: tiktoken.Encoding, kinds: dict[str, float]
) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["The sum of 12,345.5 and 67 is 12,412.5 in all of 98 cases."] * 8))
    settings = DenoisingSettings(rows=1.0, noise_rate=0.4, **kinds)
    view = noised_view(batch, trunk.vocabulary, settings, seeded(5))
    shown_RT, at_clean_RT = logarithms(trunk, view.ids_RT, view.document_ids_RT), log_values(trunk, view)
    width = batch.token_ids_BT.shape[1]
    for row in range(8):
        for place in range(width):
            source = row * width + place if view.source_N is None else int(view.source_N[row * width + place])
            if source >= 0:
                torch.testing.assert_close(
                    at_clean_RT[row, place], shown_RT.flatten()[source], rtol=0, atol=0, equal_nan=True
                )
    assert (at_clean_RT.nan_to_num(-1.0) != logarithms(trunk, *batch[:2]).nan_to_num(-1.0)).any()
