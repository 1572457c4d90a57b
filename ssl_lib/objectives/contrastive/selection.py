"""What the contrastive objective compares: positions, sentences and numbers of its views.

At most `limit` items of a kind take part; they are drawn without replacement and stand in the order of the batch.

Shapes: B rows, T positions, N items, Q pairs.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ssl_lib.batches.batch import Batch, number_index_BT
from ssl_lib.batches.equivalents import EquivalentView
from ssl_lib.batches.views import View, candidates_N, sentence_ids_BT
from ssl_lib.model.trunk import Trunk
from ssl_lib.objectives.base import Selection
from ssl_lib.objectives.contrastive.graded_pairs import graded_pairs
from ssl_lib.objectives.contrastive.sentence_encoder import as_written, packed
from ssl_lib.objectives.contrastive.spans import content_labels, renumbered
from ssl_lib.objectives.value_heads import to_scale
from ssl_lib.tokens.vocabulary import VocabularyTable

Tensors = dict[str, Tensor]


def select_tokens(
    batch: Batch, present_BT: Tensor, vocabulary: VocabularyTable, limit: int, generator: Generator
) -> Tensors:
    """Flat `positions` [N] of tokens that are not special and present in every view, with their ids as `labels` and
    their `types`.
    """
    shared_N = candidates_N(batch, vocabulary) & present_BT.flatten()
    positions_N = _draw(shared_N.nonzero()[:, 0], limit, generator)
    labels_N, types_N = (
        batch.token_ids_BT.flatten()[positions_N],
        batch.types_BT.flatten()[positions_N],
    )
    return {"positions": positions_N, "labels": labels_N, "types": types_N}


def select_sentences(
    batch: Batch, present_BT: Tensor, vocabulary: VocabularyTable, limit: int, generator: Generator
) -> Tensors:
    """Sentences: `span` [B, T] and `first` [N] as of `select_spans`, and `labels` that tell equal ones, `owners` their
    documents. Of a sentence,
    the positions that are present in every view take part; one without any does not.
    """
    sentence_BT = sentence_ids_BT(batch, vocabulary)
    inside_BT = present_BT & (sentence_BT >= 0)
    seen = torch.bincount(sentence_BT[inside_BT], minlength=int(sentence_BT.max()) + 1) > 0
    seen_BT = (sentence_BT >= 0) & functional.pad(seen, (0, 1))[sentence_BT]
    chosen = select_spans(torch.where(seen_BT, sentence_BT, -1), limit, generator)
    labels_N = content_labels(batch.token_ids_BT, chosen["span"], len(chosen["first"]))
    owners_N = batch.document_ids_BT.flatten()[chosen["first"]]
    span_BT = torch.where(present_BT, chosen["span"], -1)
    return {"span": span_BT, "first": chosen["first"], "labels": labels_N, "owners": owners_N}


def select_numbers(batch: Batch, limit: int, generator: Generator) -> Tensors:
    """Numbers with a usable value: `span`, `first`, and their values on the number scale as `scaled` [N]."""
    chosen = select_spans(number_index_BT(batch), limit, generator)
    return {**chosen, "scaled": to_scale(batch.values_BT.flatten()[chosen["first"]])}


def select_sentence_pairs(
    batch: Batch, clean: View, altered: View, trunk: Trunk, generator: Generator
) -> dict[str, Selection]:
    """Pairs of sentences [Q, 2] with the cosines that they should have: `altered`, `restated` and `apart`.

    With `altered` stands what the vectors of both views need: `span`, its `count`, and what is written in each view,
    packed as "clean" and "altered". `magnitude` are the `places` [Q, 2] of restated numbers in digits.
    """
    sentence_BT = sentence_ids_BT(batch, trunk.vocabulary)
    pairs = graded_pairs(batch, altered, sentence_BT, trunk.columns)
    apart_Q2 = _sentences_apart(sentence_BT, batch.document_ids_BT, generator)
    ones = torch.ones(len(pairs.restated), device=sentence_BT.device)
    zeros = torch.zeros(len(apart_Q2), device=sentence_BT.device)
    in_clean = as_written(trunk, clean)
    spans = {
        "span": sentence_BT,
        "count": torch.tensor(int(sentence_BT.max()) + 1),
        **packed(in_clean, "clean"),
        **packed(as_written(trunk, altered), "altered"),
    }
    places_Q2 = pairs.places[in_clean.decades_RT.flatten()[pairs.places].isfinite().all(1)]
    return {
        "altered": Selection(
            len(pairs.altered), spans | {"pairs": pairs.altered, "grades": pairs.grades.float()}
        ),
        "restated": Selection(len(pairs.restated), {"pairs": pairs.restated, "grades": ones}),
        "magnitude": Selection(len(places_Q2), {"places": places_Q2}),
        "apart": Selection(len(apart_Q2), {"pairs": apart_Q2, "grades": zeros}),
    }


def select_equivalents(
    batch: Batch, altered: View, equivalent: EquivalentView, limit: int, generator: Generator
) -> Tensors:
    """Numbers that the equivalent view shows in another form.

    `span` and `other_span` [B, T] mark them in the clean and in the equivalent view, `values` [N] tell equal ones,
    `changed` [N] those that have another value in the altered view.
    """
    kept_N = _draw(equivalent.number_RT[equivalent.number_RT >= 0].unique(), limit, generator)
    span_BT = renumbered(number_index_BT(batch), kept_N)
    flat_N, inside = span_BT.flatten(), (span_BT >= 0).flatten()
    values_N = batch.values_BT.new_zeros(len(kept_N))
    values_N[flat_N[inside]] = batch.values_BT.flatten()[inside]
    changed_N = torch.zeros(len(kept_N), dtype=torch.bool, device=flat_N.device)
    differs = (altered.ids_RT != batch.token_ids_BT).flatten() & inside
    changed_N[flat_N[differs]] = True
    other_BT = renumbered(equivalent.number_RT, kept_N)
    return {"span": span_BT, "other_span": other_BT, "values": values_N, "changed": changed_N}


def select_spans(span_BT: Tensor, limit: int, generator: Generator) -> Tensors:
    """The spans in `span_BT` (-1: none) that take part, numbered anew: `span` [B, T], and each one's `first` flat
    position [N].
    """
    flat_N = span_BT.flatten()
    begins_N = flat_N != functional.pad(flat_N[:-1], (1, 0), value=-2)
    first_N = _draw((begins_N & (flat_N >= 0)).nonzero()[:, 0], limit, generator)
    return {"span": renumbered(span_BT, flat_N[first_N]), "first": first_N}


def _draw(items: Tensor, limit: int, generator: Generator) -> Tensor:
    order = torch.randperm(len(items), generator=generator).to(items.device)
    return items[order[:limit]].sort().values


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
