"""The solid between two others: each is moved a part of the way, then their signed distances are mixed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, refuse
from ..field.bricks import BRICK, INSIDE, OUTSIDE, BrickGrid, BrickMap
from ..field.isosurface import CLOSEST, extract
from ..field.relaxation import relaxed_mesh
from ..geometry.nearest import closest_on_triangles
from ..geometry.topology import Betti, betti_of_occupancy, euler_of_occupancy
from ..geometry.winding_number import winding_grid
from .fitted_scan import EditableMesh

RESOLUTION = 128
"""Voxels along the canonical cube, as at the usual detail."""
FINEST, MOST_VOXELS = 256, 512
"""Grids here are dense: resolution, and voxels along a side."""
MOST_STAGES = 3
CANDIDATES = 4
"""Faces, by the nearest centres, among which the nearest face is looked for."""
ROOM = 2
"""Empty voxels around both solids."""


@dataclass(frozen=True)
class Mix:
    """Two closed meshes in one canonical frame, and where their vertices would have to go (``ways``, (n, 3) each) to
    lie on the other. A place between them has two numbers, 0 .. 1: how far the first has gone, so that the second has
    the rest of its way before it; and the second's share in the distances."""

    first: EditableMesh
    second: EditableMesh
    ways: tuple[NDArray[np.float64], NDArray[np.float64]]
    _stages: dict[tuple[float, int], _Stage] = field(default_factory=dict, repr=False, compare=False)

    def moved(self, gone: float) -> tuple[EditableMesh, EditableMesh]:
        """Both meshes on their way."""
        return (
            EditableMesh(self.first.vertices + gone * self.ways[0], self.first.faces, self.first.sigma),
            EditableMesh(self.second.vertices + (1 - gone) * self.ways[1], self.second.faces, self.second.sigma),
        )

    def betti(self, gone: float, share: float, resolution: int = RESOLUTION) -> Betti:
        """Betti numbers of the solid at a place. Raises OmomiError as `surface` does."""
        return betti_of_occupancy(self._stage(gone, resolution).inside(share))

    def eulers(self, gone: float, share: float, resolution: int = RESOLUTION) -> tuple[int, int]:
        """Euler numbers of the solid at a place with both ways to join voxels: where a wall is about as thin as one
        they differ."""
        return euler_of_occupancy(self._stage(gone, resolution).inside(share))

    def surface(self, gone: float, share: float, resolution: int = RESOLUTION) -> EditableMesh:
        """The mesh at a place; closed. Raises OmomiError: NO_SURFACE where nothing lies between the two; TOO_LARGE."""
        stage = self._stage(gone, min(resolution, FINEST))
        inside = stage.inside(share)
        if not inside.any():
            refuse("there is no solid between the two scans at this share", ErrorCode.NO_SURFACE)
        found = stage.surface(inside, share)
        # of each surface at its nearest vertex
        here, there = (mesh.sigma[KDTree(mesh.vertices).query(found[0], workers=-1)[1]] for mesh in self.moved(gone))
        return EditableMesh(*found, np.hypot((1 - share) * here, share * there))

    def _stage(self, gone: float, resolution: int) -> _Stage:
        """Of the latest ones, for all shares have the same stage."""
        key = gone, resolution
        if key not in self._stages:
            if len(self._stages) >= MOST_STAGES:
                del self._stages[next(iter(self._stages))]
            self._stages[key] = _Stage.of(*self.moved(gone), resolution)
        return self._stages[key]


@dataclass(frozen=True)
class _Wall:
    """A surface to which distances are wanted; faces inside its solid, where it overlaps, count as well."""

    corners: NDArray[np.float64]
    centres: KDTree

    @classmethod
    def of(cls, vertices: NDArray, faces: NDArray) -> _Wall:
        corners = vertices[faces]
        return cls(corners, KDTree((corners[:, 0] + corners[:, 1] + corners[:, 2]) / 3, balanced_tree=False))

    def distance(self, points: NDArray) -> NDArray[np.float64]:
        """Distances (n,) of points (n, 3), the faces being small and alike."""
        count = min(CANDIDATES, len(self.corners))
        near = self.centres.query(points, k=count, workers=-1)[1].reshape(-1)
        each = closest_on_triangles(self.corners[near], np.repeat(points, count, axis=0))[1]
        return each.reshape(len(points), count).min(axis=1)


@dataclass(frozen=True)
class _Stage:
    """Two solids on one dense grid of cubes (c, c, c), before their distances are mixed.

    low: the first voxel; both, one: what lies in both, and in only one of them (n, 3); apart (2, n): signed distances
    of the latter, voxels.
    """

    low: NDArray[np.int64]
    resolution: int
    grids: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    walls: tuple[_Wall, _Wall]
    one: NDArray[np.intp]
    apart: NDArray[np.float64]

    @classmethod
    def of(cls, first: EditableMesh, second: EditableMesh, resolution: int) -> _Stage:
        """The closed meshes on a grid around both. Raises OmomiError(TOO_LARGE)."""
        voxels = [(mesh.vertices + 1) * (resolution / 2) - 0.5 for mesh in (first, second)]
        low = np.floor(np.min([v.min(axis=0) for v in voxels], axis=0)).astype(np.int64) - ROOM
        size = int(np.ceil(np.max([v.max(axis=0) for v in voxels], axis=0) - low).max()) + ROOM
        count = -(-size // BRICK) * BRICK
        if count > MOST_VOXELS:
            refuse("the two scans are too far apart or too different in size", ErrorCode.TOO_LARGE)
        meshes = zip((first, second), voxels, strict=True)
        a, b = (winding_grid(at - low, mesh.faces, (count, count, count)) > 0 for mesh, at in meshes)
        one, other = (_Wall.of(mesh.vertices, mesh.faces) for mesh in (first, second))
        stage = cls(low, resolution, (a, b), (one, other), np.argwhere(a != b), np.zeros((2, 0)))
        return replace(stage, apart=stage.distances(stage.one))

    def distances(self, voxels: NDArray) -> NDArray[np.float64]:
        """Signed distances (2, n) from both surfaces at voxels (n, 3), in voxels."""
        points = (voxels + self.low + 0.5) * (2 / self.resolution) - 1
        signs = [np.where(grid[tuple(voxels.T)], -1, 1) for grid in self.grids]
        return np.stack([s * wall.distance(points) for s, wall in zip(signs, self.walls, strict=True)]) * (
            self.resolution / 2
        )

    def inside(self, share: float) -> NDArray[np.bool_]:
        """The solid whose signed distance is the mixed one."""
        if share in (0, 1):
            return self.grids[int(share)]
        inside = self.grids[0] & self.grids[1]
        inside[tuple(self.one.T)] = (1 - share) * self.apart[0] + share * self.apart[1] < 0
        return inside

    def surface(self, inside: NDArray[np.bool_], share: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """The mesh of a solid, canonical; only bricks that it crosses are looked at."""
        ends = np.zeros(inside.shape, bool)
        for axis in range(3):
            along = (slice(None),) * axis
            crossed = inside[(*along, slice(1, None))] != inside[(*along, slice(-1))]
            ends[(*along, slice(1, None))] |= crossed
            ends[(*along, slice(-1))] |= crossed
        at = np.argwhere(ends)
        distance = np.array([1 - share, share]) @ self.distances(at)
        values = np.where(inside, np.float32(-1), np.float32(1))
        # the sides are settled, so a distance of 0 must not turn one
        values[tuple(at.T)] *= np.maximum(np.abs(distance), CLOSEST).astype(np.float32)
        count = len(inside) // BRICK
        kept = ends.reshape(count, BRICK, count, BRICK, count, BRICK).any(axis=(1, 3, 5))
        sides = np.where(inside[::BRICK, ::BRICK, ::BRICK], INSIDE, OUTSIDE).astype(np.int32)
        grid = BrickGrid.from_dense(values[None], kept)
        found = extract(grid, sides=BrickMap.of(grid.coords, sides, 0))
        placed = relaxed_mesh(found.vertices, found.faces)
        return (placed + self.low + 0.5) * (2 / self.resolution) - 1, found.faces
