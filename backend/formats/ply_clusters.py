"""Large binary PLY files of points or triangles, thinned while they are read: a vertex for each cell of a grid.

Vertices around the same one become their mean, and triangles between three of them stay (J. Rossignac and P. Borrel,
Multi-resolution 3D approximations for rendering complex scenes, 1993). Memory follows the cells, not the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .addition import as_type
from .files import require
from .ply import COLOURS, SPLAT, Ply, mesh_of
from .ply_elements import LONGEST_HEADER, Columns, Element, Header, Lists, read_header

OnProgress = Callable[[float, str], None]

THIN_ABOVE = 2_000_000
"""Vertices up to which a scan is read as it is: with their faces they take about a gigabyte until they are fitted."""
MOST_CELLS = 8_000_000
"""Of the grid. Where a scan has more, they are taken twice as large."""
FINER = 4
"""Vertices that stay along a voxel, so that one at the surface has some sixteen, each a mean of many."""
CELLS = 1.5
"""Cells of the grid from one of them to the next."""
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
    """The mesh of a PLY file of ``size`` bytes, thinned for a fit with ``voxels`` along its longest side; None for a
    file that is to be read as it is: of less vertices than THIN_ABOVE, text, splats, or polygons.

    on_progress may raise. Raises FormatError.
    """
    header = read_header(stream.read(LONGEST_HEADER))
    vertex, face = _plain(header, size)
    if vertex is None or vertex.count <= THIN_ABOVE:
        return None
    kinds = _rows_of(vertex, header)
    stride = 1 + vertex.count // SAMPLE
    sample = [_places(rows)[::stride] for _, rows in _chunks(stream, header.start, kinds, vertex.count)]
    whole = np.concatenate(sample)
    whole = whole[np.isfinite(whole).all(axis=1)]
    if not len(whole):
        return None
    low, high = np.percentile(whole, (OUTSIDE, 100 - OUTSIDE), axis=0)
    side = float((high - low).max()) / (CELLS * FINER * voxels)
    cells = None
    while side > 0 and cells is None:
        cells = _Cells.of(stream, header, vertex, (low + high) / 2, side, on_progress)
        side *= 2
    if cells is None:
        return None
    lists = {}
    if face is not None:
        corners = _triangles(stream, header, vertex, face, cells.of_vertex, on_progress)
        if corners is None:
            return None
        lists = {face.lists[0].name: Lists(np.full(len(corners), 3), corners.reshape(-1))}
    found = {"vertex": Columns(cells.columns(vertex), {}), "face": Columns({}, lists)}
    lost = "; whole numbers of vertices, and all that faces carry, are not kept" if _carries(vertex, face) else ""
    note = (
        f"It has {vertex.count:,} vertices, which were thinned to {len(cells.sums):,} while it was read: "
        f"{FINER} along each voxel's side{lost}."
    )
    return mesh_of(header, found, (note,))


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


def _carries(vertex: Element, face: Element | None) -> bool:
    return len(_mean_names(vertex)) < len(vertex.properties) or (face is not None and len(face.properties) > 1)


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


def _chunks(stream: BinaryIO, start: int, kind: np.dtype, count: int) -> Iterator[tuple[int, NDArray]]:
    """Rows of the file, some at a time, each time with the number of the first."""
    stream.seek(start)
    for first in range(0, count, ROWS):
        rows = min(ROWS, count - first)
        data = stream.read(rows * kind.itemsize)
        require(len(data) == rows * kind.itemsize, "it ends in the middle")
        yield first, np.frombuffer(data, kind)


def _places(rows: NDArray) -> NDArray[np.float64]:
    return np.stack([rows[f"_{axis}"].astype(np.float64) for axis in "xyz"], axis=1)


class _Cells:
    """Cells of a grid that hold vertices."""

    def __init__(self, names: list[str], count: int) -> None:
        self.names = names
        self.keys = np.zeros(0, np.int64)  # (n,), of the cells that were found, rising
        self.sums = np.zeros((0, len(names) + 1))  # (n, k + 1), of properties, and the number of vertices
        self.of_vertex = np.full(count, -1, np.int32)  # cells of vertices, -1 for those that are nowhere

    @classmethod
    def of(
        cls, stream: BinaryIO, header: Header, vertex: Element, middle: NDArray, side: float, on_progress: OnProgress
    ) -> _Cells | None:
        """The cells of this size; None where there are more than MOST_CELLS."""
        found, parts = cls(_mean_names(vertex), vertex.count), []
        for first, rows in _chunks(stream, header.start, _rows_of(vertex, header), vertex.count):
            on_progress(0.0, "reading and thinning")
            places = _places(rows)
            there = np.isfinite(places).all(axis=1)
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
        joined = found._join(CELLS * side)
        for first, count, keys in parts:
            own = found.of_vertex[first : first + count]
            own[own >= 0] = joined[np.searchsorted(found.keys, keys)][own[own >= 0]]
        return found

    def _add(self, keys: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        every = np.union1d(self.keys, keys)
        whole = np.zeros((len(every), sums.shape[1]))
        whole[np.searchsorted(every, self.keys)] = self.sums
        whole[np.searchsorted(every, keys)] += sums
        self.keys, self.sums = every, whole

    def _join(self, reach: float) -> NDArray[np.int64]:
        """Join cells around the fullest ones, which are ``reach`` apart: each with the nearest of these. Cells of a
        grid alone would cut a noisy surface into layers, with folds between them. Returns the new number (n,) of each.
        """
        # loads scipy, which reading does without
        from scipy.spatial import KDTree

        count = self.sums[:, -1]
        means = self.sums[:, [self.names.index(axis) for axis in "xyz"]] / count[:, None]
        first, second = KDTree(means).query_pairs(reach, output_type="ndarray").T.astype(np.int32)
        rank = np.empty(len(count), np.int32)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
        turned = rank[first] > rank[second]
        first[turned], second[turned] = second[turned], first[turned]
        left, chosen = np.ones(len(count), bool), np.zeros(len(count), bool)
        while left.any():
            # of those that are left, the ones that are fuller than all their neighbours
            fullest = left.copy()
            fullest[second] = False
            chosen |= fullest
            left &= ~fullest
            left[second[fullest[first]]] = False
            some = left[first] & left[second]
            first, second = first[some], second[some]
        number = KDTree(means[chosen]).query(means)[1]
        columns = [np.bincount(number, column, int(chosen.sum())) for column in self.sums.T]
        self.sums = np.stack(columns, axis=1, dtype=np.float64)
        return number

    def columns(self, vertex: Element) -> dict[str, NDArray]:
        """Means of the properties; coordinates in double precision, the others in their own types."""
        types = {one.name: one.type for one in vertex.properties}
        means = self.sums[:, :-1] / self.sums[:, -1:]
        return {
            name: mean if name in "xyz" else as_type(mean, types[name])
            for name, mean in zip(self.names, means.T, strict=True)
        }


def _triangles(
    stream: BinaryIO, header: Header, vertex: Element, face: Element, cell: NDArray[np.int32], on_progress: OnProgress
) -> NDArray[np.int64] | None:
    """Triangles (m, 3) between cells (n,) of vertices; None where some faces are no triangles."""
    start = header.start + vertex.count * _rows_of(vertex, header).itemsize
    found = [np.zeros((0, 3), np.int32)]
    for _, rows in _chunks(stream, start, _rows_of(face, header), face.count):
        on_progress(0.0, "reading and thinning")
        if not (rows["n"] == 3).all():
            return None
        corners = rows["corners"]
        require(((corners >= 0) & (corners < len(cell))).all(), "its faces refer to points it does not have")
        if corners.dtype.kind == "f":
            require((np.floor(corners) == corners).all(), "its faces have corners that are not whole numbers")
        moved = cell[corners.astype(np.int64)]
        a, b, c = moved.T
        found.append(moved[(a != b) & (b != c) & (c != a) & (moved >= 0).all(axis=1)])
    return _once(np.concatenate(found).astype(np.int64))


def _once(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each triangle once; not at all where as many copies face either way, as on a wall thinner than a cell."""
    if not len(faces):
        return faces
    turn = faces.argmin(axis=1)
    a, b, c = (faces[np.arange(len(faces)), (turn + step) % 3] for step in range(3))
    way = np.where(b < c, 1, -1)
    low, high = np.minimum(b, c), np.maximum(b, c)
    order = np.lexsort((high, low, a))
    table = np.stack([a, low, high], axis=1)[order]
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(table, axis=0) != 0).any(axis=1)]))
    net = np.add.reduceat(way[order], begins)
    kept = table[begins]
    kept[net < 0] = kept[net < 0][:, [0, 2, 1]]
    return kept[net != 0]
