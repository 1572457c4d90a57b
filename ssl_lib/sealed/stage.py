"""`ssl-lib evaluate --sealed` from top to bottom: refuse a second opening, ask, record, show.

It reads `model/` and `data/`, and writes `metrics/sealed.json` alone: no report, no plots, nothing
for the tracker, so that neither the champion nor a study can be chosen on these figures.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ssl_lib import __version__
from ssl_lib.config import Settings
from ssl_lib.errors import UserError
from ssl_lib.evaluation.base import ModelPair
from ssl_lib.evaluation.comparison import Details, Resampling
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.items import draw_items
from ssl_lib.evaluation.stage import as_json, plain
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.files import sha256_of, write_atomically
from ssl_lib.objectives.model_folder import FILES
from ssl_lib.predictor import Predictor, load
from ssl_lib.progress import progress_bar
from ssl_lib.sealed.tasks import sealed_tasks

NOTICE = (
    "These figures of the sealed world are for a release and its CHANGELOG.md: "
    "no default may be chosen on them."
)


def evaluate_sealed(settings: Settings, root: Path, reason: str = "") -> Details:
    """Ask the model and its randomly initialized twin; returns what `metrics/sealed.json` holds.

    `reason` says why it is opened again. Raises UserError where it was opened for this version
    before and there is no reason, and where the model or the tokens cannot be read.
    """
    path = root / "metrics" / "sealed.json"
    openings = read_openings(path)
    before = [opening for opening in openings if opening["version"] == __version__]
    if before and not reason:
        raise UserError(
            f"{path}: the sealed items were opened for version {__version__} on "
            f"{before[-1]['date']}, and a second look begins to choose on them; "
            '--again "WHY" opens them all the same and records why'
        )
    print(NOTICE, file=sys.stderr)
    after = load(root / "model")
    opening = {"version": __version__, "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    opening |= {"model_sha256": digest_of(root / "model"), "reason": reason}
    untrained = Predictor.untrained(after.settings, after.encoding)
    found = ask(untrained, after, settings, root)
    record: Details = {"notice": NOTICE, "openings": [*openings, opening], **found}
    record = plain(record)
    write_atomically(path, as_json(record))
    return record


def read_openings(path: Path) -> list[dict[str, Any]]:
    """When, for which version and on which model the items were asked; raises UserError."""
    try:
        openings: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["openings"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); restore it, since it says what was opened"
        ) from None
    return openings


def digest_of(model: Path) -> str:
    """SHA-256 over the digests of the files of a model, in their order. Raises OSError."""
    digests = [sha256_of(model / name) for name in FILES]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def ask(before: Predictor, after: Predictor, settings: Settings, root: Path) -> Details:
    """Figures of every task, and how many items stood in training text and were left out."""
    resampling = Resampling(settings.evaluation.bootstrap_samples, settings.seed)
    pair = ModelPair(before, after, resampling)
    data = EvaluationData.open(settings, root, after.encoding)
    tasks = sealed_tasks()
    items = draw_items(tasks, data)
    rows: Details = {}
    with progress_bar("evaluate --sealed") as bar:
        for name, task in tasks.items():
            result = task.run(pair, data, items.by_task[name])
            rows[name] = result.summary()
            bar.advance(text=f"{name} done")
    return {"tasks": rows, "contamination": items.contamination}


def show(record: Details) -> None:
    """Print a table: each task before and after, and every baseline, with 95% intervals."""
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "who", "value", "95% interval", title="sealed world")
    for name, row in record["tasks"].items():
        title = f"{TASKS[name].title}, {row['metric']}, n = {row['n']}"
        table.add_row(title, "before", f"{row['before']:.3f}", _interval(row["before_ci95"]))
        table.add_row("", "after", f"{row['after']:.3f}", _interval(row["ci95"]))
        for baseline, value in row["baselines"].items():
            interval = _interval(row["baselines_ci95"].get(baseline))
            table.add_row("", baseline, f"{value:.3f}", interval)
        table.add_section()
    Console().print(table)


def _interval(ends: list[float | None] | None) -> str:
    """Both ends; nothing for a value that was not asked, such as chance."""
    if ends is None or None in ends:
        return ""
    low, high = ends
    return f"{low:.3f} to {high:.3f}"
