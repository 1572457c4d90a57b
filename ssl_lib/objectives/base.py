"""What every objective is made of: its views, what it scores in them, its head, its loss.

An objective never runs the trunk on a batch by itself: the trainer runs it once over all views
and hands every objective the hidden states. Losses are sums with counts; the trainer divides
once, over the whole effective batch.

Below the base class stands what several objectives share: states at chosen positions, means over
spans, the head before the vocabulary, and the cross-entropy over a vocabulary.

Shapes: B sequences of a batch, R sequences of a view, T positions, D width, V vocabulary,
S target positions, N spans, C positions of a chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch
from ssl_lib.batches.views import View, ViewMaker
from ssl_lib.model.trunk import Trunk, TrunkShape

# an objective's state under this name is not saved with the model
TRAINING_ONLY = "momentum_encoder."

# most logits in memory at once; 16 MB of float32 lie in a processor's cache
LOGITS_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}


@dataclass(frozen=True)
class LossTerm:
    """A loss as a sum in nats and the number of items in it."""

    sum: Tensor
    count: int


@dataclass(frozen=True)
class Selection:
    """What one part of an objective scores: `count` items, described by named `tensors`.

    It is known before the forward pass, so that counts can be added up first.
    """

    count: int
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]


class Objective(nn.Module):
    """Base of the objectives.

    `trunk` is shared when given, else made from `vocab_size` and `shape` (of `TrunkShape`).
    Raises ValueError if both a trunk and a shape are given.
    """

    name: ClassVar[str]
    # the views that its own settings shape, where other objectives read them too
    owns: ClassVar[tuple[str, ...]] = ()
    # its views hold new text: it is made with `encoding`
    writes_text: ClassVar[bool] = False
    settings: Any

    def __init__(self, vocab_size: int = 50257, trunk: Trunk | None = None, **shape: Any) -> None:
        super().__init__()
        if trunk is not None and shape:
            raise ValueError(f"give either a trunk or its shape ({', '.join(shape)}), not both")
        if trunk is None:
            trunk = Trunk(TrunkShape(vocab_size=vocab_size, **shape))
        self.trunk = trunk

    @property
    def view_settings(self) -> Any:
        """The settings that shape its views; held-out losses take all sequences of a batch."""
        if self.training:
            return self.settings
        return self.settings.model_copy(update={"batch_fraction": 1.0})

    def view_makers(self) -> dict[str, ViewMaker]:
        """The views this objective reads, by name, each with the function that makes it."""
        raise NotImplementedError(f"{type(self).__name__} must say which views it reads")

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """What each part of the loss scores in these views."""
        raise NotImplementedError(f"{type(self).__name__} must say what it scores")

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Each part's loss in nats, summed over its selection, from states [R, T, D] by view."""
        raise NotImplementedError(f"{type(self).__name__} must give its losses")

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
        """Called at the end of a step; `updated` tells whether the optimizer took it."""

    def encode(self, token_ids_BT: Tensor, causal: bool) -> Tensor:
        """Hidden states [B, T, D] of clean sequences, for use outside training; [T] is one."""
        ids_BT = as_batch(token_ids_BT)
        causal_B = torch.full((len(ids_BT),), causal, device=ids_BT.device)
        hidden_BTD: Tensor = self.trunk(ids_BT, self.one_document(ids_BT), causal_B)
        return hidden_BTD

    def one_document(self, ids_BT: Tensor) -> Tensor:
        """Document ids [B, T] of sequences that hold one document each, padded at the end."""
        return torch.where(ids_BT == self.trunk.vocabulary.special.padding, PADDING_DOCUMENT, 0)


def as_batch(token_ids: Tensor) -> Tensor:
    """Token ids [B, T] from [B, T] or from a single sequence [T]."""
    return token_ids[None] if token_ids.ndim == 1 else token_ids


def states_at(hidden_RTD: Tensor, positions_S: Tensor) -> Tensor:
    """Hidden states [S, D] at flat positions: r * T + t."""
    return hidden_RTD.reshape(-1, hidden_RTD.shape[-1])[positions_S]


def sum_by(values_SD: Tensor, index_S: Tensor, count: int) -> Tensor:
    """Sums [count, D], float32, of the values that share an index."""
    sums_ND = torch.zeros(count, values_SD.shape[-1], device=values_SD.device)
    return sums_ND.index_add(0, index_S, values_SD.float())


def mean_of_spans(hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
    """Mean hidden state [N, D] of each span: the positions that hold its index (-1: no span)."""
    span_T = span_RT.flatten()
    inside_S = (span_T >= 0).nonzero()[:, 0]
    states_SD = states_at(hidden_RTD, inside_S)
    ones_S1 = torch.ones(len(inside_S), 1, device=states_SD.device)
    counts_N1 = sum_by(ones_S1, span_T[inside_S], count).clamp_min(1.0)
    return (sum_by(states_SD, span_T[inside_S], count) / counts_N1).to(hidden_RTD.dtype)


def unit_length(vectors: Tensor) -> Tensor:
    """The same directions with length one over the last dimension, float32."""
    return functional.normalize(vectors.float(), dim=-1)


class Head(nn.Module):
    """A transformation of the hidden state before it meets the vocabulary: [..., D] to [..., D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        """A residual layer of width D, normalized (as in BERT, Devlin et al. 2019)."""
        normalized: Tensor = self.norm(hidden + self.fc2(functional.gelu(self.fc1(hidden))))
        return normalized


def vocabulary_loss(
    hidden_SD: Tensor,
    matrix_VD: Tensor,
    targets_S: Tensor,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    gradient_weights_S: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats of `hidden @ matrix.T`, summed over S; over many chunk by chunk.

    `z_loss` times the squared log partition is added (Chowdhery et al. 2022, section 5).
    `gradient_weights_S` multiply each position's gradient and leave the value of the loss as it
    is. The loss can be differentiated once.
    """
    chunk = max(1, LOGITS_AT_ONCE[hidden_SD.device.type] // len(matrix_VD))
    if len(targets_S) > 2 * chunk:
        if torch.is_autocast_enabled(hidden_SD.device.type):
            hidden_SD = hidden_SD.to(torch.get_autocast_dtype(hidden_SD.device.type))
        # torch leaves `apply` without types
        total: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
            hidden_SD, matrix_VD, targets_S, label_smoothing, z_loss, gradient_weights_S, chunk
        )
        return total
    logits_SV = functional.linear(hidden_SD, matrix_VD.to(hidden_SD.dtype)).float()
    loss_S = functional.cross_entropy(
        logits_SV, targets_S, reduction="none", label_smoothing=label_smoothing
    )
    if z_loss:
        loss_S = loss_S + z_loss * logits_SV.logsumexp(-1).square()
    if gradient_weights_S is None:
        return loss_S.sum()
    # the value of the plain sum with the gradient of the weighted one
    weighted = (loss_S * gradient_weights_S).sum()
    return weighted + (loss_S.sum() - weighted).detach()


class _ChunkedLoss(torch.autograd.Function):
    """The loss over many positions, without all their logits in memory.

    The gradients are made beside the loss, while a chunk's logits are at hand: nothing is kept
    for the backward pass but the gradients of both inputs (as in Liger kernels, Hsu et al. 2024).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_SD: Tensor,
        matrix_VD: Tensor,
        targets_S: Tensor,
        label_smoothing: float,
        z_loss: float,
        gradient_weights_S: Tensor | None,
        chunk: int,
    ) -> Tensor:
        """The sum of the losses; keeps the gradients for `backward` where they are wanted."""
        wanted = any(ctx.needs_input_grad)
        low_VD = matrix_VD.to(hidden_SD.dtype)
        hidden_gradient_SD = torch.empty_like(hidden_SD) if wanted else hidden_SD.new_empty(0)
        matrix_gradient_VD = torch.zeros_like(matrix_VD) if wanted else matrix_VD.new_empty(0)
        total = hidden_SD.new_zeros((), dtype=torch.float32)
        for start in range(0, len(targets_S), chunk):
            part = slice(start, start + chunk)
            targets_C = targets_S[part]
            logits_CV = functional.linear(hidden_SD[part], low_VD).float()
            partition_C1 = logits_CV.logsumexp(-1, keepdim=True)
            total += _chunk_loss(logits_CV, partition_C1, targets_C, label_smoothing, z_loss)
            if wanted:
                slope_CV = _slope(logits_CV, partition_C1, targets_C, label_smoothing, z_loss)
                if gradient_weights_S is not None:
                    slope_CV *= gradient_weights_S[part, None]
                slope_CV = slope_CV.to(hidden_SD.dtype)
                hidden_gradient_SD[part] = slope_CV @ low_VD
                matrix_gradient_VD += slope_CV.T @ hidden_SD[part]
        ctx.save_for_backward(hidden_gradient_SD, matrix_gradient_VD)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        """The kept gradients times the one from outside; none by the other five inputs."""
        (factor,) = outer
        hidden_gradient_SD, matrix_gradient_VD = ctx.saved_tensors
        scaled_SD = hidden_gradient_SD * factor.to(hidden_gradient_SD.dtype)
        return scaled_SD, matrix_gradient_VD * factor, None, None, None, None, None


def _chunk_loss(
    logits_CV: Tensor,
    partition_C1: Tensor,
    targets_C: Tensor,
    label_smoothing: float,
    z_loss: float,
) -> Tensor:
    chosen_C1 = logits_CV.gather(1, targets_C[:, None])
    loss_C1 = partition_C1 - (1.0 - label_smoothing) * chosen_C1
    if label_smoothing:
        loss_C1 = loss_C1 - label_smoothing * logits_CV.mean(-1, keepdim=True)
    return (loss_C1 + z_loss * partition_C1.square()).sum()


def _slope(
    logits_CV: Tensor,
    partition_C1: Tensor,
    targets_C: Tensor,
    label_smoothing: float,
    z_loss: float,
) -> Tensor:
    """The loss's gradient by the logits, in their place: probabilities less the targets."""
    slope_CV = logits_CV.sub_(partition_C1).exp_()
    if z_loss:
        slope_CV *= 1.0 + 2.0 * z_loss * partition_C1
    if label_smoothing:
        slope_CV -= label_smoothing / slope_CV.shape[1]
    places_C = torch.arange(len(targets_C), device=targets_C.device)
    slope_CV[places_C, targets_C] -= 1.0 - label_smoothing
    return slope_CV
