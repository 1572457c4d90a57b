"""Contrastive learning: what belongs together is near, and sentences are as near as their numbers.

NT-Xent between two or more augmented views (token positions, sentences), or against a momentum encoder and its queue;
token types drawn together; numbers next to their other written forms; graded similarity of numbers, and of sentences:
those that restate each other, those with one number changed (weighed by the logarithm of the change: 2% is not 20%),
and unrelated ones.

Shapes: R rows, T positions, D width, N items (one embedding in each view), P projection, Q pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import tiktoken
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.alterations import altered_view, clean_view
from ssl_lib.batches.batch import Batch
from ssl_lib.batches.equivalents import EquivalentView, equivalent_view
from ssl_lib.batches.masking import masked_view
from ssl_lib.batches.noising import noised_view
from ssl_lib.batches.views import MASKED, NOISED, View, ViewMaker, row_count
from ssl_lib.config import ContrastiveSettings, DenoisingSettings, MlmSettings
from ssl_lib.errors import UserError
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import Objective, Selection, rows_at, whole
from ssl_lib.objectives.contrastive.gathering import process_count
from ssl_lib.objectives.contrastive.losses import (
    graded_distance_loss,
    graded_loss,
    momentum_ntxent,
    ntxent,
    ntxent_of_equivalents,
    supervised,
)
from ssl_lib.objectives.contrastive.momentum import MomentumEncoder
from ssl_lib.objectives.contrastive.selection import (
    Tensors,
    select_equivalents,
    select_numbers,
    select_sentence_pairs,
    select_sentences,
    select_tokens,
)
from ssl_lib.objectives.contrastive.sentence_encoder import (
    SentenceEncoder,
    as_written,
    packed,
    unpacked,
    written_rows,
)
from ssl_lib.objectives.contrastive.spans import mean_of_spans, unit

CLEAN, ALTERED, EQUIVALENT = "clean", "altered", "equivalent"
SENTENCE_PARTS = ("altered", "restated", "apart")

UNITS_FLOOR = 1e-2  # above most of their gradients: a unit moves by what its pairs agree on
REFERENCE_TEMPERATURE = 0.07
LOWEST_TEMPERATURE = (
    0.01  # of a learned one: similarities are multiplied by 100 at most (Radford et al. 2021)
)


class ContrastiveTokenEncoder(Objective):
    """Embeddings in which what belongs together is near; calling it gives one unit-length embedding per row."""

    name = "contrastive"
    owns = (CLEAN, ALTERED, EQUIVALENT)
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
        self.settings = settings or ContrastiveSettings(
            batch_fraction=1.0, equivalent_weight=0.0
        )  # forms need an encoding
        if self.settings.equivalent_weight and encoding is None:
            raise UserError(
                "objectives.contrastive.equivalent_weight needs the encoding; "
                "pass encoding=… or set it to 0"
            )
        self.encoding = encoding
        width = self.trunk.width
        self.token_projection = nn.Linear(width, self.settings.projection)
        self.number_projection = nn.Linear(width, self.settings.projection)
        columns = self.trunk.columns
        self.sentences = SentenceEncoder(
            width, columns.point_V | columns.comma_V, columns.scale_log10_V
        )
        self.document_projection = nn.Linear(width, self.settings.projection)
        self.log_temperature = nn.Parameter(
            torch.tensor(math.log(self.settings.temperature)),
            requires_grad=self.settings.learned_temperature,
        )
        self.type_projection = (
            nn.Linear(width, self.settings.projection) if self.settings.type_weight else None
        )
        self.momentum_encoder = (
            MomentumEncoder(self._online(), self.settings) if self.settings.momentum else None
        )

    @property
    def augmented(self) -> tuple[str, ...]:
        """Names of the augmented views: masked and noised in turn."""
        further = (
            f"{(MASKED, NOISED)[index % 2]}_{index // 2 + 1}"
            for index in range(2, self.settings.views)
        )
        return (MASKED, NOISED, *further)

    @property
    def everywhere(self) -> bool:
        """Whether negatives come from all processes: only while training, for held-out rows are the same in each."""
        return self.settings.gather and self.training and process_count() > 1

    @property
    def follows(self) -> bool:
        """Whether keys come from the momentum encoder: only while training; held-out losses need no queue."""
        return self.momentum_encoder is not None and self.training

    def view_makers(self) -> dict[str, ViewMaker]:
        """Augmented views of the same rows; the clean rows, the same with numbers changed and, where that has a weight,
        with numbers in other written forms, all seen from both sides.
        """
        vocabulary, share = self.trunk.vocabulary, whole(self).batch_fraction

        def masked(rows: float) -> ViewMaker:
            return lambda batch, *chance: masked_view(
                batch, vocabulary, MlmSettings(batch_fraction=rows), *chance
            )

        def noised(rows: float) -> ViewMaker:
            return lambda batch, *chance: noised_view(
                batch, vocabulary, DenoisingSettings(batch_fraction=rows), *chance
            )

        makers: dict[str, ViewMaker] = {
            MASKED: masked(1.0),
            NOISED: noised(1.0),
            CLEAN: lambda batch, generator, emphasis: clean_view(
                batch, vocabulary, row_count(batch, share)
            ),
            ALTERED: lambda batch, generator, emphasis: altered_view(
                batch, vocabulary, row_count(batch, share), generator
            ),
        }
        for index, name in enumerate(self.augmented[2:]):
            makers[name] = (masked, noised)[index % 2](share)
        if self.settings.equivalent_weight:
            encoding = self.encoding
            assert encoding is not None
            makers[EQUIVALENT] = lambda batch, generator, emphasis: equivalent_view(
                batch, vocabulary, encoding, row_count(batch, share), generator
            )
        return makers

    def part_weights(self) -> dict[str, float]:
        """Weights of token positions, sentences, numbers, and pairs of sentences; of token types and equivalent forms,
        which take part only where they have a weight.
        """
        weights = {
            "token": self.settings.token_weight,
            "document": self.settings.document_weight,
            "number": self.settings.number_weight,
        }
        asked = {"type": self.settings.type_weight, "equivalent": self.settings.equivalent_weight}
        pairs = dict.fromkeys((*SENTENCE_PARTS, "magnitude"), self.settings.sentence_weight)
        return weights | pairs | {part: weight for part, weight in asked.items() if weight}

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """Positions and sentences of the augmented views, numbers and sentence pairs of the clean and the altered one,
        numbers of the clean and the equivalent one.
        """
        limit, vocabulary = self.settings.effective_batch, self.trunk.vocabulary
        both = batch.first_rows(min(len(views[name].ids_RT) for name in self.augmented))
        clean = batch.first_rows(len(views[CLEAN].ids_RT))
        rows = slice(len(both.token_ids_BT))
        present_BT = torch.stack([views[name].present_RT()[rows] for name in self.augmented]).all(0)
        token = select_tokens(both, present_BT, vocabulary, limit, generator)
        document = select_sentences(both, present_BT, vocabulary, limit, generator)
        number = select_numbers(clean, limit, generator)
        for at, name in enumerate(self.augmented):
            document |= packed(as_written(self.trunk, views[name]), at)
        if self.follows:
            token |= {
                "key_ids": views[NOISED].ids_RT[rows],
                "key_documents": views[NOISED].document_ids_RT[rows],
            }
            if views[NOISED].source_N is not None:
                token["key_source"] = views[NOISED].source_N[: present_BT.numel()]
        anchors = 1 if self.follows else 2
        chosen = {
            "token": self._anchors(len(token["positions"]), anchors, token),
            "document": self._anchors(len(document["first"]), anchors, document),
            "number": self._anchors(len(number["first"]), 1, number),
            **select_sentence_pairs(clean, views[CLEAN], views[ALTERED], self.trunk, generator),
        }
        if self.type_projection is not None:
            chosen["type"] = self._anchors(
                len(token["positions"]), len(self.augmented), {"labels": token["types"]}
            )
        if self.settings.equivalent_weight:
            assert isinstance(views[EQUIVALENT], EquivalentView)
            same = select_equivalents(clean, views[ALTERED], views[EQUIVALENT], limit, generator)
            chosen["equivalent"] = self._anchors(len(same["values"]), 2, same)
        return chosen

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """NT-Xent over the augmented views, graded similarity of numbers and of sentences, types, equivalent forms."""
        views = [hidden[name] for name in self.augmented]
        token, document, number = selected["token"], selected["document"], selected["number"]
        states = [rows_at(view, token["positions"]) for view in views]
        tokens = [unit(self.token_projection(state)) for state in states]
        spans = (document["span"], len(document["first"]))
        sentences = [
            self.sentences(view, unpacked(document, at), *spans) for at, view in enumerate(views)
        ]
        sentences = [unit(self.document_projection(vectors_ND)) for vectors_ND in sentences]
        numbers = self._numbers(hidden[CLEAN], number["span"], len(number["first"]))
        if self.follows:
            sums = self._against_keys({"token": tokens, "document": sentences}, selected)
        else:
            sums = {
                "token": self._between_views(tokens, token, token["labels"]),
                "document": self._between_views(sentences, document, document["owners"]),
            }
        sums["number"] = (
            graded_loss(numbers, number["scaled"], self.temperature, self.everywhere).sum
            if self._scores(number)
            else numbers.sum() * 0.0
        )
        sums |= self._sentence_losses(hidden, selected)
        if self.type_projection is not None:
            sums["type"] = self._type_loss(torch.cat(states), selected["type"])
        if self.settings.equivalent_weight:
            sums["equivalent"] = self._equivalent_loss(hidden, selected["equivalent"])
        return sums

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What units of measure add has a floor of its own: `eps` of AdamW.

        Adam's steps are equally large however small the gradient, and go on when it has gone:
        without a floor the unit of a rare token would be taken from a single accidental pair
        (docs/LOG.md).
        """
        return [{"params": [self.sentences.units.weight], "eps": UNITS_FLOOR}]

    def after_step(self, updated: bool) -> None:
        """Keep a learned temperature in its range, let the momentum encoder follow."""
        if self.settings.learned_temperature and updated:
            with torch.no_grad():
                self.log_temperature.clamp_(min=math.log(LOWEST_TEMPERATURE))
        if self.momentum_encoder is not None:
            self.momentum_encoder.after_step(self._online(), updated)

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

    def embed(self, hidden_RTD: Tensor, token_ids_RT: Tensor, document_ids_RT: Tensor) -> Tensor:
        """One unit-length embedding [R, D] per row, from its bidirectional states and its ids."""
        rows = torch.arange(len(hidden_RTD), device=hidden_RTD.device)
        span_RT = torch.where(document_ids_RT >= 0, rows[:, None], -1)
        written = written_rows(self.trunk, token_ids_RT, document_ids_RT)
        return self.sentences(hidden_RTD, written, span_RT, len(rows))

    @torch.no_grad()
    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Unit-length embeddings [B, D] of rows, as features of a downstream model: no gradient comes back through
        them. To train the encoder itself on a task, take `embed(encode(ids, causal=False), ids, document_ids)`.
        """
        ids_BT = torch.atleast_2d(token_ids_BT)
        documents_BT = torch.where(ids_BT == self.trunk.vocabulary.special.padding, -1, 0)
        return self.embed(self.encode(ids_BT, causal=False), ids_BT, documents_BT)

    def _online(self) -> dict[str, nn.Module]:
        """What the momentum encoder follows."""
        names = ("trunk", "token_projection", "sentences", "document_projection")
        return {name: getattr(self, name) for name in names}

    def _anchors(self, items: int, each: int, tensors: Tensors) -> Selection:
        """`each` anchors for every item; a single item has no negatives and counts for nothing, unless other processes
        have some.
        """
        return Selection(items * each if items >= 2 or self.everywhere else 0, tensors)

    def _scores(self, chosen: Selection) -> bool:
        """Whether a loss is taken: with every other process, or where there is something to score."""
        return chosen.count > 0 or self.everywhere

    def _numbers(self, hidden_RTD: Tensor, span_RT: Tensor, count: int) -> Tensor:
        return unit(self.number_projection(mean_of_spans(hidden_RTD, span_RT, count)))

    def _between_views(
        self, views: Sequence[Tensor], chosen: Selection, labels_N: Tensor | None
    ) -> Tensor:
        """NT-Xent, averaged over all pairs of views."""
        if not self._scores(chosen):
            return sum(view.sum() for view in views) * 0.0
        pairs = [
            ntxent(*pair, self.temperature, labels_N, self.everywhere).sum
            for pair in combinations(views, 2)
        ]
        return torch.stack(pairs).mean() if len(pairs) > 1 else pairs[0]

    def _against_keys(
        self, queries: Mapping[str, Sequence[Tensor]], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Every view but the second against the momentum encoder's keys of the second, averaged over these views."""
        assert self.momentum_encoder is not None
        keys, sums = self.momentum_encoder(selected), {}
        for part, views in queries.items():
            past, (current, start) = self.momentum_encoder.queues[part].content, keys[part]
            asking = [view for index, view in enumerate(views) if index != 1]
            losses = [
                momentum_ntxent(view, start, current, past, self.temperature).sum for view in asking
            ]
            sums[part] = (
                torch.stack(losses).mean() if self._scores(selected[part]) else views[0].sum() * 0.0
            )
        return sums

    def _type_loss(self, states_ND: Tensor, chosen: Selection) -> Tensor:
        assert self.type_projection is not None
        items_NP = unit(self.type_projection(states_ND))
        if not self._scores(chosen):
            return items_NP.sum() * 0.0
        labels_N = chosen["labels"].repeat(len(self.augmented))
        return supervised(items_NP, labels_N, self.temperature, self.everywhere).sum

    def _equivalent_loss(self, hidden: Mapping[str, Tensor], chosen: Selection) -> Tensor:
        count, views = (
            len(chosen["values"]),
            ((CLEAN, "span"), (EQUIVALENT, "other_span"), (ALTERED, "span")),
        )
        first, second, changed = (
            self._numbers(hidden[view], chosen[span], count) for view, span in views
        )
        if not self._scores(chosen):
            return (first.sum() + second.sum()) * 0.0
        return ntxent_of_equivalents(
            first,
            second,
            changed,
            chosen["changed"],
            self.temperature,
            chosen["values"],
            self.everywhere,
        ).sum

    def _sentence_losses(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        seen = selected["altered"]
        span_RT, count = seen["span"], int(seen["count"])
        clean_ND, altered_ND = (
            self.sentences(hidden[view], unpacked(seen, view), span_RT, count)
            for view in (CLEAN, ALTERED)
        )
        losses = {}
        for part in SENTENCE_PARTS:
            left_Q, right_Q = selected[part]["pairs"].unbind(1)
            cosine_Q = (
                clean_ND[left_Q] * (altered_ND if part == "altered" else clean_ND)[right_Q]
            ).sum(-1)
            losses[part] = graded_distance_loss(cosine_Q, selected[part]["grades"]).sum
        left_Q, right_Q = (
            self.sentences.magnitudes(unpacked(seen, CLEAN), span_RT, at_Q)
            for at_Q in selected["magnitude"]["places"].unbind(1)
        )
        losses["magnitude"] = functional.smooth_l1_loss(left_Q, right_Q, reduction="sum")
        return losses
