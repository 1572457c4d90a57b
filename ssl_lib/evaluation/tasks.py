"""The tasks of evaluation by name, one line each; docs/evaluation.md adds another.

The page, the tracker, the champion and `ssl-lib summary`, `ablate`, `compare` go through `TASKS`.
Nothing but the standard library is imported here, so that all of them can read it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Task(NamedTuple):
    """What is known of a task before it is asked.

    `metric` is what its result is called in the files, `unit` what stands behind a value on the
    page: `%` for shares, nothing for a correlation. `section` is `downstream` for what stands in
    the table of downstream tasks and in the mean that chooses the champion. `guide` are the
    guide's marks before and after training, where it has any.
    """

    name: str
    title: str
    metric: str
    unit: str
    higher_is_better: bool = True
    section: Literal["downstream", "text", "numbers"] = "downstream"
    guide: tuple[float, float] | None = None


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("token_classification", "Token classification", "accuracy", "%", guide=(0.85, 0.92)),
        Task("numerical_reasoning", "Numerical reasoning", "accuracy", "%", guide=(0.70, 0.88)),
        Task("semantic_similarity", "Semantic similarity", "spearman", "", guide=(0.78, 0.89)),
        Task("next_token_prediction", "Next-token prediction", "accuracy", "%", guide=(0.60, 0.95)),
        Task("held_out_text", "Held-out text", "bits_per_byte", "bits per byte", False, "text"),
        Task("number_prediction", "Number prediction", "error_decades", "orders of magnitude",
             False, "numbers"),
        Task("probes", "Probes of numbers", "accuracy", "%", section="numbers"),
    )
}  # fmt: skip


def downstream_tasks() -> tuple[Task, ...]:
    """The tasks of the downstream table, in their order."""
    return tuple(task for task in TASKS.values() if task.section == "downstream")
