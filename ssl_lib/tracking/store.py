"""The store that `tracking.uri` names: where it is, how to reach it, what runs it holds."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from ssl_lib.config import Settings
from ssl_lib.databases import with_driver
from ssl_lib.errors import UserError, require_extra
from ssl_lib.processes import run_until_stopped
from ssl_lib.tracking.describe import MODEL_MODE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from mlflow.exceptions import MlflowException

TEMPORARY_TAG = "dvc.temporary"  # of runs of DVC's queue and of `dvc exp run --temp`
DECISION = "decision"  # the tag whether a run's model became the champion
ARTIFACTS = "mlartifacts"  # the folder of files beside an SQLite store
LOCATIONS = (  # where an SQLite store keeps absolute paths
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
STORE_VARIABLE = "MLFLOW_TRACKING_URI"
_global_uri = threading.Lock()  # models are stored and fetched by MLflow's one global store
MOST_RUNS = 1000  # of an experiment that are searched for a name or the beginning of an id


class TrackingError(UserError):
    """The store that `tracking.uri` names cannot be used."""


def connect(settings: Settings, root: Path) -> MlflowClient:
    """A client that gives up soon (by default MLflow blocks for four minutes) and says little.

    Raises MissingExtraError, which says what to install, without MLflow.
    """
    require_extra("tracking")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # a run of the shell or of a parent process is none of ours
    os.environ.pop("MLFLOW_RUN_ID", None)
    from mlflow import MlflowClient

    # after the import, which sets these levels
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    uri = store_uri(settings, root)
    with first_touch(root):
        relocate(uri)
        return MlflowClient(tracking_uri=uri)


def store_uri(settings: Settings, root: Path) -> str:
    """The setting, else MLFLOW_TRACKING_URI, else `mlflow.db` at the project's root.

    Paths of SQLite files become absolute; `postgresql://` gets its driver.
    """
    uri = settings.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    uri = with_driver(uri or "sqlite:///mlflow.db")
    # "sqlite:///mlflow.db" → "sqlite:///" and the absolute path of mlflow.db
    relative = uri.removeprefix("sqlite:///")
    if relative != uri and not relative.startswith("/"):
        return f"sqlite:///{home_of(root) / relative}"
    return uri


def home_of(root: Path) -> Path:
    """The project itself: DVC runs experiments in copies of it, which are deleted later.

    `dvc exp run --temp` and DVC's queue make them below `.dvc/tmp/exps`.
    """
    root = root.resolve()
    # …/project/.dvc/tmp/exps/standalone/tmpabc → …/project
    for folder in root.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return root


def is_temporary(root: Path) -> bool:
    """Whether a folder is a copy that DVC has made for an experiment of its queue or `--temp`."""
    return home_of(root) != root.resolve()


def outbox_folder(root: Path, uri: str) -> Path:
    """Where operations wait for the store `uri`."""
    digest = hashlib.sha256(uri.encode()).hexdigest()
    return home_of(root) / ".ssl_lib" / "outbox" / digest[:12]


def first_touch(root: Path) -> FileLock:
    """A lock: of four processes that create a store at the same time, one survives without it."""
    folder = home_of(root) / ".ssl_lib" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "mlflow")


def find_experiment(client: MlflowClient, settings: Settings, root: Path, stage: str) -> str:
    """The id of a stage's experiment, made if there is none.

    Raises TrackingError if it was deleted.
    """
    from mlflow.exceptions import MlflowException

    name = f"{settings.tracking.experiment}/{stage}"
    found = client.get_experiment_by_name(name)
    if found is None:
        # a remote store keeps its artifacts where its server says
        remote = client.tracking_uri.startswith("http")
        artifacts = None if remote else artifacts_folder(client.tracking_uri, root).as_uri()
        try:
            return str(client.create_experiment(name, artifacts))
        except MlflowException:
            # another machine was faster, if the server knows it now
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"tracking.experiment: {name!r} was deleted; "
            "choose another name or restore it in MLflow"
        )
    return str(found.experiment_id)


def find_experiments(client: MlflowClient, settings: Settings) -> list[str]:
    """Ids of the experiments of all stages, and of the one that versions before 0.2 wrote into."""
    name = settings.tracking.experiment
    found = client.search_experiments()
    return [
        one.experiment_id for one in found if one.name == name or one.name.startswith(f"{name}/")
    ]


def artifacts_folder(uri: str, root: Path) -> Path:
    """Where files of runs lie: beside an SQLite store, else at the project's root."""
    path = uri.removeprefix("sqlite:///")
    return (Path(path).parent if path != uri else home_of(root)) / ARTIFACTS


def relocate(uri: str) -> None:
    """Let an SQLite store that was copied or moved name the folder in which it lies now.

    MLflow keeps absolute paths; without this a copied project writes into that of the original.
    """
    database = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not database.exists():
        return
    own = (database.parent / ARTIFACTS).as_uri()
    with closing(sqlite3.connect(database)) as store, store:
        try:
            rows = store.execute("select distinct artifact_location from experiments").fetchall()
        except sqlite3.OperationalError:
            return  # made in this moment: it has no tables yet
        for (place,) in rows:
            if place and place.endswith(f"/{ARTIFACTS}") and place != own:
                for table, column in LOCATIONS:
                    # "file:///old/mlartifacts/1a2b/artifacts" → "file:///new/mlartifacts/1a2b/…"
                    store.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) "
                        f"where substr({column}, 1, ?) = ?",
                        (own, len(place) + 1, len(place), place),
                    )


class StoredDecision(NamedTuple):
    """`promoted` or `not promoted`, the reason, and the time in UTC: 2026-11-27T02-14-05.123456."""

    outcome: str
    reason: str
    when: str


@dataclass(frozen=True)
class StoredRun:
    """A run of the store: what was set, and the last value of every metric.

    `started` is seconds since 1970; `temporary` tells runs of DVC's queue and of `--temp`;
    `decision` is whether it became the champion, as `registry.record_decision` has kept it.
    """

    run_id: str
    name: str
    status: str
    started: float
    commit: str
    params: dict[str, str]
    metrics: dict[str, float]
    temporary: bool
    decision: StoredDecision | None


def trained_run(root: Path) -> dict[str, str]:
    """The run that trained `model/`, as `Run.identity` has told; its id is empty without MLflow.

    Raises TrackingError if no model has been trained.
    """
    path = root / "model" / "run.json"
    try:
        identity: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrackingError(f"{path}: cannot be read ({error}); run `ssl-lib train`") from None
    if "run_id" not in identity:
        raise TrackingError(f"{path}: cannot be read (no run_id); run `ssl-lib train`")
    return identity


def read_runs(settings: Settings, root: Path, wanted: Sequence[str]) -> list[StoredRun]:
    """Runs by id, beginning of an id (four characters or more) or name (the newest one of it).

    Raises TrackingError if there is no such run, if a beginning fits several, or if the store does
    not answer.
    """
    client = connect(settings, root)
    try:
        with first_touch(root):
            experiments = find_experiments(client, settings)
        newest_first = ["attributes.start_time DESC"]
        found = client.search_runs(experiments, max_results=MOST_RUNS, order_by=newest_first)
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None
    known: list[MlflowRun] = list(found)
    stored = []
    for text in wanted:
        run = _find(client, known, text, settings)
        stored.append(
            StoredRun(
                run_id=run.info.run_id,
                name=run.info.run_name or run.info.run_id[:8],
                status=run.info.status,
                started=(run.info.start_time or 0) / 1000,
                commit=run.data.tags.get("mlflow.source.git.commit", ""),
                params=dict(run.data.params),
                metrics=dict(run.data.metrics),
                temporary=TEMPORARY_TAG in run.data.tags,
                decision=_decision_of(run.data.tags),
            )
        )
    return stored


def _decision_of(tags: Mapping[str, str]) -> StoredDecision | None:
    if DECISION not in tags:
        return None
    # runs of earlier versions do not tell when
    reason, when = (tags.get(f"{DECISION}.{name}", "") for name in ("reason", "time"))
    return StoredDecision(tags[DECISION], reason, when)


@contextmanager
def global_store(uri: str) -> Iterator[None]:
    """Let MLflow's global store be this one.

    MLflow tells it to child processes through the environment; afterwards that is as it was.
    """
    import mlflow

    with _global_uri:
        before = os.environ.get(STORE_VARIABLE)
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            os.environ.pop(STORE_VARIABLE, None)
            if before is not None:
                os.environ[STORE_VARIABLE] = before


def read_artifact(settings: Settings, root: Path, run_id: str, path: str) -> bytes | None:
    """The content of a file that a run has stored; None where it has none.

    Raises TrackingError if the store does not answer.
    """
    client = connect(settings, root)
    folder, _, _ = path.rpartition("/")
    try:
        if path not in {file.path for file in client.list_artifacts(run_id, folder or None)}:
            return None
        # a server's file is fetched, one of this machine is read where it lies
        with TemporaryDirectory() as scratch:
            return Path(client.download_artifacts(run_id, path, scratch)).read_bytes()
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None


def _find(client: MlflowClient, known: list[MlflowRun], text: str, settings: Settings) -> MlflowRun:
    for run in known:
        if text in (run.info.run_id, run.info.run_name):
            return run
    # the beginning of an id, as pages and logs show it: "3f2a"
    fitting = [run for run in known if len(text) >= 4 and run.info.run_id.startswith(text)]
    if len(fitting) > 1:
        raise TrackingError(f"{text} is the beginning of {len(fitting)} runs; give more of the id")
    if fitting:
        return fitting[0]
    try:
        # of another experiment, or older than those that were searched
        return client.get_run(text)
    except failures():
        where = f"the experiments {settings.tracking.experiment}/…"
        raise TrackingError(
            f"{text} is no run of {where}; see names and ids with `ssl-lib ui`"
        ) from None


def serve_ui(settings: Settings, root: Path, port: int = 5000) -> None:
    """Serve MLflow's pages over the store on 127.0.0.1 until interrupted (one worker, 0.5 GB).

    Raises TrackingError if the server cannot start.
    """
    store = store_uri(settings, root)
    if missing := missing_runs(settings, root):
        print(missing, file=sys.stderr)
    client = connect(settings, root)
    try:
        with first_touch(root):
            page = runs_page(find_experiment(client, settings, root, "train"))
    except failures() as error:
        raise unusable(store, error) from None
    if store.startswith("http"):
        print(f"The runs are on a server already: open {store.rstrip('/')}/{page}")
        return
    home = home_of(root)
    print(f"http://127.0.0.1:{port}/{page}  (Ctrl-C ends it)", flush=True)
    status = run_mlflow(
        *"server --host 127.0.0.1 --workers 1 --allowed-hosts localhost:*,127.0.0.1:*".split(),
        *("--port", str(port), "--backend-store-uri", store),
        *("--artifacts-destination", str(artifacts_folder(store, root))),
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        cwd=home,
    )
    if status:
        raise TrackingError(
            f"mlflow server ended with status {status}; "
            f"is port {port} free? Choose another with --port"
        )


def runs_page(experiment: str) -> str:
    """The address of an experiment's runs, behind that of its server."""
    return f"#/experiments/{experiment}/runs?{MODEL_MODE}"


def missing_runs(settings: Settings, root: Path) -> str:
    """One sentence where the runs of a project are not in its store; nothing where they are.

    The SQLite store is no part of git or DVC, so a clone begins without runs.
    """
    path = store_uri(settings, root).removeprefix("sqlite:///")
    if "://" in path or Path(path).exists():
        return ""
    return (
        f"There are no runs here: {path} does not exist, and a clone brings none; "
        "train, or name the server that has them in tracking.uri."
    )


def run_mlflow(*words: str, cwd: Path | None = None, **environment: str) -> int:
    """Exit status of `mlflow WORDS`, with these variables; ended by Ctrl-C and SIGTERM."""
    command = [sys.executable, "-m", "mlflow", *words]
    return run_until_stopped(command, cwd, environment)


def failures() -> tuple[type[Exception], ...]:
    """What MLflow raises when a store does not answer; errors of `requests` are OSErrors."""
    from mlflow.exceptions import MlflowException

    return (MlflowException, OSError)


def http_status(error: MlflowException) -> int:
    """The HTTP status that stands for an error of MLflow."""
    status: Any = error.get_http_status_code()  # type: ignore[no-untyped-call]  # has no types
    return int(status)


def unusable(uri: str, error: Exception) -> TrackingError:
    """What a user is told about a store that does not answer."""
    shown = uri.rpartition("@")[2]  # without a password
    return TrackingError(
        f"tracking.uri: {shown} cannot be used ({first_line(error)}); "
        "start that server or leave it empty"
    )


def first_line(error: Exception) -> str:
    """The beginning of an error's message."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
