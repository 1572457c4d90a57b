"""What may be wrong with a source, and what its reading finds out for the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ssl_lib.config import Source
from ssl_lib.errors import UserError

_EXAMPLES = 5  # of damage, in the manifest


class CorpusError(UserError):
    """A source that cannot be read, or a corpus that cannot be made of it."""


class DamagedError(CorpusError):
    """Data that is not what it is said to be: what `on_error: skip` leaves out."""


@dataclass
class SourceReport:
    """What the manifest says of a source's origin."""

    files: int = 0
    bytes: int = 0
    sha256: str | None = None  # None for a URL that was read in part
    documents_read: int = 0
    encodings: dict[str, int] = field(default_factory=dict)  # files by encoding
    missing: dict[str, int] = field(default_factory=dict)  # records without a field, or with null
    damaged: dict[str, int] = field(default_factory=dict)  # lines, records, files, characters
    examples: list[str] = field(default_factory=list)  # of damage: where and what

    def count(self, counts: dict[str, int], name: str, number: int = 1) -> None:
        """Add to one of the counts above."""
        counts[name] = counts.get(name, 0) + number


@dataclass
class SourceContext:
    """One source while it is read: its settings, where it stands in them, what was found so far.

    `key` is its dotted key, such as corpus.sources.0, for messages that advise a setting; empty
    where it has none. `scratch` is a folder for copies of files that are read out of order.
    """

    source: Source
    key: str = ""
    scratch: Path = Path()
    root: Path = Path()  # of the project
    maximum_characters: int = 200_000
    report: SourceReport = field(default_factory=SourceReport)

    @property
    def fields(self) -> list[str]:
        """The fields with text."""
        field_or_fields = self.source.field
        return [field_or_fields] if isinstance(field_or_fields, str) else field_or_fields

    def advice(self, setting: str, value: str = "") -> str:
        """To set corpus.sources.0.encoding, and to which value; without a key, to convert it."""
        if not self.key:
            return "convert the file"
        return f"set {self.key}.{setting}" + (f": {value}" if value else "")

    def damage(self, what: str, message: str, number: int = 1) -> None:
        """Count and remember damage that is passed over; raises DamagedError if none may be."""
        if self.source.on_error == "fail":
            raise DamagedError(message)
        self.note(what, message, number)

    def note(self, what: str, message: str, number: int = 1) -> None:
        """Count damage, and keep the first messages as examples."""
        self.report.count(self.report.damaged, what, number)
        if len(self.report.examples) < _EXAMPLES:
            self.report.examples.append(message)
