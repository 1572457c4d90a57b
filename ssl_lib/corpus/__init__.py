"""Stage `corpus`: files, URLs and the built-in generator become clean, deduplicated, balanced, split documents.

building.py     the stage, from the first source to the manifest; start reading here
sources.py      finds and opens what `corpus.sources` names
formats.py      reads documents out of each file format
intake.py       all sources as one stream of batches
preparation.py  one batch of documents: cleaned, split, hashed; runs in this process or in any executor's
cleaning.py     characters, length, split
spool.py        the prepared documents on disk
duplicates.py   exact and near duplicates among them
output.py       balance between domains, the files of `data/raw/`, the manifest
generator.py    the built-in documents
"""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from ssl_lib.config import Settings


def build_corpus(settings: Settings, root: Path, executor: Executor | None = None) -> None:
    """Write `data/raw/` under the project root: three splits, their labels and a manifest.

    The same inputs give the same bytes, however many processes work. Batches of documents are prepared in `executor` (a
    process pool, or Dask's `client.get_executor()`); without one, in a pool of two processes when the sources are
    large, else in this process. Raises UserError, and leaves an older `data/raw/` whole.
    """
    from ssl_lib.corpus.building import build

    build(settings, root, executor)
