"""Packed sequences, padded sequences and the numbers in them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tiktoken
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pack, spans_by_bytes

from ssl_lib.batches.batch import (
    NO_NUMBER,
    PADDING_DOCUMENT,
    Batch,
    last_at_or_before,
    number_starts_BT,
)
from ssl_lib.batches.datasets import (
    PackedSequences,
    SelfSupervisedTextDataset,
    padded_batch,
    padded_sequences,
    token_spans,
)
from ssl_lib.errors import UserError
from ssl_lib.numbers import FORMS, find_numbers
from ssl_lib.tokens.alignment import NUMBER_DTYPE, Tokenized, tokenize_texts
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids


def documents_of(tokenized: Tokenized) -> list[list[int]]:
    borders = tokenized.documents.tolist()
    return [tokenized.tokens[start:end].tolist() for start, end in itertools.pairwise(borders)]


def same(first: Batch, second: Batch) -> bool:
    return all(
        torch.equal(a.nan_to_num(-7.0), b.nan_to_num(-7.0))
        for a, b in zip(first, second, strict=True)
    )


def test_sequences_in_order_are_the_documents_laid_end_to_end(tokenized: Tokenized) -> None:
    sequences = PackedSequences(tokenized, 32, seed=0, shuffle=False)
    expected = pack(documents_of(tokenized), 32)
    assert sequences.sequences_per_epoch == len(expected)
    got = sequences.batch(0, len(expected))
    assert got.token_ids_BT.tolist() == [[token for _, token in row] for row in expected]
    assert got.document_ids_BT.tolist() == [[document for document, _ in row] for row in expected]


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_epoch_reads_every_document_once_in_an_order_of_its_own(
    tokenized: Tokenized, epoch: int
) -> None:
    sequences = PackedSequences(tokenized, 32, seed=5)
    got = sequences.batch(epoch, sequences.sequences_per_epoch)
    stream = got.document_ids_BT.flatten().tolist()
    order = [
        document
        for index, document in enumerate(stream)
        if index == 0 or document != stream[index - 1]
    ]
    assert len(order) == len(set(order))
    missing = sorted(set(range(len(sequences.lengths))) - set(order))
    documents = [documents_of(tokenized)[document] for document in [*order, *missing]]
    expected = [token for row in pack(documents, 32) for _, token in row]
    assert got.token_ids_BT.flatten().tolist() == expected
    assert sum(len(documents_of(tokenized)[document]) for document in missing) < 32
    assert order != sorted(order)
    following = sequences.batch(epoch + 1, sequences.sequences_per_epoch)
    assert not torch.equal(following.token_ids_BT, got.token_ids_BT)


def test_a_batch_needs_no_history(tokenized: Tokenized) -> None:
    used = PackedSequences(tokenized, 32, seed=5)
    for step in range(40):
        used.batch(step, 3)
    for step in (39, 0, 17):
        assert same(used.batch(step, 3), PackedSequences(tokenized, 32, seed=5).batch(step, 3))


def test_another_seed_gives_another_order(tokenized: Tokenized) -> None:
    first, second = (PackedSequences(tokenized, 32, seed=seed).batch(0, 8) for seed in (0, 1))
    assert not torch.equal(first.token_ids_BT, second.token_ids_BT)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_sequences_of_a_step_without_overlap(
    tokenized: Tokenized, world: int
) -> None:
    sequences = PackedSequences(tokenized, 32, seed=5)
    whole = sequences.batch(4, 2 * world)
    shares = [sequences.batch(4, 2, rank, world) for rank in range(world)]
    assert same(whole, Batch(*(torch.cat(tensors) for tensors in zip(*shares, strict=True))))


def test_a_corpus_shorter_than_a_sequence_is_refused(encoding: tiktoken.Encoding) -> None:
    with pytest.raises(UserError, match=r"fewer than one sequence of model\.context_length = 4096"):
        PackedSequences(tokenize_texts(encoding, ["Two words."]), 4096, seed=0)


def test_every_token_of_a_number_has_its_value_form_and_type(tokenized: Tokenized) -> None:
    batch = PackedSequences(tokenized, 32, seed=0, shuffle=False).batch(0, 20)
    numbers_at: dict[int, list[int]] = {}
    for index, (start, end, *_) in enumerate(tokenized.numbers.tolist()):
        for position in range(start, end):
            numbers_at.setdefault(position, []).append(index)
    fields = (batch.number_BT, batch.values_BT, batch.forms_BT, batch.types_BT)
    for position, (got, value, form, kind) in enumerate(
        zip(*(field.flatten().tolist() for field in fields), strict=True)
    ):
        assert kind == tokenized.types[position]
        if position in numbers_at:
            assert got in numbers_at[position]
            np.testing.assert_equal(value, float(tokenized.numbers["value"][got]))
            assert form == tokenized.numbers["form"][got]
            assert kind == 1
        else:
            assert (got, form) == (NO_NUMBER, -1)
            assert np.isnan(value)


def test_values_are_those_of_the_numbers_written_in_the_text(encoding: tiktoken.Encoding) -> None:
    text = "Revenue rose 12.5% to $3,400,000 in 2024, then fell by 7."
    batch = padded_batch(tokenize_texts(encoding, [text]))
    starts = number_starts_BT(batch)
    written = find_numbers(text)
    assert batch.values_BT[starts].tolist() == [number.value for number in written]
    assert [FORMS[form] for form in batch.forms_BT[starts].tolist()] == [
        number.form for number in written
    ]


def test_a_number_that_the_sequence_cuts_starts_again_in_the_next_row() -> None:
    numbers = np.zeros(1, dtype=NUMBER_DTYPE)
    numbers["start"], numbers["end"], numbers["value"] = 6, 10, 42.0
    stored = Tokenized(
        np.arange(16, dtype=np.uint16), np.array([0, 16]), numbers, np.zeros(16, dtype=np.uint8)
    )  # fmt: skip
    batch = PackedSequences(stored, 8, seed=0).batch(0, 2)
    assert number_starts_BT(batch).nonzero().tolist() == [[0, 6], [1, 0]]
    assert batch.values_BT[1].nan_to_num(0).tolist() == [42.0, 42.0, 0, 0, 0, 0, 0, 0]


@given(
    st.lists(st.integers(0, 60), unique=True, max_size=20).map(sorted),
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
)
def test_the_number_before_a_position_is_found_as_numpy_finds_it(
    starts: list[int], wanted: list[int]
) -> None:
    records = np.zeros(len(starts), dtype=NUMBER_DTYPE)
    records["start"] = starts
    found = last_at_or_before(records["start"], np.array([wanted]))
    assert found[0].tolist() == (np.searchsorted(starts, wanted, side="right") - 1).tolist()


def test_neighbouring_numbers_start_apart(encoding: tiktoken.Encoding) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["10-20 and 3/4 of 5 6 7"]))
    found = [number.value for number in find_numbers("10-20 and 3/4 of 5 6 7")]
    assert batch.values_BT[number_starts_BT(batch)].tolist() == found


def test_text_dataset_collates_and_keeps_every_token(
    encoding: tiktoken.Encoding, texts: list[str]
) -> None:
    dataset = SelfSupervisedTextDataset(texts, encoding, context_length=24)
    loader = torch.utils.data.DataLoader(dataset, batch_size=5)
    end = special_ids(encoding).end
    kept: dict[int, list[int]] = {}
    for batch in loader:
        assert isinstance(batch, Batch)
        assert batch.token_ids_BT.shape[1] == 24
        real = batch.document_ids_BT != PADDING_DOCUMENT
        for document, token in zip(
            batch.document_ids_BT[real].tolist(), batch.token_ids_BT[real].tolist(), strict=True
        ):
            kept.setdefault(document, []).append(token)
        assert bool((batch.number_BT[~real] == NO_NUMBER).all())
    assert [kept[index] for index in range(len(texts))] == [
        [*encode(encoding, text), end] for text in texts
    ]


@pytest.mark.parametrize("nothing", [[], "one string"])
def test_a_dataset_without_texts_is_refused(
    encoding: tiktoken.Encoding, nothing: list[str] | str
) -> None:
    with pytest.raises(UserError, match="at least one text"):
        SelfSupervisedTextDataset(nothing, encoding)


def test_padded_batch_cuts_at_the_context_and_pads_to_the_longest(
    encoding: tiktoken.Encoding,
) -> None:
    texts = ["Ten plus two is twelve, and 3 + 4 is 7.", "Hi."]
    whole, cut = (
        padded_batch(tokenize_texts(encoding, texts)),
        padded_batch(tokenize_texts(encoding, texts), context_length=5),
    )
    end = special_ids(encoding).end
    for row, text in enumerate(texts):
        ids = [*encode(encoding, text), end]
        assert whole.token_ids_BT[row, whole.real_BT[row]].tolist() == ids
        assert cut.token_ids_BT[row, cut.real_BT[row]].tolist() == ids[:5]
    assert cut.token_ids_BT.shape == (2, 5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=30), min_size=1, max_size=30))
def test_padded_sequences_bring_every_sequence_once_and_unchanged(
    sequences: list[list[int]],
) -> None:
    seen: dict[int, list[int]] = {}
    for part in padded_sequences(sequences, padding=100, device=torch.device("cpu")):
        for line, index in enumerate(part.indices):
            assert index not in seen
            real = part.documents[line] != PADDING_DOCUMENT
            seen[index] = part.ids[line, real].tolist()
            assert bool((part.ids[line, ~real] == 100).all())
    assert [seen[index] for index in range(len(sequences))] == sequences


def test_padded_sequences_stay_within_the_tokens_at_once() -> None:
    sequences = [[1] * length for length in (4000, 3000, 5000, 10, 9000)]
    for part in padded_sequences(sequences, padding=0, device=torch.device("cpu")):
        assert part.ids.numel() <= 8192 or len(part.indices) == 1


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_token_spans_equal_the_bytes_that_tokens_share_with_characters(
    encoding: tiktoken.Encoding, text: str
) -> None:
    ids = encode(encoding, text)
    lengths = [len(encoding.decode_single_token_bytes(token)) for token in ids]
    assert [tuple(span) for span in token_spans(encoding, text, ids)] == spans_by_bytes(
        text, lengths
    )


@pytest.mark.parametrize(
    "text", ["naïve 🙂 12,5 €", "東京 2024年", "\ud800 alone", "e\u0301 𝟙𝟚", ""]
)
def test_token_spans_of_characters_beyond_ascii(encoding: tiktoken.Encoding, text: str) -> None:
    ids = encode(encoding, text)
    lengths = [len(encoding.decode_single_token_bytes(token)) for token in ids]
    spans = token_spans(encoding, text, ids)
    assert spans.shape == (len(ids), 2)
    assert [tuple(span) for span in spans] == spans_by_bytes(text, lengths)
