"""Deletions and span infilling: what is missing is gone, what moved is found again, and every
missing token has one position that must rebuild it.
"""

from __future__ import annotations

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import remove_deleted_loop

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.batches.corruption import (
    LONGEST_DELETION,
    corrupted_view,
    plan_deletions,
    remove_deleted,
)
from ssl_lib.batches.datasets import PackedSequences, padded_batch
from ssl_lib.batches.views import View, candidates_N, in_clean_order, padded_ids
from ssl_lib.config import ContrastiveSettings, DenoisingSettings, SettingsError, parse_settings
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import ObjectiveGroup, run_trunk, states_at, unit_length
from ssl_lib.objectives.contrastive.objective import ContrastiveTokenEncoder
from ssl_lib.objectives.denoising import DenoisingAutoencoder
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.vocabulary import VocabularyTable

SHARES = (
    "noise_token_share", "random_token_share", "shuffle_share",
    "digit_share", "deletion_share", "infill_share",
)  # fmt: skip
NOISE, PADDING = -7, -8


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixed(rate: float = 0.15, **shares: float) -> DenoisingSettings:
    return DenoisingSettings(
        batch_fraction=1.0, noise_rate=rate, **(dict.fromkeys(SHARES, 0.0) | shares)
    )


@pytest.fixture(scope="module")
def padded(encoding: tiktoken.Encoding, texts: list[str]) -> Batch:
    return padded_batch(
        tokenize_texts(encoding, ["Of 1,234 only 56.", "Hm.", *texts[:10]]), context_length=48
    )


def plain_batch(ids: torch.Tensor, documents: torch.Tensor) -> Batch:
    return Batch(ids, documents, *(torch.zeros_like(ids) for _ in range(4)))


WIDTH = 30
FATES = st.lists(st.sampled_from("kkdi"), min_size=2 * WIDTH, max_size=2 * WIDTH)
BORDERS = st.lists(st.booleans(), min_size=2 * WIDTH, max_size=2 * WIDTH)


@budget(max_examples=150, deadline=None)
@given(fates=st.one_of(FATES, st.sampled_from(["d" * 2 * WIDTH, "i" * 2 * WIDTH])), borders=BORDERS)
def test_deletions_equal_those_of_a_reader_from_left_to_right(
    fates: list[str], borders: list[bool]
) -> None:
    ids = torch.arange(100, 100 + 2 * WIDTH).view(2, WIDTH)
    documents = torch.tensor(borders).view(2, WIDTH).long().cumsum(1)
    deleted, infilled = (torch.tensor([fate == kind for fate in fates]) for kind in "di")
    deletions = plan_deletions(plain_batch(ids, documents), deleted, infilled)
    target_positions_S = (deleted | infilled).nonzero()[:, 0]
    view_N = ids.flatten().masked_fill(deletions.noise_N, NOISE)
    view = remove_deleted(
        View(
            view_N.view_as(ids),
            documents,
            False,
            target_positions_S,
            ids.flatten()[target_positions_S],
        ),
        deletions,
        PADDING,
    )
    assert view.source_N is not None
    assert view.offsets_S is not None
    by_whom = zip(view.target_positions_S.tolist(), view.offsets_S.tolist(), strict=True)
    rebuilders = dict(zip(target_positions_S.tolist(), by_whom, strict=True))
    for row in range(2):
        here = slice(row * WIDTH, (row + 1) * WIDTH)
        slow = remove_deleted_loop(
            ids[row].tolist(),
            documents[row].tolist(),
            deleted[here].tolist(),
            infilled[here].tolist(),
            LONGEST_DELETION,
        )
        kept = [NOISE if token is None else token for token in slow.tokens]
        assert view.ids_RT[row].tolist() == kept + [PADDING] * (WIDTH - len(kept))
        assert view.document_ids_RT[row, len(kept) :].tolist() == [-1] * (WIDTH - len(kept))
        assert view.source_N[here].tolist() == [
            place + row * WIDTH if place >= 0 else -1 for place in slow.places
        ]
        for column, (place, behind) in enumerate(slow.rebuilders):
            if fates[row * WIDTH + column] != "k":
                assert rebuilders[row * WIDTH + column] == (row * WIDTH + column - behind, behind)
                assert view.source_N[row * WIDTH + column - behind] == place + row * WIDTH
                assert view.document_ids_RT[row, place] == documents[row, column]


MIXTURES = {
    "deletion": {"deletion_share": 1.0},
    "infilling": {"infill_share": 1.0},
    "both": {"deletion_share": 1.0, "infill_share": 1.0},
    "all": dict.fromkeys(SHARES, 1.0),
}


@pytest.mark.parametrize("rate", [0.0, 0.15, 0.6, 1.0])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_what_did_not_go_is_found_where_the_view_says(
    padded: Batch, vocabulary: VocabularyTable, mixture: str, rate: float
) -> None:
    clean_N = padded_ids(padded, vocabulary).flatten()
    width = padded.token_ids_BT.shape[1]
    for seed in range(4):
        view = corrupted_view(padded, vocabulary, mixed(rate, **MIXTURES[mixture]), seeded(seed))
        assert view.source_N is not None
        stays = view.source_N >= 0
        touched = torch.zeros_like(stays)
        touched[_clean_positions(view)] = True
        untouched = stays & ~touched
        assert torch.equal(view.ids_RT.flatten()[view.source_N[untouched]], clean_N[untouched])
        assert torch.equal(
            view.document_ids_RT.flatten()[view.source_N[stays]],
            padded.document_ids_BT.flatten()[stays],
        )
        assert bool((view.source_N[stays] // width == stays.nonzero()[:, 0] // width).all())
        assert len(view.source_N[stays].unique()) == int(stays.sum())
        assert bool((touched | stays).all()), "a missing token that nobody rebuilds"


def _clean_positions(view: View) -> torch.Tensor:
    """The clean positions whose tokens are to be rebuilt, from the view alone."""
    assert view.offsets_S is not None
    return view.target_positions_S + view.offsets_S


def test_states_are_handed_out_by_clean_position(
    padded: Batch, vocabulary: VocabularyTable
) -> None:
    view = corrupted_view(padded, vocabulary, mixed(0.5, **MIXTURES["both"]), seeded(1))
    assert view.source_N is not None
    states = view.ids_RT[..., None].float().expand(-1, -1, 3)
    back = in_clean_order(states, view.source_N)
    for index, place in enumerate(view.source_N.tolist()):
        row, column = divmod(index, padded.token_ids_BT.shape[1])
        assert (
            back[row, column].tolist()
            == [float(view.ids_RT.flatten()[place]) if place >= 0 else 0.0] * 3
        )
        assert bool(view.present_RT()[row, column]) == (place >= 0)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_targets_are_the_clean_tokens_of_what_was_touched(
    padded: Batch, vocabulary: VocabularyTable, mixture: str
) -> None:
    view = corrupted_view(padded, vocabulary, mixed(0.5, **MIXTURES[mixture]), seeded(1))
    positions = _clean_positions(view)
    assert torch.equal(view.targets_S, padded.token_ids_BT.flatten()[positions])
    assert len(positions.unique()) == len(positions)
    assert set(positions.tolist()) <= set(candidates_N(padded, vocabulary).nonzero()[:, 0].tolist())


@budget(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.floats(0.0, 1.0), st.sampled_from(["deletion", "infilling", "both"])
)
def test_exactly_the_asked_share_is_corrupted(
    tokenized: Tokenized, vocabulary: VocabularyTable, seed: int, rate: float, mixture: str
) -> None:
    batch = PackedSequences(tokenized, 16, seed=seed % 97).batch(seed % 11, 3)
    view = corrupted_view(batch, vocabulary, mixed(rate, **MIXTURES[mixture]), seeded(seed))
    assert len(view.target_positions_S) == round(rate * int(candidates_N(batch, vocabulary).sum()))


def test_special_tokens_and_padding_never_go(padded: Batch, vocabulary: VocabularyTable) -> None:
    view = corrupted_view(padded, vocabulary, mixed(1.0, **MIXTURES["both"]), seeded(0))
    ends = padded.real_BT & (padded.token_ids_BT == vocabulary.special.end)
    assert int((view.ids_RT == vocabulary.special.end).sum()) == int(ends.sum()) > 0
    assert torch.equal(view.ids_RT == vocabulary.special.padding, view.document_ids_RT < 0)


def test_infilling_takes_numbers_whole_and_leaves_one_noise_token(
    batch: Batch, vocabulary: VocabularyTable
) -> None:
    gone, several = 0, 0
    for seed in range(10):
        view = corrupted_view(batch, vocabulary, mixed(0.3, infill_share=1.0), seeded(seed))
        touched = torch.zeros(batch.token_ids_BT.numel(), dtype=torch.bool)
        touched[_clean_positions(view)] = True
        for row in range(len(batch.token_ids_BT)):
            for number in set(batch.number_BT[row].tolist()) - {NO_NUMBER}:
                chosen = touched.view_as(batch.number_BT)[row, batch.number_BT[row] == number]
                assert bool(chosen.all()) or not bool(chosen.any())
                several += len(chosen) > 1 and bool(chosen.all())
        noise = view.ids_RT == vocabulary.special.noise
        gone += int((view.source_N < 0).sum())
        assert int(noise.sum()) + int((view.source_N < 0).sum()) == len(view.target_positions_S)
    assert gone > 20
    assert several > 5


def test_deletion_shows_no_noise_token_where_something_stands_before(
    batch: Batch, vocabulary: VocabularyTable
) -> None:
    view = corrupted_view(batch, vocabulary, mixed(0.15, deletion_share=1.0), seeded(3))
    assert view.source_N is not None
    begins = torch.ones_like(batch.document_ids_BT, dtype=torch.bool)
    begins[:, 1:] = batch.document_ids_BT[:, 1:] != batch.document_ids_BT[:, :-1]
    stayed = torch.tensor([bool(view.source_N[index] >= 0) for index in _clean_positions(view)])
    assert bool(begins.flatten()[_clean_positions(view)[stayed]].all())
    assert int((~stayed).sum()) > 20


def test_contrastive_pairs_are_of_tokens_that_stand_in_both_views(
    trunk: Trunk, padded: Batch
) -> None:
    denoising = DenoisingAutoencoder(trunk=trunk, settings=mixed(0.6, **MIXTURES["both"]))
    contrastive = ContrastiveTokenEncoder(trunk=trunk)
    prepared = ObjectiveGroup([contrastive, denoising]).prepare(padded, seeded())
    present = prepared.views["corrupted"].present_RT()
    assert not bool(present.all())
    token, document = (prepared.selected["contrastive"][part] for part in ("token", "document"))
    assert bool(present.flatten()[token["positions"]].all())
    assert torch.equal(token["labels"], padded.token_ids_BT.flatten()[token["positions"]])
    assert bool((document["span"][~present] == -1).all())
    assert sorted(document["span"].unique().tolist()) == list(range(-1, len(document["first"])))


def test_keys_of_the_momentum_encoder_are_those_of_the_clean_positions(
    trunk: Trunk, encoding: tiktoken.Encoding, padded: Batch
) -> None:
    denoising = DenoisingAutoencoder(trunk=trunk, settings=mixed(0.6, **MIXTURES["both"]))
    settings = ContrastiveSettings(batch_fraction=1.0, momentum=0.9, queue=64)
    contrastive = ContrastiveTokenEncoder(trunk=trunk, settings=settings, encoding=encoding)
    prepared = ObjectiveGroup([contrastive, denoising]).prepare(padded, seeded())
    chosen = prepared.selected["contrastive"]
    keys, _ = contrastive.momentum_encoder(chosen)["token"]
    states = states_at(run_trunk(trunk, prepared.views)["corrupted"], chosen["token"]["positions"])
    assert int(prepared.views["corrupted"].source_N.min()) == -1
    torch.testing.assert_close(
        keys.vectors, unit_length(contrastive.token_projection(states)), rtol=0, atol=1e-5
    )


def test_without_deletions_nothing_moves(batch: Batch, vocabulary: VocabularyTable) -> None:
    view = corrupted_view(batch, vocabulary, DenoisingSettings(batch_fraction=1.0), seeded(0))
    assert view.source_N is None
    assert view.offsets_S is None
    assert torch.equal(view.document_ids_RT, batch.document_ids_BT)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_view_with_deletions_is_a_function_of_batch_and_generator(
    padded: Batch, vocabulary: VocabularyTable, mixture: str
) -> None:
    chosen = mixed(0.4, **MIXTURES[mixture])
    first, second, third = (
        corrupted_view(padded, vocabulary, chosen, seeded(seed)) for seed in (4, 4, 5)
    )
    for name in (
        "ids_RT",
        "document_ids_RT",
        "target_positions_S",
        "targets_S",
        "source_N",
        "offsets_S",
    ):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(first.ids_RT, third.ids_RT)


def test_noise_of_no_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="_share"):
        parse_settings({"objectives": {"denoising": dict.fromkeys(SHARES, 0.0)}})
