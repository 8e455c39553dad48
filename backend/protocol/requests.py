"""The messages that ask the backend process for a job, which it owes exactly one response to.

``protocol`` has the responses, and all else that is said. Standard library and numpy only.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from .fit_options import FitOptions
from .recipe import Layer


class EditTarget(StrEnum):
    """Whose vertices an edit moves: those of the fitted mesh, or the scan's own, which keeps its faces and UVs."""

    FIT = "fit"
    SCAN = "scan"


class Outcome(StrEnum):
    """What an edit becomes: the body's own vertices, carried along; or a new mesh of the solid that they enclose."""

    CARRIED = "carried"
    REMESHED = "remeshed"


def array_field(*dtypes: str, columns: int | None, optional: bool = False) -> Any:
    """A field that holds an array (n, columns), or (n,) without columns, of one of the dtypes."""
    metadata = {"dtypes": dtypes, "columns": columns, "optional": optional}
    return dataclasses.field(default=None, metadata=metadata) if optional else dataclasses.field(metadata=metadata)


@dataclass(frozen=True, eq=False)
class FitRequest:
    """Fit one scan, and keep it for edits under the number of the job.

    ``points`` (n, 3) in world units, f64 when they are far from the origin; ``faces`` (m, 3) indices into them;
    ``normals`` and ``to_sensor`` (n, 3); ``sigma`` (n,) as of `formats.raw_scan.RawScan`. ``profile``: file of
    a family, which completes what was not seen; empty for none.
    """

    id: int
    name: str
    options: FitOptions
    profile: str
    points: np.ndarray = array_field("<f4", "<f8", columns=3)
    faces: np.ndarray | None = array_field("<i4", columns=3, optional=True)
    normals: np.ndarray | None = array_field("<f4", columns=3, optional=True)
    to_sensor: np.ndarray | None = array_field("<f4", columns=3, optional=True)
    sigma: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True, eq=False)
class StackRequest:
    """Put edits on the scan that the job ``handle`` fitted, in place of those that it has.

    layers: see `Layer`; a learned edit has a ``path``, a painted one a mask of the kind "row". ``masks`` holds these
    masks end to end, each with one weight 0 .. 1 for every point of the scan as it was sent. A muted layer is not
    looked at and does nothing. Answered by ``Done``:
    {"layers": [{"name", "kind": "attribute", "shape" or "learned", "misfit", "foretold", "warnings"}]}; foretold: [low,
    high], strengths between which no walls are expected to meet, None where the body has no inside. When this fails
    the scan keeps the edits that it had.
    """

    id: int
    handle: int
    body: str
    layers: tuple[Layer, ...]
    masks: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True)
class PoseRequest:
    """Where the body's vertices are at these strengths, one per layer of the stack: a step of a slider. A newer one for
    the same handle ends one that still waits with CANCELLED. Answered by ``Done`` with ``vertices``: at strength 0 the
    body's own, bit for bit."""

    id: int
    handle: int
    strengths: tuple[float, ...]


@dataclass(frozen=True)
class ApplyRequest:
    """The result at these strengths: a final ``MeshFrame``, when carried with the vertices of a ``PoseRequest`` bit for
    bit, then ``Done`` with what the edit did: {"moved", "largest", "guessed", "folded", "topology": {"before", "after",
    "change", "unstable"}, "warnings"}; lengths in world units; topology is null where the body has no inside."""

    id: int
    handle: int
    strengths: tuple[float, ...]
    outcome: str


@dataclass(frozen=True)
class SweepRequest:
    """The topology while one layer goes from ``low`` to ``high``, the others at ``strengths``. ``Done``: {"safe": [low,
    high], "transitions": [{"strength", "change"}], "unstable", "rows", "picture": SVG}."""

    id: int
    handle: int
    strengths: tuple[float, ...]
    layer: int
    low: float
    high: float
    steps: int


@dataclass(frozen=True)
class CheckRequest:
    """What the scan is like at these strengths. ``Done``: {"topology", "measures", "guessed", "plausibility": {"value"
    0 .. 1: the share of real shapes that are no more usual, less where the edits have "tangled" a share of the shape,
    "nearest": [{"family", "distance"}]}, "family": null or {"name", "typical" 0 .. 1, "outside": share of the surface
    that departs}} and, as ``values``, the standard deviation of the surface at every point of the scan as it was sent,
    world units. With the file of a family as ``profile`` also, as ``deviation``, by how many standard deviations the
    surface there departs from that family, outwards positive. Both are NaN at points that are not finite."""

    id: int
    handle: int
    strengths: tuple[float, ...]
    profile: str


@dataclass(frozen=True)
class SolveRequest:
    """The strength of one layer at which a measure (thickness, volume, area, length_x, length_y, length_z) has a
    ``value``, world units, within the strengths that the edit was made for. ``Done``: {"strength", "reached",
    "measured", "safe": [low, high] or null, "warnings"}."""

    id: int
    handle: int
    strengths: tuple[float, ...]
    layer: int
    measure: str
    value: float


@dataclass(frozen=True)
class BlendRequest:
    """The scan of ``handle`` turned by ``share`` 0 .. 1 into that of ``other``: a final ``MeshFrame``, then ``Done``:
    {"topology", "residual", "warnings"}, and with ``steps`` > 0 also the sweep from one to the other as a
    ``SweepRequest`` has it, the strength being the share. guarded: take the path that keeps the topology, where there
    is one."""

    id: int
    handle: int
    other: int
    share: float
    guarded: bool
    steps: int


@dataclass(frozen=True, eq=False)
class LearnRequest:
    """Learn an edit from pairs of meshes and write it to ``path``. The meshes, before and after in turn, lie end to end
    in ``points`` (world units) and ``faces`` (indices into the mesh's own points); counts: points and faces of each.
    ``Done``: {"sha256", "examples", "changed_share", "disagreement", "unexplained", "warnings"}."""

    id: int
    name: str
    path: str
    counts: tuple[int, ...]
    points: np.ndarray = array_field("<f4", "<f8", columns=3)
    faces: np.ndarray = array_field("<i4", columns=3)


@dataclass(frozen=True, eq=False)
class TransferRequest:
    """Carry attributes from one mesh to another in the same place. ``values``: ``channels`` numbers for each point, row
    by row; ``uvs``: for each layer in turn the UVs of the faces' three corners. ``Done`` has both for the other mesh,
    and ``sources``, for each of its faces the face that it lies on."""

    id: int
    channels: int
    layers: int
    points: np.ndarray = array_field("<f4", columns=3)
    faces: np.ndarray = array_field("<i4", columns=3)
    target_points: np.ndarray = array_field("<f4", columns=3)
    target_faces: np.ndarray = array_field("<i4", columns=3)
    values: np.ndarray | None = array_field("<f4", columns=None, optional=True)
    uvs: np.ndarray | None = array_field("<f4", columns=2, optional=True)


@dataclass(frozen=True, eq=False)
class AlignRequest:
    """Make the profile of a family from its members and write it to ``path``. The meshes lie end to end in ``points``
    (world units) and ``faces`` (indices into the mesh's own points); counts: points and faces of each. ``Done``:
    {"members", "left_out": [{"name", "why"}], "explained", "warnings"}."""

    id: int
    name: str
    path: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    points: np.ndarray = array_field("<f4", "<f8", columns=3)
    faces: np.ndarray = array_field("<i4", columns=3)


@dataclass(frozen=True)
class SampleRequest:
    """A shape that the model makes up, canonical: mesh frames coarse to fine, then ``Done``: {"plausibility",
    "nearest": [{"family", "distance"}]}. The same seed gives the same shape."""

    id: int
    seed: int
    level: int


@dataclass(frozen=True)
class AuditRequest:
    """Write the page that says what the model knows and can do to ``path``; handle: a fitted scan that it places among
    the training shapes, or -1; against: an older card's file, or empty. ``Done``: {"path"}."""

    id: int
    handle: int
    path: str
    against: str


Request: TypeAlias = (
    FitRequest
    | StackRequest
    | PoseRequest
    | ApplyRequest
    | SweepRequest
    | CheckRequest
    | SolveRequest
    | BlendRequest
    | LearnRequest
    | TransferRequest
    | AlignRequest
    | SampleRequest
    | AuditRequest
)
