"""One batch of documents: cleaned, cut, sampled, split and hashed, whatever else is in the corpus.

`prepare` is a pure function, and runs in any process. What it does to a text is below it.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import CorpusSettings, Settings
from ssl_lib.corpus.duplicates import band_keys, chunks
from ssl_lib.corpus.sources import BUILT_IN

# By precedence: where duplicates meet, the first of these keeps its document.
SPLITS = ("test", "validation", "train")

# What is known of a document besides its text; `split` indexes SPLITS, `size` is the text's bytes.
INFO = np.dtype([("source", "<u2"), ("domain", "<u2"), ("split", "u1"), ("size", "<u4")])

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_NEW_LINE = re.compile(r"\r\n|[\r\v\f\x85]")
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff]")
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
# Borders match nothing but white space, or the empty place after a CJK full stop.
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"'”’)\]]))\s+|\n\s*|(?<=[。！？])")
_WORD = re.compile(r"\s+")


class Labels(NamedTuple):
    """Of a built-in document: (start, end, role) of its numbers, (start, end) of certain spans."""

    numbers: tuple[tuple[int, int, str], ...]
    deterministic: tuple[tuple[int, int], ...]

    def between(self, start: int, end: int) -> Labels:
        """Labels of a piece of the text: those that lie wholly in it, counted from its start."""
        numbers = (
            (a - start, b - start, role) for a, b, role in self.numbers if start <= a < b <= end
        )
        spans = ((a - start, b - start) for a, b in self.deterministic if start <= a < b <= end)
        return Labels(tuple(numbers), tuple(spans))


class RawDocument(NamedTuple):
    """A document as it was read; `source` is its place in `corpus.sources`."""

    text: str
    name: str  # of its file
    domain: str
    source: int
    split: str | None = None  # a built-in document comes with its split and labels
    labels: Labels | None = None

    def cut(self, settings: CorpusSettings) -> Iterator[Piece | str]:
        """Clean pieces of the document; instead of each that is left out, the reason."""
        text = clean(self.text)
        if self.labels:
            assert text == self.text, f"labeled text must be clean: {self.text!r}"
        if not text:
            yield "empty"
            return
        key = normalized(text)
        weights = [source.weight for source in settings.sources]
        # the source with the largest weight is kept whole
        keep = weights[self.source] / max(weights)
        if keep < 1.0 and stable_share(key, "weight") >= keep:
            yield "weight"
            return
        split = self.split or split_of(key, settings.validation_share, settings.test_share)
        for start, end in pieces(text, settings.maximum_characters):
            if end - start < settings.minimum_characters:
                yield "too_short"
            else:
                labels = self.labels
                if labels and end - start < len(text):
                    labels = labels.between(start, end)
                yield Piece(text[start:end], SPLITS.index(split), self, labels)


@dataclass(frozen=True)
class BuiltInRange:
    """Documents `start` to `start + documents - 1` of a split of the built-in corpus.

    They are made where they are prepared.
    """

    seed: int
    split: str
    start: int
    documents: int
    source: int
    domain: str | None

    @classmethod
    def ranges(cls, settings: Settings, place: int, most: int) -> Iterator[BuiltInRange]:
        """All documents of a built-in source, at least one of a split, at most `most` at once."""
        corpus, source = settings.corpus, settings.corpus.sources[place]
        validation = max(1, round(source.documents * corpus.validation_share))
        test = max(1, round(source.documents * corpus.test_share))
        train = max(0, source.documents - validation - test)
        for split, count in (("train", train), ("validation", validation), ("test", test)):
            for start in range(0, count, most):
                documents = min(most, count - start)
                yield cls(settings.seed, split, start, documents, place, source.domain)

    def __iter__(self) -> Iterator[RawDocument]:
        from ssl_lib.synthetic.generator import generate

        for made in generate(self.seed, self.documents, self.split, self.start):
            numbers = tuple((number.start, number.end, number.role) for number in made.numbers)
            labels = Labels(numbers, made.deterministic)
            domain = self.domain or made.domain
            yield RawDocument(made.text, BUILT_IN, domain, self.source, self.split, labels)


class Piece(NamedTuple):
    """A clean document, or what was cut of one."""

    text: str
    split: int  # in SPLITS
    document: RawDocument
    labels: Labels | None


@dataclass
class Prepared:
    """N clean documents: lines of the corpus and of the labels, what is known of each, and keys."""

    lines: list[bytes] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    info: np.ndarray = field(default_factory=lambda: np.empty(0, INFO))  # `domain` in `domains`
    exact_keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty((0, 1), np.uint64))
    near_keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty((0, 1), np.uint64))
    left_out: Counter[tuple[int, str]] = field(default_factory=Counter)  # by source and reason


def prepare(documents: Iterable[RawDocument], settings: CorpusSettings) -> Prepared:
    """Clean, cut, sample by weight, split and hash a batch: a list or a BuiltInRange."""
    result = Prepared()
    found: list[Piece] = []
    for document in documents:
        for piece in document.cut(settings):
            if isinstance(piece, str):
                result.left_out[document.source, piece] += 1
            else:
                found.append(piece)
    if not found:
        return result
    result.domains = sorted({piece.document.domain for piece in found})
    places = {domain: place for place, domain in enumerate(result.domains)}
    result.info = np.empty(len(found), INFO)
    for place, (text, split, document, labels) in enumerate(found):
        domain = document.domain
        result.lines.append(_line({"text": text, "source": document.name, "domain": domain}))
        labeled: dict[str, object] = {}
        if labels:
            labeled = {"numbers": labels.numbers, "determined": labels.deterministic}
        result.labels.append(_line(labeled))
        size = len(text.encode())
        result.info[place] = (document.source, places[domain], split, size)
    texts = [normalized(piece.text) for piece in found]
    result.exact_keys = np.array([[stable_hash(text, "exact")] for text in texts], np.uint64)
    keys = [band_keys(chunk, settings.near_duplicate_threshold) for chunk in chunks(texts)]
    result.near_keys = np.concatenate(keys)
    return result


def _line(record: dict[str, object]) -> bytes:
    return _ENCODER.encode(record).encode() + b"\n"


def clean(text: str) -> str:
    """Unicode NFC, newlines as line ends, no control characters but tab and newline, no margins.

    Vertical tab, form feed and U+0085 end a line; other characters of category Cc, lone surrogates
    and byte-order marks go. Idempotent: clean(clean(x)) == clean(x).
    """
    if _UNCLEAN.search(text):
        text = _REMOVED.sub("", _NEW_LINE.sub("\n", text))
    # ASCII is in normal form, and checked for in one pass
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.strip()


def normalized(text: str) -> str:
    """The text that duplicates are judged by: case folded, every run of white space one space."""
    return " ".join(text.casefold().split())


def stable_hash(text: str, purpose: str) -> int:
    """64-bit hash of a text, the same on every machine.

    Those of different purposes ("split", "weight", "exact") are independent.
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, person=purpose.encode())
    return int.from_bytes(digest.digest(), "little")


def stable_share(text: str, purpose: str) -> float:
    """`stable_hash` as a number in [0, 1)."""
    # a float holds 53 bits exactly
    return (stable_hash(text, purpose) >> 11) / 2**53


def split_of(normalized_text: str, validation_share: float, test_share: float) -> str:
    """Split of a document by a hash of its text alone, whatever else comes into the corpus."""
    # test comes first: a larger share of validation moves nothing out of it
    share = stable_share(normalized_text, "split")
    if share < test_share:
        return "test"
    return "validation" if share < test_share + validation_share else "train"


def pieces(text: str, maximum_characters: int) -> list[tuple[int, int]]:
    """Character spans (start, end), none longer than `maximum_characters`, of all of the text.

    White space between them is left out. A span ends at the last paragraph border of the second
    half of what fits; failing that, in turn, at the end of a sentence or line there, at the last
    white space, anywhere.
    """
    spans: list[tuple[int, int]] = []
    start = _skip_space(text, 0)
    while len(text) - start > maximum_characters:
        # a piece shorter than half of what fits would leave too many of them
        limit = start + maximum_characters
        half = start + 1 + maximum_characters // 2
        end = following = limit
        for border, begin in ((_PARAGRAPH, half), (_SENTENCE, half), (_WORD, start + 1)):
            # a border may begin exactly at the limit
            last = deque(border.finditer(text, begin, limit + 1), maxlen=1)
            if last and last[0].start() <= limit:
                end, following = _skip_back(text, last[0].start()), last[0].end()
                break
        spans.append((start, end))
        start = _skip_space(text, following)
    if start < len(text):
        spans.append((start, _skip_back(text, len(text))))
    return spans


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _skip_back(text: str, position: int) -> int:
    while text[position - 1].isspace():
        position -= 1
    return position
