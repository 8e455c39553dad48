"""Fit a scan: prepare it, run the recursion, extract the surface of every level, return the last in world units."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ErrorCode, OmomiError
from ..scan.clean import CleanReport
from ..scan.prepare import PreparedScan, prepare
from ..scan.raw import RawScan
from .islands import compacted, kept_faces
from .memory import peak_bytes
from .model import CancelToken, Model
from .recursion import Level, recursion
from .surface import extract
from .uncertainty import vertex_sigma

DEEPEST_LEVEL = 5
FINEST_SHARE = 4.0
"""A level has about four times the blocks of the one above."""


@dataclass(frozen=True)
class FitOptions:
    """level 0 .. 5: resolution 32 * 2^level. denoise -2 .. 2: octaves by which the scan is taken for noisier than it
    measures. fill -1 .. 1: hole filling; 0 is the most likely surface, more closes openings that were not seen.
    keep_islands: keep every piece that the scan supports, not only the largest."""

    level: int = 2
    denoise: float = 0.0
    fill: float = 0.0
    keep_islands: bool = True

    def __post_init__(self) -> None:
        """Raises OmomiError(BAD_OPTION)."""
        ranges = (("level", self.level, 0, DEEPEST_LEVEL), ("denoise", self.denoise, -2, 2), ("fill", self.fill, -1, 1))
        for name, value, low, high in ranges:
            # written so that NaN fails too
            if not low <= value <= high:
                raise OmomiError(ErrorCode.BAD_OPTION, f"{name} must lie between {low} and {high}, not {value}.")


@dataclass(frozen=True)
class FittedMesh:
    """vertices f64 (n, 3), world; faces i32 (m, 3), closed, normals outwards; sigma f32 (n,), one standard deviation of
    the surface's error, world units; final: nothing finer follows."""

    vertices: np.ndarray
    faces: np.ndarray
    sigma: np.ndarray
    level: int
    final: bool


@dataclass(frozen=True)
class FitStats:
    """seconds: the whole fit; network_seconds: inside ONNX Runtime; peak_bytes: of the process, ever."""

    seconds: float
    network_seconds: float
    blocks: int
    peak_bytes: int
    levels: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Fit:
    """What a fit returns."""

    mesh: FittedMesh
    stats: FitStats
    report: CleanReport


def ignore(*_: object) -> None:
    """Callback for those who do not listen."""


def fit(
    scan: RawScan | PreparedScan,
    model: Model,
    options: FitOptions | None = None,
    *,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: Callable[[float, str], None] = ignore,
    cancel: CancelToken | None = None,
) -> Fit:
    """Closed surface of a scan.

    on_frame receives the mesh of each level, the last one with ``final`` set; on_progress a share 0 .. 1 and words.
    The same scan and options give the same bits on one device and number of threads. Raises OmomiError: those of
    `prepare`, CANCELLED, NO_SURFACE, BAD_OPTION.
    """
    options, cancel = options or FitOptions(), cancel or CancelToken()
    started, network_before = time.perf_counter(), model.seconds
    on_progress(0.0, "reading the scan")
    prepared = scan if isinstance(scan, PreparedScan) else prepare(scan)
    cancel.raise_if_cancelled()

    def progress(level: int, done: int, of: int) -> None:
        before = sum(FINEST_SHARE**number for number in range(level))
        whole = sum(FINEST_SHARE**number for number in range(options.level + 1))
        on_progress((before + done / of * FINEST_SHARE**level) / whole, f"level {level} of {options.level}")

    noise = prepared.noise * 2.0**options.denoise
    levels: list[Level] = []
    rows: list[dict[str, float]] = []
    mesh: FittedMesh | None = None
    for level in recursion(
        prepared.points, prepared.normals, noise, options.fill, options.level, model, cancel, progress
    ):
        levels.append(level)
        mesh = _surface(levels, prepared, options, model)
        cancel.raise_if_cancelled()
        rows.append({"level": level.number, "blocks": level.blocks, "seconds": time.perf_counter() - started})
        if mesh is not None:
            on_frame(mesh)
    if mesh is None or not mesh.final:
        raise OmomiError(ErrorCode.NO_SURFACE, f"No surface was found in {prepared.name}.")
    on_progress(1.0, "done")
    stats = FitStats(
        seconds=time.perf_counter() - started,
        network_seconds=model.seconds - network_before,
        blocks=sum(level.blocks for level in levels),
        peak_bytes=peak_bytes(),
        levels=tuple(rows),
    )
    return Fit(mesh, stats, prepared.report)


def _surface(levels: Sequence[Level], scan: PreparedScan, options: FitOptions, model: Model) -> FittedMesh | None:
    """The mesh of the last of ``levels``; None where it has no inside, as thin walls may on coarse levels."""
    level = levels[-1]
    surface = extract(level.grid, sides=level.bricks)
    if len(surface.faces) == 0:
        return None
    positions = (surface.vertices + np.float32(0.5)) * np.float32(level.voxel) - np.float32(1)
    used, faces = compacted(positions, kept_faces(positions, surface.faces, scan.points, not options.keep_islands))
    positions = positions[used]
    factors = model.card.get("sigma_factors", [1.0])
    sigma = vertex_sigma(positions, surface.values[used, 0], levels, factors) / np.float32(scan.frame.scale)
    return FittedMesh(scan.frame.to_world(positions), faces, sigma, level.number, level.number == options.level)
