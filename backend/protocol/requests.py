"""Requests: the messages that ask the backend process for a job. Each has exactly one response, see `messages`."""

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


class Close(StrEnum):
    """What a hole is closed with: the best for each, a plane or nearly, a smooth membrane, or the fitted surface."""

    AUTO = "auto"
    FLAT = "flat"
    SMOOTH = "smooth"
    MODEL = "model"


def array_field(*dtypes: str, columns: int | None, optional: bool = False) -> Any:
    """A field that holds an array (n, columns), or (n,) without columns, of one of the dtypes."""
    metadata = {"dtypes": dtypes, "columns": columns, "optional": optional}
    return dataclasses.field(default=None, metadata=metadata) if optional else dataclasses.field(metadata=metadata)


@dataclass(frozen=True, eq=False)
class FitRequest:
    """Fit one scan, and keep it for edits under the number of the job. Answered by mesh frames, then ``FitDone``."""

    id: int
    name: str  # how messages call the scan
    options: FitOptions
    profile: str  # file of a family, which completes what nobody saw; empty for none
    points: np.ndarray = array_field("<f4", "<f8", columns=3)  # world units; f64 where they are far from the origin
    faces: np.ndarray | None = array_field("<i4", columns=3, optional=True)  # indices into the points
    normals: np.ndarray | None = array_field("<f4", columns=3, optional=True)
    to_sensor: np.ndarray | None = array_field("<f4", columns=3, optional=True)  # from each point
    sigma: np.ndarray | None = array_field("<f4", columns=None, optional=True)  # as of `formats.raw_scan.RawScan`
    view: np.ndarray | None = array_field("<i4", columns=None, optional=True)  # number of the view of each point
    # the painted masks of its options end to end, as of a ``StackRequest``
    masks: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True, eq=False)
class StackRequest:
    """Put edits on a fitted scan, in place of those that it has; it keeps those when this fails.

    ``Done``: {"layers": [{"name", "kind": "attribute", "shape" or "learned", "strength", "misfit", "foretold", "gear",
    "warnings"}]}; strength: the one that it acts with, 0 where it is muted; foretold: [low, high], strengths between
    which no walls are expected to meet, None where the body has no inside; gear: "delta" where the network makes the
    new mesh, else "movement".
    """

    id: int
    handle: int  # of the job that fitted the scan
    body: str  # an `EditTarget`
    # a learned edit has a path, a painted one a mask of the kind "row"; muted ones do nothing
    layers: tuple[Layer, ...]
    # the painted masks end to end, each with one weight 0 .. 1 for every point of the scan as it was sent
    masks: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True)
class PoseRequest:
    """Where the body's vertices are at these strengths: a step of a slider.

    ``Done`` with ``vertices``: at strength 0 the body's own, bit for bit. Where the network makes the new mesh of a
    fit, they move as that will, to first order. A newer request for the same handle ends one that still waits with
    CANCELLED.
    """

    id: int
    handle: int
    strengths: tuple[float, ...]  # one per layer of the stack, also below


@dataclass(frozen=True)
class ApplyRequest:
    """The result at these strengths: a final ``MeshFrame``, when carried with the vertices of a ``PoseRequest`` bit for
    bit (but for edits of a fit that the network makes), then ``Done``. Where the network makes the new mesh, frames
    coarse to fine come before the final one.

    ``Done``: {"moved", "largest_move", "guessed", "folded_faces", "topology": {"before", "after", "change",
    "unstable"}, "warnings"}; moved: share of the vertices, guessed: share of those; largest_move in world units;
    topology is null where the body has no inside.
    """

    id: int
    handle: int
    strengths: tuple[float, ...]
    outcome: str  # an `Outcome`


@dataclass(frozen=True)
class RemeshRequest:
    """The new mesh that an ``ApplyRequest`` has the network make, without a look at what the edits did, which may take
    longer: what a slider at rest shows. Mesh frames coarse to fine and a final one, then ``Done``."""

    id: int
    handle: int
    strengths: tuple[float, ...]


@dataclass(frozen=True)
class SweepRequest:
    """The topology while the strength of one layer goes from low to high and the others stay.

    ``Done``: {"safe": [low, high], "shown": null, or where the network makes the new meshes [low, high] around strength
    1, which the examples of an edit show, "transitions": [{"strength", "change"}], "unstable", "rows", "picture": SVG}.
    """

    id: int
    handle: int
    strengths: tuple[float, ...]
    layer: int  # its number in the stack
    low: float
    high: float
    steps: int


@dataclass(frozen=True)
class TravelRequest:
    """What one layer can do by itself, within the strengths that it is made for, measured in seconds where a
    ``SweepRequest`` takes a minute.

    ``Done``: {"safe": [low, high], strengths around 0 between which the topology stays, "seen": [low, high], those from
    which a difference is seen}; where a range has no such strength, its end.
    """

    id: int
    handle: int
    layer: int  # its number in the stack


@dataclass(frozen=True)
class CheckRequest:
    """What the scan is like at these strengths.

    ``Done``: {"topology", "measures", "guessed", "plausibility": {"value" 0 .. 1: the share of real shapes that are no
    more usual, less where the edits have "tangled" a share of the shape, "nearest": [{"family", "distance"}]},
    "family": null or {"name", "typical" 0 .. 1, "outside": share of the surface that departs}, or {"name", "why"} of a
    scan that is none of it}.
    ``values``: the standard deviation of the surface at every point of the scan as it was sent, world units.
    ``deviation``, with a profile: by how many standard deviations the surface there departs from the family, outwards
    positive. Both are NaN at points that are not finite.
    """

    id: int
    handle: int
    strengths: tuple[float, ...]
    profile: str  # file of a family, or empty


@dataclass(frozen=True)
class SolveRequest:
    """The strength of one layer at which a measure has a value, within the strengths that the edit was made for.

    ``Done``: {"strength", "reached", "measured", "safe": [low, high] or null, "warnings"}.
    """

    id: int
    handle: int
    strengths: tuple[float, ...]
    layer: int  # its number in the stack
    measure: str  # thickness, volume, area, length_x, length_y or length_z
    value: float  # world units


@dataclass(frozen=True)
class BlendRequest:
    """One scan turned by a share into another: a final ``MeshFrame``, then ``Done``.

    ``Done``: {"topology", "residual", "warnings"}, and with steps also the sweep from one to the other as a
    ``SweepRequest`` has it, the strength being the share.
    """

    id: int
    handle: int  # of the one
    other: int  # handle of the other
    share: float  # 0 .. 1
    guarded: bool  # take the path that keeps the topology, where there is one
    steps: int  # of the sweep; 0 for none


@dataclass(frozen=True, eq=False)
class LearnRequest:
    """Learn an edit from pairs of meshes, before and after in turn, and write it.

    ``Done``: {"sha256", "examples": how many, "changed_share": of the surface of each, "disagreement", "unexplained",
    "gear": "delta" or "movement", "wrong": {gear: share of the wanted change}, "warnings"}; wrong is empty where no
    example changes anything.
    """

    id: int
    name: str
    path: str  # of the file to write
    counts: tuple[int, ...]  # points and faces of each mesh
    points: np.ndarray = array_field("<f4", "<f8", columns=3)  # of the meshes end to end, world units
    faces: np.ndarray = array_field("<i4", columns=3)  # end to end; indices into the mesh's own points
    # where the edit is on each mesh before, world units; a row of NaN where nobody marked it
    marks: np.ndarray | None = array_field("<f8", columns=3, optional=True)


@dataclass(frozen=True, eq=False)
class TransferRequest:
    """Carry attributes from one mesh, or from bare points, to a mesh in the same place.

    ``Done``: {"notes"}, sentences. It has ``values`` and ``corners`` for the other mesh; ``sources``: for each of its
    faces the face of the first mesh that it lies on, or for each of its vertices the nearest of bare points; and with a
    handle ``invented``: 1 for each of its faces that lies where the scan shows nothing.
    """

    id: int
    handle: int  # of the job that fitted the scan; -1 where nothing is invented
    channels: int  # of values
    widths: tuple[int, ...]  # of the attributes of corners, such as 2 for UVs
    points: np.ndarray = array_field("<f4", columns=3)
    faces: np.ndarray = array_field("<i4", columns=3)  # none of bare points
    target_points: np.ndarray = array_field("<f4", columns=3)
    target_faces: np.ndarray = array_field("<i4", columns=3)
    # the channels of each point, row by row
    values: np.ndarray | None = array_field("<f4", columns=None, optional=True)
    # attribute by attribute, of the faces' three corners, row by row
    corners: np.ndarray | None = array_field("<f4", columns=None, optional=True)


@dataclass(frozen=True, eq=False)
class AlignRequest:
    """Make the profile of a family from its members, and write it.

    ``Done``: {"members", "left_out": [{"name", "why"}], "explained", "warnings"}.
    """

    id: int
    name: str
    path: str  # of the file to write
    names: tuple[str, ...]  # of the members
    counts: tuple[int, ...]  # points and faces of each member
    points: np.ndarray = array_field("<f4", "<f8", columns=3)  # of the members end to end, world units
    faces: np.ndarray = array_field("<i4", columns=3)  # end to end; indices into the member's own points


@dataclass(frozen=True)
class SampleRequest:
    """A shape that the model makes up, canonical: mesh frames coarse to fine, then ``Done``.

    ``Done``: {"plausibility", "nearest": [{"family", "distance"}]}.
    """

    id: int
    seed: int  # the same gives the same shape
    level: int


@dataclass(frozen=True)
class ReadRequest:
    """Read the file of a scan, for the scene: a final ``MeshFrame`` of its points and triangles, then ``Done``.

    ``Done``: {"name", "channels": [{"name", "width"}], "notes"}; ``values``: the channels end to end, each row by row
    of the points: "normal" (3), "Color" (4, sRGB, 0 .. 1), "view" (1), and the file's own numbers (1); ``corners``: UVs
    of the faces' three corners, where there are any. What is nowhere is left out. Its sigma is empty of meaning: zeros.
    """

    id: int
    path: str  # of the file, as `formats.mesh_files.load_scan` reads it


@dataclass(frozen=True, eq=False)
class PatchRequest:
    """Close holes of a mesh and leave the rest as it is; without a fit of its own that stays.

    ``Done``: {"holes": [{"number", "is_hole", "why", "edges", "perimeter", "radius", "share", "planarity", "tangent",
    "centre", "normal", "closed": "" or "faces", "flat", "smooth", "model" or "mirror", "said"}], "new_vertices",
    "new_faces", "warnings"}; before it, unless ``look`` is set, a final ``MeshFrame`` of the new vertices and faces
    alone, to be appended: the faces refer to the mesh's points first. Its sigma is empty of meaning: zeros. ``Done``
    has for them ``values`` and ``corners``, UVs, as below, continued from the border, and ``sources``: for each new
    face the face of the mesh beside it, whose material and smooth flag it takes. With ``look``, ``sources`` are the
    points of the loops end to end, "edges" of each hole.
    """

    id: int
    name: str
    numbers: tuple[int, ...]  # of the holes to close; empty for all
    smaller: float  # only holes of a smaller radius, world units; 0 for any
    close: str  # a `Close`
    look: bool  # only say which holes there are
    points: np.ndarray = array_field("<f4", "<f8", columns=3)  # world units
    faces: np.ndarray = array_field("<i4", columns=3)
    # the channels of each point, row by row: colours, weights of groups
    values: np.ndarray | None = array_field("<f4", columns=None, optional=True)
    uvs: np.ndarray | None = array_field("<f4", columns=2, optional=True)  # layer by layer, of the faces' three corners


@dataclass(frozen=True)
class AuditRequest:
    """Write the page that says what the model knows and can do. ``Done``: {"path"}."""

    id: int
    handle: int  # of a fitted scan, which the page places among the training shapes; -1 for none
    path: str  # of the page
    against: str  # file of an older card, or empty


Request: TypeAlias = (
    FitRequest | StackRequest | PoseRequest | ApplyRequest | RemeshRequest | SweepRequest | TravelRequest
    | CheckRequest | SolveRequest | BlendRequest | LearnRequest | TransferRequest | AlignRequest | SampleRequest
    | ReadRequest | PatchRequest | AuditRequest
)  # fmt: skip
