"""The store that `tracking.uri` names: where it is, how to reach it, and MLflow's pages over it."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ssl_lib.config import Settings
from ssl_lib.errors import UserError, require_extra

if TYPE_CHECKING:
    from mlflow import MlflowClient


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
    os.environ.pop("MLFLOW_RUN_ID", None)
    from mlflow import MlflowClient

    for name in (
        "mlflow",
        "alembic",
        "urllib3.connectionpool",
    ):  # after the import, which sets them
        logging.getLogger(name).setLevel(logging.ERROR)
    with first_touch(root):
        return MlflowClient(tracking_uri=store_uri(settings, root))


def serve_ui(settings: Settings, root: Path, port: int = 5000) -> None:
    """Serve MLflow's pages over the store of the settings on 127.0.0.1 until interrupted (one worker, 0.5 GB)."""
    store = store_uri(settings, root)
    if store.startswith("http"):
        print(f"The runs are on a server already: open {store}")
        return
    client = connect(settings, root)
    with first_touch(root):
        find_experiment(client, settings, root)
    hosts = "localhost:*,127.0.0.1:*"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store,
        "--host",
        "127.0.0.1",
    ]
    command += ["--port", str(port), "--workers", "1", "--allowed-hosts", hosts]
    command += ["--artifacts-destination", str(home_of(root) / "mlartifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)", flush=True)
    status = subprocess.run(command, env=environment, cwd=home_of(root), check=False).returncode
    if status:
        raise TrackingError(
            f"mlflow server ended with status {status}; is port {port} free? Choose another with --port"
        )


def store_uri(settings: Settings, root: Path) -> str:
    """The setting, else MLFLOW_TRACKING_URI, else `mlflow.db` at the project root; sqlite paths become absolute."""
    uri = (
        settings.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI", "") or "sqlite:///mlflow.db"
    )
    relative = uri.removeprefix("sqlite:///")
    if relative != uri and not relative.startswith("/"):
        return f"sqlite:///{home_of(root) / relative}"
    return uri


def home_of(root: Path) -> Path:
    """The project itself: `dvc exp run --temp` and DVC's queue work in a copy below `.dvc/tmp/exps`, deleted later."""
    root = root.resolve()
    for folder in root.parents:
        if (
            folder.name == "exps"
            and folder.parent.name == "tmp"
            and folder.parent.parent.name == ".dvc"
        ):
            return folder.parent.parent.parent
    return root


def spool_folder(root: Path, uri: str) -> Path:
    """Where operations wait for the store `uri`."""
    return home_of(root) / ".ssl_lib" / "spool" / hashlib.sha256(uri.encode()).hexdigest()[:12]


def first_touch(root: Path) -> FileLock:
    """Of four processes that create a store at the same time, one survives: they take turns."""
    folder = home_of(root) / ".ssl_lib" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "mlflow")


def find_experiment(client: MlflowClient, settings: Settings, root: Path) -> str:
    """The id of the experiment, made if there is none. Raises TrackingError if it was deleted."""
    from mlflow.exceptions import MlflowException

    name = settings.tracking.experiment
    if (found := client.get_experiment_by_name(name)) is None:
        remote = client.tracking_uri.startswith("http")
        try:
            return client.create_experiment(
                name, None if remote else (home_of(root) / "mlartifacts").as_uri()
            )
        except MlflowException:  # another machine was faster, if the server knows it now
            if (found := client.get_experiment_by_name(name)) is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"tracking.experiment: {name!r} was deleted; choose another name or restore it in MLflow"
        )
    return found.experiment_id


def failures() -> tuple[type[Exception], ...]:
    """What MLflow raises when a store does not answer; errors of `requests` are OSErrors."""
    from mlflow.exceptions import MlflowException

    return (MlflowException, OSError)


def unusable(uri: str, error: Exception) -> TrackingError:
    """What a user is told about a store that does not answer."""
    shown = uri.rpartition("@")[2]  # without a password
    return TrackingError(
        f"tracking.uri: {shown} cannot be used ({first_line(error)}); start that server or leave it empty"
    )


def first_line(error: Exception) -> str:
    """The beginning of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
