"""Contrastive learning: equal things are near, sentences are as near as their numbers.

NT-Xent between two or more augmented views (token positions, sentences), or against a momentum
encoder and its queue; token types pulled together; numbers next to their other written forms;
soft-label similarity of numbers, and of sentences: paraphrases, numeric hard negatives (weighed by
the logarithm of the change: 2% is not 20%), and random pairs.

It reads the augmented views, and of the same sequences the anchors as they are, their numeric hard
negatives, and where that has a weight their equivalent forms.

Shapes: B sequences of a batch, R sequences of a view, T positions, D width, A augmented views,
N items (one embedding in each view), P width of a projection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

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
from ssl_lib.objectives import base
from ssl_lib.objectives.base import (
    LossTerm,
    Selection,
    Selections,
    States,
    Views,
    states_at,
    unit_length,
)
from ssl_lib.objectives.contrastive import ntxent, numbers, sentence_pairs
from ssl_lib.objectives.contrastive.momentum import MomentumEncoder
from ssl_lib.objectives.contrastive.sentence_encoder import (
    SentenceEncoder,
    WrittenNumbers,
    numbers_in_view,
    written_numbers,
)

ANCHOR, HARD_NEGATIVE, EQUIVALENT = "anchor", "hard_negative", "equivalent"

# of AdamW's `eps`, above most gradients: a unit moves by what its pairs agree on
UNITS_FLOOR = 1e-2
# of held-out losses
REFERENCE_TEMPERATURE = 0.07
# of a learned one: similarities are multiplied by 100 at most (Radford et al. 2021)
LOWEST_TEMPERATURE = 0.01
# of augmented views that no other objective makes, but for their share of the batch
MASKING = MlmSettings(mask_rate=0.15)
CORRUPTION = DenoisingSettings(noise_rate=0.15)


class ContrastiveTokenEncoder(base.Objective):
    """Embeddings in which equal things are near; calling it gives a unit-length vector each."""

    name = "contrastive"
    owns = (ANCHOR, HARD_NEGATIVE, EQUIVALENT)
    # without equivalent forms, which need an encoding
    default_settings = ContrastiveSettings(batch_fraction=1.0, equivalent_weight=0.0)
    settings: ContrastiveSettings

    def make_heads(self) -> None:
        """Projections, sentence encoder, temperature, and a momentum encoder if asked for.

        Raises UserError if equivalent forms have a weight and there is no encoding.
        """
        settings = self.settings
        columns = self.trunk.columns
        if settings.equivalent_weight and self.encoding is None:
            raise UserError(
                "objectives.contrastive.equivalent_weight needs the encoding; "
                "pass encoding=… or set it to 0"
            )
        width = self.trunk.width
        projection = settings.projection
        self.token_projection = nn.Linear(width, projection)
        self.number_projection = nn.Linear(width, projection)
        separators_V = columns.point_V | columns.comma_V
        self.sentences = SentenceEncoder(width, separators_V, columns.scale_log10_V)
        self.document_projection = nn.Linear(width, projection)
        start = torch.tensor(math.log(settings.temperature))
        self.log_temperature = nn.Parameter(start, requires_grad=settings.learned_temperature)
        self.type_projection = nn.Linear(width, projection) if settings.type_weight else None
        self.momentum_encoder = None
        if settings.momentum:
            self.momentum_encoder = MomentumEncoder(self._online(), settings)

    @property
    def augmented(self) -> tuple[str, ...]:
        """Names of the augmented views, corrupted in turn: masked, corrupted, masked_2."""
        names = [MASKED, CORRUPTED]
        for index in range(2, self.settings.views):
            names.append(f"{names[index % 2]}_{index // 2 + 1}")
        return tuple(names)

    @property
    def across_processes(self) -> bool:
        """Whether negatives come from all processes.

        While training alone: held-out sequences are the same in each process.
        """
        return self.settings.gather and self.training and ntxent.process_count() > 1

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
        vocabulary = self.trunk.vocabulary
        encoding = self.encoding
        fraction = self.view_settings.batch_fraction

        def augmented(name: str, fraction: float) -> ViewMaker:
            """A masked or a corrupted view of so much of the batch."""
            if name.startswith(MASKED):
                masking = MASKING.model_copy(update={"batch_fraction": fraction})
                return lambda batch, *chance: masked_view(batch, vocabulary, masking, *chance)
            noise = CORRUPTION.model_copy(update={"batch_fraction": fraction})
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
        }
        pairs = ("hard_negative", "paraphrase", "random_pair", "magnitude")
        weights |= dict.fromkeys(pairs, settings.sentence_weight)
        optional = {"type": settings.type_weight, "equivalent": settings.equivalent_weight}
        return weights | {part: weight for part, weight in optional.items() if weight}

    def select(self, batch: Batch, views: Views, generator: Generator) -> dict[str, Selection]:
        """What each term compares, drawn in the order in which they stand here."""
        limit = self.settings.effective_batch
        vocabulary = self.trunk.vocabulary
        anchor = views[ANCHOR]
        negative = views[HARD_NEGATIVE]
        augmented = [views[name] for name in self.augmented]
        count = min(len(view.ids_RT) for view in augmented)
        shared = batch.first(count)
        anchors = batch.first(len(anchor.ids_RT))
        # deletions may have removed a position from one of them
        present_BT = torch.stack([view.present_RT()[:count] for view in augmented]).all(0)
        token = ntxent.select_tokens(shared, present_BT, vocabulary, limit, generator)
        document = ntxent.select_sentences(shared, present_BT, vocabulary, limit, generator)
        for index, view in enumerate(augmented):
            document |= numbers_in_view(self.trunk, view).named(index)
        if self._uses_keys:
            token |= _key_tensors(views[CORRUPTED], count)
        number = numbers.select_numbers(anchors, limit, generator)
        # a query of the momentum encoder is one anchor, a pair of views is two
        each = 1 if self._uses_keys else 2
        positions = len(token["positions"])
        selected = {
            "token": self._scored(positions, each, token),
            "document": self._scored(len(document["first"]), each, document),
            "number": self._scored(len(number["first"]), 1, number),
        }
        selected |= sentence_pairs.select(anchors, anchor, negative, self.trunk, generator)
        if self.settings.type_weight:
            types = {"labels": token["types"].repeat(len(augmented))}
            selected["type"] = self._scored(positions, len(augmented), types)
        if self.settings.equivalent_weight:
            positive = views[EQUIVALENT]
            assert isinstance(positive, EquivalentFormView)
            forms = numbers.select_equivalents(anchors, negative, positive, limit, generator)
            selected["equivalent"] = self._scored(len(forms["values"]), 2, forms)
        return selected

    def loss_sums(self, hidden: States, selected: Selections) -> dict[str, Tensor]:
        """The sum of each term, in the order of `part_weights`."""
        token = selected["token"]
        document = selected["document"]
        number = selected["number"]
        views = [hidden[name] for name in self.augmented]
        states = [states_at(view_RTD, token["positions"]) for view_RTD in views]
        projected = [self.token_projection(states_ND) for states_ND in states]
        tokens_ANP = unit_length(torch.stack(projected))
        projected = [self._sentences(document, view, at) for at, view in enumerate(views)]
        sentences_ANP = unit_length(torch.stack(projected))
        numbers_NP = self._numbers(hidden[ANCHOR], number["span"], len(number["first"]))
        # both views' own vectors as candidates, or the keys of an EMA encoder
        if self.momentum_encoder is not None and self._uses_keys:
            queries = {"token": tokens_ANP, "document": sentences_ANP}
            sums = self.momentum_encoder.loss_sums(queries, selected, self.temperature)
        else:
            between = ntxent.multi_view_ntxent
            sums = {
                "token": self._loss(token, between, tokens_ANP, token["labels"]),
                "document": self._loss(document, between, sentences_ANP, document["owners"]),
            }
        by_value = numbers.number_similarity_loss
        sums["number"] = self._loss(number, by_value, numbers_NP, number["scaled"])
        sums |= sentence_pairs.losses(
            self.sentences, hidden[ANCHOR], hidden[HARD_NEGATIVE], selected
        )
        if self.type_projection is not None:
            types = selected["type"]
            items_NP = unit_length(self.type_projection(torch.cat(states)))
            by_type = ntxent.supervised_contrastive
            sums["type"] = self._loss(types, by_type, items_NP, types["labels"])
        if self.settings.equivalent_weight:
            forms = selected["equivalent"]
            places = {ANCHOR: "span", EQUIVALENT: "other_span", HARD_NEGATIVE: "span"}
            found = [
                self._numbers(hidden[view], forms[span], len(forms["values"]))
                for view, span in places.items()
            ]
            by_form = numbers.ntxent_with_hard_negatives
            labels = (forms["changed"], forms["values"])
            sums["equivalent"] = self._loss(forms, by_form, torch.stack(found), *labels)
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
        ids_BT = base.as_batch(token_ids_BT)
        hidden_BTD = self.encode(ids_BT, causal=False)
        return self.embed(hidden_BTD, ids_BT, self.one_document(ids_BT))

    @property
    def _uses_keys(self) -> bool:
        """Whether candidates are the momentum encoder's keys; held-out losses need no queue."""
        return self.momentum_encoder is not None and self.training

    def _online(self) -> dict[str, nn.Module]:
        """What the momentum encoder is an average of."""
        names = ("trunk", "token_projection", "sentences", "document_projection")
        return {name: self.get_submodule(name) for name in names}

    def _scored(self, items: int, each: int, tensors: dict[str, Tensor]) -> Selection:
        """A selection of `each` anchors for every item.

        A single item has no negatives and counts for nothing, unless other processes have some.
        """
        enough = items >= 2 or self.across_processes
        return Selection(items * each if enough else 0, tensors)

    def _loss(
        self, chosen: Selection, loss: Callable[..., LossTerm], vectors: Tensor, *labels: Tensor
    ) -> Tensor:
        """A term's sum; where nothing is scored a zero that depends on the vectors.

        A loss that gathers is taken with every other process.
        """
        if chosen.count == 0 and not self.across_processes:
            return vectors.sum() * 0.0
        return loss(vectors, *labels, self.temperature, self.across_processes).sum

    def _sentences(self, chosen: Selection, view_RTD: Tensor, index: int) -> Tensor:
        """Projected vectors [N, P] of the sentences in the augmented view of this index."""
        written = WrittenNumbers.under(index, chosen.tensors)
        vectors_ND = self.sentences(view_RTD, written, chosen["span"], len(chosen["first"]))
        projected_NP: Tensor = self.document_projection(vectors_ND)
        return projected_NP

    def _numbers(self, hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
        """Embeddings [N, P] of numbers: the mean of their states, projected."""
        mean_ND = base.mean_of_spans(hidden_RTD, span_RT, count)
        return unit_length(self.number_projection(mean_ND))


def _key_tensors(view: View, count: int) -> dict[str, Tensor]:
    """What the momentum encoder reads: the first `count` sequences of the corrupted view."""
    tensors = {"key_ids": view.ids_RT[:count], "key_documents": view.document_ids_RT[:count]}
    if view.source_N is not None:
        tensors["key_source"] = view.source_N[: count * view.ids_RT.shape[1]]
    return tensors
