"""A model behind HTTP: real servers answer what the model itself says."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest
import tiktoken

from ssl_lib.config import Settings
from ssl_lib.objectives.model_folder import save_model
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.predictor import Predictor, load
from ssl_lib.serving import TASKS, TaskError, answers
from ssl_lib.tracking import start_run

ROOT = Path(__file__).parents[1]
TEXTS = ["The sum of 2 + 3 is", "Revenue rose 12%, see A4"]
ASKED: dict[str, dict[str, Any]] = {
    "embed": {}, "next": {"k": 3}, "number": {}, "fill_mask": {"k": 2},
    "denoise": {"threshold": 0.9}, "numbers": {},
}  # fmt: skip


def texts_for(task: str) -> list[str]:
    """Of `fill_mask`, each text needs a mask."""
    return [f"{text} [MASK]" for text in TEXTS] if task == "fill_mask" else TEXTS


@pytest.fixture(scope="module")
def project(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with an untrained model that its store knows."""
    root = tmp_path_factory.mktemp("project")
    # what `ssl-lib ui` reads
    (root / "params.yaml").write_text("seed: 0\n")
    save_model(root / "model", settings, encoding, build_objectives(settings, encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with start_run(settings, root, "train") as run:
            (root / "model" / "run.json").write_text(json.dumps(run.identity()))
            run.log_model(root / "model")
    return root


@pytest.fixture(scope="module")
def model(project: Path) -> Predictor:
    return load(project / "model")


class Canary(mlflow.pyfunc.PythonModel):
    """A model that makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input


@contextmanager
def serving(
    project: Path, *command: str, page: str = "/ping", ended_by: signal.Signals = signal.SIGINT
) -> Iterator[str]:
    """Where a server answers that the command starts, once it does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", *command, "--port", str(port)]
    log = project / f"{command[0]}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            words,
            cwd=project,
            env=environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"},
            stdout=file,
            stderr=file,
            start_new_session=True,
            # a shell that starts the tests in the background lets them ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        wait_for(f"http://127.0.0.1:{port}{page}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        if ended_by == signal.SIGTERM:
            # to the command alone, which must end its children
            process.terminate()
        else:
            os.killpg(process.pid, ended_by)
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """Where `ssl-lib serve` answers."""
    with serving(project, "ssl_lib", "serve") as found:
        yield found


def environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return inherited | {"PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "true"}


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def post(url: str, body: Any) -> tuple[int, Any]:
    """Status and JSON of an answer; `body` may be text that is no JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def close(found: Any, expected: Any) -> bool:
    """Equal, numbers up to what other batches may change."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[k], expected[k]) for k in found)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(close, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5)
    return bool(found == expected)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_answer_of_the_model_is_served(model: Predictor, address: str, task: str) -> None:
    texts = texts_for(task)
    status, found = post(f"{address}/{task}", {"texts": texts} | ASKED[task])
    assert status == 200
    assert close(found["answers"], answers(model, task, texts, **ASKED[task]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("embed", {"texts": [""]}, 400, "an empty text has no embedding; leave it out"),
        ("fill_mask", {"texts": TEXTS}, 400, "the text holds no [MASK]"),
        ("embed", {"texts": [5]}, 422, "texts.0: Input should be a valid string"),
        ("embed", {"texts": []}, 422, "texts: List should have at least 1 item"),
        ("next", {"texts": TEXTS, "k": 0}, 422, "k: Input should be greater than or equal to 1"),
        ("next", {"texts": TEXTS, "kk": 3}, 422, "kk: Extra inputs are not permitted"),
        ("embed", b"{", 422, "JSON decode error"),
        ("embed", {"texts": [None]}, 422, "texts.0: Input should be a valid string"),
        ("embed", {"texts": ["a" * 100_001]}, 422, "texts.0: String should have at most 100000"),
        ("embed", {"texts": ["a"] * 1001}, 422, "texts: List should have at most 1000 items"),
        ("embed", b"[" * 100_000, 400, "the body cannot be read as JSON"),
        ("nothing", {}, 404, "POST /nothing is no route; POST to one of /embed"),
    ],
)
def test_a_mistake_is_one_sentence(
    address: str, path: str, body: Any, status: int, told: str
) -> None:
    found = post(f"{address}/{path}", body)
    assert found[0] == status
    assert list(found[1]) == ["error"]
    assert told in found[1]["error"]
    assert "Traceback" not in found[1]["error"]


def answer_of(address: str, head: str, body: bytes = b"") -> tuple[int, str]:
    """Status and body that a server gives to a request as it is written here."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode().replace(b"\n", b"\r\n") + b"\r\n" + body)
        answer = connection.makefile("rb").read().decode()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Host: example.org", "requests must name 127.0.0.1 or localhost as their host, got 'exa"),
        ("Host: 127.0.0.1.example.org", "requests must name 127.0.0.1 or localhost"),
        ("Host: localhost\nOrigin: http://example.org", "pages of http://example.org must not ask"),
        ("Host: localhost\nOrigin: null", "pages of null must not ask"),
        ("Host: localhost:5001\nOrigin: http://localhost:5001", "ready"),
    ],
)
def test_another_host_and_its_pages_are_refused(address: str, line: str, told: str) -> None:
    status, body = answer_of(address, f"GET /ping HTTP/1.1\n{line}\nConnection: close\n")
    assert told in body
    assert status == (200 if told == "ready" else 403)


@pytest.mark.slow
def test_a_body_without_an_end_is_refused(address: str) -> None:
    head = "POST /embed HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n"
    part = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with suppress(OSError):
        status, body = answer_of(address, head, part * 40)
        assert (status, "a request holds at most 16,000,000 bytes" in body) == (413, True)
    assert post(f"{address}/numbers", {"texts": TEXTS})[0] == 200


@pytest.mark.slow
def test_fifty_clients_at_once_get_their_own_answers(address: str) -> None:
    def one(number: int) -> bool:
        text = f"It rose by {number} percent"
        status, found = post(f"{address}/numbers", {"texts": [text]})
        return status == 200 and [row["value"] for row in found["answers"][0]] == [number]

    with ThreadPoolExecutor(50) as clients:
        assert all(clients.map(one, range(100, 150)))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "ui"])
def test_sigterm_ends_a_server_and_its_children(project: Path, command: str) -> None:
    page = "/ping" if command == "serve" else "/health"
    with serving(project, "ssl_lib", command, page=page, ended_by=signal.SIGTERM) as address:
        port = int(address.rpartition(":")[2])
        # a connection that a browser keeps
        kept = socket.create_connection(("127.0.0.1", port))
    kept.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.slow
def test_a_model_of_another_flavour_is_never_opened(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    # what runs when it is unpickled
    model = Canary(str(canary))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    # MLflow would open the model to see what it imports
    told = {"pip_requirements": [], "registered_model_name": "foreign"}
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model(name="model", python_model=model, **told)
    mlflow.set_tracking_uri(None)
    assert not canary.exists()
    asked = {"serve": f"runs:/{run.info.run_id}/model", "predict": "models:/foreign/1"}
    for command, name in asked.items():
        text = ["The sum is"] if command == "predict" else []
        words = [sys.executable, "-m", "ssl_lib", command, *text, "--model", name]
        done = subprocess.run(
            words, cwd=project, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 1, done.stdout
        assert f"{name} was not stored by ssl_lib" in done.stderr
        assert "Traceback" not in done.stderr
    assert not canary.exists()


@pytest.mark.slow
def test_the_page_of_the_routes_needs_no_other_server(address: str) -> None:
    with urllib.request.urlopen(f"{address}/docs", timeout=60) as answer:
        page = answer.read().decode()
    assert "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        with urllib.request.urlopen(f"{address}/pages/{name}", timeout=60) as answer:
            assert len(answer.read()) > 10_000
    with urllib.request.urlopen(f"{address}/openapi.json", timeout=60) as answer:
        schema = json.load(answer)
    assert {path.lstrip("/") for path in schema["paths"]} == set(TASKS)
    properties = {
        name: set(found["properties"]) for name, found in schema["components"]["schemas"].items()
    }
    assert properties["Next"] == {"texts", "k", "tokens"}
    assert properties["Denoising"] == {"texts", "threshold"}


@pytest.mark.slow
def test_the_scoring_server_of_mlflow_gives_the_same_answers(
    project: Path, model: Predictor
) -> None:
    run_id = json.loads((project / "model" / "run.json").read_text())["run_id"]
    words = "mlflow models serve --env-manager local --host 127.0.0.1 --workers 1 --model-uri"
    with serving(project, *words.split(), f"runs:/{run_id}/model") as address:
        for task in TASKS:
            texts = texts_for(task)
            records = [{"text": text} for text in texts]
            body = {"dataframe_records": records, "params": {"task": task} | ASKED[task]}
            status, found = post(f"{address}/invocations", body)
            assert status == 200, found
            expected = answers(model, task, texts, **ASKED[task])
            assert close(found["predictions"], expected), task
        body = {"dataframe_records": records, "params": {"task": "poem"}}
        status, found = post(f"{address}/invocations", body)
        assert status == 400
        assert "task must be one of embed, next" in found["message"]


def test_a_task_that_no_model_has_is_told(model: Predictor) -> None:
    with pytest.raises(TaskError, match=r"task must be one of embed, next, .* got 'poem'"):
        answers(model, "poem", TEXTS)


def test_a_model_that_the_store_lacks_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ssl_lib", "serve", "--model", "models:/nobody@champion"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert "models:/nobody@champion is not in" in done.stderr
    assert "Traceback" not in done.stderr
