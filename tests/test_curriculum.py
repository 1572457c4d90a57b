"""The curriculum: what is difficult, which positions a step prefers, from its index alone."""

from __future__ import annotations

import math

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import token_difficulty_loop

from ssl_lib.batches.batch import NO_NUMBER, Batch
from ssl_lib.batches.corruption import choose, corrupted_view, masked_view
from ssl_lib.batches.curriculum import STRENGTH, Curriculum, SamplingWeights, token_difficulty
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.batches.views import candidates_N
from ssl_lib.config import DenoisingSettings, MlmSettings, Settings
from ssl_lib.errors import UserError
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.vocabulary import VocabularyTable
from ssl_lib.training.fit import Corpora, fit
from ssl_lib.training.trainer import SelfSupervisedTrainer

GRADUAL = {"training.curriculum": "common_to_rare", "training.curriculum_steps": 8}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def counts(sequences: PackedSequences, encoding: tiktoken.Encoding) -> torch.Tensor:
    return sequences.token_counts(encoding.n_vocab)


@budget(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any))
def test_difficulty_is_the_share_of_more_common_tokens(counts: list[int]) -> None:
    assert token_difficulty(torch.tensor(counts)).tolist() == pytest.approx(
        token_difficulty_loop(counts)
    )


def test_a_curriculum_needs_tokens_and_steps() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        token_difficulty(torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least one step"):
        Curriculum(torch.ones(4, dtype=torch.int64), 0)


def test_counts_are_those_of_the_store(
    sequences: PackedSequences, counts: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = sequences.store.tokens.tolist()
    assert counts.tolist() == [tokens.count(token) for token in range(len(counts))]
    monkeypatch.setattr("ssl_lib.batches.datasets.COUNTED_AT_ONCE", 100)
    assert torch.equal(sequences.token_counts(len(counts)), counts)


def test_progress_rises_in_a_straight_line_and_stays() -> None:
    curriculum = Curriculum(torch.arange(5), 4)
    assert [curriculum.at(step).progress for step in range(7)] == [
        0.0,
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
        1.0,
    ]


def test_draws_follow_the_weights() -> None:
    """The first of many draws is each position as often as its weight says."""
    one = Batch(*(torch.arange(3)[None] for _ in range(6)))._replace(
        number_BT=torch.full((1, 3), NO_NUMBER)
    )
    sampling = SamplingWeights(torch.tensor([0.0, 0.25, 0.5], dtype=torch.float64), 1.0)
    generator, times = seeded(), torch.zeros(3)
    for _ in range(4000):
        times[choose(torch.arange(3), 1, generator, sampling.log_weights_N(one))] += 1
    weights = torch.tensor([1.0, math.exp(STRENGTH / 4), math.exp(STRENGTH / 2)])
    torch.testing.assert_close(times / 4000, weights / weights.sum(), rtol=0, atol=0.03)


@pytest.mark.parametrize(("granularity", "least"), [("token", 0.1), ("word", 0.05), ("span", 0.01)])
def test_masking_goes_from_common_tokens_to_rare_ones_and_numbers(
    batch: Batch, vocabulary: VocabularyTable, counts: torch.Tensor, granularity: str, least: float
) -> None:
    chosen = MlmSettings(batch_fraction=1.0, granularity=granularity)
    wanted = round(chosen.mask_rate * int(candidates_N(batch, vocabulary).sum()))
    hard, numeric = [], []
    for progress in (0.0, 0.5, 1.0):
        sampling = SamplingWeights(token_difficulty(counts), progress)
        views = [
            masked_view(batch, vocabulary, chosen, seeded(seed), sampling) for seed in range(30)
        ]
        assert {len(view.target_positions_S) for view in views} == {wanted}
        hard.append(torch.cat([sampling.difficulty_V[view.targets_S] for view in views]).mean())
        numeric.append(
            torch.cat(
                [batch.number_BT.flatten()[view.target_positions_S] != NO_NUMBER for view in views]
            ).float()
        )
    numeric = [float(share.mean()) for share in numeric]
    assert hard[0] + least < hard[1] < hard[2] - least
    assert numeric[0] + least < numeric[1] < numeric[2] - least


def test_noise_goes_from_common_tokens_to_numbers(
    batch: Batch, vocabulary: VocabularyTable, counts: torch.Tensor
) -> None:
    def numeric(progress: float) -> float:
        sampling = SamplingWeights(token_difficulty(counts), progress)
        views = [
            corrupted_view(
                batch, vocabulary, DenoisingSettings(batch_fraction=1.0), seeded(seed), sampling
            )
            for seed in range(30)
        ]
        shares = [
            (batch.number_BT.flatten()[view.target_positions_S] != NO_NUMBER).float().mean()
            for view in views
        ]
        return float(torch.stack(shares).mean())

    assert numeric(0.0) + 0.1 < numeric(0.5) < numeric(1.0) - 0.1


@pytest.mark.parametrize("granularity", ["token", "word", "span"])
def test_a_view_is_a_function_of_batch_generator_and_sampling_weights(
    batch: Batch, vocabulary: VocabularyTable, counts: torch.Tensor, granularity: str
) -> None:
    deletions = DenoisingSettings(batch_fraction=1.0, deletion_share=0.3, infill_share=0.3)
    for maker, chosen in (
        (masked_view, MlmSettings(batch_fraction=1.0, granularity=granularity)),
        (corrupted_view, deletions),
    ):
        seen = []
        for first, progress in ((4, 0.2), (4, 0.2), (9, 0.2), (4, 0.9)):
            torch.manual_seed(len(seen))
            sampling = SamplingWeights(token_difficulty(counts), progress)
            views = [
                maker(batch, vocabulary, chosen, seeded(first + more), sampling).ids_RT
                for more in range(5)
            ]
            seen.append(torch.stack(views))  # one draw of a few spans may be the same by chance
        assert torch.equal(seen[0], seen[1])
        assert not torch.equal(seen[0], seen[2])
        assert not torch.equal(seen[0], seen[3])


def test_the_middle_of_the_curriculum_is_as_good_as_none(
    batch: Batch, vocabulary: VocabularyTable, counts: torch.Tensor
) -> None:
    sampling = SamplingWeights(token_difficulty(counts), 0.5)
    assert not sampling.log_weights_N(batch).any()


def views_of(trainer: SelfSupervisedTrainer, batch: Batch, step: int) -> list[int]:
    trainer.steps_done = step
    return (
        trainer.prepare([batch], trainer.steps_done)[0][0]
        .views["masked"]
        .target_positions_S.tolist()
    )


def test_a_step_knows_its_views_from_its_index(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch, counts: torch.Tensor
) -> None:
    chosen = settings.replaced(GRADUAL)
    first, second = (
        SelfSupervisedTrainer(
            *build_objectives(chosen, encoding).values(),
            settings=chosen.training,
            token_counts=counts,
        )
        for _ in range(2)
    )
    for _ in range(4):
        first.train_step(batch)
    assert views_of(first, batch, 7) == views_of(second, batch, 7)
    plain = SelfSupervisedTrainer(
        *build_objectives(settings, encoding).values(), settings=settings.training
    )
    assert views_of(plain, batch, 0) != views_of(second, batch, 0)


def test_a_curriculum_without_counts_is_refused(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    chosen = settings.replaced(GRADUAL)
    with pytest.raises(UserError, match=r"training\.curriculum"):
        SelfSupervisedTrainer(build_objectives(chosen, encoding)["mlm"], settings=chosen.training)


def test_training_counts_the_tokens_of_its_corpus_and_follows_the_curriculum(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    class Silent:
        def log(self, metrics: dict[str, float], step: int) -> None:
            pass

    few = settings.replaced(GRADUAL | {"training.steps": 4, "training.validate_every_steps": 4})
    corpora = Corpora(sequences, sequences)
    curves = [fit(chosen, encoding, corpora, Silent()).progress.curve for chosen in (
        few, few, few.replaced({"training.curriculum_steps": 4}),
        few.replaced({"training.curriculum_steps": 0}),
    )]  # fmt: skip
    losses = [[(point["mlm"], point["denoising"]) for point in curve] for curve in curves]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[2] == losses[3]
