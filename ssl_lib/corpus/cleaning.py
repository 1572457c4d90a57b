"""One batch of documents: cleaned, cut, sampled, split and hashed, whatever else is in the corpus.

`prepare` is a pure function, and runs in any process. What it does to a text is below it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_lib.config import BUILT_IN, CorpusSettings, Settings
from ssl_lib.corpus.duplicates import band_keys, chunks, short_signatures, signatures
from ssl_lib.corpus.redaction import redacted
from ssl_lib.numbers import FORMS, find_number_arrays
from ssl_lib.numbers.locales import with_decimal_points

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
_BORDER = "\n\0\0\0\n"  # between texts: no number reaches over it, and no clean text holds it
_DIGITS = re.compile(r"\d+")
_CURRENCY_CODE = re.compile(r"[A-Z]{3}(?![A-Za-z])")
_LETTERS = re.compile(r"[^\W\d_]+")
# Where a number stood in a text that is compared without its numbers.
_NUMBER = "\N{NUMERO SIGN}"
# Successive multiples of it, modulo 1, lie as evenly as can be, however many there are
# (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences").
_GOLDEN_RATIO = 0.6180339887498949
EXAMPLE_CHARACTERS = 200  # of a document that is left out, as the manifest shows it


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
    """A document as it was read; `source` is its place in `corpus.sources`.

    Of a text file that is read in several blocks, it is the one that begins at character `start`.
    """

    text: str
    name: str  # of its file
    domain: str
    source: int
    split: str | None = None  # a built-in document comes with its split and labels
    labels: Labels | None = None
    start: int = 0

    def cut(self, settings: CorpusSettings) -> Iterator[Piece | LeftOut]:
        """Clean pieces of the document; instead of each that is left out, the reason."""
        if self.labels:
            assert clean(self.text) == self.text, f"labeled text must be clean: {self.text!r}"
        spans = []  # (section, start, end)
        for section, (start, end) in enumerate(pieces(self.text, settings.document_characters)):
            for a, b in pieces(self.text[start:end], settings.maximum_characters):
                spans.append((section, start + a, start + b))
        if not spans:
            yield LeftOut("empty", "")
            return
        weights = [source.weight for source in settings.sources]
        # the source with the largest weight is kept whole
        keep = weights[self.source] / max(weights)
        _, start, end = spans[0]
        share = stable_share(normalized(clean(self.text[start:end])), "split")
        for section, start, end in spans:
            text = clean(self.text[start:end])
            reason = ""
            if len(text) < settings.minimum_characters or not text:
                reason = "too_short" if text else "empty"
            elif keep < 1.0 and stable_share(normalized(text), "weight") >= keep:
                reason = "weight"
            if reason:
                yield LeftOut(reason, text[:EXAMPLE_CHARACTERS])
                continue
            # the sections of a document are spread over the splits as evenly as can be
            place = (share + section * _GOLDEN_RATIO) % 1.0
            split = self.split or split_at(place, settings.validation_share, settings.test_share)
            cut = len(spans) > 1
            labels = self.labels.between(start, end) if self.labels and cut else self.labels
            position = self.start + start if cut or self.start else None
            yield Piece(text, SPLITS.index(split), self, labels, position)


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
    start: int | None  # of a piece: the character of its file or record at which it begins


class LeftOut(NamedTuple):
    """Why a document is not taken, and how it begins."""

    reason: str
    text: str


@dataclass
class Prepared:
    """N clean documents: lines of the corpus and of the labels, what is known of each, and keys."""

    lines: list[bytes] = field(default_factory=list)
    labels: list[bytes] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    info: np.ndarray = field(default_factory=lambda: np.empty(0, INFO))  # `domain` in `domains`
    exact_keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty((0, 1), np.uint64))
    near_keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty((0, 0), np.uint64))
    signatures: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    left_out: Counter[tuple[int, str]] = field(default_factory=Counter)  # by source and reason
    # Of each reason, the first document: {"source", "text"}.
    examples: dict[str, dict[str, str]] = field(default_factory=dict)


def prepare(
    documents: Iterable[RawDocument], settings: CorpusSettings, locale: str = "auto"
) -> Prepared:
    """Redact, clean, cut, sample by weight, split and hash a batch: a list or a BuiltInRange.

    `locale` is that of `tokens.locale`, for sources that have none of their own.
    """
    result = Prepared()
    found: list[Piece] = []
    for document in documents:
        # labels are places in a text, and built-in text holds nothing to hide
        if not document.labels:
            text = redacted(document.text, settings.redact, document.name)
            document = document._replace(text=text)
        for piece in document.cut(settings):
            if isinstance(piece, LeftOut):
                result.left_out[document.source, piece.reason] += 1
                example = {"source": document.name, "text": piece.text}
                result.examples.setdefault(piece.reason, example)
            else:
                found.append(piece)
    if not found:
        return result
    result.domains = sorted({piece.document.domain for piece in found})
    places = {domain: place for place, domain in enumerate(result.domains)}
    result.info = np.empty(len(found), INFO)
    locales = []
    for place, (text, split, document, labels, start) in enumerate(found):
        domain = document.domain
        record: dict[str, object] = {"text": text, "source": document.name, "domain": domain}
        if start is not None:
            record["start"] = start
        if own := settings.sources[document.source].locale:
            record["locale"] = own
        locales.append(own or locale)
        result.lines.append(_line(record))
        labeled: dict[str, object] = {}
        if labels:
            labeled = {"numbers": labels.numbers, "determined": labels.deterministic}
        result.labels.append(_line(labeled))
        size = len(text.encode())
        result.info[place] = (document.source, places[domain], split, size)
    exact = [[stable_hash(normalized(piece.text), "exact")] for piece in found]
    result.exact_keys = np.array(exact, np.uint64)
    _hash_near(result, [piece.text for piece in found], locales, settings)
    return result


def _hash_near(
    result: Prepared, texts: list[str], locales: list[str], settings: CorpusSettings
) -> None:
    """Fill in the keys and signatures that near duplicates are looked for with."""
    if settings.near_duplicates == "none":
        result.near_keys = np.empty((len(texts), 0), np.uint64)
        result.signatures = np.empty((len(texts), 0), np.uint8)
        return
    compared = comparable(texts, settings.near_duplicates, locales)
    digests = [stable_hash("\n".join(numbers), "numbers") for _, numbers in compared]
    words = (text for text, _ in compared)
    found = np.concatenate([signatures(chunk) for chunk in chunks(words)])
    threshold = settings.near_duplicate_threshold
    result.near_keys = band_keys(found, np.array(digests, np.uint64), threshold)
    result.signatures = short_signatures(found)


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


class Comparable(NamedTuple):
    """What near duplicates are judged by: text that has to be alike, numbers that are the same."""

    text: str
    numbers: list[str]


def comparable(
    texts: list[str], near_duplicates: str, locales: Sequence[str] = ()
) -> list[Comparable]:
    """What documents are compared by, as the setting `near_duplicates` says.

    `locales` has that of each text, as `find_numbers` takes it; without them each is asked.

    By "text" it is `normalized` and no numbers. By "text_and_numbers" numbers are taken out of the
    text and listed, in order and apart from how they are written, with percent and currency: "Cut
    1,000 by $5." → "cut № by №.", ["1000.0", "5.0 $"]. The order counts: 3 to 1 is not 1 to 3.
    Identifiers, and digits that are no number, are listed as written.
    """
    if near_duplicates == "text":
        return [Comparable(normalized(text), []) for text in texts]
    # 5M is five million, 5m are meters: numbers are found before case is folded
    plain = [" ".join(text.split()) for text in texts]
    # places and lengths stay
    pointed = map(with_decimal_points, plain, locales or ["auto"] * len(plain))
    result = []
    for chunk in chunks(plain):
        # one long text is read much faster than many short ones
        joined = _BORDER.join(chunk)
        points = _BORDER.join(islice(pointed, len(chunk)))
        columns = (column.tolist() for column in find_number_arrays(points, "en"))
        numbers = deque(zip(*columns, strict=True))
        place = 0
        for text in chunk:
            between, found, before = [], [], place
            while numbers and numbers[0][0] < place + len(text):
                start, end, value, form = numbers.popleft()
                between.append(joined[before:start])
                found.append(canonical_number(joined[start:end], value, FORMS[form]))
                before = end
            place += len(text)
            words = _NUMBER.join([*between, joined[before:place]]).casefold()
            result.append(Comparable(words, found + _DIGITS.findall(words)))
            place += len(_BORDER)
    return result


def canonical_number(written: str, value: float, form: str) -> str:
    """A number apart from its form: 1,000 and 1e3 → "1000.0", 12 percent → "12.0 %"."""
    if math.isnan(value):
        return written.casefold()
    number = repr(value + 0.0)  # -0.0 is 0.0
    if form == "percent":
        return number + " %"
    if form != "currency":
        return number
    # "$3.4 million" → $, "USD 5" → USD, "three dollars" → dollars
    signs = [sign for sign in written if unicodedata.category(sign) == "Sc"]
    code = _CURRENCY_CODE.search(written)
    letters = [code.group()] if code else _LETTERS.findall(written)[-1:]
    return f"{number} {(signs or letters or [''])[0].casefold()}"


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


def split_at(share: float, validation_share: float, test_share: float) -> str:
    """Split of a document by its `stable_share` alone, whatever else comes into the corpus."""
    # test comes first: a larger share of validation moves nothing out of it
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
