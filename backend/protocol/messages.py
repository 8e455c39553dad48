"""The messages between an add-on (or script) and the backend process, one frozen dataclass each.

Those that ask for a job are in `requests`. Both sides share the two files, the only schema; `codec` says how a message
travels. Standard library and numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError
from .requests import Request, array_field

PROTOCOL_VERSION = 9

_LONGEST_TEXT = 20_000
"""Characters: a failure, traceback included, stays well inside the bound of a head."""


@dataclass(frozen=True)
class Hello:
    """First message of the backend."""

    protocol: int  # PROTOCOL_VERSION of the backend
    backend: str  # its release
    pid: int
    model_hash: str
    device: str  # "cpu", "cuda" or "webgpu"
    providers: tuple[str, ...]  # of ONNX Runtime
    numpy: str  # version
    onnxruntime: str  # version
    limits: dict[str, Any]  # bounds of one message, see `framing`
    no_gpu: str = ""  # why a GPU that is installed is not used; empty where there is none, or it is in use


@dataclass(frozen=True)
class Forget:
    """The fit is not needed any more, once the jobs before this message are done. Without it the least recently used
    fit goes when memory is short."""

    handle: int  # of the job that made the fit


@dataclass(frozen=True, eq=False)
class Done:
    """A job other than a fit ended well. Its request says what the members hold."""

    id: int
    result: dict[str, Any]
    vertices: np.ndarray | None = array_field("<f4", columns=3, optional=True)  # world units minus the fit's origin
    values: np.ndarray | None = array_field("<f4", columns=None, optional=True)
    corners: np.ndarray | None = array_field("<f4", columns=None, optional=True)
    sources: np.ndarray | None = array_field("<i4", columns=None, optional=True)
    invented: np.ndarray | None = array_field("<u1", columns=None, optional=True)
    deviation: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True)
class Progress:
    """How far a job is. Repeated twice a second as a sign of life."""

    id: int
    fraction: float  # 0 .. 1
    text: str  # for a person


@dataclass(frozen=True, eq=False)
class MeshFrame:
    """The mesh so far, coarse to fine; exactly one frame of a job is final."""

    id: int
    level: int
    final: bool
    origin: tuple[float, float, float]  # world units; the same in all frames of a job and of the edits of a fit
    vertices: np.ndarray = array_field("<f4", columns=3)  # minus the origin, for precision far from the world's
    faces: np.ndarray = array_field("<i4", columns=3)
    sigma: np.ndarray = array_field("<f4", columns=None)  # standard deviation along the normal, world units

    def world(self) -> NDArray[np.float64]:
        """Vertices f64 (n, 3) in world units."""
        return self.vertices.astype(np.float64) + np.asarray(self.origin)


@dataclass(frozen=True)
class FitDone:
    """A fit ended well; its final frame came before."""

    id: int
    stats: dict[str, Any]  # fields of `field.fit.FitStats`
    report: dict[str, Any]  # fields of `scan.clean.CleanReport`


@dataclass(frozen=True)
class Failure:
    """A job ended badly, or the backend itself cannot go on."""

    id: int | None  # of the job; None for the backend
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
    """Stop a job, queued or running. Its response is then a ``Failure`` with the code CANCELLED."""

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
