"""Readers for public evaluation files.

CoNLL columns, STS pairs, T5Numeracy and question/answer JSON lines, text. Every reader raises
EvaluationFileError, one sentence with file and line, for what it cannot use; blank lines are
skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Generic, NamedTuple, TypeVar

from ssl_lib.evaluation.lines import (
    EvaluationFileError,
    Line,
    corpus_documents,
    filled_lines,
    json_objects,
    not_empty,
    text_lines,
)

Item = TypeVar("Item")


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
    file: str = ""  # the name of its file, where there are several


class Question(NamedTuple):
    """A question with its one right answer, as text."""

    question: str
    answer: str


class ListQuestion(NamedTuple):
    """A question with its possible continuations, such as " 443."; `answer` is the right place.

    `generated` says whether a free continuation can be compared with the right one: not where more
    follows behind a blank.
    """

    prompt: str
    choices: tuple[str, ...]
    answer: int
    family: str
    generated: bool = True


class Read(NamedTuple, Generic[Item]):
    """What a file holds, and how many of its items are left out for which reason."""

    items: list[Item]
    left_out: Counter[str]


def read_conll(
    path: str | Path, word_column: int = 0, label_column: int = -1
) -> list[TaggedSentence]:
    """Sentences of a CoNLL file.

    One word a line, columns separated by tabs or spaces, blank lines between sentences. Lines that
    start with `-DOCSTART-` are skipped, and comments: a line that starts with `#` is a word only if
    it has as many columns as the others, and a label that they have. Raises EvaluationFileError
    where a column is missing.
    """
    numbered = enumerate(text_lines(path), start=1)
    lines = [Line(Path(path), number, text) for number, text in numbered]
    lines = [line for line in lines if not line.text.startswith("-DOCSTART-")]
    # "# text = It rains" is a comment, "#  SYM  O" a word of three columns with the label O
    plain = [_conll_columns(line) for line in lines if line.text[:1] != "#" and line.text.strip()]
    sizes = {len(columns) for columns in plain}
    labels = {columns[label_column] for columns in plain if _has(columns, label_column)}
    sentences: list[TaggedSentence] = []
    pairs: list[tuple[str, str]] = []
    # the blank line at the end closes the last sentence
    for line in [*lines, Line(Path(path), 0, "")]:
        if not line.text.strip():
            if pairs:
                words, tags = zip(*pairs, strict=True)
                sentences.append(TaggedSentence(words, tags))
            pairs = []
            continue
        columns = _conll_columns(line)
        held = len(columns) > 1 and _has(columns, word_column) and _has(columns, label_column)
        if line.text.startswith("#"):
            if not held or len(columns) not in sizes or columns[label_column] not in labels:
                continue
        elif not held:
            wanted = f"a word in column {word_column} and a label in column {label_column}"
            raise line.error(f"needs {wanted}, has {len(columns)} columns")
        pairs.append((columns[word_column], columns[label_column]))
    return not_empty(sentences, path, "sentences")


def _conll_columns(line: Line) -> list[str]:
    return line.text.split("\t") if "\t" in line.text else line.text.split()


def _has(columns: list[str], place: int) -> bool:
    return -len(columns) <= place < len(columns)


def read_sts(
    path: str | Path, gold: str | Path | None = None, columns: Sequence[int] = ()
) -> Read[ScoredPair]:
    """Sentence pairs and how similar people found them; `left_out` counts those without a score.

    Without `gold`, `columns` are those of score, sentence and sentence (0, 1, 2), tabs between; a
    first line that calls the score "score" is a header. With it, the SemEval layout: `path` holds
    sentence and sentence (0, 1), `gold` the score of the same line. Pairs without a score (an empty
    one) are left out, as SemEval does.
    """
    if gold is None:
        # "4.5", "A man.", "A boy.": the score stands in the line of its pair
        score_column, *sentence_columns = columns or (0, 1, 2)
        lines = [(line, line) for line in filled_lines(path)]
    else:
        # "A man.", "A boy.", and "4.5" in the same line of another file
        score_column, sentence_columns = 0, list(columns or (0, 1))
        lines = _with_gold(path, gold)
    found: Read[ScoredPair] = Read([], Counter())
    for line, scored in lines:
        score = scored.columns(score_column + 1)[score_column]
        if gold is None and line.number == 1 and "score" in score.lower():
            continue
        if not score.strip():
            found.left_out["without_a_score"] += 1
            continue
        cells = line.columns(max(sentence_columns) + 1)
        first, second = (cells[place].strip() for place in sentence_columns)
        pair = ScoredPair(first, second, scored.score(score), Path(path).name)
        found.items.append(pair)
    not_empty(found.items, path, "pairs with a score")
    return found


def _with_gold(path: str | Path, gold: str | Path) -> list[tuple[Line, Line]]:
    """The lines of a file with those of the file of its scores."""
    sentences = text_lines(path)
    scores = text_lines(gold)
    if len(sentences) != len(scores):
        raise EvaluationFileError(
            f"{gold}: has {len(scores)} lines for the {len(sentences)} pairs of {path}; "
            "they must match"
        )
    lines = []
    for number, (text, score) in enumerate(zip(sentences, scores, strict=True), start=1):
        if text.strip():
            lines.append((Line(Path(path), number, text), Line(Path(gold), number, score)))
    return lines


def read_t5numeracy_lists(path: str | Path) -> list[ListQuestion]:
    """T5Numeracy's list maximum and minimum: two items a line.

    Keys are numbers, max_text, max_ans, min_text, min_ans.
    """
    items = []
    for one in json_objects(path):
        choices = one.texts("numbers")
        for kind, family in (("max", "list_maximum"), ("min", "list_minimum")):
            prompt = one.text(f"{kind}_text")
            answer = one.text(f"{kind}_ans")
            if answer not in choices:
                raise one.line.error(f"{kind}_ans {answer} is none of the numbers")
            # " 443." for the number 443
            place = choices.index(answer)
            items.append(ListQuestion(prompt, _continuations(choices), place, family))
    return not_empty(items, path, "items")


def read_t5numeracy_numeration(path: str | Path) -> list[Question]:
    """T5Numeracy's numeration (keys text and label): words to digits."""
    items = [Question(one.text("text"), one.text("label")) for one in json_objects(path)]
    return not_empty(items, path, "items")


def read_questions(path: str | Path) -> list[Question]:
    """Question/answer JSON lines, or one JSON list of the same objects (as SVAMP is distributed).

    Questions stand under `question` or `Question` (SVAMP's `Body` goes before it), answers under
    `answer` or `Answer`; of an answer that is worked out in steps and ends in `#### 72` (GSM8K),
    only the end counts.
    """
    questions = []
    for one in json_objects(path):
        body = str(one.fields.get("Body", "")).strip()
        asked = one.text("question" if "question" in one.fields else "Question")
        answer = one.text("answer" if "answer" in one.fields else "Answer")
        final = answer.rsplit("####", 1)[-1].strip()
        question = f"{body} {asked}".strip()
        questions.append(Question(question, final))
    return not_empty(questions, path, "questions")


def read_texts(path: str | Path, field: str = "text") -> list[str]:
    """Texts to predict: whatever the corpus reads, and any other file as plain text.

    Of records, what stands under `field`, such as `answer.text`; of all else its paragraphs.
    """
    texts = corpus_documents(path, field)
    if texts is None:
        whole = "\n".join(text_lines(path))
        # a blank line may hold spaces
        texts = re.split(r"\n\s*\n", whole)
    return not_empty([text.strip() for text in texts if text.strip()], path, "texts")


def four_choices(questions: Sequence[Question], family: str, seed: int) -> list[ListQuestion]:
    """Make questions whose answers are whole numbers into four-choice items with near distractors.

    Separators of thousands are left out of the choices, and questions with other answers
    altogether.
    """
    random = Random(seed)
    items = []
    for question, written in questions:
        if found := near_choices(written, random):
            choices, place = found
            items.append(ListQuestion(question, _continuations(choices), place, family))
    return items


def near_choices(written: str, random: Random) -> tuple[list[str], int] | None:
    """A whole number among three others, and its place; None for another answer.

    Wrong choices are drawn among: one, ten or a hundred off, two digits swapped, ten times, a
    tenth.
    """
    answer = written.replace(",", "")
    if not answer.isdecimal():
        return None
    wrong = sorted(_near(answer) - {answer})
    choices = [answer, *random.sample(wrong, 3)]
    random.shuffle(choices)
    return choices, choices.index(answer)


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
