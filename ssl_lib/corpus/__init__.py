"""Stage `corpus`: files, URLs and the built-in world become clean, deduplicated, split documents.

build.py        the stage, from the first source to the manifest; start reading here
sources.py      finds the files that `corpus.sources` names
installed.py    the English that installed packages carry
opening.py      one of them, opened: hashed, decompressed, its faults told in one sentence
decoding.py     bytes to text: encodings, lines, damage
formats/        what each kind of file holds: text, records or members
fields.py       fields of records, by dotted paths
readers.py      documents out of files; all sources as one stream of batches
problems.py     errors, and what the manifest says of a source
cleaning.py     one batch: characters, length, split, hashes; in this process or in any executor's
sample.py       what the first documents of each source would become; nothing is written
redaction.py    the user's own function that every text goes through
duplicates.py   exact and near duplicates
candidates.py   prepared documents on disk, and which of them stay: balance between domains
"""

from __future__ import annotations

from ssl_lib.corpus.build import build_corpus

__all__ = ["build_corpus"]
