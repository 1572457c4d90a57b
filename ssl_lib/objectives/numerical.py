"""Numerical patterns: the type of a token (text, number, operator, punctuation) and the value of the number that comes
next.

Shapes: R rows, T positions, D width, S scored positions, K components of the mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn import functional

from ssl_lib.batches.batch import Batch, number_starts_BT
from ssl_lib.batches.masking import masked_view
from ssl_lib.batches.views import CAUSAL, MASKED, View, ViewMaker, causal_view
from ssl_lib.config import MlmSettings, NumericalSettings
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import Objective, Selection, rows_at
from ssl_lib.objectives.value_heads import make_value_head

TOKEN_TYPES = ("text", "number", "operator", "punctuation")


class NumericalPatternLearner(Objective):
    """Type of hidden tokens, type of the next token, and value of the next number where one starts."""

    name = "numerical"

    def __init__(
        self,
        vocab_size: int = 50257,
        settings: NumericalSettings | None = None,
        trunk: Trunk | None = None,
        **shape: Any,
    ) -> None:
        super().__init__(vocab_size, trunk, **shape)
        self.settings = settings or NumericalSettings()
        self.type_head = nn.Linear(self.trunk.width, len(TOKEN_TYPES))
        self.next_type_head = nn.Linear(self.trunk.width, len(TOKEN_TYPES))
        self.value_head = make_value_head(self.settings, self.trunk)

    def view_makers(self) -> dict[str, ViewMaker]:
        """The masked and the causal view."""
        return {
            MASKED: lambda batch, *chance: masked_view(
                batch, self.trunk.vocabulary, MlmSettings(batch_fraction=1.0), *chance
            ),
            CAUSAL: lambda batch, generator, emphasis: causal_view(batch, self.trunk.vocabulary),
        }

    def part_weights(self) -> dict[str, float]:
        """Weights of the two classifications and of the value."""
        return {
            "type": self.settings.type_weight,
            "next_type": self.settings.type_weight,
            "value": self.settings.value_weight,
        }

    def select(
        self, batch: Batch, views: Mapping[str, View], generator: Generator
    ) -> dict[str, Selection]:
        """Masked positions; positions with a successor; positions before the first token of a number with a usable
        value.
        """
        types_N = batch.types_BT.flatten()
        masked_S, causal_S = views[MASKED].scored_S, views[CAUSAL].scored_S
        values_N = batch.values_BT.flatten()
        begins_N = number_starts_BT(batch).flatten() & values_N.isfinite()
        before_S = causal_S[begins_N[causal_S + 1]]
        return {
            "type": Selection(len(masked_S), {"positions": masked_S, "targets": types_N[masked_S]}),
            "next_type": Selection(
                len(causal_S), {"positions": causal_S, "targets": types_N[causal_S + 1]}
            ),
            "value": Selection(
                len(before_S),
                {
                    "positions": before_S,
                    "targets": values_N[before_S + 1],
                    "first_tokens": batch.token_ids_BT.flatten()[before_S + 1],
                },
            ),
        }

    def loss_sums(
        self, hidden: Mapping[str, Tensor], selected: Mapping[str, Selection]
    ) -> dict[str, Tensor]:
        """Cross-entropy of both classifications; the value head's loss."""
        sums = {}
        for part, view, head in (
            ("type", MASKED, self.type_head),
            ("next_type", CAUSAL, self.next_type_head),
        ):
            logits_SC = head(rows_at(hidden[view], selected[part]["positions"])).float()
            sums[part] = functional.cross_entropy(
                logits_SC, selected[part]["targets"], reduction="sum"
            )
        chosen = selected["value"]
        sums["value"] = self.value_head.loss_sum(
            rows_at(hidden[CAUSAL], chosen["positions"]), chosen
        )
        return sums

    def forward(self, token_ids_BT: Tensor) -> Tensor:
        """Type logits [B, T, 4] of every position, seen from both sides."""
        return self.type_head(self.encode(token_ids_BT, causal=False))
