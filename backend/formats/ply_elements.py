"""The elements of a PLY file, ASCII and binary, with any number of lists in each row.

The header is checked against the length of the file before anything is allocated.
Format: G. Turk, The PLY Polygon File Format (1994).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import FormatError, require

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "bool": "u1",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "int64": "i8", "uint64": "u8", "long": "i8", "ulong": "u8", "longlong": "i8", "ulonglong": "u8",
    "float": "f4", "double": "f8", "float16": "f2", "half": "f2", "float32": "f4", "float64": "f8",
}  # fmt: skip
LONGEST_HEADER = 1 << 16
MOST_PROPERTIES = 1024
RUN = 64
"""Rows with lists of one length in a row, from which on the reader looks for more of them at once."""
_TWICE = "its header declares an element or a property twice"


@dataclass(frozen=True)
class Property:
    name: str  # in small letters
    type: str
    count_type: str | None  # of a list


@dataclass(frozen=True)
class Element:
    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def lists(self) -> list[Property]:
        return [one for one in self.properties if one.count_type]


@dataclass(frozen=True)
class Header:
    encoding: str
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    start: int  # of what follows, in bytes


class Lists(NamedTuple):
    """A list in every row of an element."""

    sizes: NDArray  # (count,), whole numbers
    values: NDArray  # (sum of sizes,)


class Columns(NamedTuple):
    """All rows of an element by the names of its properties; of the file's own types, in text of the widest such."""

    numbers: dict[str, NDArray]  # (count,)
    lists: dict[str, Lists]


def read_header(data: bytes) -> Header:
    """The header, with any of the three kinds of line ends and with a byte order mark. Raises FormatError."""
    head = data[:LONGEST_HEADER]
    begun = re.match(rb"(?:\xef\xbb\xbf)?ply[ \t]*(\r\n|\n|\r)", head)
    if begun is None:
        raise FormatError("it has no PLY header")
    # with its own line end: what follows may begin with a byte that looks like another one
    ended = re.search(rb"[\r\n]end_header[ \t]*" + begun[1], head)
    if ended is None:
        complete = re.search(rb"[\r\n]end_header", head)
        raise FormatError("it has no PLY header" if complete is None else "it ends with its header")
    encoding, elements, comments = "", [], []
    try:
        for line in head[begun.end() : ended.start()].decode("utf-8", "replace").splitlines():
            match line.split():
                case ["format", encoding, *_]:
                    pass
                case ["element", name, count]:
                    elements.append((name.lower(), int(count), []))
                case ["property", "list", count_type, kind, name]:
                    require(not TYPES[count_type].startswith("f"), "it counts a list in fractions")
                    elements[-1][2].append(Property(name.lower(), TYPES[kind], TYPES[count_type]))
                case ["property", kind, name]:
                    elements[-1][2].append(Property(name.lower(), TYPES[kind], None))
                case ["comment" | "obj_info", *_]:
                    comments.append(line.strip())
    except (KeyError, ValueError, IndexError) as error:
        raise FormatError(f"its header is damaged ({error})") from error
    for named in (elements, *(properties for _, _, properties in elements)):
        require(len({one[0] if isinstance(one, tuple) else one.name for one in named}) == len(named), _TWICE)
    known = encoding in ("ascii", "binary_little_endian", "binary_big_endian")
    require(known, "its header names no known format")
    made = tuple(Element(name, count, tuple(properties)) for name, count, properties in elements)
    require(all(one.count >= 0 and len(one.properties) <= MOST_PROPERTIES for one in made), "its header is damaged")
    return Header(encoding, made, tuple(comments), ended.end())


class ElementReader:
    """What follows the header: `read` takes its elements in their order."""

    def __init__(self, header: Header, data: bytes) -> None:
        self._ascii = header.encoding == "ascii"
        self._order = ">" if "big" in header.encoding else "<"
        if self._ascii:
            # every number is an item of its own
            text = data[header.start :]
            self._items: NDArray = numbers_of(text)
            self._begins = _line_begins(text)
            require(len(self._begins) == len(self._items), "it holds something that is no number")
            self._at = 0
        else:
            self._items, self._data = np.frombuffer(data, np.uint8), data
            self._at = header.start

    @property
    def at(self) -> int:
        """Where the next element begins: a byte, or the how many-eth number after the header of an ASCII file."""
        return self._at

    def read(self, element: Element) -> Columns:
        """The next element, which is ``element``. Raises FormatError."""
        if not element.count or not element.properties:
            return Columns(
                {one.name: np.zeros(0, one.type) for one in element.properties if not one.count_type},
                {one.name: Lists(np.zeros(0, np.int64), np.zeros(0, one.type)) for one in element.lists},
            )
        sizes = self._first_sizes(element)
        width = self._width(element, sizes)
        if self._at + width * element.count <= len(self._items):
            found = self._alike(element, sizes, width)
            if all(np.all(lists.sizes == size) for lists, size in zip(found.lists.values(), sizes, strict=True)):
                self._require_lines(self._at + width * np.arange(element.count))
                self._at += width * element.count
                return found
        require(element.lists, "it ends in the middle")
        return self._mixed(element)

    def end(self, left: tuple[Element, ...]) -> None:
        """Nothing but the elements ``left`` follows, as far as the header says how long these are. Raises FormatError
        for more, as where rows have more numbers than the header declares."""
        if not any(one.lists for one in left):
            size = sum(one.count * self._width(one, []) for one in left)
            rest = self._items[self._at + size :]
            require(self._at + size <= len(self._items), "it ends in the middle")
            require(self._ascii or len(rest) <= 2, "it holds more than its header says")
            require(not self._ascii or not len(rest), "it holds more than its header says")

    def _require_lines(self, rows: NDArray[np.int64]) -> None:
        """Rows begin with the numbers ``rows`` of a text: each on a line of its own. Raises FormatError."""
        require(not self._ascii or self._begins[rows].all(), "a line has more or less numbers than its header says")

    def places(self, element: Element, names: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
        """Where the numbers with these names begin in the rows of the next element: bytes, or the how many-eth number
        after the header of an ASCII file. Raises FormatError."""
        at, found = self._at, {}
        if element.lists:
            starts = self._starts(element)
        else:
            width = self._width(element, [])
            starts = {0: at + width * np.arange(element.count)}
            self._at += width * element.count
            require(self._at <= len(self._items), "it ends in the middle")
        begins, offset = starts[0], 0
        for number, one in enumerate(element.properties, start=1):
            if one.count_type:
                begins, offset = starts[number], 0
                continue
            if one.name in names:
                found[one.name] = begins + offset
            offset += self._size_of(one.type)
        return found

    def _size_of(self, kind: str) -> int:
        return 1 if self._ascii else np.dtype(kind).itemsize

    def _count_at(self, at: int, kind: str) -> int:
        """The length of a list, whose count stands at ``at``."""
        end = at + self._size_of(kind)
        require(end <= len(self._items), "it ends in the middle")
        if self._ascii:
            size = float(self._items[at])
            require(0 <= size <= len(self._items), "its lists are damaged")
            return int(size)
        order = "big" if self._order == ">" else "little"
        size = int.from_bytes(self._data[at:end], order, signed=kind.startswith("i"))
        require(0 <= size <= len(self._items), "its lists are damaged")
        return size

    def _first_sizes(self, element: Element) -> list[int]:
        """The lengths of the lists in the first row."""
        at, sizes = self._at, []
        for one in element.properties:
            if one.count_type:
                sizes.append(self._count_at(at, one.count_type))
                at += self._size_of(one.count_type) + sizes[-1] * self._size_of(one.type)
            else:
                at += self._size_of(one.type)
        require(at <= len(self._items), "it ends in the middle")
        return sizes

    def _width(self, element: Element, sizes: list[int]) -> int:
        """Of a row whose lists have these lengths."""
        fixed = sum(self._size_of(one.count_type or one.type) for one in element.properties)
        return fixed + sum(size * self._size_of(one.type) for one, size in zip(element.lists, sizes, strict=True))

    def _alike(self, element: Element, sizes: list[int], width: int) -> Columns:
        """The rows, if their lists are as long as those of the first."""
        numbers, lists, left = {}, {}, iter(sizes)
        if self._ascii:
            rows = self._items[self._at : self._at + width * element.count].reshape(element.count, width)
            at = 0
            for one in element.properties:
                if one.count_type:
                    size = next(left)
                    values = rows[:, at + 1 : at + 1 + size].reshape(-1)
                    lists[one.name] = Lists(rows[:, at], _as_declared(values, one.type))
                    at += size
                else:
                    numbers[one.name] = _as_declared(rows[:, at], one.type)
                at += 1
            return Columns(numbers, lists)
        fields: list[tuple] = []
        for number, one in enumerate(element.properties):
            if one.count_type:
                fields.append((f"n{number}", self._order + one.count_type))
                fields.append((f"{number}", self._order + one.type, (next(left),)))
            else:
                fields.append((f"{number}", self._order + one.type))
        rows = np.frombuffer(self._data, np.dtype(fields), element.count, self._at)
        for number, one in enumerate(element.properties):
            if one.count_type:
                sizes_of: NDArray = rows[f"n{number}"]
                lists[one.name] = Lists(sizes_of, rows[f"{number}"].reshape(-1))
            else:
                numbers[one.name] = rows[f"{number}"]
        return Columns(numbers, lists)

    def _starts(self, element: Element) -> dict[int, NDArray[np.int64]]:
        """Where rows (0) and what follows the list of the property number k - 1 (k) begin: one row's place follows from
        the lengths of all lists before it. Moves on behind the element."""
        # (numbers before the list, its count, size of its items), and what stands behind the last list
        plan, fixed, after = [], 0, []
        for number, one in enumerate(element.properties, start=1):
            if one.count_type:
                plan.append((fixed, one.count_type, self._size_of(one.count_type), self._size_of(one.type)))
                fixed = 0
                after.append(number)
            else:
                fixed += self._size_of(one.type)
        ends: list[list[int]] = [[] for _ in plan]
        rows, at, end = [], self._at, len(self._items)
        one_byte = not self._ascii and all(kind == "u1" for _, kind, _, _ in plan)
        single = one_byte and len(plan) == 1
        alike, last = 0, -1
        while len(rows) < element.count:
            if single and alike >= RUN:
                # most rows are like the one before: as many as are follow at once
                width = at - rows[-1]
                counts = self._items[rows[-1] + plan[0][0] : end : width][1 : element.count - len(rows) + 1]
                more = int((counts != last).argmax()) if (counts != last).any() else len(counts)
                rows += range(at, at + more * width, width)
                ends[0] += range(ends[0][-1] + width, ends[0][-1] + width + more * width, width)
                at, alike = at + more * width, 0
                continue
            rows.append(at)
            for (before, kind, width, step), behind in zip(plan, ends, strict=True):
                at += before
                if one_byte and at < end:
                    size = self._data[at]
                else:
                    size = self._count_at(at, kind)
                at += width + size * step
                behind.append(at)
                alike, last = alike + 1 if size == last else 0, size
            at += fixed
            if at > end:
                raise FormatError("it ends in the middle")
        self._at = at
        return {0: np.array(rows), **{number: np.array(one) for number, one in zip(after, ends, strict=True)}}

    def _mixed(self, element: Element) -> Columns:
        """Rows whose lists have different lengths."""
        starts, numbers, lists = self._starts(element), {}, {}
        begins = starts[0]
        self._require_lines(begins)
        for number, one in enumerate(element.properties, start=1):
            if one.count_type:
                width, step = self._size_of(one.count_type), self._size_of(one.type)
                sizes = (starts[number] - begins - width) // step
                first = np.cumsum(sizes) - sizes
                places = np.repeat(begins + width - first * step, sizes) + np.arange(sizes.sum()) * step
                lists[one.name] = Lists(sizes, self._take(places, one.type))
                begins = starts[number]
            else:
                numbers[one.name] = self._take(begins, one.type)
                begins = begins + self._size_of(one.type)
        return Columns(numbers, lists)

    def _take(self, places: NDArray[np.int64], kind: str) -> NDArray:
        if self._ascii:
            return _as_declared(self._items[places], kind)
        return self._items[places[:, None] + np.arange(np.dtype(kind).itemsize)].view(self._order + kind)[:, 0]


def _as_declared(numbers: NDArray[np.float64], kind: str) -> NDArray:
    """Numbers of a text, whole ones where the header says so."""
    if kind.startswith("f"):
        return numbers
    require(np.all(np.abs(numbers) < 1 << 53), "it holds something else where its header wants a whole number")
    whole = numbers.astype(np.int64)
    require(np.all(whole == numbers), "it holds a fraction where its header wants a whole number")
    return whole


def _line_begins(text: bytes) -> NDArray[np.bool_]:
    """Whether a line begins with each word of a text."""
    raw = np.frombuffer(text, np.uint8)
    blank = raw <= 32
    words = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    ends = np.flatnonzero((raw == ord("\n")) | (raw == ord("\r")))
    begins = np.zeros(len(words), bool)
    begins[:1] = True
    behind = np.searchsorted(words, ends)
    begins[behind[behind < len(words)]] = True
    return begins


def numbers_of(text: bytes) -> NDArray[np.float64]:
    """The numbers of a text with blanks or line ends between them. Raises FormatError."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text.decode("ascii", "replace"), sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise FormatError("it holds something that is no number") from error
