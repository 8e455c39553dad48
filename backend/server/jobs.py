"""One job that the server owes an answer: its request, whether it was cancelled, how its meshes travel."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ErrorCode, OmomiError
from ..protocol.messages import MeshFrame
from ..protocol.recipe import Point
from ..protocol.requests import Request

if TYPE_CHECKING:
    from ..field.fit import FittedMesh
    from ..field.onnx_model import CancelToken

# A job ends where one of these folders' functions begins: they compute, and hold neither locks nor half-written files.
_BACKEND = Path(__file__).parents[1]
_PARTS = ("scan", "geometry", "registration", "field", "prior", "edits")
_COMPUTING = (
    *(str(_BACKEND / part) for part in _PARTS),
    *(str(Path(np.__file__).parent.with_name(package)) for package in ("numpy", "scipy")),
)


@dataclass
class Job:
    """A request that has no response yet."""

    request: Request
    running: bool = False
    cancelled: bool = False
    token: CancelToken | None = None  # once it runs
    origin: Point | None = None  # world units: the centre of its first mesh
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def nbytes(self) -> int:
        """Of the arrays of the request."""
        return sum(value.nbytes for value in vars(self.request).values() if isinstance(value, np.ndarray))

    def begin(self, token: CancelToken) -> None:
        with self.lock:
            self.token = token
        self.raise_if_cancelled()

    def cancel(self) -> None:
        with self.lock:
            self.cancelled = True
            if self.token is not None:
                self.token.cancel()

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Within this block, on this thread and those that it starts, a cancel ends the job at the next call of a
        function that computes, whether or not that looks at the token."""
        threading.setprofile(self._look)
        sys.setprofile(self._look)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _look(self, frame: FrameType, event: str, argument: object) -> None:
        if self.cancelled and event == "call" and _may_end(frame):
            self.raise_if_cancelled()

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise OmomiError(ErrorCode.CANCELLED, "The job was cancelled.")

    def frame(self, mesh: FittedMesh, final: bool) -> MeshFrame:
        """A mesh as it travels: around the centre of the job's first one, so that f32 suffices."""
        vertices = np.asarray(mesh.vertices, np.float64).reshape(-1, 3)
        if self.origin is None:
            centre = (vertices.min(0) + vertices.max(0)) / 2 if len(vertices) else np.zeros(3)
            self.origin = (float(centre[0]), float(centre[1]), float(centre[2]))
        return frame_of(self.request.id, int(mesh.level), final, self.origin, vertices, mesh.faces, mesh.sigma)


def frame_of(
    job: int, level: int, final: bool, origin: Point, vertices: np.ndarray, faces: np.ndarray, sigma: np.ndarray
) -> MeshFrame:
    """A mesh as it travels: vertices f64 (n, 3) and sigma (n,), world units, faces (m, 3)."""
    near = (vertices - origin).astype("<f4")
    faces, sigma = np.asarray(faces, "<i4").reshape(-1, 3), np.asarray(sigma, "<f4").reshape(-1)
    return MeshFrame(job, level, final, origin, near, faces, sigma)


def _may_end(frame: FrameType) -> bool:
    """Whether a job may end where this function begins. Never below an import, which must not be left half done."""
    if not frame.f_code.co_filename.startswith(_COMPUTING):
        return False
    caller: FrameType | None = frame
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return False
        caller = caller.f_back
    return True
