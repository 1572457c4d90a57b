"""A model behind HTTP: a real server answers what the model itself says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiktoken

from ssl_lib.config import Settings
from ssl_lib.objectives.model_folder import save_model
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.predictor import load
from ssl_lib.tracking import start_run

ROOT = Path(__file__).parents[1]
TEXT = "The sum of 2 + 3 is"


@pytest.fixture(scope="module")
def project(
    settings: Settings, encoding: tiktoken.Encoding, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with an untrained model that its store knows."""
    root = tmp_path_factory.mktemp("project")
    save_model(root / "model", settings, encoding, build_objectives(settings, encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with start_run(settings, root, "train") as run:
            (root / "model" / "run.json").write_text(json.dumps(run.identity()))
            run.log_model(root / "model")
    return root


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """Where `ssl-lib serve` answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ssl_lib", "serve", "--port", str(port)]
    with (project / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=project, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    wait_for(f"http://127.0.0.1:{port}/ping", process, project / "server.log")
    yield f"http://127.0.0.1:{port}/invocations"
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)


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


def asked(address: str, body: dict[str, Any]) -> Any:
    content = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), content)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
def test_a_served_model_gives_the_embeddings_of_the_model(project: Path, address: str) -> None:
    texts = [TEXT, "Revenue rose 12% to $3.4 million."]
    found = asked(address, {"dataframe_records": [{"text": text} for text in texts]})
    for row, expected in zip(found, load(project / "model").embed(texts).tolist(), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_served_model_says_how_texts_go_on(project: Path, address: str) -> None:
    params = {"task": "next_tokens", "k": 3}
    (found,) = asked(address, {"dataframe_records": [{"text": TEXT}], "params": params})
    expected = load(project / "model").predict_next(TEXT, k=3)
    assert [text for text, _ in found] == [text for text, _ in expected]
    assert [share for _, share in found] == pytest.approx(
        [share for _, share in expected], abs=1e-5
    )


def test_a_model_that_the_store_lacks_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ssl_lib", "serve", "--model", "models:/nobody@champion"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert "models:/nobody@champion is not in" in done.stderr
    assert "Traceback" not in done.stderr
