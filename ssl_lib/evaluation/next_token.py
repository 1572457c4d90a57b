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
from ssl_lib.evaluation.statistics import Paired, TaskResult, lower_is_better, paired_ratios
from ssl_lib.numbers import find_numbers
from ssl_lib.tokens.encodings import encode

LN2 = math.log(2.0)
EXAMPLES = 12


class NumberedDocument(Protocol):
    """A text with the character spans of its numbers and of what its context determines."""

    text: str
    numbers: Sequence[Any]
    deterministic: Spans


def evaluate_next_token(
    contest: Contest, documents: Sequence[NumberedDocument], ngrams: Mapping[str, NgramModel]
) -> TaskResult:
    """Accuracy on the determined positions of labelled documents.

    All positions, numbers and bits per byte are in the details. Raises ValueError if no position is determined.
    """
    texts = [document.text for document in documents]
    before, after = contest.before.next_token_ranks(texts), contest.after.next_token_ranks(texts)
    masks = _masks(documents, after)
    estimates = {
        name: _accuracy(contest, before, after, mask) for name, mask in masks.items() if _any(mask)
    }
    if "determined" not in estimates:
        raise ValueError("no document has a position that its context determines")
    right = [np.asarray(p.correct) for p in after]
    guesses = {
        name: [
            _guessed(counts, contest.after, p, text) for p, text in zip(after, texts, strict=True)
        ]
        for name, counts in ngrams.items()
    }
    others = {
        kind: {
            name: _shares(contest, guessed, right, masks[kind]) for name, guessed in guesses.items()
        }
        for kind in estimates
    }
    details = {
        "accuracy": {name: estimate._asdict() for name, estimate in estimates.items()},
        "positions": {name: int(sum(mask.sum() for mask in masks[name])) for name in masks},
        "baselines": {
            kind: {name: pair.before for name, pair in row.items()} for kind, row in others.items()
        },
        "bits_per_byte": bits_per_byte(contest, texts, before, after)._asdict(),
        "documents": len(texts),
        "examples": _examples(documents, after, masks["determined"]),
    }
    return estimates["determined"].result(
        "accuracy", details["positions"]["determined"], details, others["determined"]
    )


def evaluate_any_text(
    contest: Contest, texts: Sequence[str], ngrams: Mapping[str, NgramModel]
) -> TaskResult:
    """Bits per byte of plain texts, which need no labels; less is better. Texts are resampled for the intervals.

    Top-1 accuracy on all positions and on those inside numbers is in the details. Raises ValueError if no text has a
    token to predict.
    """
    before, after = contest.before.next_token_ranks(texts), contest.after.next_token_ranks(texts)
    masks = {
        "all": [np.ones(len(p.correct), dtype=bool) for p in after],
        "numbers": [
            _in_numbers(p, text, find_numbers(text)) for p, text in zip(after, texts, strict=True)
        ],
    }
    details = {
        "accuracy": {
            kind: _accuracy(contest, before, after, mask)._asdict()
            for kind, mask in masks.items()
            if _any(mask)
        },
        "positions": {
            kind: sum(int(mask_T.sum()) for mask_T in mask) for kind, mask in masks.items()
        },
        "bytes": sum(len(text.encode("utf-8", "replace")) for text in texts),
    }
    bytes_N, after_N = _predicted_bytes_of(texts, after), _bits(after)
    others = {
        name: paired_ratios(
            [_bits_by_counts(counts, contest.after, p, text) for p, text in zip(after, texts, strict=True)],
            after_N, bytes_N, contest.bootstrap_samples, contest.seed,
        )
        for name, counts in ngrams.items()
    }  # fmt: skip
    estimate = bits_per_byte(contest, texts, before, after)
    return lower_is_better(estimate.result("bits_per_byte", len(texts), details, others))


def bits_per_byte(
    contest: Contest,
    texts: Sequence[str],
    before: Sequence[Predictions],
    after: Sequence[Predictions],
) -> Paired:
    """Negative log likelihood of the tokens in bits, over UTF-8 bytes: comparable between vocabularies.

    Only bytes of predicted tokens count: where a text's first token is not predicted, its bytes are left out too.
    """
    bytes_N = _predicted_bytes_of(texts, after)
    return paired_ratios(
        _bits(before), _bits(after), bytes_N, contest.bootstrap_samples, contest.seed
    )


def _bits(predictions: Sequence[Predictions]) -> list[float]:
    """Bits of all predicted tokens of each text."""
    return [float(np.sum(p.nll, dtype=np.float64)) / LN2 for p in predictions]


def _bits_by_counts(
    ngrams: NgramModel, model: Judged, predictions: Predictions, text: str
) -> float:
    """Bits that counts of n-grams give to the same tokens of a text."""
    ids = encode(model.encoding, text)
    return float(-ngrams.log_probabilities(ids)[len(ids) - len(predictions.correct) :].sum() / LN2)


def _predicted_bytes_of(texts: Sequence[str], predictions: Sequence[Predictions]) -> list[int]:
    starts = [
        int(np.asarray(p.spans)[0, 0]) if len(p.spans) else len(t)
        for t, p in zip(texts, predictions, strict=True)
    ]
    return [
        len(text[start:].encode("utf-8", "replace"))
        for text, start in zip(texts, starts, strict=True)
    ]


def _accuracy(
    contest: Contest,
    before: Sequence[Predictions],
    after: Sequence[Predictions],
    masks: Sequence[NDArray[np.bool_]],
) -> Paired:
    rights = [[np.asarray(p.correct) for p in predictions] for predictions in (before, after)]
    return _shares(contest, *rights, masks)


def _shares(
    contest: Contest,
    before: Sequence[NDArray[np.bool_]],
    after: Sequence[NDArray[np.bool_]],
    masks: Sequence[NDArray[np.bool_]],
) -> Paired:
    """Share of the masked tokens that each of two methods has right."""
    hits = [
        [int(right_T[m].sum()) for right_T, m in zip(rights, masks, strict=True)]
        for rights in (before, after)
    ]
    return paired_ratios(
        *hits, [int(mask.sum()) for mask in masks], contest.bootstrap_samples, contest.seed
    )


def _guessed(
    ngrams: NgramModel, model: Judged, predictions: Predictions, text: str
) -> NDArray[np.bool_]:
    """Which tokens counts of n-grams would have guessed: the same positions as the model's."""
    right_T = ngrams.correct(model.encoding, text)
    return right_T[len(right_T) - len(predictions.correct) :]


def _masks(
    documents: Sequence[NumberedDocument], after: Sequence[Predictions]
) -> dict[str, list[NDArray[np.bool_]]]:
    pairs = list(zip(after, documents, strict=True))
    return {
        "determined": [inside(p.spans, d.text, d.deterministic) for p, d in pairs],
        "all": [np.ones(len(p.correct), dtype=bool) for p in after],
        "numbers": [_in_numbers(p, d.text, d.numbers) for p, d in pairs],
    }


def _in_numbers(predictions: Predictions, text: str, numbers: Sequence[Any]) -> NDArray[np.bool_]:
    return inside(predictions.spans, text, [(number.start, number.end) for number in numbers])


def _any(masks: Sequence[NDArray[np.bool_]]) -> bool:
    return any(mask.any() for mask in masks)


def _examples(
    documents: Sequence[NumberedDocument],
    after: Sequence[Predictions],
    masks: Sequence[NDArray[np.bool_]],
) -> list[dict[str, Any]]:
    """Documents with the determined tokens that were missed (character spans), wrong ones first."""
    rows = []
    for document, predictions, mask in zip(documents, after, masks, strict=True):
        missed = np.asarray(predictions.spans)[mask & ~np.asarray(predictions.correct)].tolist()
        rows.append({"text": document.text, "missed": missed, "positions": int(mask.sum())})
    rows = [row for row in rows if row["positions"]]
    wrong, right = (
        [row for row in rows if row["missed"]],
        [row for row in rows if not row["missed"]],
    )
    return wrong[: EXAMPLES // 2] + right[: EXAMPLES // 2]
