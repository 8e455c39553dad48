"""Named arrays in the safetensors format, for files from anywhere.

Layout: u64 length of the header (little-endian), the header as UTF-8 JSON, then the data. The header maps each name to
``{dtype, shape, data_offsets: [begin, end]}``, offsets counted from the start of the data, and ``__metadata__`` to an
object of texts. Numpy and the standard library only.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ErrorCode, OmomiError
from .files import FormatError, parse_json, read_bounded, unreadable, write_whole

LARGEST_FILE = 256 << 20
"""Bytes. An edit with its features and posterior takes a few MB; what is far beyond that is a mistake or an attack."""
LARGEST_HEADER = 1 << 20
"""Bytes. Room for 256 long names and all metadata; JSON grows some thirtyfold when it is parsed."""
MOST_TENSORS = 256
MOST_METADATA = 256 << 10
"""Characters of all keys and values: metadata is for people and names; numbers belong into arrays."""
LONGEST_NAME = 128
MOST_DIMENSIONS = 8
"""Numpy 1 ends at 32; nothing here needs more than 5."""

_METADATA = "__metadata__"
_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
_CODES = {dtype[1:]: code for code, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<Q")


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays by name, as they lie in the file, and the metadata.

    Raises OmomiError(UNREADABLE_FILE) for anything that is not exactly such a file, within the bounds and finite.
    """
    path = Path(path)
    data = read_bounded(path, LARGEST_FILE)
    try:
        return unpack(data)
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write float32, float64, int32, int64, uint8 and bool arrays; the same contents give the same bytes.

    Raises OmomiError: BAD_OPTION for contents that `read_tensors` would refuse, DISK (what was at ``path`` is
    untouched).
    """
    path = Path(path)
    try:
        data = pack(arrays, metadata or {})
    except FormatError as flaw:
        raise OmomiError(ErrorCode.BAD_OPTION, f"{path.name} cannot be written: {flaw}.") from flaw
    write_whole(path, data)


def pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The bytes of such a file, the same for any order of arrays and metadata. Raises FormatError."""
    if _METADATA in arrays:
        raise FormatError(f"no array can be called {_METADATA}")
    chosen = {name: np.asarray(array) for name, array in arrays.items()}
    codes = {name: _CODES.get(f"{array.dtype.kind}{array.dtype.itemsize}") for name, array in chosen.items()}
    header: dict[str, Any] = {_METADATA: dict(sorted(_checked_metadata(metadata).items()))} if metadata else {}
    # widest first, so that every array starts at a multiple of its items' size
    order = sorted(chosen, key=lambda name: (-chosen[name].dtype.itemsize, name))
    end = 0
    for name in order:
        array, code = chosen[name], codes[name]
        if code is None:
            raise FormatError(f"the array {name!r:.80} has the type {array.dtype}")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
    _checked_entries(header, end)
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER:
        raise FormatError(f"its header is longer than {LARGEST_HEADER} bytes")
    if _LENGTH.size + len(text) + end > LARGEST_FILE:
        raise FormatError(f"it is larger than {LARGEST_FILE >> 20} MiB")
    for name in order:
        _require_finite(name, chosen[name])
    contents = (chosen[name].astype(_DTYPES[codes[name] or ""], copy=False).tobytes() for name in order)
    return b"".join((_LENGTH.pack(len(text)), text, *contents))


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata in the bytes of such a file. Raises FormatError."""
    if len(data) > LARGEST_FILE:
        raise FormatError(f"it is larger than {LARGEST_FILE >> 20} MiB")
    if len(data) < _LENGTH.size:
        raise FormatError("it ends before its header")
    (length,) = _LENGTH.unpack_from(data)
    if length > LARGEST_HEADER:
        raise FormatError(f"its header is longer than {LARGEST_HEADER} bytes, or it is no file of arrays")
    start = _LENGTH.size + length
    if start > len(data):
        raise FormatError("it ends inside its header")
    text = data[_LENGTH.size : start]
    if not text.startswith(b"{"):
        raise FormatError("its header does not begin with a brace")
    header = parse_json(text, "its header")
    entries = _checked_entries(header, len(data) - start)
    return {entry.name: _array(entry, data, start) for entry in entries}, _checked_metadata(header.get(_METADATA, {}))


@dataclass(frozen=True)
class _Entry:
    """One array of the header; ``begin`` counts from the start of the data."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int


def _checked_entries(header: dict[str, Any], size: int) -> list[_Entry]:
    """What the header says about the arrays, whose data fill ``size`` bytes without gap, overlap or rest."""
    described = {name: value for name, value in header.items() if name != _METADATA}
    if len(described) > MOST_TENSORS:
        raise FormatError(f"it holds more than {MOST_TENSORS} arrays")
    spans = sorted((_checked_span(name, value), name) for name, value in described.items())
    reached = 0
    for (begin, end), name in spans:
        if begin != reached:
            raise FormatError(f"the data of the array {name!r} do not start where those before it end")
        reached = end
    if reached != size:
        raise FormatError(f"its arrays take {reached} bytes, and {size} follow the header")
    return [
        _Entry(name, described[name]["dtype"], tuple(described[name]["shape"]), begin) for (begin, _), name in spans
    ]


def _checked_span(name: str, value: Any) -> tuple[int, int]:
    """Begin and end of one array's data, once all that the header says about it fits together."""
    # printable leaves out line ends, direction marks and halves of surrogate pairs
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise FormatError(f"the name {name!r:.80} cannot be that of an array")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"the array {name!r} is not described by dtype, shape and data_offsets")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise FormatError(f"the array {name!r} has a type other than {', '.join(_DTYPES)}")
    if not _are_counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise FormatError(f"the array {name!r} has a shape that is not a list of at most {MOST_DIMENSIONS} counts")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise FormatError(f"the array {name!r} has offsets that are not two counts")
    width = np.dtype(_DTYPES[code]).itemsize
    # sides count as at least one here, so that [0, 2**62] is not taken for a harmless empty array
    if math.prod(max(side, 1) for side in shape) * width > LARGEST_FILE:
        raise FormatError(f"the array {name!r} is larger than {LARGEST_FILE >> 20} MiB")
    begin, end = offsets
    if end - begin != math.prod(shape) * width:
        raise FormatError(f"the offsets of the array {name!r} do not agree with its shape")
    return begin, end


def _are_counts(value: Any) -> bool:
    """Also bounded one by one, so that products of them stay small."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= LARGEST_FILE for item in value)


def _array(entry: _Entry, data: bytes, start: int) -> np.ndarray:
    """A copy, aligned and writable; it does not keep the file in memory."""
    stored = np.dtype(_DTYPES[entry.code])
    flat = np.frombuffer(data, "u1" if entry.code == "BOOL" else stored, math.prod(entry.shape), start + entry.begin)
    # numpy takes any byte for a bool and then counts wrongly
    if entry.code == "BOOL" and flat.max(initial=0) > 1:
        raise FormatError(f"the array {entry.name!r} holds truth values other than 0 and 1")
    array = flat.astype(stored.newbyteorder("=")).reshape(entry.shape)
    _require_finite(entry.name, array)
    return array


def _require_finite(name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise FormatError(f"the array {name!r} holds a value that is not finite")


def _checked_metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, Mapping) or not all(_is_text(item) for pair in metadata.items() for item in pair):
        raise FormatError("its metadata is not an object of texts")
    if sum(len(key) + len(value) for key, value in metadata.items()) > MOST_METADATA:
        raise FormatError(f"its metadata is longer than {MOST_METADATA} characters")
    return dict(metadata)


def _is_text(value: Any) -> bool:
    """A string that can be written: half a surrogate pair, which JSON can spell, cannot."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
