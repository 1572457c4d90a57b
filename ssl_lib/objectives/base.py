"""What every objective is made of, what runs several of them on one trunk, and what they share.

An objective says which views it reads, what it scores in them (known before the forward pass, so
that counts can be added up first), and its loss from the hidden states. It never runs the trunk on
a batch itself: `ObjectiveGroup` runs it once over all views. Losses are sums with counts; they are
divided once, over the whole effective batch.

Shapes: B sequences of a batch, R sequences of a view, T positions, D width, V vocabulary,
S target positions, N spans, C positions and U entries of the vocabulary in a block,
K targets in it.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import tiktoken
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, pad

from ssl_lib.batches.batch import PADDING_DOCUMENT, Batch, changes, positions_of
from ssl_lib.batches.curriculum import SamplingWeights
from ssl_lib.batches.views import (
    View,
    ViewMaker,
    in_clean_order,
    stacked,
    with_running_numbers,
)
from ssl_lib.config import ObjectiveSettings
from ssl_lib.model.trunk import Trunk, TrunkShape
from ssl_lib.tokens.running_values import RunningNumber

# an objective's state under this name is not saved with the model
TRAINING_ONLY = "momentum_encoder."

# most logits in memory at once; 4 MB of float32 lie in a processor's cache
LOGITS_AT_ONCE = {"cpu": 2**20, "cuda": 2**27}
# positions for which it pays to write the gradient of all entries of the vocabulary, and the most
SMALLEST_ROWS = 256
LARGEST_ROWS = 2048


@dataclass(frozen=True)
class LossTerm:
    """A loss as a sum in nats and the number of items in it."""

    sum: Tensor
    count: int


@dataclass(frozen=True)
class Selection:
    """What one part of an objective scores: `count` items, described by named `tensors`."""

    count: int
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    @classmethod
    def of_targets(cls, view: View, **more: Tensor) -> Selection:
        """The target positions of a view, as `positions`, and what stood there, as `targets`."""
        positions_S = view.target_positions_S
        tensors = {"positions": positions_S, "targets": view.targets_S, **more}
        return cls(len(positions_S), tensors)


Views = Mapping[str, View]
# hidden states [R, T, D] by view
States = Mapping[str, Tensor]
# by part
Selections = Mapping[str, Selection]
# by objective and part
PartSums = Mapping[str, Mapping[str, Tensor]]
PartCounts = Mapping[str, Mapping[str, int]]


class Objective(nn.Module):
    """Base of the objectives.

    `trunk` is shared when given, else made from `vocab_size`, `encoding` and `shape` (of
    `TrunkShape`). Views that hold new text need the `encoding`. Raises ValueError if both a trunk
    and a shape are given.
    """

    name: ClassVar[str]
    default_settings: ClassVar[ObjectiveSettings]
    # the views that its own settings shape, where other objectives read them too
    owns: ClassVar[tuple[str, ...]] = ()
    # settings of held-out losses, whatever training has: all sequences, and rates that compare
    held_out: ClassVar[dict[str, float]] = {"batch_fraction": 1.0}
    settings: Any  # a subclass names the class of its own

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: ObjectiveSettings | None = None,
        trunk: Trunk | None = None,
        encoding: tiktoken.Encoding | None = None,
        **shape: Any,
    ) -> None:
        super().__init__()
        if trunk is not None and shape:
            raise ValueError(f"give either a trunk or its shape ({', '.join(shape)}), not both")
        if trunk is None:
            trunk = Trunk(TrunkShape(vocab_size=vocab_size, **shape), encoding)
        self.trunk = trunk
        self.encoding = encoding
        self.settings = settings or self.default_settings
        self.make_heads()

    def make_heads(self) -> None:
        """Make the weights of its own, for the width of the trunk, as the settings say."""

    @property
    def view_settings(self) -> Any:
        """The settings that shape its views: those of training, or `held_out` in their place."""
        return self.settings if self.training else self.settings.model_copy(update=self.held_out)

    def view_makers(self) -> dict[str, ViewMaker]:
        """The views this objective reads, by name, each with the function that makes it."""
        raise NotImplementedError(f"{type(self).__name__} must say which views it reads")

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """What each part of the loss scores in these views."""
        raise NotImplementedError(f"{type(self).__name__} must say what it scores")

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """Each part's loss in nats, summed over its selection."""
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

    def token_loss(self, states_SD: Tensor, targets_S: Tensor, **options: Any) -> Tensor:
        """Cross-entropy in nats of the target tokens, summed over S (`vocabulary_loss`)."""
        return vocabulary_loss(states_SD, self.trunk.vocabulary_matrix(), targets_S, **options)

    def number_weights(self, targets_S: Tensor) -> Tensor | None:
        """What each target counts in the gradient [S]: a token of digits `number_weight`, others 1.

        Outside training None: losses are plain.
        """
        if not self.training:
            return None
        digits_S = self.trunk.columns.digits_V[targets_S] > 0
        return torch.where(digits_S, self.settings.number_weight, 1.0)

    def token_logits(self, states: Tensor) -> Tensor:
        """Logits [..., V] of the vocabulary from states [..., D]."""
        return states @ self.trunk.vocabulary_matrix().T

    def one_document(self, ids_BT: Tensor) -> Tensor:
        """Document ids [B, T] of sequences that hold one document each, padded at the end."""
        padding = self.trunk.vocabulary.special.padding
        return torch.where(ids_BT == padding, PADDING_DOCUMENT, 0)


class Prepared(NamedTuple):
    """A micro-batch ready for the trunk: views, and each objective's selections in them by part."""

    views: dict[str, View]
    selected: dict[str, dict[str, Selection]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of target items by objective and part."""
        return {
            name: {part: selection.count for part, selection in parts.items()}
            for name, parts in self.selected.items()
        }


def total_counts(prepared: Iterable[Iterable[Prepared]]) -> PartCounts:
    """Target items of all micro-batches of all groups, by objective and part."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for micro_batch in itertools.chain.from_iterable(prepared):
        for name, parts in micro_batch.counts().items():
            totals[name].update(parts)
    return totals


class ObjectiveGroup(nn.Module):
    """Objectives on one trunk.

    A view that several of them read is made by the settings of the one that owns it.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        assert len({id(objective.trunk) for objective in objectives}) == 1
        self.trunk = objectives[0].trunk
        self.by_name = {objective.name: objective for objective in objectives}
        self.objectives = nn.ModuleDict(self.by_name)  # the same, known to torch

    def prepare(
        self, batch: Batch, generator: Generator, sampling: SamplingWeights | None = None
    ) -> Prepared:
        """Make the views and choose the targets; nothing here depends on the weights.

        `sampling` is what the curriculum prefers to corrupt at this step; without it all positions
        are alike.
        """
        makers: dict[str, ViewMaker] = {}
        # the masked view of `mlm` serves `contrastive` and `numerical`, made by its settings
        for objective in self.by_name.values():
            for name, maker in objective.view_makers().items():
                if name in objective.owns or name not in makers:
                    makers[name] = maker
        views = {name: maker(batch, generator, sampling) for name, maker in makers.items()}
        if self.trunk.numbers is not None:
            views = with_running_numbers(views, self.trunk.columns)
        selected = {}
        for name, objective in self.by_name.items():
            selected[name] = objective.select(batch, views, generator)
        return Prepared(views, selected)

    def forward(self, prepared: Prepared) -> dict[str, dict[str, Tensor]]:
        """Loss sums in nats by objective and part."""
        sums = {}
        with self.trunk.one_vocabulary_matrix():
            hidden = run_trunk(self.trunk, prepared.views)
            for name, objective in self.by_name.items():
                sums[name] = objective.loss_sums(hidden, prepared.selected[name])
        return sums

    def after_step(self, updated: bool) -> None:
        """Tell every objective that a step has ended."""
        for objective in self.by_name.values():
            objective.after_step(updated)

    def part_weights(self) -> dict[str, dict[str, float]]:
        """Weight of every part inside its objective."""
        return {name: objective.part_weights() for name, objective in self.by_name.items()}


def run_trunk(trunk: nn.Module, views: Views) -> dict[str, Tensor]:
    """Hidden states [R, T, D] of every view, by clean position, from one pass over all of them."""
    all_views = list(views.values())
    ids_RT = stacked(views, "ids_RT")
    documents_RT = stacked(views, "document_ids_RT")
    sizes = [len(view.ids_RT) for view in all_views]
    # [R] over all views: causal ones and bidirectional ones in one pass
    flags = [torch.full_like(view.ids_RT[:, 0], view.causal).bool() for view in all_views]
    causal_R = torch.cat(flags)
    known = [view.running for view in all_views if view.running is not None]
    running = None
    if len(known) == len(all_views):
        running = RunningNumber(*(torch.cat(columns) for columns in zip(*known, strict=True)))
    hidden_RTD: Tensor = trunk(ids_RT, documents_RT, causal_R, running)
    parts = torch.split(hidden_RTD, sizes)
    # where tokens were deleted, states go back to the positions of the clean sequences
    hidden = {}
    for (name, view), states_RTD in zip(views.items(), parts, strict=True):
        hidden[name] = in_clean_order(states_RTD, view.source_N)
    return hidden


def part_losses(sums: PartSums, counts: PartCounts) -> dict[str, dict[str, Tensor]]:
    """Mean loss of every part of every objective; a part without targets anywhere is zero."""
    return {
        name: {part: value / max(counts[name][part], 1) for part, value in parts.items()}
        for name, parts in sums.items()
    }


def objective_losses(
    sums: PartSums, counts: PartCounts, part_weights: Mapping[str, Mapping[str, float]]
) -> dict[str, Tensor]:
    """Loss of every objective: the weighted sum of its parts' mean losses."""
    losses = {}
    for name, parts in part_losses(sums, counts).items():
        weighted = [part_weights[name][part] * loss for part, loss in parts.items()]
        losses[name] = functools.reduce(operator.add, weighted)
    return losses


def as_batch(token_ids: Tensor) -> Tensor:
    """Token ids [B, T] from [B, T] or from a single sequence [T]."""
    if token_ids.ndim == 1:
        return token_ids[None]
    return token_ids


def states_before(hidden_RTD: Tensor, document_ids_RT: Tensor, first_D: Tensor) -> Tensor:
    """At each position the state of the token before it, [R, T, D].

    Where its document begins, its own state plus `first_D`: nothing stands before it.
    """
    before_RTD = pad(hidden_RTD[:, :-1], (0, 0, 1, 0))
    begins_RT1 = changes(document_ids_RT)[..., None]
    return torch.where(begins_RT1, hidden_RTD + first_D, before_RTD)


def states_at(hidden_RTD: Tensor, positions_S: Tensor) -> Tensor:
    """Hidden states [S, D] at flat positions: r * T + t."""
    return hidden_RTD.reshape(-1, hidden_RTD.shape[-1])[positions_S]


def sum_by(values_SD: Tensor, index_S: Tensor, count: int) -> Tensor:
    """Sums [count, D], float32, of the values that share an index."""
    zeros_ND = torch.zeros(count, values_SD.shape[-1], device=values_SD.device)
    return zeros_ND.index_add(0, index_S, values_SD.float())


def mean_of_spans(hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
    """Mean hidden state [N, D] of each span: the positions that hold its index (-1: no span)."""
    span_T = span_RT.flatten()
    inside_S = positions_of(span_T >= 0)
    index_S = span_T[inside_S]
    total_ND = sum_by(states_at(hidden_RTD, inside_S), index_S, count)
    ones_S1 = torch.ones(len(index_S), 1, device=index_S.device)
    mean_ND = total_ND / sum_by(ones_S1, index_S, count).clamp_min(1.0)
    return mean_ND.to(hidden_RTD.dtype)


def unit_length(vectors: Tensor) -> Tensor:
    """The same directions with length one over the last dimension, float32."""
    return normalize(vectors.float(), dim=-1)


def vocabulary_loss(
    hidden_SD: Tensor,
    matrix_VD: Tensor,
    targets_S: Tensor,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    gradient_weights_S: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in nats of `hidden @ matrix.T`, summed over S; over many block by block.

    `z_loss` times the squared log partition is added (Chowdhery et al. 2022, section 5).
    `gradient_weights_S` multiply each position's gradient and leave the value of the loss as it
    is. The loss can be differentiated once.
    """
    device = hidden_SD.device.type
    most = LOGITS_AT_ONCE[device]
    if len(targets_S) * len(matrix_VD) > 2 * most:
        if torch.is_autocast_enabled(device):
            hidden_SD = hidden_SD.to(torch.get_autocast_dtype(device))
        # torch leaves `apply` without types
        total: Tensor = _BlockedLoss.apply(  # type: ignore[no-untyped-call]
            hidden_SD, matrix_VD, targets_S, label_smoothing, z_loss, gradient_weights_S, most
        )
        return total
    logits_SV = linear(hidden_SD, matrix_VD.to(hidden_SD.dtype)).float()
    loss_S = cross_entropy(logits_SV, targets_S, reduction="none", label_smoothing=label_smoothing)
    if z_loss:
        loss_S = loss_S + z_loss * logits_SV.logsumexp(-1).square()
    total = loss_S.sum()
    if gradient_weights_S is None:
        return total
    # the value of the plain sum with the gradient of the weighted one
    weighted = (loss_S * gradient_weights_S).sum()
    return weighted + (total - weighted).detach()


class _BlockedLoss(torch.autograd.Function):
    """The loss over many positions or a large vocabulary, without all logits in memory.

    Logits are made block by block of positions and vocabulary, and the gradients beside the loss,
    while a block is at hand: nothing is kept for the backward pass but the gradients of both
    inputs (as in Liger kernels, Hsu et al. 2024). A vocabulary of several blocks is gone through
    twice, first for the normalizer: blocks of positions alone would rewrite the whole gradient of
    the matrix for each few of them.
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
        most: int,
    ) -> Tensor:
        """The sum of the losses; keeps the gradients for `backward` where they are wanted."""
        wanted = any(ctx.needs_input_grad)
        low_VD = matrix_VD.to(hidden_SD.dtype)
        hidden_gradient_SD = torch.zeros_like(hidden_SD if wanted else hidden_SD[:0])
        matrix_gradient_VD = torch.zeros_like(matrix_VD if wanted else matrix_VD[:0])
        total = hidden_SD.new_zeros((), dtype=torch.float32)
        rows, columns = _block_sizes(len(targets_S), len(matrix_VD), most)
        for hidden_CD, targets_C, at in _blocks(rows, hidden_SD, targets_S):
            found = _normalizers(hidden_CD, low_VD, targets_C, columns)
            logits_CU, partition_C, chosen_C, sum_C = found
            loss_C = partition_C - (1.0 - label_smoothing) * chosen_C
            loss_C -= label_smoothing / len(matrix_VD) * sum_C
            total += (loss_C + z_loss * partition_C.square()).sum()
            if not wanted:
                continue
            weights_C = torch.ones_like(partition_C)
            if gradient_weights_S is not None:
                weights_C = gradient_weights_S[at]
            for low_UD, places in _blocks(columns, low_VD):
                # the loss's gradient by the logits: probabilities less the smoothed targets
                if columns < len(low_VD):
                    logits_CU = linear(hidden_CD, low_UD).float()
                slope_CU = logits_CU.sub_(partition_C[:, None]).exp_()
                if z_loss:
                    slope_CU *= 1.0 + 2.0 * z_loss * partition_C[:, None]
                if label_smoothing:
                    slope_CU -= label_smoothing / len(matrix_VD)
                here_K, column_K = _inside(targets_C, places)
                slope_CU[here_K, column_K] -= 1.0 - label_smoothing
                slope_CU = slope_CU.mul_(weights_C[:, None]).to(hidden_SD.dtype)
                hidden_gradient_SD[at].addmm_(slope_CU, low_UD)
                matrix_gradient_VD[places] += slope_CU.T @ hidden_CD
        ctx.save_for_backward(hidden_gradient_SD, matrix_gradient_VD)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        """The kept gradients times the one from outside."""
        (factor,) = outer
        hidden_gradient_SD, matrix_gradient_VD = ctx.saved_tensors
        scaled_SD = hidden_gradient_SD * factor.to(hidden_gradient_SD.dtype)
        # none by the five inputs that are no floating-point tensors
        return scaled_SD, matrix_gradient_VD * factor, None, None, None, None, None


def _block_sizes(positions: int, vocabulary: int, most: int) -> tuple[int, int]:
    """Positions and vocabulary entries of a block of at most `most` logits.

    2,000 positions of a vocabulary of 2,048 and 2^20 logits → 512 × 2,048; of 50,304 → 2,000 × 524.
    """
    rows = most // vocabulary
    if rows >= SMALLEST_ROWS:
        return rows, vocabulary
    rows = min(positions, LARGEST_ROWS)
    return rows, max(1, most // rows)


def _blocks(size: int, *tensors: Tensor) -> Iterator[tuple[Any, ...]]:
    """`size` rows of every tensor at a time, and which they are."""
    for start in range(0, len(tensors[0]), size):
        part = slice(start, start + size)
        yield *(tensor[part] for tensor in tensors), part


def _inside(targets_C: Tensor, places: slice) -> tuple[Tensor, Tensor]:
    """Which targets lie in a block of the vocabulary, and in which of its columns."""
    column_C = targets_C - places.start
    here_K = positions_of((column_C >= 0) & (targets_C < places.stop))
    return here_K, column_C[here_K]


def _normalizers(
    hidden_CD: Tensor, low_VD: Tensor, targets_C: Tensor, columns: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits of the last block [C, U]; log partition, logit of the target, sum of logits, each [C].

    All float32; the last three are of the whole vocabulary.
    """
    partition_C = torch.full(targets_C.shape, -torch.inf, device=targets_C.device)
    chosen_C = torch.zeros_like(partition_C)
    sum_C = torch.zeros_like(partition_C)
    logits_CU = hidden_CD.new_empty(0)
    for low_UD, places in _blocks(columns, low_VD):
        logits_CU = linear(hidden_CD, low_UD).float()
        partition_C = torch.logaddexp(partition_C, logits_CU.logsumexp(-1))
        here_K, column_K = _inside(targets_C, places)
        chosen_C[here_K] = logits_CU[here_K, column_K]
        sum_C += logits_CU.sum(-1)
    return logits_CU, partition_C, chosen_C, sum_C
