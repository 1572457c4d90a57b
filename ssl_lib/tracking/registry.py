"""Registered models: who is the champion, and how to get one back."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_lib.config import Settings, load_settings
from ssl_lib.errors import MissingExtraError
from ssl_lib.tracking.store import TrackingError, connect, failures, first_line, first_touch

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
_log = logging.getLogger(__name__)


def promote(settings: Settings, root: Path, run_id: str, metric: str = "downstream") -> bool:
    """Make the model of a run the champion if `metrics/evaluation.json` shows it better than the present champion.

    `metric` is a dotted key of that file, smaller being better below `losses`; `downstream` alone is the mean of
    `after` over the downstream tasks. Returns whether the alias moved; without a registered model,
    and without MLflow, it stays.
    """
    try:
        client, name = connect(settings, root), settings.tracking.registered_model
    except MissingExtraError:
        return False
    value = _metric(
        json.loads((root / "metrics" / "evaluation.json").read_text(encoding="utf-8")), metric
    )
    tag = f"evaluation.{metric}"
    try:
        with first_touch(root):
            versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
            if not versions:
                return False
            version = max(versions, key=lambda found: int(found.version)).version
            client.set_model_version_tag(name, version, tag, repr(value))
            if not _better(value, _champion_value(client, name, tag), metric):
                return False
            client.set_registered_model_alias(name, CHAMPION, version)
    except failures() as error:
        _log.warning("The champion stays as it is: MLflow does not answer (%s)", first_line(error))
        return False
    return True


def download_model(uri: str, root: Path | None = None) -> Path:
    """The folder that `ssl_lib.load` reads, for `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/ID/model`.

    The store is the one of `params.yaml` in `root` (default: the current folder). Raises TrackingError if there is no
    such model.
    """
    import mlflow

    root = (root or Path.cwd()).resolve()
    settings = _settings_of(root)
    store = connect(settings, root).tracking_uri
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=store))
    except failures() as error:
        raise TrackingError(
            f"{uri} is not in {store} ({first_line(error)}); see the names with `ssl-lib ui`"
        ) from None
    for config in folder.glob("artifacts/*/config.json"):
        return config.parent
    raise TrackingError(
        f"{uri} was not stored by ssl_lib; name a model that `train` has registered"
    )


def serve_model(name: str, root: Path, port: int = 5001) -> None:
    """Answer requests to a model on 127.0.0.1 with MLflow's scoring server until interrupted.

    `name` is a folder that `train` has written, or what `download_model` takes. Raises TrackingError if there is no
    such model in the store, or if the server cannot start.
    """
    run = root / name / "run.json"
    uri = (
        f"runs:/{json.loads(run.read_text(encoding='utf-8'))['run_id']}/model"
        if run.exists()
        else name
    )
    if uri.startswith("runs://"):
        raise TrackingError(
            f"{name} was trained without a store; train it again, or name a registered model"
        )
    download_model(uri, root)  # says in one sentence what is missing
    settings = _settings_of(root)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "--model-uri",
        uri,
        "--env-manager",
        "local",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": connect(settings, root).tracking_uri}
    print(f"http://127.0.0.1:{port}/invocations  (Ctrl-C ends it)", flush=True)
    status = subprocess.run(command, env=environment, check=False).returncode
    if status:
        raise TrackingError(
            f"the server ended with status {status}; is port {port} free? Choose another with --port"
        )


def _settings_of(root: Path) -> Settings:
    """Those of the project in a folder, else the defaults."""
    path = root / "params.yaml"
    return load_settings(path) if path.exists() else Settings()


def _champion_value(client: MlflowClient, name: str, tag: str) -> float | None:
    from mlflow.exceptions import MlflowException

    try:
        value = client.get_model_version_by_alias(name, CHAMPION).tags.get(tag)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        return None
    return None if value is None else float(value)


def _better(value: float, champion: float | None, metric: str) -> bool:
    if champion is None:
        return math.isfinite(value)
    return value < champion if metric.startswith("losses.") else value > champion


def _metric(evaluation: dict[str, Any], metric: str) -> float:
    if metric == "downstream":
        values = [float(task["after"]) for task in evaluation["downstream"].values()]
        return sum(values) / len(values)
    node: Any = evaluation
    for part in metric.split("."):
        node = node[part]
    return float(node)
