"""What a corpus would hold, shown from the first documents of each source; nothing is written.

The documents go through what the stage does to them: redacting, cleaning, cutting, the search for
duplicates. Only as much of a source is read as they need.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssl_lib.config import BUILT_IN, Settings
from ssl_lib.corpus.candidates import CandidateStore
from ssl_lib.corpus.cleaning import SPLITS, BuiltInRange, RawDocument, prepare
from ssl_lib.corpus.readers import SourceReader
from ssl_lib.numbers import find_numbers

_BEGINNING = 300  # characters of a document that are shown


@dataclass
class Sample:
    """The first documents of each source, and what was found in all that was read for them.

    `read` counts texts and records, `domains` the documents that they become. `rejected` has by
    reason how many documents are left out, and one of them; duplicates are those among the
    documents read.
    """

    documents: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    domains: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, dict[str, Any]] = field(default_factory=dict)

    def reject(self, reason: str, example: dict[str, Any], documents: int = 1) -> None:
        """Count documents that are left out for a reason."""
        row = self.rejected.setdefault(reason, {"documents": 0, "example": example})
        row["documents"] += documents


def sample_corpus(settings: Settings, root: Path, count: int) -> Sample:
    """Read until each source has given `count` documents, or ends.

    Raises CorpusError as the stage does.
    """
    sample = Sample()
    locale = settings.tokens.locale
    with TemporaryDirectory() as scratch:
        reader = SourceReader(settings, root, Path(scratch))
        with closing(CandidateStore(Path(scratch) / "candidates")) as store:
            for place in range(len(settings.corpus.sources)):
                wanted = store.documents + count
                with closing(_documents(reader, settings, place, count)) as documents:
                    for document in documents:
                        sample.read += 1
                        prepared = prepare([document], settings.corpus, locale)
                        store.add(prepared)
                        for (_, reason), number in prepared.left_out.items():
                            sample.reject(reason, prepared.examples[reason], number)
                        if store.documents >= wanted:
                            break
            # among the documents read, as the stage does among all
            examples = store.mark_duplicates(settings.corpus, locale)
            shown: Counter[int] = Counter()
            for candidate in store.judged(dict.fromkeys(store.domains, 1.0)):
                if candidate.reason:
                    sample.reject(candidate.reason, examples[candidate.reason])
                    continue
                record = json.loads(candidate.line)
                sample.domains[record["domain"]] += 1
                source = int(candidate.entry["source"])
                shown[source] += 1
                if shown[source] <= count:
                    split = int(candidate.entry["split"])
                    sample.documents.append(_shown(record, split, record.get("locale", locale)))
    return sample


def _documents(
    reader: SourceReader, settings: Settings, place: int, count: int
) -> Generator[RawDocument, None, None]:
    """Documents of one source as they are read, or made: of the built-in ones at most `count`."""
    if settings.corpus.sources[place].path != BUILT_IN:
        yield from reader.documents(place)
        return
    # the first range of the training documents
    for made in islice(BuiltInRange.ranges(settings, place, count), 1):
        yield from replace(made, documents=min(made.documents, count))


def _shown(record: dict[str, Any], split: int, locale: str) -> dict[str, Any]:
    """A document as the sample shows it, with its numbers."""
    text = record.pop("text")
    numbers = []
    for number in find_numbers(text, locale):
        # JSON has no NaN, which is the value of an identifier such as "A4"
        value = None if math.isnan(number.value) else number.value
        numbers.append({"text": number.text, "value": value, "form": number.form})
    row = record | {"split": SPLITS[split], "characters": len(text), "text": text[:_BEGINNING]}
    return row | {"numbers": numbers}
