"""Readers for public evaluation files: CoNLL columns, STS pairs, T5Numeracy and question/answer JSON lines, text.

Every reader raises EvaluationFileError, one sentence with file and line, for what it cannot use; blank lines are
skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from ssl_lib.errors import UserError


class EvaluationFileError(UserError):
    """An evaluation file that cannot be read as what it is said to be."""


class TaggedSentence(NamedTuple):
    """Words of one sentence, each with a label, and the text that the words make when joined by single spaces."""

    words: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words, one space between."""
        return " ".join(self.words)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Character span of each word in `text`."""
        ends = [0]
        for word in self.words:
            ends.append(ends[-1] + len(word) + 1)
        return [(start, start + len(word)) for start, word in zip(ends, self.words, strict=False)]


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
    """A question with its possible continuations, such as " 443."; `answer` is the index of the right one."""

    prompt: str
    choices: tuple[str, ...]
    answer: int
    family: str


def read_conll(
    path: str | Path, word_column: int = 0, label_column: int = -1
) -> list[TaggedSentence]:
    """Sentences of a CoNLL file: one word a line, columns separated by tabs or spaces, blank lines between sentences.

    Lines that start with `# ` or with `-DOCSTART-` are skipped. Raises EvaluationFileError where a column is missing.
    """
    sentences: list[TaggedSentence] = []
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate([*_text_lines(path), ""], start=1):
        if line.startswith(("# ", "-DOCSTART-")):
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            if pairs:
                sentences.append(TaggedSentence(*zip(*pairs, strict=True)))
            pairs = []
            continue
        try:
            pairs.append((columns[word_column], columns[label_column]))
            _ = columns[1]
        except IndexError:
            wanted = f"a word in column {word_column} and a label in column {label_column}"
            raise EvaluationFileError(
                f"{path}, line {number}: needs {wanted}, has {len(columns)} columns"
            ) from None
    return _not_empty(sentences, path, "sentences")


def read_sts(path: str | Path, gold: str | Path | None = None) -> list[ScoredPair]:
    """Sentence pairs with graded similarity.

    Without `gold`, each line is score, sentence, sentence (tabs between). With it, the SemEval layout: `path` holds
    sentence and sentence, `gold` the score of the same line; pairs without a score (an empty gold line) are left
    out, as SemEval does.
    """
    if gold is None:
        rows = [(n, *_tab_columns(path, n, line, 3)) for n, line in _numbered(path)]
        return _not_empty(
            [ScoredPair(a, b, _score(path, n, s)) for n, s, a, b in rows], path, "pairs"
        )
    pair_lines, gold_lines = _text_lines(path), _text_lines(gold)
    if len(pair_lines) != len(gold_lines):
        raise EvaluationFileError(
            f"{gold}: has {len(gold_lines)} lines for the {len(pair_lines)} pairs of {path}; they must match"
        )
    pairs = []
    for number, (line, score) in enumerate(zip(pair_lines, gold_lines, strict=True), start=1):
        if line.strip() and score.strip():
            first, second = _tab_columns(path, number, line, 2)
            pairs.append(ScoredPair(first, second, _score(gold, number, score)))
    return _not_empty(pairs, path, "pairs")


def read_t5numeracy_lists(path: str | Path) -> list[ListQuestion]:
    """T5Numeracy's list maximum and minimum (keys numbers, max_text, max_ans, min_text, min_ans): two items a line."""
    items = []
    for number, row in _json_rows(path):
        choices = tuple(str(value) for value in _list_of(path, number, row, "numbers"))
        for kind, family in (("max", "list_maximum"), ("min", "list_minimum")):
            prompt, answer = (
                _text_of(path, number, row, f"{kind}_text"),
                _text_of(path, number, row, f"{kind}_ans"),
            )
            if answer not in choices:
                raise EvaluationFileError(
                    f"{path}, line {number}: {kind}_ans {answer} is none of the numbers"
                )
            items.append(
                ListQuestion(prompt, _continuations(choices), choices.index(answer), family)
            )
    return _not_empty(items, path, "items")


def read_t5numeracy_numeration(path: str | Path) -> list[Question]:
    """T5Numeracy's numeration (keys text and label): words to digits."""
    rows = _json_rows(path)
    return _not_empty(
        [
            Question(_text_of(path, n, row, "text"), _text_of(path, n, row, "label"))
            for n, row in rows
        ],
        path,
        "items",
    )


def read_questions(path: str | Path) -> list[Question]:
    """Question/answer JSON lines, or one JSON list of the same objects (as SVAMP is distributed).

    Questions stand under `question` or `Question` (SVAMP's `Body` goes before it), answers under `answer` or
    `Answer`; of an answer that is worked out in steps and ends in `#### 72` (GSM8K), only the end counts.
    """
    questions = []
    for number, row in _json_rows(path):
        key = "question" if "question" in row else "Question"
        body = str(row["Body"]).strip() if "Body" in row else ""
        question = f"{body} {_text_of(path, number, row, key)}".strip()
        answer = _text_of(path, number, row, "answer" if "answer" in row else "Answer")
        questions.append(Question(question, answer.rsplit("####", 1)[-1].strip()))
    return _not_empty(questions, path, "questions")


def read_numeracy(path: str | Path) -> list[ListQuestion] | list[Question]:
    """JSON lines of any of the three kinds above, told apart by the keys of the first object."""
    _, first = next(iter(_json_rows(path)), (0, {}))
    if "numbers" in first:
        return read_t5numeracy_lists(path)
    return (
        read_t5numeracy_numeration(path)
        if {"text", "label"} <= set(first)
        else read_questions(path)
    )


def read_texts(path: str | Path, field: str = "text") -> list[str]:
    """Texts to foretell: of a `.jsonl` or `.json` file what stands under `field`, of any other its paragraphs."""
    if Path(path).suffix in (".jsonl", ".json"):
        texts = [_text_of(path, number, row, field) for number, row in _json_rows(path)]
    else:
        texts = re.split(r"\n\s*\n", "\n".join(_text_lines(path)))
    return _not_empty([text.strip() for text in texts if text.strip()], path, "texts")


def four_choices(questions: list[Question], family: str, seed: int) -> list[ListQuestion]:
    """Make questions whose answers are whole numbers into four-choice items with near distractors.

    Wrong choices are drawn among: one, ten or a hundred off, two digits swapped, ten times, a tenth.
    Separators of thousands are left out of the choices, and questions with other answers altogether.
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
        items.append(ListQuestion(question, _continuations(choices), choices.index(answer), family))
    return items


def _continuations(numbers: Iterable[str]) -> tuple[str, ...]:
    return tuple(f" {number}." for number in numbers)


def _near(answer: str) -> set[str]:
    value = int(answer)
    near = {value + 1, value - 1, value + 10, value - 10, value + 100, value * 10, value // 10}
    near |= {
        int(answer[:i] + answer[i + 1] + answer[i] + answer[i + 2 :])
        for i in range(len(answer) - 1)
    }
    return {str(other) for other in near if other >= 0}


def _text_lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationFileError(f"{path}: cannot be read as UTF-8 text ({error})") from None


def _numbered(path: str | Path) -> Iterator[tuple[int, str]]:
    return (
        (number, line) for number, line in enumerate(_text_lines(path), start=1) if line.strip()
    )


def _tab_columns(path: str | Path, number: int, line: str, count: int) -> list[str]:
    columns = line.rstrip("\r").split("\t")
    if len(columns) < count:
        raise EvaluationFileError(
            f"{path}, line {number}: needs {count} columns with tabs between, has {len(columns)}"
        )
    return columns[:count]


def _score(path: str | Path, number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise EvaluationFileError(
            f"{path}, line {number}: {text.strip()!r} is no similarity score; write a number"
        ) from None


def _json_rows(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    rows: list[tuple[int, Any]] = []
    try:
        if Path(path).suffix == ".json":
            number, loaded = 1, json.loads("\n".join(_text_lines(path)))
            rows = list(enumerate(loaded if isinstance(loaded, list) else [loaded], start=1))
        else:
            for number, line in _numbered(path):
                rows.append((number, json.loads(line)))
    except json.JSONDecodeError as error:
        raise EvaluationFileError(
            f"{path}, line {number}: not JSON ({error.msg}); write one object a line"
        ) from None
    for number, row in rows:
        if not isinstance(row, dict):
            raise EvaluationFileError(
                f"{path}, line {number}: must be a JSON object, is {type(row).__name__}"
            )
    return rows


def _text_of(path: str | Path, number: int, row: dict[str, Any], key: str) -> str:
    if isinstance(row.get(key), bool) or not isinstance(row.get(key), (str, int, float)):
        raise EvaluationFileError(
            f"{path}, line {number}: needs a text under {key!r}; it has {', '.join(sorted(row)) or 'nothing'}"
        )
    value = row[key]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _list_of(path: str | Path, number: int, row: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(row.get(key), list):
        raise EvaluationFileError(
            f"{path}, line {number}: needs a list under {key!r}; it has {', '.join(sorted(row)) or 'nothing'}"
        )
    return row[key]


def _not_empty(rows: list[Any], path: str | Path, what: str) -> list[Any]:
    if not rows:
        raise EvaluationFileError(f"{path}: holds no {what}")
    return rows
