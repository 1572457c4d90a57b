"""All sources as one stream of batches of raw documents, and what was seen of each source on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ssl_lib.config import CorpusSettings, Settings, Source
from ssl_lib.corpus.formats import read_documents
from ssl_lib.corpus.preparation import BuiltInRange, RawDocument
from ssl_lib.corpus.sources import BUILT_IN, CorpusError, Digest, SourceFile, domain_of, find_files

_BATCH_CHARACTERS = 1 << 18
_BATCH_DOCUMENTS = 1000
_SECONDS_A_BYTE, _SECONDS_A_BUILT_IN = (
    1.5e-7,
    2.5e-4,
)  # of one process, measured; for choosing between one and two


@dataclass
class SourceReport:
    """What the manifest says of a source's origin; `sha256` is None for a URL that was read in part."""

    files: int = 0
    bytes: int = 0
    sha256: str | None = None
    documents_read: int = 0


class Intake:
    """The sources of a corpus; finding their files at once, reading them as `batches` is consumed."""

    def __init__(self, settings: Settings, root: Path, scratch: Path) -> None:
        """Raises CorpusError if a source names no file, or the built-in one no number of documents."""
        self._settings, self._scratch = settings, scratch
        self.reports = [SourceReport() for _ in settings.corpus.sources]
        self._files = [
            [] if source.path == BUILT_IN else find_files(source, f"corpus.sources.{place}", root)
            for place, source in enumerate(settings.corpus.sources)
        ]
        for place, source in enumerate(settings.corpus.sources):
            if source.path == BUILT_IN and not source.documents:
                raise CorpusError(
                    f"corpus.sources.{place}.documents: say how many documents to make, at least 3"
                )

    def expected_seconds(self) -> float:
        """About how long one process would prepare all this; sources of unknown size count nothing."""
        sizes = sum(
            file.local.stat().st_size for files in self._files for file in files if file.local
        )
        made = sum(
            source.documents for source in self._settings.corpus.sources if source.path == BUILT_IN
        )
        return sizes * _SECONDS_A_BYTE + made * _SECONDS_A_BUILT_IN

    def batches(self) -> Iterator[list[RawDocument] | BuiltInRange]:
        """All documents in the order of the settings, in batches of bounded size."""
        for place, source in enumerate(self._settings.corpus.sources):
            if source.path == BUILT_IN:
                self.reports[place].sha256 = generator_version()
                self.reports[place].documents_read = source.documents
                yield from _ranges(place, source, self._settings)
                continue
            batch: list[RawDocument] = []
            characters = 0
            for document in self._documents(place, source):
                batch.append(document)
                characters += len(document.text)
                if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_DOCUMENTS:
                    yield batch
                    batch, characters = [], 0
            if batch:
                yield batch

    def _documents(self, place: int, source: Source) -> Iterator[RawDocument]:
        report, lines = self.reports[place], []
        for file in self._files[place]:
            if source.documents and report.documents_read >= source.documents:
                break
            digest = Digest()
            yield from self._of_file(place, source, file, digest)
            report.files += 1
            report.bytes += digest.size
            whole = file.local is not None or not source.documents
            lines.append(f"{digest.hexdigest()}  {file.name}\n" if whole else "")
        if not report.documents_read:
            raise CorpusError(_no_documents(source, self._files[place], report, place))
        if all(lines):
            listing = hashlib.sha256("".join(lines).encode())
            report.sha256 = lines[0].split()[0] if len(lines) == 1 else listing.hexdigest()

    def _of_file(
        self, place: int, source: Source, file: SourceFile, digest: Digest
    ) -> Iterator[RawDocument]:
        fields = [source.field] if isinstance(source.field, str) else source.field
        domain = domain_of(source)
        longest = self._settings.corpus.maximum_characters
        key = f"corpus.sources.{place}"
        limit = source.documents - self.reports[place].documents_read if source.documents else 0
        for text in read_documents(file, fields, key, longest, limit, digest, self._scratch):
            self.reports[place].documents_read += 1
            yield RawDocument(text, file.name, domain, place)


def generator_version() -> str:
    """SHA-256 of the generator's source files: what the built-in documents depend on besides the seed."""
    folder = Path(__file__).parents[1] / "synthetic"
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _ranges(place: int, source: Source, settings: Settings) -> Iterator[BuiltInRange]:
    for split, documents in _split_sizes(source.documents, settings.corpus).items():
        for start in range(0, documents, _BATCH_DOCUMENTS):
            number = min(_BATCH_DOCUMENTS, documents - start)
            yield BuiltInRange(settings.seed, split, start, number, place, source.domain)


def _split_sizes(documents: int, settings: CorpusSettings) -> dict[str, int]:
    validation = max(1, round(documents * settings.validation_share))
    test = max(1, round(documents * settings.test_share))
    return {"train": max(0, documents - validation - test), "validation": validation, "test": test}


def _no_documents(source: Source, files: list[SourceFile], report: SourceReport, place: int) -> str:
    advice = f"put documents there or take it out of corpus.sources (it is corpus.sources.{place})"
    if len(files) > 1:
        return f"{source.path}: its {len(files)} files hold no documents; {advice}"
    return f"{files[0].name}: {'holds no documents' if report.bytes else 'is empty'}; {advice}"
