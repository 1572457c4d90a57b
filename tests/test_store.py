"""The stage `tokenize` and the files it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ssl_lib.config import Settings
from ssl_lib.files import LockedError, output_lock
from ssl_lib.tokens import store
from ssl_lib.tokens.alignment import tokenize_texts
from ssl_lib.tokens.encodings import decode, fingerprint, save_encoding, train_encoding
from ssl_lib.tokens.fetch import EncodingError
from ssl_lib.tokens.store import SPLITS, StoreError, TokenStore, tokenize
from ssl_lib.tokens.vocabulary import special_ids

DOCUMENTS = {
    "train": [
        f"Plant {n} made {n * 37:,} tonnes, {n % 50}.{n % 7}% more, in {1900 + n % 120} — naïve.\n"
        for n in range(900)
    ],
    "validation": [
        "",
        "Only 3/4 of it",
        "<|endoftext|> is text; \ud800 is nothing",
        " " * 60_000 + "7",
    ],
    "test": [],
}
SETTINGS = Settings().replaced({"tokens.vocabulary_size": 1500})


def write_corpus(root: Path, documents: dict[str, list[str]]) -> None:
    """`data/raw/` as stage `corpus` writes it."""
    (root / "data" / "raw").mkdir(parents=True, exist_ok=True)
    for split, texts in documents.items():
        lines = (json.dumps({"text": text, "source": "s", "domain": "d"}) + "\n" for text in texts)
        (root / "data" / "raw" / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_corpus(tmp_path, DOCUMENTS)
    return tmp_path


def files_of(root: Path) -> dict[str, bytes]:
    """Every file of `data/tokenized/` with its content."""
    folder = root / "data" / "tokenized"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_hold_what_the_function_in_memory_gives(project: Path) -> None:
    metas = tokenize(SETTINGS, project)
    for split in SPLITS:
        opened = TokenStore.open(project / "data" / "tokenized" / split)
        made = tokenize_texts(opened.encoding(), DOCUMENTS[split])
        for field, column in made._asdict().items():
            stored = getattr(opened, field)
            assert stored.dtype == column.dtype
            assert stored.tobytes() == column.tobytes()
        assert opened.meta == metas[split]
        assert len(opened) == metas[split]["documents"] == len(DOCUMENTS[split])
        assert (metas[split]["tokens"], metas[split]["numbers"]) == (
            len(made.tokens),
            len(made.numbers),
        )
        assert metas[split]["text_bytes"] == sum(
            len(text.encode("utf-8", "surrogatepass")) for text in DOCUMENTS[split]
        )


def test_stored_documents_decode_to_their_texts(project: Path) -> None:
    tokenize(SETTINGS, project)
    for split in SPLITS:
        opened = TokenStore.open(project / "data" / "tokenized" / split)
        chosen = opened.encoding()
        for index, text in enumerate(DOCUMENTS[split]):
            *ids, last = opened.tokens[
                opened.documents[index] : opened.documents[index + 1]
            ].tolist()
            assert last == special_ids(chosen).end
            assert decode(chosen, ids) == text


def test_arrays_are_mapped_and_read_only(project: Path) -> None:
    tokenize(SETTINGS, project)
    opened = TokenStore.open(project / "data" / "tokenized" / "train")
    assert all(
        isinstance(getattr(opened, name), np.memmap)
        for name in ("tokens", "documents", "numbers", "types")
    )
    with pytest.raises(ValueError, match="read-only"):
        opened.tokens[0] = 1


def test_two_runs_write_the_same_bytes_whatever_the_threads(project: Path) -> None:
    tokenize(SETTINGS, project)
    first = files_of(project)
    tokenize(SETTINGS.replaced({"tokens.workers": 3}), project)
    assert files_of(project) == first


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_gives_the_same_bytes(kind: type[Executor], project: Path) -> None:
    tokenize(SETTINGS, project)
    first = files_of(project)
    with kind(2) as executor:
        tokenize(SETTINGS, project, executor=executor)
    assert files_of(project) == first


def test_digits_and_a_given_encoding_are_used(project: Path) -> None:
    save_encoding(train_encoding(DOCUMENTS["train"], 1450, "right3"), project / "mine.json")
    tokenize(
        SETTINGS.replaced({"tokens.encoding": "mine.json", "tokens.digits": "single"}), project
    )
    opened = TokenStore.open(project / "data" / "tokenized" / "train")
    assert opened.encoding().name == "trained+single"
    first = opened.numbers[opened.numbers["value"] == 1900][0]
    assert first["end"] - first["start"] == 4


def test_wide_vocabularies_get_wide_tokens(tmp_path: Path) -> None:
    ranks = {bytes([b]): b for b in range(256)}
    import tiktoken

    wide = tiktoken.Encoding(
        "wide",
        pat_str=r"\p{L}+|\p{N}{1,3}|.",
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 70_000},
    )
    write_corpus(tmp_path, {"train": ["a 1234"], "validation": [], "test": []})
    save_encoding(wide, tmp_path / "wide.json")
    tokenize(SETTINGS.replaced({"tokens.encoding": "wide.json"}), tmp_path)
    opened = TokenStore.open(tmp_path / "data" / "tokenized" / "train")
    assert opened.tokens.dtype == np.uint32
    assert opened.tokens[-1] == 70_000


@pytest.mark.parametrize("name", ["tokens.npy", "documents.npy", "numbers.npy", "types.npy"])
def test_one_flipped_bit_is_seen(name: str, project: Path) -> None:
    tokenize(SETTINGS, project)
    path = project / "data" / "tokenized" / "train" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=name):
        TokenStore.open(path.parent)
    assert len(TokenStore.open(path.parent, verify=False)) == 900


@pytest.mark.parametrize("damage", ["missing", "meta", "meta_list", "truncated"])
def test_a_damaged_store_is_named(damage: str, project: Path) -> None:
    tokenize(SETTINGS, project)
    folder = project / "data" / "tokenized" / "train"
    if damage == "missing":
        (folder / "types.npy").unlink()
    elif damage == "truncated":
        (folder / "tokens.npy").write_bytes((folder / "tokens.npy").read_bytes()[:200])
    else:
        (folder / "meta.json").write_text("{" if damage == "meta" else "[]")
    with pytest.raises(StoreError, match=r"train.*ssl-lib tokenize"):
        TokenStore.open(folder, verify=damage != "truncated")


def test_another_encoding_beside_the_store_is_seen(project: Path) -> None:
    tokenize(SETTINGS, project)
    save_encoding(
        train_encoding(DOCUMENTS["train"], 1370, "right3"),
        project / "data" / "tokenized" / "encoding.json",
    )
    with pytest.raises(StoreError, match="is not the encoding"):
        TokenStore.open(project / "data" / "tokenized" / "train").encoding()


def test_a_missing_corpus_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run `ssl-lib corpus` first"):
        tokenize(SETTINGS, tmp_path)
    with pytest.raises(StoreError, match="run `ssl-lib tokenize` first"):
        TokenStore.open(tmp_path / "data" / "tokenized" / "train")


@pytest.mark.parametrize("line", ["{", "[]", '{"text": 3}', '"a"', '{"source": "x"}', "\xff"])
def test_a_malformed_line_is_named_and_the_old_store_stays(line: str, project: Path) -> None:
    tokenize(SETTINGS, project)
    before = files_of(project)
    with (project / "data" / "raw" / "test.jsonl").open("a", encoding="latin-1") as file:
        file.write(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(StoreError, match=r"test\.jsonl, line 2"):
        tokenize(SETTINGS, project)
    assert files_of(project) == before
    assert sorted(path.name for path in (project / "data").iterdir()) == ["raw", "tokenized"]


def test_too_small_a_vocabulary_leaves_the_old_store(project: Path) -> None:
    tokenize(SETTINGS, project)
    before = files_of(project)
    with pytest.raises(EncodingError, match="neither one of"):
        tokenize(SETTINGS.replaced({"tokens.encoding": "nowhere"}), project)
    assert files_of(project) == before


def test_a_second_writer_is_refused(project: Path) -> None:
    with output_lock(project / ".ssl_lib" / "locks" / "tokenized.lock"), pytest.raises(LockedError):
        tokenize(SETTINGS, project)


def test_a_full_disk_is_one_sentence_and_the_old_store_stays(project: Path) -> None:
    tokenize(SETTINGS, project)
    before = files_of(project)
    code = (
        "import resource, signal, sys; from pathlib import Path;"
        "from ssl_lib.config import Settings;"
        "from ssl_lib.tokens.store import tokenize, StoreError;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try: tokenize(Settings().replaced({'tokens.vocabulary_size': 1500}), Path(sys.argv[1]))\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project)], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in done.stdout
    assert done.stdout.count("\n") == 1
    assert files_of(project) == before


def test_training_reads_evenly_from_a_large_corpus(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TRAINING_BYTES", 20_000)
    path = project / "data" / "raw" / "train.jsonl"
    read = list(store.training_texts(path))
    assert 0.4 < sum(map(len, read)) / 20_000 < 1.0
    assert read[1] == DOCUMENTS["train"][len(DOCUMENTS["train"]) // len(read)]
    assert DOCUMENTS["train"].index(read[-1]) > 850


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ssl_lib.config import Settings;"
        "from ssl_lib.tokens import alignment; from ssl_lib.tokens.store import tokenize;"
        "alignment.GROUP_CHARACTERS = 1 << 16;"  # both corpora are many groups
        "settings = Settings().replaced({'tokens.encoding': 'e.json', 'tokens.workers': 2});"
        "tokenize(settings, Path(sys.argv[1]));"
        # ru_maxrss would count the memory of this process as well, which the new one is forked from
        "lines = open('/proc/self/status');"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))"
    )
    peaks = []
    for copies in (15, 60):
        root = tmp_path / str(copies)
        write_corpus(root, {"train": DOCUMENTS["train"] * copies, "validation": [], "test": []})
        save_encoding(train_encoding(DOCUMENTS["train"], 1500, "right3"), root / "e.json")
        done = subprocess.run(
            [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_header_has_room_for_any_length(tmp_path: Path) -> None:
    array = store.GrowingArray(tmp_path / "a.npy", np.dtype(np.int64))
    for size in (0, 1, 5000):
        array.append(np.arange(size))
    array.close()
    assert np.array_equal(np.load(tmp_path / "a.npy"), [0, *range(5000)])


def test_the_fingerprint_in_the_meta_is_the_encodings(project: Path) -> None:
    metas = tokenize(SETTINGS, project)
    opened = TokenStore.open(project / "data" / "tokenized" / "test")
    assert {meta["encoding"] for meta in metas.values()} == {fingerprint(opened.encoding())}
