"""Which items each task asks, and the tasks themselves, for a pair of models; no files are written here.

Every item is of split `test`: operands, and where the task says so wordings and units, that no training document holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings
from ssl_lib.corpus.generator import LabelledDocument
from ssl_lib.corpus.items import (
    CHOICE_FAMILIES,
    ChoiceItem,
    choice_items,
    next_token_documents,
    role_documents,
    similarity_pairs,
)
from ssl_lib.evaluation.baselines import NgramModel, count_ngrams
from ssl_lib.evaluation.contamination import shared_ngrams, stated
from ssl_lib.evaluation.next_token import evaluate_any_text, evaluate_next_token
from ssl_lib.evaluation.number_prediction import evaluate_number_prediction, next_numbers
from ssl_lib.evaluation.numerical_reasoning import evaluate_choices
from ssl_lib.evaluation.probes import STEPS, evaluate_probes
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.evaluation.semantic_similarity import evaluate_pairs
from ssl_lib.evaluation.statistics import TaskResult
from ssl_lib.evaluation.token_classification import evaluate_spans, from_documents
from ssl_lib.tokens.encodings import encode, special_ids

NUMBERS_PER_DOCUMENT = 5  # of the role documents, on average
ANY_TEXTS = 200  # held-out documents of the corpus on which bits per byte is measured
APART = 4  # items with longer numbers, and items in reserved wordings, are a quarter of the others each


class Ground(NamedTuple):
    """What the tasks may use beside the two models: the training split's tokens and numbers, and held-out texts."""

    training_tokens: NDArray[np.integer]
    training_values: NDArray[np.float64]
    training_texts: Sequence[str] | Any  # any iterable of texts that can be run through more than once
    test_texts: Sequence[str]


def downstream(contest: Contest, ground: Ground, settings: EvaluationSettings) -> Iterator[tuple[str, Any]]:
    """Names and results, one at a time: the four tasks, then number prediction, probes, any text and contamination."""
    yield from four_tasks(contest, _ngrams(contest, ground, settings), settings)
    numbers = next_numbers(_documents(contest, settings), settings.items, contest.seed)
    yield "number_prediction", evaluate_number_prediction(contest, numbers, ground.training_values)
    yield "probes", evaluate_probes(contest, settings.seeds, steps=min(STEPS, max(20, settings.probe_items // 4)))
    if ground.test_texts:
        yield "held_out_text", evaluate_any_text(contest, ground.test_texts[:ANY_TEXTS])
    yield "contamination", contamination(contest, ground, settings)


def four_tasks(
    contest: Contest, ngrams: dict[str, NgramModel], settings: EvaluationSettings
) -> Iterator[tuple[str, TaskResult]]:
    """The four downstream tasks, by name."""
    yield "token_classification", token_classification(contest, settings)
    yield "numerical_reasoning", numerical_reasoning(contest, settings, ngrams)
    yield "semantic_similarity", evaluate_pairs(contest, similarity_pairs(settings.items, contest.seed, "test"))
    yield "next_token_prediction", evaluate_next_token(contest, _documents(contest, settings), ngrams)


def token_classification(contest: Contest, settings: EvaluationSettings) -> TaskResult:
    """Roles of numbers: probes learn from training wordings, and are asked in reserved wordings, units and things."""
    sizes = {"train": settings.probe_items, "validation": settings.probe_items // 4, "test": settings.items}
    parts = {
        split: from_documents(role_documents(max(4, count // NUMBERS_PER_DOCUMENT), contest.seed, split))
        for split, count in sizes.items()
    }
    return evaluate_spans(contest, **parts, baselines=settings.baselines != "none")


def numerical_reasoning(contest: Contest, settings: EvaluationSettings, ngrams: dict[str, NgramModel]) -> TaskResult:
    """Four-choice items on unseen operands, spread over the families; longer numbers and reserved wordings apart."""
    seed = contest.seed
    few = max(len(CHOICE_FAMILIES), settings.items // APART)
    answers = [item.answer for item in spread_items(settings.items, seed, "validation")]
    result = evaluate_choices(contest, spread_items(settings.items, seed), answers, ngrams)
    for name, kind in (("extrapolation", {"extrapolate": True}), ("reserved_wordings", {"reserved": True})):
        apart = evaluate_choices(contest, spread_items(few, seed, **kind), generate=False)
        result.details[name] = apart.summary() | apart.details
    return result


def spread_items(count: int, seed: int, split: str = "test", **kind: bool) -> list[ChoiceItem]:
    """`count` four-choice items, as evenly over the families as that goes."""
    share, rest = divmod(count, len(CHOICE_FAMILIES))
    sizes = [share + (number < rest) for number in range(len(CHOICE_FAMILIES))]
    return [
        item
        for family, size in zip(CHOICE_FAMILIES, sizes, strict=True)
        for item in choice_items(family, size, seed, split, **kind)
    ]


def contamination(contest: Contest, ground: Ground, settings: EvaluationSettings) -> dict[str, Any]:
    """How many test texts share a 13-gram of tokens with training, and how many items training states outright."""
    encoding, seed = contest.after.encoding, contest.seed
    choices = spread_items(settings.items, seed)
    statements = [item.prompt + item.choices[item.answer] for item in choices]
    texts = {
        "held_out_documents": list(ground.test_texts),
        "token_classification": [d.text for d in role_documents(settings.items // NUMBERS_PER_DOCUMENT, seed, "test")],
        "numerical_reasoning": statements,
        "semantic_similarity": [
            f"{pair.first} {pair.second}" for pair in similarity_pairs(settings.items, seed, "test")
        ],
        "next_token_prediction": [d.text for d in _documents(contest, settings)],
    }
    rows: dict[str, Any] = {}
    for name, group in texts.items():
        found = shared_ngrams(
            [encode(encoding, text) for text in group], ground.training_tokens, special_ids(encoding).end
        )
        rows[name] = {key: value for key, value in found._asdict().items() if key != "flags"}
    rows["numerical_reasoning"]["stated_in_training"] = int(stated(statements, ground.training_texts).sum())
    return rows


def _documents(contest: Contest, settings: EvaluationSettings) -> list[LabelledDocument]:
    return next_token_documents(max(10, settings.items // 2), contest.seed, "test")


def _ngrams(contest: Contest, ground: Ground, settings: EvaluationSettings) -> dict[str, NgramModel]:
    if settings.baselines == "none":
        return {}
    encoding = contest.after.encoding
    return {
        "unigram_counts": count_ngrams(ground.training_tokens, encoding, order=1),
        "ngram_counts": count_ngrams(ground.training_tokens, encoding),
    }
