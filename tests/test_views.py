"""Views: exact counts, allowed positions, clean targets, nothing random but the given generator."""

from __future__ import annotations

import numpy as np
import pytest
import tiktoken
import torch

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.batches.corruption import corrupted_view, masked_view
from ssl_lib.batches.datasets import padded_batch
from ssl_lib.batches.views import View, causal_view, sentence_ids_BT
from ssl_lib.config import DenoisingSettings, MlmSettings
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.vocabulary import VocabularyTable, special_ids

KINDS_OF_NOISE = ("noise_token_share", "random_token_share", "shuffle_share", "digit_share")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(kind: str, rate: float = 0.15) -> DenoisingSettings:
    return DenoisingSettings(
        batch_fraction=1.0,
        noise_rate=rate,
        **{name: float(name == kind) for name in KINDS_OF_NOISE},
    )


def same(first: View, second: View) -> bool:
    return all(
        torch.equal(getattr(first, name), getattr(second, name))
        for name in ("ids_RT", "document_ids_RT", "target_positions_S", "targets_S")
    )


def candidates(batch: Batch, encoding: tiktoken.Encoding) -> list[int]:
    """Flat positions of ordinary tokens inside documents."""
    special = set(special_ids(encoding))
    flat = zip(
        batch.token_ids_BT.flatten().tolist(), batch.document_ids_BT.flatten().tolist(), strict=True
    )
    return [
        index
        for index, (token, document) in enumerate(flat)
        if document >= 0 and token not in special
    ]


@pytest.fixture(scope="module")
def padded(encoding: tiktoken.Encoding, texts: list[str]) -> Batch:
    """Rows with padding and with end-of-document tokens inside."""
    return padded_batch(
        tokenize_texts(encoding, ["Of 1,234 only 56.", "Hm.", *texts[:10]]), context_length=48
    )


def test_causal_view_has_every_position_that_its_document_continues(
    padded: Batch, vocabulary: VocabularyTable
) -> None:
    view = causal_view(padded, vocabulary)
    sequences, width = padded.token_ids_BT.shape
    expected = [
        (row * width + column, int(padded.token_ids_BT[row, column + 1]))
        for row in range(sequences)
        for column in range(width - 1)
        if padded.document_ids_BT[row, column + 1] >= 0
        and padded.document_ids_BT[row, column] == padded.document_ids_BT[row, column + 1]
    ]
    assert (
        list(zip(view.target_positions_S.tolist(), view.targets_S.tolist(), strict=True))
        == expected
    )
    assert view.causal
    assert torch.equal(view.ids_RT[padded.real_BT], padded.token_ids_BT[padded.real_BT])


def test_causal_view_does_not_score_across_documents_of_a_packed_row(
    batch: Batch, vocabulary: VocabularyTable
) -> None:
    view = causal_view(batch, vocabulary)
    documents = batch.document_ids_BT.flatten()
    assert torch.equal(documents[view.target_positions_S], documents[view.target_positions_S + 1])
    assert bool((view.target_positions_S % 32 != 31).all())
    borders = int((batch.document_ids_BT[:, 1:] != batch.document_ids_BT[:, :-1]).sum())
    assert borders > 0
    assert (
        len(view.target_positions_S)
        == batch.token_ids_BT.numel() - len(batch.token_ids_BT) - borders
    )


@pytest.mark.parametrize("maker", [masked_view, corrupted_view])
def test_a_view_is_a_function_of_batch_and_generator(
    padded: Batch, vocabulary: VocabularyTable, maker: object
) -> None:
    chosen = (
        MlmSettings(batch_fraction=1.0)
        if maker is masked_view
        else DenoisingSettings(batch_fraction=1.0)
    )
    before = [tensor.clone() for tensor in padded]
    torch.manual_seed(1)
    first = maker(padded, vocabulary, chosen, seeded(4))
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    np.random.seed(2)
    second = maker(padded, vocabulary, chosen, seeded(4))
    third = maker(padded, vocabulary, chosen, seeded(5))
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator was read"
    assert same(first, second)
    assert not same(first, third)
    assert all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, padded, strict=True)
    )


@pytest.mark.parametrize("rate", [0.0, 0.15, 0.4, 1.0])
@pytest.mark.parametrize("whole_numbers", [True, False])
def test_exactly_the_asked_share_of_candidates_is_masked(
    padded: Batch,
    vocabulary: VocabularyTable,
    encoding: tiktoken.Encoding,
    rate: float,
    whole_numbers: bool,
) -> None:
    allowed = candidates(padded, encoding)
    for seed in range(5):
        view = masked_view(
            padded,
            vocabulary,
            MlmSettings(batch_fraction=1.0, mask_rate=rate, whole_numbers=whole_numbers),
            seeded(seed),
        )
        assert len(view.target_positions_S) == round(rate * len(allowed))
        assert len(set(view.target_positions_S.tolist())) == len(view.target_positions_S)
        assert set(view.target_positions_S.tolist()) <= set(allowed)


@pytest.mark.parametrize(
    ("masked_share", "random_share"), [(0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.5, 0.25)]
)
def test_shares_of_masked_random_and_kept_are_exact(
    batch: Batch, vocabulary: VocabularyTable, masked_share: float, random_share: float
) -> None:
    chosen = MlmSettings(
        batch_fraction=1.0,
        mask_rate=0.5,
        mask_token_share=masked_share,
        random_token_share=random_share,
    )
    view = masked_view(batch, vocabulary, chosen, seeded(0))
    seen_S, scored = view.ids_RT.flatten()[view.target_positions_S], len(view.target_positions_S)
    masks = int((seen_S == vocabulary.special.mask).sum())
    kept = int((seen_S == view.targets_S).sum())
    replaced = round(random_share * scored)
    assert masks == round(masked_share * scored)
    same = (
        replaced // 5 + 2
    )  # a random token may be the clean one, as often as that stands in the batch
    assert scored - masks - replaced <= kept <= scored - masks - replaced + same
    assert bool(((seen_S < vocabulary.ordinary) | (seen_S == vocabulary.special.mask)).all())
    open_N = batch.token_ids_BT.flatten().clone()
    open_N[view.target_positions_S] = -1  # what is hidden gives no random token
    assert (
        int((~torch.isin(seen_S, open_N) & (seen_S != vocabulary.special.mask)).sum())
        <= scored - masks - replaced
    )
    assert not bool((seen_S == vocabulary.special.end).any())


def test_masking_leaves_everything_else_as_it_was_and_keeps_clean_targets(
    padded: Batch, vocabulary: VocabularyTable
) -> None:
    view = masked_view(
        padded, vocabulary, MlmSettings(batch_fraction=1.0, mask_rate=0.3), seeded(0)
    )
    assert torch.equal(view.targets_S, padded.token_ids_BT.flatten()[view.target_positions_S])
    untouched = torch.ones(padded.token_ids_BT.numel(), dtype=torch.bool)
    untouched[view.target_positions_S] = False
    untouched &= padded.real_BT.flatten()
    assert torch.equal(view.ids_RT.flatten()[untouched], padded.token_ids_BT.flatten()[untouched])
    assert bool((view.ids_RT[~padded.real_BT] == vocabulary.special.padding).all())
    assert not view.causal


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_masked_whole_or_not_at_all(
    batch: Batch, vocabulary: VocabularyTable, seed: int
) -> None:
    view = masked_view(
        batch, vocabulary, MlmSettings(batch_fraction=1.0, mask_rate=0.3), seeded(seed)
    )
    scored = torch.zeros(batch.token_ids_BT.numel(), dtype=torch.bool)
    scored[view.target_positions_S] = True
    scored = scored.view_as(batch.token_ids_BT)
    several = 0
    for row in range(len(batch.token_ids_BT)):
        for number in set(batch.number_BT[row].tolist()) - {NO_NUMBER}:
            chosen = scored[row, batch.number_BT[row] == number]
            assert bool(chosen.all()) or not bool(chosen.any())
            several += len(chosen) > 1
    assert several > 5


def test_without_whole_numbers_some_number_is_masked_in_part(
    batch: Batch, vocabulary: VocabularyTable
) -> None:
    view = masked_view(
        batch,
        vocabulary,
        MlmSettings(batch_fraction=1.0, mask_rate=0.5, whole_numbers=False),
        seeded(0),
    )
    scored = torch.zeros(batch.token_ids_BT.numel(), dtype=torch.bool)
    scored[view.target_positions_S] = True
    scored = scored.view_as(batch.token_ids_BT)
    groups = [
        scored[row, batch.number_BT[row] == number]
        for row in range(len(scored))
        for number in set(batch.number_BT[row].tolist()) - {NO_NUMBER}
    ]
    assert any(bool(group.any()) and not bool(group.all()) for group in groups)


def test_every_candidate_is_masked_about_equally_often(
    batch: Batch, vocabulary: VocabularyTable, encoding: tiktoken.Encoding
) -> None:
    times = torch.zeros(batch.token_ids_BT.numel())
    for seed in range(300):
        times[
            masked_view(
                batch, vocabulary, MlmSettings(batch_fraction=1.0), seeded(seed)
            ).target_positions_S
        ] += 1
    shares = times[candidates(batch, encoding)] / 300
    assert float(shares.min()) > 0.03
    assert float(shares.max()) < 0.30
    numbers = batch.number_BT.flatten()[candidates(batch, encoding)] != NO_NUMBER
    assert abs(float(shares[numbers].mean() - shares[~numbers].mean())) < 0.04


def test_the_share_of_sequences_takes_the_first_sequences(
    batch: Batch, vocabulary: VocabularyTable
) -> None:
    for maker, chosen in (
        (masked_view, MlmSettings(batch_fraction=0.5)),
        (corrupted_view, DenoisingSettings(batch_fraction=0.5)),
    ):
        view = maker(batch, vocabulary, chosen, seeded(0))
        assert torch.equal(view.document_ids_RT, batch.document_ids_BT[:3])
        assert int(view.target_positions_S.max()) < 3 * 32


@pytest.mark.parametrize("kind", [*KINDS_OF_NOISE, "mixture"])
def test_noise_touches_only_what_is_a_target_and_targets_are_clean(
    padded: Batch, vocabulary: VocabularyTable, kind: str
) -> None:
    chosen = (
        DenoisingSettings(batch_fraction=1.0, noise_rate=0.4)
        if kind == "mixture"
        else only(kind, 0.4)
    )
    view = corrupted_view(padded, vocabulary, chosen, seeded(1))
    clean_N = torch.where(padded.real_BT, padded.token_ids_BT, vocabulary.special.padding).flatten()
    changed = (view.ids_RT.flatten() != clean_N).nonzero()[:, 0].tolist()
    assert set(changed) <= set(view.target_positions_S.tolist())
    assert changed
    assert torch.equal(view.targets_S, clean_N[view.target_positions_S])
    assert view.target_positions_S.tolist() == sorted(set(view.target_positions_S.tolist()))


@pytest.mark.parametrize("kind", ["noise_token_share", "random_token_share", "digit_share"])
def test_exactly_the_asked_share_is_corrupted(
    padded: Batch, vocabulary: VocabularyTable, encoding: tiktoken.Encoding, kind: str
) -> None:
    allowed = candidates(padded, encoding)
    view = corrupted_view(padded, vocabulary, only(kind), seeded(2))
    assert len(view.target_positions_S) == round(0.15 * len(allowed))
    assert set(view.target_positions_S.tolist()) <= set(allowed)


def test_noise_token_stands_wherever_it_was_asked(
    padded: Batch, vocabulary: VocabularyTable
) -> None:
    view = corrupted_view(padded, vocabulary, only("noise_token_share"), seeded(2))
    assert (view.ids_RT.flatten() == vocabulary.special.noise).nonzero()[
        :, 0
    ].tolist() == view.target_positions_S.tolist()


def test_shuffling_swaps_neighbours_of_one_document(
    batch: Batch, vocabulary: VocabularyTable, encoding: tiktoken.Encoding
) -> None:
    view = corrupted_view(batch, vocabulary, only("shuffle_share", 0.6), seeded(2))
    clean, seen = batch.token_ids_BT.flatten().tolist(), view.ids_RT.flatten().tolist()
    documents, allowed = batch.document_ids_BT.flatten().tolist(), set(candidates(batch, encoding))
    scored = view.target_positions_S.tolist()
    assert len(scored) % 2 == 0
    assert len(scored) > 20
    for first, second in zip(scored[::2], scored[1::2], strict=True):
        assert second == first + 1
        assert first // 32 == second // 32
        assert {first, second} <= allowed
        assert documents[first] == documents[second]
        assert (seen[first], seen[second]) == (clean[second], clean[first])
        assert clean[first] != clean[second]


def test_changed_digits_are_as_many_as_before(batch: Batch, vocabulary: VocabularyTable) -> None:
    view = corrupted_view(batch, vocabulary, only("digit_share", 0.5), seeded(2))
    digits_before, digits_after = (
        torch.from_numpy(vocabulary.digits)[ids]
        for ids in (view.targets_S, view.ids_RT.flatten()[view.target_positions_S])
    )
    numeric = digits_before > 0
    assert int(numeric.sum()) > 5
    assert torch.equal(digits_after[numeric], digits_before[numeric])
    differs = view.ids_RT.flatten()[view.target_positions_S] != view.targets_S
    assert float(differs[numeric].float().mean()) > 0.5


def test_no_view_ever_shows_a_special_token_it_should_not(
    padded: Batch, vocabulary: VocabularyTable
) -> None:
    for seed in range(3):
        masked = masked_view(
            padded, vocabulary, MlmSettings(batch_fraction=1.0, mask_rate=0.8), seeded(seed)
        ).ids_RT
        corrupted = corrupted_view(
            padded, vocabulary, DenoisingSettings(batch_fraction=1.0, noise_rate=0.8), seeded(seed)
        ).ids_RT
        ends = padded.real_BT & (padded.token_ids_BT == vocabulary.special.end)
        for ids in (masked, corrupted):
            assert torch.equal(ids == vocabulary.special.end, ends)
            assert torch.equal(ids == vocabulary.special.padding, ~padded.real_BT)
        assert not bool((masked == vocabulary.special.noise).any())
        assert not bool((corrupted == vocabulary.special.mask).any())


def test_sentences_end_at_stops_that_no_digit_follows(
    encoding: tiktoken.Encoding, vocabulary: VocabularyTable
) -> None:
    text = "It weighs 12.5 kg. Is that much? No! Yes"
    batch = padded_batch(tokenize_texts(encoding, [text, "Next."]))
    ids_T, sentence_T = (
        batch.token_ids_BT[0].tolist(),
        sentence_ids_BT(batch, vocabulary)[0].tolist(),
    )
    parts: dict[int, str] = {}
    for token, sentence in zip(ids_T, sentence_T, strict=True):
        if sentence >= 0:
            parts[sentence] = parts.get(sentence, "") + encoding.decode([token])
    assert [part.strip() for part in parts.values()] == [
        "It weighs 12.5 kg.",
        "Is that much?",
        "No!",
        "Yes",
    ]
    both = sentence_ids_BT(batch, vocabulary)
    assert not set(both[0].tolist()) & set(both[1].tolist()) - {-1}
    assert bool((both[batch.token_ids_BT == vocabulary.special.end] == -1).all())
    assert bool((both[~batch.real_BT] == -1).all())
