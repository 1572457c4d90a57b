"""The momentum encoder and its queue: against a loop and a list, resumed, diverged, saved."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import tiktoken
import torch
import torch.multiprocessing
from contrasting import (
    CONTRAST,
    MOMENTUM,
    encoder_in,
    state_of,
    trainer_of,
)
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from reference import (
    momentum_loop,
)
from torch import Tensor

from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.batches.views import in_clean_order
from ssl_lib.config import Settings
from ssl_lib.model.devices import Placement
from ssl_lib.objectives.base import unit_length
from ssl_lib.objectives.contrastive.momentum import NO_LABEL, Keys, Queue
from ssl_lib.objectives.contrastive.objective import ContrastiveTokenEncoder
from ssl_lib.objectives.held_out import held_out_losses
from ssl_lib.objectives.model_folder import read_model, save_model
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.training.gradients import compare_gradients
from ssl_lib.training.optimizer import split_parameters
from ssl_lib.training.trainer import DivergedError, SelfSupervisedTrainer


@budget(max_examples=50, deadline=None)
@given(st.integers(1, 7), st.lists(st.integers(0, 10), max_size=8))
def test_queue_equals_a_list_of_the_last_keys(places: int, pushes: list[int]) -> None:
    queue, expected = Queue(places, 2), []
    for push, count in enumerate(pushes):
        labels = torch.arange(count) + 100 * push
        queue.push(Keys(torch.stack([labels, -labels], dim=1).float(), labels))
        expected = (expected + labels.tolist())[-places:]
    keys, labels = queue.content
    held = sorted(labels[labels != NO_LABEL].tolist())
    assert held == expected
    filled = labels != NO_LABEL
    assert torch.equal(keys[filled], torch.stack([labels, -labels], dim=1)[filled].float())


def averaged(encoder: ContrastiveTokenEncoder) -> dict[str, Tensor]:
    """What the momentum encoder averages, by the name that it has there."""
    names = ("trunk", "token_projection", "sentences", "document_projection")
    return {
        f"{name}.{weight}": value.detach().clone()
        for name in names
        for weight, value in getattr(encoder, name).named_parameters()
    }


def test_momentum_weights_are_an_exponential_moving_average_of_the_weights(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    trainer = trainer_of(settings.replaced(MOMENTUM), encoding, "mlm", "contrastive")
    encoder = encoder_in(trainer)
    slow = averaged(encoder)
    for step in range(3):
        trainer.train_step(sequences.batch(step, 3))
        slow = {name: 0.9 * slow[name] + 0.1 * value for name, value in averaged(encoder).items()}
    for name, value in encoder.momentum_encoder.copies.named_parameters():
        torch.testing.assert_close(value, slow[name], rtol=1e-5, atol=1e-7)
    now = averaged(encoder)["trunk.embedding.weight"]
    assert not torch.equal(encoder.momentum_encoder.copies["trunk"].embedding.weight, now)


@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_loss_and_queue_are_those_of_keys_made_one_by_one(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences, gaps: float
) -> None:
    chosen = settings.replaced(MOMENTUM | {"objectives.denoising.deletion_share": gaps})
    trainer = trainer_of(chosen, encoding, "contrastive", "denoising")
    encoder, queue = encoder_in(trainer), []
    for step in range(4):
        batch = sequences.batch(step, 3)
        views = trainer.prepare([batch], trainer.steps_done)
        prepared = views[0][0]
        token, view = prepared.selected["contrastive"]["token"], prepared.views["corrupted"]
        assert (view.source_N is not None) == (gaps > 0)
        copies = encoder.momentum_encoder.copies
        with torch.no_grad():
            hidden = copies["trunk"](
                view.ids_RT, view.document_ids_RT, torch.zeros(3, dtype=torch.bool)
            )
            hidden = in_clean_order(hidden, view.source_N)
            keys = [
                unit_length(copies["token_projection"](hidden[at // 32, at % 32]))
                for at in token["positions"].tolist()
            ]
            masked = prepared.views["masked"]
            seen = trainer.groups[0].trunk(
                masked.ids_RT, masked.document_ids_RT, torch.zeros(3, dtype=torch.bool)
            )
            queries = unit_length(
                encoder.token_projection(seen.reshape(-1, 32)[token["positions"]])
            )
            named = list(zip(keys, token["labels"].tolist(), strict=True))
            expected = momentum_loop(queries, named, queue, 0.07)
            got = trainer.groups[0](prepared)["contrastive"]["token"]
        assert token.count == len(named) == 24
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        trainer.update(views)
        queue = (queue + named)[-64:]
        held, labels = encoder.momentum_encoder.queues["token"].content
        filled = labels != NO_LABEL
        assert sorted(labels[filled].tolist()) == sorted(name for _, name in queue)
        for key, name in queue:
            assert float((held[labels == name] - key).norm(dim=1).min()) < 1e-5


def test_sentences_wait_in_a_queue_of_their_own(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    trainer = trainer_of(settings.replaced(MOMENTUM), encoding)
    batch = sequences.batch(0, 3)
    ((prepared,),) = trainer.prepare([batch], trainer.steps_done)
    document = prepared.selected["contrastive"]["document"]
    trainer.train_step(batch)
    keys, labels = encoder_in(trainer).momentum_encoder.queues["document"].content
    assert labels[: document.count].tolist() == document["labels"].tolist()
    assert bool((labels[document.count :] == NO_LABEL).all())
    torch.testing.assert_close(keys[: document.count].norm(dim=1), torch.ones(document.count))


def assert_same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []


def test_a_resumed_run_with_momentum_goes_on_bit_for_bit(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    chosen = settings.replaced(MOMENTUM | {f"{CONTRAST}.learned_temperature": True})
    whole, half = (
        trainer_of(chosen, encoding, "mlm", "contrastive", "denoising") for _ in range(2)
    )

    def step(trainer: SelfSupervisedTrainer, number: int) -> dict[str, float]:
        return trainer.train_step(
            [sequences.batch(2 * number, 3), sequences.batch(2 * number + 1, 3)]
        )

    for number in range(3):
        assert step(whole, number) == step(half, number)
    resumed = trainer_of(chosen, encoding, "mlm", "contrastive", "denoising")
    resumed.load_state_dict(half.state_dict())
    for number in range(3, 5):
        assert step(whole, number) == step(resumed, number)
    assert_same_state(state_of(whole), state_of(resumed))
    assert any("queues.token.keys_QP" in name for name in state_of(whole))


def test_a_pass_that_is_repeated_within_a_step_adds_no_keys_twice(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    once, twice = (trainer_of(settings.replaced(MOMENTUM), encoding) for _ in range(2))
    for trainer, passes in ((once, 0), (twice, 2)):
        prepared = trainer.prepare([sequences.batch(0, 3)], trainer.steps_done)
        for _ in range(passes):
            trainer.groups[0](prepared[0][0])
        trainer.update(prepared)
    assert_same_state(state_of(once), state_of(twice))


def test_comparing_gradients_between_steps_adds_no_keys(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    plain, compared = (
        trainer_of(settings.replaced(MOMENTUM), encoding, "mlm", "contrastive") for _ in range(2)
    )
    assert compare_gradients(compared, sequences.batch(0, 3))
    for trainer in (plain, compared):
        trainer.train_step(sequences.batch(0, 3))
    assert_same_state(state_of(plain), state_of(compared))


def test_a_step_that_diverges_leaves_momentum_encoder_and_queue_alone(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    trainer = trainer_of(settings.replaced(MOMENTUM), encoding)
    trainer.train_step(sequences.batch(0, 3))
    with torch.no_grad():
        encoder_in(trainer).number_projection.bias[0] = torch.inf
    before = state_of(trainer)
    with pytest.raises(DivergedError):
        trainer.train_step(sequences.batch(1, 3))
    assert_same_state(before, state_of(trainer))
    assert encoder_in(trainer).momentum_encoder.waiting == {}


def test_no_optimiser_holds_the_momentum_encoder(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    trainer = trainer_of(settings.replaced(MOMENTUM), encoding, "mlm", "contrastive")
    copies = {id(weight) for weight in encoder_in(trainer).momentum_encoder.parameters()}
    assert copies
    held = [id(weight) for weights in split_parameters(trainer.groups) for weight in weights]
    assert not copies & set(held)
    assert all(
        not weight.requires_grad for weight in encoder_in(trainer).momentum_encoder.parameters()
    )


def test_the_model_on_disk_has_no_momentum_encoder(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences, tmp_path: Path
) -> None:
    chosen = settings.replaced(MOMENTUM)
    torch.manual_seed(0)
    objectives = build_objectives(chosen, encoding)
    SelfSupervisedTrainer(*objectives.values(), settings=chosen.training).train_step(
        sequences.batch(0, 3)
    )
    save_model(tmp_path / "with", chosen, encoding, objectives)
    save_model(tmp_path / "without", settings, encoding, build_objectives(settings, encoding))
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("with", "without")]
    assert sizes[0] == sizes[1]
    _, _, loaded = read_model(tmp_path / "with")
    ids = sequences.batch(1, 2).token_ids_BT
    assert torch.equal(loaded["contrastive"](ids), objectives["contrastive"](ids))


def test_held_out_losses_need_neither_momentum_encoder_nor_queue(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    plain, averaging = (
        trainer_of(settings.replaced(changed), encoding) for changed in ({}, MOMENTUM)
    )
    plan = (Placement(torch.device("cpu"), False), [sequences.batch(0, 4)])
    for trainer in (plain, averaging):
        encoder_in(trainer).settings = settings.objectives.contrastive
    losses = [
        held_out_losses([encoder_in(trainer)], plan[1], plan[0]) for trainer in (plain, averaging)
    ]
    assert losses[0] == losses[1]
    assert encoder_in(averaging).momentum_encoder.waiting == {}


def test_two_trunks_with_momentum_train_side_by_side(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    chosen = settings.replaced(MOMENTUM)
    torch.manual_seed(0)
    contrastive, mlm = (
        build_objectives(chosen, encoding)["contrastive"],
        build_objectives(chosen, encoding)["mlm"],
    )
    trainer = SelfSupervisedTrainer(contrastive, mlm, settings=chosen.training)
    losses = [trainer.train_step(sequences.batch(step, 3)) for step in range(2)]
    assert all(math.isfinite(value) for step in losses for value in step.values())
    assert len(trainer.groups) == 2
