"""The equivalent view: numbers in another written form of the same value: 1,000 is 1000, 1e3, one thousand.

Shapes: B rows, R rows of the view, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import tiktoken
import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, number_index_BT
from ssl_lib.batches.views import View, padded_ids
from ssl_lib.numbers import FORMS, equivalent_forms
from ssl_lib.tokens.encodings import decode, encode
from ssl_lib.tokens.vocabulary import VocabularyTable

REWRITTEN = (
    0.5  # share of the numbers: with all of them in longer forms, rows would lose their second half
)


@dataclass(frozen=True)
class EquivalentView(View):
    """A view whose rows may be cut or padded; `number_RT` is the index in the batch (`number_index_BT`) of the
    rewritten number that a position belongs to, -1 where there is none or the row ends inside it."""

    number_RT: Tensor


def equivalent_view(
    batch: Batch,
    vocabulary: VocabularyTable,
    encoding: tiktoken.Encoding,
    rows: int,
    generator: Generator,
) -> EquivalentView:
    """The first `rows` rows with about half of the numbers in a drawn other form, where they have one; nothing is
    scored by position.

    Numbers that touch an end of their row may go on beyond it, so they stay as they are. A longer row loses its last
    tokens, a shorter one is padded.
    """
    batch = batch.first_rows(rows)
    ids_BT, index_BT = padded_ids(batch, vocabulary), number_index_BT(batch)
    draws = torch.rand(int(index_BT.max()) + 1, generator=generator).tolist()
    columns = (ids_BT, batch.document_ids_BT, index_BT, batch.values_BT, batch.forms_BT)
    made = [
        _rewritten(encoding, draws, *row)
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]
    width, device = ids_BT.shape[1], ids_BT.device
    padding = (vocabulary.special.padding, PADDING_DOCUMENT, -1)
    ids, documents, numbers = (
        torch.tensor([(row[kind] + [filler] * width)[:width] for row in made], device=device)
        for kind, filler in enumerate(padding)
    )
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    whole = _without_cut(numbers, [row[2] for row in made])
    return EquivalentView(ids, documents, False, nothing, nothing, whole)


@lru_cache(maxsize=1 << 16)
def _other_texts(
    encoding: tiktoken.Encoding, ids: tuple[int, ...], value: float, form: str
) -> list[str]:
    """Every other form of the number that these ids spell, the whitespace around it kept."""
    text = decode(encoding, ids)
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return [before + other + after for other in equivalent_forms(text.strip(), value, form)]


@lru_cache(maxsize=1 << 16)
def _ids_of(encoding: tiktoken.Encoding, text: str) -> list[int]:
    return encode(encoding, text)


def _rewritten(
    encoding: tiktoken.Encoding,
    draws: list[float],
    ids: list[int],
    documents: list[int],
    index: list[int],
    values: list[float],
    forms: list[int],
) -> tuple[list[int], list[int], list[int]]:
    """Ids, documents and number indices of one row after rewriting, of any length."""
    made: tuple[list[int], list[int], list[int]] = ([], [], [])
    for start, end in _runs(index):
        piece = ids[start:end], documents[start:end], [-1] * (end - start)
        if index[start] >= 0 and draws[index[start]] < REWRITTEN and start > 0 and end < len(ids):
            others = _other_texts(
                encoding, tuple(ids[start:end]), values[start], FORMS[forms[start]]
            )
            if others:
                new = _ids_of(encoding, others[int(draws[index[start]] / REWRITTEN * len(others))])
                piece = new, [documents[start]] * len(new), [index[start]] * len(new)
        for column, part in zip(made, piece, strict=True):
            column.extend(part)
    return made


def _runs(index: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for end in range(1, len(index) + 1):
        if end == len(index) or index[end] != index[start]:
            yield start, end
            start = end


def _without_cut(numbers_RT: Tensor, made: list[list[int]]) -> Tensor:
    """The map without the numbers that go on beyond the end of their row."""
    width = numbers_RT.shape[1]
    for row, index in enumerate(made):
        if len(index) > width and index[width] >= 0 and index[width] == index[width - 1]:
            numbers_RT[row][numbers_RT[row] == index[width]] = -1
    return numbers_RT
