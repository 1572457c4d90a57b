"""Tokens and numbers meet to the byte: the vectorised way against a slow, obvious one."""

from __future__ import annotations

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.numbers import FORMS, find_numbers
from ssl_lib.tokens.alignment import (
    GROUP_CHARACTERS,
    NUMBER_DTYPE,
    Tokenized,
    grouped,
    tokenize_group,
    tokenize_texts,
)
from ssl_lib.tokens.encodings import encode, train_encoding
from ssl_lib.tokens.fetch import EncodingError
from ssl_lib.tokens.vocabulary import special_ids, token_bytes_table, vocabulary_table

TEXTS = [
    f"In {1900 + n} it cost ${n * 31:,}.50, up {n}.5% or −{n}°; the {n}th of twelve hundred.\n"
    for n in range(120)
]
MODES = ("as_is", "single", "left3", "right3")
TRAINED = {mode: train_encoding(TEXTS, 1600, mode) for mode in MODES}
PIECES = [
    *(
        "12",
        "1,234,567.89",
        "3.5e-7",
        "½",
        "−4",
        "$3.4 million",
        "twelve hundred",
        "٣٤",
        "3rd",
        "10-20",
        "12:30",
        "1. ",
    ),
    *(
        "XIV",
        "per cent",
        "%",
        "²",
        "2024-05-06",
        "<|endoftext|>",
        "\ud800",
        "9" * 40,
        "\0",
        "\n",
        " ",
        "  ",
        "é",
        "日本",
    ),
    *("🙂", "a", ".", ",", "-"),
]
NUMERIC = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
DOCUMENTS = st.lists(NUMERIC | st.text(max_size=20), max_size=6)


def slow_reference(encoding: tiktoken.Encoding, texts: list[str]) -> Tokenized:
    """Document by document, token by token, byte by byte."""
    table, base_types = token_bytes_table(encoding), vocabulary_table(encoding).token_type
    tokens: list[int] = []
    documents, numbers, types = [0], [], []
    for text in texts:
        ids = encode(encoding, text)
        owner = [index for index, rank in enumerate(ids) for _ in table[rank]]
        kinds = [int(base_types[rank]) for rank in ids] + [0]
        for number in find_numbers(text):
            before = len(text[: number.start].encode("utf-8", "surrogatepass"))
            inside = len(number.text.encode("utf-8", "surrogatepass"))
            touched = sorted(set(owner[before : before + inside]))
            for index in touched:
                kinds[index] = 1
            span = (len(tokens) + touched[0], len(tokens) + touched[-1] + 1)
            numbers.append(
                (
                    *span,
                    number.value,
                    FORMS.index(number.form),
                )
            )
        tokens += [*ids, special_ids(encoding).end]
        documents.append(len(tokens))
        types += kinds
    return Tokenized(
        np.array(tokens), np.array(documents), np.array(numbers, NUMBER_DTYPE), np.array(types)
    )


def assert_equal(ours: Tokenized, reference: Tokenized) -> None:
    """Same content, field by field; NaN equals NaN."""
    assert ours.tokens.tolist() == reference.tokens.tolist()
    assert ours.documents.tolist() == reference.documents.tolist()
    assert ours.types.tolist() == reference.types.tolist()
    for field in NUMBER_DTYPE.names:
        np.testing.assert_array_equal(ours.numbers[field], reference.numbers[field], err_msg=field)


@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None)
@given(texts=DOCUMENTS)
def test_alignment_equals_the_slow_reference(mode: str, texts: list[str]) -> None:
    assert_equal(tokenize_group(TRAINED[mode], texts), slow_reference(TRAINED[mode], texts))


@pytest.mark.parametrize("mode", MODES)
def test_alignment_of_ordinary_documents_equals_the_slow_reference(mode: str) -> None:
    assert_equal(tokenize_texts(TRAINED[mode], TEXTS), slow_reference(TRAINED[mode], TEXTS))


def test_every_number_span_holds_its_text() -> None:
    made = tokenize_texts(TRAINED["right3"], TEXTS)
    table = token_bytes_table(TRAINED["right3"])
    found = [number for text in TEXTS for number in find_numbers(text)]
    assert len(found) == len(made.numbers) > 500
    for number, row in zip(found, made.numbers, strict=True):
        assert (
            number.text
            in b"".join(table[rank] for rank in made.tokens[row["start"] : row["end"]]).decode()
        )
        assert made.types[row["start"] : row["end"]].tolist() == [1] * int(
            row["end"] - row["start"]
        )


def test_numbers_do_not_cross_documents() -> None:
    made = tokenize_texts(TRAINED["right3"], ["costs 12", "345 is", "twelve", "hundred", "-", "5"])
    assert made.numbers["value"].tolist()[:2] == [12.0, 345.0]
    document_of = np.searchsorted(made.documents, made.numbers["start"], side="right")
    assert (
        document_of == np.searchsorted(made.documents, made.numbers["end"] - 1, side="right")
    ).all()


def test_groups_of_any_size_give_the_same_arrays() -> None:
    texts = [*TEXTS * 20, "x" * (GROUP_CHARACTERS + 1), "", "end 7"]
    assert len(list(grouped(texts))) > 2
    whole, parts = (
        tokenize_group(TRAINED["right3"], texts),
        tokenize_texts(TRAINED["right3"], texts),
    )
    assert_equal(parts, whole)


def test_nothing_gives_empty_arrays() -> None:
    made = tokenize_texts(TRAINED["right3"], [])
    assert [len(column) for column in made] == [0, 1, 0, 0]
    assert made.numbers.dtype == NUMBER_DTYPE
    empty = tokenize_texts(TRAINED["right3"], ["", ""])
    assert empty.documents.tolist() == [0, 1, 2]


def test_dtypes_are_those_of_the_files() -> None:
    made = tokenize_texts(TRAINED["right3"], TEXTS[:3])
    assert [column.dtype for column in made] == [np.uint16, np.int64, NUMBER_DTYPE, np.uint8]


def test_an_encoding_without_end_of_text_is_refused() -> None:
    bare = tiktoken.Encoding(
        "bare", pat_str=".", mergeable_ranks={bytes([b]): b for b in range(256)}, special_tokens={}
    )
    with pytest.raises(EncodingError, match="bare"):
        tokenize_texts(bare, ["a"])
