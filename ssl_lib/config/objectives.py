"""Settings of the objectives: one class each, in the order in which they are named everywhere.

A further objective is one more class here and one more line in `ObjectivesSettings`:
docs/objectives.md shows it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ssl_lib.config.sections import Fraction, Positive, Rate, Section, Share, Weight

ValueHead = Literal["regression", "mantissa_exponent", "mixture", "token_distance"]

ObjectiveWeight = Annotated[
    float, Field(ge=0.0, description="in the joint loss; 0 leaves the objective out")
]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
MeanWords = Annotated[float, Field(ge=1.0, le=10.0)]


NumberWeight = Annotated[
    float,
    Field(ge=0.0, description="what a token of digits counts in the gradient; others count 1"),
]


class ObjectiveSettings(Section):
    """What every objective has: its weight in the joint loss."""

    weight: ObjectiveWeight = 1.0
    weight_end: Weight | None = Field(
        None, description="where training.weighting: schedule takes the weight; empty: it stays"
    )


class MlmSettings(ObjectiveSettings):
    """Masked tokens and numbers are restored."""

    weight: ObjectiveWeight = 0.02
    mask_rate: Share = Field(0.15, description="of the tokens that may be masked")
    mask_token_share: Share = Field(
        0.8, description="of the masked tokens: replaced by the mask token"
    )
    random_token_share: Share = Field(
        0.1, description="of the masked: replaced by a random token; the rest are kept"
    )
    granularity: Literal["token", "word", "span"] = Field(
        "token",
        description="token, word (all tokens of a word together) or span (several words in a row)",
    )
    span_words: MeanWords = Field(
        5.0, description="mean number of words in a span, of which none has more than 10"
    )
    whole_numbers: bool = Field(
        True, description="mask all tokens of a number together, whatever the granularity"
    )
    number_weight: NumberWeight = 1.0
    shifted: bool = Field(
        True, description="the state of the token before predicts each, as it does the next token"
    )
    batch_fraction: Fraction = Field(
        0.125, description="of each batch: the sequences that get the masked view"
    )

    @model_validator(mode="after")
    def _shares(self) -> MlmSettings:
        if self.mask_token_share + self.random_token_share > 1.0:
            raise ValueError("mask_token_share + random_token_share must be at most 1")
        return self


class NtpSettings(ObjectiveSettings):
    """The next token is predicted."""

    label_smoothing: BelowOne = Field(
        0.0, description="probability that is spread over all tokens of the vocabulary"
    )
    z_loss: Weight = Field(0.0, description="weight of the squared log-normalizer")
    number_weight: NumberWeight = 3.0


class ContrastiveSettings(ObjectiveSettings):
    """What belongs together is near, and what differs in amount is not."""

    weight: ObjectiveWeight = 0.04
    temperature: Rate = Field(0.07, description="similarities are divided by it before the softmax")
    learned_temperature: bool = Field(
        False, description="train the temperature, from the one above"
    )
    effective_batch: Annotated[int, Field(ge=2)] = Field(
        256, description="token positions that are anchors in each micro-batch"
    )
    # Weights of the loss's terms, each of which is a mean over its own anchors.
    token_weight: Weight = Field(
        1.0, description="NT-Xent: the same token in the masked and the corrupted view"
    )
    document_weight: Weight = Field(
        1.0, description="NT-Xent: the same sentence in the masked and the corrupted view"
    )
    number_weight: Weight = Field(
        1.0, description="soft-label similarity: numbers as near as their values"
    )
    sentence_weight: Weight = Field(
        4.0, description="soft-label similarity: paraphrases, numeric hard negatives, random pairs"
    )
    type_weight: Weight = Field(
        0.0,
        description="supervised contrastive loss: tokens of one type (text, number, …) together",
    )
    equivalent_weight: Weight = Field(
        1.0,
        description="NT-Xent: a number and another written form of it (1,000, 1e3, one thousand)",
    )
    views: Annotated[int, Field(ge=2, le=8)] = Field(
        2, description="augmented views: masked and corrupted in turn"
    )
    momentum: BelowOne = Field(
        0.0, description="of an EMA encoder that gives the keys, such as 0.999; 0: there is none"
    )
    queue: Positive = Field(
        4096, description="past keys that serve as negatives; with an EMA encoder alone"
    )
    gather: bool = Field(
        True, description="negatives from all processes of a distributed run (all-gather)"
    )
    batch_fraction: Fraction = Field(
        0.0625,
        description="of each batch: the sequences that get anchors and numeric hard negatives. "
        "Augmented views beyond the second are as large.",
    )
    projection: Positive = Field(
        128, description="width of the space in which similarity is measured"
    )


class DenoisingSettings(ObjectiveSettings):
    """Corrupted tokens are restored through a bottleneck."""

    weight: ObjectiveWeight = 0.06
    noise_rate: Share = Field(0.15, description="of the tokens that may be corrupted")
    # Weights of a draw: what counts is how they compare, so they need not sum to 1.
    noise_token_share: Weight = Field(
        0.4, description="the noise token (the six shares mix the kinds of corruption)"
    )
    random_token_share: Weight = Field(0.2, description="a random token")
    shuffle_share: Weight = Field(0.2, description="neighbors in another order")
    digit_share: Weight = Field(0.2, description="another digit")
    deletion_share: Weight = Field(0.0, description="deleted without a trace")
    infill_share: Weight = Field(
        0.0, description="a run of words with one noise token in its place (span infilling)"
    )
    infill_words: MeanWords = Field(3.0, description="mean number of words in such a run")
    mode: Literal["token", "document"] = Field(
        "token",
        description="token: restore each from its own state; document: all of them from one vector",
    )
    bottleneck: Positive = Field(64, description="width of the latent representation")
    loss: Literal["ce", "mse"] = Field(
        "ce", description="ce (cross-entropy) or mse (squared error of the embedding)"
    )
    number_weight: NumberWeight = 1.0
    shifted: bool = Field(
        True,
        description="with mode token: the state of the token before rebuilds each, unless tokens "
        "are deleted",
    )
    batch_fraction: Fraction = Field(
        0.25, description="of each batch: the sequences that get the corrupted view"
    )

    @model_validator(mode="after")
    def _some_noise(self) -> DenoisingSettings:
        shares = [value for name, value in self.__dict__.items() if name.endswith("_share")]
        if sum(shares) <= 0:
            raise ValueError("at least one of the *_share settings must be above 0")
        return self


class NumericalSettings(ObjectiveSettings):
    """Token types, and the value of the next number, are predicted."""

    weight: ObjectiveWeight = 0.02
    type_weight: Weight = Field(
        1.0, description="of classifying tokens: text, number, operator, punctuation"
    )
    value_weight: Weight = Field(1.0, description="of predicting the next number")
    value_head: ValueHead = Field(
        "mixture", description="regression, mantissa_exponent, mixture or token_distance"
    )
    components: Annotated[int, Field(ge=1, le=64)] = Field(8, description="of the mixture")


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
        final = {}
        for name, weight in self.weights().items():
            end = getattr(self, name).weight_end
            final[name] = weight if end is None else end
        return final


OBJECTIVES = tuple(ObjectivesSettings.model_fields)
