"""What is recorded, and that neither a busy store nor a dead server loses or doubles a point."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool

from ssl_lib.config import Settings, load_settings
from ssl_lib.tracking import (
    NullRun,
    Run,
    TrackingError,
    download_model,
    missing_runs,
    read_artifact,
    read_runs,
    resume_run,
    start_run,
    sync,
    trained_run,
)
from ssl_lib.tracking.describe import git, run_name
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


def test_raw_and_tokenized_corpus_are_data_sets_with_the_digests_of_dvc(tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "raw" / "manifest.json").write_text("{}")
    with start_run(SETTINGS, tmp_path, "train") as run:
        run.log_corpus({"tokens": 1})
    found = datasets(run)
    assert {name: len(digest) for name, (digest, _) in found.items()} == {
        "raw": 36, "tokenized": 36,
    }  # fmt: skip
    lines = ["schema: '2.0'", "stages:"]
    digests = {}
    for number, (stage, folder) in enumerate((("corpus", "raw"), ("tokenize", "tokenized"))):
        digests[folder] = f"{number}123456789abcdef0123456789abcdef.dir"
        output = f"    - path: data/{folder}\n      md5: {digests[folder]}"
        lines += [f"  {stage}:", "    outs:", output]
    (tmp_path / "dvc.lock").write_text("\n".join(lines))
    with start_run(SETTINGS, tmp_path, "train") as run:
        run.log_corpus({"tokens": 1})
    found = datasets(run)
    assert {name: digest for name, (digest, _) in found.items()} == digests
    assert "built-in" in found["raw"][1]
    tags = run._client.get_run(run.run_id).data.tags
    assert (tags["corpus.raw"], tags["corpus.digest"]) == tuple(digests.values())


def datasets(run: Run) -> dict[str, tuple[str, str]]:
    """Digest and source of a run's data sets, by what they are."""
    found = {}
    for one in run._client.get_run(run.run_id).inputs.dataset_inputs:
        (context,) = (tag.value for tag in one.tags if tag.key == "mlflow.data.context")
        found[context] = (one.dataset.digest, one.dataset.source)
    return found


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
    ended = run._client.get_run(run.run_id).info.end_time
    time.sleep(0.01)
    with resume_run(SETTINGS, tmp_path, run.run_id, "train") as again:
        again.log({"downstream.accuracy": 0.9}, 0)
    assert again.run_id == run.run_id
    assert history(run, "downstream.accuracy") == [(0, 0.9)]
    # its duration is that of training, without what came after
    info = run._client.get_run(run.run_id).info
    assert (info.status, info.end_time) == ("FINISHED", ended)
    with resume_run(SETTINGS, tmp_path, "0" * 32, "train") as other:
        assert other.run_id != run.run_id


def test_a_copied_project_writes_into_its_own_folder(tmp_path: Path) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    first.mkdir()
    (first / "note.txt").write_text("first")
    with start_run(SETTINGS, first, "train") as run:
        run.log_artifact(first / "note.txt")
        run.log_model(saved_model(first / "model", b"weights"))
    shutil.copytree(first, copy)
    shutil.rmtree(first)
    for name in (f"runs:/{run.run_id}/model", "models:/ssl-lib/1"):
        folder = download_model(name, copy)
        assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert read_artifact(SETTINGS, copy, run.run_id, "note.txt") == b"first"
    with start_run(SETTINGS, copy, "train") as own:
        own.log_artifact(copy / "note.txt")
    assert not first.exists()
    assert list((copy / "mlartifacts" / own.run_id).rglob("note.txt"))
    assert own.identity()["tracking_uri"] == "sqlite:///mlflow.db"


def test_a_project_without_runs_says_so(tmp_path: Path) -> None:
    assert "There are no runs here" in missing_runs(SETTINGS, tmp_path)
    assert missing_runs(SETTINGS.replaced({"tracking.uri": "http://127.0.0.1:1"}), tmp_path) == ""
    with start_run(SETTINGS, tmp_path, "train"):
        pass
    assert missing_runs(SETTINGS, tmp_path) == ""


def committed(root: Path) -> str:
    """The id of a commit with the default settings."""
    text = json.dumps(SETTINGS.model_dump())  # JSON is YAML
    (root / "params.yaml").write_text(text)
    author = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    return git(root, "rev-parse", "HEAD")


def test_runs_are_called_by_what_they_differ_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert run_name(SETTINGS, tmp_path, "train") == "train"
    commit = committed(tmp_path)
    assert run_name(SETTINGS, tmp_path, "train") == f"built-in {commit[:7]}"
    changed = SETTINGS.replaced({"objectives.mlm.weight": 0.5, "training.steps": 500, "seed": 3})
    assert run_name(changed, tmp_path, "train") == "seed=3 mlm.weight=0.5 steps=500"
    with start_run(changed, tmp_path, "train") as run:
        pass
    stored = run._client.get_run(run.run_id)
    assert stored.info.run_name == "seed=3 mlm.weight=0.5 steps=500"
    tags = stored.data.tags
    assert (tags["stage"], tags["corpus"], tags["dvc.revision"]) == ("train", "built-in", commit)
    assert run._client.get_experiment(run.experiment_id).name == "ssl-lib/train"
    losses = "%22%2C%22train%2F".join(changed.trained())
    assert f"plot_metric_keys=%5B%22train%2F{losses}%22%5D" in tags["mlflow.note.content"].replace(
        "%2C%20", "%2C"
    )
    monkeypatch.setenv("DVC_EXP_NAME", "brave-otter")
    assert run_name(changed, tmp_path, "train") == "brave-otter"


def test_a_search_and_the_training_that_used_it_name_each_other(tmp_path: Path) -> None:
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "best.yaml").write_text("{}")
    with start_run(SETTINGS, tmp_path, "tune") as search:
        search.log_tuning(tmp_path / "tuning")
    with start_run(SETTINGS, tmp_path, "train") as run:
        run.link_tuning(tmp_path / "tuning")
        run.link_tuning(tmp_path / "nothing")
    tags = run._client.get_run(run.run_id).data.tags
    assert tags["tuning.run_id"] == search.run_id
    assert search.run_id in tags["mlflow.note.content"]
    assert run._client.get_run(search.run_id).data.tags["train.run_id"] == run.run_id
    (tmp_path / "tuning" / "best.yaml").write_text("{seed: 1}")
    with start_run(SETTINGS, tmp_path, "train") as other:
        other.link_tuning(tmp_path / "tuning")
    assert "tuning.run_id" not in run._client.get_run(other.run_id).data.tags


def test_a_run_samples_the_machine(tmp_path: Path) -> None:
    with start_run(SETTINGS, tmp_path, "train") as run:
        deadline = time.monotonic() + 60
        while not run._client.get_run(run.run_id).data.metrics and time.monotonic() < deadline:
            time.sleep(0.1)
            run.flush()
    metrics = run._client.get_run(run.run_id).data.metrics
    assert metrics["system/process_memory_megabytes"] > 10
    assert "system/cpu_utilization_percentage" in metrics


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
        "with start_run(Settings(), Path(sys.argv[1]), 'train', 'p' + sys.argv[2]) as run:\n"
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
    with start_run(SETTINGS, tmp_path, "train", "fifth") as run:
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


def counted_tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every request that this process sends, each repetition for itself."""
    tries: list[str] = []
    urlopen = HTTPConnectionPool.urlopen

    def counting(pool: HTTPConnectionPool, *request: Any, **options: Any) -> Any:
        tries.append(f"{pool.host}:{pool.port}")
        return urlopen(pool, *request, **options)

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", counting)
    return tries


@pytest.mark.slow
def test_runs_on_a_server_are_found_from_wherever_the_project_lies(
    tmp_path: Path, server: Server
) -> None:
    settings = SETTINGS.replaced({"tracking.uri": server.uri})
    first, moved = tmp_path / "first", tmp_path / "elsewhere" / "moved"
    first.mkdir()
    (first / "params.yaml").write_text(f"tracking:\n  uri: {server.uri}\n")
    (first / "note.txt").write_text("first")
    model = saved_model(first / "model", b"weights")
    with start_run(settings, first, "train") as run:
        run.log({"train/mlm": 2.5}, 1)
        run.log_artifact(first / "note.txt")
        run.log_model(model)
        (model / "run.json").write_text(json.dumps(run.identity()))
    moved.parent.mkdir()
    shutil.move(first, moved)

    (found,) = read_runs(settings, moved, [trained_run(moved)["run_id"]])
    assert (found.run_id, found.status, found.metrics["train/mlm"]) == (run.run_id, "FINISHED", 2.5)
    assert read_artifact(settings, moved, run.run_id, "note.txt") == b"first"
    for name in (f"runs:/{run.run_id}/model", "models:/ssl-lib/1"):
        assert (download_model(name, moved) / "model.safetensors").read_bytes() == b"weights"
    # what is evaluated later goes to the same run, and a new one beside it
    with resume_run(settings, moved, run.run_id, "train") as again:
        again.log_artifact(moved / "note.txt", "later")
    assert again.run_id == run.run_id
    assert read_artifact(settings, moved, run.run_id, "later/note.txt") == b"first"
    with start_run(settings, moved, "train") as own:
        own.log_artifact(moved / "note.txt")
    experiments = {client_run.info.experiment_id for client_run in runs_of(run, own)}
    assert len(experiments) == 1
    assert not first.exists()
    assert not (moved / "mlflow.db").exists()


def runs_of(*runs: Run) -> list[Any]:
    """What the store says of them."""
    return [run._client.get_run(run.run_id) for run in runs]


@pytest.mark.slow
def test_server_killed_in_the_middle_loses_and_doubles_nothing(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.replaced({"tracking.uri": server.uri})
    run = start_run(settings, tmp_path, "long")
    for step in range(150):
        run.log({"loss": float(step)}, step)
    # longer than any machine needs for these steps
    run._pause_seconds = 3600.0
    server.kill()
    tries = counted_tries(monkeypatch)
    for step in range(150, 600):
        run.log({"loss": float(step)}, step)
    run.log_artifact(saved_model(tmp_path / "files", b"x"), "late")
    # the first batch asks, and MLflow's client asks again; then all wait
    assert len(tries) == 2
    run.finish()
    assert len(tries) == 4
    with pytest.raises(TrackingError, match=r"tracking\.uri"):
        start_run(settings, tmp_path, "while away")
    with pytest.raises(TrackingError, match="start that server"):
        sync(settings, tmp_path)
    server.start()
    assert sync(settings, tmp_path) > 400
    assert sync(settings, tmp_path) == 0
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
