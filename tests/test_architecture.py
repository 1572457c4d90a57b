"""Rules of the architecture that no single module can keep by itself."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from import_graph import cycles, package_graph
from test_config import yaml

from ssl_lib.config import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ssl_lib"
LAYERS = {  # a module imports modules of its own layer or below
    "cli": 8,
    "commands": 8,
    "__main__": 8,
    "experiments": 7,  # trains and evaluates models, many times
    "report": 7,  # stage evaluate: the measures of `evaluation`, then the page
    "evaluation": 6,
    "predictor": 5,  # a model in use
    "training": 5,
    "objectives": 4,
    "model": 3,
    "batches": 3,
    "tokens": 2,
    "corpus": 2,
    "synthetic": 2,
    "numbers": 1,
    "tracking": 1,  # gets files and metrics handed, knows nothing of models
    "config": 0,
    "files": 0,
    "progress": 0,
    "errors": 0,
}
HEAVY = (
    "torch",
    "mlflow",
    "optuna",
    "prefect",
    "dvc",
    "pandas",
    "pyarrow",
    "sklearn",
    "matplotlib",
    "scipy",
)
HOMES = {  # the only places of these packages
    "mlflow": ("ssl_lib/tracking",),
    "optuna": ("ssl_lib/experiments/tuning",),
    "prefect": ("flows",),
    "dvc": ("flows",),
}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "flows").rglob("*.py")])


def imports(path: Path) -> Iterator[str]:
    """Absolute names of every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def layer(module: str) -> int | None:
    parts = module.split(".")
    return LAYERS.get(parts[1]) if parts[0] == "ssl_lib" and len(parts) > 1 else None


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_downward(path: Path) -> None:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        assert not module.startswith("flows"), f"{path} imports {module}"
        below = layer(module)
        if below is None or name == "__init__":
            continue
        assert below <= LAYERS.get(name, 8), f"{path} imports {module}, which lies above it"


def test_no_package_imports_itself_through_others() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert cycles(package_graph()) == []


@pytest.mark.parametrize("package", HOMES)
def test_packages_stay_in_their_homes(package: str) -> None:
    for path in SOURCES:
        if any(module.split(".")[0] == package for module in imports(path)):
            place = str(path.relative_to(ROOT))
            assert place.startswith(HOMES[package]), f"{place} imports {package}"


def modules_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n' + ' '.join(sys.modules))"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in shown.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code",
    [
        "import ssl_lib",
        "import ssl_lib.config",
        "import ssl_lib.cli\ntry: ssl_lib.cli.main(['--help'])\nexcept SystemExit: pass",
        "import ssl_lib.cli\ntry: ssl_lib.cli.main(['train', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_the_package_and_its_help_import_nothing_heavy(code: str) -> None:
    assert not modules_after(code) & set(HEAVY)


def test_help_does_not_even_import_pydantic() -> None:
    code = "import ssl_lib.cli\ntry: ssl_lib.cli.main(['--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"pydantic", "numpy", "ruamel"}


STAGES = yaml(ROOT / "dvc.yaml")["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_commands_parse(stage: str) -> None:
    from ssl_lib.cli import build_parser

    words = shlex.split(STAGES[stage]["cmd"])
    assert words[:3] == ["python", "-m", "ssl_lib"]
    assert build_parser().parse_args(words[3:]).command == stage


@pytest.mark.parametrize("stage", STAGES)
def test_params_of_a_stage_are_settings(stage: str) -> None:
    for key in STAGES[stage]["params"]:
        node: Any = Settings()
        for part in key.split("."):
            node = getattr(node, part)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_code_that_exists_and_never_on_the_settings_code(stage: str) -> None:
    code = [path for path in STAGES[stage]["deps"] if path.startswith("ssl_lib")]
    assert code
    assert [path for path in code if not (ROOT / path).exists()] == []
    assert "ssl_lib/config" not in code


def test_outputs_of_stages_are_not_in_git() -> None:
    outputs = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in STAGES.values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    for out in outputs:
        assert f"/{out}/" in ignored or f"/{Path(out).parts[0]}/" in ignored, out


def test_dependencies_that_break_prefect_are_capped_and_torch_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"]["orchestration"]
    assert any(line.startswith("fastapi") and "<0.151" in line for line in wanted)
    assert any(line.startswith("sqlalchemy") and "<2.1" in line for line in wanted)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in pins
    assert all("==" in line and "://" not in line and "+" not in line for line in pins)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
