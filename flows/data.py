"""What a night finds new: imports that DVC updates, and sources that DVC does not watch."""

from __future__ import annotations

import json
import os
from glob import has_magic
from pathlib import Path
from typing import Any

from flows.project import project_settings
from flows.stages import PassingError
from ssl_lib.corpus.sources import outside_sources
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

    `{"https://…/facts.jsonl": {"https://…/facts.jsonl": {"size": "812", "ETag": "…"}}}`. Raises
    PassingError if one cannot be reached.
    """
    states = {}
    for source in project_settings(root).corpus.sources:
        remote = "://" in source.path
        if source.path == "-" or not (remote or outside_sources(source, root)):
            continue
        place = source.path if remote else str(root / source.path)
        try:
            states[source.path] = _state_of(place)
        # every file system has a driver with errors of its own
        except Exception as error:
            told = str(error) or type(error).__name__
            raise PassingError(f"{source.path}: cannot be reached ({told})") from error
    return states


def _state_of(place: str) -> dict[str, Any]:
    """What the file system says of each file of a source; a file without a version has none."""
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(place)
    # ? and [ belong to web addresses, and are patterns elsewhere
    web = place.startswith(("http://", "https://"))
    if "*" in path or (not web and has_magic(path)):
        names = filesystem.glob(path)
    elif web:
        names = [path]
    else:
        names = filesystem.find(path)
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
