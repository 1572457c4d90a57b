"""Who imports whom in ssl_lib: every import counts, wherever it stands in a file."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"([a-z_]+(?:\.[a-z_]+)*)(?:\.[A-Z]\w*|:\w+)")


def modules() -> dict[str, Path]:
    """Dotted names of all modules of ssl_lib, a package being named like its folder."""
    found = {}
    for path in sorted((ROOT / "ssl_lib").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of ssl_lib that a module imports, its own packages' `__init__` left out."""
    return frozenset(_imports_of(module))


def _imports_of(module: str) -> Iterator[str]:
    known = modules()
    is_package = known[module].name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:  # `from ssl_lib.numbers import scale` means a module
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Registries name what is imported later: "denoising.DenoisingAutoencoder" of their
            # own package, "ssl_lib.corpus:build_corpus" or "ssl_lib.numbers.finder" of any.
            if found := NAMED.fullmatch(node.value):
                yield from {found[1], f"{package}.{found[1]}"} & known.keys()
            elif node.value.startswith("ssl_lib.") and node.value in known:
                yield node.value


def reached_from(module: str) -> dict[str, str]:
    """The module and all that it needs, at once or at last, each with one that imports it.

    Where a module of a package is needed, the package's `__init__` is too.
    """
    known = modules()
    found, left = {module: ""}, [module]
    while left:
        importer = left.pop()
        for one in (*sorted(imports_of(importer)), importer.rpartition(".")[0]):
            if one in known and one not in found and one != "ssl_lib":
                found[one] = importer
                left.append(one)
    return found


def code_of(module: str) -> dict[str, str]:
    """What a stage that begins in a module depends on, as `dvc.yaml` lists it, with reasons.

    A file at the top of ssl_lib by its path; a folder of ssl_lib by the one file that is needed of
    it, and if more are by the innermost folder that holds them all. An `__init__` that
    holds nothing but a docstring counts for none, and ssl_lib/config counts not at all: settings
    count through `params`.
    """
    files: dict[str, dict[str, str]] = {}
    for one, importer in reached_from(module).items():
        path = modules()[one]
        only_docstring = path.name == "__init__.py" and len(ast.parse(path.read_text()).body) < 2
        if package_of(one) != "config" and not only_docstring:
            reason = f"{importer} imports {one}" if importer else f"it begins in {one}"
            place = path.relative_to(ROOT).as_posix()
            files.setdefault(package_of(one), {})[place] = reason
    listed = {}
    for found in files.values():
        # ssl_lib/experiments/tuning/space.py, …/study.py → ssl_lib/experiments/tuning
        place = os.path.commonpath(found)
        listed[place] = next(iter(found.values()))
    return listed


def package_of(module: str) -> str:
    """`numbers` of `ssl_lib.numbers.scale`, `files` of `ssl_lib.files`."""
    return module.split(".")[1] if "." in module else module


def package_graph() -> dict[str, set[str]]:
    """For every package, and every module at the top of ssl_lib, those that it imports."""
    graph: dict[str, set[str]] = {}
    for module in modules():
        if module != "ssl_lib":  # the public names, which are imported when they are first used
            own = package_of(module)
            targets = {package_of(one) for one in imports_of(module) if one != "ssl_lib"}
            graph.setdefault(own, set()).update(targets - {own})
    return graph


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of names that reach each other, sorted; none where the graph has no cycle."""
    reach = {name: set(graph[name]) for name in graph}
    for _ in graph:
        for name in graph:
            for other in tuple(reach[name]):
                reach[name] |= reach.get(other, set())
    groups = {
        tuple(sorted(other for other in reach[name] if name in reach.get(other, ())))
        for name in graph
        if name in reach[name]
    }
    return [list(group) for group in sorted(groups)]
