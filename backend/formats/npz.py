"""Arrays of numbers in NPY and NPZ files, which come from anywhere: what their headers promise is compared with what is
there before anything is unpacked. Nothing is unpickled.

Formats: NumPy Enhancement Proposal 1; PKWARE, .ZIP File Format Specification 6.3.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .files import FormatError, require

LARGEST_UNPACKED = 4 << 30
"""Bytes of all arrays of a file together."""
MOST_GROWTH, ALWAYS = 100, 64 << 20
"""Unpacked bytes for each packed one, and those of small files: repeated numbers shrink by dozens, bombs by 1000."""
WIDEST = 8
"""Bytes of a number of the arrays that a reader makes, however narrow it is in the file."""
LARGEST_DIRECTORY = 1 << 20
"""Bytes of the list of a zip file's members: that of 10,000 arrays."""
LONGEST_HEADER = 1 << 14
MOST_NUMBERS = 300_000_000
"""In an array, which may become one of wider numbers."""

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'(?P<kind>[<>|=]?[a-zA-Z]\d{1,4})',\s*'fortran_order':\s*(?P<turned>True|False),"
    rb"\s*'shape':\s*\(\s*(?P<shape>(?:\d{1,18}\s*,\s*)*(?:\d{1,18})?)\s*\)\s*,?\s*\}\s*"
)
_END = b"PK\5\6"
_END_LENGTH, _LONGEST_COMMENT = 22, 1 << 16


class NpzReader(Mapping[str, NDArray]):
    """The arrays of an NPZ file by their names, each unpacked when it is asked for. Raises FormatError."""

    def __init__(self, data: bytes) -> None:
        _check_directory(data)
        try:
            self._packed = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error) as error:
            raise FormatError("it is damaged") from error
        entries = [one for one in self._packed.infolist() if one.filename.endswith(".npy")]
        self._entries = {one.filename.removesuffix(".npy"): one for one in entries}
        require(len(self._entries) == len(entries), "two of its arrays have one name")
        for one in entries:
            known = one.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not one.flag_bits & 1
            require(known, "it is encrypted, or packed in a way that Omomi does not know")
        # what shares its packed bytes with others is counted for each
        require(sum(one.compress_size for one in entries) <= len(data), "its arrays overlap")
        size = sum(one.file_size for one in entries)
        require(size <= LARGEST_UNPACKED, f"it unpacks to more than {LARGEST_UNPACKED >> 30} GB")
        self._most = max(ALWAYS, MOST_GROWTH * len(data))
        require(size <= self._most, f"it unpacks to more than {MOST_GROWTH} times its size")
        self._numbers: dict[str, int] = {}  # of the arrays that were read

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> NDArray:
        entry = self._entries[name]
        read = sum(count for other, count in self._numbers.items() if other != name)
        try:
            with self._packed.open(entry) as stream:
                array = read_npy(stream, entry.file_size, self._most // WIDEST - read)  # type: ignore[arg-type]
        except FormatError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError, struct.error) as error:
            raise FormatError(f"its array {name!r:.80} is damaged") from error
        self._numbers[name] = array.size
        return array


def _check_directory(data: bytes) -> None:
    """The list of members is no longer than LARGEST_DIRECTORY. Raises FormatError."""
    at = data.rfind(_END, max(0, len(data) - _END_LENGTH - _LONGEST_COMMENT))
    require(0 <= at <= len(data) - _END_LENGTH, "it is no NPZ file, or ends in the middle")
    large = data[max(0, at - 20) : at].startswith(b"PK\6\7")
    (length,) = struct.unpack_from("<I", data, at + 12)
    require(not large and length <= LARGEST_DIRECTORY, "it has too many members")


def read_npy(stream: BinaryIO, length: int, most: int = MOST_NUMBERS) -> NDArray:
    """The array of at most ``most`` numbers in an NPY file of ``length`` bytes, of which no more than these are read.
    Raises FormatError for other things than numbers, and where its header promises more or less than there is."""
    begun = stream.read(8)
    require(len(begun) == 8 and begun.startswith(_MAGIC) and begun[6] in (1, 2, 3), "it is no NPY file")
    wide = 2 if begun[6] == 1 else 4
    size = int.from_bytes(stream.read(wide), "little")
    require(size <= LONGEST_HEADER, "its header is damaged")
    found = _HEADER.fullmatch(stream.read(size))
    if found is None:
        raise FormatError("its header is damaged, or describes something else than numbers")
    try:
        kind = np.dtype(found["kind"].decode())
    except (TypeError, ValueError) as error:
        raise FormatError("it holds something else than numbers") from error
    require(kind.kind in "fiub" and kind.itemsize <= 16, "it holds something else than real numbers")
    shape = tuple(map(int, re.findall(rb"\d+", found["shape"])))
    count = math.prod(shape)
    # sides count as at least one here, so that (0, 10**18) is not taken for a harmless empty array
    require(len(shape) <= 8 and math.prod(max(side, 1) for side in shape) <= length, "its header is damaged")
    require(count <= MOST_NUMBERS, f"it holds an array of more than {MOST_NUMBERS:,} numbers")
    require(count <= most, "it holds many more numbers than it has bytes for")
    left = length - 8 - wide - size
    require(count * kind.itemsize == left, "its header does not describe what it holds")
    data = stream.read(left + 1)
    require(len(data) == left, "its header does not describe what it holds")
    array = np.frombuffer(data, kind).reshape(shape, order="F" if found["turned"] == b"True" else "C")
    return array.astype(kind.newbyteorder("="), copy=False)


def write_npz(arrays: Mapping[str, NDArray]) -> bytes:
    """The bytes of an NPZ file, not compressed."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()
