"""Scans from files. Files come from anywhere: they are bounded, checked, and refused with a reason."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from .ply import PlyError, read_ply
from .raw_scan import RawScan

LARGEST_FILE = 2 << 30
"""Bytes."""
LARGEST_UNPACKED = 4 << 30
"""Bytes of the arrays of an NPZ file, which may be compressed."""
MOST_POINTS = 50_000_000


def load_scan(path: Path) -> RawScan:
    """Read a PLY, OBJ, STL, GLB or NPZ file, as the suffix says.

    Polygons become triangles; several meshes become one, each where its scene puts it. Vertex normals are kept from
    PLY and NPZ only: the other formats split vertices to hold them. So is the ``sigma`` that a fit has written.
    NPZ holds ``points`` (n, 3), and if wanted ``normals`` (n, 3), ``faces`` (m, 3), ``to_sensor`` (n, 3) and ``sigma``
    (n,); or range views in one frame: ``V0`` (n, 3), ``F0`` (m, 3), ``dir0`` (3,) towards the sensor, ``V1``, ...

    Raises OmomiError: UNREADABLE_FILE (absent, unknown suffix, damaged), NOT_A_MESH (no mesh in it), EMPTY_SCAN,
    TOO_LARGE.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], RawScan]] = {
        ".ply": _load_ply,
        ".npz": _load_npz,
        ".obj": _load_with_trimesh,
        ".stl": _load_with_trimesh,
        ".glb": _load_with_trimesh,
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        known = ", ".join(sorted(readers))
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} has no suffix that Omomi reads ({known}).")
    try:
        size = os.stat(path).st_size
        if not path.is_file():
            raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} is not a file.")
        if size > LARGEST_FILE:
            raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} is larger than {LARGEST_FILE >> 30} GB.")
        scan = readers[suffix](path)
    except FileNotFoundError as error:
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path} does not exist.") from error
    except OSError as error:
        raise OmomiError(
            ErrorCode.UNREADABLE_FILE, f"{path.name} cannot be read: {error.strerror or error}."
        ) from error
    except MemoryError as error:
        raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} does not fit into memory.") from error
    if len(scan.points) == 0:
        raise OmomiError(ErrorCode.EMPTY_SCAN, f"{path.name} has no points.")
    if len(scan.points) > MOST_POINTS:
        raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} has more than {MOST_POINTS:,} points.")
    return scan


def _damaged(path: Path, reason: object) -> OmomiError:
    kind = path.suffix[1:].upper()
    return OmomiError(
        ErrorCode.UNREADABLE_FILE, f"{path.name} is not a complete {kind} file: {reason}.", detail=repr(reason)
    )


def _load_ply(path: Path) -> RawScan:
    try:
        ply = read_ply(path.read_bytes())
    except PlyError as error:
        raise _damaged(path, error) from error
    faces = ply.faces if ply.faces is not None and len(ply.faces) else None
    return RawScan(ply.vertices, faces, ply.normals, name=path.stem, sigma=ply.sigma)


def _load_npz(path: Path) -> RawScan:
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > LARGEST_UNPACKED:
                raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} unpacks to more than {LARGEST_UNPACKED >> 30} GB.")
        with np.load(path, allow_pickle=False) as arrays:
            if "points" in arrays:
                optional = {key: arrays[key] for key in ("faces", "normals", "to_sensor", "sigma") if key in arrays}
                return RawScan(arrays["points"], name=path.stem, **optional)
            if {"V0", "F0", "dir0"} <= set(arrays.files):
                return _joined_views(arrays, path.stem)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    raise OmomiError(ErrorCode.NOT_A_MESH, f"{path.name} holds no array called points.")


def _joined_views(arrays: Mapping[str, np.ndarray], name: str) -> RawScan:
    """Range views as one mesh with a sensor direction at each point."""
    points, faces, to_sensor, start, view = [], [], [], 0, 0
    while {f"V{view}", f"F{view}", f"dir{view}"} <= set(arrays):
        vertices = np.asarray(arrays[f"V{view}"], np.float64).reshape(-1, 3)
        points.append(vertices)
        faces.append(arrays[f"F{view}"].reshape(-1, 3) + start)
        to_sensor.append(np.broadcast_to(arrays[f"dir{view}"].reshape(1, 3), vertices.shape))
        start, view = start + len(vertices), view + 1
    return RawScan(np.concatenate(points), np.concatenate(faces), to_sensor=np.concatenate(to_sensor), name=name)


def _load_with_trimesh(path: Path) -> RawScan:
    import trimesh  # takes most of a second, and only these formats need it

    try:
        with path.open("rb") as stream:
            # Reading from a stream leaves trimesh no folder, so a file cannot make it open others.
            scene = trimesh.load_scene(stream, file_type=path.suffix[1:].lower(), process=False, skip_materials=True)
        points, faces = _flattened(scene)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # parsers fail in any way on damaged files; each means the same here
        raise _damaged(path, error) from error
    if not points:
        raise OmomiError(ErrorCode.NOT_A_MESH, f"{path.name} holds no mesh and no points.")
    every_face = np.concatenate(faces)
    return RawScan(np.concatenate(points), every_face if len(every_face) else None, name=path.stem)


def _flattened(scene) -> tuple[list[NDArray[np.float64]], list[NDArray]]:
    """Points and faces of all meshes and point clouds of a scene, in world coordinates, faces counted on."""
    points, faces, start = [], [], 0
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        corners = getattr(geometry, "faces", None)
        if corners is None and type(geometry).__name__ != "PointCloud":
            continue
        local = np.asarray(geometry.vertices, np.float64)
        points.append(local @ transform[:3, :3].T + transform[:3, 3])
        triangles = np.zeros((0, 3), np.int64) if corners is None else np.asarray(corners, np.int64)
        # A mirrored copy would turn its faces inside out.
        triangles = triangles[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else triangles
        faces.append(triangles + start)
        start += len(local)
    return points, faces
