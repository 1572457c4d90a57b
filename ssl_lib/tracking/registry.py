"""Registered models: who is the champion, how to get one back, and to serve it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from ssl_lib.config import Settings, load_settings
from ssl_lib.errors import MissingExtraError
from ssl_lib.tracking.store import (
    TrackingError,
    connect,
    failures,
    first_line,
    first_touch,
    http_status,
    run_mlflow,
)

CHAMPION = "champion"
SCORE_TAG = "evaluation.downstream"
_log = logging.getLogger(__name__)


def promote(settings: Settings, root: Path, run_id: str, tasks: Sequence[str]) -> bool:
    """Make the model of a run the champion, if it is better than the present one.

    Better is the higher mean of `after` over these downstream tasks of `metrics/evaluation.json`.
    Returns whether the alias moved; without a registered model, and without MLflow, it stays.
    """
    path = root / "metrics" / "evaluation.json"
    downstream = json.loads(path.read_text(encoding="utf-8"))["downstream"]
    results = [float(downstream[task]["after"]) for task in tasks]
    score = sum(results) / len(results)
    name = settings.tracking.registered_model
    try:
        client = connect(settings, root)
    except MissingExtraError:
        return False
    from mlflow.exceptions import MlflowException

    try:
        with first_touch(root):
            versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
            if not versions:
                return False
            # a model that was sent twice has two versions
            version = max(versions, key=lambda found: int(found.version)).version
            client.set_model_version_tag(name, version, SCORE_TAG, repr(score))
            # without a champion, or one that has no score, every finite score is the best
            best = -math.inf
            try:
                champion = client.get_model_version_by_alias(name, CHAMPION)
                best = float(champion.tags.get(SCORE_TAG, best))
            except MlflowException as error:
                # below 500: there is no champion yet
                if http_status(error) >= 500:
                    raise
            if not best < score < math.inf:
                return False
            client.set_registered_model_alias(name, CHAMPION, version)
    except failures() as error:
        _log.warning("The champion stays as it is: MLflow does not answer (%s)", first_line(error))
        return False
    return True


def download_model(uri: str, root: Path | None = None) -> Path:
    """The folder that `ssl_lib.load` reads, of a model that the store holds.

    `uri` is `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/ID/model`. The store is the one
    of `params.yaml` in `root` (default: the current folder). Raises TrackingError if there is no
    such model.
    """
    root = (root or Path.cwd()).resolve()
    store = connect(_settings_of(root), root).tracking_uri
    import mlflow

    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=store))
    except failures() as error:
        raise TrackingError(
            f"{uri} is not in {store} ({first_line(error)}); see the names with `ssl-lib ui`"
        ) from None
    # `train` stores the model folder below the MLflow model: artifacts/model/config.json
    for config in folder.glob("artifacts/*/config.json"):
        return config.parent
    raise TrackingError(
        f"{uri} was not stored by ssl_lib; name a model that `train` has registered"
    )


def serve_model(name: str, root: Path, port: int = 5001) -> None:
    """Answer requests to a model on 127.0.0.1 with MLflow's scoring server until interrupted.

    `name` is a folder that `train` has written, or what `download_model` takes. Raises
    TrackingError if there is no such model in the store, or if the server cannot start.
    """
    run, uri = root / name / "run.json", name
    if run.exists():
        run_id = json.loads(run.read_text(encoding="utf-8"))["run_id"]
        if not run_id:
            raise TrackingError(
                f"{name} was trained without a store; train it again, or name a registered model"
            )
        uri = f"runs:/{run_id}/model"
    download_model(uri, root)  # says in one sentence what is missing
    store = connect(_settings_of(root), root).tracking_uri
    print(f"http://127.0.0.1:{port}/invocations  (Ctrl-C ends it)", flush=True)
    status = run_mlflow(
        *"models serve --env-manager local --host 127.0.0.1 --workers 1".split(),
        *("--port", str(port), "--model-uri", uri),
        MLFLOW_TRACKING_URI=store,
    )
    if status:
        raise TrackingError(
            f"the server ended with status {status}; "
            f"is port {port} free? Choose another with --port"
        )


def _settings_of(root: Path) -> Settings:
    """Those of the project in a folder, else the defaults."""
    path = root / "params.yaml"
    return load_settings(path) if path.exists() else Settings()
