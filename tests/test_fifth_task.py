"""docs/evaluation.md says what a fifth task takes. This adds it to a copy and evaluates with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_sixth_objective import insert

ROOT = Path(__file__).parents[1]
NAME = "order_of_magnitude"
PROGRAM = """
import json, math, os, sqlite3, sys
from pathlib import Path
import numpy as np
from evaluating import evaluation_data, pair_of
from test_evaluation_stage import SETTINGS, write_project
from ssl_lib.cli import main
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.experiments.subsets import evaluator
from ssl_lib.predictor import load
from ssl_lib.report import evaluate

NAME, root = "order_of_magnitude", Path(sys.argv[1])
settings = SETTINGS.replaced({
    "evaluation.items": 20, "evaluation.probe_items": 20, "evaluation.loss_sequences": 2,
    "evaluation.external": [], "evaluation.baselines": "none",
})
write_project(root, settings, documents=(120, 20, 40))
evaluate(settings, root)
assert set(evaluator(settings, root).evaluate(load(root / "model"), ["mlm"])["downstream"]) == {
    task.name for task in TASKS.values() if task.section == "downstream"
}
with sqlite3.connect(root / "mlflow.db") as store:
    query = f"select value from metrics where key = 'evaluation/{NAME}'"
    ((after,),) = store.execute(query).fetchall()
print(json.dumps(after))
os.chdir(root)
assert main(["summary"]) == 0


class Meters:
    "A model whose vectors turn with the logarithm of the length, or do not turn."

    def __init__(self, turn):
        self.turn = turn

    def embed(self, texts):
        angles = []
        for text in texts:
            number, unit = text.split()[3:5]
            meters = int(number.replace(",", "")) * (1000 if unit == "km" else 1)
            angles.append(self.turn * math.log10(meters))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


task, data = TASKS[NAME].load(), evaluation_data(load("model").encoding)
result = task.run(pair_of(Meters(0.0), Meters(0.1)), data, task.items(data))
assert (result.before, result.after, result.n) == (0.5, 1.0, 36)
assert 0.2 < result.baselines["bag_of_tokens"] < 0.8, "digits alone do not tell"
assert task.items(data) == task.items(data)
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with what the page shows, and nothing else."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("ssl_lib", "tests"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    file, line = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    evaluation = folder / "ssl_lib" / "evaluation"
    (evaluation / f"{NAME}.py").write_text(file, encoding="utf-8")
    insert(evaluation / "tasks.py", ")  # fmt: skip\nTASKS", line)
    return folder


@pytest.fixture(scope="module")
def printed(extended: Path) -> list[str]:
    """What the program says after a whole evaluation: the metric in MLflow, then the summary."""
    paths = os.pathsep.join([str(extended), str(extended / "tests")])
    environment = {key: os.environ[key] for key in os.environ if key != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-c", PROGRAM, str(extended / "project")]
    environment["PYTHONPATH"] = paths
    done = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_fifth_task_of_the_page_is_found_wherever_results_are(
    extended: Path, printed: list[str]
) -> None:
    project = extended / "project"
    metrics = json.loads((project / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    result: dict[str, Any] = metrics["downstream"][NAME]
    assert list(metrics["downstream"])[-1] == NAME
    assert result["metric"] == "accuracy"
    assert result["ci95"][0] <= result["after"] <= result["ci95"][1]
    assert result["baselines"] == {"chance": 0.5}
    assert metrics["contamination"][NAME]["texts"] == 20
    assert json.loads(printed[0]) == pytest.approx(result["after"], abs=5e-5)
    (row,) = (line for line in printed if line.startswith(NAME))
    assert row.split() == [NAME, f"{result['before']:.3f}", f"{result['after']:.3f}", "accuracy"]
    page = (project / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("Order of magnitude") >= 3
    table = (project / "plots" / "downstream.csv").read_text(encoding="utf-8")
    assert table.count("order of magnitude,") == 3


def test_the_code_of_the_page_follows_the_rules_of_style(extended: Path) -> None:
    file, settings = extended / "ssl_lib" / "evaluation" / f"{NAME}.py", ROOT / "pyproject.toml"
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(settings), str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
