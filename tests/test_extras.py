"""The base is enough to train and to use a model; a missing extra is told in one sentence."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ssl_lib.config import Settings, with_best
from ssl_lib.errors import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OPTIONAL: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PLACES = {  # the only files that may import these while they are imported themselves
    "mlflow": ("ssl_lib/tracking/text_model.py",),  # MLflow runs it
    "pandas": ("ssl_lib/tracking/text_model.py",),
    "scipy": ("ssl_lib/evaluation/",),
    "sklearn": ("ssl_lib/evaluation/",),
    "matplotlib": ("ssl_lib/report/",),
    "optuna": ("ssl_lib/experiments/tuning/",),
    "prefect": ("flows/",),
    "httpx": ("flows/",),  # Prefect brings it
}
SHORT = """
corpus: {sources: [{path: text.jsonl}], validation_share: 0.2, test_share: 0.1}
tokens: {vocabulary_size: 1400, workers: 1}
model: {layers: 1, width: 32, heads: 2, context_length: 32, mode_specific_layers: 0}
objectives: {contrastive: {effective_batch: 8}}
training:
  {steps: 2, sequences: 2, warmup_steps: 1, validation_sequences: 2, validate_every_steps: 2}
"""


def distributions(requirements: list[str]) -> set[str]:
    """Names of packages: `fsspec` of `fsspec[http]>=2024.10`."""
    return {re.split(r"[\[<>=!~ ]", line)[0].lower() for line in requirements}


def imported(path: Path, late: bool) -> set[str]:
    """Packages that a file imports: while it is imported itself; if `late`, in functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    later = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in checking or (id(node) in later and not late):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names - set(sys.stdlib_module_names) - {"ssl_lib", "flows"}


FILES = sorted([*(ROOT / "ssl_lib").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
BASE = distributions(PROJECT["project"]["dependencies"])
HOMES = packages_distributions()


def of_base(package: str) -> bool:
    return any(name.lower() in BASE for name in HOMES.get(package, [package]))


def test_every_package_of_the_base_is_imported_and_every_import_is_declared() -> None:
    used = {package for path in FILES for package in imported(path, late=True)}
    named = {name.lower() for package in used for name in HOMES.get(package, [package])}
    assert named >= BASE
    brought = {package for packages in EXTRAS.values() for package in packages}
    # networkx comes with DVC and torch, pandas with MLflow, httpx with Prefect
    with_others = {"networkx", "pandas", "httpx"}
    assert {package for package in used if not of_base(package)} <= brought | with_others


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_importing_a_module_takes_the_base_alone(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    for package in imported(path, late=False):
        assert of_base(package) or place.startswith(PLACES.get(package, ("?",))), (
            f"{place} imports {package}: an extra is imported inside the function that needs it"
        )


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_is_imported(extra: str) -> None:
    wanted = distributions(OPTIONAL[extra])
    if extra == "sources":
        assert "fsspec[http]" in OPTIONAL[extra][1]
        wanted.add("aiohttp")
    for package in EXTRAS[extra]:
        assert {name.lower() for name in HOMES.get(package, [package])} & (
            wanted | {name.replace("-", "_") for name in wanted}
        )


def test_everything_together_is_all_of_the_extras_of_one_machine() -> None:
    (line,) = OPTIONAL["all"]
    together = set(re.findall(r"\w+", line.partition("[")[2]))
    assert together == set(EXTRAS) - {"postgres", "dask", "s3", "gcs", "azure"}
    assert "ssl-lib[all]" in OPTIONAL["test"]


def run_without(
    packages: tuple[str, ...], code: str, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run Python code where importing these packages fails as if they were not installed."""
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({packages!r}))\n{code}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", blocked], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        (["tune", "--set", "tuning.trials=1"], "optuna", "tuning"),
        (["evaluate"], "matplotlib", "report"),
        (["ablate"], "sklearn", "report"),
        (["ui"], "mlflow", "tracking"),
        (["serve"], "fastapi", "serving"),
        (["compare", "a", "b"], "mlflow", "tracking"),
        (["predict", "1 + 1 is", "--model", "models:/ssl-lib@champion"], "mlflow", "tracking"),
        (["corpus", "--set", "corpus.sources.0.documents=300"], "scipy", "report"),
        (["corpus", "--set", "corpus.sources.0.documents=300"], "sklearn", "report"),
    ],
)
def test_a_missing_extra_is_told_in_one_sentence(
    command: list[str], package: str, extra: str, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    code = f"import ssl_lib.cli\nsys.exit(ssl_lib.cli.main({command!r}))"
    done = run_without((package,), code, tmp_path)
    assert done.returncode == 1, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"ssl-lib {command[0]}: {package} is not installed")
    assert f"pip install 'ssl-lib[{extra}]'" in sentence


def test_tune_without_a_search_needs_no_optuna_and_leaves_the_settings(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("tuning: {trials: 0}\n")
    best = tmp_path / "tuning" / "best.yaml"
    best.parent.mkdir()
    # of an earlier search
    best.write_text("objectives.mlm.weight: 0.125\n")
    code = "import ssl_lib.cli\nsys.exit(ssl_lib.cli.main(['tune']))"
    done = run_without(("optuna", "matplotlib", "mlflow"), code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert YAML(typ="safe", pure=True).load(best.read_text()) == {}
    assert with_best(Settings(), tmp_path) == Settings()
    assert "nothing was searched" in (best.parent / "study.json").read_text()


def test_a_study_in_postgresql_without_its_driver_is_told(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom ssl_lib.config import Settings\n"
        "from ssl_lib.experiments.tuning.study import open_storage\n"
        "settings = Settings().replaced({'tuning.storage': 'postgresql://host/base'})\n"
        "open_storage(settings, Path.cwd())"
    )
    done = run_without(("psycopg",), code, tmp_path)
    assert done.returncode == 1
    assert "MissingExtraError: psycopg is not installed" in done.stderr
    assert "pip install 'ssl-lib[postgres]'" in done.stderr


def test_flows_without_prefect_tell_what_to_install(tmp_path: Path) -> None:
    done = run_without(("prefect",), "import flows.pipeline\nflows.pipeline.main()", tmp_path)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "pip install 'ssl-lib[orchestration]'" in sentence


def test_the_base_prepares_text_trains_and_uses_the_model(tmp_path: Path) -> None:
    """And says once that nothing is recorded."""
    draw = random.Random(0)
    words = ["".join(draw.choices("aeioulnrst", k=draw.randint(3, 9))) for _ in range(2000)]
    documents = [f"{' '.join(draw.sample(words, 20))} {i * 7} tonnes." for i in range(200)]
    texts = [json.dumps({"text": document}) for document in documents]
    (tmp_path / "text.jsonl").write_text("\n".join(texts))
    (tmp_path / "params.yaml").write_text(SHORT)
    code = (
        "import ssl_lib\nfrom ssl_lib.cli import main\n"
        "for stage in ('corpus', 'tokenize', 'train'):\n    assert main([stage]) == 0\n"
        "print(ssl_lib.load('model').embed(['12 tonnes']).shape)\n"
    )
    packages = tuple(package for packages in EXTRAS.values() for package in packages)
    done = run_without((*packages, "pandas"), code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 32)"
    assert done.stderr.count("mlflow is not installed") == 1, done.stderr
    assert "pip install 'ssl-lib[tracking]'" in done.stderr
