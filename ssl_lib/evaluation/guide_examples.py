"""The guide's own examples, asked of a model: those of its five concepts, and the same again.

Each is right or wrong as it comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ssl_lib.batches.datasets import token_spans
from ssl_lib.evaluation.comparison import Details
from ssl_lib.predictor import Predictor
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.vocabulary import TOKEN_TYPES

CLEAN = "The sum of 2 + 3 is 5"
CLASSES = "text text text number operator number text number"


class Example(NamedTuple):
    """The concept of the guide, or nothing; what is asked, what is expected, how it is answered."""

    concept: str
    asked: str
    expected: str
    answer: Callable[[Predictor], str]


def guide_examples(model: Predictor) -> list[Details]:
    """One row an example: `concept`, `asked`, `expected`, `answered`, `right`."""
    rows = []
    for concept, asked, expected, answer in EXAMPLES:
        answered = answer(model)
        row: Details = {"concept": concept, "asked": asked, "expected": expected}
        rows.append(row | {"answered": answered, "right": answered == expected})
    return rows


def _filled(text: str) -> Callable[[Predictor], str]:
    def answer(model: Predictor) -> str:
        return ", ".join(said.strip() for said, _ in model.fill_mask(text))

    return answer


def _next(text: str) -> Callable[[Predictor], str]:
    def answer(model: Predictor) -> str:
        # a model that has learned nothing may end no word
        return "".join(said.strip() for said, _ in model.predict_next(text, k=1))

    return answer


def _number(text: str) -> Callable[[Predictor], str]:
    return lambda model: f"{model.predict_number(text).value:.6g}"


def _denoised(text: str) -> Callable[[Predictor], str]:
    return lambda model: model.denoise(text)


def _nearer(model: Predictor) -> str:
    word_D, number_D, other_D = model.embed(["number", "2", "the"])
    return "2" if word_D @ number_D > word_D @ other_D else "the"


def _classes(model: Predictor) -> str:
    """The class of each word of the clean sentence, which is that of its last token."""
    ids = encode(model.encoding, CLEAN)
    objective = model.objectives["numerical"]
    with torch.no_grad():
        logits_1TC: torch.Tensor = objective(torch.tensor([ids], device=model.placement.device))
    codes = logits_1TC[0].argmax(-1).tolist()
    last: dict[int, int] = {}
    for code, (start, end) in zip(codes, _spans(model, ids), strict=True):
        # "The sum": a token of the second word begins or ends behind the first space
        if CLEAN[start:end].strip():
            last[CLEAN[:end].strip().count(" ")] = code
    return " ".join(TOKEN_TYPES[code] for code in last.values())


def _spans(model: Predictor, ids: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = token_spans(model.encoding, CLEAN, ids).tolist()
    return found


TWO_MASKS = "The [MASK] of 2 + [MASK] is 5"
NOISY = "The [NOISE] of 2 + [NOISE] is 5"
ASKED = "The sum of 2 + 3 is"
BEFORE_IS = "The sum of 2 + 3"
LIST = "The largest of 17, 45 and 23 is"
BOX = "A box held 12 apples, and 5 were taken. Left are"
MASKED_NUMBER, MASKED_WORD = "The sum of 2 + 3 is [MASK].", "The [MASK] of 2 + 3 is 5."
MISSPELLED, SENTENCE = "The sun of 2 + 3 si 5", "The sum of 2 + 3 is 5."
EXAMPLES = (
    Example("masked language modeling", TWO_MASKS, "sum, 3", _filled(TWO_MASKS)),
    Example("next token prediction", f"{BEFORE_IS} …", "is", _next(BEFORE_IS)),
    Example("contrastive learning", "“number”: nearer to “2” or to “the”?", "2", _nearer),
    Example("denoising", NOISY, CLEAN, _denoised(NOISY)),
    Example("numerical patterns: classes", CLEAN, CLASSES, _classes),
    Example("numerical patterns: next number", f"{ASKED} …", "5", _number(ASKED)),
    Example("", f"{ASKED} …", "5", _next(ASKED)),
    Example("", MASKED_NUMBER, "5", _filled(MASKED_NUMBER)),
    Example("", MASKED_WORD, "sum", _filled(MASKED_WORD)),
    Example("", MISSPELLED, CLEAN, _denoised(MISSPELLED)),
    Example("", SENTENCE, SENTENCE, _denoised(SENTENCE)),
    Example("", f"{LIST} …", "45", _number(LIST)),
    Example("", f"{BOX} …", "7", _number(BOX)),
)
