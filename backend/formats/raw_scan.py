"""The raw scan: what a file or a request holds, before anything is known about it."""

from __future__ import annotations

from dataclasses import dataclass

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
