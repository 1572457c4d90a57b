"""What every objective is made of: the views it needs, what it scores, its head and the sums of its losses.

An objective never runs the trunk on a batch by itself: the trainer runs it once over all views and hands every
objective the hidden
states. Losses are sums with counts; the trainer divides once, over the whole effective batch.

Shapes: B rows, R rows of a view, T positions, D width, V vocabulary, S scored positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.views import View, ViewMaker
from ssl_lib.model.trunk import Trunk, TrunkShape

TRAINING_ONLY = (
    "momentum_encoder."  # an objective's state under this name is not saved with the model
)


class LossTerm(NamedTuple):
    """A loss as a sum in nats and the number of items in it."""

    sum: Tensor
    count: int


@dataclass(frozen=True)
class Selection:
    """What one part of an objective scores: `count` items, described by `tensors`. Known before the forward pass."""

    count: int
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]


class Objective(nn.Module):
    """Base of the objectives. `trunk` is shared when given, else made from `vocab_size` and `shape`."""

    name: ClassVar[str]
    settings: Any
    owns: ClassVar[
        tuple[str, ...]
    ] = ()  # the views that its own settings shape, when other objectives read them too
    writes_text: ClassVar[bool] = False  # its views hold new text: it is made with `encoding`

    def __init__(self, vocab_size: int = 50257, trunk: Trunk | None = None, **shape: Any) -> None:
        super().__init__()
        if trunk is not None and shape:
            raise ValueError(f"give either a trunk or its shape ({', '.join(shape)}), not both")
        self.trunk = (
            trunk if trunk is not None else Trunk(TrunkShape(vocab_size=vocab_size, **shape))
        )

    def view_makers(self) -> dict[str, ViewMaker]:
        """The views this objective reads, by name, each with the function that makes it."""
        raise AssertionError(f"{type(self).__name__} must say which views it reads")

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """What each part of the loss scores in these views."""
        raise AssertionError(f"{type(self).__name__} must say what it scores")

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """The sum of each part's loss in nats over its selection, from hidden states [R, T, D] by view."""
        raise AssertionError(f"{type(self).__name__} must give its losses")

    def part_weights(self) -> dict[str, float]:
        """Weight of each part inside the objective."""
        return {self.name: 1.0}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters for which AdamW gets options of their own, as torch takes them.

        Each group is `{"params": [...], OPTION: VALUE}`; all other parameters, and all other
        options, are as the trainer has them.
        """
        return []

    def after_step(self, updated: bool) -> None:
        """Called when a step has ended; `updated` tells whether the optimiser took it. Most objectives do nothing."""

    def encode(self, token_ids_BT: Tensor, causal: bool) -> Tensor:
        """Hidden states [B, T, D] of clean rows, for use outside training; [T] is taken as one row."""
        ids_BT = torch.atleast_2d(token_ids_BT)
        documents_BT = torch.where(ids_BT == self.trunk.vocabulary.special.padding, -1, 0)
        return self.trunk(
            ids_BT, documents_BT, torch.full((len(ids_BT),), causal, device=ids_BT.device)
        )


def whole(objective: Objective) -> Any:
    """The settings that shape an objective's views: its share of rows while training, all rows for held-out losses."""
    settings = objective.settings
    return settings if objective.training else settings.model_copy(update={"batch_fraction": 1.0})


def rows_at(hidden_RTD: Tensor, positions_S: Tensor) -> Tensor:
    """Hidden states [S, D] at flat positions."""
    return hidden_RTD.reshape(-1, hidden_RTD.shape[-1])[positions_S]


class Head(nn.Module):
    """A transformation of the hidden state before it meets the vocabulary: [S, D] to [S, D]."""

    def __init__(self, width: int, inner: int | None = None) -> None:
        super().__init__()
        inner = inner or width
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden_SD: Tensor) -> Tensor:
        """[S, D] to [S, D]."""
        return self.norm(hidden_SD + self.fc2(functional.gelu(self.fc1(hidden_SD))))
