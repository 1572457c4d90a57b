"""What the tasks about the user's own text share: where items come from, and if there are none.

Items are taken from the held-out documents that share no 13-gram of tokens with training text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ssl_lib.evaluation.base import Answers, EvaluationTask, Items, ModelPair
from ssl_lib.evaluation.comparison import Details, TaskResult
from ssl_lib.evaluation.data import Document, EvaluationData
from ssl_lib.evaluation.held_out_text import beginning


class OwnTextTask(EvaluationTask[Items, Answers]):
    """A task without labels, asked of any corpus that holds something to ask."""

    checked = False

    def count(self, items: Items) -> int:
        """How many items there are."""
        return len(cast(Sequence[Any], items))  # a task whose items are no list overrides this

    def results(self, pair: ModelPair, data: EvaluationData, items: Items) -> dict[str, TaskResult]:
        """The result, or none where there is no item."""
        return super().results(pair, data, items) if self.count(items) else {}

    def metrics(self, results: Mapping[str, TaskResult]) -> Details:
        """Nothing: all results about own text stand in one table, `own_text`."""
        return {}


def held_out_documents(data: EvaluationData) -> list[Document]:
    """The beginnings of the held-out documents that are not in training, with what is known."""
    whole = {beginning(document.text): document for document in data.test_documents}
    nothing = Document("", "")
    texts = data.cleared["held_out_text"]
    return [whole.get(text, nothing)._replace(text=text) for text in texts]
