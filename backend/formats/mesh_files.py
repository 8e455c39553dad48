"""Scans from files and meshes to files. What is read may come from anywhere: it is bounded, checked, and refused with a
reason. What is written stands whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ErrorCode, OmomiError
from ..geometry.surface_attributes import SurfaceAttributes
from .addition import Addition, appended_arrays
from .files import (
    MESH_SUFFIXES,
    SCAN_SUFFIXES,
    FormatError,
    check_writable,
    offset_path,
    open_file,
    read_all,
    read_bounded,
    require,
    unreadable,
    write_whole,
)
from .gltf import read_gltf, write_glb
from .npz import NpzReader, write_npz
from .obj import appended_obj, has_normals, moved_obj, read_obj, write_obj
from .ply import Ply, moved_ply, read_ply, write_ply
from .ply_addition import appended_ply
from .ply_clusters import OnProgress, thinned_ply
from .point_files import read_e57, read_las, read_off, read_pcd, read_points
from .raw_scan import MOST_POINTS, RawScan, is_whole
from .stl import appended_stl, read_stl, write_stl

LARGEST_FILE = 2 << 30
"""Bytes."""
PRECISION = 1e-4
"""Coordinates are written in double precision where single would move them by more than this share of the mesh."""


def load_scan(path: Path, voxels: float | None = None, on_progress: OnProgress = lambda done, text: None) -> RawScan:
    """Read a scan, as the suffix says: PLY, OBJ, STL, GLB, glTF, OFF, NPZ, points as text (XYZ, ASC, PTS) or PCD, and
    LAS, LAZ or E57 with the packages of the extra ``formats``.

    Polygons become triangles; several meshes become one, each where its scene puts it. Points are those of the file in
    its order, except that GLB and STL have points of their own on either side of a seam. Vertex normals are kept from
    PLY, NPZ and files of points: the other formats split vertices to hold them. So is the ``sigma`` that a fit has
    written, and the whole number ``view`` of each point of a PLY file. NPZ holds ``points`` (n, 3), and if wanted
    ``normals`` (n, 3), ``faces`` (m, 3), ``to_sensor`` (n, 3), ``sigma`` (n,) and ``view`` (n,); or range views in one
    frame: ``V0`` (n, 3), ``F0`` (m, 3), ``dir0`` (3,) towards the sensor, ``V1``, ... Nothing that a file names is
    opened.

    voxels: along the longest side, of the only fit that the scan is read for; then a binary PLY file of very many
    vertices is thinned while it is read, see `thinned_ply`, and on_progress, which may raise, told. None: the points
    are those of the file.

    Raises OmomiError: UNREADABLE_FILE (absent, unknown suffix, damaged), NOT_A_MESH (no mesh in it), EMPTY_SCAN,
    TOO_LARGE, BAD_OPTION (a package that is not installed).
    """
    path = Path(path)
    suffix = path.suffix.lower()
    read = _READERS.get(suffix)
    if read is None:
        known = ", ".join(SCAN_SUFFIXES)
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} has no suffix that Omomi reads ({known}).")
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > LARGEST_FILE:
            raise OmomiError(ErrorCode.TOO_LARGE, f"{path.name} is larger than {LARGEST_FILE >> 30} GB.")
        try:
            thinned = None
            if suffix == ".ply" and voxels is not None:
                thinned = thinned_ply(stream, size, voxels, on_progress)
                stream.seek(0)
            scan = read(stream, path) if thinned is None else _of_ply(thinned, path.stem)
        except (OmomiError, FormatError, OSError, MemoryError):
            raise
        except Exception as error:  # whatever else a reader meets in a damaged file means the same here
            sentence = f"{path.name} is not a complete {suffix[1:].upper()} file."
            raise OmomiError(ErrorCode.UNREADABLE_FILE, sentence, detail=repr(error)) from error
    return _checked(scan, path.name)


def _checked(scan: RawScan, name: str) -> RawScan:
    """A scan with a sentence on its points that are nowhere. Raises OmomiError for one of none, too many or only such
    points."""
    if len(scan.points) == 0:
        raise OmomiError(ErrorCode.EMPTY_SCAN, f"{name} has no points.")
    _bound(len(scan.points), name)
    nowhere = len(scan.points) - int(np.isfinite(scan.points).all(axis=1).sum())
    if nowhere == len(scan.points):
        raise OmomiError(ErrorCode.BAD_COORDINATES, f"No point of {name} has a finite position.")
    if not nowhere:
        return scan
    sentence = f"{nowhere:,} of its {len(scan.points):,} points have no finite position, and are left out."
    return replace(scan, notes=(*scan.notes, sentence))


def _bound(count: int, name: str) -> None:
    if count > MOST_POINTS:
        raise OmomiError(ErrorCode.TOO_LARGE, f"{name} has more than {MOST_POINTS:,} points.")


def _load_ply(data: bytes, name: str) -> RawScan:
    return _of_ply(read_ply(data), name)


def _of_ply(ply: Ply, name: str) -> RawScan:
    faces = ply.faces if ply.faces is not None and len(ply.faces) else None
    attributes = ply.attributes
    if faces is None and attributes is not None:
        attributes = replace(attributes, uvs=None, materials=None, material_names=())
    view = None if attributes is None else attributes.values.get("view")
    view = view if view is not None and is_whole(view) else None
    return RawScan(ply.vertices, faces, ply.normals, None, name, ply.sigma, view, attributes, ply.notes)


def _load_obj(data: bytes, name: str) -> RawScan:
    obj = read_obj(data)
    return RawScan(obj.vertices, obj.faces, obj.normals, name=name, attributes=obj.attributes, notes=obj.notes)


def _load_gltf(data: bytes, name: str) -> RawScan:
    points, faces, attributes = read_gltf(data)
    return RawScan(points, faces if len(faces) else None, name=name, attributes=attributes)


def _load_stl(data: bytes, name: str) -> RawScan:
    points, faces = read_stl(data)
    return RawScan(points, faces if len(faces) else None, name=name)


def _load_npz(data: bytes, name: str) -> RawScan:
    arrays = NpzReader(data)
    if "points" in arrays:
        names = ("faces", "normals", "to_sensor", "sigma", "view")
        faces, normals, to_sensor, sigma, view = map(arrays.get, names)
        return RawScan(arrays["points"], faces, normals, to_sensor, name, sigma, view)
    if {"V0", "F0", "dir0"} <= set(arrays):
        return _joined_views(arrays, name)
    raise OmomiError(ErrorCode.NOT_A_MESH, f"{name} holds no array called points.")


def _joined_views(arrays: Mapping[str, NDArray], name: str) -> RawScan:
    """Range views as one mesh with a sensor direction at each point."""
    views: list[RawScan] = []
    while {f"V{len(views)}", f"F{len(views)}", f"dir{len(views)}"} <= set(arrays):
        view = len(views)
        # each is checked by itself: its faces must not reach into another view
        own = RawScan(arrays[f"V{view}"], arrays[f"F{view}"], name=f"View {view} of {name}")
        towards = arrays[f"dir{view}"]
        require(towards.size == 3, f"dir{view} is not a direction")
        views.append(replace(own, to_sensor=np.broadcast_to(towards.reshape(1, 3), own.points.shape)))
        _bound(sum(len(one.points) for one in views), name)
    return replace(RawScan.of_views(views), name=name)


def _whole(read: Callable[[bytes, str], RawScan]) -> _Reader:
    return lambda stream, path: read(read_all(stream, LARGEST_FILE), path.stem)


_Reader: TypeAlias = Callable[[BinaryIO, Path], RawScan]
_READERS: dict[str, _Reader] = {
    ".ply": _whole(_load_ply),
    ".obj": _whole(_load_obj),
    ".stl": _whole(_load_stl),
    ".glb": _whole(_load_gltf),
    ".gltf": _whole(_load_gltf),
    ".npz": _whole(_load_npz),
    ".off": _whole(read_off),
    **dict.fromkeys((".xyz", ".asc", ".pts"), _whole(read_points)),
    ".pcd": _whole(read_pcd),
    # packages that open the file themselves
    **dict.fromkeys((".las", ".laz"), lambda stream, path: read_las(path)),
    ".e57": lambda stream, path: read_e57(path),
}


def check_output(path: Path) -> None:
    """Refuse a name that `save_mesh` would refuse, before the work is done. Raises OmomiError: BAD_OPTION, DISK."""
    _check_suffix(path)
    check_writable(path)


def _check_suffix(path: Path) -> None:
    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        known = ", ".join(MESH_SUFFIXES)
        raise OmomiError(ErrorCode.BAD_OPTION, f"{path.name} has no suffix that Omomi writes ({known}).")


def save_mesh(
    path: Path,
    vertices: ArrayLike,
    faces: ArrayLike,
    sigma: ArrayLike | None = None,
    attributes: SurfaceAttributes | None = None,
) -> list[str]:
    """Write a mesh as the suffix says: .ply (binary), .obj, .stl, .glb or .npz. Returns sentences on what the file does
    not hold as it was given.

    vertices: (n, 3), world units; faces: (m, 3); sigma: (n,) uncertainty, world units, kept by PLY (vertex property)
    and NPZ; attributes: of this mesh; PLY keeps all of them, OBJ and GLB colours, texture coordinates and materials.
    An STL file of a mesh far from the origin is written about the origin, with `offset_path` beside it, {"offset":
    [x, y, z]}: its single precision would move the points by more than PRECISION.
    Raises OmomiError: BAD_OPTION as `check_output`, DISK (cannot write there; what was at ``path`` is untouched).
    """
    path = Path(path)
    _check_suffix(path)
    points, triangles = np.asarray(vertices, np.float64).reshape(-1, 3), np.asarray(faces, np.int32).reshape(-1, 3)
    error_bars = None if sigma is None else np.asarray(sigma, np.float32).reshape(len(points))
    suffix, notes = path.suffix.lower(), []
    if attributes is not None:
        attributes.check(len(points), len(triangles))
    if suffix == ".stl" and needs_double(points):
        offset = np.round((np.nanmin(points, axis=0) + np.nanmax(points, axis=0)) / 2)
        points = points - offset
        beside = offset_path(path)
        write_whole(beside, (json.dumps({"offset": offset.tolist()}) + "\n").encode())
        notes.append(
            f"The mesh lies far from the origin, where STL is too coarse: {path.name} stands about the origin, and "
            f"{beside.name} holds what to add to it ({', '.join(f'{along:.0f}' for along in offset)})."
        )
    if attributes and suffix in (".stl", ".npz"):
        notes.append(f"{path.name} holds no colours, texture coordinates or materials: PLY, OBJ and GLB do.")
    write_whole(path, _encoded(path, points, triangles, error_bars, attributes))
    return notes


def _encoded(
    path: Path,
    points: NDArray[np.float64],
    faces: NDArray[np.int32],
    sigma: NDArray[np.float32] | None,
    attributes: SurfaceAttributes | None,
) -> bytes:
    match path.suffix.lower():
        case ".ply":
            extra = {} if sigma is None else {"sigma": sigma}
            stored = points if needs_double(points) else points.astype(np.float32)
            return write_ply(stored, faces, extra, attributes)
        case ".obj":
            return write_obj(points, faces, attributes)
        case ".glb":
            return write_glb(points, faces, attributes)
        case ".npz":
            extra = {} if sigma is None else {"sigma": sigma}
            return write_npz({"points": points, "faces": faces, **extra})
    return write_stl(points, faces)


def needs_double(points: NDArray[np.float64]) -> bool:
    """Whether single precision would move points (n, 3) by more than PRECISION."""
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return False
    moved = np.abs(points.astype(np.float32).astype(np.float64) - points).max()
    return not bool(moved <= PRECISION * np.ptp(points, axis=0).max())


def save_moved(path: Path, source: Path, scan: RawScan, vertices: NDArray, sigma: ArrayLike | None) -> list[str]:
    """Write a scan with its points moved to (n, 3), as the file that it came from: PLY and OBJ stay as they are, line
    by line, but for coordinates (and a PLY file's normals). Returns sentences, and raises OmomiError, as `save_mesh`.

    source: the scan's file; sigma: (n,), for files that are written anew.
    """
    path, source = Path(path), Path(source)
    _check_suffix(path)
    suffix = path.suffix.lower()
    faces = np.zeros((0, 3), np.int32) if scan.faces is None else scan.faces
    if suffix != source.suffix.lower() or suffix not in (".ply", ".obj"):
        notes = save_mesh(path, vertices, faces, sigma, scan.attributes)
        kept = ".ply and .obj files that come from such files"
        return [*notes, f"{path.name} is written anew, in triangles: polygons, groups and lines stay in {kept}."]
    data = read_bounded(source, LARGEST_FILE)
    notes: list[str] = []
    try:
        if suffix == ".ply":
            # loads scipy, which reading does without
            from ..geometry.normals import normals_of

            moved = moved_ply(data, vertices, normals_of(vertices - vertices.mean(axis=0), faces))
        else:
            moved = moved_obj(data, vertices)
            if has_normals(data):
                notes = [f"{path.name} keeps the normals (vn) that {source.name} has: compute them anew."]
    except FormatError as flaw:
        raise unreadable(source.name, flaw) from flaw
    write_whole(path, moved)
    return notes


def save_appended(path: Path, source: Path, scan: RawScan, addition: Addition) -> list[str]:
    """Write a scan with more vertices and faces as the file that it came from: every byte of its vertices and faces, in
    any polygons, stays, and the new ones follow. Returns sentences, and raises OmomiError, as `save_mesh`.

    source: the scan's file. Files of another suffix, GLB and what no row can be appended to are written anew.
    """
    path, source = Path(path), Path(source)
    _check_suffix(path)
    suffix = path.suffix.lower()
    assert scan.faces is not None
    why = "only PLY, OBJ, binary STL and NPZ files of the same suffix are continued"
    if suffix == source.suffix.lower() and suffix != ".glb":
        data = read_bounded(source, LARGEST_FILE)
        try:
            longer, notes = _appended(suffix, data, scan, addition)
        except FormatError as flaw:
            why = str(flaw)
        else:
            write_whole(path, longer)
            return notes
    attributes = None if scan.attributes is None else addition.attributes(scan.attributes, len(scan.faces))
    sigma = scan.sigma
    if sigma is not None:
        # nobody measured there
        sigma = np.concatenate([sigma, np.full(len(addition.vertices), np.nan, np.float32)])
    vertices = np.concatenate([scan.points, addition.vertices])
    notes = save_mesh(path, vertices, np.concatenate([scan.faces, addition.faces]), sigma, attributes)
    lost = "polygons, groups, pictures and whatever Omomi does not read are not kept"
    return [*scan.notes, *notes, f"{path.name} is written anew, in triangles: {why}; {lost}."]


def _appended(suffix: str, data: bytes, scan: RawScan, addition: Addition) -> tuple[bytes, list[str]]:
    if suffix == ".ply":
        return appended_ply(data, addition)
    if suffix == ".obj":
        return appended_obj(data, addition)
    if suffix == ".stl":
        return appended_stl(data, addition, scan.points), []
    packed = NpzReader(data)
    require({"points", "faces"} <= set(packed), "it holds several views")
    return write_npz(appended_arrays(dict(packed), addition)), []
