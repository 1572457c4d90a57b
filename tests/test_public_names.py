"""The public names: there, documented, and imported only when they are used."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_lib

ROOT = Path(__file__).parents[1]
GUIDE = (
    "SelfSupervisedTextDataset", "MaskedLanguageModel", "NextTokenPredictor",
    "ContrastiveTokenEncoder",
    "DenoisingAutoencoder", "NumericalPatternLearner", "SelfSupervisedTrainer",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", sorted({*ssl_lib.__all__, *GUIDE, "load", "load_settings", "encoding", "find_numbers"})
)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(ssl_lib, name)
    assert name in ssl_lib.__all__
    assert name in dir(ssl_lib)
    assert inspect.getdoc(value)
    assert value is getattr(importlib.import_module(value.__module__), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ssl_lib.nothing  # noqa: B018
    assert not hasattr(ssl_lib, "torch")


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(str(ssl_lib.__file__)).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == ssl_lib._HOMES


def test_the_version_is_the_one_of_the_change_log() -> None:
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\S+)\]", log, re.MULTILINE)[0] == ssl_lib.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ssl_lib.__version__}\n" in citation


def test_names_are_imported_one_by_one() -> None:
    code = (
        "import sys, ssl_lib\n"
        "assert dir(ssl_lib) and not {'torch', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert ssl_lib.find_numbers('12 kg')[0].value == 12\n"
        "assert 'torch' not in sys.modules\n"
        "assert ssl_lib.load_settings is ssl_lib.load_settings\n"
        "from ssl_lib import UserError, Settings\n"
        "assert not {'torch', 'mlflow', 'optuna', 'prefect'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
