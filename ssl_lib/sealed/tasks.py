"""The four downstream tasks with sealed items: asked, answered, scored and compared as ever.

No details are made: they hold examples, and nobody may read which items were missed.
"""

from __future__ import annotations

from typing import Any

from ssl_lib.evaluation.base import Answered, EvaluationTask
from ssl_lib.evaluation.comparison import Details
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.next_token_prediction import SPARE as SPARE_DOCUMENTS
from ssl_lib.evaluation.next_token_prediction import Documents, NextTokenPrediction
from ssl_lib.evaluation.numerical_reasoning import Choices, NumericalReasoning
from ssl_lib.evaluation.semantic_similarity import Pairs, SemanticSimilarity
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.evaluation.token_classification import (
    SPARE,
    ProbeItems,
    TokenClassification,
    from_documents,
)
from ssl_lib.sealed.items import (
    next_token_documents,
    role_documents,
    similarity_pairs,
    spread_items,
)


class WithoutDetails:
    """A task of which nothing is kept but the figures."""

    def details(self, asked: Answered[Any, Any]) -> Details:
        """Nothing."""
        return {}


class SealedRoles(WithoutDetails, TokenClassification):
    """Roles of numbers in the sealed world, by the probe of the built-in world.

    The probe is fitted, and its regularization chosen, on the very documents of splits `train` and
    `validation` of the built-in world that `TokenClassification` takes; so are its baselines. Only
    what is asked is sealed. A probe of sealed documents would learn the new world's words, and say
    less about what the encoder carries into a world that nothing has seen: this is the stricter
    question, and its figure differs from that of `TokenClassification` by the asked items alone.
    """

    def items(self, data: EvaluationData) -> ProbeItems:
        """Built-in documents to learn from, sealed ones to ask."""
        learned = super().items(data)
        asked = int(SPARE * self.wanted(data.settings))
        documents = role_documents(asked, data.seed)
        return learned._replace(test=from_documents(documents))


class SealedReasoning(WithoutDetails, NumericalReasoning):
    """Four choices about facts that training never states, in sealed phrasings."""

    def items(self, data: EvaluationData) -> Choices:
        """`evaluation.items`, spread over the families."""
        return spread_items(data.settings.items, data.seed)


class SealedPairs(WithoutDetails, SemanticSimilarity):
    """Sealed sentences that differ in template, unit, written form, or in one amount."""

    def items(self, data: EvaluationData) -> Pairs:
        """`evaluation.items` pairs about one quantity each."""
        return similarity_pairs(data.settings.items, data.seed)


class SealedDocuments(WithoutDetails, NextTokenPrediction):
    """Deterministic positions of sealed documents."""

    def items(self, data: EvaluationData) -> Documents:
        """Documents of all domains."""
        drawn = int(SPARE_DOCUMENTS * self.wanted(data.settings))
        return next_token_documents(drawn, data.seed)


def sealed_tasks() -> dict[str, EvaluationTask[Any, Any]]:
    """The tasks by the names of those that they are variants of."""
    return {
        "token_classification": SealedRoles(TASKS["token_classification"]),
        "numerical_reasoning": SealedReasoning(TASKS["numerical_reasoning"]),
        "semantic_similarity": SealedPairs(TASKS["semantic_similarity"]),
        "next_token_prediction": SealedDocuments(TASKS["next_token_prediction"]),
    }
