"""One run: an object with `log(metrics, step)`, so that nothing reaches for an ambient run.

Every run has its own buffer, so that threads and nested runs never mix. Points are sent in batches;
a server that is away costs a bounded moment, and what it missed waits in an outbox (outbox.py).
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
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ssl_lib.config import Settings
from ssl_lib.errors import MissingExtraError
from ssl_lib.tracking.outbox import BATCH_SIZE, Operation, Outbox, send, weights_digest
from ssl_lib.tracking.store import (
    TEMPORARY_TAG,
    connect,
    failures,
    find_experiment,
    first_line,
    first_touch,
    is_temporary,
    outbox_folder,
    unusable,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 5.0  # after a failure; it doubles with each further one
LONGEST_PAUSE_SECONDS = 600.0
MAX_PARAM_CHARACTERS = 6000  # MLflow cuts longer values without a word
NS_PER_MS = 1_000_000  # MLflow counts time in milliseconds
_log = logging.getLogger(__name__)


class NullRun:
    """The methods of `Run`, and nothing is recorded: for use as a library, without tracking."""

    run_id = ""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record nothing."""

    def log_params(self, values: dict[str, Any]) -> None:
        """Record nothing."""

    def set_tags(self, tags: dict[str, Any]) -> None:
        """Record nothing."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Record nothing."""

    def log_figure(self, path: Path) -> None:
        """Record nothing."""

    def log_corpus(self, meta: dict[str, Any]) -> None:
        """Record nothing."""

    def log_model(self, folder: Path) -> None:
        """Record nothing."""

    def flush(self) -> None:
        """Send nothing."""

    def finish(self, status: str = "FINISHED") -> None:
        """Close nothing."""

    def child(self, name: str) -> NullRun:
        """Itself."""
        return self

    def identity(self) -> dict[str, str]:
        """What `model/run.json` holds: nothing, by the names that `Run.identity` has."""
        return {"run_id": "", "experiment_id": "", "tracking_uri": ""}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Run:
    """One MLflow run, which threads may share.

    Leaving its `with` block ends it as FINISHED, FAILED or KILLED.
    """

    def __init__(
        self, client: MlflowClient, settings: Settings, root: Path, run_id: str, experiment_id: str
    ) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._client = client
        self._settings = settings
        self._root = root
        self._outbox = Outbox(outbox_folder(root, client.tracking_uri) / f"{run_id}.jsonl")
        self._lock = threading.RLock()
        self._buffer: list[Operation] = []
        self._sent_at = time.monotonic()
        self._retry_at = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        # keys whose first value that is not finite has become a tag
        self._not_finite: set[str] = set()
        self._finished = False

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record metrics of one step.

        What is not finite becomes a tag, since MLflow would store it as 1.8e308.
        """
        now = time.time_ns() // NS_PER_MS
        with self._lock:
            for key, value in metrics.items():
                number = float(value)
                if math.isfinite(number):
                    point = {"value": number, "step": int(step), "time": now}
                    self._buffer.append({"kind": "metric", "key": key, **point})
                elif key not in self._not_finite:
                    self._not_finite.add(key)
                    text = f"{number} at step {step}"
                    self._buffer.append({"kind": "tag", "key": f"not_finite.{key}", "value": text})
            # a slow run shows its points too, before a batch is full
            waited = time.monotonic() - self._sent_at
            if len(self._buffer) >= BATCH_SIZE or waited > BATCH_SECONDS:
                self.flush()

    def log_params(self, values: dict[str, Any]) -> None:
        """Record settings: a tree gets dotted keys, a value of 6,000 characters or more is cut."""
        operations = []
        for key, text in _flatten(values):
            if len(text) >= MAX_PARAM_CHARACTERS:
                text = text[: MAX_PARAM_CHARACTERS - 4] + "..."
            operations.append({"kind": "param", "key": key, "value": text})
        self._deliver(operations)

    def set_tags(self, tags: dict[str, Any]) -> None:
        """Record words about the run, such as `state: pruned`."""
        operations = []
        for key, value in tags.items():
            operations.append({"kind": "tag", "key": key, "value": str(value)})
        self._deliver(operations)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a file or a whole folder with the run, below `folder`."""
        whole_path = str(Path(path).resolve())
        self._deliver([{"kind": "artifact", "path": whole_path, "folder": folder}])

    def log_figure(self, path: Path) -> None:
        """Store a picture with the run, below `figures`."""
        self.log_artifact(path, "figures")

    def log_corpus(self, meta: dict[str, Any]) -> None:
        """Record which corpus the run has read: its name, and a digest of it.

        The digest is DVC's of `data/tokenized`; without DVC it is the SHA-256 of `meta`, cut to the
        36 characters that MLflow takes.
        """
        from ruamel.yaml import YAML

        text = json.dumps(meta, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:36]
        lock = self._root / "dvc.lock"
        if lock.exists():
            tree = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8")) or {}
            outputs = tree.get("stages", {}).get("tokenize", {}).get("outs", [])
            for output in outputs:
                if output.get("path") == "data/tokenized" and output.get("md5"):
                    digest = output["md5"]
        name = self._settings.corpus.display_name
        corpus = {"kind": "corpus", "name": name, "digest": digest}
        tag = {"kind": "tag", "key": "corpus.digest", "value": digest}
        self._deliver([corpus, tag])

    def log_model(self, folder: Path) -> None:
        """Store a saved model as an MLflow model without pickle.

        It is registered under `tracking.registered_model`.
        """
        path = Path(folder).resolve()
        operation = {"kind": "model", "path": str(path), "digest": weights_digest(path)}
        self._deliver([operation])

    def child(self, name: str) -> Run | NullRun:
        """A nested run; while the server is away a NullRun, with one warning: the work goes on."""
        from mlflow.exceptions import MlflowException

        # a child has this run's store and experiment, and a buffer of its own
        place = (self._client, self._settings, self._root, self.experiment_id)
        try:
            return _create_run(*place, name, self.run_id)
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
        """Send everything and close the run as FINISHED, FAILED or KILLED.

        A second call does nothing.
        """
        with self._lock:
            if not self._finished:
                self._finished = True
                # the last chance of this process: try at once
                self._retry_at = 0.0
                now = time.time_ns() // NS_PER_MS
                self._buffer.append({"kind": "status", "value": status, "time": now})
                self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish("FINISHED")
        else:
            # KeyboardInterrupt and SystemExit are no Exception
            self.finish("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _deliver(self, operations: list[Operation]) -> None:
        """Send operations after those that wait, or let them wait too.

        The pause between attempts doubles each time.
        """
        with self._lock:
            now = self._sent_at = time.monotonic()
            if not operations:
                return
            if now >= self._retry_at:
                # what waits goes first: points keep their order
                send_all = partial(send, self._client, self._settings, self.run_id)
                try:
                    self._outbox.replay(send_all)
                    send_all(operations)
                    self._pause_seconds = FIRST_PAUSE_SECONDS
                    return
                except failures() as error:
                    reason = first_line(error)
                    path = self._outbox.path
                    _log.warning("MLflow does not answer (%s); metrics wait in %s", reason, path)
                self._retry_at = time.monotonic() + self._pause_seconds
                self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)
            if dropped := self._outbox.append(operations):
                _log.warning("%s is full; %d points are lost", self._outbox.path, dropped)


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
    parent_id = parent.run_id if parent else None
    try:
        with first_touch(root):
            experiment_id = find_experiment(client, settings, root)
        run = _create_run(client, settings, root, experiment_id, name, parent_id)
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None
    for path in sorted(outbox_folder(root, client.tracking_uri).glob("*.jsonl")):
        try:
            # a file is named by its run
            Outbox(path).replay(partial(send, client, settings, path.stem))
        except failures() as error:
            _log.warning("%s waits for the next run: %s", path, first_line(error))
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
        "mlflow.user": os.environ.get("USER", "unknown"),
        "python": sys.version.split()[0],
    }
    if parent_id:
        tags["mlflow.parentRunId"] = parent_id
    if is_temporary(root):
        tags[TEMPORARY_TAG] = "true"
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.check_output([*git, "rev-parse", "HEAD"], stderr=subprocess.DEVNULL)
        changes = subprocess.check_output([*git, "status", "--porcelain", "--untracked-files=no"])
        tags["mlflow.source.git.commit"] = commit.decode().strip()
        tags["git.changed"] = str(bool(changes.strip())).lower()
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or no commit yet
    run = client.create_run(experiment_id, tags=tags, run_name=name)
    return Run(client, settings, root, run.info.run_id, experiment_id)


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves as text, with dotted keys: {"a": {"b": [1, 2]}} → ("a.b.0", "1"), ("a.b.1", "2")."""
    if isinstance(tree, dict | list) and tree:
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in pairs:
            yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, str(tree)


@cache
def _warn_once(sentence: str) -> None:
    _log.warning(sentence)
