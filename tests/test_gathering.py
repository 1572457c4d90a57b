"""Negatives from all processes: two processes against one with the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiktoken
import torch
import torch.multiprocessing
from contrasting import (
    CONTRAST,
    MOMENTUM,
    random_units,
    state_of,
)
from torch import Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import Settings
from ssl_lib.model.devices import Placement
from ssl_lib.objectives.base import unit_length
from ssl_lib.objectives.contrastive.ntxent import ntxent, supervised_contrastive
from ssl_lib.objectives.contrastive.numbers import (
    ntxent_with_hard_negatives,
    number_similarity_loss,
)
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.encodings import encoding as read_encoding
from ssl_lib.training.trainer import SelfSupervisedTrainer

SIZES = (3, 5)


# views that do not depend on how sequences are shared out, and parts whose negatives are gathered
APART = {
    "objectives.mlm.mask_rate": 1.0,
    "objectives.mlm.mask_token_share": 1.0,
    "objectives.mlm.random_token_share": 0.0,
    "objectives.denoising.noise_rate": 1.0,
    "objectives.denoising.random_token_share": 0.0,
    "objectives.denoising.shuffle_share": 0.0,
    "objectives.denoising.digit_share": 0.0,
    "objectives.contrastive.effective_batch": 4096,
    "objectives.contrastive.sentence_weight": 0.0,
    "objectives.contrastive.type_weight": 1.0,
    "training.clip_norm": 1e9,
}


def gathered_losses(
    items: list[Tensor], labels: Tensor, values: Tensor, changed: Tensor
) -> list[Tensor]:
    """The losses that gather, of one share of the items or of all."""
    first, second, third = map(unit_length, items)
    return [
        ntxent(first, second, 0.2, labels, across_processes=True).sum,
        ntxent(first, second, 0.2, across_processes=True).sum,
        supervised_contrastive(
            torch.cat([first, second]), labels.repeat(2), 0.2, across_processes=True
        ).sum,
        number_similarity_loss(first, values, 0.2, across_processes=True).sum,
        ntxent_with_hard_negatives(
            torch.stack([first, second, third]), changed, values, 0.2, across_processes=True
        ).sum,
    ]


def items_of(share: slice) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    items = [random_units(8, seed=seed)[share].detach().requires_grad_() for seed in range(3)]
    labels = torch.tensor([0, 1, 2, 0, 3, 4, 2, 5])[share]
    values = torch.tensor([0.1, 2.0, 2.0, 1.0, -1.0, 3.0, 0.1, 0.5], dtype=torch.float64)[share]
    return items, labels, values, (labels % 2 == 0)


def step_of(
    settings: Settings, encoding: tiktoken.Encoding, share: Batch, placement: Placement
) -> dict[str, Tensor]:
    """What the optimisers are given in one step, and the loss."""
    torch.manual_seed(0)
    objectives = build_objectives(settings, encoding)
    chosen = [objectives[name] for name in ("mlm", "contrastive", "denoising")]
    trainer = SelfSupervisedTrainer(*chosen, settings=settings.training, placement=placement)
    found: dict[str, Tensor] = {}

    def keep(step: int, total_steps: int) -> None:
        named = trainer.groups[0].named_parameters()
        found.update(
            {name: weight.grad.clone() for name, weight in named if weight.grad is not None}
        )
        trainer.optimizers.zero_grad()

    trainer.optimizers.step = keep
    found["loss"] = torch.tensor(trainer.train_step(share)["contrastive"])
    found |= {name: value for name, value in state_of(trainer).items() if "queues" in name}
    return found


def one_process(rank: int, folder: str, settings: Settings) -> None:
    """What each of two processes does: losses of its share of items, steps of its sequences."""
    place = Path(folder)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=2
    )
    items, *named = items_of(slice(0, SIZES[0]) if rank == 0 else slice(SIZES[0], None))
    losses = gathered_losses(items, *named)
    sum(losses).backward()
    found = {"losses": torch.stack(losses).detach(), "gradients": [item.grad for item in items]}
    encoding, placement = (
        read_encoding(place / "encoding.json"),
        Placement(torch.device("cpu"), False, rank, 2),
    )
    share = Batch(*torch.load(place / f"share-{rank}.pt"))
    for name, changed in (("plain", {}), ("momentum", MOMENTUM)):
        found[name] = step_of(settings.replaced(changed | APART), encoding, share, placement)
    apart = step_of(
        settings.replaced(APART | {f"{CONTRAST}.gather": False}), encoding, share, placement
    )
    found["apart"] = apart["loss"]
    torch.save(found, place / f"found-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_negatives_of_two_processes_are_those_of_one_with_the_whole_batch(
    settings: Settings,
    encoding: tiktoken.Encoding,
    encoding_file: Path,
    sequences: PackedSequences,
    tmp_path: Path,
) -> None:
    (tmp_path / "encoding.json").write_bytes(encoding_file.read_bytes())
    batch = sequences.batch(0, 5)
    for rank, share in enumerate((slice(0, 2), slice(2, None))):
        torch.save([tensor[share].clone() for tensor in batch], tmp_path / f"share-{rank}.pt")
    torch.multiprocessing.spawn(one_process, args=(str(tmp_path), settings), nprocs=2)
    first, second = (torch.load(tmp_path / f"found-{rank}.pt") for rank in (0, 1))
    items, *named = items_of(slice(None))
    losses = gathered_losses(items, *named)
    sum(losses).backward()
    torch.testing.assert_close(
        first["losses"] + second["losses"], torch.stack(losses).detach(), rtol=1e-5, atol=1e-5
    )
    for place, item in enumerate(items):
        shares = torch.cat([first["gradients"][place], second["gradients"][place]])
        torch.testing.assert_close(shares, item.grad, rtol=1e-5, atol=1e-5)
    for name, changed in (("plain", {}), ("momentum", MOMENTUM)):
        alone = step_of(
            settings.replaced(changed | APART),
            encoding,
            batch,
            Placement(torch.device("cpu"), False),
        )
        assert first[name].keys() == second[name].keys() == alone.keys()
        for key, expected in alone.items():
            assert torch.equal(first[name][key], second[name][key]), key
            scale = max(0.1, float(expected.abs().max()))
            torch.testing.assert_close(
                first[name][key],
                expected,
                rtol=1e-4,
                atol=1e-5 * scale,
                msg=lambda text, key=key: f"{key}: {text}",
            )
    assert (
        float(first["apart"]) < float(first["plain"]["loss"]) - 0.1
    )  # fewer negatives, smaller loss
