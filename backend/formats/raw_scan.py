"""The raw scan: what a file or a request holds, before anything is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from ..geometry.surface_attributes import SurfaceAttributes

MOST_POINTS = 50_000_000


@dataclass(frozen=True)
class RawScan:
    """A scan as it was given: a triangle mesh or bare points, nothing repaired.

    Arrays of other number types are converted. Raises OmomiError(NOT_A_MESH) where the arrays do not fit together.
    """

    points: NDArray  # (n, 3) float64, world units; may hold NaN or infinities
    faces: NDArray | None = None  # (m, 3) int32, indices into points; None for bare points
    normals: NDArray | None = None  # (n, 3) float32, of any length
    to_sensor: NDArray | None = None  # (n, 3) float32, from each point towards the scanner
    name: str = "scan"  # in messages
    sigma: NDArray | None = None
    """(n,) float32, one standard deviation of the surface at each point, world units, where it is known, as for a mesh
    that a fit made; NaN at points where it is not."""
    view: NDArray | None = None  # (n,) int32, number of the view of each point, of a scan that comes as several
    attributes: SurfaceAttributes | None = None  # of these points and faces, as the file has them
    notes: tuple[str, ...] = ()  # sentences on what the reader left out of it

    def __post_init__(self) -> None:
        points = self._table("points", self.points, np.float64)
        assert points is not None
        for field in ("normals", "to_sensor"):
            array = self._table(field, getattr(self, field), np.float32)
            if array is not None and len(array) != len(points):
                sentence = f"{self.name} has {len(points)} points but {len(array)} {field}."
                raise OmomiError(ErrorCode.NOT_A_MESH, sentence)
        if self.sigma is not None:
            sigma = np.asarray(self.sigma)
            if sigma.shape != (len(points),) or sigma.dtype.kind not in "fiu":
                raise OmomiError(ErrorCode.NOT_A_MESH, f"The sigma of {self.name} is not one number for each point.")
            # what is beyond single precision is as good as unknown
            with np.errstate(over="ignore"):
                object.__setattr__(self, "sigma", np.ascontiguousarray(sigma, np.float32))
        if self.view is not None:
            view = np.asarray(self.view)
            if view.shape != (len(points),) or view.dtype.kind not in "fiub" or not is_whole(view):
                sentence = f"The view of {self.name} is not one whole number for each point."
                raise OmomiError(ErrorCode.NOT_A_MESH, sentence)
            object.__setattr__(self, "view", np.ascontiguousarray(view, np.int32))
        if self.faces is not None:
            faces = np.asarray(self.faces)
            # not written as "differs": NaN is no whole number either
            if faces.dtype.kind == "f" and not (faces == np.floor(faces)).all():
                raise OmomiError(ErrorCode.NOT_A_MESH, f"{self.name} has faces whose corners are not whole numbers.")
            if faces.dtype.kind in "fiu" and faces.size and (faces.min() < 0 or faces.max() >= len(points)):
                raise OmomiError(ErrorCode.NOT_A_MESH, f"{self.name} has faces that refer to points it does not have.")
            self._table("faces", faces, np.int32)
        if self.attributes is not None:
            try:
                self.attributes.check(len(points), 0 if self.faces is None else len(self.faces))
            except ValueError as error:
                raise OmomiError(ErrorCode.NOT_A_MESH, f"{self.name} has {error}.") from error

    @classmethod
    def of_views(cls, scans: Sequence[RawScan]) -> RawScan:
        """Scans in one frame as the views of one scan, which has the name of the first; those of a scan that has views
        are views of their own. Colours and numbers of points are kept where all scans have them."""
        counts = [len(scan.points) for scan in scans]
        starts = np.cumsum([0, *counts[:-1]])
        views, first = [], 0
        for scan in scans:
            _, own = np.unique(np.zeros(len(scan.points)) if scan.view is None else scan.view, return_inverse=True)
            views.append(own + first)
            first += int(own.max(initial=0)) + 1
        faces = [scan.faces for scan in scans]
        carried = [SurfaceAttributes() if scan.attributes is None else scan.attributes for scan in scans]
        colours = _all_or_none([one.colours for one in carried])
        values = {name: _all_or_none([one.values.get(name) for one in carried]) for name in carried[0].values}
        attributes = SurfaceAttributes(colours, values={name: v for name, v in values.items() if v is not None})
        unknown = [np.full(count, np.nan, np.float32) for count in counts]
        sigma = [own if scan.sigma is None else scan.sigma for scan, own in zip(scans, unknown, strict=True)]
        return cls(
            np.concatenate([scan.points for scan in scans]),
            _all_or_none([None if own is None else own + start for own, start in zip(faces, starts, strict=True)]),
            _all_or_none([scan.normals for scan in scans]),
            _all_or_none([scan.to_sensor for scan in scans]),
            scans[0].name,
            np.concatenate(sigma) if any(scan.sigma is not None for scan in scans) else None,
            np.concatenate(views),
            attributes if attributes else None,
            tuple(note for scan in scans for note in scan.notes),
        )

    def finite(self) -> RawScan:
        """The scan without the points that are nowhere, and without the faces that have one."""
        kept = np.isfinite(self.points).all(axis=1)
        if kept.all():
            return self
        number = np.cumsum(kept) - 1
        whole = np.zeros(0, bool) if self.faces is None else kept[self.faces].all(axis=1)
        rows = {name: getattr(self, name) for name in ("points", "normals", "to_sensor", "sigma", "view")}
        faces = None if self.faces is None else number[self.faces[whole]]
        carried = None if self.attributes is None else self.attributes.take(kept, whole)
        return replace(
            self,
            **{name: None if table is None else table[kept] for name, table in rows.items()},
            faces=faces,
            attributes=carried,
        )

    def channels(self) -> dict[str, NDArray[np.float32]]:
        """What each point carries, by name, (n, columns): its normal, its colour (sRGB with alpha, 0 .. 1), the number
        of its view, and the numbers that the file has."""
        found: dict[str, NDArray] = {}
        if self.normals is not None:
            found["normal"] = self.normals
        carried = SurfaceAttributes() if self.attributes is None else self.attributes
        if carried.colours is not None:
            colours = carried.colours.astype(np.float32) / 255
            alpha = np.ones((len(colours), 4 - colours.shape[1]), np.float32)
            found["Color"] = np.concatenate([colours, alpha], axis=1)
        if self.view is not None:
            found["view"] = self.view[:, None]
        for name, values in carried.values.items():
            found.setdefault(name, values[:, None])
        return {name: table.astype(np.float32) for name, table in found.items()}

    def _table(self, field: str, value: object, dtype: type) -> NDArray | None:
        """Store ``value`` as an (n, 3) array of ``dtype``."""
        if value is None:
            return None
        array = np.asarray(value)
        if array.size == 0:
            array = array.reshape(0, 3)
        if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
            raise OmomiError(ErrorCode.NOT_A_MESH, f"The {field} of {self.name} are not rows of three numbers.")
        array = np.ascontiguousarray(array, dtype=dtype)
        object.__setattr__(self, field, array)
        return array


def is_whole(numbers: NDArray) -> bool:
    """Whether all are whole numbers of 32 bits; NaN is none."""
    with np.errstate(invalid="ignore"):
        return bool(np.all((numbers == np.floor(numbers)) & (np.abs(numbers) < 1 << 31)))


def _all_or_none(tables: Sequence[NDArray | None]) -> NDArray | None:
    """Tables one after another; None where one is absent or has other columns."""
    found = [table for table in tables if table is not None]
    same = len(found) == len(tables) and len({table.shape[1:] for table in found}) == 1
    return np.concatenate(found) if same else None
