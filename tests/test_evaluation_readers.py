"""Readers of public evaluation files, on small files written here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ssl_lib.evaluation.lines import EvaluationFileError, files_of, json_objects
from ssl_lib.evaluation.number_sets import NUMBER_WORDS, read_numeracy
from ssl_lib.evaluation.readers import (
    Question,
    ScoredPair,
    TaggedSentence,
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
    found = read_sts(pairs, gold)
    wanted = [ScoredPair("A man.", "A boy.", 4.5), ScoredPair("A cat.", "Rain.", 0.0)]
    assert [pair[:3] for pair in read_sts(one).items] == [pair[:3] for pair in wanted]
    assert [pair[:3] for pair in found.items] == [pair[:3] for pair in wanted]
    assert found.left_out == {"without_a_score": 1}
    assert {pair.file for pair in found.items} == {"STS.input.txt"}


def test_pairs_without_a_score_are_counted_in_one_file_too(tmp_path: Path) -> None:
    text = "\tUnscored.\tPair.\n4.5\tA man.\tA boy.\n \tUnscored.\tToo.\n0\tA cat.\tRain.\n"
    found = read_sts(_written(tmp_path, "a.tsv", text))
    assert [pair.score for pair in found.items] == [4.5, 0.0]
    assert found.left_out == {"without_a_score": 2}
    with pytest.raises(EvaluationFileError, match="holds no pairs with a score"):
        read_sts(_written(tmp_path, "b.tsv", "\tone\ttwo\n"))


def test_columns_of_pairs_may_be_named(tmp_path: Path) -> None:
    # STSbenchmark: genre, file, year, number, score, sentences, and sometimes where they are from
    rows = ["main-news\tMSRpar\t2012\t0041\t4.400\tOne \"quoted.\tOther.\thttp://a\thttp://b",
            "main-forums\tanswers\t2016\t7\t0.0\tRain.\tSun."]  # fmt: skip
    found = read_sts(_written(tmp_path, "sts-dev.csv", "\n".join(rows)), columns=(4, 5, 6))
    assert [pair[:3] for pair in found.items] == [('One "quoted.', "Other.", 4.4),
                                                  ("Rain.", "Sun.", 0.0)]  # fmt: skip
    headed = _written(tmp_path, "train.tsv", "id\tsentence1\tsentence2\tscore\n7\ta\tb\t2.5\n")
    assert read_sts(headed, columns=(3, 1, 2)).items[0][:3] == ("a", "b", 2.5)
    gold = _written(tmp_path, "gold.txt", "3\n")
    pairs = _written(tmp_path, "pairs.txt", "7\tfirst\tsecond\n")
    assert read_sts(pairs, gold, (1, 2)).items[0][:3] == ("first", "second", 3.0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_found_and_their_marks_are_no_words(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.conll"
    path.write_bytes("Café\tO\r\n12\tcount\r\n\r\nRain\tO\r\n".encode(encoding))
    first, second = read_conll(path)
    assert first == TaggedSentence(("Café", "12"), ("O", "count"))
    assert second.words == ("Rain",)
    path.write_bytes("4.0\tCafé.\tBar.\r\n".encode(encoding))
    assert read_sts(path).items[0][:3] == ("Café.", "Bar.", 4.0)


def test_compressed_files_are_read_like_others(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write('{"question": "How many?", "answer": "12"}\n')
    assert read_questions(path) == [Question("How many?", "12")]
    damaged = tmp_path / "damaged.jsonl.gz"
    damaged.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(EvaluationFileError, match="damaged"):
        read_questions(damaged)


def test_a_number_sign_is_a_word_where_it_stands_as_one(tmp_path: Path) -> None:
    tabs = "# sent_id = 1\n# text = # 12 left\n#\tO\n12\tcount\nleft\tO\n\n#hash\tO\nout\tO\n"
    first, second = read_conll(_written(tmp_path, "tabs.conll", tabs))
    assert first.words == ("#", "12", "left")
    assert second.words == ("#hash", "out")
    spaces = "# newdoc one\nMen NN O\n# SYM O\n12 CD count\n"
    (only,) = read_conll(_written(tmp_path, "spaces.conll", spaces))
    assert only == TaggedSentence(("Men", "#", "12"), ("O", "O", "count"))


def test_masked_sentences_have_every_number_word_for_a_choice(tmp_path: Path) -> None:
    text = "A cat has <mask> paws.\tfour\n<mask> is a pair.\tTwo\n"
    paws, two = read_numeracy(_written(tmp_path, "train.masked.tsv", text)).items
    assert (paws.prompt, paws.choices[paws.answer]) == ("A cat has", " four paws.")
    assert (two.prompt, two.choices[two.answer]) == ("", "two is a pair.")
    assert len(set(paws.choices)) == len(NUMBER_WORDS) == 12
    assert not paws.generated
    for bad, message in (("A cat has paws.\tfour", "needs one <mask>"),
                         ("A cat has <mask> paws.\tfor", "answer 'for' is none of no, zero"),
                         ("A cat has <mask> paws.", "needs 2 columns")):  # fmt: skip
        with pytest.raises(EvaluationFileError, match=message):
            read_numeracy(_written(tmp_path, "bad.tsv", bad))


@pytest.mark.parametrize(
    ("keys", "form"),
    [
        (("sentence1", "sentence2", "gold_label"), "lines"),  # EQUATE
        (("statement1", "statement2", "answer"), "list"),  # Quantitative 101
        (("premise", "hypothesis", "label"), "lines"),
    ],
)
def test_hypotheses_of_one_premise_stand_against_each_other(
    tmp_path: Path, keys: tuple[str, str, str], form: str
) -> None:
    rows = [("Ann has 3 pens and buys 5.", "She has 8 pens.", "entailment"),
            ("Bob ran 2 miles.", "He ran 2 miles.", "Entailment"),
            ("Ann has 3 pens and buys 5.", "She has 9 pens.", "contradiction"),
            ("Cid left.", "Cid left 5 times.", "-")]  # fmt: skip
    objects = [dict(zip(keys, row, strict=True)) | {"options": "Option 1: …"} for row in rows]
    text = json.dumps(objects) if form == "list" else "\n".join(map(json.dumps, objects))
    read = read_numeracy(_written(tmp_path, "AWPNLI.jsonl", text))
    (item,) = read.items
    assert item.prompt == rows[0][0]
    assert item.choices == (" She has 8 pens.", " She has 9 pens.")
    assert item.choices[item.answer] == " She has 8 pens."
    assert read.left_out == {"without_a_partner": 1, "without_a_label": 1}


def test_numbers_of_headlines_stand_among_near_ones(tmp_path: Path) -> None:
    rows = [
        {
            "news": "Two men and 3 boys were found.",
            "masked headline": "____ Found in Cave",
            "calculation": "Add(2,3)",
            "ans": "5",
        },
        {
            "news": "The fund lost $2.5 billion.",
            "masked headline": "Fund Loses $____B",
            "calculation": "Copy(2.5)",
            "ans": "2.5",
        },
        {"news": "It fell by a tenth.", "masked headline": "Index Falls ____%", "ans": "1,0"},
    ]
    path = _written(tmp_path, "Train_Numerical_Reasoning.json", json.dumps(rows, indent=1))
    read = read_numeracy(path, seed=1)
    cave, index = read.items
    assert cave.prompt == "Two men and 3 boys were found."
    assert cave.choices[cave.answer] == "\n5 Found in Cave"
    assert index.prompt.endswith("\nIndex Falls")
    assert index.choices[index.answer] == " 10%"
    assert len(set(index.choices)) == 4
    assert read.left_out == {"without_a_whole_number": 1}
    assert read == read_numeracy(path, seed=1)


def test_a_folder_and_a_glob_name_their_files_in_order(tmp_path: Path) -> None:
    names = ("b.conll", "a.conll", "sub/c.conll", "README.md", ".hidden", "a.conll.dvc")
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text("x\tO\n", encoding="utf-8")

    def found(pattern: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path, pattern)]

    assert found("set") == ["set/a.conll", "set/b.conll", "set/sub/c.conll"]
    assert found("set/*.conll") == ["set/a.conll", "set/b.conll"]
    assert found("set/b.conll") == ["set/b.conll"]
    for nothing in ("other", "set/*.txt"):
        with pytest.raises(EvaluationFileError, match="no such file, and no folder or glob"):
            files_of(tmp_path, nothing)


def test_t5numeracy_gives_a_maximum_and_a_minimum_item_a_line(tmp_path: Path) -> None:
    line = (
        '{"numbers": [3, 9, 1], "max_text": "t", "max_ans": "9", '
        '"min_text": "min of 3 9 1 ?", "min_ans": "1"}'
    )
    largest, smallest = read_t5numeracy_lists(_written(tmp_path, "lists.jsonl", line + "\n"))
    assert (largest.choices[largest.answer], largest.family) == (" 9.", "list_maximum")
    assert (smallest.choices[smallest.answer], smallest.prompt) == (" 1.", "min of 3 9 1 ?")


def test_whole_numbers_are_written_alike_alone_and_in_a_list(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"one": 8.0, "all": [8.0, 8, 8.5, "8.0"]}\n', encoding="utf-8")
    (found,) = json_objects(path)
    assert found.text("one") == "8"
    assert found.texts("all") == ("8", "8", "8.5", "8.0")


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
        (read_questions, '{"question": "q", "answer": 1}\n{"question"}', "line 2: not JSON"),
        (read_questions, '[{"question": "q",\n "answer"}]', "line 2: not JSON"),
        (read_sts, "nan\ta\tb", "line 1: 'nan' is no similarity score"),
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
    with pytest.raises(EvaluationFileError, match=r"nothing\.tsv"):
        read_sts(tmp_path / "nothing.tsv")
    # UTF-8 in which one character is broken
    (tmp_path / "bytes.tsv").write_bytes("1.0\té é é ".encode() + b"\xe9\ta\n")
    with pytest.raises(EvaluationFileError, match=r"bytes\.tsv, line 1"):
        read_sts(tmp_path / "bytes.tsv")
    pairs, gold = _written(tmp_path, "p", "a\tb\n"), _written(tmp_path, "g", "1\n2\n")
    with pytest.raises(EvaluationFileError, match="2 lines for the 1 pairs"):
        read_sts(pairs, gold)
