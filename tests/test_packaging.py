"""What is built from a checkout installs into an empty environment and works there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import ssl_lib

ROOT = Path(__file__).parents[1]
BUILD = "import setuptools.build_meta as backend, sys; print(backend.build_sdist(sys.argv[1]))"
CHECKOUT = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()


def run(*words: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built in a copy of the checkout without a network."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    for name in CHECKOUT:
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-c", BUILD, folder, cwd=copy)
    return next(folder.glob("ssl_lib-*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel, built from the source distribution."""
    offline = ("--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *offline, "-w", ".", sdist, cwd=sdist.parent)
    return next(sdist.parent.glob("ssl_lib-*.whl"))


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of an environment that holds the wheel and nothing else, not even pip."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_alias_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        head = archive.read(metadata).decode().partition("\n\n")[0]
    top = {name.split("/")[0] for name in names}
    info = f"ssl_lib-{ssl_lib.__version__}.dist-info"
    assert top == {"ssl_lib", "self_supervised_token_learning.py", info}
    assert {"ssl_lib/py.typed", f"{info}/licenses/LICENSE"} <= set(names)
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ssl_lib").rglob("*.py")}
    assert {name for name in names if name.startswith("ssl_lib/")} == code | {"ssl_lib/py.typed"}
    assert f"\nVersion: {ssl_lib.__version__}\n" in head
    assert "\nLicense-Expression: Apache-2.0\n" in head
    assert "://" not in head
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", head, re.MULTILINE))
    assert {"tracking", "tuning", "report", "orchestration", "all"} <= extras


@pytest.mark.slow
def test_the_source_distribution_is_the_checkout(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    kept = {name for name in CHECKOUT if (ROOT / name).exists() and not name.startswith(".github")}
    assert kept - names == {".dvc/.gitignore"}


@pytest.mark.slow
def test_numbers_are_read_without_any_other_package(empty: Path, tmp_path: Path) -> None:
    code = (
        "import sys, ssl_lib, ssl_lib.numbers; print(ssl_lib.__version__, 'numpy' in sys.modules)"
    )
    assert run(empty / "python", "-c", code, cwd=tmp_path).split() == [ssl_lib.__version__, "False"]
    assert "usage: ssl-lib" in run(empty / "ssl-lib", "--help", cwd=tmp_path)
    code = "import importlib.util; print(importlib.util.find_spec('flows'))"
    assert run(empty / "python", "-c", code, cwd=tmp_path) == "None\n"


@pytest.mark.slow
def test_command_and_alias_work_beside_the_dependencies(empty: Path, tmp_path: Path) -> None:
    (packages,) = empty.parent.glob("lib/python*/site-packages")
    # A line of a .pth file is a folder; the .pth files in that folder are not read, so that the
    # checkout, if it is installed there as editable, is not seen.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    code = (
        "import ssl_lib, self_supervised_token_learning as guide\n"
        "assert guide.MaskedLanguageModel is ssl_lib.MaskedLanguageModel\n"
        "print(ssl_lib.__file__, ssl_lib.find_numbers('1,234.5 kg')[0].value)\n"
    )
    file, value = run(empty / "python", "-c", code, cwd=tmp_path).split()
    assert file.startswith(str(packages))
    assert value == "1234.5"
    (tmp_path / "text.txt").write_text("Revenue rose 12% to $3.4 million.")
    shown = run(empty / "ssl-lib", "numbers", "text.txt", "--json", cwd=tmp_path)
    assert '"value": 3400000.0' in shown
