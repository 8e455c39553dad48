"""Requests that look rather than make: topology, uncertainty, safe ranges, the strength for a measure; and blends."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend.protocol.messages import MeshFrame
from ..backend.protocol.requests import BlendRequest, CheckRequest, EditTarget, SolveRequest, SweepRequest
from ..scene import mesh_io
from . import backend_fit, edits
from .fit_settings import FitSettings, profile_path
from .task import Client, Work

__all__ = ["BlendResult", "CheckResult", "blend", "check", "solve", "sweep"]


class CheckResult(NamedTuple):
    """sigma, deviation f32 (n,): of the object's own vertices, None where there is none; size: the
    longest side, world units."""

    result: dict[str, Any]
    sigma: NDArray[np.float32] | None
    deviation: NDArray[np.float32] | None
    size: float


class BlendResult(NamedTuple):
    """linear: as of `mesh_io.object_linear`, of the first object."""

    result: dict[str, Any]
    frame: MeshFrame
    linear: NDArray[np.float64]


def check(client: Client, uid: int, fitting: FitSettings, family: str) -> Work:
    """`CheckResult` for an object with its edits; family: name of the one that it is compared with, or empty.

    Raises OmomiError.
    """
    # what Omomi made is looked at as it is, and anything else as the surface that a fit sees in it
    body = EditTarget.SCAN if mesh_io.is_made(backend_fit.need(uid).data) else EditTarget.FIT
    subject = yield from backend_fit.stacked(client, uid, fitting, body)
    strengths = edits.strengths(backend_fit.need(uid))
    answer = yield client.request(
        CheckRequest, handle=subject.handle, strengths=strengths, profile=profile_path(family)
    )
    result = answer.done.result
    size = float(np.ptp(subject.frame.vertices, axis=0).max(initial=0.0))
    return CheckResult(result, answer.done.values, answer.done.deviation, size)


def sweep(
    client: Client, uid: int, fitting: FitSettings, body: EditTarget, layer: int, low: float, high: float, steps: int
) -> Work:
    """The result of a ``SweepRequest`` of one edit. Raises OmomiError."""
    subject = yield from backend_fit.stacked(client, uid, fitting, body)
    answer = yield client.request(
        SweepRequest, handle=subject.handle, strengths=edits.strengths(backend_fit.need(uid)),
        layer=layer, low=low, high=high, steps=steps,
    )  # fmt: skip
    return answer.done.result


def solve(
    client: Client, uid: int, fitting: FitSettings, body: EditTarget, layer: int, measure: str, value: float
) -> Work:
    """The result of a ``SolveRequest`` for one edit. Raises OmomiError."""
    subject = yield from backend_fit.stacked(client, uid, fitting, body)
    answer = yield client.request(
        SolveRequest, handle=subject.handle, strengths=edits.strengths(backend_fit.need(uid)),
        layer=layer, measure=measure, value=value,
    )  # fmt: skip
    return answer.done.result


def blend(client: Client, uids: tuple[int, int], fitting: FitSettings, share: float, guarded: bool, steps: int) -> Work:
    """`BlendResult` between two objects without their edits. Raises OmomiError."""
    other = (yield from backend_fit.opened(client, uids[1], fitting)).handle
    subject = yield from backend_fit.opened(client, uids[0], fitting)
    answer = yield client.request(
        BlendRequest, handle=subject.handle, other=other, share=share, guarded=guarded, steps=steps
    )
    return BlendResult(answer.done.result, answer.mesh, subject.linear)
