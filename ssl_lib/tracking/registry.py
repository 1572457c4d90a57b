"""Registered models: who is the champion, how to get one back, and to serve it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ssl_lib.config import Settings, project_settings
from ssl_lib.tracking.store import (
    DECISION,
    TrackingError,
    connect,
    failures,
    first_line,
    first_touch,
    global_store,
    http_status,
    unusable,
)

CHAMPION = "champion"
DECISION_TIME = "%Y-%m-%dT%H-%M-%S.%f"  # of its tag, and the name of its file


class Registered(NamedTuple):
    """A registered model: its version, and the run that trained it."""

    version: str
    run_id: str


def find_champion(settings: Settings, root: Path) -> Registered | None:
    """The model that `models:/NAME@champion` means, if there is one. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    client = connect(settings, root)
    try:
        name = settings.tracking.registered_model
        found = client.get_model_version_by_alias(name, CHAMPION)
    except failures() as error:
        # below 500: there is no such name, or no champion yet
        if isinstance(error, MlflowException) and http_status(error) < 500:
            return None
        raise unusable(client.tracking_uri, error) from None
    return Registered(str(found.version), found.run_id or "")


def find_registered(settings: Settings, root: Path, run_id: str) -> Registered | None:
    """The registered model of a run, if it has one. Raises TrackingError."""
    client = connect(settings, root)
    name = settings.tracking.registered_model
    try:
        with first_touch(root):
            versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None
    if not versions:
        return None
    # a model that was sent twice has two versions
    newest = max(versions, key=lambda found: int(found.version))
    return Registered(str(newest.version), run_id)


def record_decision(
    settings: Settings, root: Path, model: Registered, decision: dict[str, Any]
) -> None:
    """Move the name of the champion if `promoted`, and keep the decision with its `reason`.

    The run and the registered version get them as tags, and the run the whole decision as a file in
    `decisions/`, so that earlier ones stay. Raises TrackingError.
    """
    client = connect(settings, root)
    name = settings.tracking.registered_model
    outcome = "promoted" if decision["promoted"] else "not promoted"
    when = datetime.now(UTC).strftime(DECISION_TIME)
    reason = decision["reason"]
    tags = {DECISION: outcome, f"{DECISION}.reason": reason, f"{DECISION}.time": when}
    content = json.dumps(decision, indent=2, ensure_ascii=False) + "\n"
    try:
        if decision["promoted"]:
            client.set_registered_model_alias(name, CHAMPION, model.version)
        for key, value in tags.items():
            client.set_tag(model.run_id, key, value)
            client.set_model_version_tag(name, model.version, key, value)
        client.log_text(model.run_id, content, f"decisions/{when}.json")
    except failures() as error:
        raise unusable(client.tracking_uri, error) from None


def download_model(uri: str, root: Path | None = None) -> Path:
    """The folder that `ssl_lib.load` reads, of a model that the store holds.

    `uri` is `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/ID/model`. The store is the one
    of `params.yaml` in `root` (default: the current folder). Raises TrackingError if there is no
    such model.
    """
    root = (root or Path.cwd()).resolve()
    store = connect(project_settings(root), root).tracking_uri
    import mlflow

    try:
        with global_store(store):
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
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
