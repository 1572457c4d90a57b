"""Archives: their members are read like the files of a folder, and never written to the disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

from ssl_lib.corpus.opening import OpenFile, check_expansion
from ssl_lib.corpus.problems import DamagedError

# A member's name, and what opens it; a name is only shown and looked at, it leads nowhere.
Member = tuple[str, Callable[[], BinaryIO]]


def zip_members(file: OpenFile) -> Iterator[Member]:
    """Files in a .zip, by name."""
    with zipfile.ZipFile(file.path()) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if not info.is_dir():
                yield info.filename, partial(_zip_member, archive, info, file.name)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Any:
    place = f"{name}/{info.filename}"
    if info.flag_bits & 1:
        raise DamagedError(f"{place}: is encrypted; unpack it, or pack it without a password")
    # zipfile reads no more than the size that is stated here
    check_expansion(place, info.file_size, info.compress_size)
    return archive.open(info)


def tar_members(file: OpenFile) -> Iterator[Member]:
    """Plain files in a .tar, in its order; links, devices and files with holes are none."""
    with tarfile.open(fileobj=file.stream, mode="r|") as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield info.name, partial(_tar_member, archive, info)


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, archive.extractfile(info))
