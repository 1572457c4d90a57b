"""Token classification: the role of a number in its context, by a linear probe on the frozen model.

A number's feature is the mean of the bidirectional states of its own tokens, nothing else: what the
model knows about the context must be in them. The probe reads all layers, as edge probing does
(Tenney et al. 2019), for the last one is shaped to predict tokens. It is a logistic regression on
standardized features; its regularization is chosen on validation items.

Legend: N labeled spans, T tokens of a text, D width of all layers together, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import EvaluationSettings
from ssl_lib.evaluation.base import (
    Answered,
    Baselines,
    EvaluatedModel,
    EvaluationTask,
    Spans,
    overlapping,
    shortest_first,
)
from ssl_lib.evaluation.baselines import (
    WINDOW_TOKENS,
    bag_of_tokens_labels,
    majority,
    one_thread,
)
from ssl_lib.evaluation.char_cnn import char_cnn_labels
from ssl_lib.evaluation.comparison import Details, Scores
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.readers import TaggedSentence
from ssl_lib.evaluation.statistics import Integers
from ssl_lib.synthetic.document import LabeledDocument
from ssl_lib.synthetic.items import role_documents
from ssl_lib.tokens.encodings import encode

Labels = NDArray[np.str_]

REGULARIZATION = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C: the inverse of the penalty
ITERATIONS = 300
NUMBERS_PER_DOCUMENT = 5  # of the role documents, on average
SPARE = 1.5  # documents drawn for each that is asked, so that contaminated ones can be left out
EXAMPLES = 12


class LabeledSpans(NamedTuple):
    """Texts, and N labeled spans in them; `owner[i]` is the text that span i belongs to."""

    texts: list[str]
    owner: Integers
    spans: Spans
    labels: Labels

    @classmethod
    def of(
        cls, texts: Sequence[str], found: Sequence[tuple[int, tuple[int, int], str]]
    ) -> LabeledSpans:
        """From (place of the text, span, label)."""
        owner = np.array([place for place, _, _ in found], dtype=np.int64)
        spans = [span for _, span, _ in found]
        labels = np.array([label for _, _, label in found])
        return cls(list(texts), owner, spans, labels)

    def located(self) -> list[tuple[str, int, int]]:
        """Text, start and end of each span."""
        owned = zip(self.owner.tolist(), self.spans, strict=True)
        return [(self.texts[owner], *span) for owner, span in owned]


class ProbeItems(NamedTuple):
    """What a probe learns from, what it is chosen by, and what it is asked."""

    train: LabeledSpans
    validation: LabeledSpans
    test: LabeledSpans

    def labels(self) -> dict[str, Labels]:
        """Labels of each part."""
        return {name: part.labels for name, part in self._asdict().items()}


class Probe(NamedTuple):
    """Labels [N] of the test spans, and what was chosen on validation items."""

    predicted: Labels
    regularization: float = float("nan")
    validation_accuracy: float = -1.0


class SpanClassification(EvaluationTask[ProbeItems, Probe]):
    """Accuracy of the same probe on both models; whole texts are resampled for the intervals."""

    def answer(self, model: EvaluatedModel, items: ProbeItems) -> Probe:
        """Labels by a probe on the model's states."""
        parts = items._asdict()
        features = {name: span_features(model, part) for name, part in parts.items()}
        return run_probe(features, items.labels())

    def score(self, items: ProbeItems, answers: Probe) -> Scores:
        """Whether the label is right."""
        right_N = answers.predicted == items.test.labels
        return Scores(right_N, groups=items.test.owner)

    def baselines(self, data: EvaluationData, items: ProbeItems) -> Baselines[Probe]:
        """The most frequent label, a bag of the tokens around, a network over characters."""
        if not data.with_baselines:
            return {}
        labels = items.labels()
        parts = items._asdict()
        # all of them learn from the same spans as the probe
        most_frequent = majority(items.train.labels.tolist())
        bags = {name: token_bags(data, part) for name, part in parts.items()}
        located = {name: part.located() for name, part in parts.items()}
        always = np.full(len(items.test.labels), most_frequent)
        counted = bag_of_tokens_labels(bags, labels)
        convolved = char_cnn_labels(located, labels, data.seed)
        said = {"majority": always, "bag_of_tokens": counted, "char_cnn": convolved}
        return {name: Probe(predicted) for name, predicted in said.items()}

    def details(self, asked: Answered[ProbeItems, Probe]) -> Details:
        """Confusion matrices, macro F1, what validation chose, examples.

        Lists of two are before and after.
        """
        before = asked.answers["before"]
        after = asked.answers["after"]
        train, _, test = asked.items
        parts = asked.items._asdict()
        true = test.labels
        classes = sorted({*train.labels.tolist(), *true.tolist()})
        found: Details = {"classes": classes, "examples": _examples(test, after.predicted)}
        found["confusion"] = confusion(true, after.predicted, classes).tolist()
        found["confusion_before"] = confusion(true, before.predicted, classes).tolist()
        found["macro_f1"] = [macro_f1(true, one.predicted, classes) for one in (before, after)]
        found["regularisation"] = [before.regularization, after.regularization]
        found["validation_accuracy"] = [before.validation_accuracy, after.validation_accuracy]
        found["spans"] = {name: len(part.labels) for name, part in parts.items()}
        found["documents"] = {name: len(part.texts) for name, part in parts.items()}
        return found

    def texts(self, items: ProbeItems) -> list[str]:
        """Those that are asked."""
        return items.test.texts

    def selected(self, items: ProbeItems, places: Sequence[int]) -> ProbeItems:
        """Of the texts that are asked, those at these places."""
        test = items.test
        # places of the texts now → places among those that are kept
        moved = {old: new for new, old in enumerate(places)}
        kept = []
        for owner, span, label in zip(test.owner.tolist(), test.spans, test.labels, strict=True):
            if owner in moved:
                kept.append((moved[owner], span, str(label)))
        texts = [test.texts[place] for place in places]
        return items._replace(test=LabeledSpans.of(texts, kept))


class TokenClassification(SpanClassification):
    """Roles of numbers: learned in training templates, asked in held-out templates and units."""

    def items(self, data: EvaluationData) -> ProbeItems:
        """Documents of the three splits, those of the test with some to spare."""
        # a quarter as many to choose the regularization by
        learned = data.settings.probe_items
        seed = data.seed
        asked = int(SPARE * self.wanted(data.settings))
        train_size = _documents_with(learned)
        train = role_documents(train_size, seed, "train")
        validation_size = _documents_with(learned // 4)
        validation = role_documents(validation_size, seed, "validation")
        test = role_documents(asked, seed, "test")
        return ProbeItems(*map(from_documents, (train, validation, test)))

    def wanted(self, settings: EvaluationSettings) -> int:
        """Documents that hold about as many numbers as other tasks have items."""
        return _documents_with(settings.items)


def from_documents(documents: Iterable[LabeledDocument]) -> LabeledSpans:
    """The numbers of labeled documents; documents without numbers are left out."""
    kept = [document for document in documents if document.numbers]
    found = []
    for place, document in enumerate(kept):
        for number in document.numbers:
            span = (number.start, number.end)
            found.append((place, span, number.role))
    return LabeledSpans.of([document.text for document in kept], found)


def from_sentences(sentences: Sequence[TaggedSentence], outside: str | None = None) -> LabeledSpans:
    """Every word of CoNLL sentences with its label, except for words labeled `outside`."""
    found = []
    for place, sentence in enumerate(sentences):
        for span, label in zip(sentence.spans, sentence.labels, strict=True):
            if label != outside:
                found.append((place, span, label))
    return LabeledSpans.of([sentence.text for sentence in sentences], found)


def span_features(model: EvaluatedModel, data: LabeledSpans) -> NDArray[np.float32]:
    """Mean bidirectional state [N, D] of the tokens of each span; zeros where it has none."""
    # states come back in the order of the lengths
    order = shortest_first(data.texts)
    texts = [data.texts[place] for place in order]
    ordered = model.token_states(texts, every_layer=True)
    found = dict(zip(order, ordered, strict=True))
    features = []
    for owner, (start, end) in zip(data.owner.tolist(), data.spans, strict=True):
        states_TD = found[owner].states
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
        # a weaker penalty begins where the stronger one ended
        with one_thread():
            model.set_params(C=strength).fit(scaled["train"], labels["train"])
        accuracy = float(model.score(scaled["validation"], labels["validation"]))
        if accuracy > best.validation_accuracy:
            best = Probe(model.predict(scaled["test"]), strength, accuracy)
    return best


def confusion(true: Labels, predicted: Labels, classes: Sequence[str]) -> Integers:
    """Counts [K, K]: rows are true classes, columns predicted ones."""
    index = {name: number for number, name in enumerate(classes)}
    # a class that the probe names may be missing among the true ones, and the reverse
    matrix_KK = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for actual, named in zip(true.tolist(), predicted.tolist(), strict=True):
        matrix_KK[index[actual], index[named]] += 1
    return matrix_KK


def macro_f1(true: Labels, predicted: Labels, classes: Sequence[str]) -> float:
    """Mean F1 over the classes that occur among the true labels."""
    matrix_KK = confusion(true, predicted, classes).astype(np.float64)
    support_K = matrix_KK.sum(axis=1)
    claimed_K = matrix_KK.sum(axis=0)
    # 2PR / (P + R), without a division where a class is neither there nor named
    both_K = np.maximum(support_K + claimed_K, 1)
    f1_K = 2 * np.diag(matrix_KK) / both_K
    return float(f1_K[support_K > 0].mean())


def token_bags(data: EvaluationData, part: LabeledSpans) -> list[list[tuple[str, int]]]:
    """Tokens of each number and of up to WINDOW_TOKENS on either side, told apart by where."""
    bags = []
    for text, start, end in part.located():
        before = encode(data.encoding, text[:start])[-WINDOW_TOKENS:]
        number = encode(data.encoding, text[start:end])
        after = encode(data.encoding, text[end:])[:WINDOW_TOKENS]
        bag = [("before", token) for token in before]
        bag += [("number", token) for token in number]
        bag += [("after", token) for token in after]
        bags.append(bag)
    return bags


def _examples(test: LabeledSpans, predicted: Labels) -> list[Details]:
    """Wrong spans first, then right ones, at most one of each text."""
    rows: list[Details] = []
    seen: set[int] = set()
    for wanted in (False, True):
        # half of the places are for the wrong ones
        full = len(rows) + EXAMPLES // 2
        for place in np.flatnonzero((predicted == test.labels) == wanted).tolist():
            owner = int(test.owner[place])
            if owner in seen or len(rows) >= full:
                continue
            seen.add(owner)
            row: Details = {"text": test.texts[owner], "role": str(test.labels[place])}
            row["span"] = list(test.spans[place])
            row["predicted"] = str(predicted[place])
            rows.append(row)
    return rows


def _documents_with(numbers: int) -> int:
    return max(4, numbers // NUMBERS_PER_DOCUMENT)
