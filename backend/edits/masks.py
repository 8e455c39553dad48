"""Where an edit acts: smooth functions of canonical position between 0 and 1."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from ..errors import refuse
from ..formats.files import open_file, read_all
from ..formats.npz import read_npy
from ..geometry.smoothing import falloff

LARGEST_MASK = 512 << 20
"""Bytes: double precision for as many vertices as a scan may have."""
REACH = 2.0
"""Voxels beyond its painted vertices at which a mask ends."""
SLACK = 1e-3
"""Weights this far below 0 or above 1 are rounding; farther, and they were never weights."""
NEIGHBOURS = 6
MOST_SAMPLES = 200_000
"""About this many points at most stand in for the painted faces."""
CHUNK = 1 << 17
"""Points that are looked up at a time."""


class Mask(Protocol):
    """How much of an edit acts where."""

    def at(self, points: NDArray, normals: NDArray | None = None) -> NDArray[np.float32]:
        """Weights f32 (n,), 0 to 1, at finite canonical points (n, 3); normals: the surface's there, if known."""
        ...


@dataclass(frozen=True)
class BoxMask:
    """1 inside a box, falling smoothly to exactly 0 at ``falloff`` outside it; a step where falloff is 0.

    low, high: corners (3,); falloff: canonical units. Raises OmomiError(BAD_OPTION) where these make no box.
    """

    low: NDArray
    high: NDArray
    falloff: float

    def __post_init__(self) -> None:
        low, high = _triple("The lowest corner", self.low), _triple("The highest corner", self.high)
        if (low > high).any():
            refuse("the mask's box has a lowest corner above its highest")
        vars(self).update(low=low, high=high, falloff=_length("falloff", self.falloff))

    def at(self, points: NDArray, normals: NDArray | None = None) -> NDArray[np.float32]:
        outside = np.maximum(np.maximum(self.low - points, points - self.high), 0.0)
        return _fall(np.linalg.norm(outside, axis=1), self.falloff)


@dataclass(frozen=True)
class SphereMask:
    """1 inside a sphere, falling smoothly to exactly 0 at ``falloff`` outside it; a step where falloff is 0.

    centre: (3,); radius, falloff: canonical units. Raises OmomiError(BAD_OPTION) where these make no sphere.
    """

    centre: NDArray
    radius: float
    falloff: float

    def __post_init__(self) -> None:
        centre, radius = _triple("The centre", self.centre), _length("radius", self.radius)
        vars(self).update(centre=centre, radius=radius, falloff=_length("falloff", self.falloff))

    def at(self, points: NDArray, normals: NDArray | None = None) -> NDArray[np.float32]:
        return _fall(np.linalg.norm(points - self.centre, axis=1) - self.radius, self.falloff)


@dataclass(frozen=True)
class BorderMask:
    """0 at the border of an open mesh, rising smoothly to another mask's weight, or to 1, at ``width`` from it.

    vertices: f64 (n, 3), canonical; faces: (m, 3); width: canonical units.
    """

    vertices: NDArray
    faces: NDArray
    width: float
    within: Mask | None = None

    @cached_property
    def _border(self) -> KDTree:
        edges = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        edges, uses = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
        return KDTree(self.vertices[np.unique(edges[uses == 1])])

    def at(self, points: NDArray, normals: NDArray | None = None) -> NDArray[np.float32]:
        weights = (1 - falloff(self._border.query(points)[0] / self.width)).astype(np.float32)
        return weights if self.within is None else weights * self.within.at(points, normals)


@dataclass(frozen=True)
class PaintedMask:
    """Weights of vertices, carried into the space around them.

    vertices: f64 (n, 3), canonical, of which those that are not finite do not count; weights: f32 (n,), 0 to 1; voxel:
    canonical size; normals: (n, 3), any length, or None.

    A point takes the mean of the vertices around it, nearer ones counting more and one that it meets counting alone
    (Franke and Little's modified Shepard weights over the nearest few), times a factor that is 1 up to half the reach
    from the nearest vertex with a positive weight and falls smoothly to 0 at the reach, REACH voxels. So the mask is
    continuous, exact at vertices, and exactly 0 beyond. Faces much larger than a voxel would have holes in their
    middle: ``of_mesh`` fills them.

    With normals given here and to ``at``, distance is taken in joined space, |dx|^2 + (reach / 2)^2 |dn|^2: what
    faces the other way is at least the reach away, so paint does not get through a wall however thin it is.

    Raises OmomiError(BAD_OPTION) for arrays that do not fit together, and weights that are not between 0 and 1.
    """

    vertices: NDArray
    weights: NDArray
    voxel: float
    normals: NDArray | None = None

    def __post_init__(self) -> None:
        vertices = _rows("vertices", self.vertices)
        weights = checked_weights(self.weights, len(vertices), "The mask")
        normals = None if self.normals is None else _unit(_rows("normals", self.normals))
        if normals is not None and len(normals) != len(vertices):
            refuse(f"the mask has {len(normals):,} normals for {len(vertices):,} vertices")
        if not _length("voxel", self.voxel) > 0:
            refuse("the voxels of a mask have no size")
        vars(self).update(vertices=vertices, weights=weights, normals=normals)

    @classmethod
    def of_mesh(
        cls, vertices: NDArray, faces: NDArray, weights: NDArray, voxel: float, normals: NDArray | None = None
    ) -> PaintedMask:
        """Mask of a painted mesh, faces (m, 3): weights run linearly over faces that are larger than a voxel."""
        painted = cls(vertices, weights, voxel, normals)
        faces = np.asarray(faces, np.int64).reshape(-1, 3)
        worth = (painted.weights[faces] > 0).any(axis=1) & np.isfinite(painted.vertices[faces]).all(axis=(1, 2))
        row, share = _lattice(painted.vertices, faces[worth], voxel)
        turned = painted.normals
        return cls(
            np.concatenate([painted.vertices, np.einsum("nk,nka->na", share, painted.vertices[row])]),
            np.concatenate([painted.weights, np.einsum("nk,nk->n", share, painted.weights[row])]),
            voxel,
            None if turned is None else np.concatenate([turned, np.einsum("nk,nka->na", share, turned[row])]),
        )

    @property
    def reach(self) -> float:
        """Canonical distance from the painted vertices at which the mask ends."""
        return REACH * self.voxel

    def at(self, points: NDArray, normals: NDArray | None = None) -> NDArray[np.float32]:
        if self.normals is None or normals is None:
            sites, places = self._sites, np.asarray(points, np.float64)
        else:
            sites, places = self._facing_sites, self._joined(np.asarray(points, np.float64), _unit(normals))
        found = np.zeros(len(places), np.float32)
        if sites.tree.n:
            for start in range(0, len(places), CHUNK):
                part = slice(start, start + CHUNK)
                found[part] = sites.at(places[part], self.reach)
        return found

    def _joined(self, points: NDArray, normals: NDArray) -> NDArray[np.float64]:
        return np.concatenate([points, normals * (self.reach / 2)], axis=1)

    @cached_property
    def _sites(self) -> _Sites:
        near = self._near_paint
        return _Sites.of(self.vertices[near], self.weights[near])

    @cached_property
    def _facing_sites(self) -> _Sites:
        assert self.normals is not None
        near = self._near_paint
        return _Sites.of(self._joined(self.vertices[near], self.normals[near]), self.weights[near])

    @cached_property
    def _near_paint(self) -> NDArray[np.intp]:
        """Vertices, by number, that a point within the reach of the paint can have within its own reach."""
        (finite,) = np.nonzero(np.isfinite(self.vertices).all(axis=1))
        painted = self.vertices[finite[self.weights[finite] > 0]]
        if len(painted) == 0:
            return np.zeros(0, np.intp)
        limit = 2 * self.reach * (1 + 1e-9)
        distance, _ = KDTree(painted).query(self.vertices[finite], distance_upper_bound=limit)
        return finite[np.isfinite(distance)]


@dataclass(frozen=True)
class _Sites:
    """Points of a plain or joined space and their weights f32 (n,), no two at the same place."""

    tree: KDTree
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, places: NDArray, weights: NDArray) -> _Sites:
        if len(places) == 0:
            return cls(KDTree(places), np.zeros(0, np.float32))
        single, index, uses = np.unique(places, axis=0, return_inverse=True, return_counts=True)
        mean = np.bincount(index.reshape(-1), weights) / uses
        return cls(KDTree(single, leafsize=32), mean.astype(np.float32))

    def at(self, places: NDArray, reach: float) -> NDArray[np.float32]:
        # One more neighbour than counts: its distance is where the others' influence ends, so that no neighbour
        # comes or goes with a jump.
        distance, index = self.tree.query(places, NEIGHBOURS + 1, distance_upper_bound=reach)
        distance = (distance / reach).astype(np.float32)  # infinite where no neighbour is within reach
        (row,) = np.nonzero(distance[:, 0] < 1)
        distance = distance[row]
        weight = np.append(self.weights, np.float32(0))[index[row, :-1]]
        end = np.clip(distance[:, -1:], 1e-9, 1)
        distance = distance[:, :-1]
        # The two small terms stand for neighbours that are met exactly and for neighbours equally far.
        influence = np.maximum(1 - distance / end, 0)
        influence += 1e-3
        influence /= np.hypot(distance, np.float32(1e-4))
        influence *= influence
        influence[distance >= 1] = 0
        mean = np.einsum("nk,nk->n", influence, weight) / influence.sum(axis=1)
        nearest = np.where(weight > 0, distance, np.inf).min(axis=1)
        found = np.zeros(len(places), np.float32)
        found[row] = np.minimum(mean, 1) * _fall(nearest - 0.5, 0.5)
        return found


@dataclass(frozen=True)
class NearestMask:
    """The weights of a surface, carried into all of space: every place takes that of the nearest point, so that what
    is made of an opening, or put on, stands as a whole."""

    points: NDArray  # (n, 3), canonical
    weights: NDArray[np.float32]  # (n,), 0 to 1

    @classmethod
    def of(cls, mask: Mask, points: NDArray, normals: NDArray) -> NearestMask:
        """A mask at the points (n, 3) of a surface that faces along normals (n, 3)."""
        return cls(points, mask.at(points, normals))

    def touches(self, centres: NDArray, reach: float) -> NDArray[np.bool_]:
        """bool (m,): whether a weight within ``reach`` of canonical points (m, 3) may be above 0."""
        if not self._painted.n:
            return np.zeros(len(centres), bool)
        painted, nearest = (tree.query(centres, workers=-1)[0] for tree in (self._painted, self._tree))
        return painted <= nearest + 2 * reach

    def at(self, points: NDArray, normals: NDArray | None = None) -> NDArray[np.float32]:
        return self.weights[np.asarray(self._tree.query(points, workers=-1)[1])]

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points)

    @cached_property
    def _painted(self) -> KDTree:
        return KDTree(self.points[self.weights > 0])


def mask_from_file(path: Path, count: int) -> NDArray[np.float32]:
    """Weights f32 (count,) from a .npy file: one number from 0 to 1 for each vertex.

    Raises OmomiError: UNREADABLE_FILE (absent, damaged, no .npy), BAD_OPTION (not one row of ``count`` numbers, not
    finite, not between 0 and 1).
    """
    path = Path(path)
    with open_file(path) as stream:
        data = read_all(stream, LARGEST_MASK)
        array = read_npy(io.BytesIO(data), len(data))
    return checked_weights(array, count, f"The mask {path.name}")


def checked_weights(weights: ArrayLike, count: int, name: str) -> NDArray[np.float32]:
    """``weights`` as f32 (count,), clipped to 0 to 1; name: how messages begin.

    Raises OmomiError(BAD_OPTION) for another shape or length, values that are not finite or are farther than SLACK
    from that range.
    """
    array = np.asarray(weights)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        refuse(f"{name} is not one row of numbers")
    if len(array) != count:
        refuse(f"{name} has {len(array):,} weights, but the scan has {count:,} vertices")
    if not np.isfinite(array).all():
        refuse(f"{name} has weights that are not finite")
    if count and (array.min() < -SLACK or array.max() > 1 + SLACK):
        refuse(f"{name} has weights from {array.min():g} to {array.max():g}; they must lie between 0 and 1")
    return np.clip(array.astype(np.float32), 0, 1)


def _fall(distance: NDArray, width: float) -> NDArray[np.float32]:
    """1 up to distance 0, smoothly down to 0 at ``width``."""
    share = distance / width if width > 0 else (distance > 0).astype(np.float64)
    return falloff(share).astype(np.float32)


def _lattice(vertices: NDArray, faces: NDArray, spacing: float) -> tuple[NDArray, NDArray]:
    """Points on faces (m, 3), at most ``spacing`` apart: rows of the corners i (n, 3) and their shares f64 (n, 3)."""
    corners = vertices[faces]
    edges = np.roll(corners, -1, axis=1) - corners
    longest = np.linalg.norm(edges, axis=2).max(axis=1)
    area = float(np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum()) / 2
    spacing = max(spacing, float(np.sqrt(2 * area / MOST_SAMPLES)), float(longest.sum()) / MOST_SAMPLES)
    parts = np.ceil(longest / spacing).astype(np.int64)
    rows, shares = [np.zeros((0, 3), np.int64)], [np.zeros((0, 3))]
    for number in np.unique(parts[parts > 1]):
        i, j = np.nonzero(np.add.outer(np.arange(number + 1), np.arange(number + 1)) <= number)
        share = np.stack([i, j, number - i - j], axis=1) / number
        share = share[(share < 1).all(axis=1)]
        chosen = faces[parts == number]
        rows.append(np.repeat(chosen, len(share), axis=0))
        shares.append(np.tile(share, (len(chosen), 1)))
    return np.concatenate(rows), np.concatenate(shares)


def _rows(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        refuse(f"the {name} of a mask are not rows of three numbers")
    return array


def _triple(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != (3,) or not np.isfinite(array).all():
        refuse(f"{name} of a mask is not three finite numbers")
    return array


def _length(name: str, value: float) -> float:
    if not (np.isfinite(value) and value >= 0):
        refuse(f"the {name} of a mask is {value:g}; it must be finite and not negative")
    return float(value)


def _unit(vectors: ArrayLike) -> NDArray[np.float64]:
    """Vectors (n, 3) at length 1; zero where they have no direction."""
    array = np.nan_to_num(np.asarray(vectors, np.float64), posinf=0.0, neginf=0.0)
    length = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(length > 0, length, 1)
