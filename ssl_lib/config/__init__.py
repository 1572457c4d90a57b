"""Settings: `params.yaml`, read once at the entry point into typed, strict, frozen objects.

Every default and every meaning stands in code; `params.yaml` shows all of them with the values of
the default run, and a test holds the two together.

* `Settings`, `load_settings`: here; start here
* `sections.py`: one class for each block of `params.yaml`
* `objectives.py`: one class for each objective
* `tree.py`: settings as a plain tree, names that settings had before, and errors in one sentence
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from ssl_lib.config.objectives import (
    OBJECTIVES,
    ContrastiveSettings,
    DenoisingSettings,
    MlmSettings,
    NtpSettings,
    NumericalSettings,
    ObjectiveSettings,
    ObjectivesSettings,
    ValueHead,
)
from ssl_lib.config.operation import OperationSettings, TrackingSettings
from ssl_lib.config.sections import (
    BUILT_IN,
    EXTERNAL_SETTINGS,
    CorpusSettings,
    Digits,
    DownstreamTask,
    EvaluationSettings,
    ExternalTask,
    ModelSettings,
    NonNegative,
    NumberEmbedding,
    Section,
    Source,
    TokenSettings,
    TrainingSettings,
    TuningSettings,
)
from ssl_lib.config.tree import (
    SettingsError,
    dotted,
    explain,
    parse_scalar,
    read_yaml,
    refuse_old_names,
    set_dotted,
    with_new_names,
    words_of,
)

# fmt: off
__all__ = [
    "BEST_VALUES", "BUILT_IN", "EXTERNAL_SETTINGS", "OBJECTIVES", "ContrastiveSettings",
    "CorpusSettings", "DenoisingSettings", "Digits", "DownstreamTask", "EvaluationSettings",
    "ExternalTask", "MlmSettings", "ModelSettings", "NtpSettings", "NumberEmbedding",
    "NumericalSettings", "ObjectiveSettings", "ObjectivesSettings", "OperationSettings",
    "Settings", "SettingsError", "Source", "TokenSettings", "TrackingSettings", "TrainingSettings",
    "TuningSettings", "ValueHead", "load_settings", "parse_overrides", "parse_settings",
    "preset_values", "project_settings", "with_best", "with_new_names", "words_of",
]
# fmt: on

BEST_VALUES = "tuning/best.yaml"


class Settings(Section):
    """Everything in `params.yaml`."""

    seed: NonNegative = Field(
        0, description="of every random generator, from the corpus to the evaluation"
    )
    corpus: CorpusSettings = CorpusSettings()
    tokens: TokenSettings = TokenSettings()
    model: ModelSettings = ModelSettings()
    objectives: ObjectivesSettings = ObjectivesSettings()
    training: TrainingSettings = TrainingSettings()
    tuning: TuningSettings = TuningSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()
    operation: OperationSettings = OperationSettings()

    @model_validator(mode="after")
    def _objectives_share_what_is_compared(self) -> Settings:
        compares = self.training.gradient_cosine_every_steps > 0
        if compares and self.model.mode_specific_layers == self.model.layers:
            raise ValueError(
                "training.gradient_cosine_every_steps compares gradients on shared layers; "
                f"set model.mode_specific_layers below model.layers = {self.model.layers}"
            )
        return self

    def trained(self) -> list[str]:
        """Objectives whose weight is not 0 throughout: a scheduled one may begin late."""
        weights = self.objectives.weights()
        final = self.objectives.final_weights()
        scheduled = self.training.weighting == "schedule"
        return [name for name in OBJECTIVES if weights[name] > 0 or (scheduled and final[name] > 0)]

    def replaced(self, values: dict[str, Any]) -> Settings:
        """A validated copy in which dotted keys have new values.

        Raises SettingsError for an unknown key or a bad value.
        """
        tree = self.model_dump()
        for key, value in values.items():
            set_dotted(tree, key, value)
        return parse_settings(tree)


def load_settings(
    path: str | Path = "params.yaml", overrides: list[str] | None = None, preset: str = ""
) -> Settings:
    """Read a YAML 1.2 file, then a preset beside it, then `section.key=value` overrides.

    Raises SettingsError: one sentence that names the file, the key, the value and what is allowed.
    """
    tree = read_yaml(Path(path))
    changes = preset_values(preset, Path(path)) if preset else {}
    changes |= parse_overrides(overrides or [])
    if changes:  # an entry of a list that the file leaves at its default can be named too
        tree = parse_settings(tree).model_dump()
    for key, value in changes.items():
        set_dotted(tree, key, value)
    return parse_settings(tree)


def preset_values(name: str, params: Path) -> dict[str, Any]:
    """Dotted keys and values of the file `params/NAME.yaml` beside a settings file.

    Raises SettingsError for an unknown name.
    """
    folder = params.parent / "params"
    known = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in known:
        there = ", ".join(known) or "no presets"
        raise SettingsError(f"--preset {name}: {folder} has {there}; name one that is there")
    return dotted(read_yaml(known[name]))


def project_settings(root: Path) -> Settings:
    """Those of the project in a folder, else the defaults. Raises SettingsError."""
    path = root / "params.yaml"
    return load_settings(path) if path.exists() else Settings()


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`["training.steps=500"]` → `{"training.steps": 500}`, as `--set` takes them.

    Raises SettingsError for a word without `=`.
    """
    values = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator:
            raise SettingsError(f"--set {word}: write it as section.key=value")
        values[key.strip()] = parse_scalar(text)
    return values


def parse_settings(tree: dict[str, Any]) -> Settings:
    """Validate a plain tree of settings. Raises SettingsError that names the first wrong key."""
    refuse_old_names(tree)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(explain(error, Settings)) from None


def with_best(settings: Settings, root: Path) -> Settings:
    """The settings with the values of `tuning/best.yaml`, if there is one.

    Raises SettingsError for unknown keys.
    """
    path = root / BEST_VALUES
    if path.exists():
        return settings.replaced(with_new_names(read_yaml(path)))
    return settings
