"""What the server and the command line need of an engine, and the one that runs the shipped ONNX model.

Importing this module is cheap; scipy and onnxruntime load with the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .errors import ErrorCode, OmomiError

if TYPE_CHECKING:
    from .field.completion_prior import CompletionPrior
    from .field.onnx_model import Model
    from .formats.raw_scan import RawScan
    from .protocol.fit_options import FitOptions
    from .scan.prepare import PreparedScan


@dataclass(frozen=True)
class EngineInfo:
    """What runs: hash of the model, device in use ('cpu' or 'cuda'), ONNX Runtime's providers and version."""

    model_hash: str
    device: str
    providers: tuple[str, ...]
    onnxruntime: str


class Token(Protocol):
    """Stops a running job; ``cancel`` may be called from any thread."""

    def cancel(self) -> None: ...

    def raise_if_cancelled(self) -> None: ...


class Mesh(Protocol):
    """See ``field.fit.FittedMesh``."""

    @property
    def vertices(self) -> np.ndarray: ...
    @property
    def faces(self) -> np.ndarray: ...
    @property
    def sigma(self) -> np.ndarray: ...
    @property
    def level(self) -> int: ...
    @property
    def final(self) -> bool: ...


class Result(Protocol):
    """See ``field.fit.Fit``."""

    @property
    def mesh(self) -> Mesh: ...
    @property
    def stats(self) -> Any: ...
    @property
    def report(self) -> Any: ...


class Engine(Protocol):
    """Fits scans, one at a time."""

    @property
    def model(self) -> Model:
        """The loaded model, for attributes. Raises OmomiError."""
        ...

    def info(self) -> EngineInfo:
        """Make ready (load the model) and say what runs. Raises OmomiError."""
        ...

    def prepare(self, raw: RawScan) -> PreparedScan:
        """A scan as ``fit`` and the edits take it. Raises OmomiError."""
        ...

    def token(self) -> Token:
        """A fresh token for one ``fit``."""
        ...

    def fit(
        self,
        raw: RawScan | PreparedScan,
        options: FitOptions,
        on_frame: Callable[[Mesh], None],
        on_progress: Callable[[float, str], None],
        cancel: Token,
        completion: CompletionPrior | None = None,
    ) -> Result:
        """Fit one scan, which is prepared first where it is raw.

        completion: surface where nothing was measured, in place of the scan's own symmetry. Callbacks may raise
        OmomiError(CANCELLED), which passes through. Raises OmomiError.
        """
        ...


class OnnxEngine:
    """The engine of the shipped model: ``prior.symmetry_completion`` on ONNX Runtime."""

    def __init__(self, device: str = "auto", threads: int = 0) -> None:
        self._device = device
        self._threads = threads
        self._model: Model | None = None
        self._loading = threading.Lock()

    @property
    def model(self) -> Model:
        return self._load()

    def info(self) -> EngineInfo:
        model = self._load()
        import onnxruntime

        return EngineInfo(model.hash, model.device, tuple(model.providers), onnxruntime.__version__)

    def token(self) -> Token:
        from .field.onnx_model import CancelToken

        return CancelToken()

    def prepare(self, raw: RawScan) -> PreparedScan:
        from .scan.prepare import prepare

        return prepare(raw)

    def fit(
        self,
        raw: RawScan | PreparedScan,
        options: FitOptions,
        on_frame: Callable[[Mesh], None],
        on_progress: Callable[[float, str], None],
        cancel: Token,
        completion: CompletionPrior | None = None,
    ) -> Result:
        from .field.fit import fit
        from .prior.symmetry_completion import fit_with_symmetry

        make = fit_with_symmetry if completion is None else partial(fit, completion=completion)
        return make(raw, self._load(), options, on_frame=on_frame, on_progress=on_progress, cancel=cancel)  # type: ignore[arg-type]

    def _load(self) -> Model:
        with self._loading:
            if self._model is None:
                try:
                    from .field.onnx_model import load_model
                except ImportError as error:
                    sentence = f"A package that the backend needs cannot be loaded: {error}."
                    raise OmomiError(ErrorCode.BACKEND_START, sentence) from error
                self._model = load_model(self._device, self._threads)
            return self._model
