"""Well-shaped triangles: the vertices of an isosurface slide along it, away from the voxels' edges.

Marching cubes leaves every vertex on an edge of the grid, so that a tenth of the triangles are slivers. One step
towards the mean of the neighbours, and back onto the surface along its gradient, leaves next to none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .bricks import BrickGrid, BrickMap, linear_error, sample_gradient
from .isosurface import Isosurface

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
LEAST_SLOPE = 0.2
"""Where the field is flatter, its value says little of the distance."""


def relaxed(surface: Isosurface, grid: BrickGrid, bricks: BrickMap) -> Isosurface:
    """The same triangles with vertices that lie evenly, within `OFF_SURFACE` voxels of the trilinear field's zero set.

    A vertex depends on its neighbours and on the voxels around it alone. One that cannot be brought back to the
    surface, or whose triangles would turn over, stays where it was.
    """
    old, faces = surface.vertices, surface.faces
    if not len(faces):
        return surface
    mean, values = _neighbour_means(faces, old, surface.values)
    new = old + STEP * (mean - old)
    curve: np.ndarray | float = 0.0
    for step in range(STEPS_BACK):
        # close to where the vertex ends, once: it is slower to find than all the rest
        if step == STEPS_BACK - 1:
            curve = linear_error(grid, bricks, new)
        distance, gradient = sample_gradient(grid, bricks, new)
        back = gradient * ((curve - distance) / np.maximum((gradient**2).sum(axis=1), LEAST_SLOPE**2))[:, None]
        length = np.linalg.norm(back, axis=1, keepdims=True)
        new = new + back * np.minimum(1, LONGEST_STEP / np.maximum(length, LONGEST_STEP))
    distance, gradient = sample_gradient(grid, bricks, new)
    slope = np.maximum(np.linalg.norm(gradient, axis=1), LEAST_SLOPE)
    moved = (np.abs(distance - curve) <= OFF_SURFACE * slope) & (np.linalg.norm(new - old, axis=1) < 1)
    before = _normals(old, faces)
    while True:
        vertices = np.where(moved[:, None], new, old).astype(np.float32)
        turned = (before * _normals(vertices, faces)).sum(axis=1) < 0
        # each round puts some back, so that there is a last one
        if not moved[faces[turned]].any():
            break
        moved[faces[turned]] = False
    smooth = surface.values + np.float32(STEP) * (values - surface.values)
    return replace(surface, vertices=vertices, values=np.where(moved[:, None], smooth, surface.values))


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


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[corner] for corner in faces.T)
    return np.cross(b - a, c - a)
