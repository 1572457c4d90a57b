"""Contrastive learning: what belongs together is near, and sentences are as near as their numbers.

NT-Xent between the masked and the noised view (token positions, sentences), graded similarity of numbers, and graded
similarity of
sentences: those that restate each other, those with one number changed, and unrelated ones.

Shapes: R rows, T positions, D width, N items (one embedding in each view), M numbers, P projection, Q pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.alterations import altered_view, clean_view
from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.masking import masked_view
from ssl_lib.batches.noising import noised_view
from ssl_lib.batches.views import (
    MASKED,
    NOISED,
    View,
    ViewMaker,
    candidates_N,
    row_count,
    sentence_ids_BT,
)
from ssl_lib.config import ContrastiveSettings, DenoisingSettings, MlmSettings
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import LossTerm, Objective, Selection, rows_at, whole
from ssl_lib.objectives.graded_pairs import grade, graded_pairs
from ssl_lib.objectives.value_heads import to_scale

CLEAN, ALTERED = "clean", "altered"
SENTENCE_PARTS = ("altered", "restated", "apart")

GRADE_TEMPERATURE = 0.1
REFERENCE_TEMPERATURE = 0.07


class ContrastiveTokenEncoder(Objective):
    """Embeddings in which what belongs together is near; calling it gives one unit-length embedding per row."""

    name = "contrastive"
    owns = (CLEAN, ALTERED)

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: ContrastiveSettings | None = None,
        trunk: Trunk | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        self.settings = settings or ContrastiveSettings(rows=1.0)
        width = self.trunk.width
        self.token_projection = nn.Linear(width, self.settings.projection)
        self.number_projection = nn.Linear(width, self.settings.projection)
        self.sentence_projection = nn.Linear(width, width)
        self.pooling = nn.Linear(width, 1)
        nn.init.zeros_(self.pooling.weight)
        self.log_temperature = nn.Parameter(
            torch.tensor(math.log(self.settings.temperature)), requires_grad=self.settings.learned_temperature
        )

    def view_makers(self) -> dict[str, ViewMaker]:
        """Two augmented views of the same rows; the clean rows and the same with numbers changed, both seen from both
        sides.
        """
        vocabulary, share = self.trunk.vocabulary, whole(self).rows
        return {
            MASKED: lambda batch, *chance: masked_view(batch, vocabulary, MlmSettings(rows=1.0), *chance),
            NOISED: lambda batch, *chance: noised_view(batch, vocabulary, DenoisingSettings(rows=1.0), *chance),
            CLEAN: lambda batch, generator, emphasis: clean_view(batch, vocabulary, row_count(batch, share)),
            ALTERED: lambda batch, generator, emphasis: altered_view(
                batch, vocabulary, row_count(batch, share), generator
            ),
        }

    def part_weights(self) -> dict[str, float]:
        """Weights of token positions, sentences in two views, numbers, and pairs of sentences."""
        weights = {
            "token": self.settings.token_weight,
            "document": self.settings.document_weight,
            "number": self.settings.number_weight,
        }
        return weights | dict.fromkeys(SENTENCE_PARTS, self.settings.sentence_weight)

    def select(self, batch: Batch, views: Mapping[str, View], generator: Generator) -> dict[str, Selection]:
        """Positions and sentences of the two augmented views, numbers and sentence pairs of the clean and the altered
        one.
        """
        both = batch.first_rows(min(len(views[MASKED].ids_RT), len(views[NOISED].ids_RT)))
        positions_N = self._draw(candidates_N(both, self.trunk.vocabulary).nonzero()[:, 0], generator)
        sentences = self._spans(sentence_ids_BT(both, self.trunk.vocabulary), generator)
        return {
            "token": _pairs(
                {"positions": positions_N, "labels": both.token_ids_BT.flatten()[positions_N]}, len(positions_N)
            ),
            "document": _pairs(sentences, len(sentences["first"])),
            **self._select_clean(batch.first_rows(len(views[CLEAN].ids_RT)), views[ALTERED], generator),
        }

    def _select_clean(self, batch: Batch, altered: View, generator: Generator) -> dict[str, Selection]:
        numbers = self._spans(number_index_BT(batch), generator)
        scaled_M = to_scale(batch.values_BT.flatten()[numbers["first"]])
        sentence_BT = sentence_ids_BT(batch, self.trunk.vocabulary)
        pairs = graded_pairs(batch, altered, sentence_BT, self.trunk.tables)
        apart_Q2 = _sentences_apart(sentence_BT, batch.document_ids_BT, generator)
        spans = {"span": sentence_BT, "count": torch.tensor(int(sentence_BT.max()) + 1)}
        ones, zeros = torch.ones(len(pairs.restated)), torch.zeros(len(apart_Q2))
        return {
            "number": Selection(len(scaled_M) if len(scaled_M) >= 2 else 0, {**numbers, "scaled": scaled_M}),
            "altered": Selection(len(pairs.altered), spans | {"pairs": pairs.altered, "grades": pairs.grades.float()}),
            "restated": Selection(
                len(pairs.restated), {"pairs": pairs.restated, "grades": ones.to(sentence_BT.device)}
            ),
            "apart": Selection(len(apart_Q2), {"pairs": apart_Q2, "grades": zeros.to(sentence_BT.device)}),
        }

    def loss_sums(self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]) -> dict[str, Tensor]:
        """NT-Xent over both augmented views, graded similarity of numbers and of sentences."""
        views = (hidden[MASKED], hidden[NOISED])
        token, document, number = selected["token"], selected["document"], selected["number"]
        tokens = [unit(self.token_projection(rows_at(view, token["positions"]))) for view in views]
        sentences = [self.pool(view, document["span"], len(document["first"])) for view in views]
        numbers = unit(self.number_projection(mean_of_spans(hidden[CLEAN], number["span"], len(number["first"]))))
        return {
            "token": ntxent(*tokens, self.temperature, token["labels"]).sum if token.count else tokens[0].sum() * 0.0,
            "document": ntxent(*sentences, self.temperature).sum if document.count else sentences[0].sum() * 0.0,
            "number": graded_loss(numbers, number["scaled"], self.temperature).sum
            if number.count
            else numbers.sum() * 0.0,
            **self._sentence_losses(hidden, selected),
        }

    def _sentence_losses(self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]) -> dict[str, Tensor]:
        span_RT, count = selected["altered"]["span"], int(selected["altered"]["count"])
        clean_ND, altered_ND = (self.pool(hidden[view], span_RT, count) for view in (CLEAN, ALTERED))
        losses = {}
        for part in SENTENCE_PARTS:
            left_Q, right_Q = selected[part]["pairs"].unbind(1)
            cosine_Q = (clean_ND[left_Q] * (altered_ND if part == "altered" else clean_ND)[right_Q]).sum(-1)
            losses[part] = (cosine_Q - selected[part]["grades"]).square().sum()
        return losses

    @property
    def temperature(self) -> Tensor:
        """Scalar; learned only if the settings say so. Held-out losses are taken at REFERENCE_TEMPERATURE, whatever
        was tuned.
        """
        return (
            self.log_temperature.exp()
            if self.training
            else torch.tensor(REFERENCE_TEMPERATURE, device=self.log_temperature.device)
        )

    def pool(self, hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
        """Unit-length embeddings [N, D] of the spans whose index stands in `span_RT` (-1: none), by learned attention
        over tokens.
        """
        hidden_TD, span_T = hidden_RTD.reshape(-1, hidden_RTD.shape[-1]), span_RT.flatten()
        inside_S = (span_T >= 0).nonzero()[:, 0]
        states_SD, span_S = hidden_TD[inside_S], span_T[inside_S]
        weights_S1 = self.pooling(states_SD).float().clamp(-10, 10).exp()
        summed_ND = _sum_by(states_SD * weights_S1.to(states_SD.dtype), span_S, count)
        total_N1 = _sum_by(weights_S1, span_S, count).clamp_min(1e-12)
        return unit(self.sentence_projection((summed_ND / total_N1).to(hidden_RTD.dtype)))

    def embed(self, hidden_RTD: Tensor, document_ids_RT: Tensor) -> Tensor:
        """One unit-length embedding [R, D] per row."""
        rows = torch.arange(len(hidden_RTD), device=hidden_RTD.device)
        span_RT = torch.where(document_ids_RT >= 0, rows[:, None], -1)
        return self.pool(hidden_RTD, span_RT, len(rows))

    @torch.no_grad()
    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Unit-length embeddings [B, D] of rows, as features of a downstream model: no gradient comes back through
        them. To train the encoder itself on a task, take `embed(encode(ids, causal=False), document_ids)`.
        """
        ids_BT = torch.atleast_2d(token_ids_BT)
        documents_BT = torch.where(ids_BT == self.trunk.vocabulary.padding, -1, 0)
        return self.embed(self.encode(ids_BT, causal=False), documents_BT)

    def _draw(self, positions: Tensor, generator: Generator) -> Tensor:
        """At most `effective_batch` of the positions, drawn without replacement, in order."""
        order = torch.randperm(len(positions), generator=generator).to(positions.device)
        return positions[order[: self.settings.effective_batch]].sort().values

    def _spans(self, span_BT: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Renumber the spans in `span_BT` (-1: none), keep at most `effective_batch`; `first` is each span's first
        flat position.
        """
        flat_N = span_BT.flatten()
        begins_N = flat_N != functional.pad(flat_N[:-1], (1, 0), value=-2)
        starts = (begins_N & (flat_N >= 0)).nonzero()[:, 0]
        starts = self._draw(starts, generator)
        renumbered = torch.full(
            (int(flat_N.max()) + 2 if len(flat_N) else 1,), -1, dtype=torch.int64, device=flat_N.device
        )
        renumbered[flat_N[starts]] = torch.arange(len(starts), device=flat_N.device)
        return {"span": torch.where(flat_N >= 0, renumbered[flat_N], -1).view_as(span_BT), "first": starts}


def unit(vectors: Tensor) -> Tensor:
    """Float32 vectors of length one."""
    return functional.normalize(vectors.float(), dim=-1)


def ntxent(
    first_NP: Tensor, second_NP: Tensor, temperature: Tensor | float, labels_N: Tensor | None = None
) -> LossTerm:
    """Normalised temperature-scaled cross-entropy of N positive pairs (Chen et al. 2020, eq. 1).

    Both inputs are [N, P] of unit length; rows with the same index are the two views of one item, all other rows are
    negatives,
    except those with the same label, if labels are given. Returns the sum over the 2N anchors in nats, and the count
    2N.
    Raises ValueError if N < 2 or the temperature is not positive.
    """
    count = len(first_NP)
    if count < 2:
        raise ValueError(f"NT-Xent needs at least 2 pairs, got {count}")
    if float(temperature) <= 0:
        raise ValueError(f"temperature must be positive, got {float(temperature)}")
    both_2NP = torch.cat([first_NP, second_NP])
    similarity = both_2NP @ both_2NP.T / temperature
    positive = torch.arange(2 * count, device=both_2NP.device).roll(count)
    excluded = torch.eye(2 * count, dtype=torch.bool, device=both_2NP.device)
    if labels_N is not None:
        labels = labels_N.repeat(2)
        excluded = labels[:, None] == labels[None, :]
        excluded[torch.arange(2 * count), positive] = False
    loss = functional.cross_entropy(similarity.masked_fill(excluded, -math.inf), positive, reduction="sum")
    return LossTerm(loss, 2 * count)


def graded_loss(numbers_MP: Tensor, scaled_M: Tensor, temperature: Tensor | float) -> LossTerm:
    """Divergence (nats) of the similarities of M numbers from the grades of their values; equal values are the
    strongest positives.

    `numbers_MP` have unit length, `scaled_M` are values on the signed logarithmic scale. For every anchor the target
    distribution over
    the other numbers is softmax(grade / 0.1), the model's is softmax(similarity / temperature). Never negative.
    """
    count = len(scaled_M)
    diagonal = torch.eye(count, dtype=torch.bool, device=numbers_MP.device)
    target = (
        (grade((scaled_M[:, None] - scaled_M[None, :]).abs()) / GRADE_TEMPERATURE)
        .masked_fill(diagonal, -math.inf)
        .softmax(-1)
    )
    similarity = (numbers_MP @ numbers_MP.T / temperature).masked_fill(diagonal, -math.inf).log_softmax(-1)
    divergence = torch.where(target > 0, target * (target.clamp_min(1e-30).log() - similarity), 0.0)
    return LossTerm(divergence.sum(), count)


def mean_of_spans(hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
    """Mean hidden state [N, D] of each span."""
    span_T = span_RT.flatten()
    inside_S = (span_T >= 0).nonzero()[:, 0]
    states_SD = hidden_RTD.reshape(-1, hidden_RTD.shape[-1])[inside_S]
    ones = torch.ones(len(inside_S), 1, device=states_SD.device)
    counts_N1 = _sum_by(ones, span_T[inside_S], count).clamp_min(1.0)
    return (_sum_by(states_SD, span_T[inside_S], count) / counts_N1).to(hidden_RTD.dtype)


def _sum_by(values_SD: Tensor, index_S: Tensor, count: int) -> Tensor:
    return torch.zeros(count, values_SD.shape[-1], device=values_SD.device).index_add(0, index_S, values_SD.float())


def _sentences_apart(sentence_BT: Tensor, document_ids_BT: Tensor, generator: Generator) -> Tensor:
    """Pairs [Q, 2] of sentences of different documents, about one for every sentence."""
    sentence_N, document_N = sentence_BT.flatten(), document_ids_BT.flatten()
    inside_N = sentence_N >= 0
    owner = torch.zeros(int(sentence_N.max()) + 1, dtype=torch.int64, device=sentence_N.device)
    owner[sentence_N[inside_N]] = document_N[inside_N]
    present = sentence_N[inside_N].unique()
    other = present[torch.randperm(len(present), generator=generator).to(present.device)]
    different = owner[present] != owner[other]
    return torch.stack([present[different], other[different]], dim=1)


def _pairs(tensors: dict[str, Tensor], items: int) -> Selection:
    """A selection of two-view items: 2N anchors; fewer than two items have no negatives and count for nothing."""
    return Selection(2 * items if items >= 2 else 0, tensors)
