"""Numeric hard negatives: one number of a sentence changed, by 0.1% to 1000%, into another."""

from __future__ import annotations

import tiktoken
import torch

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import padded_batch
from ssl_lib.batches.rewriting import TENFOLD_SHARE, hard_negative_view
from ssl_lib.batches.views import View, sentence_ids_BT
from ssl_lib.model.trunk import Trunk
from ssl_lib.numbers import find_numbers
from ssl_lib.tokens.alignment import tokenize_texts

TEXTS = [
    f"The tank holds {amount} litres."
    for amount in (3, 9, 47, 100, 999, 1000, 8317, 45_210, 700_001)
] * 12


def _batch(encoding: tiktoken.Encoding) -> Batch:
    return padded_batch(tokenize_texts(encoding, TEXTS))


def _altered(trunk: Trunk, batch: Batch) -> View:
    return hard_negative_view(batch, trunk.vocabulary, len(TEXTS), torch.Generator().manual_seed(4))


def _values(encoding: tiktoken.Encoding, batch: Batch, ids_BT: torch.Tensor) -> list[float]:
    texts = [
        encoding.decode(row[real].tolist()) for row, real in zip(ids_BT, batch.real_BT, strict=True)
    ]
    return [
        number.value for text in texts for number in find_numbers(text.replace("<|endoftext|>", ""))
    ]


def test_every_sentence_has_another_number_within_the_factor(
    trunk: Trunk, encoding: tiktoken.Encoding
) -> None:
    batch = _batch(encoding)
    before, after = (
        _values(encoding, batch, ids) for ids in (batch.token_ids_BT, _altered(trunk, batch).ids_RT)
    )
    assert len(before) == len(after) == len(TEXTS)
    for old, new in zip(before, after, strict=True):
        assert new != old
        assert max(old, new) / max(min(old, new), 1.0) <= 12.0
        assert new >= 1.0


def test_numbers_change_their_length_too(trunk: Trunk, encoding: tiktoken.Encoding) -> None:
    batch = _batch(encoding)
    values = _values(encoding, batch, _altered(trunk, batch).ids_RT)
    of_two_digits = [value for value, text in zip(values, TEXTS, strict=True) if " 47 " in text]
    assert {len(str(int(value))) for value in of_two_digits} == {1, 2}


def test_a_tenth_of_the_changes_leave_the_digits_as_they_are(
    trunk: Trunk, encoding: tiktoken.Encoding
) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["The tank holds 47 litres."] * 600))
    view = hard_negative_view(batch, trunk.vocabulary, 600, torch.Generator().manual_seed(6))
    tenfold = _values(encoding, batch, view.ids_RT).count(470)
    assert (
        abs(tenfold - 600 * TENFOLD_SHARE / 2) < 4 * (600 * TENFOLD_SHARE / 2) ** 0.5
    )  # the others are a tenth of it


def test_a_sentence_changes_in_one_position(trunk: Trunk, batch: Batch) -> None:
    view = hard_negative_view(
        batch, trunk.vocabulary, len(batch.token_ids_BT), torch.Generator().manual_seed(5)
    )
    changed_BT = view.ids_RT != torch.where(
        batch.real_BT, batch.token_ids_BT, trunk.vocabulary.special.padding
    )
    sentences = sentence_ids_BT(batch, trunk.vocabulary)[changed_BT].tolist()
    assert sentences
    assert len(sentences) == len(set(sentences))
