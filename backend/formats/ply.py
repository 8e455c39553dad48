"""PLY files: the mesh in them, with triangles and larger polygons mixed as Blender writes them, and all it carries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.polygons import triangulate
from ..geometry.surface_attributes import SurfaceAttributes
from .files import FormatError, require
from .ply_elements import Columns, Element, ElementReader, Header, Lists, read_header

COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
UVS = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
NORMALS = ("nx", "ny", "nz")
SPLAT = ("f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "rot_0")
"""Properties that tell a file of Gaussian splats."""
_BAND_0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi))."""
FAINTEST = 0.1
"""Opacity below which a splat is haze around the surface rather than the surface. Set by reasoning, not
chosen on scans: ten splats as faint as this, one behind another, still let a third of the light through."""
MOST_VALUES = 64
"""Numbers that a vertex may carry by name beside those that are known."""
MOST_ROWS = 100_000_000
"""Of an element, and triangles: the faces of the largest scan that is read."""


@dataclass(frozen=True)
class Ply:
    """What a PLY file holds of a mesh."""

    vertices: NDArray  # (n, 3) float64
    faces: NDArray | None  # (m, 3), triangles of its polygons; indices unchecked; None where there are none
    normals: NDArray | None  # (n, 3) float64
    sigma: NDArray | None = None  # (n,) float64, as `mesh_files.save_mesh` writes it
    attributes: SurfaceAttributes | None = None
    notes: tuple[str, ...] = ()  # sentences on what was left out


def read_ply(data: bytes) -> Ply:
    """Read the mesh of a PLY file: its vertices, its faces or triangle strips, and what they carry. Lists that are not
    the corners of faces and elements that are no part of a mesh are stepped over. Raises FormatError."""
    header = read_header(data)
    many = f"it has more than {MOST_ROWS:,} vertices or faces"
    require(all(one.count <= MOST_ROWS for one in header.elements), many)
    found = _wanted(header, data)
    if "vertex" not in found:
        raise FormatError("it has no vertices")
    return mesh_of(header, found)


def mesh_of(header: Header, found: Mapping[str, Columns], notes: tuple[str, ...] = ()) -> Ply:
    """The mesh that the elements of a PLY file make. notes: sentences on what was left out. Raises FormatError."""
    numbers = found["vertex"].numbers
    require({"x", "y", "z"} <= numbers.keys(), "its vertices have no x, y and z")
    if set(SPLAT) <= numbers.keys() and "face" not in found:
        return _splats(numbers)
    vertices = _table(numbers, "xyz")
    corners, sizes, triangles = _polygons(found, vertices)
    attributes = SurfaceAttributes(
        _colours(numbers),
        _uvs(found, corners, triangles),
        *_materials(found, header, sizes, triangles),
        values=_values(numbers),
    )
    return Ply(
        vertices,
        None if triangles is None else corners.reshape(-1, 3) if np.all(sizes == 3) else corners[triangles],
        _table(numbers, NORMALS) if set(NORMALS) <= numbers.keys() else None,
        numbers["sigma"].astype(np.float64) if "sigma" in numbers else None,
        attributes if attributes else None,
        (*notes, *_left_out(found)),
    )


def _wanted(header: Header, data: bytes) -> dict[str, Columns]:
    """The elements of a mesh. What follows them is not read."""
    body, found = ElementReader(header, data), {}
    wanted = {one.name for one in header.elements} & {"vertex", "face", "tristrips"}
    for element in header.elements:
        if wanted <= found.keys():
            break
        found[element.name] = body.read(element)
    body.end(header.elements[len(found) :])
    return {name: found[name] for name in wanted}


def _table(numbers: Mapping[str, NDArray], names: Sequence[str]) -> NDArray[np.float64]:
    table = np.empty((len(numbers[names[0]]), len(names)))
    for column, name in enumerate(names):
        table[:, column] = numbers[name]
    return table


def _polygons(
    found: Mapping[str, Columns], vertices: NDArray
) -> tuple[NDArray, NDArray[np.int64], NDArray[np.int64] | None]:
    """Corners (c,) of all polygons, the polygons' sizes (p,) and triangles (t, 3) of places in the corners."""
    lists = found["face"].lists if "face" in found else {}
    name, corners, sizes, triangles = polygons(lists, vertices)
    if name:
        return corners, sizes, triangles
    require(not lists, "its faces are not one list of corners each")
    if "tristrips" in found:
        strips = next(iter(found["tristrips"].lists.values()), None)
        if strips is not None:
            triangles = _strip_triangles(_as_whole(strips.values), np.asarray(strips.sizes, np.int64))
            return triangles.reshape(-1), np.full(len(triangles), 3), np.arange(triangles.size).reshape(-1, 3)
    return np.zeros(0, np.int64), np.zeros(0, np.int64), None


def polygons(
    lists: Mapping[str, Lists], vertices: NDArray
) -> tuple[str, NDArray, NDArray[np.int64], NDArray[np.int64] | None]:
    """Of the lists of faces the name of that which holds the corners, "" where none does; the corners, the polygons'
    sizes and triangles, as `_polygons`."""
    named = [name for name in lists if name.startswith("vert")]
    whole = [name for name in lists if lists[name].values.dtype.kind in "iu"]
    if not named and len(whole) != 1:
        return "", np.zeros(0, np.int64), np.zeros(0, np.int64), None
    name = (named or whole)[0]
    corners, sizes = lists[name].values, np.asarray(lists[name].sizes, np.int64)
    if corners.dtype.kind == "f" or corners.dtype.itemsize == 8:
        corners = _as_whole(corners)
    try:
        return name, corners, sizes, triangulate(vertices, corners, sizes) if len(sizes) else None
    except ValueError as error:
        raise FormatError(error) from error


def _as_whole(corners: NDArray) -> NDArray[np.int64]:
    """Raises FormatError for fractions, and for numbers beyond those of any vertices."""
    inside = (corners >= -1) & (corners < 1 << 40)
    require(inside.all(), "its faces refer to points it does not have")
    whole = corners.astype(np.int64)
    require((whole == corners).all(), "its faces have corners that are not whole numbers")
    return whole


def _strip_triangles(values: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles (t, 3) of strips, one after another, that end with their list or at -1; every other one is turned."""
    require(len(values) <= MOST_ROWS, f"it has more than {MOST_ROWS:,} faces")
    begins = np.zeros(len(values), bool)
    begins[(np.cumsum(sizes) - sizes)[sizes > 0]] = True
    begins[1:] |= values[:-1] < 0
    place = np.arange(len(values))
    step = place - np.maximum.accumulate(np.where(begins, place, 0))
    last = place[2:][(step[2:] >= 2) & (values[2:] >= 0)]
    turned = step[last] % 2 == 1
    a, b, c = values[last - 2], values[last - 1], values[last]
    return np.stack([np.where(turned, b, a), np.where(turned, a, b), c], axis=1)


def _colours(numbers: Mapping[str, NDArray]) -> NDArray[np.uint8] | None:
    """Colours (n, 3 or 4) of 0 to 255, whatever the file counts them in."""
    for names in COLOURS:
        if set(names) <= numbers.keys():
            names = (*names, *(name for name in ("alpha", "diffuse_alpha", "a") if name in numbers))[:4]
            return as_bytes(np.stack([numbers[name] for name in names], axis=1))
    return None


def as_bytes(colours: NDArray) -> NDArray[np.uint8]:
    """Colours in bytes: fractions count to 1 and 16 bits to 65535, unless they are bytes in another type."""
    if colours.dtype == np.uint8:
        return colours
    finite = np.nan_to_num(colours.astype(np.float64), posinf=0, neginf=0)
    most = finite.max(initial=0)
    unit = 255.0 if colours.dtype.kind == "f" and most <= 1 else 255 / 65535 if most > 255 else 1.0
    return np.clip(np.rint(finite * unit), 0, 255).astype(np.uint8)


def _uvs(found: Mapping[str, Columns], corners: NDArray, triangles: NDArray | None) -> NDArray[np.float32] | None:
    """Texture coordinates (t, 3, 2) of corners: of the faces' own lists, else of the vertices."""
    if triangles is None or not len(triangles):
        return None
    own = found["face"].lists.get("texcoord") if "face" in found else None
    if own is not None and len(own.values) == 2 * len(corners):
        return own.values.reshape(-1, 2)[triangles].astype(np.float32)
    numbers = found["vertex"].numbers
    for names in UVS:
        if set(names) <= numbers.keys():
            table = _table(numbers, names)
            inside = corners.min() >= 0 and corners.max() < len(table)
            return table[corners[triangles]].astype(np.float32) if inside else None
    return None


def _materials(
    found: Mapping[str, Columns], header: Header, sizes: NDArray, triangles: NDArray | None
) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Materials (t,) of triangles, and their names: those of the texture files, where the file says them."""
    numbers = found["face"].numbers if "face" in found else {}
    name = next((name for name in ("texnumber", "material_index", "material_indices") if name in numbers), None)
    if name is None or triangles is None or len(numbers[name]) != len(sizes):
        return None, ()
    number = np.nan_to_num(numbers[name].astype(np.float64)).clip(0, 1 << 30).astype(np.int64)
    used, rows = np.unique(number, return_inverse=True)
    lines = [re.match(r"comment\s+(?:TextureFile|Material)\s+(.+)", line) for line in header.comments]
    said = [line[1] for line in lines if line]
    names = tuple(said[row] if row < len(said) else f"material{row}" for row in used.tolist())
    return np.repeat(rows.reshape(-1), np.maximum(sizes - 2, 0)).astype(np.int32), names


def _values(numbers: Mapping[str, NDArray]) -> dict[str, NDArray[np.float32]]:
    """What else the vertices carry."""
    known = {*"xyz", *NORMALS, "sigma", "alpha", "diffuse_alpha", *(n for names in COLOURS + UVS for n in names)}
    names = [name for name in numbers if name not in known and name.isprintable()][:MOST_VALUES]
    with np.errstate(over="ignore"):
        return {name: numbers[name].astype(np.float32) for name in names}


def _left_out(found: Mapping[str, Columns]) -> tuple[str, ...]:
    if "face" in found and {"red", "green", "blue"} <= found["face"].numbers.keys():
        return ("Its faces have colours, which are not kept: only those of vertices are.",)
    return ()


def _splats(numbers: Mapping[str, NDArray]) -> Ply:
    """Gaussian splats as coloured points, without those that are nearly transparent (Kerbl et al., 3D Gaussian
    Splatting, 2023: opacity is a logit, colour the lowest band of spherical harmonics)."""
    with np.errstate(over="ignore"):
        opacity = 1 / (1 + np.exp(-numbers["opacity"].astype(np.float64)))
    kept = opacity >= FAINTEST
    colours = 0.5 + _BAND_0 * _table(numbers, SPLAT[:3])[kept]
    faint = f"{(~kept).sum():,} of {len(kept):,} that are less than {FAINTEST:.0%} opaque"
    note = f"It holds Gaussian splats: their middles are read as points, without {faint}."
    colours = np.clip(np.rint(np.nan_to_num(colours) * 255), 0, 255).astype(np.uint8)
    return Ply(_table(numbers, "xyz")[kept], None, None, None, SurfaceAttributes(colours), (note,))


def write_ply(
    vertices: NDArray,
    faces: NDArray[np.int32],
    extra: Mapping[str, NDArray],
    attributes: SurfaceAttributes | None = None,
) -> bytes:
    """A binary little-endian PLY file.

    vertices: (n, 3) float32 or float64; faces: (m, 3); extra: named (n,) vertex properties, written as float;
    attributes: of this mesh.
    """
    carried = SurfaceAttributes() if attributes is None else attributes
    kind = "f8" if vertices.dtype == np.float64 else "f4"
    extra = {**carried.values, **extra}
    points: list[tuple[str, str, NDArray]] = [(name, kind, vertices[:, axis]) for axis, name in enumerate("xyz")]
    points += [(name, "f4", values) for name, values in extra.items()]
    if carried.colours is not None:
        channels = ("red", "green", "blue", "alpha")
        points += [(name, "u1", column) for name, column in zip(channels, carried.colours.T, strict=False)]
    fields: list[tuple] = [("count", "u1"), ("corners", "<i4", (3,))]
    columns: dict[str, object] = {"count": 3, "corners": faces}
    lines = ["property list uchar int vertex_indices"]
    if carried.uvs is not None:
        fields += [("pairs", "u1"), ("texcoord", "<f4", (6,))]
        columns |= {"pairs": 6, "texcoord": carried.uvs.reshape(-1, 6)}
        lines.append("property list uchar float texcoord")
    if carried.materials is not None:
        fields.append(("texnumber", "<i4"))
        columns["texnumber"] = carried.materials
        lines.append("property int texnumber")
    if carried.invented is not None:
        fields.append(("invented", "u1"))
        columns["invented"] = carried.invented
        lines.append("property uchar invented")
    rows = np.empty(len(vertices), [(name, "<" + t) for name, t, _ in points])
    for name, _, values in points:
        rows[name] = values
    polygons = np.empty(len(faces), fields)
    for name, values in columns.items():
        polygons[name] = values
    words = {"f4": "float", "f8": "double", "u1": "uchar"}
    header = [
        "ply", "format binary_little_endian 1.0",
        *(f"comment Material {name}" for name in carried.material_names),
        f"element vertex {len(rows)}", *(f"property {words[t]} {name}" for name, t, _ in points),
        f"element face {len(polygons)}", *lines, "end_header", "",
    ]  # fmt: skip
    return "\n".join(header).encode("utf-8") + rows.tobytes() + polygons.tobytes()


def moved_ply(data: bytes, vertices: NDArray, normals: NDArray) -> bytes:
    """The PLY file ``data`` with its vertices at (n, 3) and, where it has normals, with these (n, 3); all else as it
    is, byte for byte. Raises FormatError."""
    header = read_header(data)
    body = ElementReader(header, data)
    columns = {**dict(zip("xyz", vertices.T, strict=True)), **dict(zip(NORMALS, normals.T, strict=True))}
    vertex = _skipped_to_vertices(header, body)
    require(vertex.count == len(vertices), "it has another number of vertices")
    places = body.places(vertex, tuple(columns))
    if header.encoding == "ascii":
        parts = re.split(rb"(\s+)", data[header.start :])
        begin = 0 if parts[0] else 2
        for name, at in places.items():
            for place, value in zip(at.tolist(), columns[name].tolist(), strict=True):
                parts[begin + 2 * place] = repr(value).encode("ascii")
        return data[: header.start] + b"".join(parts)
    types = {one.name: one.type for one in vertex.properties}
    moved = np.frombuffer(data, np.uint8).copy()
    for name, at in places.items():
        kind = np.dtype((">" if "big" in header.encoding else "<") + types[name])
        raw = np.ascontiguousarray(columns[name].astype(kind)).view(np.uint8).reshape(-1, kind.itemsize)
        moved[at[:, None] + np.arange(kind.itemsize)] = raw
    return moved.tobytes()


def _skipped_to_vertices(header: Header, body: ElementReader) -> Element:
    for element in header.elements:
        if element.name == "vertex":
            return element
        body.read(element)
    raise FormatError("it has no vertices")
