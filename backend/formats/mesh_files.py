"""Scans from files and meshes to files. What is read may come from anywhere: it is bounded, checked, and refused with a
reason. What is written stands whole or not at all."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ErrorCode, OmomiError
from .files import MESH_SUFFIXES, unreadable, whole_file
from .ply import read_ply, write_ply
from .raw_scan import RawScan

LARGEST_FILE = 2 << 30
"""Bytes."""
LARGEST_UNPACKED = 4 << 30
"""Bytes of the arrays of an NPZ file, which may be compressed."""
MOST_POINTS = 50_000_000
_PRECISION = 1e-4
"""Coordinates are written in double precision where single would move them by more than this share of the mesh."""


def load_scan(path: Path) -> RawScan:
    """Read a PLY, OBJ, STL, GLB or NPZ file, as the suffix says.

    Polygons become triangles; several meshes become one, each where its scene puts it. Vertex normals are kept from
    PLY and NPZ only: the other formats split vertices to hold them. So is the ``sigma`` that a fit has written.
    NPZ holds ``points`` (n, 3), and if wanted ``normals`` (n, 3), ``faces`` (m, 3), ``to_sensor`` (n, 3) and ``sigma``
    (n,); or range views in one frame: ``V0`` (n, 3), ``F0`` (m, 3), ``dir0`` (3,) towards the sensor, ``V1``, ...

    Raises OmomiError: UNREADABLE_FILE (absent, unknown suffix, damaged), NOT_A_MESH (no mesh in it), EMPTY_SCAN,
    TOO_LARGE, BAD_OPTION (a package that is not installed).
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        known = ", ".join(MESH_SUFFIXES)
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} has no suffix that Omomi reads ({known}).")
    try:
        size = os.stat(path).st_size
        if not path.is_file():
            raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} is not a file.")
        if size > LARGEST_FILE:
            raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} is larger than {LARGEST_FILE >> 30} GB.")
        scan = {".ply": _load_ply, ".npz": _load_npz}.get(suffix, _load_with_trimesh)(path)
    except OmomiError:
        raise
    except FileNotFoundError as error:
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path} does not exist.") from error
    except OSError as error:
        raise unreadable(path.name, error.strerror or error) from error
    except MemoryError as error:
        raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} does not fit into memory.") from error
    except Exception as error:  # readers fail in any way on damaged files; each means the same here
        sentence = f"{path.name} is not a complete {suffix[1:].upper()} file: {error}."
        raise OmomiError(ErrorCode.UNREADABLE_FILE, sentence, detail=repr(error)) from error
    if len(scan.points) == 0:
        raise OmomiError(ErrorCode.EMPTY_SCAN, f"{path.name} has no points.")
    if len(scan.points) > MOST_POINTS:
        raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} has more than {MOST_POINTS:,} points.")
    return scan


def _load_ply(path: Path) -> RawScan:
    ply = read_ply(path.read_bytes())
    faces = ply.faces if ply.faces is not None and len(ply.faces) else None
    return RawScan(ply.vertices, faces, ply.normals, name=path.stem, sigma=ply.sigma)


def _load_npz(path: Path) -> RawScan:
    with zipfile.ZipFile(path) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > LARGEST_UNPACKED:
            raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} unpacks to more than {LARGEST_UNPACKED >> 30} GB.")
    with np.load(path, allow_pickle=False) as arrays:
        if "points" in arrays:
            optional = {key: arrays[key] for key in ("faces", "normals", "to_sensor", "sigma") if key in arrays}
            return RawScan(arrays["points"], name=path.stem, **optional)
        if {"V0", "F0", "dir0"} <= set(arrays.files):
            return _joined_views(arrays, path.stem)
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


def _trimesh(path: Path) -> ModuleType:
    """The package that reads OBJ, STL and GLB and writes the last two; the extension comes without it.

    Raises OmomiError(BAD_OPTION) where it is not installed.
    """
    try:
        import trimesh  # takes most of a second
    except ImportError as error:
        sentence = f"{path.name} needs the Python package trimesh: install it, or use a PLY or NPZ file."
        raise OmomiError(ErrorCode.BAD_OPTION, sentence) from error
    return trimesh


def _load_with_trimesh(path: Path) -> RawScan:
    trimesh = _trimesh(path)
    with path.open("rb") as stream:
        # Reading from a stream leaves trimesh no folder, so a file cannot make it open others.
        scene = trimesh.load_scene(stream, file_type=path.suffix[1:].lower(), process=False, skip_materials=True)
    points, faces = _flattened(scene)
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


def check_output(path: Path) -> None:
    """Refuse a name that `save_mesh` would refuse, before the work is done. Raises OmomiError(BAD_OPTION)."""
    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        known = ", ".join(MESH_SUFFIXES)
        raise OmomiError(ErrorCode.BAD_OPTION, f"{path.name} has no suffix that Omomi writes ({known}).")
    if path.suffix.lower() in (".stl", ".glb"):
        _trimesh(path)


def save_mesh(path: Path, vertices: ArrayLike, faces: ArrayLike, sigma: ArrayLike | None = None) -> None:
    """Write a mesh as the suffix says: .ply (binary), .obj, .stl, .glb or .npz.

    vertices: (n, 3), world units; faces: (m, 3); sigma: (n,) uncertainty, world units, kept by PLY (vertex property)
    and NPZ.
    Raises OmomiError: BAD_OPTION as `check_output`, DISK (cannot write there; what was at ``path`` is untouched).
    """
    path = Path(path)
    check_output(path)
    points, triangles = np.asarray(vertices, np.float64).reshape(-1, 3), np.asarray(faces, np.int32).reshape(-1, 3)
    error_bars = None if sigma is None else np.asarray(sigma, np.float32).reshape(len(points))
    with whole_file(path) as temporary, temporary.open("xb") as stream:
        if path.suffix.lower() == ".npz":
            extra = {} if error_bars is None else {"sigma": error_bars}
            np.savez(stream, points=points, faces=triangles, **extra)
        else:
            stream.write(_encoded(path, points, triangles, error_bars))


def _encoded(
    path: Path, points: NDArray[np.float64], faces: NDArray[np.int32], sigma: NDArray[np.float32] | None
) -> bytes:
    suffix = path.suffix.lower()
    if suffix == ".ply":
        extra = {} if sigma is None else {"sigma": sigma}
        return write_ply(points if _needs_double(points) else points.astype(np.float32), faces, extra)
    if suffix == ".obj":
        lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
        return ("\n".join(lines) + "\n").encode("ascii")
    return _trimesh(path).Trimesh(points, faces, process=False).export(file_type=suffix[1:])


def _needs_double(points: NDArray[np.float64]) -> bool:
    if len(points) == 0:
        return False
    moved = np.abs(points.astype(np.float32).astype(np.float64) - points).max()
    return not bool(moved <= _PRECISION * np.ptp(points, axis=0).max())


