"""Laws of encodings: identity, digit groups, ids equal to the trainer's, offline files."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.tokens import fetch
from ssl_lib.tokens.encodings import (
    decode,
    digit_groups,
    encode,
    encoding,
    fingerprint,
    save_encoding,
    train_encoding,
    train_words,
)
from ssl_lib.tokens.fetch import EncodingError
from ssl_lib.tokens.vocabulary import SPECIAL, special_ids, token_bytes_table, vocabulary_table

MODES = ("as_is", "single", "left3", "right3")
LAW = settings(deadline=None)
SYLLABLES = ("ka", "lo", "mi", "ter", "sun", "vel", "gra", "po", "shi", "den")
WORDS = ["".join(letters) for letters in itertools.product(SYLLABLES, SYLLABLES, SYLLABLES)]
TEXTS = [
    f"Item {n}: revenue of {WORDS[n]} rose {n % 37}.{n:03d}% to ${n * 7919:,} "
    f"in {1900 + n % 200}; it's   the\n\tbest "
    f"{WORDS[-n]} of {n}×10^3 – naïve {WORDS[n * 7 % 1000]}.\n"
    for n in range(400)
]
TRAINED = {mode: train_encoding(TEXTS, 1700, mode) for mode in MODES}
WILD = st.text(st.characters(), max_size=60) | st.text(" \n\t.,1234567890aé½٣²-", max_size=80)


def published(name: str, digits: str) -> tiktoken.Encoding:
    """A published encoding, or a skipped test where its file is not cached."""
    try:
        files = fetch.VOCABULARY_FILES[name]
        cached = all((fetch.cache_folder() / file.cache_name).exists() for file in files)
    except EncodingError:
        cached = False
    if not cached:
        pytest.skip(f"the vocabulary of {name} is not cached")
    return encoding(name, digits)


def groups(chosen: tiktoken.Encoding, text: str) -> list[str]:
    """Tokens of a text as strings."""
    return [chosen.decode([rank]) for rank in encode(chosen, text)]


@pytest.mark.parametrize("mode", MODES)
@LAW
@given(text=WILD)
def test_decode_inverts_encode_on_any_text(mode: str, text: str) -> None:
    assert decode(TRAINED[mode], encode(TRAINED[mode], text)) == text


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base"])
@pytest.mark.parametrize("mode", MODES)
@LAW
@given(text=WILD)
def test_decode_inverts_encode_with_published_vocabularies(name: str, mode: str, text: str) -> None:
    chosen = published(name, mode)
    assert decode(chosen, encode(chosen, text)) == text


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base"])
@LAW
@given(text=st.text(max_size=100) | st.sampled_from(TEXTS))
def test_as_is_gives_tiktokens_own_ids(name: str, text: str) -> None:
    assert encode(published(name, "as_is"), text) == tiktoken.get_encoding(name).encode_ordinary(
        text
    )


@LAW
@given(
    digits=st.text("0123456789", min_size=1, max_size=200),
    after=st.sampled_from(["", " kg", ".", ",", ". x", "e5", "%"]),
)
def test_right3_borders_fall_on_thousands_from_the_right_whatever_follows(
    digits: str, after: str
) -> None:
    first = len(digits) % 3
    expected = ([digits[:first]] if first else []) + [
        digits[at : at + 3] for at in range(first, len(digits), 3)
    ]
    assert groups(TRAINED["right3"], f"a {digits}{after}")[2 : 2 + len(expected)] == expected


@pytest.mark.parametrize("before", ["0.", "12.", ".", " .", "-.", "$."])
@LAW
@given(digits=st.text("0123456789", min_size=1, max_size=200))
def test_right3_groups_decimals_from_the_left(before: str, digits: str) -> None:
    expected = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    assert groups(TRAINED["right3"], before + digits)[-len(expected) :] == expected


@pytest.mark.parametrize("before", ["p.", "...", "x ", "v"])
def test_a_point_after_a_letter_or_a_point_opens_no_decimals(before: str) -> None:
    assert groups(TRAINED["right3"], before + "12345")[-2:] == ["12", "345"]


@LAW
@given(digits=st.text("0123456789", min_size=1, max_size=100))
def test_left3_and_single_group_from_the_left(digits: str) -> None:
    assert groups(TRAINED["left3"], digits) == [
        digits[at : at + 3] for at in range(0, len(digits), 3)
    ]
    assert groups(TRAINED["single"], digits) == list(digits)


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base"])
def test_a_space_before_digits_moves_no_border(name: str) -> None:
    chosen = published(name, "right3")
    assert groups(chosen, "is 12345678 kg")[1:5] == [" ", "12", "345", "678"]


@pytest.mark.parametrize("mode", MODES)
def test_every_digit_group_is_one_token(mode: str) -> None:
    longest = 1 if mode == "single" else 3
    for length in range(1, longest + 1):
        for value in range(10**length):
            assert len(encode(TRAINED[mode], f"{value:0{length}d}")) == 1


def test_digit_groups_have_consecutive_ids_in_order() -> None:
    table = token_bytes_table(TRAINED["right3"])
    assert table[256:1356] == digit_groups("right3")
    assert len(digit_groups("right3")) + 10 == 1110


def test_ids_equal_the_trainers() -> None:
    trainer = train_words(TEXTS, TRAINED["single"].n_vocab - len(SPECIAL))
    for text in [*TEXTS, "aaaa    bbbb  \n\n x's 12 ²½ — ünïcode", "".join(TEXTS)]:
        assert encode(TRAINED["single"], text) == trainer.encode(text).ids


def test_groups_move_the_trainers_ids_by_their_number() -> None:
    trainer = train_words(TEXTS, TRAINED["right3"].n_vocab - len(SPECIAL) - 1100)
    for text in TEXTS:
        words = re.sub(r"\d{2,}", "7", text)
        expected = [rank if rank < 256 else rank + 1100 for rank in trainer.encode(words).ids]
        assert encode(TRAINED["right3"], words) == expected


def test_training_ignores_the_order_of_texts_and_is_reproducible() -> None:
    assert fingerprint(train_encoding(reversed(TEXTS), 1700, "right3")) == fingerprint(
        TRAINED["right3"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "3"])
def test_training_in_another_process_gives_the_same_bytes(threads: str, tmp_path: Path) -> None:
    code = (
        "import json, sys; from ssl_lib.tokens.encodings import save_encoding, train_encoding;"
        "save_encoding(train_encoding(json.load(sys.stdin), 1700, 'right3'), sys.argv[1])"
    )
    environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "b.json"],
        input=json.dumps(TEXTS),
        text=True,
        check=True,
        env=environment,
    )
    save_encoding(TRAINED["right3"], tmp_path / "a.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(("mode", "least"), [("right3", 1360), ("left3", 1360), ("single", 260)])
def test_a_vocabulary_without_room_for_digits_is_refused(mode: str, least: int) -> None:
    assert train_encoding(TEXTS, least, mode).n_vocab == least
    with pytest.raises(
        EncodingError, match=f"vocabulary_size must be at least {least} .*got {least - 1}"
    ):
        train_encoding(TEXTS, least - 1, mode)


def test_size_counts_everything_and_words_are_learned() -> None:
    assert TRAINED["right3"].n_vocab == 1700
    assert " revenue" in groups(TRAINED["right3"], "the revenue rose")
    assert train_encoding(["ab"], 2000, "right3").n_vocab == 1360


def test_special_tokens_follow_the_vocabulary_and_are_reserved() -> None:
    ids = special_ids(TRAINED["right3"])
    assert ids == (1696, 1697, 1698, 1699)
    text = "a " + " ".join(SPECIAL) + " b"
    assert not set(encode(TRAINED["right3"], text)) & set(ids)
    assert decode(TRAINED["right3"], encode(TRAINED["right3"], text)) == text
    with pytest.raises(EncodingError, match="has no"):
        special_ids(
            tiktoken.Encoding("bare", pat_str=".", mergeable_ranks={b"a": 0}, special_tokens={})
        )


@pytest.mark.parametrize(
    ("name", "end", "size"), [("gpt2", 50256, 50257), ("cl100k_base", 100257, 100277)]
)
def test_published_vocabularies_keep_their_end_of_text(name: str, end: int, size: int) -> None:
    assert special_ids(published(name, "right3")) == (size, size + 1, size + 2, end)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "text",
    [
        " " * 1_000_001 + "x",
        "\n" * 300_000,
        "\0" * 1000,
        "\ud800",
        "a\udfffb",
        "\ud83d\ude00",
        "👩‍👩‍👧 עברית العربية",
        "7" * 100_000,
        "0." + "3" * 99_998,
    ],
    ids=["spaces", "lines", "nul", "lone", "inside", "pair", "emoji", "digits", "decimals"],
)
def test_extreme_texts_change_nothing(mode: str, text: str) -> None:
    assert decode(TRAINED[mode], encode(TRAINED[mode], text)) == text


@pytest.mark.parametrize("before", ["", "0."])
def test_a_run_of_digits_is_matched_in_parts_that_do_not_grow_with_it(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern that looks ahead costs the square of what it is given: the sum has to be linear."""
    chosen = TRAINED["right3"]
    matched: list[int] = []

    class Counting:
        """tiktoken's own encoder, which notes how long each text is that it is given."""

        def __init__(self, real: Any) -> None:
            self.real = real

        def encode_ordinary(self, text: str) -> list[int]:
            matched.append(len(text))
            ids: list[int] = self.real.encode_ordinary(text)
            return ids

    steps = []
    monkeypatch.setattr(chosen, "_core_bpe", Counting(chosen._core_bpe))
    for count in (4_000, 40_000, 400_000):
        matched.clear()
        encode(chosen, before + "7" * count)
        assert sum(matched) == len(before) + count
        steps.append(sum(size**2 for size in matched))
    assert steps[1] <= 11 * steps[0]
    assert steps[2] <= 11 * steps[1]


def test_bytes_of_no_character_decode_to_the_replacement_character() -> None:
    assert (
        decode(TRAINED["right3"], [token_bytes_table(TRAINED["right3"]).index(b"\xc3")]) == "\ufffd"
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_encoding_comes_back_whole(mode: str, tmp_path: Path) -> None:
    save_encoding(TRAINED[mode], tmp_path / "encoding.json")
    back = encoding(tmp_path / "encoding.json")
    assert fingerprint(back) == fingerprint(TRAINED[mode])
    assert back.name == TRAINED[mode].name
    assert all(encode(back, text) == encode(TRAINED[mode], text) for text in TEXTS[:50])
    assert fingerprint(pickle.loads(pickle.dumps(back))) == fingerprint(back)


def test_a_saved_encoding_can_be_regrouped(tmp_path: Path) -> None:
    save_encoding(TRAINED["right3"], tmp_path / "encoding.json")
    assert groups(encoding(tmp_path / "encoding.json", "left3"), "12345") == ["123", "45"]
    assert groups(encoding(tmp_path / "encoding.json", "as_is"), "12345") == ["12", "345"]
    assert special_ids(encoding(tmp_path / "encoding.json", "single")) == special_ids(
        TRAINED["right3"]
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("MDA=", "MDE="),
        lambda text: text[:-9],
        lambda _: "[]",
        lambda _: "",
    ],
)
def test_a_damaged_file_is_named(damage: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "encoding.json"
    save_encoding(TRAINED["right3"], path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(EncodingError, match=re.escape(str(path))):
        encoding(path)


def test_unknown_names_and_modes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match="gpt2, r50k_base"):
        encoding("gpt5")
    with pytest.raises(EncodingError, match="as_is, single, left3, right3, got 'left4'"):
        encoding("gpt2", "left4")
    with pytest.raises(EncodingError, match="cannot be read"):
        encoding(tmp_path / "none.json")


def test_an_unknown_rule_for_digits_is_refused(tmp_path: Path) -> None:
    odd = tiktoken.Encoding(
        "odd",
        pat_str=r"\d+|\D+",
        mergeable_ranks={bytes([b]): b for b in range(256)},
        special_tokens={},
    )
    save_encoding(odd, tmp_path / "odd.json")
    with pytest.raises(EncodingError, match="use as_is"):
        encoding(tmp_path / "odd.json", "right3")


def test_features_of_entries() -> None:
    chosen = TRAINED["right3"]
    table, features = token_bytes_table(chosen), vocabulary_table(chosen)
    at = {entry: rank for rank, entry in enumerate(table)}
    columns = [column for column in vars(features).values() if isinstance(column, np.ndarray)]
    assert len(columns) == 11
    assert all(len(column) == len(features) == chosen.n_vocab for column in columns)
    assert features.byte_length[at[b"007"]] == 3
    assert (
        features.token_type[at[b"007"]],
        features.digits[at[b"007"]],
        features.value[at[b"007"]],
    ) == (1, 3, 7.0)
    assert features.digits.astype(bool).sum() == 1110
    assert (features.value[features.digits == 0] == 0.0).all()
    assert [features.point[at[b"."]], features.comma[at[b","]]] == [True, True]
    assert features.point.sum() == features.comma.sum() == 1
    assert [
        features.token_type[at[entry]]
        for entry in (b"+", b"=", b"*", b"!", b"(", b"a", b" ", b"\xc3")
    ] == [
        2,
        2,
        2,
        3,
        3,
        0,
        0,
        0,
    ]
    assert [features.leading_space[at[b" revenue"]], features.leading_space[at[b"0"]]] == [
        True,
        False,
    ]
    for rank in special_ids(chosen):
        assert table[rank] == b""
        assert (features.token_type[rank], features.digits[rank], features.leading_space[rank]) == (
            0,
            0,
            False,
        )


def test_features_see_a_leading_space_and_the_minus_sign() -> None:
    ranks = {bytes([b]): b for b in range(256)} | {
        b" 12": 256,
        " −".encode(): 257,
        "٣".encode(): 258,
        "≤".encode(): 259,
        b"..": 260,
    }
    features = vocabulary_table(
        tiktoken.Encoding("small", pat_str=".", mergeable_ranks=ranks, special_tokens={})
    )
    assert (
        features.digits[256],
        features.value[256],
        features.leading_space[256],
        features.token_type[256],
    ) == (
        2,
        12.0,
        True,
        1,
    )
    assert features.token_type[257] == 2
    assert (features.token_type[258], features.digits[258]) == (1, 0)
    assert features.token_type[259] == 2
    assert (features.token_type[260], features.point[260]) == (3, False)
