"""Subsets of the objectives: which are meant, how one is trained, how its model is evaluated."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ssl_lib.config import OBJECTIVES, Settings, parse_settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.comparison import estimate
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.items import DOCUMENTS, draw_items
from ssl_lib.evaluation.losses import chosen_batches, losses_of
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.predictor import Predictor
from ssl_lib.tokens.encodings import encoding
from ssl_lib.tokens.store import TokenStore
from ssl_lib.training.fit import Tracker, fit
from ssl_lib.training.stage import open_corpora

Names = tuple[str, ...]
HINT = "write for example mlm+ntp, all or all-ntp"


def chosen_subsets(
    labels: Sequence[str], trained: Sequence[str], every: bool = False
) -> dict[str, Names]:
    """Subsets of the objectives that are trained, by label.

    Without labels, each objective alone, all of them, and all but one, or with `every` all
    combinations. Raises UserError for a label that names anything else.
    """
    if labels:
        subsets = [subset_of(label, trained) for label in labels]
        return {label_of(names, trained): names for names in subsets}
    count = len(trained)
    sizes = list(range(1, count + 1))
    if not every:
        # of two objectives, all but one is one alone
        sizes = list(dict.fromkeys((1, count, max(1, count - 1))))
    found: dict[str, Names] = {}
    for size in sizes:
        for names in itertools.combinations(trained, size):
            found[label_of(names, trained)] = names
    return found


def label_of(names: Sequence[str], trained: Sequence[str]) -> str:
    """`all`, `all-ntp` where one of three or more is missing, else the names with plus signs."""
    missing = [name for name in trained if name not in names]
    if not missing:
        return "all"
    if len(missing) == 1 and len(names) > 1:
        return f"all-{missing[0]}"
    return "+".join(names)


def subset_of(label: str, trained: Sequence[str]) -> Names:
    """Names of the objectives that a label means, in their order. Raises UserError."""
    # "all-ntp-mlm" → wanted "all", without "ntp-mlm"
    wanted, _, without = label.strip().partition("-")
    named = set(trained) if wanted == "all" else set(wanted.split("+"))
    left_out = set(without.split("-")) - {""}
    if unknown := sorted((named | left_out) - set(trained)):
        raise UserError(
            f"--subsets {label}: {unknown[0]!r} is none of the objectives that are trained "
            f"({', '.join(trained)}); {HINT}"
        )
    if named <= left_out:
        raise UserError(f"--subsets {label}: no objective is left; {HINT}")
    return tuple(name for name in trained if name in named - left_out)


def subset_settings(names: Sequence[str], settings: Settings) -> Settings:
    """Settings in which only these objectives are trained, with the weights they have.

    A single one weighs 1 and has all sequences of each batch, also where it shares them with others
    in the joint model: it reads as many tokens as the joint model does.
    """
    values: dict[str, Any] = {}
    for other in set(OBJECTIVES) - set(names):
        values |= {f"objectives.{other}.weight": 0.0, f"objectives.{other}.weight_end": None}
    # alone it has nobody to share its batches and weights with
    if len(names) == 1:
        (name,) = names
        values |= {f"objectives.{name}.weight": 1.0, "training.weighting": "fixed"}
        if "batch_fraction" in type(getattr(settings.objectives, name)).model_fields:
            values[f"objectives.{name}.batch_fraction"] = 1.0
    return settings.replaced(values)


def train_subset(
    names: Sequence[str], settings: Settings, root: Path, tracker: Tracker
) -> Predictor:
    """The same architecture, data, seed and number of steps, with only these objectives trained."""
    chosen = subset_settings(names, settings)
    own_encoding, corpora, _ = open_corpora(chosen, root)
    result = fit(chosen, own_encoding, corpora, tracker)
    return Predictor(chosen, own_encoding, result.objectives)


class Evaluator:
    """The same held-out sequences and items for every model, drawn once.

    They share no 13-gram of tokens with training text.
    """

    def __init__(self, settings: Settings, root: Path) -> None:
        folder = root / "data" / "tokenized"
        own_encoding = encoding(folder / "encoding.json")
        data = EvaluationData.open(settings, root, own_encoding)
        names = [task.name for task in downstream_tasks()]
        self.tasks = {name: TASKS[name].load() for name in names}
        # the documents of the losses are drawn with the items
        documents = TASKS[DOCUMENTS].load()
        tasks = self.tasks | {DOCUMENTS: documents}
        items = draw_items(tasks, data)
        self.items = {name: items.by_task[name] for name in names}
        test = TokenStore.open(folder / "test")
        context = settings.model.context_length
        count = settings.evaluation.loss_sequences
        self.batches = chosen_batches(test, context, items.unseen, count)

    def evaluate(self, model: Predictor, names: Sequence[str]) -> dict[str, Any]:
        """`losses` of these objectives in nats, their `parts`, and the `downstream` results."""
        found = losses_of(model, self.batches)
        parts = {name: dict(found[name]) for name in names}
        losses = {name: parts[name].pop("loss") for name in names}
        downstream: dict[str, float] = {}
        for name, task in self.tasks.items():
            items = self.items[name]
            answers = task.answer(model, items)
            scores = task.score(items, answers)
            downstream[name] = estimate(scores)
        return {"losses": losses, "parts": parts, "downstream": downstream}


def evaluator(settings: Settings, root: Path) -> Evaluator:
    """The evaluator of a project, with the items of `settings.seed`; the last one made is kept."""
    # settings are no key of a cache, their text is
    text = settings.model_dump_json(include={"seed", "evaluation", "model"})
    return _evaluator(text, root)


@lru_cache(maxsize=1)
def _evaluator(settings: str, root: Path) -> Evaluator:
    parsed = parse_settings(json.loads(settings))
    return Evaluator(parsed, root)
