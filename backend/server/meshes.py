"""Several meshes that came end to end in one request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..formats.raw_scan import RawScan


def unpacked(points: NDArray, faces: NDArray, counts: Sequence[int], names: Sequence[str]) -> list[RawScan]:
    """The meshes with ``names`` in points (n, 3) and faces (m, 3), indices into a mesh's own points; counts: points and
    faces of each in turn. Raises OmomiError(BAD_OPTION) for counts that do not add up."""
    table = np.array(counts, np.int64).reshape(-1)
    if len(table) != 2 * len(names) or table.min(initial=0) < 0 or table.max(initial=0) > max(len(points), len(faces)):
        raise OmomiError(ErrorCode.BAD_OPTION, "Meshes are counted by the points and faces of each.")
    first, corner = (np.concatenate([[0], np.cumsum(table[part::2])]) for part in range(2))
    if first[-1] != len(points) or corner[-1] != len(faces):
        raise OmomiError(ErrorCode.BAD_OPTION, "The meshes are not as long as they were said to be.")
    return [
        RawScan(
            points[first[mesh] : first[mesh + 1]].astype(np.float64),
            faces[corner[mesh] : corner[mesh + 1]],
            name=name,
        )
        for mesh, name in enumerate(names)
    ]
