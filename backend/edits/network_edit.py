"""New meshes that the network makes: a fit's surface with deltas of the head, coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..field.bricks import voxel_size
from ..field.fit import FittedMesh, ignore, in_world, scan_surface
from ..field.onnx_model import CancelToken, Model
from ..field.weight_delta import EditedLevel, FieldEdit, edited_levels, step_at, voxels_at
from ..protocol.requests import EditTarget
from .fitted_scan import EditableMesh, FittedScan
from .masks import Mask, NearestMask
from .remesh import nearest_values

CHANGED = 0.5
"""Voxels by which a distance must differ for an edit to have made the surface there."""
BESIDE = 2.0
"""Voxels by which a voxel at the surface may lie farther from the fit's than a step moves it: one for either side."""
MOST_GROWN = 50_000
"""Voxels at a grown surface that are looked at: `kept_faces` has some 20,000 cells along the surface of a solid."""


@dataclass(frozen=True)
class MaskedEdit:
    """An edit of the field within a mask."""

    edit: FieldEdit
    mask: NearestMask

    @classmethod
    def of(cls, edit: FieldEdit, mask: Mask | None, mesh: EditableMesh) -> FieldEdit:
        """The edit itself without a mask, which is carried from the mesh of the fit into space."""
        return edit if mask is None else cls(edit, NearestMask.of(mask, mesh.vertices, mesh.normals))

    def touches(self, centres: NDArray, reach: float) -> NDArray[np.bool_]:
        return self.edit.touches(centres, reach)

    def at(
        self, number: int, points: NDArray, means: NDArray, model: Model, cancel: CancelToken
    ) -> NDArray[np.float32]:
        return self.edit.at(number, points, means, model, cancel) * self.mask.at(points)[:, None]

    def deviation(self, number: int, points: NDArray) -> NDArray[np.float64]:
        return self.edit.deviation(number, points) * self.mask.at(points)


def first_order(
    edit: FieldEdit, number: int, mesh: EditableMesh, model: Model, cancel: CancelToken | None = None
) -> NDArray[np.float64]:
    """Displacement (n, 3), canonical, at strength 1 of the vertices of a fit's mesh: what an edit of level ``number``
    does to first order in its strength.

    The edited surface is where mu + alpha (gain mu + bias) is 0. The fitted one has mu = 0 and the slope 1 along its
    normal, so it moves by -alpha bias voxels.
    """
    means = np.zeros(len(mesh.vertices), np.float32)
    bias = edit.at(number, mesh.vertices, means, model, cancel or CancelToken())[:, 1].astype(np.float64)
    return (-voxel_size(number) * bias[:, None]) * mesh.normals


def edited_mesh(
    fitted: FittedScan,
    edits: Sequence[tuple[FieldEdit, float]],
    model: Model,
    on_frame: Callable[[FittedMesh], None] = ignore,
    cancel: CancelToken | None = None,
    steps: Sequence[tuple[FieldEdit, float]] = (),
) -> EditableMesh:
    """The surface, canonical, of a fit with edits and then steps at their strengths, see `edited_levels`. on_frame:
    gets the mesh of each level but the last.

    Raises OmomiError: BAD_OPTION where only a mesh is at hand; NO_SURFACE where nothing is left; CANCELLED.
    """
    fit, scan, cancel = fitted.fit, fitted.scan, cancel or CancelToken()
    if fit is None or fit.field is None:
        raise OmomiError(ErrorCode.BAD_OPTION, f"{scan.name} is not fitted.")
    field, levels = fit.field, []
    surface, number = None, 0
    for edited in edited_levels(field.levels, field.evidence, edits, model, cancel, steps):
        levels.append(edited.edited)
        number = edited.plain.number
        if on_frame is ignore and number < field.levels[-1].number:
            continue
        made = [] if field.largest_only else [_made(edited)]
        if steps:
            # a thin part that vanishes leaves several pieces of a fit that had one
            made.append(_grown(edited, fitted.mesh(EditTarget.FIT), steps, model, cancel))
        more = np.concatenate(made) if made else None
        detail = field.detail if number == field.levels[-1].number else None
        surface = scan_surface(levels, scan, field.evidence.completion, model, field.largest_only, more, detail)
        cancel.raise_if_cancelled()
        mesh = in_world(surface, scan, number, final=False)
        if mesh is not None and edited.plain.number < field.levels[-1].number:
            on_frame(mesh)
    if surface is None:
        raise OmomiError(ErrorCode.NO_SURFACE, "Nothing is left of the solid after this edit.")
    positions, faces, sigma, *_ = surface
    if steps:
        # distances from the surface are no surer than the surface
        before = fitted.mesh(EditTarget.FIT)
        sigma = np.maximum(sigma, nearest_values(before.vertices, before.faces, before.sigma, positions))
    variance = sigma.astype(np.float64) ** 2
    for edit, strength in edits:
        variance += (strength * edit.deviation(number, positions)) ** 2
    return EditableMesh(positions.astype(np.float64), np.asarray(faces, np.int32), np.sqrt(variance))


def _made(level: EditedLevel) -> NDArray[np.float32]:
    """Canonical places (k, 3) at the surface that edits made on a level."""
    plain, edited = (each.grid.values[level.touched, 0] for each in (level.plain, level.edited))
    brick, *inner = np.nonzero((np.abs(edited - plain) > CHANGED) & (np.abs(edited) < 1))
    return voxels_at(level.plain, level.touched[brick], *inner).astype(np.float32)


def _grown(
    level: EditedLevel, fit: EditableMesh, steps: Sequence[tuple[FieldEdit, float]], model: Model, cancel: CancelToken
) -> NDArray[np.float32]:
    """Canonical places (k, 3) at the surface of a level that steps moved away from the fit's."""
    grown = level.edited
    near = np.nonzero(np.abs(grown.grid.values[:, 0]) < 1)
    places = voxels_at(grown, *near)[:: 1 + len(near[0]) // MOST_GROWN]
    far = (np.abs(step_at(steps, grown.number, places, model, cancel)) + BESIDE) * grown.voxel
    distance, _ = KDTree(fit.vertices).query(places, distance_upper_bound=far.max(initial=0.0), workers=-1)
    return places[distance < far].astype(np.float32)
