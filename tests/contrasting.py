"""What the tests of the contrastive objective share."""

from __future__ import annotations

import tiktoken
import torch
import torch.multiprocessing
from torch import Tensor

from ssl_lib.config import Settings
from ssl_lib.objectives.contrastive.objective import ContrastiveTokenEncoder
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.training.trainer import SelfSupervisedTrainer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_units(count: int, width: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=seeded(seed), requires_grad=True)


def assert_same_loss_and_gradients(fast: Tensor, slow: Tensor, inputs: list[Tensor]) -> None:
    """Equal to 1e-5 of their size, in value and in every gradient."""
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    for quick, careful in zip(
        torch.autograd.grad(fast, inputs), torch.autograd.grad(slow, inputs), strict=True
    ):
        scale = max(1.0, float(careful.abs().max()))
        torch.testing.assert_close(quick, careful, rtol=1e-5, atol=1e-5 * scale)


CONTRAST = "objectives.contrastive"


MOMENTUM = {f"{CONTRAST}.momentum": 0.9, f"{CONTRAST}.queue": 64, f"{CONTRAST}.effective_batch": 24}


def trainer_of(
    settings: Settings, encoding: tiktoken.Encoding, *names: str
) -> SelfSupervisedTrainer:
    torch.manual_seed(0)
    objectives = build_objectives(settings, encoding)
    chosen = [objectives[name] for name in names or ("contrastive",)]
    return SelfSupervisedTrainer(*chosen, settings=settings.training)


def encoder_in(trainer: SelfSupervisedTrainer) -> ContrastiveTokenEncoder:
    encoder = trainer.groups[0].objectives["contrastive"]
    assert isinstance(encoder, ContrastiveTokenEncoder)
    return encoder


def state_of(trainer: SelfSupervisedTrainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.groups[0].state_dict().items()}
