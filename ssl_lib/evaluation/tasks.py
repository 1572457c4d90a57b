"""The tasks of evaluation by name, one line each; docs/evaluation.md adds another.

The page, the tracker, the champion and `ssl-lib summary`, `ablate`, `compare` go through `TASKS`.
Nothing but the standard library is imported here, so that all of them can read it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from ssl_lib.evaluation.base import EvaluationTask


class Task(NamedTuple):
    """What is known of a task before it is asked.

    `home` is the file of this folder and the class in it. `metric` is what its result is called in
    the files, `unit` what stands behind a value on the page: `%` for shares, nothing for a
    correlation. `section` is `downstream` for what stands in the table of downstream tasks and in
    the mean that chooses the champion, `own_text` for what is asked of the corpus's own held-out
    documents. `guide` are the guide's marks before and after training, where it has any.
    """

    home: str
    title: str
    metric: str
    unit: str
    higher_is_better: bool = True
    section: Literal["downstream", "own_text", "numbers"] = "downstream"
    guide: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """What the task is called in files and settings: as its file."""
        return self.home.partition(".")[0]

    def load(self) -> EvaluationTask[Any, Any]:
        """The task itself, ready to be asked."""
        # "probes.NumberProbes": a task is imported when it is asked, with all that it needs
        module, _, kind = self.home.partition(".")
        file = importlib.import_module(f"ssl_lib.evaluation.{module}")
        found = getattr(file, kind)
        task: EvaluationTask[Any, Any] = found(self)
        return task


# In the order of the tables; those that take their items from another task stand after it.
LINES = (
    Task("token_classification.TokenClassification", "Token classification",
         "accuracy", "%", guide=(0.85, 0.92)),
    Task("numerical_reasoning.NumericalReasoning", "Numerical reasoning",
         "accuracy", "%", guide=(0.70, 0.88)),
    Task("semantic_similarity.SemanticSimilarity", "Semantic similarity",
         "spearman", "", guide=(0.78, 0.89)),
    Task("next_token_prediction.NextTokenPrediction", "Next-token prediction",
         "accuracy", "%", guide=(0.60, 0.95)),
    Task("number_prediction.NumberPrediction", "Number prediction",
         "error_decades", "orders of magnitude", higher_is_better=False, section="numbers"),
    Task("probes.NumberProbes", "Probes of numbers", "accuracy", "%", section="numbers"),
    Task("held_out_text.HeldOutText", "Language",
         "bits_per_byte", "bits per byte", higher_is_better=False, section="own_text"),
    Task("next_number.NextNumber", "Next number",
         "error_decades", "orders of magnitude", higher_is_better=False, section="own_text"),
    Task("masked_text.MaskedText", "Masked number", "exact_match", "%", section="own_text"),
    Task("written_forms.WrittenForms", "Same fact in another form",
         "accuracy", "%", section="own_text"),
    Task("wrong_number.WrongNumber", "Which number is wrong", "auc", "", section="own_text"),
    Task("neighbors.Neighbors", "Nearest document", "accuracy", "%", section="own_text"),
)  # fmt: skip
TASKS: dict[str, Task] = {task.name: task for task in LINES}


def downstream_tasks() -> tuple[Task, ...]:
    """The tasks of the downstream table, in their order."""
    return tuple(task for task in TASKS.values() if task.section == "downstream")
