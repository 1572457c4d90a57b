"""What is searched: dotted keys of settings, each with the distribution of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ssl_lib.config import OBJECTIVES, Settings

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

Values = dict[str, Any]  # by dotted key

RANGE = 2.0  # short runs favor what learns fast at first, so the search stays near the settings
HIGHEST = 10.0  # what the settings allow for rates and the temperature
SEARCHED = {  # what each name in `tuning.search` stands for
    "weights": [f"objectives.{name}.weight" for name in OBJECTIVES if name != "ntp"],
    "weight_ends": [f"objectives.{name}.weight_end" for name in OBJECTIVES if name != "ntp"],
    "batch_fractions": [
        f"objectives.{name}.batch_fraction" for name in ("mlm", "contrastive", "denoising")
    ],
    "temperature": ["objectives.contrastive.temperature"],
    "learning_rates": ["training.learning_rate", "training.adamw_learning_rate"],
    "mode_specific_layers": ["model.mode_specific_layers"],
    "mode_embedding": ["model.mode_embedding"],
}


def search_space(settings: Settings) -> dict[str, BaseDistribution]:
    """Dotted key and distribution of all that `tuning.search` names.

    Positive numbers: logarithmic, within a factor of RANGE of the settings; a weight of 0 stays 0.
    The weight of `ntp` stays as it is where it is not 0: only ratios of weights matter. What
    belongs to an objective that is not trained is left out.
    """
    space: dict[str, BaseDistribution] = {}
    for key in (key for name in settings.tuning.search for key in SEARCHED[name]):
        section, name, *_ = key.split(".")
        value = _value_at(settings, key)
        if key == "model.mode_specific_layers":
            # gradients are compared on a layer that all modes share
            shared = int(settings.training.gradient_cosine_every_steps > 0)
            space[key] = IntDistribution(0, settings.model.layers - shared)
        elif key == "model.mode_embedding":
            space[key] = CategoricalDistribution((False, True))
        elif value and not (section == "objectives" and name not in settings.trained()):
            highest = 1.0 if key.endswith(".batch_fraction") else HIGHEST
            ends = value / RANGE, min(value * RANGE, highest)
            space[key] = FloatDistribution(*ends, log=True)
    return space


def current_values(settings: Settings) -> Values:
    """What the settings say now for everything that is searched over."""
    return {key: _value_at(settings, key) for key in search_space(settings)}


def propose(trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> Values:
    """A value from each distribution."""
    proposed: Values = {}
    for key, distribution in space.items():
        if isinstance(distribution, FloatDistribution):
            ends = distribution.low, distribution.high
            proposed[key] = trial.suggest_float(key, *ends, log=True)
        elif isinstance(distribution, IntDistribution):
            proposed[key] = trial.suggest_int(key, distribution.low, distribution.high)
        elif isinstance(distribution, CategoricalDistribution):
            proposed[key] = trial.suggest_categorical(key, distribution.choices)
    return proposed


def fits(values: Values, space: Mapping[str, BaseDistribution]) -> bool:
    """Whether values of another study lie in this space, key for key."""
    if values.keys() != space.keys():
        return False
    for key, distribution in space.items():
        value = values[key]
        if isinstance(distribution, CategoricalDistribution):
            inside = value in distribution.choices
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            inside = distribution.low <= value <= distribution.high
        if not inside:
            return False
    return True


def _value_at(settings: Settings, key: str) -> Any:
    node: Any = settings
    for part in key.split("."):
        node = getattr(node, part)
    return node
