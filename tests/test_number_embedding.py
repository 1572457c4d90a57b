"""Values of numbers inside the model against a reader of one token after the other."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import Entry, complete_numbers
from reference import running_numbers as running_numbers_loop
from torch import Tensor

from ssl_lib.model.number_embedding import make_number_embedding
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.numbers import find_numbers
from ssl_lib.tokens.encodings import encode, train_encoding
from ssl_lib.tokens.running_values import (
    LARGEST,
    RunningNumber,
    running_numbers,
    vocabulary_tensors,
)
from ssl_lib.tokens.vocabulary import vocabulary_table

KINDS = ("value", "log_value", "exponent_bins", "fourier", "place_value")
PIECES = ["7", "42", "007", "123", "999", "0", ".", ",", " ", " the", "-", "x"]


def entries_of(encoding: tiktoken.Encoding, ids: list[int]) -> list[Entry]:
    """What each id is, read off its text."""
    found = []
    for token in ids:
        text = encoding.decode([token])
        bare = text.removeprefix(" ")
        digits = len(bare) if bare.isascii() and bare.isdigit() else 0
        found.append(
            Entry(
                digits,
                float(bare) if digits else 0.0,
                text.startswith(" "),
                text == ".",
                text == ",",
            )
        )
    return found


def read(
    encoding: tiktoken.Encoding, ids: Tensor, documents: Tensor | None = None
) -> RunningNumber:
    """Running values of ids [R, T], of one document unless told otherwise."""
    columns = vocabulary_tensors(vocabulary_table(encoding), ids.device)
    return running_numbers(ids, torch.zeros_like(ids) if documents is None else documents, columns)


def check(encoding: tiktoken.Encoding, ids: list[int], documents: list[int]) -> None:
    running = read(encoding, torch.tensor([ids]), torch.tensor([documents]))
    readings = running_numbers_loop(entries_of(encoding, ids), documents)
    assert running.complete[0].tolist() == complete_numbers(readings)
    for index, expected in enumerate(readings):
        assert bool(running.present[0, index]) == (expected is not None)
        if expected is not None:
            assert math.isclose(float(running.value[0, index]), expected.value, rel_tol=1e-9)
            assert int(running.whole_digits[0, index]) == expected.whole
            assert int(running.fraction_digits[0, index]) == expected.fraction


@budget(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.booleans()), min_size=1, max_size=17))
def test_running_numbers_equal_the_state_machine(
    encoding: tiktoken.Encoding, parts: list[tuple[str, bool]]
) -> None:
    ids, documents = [], []
    for piece, border in parts:
        ids.append(
            encoding.encode_single_token(piece) if piece != " the" else encode(encoding, " the")[0]
        )
        documents.append((documents[-1] if documents else 0) + border)
    check(encoding, ids, documents)


def test_running_numbers_of_real_text_equal_the_state_machine(
    encoding: tiktoken.Encoding, texts: list[str]
) -> None:
    for text in texts[::6]:
        ids = encode(encoding, text)
        check(encoding, ids, [0] * len(ids))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0), ("1,234,567", 1234567.0), ("3.14159", 3.14159), ("1,234.5", 1234.5),
        ("0.001", 0.001),
        ("1.5.7", 7.0), ("1,23", 23.0), ("2024, 17", 17.0), ("a,234", 234.0), ("007", 7.0),
        ("1 234", 234.0),
    ],
)  # fmt: skip
def test_value_at_the_last_digit(encoding: tiktoken.Encoding, text: str, value: float) -> None:
    ids = torch.tensor([encode(encoding, text)])
    running = read(encoding, ids)
    assert bool(running.present[0, -1])
    assert math.isclose(float(running.value[0, -1]), value, rel_tol=1e-12)


@functools.cache
def grouped_encoding(digits: str) -> tiktoken.Encoding:
    return train_encoding(["In 2024 it cost 1,234.5 and 7,654,321 in all. " * 3], 1400, digits)


def values_by_end(digits: str, text: str) -> dict[int, float]:
    """The running value at every token of digits, by the place in the text where the token ends."""
    chosen = grouped_encoding(digits)
    ids = encode(chosen, text)
    running = read(chosen, torch.tensor([ids]))
    ends = np.cumsum([len(chosen.decode([token])) for token in ids]).tolist()
    sequences = zip(ends, running.present[0].tolist(), running.value[0].tolist(), strict=True)
    return {end: value for end, present, value in sequences if present}


@pytest.mark.parametrize("digits", ["right3", "left3"])
@budget(max_examples=100, deadline=None)
@given(st.text("0123456789,,. ", min_size=1, max_size=24))
def test_the_value_at_a_digit_does_not_depend_on_the_grouping(digits: str, text: str) -> None:
    single, grouped = values_by_end("single", text), values_by_end(digits, text)
    assert set(grouped) <= set(single)
    for end, value in grouped.items():
        assert math.isclose(value, single[end], rel_tol=1e-9)


@pytest.mark.parametrize("digits", ["right3", "left3", "single"])
@budget(max_examples=60, deadline=None)
@given(st.integers(0, 10**14), st.integers(0, 4), st.booleans())
def test_the_value_at_the_last_digit_is_that_of_the_number(
    digits: str, integer: int, places: int, commas: bool
) -> None:
    text = f"it is {integer / 10**places:{',' if commas else ''}.{places}f}"
    (number,) = find_numbers(text)
    assert math.isclose(values_by_end(digits, text)[number.end], number.value, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("text", "values"),
    [("1,234", [1, 2, 23, 1234]), ("1,2345", [1, 2, 23, 1234, 2345]),
     ("1,2,345", [1, 2, 3, 34, 345]),
     ("1234,567", [1, 12, 123, 1234, 5, 56, 567]), ("1,234.5", [1, 2, 23, 1234, 1234.5]),
     ("1.5,234", [1, 1.5, 2, 23, 234]), ("9,876,543", [9, 8, 87, 9876, 5, 54, 9876543])],
)  # fmt: skip
def test_single_digits_join_at_thousands_commas(text: str, values: list[float]) -> None:
    assert list(values_by_end("single", text).values()) == values


def test_a_number_grows_with_its_digits_and_never_looks_ahead(encoding: tiktoken.Encoding) -> None:
    ids = torch.tensor([encode(encoding, "12345678")])
    values = read(encoding, ids).value[0].tolist()
    assert values == [12.0, 12345.0, 12345678.0]


@pytest.mark.parametrize("digits", ["right3", "left3", "single"])
@pytest.mark.parametrize(
    ("text", "ends"),
    [("It cost 1,234.5 or 82,028,000.", [1234.5, 82028000.0]),
     ("1,2,345 and 3.4.5", [1.0, 2.0, 345.0, 3.4, 5.0]),
     ("12,34567", [12.0, 34567.0]), ("7 8, 9.", [7.0, 8.0, 9.0])],
)  # fmt: skip
def test_a_number_is_complete_at_its_last_digits(digits: str, text: str, ends: list[float]) -> None:
    chosen = grouped_encoding(digits)
    ids = torch.tensor([encode(chosen, text)])
    running = read(chosen, ids)
    assert running.value[running.complete].tolist() == ends


@pytest.mark.parametrize("rest", ["456", "000"])
def test_the_longest_numbers_are_read_to_their_end(encoding: tiktoken.Encoding, rest: str) -> None:
    ids = torch.tensor([encode(encoding, "123" + rest * 30)])
    running = read(encoding, ids)
    assert ids.shape[1] == 31
    for groups in range(31):
        exact = min(float("123" + rest * groups), LARGEST)
        assert math.isclose(float(running.value[0, groups]), exact, rel_tol=1e-9)


def test_an_encoding_that_does_not_fit_is_refused(encoding: tiktoken.Encoding) -> None:
    with pytest.raises(ValueError, match=f"make vocab_size at least {encoding.n_vocab}"):
        Trunk(TrunkShape(vocab_size=100, width=8, layers=1, heads=1), encoding)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_are_finite_from_zero_to_the_largest_number(
    encoding: tiktoken.Encoding, kind: str, dtype: torch.dtype
) -> None:
    embedding = make_number_embedding(kind, 16).to(dtype)
    for text in (
        "0",
        "0.000000000000000000000000000001",
        "1" + "0" * 30,
        "9" * 300,
        "0." + "0" * 40 + "1",
    ):
        ids = torch.tensor([encode(encoding, text)])
        added = embedding(read(encoding, ids))
        assert added.dtype == dtype
        assert bool(added.isfinite().all())
        added.sum().backward()
    assert all(
        bool(weight.grad.isfinite().all())
        for weight in embedding.parameters()
        if weight.grad is not None
    )


@pytest.mark.parametrize("kind", KINDS)
def test_only_digits_get_features(encoding: tiktoken.Encoding, kind: str) -> None:
    embedding = make_number_embedding(kind, 16)
    ids = torch.tensor([encode(encoding, "about 12.5 of them, 7")])
    added = embedding(read(encoding, ids))[0]
    digits = [bool(entry.digits) for entry in entries_of(encoding, ids[0].tolist())]
    assert [bool(row.any()) for row in added] == digits


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("value", "12", "13"), ("log_value", "12", "13"), ("exponent_bins", "12", "120"),
     ("fourier", "12", "13"),
     ("place_value", "1.2", "1.25")],
)  # fmt: skip
def test_different_numbers_get_different_features(
    encoding: tiktoken.Encoding, kind: str, first: str, second: str
) -> None:
    embedding = make_number_embedding(kind, 16)
    sequences = [torch.tensor([encode(encoding, text)]) for text in (first, second)]
    one, other = (embedding(read(encoding, row))[0, -1].detach().numpy() for row in sequences)
    assert not np.allclose(one, other, rtol=0.02, atol=1e-6)


def test_no_number_embedding_is_none() -> None:
    assert make_number_embedding("none", 16) is None
