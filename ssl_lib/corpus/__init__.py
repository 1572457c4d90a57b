"""Stage `corpus`: files, URLs and the built-in world become clean, deduplicated, split documents.

build.py        the stage, from the first source to the manifest; start reading here
sources.py      finds and opens the files that `corpus.sources` names
readers.py      documents out of each file format; all sources as one stream of batches
cleaning.py     one batch: characters, length, split, hashes; in this process or in any executor's
sample.py       what the first documents of each source would become; nothing is written
redaction.py    the user's own function that every text goes through
duplicates.py   exact and near duplicates
candidates.py   prepared documents on disk, and which of them stay: balance between domains
"""

from __future__ import annotations

from ssl_lib.corpus.build import build_corpus

__all__ = ["build_corpus"]
