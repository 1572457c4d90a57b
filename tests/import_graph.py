"""Who imports whom in ssl_lib: every import counts, wherever it stands in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
    for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:  # `from ssl_lib.numbers import scale` means a module
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def reached_from(module: str) -> set[str]:
    """The module and all modules of ssl_lib that it needs, at once or at last.

    Where a module needs one of a package, it needs the package's `__init__` too. Names in strings,
    such as those of the registry of objectives, are not seen.
    """
    known, found, left = modules(), set(), [module]
    while left:
        one = left.pop()
        if one in known and one not in found and one != "ssl_lib":
            found.add(one)
            left += [*imports_of(one), one.rpartition(".")[0]]
    return found


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
