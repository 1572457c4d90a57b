"""Laws of cleaning, cutting and duplicates."""

from __future__ import annotations

import random
import tempfile
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.corpus.cleaning import clean, normalized, pieces, split_of, stable_share
from ssl_lib.corpus.duplicates import (
    EXACT,
    GRAM,
    KEPT,
    NEAR,
    SLICE_ENTRIES,
    KeyFiles,
    band_keys,
    band_rows,
    jaccard,
    mark_exact,
    mark_near,
    rank,
    shingle_set,
)

TEXTS = st.text(
    st.one_of(
        st.characters(), st.sampled_from("\r\n\t \x00\x0b\x0c\x85\x7f\u0301\ufeff.!?。é\ud800")
    )
)
WORDS = """time of the market rose fell sharply after rain in spring while people bought bread milk
    and paper""".split()


@given(TEXTS)
def test_cleaning_is_idempotent_and_leaves_nfc_without_control_characters(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not {c for c in cleaned if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n"}
    assert cleaned == cleaned.strip()
    cleaned.encode("utf-8")


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P"))))
def test_cleaning_leaves_plain_text_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("one\x0ctwo\x0bthree\x85four", "one\ntwo\nthree\nfour"),
        ("cafe\u0301 \u212b", "café Å"),
        ("\ufeff3\x00.5\tkg\x1b ", "3.5\tkg"),
        ("e\x00\u0301", "é"),
    ],
)
def test_cleaning_by_example(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@given(TEXTS, st.integers(1, 40))
def test_pieces_keep_all_but_white_space_between_them(text: str, maximum: int) -> None:
    text = clean(text)
    spans = pieces(text, maximum)
    assert all(0 < end - start <= maximum for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    outside = [0, *(place for span in spans for place in span), len(text)]
    assert not "".join(
        text[start:end] for start, end in zip(outside[::2], outside[1::2], strict=True)
    ).strip()
    assert all(clean(text[start:end]) == text[start:end] for start, end in spans)


def test_pieces_prefer_paragraphs_then_sentences_then_words() -> None:
    def cut(text: str, maximum: int) -> list[str]:
        return [text[start:end] for start, end in pieces(text, maximum)]

    text = "First one. Second 3.5 here.\n\nNew paragraph goes on and on."
    assert cut(text, 40) == ["First one. Second 3.5 here.", "New paragraph goes on and on."]
    assert cut(text[:27], 17) == ["First one.", "Second 3.5 here."]
    assert cut("worth 1,234.56 dollars", 15) == ["worth 1,234.56", "dollars"]
    assert cut("这是第一句。这是第二句。", 8) == ["这是第一句。", "这是第二句。"]
    assert cut("x" * 7, 3) == ["xxx", "xxx", "x"]


def test_shares_of_splits_come_out_and_depend_on_the_text_alone() -> None:
    splits = [split_of(f"document {number}", 0.1, 0.2) for number in range(5000)]
    assert splits.count("test") / 5000 == pytest.approx(0.2, abs=0.02)
    assert splits.count("validation") / 5000 == pytest.approx(0.1, abs=0.02)
    assert split_of("a fixed text", 0.03, 0.03) == "train"
    assert stable_share("a fixed text", "split") != stable_share("a fixed text", "weight")


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_jaccard_equals_that_of_plain_sets(first: str, second: str) -> None:
    def grams(text: str) -> set[str]:
        text = text.ljust(GRAM, "\0")
        return {text[start : start + GRAM] for start in range(len(text) - GRAM + 1)}

    expected = len(grams(first) & grams(second)) / len(grams(first) | grams(second))
    assert jaccard(shingle_set(first), shingle_set(second)) == pytest.approx(expected)


@given(st.floats(0.05, 1.0))
def test_pairs_at_the_threshold_are_proposed(threshold: float) -> None:
    rows = band_rows(threshold)
    assert rows == 1 or 1 - (1 - threshold**rows) ** (128 // rows) >= 0.999


def test_one_sum_is_not_another_inside_different_documents(tmp_path: Path) -> None:
    first = (
        "The sum of 2 + 3 is 5. The shop opened at noon and sold 17 loaves before the rain began "
    )
    first += "to fall on the square."
    second = (
        "The sum of 2 + 4 is 6. A train of 12 coaches left the old station, and nobody saw where "
    )
    second += "its driver had gone."
    assert (
        marks(tmp_path, ["The sum of 2 + 3 is 5.", "The sum of 2 + 4 is 6.", first, second])
        == [KEPT] * 4
    )


def test_two_changed_numbers_make_another_document_of_350_characters_and_one_does_not(
    tmp_path: Path,
) -> None:
    base = sentence(random.Random(1), 64)[:330]
    one, two = f"{base[:100]} 17 {base[100:]}", f"{base[:100]} 18 {base[100:]}"
    assert marks(tmp_path / "one", [one, two]) == [KEPT, NEAR]
    assert marks(
        tmp_path / "two", [f"4 {one[:230]} 9 {one[230:]}", f"4 {two[:230]} 8 {two[230:]}"]
    ) == [KEPT, KEPT]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10**9), st.sampled_from([0.5, 0.7, 0.85, 0.95]))
def test_no_near_duplicates_are_left_and_none_is_marked_without_one(
    seed: int, threshold: float
) -> None:
    texts = family(random.Random(seed), 60)
    with tempfile.TemporaryDirectory() as folder:
        marked = marks(Path(folder), texts, threshold)
    sets = [shingle_set(normalized(text)) for text in texts]
    close = [[jaccard(a, b) >= threshold for b in sets] for a in sets]
    kept = [place for place, mark in enumerate(marked) if mark == KEPT]
    # By design a pair exactly at the threshold is missed once in a thousand times.
    missed = [
        (a, b)
        for a in kept
        for b in kept
        if a < b and close[a][b] and jaccard(sets[a], sets[b]) > threshold + 0.03
    ]
    assert not missed
    for place, mark in enumerate(marked):
        assert mark == KEPT or any(
            close[place][other] for other in range(len(texts)) if other != place
        )


def test_of_duplicates_the_test_document_stays_then_validation_then_train(tmp_path: Path) -> None:
    text = sentence(random.Random(3), 60)
    near = text.replace(" ", " new ", 1)
    other = [sentence(random.Random(seed), 60) for seed in (4, 5)]
    assert marks(tmp_path / "1", [text, text, other[0], near], precedence=[2, 1, 0, 0]) == [
        EXACT,
        NEAR,
        KEPT,
        KEPT,
    ]
    assert marks(tmp_path / "2", [near, other[1], text], precedence=[2, 0, 1]) == [NEAR, KEPT, KEPT]


def test_a_full_partition_is_read_in_slices_that_lose_nothing(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path / "keys")
    count = SLICE_ENTRIES + 1000
    values = (np.arange(count, dtype=np.uint64) // 2) << np.uint64(38) | np.uint64(7) << np.uint64(
        58
    )
    keys.add(values[:, None], rank(np.zeros(count), np.arange(count)))
    groups = list(keys.groups())
    keys.close()
    assert len(groups) == count // 2
    assert sorted(int(member) for group in groups for member in group) == list(range(count))


def marks(
    folder: Path, texts: list[str], threshold: float = 0.85, precedence: list[int] | None = None
) -> list[int]:
    """Marks of texts as the stage would set them; all of one split if no precedence is given."""
    plain = [normalized(text) for text in texts]
    ranks = rank(np.array(precedence or [0] * len(texts)), np.arange(len(texts)))
    exact, near = KeyFiles(folder / "exact"), KeyFiles(folder / "near")
    exact.add(np.array([[hash(text) & 2**64 - 1] for text in plain], np.uint64), ranks)
    near.add(band_keys(plain, threshold), ranks)
    found = np.zeros(len(texts), np.uint8)
    mark_exact(exact, found)
    mark_near(near, found, threshold, plain.__getitem__)
    exact.close()
    near.close()
    return found.tolist()


def sentence(source: random.Random, words: int) -> str:
    """Words and numbers at random."""
    return " ".join(
        source.choice(WORDS) if source.random() < 0.7 else str(source.randrange(10**6))
        for _ in range(words)
    )


def family(source: random.Random, count: int) -> list[str]:
    """Texts of which many are others with a few words changed."""
    texts: list[str] = []
    for _ in range(count):
        if texts and source.random() < 0.6:
            words = source.choice(texts).split()
            for _ in range(source.randrange(5)):
                words[source.randrange(len(words))] = str(source.randrange(100))
            texts.append(" ".join(words))
        else:
            texts.append(sentence(source, source.randrange(1, 90)))
    return texts
