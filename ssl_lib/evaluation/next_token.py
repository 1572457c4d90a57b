"""Next-token prediction: top-1 accuracy on positions that the context determines, on all, on numbers; and bits per
byte.

A determined position is a token that lies wholly inside a span that a careful reader could foretell from what
stands before it. Documents, not tokens, are resampled for the intervals, because tokens of one document are not
independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_lib.evaluation.baselines import NgramModel
from ssl_lib.evaluation.protocol import Contest, Judged, Predictions, Spans, inside
from ssl_lib.evaluation.statistics import Paired, TaskResult, paired_ratios

LN2 = math.log(2.0)
EXAMPLES = 12


class NumberedDocument(Protocol):
    """A text with the character spans of its numbers and of what its context determines."""

    text: str
    numbers: Sequence[Any]
    determined: Spans


def evaluate_next_token(
    contest: Contest, documents: Sequence[NumberedDocument], ngrams: Mapping[str, NgramModel]
) -> TaskResult:
    """Accuracy on the determined positions of labelled documents.

    All positions, numbers and bits per byte are in the details. Raises ValueError if no position is determined.
    """
    texts = [document.text for document in documents]
    before, after = contest.before.next_token_ranks(texts), contest.after.next_token_ranks(texts)
    masks = _masks(documents, after)
    estimates = {name: _accuracy(contest, before, after, mask) for name, mask in masks.items() if _any(mask)}
    if "determined" not in estimates:
        raise ValueError("no document has a position that its context determines")
    guesses = {
        name: [_guessed(counts, contest.after, p, text) for p, text in zip(after, texts, strict=True)]
        for name, counts in ngrams.items()
    }
    shares = {name: {kind: _share(hits, masks[kind]) for kind in estimates} for name, hits in guesses.items()}
    details = {
        "accuracy": {name: estimate._asdict() for name, estimate in estimates.items()},
        "positions": {name: int(sum(mask.sum() for mask in masks[name])) for name in masks},
        "baselines": shares,
        "bits_per_byte": bits_per_byte(contest, texts, before, after)._asdict(),
        "documents": len(texts),
        "examples": _examples(documents, after, masks["determined"]),
    }
    baselines = {name: share["determined"] for name, share in shares.items()}
    return estimates["determined"].result("accuracy", details["positions"]["determined"], details, baselines)


def evaluate_any_text(contest: Contest, texts: Sequence[str]) -> dict[str, Any]:
    """Bits per byte and top-1 accuracy on all positions of plain texts, which need no labels."""
    before, after = contest.before.next_token_ranks(texts), contest.after.next_token_ranks(texts)
    accuracy = _accuracy(contest, before, after, [np.ones(len(p.correct), dtype=bool) for p in after])
    return {
        "documents": len(texts),
        "bytes": sum(len(text.encode()) for text in texts),
        "bits_per_byte": bits_per_byte(contest, texts, before, after)._asdict(),
        "accuracy": accuracy._asdict(),
    }


def bits_per_byte(
    contest: Contest, texts: Sequence[str], before: Sequence[Predictions], after: Sequence[Predictions]
) -> Paired:
    """Negative log likelihood of the tokens in bits, over UTF-8 bytes: comparable between vocabularies.

    Only bytes of predicted tokens count: where a text's first token is not predicted, its bytes are left out too.
    """
    bytes_N = [_predicted_bytes(text, predictions) for text, predictions in zip(texts, after, strict=True)]
    bits = [[float(np.sum(p.nll, dtype=np.float64)) / LN2 for p in predictions] for predictions in (before, after)]
    return paired_ratios(*bits, bytes_N, contest.bootstrap_samples, contest.seed)


def _predicted_bytes(text: str, predictions: Predictions) -> int:
    spans = np.asarray(predictions.spans)
    return len(text[spans[0, 0] :].encode("utf-8", "replace")) if len(spans) else 0


def _accuracy(
    contest: Contest, before: Sequence[Predictions], after: Sequence[Predictions], masks: Sequence[NDArray[np.bool_]]
) -> Paired:
    hits = [[int(np.asarray(p.correct)[m].sum()) for p, m in zip(ps, masks, strict=True)] for ps in (before, after)]
    return paired_ratios(*hits, [int(mask.sum()) for mask in masks], contest.bootstrap_samples, contest.seed)


def _guessed(ngrams: NgramModel, model: Judged, predictions: Predictions, text: str) -> NDArray[np.bool_]:
    """Which tokens counts of n-grams would have guessed: the same positions as the model's."""
    return ngrams.correct(model.encoding, text)[-len(predictions.correct) :]


def _masks(documents: Sequence[NumberedDocument], after: Sequence[Predictions]) -> dict[str, list[NDArray[np.bool_]]]:
    pairs = list(zip(after, documents, strict=True))
    return {
        "determined": [inside(p.spans, d.text, d.determined) for p, d in pairs],
        "all": [np.ones(len(p.correct), dtype=bool) for p in after],
        "numbers": [inside(p.spans, d.text, [(n.start, n.end) for n in d.numbers]) for p, d in pairs],
    }


def _share(correct: Sequence[NDArray[np.bool_]], masks: Sequence[NDArray[np.bool_]]) -> float:
    hits = sum(int(correct_T[mask_T].sum()) for correct_T, mask_T in zip(correct, masks, strict=True))
    return hits / max(1, sum(int(mask_T.sum()) for mask_T in masks))


def _any(masks: Sequence[NDArray[np.bool_]]) -> bool:
    return any(mask.any() for mask in masks)


def _examples(
    documents: Sequence[NumberedDocument], after: Sequence[Predictions], masks: Sequence[NDArray[np.bool_]]
) -> list[dict[str, Any]]:
    """Documents with the determined tokens that were missed (character spans), wrong ones first."""
    rows = []
    for document, predictions, mask in zip(documents, after, masks, strict=True):
        missed = np.asarray(predictions.spans)[mask & ~np.asarray(predictions.correct)].tolist()
        rows.append({"text": document.text, "missed": missed, "positions": int(mask.sum())})
    rows = [row for row in rows if row["positions"]]
    wrong, right = [row for row in rows if row["missed"]], [row for row in rows if not row["missed"]]
    return wrong[: EXAMPLES // 2] + right[: EXAMPLES // 2]
