"""The files of a token store: one folder per split, written in one pass with flat memory, read through memory maps.

Each split has `tokens.npy` (uint16 or uint32), `documents.npy` (int64 offsets), `numbers.npy` (NUMBER_DTYPE),
`types.npy` (uint8) and `meta.json` (counts, fingerprint of the encoding, SHA-256 of each array file).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.errors import UserError
from ssl_lib.files import sha256_of
from ssl_lib.tokens.alignment import NUMBER_DTYPE, Tokenized, shifted, token_dtype
from ssl_lib.tokens.encodings import encoding as load_encoding
from ssl_lib.tokens.encodings import fingerprint


class StoreError(UserError):
    """A corpus or a token store that is missing, damaged, or cannot be written."""


@dataclass(frozen=True)
class TokenStore:
    """One split, read-only and memory-mapped; the arrays are those of `Tokenized`, `meta` holds counts and digests.

    `len(store)` is its number of documents; document i is `tokens[documents[i]:documents[i + 1]]`, end of text
    included.
    """

    tokens: npt.NDArray[np.unsignedinteger]
    documents: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.void]
    types: npt.NDArray[np.uint8]
    meta: dict[str, Any]
    folder: Path

    def __len__(self) -> int:
        return len(self.documents) - 1

    @classmethod
    def open(cls, folder: str | Path, verify: bool = True) -> Self:
        """Open `data/tokenized/{split}`; `verify` reads every file once (about 2 GB/s) and compares its SHA-256.

        Raises StoreError that names the file which is missing or does not match.
        """
        folder = Path(folder)
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            if verify:
                _verify(folder, meta["sha256"])
            arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in Tokenized._fields)
            return cls(*arrays, meta=meta, folder=folder)
        except FileNotFoundError as error:
            raise StoreError(
                f"{error.filename}: no such file; run `ssl-lib tokenize` first"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{folder}: is no readable token store ({error}); run `ssl-lib tokenize` again"
            ) from None

    def encoding(self) -> tiktoken.Encoding:
        """The encoding beside the splits. Raises StoreError if it is not the one that the tokens were made with."""
        path = self.folder.parent / "encoding.json"
        loaded = load_encoding(path)
        if fingerprint(loaded) != self.meta["encoding"]:
            raise StoreError(
                f"{path}: is not the encoding of {self.folder}; run `ssl-lib tokenize` again"
            )
        return loaded


class StoreWriter:
    """Writes one split, a part at a time; the files are complete when the `with` block ends without an error."""

    def __init__(self, folder: Path, encoding: tiktoken.Encoding) -> None:
        folder.mkdir(parents=True)
        dtypes = (
            token_dtype(encoding),
            np.dtype(np.int64),
            NUMBER_DTYPE,
            np.dtype(np.uint8),
        )
        self.folder, self.encoding, self.text_bytes = folder, encoding, 0
        self.arrays = Tokenized(
            *(
                _GrowingArray(folder / f"{name}.npy", dtype)
                for name, dtype in zip(Tokenized._fields, dtypes, strict=True)
            )
        )
        self.arrays.documents.append(np.zeros(1, np.int64))

    def append(self, part: Tokenized, text_bytes: int) -> None:
        """Add the documents of `part`, whose texts have `text_bytes` bytes of UTF-8."""
        for array, values in zip(self.arrays, shifted(part, self.arrays.tokens.count), strict=True):
            array.append(values)
        self.text_bytes += text_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for array in self.arrays:
            array.close()
        if kind is None:
            (self.folder / "meta.json").write_text(
                json.dumps(self.meta(), indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )

    def meta(self) -> dict[str, Any]:
        """Counts, fingerprint and digests of the closed files."""
        return {
            "documents": self.arrays.documents.count - 1,
            "tokens": self.arrays.tokens.count,
            "numbers": self.arrays.numbers.count,
            "text_bytes": self.text_bytes,
            "encoding": fingerprint(self.encoding),
            "sha256": {
                f"{name}.npy": sha256_of(self.folder / f"{name}.npy") for name in Tokenized._fields
            },
        }


class _GrowingArray:
    """A 1-D `.npy` file that grows at its end; NumPy leaves room in the header for the final length."""

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.dtype, self.count = dtype, 0
        self.file: BinaryIO = path.open("wb")
        self._write_header()
        self.start = self.file.tell()

    def append(self, values: npt.NDArray[Any]) -> None:
        self.file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.count += len(values)

    def close(self) -> None:
        self.file.seek(0)
        self._write_header()
        assert self.file.tell() == self.start
        self.file.close()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.count,),
        }
        np.lib.format.write_array_header_1_0(self.file, header)


def _verify(folder: Path, digests: dict[str, str]) -> None:
    for name in (f"{field}.npy" for field in Tokenized._fields):
        if sha256_of(folder / name) != digests[name]:
            raise StoreError(
                f"{folder / name}: does not match its SHA-256 in meta.json; run `ssl-lib tokenize` again"
            )
