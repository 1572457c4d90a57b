"""The English that installed packages carry: docstrings, READMEs, changelogs; nothing is imported.

Packages are those that `ssl-lib[all]` requires, so that equal pins give equal text on machines of
one platform and Python. A document is what one file says; docs/data.md has the rules.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ssl_lib.corpus.opening import SourceFile
from ssl_lib.corpus.problems import CorpusError, SourceContext

INSTALLED = "installed"
WANTED = "ssl-lib[all]"
FEWEST_WORDS = 8  # of letters in a paragraph, and at least half of all that stands in it
_METADATA = "METADATA"
# this package itself, which a commit changes; and pip's own, which no requirement pins
_LEFT_OUT = {"ssl-lib", "pip", "setuptools", "wheel"}
_TEXT_FILE = re.compile(r"(?i)(change|history|news|readme|release)[^/]*\.(md|rst|txt)")
_TESTS = re.compile(r"(^|/)(tests?|testing|_?vendor)/|(^|/)(test_[^/]*|conftest)\.py$")
# "Parameters" over "----------", "Args:"; their lists of names are no prose
_LISTS = r"(Other )?(Param|Arg|Return|Yield|Rais|Attribut|Keyword|Example|See Also|Reference)\w*"
_UNDERLINED = re.compile(r"([=\-~^*#])\1{2,}\s*")
_HEADER = re.compile(rf"\s*{_LISTS}( Args| Arguments| Parameters)?:?\s*")
_FIELD = re.compile(r"\s*(:[a-z]+[^:]*:|\.\. [\w:-]+::)( |$)")  # ":param x: …", ".. note:: …"
_FENCE = re.compile(r"\s*(```|~~~)")
_BULLET = re.compile(r"\s*([*+-]|\d+[.)])\s")
_WORD = re.compile(r"[(\"']*[A-Za-z]+(['’-][A-Za-z]+)*[)\"'.,;:!?]*")
# what is left of links, roles and tags is what a reader sees
_MARKUP = (
    (re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r":[a-z:]+:`~?([^`<]*)[^`]*`"), r"\1"),
    (re.compile(r"`+_*|\*\*|</?[a-zA-Z][^<>\n]*>"), ""),
)


def installed_files(context: SourceContext, wanted: str = WANTED) -> list[SourceFile]:
    """One file of prose for each file of the packages, in the order of a digest of its name.

    So a limit on documents takes a sample of all packages. A paragraph that an earlier file has
    said is not said again; the report of `context` counts those, and what could not be read.
    Raises CorpusError if the packages are not installed.
    """
    files: dict[str, SourceFile] = {}
    said: set[bytes] = set()
    for package, found in required_packages(wanted, context.key).items():
        # several packages may have one file, as mlflow and mlflow-skinny do
        for name, path in _texts_of(package, found):
            opens = partial(_open, path, said, context)
            files.setdefault(name, SourceFile(name, ".txt", "", opens, path, package))
    return sorted(files.values(), key=lambda file: hashlib.sha256(file.name.encode()).digest())


def required_packages(wanted: str, key: str) -> dict[str, Distribution]:
    """What a requirement needs on this machine, at any depth, by name; without pip's own."""
    found: dict[str, Distribution] = {}
    open_requirements = [Requirement(wanted)]
    done: set[tuple[str, str]] = set()
    while open_requirements:
        requirement = open_requirements.pop()
        name = canonicalize_name(requirement.name)
        # the package alone, and with each extra that is asked for
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) in done:
                continue
            done.add((name, extra))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:
                advice = f"run pip install '{WANTED}'"
                message = f"{INSTALLED} reads the package {name}, which is not here; {advice}"
                raise CorpusError(f"{key}.path: {message}") from None
            for line in found[name].requires or []:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    open_requirements.append(needed)
    return {name: found[name] for name in sorted(found) if name not in _LEFT_OUT}


def _texts_of(package: str, found: Distribution) -> Iterator[tuple[str, Path]]:
    """Names and places of the files of a package that may hold prose."""
    for file in found.files or []:
        name = file.as_posix()
        if file.name == _METADATA and file.parent.suffix == ".dist-info":
            # "numpy-2.4.6.dist-info/METADATA" of whatever version
            yield f"{package}/{_METADATA}", Path(str(file.locate()))
        elif name.startswith("..") or _TESTS.search(name):
            continue
        elif file.suffix == ".py" or _TEXT_FILE.fullmatch(file.name):
            yield name, Path(str(file.locate()))


def _open(path: Path, said: set[bytes], context: SourceContext) -> BinaryIO:
    """The prose of a file, as a file."""
    kept = []
    for paragraph in prose(_parts(path, context)):
        digest = hashlib.sha256(" ".join(paragraph.casefold().split()).encode()).digest()[:12]
        if digest in said:
            context.report.count(context.report.missing, "paragraphs that stood before")
            continue
        said.add(digest)
        kept.append(paragraph)
    if not kept:
        context.report.count(context.report.missing, "files without new prose")
    return io.BytesIO("\n\n".join(kept).encode())


def _parts(path: Path, context: SourceContext) -> list[str]:
    """The docstrings of a module in their order, the long description of a package, or a text."""
    data = path.read_bytes()
    if path.suffix == ".py":
        # what has no string in three quotes has no docstring of several lines
        return docstrings(data, path.name, context) if b'"""' in data or b"'''" in data else []
    text = data.decode("utf-8", "replace")
    # behind the first empty line: what stands before are fields
    return [text.partition("\n\n")[2] if path.name == _METADATA else text]


def docstrings(source: bytes, name: str, context: SourceContext) -> list[str]:
    """Those of a module, its classes and functions; none, which is noted, if it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in the strings of others
            tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        context.note("files", f"{name}: is no Python that this one reads ({error})")
        return []
    found = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(ast.get_docstring(node) or "")
        # statements alone: no expression holds a class or a function
        inside = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        waiting += reversed(inside)
    return found


def prose(texts: list[str]) -> Iterator[str]:
    """Paragraphs of English, each in one line, its bullets in lines of their own.

    Code, lists of parameters and directives are dropped, and so is every paragraph of fewer than
    FEWEST_WORDS words of letters, or in which other things are more than half.
    """
    for text in texts:
        for paragraph in _paragraphs(text.expandtabs().splitlines()):
            for pattern, shown in _MARKUP:
                paragraph = pattern.sub(shown, paragraph)
            parts = paragraph.split()
            words = sum(_WORD.fullmatch(part) is not None for part in parts)
            if words >= FEWEST_WORDS and 2 * words >= len(parts):
                yield paragraph.strip()


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Blocks between empty lines, without code, lists of parameters and directives."""
    block = ""
    for line in [*_without_indented(_without_code(_without_lists(lines))), ""]:
        bare = line.strip()
        if not bare:
            if block:
                yield block
            block = ""
        elif _BULLET.match(line) and block:
            block += f"\n{bare}"
        else:
            block += f" {bare}" if block else bare


def _without_lists(lines: list[str]) -> Iterator[str]:
    """The lines, empty where underlined headers stand, and below those of lists of names."""
    in_list = False
    for line, following in pairwise([*lines, ""]):
        underlined = line.strip() and _UNDERLINED.fullmatch(following.strip())
        # any such header ends the section before it
        if underlined:
            in_list = _HEADER.fullmatch(line) is not None
        yield "" if in_list or underlined or _UNDERLINED.fullmatch(line.strip()) else line


def _without_code(lines: Iterable[str]) -> Iterator[str]:
    """The lines, empty inside fences, and from a prompt of Python to the next empty line."""
    fenced = doctest = False
    for line in lines:
        fence = _FENCE.match(line) is not None
        fenced ^= fence
        doctest = line.lstrip().startswith(">>>") or (doctest and bool(line.strip()))
        yield "" if fence or fenced or doctest else line


def _without_indented(lines: Iterable[str]) -> Iterator[str]:
    """The lines, empty where they are fields or "Args:", and deeper than these or than "::"."""
    hidden = -1  # indentation of what hides all that is deeper; -1: nothing
    for line in lines:
        bare = line.strip()
        deep = len(line) - len(line.lstrip())
        if bare and deep <= hidden:
            hidden = -1
        heads = _FIELD.match(line) or (bare.endswith(":") and _HEADER.fullmatch(line))
        if heads and hidden < 0:
            hidden = deep
        yield "" if hidden >= 0 else line
        if bare.endswith("::") and hidden < 0:
            hidden = deep
