"""What is appended to a mesh whose file stays as it is: new vertices and faces, and how its values go on over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..geometry.borders import border_edges
from ..geometry.surface_attributes import SurfaceAttributes
from .files import require


@dataclass(frozen=True)
class Addition:
    """New vertices and faces of a mesh of n vertices and m triangles."""

    vertices: NDArray[np.float64]  # (k, 3), world units
    faces: NDArray[np.int64]  # (j, 3); vertices of the mesh, then the new ones
    normals: NDArray[np.float64]  # (n + k, 3), unit, at the vertices of the new faces; zero elsewhere
    of_vertices: Callable[[NDArray], NDArray[np.float64]]
    """From values (n, c) of the mesh's vertices those (k, c) of the new ones."""
    of_corners: Callable[[NDArray], NDArray[np.float64]]
    """From values (m, 3, c) at the corners of the mesh's triangles those (j, 3, c) of the new faces."""
    near: NDArray[np.int64]  # (k,), the mesh's vertex at the border nearest to each new one: for what has no mean
    sources: NDArray[np.int64]  # (j,), the mesh's triangle at the border nearest to each new face

    def seamed(self, points: NDArray, triangles: NDArray, textured: NDArray) -> tuple[Addition, NDArray[np.float64]]:
        """For a file whose vertices carry texture coordinates, so that they are split where these jump: the same with
        vertices of its own on each side of a seam through the hole, and coordinates (k, 2) of these.

        points: (n, 3) of the mesh, with coordinates (n, 2); triangles: (m, 3), its own. Corners at a border vertex with
        their coordinates are that vertex.
        """
        corners = self.of_corners(textured[triangles]).reshape(-1, 2)
        border = np.unique(border_edges(triangles))
        places = np.concatenate([points, self.vertices])[self.faces.reshape(-1)]
        rows = np.concatenate([np.hstack([points[border], textured[border]]), np.hstack([places, corners])])
        _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        new = first >= len(border)
        vertex = np.where(new, len(points) + np.cumsum(new) - 1, border[np.where(new, 0, first)])
        corner = first[new] - len(border)
        old = self.faces.reshape(-1)[corner]
        own = np.maximum(old - len(points), 0)
        at_border = old < len(points)

        def of_vertices(values: NDArray) -> NDArray[np.float64]:
            means = self.of_vertices(values)
            return np.where(at_border[:, None], values[np.where(at_border, old, 0)], means[own] if len(means) else 0)

        near = np.where(at_border, old, self.near[own] if len(self.near) else old)
        normals = np.concatenate([self.normals[: len(points)], self.normals[old]])
        faces = vertex[number.reshape(-1)[len(border) :]].reshape(-1, 3)
        made = replace(self, vertices=places[corner], faces=faces, normals=normals, of_vertices=of_vertices, near=near)
        return made, corners[corner]

    def attributes(self, given: SurfaceAttributes, faces: int) -> SurfaceAttributes:
        """Attributes of the whole mesh, its own of m = ``faces`` triangles untouched and first; the new faces are
        marked as invented."""

        def grown(values: NDArray) -> NDArray:
            more = self.of_vertices(values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])
            return np.concatenate([values, as_type(more, values.dtype)])

        own = np.zeros(faces, bool) if given.invented is None else given.invented
        uvs, materials = given.uvs, given.materials
        return replace(
            given,
            colours=None if given.colours is None else grown(given.colours),
            uvs=None if uvs is None else np.concatenate([uvs, self.of_corners(uvs).astype(uvs.dtype)]),
            materials=None if materials is None else np.concatenate([materials, materials[self.sources]]),
            values={name: grown(values) for name, values in given.values.items()},
            invented=np.concatenate([own, np.ones(len(self.faces), bool)]),
        )


def as_type(values: NDArray, kind: np.dtype | str) -> NDArray:
    """Values in another type: rounded and bounded where it holds whole numbers."""
    kind = np.dtype(kind)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = np.clip(np.rint(np.nan_to_num(values)), limits.min, limits.max)
    with np.errstate(over="ignore"):
        return values.astype(kind)


def appended_arrays(arrays: Mapping[str, NDArray], addition: Addition) -> dict[str, NDArray]:
    """The arrays of an NPZ file with those of its points and faces longer, each in its own type. Raises FormatError."""
    points, faces = arrays["points"], arrays["faces"]
    require(points.dtype.kind == "f", "its points are whole numbers")
    largest = len(points) + len(addition.vertices) - 1
    require(largest <= np.iinfo(faces.dtype).max, "its faces count points in a type that is too narrow for more")
    found = dict(arrays)
    for name, values in arrays.items():
        if name == "points":
            more = addition.vertices
        elif name == "faces":
            more = addition.faces
        elif name == "normals":
            more = addition.normals[len(points) :]
        elif name == "sigma":
            more = np.full(len(addition.vertices), np.nan)
        elif values.ndim and len(values) == len(points) and values.dtype.kind == "f":
            more = addition.of_vertices(values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])
        elif values.ndim and len(values) == len(points):
            more = values[addition.near]
        elif values.ndim and len(values) == len(faces):
            more = values[addition.sources]
        else:
            continue
        found[name] = np.concatenate([values, more.astype(values.dtype)])
    return found
