"""The registry of tasks: what others read of it, and that reading it costs nothing."""

from __future__ import annotations

from test_architecture import HEAVY, modules_after

from ssl_lib.evaluation.tasks import TASKS, downstream_tasks


def test_the_registry_is_read_without_anything_heavy() -> None:
    assert not modules_after("import ssl_lib.evaluation.tasks") & {*HEAVY, "numpy"}


def test_the_guides_four_tasks_stand_in_the_downstream_table() -> None:
    marks = {task.name: task.guide for task in downstream_tasks()}
    assert marks == {
        "token_classification": (0.85, 0.92),
        "numerical_reasoning": (0.70, 0.88),
        "semantic_similarity": (0.78, 0.89),
        "next_token_prediction": (0.60, 0.95),
    }
    assert all(name == task.name and task.title for name, task in TASKS.items())
