"""What is recorded, and that neither a busy store nor a dead server loses or doubles a point."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssl_lib.config import Settings, load_settings
from ssl_lib.tracking import (
    NullRun,
    Run,
    TrackingError,
    download_model,
    resume_run,
    start_run,
)
from ssl_lib.tracking.outbox import Outbox
from ssl_lib.tracking.store import home_of, store_uri

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def history(run: Run, key: str) -> list[tuple[int, float]]:
    return sorted(
        (point.step, point.value) for point in run._client.get_metric_history(run.run_id, key)
    )


def test_every_point_arrives_with_its_step(tmp_path: Path) -> None:
    with start_run(SETTINGS, tmp_path, "points") as run:
        for step in range(250):
            run.log({"loss.mlm": 1.0 / (step + 1), "loss.ntp": 2.0}, step)
    assert history(run, "loss.mlm") == [(step, 1.0 / (step + 1)) for step in range(250)]
    assert run._client.get_run(run.run_id).info.status == "FINISHED"
    assert (tmp_path / "mlflow.db").exists()


def test_what_is_not_finite_becomes_a_tag_and_no_number(tmp_path: Path) -> None:
    with start_run(SETTINGS, tmp_path, "nan") as run:
        run.log({"loss": 1.0}, 0)
        run.log({"loss": float("inf")}, 1)
        run.log({"loss": float("nan")}, 2)
    assert history(run, "loss") == [(0, 1.0)]
    assert run._client.get_run(run.run_id).data.tags["not_finite.loss"] == "inf at step 1"


def test_settings_are_flat_params_below_the_limit_of_mlflow(tmp_path: Path) -> None:
    settings = SETTINGS.replaced({"corpus.name": "x" * 10_000})
    with start_run(settings, tmp_path, "params") as run:
        run.log_params(settings.model_dump())
    params = run._client.get_run(run.run_id).data.params
    assert params["objectives.contrastive.temperature"] == "0.07"
    assert params["corpus.sources.0.path"] == "built-in"
    assert len(params["corpus.name"]) < 6000


def test_an_error_marks_the_run_failed_and_an_interrupt_killed(tmp_path: Path) -> None:
    for error, status in ((ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        with pytest.raises(error), start_run(SETTINGS, tmp_path, "broken") as run:
            raise error
        assert run._client.get_run(run.run_id).info.status == status


def test_children_of_threads_belong_to_their_parent_and_do_not_mix(tmp_path: Path) -> None:
    runs: list[Run] = []

    def work(parent: Run, number: int) -> None:
        with parent.child(f"trial {number}") as child:
            for step in range(30):
                child.log({"loss": float(number)}, step)
        assert isinstance(child, Run)
        runs.append(child)

    with start_run(SETTINGS, tmp_path, "study") as parent:
        threads = [threading.Thread(target=work, args=(parent, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(runs) == 4
    for run in runs:
        stored = run._client.get_run(run.run_id)
        assert stored.data.tags["mlflow.parentRunId"] == parent.run_id
        number = float(stored.info.run_name.split()[1])
        assert history(run, "loss") == [(step, number) for step in range(30)]


def test_corpus_lineage_is_the_digest_of_dvc_when_there_is_one(tmp_path: Path) -> None:
    with start_run(SETTINGS, tmp_path, "without") as run:
        run.log_corpus({"tokens": 1})
    assert len(run._client.get_run(run.run_id).inputs.dataset_inputs[0].dataset.digest) == 36
    md5 = "0123456789abcdef0123456789abcdef.dir"
    output = f"    - path: data/tokenized\n      md5: {md5}\n"
    lock = f"schema: '2.0'\nstages:\n  tokenize:\n    outs:\n{output}"
    (tmp_path / "dvc.lock").write_text(lock)
    with start_run(SETTINGS, tmp_path, "with") as run:
        run.log_corpus({"tokens": 1})
    stored = run._client.get_run(run.run_id)
    assert (stored.inputs.dataset_inputs[0].dataset.digest, stored.data.tags["corpus.digest"]) == (
        md5,
        md5,
    )


def test_pictures_and_folders_are_stored(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("<p>")
    (tmp_path / "loss.png").write_bytes(b"png")
    with start_run(SETTINGS, tmp_path, "files") as run:
        run.log_figure(tmp_path / "loss.png")
        run.log_artifact(tmp_path / "report", "report")
    assert [file.path for file in run._client.list_artifacts(run.run_id, "figures")] == [
        "figures/loss.png"
    ]
    assert [file.path for file in run._client.list_artifacts(run.run_id, "report")] == [
        "report/index.html"
    ]


def saved_model(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_registered_model_comes_back_by_its_names(tmp_path: Path) -> None:
    runs = []
    for number in range(2):
        with start_run(SETTINGS, tmp_path, f"run {number}") as run:
            run.log_model(saved_model(tmp_path / f"model{number}", bytes([number])))
        runs.append(run)
    for number, run in enumerate(runs):
        for name in (f"models:/ssl-lib/{number + 1}", f"runs:/{run.run_id}/model"):
            weights = download_model(name, tmp_path) / "model.safetensors"
            assert weights.read_bytes() == bytes([number])
    with pytest.raises(TrackingError, match="models:/nobody/1 is not in"):
        download_model("models:/nobody/1", tmp_path)


def test_stored_model_holds_code_and_no_pickle(tmp_path: Path) -> None:
    with start_run(SETTINGS, tmp_path, "model") as run:
        run.log_model(saved_model(tmp_path / "model", b"weights"))
    folder = download_model(f"runs:/{run.run_id}/model", tmp_path).parents[1]
    names = {path.name for path in folder.rglob("*")}
    assert {"MLmodel", "text_model.py", "model.safetensors", "cli.py"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pyc"))]


def test_resumed_run_is_the_same_run(tmp_path: Path) -> None:
    with start_run(SETTINGS, tmp_path, "train") as run:
        run.log({"loss": 1.0}, 0)
    with resume_run(SETTINGS, tmp_path, run.run_id, "evaluate") as again:
        again.log({"downstream.accuracy": 0.9}, 0)
    assert again.run_id == run.run_id
    assert history(run, "downstream.accuracy") == [(0, 0.9)]
    with resume_run(SETTINGS, tmp_path, "0" * 32, "evaluate") as other:
        assert other.run_id != run.run_id


def test_null_run_offers_everything_that_a_run_offers() -> None:
    public = {name for name in vars(Run) if not name.startswith("_")} | {"run_id"}
    assert public <= set(dir(NullRun))
    with NullRun().child("x") as run:
        run.log({"loss": 1.0}, 0)


def test_default_store_is_absolute_and_outlives_the_copy_of_a_dvc_experiment(
    tmp_path: Path,
) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"
    copy.mkdir(parents=True)
    assert home_of(copy) == tmp_path
    assert store_uri(SETTINGS, copy) == f"sqlite:///{tmp_path}/mlflow.db"
    relative = SETTINGS.replaced({"tracking.uri": "sqlite:///runs/all.db"})
    assert store_uri(relative, copy) == f"sqlite:///{tmp_path}/runs/all.db"


def test_four_processes_may_create_the_same_store(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ssl_lib.config import Settings; from ssl_lib.tracking import start_run\n"
        "with start_run(Settings(), Path(sys.argv[1]), 'p' + sys.argv[2]) as run:\n"
        "    run.log({'loss': 1.0}, 0)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(number)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    with start_run(SETTINGS, tmp_path, "fifth") as run:
        stored = run._client.search_runs([run.experiment_id])
    assert {found.info.run_name for found in stored} == {"p0", "p1", "p2", "p3", "fifth"}


def test_outbox_is_bounded_and_survives_a_torn_line(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "run.jsonl", limit_bytes=1000)
    points = [
        {"kind": "metric", "key": "loss", "value": 1.0, "step": step, "time": 0}
        for step in range(100)
    ]
    dropped = outbox.append(points)
    assert 0 < dropped < 100
    assert outbox.append([{"kind": "status", "value": "FINISHED", "time": 0}]) == 0
    with outbox.path.open("ab") as file:
        file.write(b'{"kind": "met')
    seen: list[dict] = []
    assert outbox.replay(seen.extend) == 101 - dropped
    assert seen[-1]["kind"] == "status"
    assert outbox.replay(seen.extend) == 0


def test_outbox_keeps_what_could_not_be_sent(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "run.jsonl")
    outbox.append([{"kind": "tag", "key": "a", "value": "b"}])

    def away(_: list[dict]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        outbox.replay(away)
    assert outbox.replay(lambda _: None) == 1


class Server:
    """A real MLflow server on a free loopback port, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "files")]
        environment = os.environ | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "DO_NOT_TRACK": "true",
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()

    def _wait(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
def test_server_killed_in_the_middle_loses_and_doubles_nothing(
    tmp_path: Path, server: Server
) -> None:
    settings = SETTINGS.replaced({"tracking.uri": server.uri})
    run = start_run(settings, tmp_path, "long")
    for step in range(150):
        run.log({"loss": float(step)}, step)
    server.kill()
    started = time.monotonic()
    for step in range(150, 600):
        run.log({"loss": float(step)}, step)
    run.log_artifact(saved_model(tmp_path / "files", b"x"), "late")
    run.finish()
    assert time.monotonic() - started < 60
    with pytest.raises(TrackingError, match=r"tracking\.uri"):
        start_run(settings, tmp_path, "while away")
    server.start()
    with start_run(settings, tmp_path, "next") as following:
        pass
    points = following._client.get_metric_history(run.run_id, "loss")
    assert sorted(point.step for point in points) == list(range(600))
    assert following._client.get_run(run.run_id).info.status == "FINISHED"
    assert following._client.list_artifacts(run.run_id, "late")
    assert not list((tmp_path / ".ssl_lib" / "outbox").rglob("*.jsonl"))


@pytest.mark.slow
def test_server_that_comes_back_during_the_run_gets_everything_once(
    tmp_path: Path, server: Server
) -> None:
    run = start_run(SETTINGS.replaced({"tracking.uri": server.uri}), tmp_path, "long")
    server.kill()
    for step in range(300):
        run.log({"loss": float(step)}, step)
    server.start()
    run._retry_at = 0.0
    for step in range(300, 400):
        run.log({"loss": float(step)}, step)
    run.finish()
    points = run._client.get_metric_history(run.run_id, "loss")
    assert sorted(point.step for point in points) == list(range(400))


def test_settings_of_the_repository_use_the_default_store() -> None:
    assert load_settings(Path(__file__).parents[1] / "params.yaml").tracking.uri == ""
