"""Requests that look rather than make: topology, uncertainty, safe ranges, the strength for a measure; and blends."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import edits, mesh_io, subjects
from .backend.protocol import (
    BlendRequest,
    Body,
    CheckRequest,
    MeshFrame,
    SolveRequest,
    SweepRequest,
    TransferRequest,
)
from .tasks import Client, Work

__all__ = ["Blended", "Checked", "blend", "check", "solve", "sweep"]


class Checked(NamedTuple):
    """sigma f32 (n,): of the object's own vertices, None where it has no faces; size: the longest side, world units."""

    result: dict[str, Any]
    sigma: NDArray[np.float32] | None
    size: float


class Blended(NamedTuple):
    """linear: as of `mesh_io.object_linear`, of the first object."""

    result: dict[str, Any]
    frame: MeshFrame
    linear: NDArray[np.float64]


def check(client: Client, uid: int, options: dict[str, Any]) -> Work:
    """`Checked` for an object with its edits. Raises OmomiError."""
    subject = yield from subjects.stacked(client, uid, options, Body.FIT)
    strengths = edits.strengths(subjects.need(uid))
    answer = yield client.request(CheckRequest, handle=subject.handle, strengths=strengths)
    result, values = answer.done.result, answer.done.values
    origin = np.asarray(subject.frame.origin)
    size = float(np.ptp(subject.frame.vertices, axis=0).max(initial=0.0))
    scan = mesh_io.read_own(subjects.need(uid))
    if values is None or scan.faces is None:
        return Checked(result, None, size)
    # From the fitted surface to the scan, which lies on it.
    answer = yield client.request(
        TransferRequest, channels=1, layers=0,
        points=subject.frame.vertices, faces=subject.frame.faces, values=values, uvs=None,
        target_points=(scan.points - origin).astype(np.float32), target_faces=scan.faces,
    )  # fmt: skip
    return Checked(result, answer.done.values, size)


def sweep(
    client: Client, uid: int, options: dict[str, Any], body: Body, layer: int, low: float, high: float, steps: int
) -> Work:
    """The result of a ``SweepRequest`` of one edit. Raises OmomiError."""
    subject = yield from subjects.stacked(client, uid, options, body)
    answer = yield client.request(
        SweepRequest, handle=subject.handle, strengths=edits.strengths(subjects.need(uid)),
        layer=layer, low=low, high=high, steps=steps,
    )  # fmt: skip
    return answer.done.result


def solve(
    client: Client, uid: int, options: dict[str, Any], body: Body, layer: int, measure: str, value: float
) -> Work:
    """The result of a ``SolveRequest`` for one edit. Raises OmomiError."""
    subject = yield from subjects.stacked(client, uid, options, body)
    answer = yield client.request(
        SolveRequest, handle=subject.handle, strengths=edits.strengths(subjects.need(uid)),
        layer=layer, measure=measure, value=value,
    )  # fmt: skip
    return answer.done.result


def blend(
    client: Client, uids: tuple[int, int], options: dict[str, Any], share: float, guarded: bool, steps: int
) -> Work:
    """`Blended` between two objects without their edits. Raises OmomiError."""
    other = (yield from subjects.opened(client, uids[1], options)).handle
    subject = yield from subjects.opened(client, uids[0], options)
    answer = yield client.request(
        BlendRequest, handle=subject.handle, other=other, share=share, guarded=guarded, steps=steps
    )
    return Blended(answer.done.result, answer.mesh, subject.linear)
