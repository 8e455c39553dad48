"""What a request names and packs, checked: members of enumerations, paths, meshes and what they carry."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import refuse
from ..protocol.requests import AlignRequest, LearnRequest, PatchRequest

if TYPE_CHECKING:
    from ..formats.raw_scan import RawScan

Choice = TypeVar("Choice", bound=StrEnum)


def member_of(kind: type[Choice], value: str) -> Choice:
    """The member of an enumeration that a request names. Raises OmomiError(BAD_OPTION)."""
    if value not in tuple(kind):
        refuse(f"{value!r:.80} is none of {', '.join(kind)}")
    return kind(value)


def file_of(path: str, suffix: str = "") -> Path:
    """A path that a request names. Raises OmomiError(BAD_OPTION) for what cannot be one, or has another suffix."""
    if not path or "\0" in path or (suffix and Path(path).suffix.lower() != suffix):
        refuse(f"this is no path of a file{' that ends in ' + suffix if suffix else ''}")
    return Path(path)


def attributes_of(request: PatchRequest) -> tuple[NDArray | None, NDArray]:
    """What a mesh to be patched carries: values (n, channels), and UVs (layers, m, 3, 2). Raises BAD_OPTION."""
    points, corners = len(request.points), 3 * len(request.faces)
    values = None if request.values is None or not len(request.values) else request.values
    uvs = np.zeros((0, 2), "<f4") if request.uvs is None else request.uvs
    if (values is not None and len(values) % max(points, 1)) or len(uvs) % max(corners, 1):
        refuse("the attributes are not as many as the mesh has places for")
    return None if values is None else values.reshape(points, -1), uvs.reshape(-1, corners // 3, 3, 2)


def meshes_of(request: LearnRequest | AlignRequest, names: Sequence[str]) -> list[RawScan]:
    """The meshes with these names, which came end to end. Raises OmomiError(BAD_OPTION) for counts of points and faces
    that do not add up."""
    from ..formats.raw_scan import RawScan

    points, faces = request.points, request.faces
    table = np.array(request.counts, np.int64).reshape(-1)
    if len(table) != 2 * len(names) or table.min(initial=0) < 0 or table.max(initial=0) > max(len(points), len(faces)):
        refuse("meshes are counted by the points and faces of each")
    first, corner = (np.concatenate([[0], np.cumsum(table[part::2])]) for part in range(2))
    if first[-1] != len(points) or corner[-1] != len(faces):
        refuse("the meshes are not as long as they were said to be")
    return [
        RawScan(points[first[k] : first[k + 1]].astype(np.float64), faces[corner[k] : corner[k + 1]], name=name)
        for k, name in enumerate(names)
    ]
