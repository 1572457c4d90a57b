"""Token classification: the role of a number in its context, by a linear probe on the frozen trunk.

A number's feature is the mean of the bidirectional states of its own tokens, nothing else: what the trunk knows
about the context must be in them. The probe reads all layers, as edge probing does (Tenney et al. 2019), for the last
one is shaped to predict tokens. It is a logistic regression on standardised features; its regularisation is chosen on
validation items. Legend: N labelled spans, D width of all layers together, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.baselines import WINDOW_TOKENS, bag_of_tokens_labels, majority
from ssl_lib.evaluation.char_cnn import char_cnn_labels
from ssl_lib.evaluation.protocol import Contest, Judged, overlapping
from ssl_lib.evaluation.readers import TaggedSentence
from ssl_lib.evaluation.statistics import Paired, TaskResult, paired_means
from ssl_lib.tokens.encodings import encode

REGULARISATION = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C: the inverse of the penalty
ITERATIONS = 300
EXAMPLES = 12


class RoleDocument(Protocol):
    """A text and its numbers, each with `start`, `end` and `role`."""

    text: str
    numbers: Sequence[Any]


class LabelledSpans(NamedTuple):
    """Texts, and N labelled character spans in them; `owner[i]` is the text that span i belongs to."""

    texts: list[str]
    owner: NDArray[np.int64]
    spans: list[tuple[int, int]]
    labels: NDArray[np.str_]


class Probe(NamedTuple):
    """What one model's probe says about the test spans."""

    predicted: NDArray[np.str_]
    regularisation: float
    validation_accuracy: float


def from_documents(documents: Iterable[RoleDocument]) -> LabelledSpans:
    """The numbers of labelled documents; documents without numbers are left out."""
    kept = [document for document in documents if document.numbers]
    rows = [
        (i, (n.start, n.end), n.role) for i, document in enumerate(kept) for n in document.numbers
    ]
    return _labelled([document.text for document in kept], rows)


def from_sentences(
    sentences: Iterable[TaggedSentence], outside: str | None = None
) -> LabelledSpans:
    """Every word of CoNLL sentences with its label; words labelled `outside` are left out if that is given."""
    kept = list(sentences)
    rows = [
        (i, span, label)
        for i, sentence in enumerate(kept)
        for span, label in zip(sentence.spans, sentence.labels, strict=True)
        if label != outside
    ]
    return _labelled([sentence.text for sentence in kept], rows)


def span_features(model: Judged, data: LabelledSpans) -> NDArray[np.float32]:
    """Mean bidirectional state [N, D] of the tokens of each span; zeros where none was kept (beyond the context)."""
    order = sorted(range(len(data.texts)), key=lambda i: len(data.texts[i]))
    states = dict(
        zip(
            order, model.token_states([data.texts[i] for i in order], every_layer=True), strict=True
        )
    )
    rows = []
    for owner, (start, end) in zip(data.owner, data.spans, strict=True):
        found = states[int(owner)]
        states_TD, mask_T = np.asarray(found.states), overlapping(found.spans, start, end)
        rows.append(
            states_TD[mask_T].mean(axis=0)
            if mask_T.any()
            else np.zeros(states_TD.shape[1], np.float32)
        )
    return np.stack(rows).astype(np.float32)


def run_probe(
    features: dict[str, NDArray[np.float32]], labels: dict[str, NDArray[np.str_]], seed: int
) -> Probe:
    """Fit on `train`, choose the regularisation on `validation`, predict `test`.

    Raises ValueError if the training items are all of one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features["train"])
    scaled = {name: scaler.transform(rows) for name, rows in features.items()}
    if len(set(labels["train"].tolist())) < 2:
        raise ValueError("a probe needs at least two classes in its training items")
    model = LogisticRegression(max_iter=ITERATIONS, warm_start=True, random_state=seed)
    best = Probe(np.empty(0, dtype=str), 0.0, -1.0)
    for strength in REGULARISATION:
        model.set_params(C=strength).fit(scaled["train"], labels["train"])
        accuracy = float(model.score(scaled["validation"], labels["validation"]))
        if accuracy > best.validation_accuracy:
            best = Probe(model.predict(scaled["test"]), strength, accuracy)
    return best


def evaluate_spans(
    contest: Contest,
    train: LabelledSpans,
    validation: LabelledSpans,
    test: LabelledSpans,
    baselines: bool = True,
) -> TaskResult:
    """Accuracy of the same probe on both trunks; whole documents are resampled for the intervals."""
    data = {"train": train, "validation": validation, "test": test}
    labels = {name: part.labels for name, part in data.items()}
    probes = [
        run_probe(
            {name: span_features(model, part) for name, part in data.items()}, labels, contest.seed
        )
        for model in (contest.before, contest.after)
    ]
    hits = [probe.predicted == test.labels for probe in probes]
    estimate = paired_means(*hits, contest.bootstrap_samples, contest.seed, groups_N=test.owner)
    others = _baselines(contest, data, hits[1]) if baselines else {}
    return estimate.result("accuracy", len(test.labels), _details(data, probes), others)


def confusion(
    true: NDArray[np.str_], predicted: NDArray[np.str_], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Counts [K, K]: rows are true classes, columns predicted ones."""
    index = {name: number for number, name in enumerate(classes)}
    matrix_KK = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(
        matrix_KK, ([index[t] for t in true.tolist()], [index[p] for p in predicted.tolist()]), 1
    )
    return matrix_KK


def macro_f1(true: NDArray[np.str_], predicted: NDArray[np.str_], classes: Sequence[str]) -> float:
    """Mean F1 over the classes that occur among the true labels."""
    matrix_KK = confusion(true, predicted, classes).astype(np.float64)
    support_K, claimed_K, right_K = matrix_KK.sum(axis=1), matrix_KK.sum(axis=0), np.diag(matrix_KK)
    return float((2 * right_K / np.maximum(support_K + claimed_K, 1))[support_K > 0].mean())


def _details(data: dict[str, LabelledSpans], probes: Sequence[Probe]) -> dict[str, Any]:
    """Confusion matrices, macro F1, what validation chose, and examples; lists of two are before and after."""
    before, after = probes
    test = data["test"]
    classes = sorted({*data["train"].labels.tolist(), *test.labels.tolist()})
    return {
        "classes": classes,
        "confusion": confusion(test.labels, after.predicted, classes).tolist(),
        "confusion_before": confusion(test.labels, before.predicted, classes).tolist(),
        "macro_f1": [macro_f1(test.labels, probe.predicted, classes) for probe in probes],
        "regularisation": [probe.regularisation for probe in probes],
        "validation_accuracy": [probe.validation_accuracy for probe in probes],
        "spans": {name: len(part.labels) for name, part in data.items()},
        "documents": {name: len(part.texts) for name, part in data.items()},
        "examples": _examples(test, after.predicted),
    }


def _labelled(texts: list[str], rows: Sequence[tuple[int, tuple[int, int], str]]) -> LabelledSpans:
    owners = np.array([owner for owner, _, _ in rows], dtype=np.int64)
    return LabelledSpans(
        texts, owners, [span for _, span, _ in rows], np.array([label for _, _, label in rows])
    )


def _baselines(
    contest: Contest, data: dict[str, LabelledSpans], after_N: NDArray[np.bool_]
) -> dict[str, Paired | float]:
    """Other methods, each paired with the trained model's hits on the same spans."""
    labels = {name: part.labels for name, part in data.items()}
    windows = {name: _windows(contest.after, part) for name, part in data.items()}
    test = data["test"]
    said = {
        "majority": np.full(len(test.labels), majority(labels["train"].tolist())),
        "bag_of_tokens": bag_of_tokens_labels(windows, labels),
        "char_cnn": char_cnn_labels(_characters(data), labels, contest.seed),
    }
    return {
        name: paired_means(
            labels_N == test.labels,
            after_N,
            contest.bootstrap_samples,
            contest.seed,
            groups_N=test.owner,
        )
        for name, labels_N in said.items()
    }


def _windows(model: Judged, data: LabelledSpans) -> list[list[tuple[str, int]]]:
    """Bags of the tokens of each number and of up to WINDOW_TOKENS on either side, told apart by where they stand."""
    return [
        [
            ("before", token)
            for token in encode(model.encoding, data.texts[owner][:start])[-WINDOW_TOKENS:]
        ]
        + [("number", token) for token in encode(model.encoding, data.texts[owner][start:end])]
        + [
            ("after", token)
            for token in encode(model.encoding, data.texts[owner][end:])[:WINDOW_TOKENS]
        ]
        for owner, (start, end) in zip(data.owner, data.spans, strict=True)
    ]


def _characters(data: dict[str, LabelledSpans]) -> dict[str, list[tuple[str, int, int]]]:
    return {
        name: [
            (part.texts[owner], *span) for owner, span in zip(part.owner, part.spans, strict=True)
        ]
        for name, part in data.items()
    }


def _examples(test: LabelledSpans, predicted: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Wrong spans first, then right ones, at most one of each text."""
    rows: list[dict[str, Any]] = []
    seen: set[int] = set()
    for wanted in (False, True):
        full = len(rows) + EXAMPLES // 2
        for i in np.flatnonzero((predicted == test.labels) == wanted).tolist():
            owner = int(test.owner[i])
            if owner not in seen and len(rows) < full:
                seen.add(owner)
                roles = {"role": str(test.labels[i]), "predicted": str(predicted[i])}
                rows.append({"text": test.texts[owner], "span": list(test.spans[i]), **roles})
    return rows
