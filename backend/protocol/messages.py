"""The messages between an add-on (or script) and the backend process, one frozen dataclass each.

Those that ask for a job are in ``requests``. Both sides share the two files; ``wire`` says how a message travels.
Standard library and numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..errors import ErrorCode, OmomiError
from .requests import Request, array_field

PROTOCOL_VERSION = 5

# Keeps a failure, tracebacks included, well inside the bound of a head.
_LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class Hello:
    """First message of the backend. ``limits`` are the bounds of one message, in bytes (see ``frames``)."""

    protocol: int
    backend: str
    pid: int
    model_hash: str
    device: str
    providers: tuple[str, ...]
    numpy: str
    onnxruntime: str
    limits: dict[str, Any]


@dataclass(frozen=True)
class Forget:
    """The fit with this handle is not needed any more, once the jobs before this message are done. Without it the least
    recently used goes when memory is short."""

    handle: int


@dataclass(frozen=True, eq=False)
class Done:
    """A job other than a fit ended well. ``vertices`` f32 (n, 3): world coordinates minus the fit's origin; ``values``
    f32 (n,). What they are, and what ``result`` holds, is said at the request."""

    id: int
    result: dict[str, Any]
    vertices: np.ndarray | None = array_field("<f4", columns=3, optional=True)
    values: np.ndarray | None = array_field("<f4", columns=None, optional=True)
    uvs: np.ndarray | None = array_field("<f4", columns=2, optional=True)
    sources: np.ndarray | None = array_field("<i4", columns=None, optional=True)
    deviation: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True)
class Progress:
    """``fraction`` in 0..1 of the job done, ``text`` for a person. Repeated twice a second as a sign of life."""

    id: int
    fraction: float
    text: str


@dataclass(frozen=True, eq=False)
class MeshFrame:
    """The mesh so far, coarse to fine; exactly one frame of a job is ``final``.

    ``vertices`` f32 (n, 3) are world coordinates minus ``origin``, so that a scan far from the origin keeps its
    precision; the origin is the same in all frames of a job, and in those of the edits of a fit. ``sigma`` f32 (n,) is
    one standard deviation of the surface along its normal, in world units.
    """

    id: int
    level: int
    final: bool
    origin: tuple[float, float, float]
    vertices: np.ndarray = array_field("<f4", columns=3)
    faces: np.ndarray = array_field("<i4", columns=3)
    sigma: np.ndarray = array_field("<f4", columns=None)

    def world(self) -> np.ndarray:
        """Vertices f64 (n, 3) in world units."""
        return self.vertices.astype(np.float64) + np.asarray(self.origin)


@dataclass(frozen=True)
class FitDone:
    """A job ended well; its final frame came before. ``stats`` and ``report`` are fields of ``FitStats`` and
    ``CleanReport``."""

    id: int
    stats: dict[str, Any]
    report: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A job ended badly, or, with ``id`` None, the backend itself cannot go on."""

    id: int | None
    code: ErrorCode
    message: str
    detail: str = ""

    @classmethod
    def of(cls, job: int | None, error: OmomiError) -> Failure:
        return cls(job, error.code, error.message[:_LONGEST_TEXT], error.detail[-_LONGEST_TEXT:])

    def error(self) -> OmomiError:
        return OmomiError(self.code, self.message, self.detail)


@dataclass(frozen=True)
class Cancel:
    """Stop the job ``id``, queued or running. Its response is then a ``Failure`` with the code ``CANCELLED``."""

    id: int


@dataclass(frozen=True)
class Ping:
    """Ask for a ``Pong``."""


@dataclass(frozen=True)
class Pong:
    """Answer to ``Ping``."""


@dataclass(frozen=True)
class Shutdown:
    """End the process. Closing its stdin does the same."""


Response: TypeAlias = FitDone | Done | Failure
Message: TypeAlias = Request | Response | Hello | Progress | MeshFrame | Cancel | Forget | Ping | Pong | Shutdown
