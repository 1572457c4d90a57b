"""The training step: accumulation, processes, divergence, optimizers, precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import pytest
import tiktoken
import torch
import torch.multiprocessing
from reference import muon_step
from torch import Tensor, nn
from torch.utils.data import default_collate

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences, SelfSupervisedTextDataset, padded_batch
from ssl_lib.config import NumberEmbedding, Settings, TrainingSettings, ValueHead
from ssl_lib.errors import UserError
from ssl_lib.model.devices import Placement
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.objectives.base import Objective
from ssl_lib.objectives.contrastive.objective import UNITS_FLOOR
from ssl_lib.objectives.registry import REGISTRY, build_objectives
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.training.optimizer import (
    Muon,
    learning_rate_share,
    orthogonalize,
    split_parameters,
)
from ssl_lib.training.trainer import DivergedError, SelfSupervisedTrainer

VALUE_HEADS = get_args(ValueHead)
SEPARABLE = (
    "mlm",
    "ntp",
    "denoising",
    "numerical",
)  # the negatives of the contrastive objective do not accumulate
WEIGHTS = {"mlm": 0.5, "ntp": 2.0, "denoising": 1.0, "numerical": 0.3}
EXTREMES = ("1e-30", "1e30", "-1e30", "0." + "0" * 29 + "1", "1" + "0" * 30)
# views that do not depend on how sequences are shared out: all is masked, all is corrupted
EVERYWHERE = {
    "objectives.mlm.mask_rate": 1.0,
    "objectives.mlm.mask_token_share": 1.0,
    "objectives.mlm.random_token_share": 0.0,
    "objectives.denoising.noise_rate": 1.0,
    "objectives.denoising.random_token_share": 0.0,
    "objectives.denoising.shuffle_share": 0.0,
    "objectives.denoising.digit_share": 0.0,
    "training.clip_norm": 1e9,
}


def trainer_of(
    settings: Settings,
    encoding: tiktoken.Encoding,
    names: Sequence[str],
    placement: Placement | None = None,
) -> SelfSupervisedTrainer:
    """Objectives of these names on one trunk, the same weights every time."""
    torch.manual_seed(0)
    objectives = build_objectives(settings, encoding)
    chosen = [objectives[name] for name in names]
    return SelfSupervisedTrainer(
        *chosen, weights=WEIGHTS, settings=settings.training, placement=placement
    )


def gradients(trainer: SelfSupervisedTrainer, batches: Batch | list[Batch]) -> dict[str, Tensor]:
    """What the optimisers are given in one step."""
    found: dict[str, Tensor] = {}

    def keep(step: int, total_steps: int) -> None:
        for name, parameter in trainer.groups[0].named_parameters():
            if parameter.grad is not None:
                found[name] = parameter.grad.clone()
        trainer.optimizers.zero_grad()

    trainer.optimizers.step = keep
    trainer.train_step(batches)
    return found


def assert_same_gradients(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert first
    for name, gradient in first.items():
        scale = float(second[name].abs().max())
        near = torch.allclose(gradient, second[name], rtol=1e-4, atol=1e-5 * max(scale, 0.01))
        assert near, f"{name}: {float((gradient - second[name]).abs().max())} of {scale}"


def merged(batches: Sequence[Batch]) -> Batch:
    return Batch(*(torch.cat(tensors) for tensors in zip(*batches, strict=True)))


@pytest.fixture(scope="module")
def uneven(encoding: tiktoken.Encoding, texts: list[str]) -> list[Batch]:
    """Four micro-batches of different size, with different amounts of padding and of numbers."""
    whole = padded_batch(
        tokenize_texts(encoding, ["No figures.", "Hm.", "Well, no.", *texts[:7]]), context_length=32
    )
    return [
        Batch(*(tensor[rows] for tensor in whole))
        for rows in (slice(0, 3), slice(3, 4), slice(4, 8), slice(8, 10))
    ]


@pytest.mark.parametrize(
    "names", [("mlm",), ("ntp",), ("denoising",), ("mlm", "numerical"), SEPARABLE], ids="+".join
)
def test_micro_batches_give_the_gradient_of_one_large_batch(
    settings: Settings, encoding: tiktoken.Encoding, uneven: list[Batch], names: tuple[str, ...]
) -> None:
    chosen = settings.replaced(EVERYWHERE)
    many = gradients(trainer_of(chosen, encoding, names), uneven)
    one = gradients(trainer_of(chosen, encoding, names), merged(uneven))
    assert_same_gradients(many, one)


def test_losses_of_micro_batches_are_those_of_one_large_batch(
    settings: Settings, encoding: tiktoken.Encoding, uneven: list[Batch]
) -> None:
    chosen = settings.replaced(EVERYWHERE)
    many = trainer_of(chosen, encoding, SEPARABLE).train_step(uneven)
    one = trainer_of(chosen, encoding, SEPARABLE).train_step(merged(uneven))
    assert many == pytest.approx(one, rel=1e-4)


def test_contrastive_micro_batches_are_averaged_by_their_anchors(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    batches = [sequences.batch(0, 2), sequences.batch(1, 5)]
    chosen = settings.replaced({"training.clip_norm": 1e9})
    trainer = trainer_of(chosen, encoding, ["contrastive"])
    group = trainer.groups[0]
    (prepared,) = trainer.prepare(batches, 0)
    expected: Tensor | float = 0.0
    for part, weight in group.part_weights()["contrastive"].items():
        anchors = [micro.counts()["contrastive"][part] for micro in prepared]
        for micro, count in zip(prepared, anchors, strict=True):
            mean = group(micro)["contrastive"][part] / max(count, 1)
            expected = expected + weight * mean * (count / max(sum(anchors), 1))
    expected.backward()
    slow = {
        name: weight.grad.clone()
        for name, weight in group.named_parameters()
        if weight.grad is not None
    }
    trainer.optimizers.zero_grad()
    assert_same_gradients(gradients(trainer, batches), slow)


def one_process(rank: int, folder: str, settings: Settings) -> None:
    """What each of two processes does: the gradient of its share, then two real steps with all."""
    place = Path(folder)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=2
    )
    encoding, placement = (
        read_encoding(place / "encoding.json"),
        Placement(torch.device("cpu"), False, rank, 2),
    )
    shares = [Batch(*tensors) for tensors in torch.load(place / f"share-{rank}.pt")]
    trainer = trainer_of(settings.replaced(EVERYWHERE), encoding, SEPARABLE, placement)
    torch.save(gradients(trainer, shares), place / f"gradients-{rank}.pt")
    trainer = trainer_of(settings, encoding, tuple(REGISTRY), placement)
    losses = [trainer.train_step(shares) for _ in range(2)]
    torch.save((losses, trainer.groups[0].state_dict()), place / f"trained-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one_and_stay_equal(
    settings: Settings,
    encoding: tiktoken.Encoding,
    encoding_file: Path,
    uneven: list[Batch],
    tmp_path: Path,
) -> None:
    (tmp_path / "encoding.json").write_bytes(encoding_file.read_bytes())
    for rank in (0, 1):
        torch.save(
            [tuple(share) for share in uneven[2 * rank : 2 * rank + 2]],
            tmp_path / f"share-{rank}.pt",
        )
    torch.multiprocessing.spawn(one_process, args=(str(tmp_path), settings), nprocs=2)
    alone = gradients(
        trainer_of(settings.replaced(EVERYWHERE), encoding, SEPARABLE), merged(uneven)
    )
    for rank in (0, 1):
        shared = torch.load(tmp_path / f"gradients-{rank}.pt")
        assert_same_gradients(
            {name.removeprefix("module."): value for name, value in shared.items()}, alone
        )
    (losses, weights), (other_losses, other_weights) = (
        torch.load(tmp_path / f"trained-{rank}.pt") for rank in (0, 1)
    )
    assert losses == other_losses
    assert all(torch.equal(value, other_weights[name]) for name, value in weights.items())


def same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(
        torch.equal(value.nan_to_num(-7.5), second[name].nan_to_num(-7.5))
        for name, value in first.items()
    )


def poison_loss(trainer: SelfSupervisedTrainer) -> None:
    with torch.no_grad():
        trainer.groups[0].objectives["numerical"].type_head.bias[0] = torch.nan


def poison_gradient(trainer: SelfSupervisedTrainer) -> None:
    trainer.weights["ntp"] = 1e38 * 10


@pytest.mark.parametrize(
    ("poison", "what"), [(poison_loss, "loss of numerical"), (poison_gradient, "gradient")]
)
def test_what_is_not_finite_stops_before_the_update(
    settings: Settings,
    encoding: tiktoken.Encoding,
    batch: Batch,
    poison: Callable[[SelfSupervisedTrainer], None],
    what: str,
) -> None:
    trainer = trainer_of(settings, encoding, ("ntp", "numerical"))
    trainer.train_step(batch)
    poison(trainer)
    weights = {name: value.clone() for name, value in trainer.groups[0].state_dict().items()}
    momenta = [state.clone() for state in tensors_in(trainer.optimizers.state_dict())]
    with pytest.raises(DivergedError, match=what):
        trainer.train_step(batch)
    assert same_state(weights, trainer.groups[0].state_dict())
    assert all(map(torch.equal, momenta, tensors_in(trainer.optimizers.state_dict())))
    assert trainer.steps_done == 1
    assert len(trainer.history["ntp"]) == 1
    assert all(parameter.grad is None for parameter in trainer.groups[0].parameters())


def tensors_in(tree: object) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    parts = (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else []
    )
    return [tensor for part in parts for tensor in tensors_in(part)]


def test_a_step_is_a_function_of_its_state_alone(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    first, second = (trainer_of(settings, encoding, tuple(REGISTRY)) for _ in range(2))
    for trainer, seed in ((first, 1), (second, 2)):
        for _ in range(3):
            torch.manual_seed(seed)
            trainer.train_step(batch)
    assert first.history == second.history
    assert same_state(first.groups[0].state_dict(), second.groups[0].state_dict())


def test_a_loaded_state_goes_on_bit_for_bit(
    settings: Settings, encoding: tiktoken.Encoding, sequences: PackedSequences
) -> None:
    whole, half = (trainer_of(settings, encoding, tuple(REGISTRY)) for _ in range(2))
    for step in range(3):
        whole.train_step(sequences.batch(step, 3))
        half.train_step(sequences.batch(step, 3))
    state = half.state_dict()
    torch.manual_seed(99)
    resumed = SelfSupervisedTrainer(
        *build_objectives(settings, encoding).values(), weights=WEIGHTS, settings=settings.training
    )
    resumed.load_state_dict(state)
    for step in range(3, 6):
        assert whole.train_step(sequences.batch(step, 3)) == resumed.train_step(
            sequences.batch(step, 3)
        )
    assert same_state(whole.groups[0].state_dict(), resumed.groups[0].state_dict())


def test_metrics_are_current_mean_and_least(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    trainer = trainer_of(settings, encoding, ("mlm", "ntp"))
    losses = [trainer.train_step(batch)["mlm"] for _ in range(4)]
    metrics = trainer.get_metrics()
    assert metrics["mlm_loss"] == pytest.approx(
        {"current": losses[-1], "mean": sum(losses) / 4, "min": min(losses)}
    )
    assert {"mlm_loss", "ntp_loss"} <= metrics.keys()


def test_objectives_with_trunks_of_their_own_train_side_by_side(
    encoding: tiktoken.Encoding, batch: Batch
) -> None:
    def own(name: str) -> Objective:
        torch.manual_seed(1)
        return REGISTRY[name](
            trunk=Trunk(TrunkShape(encoding.n_vocab, width=32, layers=1, heads=2), encoding)
        )

    plan = TrainingSettings(precision="float32", device="cpu", clip_norm=1e9)
    apart = SelfSupervisedTrainer(own("mlm"), own("ntp"), settings=plan)
    assert len(apart.groups) == 2
    both = apart.train_step(batch)
    alone = SelfSupervisedTrainer(own("ntp"), settings=plan).train_step(batch)
    assert both["ntp"] == pytest.approx(alone["ntp"], rel=1e-6)


def test_a_trainer_without_objectives_is_refused() -> None:
    with pytest.raises(UserError, match="at least one objective"):
        SelfSupervisedTrainer()


@pytest.mark.parametrize("shape", [(12, 12), (16, 6), (6, 16)])
def test_muon_equals_its_slow_reference(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for _ in range(3)]
    fast = [torch.nn.Parameter(weight.clone()) for weight in weights]
    muon = Muon(fast, lr=0.1, weight_decay=0.2)
    slow, buffers = (
        [weight.double() for weight in weights],
        [torch.zeros(shape, dtype=torch.float64) for _ in weights],
    )
    for _ in range(3):
        for index, parameter in enumerate(fast):
            parameter.grad = torch.randn(shape, generator=generator)
            slow[index], buffers[index] = muon_step(
                slow[index], parameter.grad.double(), buffers[index], 0.1, 0.2
            )
        muon.step()
        for parameter, expected in zip(fast, slow, strict=True):
            torch.testing.assert_close(parameter.detach(), expected.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 12), (24, 6), (6, 24)])
def test_muon_in_bfloat16_equals_the_one_of_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    fast = Muon([ours], lr=0.1, weight_decay=0.1, dtype=torch.bfloat16)
    peer = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, momentum=0.95)
    for _ in range(3):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        fast.step()
        peer.step()
    moved = float((theirs - start).detach().norm())
    assert float((ours - theirs).detach().norm()) < 0.05 * moved


def test_orthogonal_matrices_keep_their_singular_vectors() -> None:
    matrix = torch.randn(1, 10, 7, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(orthogonalize(matrix)[0])
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    turned = left[:, :7].T @ matrix[0] @ right.T
    off_diagonal = turned - torch.diag(turned.diagonal())
    assert float(off_diagonal.abs().max()) < 0.05 * float(turned.diagonal().abs().max())


def test_muon_refuses_what_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize("head", VALUE_HEADS)
@pytest.mark.parametrize("embedding", get_args(NumberEmbedding))
def test_the_smallest_and_the_largest_numbers_train_in_bfloat16(
    settings: Settings, encoding: tiktoken.Encoding, embedding: str, head: str
) -> None:
    texts = [f"It fell from {value} to 0 and then to 3." for value in EXTREMES]
    chosen = settings.replaced({
        "model.number_embedding": embedding,
        "objectives.numerical.value_head": head,
        "training.precision": "bfloat16",
    })  # fmt: skip
    trainer = trainer_of(chosen, encoding, tuple(REGISTRY))
    batch = padded_batch(tokenize_texts(encoding, texts), 64)
    assert {float(text) for text in EXTREMES} | {0.0} <= set(batch.values_BT.flatten().tolist())
    for _ in range(3):
        assert all(math.isfinite(loss) for loss in trainer.train_step(batch).values())
    assert all(parameter.isfinite().all() for parameter in trainer.groups[0].parameters())


def test_every_parameter_has_exactly_one_optimiser(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    objectives = list(build_objectives(settings, encoding).values())
    matrices, others = split_parameters(objectives)
    learning = {
        id(weight)
        for objective in objectives
        for weight in objective.parameters()
        if weight.requires_grad
    }
    assert sorted([id(weight) for weight in (*matrices, *others)]) == sorted(learning)
    parts = [part for block in objectives[0].trunk.all_blocks for part in block.modules()]
    assert {id(weight) for weight in matrices} == {
        id(part.weight) for part in parts if isinstance(part, nn.Linear)
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_muon_computes_in_the_precision_that_the_settings_name(
    settings: Settings, encoding: tiktoken.Encoding, precision: str
) -> None:
    trainer = trainer_of(settings.replaced({"training.precision": precision}), encoding, ("ntp",))
    (muon,) = (part for part in trainer.optimizers.optimizers if isinstance(part, Muon))
    assert muon.dtype == getattr(torch, precision)


def test_rates_warm_up_then_fall_as_a_cosine() -> None:
    plan = TrainingSettings(warmup_steps=4, min_lr_ratio=0.1)
    assert [learning_rate_share(step, 104, plan) for step in range(5)] == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
    ]
    for step in range(4, 104):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * (step - 4) / 100)) / 2
        assert learning_rate_share(step, 104, plan) == pytest.approx(expected)
    assert learning_rate_share(104, 104, plan) == pytest.approx(0.1)
    assert learning_rate_share(0, 10, TrainingSettings(warmup_steps=0)) == 1.0


ADAMW_FLOOR = 1e-8  # of torch


@pytest.mark.parametrize("gradient", [1e-3, 1e-7])
def test_units_without_gradients_of_some_size_take_small_steps(
    settings: Settings, encoding: tiktoken.Encoding, gradient: float
) -> None:
    """Adam's first step is the rate times gradient / (|gradient| + floor)."""
    trainer = trainer_of(settings, encoding, ("contrastive",))
    group = trainer.groups[0]
    weights = {
        UNITS_FLOOR: group.objectives["contrastive"].sentences.unit_log10.weight,
        ADAMW_FLOOR: group.objectives["contrastive"].sentences.text.weight,
    }
    before = {floor: weight.detach().clone() for floor, weight in weights.items()}
    for weight in weights.values():
        weight.grad = torch.full_like(weight, gradient)
    trainer.optimizers.step(50, 1000)
    rate = trainer.optimizers.peak_rates[0] * learning_rate_share(50, 1000, trainer.settings)
    for floor, weight in weights.items():
        moved = rate * gradient / (gradient + floor)
        torch.testing.assert_close(
            before[floor] - weight, torch.full_like(weight, moved), rtol=0.05, atol=1e-7
        )


@pytest.mark.parametrize("context", [48, 64, 128])
def test_columns_of_padding_change_nothing(
    settings: Settings, encoding: tiktoken.Encoding, context: int
) -> None:
    texts = ["It rose by 12 to 15 in May.", "No.", "So 3 + 4 = 7."]
    narrow, wide = (
        default_collate([*SelfSupervisedTextDataset(texts, encoding, context_length=width)])
        for width in (47, context)
    )
    assert torch.equal(
        wide.trimmed().token_ids_BT[wide.trimmed().real_BT], wide.token_ids_BT[wide.real_BT]
    )
    assert wide.trimmed().token_ids_BT.shape == narrow.trimmed().token_ids_BT.shape
    losses = [
        trainer_of(settings, encoding, tuple(REGISTRY)).train_step(batch)
        for batch in (narrow, wide)
    ]
    assert losses[0] == losses[1]


def test_gradients_that_others_left_behind_are_dropped(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    clean, soiled = (trainer_of(settings, encoding, ("mlm", "ntp")) for _ in range(2))
    soiled.groups[0].objectives["mlm"](batch.token_ids_BT).sum().backward()
    assert clean.train_step(batch) == soiled.train_step(batch)
    assert same_state(clean.groups[0].state_dict(), soiled.groups[0].state_dict())
