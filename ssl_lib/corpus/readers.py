"""Documents out of files of each format, and all sources as one stream of batches.

Never more than one document, one batch or one block of bytes is in memory.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ssl_lib.config import BUILT_IN, Settings, Source
from ssl_lib.corpus.cleaning import BuiltInRange, RawDocument
from ssl_lib.corpus.decoding import decoded
from ssl_lib.corpus.fields import FieldReader
from ssl_lib.corpus.formats import ARCHIVES, RECORDS, TEXTS, kind_of
from ssl_lib.corpus.installed import INSTALLED, installed_files
from ssl_lib.corpus.opening import COMPRESSIONS, Digest, OpenFile, SourceFile, opened
from ssl_lib.corpus.problems import CorpusError, DamagedError, SourceContext
from ssl_lib.corpus.sources import find_files

GENERATOR_PACKAGES = ("numbers", "synthetic")  # what runs when built-in documents are made
_HIDDEN = re.compile(r"(^|/)(\.[^./]|__MACOSX/)")  # members of archives: a/.b.txt, not ./a.txt
_BATCH_CHARACTERS = 1 << 18
_BATCH_DOCUMENTS = 1000
# Measured, of one process; for choosing between one and two.
_SECONDS_A_BYTE = 2.5e-7
_SECONDS_A_BUILT_IN = 2.5e-4


class SourceReader:
    """The sources of a corpus: finds their files at once, reads them as `batches` is consumed."""

    def __init__(self, settings: Settings, root: Path, scratch: Path) -> None:
        """Raises CorpusError for a source without a file, or no number of built-in documents."""
        self._settings = settings
        self._sources = settings.corpus.sources
        longest = settings.corpus.maximum_characters
        self._contexts = [
            SourceContext(source, f"corpus.sources.{place}", scratch, root, longest)
            for place, source in enumerate(self._sources)
        ]
        self.reports = [context.report for context in self._contexts]
        self._files: list[list[SourceFile]] = []
        for context in self._contexts:
            source, key = context.source, context.key
            if source.path == INSTALLED:
                self._files.append(installed_files(context))
                continue
            if source.path != BUILT_IN:
                self._files.append(find_files(source, key, root))
                continue
            self._files.append([])
            if not source.documents:
                raise CorpusError(f"{key}.documents: say how many documents to make, at least 3")

    def expected_seconds(self) -> float:
        """About how long one process would prepare all this; URLs count nothing."""
        seconds = 0.0
        for source, files in zip(self._sources, self._files, strict=True):
            sizes = [file.local.stat().st_size for file in files if file.local]
            seconds += sum(sizes) * _SECONDS_A_BYTE
            if source.path == BUILT_IN:
                seconds += source.documents * _SECONDS_A_BUILT_IN
        return seconds

    def batches(self) -> Iterator[list[RawDocument] | BuiltInRange]:
        """All documents in the order of the settings, in batches of bounded size."""
        for place, source in enumerate(self._sources):
            if source.path == BUILT_IN:
                self.reports[place].sha256 = generator_version()
                self.reports[place].documents_read = source.documents
                yield from BuiltInRange.ranges(self._settings, place, _BATCH_DOCUMENTS)
                continue
            batch: list[RawDocument] = []
            characters = 0
            for document in self.documents(place):
                batch.append(document)
                characters += len(document.text)
                if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_DOCUMENTS:
                    yield batch
                    batch, characters = [], 0
            if batch:
                yield batch

    def documents(self, place: int) -> Iterator[RawDocument]:
        """All documents of one source of files, counted in its report."""
        context = self._contexts[place]
        source, report = context.source, context.report
        lines: list[str] = []  # of the files that were read as a whole
        for file in self._files[place]:
            # 0 stands for all of them, in the settings and as a limit
            left = source.documents - report.documents_read
            if source.documents and not left:
                break
            digest = Digest()
            domain = source.domain or file.domain or source.name
            for name, start, text in read_documents(file, context, digest, left):
                report.documents_read += 1
                yield RawDocument(text, name, domain, place, start=start)
            report.files += 1
            report.bytes += digest.size
            if file.local or not source.documents:
                lines.append(f"{digest.hexdigest()}  {file.name}\n")
        if not report.documents_read:
            name = source.path if report.files > 1 else self._files[place][0].name
            what = "holds no documents" if report.bytes else "is empty"
            advice = f"put documents there or take it out of corpus.sources (it is {context.key})"
            raise CorpusError(f"{name}: {what}; {advice}")
        # what `sha256sum` prints of one file, or `sha256sum FILES | sha256sum` of several
        if len(lines) == report.files:
            listing = hashlib.sha256("".join(lines).encode()).hexdigest()
            report.sha256 = lines[0].split()[0] if report.files == 1 else listing


def generator_version() -> str:
    """SHA-256 of what the built-in documents depend on besides the seed: the generator's code."""
    digest = hashlib.sha256()
    for package in GENERATOR_PACKAGES:
        for path in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_documents(
    file: SourceFile, context: SourceContext, digest: Digest, limit: int = 0
) -> Iterator[tuple[str, int, str]]:
    """A file's documents, at most `limit` of them (0: all), as (name, start, text).

    A text is read in blocks where it is longer than `context.maximum_characters`, each of which
    begins at character `start` and ends with a paragraph. Raises CorpusError that names the file
    and the line; what `on_error` allows is passed over and counted.
    """
    # a member of an archive comes here too, so that one that is damaged is passed over alone
    try:
        with opened(file, digest, context.scratch) as found:
            yield from islice(_documents(found, context), max(0, limit) or None)
    except DamagedError as error:
        _pass_over(error, "files", context)


def _documents(file: OpenFile, context: SourceContext) -> Iterator[tuple[str, int, str]]:
    if read_text := TEXTS.get(file.kind):
        for start, text in read_text(file, context):
            yield file.name, start, text
        return
    if members := ARCHIVES.get(file.kind):
        for name, opens in members(file):
            kind = kind_of(name)
            if kind and kind[0] not in ARCHIVES and not _HIDDEN.search(name):
                member = SourceFile(f"{file.name}/{name}", *kind, opens, None)
                yield from read_documents(member, context, Digest())
        return
    fields = FieldReader(context)
    for place, record in RECORDS[file.kind](file, context):
        try:
            text = fields.text(record, place)
        except DamagedError as error:
            _pass_over(error, "records", context)
        else:
            yield file.name, 0, text
    fields.finish()


def _pass_over(error: DamagedError, what: str, context: SourceContext) -> None:
    """Note damage that `on_error` leaves out; raise all other."""
    if context.source.on_error != "skip":
        raise error
    context.note(what, str(error))


def read_text(path: str | Path, encoding: str = "") -> str:
    """The decoded text of any file or URL, whatever it holds; `encoding` empty: detected.

    Its compression shows in its name. Raises CorpusError, one sentence, if it cannot be read.
    """
    context = SourceContext(Source(path=str(path), format=_text_format(path), encoding=encoding))
    (file,) = find_files(context.source, "", Path())
    with opened(file, Digest(), context.scratch) as found:
        return "".join(decoded(found.stream, found.name, context))


def _text_format(path: str | Path) -> str:
    """The format of a file that is to be read as text: "a.csv.gz" → "txt.gz"."""
    ending = os.path.splitext(str(path).lower())[1]
    return "txt" + (ending if ending in COMPRESSIONS else "")
