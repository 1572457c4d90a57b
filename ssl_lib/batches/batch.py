"""A batch of token sequences with the numbers in them.

Shapes: B sequences, T positions, N = B * T flat positions. Tensors are [B, T] in a batch and [T] in
a single sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_lib.tokens.alignment import Tokenized
from ssl_lib.tokens.store import TokenStore

PADDING_DOCUMENT = -1
NO_NUMBER = -1
WIDTH_STEP = 16


class Batch(NamedTuple):
    """Clean sequences; torch's default collation turns single sequences into a batch.

    `document_ids_BT` is -1 on padding; attention stays inside equal ids. `number_BT` tells which
    number a token belongs to (-1: none), `values_BT` that number's value (nan: none), `forms_BT`
    its written form, `types_BT` the token type: 0 text, 1 number, 2 operator, 3 punctuation.
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

    def first(self, count: int) -> Batch:
        """The first `count` sequences."""
        return Batch(*(tensor[:count] for tensor in self))

    def trimmed(self) -> Batch:
        """The same sequences without their last columns where these are padding in all of them.

        Shapes stay few: the width is rounded up to a multiple of WIDTH_STEP.
        """
        # 37 filled columns of 128 → 48
        filled_T = self.real_BT.any(0).nonzero()
        last = int(filled_T.max()) + 1 if len(filled_T) else 1
        width = -(-last // WIDTH_STEP) * WIDTH_STEP
        return Batch(*(tensor[:, :width] for tensor in self))

    @property
    def real_BT(self) -> Tensor:
        """True where a position holds a token of a document."""
        return self.document_ids_BT != PADDING_DOCUMENT


def number_starts_BT(batch: Batch) -> Tensor:
    """True at the first token of every number that lies wholly or partly in its sequence."""
    return changes(batch.number_BT) & (batch.number_BT != NO_NUMBER)


def number_index_BT(batch: Batch) -> Tensor:
    """Index, over the whole batch, of the number with a usable value at each position; -1: none.

    Numbers 7, 7, none, 9 and in the next sequence 9 → 0, 0, -1, 1 and 2.
    """
    usable_BT = batch.values_BT.isfinite()
    number_BT = torch.where(usable_BT, batch.number_BT, NO_NUMBER)
    begins_BT = changes(number_BT) & (number_BT != NO_NUMBER)
    return torch.where(number_BT == NO_NUMBER, -1, count_up(begins_BT))


def changes(values: Tensor) -> Tensor:
    """True where values [..., T] differ from the position before, and at the first position.

    Documents 4, 4, 7, 7, 7 → True, False, True, False, False.
    """
    changed = torch.ones_like(values, dtype=torch.bool)
    changed[..., 1:] = values[..., 1:] != values[..., :-1]
    return changed


def count_up(begins: Tensor) -> Tensor:
    """Index, over all positions in their order, of the last True so far; -1 before the first."""
    index_N = begins.flatten().long().cumsum(0) - 1
    return index_N.view_as(begins)


def positions_of(mask: Tensor) -> Tensor:
    """Flat positions at which a mask is true, in their order."""
    return mask.flatten().nonzero()[:, 0]


def gather_sequences(
    tokenized: Tokenized | TokenStore,
    positions_BT: npt.NDArray[np.int64],
    document_of_BT: npt.NDArray[np.int64],
) -> Batch:
    """Sequences of a token store at absolute token positions; -1 is padding (id 0)."""
    # Padding reads token 0 first, so that every index is valid.
    real_BT = positions_BT >= 0
    at_BT = np.where(real_BT, positions_BT, 0)
    tokens_BT = np.where(real_BT, tokenized.tokens[at_BT].astype(np.int64), 0)
    types_BT = np.where(real_BT, tokenized.types[at_BT].astype(np.int64), 0)
    documents_BT = np.where(real_BT, document_of_BT, PADDING_DOCUMENT)
    number_BT = np.full(at_BT.shape, NO_NUMBER, dtype=np.int64)
    values_BT = np.full(at_BT.shape, np.nan)
    forms_BT = np.full(at_BT.shape, NO_NUMBER, dtype=np.int64)
    numbers = tokenized.numbers
    if len(numbers):
        # The last number that starts at or before each position, if it has not ended there.
        last_BT = last_at_or_before(numbers["start"], at_BT)
        index_BT = np.maximum(last_BT, 0)
        found_BT = numbers[index_BT]
        inside_BT = real_BT & (last_BT >= 0)
        inside_BT &= at_BT < found_BT["end"]
        number_BT = np.where(inside_BT, index_BT, NO_NUMBER)
        values_BT = np.where(inside_BT, found_BT["value"], np.nan)
        forms_BT[inside_BT] = found_BT["form"][inside_BT]
    columns = (tokens_BT, documents_BT, types_BT, number_BT, values_BT, forms_BT)
    return Batch(*(torch.from_numpy(column) for column in columns))


def last_at_or_before(
    sorted_M: npt.NDArray[np.int64], wanted_BT: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Index [B, T] of the last of the ascending values that is not above the wanted one; -1: none.

    `numpy.searchsorted` would copy a column of memory-mapped records as a whole, for every batch.
    """
    # All values before `low` are at or below the wanted one, all from `high` on above it.
    low_BT = np.zeros_like(wanted_BT)
    high_BT = np.full_like(wanted_BT, len(sorted_M))
    for _ in range(len(sorted_M).bit_length()):
        middle_BT = (low_BT + high_BT) // 2
        # Where the search has ended, at the end of the column perhaps, nothing changes any more.
        open_BT = low_BT < high_BT
        value_BT = sorted_M[np.minimum(middle_BT, max(len(sorted_M) - 1, 0))]
        below_BT = open_BT & (value_BT <= wanted_BT)
        low_BT = np.where(below_BT, middle_BT + 1, low_BT)
        high_BT = np.where(open_BT & ~below_BT, middle_BT, high_BT)
    return low_BT - 1
