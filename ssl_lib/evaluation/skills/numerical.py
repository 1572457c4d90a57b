"""Numerical patterns: the type of masked tokens, and the number that comes next.

Token types are asked at masked positions of held-out documents. The next number is asked from what
stands before it: its exact value where the text determines it, else how far off it is, whether the
intervals hold, and CRPS. The skill is the mean of the two shares that are right, of types and of
numbers; where a corpus does not tell which numbers are determined, all of them count.

Legend: B texts, T positions, S masked positions, N numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch

from ssl_lib.batches.datasets import padded_sequences
from ssl_lib.evaluation.base import EvaluatedModel, ModelPair
from ssl_lib.evaluation.baselines import evenly
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.number_prediction import (
    Forecasts,
    NextNumbers,
    absolute_error,
    as_items,
    covered,
    crps,
)
from ssl_lib.evaluation.own_text import held_out_documents
from ssl_lib.evaluation.skills.base import WHOLE, Part, Scored, SkillMeasure
from ssl_lib.evaluation.skills.pieces import are_determined
from ssl_lib.evaluation.statistics import Bools, Integers
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.vocabulary import TOKEN_TYPES, special_ids, vocabulary_table

MASKED = 0.15  # of the tokens of a document
EXACT = 1e-9  # of a value: two ways to round it are one number
MOST_TOKENS = 1_500_000  # of training, from which neighbours of types are counted
MOST_FORMS = 6  # written forms that have a row of their own


class Questions(NamedTuple):
    """Sequences with masked tokens: ids, masked places [S], their types [S], and the numbers."""

    sequences: list[list[int]]
    sequence: Integers  # of each masked token
    place: Integers
    types: Integers
    numbers: NextNumbers


class Said(NamedTuple):
    """The types of the masked tokens [S], and the next numbers."""

    types: Integers
    numbers: Forecasts


class TypesTokens(Protocol):
    """A model whose numerical objective gives logits of token types, as a predictor has it."""

    objectives: Mapping[str, Any]


class TypesAndValues(SkillMeasure[Questions, Said]):
    """The mean of the shares of token types and of next numbers that are right."""

    def items(self, data: EvaluationData, context_length: int) -> Questions:
        """Masked tokens, and numbers with what stands before them, of the held-out documents."""
        documents = held_out_documents(data)
        mask = special_ids(data.encoding).mask
        random = np.random.default_rng(data.seed)
        found = list(TASKS["next_number"].load().items(data).numbers)
        sure = are_determined(found, documents, data)
        sequences, owners, places, types = [], [], [], []
        for owner, document in enumerate(documents):
            tokenized = tokenize_texts(data.encoding, [document.text], document.locale or "auto")
            # without the end of the document
            length = min(context_length, len(tokenized.tokens) - 1)
            ids = tokenized.tokens[:length].astype(np.int64)
            chosen = np.sort(random.permutation(length)[: max(1, round(MASKED * length))])
            types += tokenized.types[chosen].tolist()
            ids[chosen] = mask
            sequences.append(ids.tolist())
            owners += [owner] * len(chosen)
            places += chosen.tolist()
        owners_S, places_S, types_S = (
            np.array(column, dtype=np.int64) for column in (owners, places, types)
        )
        numbers = as_items(found, sure.tolist())
        return Questions(sequences, owners_S, places_S, types_S, numbers)

    def answer(self, model: EvaluatedModel, items: Questions) -> Said:
        """The most probable types, and medians and quantiles of the numbers."""
        forecasts = TASKS["next_number"].load().answer(model, items.numbers)
        return Said(masked_types(cast(TypesTokens, model), items), forecasts)

    def score(self, items: Questions, answers: Said) -> dict[str, Part]:
        """Both shares together, each, types one by one, and how good the forecasts are."""
        right_S = answers.types == items.types
        owners_S = items.sequence
        asked, owners_N = items.numbers, items.numbers.owner
        sure_N = asked.deterministic
        # what is answered to a question is the mode; plain methods have their median
        numbers = answers.numbers
        said_N = numbers.point if numbers.mode is None else numbers.mode
        misses_N = np.abs(said_N - asked.values)
        exact_N = misses_N <= EXACT * np.maximum(1.0, np.abs(asked.values))
        known_N = sure_N if sure_N.any() else np.ones_like(sure_N)
        found = {WHOLE: _both(right_S, owners_S, exact_N[known_N], owners_N[known_N])}
        found["types"] = Part.mean("right", right_S, owners_S)
        for code, name in enumerate(TOKEN_TYPES):
            found[f"type_{name}"] = Part.mean("right", right_S, owners_S, items.types == code)
        found["next_number_determined"] = Part.mean("right", exact_N, owners_N, sure_N)
        found["next_number"] = Part.mean("right", exact_N, owners_N)
        errors_N = absolute_error(answers.numbers, asked.values)
        free_N = ~sure_N
        found["log10_error"] = Part.mean("error_decades", errors_N, owners_N, free_N, False)
        scores_N = crps(answers.numbers, asked.values)
        found["crps"] = Part.mean("crps_decades", scores_N, owners_N, None, False)
        for level in (0.5, 0.9):
            held_N = covered(answers.numbers, asked.values, level)
            found[f"coverage_{round(100 * level)}"] = Part.mean("coverage", held_N, owners_N)
        forms_N = np.array([number.form for number in asked.numbers])
        names, counts = np.unique(forms_N, return_counts=True)
        for form in names[np.argsort(-counts, kind="stable")][:MOST_FORMS]:
            kept_N = forms_N == form
            found[f"coverage_90_{form}"] = Part.mean("coverage", held_N, owners_N, kept_N)
            found[f"crps_{form}"] = Part.mean("crps_decades", scores_N, owners_N, kept_N, False)
        return found

    def baselines(
        self, data: EvaluationData, pair: ModelPair, items: Questions
    ) -> Mapping[str, Scored]:
        """Numbers of the domain, the last one, the nearest contexts'; types between neighbours."""
        types_S = types_between(data, items)
        others = TASKS["next_number"].load().baselines(data, items.numbers)
        found = {}
        for name in ("domain_median", "last_number", "nearest_contexts"):
            found[name] = self.score(items, Said(types_S, cast(Forecasts, others[name])))
        return found


def _both(right_S: Bools, owners_S: Integers, exact_N: Bools, owners_N: Integers) -> Part:
    """The mean of two shares as one ratio: each item weighs by how many of its kind there are."""
    parts = [(right_S, owners_S), (exact_N, owners_N)]
    parts = [(right, owners) for right, owners in parts if len(right)]
    if not parts:
        return Part.mean("right", [], [])
    values = [right / len(right) for right, _ in parts]
    sizes = [np.full(len(right), 1.0 / len(right)) for right, _ in parts]
    owners = np.concatenate([owners for _, owners in parts])
    return Part("right", np.concatenate(values), np.concatenate(sizes), owners)


@torch.no_grad()
def masked_types(model: TypesTokens, items: Questions) -> Integers:
    """The most probable type of each masked token [S]."""
    objective = model.objectives["numerical"]
    vocabulary = objective.trunk.vocabulary
    device = objective.type_head.weight.device
    found: dict[int, Integers] = {}
    for indices, ids_BT, _ in padded_sequences(items.sequences, vocabulary.special.padding, device):
        types_BT = objective(ids_BT).argmax(-1).cpu().numpy()
        found |= dict(zip(indices, types_BT, strict=True))
    pairs = zip(items.sequence.tolist(), items.place.tolist(), strict=True)
    return np.array([found[owner][place] for owner, place in pairs], dtype=np.int64)


def types_between(data: EvaluationData, items: Questions) -> Integers:
    """The type [S] most frequent between the same neighbours in training, or behind the left one.

    Types of training tokens are those of the vocabulary, which judges an entry by its bytes alone.
    """
    tokens = evenly(data.training_tokens, MOST_TOKENS)
    types = vocabulary_table(data.encoding).token_type[tokens].astype(np.int64)
    size = data.encoding.n_vocab
    # a masked neighbour was never seen, and neither is one beyond the end
    end = special_ids(data.encoding).end
    padded = [[end, *ids, end] for ids in items.sequences]
    pairs = zip(items.sequence.tolist(), items.place.tolist(), strict=True)
    around_S3 = np.array([padded[owner][place : place + 3] for owner, place in pairs])
    left_S, right_S = around_S3[:, 0], around_S3[:, 2]
    found = np.full(len(left_S), np.bincount(types).argmax() if len(types) else 0)
    left, right = tokens[:-2], tokens[2:]
    # from the least exact key to the most exact one that is known
    for keys, wanted_S in ((left, left_S), (left * size + right, left_S * size + right_S)):
        counted, counts = np.unique(keys * len(TOKEN_TYPES) + types[1:-1], return_counts=True)
        # by key, the most frequent type first
        order = np.lexsort((-counts, counted // len(TOKEN_TYPES)))
        known, first = np.unique(counted[order] // len(TOKEN_TYPES), return_index=True)
        if len(known):
            place_S = np.minimum(np.searchsorted(known, wanted_S), len(known) - 1)
            best_S = (counted[order] % len(TOKEN_TYPES))[first][place_S]
            found = np.where(known[place_S] == wanted_S, best_S, found)
    return found
