"""Contrastive learning: equal things are near, sentences are as near as their numbers.

NT-Xent between two or more augmented views (token positions, sentences), or against a momentum
encoder and its queue; token types pulled together; numbers next to their other written forms;
soft-label similarity of numbers, and of sentences: paraphrases, numeric hard negatives (weighed by
the logarithm of the change: 2% is not 20%), and random pairs.

Views: the augmented ones, and of the same sequences the anchors as they are, their numeric hard
negatives, and where that has a weight their equivalent forms.

Shapes: B sequences of a batch, R sequences of a view, T positions, D width, N items (one embedding
in each view), P width of a projection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tiktoken
import torch
from torch import Generator, Tensor, nn

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.corruption import corrupted_view, masked_view
from ssl_lib.batches.rewriting import (
    EquivalentFormView,
    anchor_view,
    equivalent_form_view,
    hard_negative_view,
)
from ssl_lib.batches.views import CORRUPTED, MASKED, View, ViewMaker, sequence_count
from ssl_lib.config import ContrastiveSettings, DenoisingSettings, MlmSettings
from ssl_lib.errors import UserError
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import (
    Objective,
    Selection,
    as_batch,
    mean_of_spans,
    states_at,
    unit_length,
)
from ssl_lib.objectives.contrastive.momentum import MomentumEncoder
from ssl_lib.objectives.contrastive.ntxent import (
    Tensors,
    multi_view_ntxent,
    process_count,
    select_sentences,
    select_tokens,
    supervised_contrastive,
)
from ssl_lib.objectives.contrastive.numbers import (
    ntxent_with_hard_negatives,
    number_similarity_loss,
    select_equivalents,
    select_numbers,
)
from ssl_lib.objectives.contrastive.sentence_encoder import (
    SentenceEncoder,
    WrittenNumbers,
    numbers_in_view,
    written_numbers,
)
from ssl_lib.objectives.contrastive.sentence_pairs import (
    select_sentence_pairs,
    sentence_pair_losses,
)

ANCHOR, HARD_NEGATIVE, EQUIVALENT = "anchor", "hard_negative", "equivalent"

UNITS_FLOOR = 1e-2  # above most of their gradients: a unit moves by what its pairs agree on
REFERENCE_TEMPERATURE = 0.07
# of a learned one: similarities are multiplied by 100 at most (Radford et al. 2021)
LOWEST_TEMPERATURE = 0.01


class ContrastiveTokenEncoder(Objective):
    """Embeddings in which equal things are near; calling it gives one unit-length vector each."""

    name = "contrastive"
    owns = (ANCHOR, HARD_NEGATIVE, EQUIVALENT)
    writes_text = True

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: ContrastiveSettings | None = None,
        trunk: Trunk | None = None,
        encoding: tiktoken.Encoding | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        if settings is None:  # equivalent forms need an encoding
            settings = ContrastiveSettings(batch_fraction=1.0, equivalent_weight=0.0)
        self.settings = settings
        if settings.equivalent_weight and encoding is None:
            raise UserError(
                "objectives.contrastive.equivalent_weight needs the encoding; "
                "pass encoding=… or set it to 0"
            )
        self.encoding = encoding
        width, projection = self.trunk.width, settings.projection
        self.token_projection = nn.Linear(width, projection)
        self.number_projection = nn.Linear(width, projection)
        columns = self.trunk.columns
        separators_V = columns.point_V | columns.comma_V
        self.sentences = SentenceEncoder(width, separators_V, columns.scale_log10_V)
        self.document_projection = nn.Linear(width, projection)
        self.log_temperature = nn.Parameter(
            torch.tensor(math.log(settings.temperature)),
            requires_grad=settings.learned_temperature,
        )
        self.type_projection = nn.Linear(width, projection) if settings.type_weight else None
        self.momentum_encoder = None
        if settings.momentum:
            self.momentum_encoder = MomentumEncoder(self._online(), settings)

    @property
    def augmented(self) -> tuple[str, ...]:
        """Names of the augmented views, corrupted in two ways in turn: masked, noised, masked_2."""
        names = [MASKED, CORRUPTED]
        for index in range(2, self.settings.views):
            names.append(f"{names[index % 2]}_{index // 2 + 1}")
        return tuple(names)

    @property
    def across_processes(self) -> bool:
        """Whether negatives come from all processes: while training alone.

        Held-out sequences are the same in each process.
        """
        return self.settings.gather and self.training and process_count() > 1

    @property
    def temperature(self) -> Tensor:
        """Scalar; learned only if the settings say so.

        Held-out losses are taken at REFERENCE_TEMPERATURE, whatever was tuned.
        """
        if self.training:
            return self.log_temperature.exp()
        return torch.tensor(REFERENCE_TEMPERATURE, device=self.log_temperature.device)

    def view_makers(self) -> dict[str, ViewMaker]:
        """Augmented views, anchors, hard negatives, equivalent forms: all bidirectional."""
        vocabulary, encoding = self.trunk.vocabulary, self.encoding
        fraction = self.view_settings.batch_fraction

        def augmented(name: str, fraction: float) -> ViewMaker:
            if name.startswith(MASKED):
                masking = MlmSettings(batch_fraction=fraction)
                return lambda batch, *chance: masked_view(batch, vocabulary, masking, *chance)
            noise = DenoisingSettings(batch_fraction=fraction)
            return lambda batch, *chance: corrupted_view(batch, vocabulary, noise, *chance)

        # of the first two, which other objectives read too, all sequences
        makers = {name: augmented(name, 1.0) for name in (MASKED, CORRUPTED)}
        makers[ANCHOR] = lambda batch, generator, sampling: anchor_view(
            batch, vocabulary, sequence_count(batch, fraction)
        )
        makers[HARD_NEGATIVE] = lambda batch, generator, sampling: hard_negative_view(
            batch, vocabulary, sequence_count(batch, fraction), generator
        )
        for name in self.augmented[2:]:
            makers[name] = augmented(name, fraction)
        if self.settings.equivalent_weight and encoding is not None:
            makers[EQUIVALENT] = lambda batch, generator, sampling: equivalent_form_view(
                batch, vocabulary, encoding, sequence_count(batch, fraction), generator
            )
        return makers

    def part_weights(self) -> dict[str, float]:
        """Weight of each term; `type` and `equivalent` take part only where they have one."""
        settings = self.settings
        weights = {
            "token": settings.token_weight,
            "document": settings.document_weight,
            "number": settings.number_weight,
            "hard_negative": settings.sentence_weight,
            "paraphrase": settings.sentence_weight,
            "random_pair": settings.sentence_weight,
            "magnitude": settings.sentence_weight,
        }
        if settings.type_weight:
            weights["type"] = settings.type_weight
        if settings.equivalent_weight:
            weights["equivalent"] = settings.equivalent_weight
        return weights

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """What each term compares, drawn in the order in which they stand here."""
        limit, vocabulary = self.settings.effective_batch, self.trunk.vocabulary
        augmented = [views[name] for name in self.augmented]
        shared = batch.first(min(len(view.ids_RT) for view in augmented))
        count = len(shared.token_ids_BT)
        present_BT = torch.stack([view.present_RT()[:count] for view in augmented]).all(0)
        token = select_tokens(shared, present_BT, vocabulary, limit, generator)
        types = {"labels": token["types"].repeat(len(augmented))}
        document = select_sentences(shared, present_BT, vocabulary, limit, generator)
        for index, view in enumerate(augmented):
            document |= numbers_in_view(self.trunk, view).named(index)
        if self._uses_keys:
            token |= _key_tensors(views[CORRUPTED], count)
        anchors = batch.first(len(views[ANCHOR].ids_RT))
        number = select_numbers(anchors, limit, generator)
        # a query of the momentum encoder is one anchor, a pair of views is two
        each = 1 if self._uses_keys else 2
        selected = {
            "token": self._scored(len(token["positions"]), each, token),
            "document": self._scored(len(document["first"]), each, document),
            "number": self._scored(len(number["first"]), 1, number),
        }
        selected |= select_sentence_pairs(
            anchors, views[ANCHOR], views[HARD_NEGATIVE], self.trunk, generator
        )
        if self.type_projection is not None:
            selected["type"] = self._scored(len(token["positions"]), len(augmented), types)
        if self.settings.equivalent_weight:
            positive = views[EQUIVALENT]
            assert isinstance(positive, EquivalentFormView)
            same = select_equivalents(anchors, views[HARD_NEGATIVE], positive, limit, generator)
            selected["equivalent"] = self._scored(len(same["values"]), 2, same)
        return selected

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """The sum of each term, in the order of `part_weights`."""
        token, document, number = selected["token"], selected["document"], selected["number"]
        views = [hidden[name] for name in self.augmented]
        states = [states_at(view_RTD, token["positions"]) for view_RTD in views]
        tokens = [unit_length(self.token_projection(states_ND)) for states_ND in states]
        sentences = []
        for index, view_RTD in enumerate(views):
            written = WrittenNumbers.under(index, document.tensors)
            vectors_ND = self.sentences(view_RTD, written, document["span"], len(document["first"]))
            sentences.append(unit_length(self.document_projection(vectors_ND)))
        numbers_NP = self._numbers(hidden[ANCHOR], number["span"], len(number["first"]))

        if self.momentum_encoder is not None and self._uses_keys:
            queries = {"token": tokens, "document": sentences}
            sums = self.momentum_encoder.loss_sums(queries, selected, self.temperature)
        else:
            sums = {
                "token": self._between_views(tokens, token, token["labels"]),
                "document": self._between_views(sentences, document, document["owners"]),
            }
        options = (self.temperature, self.across_processes)
        sums["number"] = numbers_NP.sum() * 0.0
        if self._is_scored(number):
            sums["number"] = number_similarity_loss(numbers_NP, number["scaled"], *options).sum
        sums |= sentence_pair_losses(
            self.sentences, hidden[ANCHOR], hidden[HARD_NEGATIVE], selected
        )
        if self.type_projection is not None:
            items_NP = unit_length(self.type_projection(torch.cat(states)))
            sums["type"] = items_NP.sum() * 0.0
            if self._is_scored(selected["type"]):
                labels_N = selected["type"]["labels"]
                sums["type"] = supervised_contrastive(items_NP, labels_N, *options).sum
        if self.settings.equivalent_weight:
            sums["equivalent"] = self._equivalent_loss(hidden, selected["equivalent"])
        return sums

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What units of measure add has a floor of its own: `eps` of AdamW.

        Adam's steps are equally large however small the gradient, and go on when it has gone:
        without a floor the unit of a rare token would be taken from a single accidental pair
        (docs/LOG.md).
        """
        return [{"params": [self.sentences.unit_log10.weight], "eps": UNITS_FLOOR}]

    def after_step(self, updated: bool) -> None:
        """Keep a learned temperature in its range, move the momentum encoder."""
        if self.settings.learned_temperature and updated:
            with torch.no_grad():
                self.log_temperature.clamp_(min=math.log(LOWEST_TEMPERATURE))
        if self.momentum_encoder is not None:
            self.momentum_encoder.after_step(self._online(), updated)

    def embed(self, hidden_RTD: Tensor, token_ids_RT: Tensor, document_ids_RT: Tensor) -> Tensor:
        """One unit-length vector [R, D] of each sequence, from bidirectional states and its ids."""
        sequences_R = torch.arange(len(hidden_RTD), device=hidden_RTD.device)
        span_RT = torch.where(document_ids_RT >= 0, sequences_R[:, None], -1)
        written = written_numbers(self.trunk, token_ids_RT, document_ids_RT)
        vectors_RD: Tensor = self.sentences(hidden_RTD, written, span_RT, len(sequences_R))
        return vectors_RD

    @torch.no_grad()
    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Unit-length vectors [B, D] of sequences, as features of a downstream model.

        No gradient comes back through them. To train the encoder itself on a task, take
        `embed(encode(ids, causal=False), ids, document_ids)`.
        """
        ids_BT = as_batch(token_ids_BT)
        hidden_BTD = self.encode(ids_BT, causal=False)
        return self.embed(hidden_BTD, ids_BT, self.one_document(ids_BT))

    @property
    def _uses_keys(self) -> bool:
        """Whether candidates are the momentum encoder's keys; held-out losses need no queue."""
        return self.momentum_encoder is not None and self.training

    def _online(self) -> dict[str, nn.Module]:
        """What the momentum encoder is an average of."""
        return {
            "trunk": self.trunk,
            "token_projection": self.token_projection,
            "sentences": self.sentences,
            "document_projection": self.document_projection,
        }

    def _scored(self, items: int, each: int, tensors: Tensors) -> Selection:
        """A selection of `each` anchors for every item.

        A single item has no negatives and counts for nothing, unless other processes have some.
        """
        enough = items >= 2 or self.across_processes
        return Selection(items * each if enough else 0, tensors)

    def _is_scored(self, chosen: Selection) -> bool:
        """Whether a loss is taken: with every other process, or where something is scored."""
        return chosen.count > 0 or self.across_processes

    def _numbers(self, hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
        """Embeddings [N, P] of numbers: the mean of their states, projected."""
        mean_ND = mean_of_spans(hidden_RTD, span_RT, count)
        return unit_length(self.number_projection(mean_ND))

    def _between_views(self, views: list[Tensor], chosen: Selection, labels_N: Tensor) -> Tensor:
        """NT-Xent over all pairs of views [N, P]; equal labels are excluded false negatives."""
        if not self._is_scored(chosen):
            return torch.cat(views).sum() * 0.0
        return multi_view_ntxent(views, self.temperature, labels_N, self.across_processes).sum

    def _equivalent_loss(self, hidden: Mapping[str, Tensor], chosen: Selection) -> Tensor:
        """NT-Xent of anchors and equivalent forms, with each anchor's own hard negative."""
        values_N = chosen["values"]
        anchor_NP = self._numbers(hidden[ANCHOR], chosen["span"], len(values_N))
        positive_NP = self._numbers(hidden[EQUIVALENT], chosen["other_span"], len(values_N))
        negative_NP = self._numbers(hidden[HARD_NEGATIVE], chosen["span"], len(values_N))
        if not self._is_scored(chosen):
            return (anchor_NP.sum() + positive_NP.sum()) * 0.0
        return ntxent_with_hard_negatives(
            anchor_NP,
            positive_NP,
            negative_NP,
            chosen["changed"],
            self.temperature,
            values_N,
            self.across_processes,
        ).sum


def _key_tensors(view: View, count: int) -> Tensors:
    """What the momentum encoder reads: the first `count` sequences of the corrupted view."""
    tensors = {"key_ids": view.ids_RT[:count], "key_documents": view.document_ids_RT[:count]}
    if view.source_N is not None:
        tensors["key_source"] = view.source_N[: count * view.ids_RT.shape[1]]
    return tensors
