"""Fit a scan: prepare it, run the recursion, extract the surface of every level, return the last in world units."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..errors import ErrorCode, OmomiError, refuse
from ..formats.raw_scan import RawScan
from ..protocol.fit_options import FitOptions
from ..scan.clean import CleanReport
from ..scan.kind import Kind
from ..scan.prepare import PreparedScan, prepare
from .bricks import Level
from .completion_prior import CompletionPoints, CompletionPrior
from .coverage import covered_report, said_of_thinness
from .interpolation import interpolated_share
from .isosurface import extract
from .onnx_model import CancelToken, Model
from .paint import Paint, Weights
from .pieces import LEAST_VOLUME, kept_faces
from .recursion import ScanEvidence, Within, recursion
from .relaxation import relaxed
from .scan_detail import ScanDetail
from .shell import shell, shell_thickness
from .thin_walls import parted
from .uncertainty import Variation, vertex_sigma

LEVEL_GROWTH = 4.0
"""Blocks of a level over those of the level above, about: the surface is four times as large in voxels."""
SMOOTH_SHARE = 0.1
"""Of the surface: less of it that is interpolated is not worth a sentence."""
POINTS_AS_LONG = 1e6
"""Points of a mesh whose preparation takes as long as its fit at level 2, on two cores."""
OnProgress = Callable[[float, str], None]
"""Takes a share 0 .. 1 of what is done and words; raises where the work is to end."""


@dataclass(frozen=True)
class FittedMesh:
    """The surface of one level, in world units: closed, unless the scan is a sheet without a thickness."""

    vertices: np.ndarray  # f64 (n, 3)
    faces: np.ndarray  # i32 (m, 3), normals outwards
    sigma: np.ndarray  # f32 (n,), one standard deviation of the surface's error, world units
    level: int
    final: bool  # nothing finer follows


@dataclass(frozen=True)
class FitStats:
    seconds: float  # of the whole fit
    network_seconds: float  # inside ONNX Runtime
    blocks: int
    peak_bytes: int  # of the process, ever
    levels: tuple[dict[str, float], ...]
    guess: str = ""  # source of the completion, empty where there is none


@dataclass(frozen=True)
class FittedField:
    """What a fit was read from."""

    levels: tuple[Level, ...]  # coarse to fine
    evidence: ScanEvidence
    largest_only: bool  # whether one piece was kept

    @cached_property
    def detail(self) -> ScanDetail:
        """What the scan adds to surfaces of the last level; the same for every edit."""
        return ScanDetail.of(self.levels[-1], self.evidence)


@dataclass(frozen=True)
class Fit:
    """What a fit returns."""

    mesh: FittedMesh
    stats: FitStats
    report: CleanReport
    field: FittedField | None = None  # what edits of the network need; None where only a mesh is at hand


class LevelSurface(NamedTuple):
    """The surface of a level, canonical."""

    vertices: np.ndarray  # f32 (n, 3)
    faces: np.ndarray  # i32 (m, 3)
    sigma: np.ndarray  # f32 (n,)
    dropped: int  # pieces that were left out, see `kept_faces`
    gone: np.ndarray  # f32 (k, 3), their vertices


Completer = Callable[[PreparedScan, Level | None], CompletionPrior | None]
"""From a scan to the surface that nobody measured: asked without a level before anything is fitted, then with each of
the first `ASKED` levels that is not the last one. A later answer takes the place of an earlier one, unless it is None.
"""
ASKED = 2
"""What completes a scan by itself needs the fields of levels 0 and 1."""


def ignore(*_: object) -> None:
    """Callback for those who do not listen."""


def fit(
    scan: RawScan | PreparedScan,
    model: Model,
    options: FitOptions | None = None,
    *,
    completion: CompletionPrior | Completer | None = None,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: OnProgress = ignore,
    cancel: CancelToken | None = None,
    within: Within | None = None,
    masks: Mapping[str, Weights] | None = None,
) -> Fit:
    """Closed surface of a scan.

    completion: surface where nothing was measured, or a `Completer`; levels are fitted again where it knows more after
    them. on_frame receives the mesh of each level, the last one with ``final`` set, and none that is coarser than the
    one before; without it, no other is made. on_progress: a share 0 .. 1, which never falls, and words. The same scan
    and options give the same bits on one device and number of threads. within: as of `recursion`, the region where the
    surface is wanted; beyond it the mesh is rough, it comes as one frame, and what it lacks of the scan is not counted.
    masks: by the option of `fit_options.PAINTED`, how much of it acts where; needed for each that ``options`` mask.
    Raises OmomiError: those of `prepare`, CANCELLED, NO_SURFACE, BAD_OPTION.
    """
    options, cancel = options or FitOptions(), cancel or CancelToken()
    started, network_before = time.perf_counter(), model.seconds
    if isinstance(scan, PreparedScan):
        prepared = scan
    else:
        preparing, on_progress = divided_progress(on_progress, len(scan.points), options.level)
        prepared = prepare(scan, options.kind, on_progress=preparing)
    cancel.raise_if_cancelled()
    thickness = shell_thickness(prepared, options)
    on_blocks = level_progress(on_progress, options.level)
    points, thickened = prepared.points, ""
    masks = masks or {}
    if lost := sorted(set(options.masks) - set(masks)):
        refuse(f"the mask of {lost[0]} was not given")
    amounts = {"denoise": options.denoise, "fill": options.fill}
    painted = {name: (amounts.pop(name), weights) for name, weights in masks.items()}
    paints = tuple(Paint(name, amount, weights) for name, (amount, weights) in painted.items() if amount)
    noise = prepared.noise * 2.0 ** amounts.get("denoise", 0.0)
    variation = Variation(options.variation) if options.variation else None
    if callable(completion) and prepared.report.kind == Kind.SOLID:
        # it is all there
        completion = None

    def levels_with(added: CompletionPoints | None, painted: bool) -> Iterator[Level]:
        nonlocal evidence
        told = noise, amounts.get("fill", 0.0), added, prepared.interior, paints if painted else ()
        evidence = ScanEvidence(points, prepared.normals, *told)
        return recursion(evidence, options.level, model, cancel, on_blocks, variation=variation, within=within)

    def thickened_levels() -> Iterator[tuple[Level, CompletionPoints | None]]:
        nonlocal points, thickened
        asked = levels_with, prepared, completion, min(options.level, ASKED), bool(paints)
        # to look at all walls of a large solid takes seconds, for which its first frame does not wait
        early = options.keep_thin and on_frame is not ignore and options.level and prepared.report.kind == Kind.SOLID
        plain = _completed_levels(*asked) if early else iter(())
        yield from itertools.islice(plain, 1)
        if options.keep_thin:
            points, thickened = parted(prepared, options.level)
        yield from plain if early and points is prepared.points else _completed_levels(*asked)

    def row(level: Level) -> dict[str, float]:
        return {"level": level.number, "blocks": len(level.blocks), "seconds": time.perf_counter() - started}

    evidence: ScanEvidence | None = None
    levels: list[Level] = []
    rows: list[dict[str, float]] = []
    mesh: FittedMesh | None = None
    found: LevelSurface | None = None
    source, said = "", ()
    for level, added in thickened_levels():
        # levels may come again
        levels[level.number :] = [level]
        final = level.number == options.level
        if not final and (within is not None or on_frame is ignore or (mesh is not None and level.number < mesh.level)):
            rows[level.number :] = [row(level)]
            continue
        detail = ScanDetail.of(level, evidence) if final and evidence is not None else None
        found = scan_surface(levels, prepared, added, model, not options.keep_islands, detail=detail)
        shown = found
        if thickness and found is not None and final:
            made = shell(found.vertices, found.faces, found.sigma, thickness, level.number)
            shown = LevelSurface(*made, found.dropped, found.gone)
        mesh = in_world(shown, prepared, level.number, final)
        cancel.raise_if_cancelled()
        rows[level.number :] = [row(level)]
        source, said = ("", ()) if added is None else (added.prior.source, added.prior.notes)
        if mesh is not None:
            on_frame(mesh)
    if mesh is None or not mesh.final or found is None:
        thin = said_of_thinness(prepared, options.level)
        raise OmomiError(ErrorCode.NO_SURFACE, f"No surface was found in {prepared.name}. {thin}".rstrip())
    if options.thickness and not thickness:
        thickened = f"{thickened} It is no sheet: no thickness was given to it.".lstrip()
    share = interpolated_share(levels[-1])
    if share > SMOOTH_SHARE:
        smooth = f"On {share:.0%} of the surface there are too few points for this Detail: it is smooth there."
        said = (*said, smooth)
    if tunnels := sum(level.closed for level in levels):
        were = "A small tunnel through what was not measured was closed."
        said = (*said, were if tunnels == 1 else f"{tunnels} small tunnels through what was not measured were closed.")
    notes = (*prepared.report.notes, *said, *([thickened] if thickened else []))
    prepared = replace(prepared, report=replace(prepared.report, notes=notes))
    report = prepared.report
    if within is None:
        report = covered_report(prepared, mesh.level, found.vertices, found.faces, found.gone, found.dropped)
    on_progress(1.0, "done")
    stats = FitStats(
        seconds=time.perf_counter() - started,
        network_seconds=model.seconds - network_before,
        blocks=sum(len(level.blocks) for level in levels),
        peak_bytes=peak_bytes(),
        levels=tuple(rows),
        guess=source,
    )
    assert evidence is not None, "a mesh comes of levels"
    # edits of the network would make the sheet anew, without its thickness
    field = None if thickness else FittedField(tuple(levels), evidence, not options.keep_islands)
    return Fit(mesh, stats, report, field)


def divided_progress(on_progress: OnProgress, points: int, deepest: int) -> tuple[OnProgress, OnProgress]:
    """Callbacks for the preparation of a scan of so many points, and for its fit: the share 0 .. 1 that each says
    becomes one of the whole."""
    preparing = points / (points + POINTS_AS_LONG * LEVEL_GROWTH ** (deepest - 2))
    return (
        lambda done, text: on_progress(done * preparing, text),
        lambda done, text: on_progress(preparing + done * (1 - preparing), text),
    )


def level_progress(on_progress: OnProgress, deepest: int) -> Callable[[int, int, int], None]:
    """The callback of `recursion` that reports a share 0 .. 1 of all blocks down to level ``deepest``. The share never
    falls, also where levels are fitted again."""
    furthest = 0.0
    whole = sum(LEVEL_GROWTH**number for number in range(deepest + 1))

    def on_blocks(level: int, done: int, of: int) -> None:
        nonlocal furthest
        before = sum(LEVEL_GROWTH**number for number in range(level))
        # a level may be interpolated as a whole
        share = done / of if of else 1.0
        furthest = max(furthest, (before + share * LEVEL_GROWTH**level) / whole)
        on_progress(furthest, f"level {level} of {deepest}")

    return on_blocks


def _completed_levels(
    levels_with: Callable[[CompletionPoints | None, bool], Iterator[Level]],
    scan: PreparedScan,
    completion: CompletionPrior | Completer | None,
    asked: int,
    painted: bool,
) -> Iterator[tuple[Level, CompletionPoints | None]]:
    """Levels, each with the completion that it was made with. A completer is asked after each of the first ``asked``
    levels, and levels begin anew where it then knows more. What is painted has no say in what completes the scan: it
    would do so where there is no paint, too."""

    def beside(prior: CompletionPrior | None) -> CompletionPoints | None:
        return None if prior is None else CompletionPoints.beside(prior, scan.points)

    if not callable(completion):
        added = beside(completion)
        yield from ((level, added) for level in levels_with(added, painted))
        return
    added = beside(completion(scan, None))
    levels = levels_with(added, painted and not asked)
    for number in range(asked):
        for level in levels:
            yield level, added
            if level.number == number:
                better = completion(scan, level)
                if better is not None:
                    added = beside(better)
                    levels = levels_with(added, False)
                break
    if painted and asked:
        levels = levels_with(added, True)
    yield from ((level, added) for level in levels)


def scan_surface(
    levels: Sequence[Level],
    scan: PreparedScan,
    added: CompletionPoints | None,
    model: Model,
    largest_only: bool,
    more: np.ndarray | None = None,
    detail: ScanDetail | None = None,
) -> LevelSurface | None:
    """The surface of the last of ``levels``, as `level_surface` returns it, with all that makes its sigma larger.

    more: points f32 (k, 3), canonical, that support pieces beside the scan's and its completion's; with
    ``largest_only`` the pieces that these alone support stay beside the largest. detail: as of `level_surface`.
    """
    known = [] if largest_only and more is not None else [scan.points, *([] if added is None else [added.prior.points])]
    known += [] if more is None else [more]
    # the parts of a solid are no crumbs of noise, however small
    least = LEAST_VOLUME if scan.interior is None else 0.0
    surface = level_surface(levels, np.concatenate(known), model, largest_only and more is None, least, detail)
    if surface is None:
        return None
    positions, faces, sigma, dropped, gone = surface
    if scan.sheet is not None:
        positions, faces, sigma, crumbs, count = scan.sheet.cut(positions, faces, sigma, levels[-1].voxel)
        dropped, gone = dropped + count, np.concatenate([gone, crumbs])
        if not len(faces):
            return None
    if added is not None:
        sigma = np.maximum(sigma, added.sigma(positions))
    if scan.input_sigma is not None:
        sigma = np.hypot(sigma, scan.input_sigma.at(positions))
    return LevelSurface(positions, faces, sigma, dropped, gone)


def in_world(
    surface: LevelSurface | None, scan: PreparedScan, level: int, final: bool
) -> FittedMesh | None:
    """The mesh of a canonical surface of a scan; None where there is none."""
    if surface is None:
        return None
    positions, faces, sigma, *_ = surface
    return FittedMesh(scan.frame.to_world(positions), faces, sigma / np.float32(scan.frame.scale), level, final)


def level_surface(
    levels: Sequence[Level],
    points: np.ndarray,
    model: Model,
    largest_only: bool,
    least: float = LEAST_VOLUME,
    detail: ScanDetail | None = None,
) -> LevelSurface | None:
    """The surface of the last of ``levels``.

    levels: coarse to fine, from level 0 on. points f32 (p, 3), canonical: they and ``least`` decide which pieces stay,
    see `kept_faces`. detail: what the scan's points add to the surface. None where the field has no inside, as thin
    walls may have none on coarse levels.
    """
    level = levels[-1]
    surface = relaxed(extract(level.grid, sides=level.bricks), level.grid, level.bricks)
    if len(surface.faces) == 0:
        return None
    if detail is not None:
        surface = detail.added_to(surface)
    positions = (surface.vertices + np.float32(0.5)) * np.float32(level.voxel) - np.float32(1)
    kept, dropped = kept_faces(positions, surface.faces, points, largest_only, least)
    used, faces = compacted(positions, kept)
    left = np.zeros(len(positions), bool)
    left[surface.faces], left[used] = True, False
    factors = model.card.get("sigma_factors", [1.0])
    sigma = vertex_sigma(positions[used], surface.values[used, 0], levels, factors)
    return LevelSurface(positions[used], faces, sigma, dropped, positions[left])


def compacted(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (k,) of the vertices that ``faces`` use, ascending, and the faces with the new numbering."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return np.flatnonzero(used), number[faces].astype(np.int32)


def peak_bytes() -> int:
    """Largest resident size of the process so far; 0 where the system does not report it."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
