"""Readers of public evaluation files, on small files written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_lib.evaluation.readers import (
    EvaluationFileError,
    Question,
    ScoredPair,
    four_choices,
    read_conll,
    read_questions,
    read_sts,
    read_t5numeracy_lists,
    read_t5numeracy_numeration,
)

CONLL = """-DOCSTART- -X- O O

# a comment
In IN O
2024 CD B-year
. . O

12% CD B-percentage
"""


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_conll_sentences_words_labels_and_spans(tmp_path: Path) -> None:
    first, second = read_conll(_written(tmp_path, "a.conll", CONLL))
    assert (first.words, first.labels) == (("In", "2024", "."), ("O", "B-year", "O"))
    assert [first.text[start:end] for start, end in first.spans] == list(first.words)
    assert second.labels == ("B-percentage",)


def test_conll_with_tabs_keeps_spaces_in_words(tmp_path: Path) -> None:
    (sentence,) = read_conll(_written(tmp_path, "a.tsv", "1 000\tB-count\nmen\tO"))
    assert sentence.words == ("1 000", "men")


def test_sts_in_one_file_and_in_semeval_layout_agree(tmp_path: Path) -> None:
    one = _written(tmp_path, "sts.tsv", "4.5\tA man.\tA boy.\n0\tA cat.\tRain.\n")
    pairs = _written(tmp_path, "STS.input.txt", "A man.\tA boy.\nunscored\tpair\nA cat.\tRain.\n")
    gold = _written(tmp_path, "STS.gs.txt", "4.5\n\n0\n")
    assert (
        read_sts(one)
        == read_sts(pairs, gold)
        == [ScoredPair("A man.", "A boy.", 4.5), ScoredPair("A cat.", "Rain.", 0.0)]
    )


def test_t5numeracy_gives_a_maximum_and_a_minimum_item_a_line(tmp_path: Path) -> None:
    line = (
        '{"numbers": [3, 9, 1], "max_text": "t", "max_ans": "9", '
        '"min_text": "min of 3 9 1 ?", "min_ans": "1"}'
    )
    largest, smallest = read_t5numeracy_lists(_written(tmp_path, "lists.jsonl", line + "\n"))
    assert (largest.choices[largest.answer], largest.family) == (" 9.", "list_maximum")
    assert (smallest.choices[smallest.answer], smallest.prompt) == (" 1.", "min of 3 9 1 ?")


def test_t5numeracy_numeration(tmp_path: Path) -> None:
    line = '{"text": "What is fifty one ?", "magnitude": 2, "label": "51", "split_label": "5 1"}'
    assert read_t5numeracy_numeration(_written(tmp_path, "n.jsonl", line)) == [
        Question("What is fifty one ?", "51")
    ]


def test_questions_of_gsm8k_and_svamp(tmp_path: Path) -> None:
    gsm = _written(
        tmp_path,
        "g.jsonl",
        '{"question": "How many?", "answer": "6*2=<<6*2=12>>12\\n#### 1,012"}\n\n',
    )
    svamp = _written(
        tmp_path, "s.json", '[{"Body": "Ann has 3.", "Question": "And then?", "Answer": 8.0}]'
    )
    assert read_questions(gsm) == [Question("How many?", "1,012")]
    assert read_questions(svamp) == [Question("Ann has 3. And then?", "8")]


def test_four_choices_hold_the_answer_once_among_near_numbers() -> None:
    items = four_choices(
        [Question(f"q{n}", str(n)) for n in [*range(30), 3473]] + [Question("q", "none")],
        "f",
        seed=0,
    )
    assert len(items) == 31
    for item in items:
        assert len(set(item.choices)) == 4
        assert item.choices[item.answer] == f" {item.prompt[1:]}."
    assert len({item.answer for item in items}) == 4


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_conll, "word\n", "line 1: needs a word"),
        (read_conll, "\n", "holds no sentences"),
        (read_sts, "1.0\ta\tb\nhigh\ta\tb", "line 2: 'high' is no similarity score"),
        (read_sts, "1.0\ta", "line 1: needs 3 columns"),
        (read_questions, '{"question": "q"', "line 1: not JSON"),
        (read_questions, '{"question": "q"}', "line 1: needs a text under 'Answer'"),
        (read_questions, "[1]", "line 1: must be a JSON object"),
        (read_t5numeracy_lists, '{"numbers": 3}', "line 1: needs a list under 'numbers'"),
        (
            read_t5numeracy_lists,
            '{"numbers": [1], "max_text": "t", "max_ans": "2"}',
            "max_ans 2 is none of",
        ),
    ],
)
def test_unusable_files_are_named_with_their_line(
    tmp_path: Path, read: object, text: str, message: str
) -> None:
    path = _written(tmp_path, "bad.jsonl", text)
    with pytest.raises(EvaluationFileError) as caught:
        read(path)  # type: ignore[operator]
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_and_unreadable_files_and_unequal_gold(tmp_path: Path) -> None:
    with pytest.raises(EvaluationFileError, match="cannot be read"):
        read_sts(tmp_path / "nothing.tsv")
    (tmp_path / "bytes.tsv").write_bytes(b"1.0\t\xff\ta\n")
    with pytest.raises(EvaluationFileError, match="cannot be read"):
        read_sts(tmp_path / "bytes.tsv")
    pairs, gold = _written(tmp_path, "p", "a\tb\n"), _written(tmp_path, "g", "1\n2\n")
    with pytest.raises(EvaluationFileError, match="2 lines for the 1 pairs"):
        read_sts(pairs, gold)
