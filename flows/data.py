"""What a night finds new: imports that DVC updates, and sources that DVC does not watch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flows.stages import PassingError
from ssl_lib.config import Source, project_settings
from ssl_lib.corpus.formats.databases import with_password
from ssl_lib.corpus.sources import (
    STANDARD_INPUT,
    find_paths,
    outside_sources,
    without_password,
)
from ssl_lib.files import write_atomically

SEEN = Path(".ssl_lib", "sources.json")  # how the sources looked when the corpus was last made
# What file systems tell of a file that changes with its content.
VERSION_KEYS = ("size", "mtime", "LastModified", "last_modified", "ETag", "etag", "updated", "md5")


def imports(root: Path) -> list[str]:
    """The `.dvc` files of `dvc import` and `dvc import-url`, for `dvc update`."""
    from ruamel.yaml import YAML

    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if path.suffix != ".dvc":
                continue
            tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
            # what `dvc add` has made depends on nothing
            if isinstance(tree, dict) and tree.get("deps"):
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def unwatched(root: Path) -> dict[str, Any]:
    """The state of every source that `dvc.yaml` does not see change: URLs, files elsewhere.

    `{"https://…/facts.jsonl": {"https://…/facts.jsonl": {"size": "812", "ETag": "…"}}}`; a query
    has no state. Raises CorpusError for a wrong address, PassingError if one cannot be reached.
    """
    states: dict[str, Any] = {}
    for index, source in enumerate(project_settings(root).corpus.sources):
        # a database in a file is no URL: "sqlite:///data/sources/notes.db"
        remote = "://" in source.path.removeprefix("sqlite:///")
        if source.path == STANDARD_INPUT or not (remote or outside_sources(source, root)):
            continue
        if source.query:
            states[source.path] = {}
            continue
        address = str(root / source.path)
        if remote:
            address = with_password(source.path, f"corpus.sources.{index}")
        try:
            found = _state_of(address, source)
        # every file system has a driver with errors of its own
        except Exception as error:
            told = without_password(str(error), source.path, address) or type(error).__name__
            raise PassingError(f"{source.path}: cannot be reached ({told})") from error
        states[source.path] = {
            without_password(name, source.path, address): state for name, state in found.items()
        }
    return states


def _state_of(address: str, source: Source) -> dict[str, Any]:
    """What the file system says of each file of a source; a file without a version has none."""
    filesystem, names = find_paths(address, source)
    states = {}
    for name in sorted(names):
        known = filesystem.info(name)
        states[name] = {key: str(known[key]) for key in VERSION_KEYS if known.get(key) is not None}
    return states


def changed(root: Path, now: dict[str, Any]) -> list[str]:
    """Those of the sources that are not as they were; what tells no version counts as changed."""
    path = root / SEEN
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    different = []
    for source, files in now.items():
        told = files and all(files.values())
        if not told or before.get(source) != files:
            different.append(source)
    return different


def remember(root: Path, states: dict[str, Any]) -> None:
    """Keep how the sources are now, once the corpus has been made from them."""
    write_atomically(root / SEEN, json.dumps(states, indent=1))
