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
WINDOW = 1 << 16
"""Places, and rows, that are looked at together: they stay in the processor's cache."""
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
    except FormatError:
        raise
    except (KeyError, ValueError, IndexError) as error:
        raise FormatError("its header is damaged") from error
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
            if found is not None:
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
            rows = self._starts(element)
            starts = {0: rows, **self._behind(element, rows)[1]}
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
            require(0 <= size <= len(self._items) and size.is_integer(), "its lists are damaged")
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

    def _alike(self, element: Element, sizes: list[int], width: int) -> Columns | None:
        """The rows, if their lists are as long as those of the first, which have these ``sizes``; else None."""
        numbers, lists, left = {}, {}, iter(sizes)
        if self._ascii:
            rows = self._items[self._at : self._at + width * element.count].reshape(element.count, width)
            at = 0
            for one in element.properties:
                if one.count_type:
                    size = next(left)
                    if not (rows[:, at] == size).all():
                        return None
                    lists[one.name] = Lists(rows[:, at], rows[:, at + 1 : at + 1 + size].reshape(-1))
                    at += size
                else:
                    numbers[one.name] = rows[:, at]
                at += 1
            types = {one.name: one.type for one in element.properties}
            return Columns(
                {name: _as_declared(column, types[name]) for name, column in numbers.items()},
                {name: Lists(some.sizes, _as_declared(some.values, types[name])) for name, some in lists.items()},
            )
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
                if not (sizes_of == rows.dtype[f"{number}"].shape[0]).all():
                    return None
                lists[one.name] = Lists(sizes_of, rows[f"{number}"].reshape(-1))
            else:
                numbers[one.name] = rows[f"{number}"]
        return Columns(numbers, lists)

    def _starts(self, element: Element) -> NDArray[np.int64]:
        """Where rows begin: one row's place follows from the lengths of all lists before it. Moves on behind the
        element."""
        found, left, at = [np.zeros(0, np.int64)], element.count, self._at
        while left:
            require(at < len(self._items), "it ends in the middle")
            # where a row would end that began at any place of a window; the rows are those that begin where one ends
            window = np.arange(at, min(at + WINDOW, len(self._items)))
            jumps = [np.append(np.minimum(self._behind(element, window)[0] - at, len(window)), len(window))]
            while jumps[-1][0] < len(window):
                jumps.append(jumps[-1][jumps[-1]])
            rows = np.zeros(1, np.int64)
            for jump in reversed(jumps[:-1]):
                # with every 2^k-th row those half as far apart
                rows = np.concatenate([rows, jump[rows]])
            rows = np.sort(rows[rows < len(window)])[:left] + at
            found.append(rows)
            left -= len(rows)
            at = int(self._behind(element, rows[-1:])[0][0])
        require(at <= len(self._items), "it ends in the middle, or its lists are damaged")
        self._at = at
        return np.concatenate(found)

    def _behind(self, element: Element, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[int, NDArray]]:
        """Where rows end that begin at places (n,), and where what follows the list of the property number k - 1 begins
        (k); beyond the items for what is no row."""
        at, most, found = rows, len(self._items), {}
        for number, one in enumerate(element.properties, start=1):
            at = at + self._size_of(one.count_type or one.type)
            if one.count_type:
                width = self._size_of(one.count_type)
                count = self._take(np.minimum(at, most) - width, one.count_type)
                valid = (at <= most) & (count >= 0) & (count <= most)
                valid &= np.floor(count) == count
                length = np.where(valid, count, 0).astype(np.int64) * self._size_of(one.type)
                at = np.where(valid, at + length, most + 1)
                found[number] = at
        return at, found

    def _mixed(self, element: Element) -> Columns:
        """Rows whose lists have different lengths."""
        starts = self._starts(element)
        numbers: dict[str, list[NDArray]] = {}
        lists: dict[str, list[Lists]] = {}
        self._require_lines(starts)
        for first in range(0, element.count, WINDOW):
            begins = starts[first : first + WINDOW]
            some = self._behind(element, begins)[1]
            for number, one in enumerate(element.properties, start=1):
                if one.count_type:
                    width, step = self._size_of(one.count_type), self._size_of(one.type)
                    sizes = (some[number] - begins - width) // step
                    before = np.cumsum(sizes) - sizes
                    places = np.repeat(begins + width - before * step, sizes) + np.arange(sizes.sum()) * step
                    lists.setdefault(one.name, []).append(Lists(sizes, self._declared(places, one.type)))
                    begins = some[number]
                else:
                    numbers.setdefault(one.name, []).append(self._declared(begins, one.type))
                    begins = begins + self._size_of(one.type)
        return Columns(
            {name: np.concatenate(parts) for name, parts in numbers.items()},
            {name: Lists(*map(np.concatenate, zip(*parts, strict=True))) for name, parts in lists.items()},
        )

    def _declared(self, places: NDArray[np.int64], kind: str) -> NDArray:
        """Numbers at places (n,), of this type."""
        found = self._take(places, kind)
        return _as_declared(found, kind) if self._ascii else found

    def _take(self, places: NDArray[np.int64], kind: str) -> NDArray:
        width = self._size_of(kind)
        if width == 1:
            return self._items[places] if self._ascii else self._items[places].view(kind)
        return self._items[places[:, None] + np.arange(width)].view(self._order + kind)[:, 0]


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
