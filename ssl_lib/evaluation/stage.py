"""Stage `evaluate` from top to bottom: what is measured, the files, what the tracker is told."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssl_lib.config import Settings
from ssl_lib.evaluation.base import ModelPair
from ssl_lib.evaluation.comparison import Details, Resampling, TaskResult
from ssl_lib.evaluation.data import EvaluationData, EvaluationError
from ssl_lib.evaluation.external import evaluate_external, external_metrics, read_external
from ssl_lib.evaluation.items import draw_items
from ssl_lib.evaluation.losses import chosen_batches, compare_losses
from ssl_lib.evaluation.plots import plot_tables
from ssl_lib.evaluation.tasks import TASKS, downstream_tasks
from ssl_lib.files import write_atomically
from ssl_lib.predictor import Predictor, load
from ssl_lib.progress import progress_bar
from ssl_lib.tokens.store import TokenStore
from ssl_lib.tracking import promote, resume_run


def run(
    settings: Settings, root: Path, present: Callable[[Predictor, Predictor], None] | None
) -> Details:
    """All of the stage; returns the metrics that it wrote. See `ssl_lib.evaluation.evaluate`."""
    after = load(root / "model")
    before = Predictor.untrained(after.settings, after.encoding)
    metrics = measure(before, after, settings, root)
    if present is not None:
        present(before, after)
    record(metrics, settings, root)
    return metrics


def measure(before: Predictor, after: Predictor, settings: Settings, root: Path) -> Details:
    """Compare the two models in every way; returns what it wrote into `metrics/evaluation.json`.

    `report/evaluation.json` has the details of every result, `plots/*.csv` the tables that DVC
    draws. Raises UserError where a file that is asked cannot be read.
    """
    seconds: dict[str, float] = {}
    metrics: Details = {"external": {}}
    details: Details = {}
    started = time.perf_counter()
    with progress_bar("evaluate") as bar:
        for name, found, shown in _measures(before, after, settings, root):
            metrics |= found
            details[name] = shown
            # what has passed since the measure before
            passed = time.perf_counter() - started
            seconds[name] = passed - sum(seconds.values())
            bar.advance(text=f"{name} done")
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
    details_file = root / "report" / "evaluation.json"
    write_atomically(details_file, as_json(details))
    for name, text in plot_tables(metrics, details).items():
        table_file = root / "plots" / f"{name}.csv"
        write_atomically(table_file, text)
    return metrics


def _measures(
    before: Predictor, after: Predictor, settings: Settings, root: Path
) -> Iterator[tuple[str, Details, Any]]:
    """Name, metrics and details of every measure, one at a time."""
    evaluation = settings.evaluation
    # files of one's own first: a mistake in one should cost no time
    external = read_external(evaluation, root, settings.seed)
    pair = ModelPair(before, after, Resampling(evaluation.bootstrap_samples, settings.seed))
    data = EvaluationData.open(settings, root, after.encoding)
    tasks = {name: task.load() for name, task in TASKS.items()}
    items = draw_items(tasks, data)
    yield "contamination", {"contamination": items.contamination}, items.contamination

    test = TokenStore.open(root / "data" / "tokenized" / "test")
    batches = chosen_batches(test, after.context_length, items.unseen, evaluation.loss_sequences)
    losses = compare_losses(before, after, batches)
    yield "losses", {"losses": losses}, losses

    for name, task in tasks.items():
        results = task.results(pair, data, items.by_task[name])
        # one result under the task's own name, or several parts under it
        whole = {part: _whole(result) for part, result in results.items()}
        yield name, task.metrics(results), whole.get(name, whole)

    if external:
        results = evaluate_external(pair, external, data)
        found = {name: external_metrics(result) for name, result in results.items()}
        whole = {name: _whole(result) for name, result in results.items()}
        yield "external", {"external": found}, whole


def record(metrics: Details, settings: Settings, root: Path) -> None:
    """Give metrics and files to the run that trained the model.

    It becomes the champion if it is the best so far by the mean of the downstream tasks.
    """
    path = root / "model" / "run.json"
    try:
        identity = json.loads(path.read_text(encoding="utf-8"))
        run_id = identity["run_id"]
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path}: cannot be read ({error}); run `ssl-lib train`") from None
    with resume_run(settings, root, run_id, "evaluate") as tracked:
        tracked.log(dict(_flat("evaluation", plain(metrics))), step=0)
        tracked.log_artifact(root / "metrics" / "evaluation.json", "evaluation")
        tracked.log_artifact(root / "report", "report")
    means = [task.name for task in downstream_tasks() if task.higher_is_better]
    promote(settings, root, run_id, means)


def _flat(prefix: str, tree: Any) -> Iterator[tuple[str, float]]:
    """Leaves that are numbers, under names that MLflow allows; intervals are `.low` and `.high`."""
    # {"a": {"ci95": [0.1, 0.2]}} → ("evaluation.a.ci95.low", 0.1), ("evaluation.a.ci95.high", 0.2)
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flat(f"{prefix}.{key}", value)
    elif isinstance(tree, list) and len(tree) == 2:
        yield from _flat(f"{prefix}.low", tree[0])
        yield from _flat(f"{prefix}.high", tree[1])
    elif isinstance(tree, (int, float)) and not isinstance(tree, bool):
        yield prefix, float(tree)


def _whole(result: TaskResult) -> Details:
    return result.summary() | {"details": result.details}


def _run_metadata(settings: Settings, root: Path, seconds: dict[str, float]) -> Details:
    """The corpus that was evaluated on, and how long everything took."""
    meta = TokenStore.open(root / "data" / "tokenized" / "test").meta
    corpus: Details = {"name": settings.corpus.display_name, "split": "test"}
    corpus |= {"documents": meta["documents"], "tokens": meta["tokens"]}
    measured = {name: round(value, 3) for name, value in seconds.items()}
    training = _seconds_of_training(root)
    return {"corpus": corpus, "seconds": {"train": training, **measured}}


def _seconds_of_training(root: Path) -> float:
    """From `metrics/train.json`, wherever that has its seconds; 0 where there is none."""
    try:
        found = json.loads((root / "metrics" / "train.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    # `{"seconds": 301.2}` or `{"seconds": {"train": 301.2}}`
    seconds = found.get("seconds", 0.0)
    return float(seconds.get("train", 0.0) if isinstance(seconds, dict) else seconds)


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
