"""Public sets about numbers: T5Numeracy, questions, AWPNLI, NumerSense, NumHG, each as distributed.

What has a number in its middle becomes a choice among whole continuations: the text before the
blank, then the number and all that follows.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

from ssl_lib.evaluation.lines import JsonObject, filled_lines, json_objects, not_empty
from ssl_lib.evaluation.readers import (
    ListQuestion,
    Question,
    Read,
    near_choices,
    read_questions,
    read_t5numeracy_lists,
    read_t5numeracy_numeration,
)

# Every answer of NumerSense is one of these (Lin et al. 2020, section 2).
NUMBER_WORDS = tuple("no zero one two three four five six seven eight nine ten".split())
MASK = re.compile(r"<mask>|\[MASK\]")
BLANK = re.compile(r"_{2,}")
# The keys of a pair of sentences and of its label, by EQUATE, by Quantitative 101, by others.
FIRST = ("sentence1", "statement1", "premise")
SECOND = ("sentence2", "statement2", "hypothesis")
LABEL = ("gold_label", "answer", "label")
HEADLINE = "masked headline"


def read_numeracy(path: str | Path, seed: int = 0) -> Read[ListQuestion] | Read[Question]:
    """Items of a file of any of these kinds, told apart by the keys of its first object.

    A file that does not begin as JSON holds NumerSense's masked sentences. Wrong choices are drawn
    by the seed.
    """
    lines = filled_lines(path)
    if lines and not lines[0].text.lstrip().startswith(("{", "[")):
        return read_masked(path)
    objects = json_objects(path)
    keys = set(objects[0].fields) if objects else set()
    if keys & set(FIRST) and keys & set(SECOND):
        return read_inference(path)
    if HEADLINE in keys:
        return read_headlines(path, seed)
    if "numbers" in keys:
        return Read(read_t5numeracy_lists(path), Counter())
    if {"text", "label"} <= keys:
        return Read(read_t5numeracy_numeration(path), Counter())
    return Read(read_questions(path), Counter())


def read_masked(path: str | Path) -> Read[ListQuestion]:
    """NumerSense: a sentence with `<mask>` and, after a tab, the number word that stands there.

    The choices are NUMBER_WORDS. Raises EvaluationFileError for another word, and for a file
    without answers, as its test sets are.
    """
    items = []
    for line in filled_lines(path):
        sentence, answer = (cell.strip() for cell in line.columns(2))
        answer = answer.lower()
        if answer not in NUMBER_WORDS:
            raise line.error(f"answer {answer!r} is none of {', '.join(NUMBER_WORDS)}")
        if len(MASK.findall(sentence)) != 1:
            raise line.error("needs one <mask> in its first column")
        prompt, choices = _filled(sentence, MASK, NUMBER_WORDS)
        place = NUMBER_WORDS.index(answer)
        items.append(ListQuestion(prompt, choices, place, "masked_number", generated=False))
    return Read(not_empty(items, path, "sentences"), Counter())


def read_inference(path: str | Path) -> Read[ListQuestion]:
    """AWPNLI and its like: which hypothesis follows from the premise, the entailed or another?

    AWPNLI has for each premise one hypothesis with the right number and one with a wrong one
    (Ravichander et al. 2019). The model takes what it finds more probable after the premise;
    `left_out` counts hypotheses whose premise has none of the other kind, or that have no label.
    """
    # premise → its hypotheses
    entailed: dict[str, list[str]] = defaultdict(list)
    others: dict[str, list[str]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for one in json_objects(path):
        premise, hypothesis, label = (_first_of(one, keys) for keys in (FIRST, SECOND, LABEL))
        if label.lower() == "entailment":
            entailed[premise].append(hypothesis)
        elif label.lower() in ("contradiction", "neutral", "not_entailment"):
            others[premise].append(hypothesis)
        else:
            left_out["without_a_label"] += 1
    items = []
    for premise in {**entailed, **others}:
        right, wrong = entailed[premise], others[premise]
        if not (right and wrong):
            left_out["without_a_partner"] += len(right) + len(wrong)
            continue
        # one item for each hypothesis that follows, against all that do not
        for hypothesis in right:
            choices = tuple(f" {choice}" for choice in (hypothesis, *wrong))
            items.append(ListQuestion(premise, choices, 0, "inference", generated=False))
    return Read(not_empty(items, path, "premises with hypotheses of both kinds"), left_out)


def read_headlines(path: str | Path, seed: int = 0) -> Read[ListQuestion]:
    """NumHG: a number of a headline, from the news above it, among three near numbers.

    `left_out` counts headlines with another answer (Huang et al. 2024).
    """
    random = Random(seed)
    items = []
    left_out: Counter[str] = Counter()
    for one in json_objects(path):
        headline = one.text(HEADLINE)
        if len(BLANK.findall(headline)) != 1:
            raise one.line.error(f"needs one blank, such as ____, under {HEADLINE!r}")
        found = near_choices(one.text("ans"), random)
        if found is None:
            left_out["without_a_whole_number"] += 1
            continue
        # the blank of the headline is the last one, whatever stands in the news
        numbers, place = found
        text = one.text("news").strip() + "\n" + headline
        prompt, choices = _filled(text, BLANK, numbers, last=True)
        items.append(ListQuestion(prompt, choices, place, "headline", generated=False))
    return Read(not_empty(items, path, "headlines with a whole number"), left_out)


def _filled(
    text: str, blank: re.Pattern[str], words: Any, last: bool = False
) -> tuple[str, tuple[str, ...]]:
    """What stands before a blank, and each word with all that follows it.

    "A bird has <mask> legs." → "A bird has", (" no legs.", " zero legs.", …)
    """
    place = list(blank.finditer(text))[-1 if last else 0]
    # the space before the blank goes to the choices: tokens begin with their space
    prompt = text[: place.start()].rstrip()
    space = text[len(prompt) : place.start()]
    return prompt, tuple(f"{space}{word}{text[place.end() :]}" for word in words)


def _first_of(one: JsonObject, keys: tuple[str, ...]) -> str:
    """The text under the first of these keys that it has."""
    present = [key for key in keys if key in one.fields]
    return one.text(present[0] if present else keys[0]).strip()
