"""Tuning: what is searched and chosen, what a dead trial leaves, that training uses it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from ruamel.yaml import YAML

from ssl_lib.config import Settings, SettingsError, with_best
from ssl_lib.experiments.tuning import (
    RANGE,
    SEARCHED,
    choose,
    create_study,
    current_values,
    finished,
    propose,
    reap_dead_trials,
    search_space,
    tune,
)
from ssl_lib.tokens.store import SPLITS, tokenize
from ssl_lib.training.stage import train

KEY = "training.learning_rate"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def study_of(*values: float | None) -> optuna.Study:
    """A study whose trials had these scores; None for one that failed."""
    study = optuna.create_study(direction="minimize")
    for index, value in enumerate(values):
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if value is not None else TrialState.FAIL,
                value=value,
                params={KEY: 0.02 + index},
                distributions={KEY: FloatDistribution(1e-3, 10.0)},
            )
        )
    return study


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ((1.0, 0.98, 1.2), 1),
        ((1.0, 0.995), None),
        ((1.0, 0.99), None),
        ((0.5, 0.6, 0.7), None),
        ((1.0, 0.5, 0.4), 2),
        ((1.0,), None),
    ],
)
def test_a_trial_is_chosen_only_if_it_beats_the_settings_by_the_margin(
    settings: Settings, scores: tuple[float, ...], chosen: int | None
) -> None:
    settings = settings.replaced({"tuning.margin": 0.01})
    expected = {} if chosen is None else {KEY: 0.02 + chosen}
    assert choose(study_of(*scores), settings) == expected


def test_the_margin_still_holds_when_the_first_trial_died_and_was_run_again(
    settings: Settings,
) -> None:
    study = study_of(None)
    distributions = {KEY: FloatDistribution(1e-3, 10.0)}
    for value, rate in ((1.0, 0.02), (0.995, 5.0)):
        study.add_trial(create_trial(value=value, params={KEY: rate}, distributions=distributions))
    assert choose(study, settings.replaced({"tuning.margin": 0.01})) == {}


def test_the_search_spans_the_same_factor_on_both_sides_of_the_settings(settings: Settings) -> None:
    space, now = search_space(settings), current_values(settings)
    assert space.keys() == now.keys()
    assert "objectives.contrastive.temperature" in space
    assert {KEY, "training.adamw_learning_rate"} <= space.keys()
    for key, distribution in space.items():
        assert isinstance(distribution, FloatDistribution)
        assert distribution.log
        assert (distribution.low, distribution.high) == pytest.approx(
            (now[key] / RANGE, now[key] * RANGE)
        )
    assert "objectives.ntp.weight" not in space


def test_a_weight_of_zero_stays_zero(settings: Settings) -> None:
    space = search_space(
        settings.replaced({"objectives.mlm.weight": 0.0, "objectives.contrastive.weight": 0.0})
    )
    assert not {"objectives.mlm.weight", "objectives.contrastive.weight"} & space.keys()
    assert "objectives.denoising.weight" in space


@pytest.mark.parametrize(
    "changed",
    [
        {KEY: 9.0},
        {"objectives.contrastive.temperature": 8.0},
        {
            "objectives.mlm.batch_fraction": 0.9,
            "training.weighting": "schedule",
            "objectives.mlm.weight_end": 0.5,
        },
        {"training.gradient_cosine_every_steps": 5},
    ],
)
def test_every_value_in_the_search_space_is_a_valid_setting(
    settings: Settings, changed: dict[str, object]
) -> None:
    chosen = settings.replaced(changed | {"tuning.search": list(SEARCHED)})
    for key, distribution in search_space(chosen).items():
        ends = (
            distribution.choices
            if isinstance(distribution, CategoricalDistribution)
            else (distribution.low, distribution.high)
        )
        for value in ends:
            chosen.replaced({key: value})


def test_the_search_can_be_over_fractions_schedule_layers_and_the_mode_embedding(
    settings: Settings,
) -> None:
    every = settings.replaced({
        "tuning.search": [
            "batch_fractions", "weight_ends", "mode_specific_layers", "mode_embedding",
        ],
        "training.weighting": "schedule",
        "objectives.mlm.weight_end": 0.5,
        "objectives.denoising.weight": 0.0,
    })  # fmt: skip
    space = search_space(every)
    assert space.keys() == {
        "objectives.mlm.batch_fraction", "objectives.contrastive.batch_fraction",
        "objectives.mlm.weight_end", "model.mode_specific_layers", "model.mode_embedding",
    }  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(current_values(every))
    assert propose(study.ask(), space) == current_values(every)
    for _ in range(20):
        proposed = propose(study.ask(), space)
        assert {key: type(value) for key, value in proposed.items()} == {
            key: type(value) for key, value in current_values(every).items()
        }
        every.replaced(proposed)


def test_a_dead_trial_is_reaped_and_its_values_are_tried_again(
    settings: Settings, tmp_path: Path
) -> None:
    chosen = settings.replaced({"tuning.storage": "journal.log"})
    dying = create_study(chosen, tmp_path)
    dying.enqueue_trial({KEY: 0.03})
    dying.ask({KEY: FloatDistribution(0.01, 0.1)})  # and its process is killed here
    later = create_study(chosen, tmp_path)
    assert [trial.state for trial in later.trials] == [TrialState.RUNNING]
    reap_dead_trials(later)
    assert not later.get_trials(states=(TrialState.RUNNING,))
    assert later.trials[0].state == TrialState.FAIL
    assert finished(later) == []
    assert later.ask({KEY: FloatDistribution(0.01, 0.1)}).params == {KEY: 0.03}


def test_other_settings_are_another_study(settings: Settings, tmp_path: Path) -> None:
    chosen = settings.replaced({"tuning.storage": "journal.log"})
    first = create_study(chosen, tmp_path)
    assert create_study(chosen, tmp_path).study_name == first.study_name
    assert (
        create_study(chosen.replaced({"model.layers": 2}), tmp_path).study_name != first.study_name
    )
    assert (
        create_study(chosen.replaced({"tuning.steps": 7}), tmp_path).study_name != first.study_name
    )


def write_best(root: Path, values: dict[str, float]) -> None:
    (root / "tuning").mkdir(exist_ok=True)
    with (root / "tuning" / "best.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(values, file)


def test_best_values_replace_those_of_the_settings(settings: Settings, tmp_path: Path) -> None:
    assert with_best(settings, tmp_path) == settings
    write_best(tmp_path, {})
    assert with_best(settings, tmp_path) == settings
    write_best(tmp_path, {KEY: 0.5, "objectives.mlm.weight": 0.25})
    assert with_best(settings, tmp_path) == settings.replaced(
        {KEY: 0.5, "objectives.mlm.weight": 0.25}
    )
    write_best(tmp_path, {"objectives.mlm.wieght": 0.25})
    with pytest.raises(SettingsError, match="wieght"):
        with_best(settings, tmp_path)


@pytest.fixture(scope="module")
def project(
    settings: Settings, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Settings]:
    """A root with tokens in it, and settings for three trials of six steps."""
    root = tmp_path_factory.mktemp("project")
    (root / "data" / "raw").mkdir(parents=True)
    for split in SPLITS:
        lines = (json.dumps({"text": text, "source": "test", "domain": "test"}) for text in texts)
        (root / "data" / "raw" / f"{split}.jsonl").write_text(
            "\n".join(lines) + "\n", encoding="utf-8"
        )
    tokens = {"tokens.vocabulary_size": 1440, "tokens.workers": 1}
    budget = {
        "tuning.trials": 3,
        "tuning.steps": 6,
        "training.steps": 6,
        "tracking.log_every_steps": 6,
    }
    chosen = settings.replaced(tokens | budget | {"objectives.denoising.weight": 0.0})
    tokenize(chosen, root)
    return root, chosen


@pytest.mark.slow
def test_tuning_starts_from_the_settings_and_training_uses_what_it_found(
    project: tuple[Path, Settings],
) -> None:
    root, settings = project
    chosen = tune(settings, root)
    with (root / "tuning" / "trials.csv").open() as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == 3
    first = {key: float(trials[0][key]) for key in current_values(settings)}
    assert first == pytest.approx(current_values(settings))
    assert "objectives.denoising.weight" not in trials[0]
    assert all(float(trial["score"]) > 0 for trial in trials if trial["state"] == "complete")
    assert (
        YAML(typ="safe", pure=True).load((root / "tuning" / "best.yaml").read_text()) or {}
    ) == pytest.approx(chosen)
    write_best(root, {"objectives.mlm.weight": 0.125})
    metrics = train(settings, root)
    assert metrics["weights"] == settings.objectives.weights() | {"mlm": 0.125}
    assert json.loads((root / "metrics" / "train.json").read_text()) == json.loads(
        json.dumps(metrics)
    )
    written = {path.name for path in (root / "model").iterdir()}
    assert {"config.json", "encoding.json", "model.safetensors", "run.json"} <= written
    assert (
        json.loads((root / "model" / "config.json").read_text())["objectives"]["mlm"]["weight"]
        == 0.125
    )
    assert not list((root / ".ssl_lib" / "train").iterdir())
