"""The items of all tasks, drawn once and cleared of whatever stands in training text.

Each downstream task says what it may ask; the training tokens are read once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.base import EvaluationTask
from ssl_lib.evaluation.contamination import shared_ngrams, stated
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

Tasks = Mapping[str, EvaluationTask[Any, Any]]

DOCUMENTS = "held_out_text"  # the task whose items are the corpus's own documents


class TestItems(NamedTuple):
    """What each task asks, by name; `contamination` says by row what was found and left out.

    `unseen` are the places of the held-out documents of which no 13-gram stands in training: the
    losses are taken on them.
    """

    by_task: dict[str, Any]
    contamination: dict[str, dict[str, Any]]
    unseen: list[int]


def draw_items(tasks: Tasks, data: EvaluationData) -> TestItems:
    """Draw what every task may ask, and keep as much as it wants of what is not in training.

    A row of `contamination` counts the texts drawn, those contaminated, and the `asked` ones that
    are left. Where nothing is left (a corpus made of the very same documents) all are asked, and
    the row says so by `asked` being `texts`.
    """
    drawn = {name: task.items(data) for name, task in tasks.items() if task.checked}
    texts = {name: tasks[name].texts(items) for name, items in drawn.items()}
    ids = {name: [encode(data.encoding, text) for text in group] for name, group in texts.items()}
    end = special_ids(data.encoding).end
    found = shared_ngrams(ids, data.training_tokens, end)
    by_task: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}
    unseen: list[int] = []
    for name, items in drawn.items():
        task, flags, row = tasks[name], found[name].flags, found[name].counts()
        if task.also_as_sentences:
            told = stated(texts[name], data.training_texts)
            flags, row["stated_in_training"] = flags | told, int(told.sum())
        clean = clean_places(flags)
        kept = clean[: task.wanted(data.settings)]
        by_task[name] = task.selected(items, kept)
        if name == DOCUMENTS:
            unseen, row["for_losses"] = clean, len(clean)
        rows["held_out_documents" if name == DOCUMENTS else name] = row | {"asked": len(kept)}
    checked = replace(data, cleared=by_task)
    for name, task in tasks.items():
        if not task.checked:
            by_task[name] = task.items(checked)
    return TestItems(by_task, rows, unseen)


def clean_places(flags: NDArray[np.bool_]) -> list[int]:
    """Places of the items without a flag; of all items where every one has a flag."""
    unflagged: list[int] = np.flatnonzero(~flags).tolist()
    return unflagged or list(range(len(flags)))
