"""What completes a scan by itself: its symmetry, the flat base that it stood on, the unseen sides of its thin walls and
their lost patches, and a fair surface across the rest; of a sheet, what surrounds its holes."""

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
from .faired_surface import faired_prior
from .sheet_holes import sheet_hole_prior
from .symmetry_completion import lies_on_its_side, symmetry_prior
from .thin_walls import thin_wall_prior
from .wall_thickness import seen_whole, wall_prior


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
    completion = SelfCompletion(options, masks)
    listening = {"on_frame": on_frame, "on_progress": on_progress, "cancel": cancel}
    return fit(scan, model, options, completion=completion, **listening, masks=masks)


class SelfCompletion:
    """What completes one scan by itself, as a `Completer`: its base and its thin walls before level 0 is fitted; with
    its symmetry, if it has one, after that; with a fair surface across all that is still unknown after level 1. Of a
    sheet only its holes."""

    def __init__(self, options: FitOptions, masks: Mapping[str, Weights] | None = None) -> None:
        self._options, self._voxel, self._painted = options, voxel_size(options.level), (masks or {}).get("fill")
        self._base: FlatBase | None = None
        self._has_walls = False
        self._alone: list[CompletionPrior] = []
        self._known: CompletionPrior | None = None

    def __call__(self, scan: PreparedScan, level: Level | None) -> CompletionPrior | None:
        if scan.sheet is not None:
            return sheet_hole_prior(scan) if level is None else None
        if level is None:
            self._known = self._first(scan)
            return self._known
        if level.number == 0:
            found = self._with_symmetry(scan, level)
            self._known = found or self._known
            return found
        if self._options.variation:
            # other ways to close what was not seen are the network's
            return None
        fill = 0.0 if self._painted is not None else self._options.fill
        rest = faired_prior(scan, level, self._known, fill, self._painted)
        return None if rest is None else _together([rest] if self._known is None else [self._known, rest])

    def _first(self, scan: PreparedScan) -> CompletionPrior | None:
        """What is known before anything is fitted."""
        # walls wait for the symmetry: a field that is hollow in part contradicts what is turned
        walls = wall_prior(scan) if self._options.walls else None
        self._has_walls = walls is not None
        closed, self._base = (base_prior(scan, walls) if self._options.base else None) or (None, None)
        if self._base is not None and self._options.symmetry and lies_on_its_side(scan, self._base.normal):
            closed = self._base = None
        self._alone = [part for part in (closed, thin_wall_prior(scan)) if part is not None and len(part)]
        return _together(self._alone)

    def _with_symmetry(self, scan: PreparedScan, level: Level) -> CompletionPrior | None:
        """What is known with level 0; None where that is no more."""
        mirrored = symmetry_prior(scan, level) if self._options.symmetry else None
        if mirrored is not None and self._base is not None:
            # nothing is below what stood on a table
            mirrored = mirrored.take(mirrored.points @ self._base.normal < self._base.offset + TOLERANCE)
        has_walls = self._has_walls and not seen_whole(scan, level)
        walls = wall_prior(scan, self._voxel, mirrored) if has_walls else None
        found = [part for part in (mirrored, walls) if part is not None and len(part)]
        return _together([*found, *self._alone]) if found else None


def _together(parts: list[CompletionPrior]) -> CompletionPrior | None:
    return joined(parts, "; ".join(part.source for part in parts)) if parts else None
