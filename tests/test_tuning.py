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
from test_config import yaml

from ssl_lib.config import Settings, SettingsError, with_best
from ssl_lib.experiments.tuning import tune
from ssl_lib.experiments.tuning.rounds import best_by_margin
from ssl_lib.experiments.tuning.space import (
    RANGE,
    SEARCHED,
    current_values,
    propose,
    search_space,
)
from ssl_lib.experiments.tuning.study import (
    NOT_NAMED,
    completed,
    create_study,
    first_values,
    is_surplus,
    journal_path,
    open_storage,
    study_name,
)
from ssl_lib.tokens.store import SPLITS, tokenize
from ssl_lib.training.stage import train

KEY = "training.learning_rate"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def study_of(settings: Settings, *values: float | None) -> optuna.Study:
    """A study whose trials had these scores; None for one that failed.

    The first trial, and one after a failed one, is the settings as they are.
    """
    study = optuna.create_study(direction="minimize")
    space, params = search_space(settings), current_values(settings)
    for index, value in enumerate(values):
        state = TrialState.COMPLETE if value is not None else TrialState.FAIL
        done = create_trial(state=state, value=value, params=params, distributions=space)
        study.add_trial(done)
        if value is not None:
            params = params | {KEY: 0.02 + 0.001 * (index + 1)}
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
        ((None, 1.0, 0.995), None),
    ],
)
def test_a_trial_is_chosen_only_if_it_beats_the_settings_by_the_margin(
    settings: Settings, scores: tuple[float | None, ...], chosen: int | None
) -> None:
    settings = settings.replaced({"tuning.margin": 0.01})
    found = best_by_margin(completed(study_of(settings, *scores)), settings)
    assert found.get(KEY) == (None if chosen is None else pytest.approx(0.02 + 0.001 * chosen))


def test_without_a_trial_of_the_settings_nothing_is_chosen(settings: Settings) -> None:
    assert best_by_margin(completed(study_of(settings, None, None)), settings) == {}


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


def study_in(settings: Settings, root: Path, name: str = "ssl-lib-a") -> optuna.Study:
    """A study of the settings in the journal of a project."""
    storage = open_storage(settings, root)
    first = first_values(settings, storage, name)
    return create_study(settings, storage, name, first, stops_early=True)


def proposals(study: optuna.Study, settings: Settings, count: int) -> list[dict[str, object]]:
    """What the next trials of a study would try; their values stay unknown."""
    return [propose(study.ask(), search_space(settings)) for _ in range(count)]


def test_workers_and_resumed_studies_never_propose_the_same(
    settings: Settings, tmp_path: Path
) -> None:
    # two workers in turn, as two processes would see one journal
    one, other = study_in(settings, tmp_path), study_in(settings, tmp_path)
    found = []
    for _ in range(4):
        found += proposals(one, settings, 1) + proposals(other, settings, 1)
    found += proposals(study_in(settings, tmp_path), settings, 4)
    assert found[0] == current_values(settings)
    assert len({json.dumps(values) for values in found}) == len(found) == 12
    # and the same seed the same values again, in a study that one worker runs
    alone = proposals(study_in(settings, tmp_path / "again"), settings, 12)
    assert alone == found


def test_of_trials_that_begin_at_once_those_beyond_the_total_are_given_back(
    settings: Settings, tmp_path: Path
) -> None:
    study = study_in(settings, tmp_path)
    trials = [study.ask() for _ in range(4)]
    assert [is_surplus(study, trial.number, 3) for trial in trials] == [False, False, False, True]
    study.tell(trials[1], state=TrialState.FAIL)
    assert not is_surplus(study, trials[3].number, 3)


def test_no_folder_has_the_name_of_a_database(settings: Settings, tmp_path: Path) -> None:
    usual = journal_path(settings, tmp_path)
    for storage, path in (
        ("postgresql://me:secret@host/studies", usual),
        ("sqlite:///studies.db", usual),
        ("studies/journal.log", tmp_path / "studies" / "journal.log"),
    ):
        assert journal_path(settings.replaced({"tuning.storage": storage}), tmp_path) == path


def test_a_torn_line_of_the_journal_is_cut_off(settings: Settings, tmp_path: Path) -> None:
    first = study_in(settings, tmp_path)
    proposals(first, settings, 2)
    path = tmp_path / ".ssl_lib" / "tuning" / "journal.log"
    with path.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"power cut')
    later = study_in(settings, tmp_path)
    assert len(later.trials) == 2
    proposals(later, settings, 1)
    assert len(study_in(settings, tmp_path).trials) == 3


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"model.layers": 2}, True),
        ({"tuning.steps": 7}, True),
        ({"tuning.search": ["weights"]}, True),
        ({"seed": 3}, True),
        ({"training.learning_rate": 0.03}, True),
        ({"tuning.trials": 50, "tuning.workers": 3, "tuning.margin": 0.5}, False),
        ({"training.steps": 99, "training.threads": 2, "tuning.storage": "other.log"}, False),
    ],
)
def test_a_study_is_named_by_what_decides_its_scores(
    settings: Settings, changed: dict[str, object], differs: bool
) -> None:
    name = study_name(settings, "tokens")
    assert (study_name(settings.replaced(changed), "tokens") != name) is differs
    assert study_name(settings, "other tokens") != name


def test_dvc_reruns_tune_for_all_that_decides_and_for_nothing_else(settings: Settings) -> None:
    stages = yaml(Path(__file__).parents[1] / "dvc.yaml")["stages"]
    listed = set(stages["tune"]["params"])
    decides = {f"training.{key}" for key in type(settings.training).model_fields}
    # how long a trial is follows from these too; the others change neither scores nor choice
    decides -= {f"training.{key}" for key in NOT_NAMED - {"steps", "validate_every_steps"}}
    decides |= {f"tuning.{key}" for key in type(settings.tuning).model_fields}
    decides -= {"tuning.workers", "tuning.storage"}
    assert listed == decides | {"seed", "model", "objectives"}


def test_the_best_of_earlier_studies_is_tried_after_the_settings(
    settings: Settings, tmp_path: Path
) -> None:
    earlier = study_in(settings, tmp_path, "ssl-lib-earlier")
    tried = []
    for value in (1.0, 0.7, 0.9):
        trial = earlier.ask()
        tried.append(propose(trial, search_space(settings)))
        earlier.tell(trial, value)
    known = tried[1]
    other = study_in(settings.replaced({"tuning.search": ["temperature"]}), tmp_path, "ssl-lib-b")
    other.tell(other.ask(), 0.1)  # of another space: nothing is taken from it
    later = proposals(study_in(settings, tmp_path, "ssl-lib-later"), settings, 2)
    assert later == [current_values(settings), known]
    cold = settings.replaced({"tuning.warm_start": 0})
    assert proposals(study_in(cold, tmp_path, "ssl-lib-cold"), cold, 2)[1] != known


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


def write_texts(root: Path, texts: list[str]) -> None:
    """The output of stage corpus: the same texts in every split."""
    (root / "data" / "raw").mkdir(parents=True)
    for split in SPLITS:
        lines = (json.dumps({"text": text, "source": "test", "domain": "test"}) for text in texts)
        (root / "data" / "raw" / f"{split}.jsonl").write_text(
            "\n".join(lines) + "\n", encoding="utf-8"
        )


@pytest.fixture(scope="module")
def project(
    settings: Settings, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Settings]:
    """A root with tokens in it, and settings for three trials of six steps."""
    root = tmp_path_factory.mktemp("project")
    write_texts(root, texts)
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
        rows = list(csv.DictReader(file))
    trials = [row for row in rows if row["round"] == "trial"]
    assert len(trials) == 3
    first = {key: float(trials[0][key]) for key in current_values(settings)}
    assert first == pytest.approx(current_values(settings))
    assert "objectives.denoising.weight" not in trials[0]
    assert all(float(trial["score"]) > 0 for trial in trials if trial["state"] == "complete")
    # a second time nothing is left to run
    before = (root / "tuning" / "trials.csv").read_text()
    assert tune(settings, root) == chosen
    assert (root / "tuning" / "trials.csv").read_text() == before
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
