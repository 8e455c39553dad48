"""Well-shaped triangles: the vertices of an isosurface slide along it, away from the voxels' edges.

Marching cubes leaves every vertex on an edge of the grid, so that a tenth of the triangles are slivers. One step
towards the mean of the neighbours, and back onto the surface along its gradient, leaves next to none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..geometry.nearest import closest_on_triangles
from ..geometry.normals import face_normals, triangle_normals, unit
from .bricks import BrickGrid, BrickMap
from .isosurface import Isosurface
from .trilinear import Trilinear

# Chosen on six models of the development set: with .6, or two rounds, no fewer slivers; with one step back to the
# surface thin walls keep three times as many.
STEP = 0.5
"""Of the way to the mean of the neighbours."""
STEPS_BACK = 2
"""Newton's steps back onto the surface."""
LONGEST_STEP = 0.25
"""Voxels; a step back may not reach the other side of a wall."""
OFF_SURFACE = 0.03
"""Voxels; a vertex that ends farther from the surface stays where it was."""
FLAT = np.cos(np.radians(15))
"""Cosine between the normals of a vertex and of each triangle around it where the surface does not bend."""
SLIVER = 0.002
"""Twice the area (voxels) of a triangle below which its normal says nothing."""
MOST_TURN = 0.0
"""Cosine: a right angle within a voxel, as at the rim of a thin wall."""
LEAST_SLOPE = 0.2
"""Where the field is flatter, its value says little of the distance."""


def relaxed(surface: Isosurface, grid: BrickGrid, bricks: BrickMap) -> Isosurface:
    """The same triangles with vertices that lie evenly, within `OFF_SURFACE` voxels of the field's zero set, see
    `Trilinear.linear_error`.

    A vertex depends on its neighbours and on the voxels around it alone. One that cannot be brought back to the
    surface, at which the surface turns by more than `MOST_TURN`, or whose triangles would turn over, stays where it
    was.
    """
    if not len(surface.faces):
        return surface
    old, field = surface.vertices, Trilinear(grid, bricks)
    mean, values = _neighbour_means(surface.faces, old, surface.values)
    new = old + STEP * (mean - old)
    curve: np.ndarray | float = 0.0
    for step in range(STEPS_BACK):
        # close to where the vertex ends, once: it is slower to find than all the rest
        if step == STEPS_BACK - 1:
            curve = field.linear_error(new)
        distance, gradient = field.slopes(new)
        back = gradient * ((curve - distance) / np.maximum((gradient**2).sum(axis=1), LEAST_SLOPE**2))[:, None]
        length = np.linalg.norm(back, axis=1, keepdims=True)
        new = new + back * np.minimum(1, LONGEST_STEP / np.maximum(length, LONGEST_STEP))
    distance, gradient = field.slopes(new)
    slope = np.maximum(np.linalg.norm(gradient, axis=1), LEAST_SLOPE)
    free = (np.abs(distance - curve) <= OFF_SURFACE * slope) & ~_turned(gradient, surface.faces)
    placed, moved = unfolded(old, new.astype(np.float32), free, surface.faces)
    smooth = surface.values + np.float32(STEP) * (values - surface.values)
    return replace(surface, vertices=placed, values=np.where(moved[:, None], smooth, surface.values))


def _turned(normals: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Vertices (n,) of triangles along whose sides normals (n, 3), of any length, turn by more than `MOST_TURN`: to
    slide there would cut an edge off."""
    facing = unit(normals)[0][faces]
    cosine = (facing * np.roll(facing, 1, axis=1)).sum(axis=2).min(axis=1)
    found = np.zeros(len(normals), bool)
    found[faces[cosine < MOST_TURN]] = True
    return found


def relaxed_mesh(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Vertices f64 (n, 3) that lie evenly on a closed mesh with vertices (n, 3), in voxels, and faces (m, 3), for a
    surface of which no field is at hand: on the triangles around each, or where it was, as in `relaxed`. Where the
    surface bends they stay: the triangles cut the corner that the vertices are beside.
    """
    old = np.asarray(vertices, np.float64)
    if not len(faces):
        return old
    (mean,) = _neighbour_means(faces, old)
    wanted = old + STEP * (mean - old)
    corner = faces.ravel()
    around = old[np.repeat(faces, 3, axis=0)]
    share, distance = closest_on_triangles(around, wanted[corner])
    order = np.lexsort((distance, corner))
    vertex, first = np.unique(corner[order], return_index=True)
    nearest = order[first]
    new = old.copy()
    new[vertex] = np.einsum("nk,nka->na", share[nearest], around[nearest])
    normals = triangle_normals(old[faces])
    sums = np.stack([np.bincount(corner, np.repeat(axis, 3), len(old)) for axis in normals.T], axis=1)
    length = np.linalg.norm(normals, axis=1)
    along = np.einsum("mka,ma->mk", sums[faces], normals)
    bent = along < FLAT * np.linalg.norm(sums, axis=1)[faces] * length[:, None]
    # the direction of a sliver is nobody's
    bent &= (length > SLIVER)[:, None]
    flat = np.ones(len(old), bool)
    flat[faces[bent]] = False
    return unfolded(old, new, flat, faces)[0]


def unfolded(
    old: np.ndarray, new: np.ndarray, moved: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) at their new places, and which are there, of those that may (n,): where they would go a voxel, or
    a triangle would turn over, they are at their old ones."""
    moved = moved & (np.linalg.norm(new - old, axis=1) < 1)
    before = face_normals(old, faces)
    while True:
        vertices = np.where(moved[:, None], new, old)
        turned = (before * face_normals(vertices, faces)).sum(axis=1) < 0
        # each round puts some back, so that there is a last one
        if not moved[faces[turned]].any():
            return vertices, moved
        moved[faces[turned]] = False


def _neighbour_means(faces: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """Means (n, c) of values (n, c) of each vertex's neighbours on a closed mesh, which runs each edge both ways."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    count = len(columns[0])
    number = np.maximum(np.bincount(start, minlength=count), 1)
    return [
        np.stack([np.bincount(start, column[end], count) / number for column in values.T], axis=1).astype(values.dtype)
        if values.shape[1] else values
        for values in columns
    ]
