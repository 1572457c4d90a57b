"""Numbers that a model remembers from training text: which, what is near, what they weigh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import Settings
from ssl_lib.errors import UserError
from ssl_lib.predictor import Predictor, load
from ssl_lib.predictor.calibration import number_weights
from ssl_lib.predictor.remembered import (
    NEAREST,
    SHARPNESS,
    STATES,
    RememberedNumbers,
    remember,
)
from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.tokens.encodings import decode


@pytest.fixture(scope="module")
def model(settings: Settings, encoding: tiktoken.Encoding) -> Predictor:
    """A model without training, in full precision."""
    return Predictor.untrained(settings.replaced({"training.precision": "float32"}), encoding)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@budget(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**20))
def test_nearest_numbers_are_those_of_all_cosines(count: int, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    states = unit(drawn.standard_normal((count, 8))).astype(np.float16)
    values = drawn.integers(0, 5, count).astype(np.float64)
    queries = drawn.standard_normal((3, 8)).astype(np.float32)
    found = RememberedNumbers(states, values).nearest(torch.from_numpy(queries))
    for query, shares in zip(unit(queries), found, strict=True):
        cosines = [float(query @ state.astype(np.float32)) for state in states]
        nearest = sorted(range(count), key=lambda place: -cosines[place])[:NEAREST]
        weights = [np.exp(SHARPNESS * cosines[place]) for place in nearest]
        expected = dict.fromkeys(values[nearest].tolist(), 0.0)
        for place, weight in zip(nearest, weights, strict=True):
            expected[float(values[place])] += weight / sum(weights)
        assert shares == pytest.approx(expected, rel=1e-3)


def test_what_is_remembered_are_the_numbers_of_the_text_and_what_stood_before(
    model: Predictor, sequences: PackedSequences, tokenized: Tokenized
) -> None:
    remembered = remember(model, sequences)
    assert remembered is not None
    numbers = tokenized.numbers
    begin_documents = np.isin(numbers["start"], tokenized.documents)
    usable = np.isfinite(numbers["value"]) & ~begin_documents
    # what lies behind the last whole sequence, or at the beginning of one, is missing
    assert 0.9 * usable.sum() < len(remembered.values) <= usable.sum()
    known = sorted(numbers["value"][usable].tolist())
    assert set(remembered.values.tolist()) <= set(known)
    # a document that begins its sequence: its own state is the nearest, and its number follows
    first = numbers[usable & (numbers["start"] < sequences.context_length)][0]
    prompt = decode(model.encoding, tokenized.tokens[: first["start"]].tolist())
    (document,) = sequences.batch(0, 1).document_ids_BT[:, 0].tolist()
    if document == 0:
        (found,) = model_with(model, remembered).remembered_numbers(
            model.states_before_numbers([prompt])
        )
        assert float(first["value"]) in found


def model_with(model: Predictor, remembered: RememberedNumbers) -> Predictor:
    objectives = model.objectives
    return Predictor(model.settings, model.encoding, objectives, model.calibration, remembered)


def test_a_memory_that_is_right_gets_the_weight_and_answers(
    model: Predictor, tokenized: Tokenized, sequences: PackedSequences, tmp_path: Path
) -> None:
    # of the very text that is asked, an untrained model knows nothing else
    knowing = model_with(model, remember(model, sequences))
    weight, remembered = number_weights(knowing, tokenized)
    assert remembered > 0.3 > weight
    knowing.calibration = knowing.calibration._replace(
        number_weight=weight, remembered_weight=remembered
    )
    knowing.save(tmp_path)
    again = load(tmp_path)
    text = "The sum of 2 + 3 is"
    assert again.predict_number(text) == knowing.predict_number(text)
    assert again.predict_number(text) != model.predict_number(text)
    assert sum(share for _, share in again.predict_number(text).exact) <= 1.0


def test_a_damaged_memory_is_named(model: Predictor, tmp_path: Path) -> None:
    states = np.zeros((3, 8), dtype=np.float16)
    model_with(model, RememberedNumbers(states, np.zeros(2))).save(tmp_path)
    with pytest.raises(UserError, match="do not belong together"):
        load(tmp_path)
    (tmp_path / STATES).write_bytes(b"no array")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / STATES).unlink()
    assert load(tmp_path).remembered is None
