"""Large binary PLY files of points or triangles, thinned to points while they are read: one for each cell of a grid.

The vertices of a cell become their mean, and the area vectors of the triangles around them, which a noisy mesh folds in
all directions, add up to its normal. Memory follows the cells, and the file by some bytes a vertex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .addition import as_type
from .files import require
from .ply import COLOURS, NORMALS, SPLAT, Ply, mesh_of
from .ply_elements import LONGEST_HEADER, Columns, Element, Header, read_header

OnProgress = Callable[[float, str], None]

THIN_ABOVE = 2_000_000
"""Vertices up to which a scan is read as it is: with their faces they take about a gigabyte until they are fitted."""
MOST_CELLS = 4_000_000
"""Of the grid. Where a scan has more, they are taken twice as large."""
FINER = 4
"""Cells along a voxel, so that one at the surface still has some sixteen points, each a mean of many."""
ROWS = 1 << 20
"""Rows of the file that are held at a time."""
SAMPLE = 200_000
"""Vertices that tell the size of the scan."""
OUTSIDE = 0.5
"""Percent of the sample at either end of an axis that may be outliers."""
_FARTHEST = 1 << 20
"""Cells from the middle, so that three numbers of them fit into 63 bits."""
_CHANNELS = {name for names in COLOURS for name in names} | {"alpha", "diffuse_alpha", "a"}


def thinned_ply(stream: BinaryIO, size: int, voxels: float, on_progress: OnProgress) -> Ply | None:
    """The points of a PLY file of ``size`` bytes, thinned for a fit with ``voxels`` along its longest side; None for a
    file that is to be read as it is: of less vertices than THIN_ABOVE, text, splats, or polygons.

    on_progress may raise. Raises FormatError.
    """
    header = read_header(stream.read(LONGEST_HEADER))
    vertex, face = _plain(header, size)
    if vertex is None or vertex.count <= THIN_ABOVE:
        return None
    stride = 1 + vertex.count // SAMPLE
    reading = _Reading(stream, header, vertex, face, on_progress)
    sample = [_places(rows[::stride]) for _, rows in reading.vertices()]
    whole = np.concatenate(sample)
    whole = whole[np.isfinite(whole).all(axis=1)]
    if not len(whole):
        return None
    low, high = np.percentile(whole, (OUTSIDE, 100 - OUTSIDE), axis=0)
    side = float((high - low).max()) / (FINER * voxels)
    cells = None
    while side > 0 and cells is None:
        cells = _Cells.of(reading, (low + high) / 2, side)
        side *= 2
    if cells is None:
        return None
    columns, lost = cells.columns(vertex), []
    if face is not None:
        found = _normals(reading, cells)
        if found is None:
            return None
        if not set(NORMALS) <= columns.keys():
            columns |= dict(zip(NORMALS, found.T, strict=True))
        lost.append("its faces gave them normals and are not kept")
    if len(_mean_names(vertex)) < len(vertex.properties):
        lost.append("whole numbers of vertices are not kept")
    note = (
        f"It has {vertex.count:,} vertices, which were thinned to {len(cells.sums):,} points while it was read, "
        f"{'; '.join([f'{FINER} along each voxel', *lost])}."
    )
    return mesh_of(header, {"vertex": Columns(columns, {})}, (note,))


def _plain(header: Header, size: int) -> tuple[Element | None, Element | None]:
    """The vertices of a file, and its faces where it has any; neither where these are not all that is in it."""
    elements = [one for one in header.elements if one.count and one.properties]
    names = [one.name for one in elements]
    if header.encoding == "ascii" or names not in (["vertex"], ["vertex", "face"]) or elements[0].lists:
        return None, None
    vertex, face = elements[0], elements[1] if len(elements) > 1 else None
    known = {one.name for one in vertex.properties}
    if not {"x", "y", "z"} <= known or set(SPLAT) <= known or (face is not None and len(face.lists) != 1):
        return None, None
    length = sum(one.count * _rows_of(one, header).itemsize for one in elements)
    return (vertex, face) if header.start + length == size else (None, None)


def _mean_names(vertex: Element) -> list[str]:
    """Properties that have a mean."""
    return [one.name for one in vertex.properties if one.type.startswith("f") or one.name in _CHANNELS]


def _rows_of(element: Element, header: Header) -> np.dtype:
    """Rows of an element whose lists have three items, with the count as "n"."""
    order, fields = ">" if "big" in header.encoding else "<", []
    for one in element.properties:
        if one.count_type:
            fields += [("n", order + one.count_type), ("corners", order + one.type, (3,))]
        else:
            fields.append((f"_{one.name}", order + one.type))
    return np.dtype(fields)


class _Reading:
    """The rows of a file, some at a time, each time with the number of the first; says how many were read."""

    def __init__(
        self, stream: BinaryIO, header: Header, vertex: Element, face: Element | None, on_progress: OnProgress
    ) -> None:
        self.vertex, self._face = vertex, face
        self._stream, self._header, self._on_progress = stream, header, on_progress
        self._vertex_rows = _rows_of(vertex, header)
        # vertices are read twice
        self._done, self._rows = 0, 2 * vertex.count + (face.count if face is not None else 0)

    def vertices(self) -> Iterator[tuple[int, NDArray]]:
        return self._chunks(self._header.start, self._vertex_rows, self.vertex.count)

    def faces(self) -> Iterator[tuple[int, NDArray]]:
        assert self._face is not None
        start = self._header.start + self.vertex.count * self._vertex_rows.itemsize
        return self._chunks(start, _rows_of(self._face, self._header), self._face.count)

    def _chunks(self, start: int, kind: np.dtype, count: int) -> Iterator[tuple[int, NDArray]]:
        self._stream.seek(start)
        for first in range(0, count, ROWS):
            rows = min(ROWS, count - first)
            # vertices are read once more where the cells were too small
            share = min(self._done / self._rows, 1)
            self._on_progress(0.0, f"reading and thinning, {10 * int(10 * share)} %")
            data = self._stream.read(rows * kind.itemsize)
            require(len(data) == rows * kind.itemsize, "it ends in the middle")
            yield first, np.frombuffer(data, kind)
            self._done += rows


def _places(rows: NDArray) -> NDArray[np.float64]:
    return np.stack([rows[f"_{axis}"].astype(np.float64) for axis in "xyz"], axis=1)


class _Cells:
    """Cells of a grid that hold vertices."""

    def __init__(self, names: list[str], count: int) -> None:
        self.names = names
        self.keys = np.zeros(0, np.int64)  # (n,), of the cells that were found, rising
        self.sums = np.zeros((0, len(names) + 1))  # (n, k + 1), of properties, and the number of vertices
        self.of_vertex = np.full(count, -1, np.int32)  # cells of vertices, -1 for those that are nowhere
        self.places = np.empty((count, 3), np.float32)  # of vertices, from the middle

    @classmethod
    def of(cls, reading: _Reading, middle: NDArray, side: float) -> _Cells | None:
        """The cells of this size; None where there are more than MOST_CELLS."""
        found, parts = cls(_mean_names(reading.vertex), reading.vertex.count), []
        for first, rows in reading.vertices():
            places = _places(rows)
            there = np.isfinite(places).all(axis=1)
            with np.errstate(over="ignore", invalid="ignore"):
                found.places[first : first + len(rows)] = places - middle
            cell = np.floor((places[there] - middle) / side).clip(-_FARTHEST, _FARTHEST - 1).astype(np.int64)
            x, y, z = (cell + _FARTHEST).T
            keys, inverse = np.unique((x << 42) | (y << 21) | z, return_inverse=True)
            columns = [rows[f"_{name}"][there].astype(np.float64) for name in found.names]
            sums = [np.bincount(inverse, column, len(keys)) for column in columns]
            found._add(keys, np.stack([*sums, np.bincount(inverse, minlength=len(keys))], axis=1, dtype=np.float64))
            if len(found.keys) > MOST_CELLS:
                return None
            found.of_vertex[first : first + len(rows)][there] = inverse
            parts.append((first, len(rows), keys))
        for first, count, keys in parts:
            own = found.of_vertex[first : first + count]
            own[own >= 0] = np.searchsorted(found.keys, keys)[own[own >= 0]]
        return found

    def _add(self, keys: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        every = np.union1d(self.keys, keys)
        whole = np.zeros((len(every), sums.shape[1]))
        whole[np.searchsorted(every, self.keys)] = self.sums
        whole[np.searchsorted(every, keys)] += sums
        self.keys, self.sums = every, whole

    def columns(self, vertex: Element) -> dict[str, NDArray]:
        """Means of the properties; coordinates in double precision, the others in their own types."""
        types = {one.name: one.type for one in vertex.properties}
        means = self.sums[:, :-1] / self.sums[:, -1:]
        return {
            name: mean if name in "xyz" else as_type(mean, types[name])
            for name, mean in zip(self.names, means.T, strict=True)
        }


def _normals(reading: _Reading, cells: _Cells) -> NDArray[np.float64] | None:
    """Normals (n, 3) of cells, of any length; None where some faces are no triangles."""
    count, vertices = len(cells.sums), reading.vertex.count
    found = np.zeros((count, 3))
    for _, rows in reading.faces():
        if not (rows["n"] == 3).all():
            return None
        corners = rows["corners"]
        require(((corners >= 0) & (corners < vertices)).all(), "its faces refer to points it does not have")
        if corners.dtype.kind == "f":
            require((np.floor(corners) == corners).all(), "its faces have corners that are not whole numbers")
        corners = corners.astype(np.int64)
        cell = cells.of_vertex[corners]
        corners, cell = (table[(cell >= 0).all(axis=1)] for table in (corners, cell))
        a, b, c = cells.places[corners].transpose(1, 0, 2).astype(np.float64)
        with np.errstate(invalid="ignore"):
            area = np.nan_to_num(np.cross(b - a, c - a))
        for axis in range(3):
            found[:, axis] += sum(np.bincount(own, area[:, axis], count) for own in cell.T)
    return found
