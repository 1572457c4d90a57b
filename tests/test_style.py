"""Measures of the code with bounds: how long its pieces are, how dense, how well explained.

A failure names the places that are furthest from the bound.
"""

from __future__ import annotations

import ast
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CODE = [path for folder in ("ssl_lib", "flows") for path in sorted((ROOT / folder).rglob("*.py"))]
TEXTS = {path: path.read_text(encoding="utf-8") for path in CODE}
# every node of a file before its children
NODES = {path: list(ast.walk(ast.parse(text))) for path, text in TEXTS.items()}
BRANCHES = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.With)
STATEMENTS = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)
FUNCTIONS = [
    (path, node)
    for path, nodes in NODES.items()
    for node in nodes
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
]


class Place(NamedTuple):
    """A measured piece of code."""

    measure: float
    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} {self.what} ({self.measure:g})"


def named(places: Iterable[Place], least_first: bool = False) -> str:
    """The eight places that a message names, the worst of them first."""
    ordered = sorted(places, key=lambda place: place.measure, reverse=not least_first)
    return "\n" + "\n".join(map(str, ordered[:8]))


def lengths() -> list[Place]:
    """The lines of each function, from `def` to its end."""
    found = []
    for path, node in FUNCTIONS:
        assert node.end_lineno is not None
        found.append(Place(node.end_lineno - node.lineno + 1, path, node.lineno, node.name))
    return found


def densities() -> list[Place]:
    """Syntax nodes of each statement that makes or does something; docstrings are none."""
    found = []
    for path, nodes in NODES.items():
        lines = TEXTS[path].splitlines()
        sizes: dict[ast.AST, int] = {}
        for node in reversed(nodes):
            sizes[node] = 1 + sum(sizes[child] for child in ast.iter_child_nodes(node))
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if isinstance(node, STATEMENTS):
                text = lines[node.lineno - 1].strip()
                found.append(Place(sizes[node], path, node.lineno, text[:60]))
    return found


def test_files_have_at_most_500_lines() -> None:
    sizes = [Place(text.count("\n"), path, 1, "lines") for path, text in TEXTS.items()]
    assert max(place.measure for place in sizes) <= 500, named(sizes)


def test_functions_have_at_most_60_lines_and_half_of_them_8() -> None:
    found = lengths()
    assert max(place.measure for place in found) <= 60, named(found)
    # many shorter ones: the code would be read in shreds
    assert statistics.median(place.measure for place in found) >= 8, named(found, least_first=True)


def test_functions_have_at_most_20_branches() -> None:
    found = []
    for path, node in FUNCTIONS:
        count = 1
        for inner in ast.walk(node):
            count += isinstance(inner, BRANCHES)
            # `a and b or c` may go three ways
            count += len(inner.values) - 1 if isinstance(inner, ast.BoolOp) else 0
        found.append(Place(count, path, node.lineno, node.name))
    assert max(place.measure for place in found) <= 20, named(found)


def test_a_statement_holds_one_idea() -> None:
    """Half of all statements have at most 12 syntax nodes, nine tenths at most 25."""
    found = densities()
    nodes = sorted(place.measure for place in found)
    dense = Counter(place.path for place in found if place.measure > 12)
    fullest = [Place(count, path, 1, "dense statements") for path, count in dense.items()]
    assert statistics.median(nodes) <= 12, named(fullest)
    assert nodes[int(0.9 * len(nodes))] <= 25, named(found)


def test_few_private_functions_are_used_once() -> None:
    """One that is called from a single place is a detour, unless its name tells an idea."""
    used: dict[Path, Counter[str]] = {path: Counter() for path in NODES}
    for path, nodes in NODES.items():
        used[path].update(node.id for node in nodes if isinstance(node, ast.Name))
        used[path].update(node.attr for node in nodes if isinstance(node, ast.Attribute))
    detours = []
    for place in lengths():
        is_private = place.what.startswith("_") and not place.what.startswith("__")
        if is_private and used[place.path][place.what] == 1:
            detours.append(place)
    share = len(detours) / len(FUNCTIONS)
    assert share <= 0.15, named(detours, least_first=True)


def test_lines_are_no_wider_than_100_characters() -> None:
    wide = []
    count = 0
    for path, text in TEXTS.items():
        for number, line in enumerate(text.splitlines(), start=1):
            count += bool(line.strip())
            if len(line) > 100:
                wide.append(Place(len(line), path, number, line.strip()[:40]))
    assert len(wide) <= 0.01 * count, named(wide)


def test_comments_explain_what_the_code_does_not_say() -> None:
    """At least 3% of the lines that hold anything are comments of their own."""
    silent = []
    comments = 0
    filled = 0
    for path, text in TEXTS.items():
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        own = sum(line.startswith("#") for line in lines)
        comments += own
        filled += len(lines)
        # lines that would need a comment to reach the share in this file
        silent.append(Place(round(0.03 * len(lines)) - own, path, 1, "comments too few"))
    assert comments >= 0.03 * filled, named(silent)


def test_public_functions_are_documented() -> None:
    inner = set()
    bare = []
    for path, node in FUNCTIONS:
        inner |= {id(one) for one in ast.walk(node) if one is not node}
        is_public = not node.name.startswith("_") and id(node) not in inner
        if is_public and not ast.get_docstring(node):
            bare.append(Place(0, path, node.lineno, node.name))
    assert not bare, named(bare)
