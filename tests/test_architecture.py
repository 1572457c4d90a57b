"""Rules of the architecture that no single module can keep by itself."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from import_graph import code_of, cycles, package_graph
from test_config import yaml

from ssl_lib.config import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ssl_lib"
LAYERS = (  # a module imports its own package and those of the lines below
    "__main__",
    "cli",
    "commands",
    "sealed",  # the second world: `evaluate --sealed` alone
    "experiments",  # studies over runs
    "report",  # stage evaluate: what `evaluation` measures, then the page
    "evaluation",
    "serving",
    "training",
    "predictor",
    "objectives",
    "batches model predictions",
    "corpus tokens",
    "synthetic",
    "numbers tracking",
    "config databases drawing files processes progress",
    "errors",
)
KNOWS_ONLY = {  # beside settings, databases, files, processes, progress and errors
    "corpus": {"synthetic", "numbers"},
    "synthetic": {"numbers"},
    "numbers": set(),
    "tracking": set(),
}
KNOWN_ONLY_BY = {"synthetic": {"corpus", "evaluation", "sealed"}, "sealed": {"commands"}}
PACKAGES = package_graph()
HEAVY = """
dvc matplotlib mlflow numpy optuna pandas prefect pyarrow pydantic ruamel scipy sklearn tiktoken
torch
""".split()
HOMES = {  # the only places of these packages
    "mlflow": ("ssl_lib/tracking/",),
    "optuna": ("ssl_lib/experiments/tuning/",),
    "prefect": ("flows/",),
    "dvc": ("flows/",),
}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "flows").rglob("*.py")])


def depth(package: str) -> int:
    return next(line for line, names in enumerate(LAYERS) if package in names.split())


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_go_downward(package: str) -> None:
    if package == "self_supervised_token_learning":  # the public names once more
        assert PACKAGES[package] == set()
        return
    above = {other for other in PACKAGES[package] if depth(other) <= depth(package)}
    assert not above, f"{package} imports {above}, which do not lie below it"


@pytest.mark.parametrize("package", KNOWS_ONLY)
def test_what_stands_aside_knows_little(package: str) -> None:
    common = {"config", "databases", "files", "processes", "progress", "errors"}
    assert PACKAGES[package] <= KNOWS_ONLY[package] | common


@pytest.mark.parametrize("package", KNOWN_ONLY_BY)
def test_both_worlds_are_known_only_where_they_are_used(package: str) -> None:
    knowing = {name for name, imported in PACKAGES.items() if package in imported}
    assert knowing == KNOWN_ONLY_BY[package]


def test_no_package_imports_itself_through_others() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert cycles(PACKAGES) == []


def imports(path: Path) -> Iterator[str]:
    """Absolute names of every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_flows(path: Path) -> None:
    known = [name for name in imports(path) if name.split(".")[0] == "flows"]
    assert not known or path.is_relative_to(ROOT / "flows")


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


HELP = "import ssl_lib.cli\ntry: ssl_lib.cli.main({words})\nexcept SystemExit: pass"


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import ssl_lib", set()),
        ("import ssl_lib.numbers", set()),
        ("import ssl_lib.config", {"pydantic"}),
        (HELP.format(words=["--help"]), set()),
        (HELP.format(words=["train", "--help"]), set()),
    ],
)
def test_light_things_import_nothing_heavy(code: str, allowed: set[str]) -> None:
    assert modules_after(code) & set(HEAVY) <= allowed


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


def corrections(listed: list[str], wanted: Mapping[str, str]) -> list[str]:
    """What has to change in a list of `deps` so that it is exactly what is wanted."""
    missing = [f"add {path} ({wanted[path]})" for path in sorted(wanted.keys() - set(listed))]
    return missing + [
        f"remove {path}, which is not imported" for path in listed if path not in wanted
    ]


def test_a_missing_and_a_superfluous_dependency_are_told() -> None:
    wanted = {"ssl_lib/tokens": "a imports b", "ssl_lib/files.py": "b imports c"}
    assert corrections(["ssl_lib/files.py", "ssl_lib/tokens"], wanted) == []
    assert corrections(["ssl_lib/model", "ssl_lib/files.py"], wanted) == [
        "add ssl_lib/tokens (a imports b)",
        "remove ssl_lib/model, which is not imported",
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(stage: str) -> None:
    from ssl_lib.cli import STAGES as COMMANDS

    listed = [path for path in STAGES[stage]["deps"] if path.startswith("ssl_lib")]
    wrong = corrections(listed, code_of(COMMANDS[stage].stage.partition(":")[0]))
    assert not wrong, f"dvc.yaml, deps of {stage}: " + "; ".join(wrong)


def test_neither_tuning_nor_training_depends_on_the_built_in_corpus() -> None:
    for stage in ("tokenize", "tune", "train"):
        assert "ssl_lib/synthetic" not in STAGES[stage]["deps"]


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


def test_continuous_integration_runs_the_tests_and_the_checks() -> None:
    (job,) = yaml(ROOT / ".github" / "workflows" / "ci.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make check"} <= set(lines)


def test_dependencies_that_break_prefect_are_capped_and_torch_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"]["orchestration"]
    assert any(line.startswith("fastapi") and "<0.151" in line for line in wanted)
    assert any(line.startswith("sqlalchemy") and "<2.1" in line for line in wanted)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in pins
    assert all("==" in line and "://" not in line and "+" not in line for line in pins)
