"""What a run sends to MLflow: each operation may be repeated, and waits while the store is away."""

from __future__ import annotations

import json
import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ssl_lib.config import Settings
from ssl_lib.files import sha256_of
from ssl_lib.tracking.store import first_line, global_store, http_status

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH_SIZE = 100  # the most params that MLflow takes at once; of points it takes 1,000
EXAMPLE = ["The sum of 2 + 3 is", "Revenue rose 12% to"]
# {"kind": "metric", "key": "train/mlm", "value": 2.5, "step": 10, "time": 1764262800000}
Operation = dict[str, Any]
_log = logging.getLogger(__name__)


class Outbox:
    """A file of operations on one run, one JSON object a line, in the order of their happening.

    Above `limit_bytes` further metric points are dropped (about 400,000 fit by default); tags,
    params, files and the final status always find room. Appending and replaying hold a file lock,
    so that processes may share one outbox.
    """

    def __init__(self, path: Path, limit_bytes: int = 50_000_000) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self._lock = FileLock(path.with_suffix(".lock"))

    def append(self, operations: Iterable[Operation]) -> int:
        """Add operations at the end; returns how many metric points found no room."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        dropped = 0
        with self._lock, self.path.open("ab") as file:
            size = file.seek(0, 2)
            for operation in operations:
                line = json.dumps(operation, ensure_ascii=False).encode() + b"\n"
                if operation["kind"] == "metric" and size + len(line) > self.limit_bytes:
                    dropped += 1
                else:
                    size += file.write(line)
        return dropped

    def replay(self, send: Callable[[list[Operation]], None]) -> int:
        """Hand all operations to `send`, forget them once it has returned; returns their number.

        An error of `send` passes through and leaves the file whole: the next replay sends
        everything again. Points keep the time at which they were logged, and by it MLflow knows a
        point that it has already.
        """
        if not self.path.exists():
            return 0
        with self._lock:
            # another process may have replayed it while this one waited
            content = self.path.read_bytes() if self.path.exists() else b""
            # what stands after the last newline was cut off by a kill
            lines = content.split(b"\n")[:-1]
            operations: list[Operation] = [json.loads(line) for line in lines if line]
            if operations:
                send(operations)
            self.path.unlink(missing_ok=True)
        return len(operations)


def send(
    client: MlflowClient, settings: Settings, run_id: str, operations: list[Operation]
) -> None:
    """Apply operations to a run; applied twice they do no harm, one that MLflow refuses is dropped.

    Raises MlflowException or OSError if the server does not answer.
    """
    from mlflow.entities import Metric, Param, RunTag

    kinds: dict[str, list[Operation]] = defaultdict(list)
    for one in operations:
        kinds[one["kind"]].append(one)
    points = [
        Metric(one["key"], one["value"], one["time"], one["step"])
        for one in kinds.pop("metric", [])
    ]
    params = [Param(one["key"], one["value"]) for one in kinds.pop("param", [])]
    tags = [RunTag(one["key"], one["value"]) for one in kinds.pop("tag", [])]
    # metrics, params and tags go together, up to BATCH_SIZE of each at once
    for first in range(0, max(len(points), len(params), len(tags)), BATCH_SIZE):
        part = slice(first, first + BATCH_SIZE)
        with _refused_is_dropped(run_id):
            client.log_batch(run_id, metrics=points[part], params=params[part], tags=tags[part])
    for several in kinds.values():
        for one in several:
            with _refused_is_dropped(run_id):
                _send_one(client, settings, run_id, one)


@contextmanager
def _refused_is_dropped(run_id: str) -> Iterator[None]:
    """Drop what the store understands and refuses, such as points of a deleted run.

    Trying again would change nothing.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        # 408 and 429 ask to try again later
        if not 400 <= http_status(error) < 500 or http_status(error) in (408, 429):
            raise
        _log.warning("MLflow refuses metrics of run %s: %s", run_id, first_line(error))


def _send_one(client: MlflowClient, settings: Settings, run_id: str, one: Operation) -> None:
    """Apply one operation that goes neither with others nor into a batch."""
    if one["kind"] == "status":
        client.set_terminated(run_id, one["value"], one["time"])
    elif one["kind"] == "corpus":
        _send_corpus(client, run_id, one)
    elif one["kind"] == "card":
        name = settings.tracking.registered_model
        for version in client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"):
            client.update_model_version(name, version.version, one["text"])
    elif not Path(one["path"]).exists():
        _log.warning("%s is gone and cannot be stored with run %s", one["path"], run_id)
    elif one["kind"] == "model":
        _send_model(client, settings, run_id, one)
    elif Path(one["path"]).is_dir():
        client.log_artifacts(run_id, one["path"], one["folder"])
    else:
        client.log_artifact(run_id, one["path"], one["folder"])


def _send_corpus(client: MlflowClient, run_id: str, one: Operation) -> None:
    """Name one state of the corpus as a data set of the run, with its source and digest."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = CodeDatasetSource(one["source"])
    dataset = Dataset(one["name"], one["digest"], "code", source.to_json())
    context = InputTag("mlflow.data.context", one["context"])
    client.log_inputs(run_id, [DatasetInput(dataset, [context])])


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model's weights, empty where there are none."""
    weights = folder / "model.safetensors"
    return sha256_of(weights) if weights.exists() else ""


def _send_model(client: MlflowClient, settings: Settings, run_id: str, one: Operation) -> None:
    """Store and register; weights that have changed since belong to another run, and stay out."""
    from mlflow.exceptions import MlflowException

    folder = Path(one["path"])
    if weights_digest(folder) != one["digest"]:
        _log.warning("%s holds another model by now and is not stored with run %s", folder, run_id)
        return
    experiment_id = client.get_run(run_id).info.experiment_id
    found = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    _log_pyfunc(client.tracking_uri, run_id, found.model_id, folder)
    # the name is made by the first model that gets it
    name = settings.tracking.registered_model
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # a server takes a source of this kind from the model's own id alone
    source = f"models:/{found.model_id}"
    client.create_model_version(name, source, run_id, model_id=found.model_id)


def _log_pyfunc(uri: str, run_id: str, model_id: str, folder: Path) -> None:
    """Store text_model.py, a copy of this package and the model folder: code, and no pickle."""
    from importlib.metadata import version

    import mlflow
    import pandas
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    package = Path(__file__).parents[1]
    inputs = Schema([ColSpec("string", "text")])
    anything: Any = AnyType  # which has no types of its own
    outputs = Schema([ColSpec(anything(), "answer")])  # one for each text, as its task gives it
    params = ParamSchema(
        [
            ParamSpec("task", "string", "embed"),
            ParamSpec("k", "long", 5),
            ParamSpec("threshold", "double", -1.0),
            ParamSpec("tokens", "boolean", False),
        ]
    )
    example = pandas.DataFrame({"text": EXAMPLE})
    required = "torch tiktoken numpy pydantic ruamel.yaml safetensors".split()
    with global_store(uri), warnings.catch_warnings():
        # advice about type hints, which the signature replaces
        warnings.simplefilter("ignore")
        Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            model_id=model_id,
            name="model",
            python_model=str(package / "tracking" / "text_model.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(package)],
            signature=ModelSignature(inputs, outputs, params),
            input_example=(example, {"task": "number"}),
            # versions without a local part: "2.13.0" of "2.13.0+cpu"
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in required],
        )
