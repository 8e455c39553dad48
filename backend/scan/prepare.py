"""From a raw scan to the input of the network: points and normals in the canonical frame, and their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from ..errors import ErrorCode, OmomiError
from ..formats.raw_scan import RawScan
from ..geometry.nearest import LEAF
from ..geometry.normals import unit, vertex_normals
from .clean import CleanReport, CleanScan, clean
from .given_surface import GivenSurface
from .kind import FoundKind, Kind, found_kind
from .noise import noise_sd
from .orientation import OrientedMesh, fitted_normals, orient_faces, repaired
from .outliers import Occupancy, box, clusters, near_core, occupancy, outliers
from .quadric_normals import refined_normals
from .sheet import Sheet, SheetBorder, outer_side
from .solid import Interior, closed_faces, covered
from .surface_points import SPACING, OrientedPoints, from_mesh, from_points

FEWEST_POINTS = 32
FLATTEST = 1e-4
"""A scan thinner than this share of its longest side is flat."""
WIDEST_NEIGHBOURHOOD = 0.1
"""Neighbourhoods of vertices wider than this share of a mesh show its shape, not its noise."""
SAMPLED = 4.0
"""Deviations of the noise between points on the faces of a noisy mesh, at least. Chosen on `scans/valid`, conditions B
and D with the faces of the views."""
MUCH_TURNED = 0.01
"""A larger share of a surface that was turned over is said."""
LONGEST_SIDE = 1.6
"""Longest side of a scan in the canonical cube [-1, 1]^3; the rest is room for unseen parts."""


@dataclass(frozen=True)
class Frame:
    """canonical = (world - centre) * scale. No rotation: the pose of the scan is kept."""

    centre: NDArray[np.float64]  # (3,), world units
    scale: float  # canonical units per world unit

    def to_canonical(self, world: ArrayLike) -> NDArray[np.float32]:
        """Map (n, 3) world points; subtracts in float64, so a far offset costs no precision."""
        return ((np.asarray(world, np.float64) - self.centre) * self.scale).astype(np.float32)

    def to_world(self, canonical: ArrayLike) -> NDArray[np.float64]:
        """Map (n, 3) canonical points back to world units."""
        return np.asarray(canonical, np.float64) / self.scale + self.centre


@dataclass(frozen=True)
class InputSigma:
    """The sigma that a scan brings along, canonical and finite. A mesh that a fit made has one.

    Fitted again, as it is for edits and checks, such a mesh looks measured all around; without its own sigma a
    completed part would count as measured.
    """

    points: NDArray[np.float32]  # (n, 3)
    sigma: NDArray[np.float32]  # (n,), one standard deviation of the surface there

    @classmethod
    def of(cls, raw: RawScan, frame: Frame) -> InputSigma | None:
        """That of a scan; None where it has none. A point whose sigma is not a number does not count."""
        if raw.sigma is None:
            return None
        known = np.isfinite(raw.points).all(axis=1) & np.isfinite(raw.sigma) & (raw.sigma >= 0)
        if not known.any():
            return None
        return cls(frame.to_canonical(raw.points[known]), raw.sigma[known] * np.float32(frame.scale))

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points)

    def at(self, positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sigma f32 (m,) of the points nearest to ``positions`` (m, 3), canonical."""
        return self.sigma[np.asarray(self._tree.query(positions)[1])]


@dataclass(frozen=True)
class ScanMesh:
    """The faces of a scan that count as measured, turned as they are seen."""

    vertices: NDArray[np.float32]  # (n, 3), canonical
    faces: NDArray[np.int32]  # (m, 3)


@dataclass(frozen=True)
class PreparedScan:
    """The input of the network."""

    points: NDArray[np.float32]  # (n, 3), canonical
    normals: NDArray[np.float32]  # (n, 3), unit, outward
    noise: float  # standard deviation of the points along the normal, canonical
    frame: Frame  # the way back to world units
    report: CleanReport
    name: str
    input_sigma: InputSigma | None = None  # None where the scan has none
    interior: Interior | None = None  # of a solid
    sheet: Sheet | None = None  # what of the fitted surface stays, of a sheet
    mesh: ScanMesh | None = None  # of an open scan of a solid, or of a sheet; None for bare points and solids
    given: GivenSurface | None = None  # what the result is compared with

    @cached_property
    def tree(self) -> KDTree:
        """Finds points."""
        return KDTree(self.points, LEAF)


def prepare(
    raw: RawScan,
    kind: str = "auto",
    max_points: int = 5_000_000,
    on_progress: Callable[[float, str], None] = lambda done, text: None,
) -> PreparedScan:
    """Clean, orient and frame a scan. The same scan gives the same bits.

    kind: one of `protocol.fit_options.KINDS`, what the scan is read as. max_points: more points than this are thinned,
    by a fixed random choice. on_progress: a share 0 .. 1 and words; it may raise.
    Raises OmomiError: EMPTY_SCAN, BAD_COORDINATES (no finite point), TOO_FEW_POINTS (fewer than 32 usable),
    FLAT_SCAN (all on one plane or line).
    """
    on_progress(0.0, "cleaning the scan")
    scan = clean(raw)
    # the shares are those of a mesh of millions of faces
    on_progress(0.1, "looking at what the scan is")
    shell = None if scan.faces is None else orient_faces(scan.points, scan.faces, scan.to_sensor)
    on_progress(0.45, "looking at what the scan is")
    found = found_kind(scan, shell, kind)
    in_pieces = 0 if shell is None else shell.pieces
    if found.parts is not None and found.kind is not Kind.SCAN:
        shell = found.parts
    given = None if shell is None or not shell.normals.any() else GivenSurface.of_mesh(scan, shell, found)
    turned = _said_of_turned(scan, shell, found)
    spacing = SPACING if shell is None or found.kind is Kind.SOLID else _spacing(scan, shell)
    shell, oriented, inner = _surface(scan, shell, found, spacing)
    excess, thinned = max(0, len(oriented.points) - max_points), ()
    if excess:
        thinned = (f"{max_points:,} of its {len(oriented.points):,} points are used, chosen at random.",)
        # A random choice, as a stride would beat against the rows of a scanner. The seed fixes PCG64's stream.
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(oriented.points))
        oriented = oriented.take(np.sort(order[excess:]))
    _require_enough(len(oriented.points), raw.name)

    on_progress(0.8, "looking for outliers and noise")
    cells = occupancy(oriented.points)
    keep = near_core(oriented.points)
    if found.kind is not Kind.SOLID:  # whose parts are no outliers, however small
        keep &= ~outliers(cells)
    # Bare points may have wide neighbourhoods only; those of a mesh show only that it is coarse.
    widest = np.inf if shell is None else WIDEST_NEIGHBOURHOOD
    noise = noise_sd(oriented.points, cells, oriented.measured & keep, oriented.normals, widest)
    pieces = _pieces(cells, keep) if shell is None else in_pieces
    dropped = len(keep) - int(keep.sum())
    if given is None:
        given = GivenSurface.of_points(oriented.points, ~keep)
    else:
        given = given.without(oriented.points, ~keep)
    if found.covered and shell is not None and oriented.normals is not None:
        # the noise is that of all points, for a scan is as noisy inside as outside
        hidden = covered(scan.points, shell, oriented.points, unit(oriented.normals)[0]) & keep
        inner += int(hidden.sum())
        keep &= ~hidden
    if not keep.all():
        oriented = oriented.take(keep)
    _require_enough(len(oriented.points), raw.name)
    _refuse_flat(oriented.points, raw.name)

    low, high = box(oriented.points)
    frame = frame_of_box(scan.origin + low * scan.unit, scan.origin + high * scan.unit)
    # Far from the origin, the centre in float64 is not exactly the middle of the box.
    middle = ((frame.centre - scan.origin) / scan.unit).astype(np.float32)
    factor = frame.scale * scan.unit
    points = (oriented.points - middle) * np.float32(factor)
    noise *= factor
    on_progress(0.85, "looking for normals")
    if oriented.normals is not None:
        normals = repaired(points, oriented.normals)
    elif oriented.to_sensor is not None:
        normals = fitted_normals(points, noise, repaired(points, oriented.to_sensor))
    else:
        # a sheet has no outside; what is scanned so is ground, and files of points have z up
        normals = fitted_normals(points, noise, ground=found.kind is Kind.SHEET)
    if shell is None or spacing > SPACING:
        normals = refined_normals(points, normals, noise, given=oriented.normals is not None)
    report = replace(
        scan.report,
        dropped_outliers=dropped,
        pieces=pieces,
        open_loops=0 if shell is None else shell.open_loops,
        normals_from=oriented.normals_from,
        decimated=excess,
        added_samples=int((~oriented.measured).sum()),
        kind=found.kind.value,
        reason=found.reason,
        dropped_inner=inner,
        closing_faces=0 if found.closing is None else int(found.closing.faces.sum()),
        notes=(*turned, *thinned, *(() if found.closing is None else (found.closing.sentence,))),
    )
    interior = sheet = mesh = None
    if shell is not None:
        corners = (scan.points - middle) * np.float32(factor)
        if found.kind is not Kind.SOLID:
            mesh = ScanMesh(corners, shell.faces)
        if found.kind is Kind.SHEET:
            of_vertex = unit(vertex_normals(len(corners), shell.faces, shell.normals))[0]
            sheet = Sheet(points, normals, SheetBorder.of(corners, shell.faces, of_vertex))
        elif mesh is None and shell.closed.any():
            interior = Interior.of(corners, closed_faces(shell))
    elif found.kind is Kind.SHEET:
        sheet = Sheet(points, normals, SheetBorder.none())
    sigma = InputSigma.of(raw, frame)
    given = given.framed(middle, factor)
    return PreparedScan(points, normals, noise, frame, report, raw.name, sigma, interior, sheet, mesh, given)


def _spacing(scan: CleanScan, shell: OrientedMesh) -> float:
    """Distance between points on the faces of a mesh, in units of the clean scan: wider where its noise is large, for
    then faces say no more than their corners."""
    used = np.zeros(len(scan.points), bool)
    used[shell.faces] = True
    normals = vertex_normals(len(scan.points), shell.faces, shell.normals)
    return max(SPACING, SAMPLED * noise_sd(scan.points, occupancy(scan.points), used, normals, WIDEST_NEIGHBOURHOOD))


def _surface(
    scan: CleanScan, shell: OrientedMesh | None, found: FoundKind, spacing: float
) -> tuple[OrientedMesh | None, OrientedPoints, int]:
    """The faces of a scan that count as measured, turned as they are seen; points that represent them; and the number
    of points left out on the inside of a shell."""
    if shell is None:
        if found.faces_in is not None and scan.normals is not None:
            scan = replace(scan, normals=-scan.normals)
        return None, from_points(scan), 0
    if found.faces_in is not None and found.faces_in.any():
        scan, shell = replace(scan, normals=None), shell.turned(found.faces_in)
    if found.closing is not None:
        shell = shell.without(found.closing.faces)
    oriented = from_mesh(scan, shell, found.faces_out, spacing)
    used = np.zeros(len(scan.points), bool)
    used[shell.faces] = True
    if found.closing is not None:
        oriented = oriented.take(np.append(used, np.ones(len(oriented.points) - len(used), bool)))
    inner = 0
    if found.shell is not None and oriented.normals is not None:
        outer = outer_side(oriented.points, unit(oriented.normals)[0], found.shell, found.thickness)
        oriented, shell = oriented.take(outer), shell.without(~outer[: len(scan.points)][shell.faces].all(axis=1))
        inner = len(outer) - int(outer.sum())
    return shell, oriented, inner


def _said_of_turned(scan: CleanScan, shell: OrientedMesh | None, found: FoundKind) -> tuple[str, ...]:
    """A sentence where much of a surface with an outside was given inside out."""
    share = 0.0
    if shell is None or scan.faces is None:
        share = float(found.faces_in is not None)
    elif found.kind is not Kind.SHEET:
        turned = (shell.faces != scan.faces).any(axis=1)
        if found.faces_in is not None:
            turned ^= found.faces_in[shell.piece]
        share = float(shell.areas[turned].sum() / shell.areas.sum())
    return (f"{share:.0%} of the surface was inside out and was turned over.",) if share >= MUCH_TURNED else ()


def frame_of_box(low: NDArray, high: NDArray) -> Frame:
    """Frame that puts the box from ``low`` to ``high`` (3,) in the middle of the canonical cube."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    return Frame(centre=(low + high) / 2, scale=LONGEST_SIDE / float((high - low).max()))


def _pieces(cells: Occupancy, keep: NDArray[np.bool_]) -> int:
    """Clusters of coarse cells that hold kept points."""
    coarse_of = cells.coarse.cell_of[cells.fine.cell_of[keep]]
    return len(np.unique(clusters(cells.coarse)[coarse_of]))


def _require_enough(count: int, name: str) -> None:
    if count < FEWEST_POINTS:
        raise OmomiError(
            ErrorCode.TOO_FEW_POINTS, f"{name} has only {count} usable points; at least {FEWEST_POINTS} are needed."
        )


def _refuse_flat(points: NDArray[np.float32], name: str) -> None:
    """Raise FLAT_SCAN where the thinnest principal extent is next to nothing."""
    stride = max(1, len(points) // 10_000)
    if _is_flat(points[::stride]) and (stride == 1 or _is_flat(points)):
        raise OmomiError(
            ErrorCode.FLAT_SCAN, f"All points of {name} lie on a plane or a line; a solid has to have depth."
        )


def _is_flat(points: NDArray[np.float32]) -> bool:
    centred = points - points.mean(axis=0, dtype=np.float64)
    extent = np.ptp(centred @ np.linalg.eigh(centred.T @ centred)[1], axis=0)
    return bool(extent[0] <= FLATTEST * extent.max())
