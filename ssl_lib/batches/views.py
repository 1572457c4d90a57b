"""Views: what the encoder sees of a batch, and what it is to recover.

They are functions of (batch, generator); nothing reads a global random state. Candidates come
first: padding and special tokens are never chosen. Here are the causal view and what all views
share; masking and noise are in corruption.py, numeric hard negatives and equivalent forms in
rewriting.py.

Shapes: B sequences of the batch, R of the view (the first ones), T positions, N = R * T flat
positions, S target positions, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch, changes, count_up, positions_of
from ssl_lib.batches.curriculum import SamplingWeights
from ssl_lib.tokens.running_values import (
    RunningNumber,
    VocabularyTensors,
    running_numbers,
    vocabulary_tensors,
)
from ssl_lib.tokens.vocabulary import VocabularyTable

CAUSAL, MASKED, CORRUPTED = "causal", "masked", "corrupted"


@dataclass(frozen=True)
class View:
    """Ids [R, T] that the encoder sees; states at `target_positions_S` must recover `targets_S`.

    Where tokens are deleted and the rest has moved, `source_N` tells for each flat clean position
    where it stands in the view (-1: nowhere), and `offsets_S` how far each target lies behind its
    position; both are None where nothing has moved. Positions are flat, of R * T, and always those
    of the clean sequences: `in_clean_order` brings the states there. `running` are the numbers that
    the ids spell, where `with_running_numbers` has read them.
    """

    ids_RT: Tensor
    document_ids_RT: Tensor
    causal: bool
    target_positions_S: Tensor
    targets_S: Tensor
    source_N: Tensor | None = field(default=None, kw_only=True)
    offsets_S: Tensor | None = field(default=None, kw_only=True)
    running: RunningNumber | None = field(default=None, kw_only=True)

    def present_RT(self) -> Tensor:
        """True at the clean positions that stand in the view."""
        if self.source_N is None:
            return torch.ones_like(self.ids_RT, dtype=torch.bool)
        return (self.source_N >= 0).view_as(self.ids_RT)

    def running_numbers(self, columns: VocabularyTensors) -> RunningNumber:
        """The numbers that the ids spell, at the positions of the view."""
        if self.running is not None:
            return self.running
        return running_numbers(self.ids_RT, self.document_ids_RT, columns)


ViewMaker = Callable[[Batch, Generator, SamplingWeights | None], View]


def stacked(views: Mapping[str, View], name: str) -> Tensor:
    """A tensor [R, T] of each view, such as its `ids_RT`, one view below the other."""
    return torch.cat([getattr(view, name) for view in views.values()])


def with_running_numbers(views: Mapping[str, View], columns: VocabularyTensors) -> dict[str, View]:
    """The views with their numbers, read once for all of them."""
    ids_RT = stacked(views, "ids_RT")
    documents_RT = stacked(views, "document_ids_RT")
    running = running_numbers(ids_RT, documents_RT, columns)
    sizes = [len(view.ids_RT) for view in views.values()]
    parts = zip(*(torch.split(column, sizes) for column in running), strict=True)
    pairs = zip(views.items(), parts, strict=True)
    return {name: replace(view, running=RunningNumber(*part)) for (name, view), part in pairs}


def in_clean_order(hidden_RTD: Tensor, source_N: Tensor | None) -> Tensor:
    """States [R, T, D] of a view, each at the clean position that it stands for (`View.source_N`).

    Zero where a token is deleted.
    """
    if source_N is None:
        return hidden_RTD
    states_ND = hidden_RTD.flatten(0, 1)[source_N.clamp_min(0)]
    present_N1 = (source_N >= 0)[:, None]
    return (states_ND * present_N1).view_as(hidden_RTD)


def causal_view(batch: Batch, vocabulary: VocabularyTable) -> View:
    """Clean sequences with causal attention; the targets are the next tokens of each document."""
    documents_BT = batch.document_ids_BT
    # Positions whose document goes on at the next one.
    follows_BT = ~changes(documents_BT) & batch.real_BT
    positions_S = positions_of(follows_BT) - 1
    targets_S = batch.token_ids_BT.flatten()[positions_S + 1]
    ids_BT = padded_ids(batch, vocabulary)
    return View(ids_BT, documents_BT, True, positions_S, targets_S)


def sentence_ids_BT(batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """Index of the sentence of each position, counted over the whole batch.

    -1 on padding and end-of-document tokens. A sentence ends at a full stop, question or
    exclamation mark that no digit follows, and with its document and its sequence.
    """
    ids_BT = batch.token_ids_BT
    columns = vocabulary_tensors(vocabulary, ids_BT.device)
    ends_BT = columns.sentence_end_V[ids_BT]
    digit_BT = columns.digits_V[ids_BT] > 0
    begins_BT = changes(batch.document_ids_BT)
    # "3.14": the point ends no sentence, for digits follow it
    begins_BT[:, 1:] |= ends_BT[:, :-1] & ~digit_BT[:, 1:]
    inside_BT = batch.real_BT & (ids_BT != vocabulary.special.end)
    return torch.where(inside_BT, count_up(begins_BT), -1)


def candidates_N(batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """True, flat, where a position may be corrupted: inside a document and no special token."""
    ordinary_BT = batch.token_ids_BT < vocabulary.ordinary
    return (batch.real_BT & ordinary_BT).flatten()


def sequence_count(batch: Batch, fraction: float) -> int:
    """How many sequences a view of this fraction of the batch has: at least one."""
    return max(1, round(fraction * len(batch.token_ids_BT)))


def padded_ids(batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """Ids [B, T] with the padding token on padding."""
    padding = vocabulary.special.padding
    return torch.where(batch.real_BT, batch.token_ids_BT, padding)
