"""Stage `evaluate` from top to bottom: what is measured, the files, what the tracker is told."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssl_lib.config import Settings
from ssl_lib.evaluation.base import ModelPair
from ssl_lib.evaluation.comparison import Details, Resampling, Scores, TaskResult, save_scores
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.external import (
    Unusable,
    evaluate_external,
    external_metrics,
    read_external,
)
from ssl_lib.evaluation.guide_examples import guide_examples
from ssl_lib.evaluation.items import DOCUMENTS, draw_items
from ssl_lib.evaluation.losses import chosen_batches, compare_losses, toward_best
from ssl_lib.evaluation.plots import plot_tables
from ssl_lib.evaluation.skills import MEAN, SKILLS, skill_name
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.files import write_atomically
from ssl_lib.predictor import Predictor, load
from ssl_lib.progress import progress_bar
from ssl_lib.tokens.store import TokenStore
from ssl_lib.tracking import resume_run, trained_run

NOT_CONDITIONS = {"external", "baselines", "bootstrap_samples"}  # settings that change no score
DIGITS = 4  # after the point in metrics/summary.json, for tables on a terminal


class Measure(NamedTuple):
    """What one measure adds to the metrics, what the page shows, the trained model's scores."""

    name: str
    metrics: Details
    details: Any
    scores: Mapping[str, Scores] = {}
    own_text: Mapping[str, Details] = {}  # rows of the table of the corpus's own documents


def run(
    settings: Settings, root: Path, present: Callable[[Predictor, Predictor], None] | None
) -> Details:
    """All of the stage; returns the metrics that it wrote. See `ssl_lib.evaluation.evaluate`."""
    after = load(root / "model")
    before = Predictor.untrained(after.settings, after.encoding)
    metrics = measure(before, after, settings, root)
    if present is not None:
        present(before, after)
    record(settings, root)
    return metrics


def measure(before: Predictor, after: Predictor, settings: Settings, root: Path) -> Details:
    """Compare the two models in every way; returns what it wrote into `metrics/evaluation.json`.

    `metrics/summary.json` has the few metrics that DVC and MLflow show, `report/evaluation.json`
    the details of every result, `report/scores.npz` the value of every item, `plots/*.csv` the
    tables that DVC draws. A file of one's own that cannot be read has a row that says why.
    """
    seconds: dict[str, float] = {}
    metrics: Details = {"external": {}, "own_text": {}}
    details: Details = {}
    scores: dict[str, Scores] = {}
    started = time.perf_counter()
    with progress_bar("evaluate") as bar:
        for measure in _measures(before, after, settings, root):
            metrics |= measure.metrics
            metrics["own_text"] |= measure.own_text
            details[measure.name] = measure.details
            scores |= measure.scores
            # what has passed since the measure before
            passed = time.perf_counter() - started
            seconds[measure.name] = passed - sum(seconds.values())
            bar.advance(text=f"{measure.name} done")
    seconds["evaluate"] = time.perf_counter() - started
    details["seconds"] = seconds
    metrics["downstream"] = {}
    for task in downstream_tasks():
        row = dict(details[task.name])
        del row["details"]
        metrics["downstream"][task.name] = row
    metrics |= _run_metadata(settings, root, seconds)
    metrics_file = root / "metrics" / "evaluation.json"
    write_atomically(metrics_file, as_json(metrics))
    few = summary(metrics, _training(root))
    write_atomically(root / "metrics" / "summary.json", as_json(few))
    details_file = root / "report" / "evaluation.json"
    write_atomically(details_file, as_json(details))
    save_scores(scores, root / "report" / "scores.npz")
    for name, text in plot_tables(metrics, details).items():
        table_file = root / "plots" / f"{name}.csv"
        write_atomically(table_file, text)
    return metrics


def _measures(
    before: Predictor, after: Predictor, settings: Settings, root: Path
) -> Iterator[Measure]:
    """Every measure, one at a time."""
    evaluation = settings.evaluation
    # files of one's own first: who waits for them is told early of a mistake in one
    external = read_external(evaluation, root, settings.seed)
    for one in external:
        if isinstance(one, Unusable):
            name = one.settings.name
            print(f"warning: evaluation.external: {name}: {one.why}", file=sys.stderr)
    pair = ModelPair(before, after, Resampling(evaluation.bootstrap_samples, settings.seed))
    data = EvaluationData.open(settings, root, after.encoding)
    tasks = {name: task.load() for name, task in TASKS.items()}
    items = draw_items(tasks, data)
    test = TokenStore.open(root / "data" / "tokenized" / "test")
    conditions = _conditions(settings, test, items.digest)
    found = {"contamination": items.contamination, "conditions": conditions}
    yield Measure("contamination", found, items.contamination)

    batches = chosen_batches(test, after.context_length, items.unseen, evaluation.loss_sequences)
    losses = compare_losses(before, after, batches)
    yield Measure("losses", {"losses": losses}, losses)

    for name, task in tasks.items():
        results = task.results(pair, data, items.by_task[name])
        # one result under the task's own name, or several parts under it
        whole = {part: _whole(result) for part, result in results.items()}
        scores = {}
        for part, result in results.items():
            if part == name and result.scores is not None:
                scores[name] = result.scores
        # all parts; none where the text holds nothing to ask
        own = {}
        if task.task.section == "own_text":
            own = {part: result.summary() for part, result in results.items()}
        shown = whole.get(name, whole)
        yield Measure(name, task.metrics(results), shown, scores, own)
        if name == DOCUMENTS:
            # next-token prediction alone has plain methods that are scored as it is
            losses["ntp"]["toward_best"] = toward_best(results[name])

    skills: Details = {}
    for name, skill in SKILLS.items():
        row, sums = skill.load().run(pair, data)
        # none where the text holds nothing to ask
        if row:
            skills[name] = row
        scored = {} if sums is None else {skill_name(name): sums}
        yield Measure(skill_name(name), {"skills": skills}, row, scored)
    examples = guide_examples(after)
    yield Measure("guide_examples", {"guide_examples": examples}, examples)

    if external:
        answered = evaluate_external(pair, external, data)
        found = {name: external_metrics(told) for name, told in answered.items()}
        whole = {}
        for name, told in answered.items():
            whole[name] = told.row() if isinstance(told, Unusable) else _whole(told)
        yield Measure("external", {"external": found}, whole)


def summary(metrics: Details, training: Details) -> dict[str, float]:
    """The metrics that runs are compared by at a glance, under names that fit a terminal.

    The skill of each objective and their mean, downstream tasks, bits per byte, the share of the
    guide's examples that are right, and what training and evaluation cost. `training` is what
    `metrics/train.json` holds.
    """
    skills = {name: row["after"] for name, row in metrics["skills"].items()}
    found = {skill_name(name): after for name, after in skills.items()}
    if skills:
        found[MEAN] = sum(skills.values()) / len(skills)
    for name, row in metrics["downstream"].items():
        found[name] = row["after"]
    right = [row["right"] for row in metrics["guide_examples"]]
    found["guide_examples"] = sum(right) / len(right)
    found["bits_per_byte"] = metrics["bits_per_byte"]["after"]
    found["tokens_per_second"] = training.get("tokens_per_second", 0.0)
    found["train_seconds"] = metrics["seconds"]["train"]
    found["evaluate_seconds"] = metrics["seconds"]["evaluate"]
    return {name: round(float(value), DIGITS) for name, value in found.items()}


def record(settings: Settings, root: Path) -> None:
    """Give the summary and all files to the run that trained the model."""
    run_id = trained_run(root)["run_id"]
    with resume_run(settings, root, run_id, "train") as tracked:
        few = json.loads((root / "metrics" / "summary.json").read_text(encoding="utf-8"))
        tracked.log({f"evaluation/{name}": value for name, value in few.items()}, step=0)
        tracked.log_artifact(root / "metrics" / "evaluation.json", "evaluation")
        tracked.log_artifact(root / "report", "report")
        card = root / "report" / "model_card.md"
        if card.exists():
            tracked.describe_model(card.read_text(encoding="utf-8"))


def _conditions(settings: Settings, test: TokenStore, items: str) -> Details:
    """All that two evaluations must share for their scores to be compared item by item."""
    tokens = json.dumps(test.meta["sha256"], sort_keys=True)
    evaluation = settings.evaluation.model_dump(exclude=NOT_CONDITIONS)
    digest = hashlib.sha256(tokens.encode()).hexdigest()
    return {"test_tokens": digest, "items": items, "evaluation": evaluation}


def _whole(result: TaskResult) -> Details:
    return result.summary() | {"details": result.details}


def _run_metadata(settings: Settings, root: Path, seconds: dict[str, float]) -> Details:
    """The corpus that was evaluated on, and how long everything took."""
    meta = TokenStore.open(root / "data" / "tokenized" / "test").meta
    corpus: Details = {"name": settings.corpus.display_name, "split": "test"}
    corpus |= {"documents": meta["documents"], "tokens": meta["tokens"]}
    measured = {name: round(value, 3) for name, value in seconds.items()}
    training = float(_training(root).get("seconds", 0.0))
    return {"corpus": corpus, "seconds": {"train": training, **measured}}


def _training(root: Path) -> Details:
    """What `metrics/train.json` holds; nothing where there is none."""
    try:
        found: Details = json.loads((root / "metrics" / "train.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def as_json(tree: Any) -> str:
    """Text of a file of metrics."""
    text = json.dumps(plain(tree), indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def plain(value: Any) -> Any:
    """Standard JSON: tuples and arrays are lists, NumPy's numbers Python's, not finite is null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
