"""What completes a scan by itself: its mirror symmetry, the flat base that it stood on, and its lost thin walls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..field.bricks import Level
from ..field.completion_prior import CompletionPrior, joined
from ..field.fit import Completer, Fit, FittedMesh, fit, ignore
from ..field.onnx_model import CancelToken, Model
from ..field.paint import Weights
from ..formats.raw_scan import RawScan
from ..protocol.fit_options import FitOptions
from ..scan.prepare import PreparedScan
from .base import TOLERANCE, base_prior
from .symmetry_completion import symmetry_prior
from .thin_walls import thin_wall_prior


def completed_fit(
    scan: RawScan | PreparedScan,
    model: Model,
    options: FitOptions | None = None,
    *,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: Callable[[float, str], None] = ignore,
    cancel: CancelToken | None = None,
    masks: Mapping[str, Weights] | None = None,
) -> Fit:
    """`fit`, completed by what the scan itself suggests; ``options`` leave out the symmetry or the base."""
    options = options or FitOptions()
    listening = {"on_frame": on_frame, "on_progress": on_progress, "cancel": cancel}
    return fit(scan, model, options, completion=completer(options), **listening, masks=masks)


def completer(options: FitOptions) -> Completer:
    """What completes a scan under ``options``."""

    def complete(scan: PreparedScan, level: Level) -> CompletionPrior | None:
        mirrored = symmetry_prior(scan, level) if options.symmetry else None
        found = base_prior(scan) if options.base else None
        if mirrored is not None and found is not None:
            # nothing is below what stood on a table
            _, base = found
            mirrored = mirrored.take(mirrored.points @ base.normal < base.offset + TOLERANCE)
        every = (mirrored, None if found is None else found[0], thin_wall_prior(scan))
        parts = [part for part in every if part is not None and len(part)]
        return joined(parts, " and ".join(part.source for part in parts)) if parts else None

    return complete
