"""One run: an object with `log(metrics, step)`, so that nothing reaches for an ambient run.

Every run has its own buffer, so that threads and nested runs never mix. Points are sent in batches; a server that is
away costs a bounded moment, and what it missed waits in a spool (spool.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ssl_lib.config import Settings
from ssl_lib.errors import MissingExtraError
from ssl_lib.tracking.sending import BATCH_POINTS, send, weights_digest
from ssl_lib.tracking.spool import Operation, Spool
from ssl_lib.tracking.store import (
    connect,
    failures,
    find_experiment,
    first_line,
    first_touch,
    spool_folder,
    unusable,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_SECONDS = 3.0
MAX_PARAM_CHARACTERS = 6000  # MLflow cuts longer values without a word
_log = logging.getLogger(__name__)


class NullRun:
    """The same methods as `Run`, and nothing is recorded: for use as a library, without tracking."""

    run_id = ""

    def log(self, metrics: dict[str, float], step: int) -> None: ...

    def log_params(self, values: dict[str, Any]) -> None: ...

    def set_tags(self, tags: dict[str, Any]) -> None: ...

    def log_artifact(self, path: Path, folder: str | None = None) -> None: ...

    def log_figure(self, path: Path) -> None: ...

    def log_corpus(self, meta: dict[str, Any]) -> None: ...

    def log_model(self, folder: Path) -> None: ...

    def flush(self) -> None: ...

    def finish(self, status: str = "FINISHED") -> None: ...

    def child(self, name: str) -> NullRun:
        return self

    def identity(self) -> dict[str, str]:
        return {"run_id": "", "experiment_id": "", "tracking_uri": ""}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Run:
    """One MLflow run, which threads may share. Leaving its `with` block ends it as FINISHED, FAILED or KILLED."""

    def __init__(
        self, client: MlflowClient, settings: Settings, root: Path, run_id: str, experiment_id: str
    ) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._client = client
        self._settings = settings
        self._root = root
        self._spool = Spool(spool_folder(root, client.tracking_uri) / f"{run_id}.jsonl")
        self._lock = threading.RLock()
        self._buffer: list[Operation] = []
        self._sent_at = time.monotonic()
        self._retry_at = 0.0
        self._pause_seconds = 5.0
        self._tagged: set[str] = set()
        self._finished = False

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record figures of one step. What is not finite becomes a tag, since MLflow would store it as 1.8e308."""
        now = _milliseconds()
        with self._lock:
            for key, value in metrics.items():
                number = float(value)
                if math.isfinite(number):
                    self._buffer.append(
                        {
                            "kind": "metric",
                            "key": key,
                            "value": number,
                            "step": int(step),
                            "time": now,
                        }
                    )
                elif key not in self._tagged:
                    self._tagged.add(key)
                    self._buffer.append(
                        {
                            "kind": "tag",
                            "key": f"not_finite.{key}",
                            "value": f"{number} at step {step}",
                        }
                    )
            if (
                len(self._buffer) >= BATCH_POINTS
                or time.monotonic() - self._sent_at > BATCH_SECONDS
            ):
                self.flush()

    def log_params(self, values: dict[str, Any]) -> None:
        """Record settings: a tree is flattened to dotted keys, and a value of 6,000 characters or more is cut."""
        self._deliver(
            [{"kind": "param", "key": key, "value": value} for key, value in _flatten(values)]
        )

    def set_tags(self, tags: dict[str, Any]) -> None:
        """Record words about the run, such as `state: pruned`."""
        self._deliver(
            [{"kind": "tag", "key": key, "value": str(value)} for key, value in tags.items()]
        )

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a file or a whole folder with the run, below `folder`."""
        self._deliver([{"kind": "artifact", "path": str(Path(path).resolve()), "folder": folder}])

    def log_figure(self, path: Path) -> None:
        """Store a picture with the run, below `figures`."""
        self.log_artifact(path, "figures")

    def log_corpus(self, meta: dict[str, Any]) -> None:
        """Record which corpus the run has read: its name and DVC's digest, or that of `meta` without DVC."""
        digest = _corpus_digest(self._root, meta)
        operation = {"kind": "corpus", "name": self._settings.corpus.name, "digest": digest}
        self._deliver([operation, {"kind": "tag", "key": "corpus.digest", "value": digest}])

    def log_model(self, folder: Path) -> None:
        """Store a saved model as an MLflow model without pickle, and register it under `tracking.registered_model`."""
        path = Path(folder).resolve()
        self._deliver([{"kind": "model", "path": str(path), "digest": weights_digest(path)}])

    def child(self, name: str) -> Run | NullRun:
        """A nested run. While the server is away it is a NullRun, with one warning: the work goes on."""
        from mlflow.exceptions import MlflowException

        try:
            return _create_run(
                self._client, self._settings, self._root, self.experiment_id, name, self.run_id
            )
        except MlflowException as error:
            _log.warning("The nested run %s is not recorded: %s", name, first_line(error))
            return NullRun()

    def identity(self) -> dict[str, str]:
        """What `model/run.json` holds: run_id, experiment_id, tracking_uri."""
        uri = self._client.tracking_uri
        return {"run_id": self.run_id, "experiment_id": self.experiment_id, "tracking_uri": uri}

    def flush(self) -> None:
        """Send what is buffered."""
        with self._lock:
            operations, self._buffer = self._buffer, []
            self._deliver(operations)

    def finish(self, status: str = "FINISHED") -> None:
        """Send everything and close the run; `status` is FINISHED, FAILED or KILLED. A second call does nothing."""
        with self._lock:
            if not self._finished:
                self._finished = True
                self._retry_at = 0.0
                self._buffer.append({"kind": "status", "value": status, "time": _milliseconds()})
                self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.finish("FINISHED" if kind is None else "KILLED" if interrupted else "FAILED")

    def _deliver(self, operations: list[Operation]) -> None:
        """Send operations after those that wait, or let them wait too; the pause between attempts doubles each time."""
        with self._lock:
            self._sent_at = time.monotonic()
            if not operations:
                return
            if self._sent_at >= self._retry_at and self._reach(operations):
                return
            if dropped := self._spool.append(operations):
                _log.warning("%s is full; %d points are lost", self._spool.path, dropped)

    def _reach(self, operations: list[Operation]) -> bool:
        try:
            self._spool.replay(self._send)
            self._send(operations)
        except failures() as error:
            _log.warning(
                "MLflow does not answer (%s); figures wait in %s",
                first_line(error),
                self._spool.path,
            )
            self._retry_at = time.monotonic() + self._pause_seconds
            self._pause_seconds = min(600.0, 2 * self._pause_seconds)
            return False
        self._pause_seconds = 5.0
        return True

    def _send(self, operations: list[Operation]) -> None:
        send(self._client, self._settings, self.run_id, operations)


def start_run(
    settings: Settings, root: Path, name: str, parent: Run | None = None
) -> Run | NullRun:
    """Open a run in the store that `tracking.uri` names, with git commit and Python version.

    Also sends what earlier runs could not. Without MLflow it is a NullRun, with one warning.
    Raises TrackingError if the store cannot be used.
    """
    try:
        client = connect(settings, root)
    except MissingExtraError as error:
        _warn_once(f"The run {name} is not recorded: {error}")
        return NullRun()
    try:
        with first_touch(root):
            experiment_id = find_experiment(client, settings, root)
        run = _create_run(
            client, settings, root, experiment_id, name, parent.run_id if parent else None
        )
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None
    _replay_left_over(client, settings, root)
    return run


def resume_run(settings: Settings, root: Path, run_id: str, name: str) -> Run | NullRun:
    """The run with this id, to add to it; a new one called `name` where the store has no such id.

    Without MLflow it is a NullRun, with one warning.
    """
    try:
        client = connect(settings, root)
    except MissingExtraError:
        return start_run(settings, root, name)
    from mlflow.exceptions import MlflowException

    try:
        with first_touch(root):
            info = client.get_run(run_id).info
    except MlflowException:
        return start_run(settings, root, name)
    return Run(client, settings, root, run_id, info.experiment_id)


def _create_run(
    client: MlflowClient,
    settings: Settings,
    root: Path,
    experiment_id: str,
    name: str,
    parent_id: str | None,
) -> Run:
    tags = {
        "mlflow.source.name": "ssl_lib",
        "mlflow.source.type": "LOCAL",
        "python": sys.version.split()[0],
    }
    tags |= {"mlflow.user": os.environ.get("USER", "unknown")} | _git_tags(root)
    if parent_id:
        tags["mlflow.parentRunId"] = parent_id
    run = client.create_run(experiment_id, tags=tags, run_name=name)
    return Run(client, settings, root, run.info.run_id, experiment_id)


def _replay_left_over(client: MlflowClient, settings: Settings, root: Path) -> None:
    for path in sorted(spool_folder(root, client.tracking_uri).glob("*.jsonl")):
        run_id = path.stem
        try:
            Spool(path).replay(
                lambda operations, run_id=run_id: send(client, settings, run_id, operations)
            )
        except failures() as error:
            _log.warning("%s waits for the next run: %s", path, first_line(error))


def _corpus_digest(root: Path, meta: dict[str, Any]) -> str:
    """DVC's digest of data/tokenized; without DVC the SHA-256 of `meta`, cut to the 36 characters that MLflow takes."""
    from ruamel.yaml import YAML

    lock = root / "dvc.lock"
    if lock.exists():
        stages = (YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8")) or {}).get(
            "stages", {}
        )
        for out in stages.get("tokenize", {}).get("outs", []):
            if out.get("path") == "data/tokenized" and out.get("md5"):
                return out["md5"]
    return hashlib.sha256(json.dumps(meta, sort_keys=True, default=str).encode()).hexdigest()[:36]


def _git_tags(root: Path) -> dict[str, str]:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = bool(git("status", "--porcelain", "--untracked-files=no"))
        return {
            "mlflow.source.git.commit": git("rev-parse", "HEAD"),
            "git.changed": str(changed).lower(),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}  # no git, or no commit yet


@cache
def _warn_once(sentence: str) -> None:
    _log.warning(sentence)


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict | list) and tree:
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in pairs:
            yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
        return
    text = str(tree)
    yield (
        prefix,
        text if len(text) < MAX_PARAM_CHARACTERS else text[: MAX_PARAM_CHARACTERS - 4] + "...",
    )


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
