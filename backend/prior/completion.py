"""What completes a scan by itself: its symmetry, the flat base that it stood on, the unseen sides of its thin walls and
their lost patches; of a sheet, what surrounds its holes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..field.bricks import Level, voxel_size
from ..field.completion_prior import CompletionPrior, joined
from ..field.fit import Fit, FittedMesh, OnProgress, fit, ignore
from ..field.onnx_model import CancelToken, Model
from ..field.paint import Weights
from ..formats.raw_scan import RawScan
from ..protocol.fit_options import FitOptions
from ..scan.prepare import PreparedScan
from .base import TOLERANCE, FlatBase, base_prior
from .sheet_holes import sheet_hole_prior
from .symmetry_completion import lies_on_its_side, symmetry_prior
from .thin_walls import thin_wall_prior
from .wall_thickness import wall_prior


def completed_fit(
    scan: RawScan | PreparedScan,
    model: Model,
    options: FitOptions | None = None,
    *,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: OnProgress = ignore,
    cancel: CancelToken | None = None,
    masks: Mapping[str, Weights] | None = None,
) -> Fit:
    """`fit`, completed by what the scan itself suggests; ``options`` leave out symmetry, base or walls."""
    options = options or FitOptions()
    completion = SelfCompletion(options)
    listening = {"on_frame": on_frame, "on_progress": on_progress, "cancel": cancel}
    return fit(scan, model, options, completion=completion, **listening, masks=masks)


class SelfCompletion:
    """What completes one scan by itself, as a `Completer`: its base and its thin walls before level 0 is fitted; with
    its symmetry, if it has one, after that. Of a sheet only its holes."""

    def __init__(self, options: FitOptions) -> None:
        self._options, self._voxel = options, voxel_size(options.level)
        self._base: FlatBase | None = None
        self._has_walls = False
        self._alone: list[CompletionPrior] = []

    def __call__(self, scan: PreparedScan, level: Level | None) -> CompletionPrior | None:
        if scan.sheet is not None:
            return sheet_hole_prior(scan) if level is None else None
        if level is None:
            # walls wait for the symmetry: a field that is hollow in part contradicts what is turned
            walls = wall_prior(scan) if self._options.walls else None
            self._has_walls = walls is not None
            closed, self._base = (base_prior(scan, walls) if self._options.base else None) or (None, None)
            if self._base is not None and self._options.symmetry and lies_on_its_side(scan, self._base.normal):
                closed = self._base = None
            self._alone = [part for part in (closed, thin_wall_prior(scan)) if part is not None and len(part)]
            return _together(self._alone)
        mirrored = symmetry_prior(scan, level) if self._options.symmetry else None
        if mirrored is not None and self._base is not None:
            # nothing is below what stood on a table
            mirrored = mirrored.take(mirrored.points @ self._base.normal < self._base.offset + TOLERANCE)
        walls = wall_prior(scan, self._voxel, mirrored) if self._has_walls else None
        found = [part for part in (mirrored, walls) if part is not None and len(part)]
        return _together([*found, *self._alone]) if found else None


def _together(parts: list[CompletionPrior]) -> CompletionPrior | None:
    return joined(parts, "; ".join(part.source for part in parts)) if parts else None
