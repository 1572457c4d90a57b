"""Cosines between the objectives' gradients: right, and without any trace in the training."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import pytest
import tiktoken
import torch
import torch.multiprocessing
from test_fit import Notes, corpora_of, trained_weights
from test_trainer import EVERYWHERE, SEPARABLE, merged, trainer_of, uneven  # noqa: F401

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import padded_batch
from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.model.devices import Placement
from ssl_lib.objectives.registry import REGISTRY
from ssl_lib.tokens.alignment import Tokenized, tokenize_texts
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.training.fit import fit
from ssl_lib.training.gradients import compare_gradients, draw_cosines, mean_cosines
from ssl_lib.training.trainer import SelfSupervisedTrainer

PAIRS = list(itertools.combinations(OBJECTIVES, 2))


def slow_cosine(trainer: SelfSupervisedTrainer, batch: Batch, first: str, second: str) -> float:
    """From two backward passes over all views of the next step, one objective's loss at a time."""
    group = trainer.groups[0]
    ((prepared,),) = trainer.prepare([batch], trainer.steps_done)
    found = []
    for name in (first, second):
        group.zero_grad()
        sums, counts = group(prepared)[name], prepared.counts()[name]
        sum(
            group.part_weights()[name][part] * sums[part] / max(1, counts[part]) for part in sums
        ).backward()
        matrices = [weight for weight in group.trunk.blocks.parameters() if weight.ndim == 2]
        found.append(torch.cat([weight.grad.flatten() for weight in matrices]).double())
    group.zero_grad()
    return float(torch.cosine_similarity(*found, dim=0))


def test_cosines_are_those_of_separate_backward_passes(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch
) -> None:
    trainer = trainer_of(settings, encoding, OBJECTIVES)
    trainer.train_step(batch)
    found = compare_gradients(trainer, batch)
    assert {key for key in found if "cosine" in key} == {
        f"gradient_cosine/{a}/{b}" for a, b in PAIRS
    }
    for first, second in PAIRS:
        slow = slow_cosine(trainer, batch, first, second)
        assert found[f"gradient_cosine/{first}/{second}"] == pytest.approx(slow, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_comparison_leaves_no_trace(
    settings: Settings, encoding: tiktoken.Encoding, batch: Batch, momentum: float
) -> None:
    chosen = settings.replaced({"objectives.contrastive.momentum": momentum})
    trainer, untouched = (trainer_of(chosen, encoding, tuple(REGISTRY)) for _ in range(2))
    for one in (trainer, untouched):
        one.train_step(batch)
    before, random = copy.deepcopy(trainer.state_dict()), torch.random.get_rng_state()
    compare_gradients(trainer, batch)
    assert torch.equal(random, torch.random.get_rng_state())
    after = trainer.state_dict()
    for name, value in before["groups"][0].items():
        assert torch.equal(value.nan_to_num(-7.5), after["groups"][0][name].nan_to_num(-7.5)), name
    assert all(parameter.grad is None for parameter in trainer.groups[0].parameters())
    assert trainer.train_step(batch) == untouched.train_step(batch)
    assert trainer.train_step(batch) == untouched.train_step(
        batch
    )  # a queue gives its keys a step later


@pytest.fixture(scope="module")
def runs(
    settings: Settings, encoding: tiktoken.Encoding, tokenized: Tokenized
) -> list[tuple[Notes, dict[str, torch.Tensor], list[dict[str, float]]]]:
    """A run with comparisons every fifth step, and the same one without."""
    found = []
    for every in (5, 0):
        notes = Notes()
        chosen = settings.replaced({"training.gradient_cosine_every_steps": every})
        result = fit(chosen, encoding, corpora_of(tokenized), notes)
        found.append((notes, trained_weights(result), result.progress.gradients))
    return found


def test_training_is_the_same_to_the_bit_with_and_without(
    runs: list[tuple[Notes, dict[str, torch.Tensor], list[dict[str, float]]]],
) -> None:
    (_, compared, _), (_, plain, none) = runs
    assert none == []
    assert all(torch.equal(value, plain[name]) for name, value in compared.items())


def test_cosines_reach_the_tracker_every_n_steps(
    runs: list[tuple[Notes, dict[str, torch.Tensor], list[dict[str, float]]]],
) -> None:
    (notes, _, points), _ = runs
    logged = {step: point for step, point in notes.points if "gradient_cosine/mlm/ntp" in point}
    assert list(logged) == [5, 10] == [point["step"] for point in points]
    for point in logged.values():
        assert all(-1.0 <= point[f"gradient_cosine/{a}/{b}"] <= 1.0 for a, b in PAIRS)
        assert all(point[f"gradient_norm/{name}"] > 0 for name in OBJECTIVES)


def test_the_mean_matrix_is_symmetric_and_the_picture_is_drawn(
    runs: list[tuple[Notes, dict[str, torch.Tensor], list[dict[str, float]]]], tmp_path: Path
) -> None:
    (_, _, points), _ = runs
    means = mean_cosines(json.loads(json.dumps(points)))
    for first, second in PAIRS:
        expected = sum(point[f"gradient_cosine/{first}/{second}"] for point in points) / len(points)
        assert means[first][second] == means[second][first] == pytest.approx(expected)
    assert all(means[name][name] == 1.0 for name in OBJECTIVES)
    draw_cosines(points, tmp_path / "cosines.png")
    assert (tmp_path / "cosines.png").read_bytes().startswith(b"\x89PNG")
    assert mean_cosines([]) == {}


def test_an_objective_without_targets_has_no_cosine(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    batch = padded_batch(tokenize_texts(encoding, ["No figures here, and none there."]))
    types = settings.replaced({"objectives.numerical.type_weight": 0.0})
    found = compare_gradients(trainer_of(types, encoding, ("mlm", "ntp", "numerical")), batch)
    assert set(found) == {"gradient_cosine/mlm/ntp", "gradient_norm/mlm", "gradient_norm/ntp"}


def one_process(rank: int, folder: str, settings: Settings) -> None:
    place = Path(folder)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=2
    )
    encoding, placement = (
        read_encoding(place / "encoding.json"),
        Placement(torch.device("cpu"), False, rank, 2),
    )
    share = Batch(*torch.load(place / f"share-{rank}.pt"))
    trainer = trainer_of(settings.replaced(EVERYWHERE), encoding, SEPARABLE, placement)
    (place / f"{rank}.json").write_text(
        json.dumps(compare_gradients(trainer, share)), encoding="utf-8"
    )
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_compare_what_one_would(
    settings: Settings,
    encoding: tiktoken.Encoding,
    encoding_file: Path,
    uneven: list[Batch],  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "encoding.json").write_bytes(encoding_file.read_bytes())
    for rank in (0, 1):
        torch.save(tuple(uneven[rank]), tmp_path / f"share-{rank}.pt")
    torch.multiprocessing.spawn(one_process, args=(str(tmp_path), settings), nprocs=2)
    one = compare_gradients(
        trainer_of(settings.replaced(EVERYWHERE), encoding, SEPARABLE), merged(uneven[:2])
    )
    first, second = (
        json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)
    )
    assert first == second
    assert first == pytest.approx(one, rel=1e-3, abs=1e-4)
