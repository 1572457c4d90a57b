"""Readers for public evaluation files.

CoNLL columns, STS pairs, T5Numeracy and question/answer JSON lines, text. Every reader raises
EvaluationFileError, one sentence with file and line, for what it cannot use; blank lines are
skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from ssl_lib.errors import UserError

Item = TypeVar("Item")


class EvaluationFileError(UserError):
    """An evaluation file that cannot be read as what it is said to be."""


class TaggedSentence(NamedTuple):
    """Words of one sentence, each with a label."""

    words: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words, one space between."""
        return " ".join(self.words)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Character span of each word in `text`."""
        # ("It", "rains") → [(0, 2), (3, 8)]
        found, start = [], 0
        for word in self.words:
            found.append((start, start + len(word)))
            start += len(word) + 1
        return found


class ScoredPair(NamedTuple):
    """Two texts and how similar people found them."""

    first: str
    second: str
    score: float


class Question(NamedTuple):
    """A question with its one right answer, as text."""

    question: str
    answer: str


class ListQuestion(NamedTuple):
    """A question with its possible continuations, such as " 443."; `answer` is the right place."""

    prompt: str
    choices: tuple[str, ...]
    answer: int
    family: str


class Line(NamedTuple):
    """A line of a file that is not blank."""

    path: Path
    number: int
    text: str

    def error(self, message: str) -> EvaluationFileError:
        """What is wrong with it, with file and line."""
        place = f"{self.path}, line {self.number}"
        return EvaluationFileError(f"{place}: {message}")

    def columns(self, count: int) -> list[str]:
        """The first columns, with tabs between."""
        found = self.text.rstrip("\r").split("\t")
        if len(found) < count:
            message = f"needs {count} columns with tabs between, has {len(found)}"
            raise self.error(message)
        return found[:count]

    def score(self, text: str) -> float:
        """A number that stands in it."""
        try:
            return float(text)
        except ValueError:
            message = f"{text.strip()!r} is no similarity score; write a number"
            raise self.error(message) from None


class JsonObject(NamedTuple):
    """A JSON object of a file, and the line where it stands (in a list: its place)."""

    line: Line
    fields: dict[str, Any]

    def text(self, key: str) -> str:
        """A text or a number, as text: 8.0 is 8."""
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._missing("text", key)
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts or numbers, as texts."""
        values = self.fields.get(key)
        if not isinstance(values, list):
            raise self._missing("list", key)
        return tuple(str(value) for value in values)

    def _missing(self, kind: str, key: str) -> EvaluationFileError:
        keys = ", ".join(sorted(self.fields)) or "nothing"
        return self.line.error(f"needs a {kind} under {key!r}; it has {keys}")


def read_conll(
    path: str | Path, word_column: int = 0, label_column: int = -1
) -> list[TaggedSentence]:
    """Sentences of a CoNLL file.

    One word a line, columns separated by tabs or spaces, blank lines between sentences; lines that
    start with `# ` or with `-DOCSTART-` are skipped. Raises EvaluationFileError where a column is
    missing.
    """
    sentences: list[TaggedSentence] = []
    pairs: list[tuple[str, str]] = []
    # the blank line at the end closes the last sentence
    for number, text in enumerate([*_text_lines(path), ""], start=1):
        if text.startswith(("# ", "-DOCSTART-")):
            continue
        if not text.strip():
            if pairs:
                words, labels = zip(*pairs, strict=True)
                sentences.append(TaggedSentence(words, labels))
            pairs = []
            continue
        columns = text.split("\t") if "\t" in text else text.split()
        try:
            pairs.append((columns[word_column], columns[label_column]))
            _ = columns[1]
        except IndexError:
            wanted = f"a word in column {word_column} and a label in column {label_column}"
            message = f"needs {wanted}, has {len(columns)} columns"
            raise Line(Path(path), number, text).error(message) from None
    return _not_empty(sentences, path, "sentences")


def read_sts(path: str | Path, gold: str | Path | None = None) -> list[ScoredPair]:
    """Sentence pairs and how similar people found them.

    Without `gold`, each line is score, sentence, sentence (tabs between). With it, the SemEval
    layout: `path` holds sentence and sentence, `gold` the score of the same line; pairs without a
    score (an empty gold line) are left out, as SemEval does.
    """
    pairs = []
    if gold is None:
        for line in _lines(path):
            score, first, second = line.columns(3)
            pairs.append(ScoredPair(first, second, line.score(score)))
        return _not_empty(pairs, path, "pairs")
    sentences = _text_lines(path)
    scores = _text_lines(gold)
    if len(sentences) != len(scores):
        raise EvaluationFileError(
            f"{gold}: has {len(scores)} lines for the {len(sentences)} pairs of {path}; "
            "they must match"
        )
    for number, (text, score) in enumerate(zip(sentences, scores, strict=True), start=1):
        if text.strip() and score.strip():
            line = Line(Path(path), number, text)
            first, second = line.columns(2)
            value = Line(Path(gold), number, score).score(score)
            pairs.append(ScoredPair(first, second, value))
    return _not_empty(pairs, path, "pairs")


def read_t5numeracy_lists(path: str | Path) -> list[ListQuestion]:
    """T5Numeracy's list maximum and minimum: two items a line.

    Keys are numbers, max_text, max_ans, min_text, min_ans.
    """
    items = []
    for one in _json_objects(path):
        choices = one.texts("numbers")
        for kind, family in (("max", "list_maximum"), ("min", "list_minimum")):
            prompt = one.text(f"{kind}_text")
            answer = one.text(f"{kind}_ans")
            if answer not in choices:
                raise one.line.error(f"{kind}_ans {answer} is none of the numbers")
            # " 443." for the number 443
            place = choices.index(answer)
            items.append(ListQuestion(prompt, _continuations(choices), place, family))
    return _not_empty(items, path, "items")


def read_t5numeracy_numeration(path: str | Path) -> list[Question]:
    """T5Numeracy's numeration (keys text and label): words to digits."""
    items = [Question(one.text("text"), one.text("label")) for one in _json_objects(path)]
    return _not_empty(items, path, "items")


def read_questions(path: str | Path) -> list[Question]:
    """Question/answer JSON lines, or one JSON list of the same objects (as SVAMP is distributed).

    Questions stand under `question` or `Question` (SVAMP's `Body` goes before it), answers under
    `answer` or `Answer`; of an answer that is worked out in steps and ends in `#### 72` (GSM8K),
    only the end counts.
    """
    questions = []
    for one in _json_objects(path):
        body = str(one.fields.get("Body", "")).strip()
        asked = one.text("question" if "question" in one.fields else "Question")
        answer = one.text("answer" if "answer" in one.fields else "Answer")
        final = answer.rsplit("####", 1)[-1].strip()
        question = f"{body} {asked}".strip()
        questions.append(Question(question, final))
    return _not_empty(questions, path, "questions")


def read_numeracy(path: str | Path) -> list[ListQuestion] | list[Question]:
    """JSON lines of any of the three kinds above, told apart by the keys of the first object."""
    objects = _json_objects(path)
    first = objects[0].fields if objects else {}
    keys = set(first)
    if "numbers" in keys:
        return read_t5numeracy_lists(path)
    if {"text", "label"} <= keys:
        return read_t5numeracy_numeration(path)
    return read_questions(path)


def read_texts(path: str | Path, field: str = "text") -> list[str]:
    """Texts to predict.

    Of a `.jsonl` or `.json` file what stands under `field`, of any other its paragraphs.
    """
    if Path(path).suffix in (".jsonl", ".json"):
        texts = [one.text(field) for one in _json_objects(path)]
    else:
        whole = "\n".join(_text_lines(path))
        # a blank line may hold spaces
        texts = re.split(r"\n\s*\n", whole)
    return _not_empty([text.strip() for text in texts if text.strip()], path, "texts")


def four_choices(questions: Sequence[Question], family: str, seed: int) -> list[ListQuestion]:
    """Make questions whose answers are whole numbers into four-choice items with near distractors.

    Wrong choices are drawn among: one, ten or a hundred off, two digits swapped, ten times, a
    tenth. Separators of thousands are left out of the choices, and questions with other answers
    altogether.
    """
    random = Random(seed)
    items = []
    for question, written in questions:
        answer = written.replace(",", "")
        if not answer.isdecimal():
            continue
        wrong = sorted(_near(answer) - {answer})
        choices = [answer, *random.sample(wrong, 3)]
        random.shuffle(choices)
        place = choices.index(answer)
        items.append(ListQuestion(question, _continuations(choices), place, family))
    return items


def _continuations(numbers: Sequence[str]) -> tuple[str, ...]:
    return tuple(f" {number}." for number in numbers)


def _near(answer: str) -> set[str]:
    """Whole numbers that somebody may take for this one."""
    # 42 → 43, 41, 52, 32, 142, 420, 4, 24
    value = int(answer)
    near = {value + 1, value - 1, value + 10, value - 10, value + 100, value * 10, value // 10}
    for place in range(len(answer) - 1):
        # "417" → "147", "471"
        swapped = answer[place + 1] + answer[place]
        near.add(int(answer[:place] + swapped + answer[place + 2 :]))
    return {str(other) for other in near if other >= 0}


def _text_lines(path: str | Path) -> list[str]:
    """All lines, blank ones too."""
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationFileError(f"{path}: cannot be read as UTF-8 text ({error})") from None


def _lines(path: str | Path) -> list[Line]:
    """The lines that are not blank."""
    numbered = enumerate(_text_lines(path), start=1)
    return [Line(Path(path), number, text) for number, text in numbered if text.strip()]


def _json_objects(path: str | Path) -> list[JsonObject]:
    """Of JSON lines, or of one JSON value that is an object or a list of them."""
    lines = _lines(path)
    if Path(path).suffix == ".json":
        whole = "\n".join(_text_lines(path))
        lines = [Line(Path(path), 1, whole)]
    found: list[tuple[Line, Any]] = []
    for line in lines:
        try:
            loaded = json.loads(line.text)
        except json.JSONDecodeError as error:
            raise line.error(f"not JSON ({error.msg}); write one object a line") from None
        if Path(path).suffix == ".json" and isinstance(loaded, list):
            found += [(line._replace(number=i), one) for i, one in enumerate(loaded, start=1)]
        else:
            found.append((line, loaded))
    for line, loaded in found:
        if not isinstance(loaded, dict):
            raise line.error(f"must be a JSON object, is {type(loaded).__name__}")
    return [JsonObject(line, loaded) for line, loaded in found]


def _not_empty(items: list[Item], path: str | Path, what: str) -> list[Item]:
    if not items:
        raise EvaluationFileError(f"{path}: holds no {what}")
    return items
