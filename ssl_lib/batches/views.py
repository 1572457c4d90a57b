"""Views: what the trunk sees of a batch. Pure functions of (batch, generator, emphasis); nothing reads a global random
state.

Candidates come first: padding and special tokens are never chosen. The masked view is made in masking.py, the noised
one in noising.py, the altered one in alterations.py.

Shapes: B rows of the batch, R rows of the view (its first ones), T positions, S scored positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.curriculum import Emphasis
from ssl_lib.tokens.running_values import vocabulary_tensors
from ssl_lib.tokens.vocabulary import VocabularyTable

CAUSAL, MASKED, NOISED = "causal", "masked", "noised"


@dataclass(frozen=True)
class View:
    """Ids [R, T] that the trunk sees, and the flat positions [S] of R * T whose states must recover `targets_S`.

    Where tokens are missing and the rest has moved (gaps.py), `source_N` tells for each clean flat position where it
    stands in the view (-1: nowhere), and `after_S` how far each target lies behind its scored position; both are None
    where nothing has moved. Positions are always those of the clean rows: `in_clean_order` brings the states there.
    """

    ids_RT: Tensor
    document_ids_RT: Tensor
    causal: bool
    scored_S: Tensor
    targets_S: Tensor
    source_N: Tensor | None = field(default=None, kw_only=True)
    after_S: Tensor | None = field(default=None, kw_only=True)

    def present_RT(self) -> Tensor:
        """True at the clean positions that stand in the view."""
        if self.source_N is None:
            return torch.ones_like(self.ids_RT, dtype=torch.bool)
        return (self.source_N >= 0).view_as(self.ids_RT)


def in_clean_order(hidden_RTD: Tensor, source_N: Tensor | None) -> Tensor:
    """States [R, T, D] of a view's positions, each at the clean position that it stands for, by `View.source_N`; zero
    where a token is missing.
    """
    if source_N is None:
        return hidden_RTD
    states_ND = hidden_RTD.flatten(0, 1)[source_N.clamp_min(0)]
    return (states_ND * (source_N >= 0)[:, None]).view_as(hidden_RTD)


ViewMaker = Callable[[Batch, Generator, Emphasis | None], View]


def causal_view(batch: Batch, vocabulary: VocabularyTable) -> View:
    """Clean rows, looking backwards only; scored is every position whose next position lies in the same document."""
    ids_BT, documents_BT = batch.token_ids_BT, batch.document_ids_BT
    followed_BT = torch.zeros_like(ids_BT, dtype=torch.bool)
    followed_BT[:, :-1] = (documents_BT[:, 1:] == documents_BT[:, :-1]) & batch.real_BT[:, 1:]
    scored_S = followed_BT.flatten().nonzero()[:, 0]
    return View(
        padded_ids(batch, vocabulary), documents_BT, True, scored_S, ids_BT.flatten()[scored_S + 1]
    )


def sentence_ids_BT(batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """Index of the sentence each position belongs to, counted over the whole batch; -1 on padding and end-of-document
    tokens.

    A sentence ends at a full stop, question or exclamation mark that no digit follows, and with its document and its
    row.
    """
    columns = vocabulary_tensors(vocabulary, batch.token_ids_BT.device)
    closes_BT = columns.sentence_end_V[batch.token_ids_BT]
    closes_BT[:, :-1] &= columns.digits_V[batch.token_ids_BT[:, 1:]] == 0
    begins_BT = torch.ones_like(closes_BT)
    begins_BT[:, 1:] = closes_BT[:, :-1] | (
        batch.document_ids_BT[:, 1:] != batch.document_ids_BT[:, :-1]
    )
    index_BT = (begins_BT.flatten().long().cumsum(0) - 1).view_as(batch.token_ids_BT)
    return torch.where(batch.real_BT & (batch.token_ids_BT != vocabulary.special.end), index_BT, -1)


def candidates_N(batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """True, flat, where a position may be corrupted: inside a document and no special token."""
    return (batch.real_BT & (batch.token_ids_BT < vocabulary.ordinary)).flatten()


def row_count(batch: Batch, share: float) -> int:
    """How many rows a view of this share of the batch has: at least one."""
    return max(1, round(share * len(batch.token_ids_BT)))


def padded_ids(batch: Batch, vocabulary: VocabularyTable) -> Tensor:
    """Ids [B, T] with the padding token on padding."""
    return torch.where(batch.real_BT, batch.token_ids_BT, vocabulary.special.padding)
