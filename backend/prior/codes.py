"""Codes of whole shapes: the principal components of coarse fields, and the code of a field, a mesh or a scan.

A code is the whitened principal components of the field of level 0, averaged to 16^3 (the features that the flow was
trained on). One product turns a field into its code, another one turns the code into a blurred field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..field.bricks import BLOCK, TRUNCATION, voxel_size
from ..field.onnx_model import CODE, CancelToken, Model
from ..field.recursion import ScanEvidence, encoded
from ..formats.files import require
from ..formats.tables import load_tables, save_tables, table
from ..geometry.nearest import LEAF, closest_on_triangles
from ..geometry.normals import triangle_normals
from ..geometry.winding_number import winding_grid
from ..scan.surface_points import SPACING, sample_faces
from .archive import COARSE, coarse

FILE = "prior.safetensors"
"""Beside the model."""
KIND = "codes of whole shapes, version 1"
LARGEST_FILE = 16 << 20
MOST_DIRECTIONS = 256
LARGEST_NUMBER = 1e4
VOXEL = voxel_size(0)
"""Canonical width of a voxel of level 0, the unit of the fields."""
SAMPLE_SPACING = 0.3
"""Voxels between the points of a surface that find the triangles near a voxel."""
TRIANGLES = 3
"""Triangles, those of the nearest points, that are measured for a distance. It can be too large where more
than three triangles are equally near."""


@dataclass(frozen=True)
class Codes:
    """The map between codes and coarse fields, in voxels of level 0."""

    mean: NDArray[np.float32]  # (16^3,), field of the mean shape
    basis: NDArray[np.float32]  # (16^3, CODE), orthonormal
    scale: NDArray[np.float32]  # (CODE,)
    directions: NDArray[np.float32]  # (k, CODE), change of the code for one unit of each slider
    model: str = ""  # hash of the model that they belong to, empty where the file has none

    def of_field(self, field: NDArray) -> NDArray[np.float32]:
        """The code (CODE,) of a field (32, 32, 32) of level 0, in voxels."""
        return (((coarse(field[None])[0] - self.mean) @ self.basis) / self.scale).astype(np.float32)

    def of_mesh(self, vertices: NDArray, faces: NDArray) -> NDArray[np.float32]:
        """The code (CODE,) of the solid that a closed mesh encloses; vertices (n, 3), canonical."""
        return self.of_field(level0_field(vertices, faces))

    def field_of(self, code: NDArray) -> NDArray[np.float32]:
        """The field (16, 16, 16) nearest to the mean of all that have this code (CODE,)."""
        return self.change(code) + self.mean.reshape(COARSE, COARSE, COARSE)

    def change(self, delta: NDArray) -> NDArray[np.float32]:
        """Change (16, 16, 16) of the field for a change (CODE,) of the code."""
        moved = self.basis @ (self.scale * np.asarray(delta, np.float32))
        return moved.reshape(COARSE, COARSE, COARSE)


def level0_winding(vertices: NDArray, faces: NDArray) -> NDArray[np.int16]:
    """Winding number i16 (32, 32, 32) of a closed mesh at the voxels of level 0; vertices (n, 3), canonical."""
    return winding_grid(_in_voxels(vertices), np.asarray(faces, np.int32), (BLOCK, BLOCK, BLOCK))


def level0_field(vertices: NDArray, faces: NDArray, winding: NDArray[np.int16] | None = None) -> NDArray[np.float32]:
    """Signed distance f32 (32, 32, 32) of level 0, in voxels, truncated, of a closed mesh; vertices (n, 3), canonical.

    winding: its `level0_winding`, where that is known. The error is a hundredth of a voxel, a tenth beside slender
    triangles. It takes a twentieth of the time of `nearest_on_mesh`, because it runs while an artist drags a slider.
    """
    voxels, faces = _in_voxels(vertices), np.asarray(faces, np.int32)
    inside = (level0_winding(vertices, faces) if winding is None else winding) > 0
    corners, scale = voxels[faces], SPACING / SAMPLE_SPACING
    spread, owner = sample_faces(
        (scale * voxels).astype(np.float32), faces, (scale**2 * triangle_normals(corners)).astype(np.float32)
    )
    places = np.concatenate([spread / scale, corners.mean(axis=1)])
    owner = np.concatenate([owner, np.arange(len(faces))])
    centres = np.stack(np.meshgrid(*[np.arange(BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = KDTree(places, LEAF).query(centres, k=TRIANGLES, distance_upper_bound=TRUNCATION + 1)
    away, which = (np.asarray(column) for column in nearest)
    centre, rank = np.nonzero(np.isfinite(away))
    _, found = closest_on_triangles(corners[owner[which[centre, rank]]], centres[centre])
    distance = np.full(len(centres), TRUNCATION)
    np.minimum.at(distance, centre, found)
    distance = distance.reshape(inside.shape)
    return np.where(inside, -distance, distance).astype(np.float32)


def code_of_surface(points: NDArray, normals: NDArray, model: Model, cancel: CancelToken) -> NDArray[np.float32]:
    """The code (CODE,) that the encoder reads from the evidence of a surface, open or closed.

    points, normals (n, 3), canonical. Raises OmomiError(CANCELLED).
    """
    scan = ScanEvidence(np.asarray(points, np.float32), np.asarray(normals, np.float32), 0.0, 0.0)
    return encoded(scan, model, cancel)[0]


def _in_voxels(points: NDArray) -> NDArray[np.float64]:
    return (np.asarray(points, np.float64) + 1) / VOXEL - 0.5


def save_codes(path: Path, codes: Codes) -> None:
    """Write codes; equal ones give equal files. Raises OmomiError: BAD_OPTION for what `load_codes` would refuse,
    DISK."""
    arrays = {name: np.asarray(getattr(codes, name), np.float32) for name in ("mean", "basis", "scale", "directions")}
    save_tables(path, arrays, {"kind": KIND, "model": codes.model}, LARGEST_FILE, _codes)


def load_codes(path: Path) -> Codes:
    """Read codes. Raises OmomiError(UNREADABLE_FILE) for anything else, within the bounds."""
    return load_tables(path, LARGEST_FILE, _codes)


def _codes(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Codes:
    require(metadata.get("kind") == KIND, "it does not hold codes in a format that this Omomi reads")
    arrays = {"directions": np.zeros((0, CODE), np.float32), **arrays}
    shapes = {"mean": (COARSE**3,), "basis": (COARSE**3, CODE), "scale": (CODE,), "directions": (None, CODE)}
    found = {name: np.ascontiguousarray(table(arrays, name, shape, LARGEST_NUMBER)) for name, shape in shapes.items()}
    require(len(found["directions"]) <= MOST_DIRECTIONS, f"it has more than {MOST_DIRECTIONS} directions")
    require((found["scale"] > 0).all(), "the scale of a number of the code is not above 0")
    return Codes(**found, model=metadata.get("model", ""))
