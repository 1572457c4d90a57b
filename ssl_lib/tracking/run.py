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
import sys
import threading
import time
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ssl_lib.config import Settings
from ssl_lib.errors import MissingExtraError
from ssl_lib.tracking.describe import (
    data_digests,
    description,
    flatten,
    folder_digest,
    run_name,
    run_page,
    run_tags,
)
from ssl_lib.tracking.outbox import BATCH_SIZE, Operation, Outbox, send, weights_digest
from ssl_lib.tracking.store import (
    TEMPORARY_TAG,
    connect,
    failures,
    find_experiment,
    first_line,
    first_touch,
    home_of,
    is_temporary,
    outbox_folder,
    unusable,
)
from ssl_lib.tracking.system import SystemSampler

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 5.0  # after a failure; it doubles with each further one
LONGEST_PAUSE_SECONDS = 600.0
NOTE = "mlflow.note.content"  # what MLflow shows as a run's description
TUNING_DIGEST = "tuning.digest"  # of the folder that a tuning run has written
DIGEST_CHARACTERS = 36  # that MLflow takes
MAX_CARD_CHARACTERS = 5000  # of the description of a registered version
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

    def log_tuning(self, folder: Path) -> None:
        """Record nothing."""

    def link_tuning(self, folder: Path) -> None:
        """Record nothing."""

    def log_model(self, folder: Path) -> None:
        """Record nothing."""

    def describe_model(self, card: str) -> None:
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

    Leaving its `with` block ends it as FINISHED, FAILED or KILLED. One that had finished before it
    was resumed stays so, and its duration is that of its own stage.
    """

    def __init__(
        self,
        client: MlflowClient,
        settings: Settings,
        root: Path,
        run_id: str,
        experiment_id: str,
        stage: str,
        ended: bool = False,
    ) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.stage = stage
        self._ended = ended  # before it was resumed
        self._sampler: SystemSampler | None = None
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
        for key, text in flatten(values):
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
        """Record what the run has read: the raw and the tokenized corpus, with source and digest.

        The digests are DVC's of `data/raw` and `data/tokenized`; without DVC they are the SHA-256
        of the raw corpus's manifest and of `meta`, cut to the 36 characters that MLflow takes.
        """
        digests = data_digests(self._root)
        manifest = self._root / "data" / "raw" / "manifest.json"
        contents = {"data/tokenized": json.dumps(meta, sort_keys=True, default=str).encode()}
        if manifest.exists():
            contents["data/raw"] = manifest.read_bytes()
        for path, content in contents.items():
            digests.setdefault(path, hashlib.sha256(content).hexdigest()[:DIGEST_CHARACTERS])
        sources = [source.model_dump_json() for source in self._settings.corpus.sources]
        name = self._settings.corpus.display_name
        for path, stage in (("data/raw", "corpus"), ("data/tokenized", "tokenize")):
            if path in digests:
                kind = path.rpartition("/")[2]
                one = {"name": f"{name} ({kind})", "digest": digests[path], "context": kind}
                source = {"path": path, "stage": stage, "sources": ", ".join(sources)}
                # `corpus.digest` is the one by which documentation finds a run's corpus again
                key = "corpus.digest" if kind == "tokenized" else "corpus.raw"
                tag = {"kind": "tag", "key": key, "value": digests[path]}
                self._deliver([{"kind": "corpus", **one, "source": source}, tag])

    def log_tuning(self, folder: Path) -> None:
        """Store what a search has found, so that runs which use it are linked to this one."""
        self.log_artifact(folder)
        self.set_tags({TUNING_DIGEST: folder_digest(folder)})

    def link_tuning(self, folder: Path) -> None:
        """Link this run and the one that has written a folder, if the store has that."""
        if not folder.exists():
            return
        wanted = f"tags.`{TUNING_DIGEST}` = '{folder_digest(folder)}'"
        try:
            found = self._client.get_experiment_by_name(
                f"{self._settings.tracking.experiment}/tune"
            )
            tuned = self._client.search_runs([found.experiment_id], wanted) if found else []
            if tuned:
                info = tuned[0].info
                self._client.set_tag(info.run_id, "train.run_id", self.run_id)
                note = self._client.get_run(self.run_id).data.tags.get(NOTE, "")
                page = run_page(info.run_id, info.experiment_id)
                note += f"\n* [The search that chose its settings]({page})"
                self.set_tags({"tuning.run_id": info.run_id, NOTE: note})
        except failures() as error:
            _log.warning("The run is not linked to its search: %s", first_line(error))

    def log_model(self, folder: Path) -> None:
        """Store a saved model as an MLflow model without pickle.

        It is registered under `tracking.registered_model`.
        """
        path = Path(folder).resolve()
        operation = {"kind": "model", "path": str(path), "digest": weights_digest(path)}
        self._deliver([operation])

    def describe_model(self, card: str) -> None:
        """Give the registered versions of this run's model their card, in Markdown."""
        self._deliver([{"kind": "card", "text": card[:MAX_CARD_CHARACTERS]}])

    def child(self, name: str) -> Run | NullRun:
        """A nested run; while the server is away a NullRun, with one warning: the work goes on."""
        from mlflow.exceptions import MlflowException

        # a child has this run's store and experiment, and a buffer of its own
        place = (self._client, self._settings, self._root, self.experiment_id)
        try:
            return _create_run(*place, self.stage, name, self.run_id)
        except MlflowException as error:
            _log.warning("The nested run %s is not recorded: %s", name, first_line(error))
            return NullRun()

    def identity(self) -> dict[str, str]:
        """What `model/run.json` holds: run_id, experiment_id, tracking_uri.

        A store inside the project is told relative to it, so that both may move.
        """
        uri = self._client.tracking_uri.replace(f"sqlite:///{home_of(self._root)}/", "sqlite:///")
        return {"run_id": self.run_id, "experiment_id": self.experiment_id, "tracking_uri": uri}

    def _sample_system(self) -> None:
        """Record how busy the machine is, until the run is finished."""
        self._sampler = SystemSampler(self.log)
        self._sampler.start()

    def flush(self) -> None:
        """Send what is buffered."""
        with self._lock:
            operations, self._buffer = self._buffer, []
            self._deliver(operations)

    def finish(self, status: str = "FINISHED") -> None:
        """Send everything and close the run as FINISHED, FAILED or KILLED.

        A second call does nothing.
        """
        if self._sampler:
            self._sampler.stop()
        with self._lock:
            if not self._finished:
                self._finished = True
                # the last chance of this process: try at once
                self._retry_at = 0.0
                if not self._ended:
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


def start_run(settings: Settings, root: Path, stage: str, name: str = "") -> Run | NullRun:
    """Open a run in the experiment of its stage, in the store that `tracking.uri` names.

    Without a name it is called as `run_name` says. Also sends what earlier runs could not. Without
    MLflow it is a NullRun, with one warning. Raises TrackingError if the store cannot be used.
    """
    try:
        client = connect(settings, root)
    except MissingExtraError as error:
        _warn_once(f"The run of stage {stage} is not recorded: {error}")
        return NullRun()
    try:
        with first_touch(root):
            experiment_id = find_experiment(client, settings, root, stage)
        place = (client, settings, root, experiment_id)
        run = _create_run(*place, stage, name or run_name(settings, root, stage))
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None
    for path, problem in send_waiting(client, settings, root).problems:
        _log.warning("%s waits for the next run: %s", path, first_line(problem))
    run._sample_system()
    return run


def resume_run(settings: Settings, root: Path, run_id: str, stage: str) -> Run | NullRun:
    """The run with this id, to add to it; once finished, it stays as it ended.

    A new one of the stage where the store has no such id. Without MLflow it is a NullRun, with one
    warning.
    """
    try:
        client = connect(settings, root)
    except MissingExtraError:
        return start_run(settings, root, stage)
    from mlflow.exceptions import MlflowException

    try:
        with first_touch(root):
            info = client.get_run(run_id).info
    except MlflowException:
        where = client.tracking_uri.rpartition("@")[2]
        _log.warning("%s has no run %s; a run of its own is recorded", where, run_id)
        return start_run(settings, root, stage)
    ended = info.status == "FINISHED"
    return Run(client, settings, root, run_id, info.experiment_id, stage, ended)


class Sent(NamedTuple):
    """How many operations were sent, and the outboxes that still wait, with the reasons."""

    operations: int
    problems: list[tuple[Path, Exception]]


def send_waiting(client: MlflowClient, settings: Settings, root: Path) -> Sent:
    """Send what waits for a store, of all runs."""
    operations = 0
    problems: list[tuple[Path, Exception]] = []
    for path in sorted(outbox_folder(root, client.tracking_uri).glob("*.jsonl")):
        try:
            # a file is named by its run
            operations += Outbox(path).replay(partial(send, client, settings, path.stem))
        except failures() as error:
            problems.append((path, error))
    return Sent(operations, problems)


def sync(settings: Settings, root: Path) -> int:
    """Send what waits for the store that `tracking.uri` names; returns how many operations.

    Raises TrackingError where the store does not answer.
    """
    client = connect(settings, root)
    sent = send_waiting(client, settings, root)
    for _, error in sent.problems:
        raise unusable(client.tracking_uri, error)
    return sent.operations


def _create_run(
    client: MlflowClient,
    settings: Settings,
    root: Path,
    experiment_id: str,
    stage: str,
    name: str,
    parent_id: str = "",
) -> Run:
    tags = {
        "mlflow.source.name": "ssl_lib",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": os.environ.get("USER", "unknown"),
        "python": sys.version.split()[0],
    }
    tags |= run_tags(settings, root, stage)
    if parent_id:
        tags["mlflow.parentRunId"] = parent_id
    if is_temporary(root):
        tags[TEMPORARY_TAG] = "true"
    run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    note = description(run_id, experiment_id, stage, settings, parent_id)
    client.set_tag(run_id, NOTE, note)
    return Run(client, settings, root, run_id, experiment_id, stage)


@cache
def _warn_once(sentence: str) -> None:
    _log.warning(sentence)
