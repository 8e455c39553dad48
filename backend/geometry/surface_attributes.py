"""What a mesh carries beside its shape: colours, texture coordinates, materials and numbers of its vertices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SurfaceAttributes:
    """Attributes of a mesh of n vertices and m triangles, or of n bare points, with which m is 0.

    Raises ValueError where the arrays do not fit together.
    """

    colours: NDArray[np.uint8] | None = None  # (n, 3) or, with alpha, (n, 4)
    uvs: NDArray[np.float32] | None = None  # (m, 3, 2), of the corners of triangles: both sides of a seam are kept
    materials: NDArray[np.int32] | None = None  # (m,), rows of material_names
    material_names: tuple[str, ...] = ()
    library: str = ""  # name of the file that describes the materials; never opened
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # (n,) each, by name
    invented: NDArray[np.bool_] | None = None  # (m,), triangles that stand where nothing was measured

    def __bool__(self) -> bool:
        """Whether there is anything to carry."""
        return bool(self.values) or any(one is not None for one in (self.colours, self.uvs, self.materials))

    def take(self, points: NDArray[np.bool_], faces: NDArray[np.bool_]) -> SurfaceAttributes:
        """Of some of the vertices (n,) and of the triangles (m,)."""
        of_points = {name: values[points] for name, values in self.values.items()}
        of_faces = {
            name: None if table is None else table[faces]
            for name, table in (("uvs", self.uvs), ("materials", self.materials), ("invented", self.invented))
        }
        colours = None if self.colours is None else self.colours[points]
        return replace(self, colours=colours, values=of_points, **of_faces)

    def faces_by_material(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Rows of ``material_names`` that triangles have, rising, each with the numbers of these triangles."""
        materials = np.zeros(0, np.int32) if self.materials is None else self.materials
        order = np.argsort(materials, kind="stable")
        rows, begins = np.unique(materials[order], return_index=True)
        return list(zip(rows.tolist(), np.split(order, begins[1:]), strict=False))

    def check(self, points: int, faces: int) -> None:
        """Raises ValueError where the arrays are not those of a mesh with so many vertices and triangles."""
        shapes = [(self.colours, (points, 3), (points, 4)), (self.uvs, (faces, 3, 2)), (self.materials, (faces,))]
        shapes += [(self.invented, (faces,)), *((value, (points,)) for value in self.values.values())]
        for array, *fitting in shapes:
            if array is not None and np.shape(array) not in fitting:
                raise ValueError(f"attributes of the shape {np.shape(array)} on {points} points and {faces} faces")
        used = np.zeros(0) if self.materials is None else self.materials
        if len(used) and not 0 <= used.min() <= used.max() < len(self.material_names):
            raise ValueError("materials without a name")
