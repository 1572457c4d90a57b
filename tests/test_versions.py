"""Versions of corpora and models: the commands of docs/data.md as they stand, with DVC and git."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML
from test_config import yaml

from ssl_lib.config import Settings
from ssl_lib.files import sha256_of

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TINY = {
    "corpus.sources": [{"path": f"data/sources/{name}.jsonl"} for name in ("reports", "letters")],
    "corpus.validation_share": 0.2,
    "corpus.test_share": 0.1,
    "tokens.vocabulary_size": 1440,
    "tokens.workers": 1,
    "training.steps": 3,
    "training.validation_sequences": 2,
}
OWN_VARIABLES = ("SSL_LIB_", "DVC_", "MLFLOW_", "GIT_")


def blocks() -> list[str]:
    """The commands of docs/data.md, section Versions, block by block."""
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", text.partition("## Versions")[2], re.DOTALL)


def shell(commands: str, folder: Path, **variables: str) -> str:
    """What a shell prints that stops at the first command that fails."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(OWN_VARIABLES)}
    path = f"{BIN}{os.pathsep}{kept['PATH']}"
    keys = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    author = dict.fromkeys(keys, "a@b.c")
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=kept | own | author | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_texts(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def elsewhere(tmp_path: Path, texts: list[str]) -> Iterator[str]:
    """The address of a server that has letters."""
    folder = tmp_path / "elsewhere"
    write_texts(folder / "letters.jsonl", texts[40:])
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def project(settings: Settings, texts: list[str], tmp_path: Path) -> Path:
    """The stages up to the training, in git with a remote; the code is this checkout's."""
    folder = tmp_path / "project"
    write_texts(folder / "data" / "sources" / "reports.jsonl", texts[:40])
    (folder / "ssl_lib").symlink_to(ROOT / "ssl_lib")
    pipeline = yaml(ROOT / "dvc.yaml")
    del pipeline["stages"]["evaluate"], pipeline["plots"]
    # the code does not change here, and lies behind a link
    for stage in pipeline["stages"].values():
        stage["deps"] = [path for path in stage["deps"] if not path.startswith("ssl_lib")]
    writer = YAML()
    with (folder / "dvc.yaml").open("w") as file:
        writer.dump(pipeline, file)
    with (folder / "params.yaml").open("w") as file:
        writer.dump(settings.replaced(TINY).model_dump(mode="json"), file)
    ignored = (ROOT / ".gitignore").read_text()
    (folder / ".gitignore").write_text(f"{ignored}/ssl_lib\n")
    begin = (
        "git init -q -b main && dvc init -q && git add . ':!data/sources' && git commit -qm begin"
    )
    shell(
        f"git init -q --bare -b main ../origin && {begin} && git remote add origin ../origin",
        folder,
    )
    return folder


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of corpus, tokens and model."""
    found = {}
    for name in ("data/raw", "data/tokenized", "model", "params.yaml"):
        paths = [folder / name, *(folder / name).rglob("*")]
        for path in paths:
            if path.is_file():
                found[str(path.relative_to(folder))] = sha256_of(path)
    return found


def newest_digest(folder: Path) -> str:
    """The tag `corpus.digest` of the last training."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(ids, order_by=["attributes.start_time DESC"]):
        if "corpus.digest" in run.data.tags:
            return str(run.data.tags["corpus.digest"])
    raise AssertionError


@pytest.mark.slow
def test_commands_of_the_page_lead_from_any_run_to_its_corpus_and_model(
    project: Path, elsewhere: str, texts: list[str], tmp_path: Path
) -> None:
    add, version, remote, buckets, machine, experiment, back = blocks()
    shell(add.replace("https://example.org/", elsewhere), project)
    shell(version, project)
    first, first_digest = content(project), newest_digest(project)
    assert shell("git status --porcelain", project) == ""
    shell(remote, project)

    # another machine has the same after a pull, and nothing to do
    shell("git clone -q project clone", tmp_path)
    (tmp_path / "clone" / "ssl_lib").symlink_to(ROOT / "ssl_lib")
    pulled = shell("dvc pull && dvc repro && git status --porcelain", tmp_path / "clone")
    assert "Data and pipelines are up to date" in pulled
    assert content(tmp_path / "clone") == first

    # a second version of the corpus has another model
    write_texts(project / "data" / "sources" / "reports.jsonl", texts[10:40])
    shell("dvc add data/sources/reports.jsonl", project)
    shell(version, project)
    second, second_digest = content(project), newest_digest(project)
    assert second_digest != first_digest
    assert second["data/raw/train.jsonl"] != first["data/raw/train.jsonl"]
    assert second["model/model.safetensors"] != first["model/model.safetensors"]

    # from each run to its versions, there and back
    for digest, wanted in ((first_digest, first), (second_digest, second), (first_digest, first)):
        shell(back, project, digest=digest)
        assert content(project) == wanted
    shell("git switch -q main && dvc checkout", project)
    assert content(project) == second

    # an experiment is a version too, which another clone can take up
    shown = shell(f"git push -q origin main\n{experiment}", project)
    assert "warmer" in shown
    changed = content(project)
    assert changed["data/raw/train.jsonl"] == second["data/raw/train.jsonl"]
    assert changed["model/model.safetensors"] != second["model/model.safetensors"]
    there = tmp_path / "there"
    shell("git clone -q origin there", tmp_path)
    (there / "ssl_lib").symlink_to(ROOT / "ssl_lib")
    shell("dvc exp pull origin warmer && dvc exp apply warmer && dvc checkout", there)
    assert content(there) == changed
    shell("git checkout -q . && dvc checkout", project)
    shell(machine, project)
    shell(buckets, project)


def test_git_takes_the_lock_and_leaves_what_stages_make() -> None:
    ignored_by = {"dvc.lock": 1, "data/raw/train.jsonl": 0, "model/model.safetensors": 0}
    for path, ignored in ignored_by.items():
        done = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT)
        assert done.returncode == ignored, path
