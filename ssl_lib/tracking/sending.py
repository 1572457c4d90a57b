"""From operations to calls of MLflow, each of which may be repeated without harm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_lib.config import Settings
from ssl_lib.files import sha256_of
from ssl_lib.tracking.spool import Operation
from ssl_lib.tracking.store import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_POINTS = 100  # the most params that MLflow takes at once; of points it takes 1,000
_global_uri = threading.Lock()  # storing a model reads MLflow's one global tracking URI
_log = logging.getLogger(__name__)


def send(
    client: MlflowClient, settings: Settings, run_id: str, operations: list[Operation]
) -> None:
    """Apply operations to a run. Every one may be applied twice without harm; one that MLflow refuses is dropped.

    Raises MlflowException or OSError if the server does not answer.
    """
    from mlflow.entities import Metric, Param, RunTag

    kinds: dict[str, list[Operation]] = {}
    for operation in operations:
        kinds.setdefault(operation["kind"], []).append(operation)
    points = [
        Metric(one["key"], one["value"], one["time"], one["step"])
        for one in kinds.pop("metric", [])
    ]
    params = [Param(one["key"], one["value"]) for one in kinds.pop("param", [])]
    tags = [RunTag(one["key"], one["value"]) for one in kinds.pop("tag", [])]
    for first in range(0, max(len(points), len(params), len(tags)), BATCH_POINTS):
        part = slice(first, first + BATCH_POINTS)
        with _refused_is_dropped(run_id):
            client.log_batch(run_id, metrics=points[part], params=params[part], tags=tags[part])
    for one in [one for several in kinds.values() for one in several]:
        with _refused_is_dropped(run_id):
            _send_one(client, settings, run_id, one)


def _send_one(client: MlflowClient, settings: Settings, run_id: str, one: Operation) -> None:
    if one["kind"] == "status":
        client.set_terminated(run_id, one["value"], one["time"])
    elif one["kind"] == "corpus":
        _send_corpus(client, run_id, one["name"], one["digest"])
    elif not Path(one["path"]).exists():
        _log.warning("%s is gone and cannot be stored with run %s", one["path"], run_id)
    elif one["kind"] == "model":
        _send_model(client, settings, run_id, one)
    elif Path(one["path"]).is_dir():
        client.log_artifacts(run_id, one["path"], one["folder"])
    else:
        client.log_artifact(run_id, one["path"], one["folder"])


def _send_corpus(client: MlflowClient, run_id: str, name: str, digest: str) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    dataset = MetaDataset(CodeDatasetSource({"stage": "tokenize"}), name=name, digest=digest)
    entity = DatasetInput(
        dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")]
    )
    client.log_inputs(run_id, [entity])


@contextmanager
def _refused_is_dropped(run_id: str) -> Iterator[None]:
    """Drop what the store has understood and refuses, such as points of a deleted run: trying again changes nothing."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        status = error.get_http_status_code()
        if not 400 <= status < 500 or status in (408, 429):
            raise
        _log.warning("MLflow refuses figures of run %s: %s", run_id, first_line(error))


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model's weights, empty where there are none."""
    weights = folder / "model.safetensors"
    return sha256_of(weights) if weights.exists() else ""


def _send_model(client: MlflowClient, settings: Settings, run_id: str, one: Operation) -> None:
    """Store and register; weights that have changed since belong to another run and are left out."""
    folder = Path(one["path"])
    if weights_digest(folder) != one["digest"]:
        _log.warning("%s holds another model by now and is not stored with run %s", folder, run_id)
        return
    experiment_id = client.get_run(run_id).info.experiment_id
    found = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    _log_pyfunc(client.tracking_uri, run_id, found.model_id, folder)
    _register(client, settings.tracking.registered_model, f"models:/{found.model_id}", run_id)


def _log_pyfunc(uri: str, run_id: str, model_id: str, folder: Path) -> None:
    import warnings

    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    package = Path(__file__).parents[1]
    inputs = Schema([ColSpec("string", "text")])
    signature = ModelSignature(
        inputs, None, ParamSchema([ParamSpec("task", "string", "embed"), ParamSpec("k", "long", 5)])
    )
    with _global_uri, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # advice about type hints and input examples, which the signature replaces
        mlflow.set_tracking_uri(uri)
        Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            model_id=model_id,
            name="model",
            python_model=str(package / "tracking" / "text_model.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(package)],
            signature=signature,
            pip_requirements=_requirements(),
        )


def _register(client: MlflowClient, name: str, source: str, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(name, source, run_id)


def _requirements() -> list[str]:
    from importlib.metadata import version

    names = ("torch", "tiktoken", "numpy", "pydantic", "ruamel.yaml", "safetensors")
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]
