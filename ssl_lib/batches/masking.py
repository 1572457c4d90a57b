"""The masked view: an exact share of positions hidden (Devlin et al. 2019), alone, by whole words or by spans.

Shapes: B rows of the batch, T positions, C candidates, S scored positions.
"""

from __future__ import annotations

from torch import Generator, Tensor

from ssl_lib.batches.batch import Batch
from ssl_lib.batches.choosing import (
    Chance,
    choose,
    choose_units,
    permutation,
    random_ids,
    spans,
    units,
)
from ssl_lib.batches.curriculum import Emphasis
from ssl_lib.batches.views import View, candidates_N, padded_ids, row_count
from ssl_lib.config import MlmSettings
from ssl_lib.tokens.vocabulary import VocabularyTable


def masked_view(
    batch: Batch,
    vocabulary: VocabularyTable,
    settings: MlmSettings,
    generator: Generator,
    emphasis: Emphasis | None = None,
) -> View:
    """Rows with exactly round(mask_rate * candidates) positions hidden: most by the mask token, some by a random one,
    some kept.
    """
    batch = batch.first_rows(row_count(batch, settings.batch_fraction))
    ids_N = padded_ids(batch, vocabulary).flatten()
    scored_S = _hidden(batch, vocabulary, settings, Chance(generator, emphasis))
    targets_S = ids_N[scored_S]
    masked = round(settings.mask_token_share * len(scored_S))
    replaced = masked + round(settings.random_token_share * len(scored_S))
    shuffled_S = scored_S[permutation(len(scored_S), ids_N.device, generator)]
    view_N = ids_N.clone()
    view_N[shuffled_S[:masked]] = vocabulary.special.mask
    random_S = shuffled_S[masked:replaced]
    view_N[random_S] = random_ids(len(random_S), ids_N, scored_S, vocabulary, generator)
    return View(
        view_N.view_as(batch.token_ids_BT), batch.document_ids_BT, False, scored_S, targets_S
    )


def _hidden(
    batch: Batch, vocabulary: VocabularyTable, settings: MlmSettings, chance: Chance
) -> Tensor:
    """The flat positions to hide, in the units that the settings name."""
    positions_C = candidates_N(batch, vocabulary).nonzero()[:, 0]
    wanted = round(settings.mask_rate * len(positions_C))
    if settings.granularity == "token" and not settings.whole_numbers:
        return choose(positions_C, wanted, batch, chance)
    unit_C = units(
        positions_C,
        batch,
        vocabulary,
        settings.whole_numbers,
        words=settings.granularity != "token",
    )
    if settings.granularity == "span":
        unit_C = spans(positions_C, unit_C, batch, settings.span_words, chance.generator)
    return choose_units(positions_C, unit_C, wanted, batch, chance)
