"""PDF and DOCX: text out of files that are laid out for paper."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from ssl_lib.corpus.formats.text import cut
from ssl_lib.corpus.opening import OpenFile, check_expansion
from ssl_lib.corpus.problems import DamagedError, SourceContext
from ssl_lib.errors import UserError


def pdf(file: OpenFile, context: SourceContext) -> Iterator[tuple[int, str]]:
    """The text of all pages, an empty line between; pictures of text have none."""
    import pypdf

    # it warns of faults that it mends
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    data = io.BytesIO(file.whole())
    with _whole(file.name, "PDF"):
        reader = pypdf.PdfReader(data)
        # an empty password opens many
        if reader.is_encrypted and not reader.decrypt(""):
            raise DamagedError(f"{file.name}: is encrypted; save it without a password")
        pages = (page.extract_text().strip() + "\n\n" for page in reader.pages)
        yield from cut(pages, context.maximum_characters)


def docx(file: OpenFile, context: SourceContext) -> Iterator[tuple[int, str]]:
    """Paragraphs and tables in order; a row of a table is a line, its cells apart by tabs."""
    import docx
    from docx.table import Table

    data = io.BytesIO(file.whole())
    with _whole(file.name, "DOCX"):
        with zipfile.ZipFile(data) as archive:
            for part in archive.infolist():
                check_expansion(file.name, part.file_size, part.compress_size)
        blocks = []
        for block in docx.Document(data).iter_inner_content():
            if isinstance(block, Table):
                rows = ("\t".join(cell.text for cell in row.cells) for row in block.rows)
                blocks.append("\n".join(rows) + "\n\n")
            else:
                blocks.append(block.text + "\n\n")
        yield from cut(blocks, context.maximum_characters)


@contextmanager
def _whole(name: str, kind: str) -> Iterator[None]:
    """Tell what the readers of others raise, of any class, as a fault of the file."""
    try:
        yield
    except (UserError, ImportError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DamagedError(f"{name}: is no whole {kind} file ({reason}); save it again") from None
