"""Files of named arrays, in the safetensors format: read whole or refused, and written only if they can be read.

The library checks that the header describes the data exactly. What it leaves open is bounded here, since files come
from anywhere: sizes, names, types, dimensions, finite numbers, and metadata, which the library writes in no fixed order
and reads from the disk only. Layout: u64 length of the header (little-endian), the header as JSON, then the data.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from safetensors import SafetensorError, deserialize

from ..errors import ErrorCode, OmomiError
from .files import FormatError, parse_json, read_bounded, require, unreadable, write_whole

LARGEST_FILE = 256 << 20
"""Bytes. An edit with its features and posterior takes a few MB; what is far beyond that is a mistake or an attack."""
LARGEST_HEADER = 1 << 20
"""Bytes. Room for 256 long names and all metadata; JSON grows some thirtyfold when it is parsed."""
MOST_ARRAYS = 256
MOST_METADATA = 256 << 10
"""Characters of all keys and values: metadata is for people and names; numbers belong into arrays."""
LONGEST_NAME = 128
MOST_DIMENSIONS = 8
"""Numpy 1 ends at 32; nothing here needs more than 5."""

T = TypeVar("T")
Build: TypeAlias = Callable[[Mapping[str, np.ndarray], Mapping[str, str]], T]
"""From arrays and metadata, which may come from anywhere, to what they stand for. Raises FormatError."""

_METADATA = "__metadata__"
_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
_CODES = {dtype[1:]: code for code, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<Q")


def load_tables(path: Path, most: int, build: Build[T]) -> T:
    """What ``build`` makes of a file of at most ``most`` bytes. Raises OmomiError(UNREADABLE_FILE)."""
    path = Path(path)
    data = read_bounded(path, most)
    try:
        return build(*unpack(data))
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw


def save_tables(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], most: int, build: Build[Any]
) -> None:
    """Write arrays and metadata; equal ones give equal files. Raises OmomiError: BAD_OPTION for what `load_tables`
    would refuse, DISK; what was at ``path`` is untouched then."""
    path = Path(path)
    try:
        data = pack(arrays, metadata)
        require(len(data) <= most, f"it would be larger than {most >> 20} MiB")
        build(arrays, metadata)
    except FormatError as flaw:
        raise OmomiError(ErrorCode.BAD_OPTION, f"{path.name} cannot be written: {flaw}.") from flaw
    write_whole(path, data)


def table(
    arrays: Mapping[str, np.ndarray],
    name: str,
    shape: Sequence[int | None],
    largest: float = np.inf,
    kind: type = np.float32,
) -> np.ndarray:
    """The array ``name`` of this type and shape, None for any length, without a number farther from 0 than
    ``largest``. Raises FormatError."""
    found = arrays.get(name)
    if found is None or found.dtype != kind or found.ndim != len(shape):
        raise FormatError(f"it has no proper table {name}")
    fits = all(wanted in (None, length) for length, wanted in zip(found.shape, shape, strict=True))
    require(fits, f"its table {name} has the shape {found.shape}")
    require((np.abs(found) <= largest).all(), f"the numbers in {name} are absurdly large")
    return found


def pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The bytes of such a file, the same for any order of arrays and metadata. Raises FormatError."""
    require(_METADATA not in arrays, f"no array can be called {_METADATA}")
    chosen = {name: np.asarray(array) for name, array in arrays.items()}
    size = sum(array.nbytes for array in chosen.values())
    require(size <= LARGEST_FILE, f"it is larger than {LARGEST_FILE >> 20} MiB")
    header: dict[str, Any] = {_METADATA: dict(sorted(_texts(metadata).items()))} if metadata else {}
    contents, end = [], 0
    # widest first, so that every array starts at a multiple of its items' size
    for name in sorted(chosen, key=lambda name: (-chosen[name].dtype.itemsize, name)):
        array = chosen[name]
        code = _CODES.get(f"{array.dtype.kind}{array.dtype.itemsize}")
        if code is None:
            raise FormatError(f"the array {name!r:.80} has the type {array.dtype}")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
        contents.append(array.astype(_DTYPES[code], copy=False).tobytes())
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    data = b"".join((_LENGTH.pack(len(text)), text, *contents))
    # what could not be read again is not written
    unpack(data)
    return data


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata in the bytes of such a file. Raises FormatError."""
    require(len(data) <= LARGEST_FILE, f"it is larger than {LARGEST_FILE >> 20} MiB")
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else len(data)
    if length > LARGEST_HEADER:
        raise FormatError(f"its header is longer than {LARGEST_HEADER} bytes, or it is no file of arrays")
    text = data[_LENGTH.size : _LENGTH.size + length]
    require(text.startswith(b"{"), "its header does not begin with a brace")
    described = parse_json(text, "its header")
    metadata = _texts(described.pop(_METADATA, {}))
    require(len(described) <= MOST_ARRAYS, f"it holds more than {MOST_ARRAYS} arrays")
    for name, about in described.items():
        # printable leaves out line ends, direction marks and halves of surrogate pairs
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise FormatError(f"the name {name!r:.80} cannot be that of an array")
        if not isinstance(about, dict) or set(about) != {"dtype", "shape", "data_offsets"}:
            raise FormatError(f"the array {name!r} is not described by dtype, shape and data_offsets")
    try:
        found = dict(deserialize(data))
    except SafetensorError as error:
        raise FormatError("its header does not describe its data") from error
    return {name: _array(name, **found[name]) for name in described}, metadata


def _array(name: str, dtype: str, shape: Sequence[int], data: bytearray) -> np.ndarray:
    """Aligned and writable; the array does not keep the file in memory."""
    require(dtype in _DTYPES, f"the array {name!r} has a type other than {', '.join(_DTYPES)}")
    stored = np.dtype(_DTYPES[dtype])
    # sides count as at least one here, so that [0, 2**62] is not taken for a harmless empty array
    if len(shape) > MOST_DIMENSIONS or math.prod(max(side, 1) for side in shape) * stored.itemsize > LARGEST_FILE:
        raise FormatError(f"the shape of the array {name!r} has too many dimensions, or is too large")
    # numpy takes any byte for a bool and then counts wrongly
    if dtype == "BOOL" and np.frombuffer(data, "u1").max(initial=0) > 1:
        raise FormatError(f"the array {name!r} holds truth values other than 0 and 1")
    array = np.frombuffer(data, stored).astype(stored.newbyteorder("="), copy=False).reshape(shape)
    if stored.kind == "f" and not np.isfinite(array).all():
        raise FormatError(f"the array {name!r} holds a value that is not finite")
    return array


def _texts(metadata: Any) -> dict[str, str]:
    """Checked metadata: strings that can be written, which half a surrogate pair, spelled in JSON, cannot."""
    texts: list[Any] = [item for pair in metadata.items() for item in pair] if isinstance(metadata, Mapping) else [None]
    if not all(isinstance(text, str) and not any("\ud800" <= letter <= "\udfff" for letter in text) for text in texts):
        raise FormatError("its metadata is not an object of texts")
    require(sum(map(len, texts)) <= MOST_METADATA, f"its metadata is longer than {MOST_METADATA} characters")
    return dict(metadata)
