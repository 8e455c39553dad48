"""Subjects and an engine whose fits are the scans' own meshes: what is tested needs a surface, not a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh

from backend.edits.fitted_scan import FittedScan
from backend.engine import EngineInfo
from backend.field.completion_prior import CompletionPrior
from backend.field.fit import Fit, FitStats, FittedMesh
from backend.field.onnx_model import CancelToken
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan, prepare

MODEL = "0123456789abcdef"


def fit_of(scan: PreparedScan, vertices: np.ndarray, faces: np.ndarray) -> Fit:
    sigma = np.full(len(vertices), 1e-3, np.float32)
    mesh = FittedMesh(np.asarray(vertices, np.float64), np.asarray(faces, np.int32), sigma, 2, True)
    return Fit(mesh, FitStats(0.0, 0.0, 1, 0, ()), scan.report)


def subject_of(mesh: trimesh.Trimesh, name: str = "scan") -> FittedScan:
    raw = RawScan(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32), name=name)
    scan = prepare(raw)
    return FittedScan(raw, scan, fit_of(scan, raw.points, mesh.faces))


class MeshEngine:
    """Fits a scan by looking up its mesh by name; counts the fits, and keeps the options and the
    masks of the last one."""

    def __init__(self, **meshes: trimesh.Trimesh) -> None:
        self.meshes, self.fits, self.options = meshes, 0, FitOptions()
        self.masks: dict[str, Any] = {}

    @property
    def model(self) -> Any:
        return None

    def info(self) -> EngineInfo:
        return EngineInfo(MODEL, "cpu", (), "0")

    def token(self) -> CancelToken:
        return CancelToken()

    def prepare(self, raw: RawScan, kind: str = "auto", on_progress: Any = None) -> PreparedScan:
        return prepare(raw, kind)

    def fit(
        self,
        raw: RawScan | PreparedScan,
        options: FitOptions,
        on_frame: Callable[[FittedMesh], None],
        on_progress: Callable[[float, str], None],
        cancel: CancelToken,
        completion: CompletionPrior | None = None,
        within: Any = None,
        masks: Any = None,
    ) -> Fit:
        scan = raw if isinstance(raw, PreparedScan) else prepare(raw)
        self.fits, self.options, self.masks = self.fits + 1, options, masks or {}
        mesh = self.meshes[scan.name]
        return fit_of(scan, np.asarray(mesh.vertices), np.asarray(mesh.faces))
