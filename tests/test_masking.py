"""Masking by words and spans: what belongs together is masked together, and counts are exact."""

from __future__ import annotations

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import groups_by_text

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.batches.corruption import LONGEST_SPAN, masked_view, span_groups, token_groups
from ssl_lib.batches.datasets import PackedSequences, padded_batch
from ssl_lib.batches.views import candidates_N
from ssl_lib.config import MlmSettings
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.vocabulary import VocabularyTable

GRANULARITIES = ("token", "word", "span")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def positions_of(batch: Batch, vocabulary: VocabularyTable) -> torch.Tensor:
    return candidates_N(batch, vocabulary).nonzero()[:, 0]


def words_of(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, text: str, whole_numbers: bool = True
) -> list[str]:
    """The text cut into the groups that are masked together, spaces left out."""
    batch = padded_batch(tokenize_texts(encoding, [text]))
    positions = positions_of(batch, vocabulary)
    parts: dict[int, bytes] = {}
    for position, group in zip(
        positions.tolist(),
        token_groups(positions, batch, vocabulary, whole_numbers, True),
        strict=True,
    ):
        entry = encoding.decode_single_token_bytes(int(batch.token_ids_BT.flatten()[position]))
        parts[int(group)] = parts.get(int(group), b"") + entry
    return [part.decode().strip() for part in parts.values() if part.strip()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Unquestionably, the thermodynamicist's flux",
            "Unquestionably , the thermodynamicist ' s flux",
        ),
        ("Der Wärmefluß im Zentralkörper", "Der Wärmefluß im Zentralkörper"),
        ("It cost 1,234,567.25 then", "It cost 1,234,567.25 then"),
        ("xylophone(zygote)quartz", "xylophone ( zygote ) quartz"),
    ],
)
def test_a_group_is_a_word_or_a_number(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, text: str, expected: str
) -> None:
    assert words_of(encoding, vocabulary, text) == expected.split()


def test_without_whole_numbers_digit_groups_stand_on_their_own(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable
) -> None:
    found = words_of(encoding, vocabulary, "It cost 1,234 then", whole_numbers=False)
    assert found == ["It", "cost", "1", ",", "234", "then"]


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("whole_numbers", [True, False])
def test_groups_equal_those_read_off_the_text(
    batch: Batch,
    encoding: tiktoken.Encoding,
    vocabulary: VocabularyTable,
    words: bool,
    whole_numbers: bool,
) -> None:
    together = 0
    for row in range(len(batch.token_ids_BT)):
        one = Batch(*(tensor[row : row + 1] for tensor in batch))
        kept = positions_of(one, vocabulary)
        tokens = [encoding.decode([int(one.token_ids_BT[0, index])]) for index in kept]
        slow = groups_by_text(
            tokens,
            one.document_ids_BT[0, kept].tolist(),
            one.number_BT[0, kept].tolist(),
            words,
            whole_numbers,
        )
        fast = token_groups(kept, one, vocabulary, whole_numbers, words).tolist()
        assert [fast.index(group) for group in fast] == slow
        together += len(slow) - len(set(slow))
    assert (together > 0) == (words or whole_numbers)


@budget(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0.0, 1.0),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from(GRANULARITIES),
)
def test_masking_is_exact_and_cuts_one_group_at_most(
    tokenized: Tokenized,
    vocabulary: VocabularyTable,
    seed: int,
    rate: float,
    sequences: int,
    whole_numbers: bool,
    granularity: str,
) -> None:
    batch = PackedSequences(tokenized, 16, seed=seed % 97).batch(seed % 11, sequences)
    positions = positions_of(batch, vocabulary)
    chosen = MlmSettings(
        batch_fraction=1.0, mask_rate=rate, whole_numbers=whole_numbers, granularity=granularity
    )
    view = masked_view(batch, vocabulary, chosen, seeded(seed))
    targets_at = set(view.target_positions_S.tolist())
    assert len(view.target_positions_S) == len(targets_at) == round(rate * len(positions))
    assert targets_at <= set(positions.tolist())
    group_C = token_groups(
        positions, batch, vocabulary, whole_numbers, words=granularity != "token"
    ).tolist()
    hidden: dict[int, list[bool]] = {}
    for position, index in zip(positions.tolist(), group_C, strict=True):
        hidden.setdefault(index, []).append(position in targets_at)
    cut = [members for members in hidden.values() if any(members) and not all(members)]
    assert len(cut) <= 1
    if cut and granularity != "span":  # nothing smaller is left
        assert min(len(members) for members in hidden.values() if not all(members)) > 1


@pytest.mark.parametrize("granularity", ["token", "word"])
def test_a_number_is_cut_only_where_nothing_else_is_left(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable, granularity: str
) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["1,234,567 unquestionablyzygote 7,654,321"]))
    chosen = MlmSettings(batch_fraction=1.0, mask_rate=0.3, granularity=granularity)
    numbers = batch.number_BT.flatten()
    for seed in range(20):
        targets_at = masked_view(batch, vocabulary, chosen, seeded(seed)).target_positions_S
        for number in {int(index) for index in numbers} - {NO_NUMBER}:
            inside = int((numbers[targets_at] == number).sum())
            assert inside in (0, int((numbers == number).sum()))


def run_lengths(groups_C: torch.Tensor, words_C: torch.Tensor) -> list[int]:
    """Words in each span."""
    found: dict[int, set[int]] = {}
    for group, word in zip(groups_C.tolist(), words_C.tolist(), strict=True):
        found.setdefault(group, set()).add(word)
    return [len(words) for words in found.values()]


@pytest.mark.parametrize("mean", [1.0, 2.0, 5.0])
def test_lengths_of_spans_are_geometric(mean: float) -> None:
    long = Batch(*(torch.zeros(1, 20_000, dtype=torch.int64) for _ in range(6)))
    words = torch.arange(20_000)
    lengths = torch.tensor(
        run_lengths(span_groups(words, words, long, mean, seeded(3)), words), dtype=torch.float64
    )
    stop = 1.0 / mean
    expected = sum(stop * (1 - stop) ** (length - 1) * length for length in range(1, LONGEST_SPAN))
    expected += LONGEST_SPAN * (1 - stop) ** (LONGEST_SPAN - 1)
    assert int(lengths.max()) <= LONGEST_SPAN
    assert float(lengths.mean()) == pytest.approx(expected, rel=0.04)
    assert float((lengths == 1).double().mean()) == pytest.approx(stop, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_spans_hold_whole_words_and_end_with_their_document(
    batch: Batch, vocabulary: VocabularyTable, seed: int
) -> None:
    positions = positions_of(batch, vocabulary)
    words = token_groups(positions, batch, vocabulary, True, True)
    found = span_groups(positions, words, batch, 5.0, seeded(seed))
    documents = batch.document_ids_BT.flatten()[positions]
    for group in found.unique():
        members = positions[found == group]
        assert len(documents[found == group].unique()) == 1
        assert len((members // 32).unique()) == 1
        assert torch.equal(members, torch.arange(int(members[0]), int(members[-1]) + 1))
    for word in words.unique():
        assert len(found[words == word].unique()) == 1


def test_spans_hide_longer_runs_than_tokens(batch: Batch, vocabulary: VocabularyTable) -> None:
    def runs(granularity: str) -> float:
        total = 0
        for seed in range(20):
            targets_at = masked_view(
                batch,
                vocabulary,
                MlmSettings(batch_fraction=1.0, granularity=granularity),
                seeded(seed),
            ).target_positions_S
            total += 1 + int((targets_at.diff() > 1).sum())
        return total

    assert runs("span") < 0.6 * runs("token")
