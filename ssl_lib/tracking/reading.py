"""Runs as they stand in the store: what was set, and the last value of every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_lib.config import Settings
from ssl_lib.tracking.store import (
    TrackingError,
    connect,
    failures,
    find_experiment,
    first_touch,
    unusable,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_RUNS = 1000  # of an experiment that are searched for a name or the beginning of an id


@dataclass(frozen=True)
class StoredRun:
    """One run: `metrics` hold the last value of each figure, `started` is seconds since 1970."""

    run_id: str
    name: str
    status: str
    started: float
    commit: str
    params: dict[str, str]
    metrics: dict[str, float]


def read_runs(settings: Settings, root: Path, wanted: Sequence[str]) -> list[StoredRun]:
    """Runs of the experiment by id, beginning of an id (four characters or more) or name (the newest one of it).

    Raises TrackingError if there is no such run, if a beginning fits several, or if the store does not answer.
    """
    client = connect(settings, root)
    try:
        with first_touch(root):
            experiment_id = find_experiment(client, settings, root)
        newest_first = ["attributes.start_time DESC"]
        known = client.search_runs([experiment_id], max_results=MOST_RUNS, order_by=newest_first)
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None
    return [_stored(_find(client, list(known), text, settings)) for text in wanted]


def _find(client: MlflowClient, known: list[Any], text: str, settings: Settings) -> Any:
    for run in known:
        if text in (run.info.run_id, run.info.run_name):
            return run
    fitting = [run for run in known if len(text) >= 4 and run.info.run_id.startswith(text)]
    if len(fitting) > 1:
        raise TrackingError(f"{text} is the beginning of {len(fitting)} runs; give more of the id")
    if fitting:
        return fitting[0]
    try:
        return client.get_run(text)  # of another experiment, or older than those that were searched
    except failures():
        where = f"experiment {settings.tracking.experiment!r}"
        raise TrackingError(
            f"{text} is no run of {where}; see names and ids with `ssl-lib ui`"
        ) from None


def _stored(run: Any) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        name=run.info.run_name or run.info.run_id[:8],
        status=run.info.status,
        started=(run.info.start_time or 0) / 1000,
        commit=run.data.tags.get("mlflow.source.git.commit", ""),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )
