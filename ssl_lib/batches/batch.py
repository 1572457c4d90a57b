"""A batch of token rows with the numbers in it.

Shapes: B rows, T positions. Tensors are [B, T] in a batch and [T] in a single row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssl_lib.tokens.store import Tokenized, TokenStore

PADDING_DOCUMENT = -1
NO_NUMBER = -1
WIDTH_STEP = 16


class Batch(NamedTuple):
    """Clean rows; torch's default collation turns single rows into a batch.

    `document_ids_BT` is -1 on padding, attention stays inside equal ids. `number_BT` tells which number of its row a
    token belongs
    to (-1: none), `values_BT` that number's value (nan: none), `forms_BT` its written form, `types_BT` the token type:
    0 text,
    1 number, 2 operator, 3 punctuation.
    """

    token_ids_BT: Tensor
    document_ids_BT: Tensor
    types_BT: Tensor
    number_BT: Tensor
    values_BT: Tensor
    forms_BT: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))

    def first_rows(self, rows: int) -> Batch:
        """The first `rows` rows."""
        return Batch(*(tensor[:rows] for tensor in self))

    def trimmed(self) -> Batch:
        """The same rows without their last columns, as far as these are padding in every row; shapes stay few, since
        the width is rounded up to a multiple of WIDTH_STEP.
        """
        filled_T = self.real_BT.any(0).nonzero()
        last = int(filled_T.max()) + 1 if len(filled_T) else 1
        width = -(-last // WIDTH_STEP) * WIDTH_STEP
        return Batch(*(tensor[:, :width] for tensor in self))

    @property
    def real_BT(self) -> Tensor:
        """True where a position holds a token of a document."""
        return self.document_ids_BT != PADDING_DOCUMENT


def number_starts_BT(batch: Batch) -> Tensor:
    """True at the first token of every number that lies wholly or partly in the row."""
    previous_BT = torch.cat(
        [torch.full_like(batch.number_BT[:, :1], NO_NUMBER), batch.number_BT[:, :-1]], dim=1
    )
    return (batch.number_BT != NO_NUMBER) & (batch.number_BT != previous_BT)


def number_index_BT(batch: Batch) -> Tensor:
    """Index of the number with a usable value that a position belongs to, counted over the whole batch; -1 where there
    is none.
    """
    flat_N = torch.where(batch.values_BT.isfinite(), batch.number_BT, NO_NUMBER).flatten()
    row_N = torch.arange(len(flat_N), device=flat_N.device) // batch.number_BT.shape[1]
    begins_N = torch.ones_like(flat_N, dtype=torch.bool)
    begins_N[1:] = (flat_N[1:] != flat_N[:-1]) | (row_N[1:] != row_N[:-1])
    begins_N &= flat_N != NO_NUMBER
    return torch.where(flat_N == NO_NUMBER, -1, begins_N.long().cumsum(0) - 1).view_as(
        batch.number_BT
    )


def gather_rows(
    tokenized: Tokenized | TokenStore, positions_BT: np.ndarray, document_of_BT: np.ndarray
) -> Batch:
    """Rows of a token store (anything with `tokens`, `numbers`, `types`) at absolute token positions; -1 is padding
    (id 0).
    """
    real_BT = positions_BT >= 0
    at_BT = np.where(real_BT, positions_BT, 0)
    number_BT, inside_BT = _numbers_at(tokenized.numbers, at_BT)
    inside_BT &= real_BT
    values_BT = np.full(at_BT.shape, np.nan)
    forms_BT = np.full(at_BT.shape, NO_NUMBER, dtype=np.int64)
    if len(tokenized.numbers):
        values_BT = np.where(inside_BT, tokenized.numbers["value"][number_BT], np.nan)
        forms_BT = np.where(
            inside_BT, tokenized.numbers["form"][number_BT].astype(np.int64), NO_NUMBER
        )
    return Batch(
        token_ids_BT=torch.from_numpy(
            np.where(real_BT, tokenized.tokens[at_BT].astype(np.int64), 0)
        ),
        document_ids_BT=torch.from_numpy(np.where(real_BT, document_of_BT, PADDING_DOCUMENT)),
        types_BT=torch.from_numpy(np.where(real_BT, tokenized.types[at_BT].astype(np.int64), 0)),
        number_BT=torch.from_numpy(np.where(inside_BT, number_BT, NO_NUMBER)),
        values_BT=torch.from_numpy(values_BT),
        forms_BT=torch.from_numpy(forms_BT),
    )


def _numbers_at(numbers: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the last number that starts at or before each position, and whether the position lies inside it."""
    if not len(numbers):
        return np.zeros(positions.shape, dtype=np.int64), np.zeros(positions.shape, dtype=bool)
    index = np.searchsorted(numbers["start"], positions, side="right") - 1
    inside = (index >= 0) & (positions < numbers["end"][np.maximum(index, 0)])
    return np.maximum(index, 0), inside
