"""docs/objectives.md says what a sixth objective takes.

This adds it to a copy of the package, and trains with it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
from pathlib import Path
import math, sys, torch
from torch.nn import functional
from conftest import CONTEXT
from test_config import leaves, yaml
from ssl_lib.batches.datasets import PackedSequences
from ssl_lib.config import OBJECTIVES, Settings
from ssl_lib.synthetic.generator import generate
from ssl_lib.objectives.registry import build_objectives
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.encodings import train_encoding
from ssl_lib.tracking import NullRun
from ssl_lib.training.fit import Corpora, fit
from ssl_lib.objectives.model_folder import read_model, save_model
from ssl_lib.experiments.tuning.space import search_space

folder = Path(sys.argv[1])
assert dict(leaves(yaml(folder / "params.yaml"))) == dict(leaves(Settings().model_dump()))
assert OBJECTIVES[-1] == "replaced" and "objectives.replaced.weight" in search_space(Settings())
texts = [document.text for document in generate(seed=7, documents=60)]
encoding = train_encoding(texts, 1440, "right3")
sequences = PackedSequences(tokenize_texts(encoding, texts), CONTEXT, seed=3)
settings = Settings().replaced({
    "model.layers": 1, "model.width": 32, "model.heads": 2, "model.context_length": CONTEXT,
    "training.steps": 60, "training.warmup_steps": 5,
    "training.validate_every_steps": 60, "training.validation_sequences": 16,
    "training.device": "cpu", "training.precision": "float32", "training.threads": 1,
    "objectives.replaced.weight": 1.0,
})
result = fit(settings, encoding, Corpora(sequences, sequences), NullRun())
first, last = (point["losses"]["replaced"]["loss"] for point in result.progress.validation)
print("held-out loss", first, last)
assert last < 0.8 * first, "it does not learn"
save_model(folder / "model", settings, encoding, result.objectives)
again = read_model(folder / "model")[2]["replaced"]
batch = sequences.batch(0, 4)
assert torch.equal(again(batch.token_ids_BT), result.objectives["replaced"](batch.token_ids_BT))

alone = build_objectives(settings, encoding)["replaced"]
view = alone.view_makers()["corrupted"](batch, torch.Generator().manual_seed(1))
selection = alone.select(batch, {"corrupted": view}, torch.Generator())
hidden = alone.trunk(view.ids_RT, view.document_ids_RT, torch.zeros(4, dtype=torch.bool))
fast = alone.loss_sums({"corrupted": hidden}, selection)["replaced"]
known = alone.trunk.vocabulary
slow, count = 0.0, 0
for row in range(4):
    for place in range(CONTEXT):
        written, seen = int(batch.token_ids_BT[row, place]), int(view.ids_RT[row, place])
        padding = batch.document_ids_BT[row, place] < 0
        if padding or written >= known.ordinary or seen == known.special.noise:
            continue
        probability = float(torch.sigmoid(alone.head(hidden[row, place])))
        slow -= math.log(probability if written != seen else 1.0 - probability)
        count += 1
assert selection["replaced"].count == count > 0
assert math.isclose(float(fast), slow, rel_tol=1e-4), (float(fast), slow)
"""


def blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def insert(path: Path, before: str, text: str) -> None:
    """Put text before the first line that is `before`."""
    content = path.read_text(encoding="utf-8")
    assert f"\n{before}" in content
    path.write_text(content.replace(f"\n{before}", f"\n{text}{before}", 1), encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with what the page shows, and nothing else."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(
        ROOT / "ssl_lib", folder / "ssl_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    file, line, settings_class, field = blocks("python")
    (values,) = blocks("yaml")
    (folder / "ssl_lib" / "objectives" / "replaced_token.py").write_text(file, encoding="utf-8")
    insert(folder / "ssl_lib" / "objectives" / "registry.py", "}\n", line)
    config = folder / "ssl_lib" / "config" / "objectives.py"
    insert(config, "class ObjectivesSettings(Section):", f"{settings_class}\n\n")
    insert(config, "\n    def weights(self)", field)
    insert(folder / "params.yaml", "\ntraining:", values)
    return folder


def test_the_sixth_objective_of_the_page_trains_is_saved_and_equals_its_slow_reference(
    extended: Path,
) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(extended), str(extended / "tests")])
    }
    command = [sys.executable, "-c", PROGRAM, str(extended)]
    done = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_tests_of_objectives_hold_for_the_sixth(extended: Path) -> None:
    """Those that go through the registry."""
    environment = os.environ | {"PYTHONPATH": str(extended)}
    chosen = "replaced and not shares_one"  # which lists the shapes of the five
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        chosen,
        "tests/test_objectives.py",
    ]
    done = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d passed", done.stdout)


def test_the_code_of_the_page_follows_the_rules_of_style(extended: Path) -> None:
    file = extended / "ssl_lib" / "objectives" / "replaced_token.py"
    for words in (
        ["check", "--config", str(ROOT / "pyproject.toml")],
        ["format", "--check", "--config", str(ROOT / "pyproject.toml")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, str(file)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
