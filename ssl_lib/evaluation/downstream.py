"""The downstream tasks and all other measures of a pair of models, one after the other; no files are written here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.asked import Asked, Ground, labelled, spread_items
from ssl_lib.evaluation.baselines import NgramModel, count_ngrams
from ssl_lib.evaluation.next_token import evaluate_any_text, evaluate_next_token
from ssl_lib.evaluation.number_prediction import evaluate_number_prediction, next_numbers
from ssl_lib.evaluation.numerical_reasoning import evaluate_choices
from ssl_lib.evaluation.probes import STEPS, evaluate_probes
from ssl_lib.evaluation.protocol import Contest
from ssl_lib.evaluation.semantic_similarity import evaluate_pairs, multiplied
from ssl_lib.evaluation.statistics import TaskResult
from ssl_lib.evaluation.token_classification import evaluate_spans, from_documents


def downstream(
    contest: Contest,
    asked: Asked,
    ground: Ground,
    ngrams: dict[str, NgramModel],
    settings: EvaluationSettings,
) -> Iterator[tuple[str, Any]]:
    """Names and results, one at a time: the four tasks, number prediction, probes, held-out text."""
    yield from four_tasks(contest, asked, settings, ngrams)
    numbers = next_numbers(asked.documents, settings.items, contest.seed)
    yield "number_prediction", evaluate_number_prediction(contest, numbers, ground.training_values)
    yield (
        "probes",
        evaluate_probes(
            contest, settings.seeds, steps=min(STEPS, max(20, settings.probe_items // 4))
        ),
    )
    if asked.held_out:
        yield "held_out_text", evaluate_any_text(contest, asked.held_out, ngrams)


def four_tasks(
    contest: Contest, asked: Asked, settings: EvaluationSettings, ngrams: dict[str, NgramModel]
) -> Iterator[tuple[str, TaskResult]]:
    """The four downstream tasks, by name."""
    yield "token_classification", token_classification(contest, asked, settings)
    yield "numerical_reasoning", numerical_reasoning(contest, asked, settings, ngrams)
    yield "semantic_similarity", semantic_similarity(contest, asked, settings)
    yield "next_token_prediction", evaluate_next_token(contest, asked.documents, ngrams)


def token_classification(
    contest: Contest, asked: Asked, settings: EvaluationSettings
) -> TaskResult:
    """Roles of numbers: probes learn from training wordings, and are asked in reserved wordings, units and things."""
    learned = {
        split: from_documents(documents)
        for split, documents in labelled(settings, contest.seed).items()
    }
    baselines = settings.baselines != "none"
    return evaluate_spans(contest, **learned, test=from_documents(asked.roles), baselines=baselines)


def numerical_reasoning(
    contest: Contest, asked: Asked, settings: EvaluationSettings, ngrams: dict[str, NgramModel]
) -> TaskResult:
    """Four-choice items on unseen operands, spread over the families.

    Items with longer numbers, and items in wordings that no training document has, are in the details, apart.
    """
    answers = [item.answer for item in spread_items(settings.items, contest.seed, "validation")]
    result = evaluate_choices(contest, asked.choices, answers, ngrams)
    for name, items in (("extrapolation", asked.longer), ("reserved_wordings", asked.reserved)):
        apart = evaluate_choices(contest, items, generate=False)
        result.details[name] = apart.summary() | apart.details
    return result


def semantic_similarity(contest: Contest, asked: Asked, settings: EvaluationSettings) -> TaskResult:
    """Graded pairs; sentences with their amount multiplied are in the details, apart."""
    result = evaluate_pairs(contest, asked.pairs, settings.baselines != "none")
    result.details["multiplied"] = multiplied(contest, asked.multiplied)
    return result


def counted_ngrams(
    contest: Contest, ground: Ground, settings: EvaluationSettings
) -> dict[str, NgramModel]:
    """Counts of n-grams of the training tokens: baselines of whatever a likelihood decides."""
    if settings.baselines == "none":
        return {}
    encoding = contest.after.encoding
    return {
        "unigram_counts": count_ngrams(ground.training_tokens, encoding, order=1),
        "ngram_counts": count_ngrams(ground.training_tokens, encoding),
    }
