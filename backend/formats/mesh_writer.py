"""Meshes to files, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ErrorCode, OmomiError
from .files import MESH_SUFFIXES, whole_file
from .ply import write_ply

_PRECISION = 1e-4
"""Coordinates are written in double precision where single would move them by more than this share of the mesh."""


def save_mesh(path: Path, vertices: ArrayLike, faces: ArrayLike, sigma: ArrayLike | None = None) -> None:
    """Write a mesh as the suffix says: .ply (binary), .obj, .stl, .glb or .npz.

    vertices: (n, 3), world units; faces: (m, 3); sigma: (n,) uncertainty, world units, kept by PLY (vertex property)
    and NPZ.
    Raises OmomiError: BAD_OPTION (another suffix), DISK (cannot write there; what was at ``path`` is untouched).
    """
    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise OmomiError(
            ErrorCode.BAD_OPTION, f"{path.name} has no suffix that Omomi writes ({', '.join(MESH_SUFFIXES)})."
        )
    points, triangles = np.asarray(vertices, np.float64).reshape(-1, 3), np.asarray(faces, np.int32).reshape(-1, 3)
    error_bars = None if sigma is None else np.asarray(sigma, np.float32).reshape(len(points))
    with whole_file(path) as temporary, temporary.open("xb") as stream:
        if path.suffix.lower() == ".npz":
            extra = {} if error_bars is None else {"sigma": error_bars}
            np.savez(stream, points=points, faces=triangles, **extra)
        else:
            stream.write(_encoded(path.suffix.lower(), points, triangles, error_bars))


def _encoded(
    suffix: str, points: NDArray[np.float64], faces: NDArray[np.int32], sigma: NDArray[np.float32] | None
) -> bytes:
    if suffix == ".ply":
        extra = {} if sigma is None else {"sigma": sigma}
        return write_ply(points if _needs_double(points) else points.astype(np.float32), faces, extra)
    if suffix == ".obj":
        return _obj(points, faces)
    import trimesh  # takes most of a second, and only these formats need it

    data = trimesh.Trimesh(points, faces, process=False).export(file_type=suffix[1:])
    assert isinstance(data, bytes)
    return data


def _needs_double(points: NDArray[np.float64]) -> bool:
    if len(points) == 0:
        return False
    moved = np.abs(points.astype(np.float32).astype(np.float64) - points).max()
    return not bool(moved <= _PRECISION * np.ptp(points, axis=0).max())


def _obj(points: NDArray[np.float64], faces: NDArray[np.int32]) -> bytes:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")
