"""Settings: params.yaml says what the code says; old names and mistakes get answers that help."""

from __future__ import annotations

import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from ssl_lib.cli import main
from ssl_lib.config import (
    Settings,
    SettingsError,
    load_settings,
    parse_overrides,
    parse_settings,
    preset_values,
    with_best,
    words_of,
)
from ssl_lib.config.sections import Section
from ssl_lib.config.tree import RENAMED, RENAMED_SEARCH, with_new_names

ROOT = Path(__file__).parents[1]
PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")


def yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of everything that is no mapping and no list, with its value."""
    if isinstance(tree, dict | list):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, tree


def sections_in(annotation: Any) -> list[type[Section]]:
    """The blocks of settings that a type names: of `list[Source]`, Source."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in sections_in(part)]


def fields(section: type[Section], key: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted keys of all settings, those of entries of lists included: `corpus.sources.path`."""
    for name, field in section.model_fields.items():
        yield f"{key}{name}", field
        for inner in sections_in(field.annotation):
            yield from fields(inner, f"{key}{name}.")


def meaning(field: FieldInfo) -> str:
    """A setting's description; a block's is the docstring of its class."""
    inner = sections_in(field.annotation)
    return field.description or (inner[0].__doc__ if inner else "") or ""


def comments(text: str) -> Iterator[tuple[str, str]]:
    """Dotted keys of params.yaml with the comment on their line; a key that is commented out too.

    Entries of a list have the key of the list: `- path: built-in  # …` is `corpus.sources.path`.
    """
    path: list[tuple[int, str]] = []  # indentation and name of the blocks around a line
    for line in text.splitlines():
        found = re.fullmatch(r"( *(?:- |# )?)(\w+):(?: +[^#\s][^#]*| *)(?:# (.*))?", line)
        if not found or not line.startswith((" ", found[2])):
            continue
        indent = len(found[1])
        while path and path[-1][0] >= indent:
            path.pop()
        yield ".".join([name for _, name in path] + [found[2]]), found[3] or ""
        path.append((indent, found[2]))


FIELDS = dict(fields(Settings))
COMMENTS = dict(comments(PARAMS))


def test_every_setting_stands_in_params_yaml_with_its_default() -> None:
    assert dict(leaves(yaml(ROOT / "params.yaml"))) == dict(leaves(Settings().model_dump()))


def test_params_yaml_is_block_style() -> None:
    for line in PARAMS.splitlines():
        if re.search(r": \[\]( +#.*)?$", line):  # an empty list has no other form
            continue
        assert not line.split("#")[0].rstrip().endswith(("}", "]")), line


def test_params_yaml_names_the_settings_and_nothing_else() -> None:
    assert list(COMMENTS) == list(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_the_comment_of_a_setting_is_the_first_sentence_of_its_description(key: str) -> None:
    first = meaning(FIELDS[key]).split(". ")[0].split("\n")[0].removesuffix(".")
    assert first, f"{key} has no description"
    wanted = {first, first[0].lower() + first[1:]}
    assert COMMENTS[key] in wanted, f"write this beside {key} in params.yaml: # {first}"


def literals(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [found for part in typing.get_args(annotation) for found in literals(part)]


@pytest.mark.parametrize("key", [key for key in FIELDS if literals(FIELDS[key].annotation)])
def test_a_description_names_every_value_that_is_allowed(key: str) -> None:
    words = re.findall(r"\w+", meaning(FIELDS[key]))
    assert set(literals(FIELDS[key].annotation)) <= set(words)


def nested(key: str, value: Any) -> dict[str, Any]:
    tree: Any = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return tree


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_gives_an_error_that_tells_the_new_one(old: str, tmp_path: Path) -> None:
    assert old not in FIELDS
    assert RENAMED[old] in FIELDS
    sentence = re.escape(f"{old} is called {RENAMED[old]} now")
    with pytest.raises(SettingsError, match=sentence):
        parse_settings(nested(old, 1))
    with pytest.raises(SettingsError, match=sentence):
        Settings().replaced({old: 1})
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\n")
    with pytest.raises(SettingsError, match=sentence):
        load_settings(path, [f"{old}=1"])


@pytest.mark.parametrize("old", RENAMED_SEARCH)
def test_an_old_name_in_the_search_gives_the_new_one(old: str) -> None:
    with pytest.raises(SettingsError, match=f"{old} is called {RENAMED_SEARCH[old]} now"):
        parse_settings({"tuning": {"search": ["weights", old]}})


@pytest.mark.parametrize("old", RENAMED)
def test_what_an_older_version_stored_is_read_under_the_new_names(old: str) -> None:
    new = RENAMED[old]
    for stored in (nested(old, 3), {old: 3}):
        again = dict(leaves(with_new_names(stored)))
        assert {key: value for key, value in again.items() if value == 3} == {new: 3}
    assert with_new_names(nested(new, 3)) == nested(new, 3)


def test_stored_search_is_read_under_the_new_names() -> None:
    stored = {"tuning": {"search": ["weights", "rows", "private_layers"], "trials": 2}}
    assert with_new_names(stored)["tuning"] == {
        "search": ["weights", "batch_fractions", "mode_specific_layers"],
        "trials": 2,
    }
    assert stored["tuning"]["search"][1] == "rows", "the argument stays as it is"


def test_best_values_of_an_older_version_are_used(tmp_path: Path) -> None:
    (tmp_path / "tuning").mkdir()
    best = tmp_path / "tuning" / "best.yaml"
    best.write_text("objectives.mlm.rows: 0.5\nmodel.private_layers: 0\n")
    chosen = with_best(Settings(), tmp_path)
    assert chosen.objectives.mlm.batch_fraction == 0.5
    assert chosen.model.mode_specific_layers == 0


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"training": {"steps": 0}}, "training.steps: input should be .* 1, got 0"),
        ({"training": {"stepz": 1}}, r"training.stepz is not .* \(did you mean training.steps\?\)"),
        ({"corpus": {"sources": [{"pth": "x"}]}}, r"mean corpus.sources.0.path\?"),
        ({"model": {"width": 100, "heads": 3}}, "width must be a multiple of 2 . heads = 6"),
        ({"trainin": {}}, r"trainin is not .* \(did you mean training\?\)"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tree: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        parse_settings(tree)
    assert "\n" not in str(caught.value)


PRESETS = sorted((ROOT / "params").glob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_changes_what_its_file_names_and_nothing_else(path: Path) -> None:
    plain = load_settings(ROOT / "params.yaml")
    values = preset_values(path.stem, ROOT / "params.yaml")
    assert load_settings(ROOT / "params.yaml", preset=path.stem) == plain.replaced(values)
    tree = dict(leaves(plain.model_dump()))
    unchanged = {key for key, value in values.items() if key in tree and tree[key] == value}
    # said all the same, because a cluster is lost without them
    assert unchanged <= {"objectives.contrastive.gather", "training.checkpoint_every_steps"}


def test_set_wins_over_a_preset() -> None:
    chosen = load_settings(ROOT / "params.yaml", ["model.layers=2"], preset="gpu")
    assert (chosen.model.layers, chosen.model.width) == (2, 768)


def test_an_unknown_preset_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="cluster, gpu, installed, laptop, workstation"):
        load_settings(ROOT / "params.yaml", preset="gpus")


def test_the_words_of_a_preset_are_its_settings_for_dvc(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for path in PRESETS:
        assert main(["preset", path.stem]) == 0
        words = [word for word in shlex.split(capsys.readouterr().out) if word != "-S"]
        assert parse_overrides(words) == preset_values(path.stem, ROOT / "params.yaml")
    assert main(["preset"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{path.stem}:" in listed for path in PRESETS)


def test_dvc_reads_the_words_of_settings_as_we_do(tmp_path: Path) -> None:
    from dvc.utils.hydra import apply_overrides

    sources = [{"path": "data/sources/my notes.txt", "field": ["a", "b"], "weight": 0.5}]
    values = {"corpus.sources": sources, "training.compile": True, "tokens.encoding": "gpt2"}
    values |= {"objectives.mlm.weight_end": None, "model.layers": 2}
    assert parse_overrides(words_of(values)) == values
    copied = tmp_path / "params.yaml"
    copied.write_text(PARAMS, encoding="utf-8")
    apply_overrides(copied, words_of(values))
    assert load_settings(copied) == load_settings(ROOT / "params.yaml").replaced(values)
