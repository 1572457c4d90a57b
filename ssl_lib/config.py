"""Settings: `params.yaml`, read once at the entry point into typed, strict, frozen objects.

Every default stands here; `params.yaml` shows all of them with the values of the default run, and a test holds the two
together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ssl_lib.settings_tree import SettingsError, explain, parse_scalar, read_yaml, set_dotted

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]

BEST_VALUES = "tuning/best.yaml"
Digits = Literal["as_is", "single", "left3", "right3"]
NumberEmbedding = Literal["none", "value", "log_value", "exponent_bins", "fourier", "place_value"]
Searched = Literal[
    "weights",
    "weight_ends",
    "batch_fractions",
    "temperature",
    "learning_rates",
    "mode_specific_layers",
    "mode_embedding",
]
DownstreamTask = Literal[
    "token_classification", "numerical_reasoning", "semantic_similarity", "next_token_prediction"
]
EXTERNAL_SETTINGS = {
    "token_classification": {"train", "validation", "outside", "word_column", "label_column"},
    "numerical_reasoning": {"cue"},
    "semantic_similarity": {"gold"},
    "next_token_prediction": {"field"},
}
ValueHead = Literal["regression", "mantissa_exponent", "mixture", "token_distance"]


class Section(BaseModel):
    """Base of every block of settings: immutable, no unknown keys, no silent conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(Section):
    """Where documents come from: `built-in`, a file, a folder, a glob, or a URL that fsspec can read."""

    path: str = "built-in"
    domain: str | None = None
    weight: Annotated[float, Field(gt=0.0)] = 1.0
    field: str | list[str] = "text"
    documents: NonNegative = (
        0  # of the built-in generator: how many; of files: at most this many; 0 means all
    )


class CorpusSettings(Section):
    """Stage `corpus`."""

    name: str = "built-in"
    sources: Annotated[list[Source], Field(min_length=1)] = [Source(documents=144000)]
    minimum_characters: NonNegative = 20
    maximum_characters: Positive = 200_000
    near_duplicate_threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.85
    maximum_domain_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    validation_share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.03
    test_share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.03


class TokenSettings(Section):
    """Stage `tokenize`: `encoding` is `trained`, a tiktoken name, or the path of an `encoding.json`."""

    encoding: str = "trained"
    vocabulary_size: Annotated[int, Field(ge=1400, le=1_000_000)] = 2048
    digits: Digits = "right3"
    workers: NonNegative = 0


class ModelSettings(Section):
    """The trunk that all objectives share."""

    layers: Positive = 3
    width: Positive = 128
    heads: Positive = 4
    context_length: Annotated[int, Field(ge=8)] = 128
    number_embedding: NumberEmbedding = "fourier"
    mode_embedding: bool = True
    mode_specific_layers: NonNegative = 1
    short_convolution: Annotated[int, Field(ge=0, le=8)] = 3
    induction_heads: NonNegative = 1
    activation_checkpointing: bool = False

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSettings:
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2 * heads = {2 * self.heads}, got {self.width}"
            )
        return self

    @model_validator(mode="after")
    def _induction_heads_are_heads(self) -> ModelSettings:
        if self.induction_heads > self.heads:
            raise ValueError(
                f"induction_heads must be at most heads = {self.heads}, got {self.induction_heads}"
            )
        return self

    @model_validator(mode="after")
    def _private_layers_are_layers(self) -> ModelSettings:
        if self.mode_specific_layers > self.layers:
            raise ValueError(
                f"mode_specific_layers must be at most layers = {self.layers}, got {self.mode_specific_layers}"
            )
        return self


class ObjectiveSettings(Section):
    """What every objective has: its weight in the joint loss, and where `training.weighting: schedule` takes it (None:
    nowhere); 0 leaves it out.
    """

    weight: Weight = 1.0
    weight_end: Weight | None = None


class MlmSettings(ObjectiveSettings):
    """Masked tokens: `batch_fraction` is the share of each batch that gets the masked view."""

    weight: Weight = 0.02
    mask_rate: Share = 0.15
    mask_token_share: Share = 0.8
    random_token_share: Share = 0.1
    granularity: Literal["token", "word", "span"] = "token"
    span_words: Annotated[float, Field(ge=1.0, le=10.0)] = 5.0
    whole_numbers: bool = True
    batch_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.125

    @model_validator(mode="after")
    def _shares(self) -> MlmSettings:
        if self.mask_token_share + self.random_token_share > 1.0:
            raise ValueError("mask_token_share + random_token_share must be at most 1")
        return self


class NtpSettings(ObjectiveSettings):
    """Next token; `number_weight` is what a token of digits counts in the gradient, where others count 1."""

    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    z_loss: Weight = 0.0
    number_weight: Weight = 3.0


class ContrastiveSettings(ObjectiveSettings):
    """NT-Xent between `views` augmented views; `effective_batch` token positions are anchors in each micro-batch."""

    weight: Weight = 0.04
    temperature: Annotated[float, Field(gt=0.0, le=10.0)] = 0.07
    learned_temperature: bool = False
    effective_batch: Annotated[int, Field(ge=2)] = 256
    token_weight: Weight = 1.0
    document_weight: Weight = 1.0
    number_weight: Weight = 1.0
    sentence_weight: Weight = 4.0
    type_weight: Weight = 0.0
    equivalent_weight: Weight = 1.0
    views: Annotated[int, Field(ge=2, le=8)] = 2
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    queue: Positive = 4096
    gather: bool = True
    batch_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    projection: Positive = 128


class DenoisingSettings(ObjectiveSettings):
    """Reconstruction of corrupted positions through a bottleneck; the `*_share` settings mix the kinds of noise."""

    weight: Weight = 0.06
    noise_rate: Share = 0.15
    noise_token_share: Weight = 0.4
    random_token_share: Weight = 0.2
    shuffle_share: Weight = 0.2
    digit_share: Weight = 0.2
    deletion_share: Weight = 0.0
    infill_share: Weight = 0.0
    infill_words: Annotated[float, Field(ge=1.0, le=10.0)] = 3.0
    mode: Literal["token", "document"] = "token"
    bottleneck: Positive = 64
    loss: Literal["ce", "mse"] = "ce"
    batch_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25

    @property
    def leaves_gaps(self) -> bool:
        """Whether tokens are missing from the noised view."""
        return self.deletion_share > 0 or self.infill_share > 0

    @model_validator(mode="after")
    def _some_noise(self) -> DenoisingSettings:
        shares = [value for name, value in self.__dict__.items() if name.endswith("_share")]
        if sum(shares) <= 0:
            raise ValueError("at least one of the *_share settings must be above 0")
        return self


class NumericalSettings(ObjectiveSettings):
    """Token type and value of the next number."""

    weight: Weight = 0.02
    type_weight: Weight = 1.0
    value_weight: Weight = 1.0
    value_head: ValueHead = "mixture"
    components: Annotated[int, Field(ge=1, le=64)] = 8


class ObjectivesSettings(Section):
    """One block per objective, in the order in which they are named everywhere."""

    mlm: MlmSettings = MlmSettings()
    ntp: NtpSettings = NtpSettings()
    contrastive: ContrastiveSettings = ContrastiveSettings()
    denoising: DenoisingSettings = DenoisingSettings()
    numerical: NumericalSettings = NumericalSettings()

    def weights(self) -> dict[str, float]:
        """Weight by objective, in the fixed order."""
        return {name: getattr(self, name).weight for name in OBJECTIVES}

    def final_weights(self) -> dict[str, float]:
        """Weight by objective at the end of a schedule."""
        ends = {name: getattr(self, name).weight_end for name in OBJECTIVES}
        return {
            name: weight if ends[name] is None else ends[name]
            for name, weight in self.weights().items()
        }


OBJECTIVES = tuple(ObjectivesSettings.model_fields)


class TrainingSettings(Section):
    """Stage `train`. A step is `sequences` sequences of `model.context_length` tokens, `accumulate` times."""

    steps: Positive = 5000
    sequences: Positive = 16
    accumulate: Positive = 1
    learning_rate: Rate = 0.02
    adamw_learning_rate: Rate = 0.003
    weight_decay: Weight = 0.0
    warmup_steps: NonNegative = 50
    min_lr_ratio: Share = 0.0
    curriculum: Literal["none", "common_to_rare"] = "none"
    curriculum_steps: NonNegative = 0
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    validate_every_steps: Positive = 500
    validation_sequences: Positive = 32
    checkpoint_every_steps: Positive = 500
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    threads: NonNegative = 0
    gradient_cosine_every_steps: NonNegative = 0
    weighting: Literal["fixed", "uncertainty", "schedule"] = "fixed"
    weight_schedule_start: Share = 0.0
    weight_schedule_end: Share = 1.0

    @model_validator(mode="after")
    def _schedule_runs_forward(self) -> TrainingSettings:
        if self.weight_schedule_start > self.weight_schedule_end:
            raise ValueError(
                f"weight_schedule_start must be at most weight_schedule_end = {self.weight_schedule_end}, "
                f"got {self.weight_schedule_start}"
            )
        return self


class TuningSettings(Section):
    """Stage `tune`: `trials` short runs of `steps` steps over what `search` names; `margin` is how much better than the
    settings a trial must be to be used.
    """

    trials: NonNegative = 4
    steps: Positive = 40
    search: list[Searched] = ["weights", "temperature", "learning_rates"]
    workers: Positive = 1
    margin: Share = 0.05
    storage: str = ""


class ExternalTask(Section):
    """A file to evaluate on; docs/evaluation.md says which formats each task reads, and which settings are its own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    task: DownstreamTask
    path: Annotated[str, Field(min_length=1)]
    items: NonNegative = 0
    train: str = ""
    validation: str = ""
    outside: str = ""
    word_column: int = 0
    label_column: int = -1
    cue: str = ""
    gold: str = ""
    field: str = "text"

    @model_validator(mode="after")
    def _own_settings(self) -> ExternalTask:
        own = EXTERNAL_SETTINGS[self.task]
        for key in self.model_fields_set - {"name", "task", "path", "items"} - own:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} means nothing to {self.task}, which has {', '.join(sorted(own))}"
                )
        if self.validation and not self.train:
            raise ValueError(
                "validation needs train beside it, the file that the probe learns from"
            )
        return self


class EvaluationSettings(Section):
    """Stage `evaluate`."""

    items: Annotated[int, Field(ge=20)] = 1000
    loss_sequences: Positive = 128
    bootstrap_samples: Annotated[int, Field(ge=100)] = 1000
    probe_items: Annotated[int, Field(ge=20)] = 2000
    baselines: Literal["none", "quick", "full"] = "quick"
    seeds: Positive = 3
    external: list[ExternalTask] = []

    @model_validator(mode="after")
    def _different_names(self) -> EvaluationSettings:
        names = [one.name for one in self.external]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"every name in external must be another one, got {repeated[0]} twice")
        return self


class TrackingSettings(Section):
    """MLflow; an empty `uri` means `mlflow.db` at the project root."""

    uri: str = ""
    experiment: str = "ssl-lib"
    registered_model: str = "ssl-lib"
    log_every_steps: Positive = 20


class Settings(Section):
    """Everything in `params.yaml`."""

    seed: NonNegative = 0
    corpus: CorpusSettings = CorpusSettings()
    tokens: TokenSettings = TokenSettings()
    model: ModelSettings = ModelSettings()
    objectives: ObjectivesSettings = ObjectivesSettings()
    training: TrainingSettings = TrainingSettings()
    tuning: TuningSettings = TuningSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _objectives_share_what_is_compared(self) -> Settings:
        if (
            self.training.gradient_cosine_every_steps
            and self.model.mode_specific_layers == self.model.layers
        ):
            raise ValueError(
                "training.gradient_cosine_every_steps compares gradients on shared layers; set model.mode_specific_layers "
                f"below model.layers = {self.model.layers}"
            )
        return self

    def trained(self) -> list[str]:
        """Objectives that have a part in the training, be it a late one: those whose weights are not 0 throughout."""
        weights, final = self.objectives.weights(), self.objectives.final_weights()
        scheduled = self.training.weighting == "schedule"
        return [name for name in OBJECTIVES if weights[name] > 0 or (scheduled and final[name] > 0)]

    def replaced(self, values: dict[str, Any]) -> Settings:
        """A validated copy in which dotted keys have new values. Raises SettingsError for an unknown key or a bad
        value.
        """
        tree = self.model_dump()
        for key, value in values.items():
            set_dotted(tree, key, value)
        return parse_settings(tree)


def load_settings(path: str | Path = "params.yaml", overrides: list[str] | None = None) -> Settings:
    """Read a YAML 1.2 file and apply `section.key=value` overrides.

    Raises SettingsError, in one sentence that names the file, the dotted key, the value and what is allowed.
    """
    tree = read_yaml(Path(path))
    if overrides:  # an entry of a list that the file leaves at its default can be named too
        tree = parse_settings(tree).model_dump()
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator:
            raise SettingsError(f"--set {override}: write it as section.key=value")
        set_dotted(tree, key.strip(), parse_scalar(text))
    return parse_settings(tree)


def parse_settings(tree: dict[str, Any]) -> Settings:
    """Validate a plain tree of settings. Raises SettingsError that names the first wrong key."""
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(explain(error, Settings)) from None


def with_best(settings: Settings, root: Path) -> Settings:
    """The settings with the values of `tuning/best.yaml`, if there is one. Raises SettingsError for unknown keys."""
    path = root / BEST_VALUES
    return settings.replaced(read_yaml(path)) if path.exists() else settings
