"""Files of one's own, line by line: which files a setting names, their text, their JSON objects.

Text is read as the corpus reads it: encoding found or given, byte-order marks dropped, compressed
files decompressed. What cannot be used is one sentence with file and line.
"""

from __future__ import annotations

import glob
import json
import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from ssl_lib.config import Source
from ssl_lib.corpus.formats import RECORDS, TEXTS, kind_of
from ssl_lib.corpus.opening import Digest
from ssl_lib.corpus.problems import SourceContext
from ssl_lib.corpus.readers import read_documents, read_text
from ssl_lib.corpus.sources import find_files
from ssl_lib.errors import UserError

Item = TypeVar("Item")
# Beside the files of a folder that is named as a whole.
ASIDE = ("readme", "license", "licence")
# What is read as it is written, so that paragraphs can be told.
PLAIN = {".txt", ".rst"}


class EvaluationFileError(UserError):
    """An evaluation file that cannot be read as what it is said to be."""


class Line(NamedTuple):
    """A line of a file that is not blank."""

    path: Path
    number: int
    text: str

    def error(self, message: str) -> EvaluationFileError:
        """What is wrong with it, with file and line."""
        place = f"{self.path}, line {self.number}"
        return EvaluationFileError(f"{place}: {message}")

    def columns(self, count: int) -> list[str]:
        """The first columns, with tabs between."""
        found = self.text.split("\t")
        if len(found) < count:
            message = f"needs {count} columns with tabs between, has {len(found)}"
            raise self.error(message)
        return found[:count]

    def score(self, text: str) -> float:
        """A number that stands in it."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{text.strip()!r} is no similarity score; write a number")
        return value


class JsonObject(NamedTuple):
    """A JSON object of a file, and the line where it stands (in a list: its place)."""

    line: Line
    fields: dict[str, Any]

    def text(self, key: str) -> str:
        """A text or a number, as text: 8.0 is 8."""
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._missing("text", key)
        return _written(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts or numbers, as texts: 8.0 is 8."""
        values = self.fields.get(key)
        if not isinstance(values, list):
            raise self._missing("list", key)
        return tuple(map(_written, values))

    def _missing(self, kind: str, key: str) -> EvaluationFileError:
        keys = ", ".join(sorted(self.fields)) or "nothing"
        return self.line.error(f"needs a {kind} under {key!r}; it has {keys}")


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def files_of(root: Path, pattern: str) -> list[Path]:
    """The file that a setting names, or those of its folder or glob, in the order of their names.

    Of a folder, hidden files are left out, and what tells about the others (readme, licence, DVC's
    own files). Raises EvaluationFileError where there is none.
    """
    path = root / pattern
    if path.is_dir():
        # the folders of a set, such as train/ and test/, are one set
        inside = (one for one in path.rglob("*") if one.is_file())
        found = [one for one in inside if _asked(one.relative_to(path))]
    elif path.exists():
        return [path]
    else:
        names = glob.glob(pattern, root_dir=root, recursive=True)
        found = [root / name for name in names if (root / name).is_file()]
    if not found:
        advice = "correct the path or put the file there"
        raise EvaluationFileError(f"{path}: no such file, and no folder or glob of some; {advice}")
    return sorted(found)


def _asked(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    aside = path.name.lower().startswith(ASIDE) or path.suffix == ".dvc"
    return not hidden and not aside


def text_lines(path: str | Path) -> list[str]:
    """All lines, blank ones too, without their ends."""
    try:
        text = read_text(path)
    except UserError as error:
        raise EvaluationFileError(str(error)) from None
    # a line that ends with the file has no empty one behind it
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def corpus_documents(path: str | Path, field: str) -> list[str] | None:
    """The records of a file as the corpus has them, or its text where that is not as it is written.

    None for plain text, and for a file of a kind that the corpus does not know.
    """
    kind, _ = kind_of(Path(path).name) or ("", "")
    if kind in PLAIN or kind not in {*TEXTS, *RECORDS}:
        return None
    source = Source(path=str(path), field=field)
    try:
        with TemporaryDirectory() as scratch:
            context = SourceContext(source, "", Path(scratch))
            (file,) = find_files(source, "", Path())
            found = [text for _, _, text in read_documents(file, context, Digest())]
    except UserError as error:
        raise EvaluationFileError(str(error)) from None
    if kind in TEXTS:
        # pages and the like, of which paragraphs are asked
        return re.split(r"\n\s*\n", "\n\n".join(found))
    return found


def filled_lines(path: str | Path) -> list[Line]:
    """The lines that are not blank."""
    numbered = enumerate(text_lines(path), start=1)
    return [Line(Path(path), number, text) for number, text in numbered if text.strip()]


def json_objects(path: str | Path) -> list[JsonObject]:
    """Of JSON lines, or of one JSON value: a list of objects, or an object on several lines."""
    text = "\n".join(text_lines(path))
    # {"a": 1} in one line is both
    first = text.lstrip().partition("\n")[0]
    if first.startswith("[") or not _is_json(first):
        whole = Line(Path(path), 1, text)
        loaded = _loaded(whole)
        # [{"question": …}, {…}] → the second object is at place 2
        values = loaded if isinstance(loaded, list) else [loaded]
        found = [(whole._replace(number=place), one) for place, one in enumerate(values, start=1)]
    else:
        found = [(line, _loaded(line)) for line in filled_lines(path)]
    for line, one in found:
        if not isinstance(one, dict):
            raise line.error(f"must be a JSON object, is {type(one).__name__}")
    return [JsonObject(line, one) for line, one in found]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _loaded(line: Line) -> Any:
    try:
        return json.loads(line.text)
    except json.JSONDecodeError as error:
        place = line._replace(number=line.number + error.lineno - 1)
        raise place.error(f"not JSON ({error.msg}); write one object a line") from None


def not_empty(items: list[Item], path: str | Path, what: str) -> list[Item]:
    """The items. Raises EvaluationFileError if there is none of `what` a file should hold."""
    if not items:
        raise EvaluationFileError(f"{path}: holds no {what}")
    return items
