"""Vectors of sentences: a slow reference, what a unit may change, what a view may know."""

from __future__ import annotations

import math

import pytest
import tiktoken
import torch
from contrasting import assert_same_loss_and_gradients, seeded
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import magnitude_of, sentence_vectors_loop

from ssl_lib.batches.corruption import corrupted_view
from ssl_lib.batches.datasets import padded_batch
from ssl_lib.batches.views import View
from ssl_lib.config import DenoisingSettings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.contrastive.sentence_encoder import (
    DIGIT_FREQUENCIES,
    LOG10_PER_WEIGHT,
    MAGNITUDE_FREQUENCIES,
    MAGNITUDE_SHARE,
    SHIFT_FREQUENCIES,
    TEXT_SHARE,
    UNIT_OFFSETS,
    SentenceEncoder,
    WrittenNumbers,
    numbers_in_view,
    written_numbers,
)
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.encodings import train_encoding

WIDTH, ENTRIES, SEPARATOR = 16, 12, 7
WIDE = 2 * (len(DIGIT_FREQUENCIES) + len(MAGNITUDE_FREQUENCIES))


def encoder_of(seed: int = 0, width: int = WIDTH) -> SentenceEncoder:
    torch.manual_seed(seed)
    encoder = SentenceEncoder(width, torch.arange(ENTRIES) == SEPARATOR, torch.zeros(ENTRIES))
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return encoder


def plain_view(encoding: tiktoken.Encoding, text: str) -> View:
    batch, nothing = (
        padded_batch(tokenize_texts(encoding, [text])),
        torch.zeros(0, dtype=torch.int64),
    )
    return View(batch.token_ids_BT, batch.document_ids_BT, False, nothing, nothing)


def test_vectors_and_gradients_equal_the_loop() -> None:
    encoder, hidden_RTD = (
        encoder_of(),
        torch.randn(3, 7, WIDTH, generator=seeded(), requires_grad=True),
    )
    span_RT = torch.tensor(
        [[0, 0, 0, 1, 1, -1, -1], [2, -1, 2, 2, 3, 3, 3], [-1, 4, 4, 4, 4, 4, -1]]
    )
    log10_RT = torch.randn(3, 7, generator=seeded(1), dtype=torch.float64) * 2.0
    log10_RT[torch.rand(3, 7, generator=seeded(2)) < 0.5] = math.nan
    log10_RT[1, 4:] = math.nan  # a span without a number
    written = WrittenNumbers(torch.randint(ENTRIES, (3, 7), generator=seeded(4)), log10_RT)
    ids, log10, spans = (each.flatten().tolist() for each in (*written, span_RT))
    numbers = [
        place for place, value in enumerate(log10) if math.isfinite(value) and spans[place] >= 0
    ]
    slow_magnitudes = {
        place: magnitude_of(
            encoder, UNIT_OFFSETS, LOG10_PER_WEIGHT, SEPARATOR, ids, log10, spans, place
        )
        for place in numbers
    }
    magnitudes = encoder.magnitudes(written, span_RT, torch.tensor(numbers))
    slow_S = torch.stack([*slow_magnitudes.values()]).float()
    torch.testing.assert_close(magnitudes, slow_S, rtol=1e-5, atol=1e-5)
    slope_S, units = torch.randn(len(numbers), generator=seeded(5)), encoder.unit_log10.weight
    gradients = [
        torch.autograd.grad((each * slope_S).sum(), units)[0] for each in (magnitudes, slow_S)
    ]
    torch.testing.assert_close(gradients[0] * LOG10_PER_WEIGHT, gradients[1], rtol=1e-5, atol=1e-5)
    slow_magnitudes = {place: value.detach() for place, value in slow_magnitudes.items()}
    fast = encoder(hidden_RTD, written, span_RT, 5)
    frequencies = (DIGIT_FREQUENCIES, SHIFT_FREQUENCIES, MAGNITUDE_FREQUENCIES)
    slow = sentence_vectors_loop(
        encoder, frequencies, TEXT_SHARE, slow_magnitudes, hidden_RTD.flatten(0, 1), log10, spans
    )
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    weights_ND = torch.randn(5, WIDTH, generator=seeded(3))
    inputs = [hidden_RTD, *(weight for weight in encoder.parameters() if weight is not units)]
    assert_same_loss_and_gradients((fast * weights_ND).sum(), (slow * weights_ND).sum(), inputs)


def vector_of(encoder: SentenceEncoder, log10: float, unit: int) -> torch.Tensor:
    """The vector of one number and the token behind it, whatever stands around them."""
    written = WrittenNumbers(
        torch.tensor([[0, unit]]), torch.tensor([[log10, math.nan]], dtype=torch.float64)
    )
    hidden_RTD = torch.randn(1, 2, encoder.text.in_features, generator=seeded())
    return encoder(hidden_RTD, written, torch.zeros(1, 2, dtype=torch.int64), 1)[0].detach()


def expected_similarity(apart: float) -> float:
    """The cosine of amounts `apart` orders of magnitude: the features' cosines by their shares."""
    digits = [
        math.cos(2 * math.pi * apart * (frequency + SHIFT_FREQUENCIES[n % 2]))
        for n, frequency in enumerate(DIGIT_FREQUENCIES)
    ]
    low = [math.cos(2 * math.pi * apart * frequency) for frequency in MAGNITUDE_FREQUENCIES]
    return (1 - MAGNITUDE_SHARE) * sum(digits) / len(digits) + MAGNITUDE_SHARE * sum(low) / len(low)


@budget(max_examples=60, deadline=None)
@given(log10=st.floats(-3, 6), apart=st.floats(0, 3))
def test_the_cosine_of_two_amounts_is_the_mean_cosine_of_their_phases(
    log10: float, apart: float
) -> None:
    """Where nothing is said beside them."""
    encoder = encoder_of(width=WIDE)
    with torch.no_grad():
        encoder.text.weight.zero_()
        encoder.text.bias.zero_()  # nothing is said
    first, second = (vector_of(encoder, log10 + each, unit=0) for each in (0.0, apart))
    assert math.isclose(float(first @ second), expected_similarity(apart), abs_tol=1e-4)


def test_three_per_cent_is_nearer_than_any_power_of_ten() -> None:
    near = expected_similarity(math.log10(1.03))
    assert all(expected_similarity(power) < near / 2 for power in range(1, 7))
    assert expected_similarity(math.log10(1.001)) > 0.95
    assert expected_similarity(0.0) == pytest.approx(1.0)


@budget(max_examples=40, deadline=None)
@given(log10=st.floats(-3, 6), power=st.integers(1, 6), factor=st.floats(0.001, 0.95))
def test_a_unit_that_is_worth_a_power_of_ten_stands_for_it(
    log10: float, power: int, factor: float
) -> None:
    """5 km is 5,000 m once the model knows what km adds, and neither 5 m nor 6 km."""
    encoder = encoder_of()
    with torch.no_grad():
        encoder.unit_log10.weight.zero_()
        encoder.unit_log10.weight[1, UNIT_OFFSETS.index(1)] = power / LOG10_PER_WEIGHT
    large = vector_of(encoder, log10, unit=1)
    torch.testing.assert_close(vector_of(encoder, log10 + power, unit=0), large, rtol=0, atol=1e-4)
    for other in (
        vector_of(encoder, log10, unit=0),
        vector_of(encoder, log10 + factor, unit=1),
    ):
        assert float((other - large).norm()) > 1e-3


def test_scale_words_are_known_from_the_start() -> None:
    """An untrained model gives 35 million and 35,000,000 one magnitude; kilometres it knows not."""
    encoding = train_encoding(
        ["A million dollars or a thousand of them, and kilometres. " * 9], 1400, "right3"
    )
    trunk = Trunk(TrunkShape(encoding.n_vocab, width=32, layers=1, heads=2), encoding)
    encoder = SentenceEncoder(
        32, trunk.columns.point_V | trunk.columns.comma_V, trunk.columns.scale_log10_V
    )
    for text, magnitude in (
        ("It cost 35 million.", math.log10(35e6)),
        ("It cost 35 million dollars.", math.log10(35e6)),
        ("It cost 35,000,000.", math.log10(35e6)),
        ("It cost 2.5 thousand.", math.log10(2500)),
        ("It is 35 kilometres long.", math.log10(35)),
    ):
        written = numbers_in_view(trunk, plain_view(encoding, text))
        at_S = written.log10_RT.flatten().isfinite().nonzero()[:, 0]
        (found,) = encoder.magnitudes(written, torch.zeros_like(written.ids_RT), at_S).tolist()
        assert math.isclose(found, magnitude, abs_tol=1e-4), text


def test_values_stand_at_the_last_digits_of_their_numbers(
    trunk: Trunk, encoding: tiktoken.Encoding
) -> None:
    view = plain_view(encoding, "The sum of 12,345.5 and 0 is it.")
    found = numbers_in_view(trunk, view).log10_RT[0]
    assert [round(10.0 ** float(each), 6) for each in found[found.isfinite()]] == [12345.5]
    assert numbers_in_view(trunk, plain_view(encoding, "No number here.")).log10_RT.isnan().all()


def test_without_a_number_embedding_no_value_is_known(encoding: tiktoken.Encoding) -> None:
    shape = TrunkShape(encoding.n_vocab, width=32, layers=1, heads=2, number_embedding="none")
    assert (
        numbers_in_view(Trunk(shape, encoding), plain_view(encoding, "It is 12,345."))
        .log10_RT.isnan()
        .all()
    )


@pytest.mark.parametrize("kinds", [{}, {"deletion_share": 0.5}])
def test_a_view_knows_the_values_that_it_shows_at_their_clean_positions(
    trunk: Trunk, encoding: tiktoken.Encoding, kinds: dict[str, float]
) -> None:
    batch = padded_batch(
        tokenize_texts(encoding, ["The sum of 12,345.5 and 67 is 12,412.5 in all of 98 cases."] * 8)
    )
    settings = DenoisingSettings(batch_fraction=1.0, noise_rate=0.4, **kinds)
    view = corrupted_view(batch, trunk.vocabulary, settings, seeded(5))
    shown_RT = written_numbers(trunk, view.ids_RT, view.document_ids_RT).log10_RT
    ids_RT, at_clean_RT = numbers_in_view(trunk, view)
    width = batch.token_ids_BT.shape[1]
    for row in range(8):
        for place in range(width):
            source = (
                row * width + place
                if view.source_N is None
                else int(view.source_N[row * width + place])
            )
            if source >= 0:
                assert ids_RT[row, place] == view.ids_RT.flatten()[source]
                torch.testing.assert_close(
                    at_clean_RT[row, place],
                    shown_RT.flatten()[source],
                    rtol=0,
                    atol=0,
                    equal_nan=True,
                )
    clean_RT = written_numbers(trunk, *batch[:2]).log10_RT
    assert (at_clean_RT.nan_to_num(-1.0) != clean_RT.nan_to_num(-1.0)).any()
