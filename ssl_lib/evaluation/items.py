"""The items of all tasks, drawn once and cleared of whatever stands in training text.

Each downstream task says what it may ask; the training tokens are read once for all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.base import EvaluationTask
from ssl_lib.evaluation.comparison import Details
from ssl_lib.evaluation.contamination import Contamination, shared_ngrams, stated
from ssl_lib.evaluation.data import EvaluationData, evenly
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import special_ids

Tasks = Mapping[str, EvaluationTask[Any, Any]]

DOCUMENTS = "held_out_text"  # the task whose items are the corpus's own documents
ROWS = {DOCUMENTS: "held_out_documents"}  # rows of the table that are not called as their task


class TestItems(NamedTuple):
    """What each task asks, by name; `contamination` says by row what was found and left out.

    `unseen` are the places of the held-out documents of which no 13-gram stands in training: the
    losses are taken on them. `digest` tells whether two models were asked the same.
    """

    by_task: Details
    contamination: dict[str, Details]
    unseen: list[int]
    digest: str


def draw_items(tasks: Tasks, data: EvaluationData) -> TestItems:
    """Draw what every task may ask, and keep as much as it wants of what is not in training.

    A row of `contamination` counts the texts drawn, those contaminated, and the `asked` ones that
    are left. Where nothing is left (a corpus made of the very same documents) all are asked, and
    the row says so by `asked` being `texts`.
    """
    checked = {name: task for name, task in tasks.items() if task.checked}
    drawn = {name: task.items(data) for name, task in checked.items()}
    texts = {name: task.texts(drawn[name]) for name, task in checked.items()}
    found = shared_with_training(texts, data)
    by_task: Details = {}
    rows: dict[str, Details] = {}
    unseen: list[int] = []
    for name, task in checked.items():
        flags = found[name].flags
        row = found[name].counts()
        if task.also_as_sentences:
            statements = texts[name]
            told = stated(statements, data.training_texts)
            flags = flags | told
            row["stated_in_training"] = int(told.sum())
        clean = clean_places(flags)
        # those drawn to spare fill the places of the contaminated ones
        kept = clean[: task.wanted(data.settings)]
        if name == DOCUMENTS:
            # sources follow each other: the first documents would be those of one
            kept = evenly(clean, task.wanted(data.settings))
        row["asked"] = len(kept)
        by_task[name] = task.selected(drawn[name], kept)
        if name == DOCUMENTS:
            unseen = clean
            row["for_losses"] = len(clean)
        rows[ROWS.get(name, name)] = row
    # the other tasks make their items of these
    data.cleared.update(by_task)
    for name, task in tasks.items():
        if not task.checked:
            by_task[name] = task.items(data)
    asked = {name: task.texts(by_task[name]) for name, task in checked.items()}
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    return TestItems(by_task, rows, unseen, digest)


def shared_with_training(
    texts: Mapping[str, Sequence[str]], data: EvaluationData
) -> dict[str, Contamination]:
    """How much of each group of texts stands in the training split, in one pass over it."""
    ids = {}
    for name, group in texts.items():
        ids[name] = [encode(data.encoding, text) for text in group]
    end = special_ids(data.encoding).end
    return shared_ngrams(ids, data.training_tokens, end)


def clean_places(flags: NDArray[np.bool_]) -> list[int]:
    """Places of the items without a flag; of all items where every one has a flag."""
    unflagged: list[int] = np.flatnonzero(~flags).tolist()
    return unflagged or list(range(len(flags)))
