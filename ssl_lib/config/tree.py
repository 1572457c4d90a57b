"""Settings as a plain tree: read from a file, changed at dotted keys, in old names, in error."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ssl_lib.errors import UserError

# Names that settings had before version 0.2, and the names that they have now.
RENAMED = {
    "model.context": "model.context_length",
    "model.private_layers": "model.mode_specific_layers",
    "objectives.mlm.unit": "objectives.mlm.granularity",
    "objectives.mlm.rows": "objectives.mlm.batch_fraction",
    "objectives.contrastive.rows": "objectives.contrastive.batch_fraction",
    "objectives.denoising.rows": "objectives.denoising.batch_fraction",
    "training.rows": "training.sequences",
    "training.validation_rows": "training.validation_sequences",
    "training.final_learning_rate_share": "training.min_lr_ratio",
    "evaluation.loss_rows": "evaluation.loss_sequences",
}
# The same for the entries of the list `tuning.search`.
RENAMED_SEARCH = {"rows": "batch_fractions", "private_layers": "mode_specific_layers"}


class SettingsError(UserError):
    """A setting that is unknown, of the wrong type or out of range."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The tree of a YAML 1.2 file.

    Raises SettingsError that names the file, and the line of a mistake.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; run from the project's root or name one with --params FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise SettingsError(f"{path}, line {line}: {error.problem}; fix the YAML there") from None
    if tree is None:  # an empty file leaves everything at its default
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(
            f"{path}: must hold sections such as `training:`, got {type(tree).__name__}"
        )
    return tree


def parse_scalar(text: str) -> Any:
    """A value as YAML 1.2 reads it; what is no YAML is text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return text


def set_dotted(tree: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a key such as `corpus.sources.0.documents`.

    Raises SettingsError where there is no place.
    """
    *parents, last = key.split(".")
    node: Any = tree
    for parent in parents:
        if isinstance(node, dict):
            node = node.setdefault(parent, {})
        else:
            node = node[_place(node, parent, key)]
        if not isinstance(node, dict | list):
            raise SettingsError(f"{key} is not a setting; see params.yaml for the names")
    node[last if isinstance(node, dict) else _place(node, last, key)] = value


def dotted(tree: dict[str, Any]) -> dict[str, Any]:
    """`{"training": {"steps": 500}}` → `{"training.steps": 500}`; lists stay as they are."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            values |= {f"{key}.{inner}": one for inner, one in dotted(value).items()}
        else:
            values[key] = value
    return values


def words_of(values: Mapping[str, Any]) -> list[str]:
    """`{"training.steps": 500}` → `["training.steps=500"]`, as `--set` and DVC's `-S` read it."""
    return [
        f"{key}={value if isinstance(value, str) else _inline(value)}"
        for key, value in values.items()
    ]


def _inline(value: Any) -> str:
    """`[{path: "notes.txt"}]`: keys without quotes, which DVC refuses, behind a colon a blank."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, default=str, ensure_ascii=False)


def _place(entries: list[Any], part: str, key: str) -> int:
    """Index of the entry that a dotted key names by its number: 0 in `corpus.sources.0.path`."""
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    raise SettingsError(
        f"{key}: the list has {len(entries)} entries, numbered from 0; {part!r} is none of them"
    )


def refuse_old_names(tree: dict[str, Any]) -> None:
    """Raise SettingsError, which tells the new name, if a setting has its old name."""
    for old, new in RENAMED.items():
        for node, name, _ in _places_of(tree, old):
            if name in node:
                raise SettingsError(f"{old} is called {new} now; rename it")
    for node, name, _ in _places_of(tree, "tuning.search"):
        for entry in _entries(node.get(name)):
            if entry in RENAMED_SEARCH:
                new = RENAMED_SEARCH[entry]
                raise SettingsError(f"tuning.search: {entry} is called {new} now; rename it")


def with_new_names(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of settings that an older version stored, nested or dotted, under today's names."""
    tree = copy.deepcopy(tree)
    for old, new in RENAMED.items():
        for node, name, prefix in _places_of(tree, old):
            if name in node:
                node[new.removeprefix(prefix)] = node.pop(name)
    for node, name, _ in _places_of(tree, "tuning.search"):
        if name in node:
            node[name] = [RENAMED_SEARCH.get(entry, entry) for entry in _entries(node[name])]
    return tree


def _places_of(tree: Any, key: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Where a dotted key may stand, as (node, name in it, path of the node).

    `a.b` → (tree, "a.b", "") and, if the tree has a block `a`, (tree["a"], "b", "a.").
    """
    yield tree, key, ""
    section, _, name = key.rpartition(".")
    node = tree
    for part in section.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, dict):
        yield node, name, f"{section}."


def _entries(value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    return []


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake in one sentence: the dotted key, what is allowed, the value."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        nearest = _nearest(first["loc"], model)
        return f"{key} is not a setting{nearest}; see params.yaml for the names"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    value = first.get("input")
    if isinstance(value, dict | BaseModel):
        return f"{key}: {message}"
    return f"{key}: {message}, got {value!r}"


def _nearest(location: tuple[int | str, ...], settings: type[BaseModel]) -> str:
    """` (did you mean training.steps?)` for (training, stepz); empty if nothing is like it."""
    model: Any = settings
    for part in location[:-1]:
        if isinstance(part, int):  # an entry of a list: go on with the type of the entries
            model = next(iter(get_args(model)), None)
        elif _is_section(model) and part in model.model_fields:
            model = model.model_fields[part].annotation
    names = list(model.model_fields) if _is_section(model) else []
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    if not close:
        return ""
    key = ".".join(map(str, (*location[:-1], close[0])))
    return f" (did you mean {key}?)"


def _is_section(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)
