"""Artifacts of a run on Prefect's server. No report can fail finished work, nor hold it up."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from flows.project import mlflow_pages
from ssl_lib.config import OBJECTIVES
from ssl_lib.tracking import TrackingError, trained_run
from ssl_lib.tracking.describe import REPORT, losses_page, run_page

Answer = TypeVar("Answer")
AWAY = (httpx.HTTPError, PrefectException, OSError, RuntimeError)  # what a lost server gives
PAUSE = 30.0  # seconds without reports, after one that the server did not take
_log = logging.getLogger("prefect.flows")
_silent_until = [0.0]  # the time at which the server is asked again


def told(report: Callable[..., Answer], *arguments: Any, **settings: Any) -> Answer | None:
    """What a report to the server gives; None, and a line in the log, if it does not answer."""
    if time.monotonic() < _silent_until[0]:
        return None
    try:
        return report(*arguments, **settings)
    except AWAY as error:
        _silent_until[0] = time.monotonic() + PAUSE
        _log.warning("Prefect's server did not take a report (%s)", error or type(error).__name__)
        return None


class Progress:
    """The progress artifact of a stage, made by the first line that says how far it is."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.artifact: Any = None

    def show(self, done: float, total: float, line: str) -> None:
        """`done` of `total`, and the line that said so."""
        percent = 100.0 * done / total if total else 0.0
        if self.artifact is None:
            key = f"progress-{self.stage}"
            self.artifact = told(create_progress_artifact, percent, key, line)
        else:
            told(update_progress_artifact, self.artifact, percent, line)


def publish(root: Path) -> None:
    """The metrics of `metrics/*.json` as a table, and links to the pages of the model's run."""
    rows = [row for path in sorted(root.glob("metrics/*.json")) for row in metric_rows(path)]
    if rows:
        told(create_table_artifact, rows, "metrics", "Metrics of metrics/*.json")
    try:
        run = trained_run(root)
    except TrackingError as error:
        # the stages that ran may need no model
        _log.info("no links to a run: %s", error)
        return
    links = run_links(run, mlflow_pages(root))
    told(create_markdown_artifact, links, "mlflow-run", "Pages of the model's run in MLflow")


def metric_rows(path: Path) -> list[dict[str, Any]]:
    """Numbers of a metrics file, one row for each dotted key.

    `{"losses": {"mlm": 0.5}}` → `[{"file": …, "metric": "losses.mlm", "value": 0.5}]`
    """
    rows: list[dict[str, Any]] = []

    def walk(node: Any, key: str) -> None:
        """Rows of a node and of all below it."""
        if isinstance(node, dict):
            for name, value in node.items():
                walk(value, f"{key}.{name}" if key else name)
        elif isinstance(node, int | float) and not isinstance(node, bool):
            rows.append({"file": path.name, "metric": key, "value": node})

    walk(json.loads(path.read_text(encoding="utf-8")), "")
    return rows


def run_links(run: dict[str, str], pages: str) -> str:
    """Markdown with the pages of a run in MLflow: the run, its five losses, its report."""
    run_id = run["run_id"]
    if not run_id:  # trained without MLflow
        return "The run of this model was not recorded."
    experiment = run["experiment_id"]
    own = f"{pages}/{run_page(run_id, experiment)}"
    report = f"{pages}/{run_page(run_id, experiment, REPORT)}"
    losses = f"{pages}/{losses_page(run_id, experiment, list(OBJECTIVES))}"
    return (
        f"* [MLflow run {run_id}]({own})\n"
        f"* [Five losses on one chart]({losses})\n"
        f"* [Report]({report})\n\n"
        "`make serve`, or `ssl-lib ui`, shows these pages."
    )
