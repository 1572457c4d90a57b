"""Settings as a plain tree: read from a file, changed at dotted keys, and what is wrong with them in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ssl_lib.errors import UserError


class SettingsError(UserError):
    """A setting that is unknown, of the wrong type or out of range."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The tree of a YAML 1.2 file. Raises SettingsError that names the file, and the line of a mistake."""
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
        raise SettingsError(f"{path}, line {line}: {error.problem}; mend the YAML there") from None
    if tree is None:
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
    """Put a value at a key such as `corpus.sources.0.documents`. Raises SettingsError where there is no place."""
    *parents, last = key.split(".")
    node: Any = tree
    for parent in parents:
        node = (
            node.setdefault(parent, {})
            if isinstance(node, dict)
            else node[_place(node, parent, key)]
        )
        if not isinstance(node, dict | list):
            raise SettingsError(f"{key} is not a setting; see params.yaml for the names")
    node[last if isinstance(node, dict) else _place(node, last, key)] = value


def _place(entries: list[Any], part: str, key: str) -> int:
    """Index of an entry of a list that a dotted key names by its number, as in `corpus.sources.0.documents`."""
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    raise SettingsError(
        f"{key}: the list has {len(entries)} entries, numbered from 0; {part!r} is none of them"
    )


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake in one sentence: the dotted key, what is allowed, the value."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        return (
            f"{key} is not a setting{_nearest(first['loc'], model)}; see params.yaml for the names"
        )
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    shown = "" if isinstance(value, (dict, BaseModel)) else f", got {value!r}"
    return f"{key}: {message}{shown}"


def _nearest(location: tuple[Any, ...], settings: type[BaseModel]) -> str:
    import difflib

    model: Any = settings
    for part in location[:-1]:
        if isinstance(part, int):
            model = next(iter(get_args(model)), None)  # of the entries of a list
            continue
        field = (
            model.model_fields.get(part)
            if isinstance(model, type) and issubclass(model, BaseModel)
            else None
        )
        model = field.annotation if field else None
    names = (
        list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
    )
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f" (did you mean {'.'.join(map(str, (*location[:-1], close[0])))}?)" if close else ""
