"""The equivalent view: numbers in another written form of the same value: 1,000 is 1000, 1e3, one thousand.

Shapes: B rows, R rows of the view, T positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import tiktoken
import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, number_index_BT
from ssl_lib.batches.views import View, Vocabulary, padded_ids
from ssl_lib.numbers.finder import find_numbers
from ssl_lib.numbers.number_shapes import FORMS
from ssl_lib.numbers.writing import grouped, scientific, shortest, spell
from ssl_lib.tokens.encodings import decode, encode

REWRITTEN = (
    0.5  # share of the numbers: with all of them in longer forms, rows would lose their second half
)
PLAIN_FORMS = ("integer", "decimal", "thousands", "scientific", "spelled")
AMOUNT_FORMS = ("percent", "currency")
LARGEST = 1e15  # integers up to there are exact in float64, whatever form they take
SPELLED_BELOW = 1_000_000
SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
_AMOUNT = re.compile(r"([$€£¥]?)(.+?)(%| percent| dollars| euros)?")


@dataclass(frozen=True)
class EquivalentView(View):
    """A view whose rows may be cut or padded; `number_RT` is the index in the batch (`number_index_BT`) of the
    rewritten number that a position belongs to, -1 where there is none or the row ends inside it."""

    number_RT: Tensor


class _Forms(NamedTuple):
    digits: list[str]
    scaled: list[str]
    words: list[str]


def equivalent_view(
    batch: Batch,
    vocabulary: Vocabulary,
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
    padding = (vocabulary.padding, PADDING_DOCUMENT, -1)
    ids, documents, numbers = (
        torch.tensor([(row[kind] + [filler] * width)[:width] for row in made], device=device)
        for kind, filler in enumerate(padding)
    )
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    whole = _without_cut(numbers, [row[2] for row in made])
    return EquivalentView(ids, documents, False, nothing, nothing, whole)


def equivalent_forms(text: str, value: float, form: str) -> list[str]:
    """Other ways to write a number of this value and form (of `numerals`); none for dates, identifiers, fractions,
    negative numbers, and where `text` holds more than the number.

    Signs and units stay: "$3.4 million" is "$3,400,000", "12%" is "12 percent" and "twelve percent".
    """
    if (
        not 0 <= value < LARGEST
        or form not in (*PLAIN_FORMS, *AMOUNT_FORMS)
        or not _is_one_number(text, value)
    ):
        return []
    found = _AMOUNT.fullmatch(text)
    sign, _, unit = found.groups() if found else ("", "", None)
    if bool(sign or unit) != (form in AMOUNT_FORMS) or (sign and unit):
        return []
    digits, scaled, words = _forms_of(value)
    if sign:
        forms = [sign + number for number in [*digits, *scaled]]
    elif unit in ("%", " percent"):
        forms = [number + "%" for number in digits] + [
            f"{number} percent" for number in [*digits, *words]
        ]
    elif unit:
        forms = [number + unit for number in [*digits, *scaled, *words]]
    else:
        forms = [*digits, *scaled, *words, _scientific(value)]
    return [other for other in dict.fromkeys(forms) if other and other != text]


def _is_one_number(text: str, value: float) -> bool:
    found = find_numbers(text)
    return len(found) == 1 and (found[0].start, found[0].end, found[0].value) == (
        0,
        len(text),
        value,
    )


def _forms_of(value: float) -> _Forms:
    exact = Decimal(repr(value))
    if not value.is_integer():
        plain = f"{exact:f}"
        return _Forms([plain, plain + "0", *([f"{exact:,f}"] if value >= 1000 else [])], [], [])
    number = int(value)
    digits = [str(number), *([grouped(number)] if number >= 1000 else [])]
    scaled = [
        f"{shortest(number / size)} {name}"
        for size, name in SCALES
        if number >= size and number * 10 % size == 0
    ]
    spelled = number < SPELLED_BELOW and number != 1  # "one" by itself is rather a pronoun
    return _Forms(digits, scaled[:1], [spell(number)] if spelled else [])


def _scientific(value: float) -> str:
    """Integers from a thousand on and all decimals; an empty text for small integers, which nobody writes so."""
    if value.is_integer():
        return scientific(int(value)) if value >= 1000 else ""
    exact = Decimal(repr(value)).normalize()
    return f"{exact.scaleb(-exact.adjusted())}e{exact.adjusted()}"


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
