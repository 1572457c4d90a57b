"""A tiny project with this repository's flows, and what a test asks its Prefect server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
STAGES = """
stages:
  train:
    cmd: python train.py
    deps: [data/tokenized, train.py]
    params: [seed]
    outs: [model.txt]
    metrics: [metrics/summary.json]
  corpus:
    cmd: python corpus.py
    deps: [data/sources]
    outs: [data/raw]
  tokenize:
    cmd: python tokens.py
    deps: [data/raw]
    outs: [data/tokenized]
"""
SCRIPTS = {
    "corpus.py": """
import json
from pathlib import Path
texts = Path("data/sources/text.txt").read_text().splitlines()
raw = Path("data/raw")
raw.mkdir(parents=True, exist_ok=True)
lines = [json.dumps({"text": text}) + "\\n" for text in texts]
(raw / "train.jsonl").write_text("".join(lines))
sizes = {"train": len(texts)}
told = {"documents": sizes, "domains": {"reports": sizes}}
(raw / "manifest.json").write_text(json.dumps(told))
print("hello from corpus")
""",
    "tokens.py": """
import json
from pathlib import Path
import numpy as np
values = [float(word) for line in Path("data/raw/train.jsonl").read_text().splitlines()
          for word in json.loads(line)["text"].split() if word.isdigit()]
numbers = np.zeros(len(values), dtype=[("value", "f8"), ("form", "u1")])
numbers["value"] = values
folder = Path("data/tokenized/train")
folder.mkdir(parents=True, exist_ok=True)
np.save(folder / "numbers.npy", numbers)
""",
    "train.py": """
import sys
import time
from pathlib import Path
for step in range(1, 5):
    print(f"train: {step}/4 steps, 0:00 left, mlm 2.100", file=sys.stderr, flush=True)
while Path("wait").exists():
    Path("waiting").touch()
    time.sleep(0.1)
if Path("fail").exists():
    sys.exit("train: objectives.mlm.weight must be at least 0; change that")
text = Path("params.yaml").read_text()
Path("model.txt").write_text(text)
Path("metrics").mkdir(exist_ok=True)
Path("metrics/summary.json").write_text('{"losses": {"mlm": 0.5}}')
""",
}
OWN_VARIABLES = ("PREFECT_", "SSL_LIB_", "DVC_", "MLFLOW_", "MAKE", "MFLAGS")


def project(folder: Path) -> Path:
    """Three stages in another order than they depend on each other, in git."""
    folder.mkdir()
    for name in ("flows", "ssl_lib"):
        # the flows are this checkout's; the library is what is installed, or on the path
        if name == "flows":
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("prefect.yaml", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / "data" / "sources").mkdir(parents=True)
    (folder / "data" / "sources" / "text.txt").write_text("It rose 12 to 340\nIt fell by 7\n")
    (folder / "params.yaml").write_text("seed: 0\noperation:\n  retries: 1\n")
    (folder / "dvc.yaml").write_text(STAGES)
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
    # `make` finds its environment: the one that runs the tests
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        if (BIN.parent / name).exists():
            (folder / ".venv" / name).symlink_to(BIN.parent / name)
    (folder / ".gitignore").write_text(
        "/.venv\n/.ssl_lib\n/mlflow.db\n/mlartifacts\n/wait*\n/fail\n__pycache__\n"
    )
    for command in ("git init -q", "dvc init -q", "git add .", "git commit -qm begin"):
        words = command.split()
        if words[0] == "dvc":
            words = [sys.executable, "-m", *words]
        subprocess.run(words, cwd=folder, check=True, env=environment(folder))
    (folder / ".venv" / ".installed").touch()
    return folder


def environment(folder: Path) -> dict[str, str]:
    """What a user's terminal has: no variable of Prefect, DVC, MLflow or this project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    person = {"AUTHOR": "a", "COMMITTER": "a"}
    told = {f"GIT_{role}_NAME": name for role, name in person.items()}
    told |= {f"GIT_{role}_EMAIL": f"{name}@example.org" for role, name in person.items()}
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    return kept | told | {"HOME": str(home), "PYTHONPATH": str(ROOT)}


def wait_for(condition: Callable[[], Any], log: Path, seconds: float = 300.0) -> Any:
    """The first true answer of `condition`; shows `log` if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except OSError:
            pass  # not listening yet
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-5000:] if log.exists() else "no log")


def ask(api: str, path: str, question: dict[str, Any] | None = None) -> Any:
    """What Prefect's server answers; a busy one is asked again, as Prefect's own client does."""
    data = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(f"{api}/{path}", data, {"Content-Type": "application/json"})
    for wait in (1, 2, 4, 8, 16, 0):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            # 503: its database is locked, and nothing has been written
            if error.code != 503 or not wait:
                raise
        time.sleep(wait)


def artifacts(api: str, key: str) -> list[dict[str, Any]]:
    """Artifacts of a name, the newest first."""
    found = ask(api, "artifacts/filter", {"artifacts": {"key": {"any_": [key]}}})
    return sorted(found, key=lambda one: one["created"], reverse=True)
