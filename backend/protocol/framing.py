"""Framing: one packet is a JSON head and the arrays that it describes.

Layout: magic ``OMOM``, u32 length of the head (little-endian), the head as UTF-8 JSON (JSON-RPC 2.0 members plus
``arrays``: a list of ``{name, dtype, shape}``), then each array's bytes, little-endian, C order, in that order.

The decoder is sans-io and treats its input as hostile: all sizes are bounded, memory grows only with bytes that have
really arrived, and everything malformed is an ``OmomiError(PROTOCOL)``. A packet that does not fit into memory is read
to its end without its arrays, so that it costs only itself. Standard library and numpy only.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np

from ..errors import ErrorCode, OmomiError, refuse
from ..formats.files import FormatError, parse_json

MAGIC = b"OMOM"
MAX_HEAD_BYTES = 1 << 20
MAX_ARRAY_BYTES = 1 << 30
MAX_TOTAL_BYTES = 2 << 30
MAX_ARRAYS = 16
MAX_DIMENSIONS = 4
# Read and written at once; small enough to stay responsive, large enough to cost nothing.
CHUNK_BYTES = 1 << 18
DTYPES = ("<f4", "<f8", "<i4", "<u1")

_PREFIX = struct.Struct("<4sI")


@dataclass(frozen=True, eq=False)
class Packet:
    """One framed message."""

    head: dict[str, Any]  # a JSON object, without ``arrays``
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # by name, in wire order
    lost: bool = False  # there was no memory for its arrays, which were read and dropped


@dataclass(frozen=True)
class _ArraySpec:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class RawReader(Protocol):
    """An unbuffered binary stream: ``read`` returns what is there, at most ``size`` bytes, and b"" at the end."""

    def read(self, size: int = ..., /) -> bytes | None: ...


class RawWriter(Protocol):
    """An unbuffered binary stream: ``write`` may take only a part."""

    def write(self, data: Any, /) -> int | None: ...


def encode(packet: Packet) -> list[memoryview]:
    """The packet as buffers to write one after another; contiguous arrays are not copied. Raises OmomiError:
    ``TOO_LARGE`` over the bounds, ``PROTOCOL`` for a dtype or head that cannot travel."""
    check_bounds(packet.arrays)
    arrays = {name: np.ascontiguousarray(a, _wire_dtype(a)).reshape(a.shape) for name, a in packet.arrays.items()}
    entries = [{"name": name, "dtype": _wire_dtype(a), "shape": list(a.shape)} for name, a in arrays.items()]
    try:
        text = json.dumps({**packet.head, "arrays": entries}, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise OmomiError(ErrorCode.PROTOCOL, f"A message cannot be written as JSON: {error}.") from error
    head = text.encode("utf-8")
    if len(head) > MAX_HEAD_BYTES:
        raise OmomiError(ErrorCode.TOO_LARGE, f"A message head of {len(head)} bytes is too long.")
    buffers = [memoryview(_PREFIX.pack(MAGIC, len(head)) + head)]
    # A memoryview with a zero in its shape cannot be cast to bytes, numpy's flat view can.
    buffers += [a.reshape(-1).view(np.uint8).data for a in arrays.values() if a.size]
    return buffers


def check_bounds(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises OmomiError(TOO_LARGE) for arrays that the other side would refuse."""
    sizes = [array.nbytes for array in arrays.values()]
    if len(sizes) > MAX_ARRAYS or max(sizes, default=0) > MAX_ARRAY_BYTES or sum(sizes) > MAX_TOTAL_BYTES:
        raise OmomiError(ErrorCode.TOO_LARGE, f"{sum(sizes) >> 20} MiB do not fit into one message to the backend.")


def write(stream: RawWriter, buffers: Iterable[memoryview]) -> Iterator[int]:
    """Write what ``encode`` gave, yielding the byte count of each partial write. Raises OSError from the stream."""
    for buffer in buffers:
        sent = 0
        while sent < len(buffer):
            count = stream.write(buffer[sent : sent + CHUNK_BYTES]) or 0
            sent += count
            yield count


def read_packets(stream: RawReader) -> Iterator[Packet]:
    """Packets until the end of the stream. Raises OmomiError(PROTOCOL) when it is malformed or ends inside a packet."""
    decoder = Decoder()
    while data := stream.read(CHUNK_BYTES):
        yield from decoder.feed(data)
    decoder.close()


class Decoder:
    """Turns bytes in any chunking into packets. After a malformed packet every further call raises again."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._have = 0  # bytes of the step that have come, of which the buffer holds all unless they are lost
        self._lost = False
        self._head: dict[str, Any] | None = None
        self._specs: list[_ArraySpec] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._error: OmomiError | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Packet]:
        """Take ``data`` and return the packets that it completes. Raises OmomiError(PROTOCOL)."""
        if self._error is not None:
            raise self._error
        packets: list[Packet] = []
        view = memoryview(data)
        try:
            while True:
                need = self._missing()
                if need:
                    if not view:
                        return packets
                    self._take(view[:need])
                    view = view[need:]
                else:
                    packets += self._complete()
        except OmomiError as error:
            self._error = error
            raise

    def close(self) -> None:
        """Say that the stream has ended. Raises OmomiError(PROTOCOL) when that cuts a packet short."""
        if self._error is not None:
            raise self._error
        if self._have or self._head is not None:
            malformed("the stream ended inside a message")

    def _missing(self) -> int:
        """Bytes still wanted before the next step; reads the prefix as soon as it is there."""
        have = self._have
        if self._head is not None:
            return self._specs[0].nbytes - have
        if not MAGIC.startswith(self._buffer[: len(MAGIC)]):
            malformed("the stream does not carry Omomi messages")
        if have < _PREFIX.size:
            return _PREFIX.size - have
        _, length = _PREFIX.unpack_from(self._buffer)
        if not 2 <= length <= MAX_HEAD_BYTES:
            malformed(f"a head of {length} bytes")
        return _PREFIX.size + length - have

    def _take(self, data: memoryview) -> None:
        try:
            if not self._lost:
                self._buffer += data
        except MemoryError:
            if self._head is None:
                raise
            self._lost = True
            self._buffer = bytearray()
            self._arrays.clear()
        self._have += len(data)

    def _complete(self) -> list[Packet]:
        """Use up the buffer, which holds a whole head or a whole array."""
        data, self._buffer, self._have = self._buffer, bytearray(), 0
        if self._head is None:
            self._head, self._specs = _parse_head(bytes(data[_PREFIX.size :]))
        else:
            self._finish_array(data)
        # Empty arrays have no bytes to wait for.
        while self._specs and self._specs[0].nbytes == 0:
            self._finish_array(bytearray())
        if self._specs:
            return []
        packet = Packet(self._head, self._arrays, self._lost)
        self._head, self._arrays, self._lost = None, {}, False
        return [packet]

    def _finish_array(self, data: bytearray) -> None:
        spec = self._specs.pop(0)
        if self._lost:
            return
        self._arrays[spec.name] = np.frombuffer(data, spec.dtype).reshape(spec.shape)


def _parse_head(data: bytes) -> tuple[dict[str, Any], list[_ArraySpec]]:
    try:
        head = parse_json(data, "it")
    except FormatError as error:
        raise OmomiError(ErrorCode.PROTOCOL, "A message head is not valid JSON.", str(error)) from error
    if not isinstance(head, dict):
        malformed("the head is not an object")
    entries = head.pop("arrays", [])
    if not isinstance(entries, list) or len(entries) > MAX_ARRAYS:
        malformed(f"the list of arrays is not a list of at most {MAX_ARRAYS}")
    specs = [_parse_spec(entry) for entry in entries]
    if len({spec.name for spec in specs}) != len(specs):
        malformed("two arrays have one name")
    if sum(spec.nbytes for spec in specs) > MAX_TOTAL_BYTES:
        malformed("the arrays are too large together")
    return head, specs


def _parse_spec(entry: Any) -> _ArraySpec:
    if not isinstance(entry, dict):
        malformed("an array's description is not an object")
    name, dtype, shape = entry.get("name"), entry.get("dtype"), entry.get("shape")
    if not isinstance(name, str) or not 0 < len(name) <= 64:
        malformed("an array without a name")
    if dtype not in DTYPES:
        malformed("an array of another type than " + ", ".join(DTYPES))
    if not isinstance(shape, list) or not 1 <= len(shape) <= MAX_DIMENSIONS:
        malformed("an array without a shape")
    if not all(type(side) is int and side >= 0 for side in shape):
        malformed("an array with a side that is not a count")
    spec = _ArraySpec(name, np.dtype(dtype), tuple(shape))
    # Sides count as at least one here, so that (0, 2**62) cannot slip through as an empty array.
    if math.prod(max(side, 1) for side in shape) * spec.dtype.itemsize > MAX_ARRAY_BYTES:
        malformed("an array that is too large")
    return spec


def _wire_dtype(array: np.ndarray) -> str:
    kind = f"<{array.dtype.kind}{array.dtype.itemsize}"
    if kind not in DTYPES:
        malformed(f"arrays of {array.dtype} do not travel")
    return kind


def malformed(what: str) -> NoReturn:
    """Raises OmomiError(PROTOCOL)."""
    refuse(f"malformed message: {what}", ErrorCode.PROTOCOL)
