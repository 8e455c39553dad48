"""The messages between an add-on (or script) and the backend process, one frozen dataclass each.

Both sides share this file; ``wire`` says how a message travels. Standard library and numpy only.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from .errors import ErrorCode, OmomiError

PROTOCOL_VERSION = 1

# Keeps a failure, tracebacks included, well inside the bound of a head.
_LONGEST_TEXT = 20_000


class Method(StrEnum):
    """Names on the wire."""

    HELLO = "hello"
    FIT = "fit"
    PROGRESS = "progress"
    FRAME = "frame"
    CANCEL = "cancel"
    PING = "ping"
    PONG = "pong"
    SHUTDOWN = "shutdown"


def _array(*dtypes: str, columns: int | None, optional: bool = False) -> Any:
    """A field that holds an array (n, columns), or (n,) without columns, of one of the dtypes."""
    metadata = {"dtypes": dtypes, "columns": columns, "optional": optional}
    return dataclasses.field(default=None, metadata=metadata) if optional else dataclasses.field(metadata=metadata)


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


@dataclass(frozen=True, eq=False)
class FitRequest:
    """Fit one scan. ``points`` (n, 3) in world units, f64 when they are far from the origin; ``faces`` (m, 3) indices
    into them; ``normals`` and ``to_sensor`` (n, 3). ``options`` are the fields of ``FitOptions``."""

    id: int
    name: str
    options: dict[str, Any]
    points: np.ndarray = _array("<f4", "<f8", columns=3)
    faces: np.ndarray | None = _array("<i4", columns=3, optional=True)
    normals: np.ndarray | None = _array("<f4", columns=3, optional=True)
    to_sensor: np.ndarray | None = _array("<f4", columns=3, optional=True)


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
    precision; the origin is the same in all frames of a job. ``sigma`` f32 (n,) is one standard deviation of the
    surface along its normal, in world units.
    """

    id: int
    level: int
    final: bool
    origin: tuple[float, float, float]
    vertices: np.ndarray = _array("<f4", columns=3)
    faces: np.ndarray = _array("<i4", columns=3)
    sigma: np.ndarray = _array("<f4", columns=None)

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


Message: TypeAlias = Hello | FitRequest | Progress | MeshFrame | FitDone | Failure | Cancel | Ping | Pong | Shutdown
