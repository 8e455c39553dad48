"""STL files, binary and as text: triangles with corners of their own.

Format: 3D Systems, StereoLithography Interface Specification (1989).
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from .addition import Addition
from .files import require
from .ply_elements import numbers_of

_HEAD = 84
"""Bytes before the first triangle: a title, and the number of triangles."""
_ROW = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
_TITLE = re.compile(rb"^[ \t]*(end)?solid\b[^\r\n]*", re.MULTILINE)
_WORDS = (b"facet normal", b"outer loop", b"vertex", b"vertex", b"vertex", b"endloop", b"endfacet")


def read_stl(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (3 m, 3) and faces (m, 3). Raises FormatError, also where the file has another length than its number of
    triangles says."""
    count = int.from_bytes(data[_HEAD - 4 : _HEAD], "little")
    if len(data) >= _HEAD and len(data) == _HEAD + _ROW.itemsize * count:
        points = np.frombuffer(data, _ROW, count, _HEAD)["corners"].reshape(-1, 3).astype(np.float64)
    else:
        text = data.lstrip()[:1024]
        require(text[:5].lower() == b"solid" and b"\0" not in text, "its length is not what its number of faces says")
        points = _of_text(data.lower())
    return points, np.arange(len(points)).reshape(-1, 3)


def _of_text(text: bytes) -> NDArray[np.float64]:
    titles = [bool(one[1]) for one in _TITLE.finditer(text)]
    whole = len(titles) % 2 == 0 and all(ends == bool(number % 2) for number, ends in enumerate(titles))
    require(whole, "it ends in the middle")
    text = b" ".join(_TITLE.sub(b" ", text).split())
    facets = text.count(_WORDS[0])
    for word in set(_WORDS):
        found = text.count(word)
        require(found == facets * _WORDS.count(word), "it is damaged")
        text = text.replace(word, b" ")
    numbers = numbers_of(text) if text.strip() else np.zeros(0)
    require(len(numbers) == 12 * facets, "it is damaged")
    return numbers.reshape(-1, 12)[:, 3:].reshape(-1, 3)


def write_stl(points: NDArray[np.float64], faces: NDArray) -> bytes:
    """A binary STL file of points (n, 3) and faces (m, 3)."""
    return bytes(_HEAD - 4) + len(faces).to_bytes(4, "little") + _rows(points, faces)


def appended_stl(data: bytes, addition: Addition, points: NDArray[np.float64]) -> bytes:
    """The binary STL file ``data`` of a mesh with points (n, 3), with more faces behind its last one. Raises
    FormatError for another length than its number of faces says, as that of a text."""
    count = int.from_bytes(data[_HEAD - 4 : _HEAD], "little")
    require(len(data) == _HEAD + _ROW.itemsize * count, "it is no binary STL file")
    more = _rows(np.concatenate([points, addition.vertices]), addition.faces)
    return data[: _HEAD - 4] + (count + len(addition.faces)).to_bytes(4, "little") + data[_HEAD:] + more


def _rows(points: NDArray[np.float64], faces: NDArray) -> bytes:
    corners = points[faces]
    rows = np.zeros(len(corners), _ROW)
    rows["corners"] = corners
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rows["normal"] = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    return rows.tobytes()
