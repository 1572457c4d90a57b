"""Settings of the stages and of what they share, block by block in the order of `params.yaml`.

A field's description says what the setting means. Its first sentence is the comment beside the key
in `params.yaml`, which a test compares; whoever needs to know more reads on here.
"""

from __future__ import annotations

from glob import has_magic
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Ranges of values; an error names the range: "training.steps: input should be greater than or equal
# to 1, got 0".
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
FieldPath = Annotated[str, Field(pattern=r"[^.\[\]]")]
SplitShare = Annotated[float, Field(gt=0.0, lt=0.5)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]

BUILT_IN = "built-in"  # the path of the source that is generated
Digits = Literal["as_is", "single", "left3", "right3"]
Locale = Literal["auto", "en", "de", "es", "fr", "it", "nl", "pl", "pt", "ru", "sv"]
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
OnError = Literal["fail", "skip", "replace"]
NearDuplicates = Literal["text_and_numbers", "text", "none"]
DownstreamTask = Literal[
    "token_classification", "numerical_reasoning", "semantic_similarity", "next_token_prediction"
]
# Settings of `evaluation.external` that only one task reads.
EXTERNAL_SETTINGS = {
    "token_classification": {"train", "validation", "outside", "word_column", "label_column"},
    "numerical_reasoning": {"cue"},
    "semantic_similarity": {"gold", "columns"},
    "next_token_prediction": {"field"},
}

# "package.module:function", or nothing.
DOTTED_FUNCTION = r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?$"


class Section(BaseModel):
    """Base of every block: immutable, no unknown keys, no silent conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(Section):
    """Where documents come from; docs/data.md has more."""

    path: Annotated[str, Field(min_length=1)] = Field(
        BUILT_IN,
        description="built-in (generated English full of numbers), or a file, folder, glob or URL. "
        "- is standard input, installed the documentation of the installed packages.",
    )
    format: str = Field(
        "",
        description="as a file's ending says it, such as csv.gz; empty: the ending of each file. "
        "For standard input, and for addresses without an ending.",
    )
    query: str = Field(
        "",
        description="for a database, whose address is the path: what selects the rows, in SQL",
    )
    domain: str | None = Field(
        None, description="empty: the generator's own domains, or a file's own name"
    )
    weight: Annotated[float, Field(gt=0.0)] = Field(
        1.0, description="share relative to the other sources"
    )
    field: FieldPath | Annotated[list[FieldPath], Field(min_length=1)] = Field(
        "text",
        description="of records: the field with the text, or a list of fields. "
        "Dots and brackets reach inner ones: answer.text, messages[].content, choices[0].text.",
    )
    encoding: str = Field(
        "",
        description="of text, such as cp1251; empty: detected (UTF-8, UTF-16 or cp1252)",
    )
    delimiter: Annotated[str, Field(max_length=1)] = Field(
        "", description="of .csv and .tsv; empty: detected (comma, semicolon, tab or bar)"
    )
    front_matter: Literal["drop", "keep"] = Field(
        "drop", description="of .md: drop or keep the block of settings at its head"
    )
    boilerplate: Literal["drop", "keep"] = Field(
        "drop", description="of .html: drop or keep menus, headers and footers around the main text"
    )
    locale: Locale | None = Field(
        None,
        description="of its numbers, such as de; empty: tokens.locale. It is auto, en (decimal "
        "point), de, es, fr, it, nl, pl, pt, ru or sv (decimal comma), for this source alone.",
    )
    on_error: OnError = Field(
        "fail",
        description="what damaged data does: fail, skip (the line, record or file) or replace. "
        "replace puts U+FFFD where bytes do not decode, and fails for all else.",
    )
    documents: NonNegative = Field(
        0, description="of the generator: how many; of files: at most this many, 0 for all"
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            if value:
                "".encode(value)
        except LookupError:
            raise ValueError("no encoding that Python knows, such as utf-8 or cp1251") from None
        return value

    @property
    def name(self) -> str:
        """The name of its file, without endings, or of its innermost plain folder."""
        path = urlsplit(self.path).path if "://" in self.path else self.path
        for part in reversed(PurePosixPath(path).parts):
            if part == "-":
                return "stdin"
            if part not in ("/", ".", "..") and not has_magic(part):
                return part.split(".")[0] or "text"
        return "text"


class CorpusSettings(Section):
    """Stage corpus: text in, documents out."""

    name: str = Field(
        "", description="how reports call this corpus; empty: by the names of its sources"
    )
    sources: Annotated[list[Source], Field(min_length=1)] = Field(
        [Source(documents=144000)],
        description="where documents come from; docs/data.md has more",
    )
    minimum_characters: NonNegative = Field(20, description="shorter documents are rejected")
    document_characters: Positive = Field(
        2000,
        description="longer documents are cut at paragraphs into several, each with its own split. "
        "A piece is rarely shorter than half of it. For sequences longer than a piece, raise it to "
        "about four characters for each of model.context_length.",
    )
    maximum_characters: Positive = Field(
        200_000,
        description="what is longer still is cut too, and its pieces share their split. "
        "No more of a text file is in memory at once.",
    )
    redact: Annotated[str, Field(pattern=DOTTED_FUNCTION)] = Field(
        "",
        description="your function, as module:function, that every text goes through; empty: none. "
        "It takes a text and returns what the corpus may hold of it, before documents are cut and "
        "duplicates searched; docs/data.md has an example. The built-in text does not go through.",
    )
    near_duplicates: NearDuplicates = Field(
        "text_and_numbers",
        description="which documents are removed: alike in text_and_numbers, in text alone, none. "
        "text_and_numbers: the same numbers in the same order, however they are written, and the "
        "text around them alike. text: all characters count alike, digits too, so that reports of "
        "one form that differ in a few values are duplicates. Exact copies always go.",
    )
    near_duplicate_threshold: Fraction = Field(
        0.85, description="Jaccard similarity of the text from which two documents count as one"
    )
    maximum_domain_share: Fraction = Field(
        1.0,
        description="no domain gets more of the documents than this; 1 leaves the balance alone",
    )
    validation_share: SplitShare = Field(
        0.03, description="of the documents: for tuning and for choosing the best checkpoint"
    )
    test_share: SplitShare = Field(0.03, description="of the documents: for the evaluation alone")

    @property
    def display_name(self) -> str:
        """`name`, or else those of the sources: "reports", "notes + built-in", "a + b + 3 more"."""
        if self.name:
            return self.name
        names = list(dict.fromkeys(source.name for source in self.sources))
        rest = [f"{len(names) - 2} more"] if len(names) > 3 else names[2:]
        return " + ".join(names[:2] + rest)


class TokenSettings(Section):
    """Stage tokenize: documents in, token ids and numbers out."""

    encoding: str = Field(
        "trained",
        description="trained (on this corpus), a tiktoken name such as gpt2, "
        "or the path of an encoding.json",
    )
    vocabulary_size: Annotated[int, Field(ge=1400, le=1_000_000)] = Field(
        2048, description="of the trained encoding, special tokens included"
    )
    digits: Digits = Field(
        "right3", description="as_is, single, left3 or right3: how digits are grouped into tokens"
    )
    locale: Locale = Field(
        "auto",
        description="auto (told for each document), en (decimal point), de, es, fr, it, nl, pl, "
        "pt, ru or sv (decimal comma)",
    )
    workers: NonNegative = Field(0, description="processes; 0 means one per core")


class ModelSettings(Section):
    """The shared encoder of all objectives."""

    layers: Positive = Field(3, description="Transformer layers")
    width: Positive = Field(128, description="of the hidden states: a multiple of 2 * heads")
    heads: Positive = Field(4, description="attention heads of every layer")
    context_length: Annotated[int, Field(ge=8)] = Field(128, description="tokens in a sequence")
    # docs/LOG.md compares the kinds at equal tokens: fourier is ahead of all others.
    number_embedding: NumberEmbedding = Field(
        "fourier",
        description="none, value, log_value, exponent_bins, fourier or place_value. "
        "It adds what a number is worth to the embeddings of its tokens.",
    )
    mode_embedding: bool = Field(
        True, description="tells the encoder whether attention is causal or bidirectional"
    )
    mode_specific_layers: NonNegative = Field(
        1,
        description="the last layers, of which causal and bidirectional views each have their own",
    )
    short_convolution: Annotated[int, Field(ge=0, le=8)] = Field(
        3, description="tokens just before that every layer mixes in directly; 0: none"
    )
    induction_heads: NonNegative = Field(
        1, description="heads of the first layer that look for what followed the same token before"
    )
    activation_checkpointing: bool = Field(
        False, description="less memory, about a third more time"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ModelSettings:
        double = 2 * self.heads  # rotary positions turn pairs within a head
        if self.width % double:
            raise ValueError(f"width must be a multiple of 2 * heads = {double}, got {self.width}")
        if self.induction_heads > self.heads:
            raise ValueError(
                f"induction_heads must be at most heads = {self.heads}, got {self.induction_heads}"
            )
        if self.mode_specific_layers > self.layers:
            raise ValueError(
                f"mode_specific_layers must be at most layers = {self.layers}, "
                f"got {self.mode_specific_layers}"
            )
        return self


class TrainingSettings(Section):
    """Stage train: one model, five objectives."""

    steps: Positive = Field(5000, description="optimizer steps")
    sequences: Positive = Field(16, description="of model.context_length tokens in a micro-batch")
    accumulate: Positive = Field(1, description="micro-batches in a step")
    learning_rate: Rate = Field(0.02, description="Muon: the matrices")
    adamw_learning_rate: Rate = Field(0.003, description="AdamW: everything else")
    weight_decay: Weight = Field(0.0, description="of Muon's matrices, decoupled")
    # The schedule of both rates: up in a line, then down along a cosine.
    warmup_steps: NonNegative = Field(
        50, description="steps in which the learning rate rises to its highest"
    )
    min_lr_ratio: Share = Field(
        0.0, description="the cosine ends at this share of the learning rate"
    )
    curriculum: Literal["none", "common_to_rare"] = Field(
        "none",
        description="none, or common_to_rare: mask and corrupt rare tokens and numbers later",
    )
    curriculum_steps: NonNegative = Field(
        0, description="steps from the common to the rare; 0: all"
    )
    clip_norm: Annotated[float, Field(gt=0.0)] = Field(
        1.0, description="longest gradient, over all parameters together"
    )
    validate_every_steps: Positive = Field(
        500, description="steps between two looks at the validation split"
    )
    validation_sequences: Positive = Field(
        32, description="of model.context_length tokens in each of these looks"
    )
    checkpoint_every_steps: Positive = Field(
        500, description="steps that an interruption costs at most"
    )
    # auto: a GPU where there is one, and bfloat16 where the device multiplies it faster.
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto, float32 or bfloat16"
    )
    compile: bool = Field(False, description="torch.compile; needs a C++ compiler")
    threads: NonNegative = Field(0, description="0: as many as torch chooses")
    gradient_cosine_every_steps: NonNegative = Field(
        0,
        description="steps between measuring whether the objectives agree; 0: never. "
        "It costs as much as a step.",
    )
    # docs/objectives.md says what each way of weighting does to the joint loss.
    weighting: Literal["fixed", "uncertainty", "schedule"] = Field(
        "fixed",
        description="fixed, uncertainty (learned factors) or schedule (from weight to weight_end)",
    )
    weight_schedule_start: Share = Field(
        0.0, description="share of the steps before which a schedule keeps the weights"
    )
    weight_schedule_end: Share = Field(
        1.0,
        description="share of the steps after which it keeps them again. "
        "In between they move in a straight line.",
    )

    @model_validator(mode="after")
    def _schedule_runs_forward(self) -> TrainingSettings:
        if self.weight_schedule_start > self.weight_schedule_end:
            raise ValueError(
                "weight_schedule_start must be at most weight_schedule_end = "
                f"{self.weight_schedule_end}, got {self.weight_schedule_start}"
            )
        return self


class TuningSettings(Section):
    """Stage tune: a search for better settings, off by default."""

    trials: NonNegative = Field(
        0,
        description="finished trials of the study, of all workers; 0 keeps the settings above. "
        "docs/tuning.md says what a search costs and when it pays.",
    )
    steps: Positive = Field(1000, description="of a trial that is not stopped early")
    halvings: Annotated[int, Field(ge=0, le=5)] = Field(
        2,
        description="times that a trial may be stopped early; 2: after 1/9 and 1/3 of the steps. "
        "Of those that got as far, the best third goes on (Hyperband).",
    )
    goal: Literal["score", "pareto"] = Field(
        "score",
        description="score (one figure), or pareto (language against numbers, nothing stopped)",
    )
    search: list[Searched] = Field(
        ["weights", "temperature", "learning_rates"],
        description="weights, weight_ends, batch_fractions, temperature, learning_rates, "
        "mode_specific_layers, mode_embedding",
    )
    warm_start: NonNegative = Field(
        2, description="earlier studies of the storage whose best values are tried first"
    )
    workers: Positive = Field(1, description="processes that run trials on this machine")
    check: bool = Field(
        True,
        description="train the winner and the settings above for training.steps; the better wins",
    )
    margin: Share = Field(
        0.01, description="how much better than the settings above a winner must be to be used"
    )
    storage: str = Field(
        "",
        description="database URL, or path of a journal; empty: .ssl_lib/tuning/journal.log. "
        "Workers of several machines meet in a database, or in a journal on a shared disk.",
    )


class ExternalTask(Section):
    """A file of your own to evaluate on; docs/evaluation.md has an example of each format."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = Field(
        description="how metrics and report call the file"
    )
    task: DownstreamTask = Field(
        description="token_classification, numerical_reasoning, semantic_similarity "
        "or next_token_prediction"
    )
    path: Annotated[str, Field(min_length=1)] = Field(
        description="a file, folder or glob: columns, JSON lines, pairs, or any text. "
        "CoNLL columns; T5Numeracy, question/answer, inference (AWPNLI) or headline (NumHG) JSON; "
        "NumerSense's masked sentences; tab-separated pairs; any text."
    )
    items: NonNegative = Field(
        0, description="at most this many of the file, evenly; 0: evaluation.items, of texts 200"
    )
    train: str = Field(
        "", description="CoNLL file that the probe learns from; empty: a part of path"
    )
    validation: str = Field(
        "", description="CoNLL file that the probe is chosen by; empty: a part of train"
    )
    outside: str = Field("", description="label of words that are not asked, such as O")
    # Of `Revenue NN O`, with the columns at 0 and -1: the word Revenue with the label O.
    word_column: int = Field(0, description="of CoNLL: counted from 0, or from -1 back")
    label_column: int = Field(-1, description="of CoNLL: counted from 0, or from -1 back")
    cue: str = Field("", description='what is put after each question, such as " The answer is"')
    gold: str = Field("", description="file of the scores, where they stand apart (SemEval)")
    # STSbenchmark's score, first and second sentence: [4, 5, 6].
    columns: list[NonNegative] = Field(
        [],
        description="of pairs: score, sentence, sentence, from 0 on; empty: the first three. "
        "With gold the two sentences alone; empty: the first two.",
    )
    field: FieldPath = Field("text", description="of JSON lines: what holds the text")

    @model_validator(mode="after")
    def _own_settings(self) -> ExternalTask:
        own = EXTERNAL_SETTINGS[self.task]
        for key in self.model_fields_set - {"name", "task", "path", "items"} - own:
            if getattr(self, key) != type(self).model_fields[key].default:
                wanted = ", ".join(sorted(own))
                raise ValueError(f"{key} means nothing to {self.task}, which has {wanted}")
        wanted_columns = 2 if self.gold else 3
        if len(self.columns) not in (0, wanted_columns):
            raise ValueError(
                f"columns must be {wanted_columns} numbers {'with' if self.gold else 'without'} "
                f"gold, got {self.columns}"
            )
        if self.validation and not self.train:
            raise ValueError(
                "validation needs train beside it, the file that the probe learns from"
            )
        return self


class EvaluationSettings(Section):
    """Stage evaluate: held-out losses and downstream tasks."""

    items: Annotated[int, Field(ge=20)] = Field(1000, description="per downstream task")
    loss_sequences: Positive = Field(
        128, description="of model.context_length tokens for the held-out losses"
    )
    bootstrap_samples: Annotated[int, Field(ge=100)] = Field(
        1000, description="resamples behind every interval"
    )
    probe_items: Annotated[int, Field(ge=20)] = Field(
        2000, description="labeled examples for the probes"
    )
    baselines: Literal["none", "quick"] = Field("quick", description="none or quick")
    seeds: Positive = Field(3, description="of the probes")
    external: list[ExternalTask] = Field(
        [], description="files of your own, judged like the rest; docs/evaluation.md"
    )

    @field_validator("baselines", mode="before")
    @classmethod
    def _full_is_a_study(cls, value: object) -> object:
        if value == "full":
            raise ValueError(
                "each objective is trained alone by `ssl-lib ablate` now; write none or quick"
            )
        return value

    @model_validator(mode="after")
    def _different_names(self) -> EvaluationSettings:
        names = [one.name for one in self.external]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"every name in external must be another one, got {repeated[0]} twice")
        return self
