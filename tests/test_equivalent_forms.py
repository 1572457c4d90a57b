"""Equivalent written forms of numbers, and the view that shows them."""

from __future__ import annotations

import pytest
import tiktoken
import torch
import torch.multiprocessing
from contrasting import (
    seeded,
)
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.datasets import PackedSequences, padded_batch
from ssl_lib.batches.rewriting import EquivalentFormView, anchor_view, equivalent_form_view
from ssl_lib.numbers import equivalent_forms, find_numbers
from ssl_lib.numbers.writing import spell
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.encodings import decode
from ssl_lib.tokens.vocabulary import VocabularyTable

WRITTEN = st.one_of(
    st.integers(0, 999_999).map(str),
    st.integers(2, 999_999).map(spell),
    st.integers(1000, 10**12).map(lambda number: f"{number:,}"),
    st.integers(1, 999).map(lambda number: f"{number} million"),
    st.integers(1, 999).map(lambda number: f"{number} thousand"),
    st.floats(0.001, 99_999).map(lambda number: f"{number:.3f}"),
    st.integers(0, 200).map(lambda number: f"{number}%"),
    st.floats(0.1, 99).map(lambda number: f"{number:.1f} percent"),
    st.integers(1, 10**7).map(lambda number: f"${number:,}"),
    st.floats(1.0, 99).map(lambda number: f"€{number:.1f} million"),
    st.integers(2, 10**5).map(lambda number: f"{number} dollars"),
    st.sampled_from(
        ["one thousand", "1e3", "1.2e3", "2.5e-1", "forty-five", "a dozen", "two and a half", "2e0"]
    ),
)


@budget(max_examples=200, deadline=None)
@given(WRITTEN)
def test_every_equivalent_form_is_another_text_that_reads_as_the_same_number(text: str) -> None:
    (number,) = find_numbers(text)
    for other in equivalent_forms(text, number.value, number.form):
        assert other != text
        (read,) = find_numbers(other)
        assert read.text == other
        assert read.value == pytest.approx(number.value, rel=1e-12)
        assert (read.form in ("percent", "currency")) == (number.form in ("percent", "currency"))


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("1,000", ["1000", "1 thousand", "one thousand", "1e3"]),
        ("1000", ["1,000", "1 thousand", "one thousand", "1e3"]),
        ("one thousand", ["1000", "1,000", "1 thousand", "1e3"]),
        ("12%", ["12 percent", "twelve percent"]),
        ("$3.4 million", ["$3400000", "$3,400,000"]),
        ("0.25", ["0.250", "2.5e-1"]),
        ("7", ["seven"]),
        ("1,000 of", []),
    ],
)
def test_equivalent_forms_of_the_guide(text: str, others: list[str]) -> None:
    number = find_numbers(text)[0]
    assert equivalent_forms(text, number.value, number.form) == others


@pytest.mark.parametrize(
    "text", ["2024-05-01", "12:30", "3/4", "Chapter XIV", "-5", "5th", "1,000 kg and 3"]
)
def test_dates_times_fractions_ordinals_and_negative_numbers_stay_as_they_are(text: str) -> None:
    number = find_numbers(text)[0]
    assert equivalent_forms(text, number.value, number.form) == []


LONG = "No figures here, " * 20  # makes room in the row above


def equivalent(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, batch: Batch, seed: int = 0
) -> EquivalentFormView:
    return equivalent_form_view(batch, vocabulary, encoding, len(batch.token_ids_BT), seeded(seed))


@pytest.mark.parametrize("seed", range(8))
def test_the_equivalent_view_says_the_same_in_other_words(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, seed: int
) -> None:
    text = "They sold 1,200 books, 12% more than the 1071 of May, at $3.50 each."
    batch = padded_batch(tokenize_texts(encoding, [text, LONG]))
    ids = equivalent(encoding, vocabulary, batch, seed).ids_RT[0]
    written = decode(encoding, [token for token in ids.tolist() if token < vocabulary.ordinary])
    assert [number.value for number in find_numbers(written)] == [
        number.value for number in find_numbers(text)
    ]
    between = ["They sold ", " books, ", " more than the ", " of May, at ", " each."]
    assert [piece for piece in between if piece not in written] == []


def test_every_number_of_a_sequence_is_rewritten_in_some_view_and_in_every_form(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable
) -> None:
    batch = padded_batch(
        tokenize_texts(encoding, ["They sold 1,200 books and then 12% more.", LONG])
    )
    seen: set[str] = set()
    for seed in range(60):
        view = equivalent(encoding, vocabulary, batch, seed)
        for number in (0, 1):
            seen.add(decode(encoding, view.ids_RT[view.number_RT == number].tolist()).strip())
    forms = {
        "1200",
        "1.2 thousand",
        "one thousand two hundred",
        "1.2e3",
        "12 percent",
        "twelve percent",
    }
    assert seen - {""} == forms


def test_the_equivalent_view_marks_each_rewritten_number_whole(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, batch: Batch
) -> None:
    view, index_BT = equivalent(encoding, vocabulary, batch), number_index_BT(batch)
    marked = view.number_RT[view.number_RT >= 0].unique().tolist()
    assert marked
    for number in marked:
        (value,) = set(batch.values_BT[index_BT == number].tolist())
        old = decode(encoding, batch.token_ids_BT[index_BT == number].tolist())
        new = decode(encoding, view.ids_RT[view.number_RT == number].tolist())
        assert new != old
        assert [found.value for found in find_numbers(new.strip())] == pytest.approx(
            [value], rel=1e-12
        )


def test_sequences_of_the_equivalent_view_keep_what_stands_between_the_numbers_up_to_their_cut(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, tokenized: Tokenized
) -> None:
    batch = PackedSequences(tokenized, 64, seed=3).batch(0, 12)
    view, index_BT = equivalent(encoding, vocabulary, batch), number_index_BT(batch)
    assert view.ids_RT.shape == batch.token_ids_BT.shape
    cut = 0
    for row in range(12):
        kept, rewritten = view.document_ids_RT[row] >= 0, view.number_RT[row] >= 0
        there = (
            (~torch.isin(index_BT[row], view.number_RT[row][rewritten])).nonzero()[:, 0].tolist()
        )
        shown = view.ids_RT[row][kept & ~rewritten].tolist()
        same = next(
            (at for at, token in enumerate(shown) if batch.token_ids_BT[row, there[at]] != token),
            len(shown),
        )
        if same < len(shown):
            number = index_BT[row] == index_BT[row, there[same]]
            old = decode(encoding, batch.token_ids_BT[row][number].tolist()).strip()
            forms = equivalent_forms(
                old, float(batch.values_BT[row][number][0]), find_numbers(old)[0].form
            )
            rest = decode(encoding, shown[same - int(number[: there[same]].sum()) :]).strip()
            assert [form for form in forms if form.startswith(rest)]
            cut += 1
        assert set(view.ids_RT[row][~kept].tolist()) <= {vocabulary.special.padding}
    assert cut


def test_the_equivalent_view_is_a_function_of_batch_and_generator(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, batch: Batch
) -> None:
    torch.manual_seed(5)
    first = equivalent(encoding, vocabulary, batch, 3)
    torch.manual_seed(6)
    second, third = (
        equivalent(encoding, vocabulary, batch, 3),
        equivalent(encoding, vocabulary, batch, 4),
    )
    assert torch.equal(first.ids_RT, second.ids_RT)
    assert torch.equal(first.number_RT, second.number_RT)
    assert not torch.equal(first.ids_RT, third.ids_RT)


def test_sequences_without_numbers_or_without_tokens_have_an_equivalent_view(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable
) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["no figures in here.", "nor there, we say."]))
    view = equivalent(encoding, vocabulary, batch)
    clean = anchor_view(batch, vocabulary, 2)
    assert torch.equal(view.ids_RT, clean.ids_RT)
    assert bool((view.number_RT == -1).all())
