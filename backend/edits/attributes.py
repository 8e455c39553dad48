"""The built-in edits: attributes that act on any scan, each a movement of the fitted surface along its normals.

At strength 1 a vertex moves by its height: thickness adds the same distance everywhere, which is a step of the bias of
the atom's head (a field d everywhere smaller by t is the same solid grown by t). The others are linear filters of the
fitted surface's heights, which predict changes of held-out shapes better than learned deltas of the head's weights do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ErrorCode, OmomiError, refuse
from ..field.bricks import voxel_size
from ..field.fit import Fit
from ..field.onnx_model import CancelToken, Model
from ..field.weight_delta import FLOOR, LevelDelta
from ..geometry.nearest import nearest_on_mesh
from ..geometry.normals import unit
from ..geometry.smoothing import SmoothedMesh, falloff
from ..protocol.names import ATTRIBUTES
from ..scan.prepare import LONGEST_SIDE, PreparedScan

PERCENT = LONGEST_SIDE / 100
"""Canonical length of one per cent of a scan's longest side, about a voxel at 128^3. Filters are measured in it, so
that an attribute does the same at every level of detail."""
FACING = 0.5
"""Normals are averaged over this radius (per cent): those of single vertices would make the surface ragged."""
NEAR = 2.0
"""What is farther than this from the fitted surface (voxels, or three times the scan's noise) moves less, and not at
all at twice that."""

EVERYWHERE = 1e4
"""Canonical radius of a kernel that does not fall off in the cube: by less than 2e-8."""

LEAST_FOLDED, FOLDED = 0.004, 0.12
"""Variance of the normals across an edge that is surely one, at least and at most; a fold by 40 degrees has the larger,
noise mostly less than the smaller."""
SHARPEST = 95.0
"""Percentile of it above which a place is an edge of this scan."""


def attribute_range(name: str) -> tuple[float, float]:
    """Strengths that an attribute is made for. Raises OmomiError(BAD_OPTION) where there is none of this name."""
    if name not in ATTRIBUTES:
        refuse(f"there is no attribute '{name:.80}': there are {', '.join(ATTRIBUTES)}")
    return ATTRIBUTES[name].low, ATTRIBUTES[name].high


def attribute(name: str, scan: PreparedScan, fit: Fit | None) -> SurfaceMovement:
    """An attribute on one scan.

    Raises OmomiError(BAD_OPTION) where there is no such attribute or the scan is not fitted.
    """
    attribute_range(name)
    if fit is None:
        raise OmomiError(ErrorCode.BAD_OPTION, f"{name} needs a fit of {scan.name}.")
    surface = surface_of(scan, fit)
    facing = facing_of(surface)
    reach, heights = reach_of(scan, fit), HEIGHTS[name](surface, facing)
    return SurfaceMovement(surface.vertices, surface.faces, facing, heights, reach, name in FLATTENING)


def surface_of(scan: PreparedScan, fit: Fit) -> SmoothedMesh:
    """The fitted surface, canonical."""
    vertices = (np.asarray(fit.mesh.vertices, np.float64) - scan.frame.centre) * scan.frame.scale
    return SmoothedMesh(vertices, np.asarray(fit.mesh.faces, np.int32))


def facing_of(surface: SmoothedMesh) -> NDArray[np.float64]:
    """Unit normals (n, 3) of the surface, averaged over FACING."""
    return unit(surface.smoothed(surface.normals, FACING * PERCENT))[0].astype(np.float64)


def reach_of(scan: PreparedScan, fit: Fit) -> float:
    """How far from the fitted surface (canonical) points still move as it does."""
    return NEAR * max(voxel_size(fit.mesh.level), 1.5 * scan.noise)


@dataclass(frozen=True)
class SurfaceMovement:
    """Movement along the normals of a fitted surface: vertices f64 (n, 3), faces i32 (m, 3), facing: unit normals
    (n, 3), heights (n,) at strength 1, all canonical. Other points move as the nearest point of the surface does, less
    beyond ``reach``, not at all beyond twice that; flattens: what lies within half the reach, as noise does, also comes
    to lie on the surface."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    facing: NDArray[np.float64]
    heights: NDArray[np.float64]
    reach: float
    flattens: bool

    def evaluate(self, points: NDArray, normals: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Displacement (n, 3) of points (n, 3) at strength 1, and its doubt (n,): 0, as no examples are behind it.
        Their normals do not matter: those of a scan may be wrong, those of the fitted surface are not."""
        doubt = np.zeros(len(points))
        if np.array_equal(points, self.vertices):
            return self.heights[:, None] * self.facing, doubt
        nearest = nearest_on_mesh(self.vertices, self.faces, points)
        corners, share = self.faces[nearest.face], nearest.barycentric
        facing = unit(np.einsum("nk,nka->na", share, self.facing[corners]))[0]
        height = np.einsum("nk,nk->n", share, self.heights[corners])
        if self.flattens:
            foot = np.einsum("nk,nka->na", share, self.vertices[corners])
            beside = np.einsum("na,na->n", points - foot, facing)
            height -= falloff(2 * nearest.distance / self.reach - 1) * beside
        return (falloff(nearest.distance / self.reach - 1) * height)[:, None] * facing, doubt


@dataclass(frozen=True)
class Growth:
    """A step of the head's bias everywhere: at strength 1 the solid grows by ``distance``, canonical. A `FieldEdit`."""

    distance: float

    def touches(self, centres: NDArray, reach: float) -> NDArray[np.bool_]:
        return np.ones(len(centres), bool)

    def at(
        self, number: int, points: NDArray, means: NDArray, model: Model, cancel: CancelToken
    ) -> NDArray[np.float32]:
        # one kernel so wide that it is 1 all over the cube; the graph divides by it and FLOOR
        bias = -self.distance / voxel_size(number) * (1 + FLOOR)
        weights = np.array([[0, bias]], np.float32)
        return LevelDelta(np.zeros((1, 3), np.float32), EVERYWHERE, weights).at(points, model, cancel)

    def deviation(self, number: int, points: NDArray) -> NDArray[np.float64]:
        return np.zeros(len(points))


STEPS: dict[str, Growth] = {"thickness": Growth(PERCENT)}
"""Of the head's bias, by the name of the attribute: what its movement does as long as no walls meet."""


def _thickness(surface: SmoothedMesh, facing: NDArray) -> NDArray[np.float64]:
    return np.full(len(surface.vertices), PERCENT)


def _smoothness(surface: SmoothedMesh, facing: NDArray) -> NDArray[np.float64]:
    # the last of the roughness would come off with something of the shape
    return -0.85 * _bounded(_along(facing, _roughness(surface, surface.vertices, 1.5)), 0.6)


def _detail(surface: SmoothedMesh, facing: NDArray) -> NDArray[np.float64]:
    # what is finer than this is the grid's, and noise
    clean = surface.smoothed(surface.vertices, 0.8 * PERCENT)
    return _bounded(_along(facing, _roughness(surface, clean, 2.5)), 1.0)


def _sharpness(surface: SmoothedMesh, facing: NDArray) -> NDArray[np.float64]:
    clean = surface.smoothed(surface.vertices, 0.5 * PERCENT)
    peak = clean - surface.smoothed(clean, 1.2 * PERCENT)
    return 1.2 * _bounded(_creases(surface) * _along(facing, peak), 0.6)


def _creases(surface: SmoothedMesh) -> NDArray[np.float64]:
    """How much a vertex lies on an edge (n,), 0 to 1: there the normals around it lie in a plane, not along a line.

    The second eigenvalue of their mean outer product says so (tensor voting, Medioni et al. 2000). What counts as an
    edge is relative to the scan: its sharpest places do, up to FOLDED.
    """
    normals = surface.normals
    outer = (normals[:, :, None] * normals[:, None, :]).reshape(-1, 9)
    second = np.linalg.eigvalsh(surface.smoothed(outer, PERCENT).reshape(-1, 3, 3))[:, 1]
    sure = float(np.clip(np.percentile(second, SHARPEST), LEAST_FOLDED, FOLDED)) if len(second) else FOLDED
    share = 1 - falloff((second / sure - 0.25) / 0.75)
    return surface.smoothed(share[:, None], 0.6 * PERCENT)[:, 0]


def _roughness(surface: SmoothedMesh, points: NDArray, radius: float) -> NDArray[np.float64]:
    """What smoothing by ``radius`` (per cent) takes from points (n, 3), smoothed twice so that round parts keep their
    size: a wavelength loses the square of what one smoothing takes."""
    rough = points - surface.smoothed(points, radius * PERCENT)
    return rough - surface.smoothed(rough, radius * PERCENT)


def _along(facing: NDArray, vectors: NDArray) -> NDArray[np.float64]:
    return np.einsum("na,na->n", facing, vectors)


def _bounded(heights: NDArray, most: float) -> NDArray[np.float64]:
    """Heights that level off towards ``most`` (per cent): what stands out farther is a part and no relief."""
    return most * PERCENT * np.tanh(heights / (most * PERCENT))


HEIGHTS: dict[str, Callable[[SmoothedMesh, NDArray], NDArray[np.float64]]] = {
    "thickness": _thickness,
    "smoothness": _smoothness,
    "detail": _detail,
    "sharpness": _sharpness,
}
"""Of a surface's vertices (n,) at strength 1, canonical, by the name of the attribute."""
FLATTENING = ("smoothness",)
"""Attributes that also take away how far the scan's own vertices lie beside the fitted surface."""
