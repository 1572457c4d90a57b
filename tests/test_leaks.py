"""No leaks: what a position may not see changes nothing about it, however numbers are read."""

from __future__ import annotations

import functools

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.corruption import corrupted_view, masked_view
from ssl_lib.batches.datasets import PackedSequences, padded_batch
from ssl_lib.batches.views import View
from ssl_lib.config import DenoisingSettings, MlmSettings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.base import ObjectiveGroup
from ssl_lib.objectives.numerical import NumericalPatternLearner
from ssl_lib.synthetic.generator import generate
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.encodings import encode, train_encoding
from ssl_lib.tokens.vocabulary import VocabularyTable

KINDS = ("none", "value", "log_value", "exponent_bins", "fourier", "place_value")
GROUPINGS = ("right3", "single")
LENGTH = 20


@functools.cache
def encoding_with(digits: str) -> tiktoken.Encoding:
    return train_encoding(
        [document.text for document in generate(seed=1, documents=30)], 1400, digits
    )


@functools.cache
def model(kind: str, digits: str) -> Trunk:
    """Two layers at random, with number features as strong as everything else."""
    torch.manual_seed(0)
    encoding = encoding_with(digits)
    shape = TrunkShape(
        encoding.n_vocab,
        width=32,
        layers=2,
        heads=2,
        number_embedding=kind,
        mode_specific_layers=1,
        short_convolution=3,
        induction_heads=1,
    )
    trunk = Trunk(shape, encoding).eval()
    for block in trunk.all_blocks:  # they begin at zero, where nothing could leak through them
        torch.nn.init.normal_(block.before_attention.weight_PD)
        torch.nn.init.normal_(block.before_feed_forward.weight_PD)
    return trunk


@torch.no_grad()
def states(trunk: Trunk, ids_T: Tensor, documents_T: Tensor, causal: bool) -> Tensor:
    return trunk(ids_T[None], documents_T[None], torch.tensor([causal]))[0]


TEXT = st.text(alphabet="0123456789., -%$ab\n½é", min_size=LENGTH * 4, max_size=LENGTH * 6)


def ids_of(text: str, digits: str) -> Tensor:
    return torch.tensor(encode(encoding_with(digits), text)[:LENGTH])


@pytest.mark.parametrize("digits", GROUPINGS)
@pytest.mark.parametrize("kind", KINDS)
@budget(max_examples=15, deadline=None)
@given(first=TEXT, second=TEXT, border=st.integers(0, LENGTH), split=st.integers(0, LENGTH))
def test_causal_hidden_state_ignores_the_future(
    kind: str, digits: str, first: str, second: str, border: int, split: int
) -> None:
    past, future = ids_of(first, digits), ids_of(second, digits)
    length = min(len(past), len(future))
    past, future, border = past[:length], future[:length], min(border, length)
    mixed = torch.cat([past[:border], future[border:]])
    documents = (torch.arange(length) >= split).long()
    others = torch.where(torch.arange(length) < border, documents, documents + 5)
    trunk = model(kind, digits)
    clean = states(trunk, past, documents, causal=True)
    changed = states(trunk, mixed, others, causal=True)
    torch.testing.assert_close(changed[:border], clean[:border], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_causal_state_does_depend_on_its_past_and_a_bidirectional_one_on_both_sides(
    kind: str,
) -> None:
    ids = ids_of("The sum of 12 + 34.5 is 46.5 and more follows here for a while.", "right3")
    documents = torch.zeros_like(ids)
    changed = ids.clone()
    changed[6] = ids[0]
    for causal in (True, False):
        before = states(model(kind, "right3"), ids, documents, causal)
        after = states(model(kind, "right3"), changed, documents, causal)
        difference = (after - before).abs().amax(-1)
        assert bool((difference[6:] > 1e-5).all())
        assert bool((difference[:6] > 1e-5).all()) != causal


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [True, False])
@budget(max_examples=8, deadline=None)
@given(first=TEXT, second=TEXT, third=TEXT)
def test_documents_of_a_sequence_do_not_see_one_another(
    kind: str, causal: bool, first: str, second: str, third: str
) -> None:
    one, other, kept = (ids_of(text, "right3")[:8] for text in (first, second, third))
    shared = min(len(one), len(other))
    one, other = one[:shared], other[:shared]
    documents = torch.cat(
        [torch.zeros(shared), torch.ones(len(kept)), torch.full((shared,), 2)]
    ).long()
    trunk = model(kind, "right3")
    sequences = [
        states(trunk, torch.cat([part, kept, part]), documents, causal) for part in (one, other)
    ]
    inside = slice(shared, shared + len(kept))
    torch.testing.assert_close(sequences[0][inside], sequences[1][inside], rtol=0, atol=1e-6)
    alone = states(trunk, kept, torch.zeros_like(kept), causal)
    torch.testing.assert_close(sequences[0][inside], alone, rtol=0, atol=1e-4)


def random_sequences(seed: int, digits: str) -> Batch:
    texts = [document.text for document in generate(seed=seed % 50, documents=8)]
    return PackedSequences(tokenize_texts(encoding_with(digits), texts), 24, seed=seed).batch(
        seed % 5, 3
    )


def with_other_ids(
    batch: Batch, positions_S: Tensor, vocabulary: VocabularyTable, seed: int
) -> Batch:
    """The same with other clean tokens at some flat positions; words stay words."""
    generator = torch.Generator().manual_seed(seed)
    ids_N = batch.token_ids_BT.flatten().clone()
    kind_V = 2 * torch.from_numpy(vocabulary.word_start).long() + torch.from_numpy(
        vocabulary.word_end
    )
    for kind in kind_V[ids_N[positions_S]].unique():
        alike = (kind_V[: vocabulary.ordinary] == kind).nonzero()[:, 0]
        there_S = positions_S[kind_V[ids_N[positions_S]] == kind]
        ids_N[there_S] = alike[torch.randint(len(alike), (len(there_S),), generator=generator)]
    return batch._replace(token_ids_BT=ids_N.view_as(batch.token_ids_BT))


def covered_positions(view: View, hidden: int) -> Tensor:
    """Clean flat positions whose token the view does not show: replaced or missing."""
    covered_N = view.ids_RT.flatten() == hidden
    if view.source_N is not None:
        assert bool((view.source_N < 0).any())
        covered_N = covered_N[view.source_N.clamp_min(0)] | (view.source_N < 0)
    return covered_N.nonzero()[:, 0]


@pytest.mark.parametrize("digits", GROUPINGS)
@pytest.mark.parametrize("kind", KINDS)
@budget(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_masked_and_corrupted_tokens_change_no_feature_of_their_view(
    kind: str, digits: str, seed: int
) -> None:
    trunk, batch = model(kind, digits), random_sequences(seed, digits)
    vocabulary = trunk.vocabulary
    for maker, chosen, hidden in (
        (masked_view, MlmSettings(batch_fraction=1.0, mask_rate=0.4), vocabulary.special.mask),
        (
            masked_view,
            MlmSettings(batch_fraction=1.0, mask_rate=0.4, granularity="word"),
            vocabulary.special.mask,
        ),
        (
            corrupted_view,
            DenoisingSettings(batch_fraction=1.0, noise_rate=0.5),
            vocabulary.special.noise,
        ),
        (
            corrupted_view,
            DenoisingSettings(
                batch_fraction=1.0, noise_rate=0.4, deletion_share=0.5, infill_share=0.5
            ),
            vocabulary.special.noise,
        ),
    ):
        view = maker(batch, vocabulary, chosen, torch.Generator().manual_seed(seed))
        covered_S = covered_positions(view, hidden)
        assert len(covered_S)
        other_batch = with_other_ids(batch, covered_S, vocabulary, seed)
        other = maker(other_batch, vocabulary, chosen, torch.Generator().manual_seed(seed))
        assert not torch.equal(other.targets_S, view.targets_S)
        assert torch.equal(other.ids_RT, view.ids_RT)
        assert torch.equal(other.target_positions_S, view.target_positions_S)
        assert torch.equal(other.document_ids_RT, view.document_ids_RT)
        with torch.no_grad():
            bidirectional = torch.zeros(len(view.ids_RT), dtype=torch.bool)
            features = [
                trunk.embed(each.ids_RT, each.document_ids_RT, bidirectional)
                for each in (view, other)
            ]
        assert torch.equal(*features)


@pytest.mark.parametrize("kind", KINDS)
def test_next_value_is_read_before_the_number_and_ignores_it(kind: str) -> None:
    encoding, trunk = encoding_with("right3"), model(kind, "right3")
    learner = NumericalPatternLearner(trunk=trunk).eval()
    found = []
    for number in ("12,345.5", "99,871.2"):
        batch = padded_batch(tokenize_texts(encoding, [f"The total of the bill is {number}."]))
        prepared = ObjectiveGroup([learner]).prepare(batch, torch.Generator().manual_seed(0))
        chosen = prepared.selected["numerical"]["value"]
        assert chosen.count == 1
        view = prepared.views["causal"]
        position = int(chosen["positions"][0])
        first = int((batch.number_BT[0] >= 0).nonzero()[0])
        assert position == first - 1
        found.append(
            (
                float(chosen["targets"][0]),
                states(trunk, view.ids_RT[0], view.document_ids_RT[0], True)[position],
            )
        )
    assert [value for value, _ in found] == [12345.5, 99871.2]
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-6)


def test_padding_changes_nothing(trunk: Trunk, tokenized: Tokenized) -> None:
    ids = torch.from_numpy(tokenized.tokens[:12].astype("int64"))
    padded = torch.cat([ids, torch.full((9,), trunk.vocabulary.special.padding)])
    documents = torch.cat([torch.zeros(12), torch.full((9,), -1)]).long()
    for causal in (True, False):
        alone = states(trunk, ids, torch.zeros(12).long(), causal)
        torch.testing.assert_close(
            states(trunk, padded, documents, causal)[:12], alone, rtol=0, atol=1e-5
        )
