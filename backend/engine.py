"""What the server and the command line need of an engine, and the one that runs the shipped ONNX model.

Importing this module is cheap; scipy and onnxruntime load with the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .errors import library_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .edits.fitted_scan import FittedScan, OnProgress
    from .edits.patch import Patch
    from .field.completion_prior import CompletionPrior
    from .field.fit import Fit, FittedMesh
    from .field.onnx_model import CancelToken, Model
    from .field.paint import Weights
    from .field.recursion import Within
    from .formats.raw_scan import RawScan
    from .protocol.fit_options import FitOptions
    from .protocol.requests import Close
    from .scan.prepare import PreparedScan


@dataclass(frozen=True)
class EngineInfo:
    """What runs: hash of the model, device in use (cpu, cuda or webgpu), ONNX Runtime's providers and version, and why
    a GPU that is installed is not used."""

    model_hash: str
    device: str
    providers: tuple[str, ...]
    onnxruntime: str
    no_gpu: str = ""
    predecessors: tuple[str, ...] = ()  # hashes of earlier models to which codes and edits meant the same


class Engine(Protocol):
    """Fits scans, one at a time."""

    @property
    def model(self) -> Model:
        """The loaded model, for attributes. Raises OmomiError."""
        ...

    def info(self) -> EngineInfo:
        """Make ready (load the model) and say what runs. Raises OmomiError."""
        ...

    def prepare(
        self, raw: RawScan, kind: str = "auto", on_progress: OnProgress = lambda done, text: None
    ) -> PreparedScan:
        """A scan as ``fit`` and the edits take it, read as one of `fit_options.KINDS`. Raises OmomiError."""
        ...

    def token(self) -> CancelToken:
        """A fresh token for one ``fit``."""
        ...

    def fit(
        self,
        raw: RawScan | PreparedScan,
        options: FitOptions,
        on_frame: Callable[[FittedMesh], None],
        on_progress: OnProgress,
        cancel: CancelToken,
        completion: CompletionPrior | None = None,
        within: Within | None = None,
        masks: Mapping[str, Weights] | None = None,
    ) -> Fit:
        """Fit one scan, which is prepared first where it is raw.

        completion: surface where nothing was measured, in place of what the scan itself suggests. within and masks: as
        of `field.fit`; within a region nothing is completed. Callbacks may raise OmomiError(CANCELLED), which passes
        through. Raises OmomiError.
        """
        ...


class OnnxEngine:
    """The engine of the shipped model: ``prior.completion`` on ONNX Runtime."""

    def __init__(self, device: str = "auto", threads: int = 0) -> None:
        self._device = device
        self._threads = threads
        self._model: Model | None = None
        self._loading = threading.Lock()

    @property
    def model(self) -> Model:
        with self._loading:
            if self._model is None:
                try:
                    from .field.onnx_model import load_model

                    self._model = load_model(self._device, self._threads)
                except ImportError as error:
                    raise library_error(error) from error
            return self._model

    def info(self) -> EngineInfo:
        model = self.model
        import onnxruntime

        providers, version = tuple(model.providers), onnxruntime.__version__
        return EngineInfo(model.hash, model.device, providers, version, model.no_gpu, model.predecessors)

    def token(self) -> CancelToken:
        from .field.onnx_model import CancelToken

        return CancelToken()

    def prepare(
        self, raw: RawScan, kind: str = "auto", on_progress: OnProgress = lambda done, text: None
    ) -> PreparedScan:
        from .scan.prepare import prepare

        return prepare(raw, kind, on_progress=on_progress)

    def fit(
        self,
        raw: RawScan | PreparedScan,
        options: FitOptions,
        on_frame: Callable[[FittedMesh], None],
        on_progress: OnProgress,
        cancel: CancelToken,
        completion: CompletionPrior | None = None,
        within: Within | None = None,
        masks: Mapping[str, Weights] | None = None,
    ) -> Fit:
        from .field.fit import fit
        from .prior.completion import completed_fit

        make = completed_fit
        if completion is not None or within is not None:
            make = partial(fit, completion=completion, within=within)
        listening = {"on_frame": on_frame, "on_progress": on_progress, "cancel": cancel}
        return make(raw, self.model, options, **listening, masks=masks)


def prepare_scan(
    engine: Engine, raw: RawScan, options: FitOptions, profile: Path | None, on_progress: OnProgress
) -> tuple[RawScan, PreparedScan, CompletionPrior | None]:
    """A scan with its views registered, where the options say so; the same as fits take it; and with the file of a
    family's profile what the family has where nothing was seen.

    Raises OmomiError as `registered`, `Engine.prepare` and `member_of` do.
    """
    if options.register_views:
        from .scan.views import registered, said_of_views

        on_progress(0.0, "registering the views")
        raw, motions = registered(raw)
        scan = engine.prepare(raw, options.kind, on_progress)
        notes = (*said_of_views(motions), *scan.report.notes)
        scan = replace(scan, report=replace(scan.report, views=tuple(motions), notes=notes))
    else:
        from .field.bricks import voxels_along
        from .scan.cell_means import thinned

        fewer, notes = thinned(raw, voxels_along(options.level))
        scan = engine.prepare(fewer, options.kind, on_progress)
        if notes:
            scan = replace(scan, report=replace(scan.report, notes=(*notes, *scan.report.notes)))
    if profile is None:
        return raw, scan, None
    # slow to import, and most fits have no profile
    from .prior.profile.profile import member_of

    on_progress(1.0, "finding its place in the family")
    return raw, scan, member_of(profile, scan).completion


def fit_scan(
    engine: Engine,
    raw: RawScan,
    options: FitOptions,
    on_progress: OnProgress,
    *,
    profile: Path | None = None,
    masks: NDArray[np.float32] | None = None,
    on_frame: Callable[[FittedMesh], None] | None = None,
    cancel: CancelToken | None = None,
) -> FittedScan:
    """Prepare and fit a scan, see `prepare_scan` and `Engine.fit`. masks: the painted ones of its options, end to end,
    each with one weight 0 .. 1 for every point of the scan as it was given."""
    from .edits.fitted_scan import FittedScan
    from .edits.regions import fit_masks
    from .field.fit import divided_progress, ignore

    preparing, fitting = divided_progress(on_progress, len(raw.points), options.level)
    seen, scan, prior = prepare_scan(engine, raw, options, profile, preparing)
    painted = fit_masks(seen, scan, options, masks)
    listening = on_frame or ignore, fitting, cancel or engine.token()
    fit = engine.fit(scan, options, *listening, prior, masks=painted)
    return FittedScan(raw, scan, fit, options.level)


def patch_mesh(
    engine: Engine,
    raw: RawScan,
    close: Close,
    on_progress: OnProgress,
    *,
    numbers: Sequence[int] | None = None,
    smaller: float | None = None,
    cancel: CancelToken | None = None,
) -> Patch:
    """Close holes of a mesh, see `edits.patch.patch`; it is fitted only where a hole needs it."""
    import numpy as np
    from scipy.spatial import KDTree

    from .edits.patch import patch
    from .field.fit import ignore
    from .protocol.fit_options import FitOptions

    def fit(places: NDArray, reach: float) -> tuple[PreparedScan, Fit]:
        scan = engine.prepare(raw)
        tree = KDTree(scan.frame.to_canonical(places))

        def within(centres: NDArray, radius: float) -> NDArray[np.bool_]:
            return np.isfinite(tree.query(centres, distance_upper_bound=reach * scan.frame.scale + radius)[0])

        listening = ignore, on_progress, cancel or engine.token()
        return scan, engine.fit(scan, FitOptions(), *listening, within=within)

    return patch(raw, fit, numbers=numbers, smaller=smaller, close=close, on_progress=on_progress)
