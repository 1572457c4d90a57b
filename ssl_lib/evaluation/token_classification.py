"""Token classification: the role of a number in its context, by a linear probe on the frozen model.

A number's feature is the mean of the bidirectional states of its own tokens, nothing else: what the
model knows about the context must be in them. The probe reads all layers, as edge probing does
(Tenney et al. 2019), for the last one is shaped to predict tokens. It is a logistic regression on
standardized features; its regularization is chosen on validation items.

Legend: N labeled spans, T tokens of a text, D width of all layers together, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import (
    EvaluatedModel,
    EvaluationTask,
    ModelPair,
    overlapping,
)
from ssl_lib.evaluation.baselines import WINDOW_TOKENS, bag_of_tokens_labels, majority
from ssl_lib.evaluation.char_cnn import char_cnn_labels
from ssl_lib.evaluation.comparison import Scores
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.readers import TaggedSentence
from ssl_lib.synthetic.items import role_documents
from ssl_lib.tokens.encodings import encode

Labels = NDArray[np.str_]

REGULARIZATION = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C: the inverse of the penalty
ITERATIONS = 300
NUMBERS_PER_DOCUMENT = 5  # of the role documents, on average
SPARE = 1.5  # documents drawn for each that is asked, so that contaminated ones can be left out
EXAMPLES = 12


class LabeledNumber(Protocol):
    """A number in a text and its role."""

    @property
    def start(self) -> int:
        """Its first character."""

    @property
    def end(self) -> int:
        """The character after its last."""

    @property
    def role(self) -> str:
        """What it stands for: a year, a sum of money."""


class RoleDocument(Protocol):
    """A text whose numbers have roles."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def numbers(self) -> Sequence[LabeledNumber]:
        """Its numbers, in their order."""


class LabeledSpans(NamedTuple):
    """Texts, and N labeled spans in them; `owner[i]` is the text that span i belongs to."""

    texts: list[str]
    owner: NDArray[np.int64]
    spans: list[tuple[int, int]]
    labels: Labels

    @classmethod
    def of(
        cls, texts: Sequence[str], found: Iterable[tuple[int, tuple[int, int], str]]
    ) -> LabeledSpans:
        """From (place of the text, span, label)."""
        rows = list(found)
        owner = np.array([place for place, _, _ in rows], dtype=np.int64)
        labels = np.array([label for _, _, label in rows])
        return cls(list(texts), owner, [span for _, span, _ in rows], labels)


class ProbeItems(NamedTuple):
    """What a probe learns from, what it is chosen by, and what it is asked."""

    train: LabeledSpans
    validation: LabeledSpans
    test: LabeledSpans


class Probe(NamedTuple):
    """Labels [N] of the test spans, and what was chosen on validation items."""

    predicted: Labels
    regularization: float = float("nan")
    validation_accuracy: float = -1.0


class SpanClassification(EvaluationTask[ProbeItems, Probe]):
    """Accuracy of the same probe on both models; whole texts are resampled for the intervals."""

    def answer(self, model: EvaluatedModel, items: ProbeItems) -> Probe:
        """Labels by a probe on the model's states."""
        features = {name: span_features(model, part) for name, part in items._asdict().items()}
        labels = {"train": items.train.labels, "validation": items.validation.labels}
        return run_probe(features, labels)

    def score(self, items: ProbeItems, answers: Probe) -> Scores:
        """Whether the label is right."""
        return Scores(answers.predicted == items.test.labels, groups=items.test.owner)

    def baselines(self, data: EvaluationData, items: ProbeItems) -> Mapping[str, Probe | float]:
        """The most frequent label, a bag of the tokens around, a network over characters."""
        if not data.with_baselines:
            return {}
        parts = items._asdict()
        labels = {name: part.labels for name, part in parts.items()}
        bags = {name: token_bags(data, part) for name, part in parts.items()}
        places = {name: _places(part) for name, part in parts.items()}
        most_frequent = majority(items.train.labels.tolist())
        return {
            "majority": Probe(np.full(len(items.test.labels), most_frequent)),
            "bag_of_tokens": Probe(bag_of_tokens_labels(bags, labels)),
            "char_cnn": Probe(char_cnn_labels(places, labels, data.seed)),
        }

    def details(
        self, pair: ModelPair, data: EvaluationData, items: ProbeItems, answers: Mapping[str, Probe]
    ) -> dict[str, Any]:
        """Confusion matrices, macro F1, what validation chose, examples.

        Lists of two are before and after.
        """
        before, after = answers["before"], answers["after"]
        true = items.test.labels
        classes = sorted({*items.train.labels.tolist(), *true.tolist()})
        parts = items._asdict()
        return {
            "classes": classes,
            "confusion": confusion(true, after.predicted, classes).tolist(),
            "confusion_before": confusion(true, before.predicted, classes).tolist(),
            "macro_f1": [macro_f1(true, probe.predicted, classes) for probe in (before, after)],
            "regularisation": [before.regularization, after.regularization],
            "validation_accuracy": [before.validation_accuracy, after.validation_accuracy],
            "spans": {name: len(part.labels) for name, part in parts.items()},
            "documents": {name: len(part.texts) for name, part in parts.items()},
            "examples": _examples(items.test, after.predicted),
        }

    def texts(self, items: ProbeItems) -> list[str]:
        """Those that are asked."""
        return items.test.texts

    def selected(self, items: ProbeItems, places: Sequence[int]) -> ProbeItems:
        """Of the texts that are asked, those at these places."""
        test = items.test
        moved = {old: new for new, old in enumerate(places)}
        found = zip(test.owner.tolist(), test.spans, test.labels.tolist(), strict=True)
        kept = [(moved[owner], span, label) for owner, span, label in found if owner in moved]
        texts = [test.texts[place] for place in places]
        return items._replace(test=LabeledSpans.of(texts, kept))


class TokenClassification(SpanClassification):
    """Roles of numbers: learned in training templates, asked in held-out templates and units."""

    def items(self, data: EvaluationData) -> ProbeItems:
        """Documents of the three splits, those of the test with some to spare."""
        learned = data.settings.probe_items
        sizes = {
            "train": _documents_with(learned),
            "validation": _documents_with(learned // 4),
            "test": int(SPARE * self.wanted(data.settings)),
        }
        drawn = {split: role_documents(size, data.seed, split) for split, size in sizes.items()}
        return ProbeItems(**{split: from_documents(found) for split, found in drawn.items()})

    def wanted(self, settings: EvaluationSettings) -> int:
        """Documents that hold about as many numbers as other tasks have items."""
        return _documents_with(settings.items)


def from_documents(documents: Iterable[RoleDocument]) -> LabeledSpans:
    """The numbers of labeled documents; documents without numbers are left out."""
    kept = [document for document in documents if document.numbers]
    found = [
        (place, (number.start, number.end), number.role)
        for place, document in enumerate(kept)
        for number in document.numbers
    ]
    return LabeledSpans.of([document.text for document in kept], found)


def from_sentences(sentences: Iterable[TaggedSentence], outside: str | None = None) -> LabeledSpans:
    """Every word of CoNLL sentences with its label, except for words labeled `outside`."""
    kept = list(sentences)
    found = [
        (place, span, label)
        for place, sentence in enumerate(kept)
        for span, label in zip(sentence.spans, sentence.labels, strict=True)
        if label != outside
    ]
    return LabeledSpans.of([sentence.text for sentence in kept], found)


def span_features(model: EvaluatedModel, data: LabeledSpans) -> NDArray[np.float32]:
    """Mean bidirectional state [N, D] of the tokens of each span; zeros where it has none."""
    # texts of one length go through the model together
    order = sorted(range(len(data.texts)), key=lambda place: len(data.texts[place]))
    ordered = model.token_states([data.texts[place] for place in order], every_layer=True)
    found = dict(zip(order, ordered, strict=True))
    features = []
    for owner, (start, end) in zip(data.owner.tolist(), data.spans, strict=True):
        states_TD = np.asarray(found[owner].states)
        mask_T = overlapping(found[owner].spans, start, end)
        mean_D = np.zeros(states_TD.shape[1], np.float32)
        if mask_T.any():
            mean_D = states_TD[mask_T].mean(axis=0)
        features.append(mean_D)
    return np.stack(features).astype(np.float32)


def run_probe(features: Mapping[str, NDArray[np.float32]], labels: Mapping[str, Labels]) -> Probe:
    """Fit on `train`, choose the regularization on `validation`, predict `test`.

    Raises ValueError if the training items are all of one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if len(set(labels["train"].tolist())) < 2:
        raise ValueError("a probe needs at least two classes in its training items")
    scaler = StandardScaler().fit(features["train"])
    scaled = {name: scaler.transform(part) for name, part in features.items()}
    model = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
    best = Probe(np.empty(0, dtype=str))
    for strength in REGULARIZATION:
        model.set_params(C=strength).fit(scaled["train"], labels["train"])
        accuracy = float(model.score(scaled["validation"], labels["validation"]))
        if accuracy > best.validation_accuracy:
            best = Probe(model.predict(scaled["test"]), strength, accuracy)
    return best


def confusion(true: Labels, predicted: Labels, classes: Sequence[str]) -> NDArray[np.int64]:
    """Counts [K, K]: rows are true classes, columns predicted ones."""
    index = {name: number for number, name in enumerate(classes)}
    true_N = [index[label] for label in true.tolist()]
    predicted_N = [index[label] for label in predicted.tolist()]
    matrix_KK = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix_KK, (true_N, predicted_N), 1)
    return matrix_KK


def macro_f1(true: Labels, predicted: Labels, classes: Sequence[str]) -> float:
    """Mean F1 over the classes that occur among the true labels."""
    matrix_KK = confusion(true, predicted, classes).astype(np.float64)
    support_K, claimed_K = matrix_KK.sum(axis=1), matrix_KK.sum(axis=0)
    f1_K = 2 * np.diag(matrix_KK) / np.maximum(support_K + claimed_K, 1)
    return float(f1_K[support_K > 0].mean())


def token_bags(data: EvaluationData, part: LabeledSpans) -> list[list[tuple[str, int]]]:
    """Tokens of each number and of up to WINDOW_TOKENS on either side, told apart by where."""
    bags = []
    for owner, (start, end) in zip(part.owner.tolist(), part.spans, strict=True):
        text = part.texts[owner]
        before = encode(data.encoding, text[:start])[-WINDOW_TOKENS:]
        after = encode(data.encoding, text[end:])[:WINDOW_TOKENS]
        bag = [("before", token) for token in before]
        bag += [("number", token) for token in encode(data.encoding, text[start:end])]
        bag += [("after", token) for token in after]
        bags.append(bag)
    return bags


def _places(part: LabeledSpans) -> list[tuple[str, int, int]]:
    """Text, start and end of each span."""
    owned = zip(part.owner.tolist(), part.spans, strict=True)
    return [(part.texts[owner], *span) for owner, span in owned]


def _examples(test: LabeledSpans, predicted: Labels) -> list[dict[str, Any]]:
    """Wrong spans first, then right ones, at most one of each text."""
    rows: list[dict[str, Any]] = []
    seen: set[int] = set()
    for wanted in (False, True):
        full = len(rows) + EXAMPLES // 2
        for place in np.flatnonzero((predicted == test.labels) == wanted).tolist():
            owner = int(test.owner[place])
            if owner in seen or len(rows) >= full:
                continue
            seen.add(owner)
            row = {"text": test.texts[owner], "span": list(test.spans[place])}
            roles = {"role": str(test.labels[place]), "predicted": str(predicted[place])}
            rows.append(row | roles)
    return rows


def _documents_with(numbers: int) -> int:
    return max(4, numbers // NUMBERS_PER_DOCUMENT)
