"""What is measured of nets in weight space: transitions (C2), moves (C3), local edits (C4), mixes (C5) and their
forecasts (C6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...edits.collision_margin import collision_margin
from ...edits.masks import SphereMask
from ...geometry.nearest import nearest_on_mesh
from ...geometry.topology_sweep import Solid, Sweep, refine, sweep
from ...prior.flow import auroc
from ...training.latent_directions import Sliders, principal, whitening
from ..instruments import spearman
from .networks import Conditional, Pool, descend, distance, field_of, fit_each, start
from .solids import FAMILIES, Field, Mesh, displacement, mesh_of, sample, slopes

AROUND = 0.04  # distance from a transition within which the finer grid searches for it
NEVER = 1.0  # stands for a difference of t* where a grid sees no transition
LATEST = 0.2  # examples have t up to here, well before the topology changes
EXPLAINED = 0.95  # share of the variance that the principal components of a few examples explain
REACH = 2.0  # standard deviations of a move
POSITIONS = 9  # along a slider
MOST_MOVED = 0.9  # quantile of a slider's displacement above which its own places lie
SMALL, LARGE = (0.1, 0.0, -1.0), (0.1, 0.0, 1.0)  # the shape before and after a local edit, which makes the knob larger
EDITED, FALLOFF = 0.2, 0.06  # radius of the edited region around the knob, width of the mask's border beyond it
BETWEEN = (0.25, 0.5, 0.75)  # places between two nets
STARTS = ("anchor", "shared", "independent")  # fitted to the mean shape, one random net for all, one for each
FARTHEST = 4.0  # spread of the coefficients of the wildest mixes
FORESEEN = 4.0  # largest strength at which walls may meet; at 1 the mix is reached
POINTS = 4096  # points at which a mix of fields is compared with the field of a mix
SIGNALS = ("linearity mismatch", "length of the coefficients", "walls that meet", "grids that disagree")

Line = Callable[[float], Tensor]  # from t to a net theta (LENGTH,)


@dataclass(frozen=True)
class Crossing:
    """C2: one sweep over t. Along it the topology jumps at one place, while weights and volume hardly move."""

    family: str
    table: Sweep
    volumes: NDArray[np.float64]  # (n,), cubic units
    steps: int  # rows from the first change to the last
    jump: float  # relative change of the volume over them
    shift: float  # relative change of the weights over them
    critical: tuple[float | None, float | None]  # t* on each grid, None where it is not seen
    right: bool  # whether the Betti numbers at both ends are the family's

    @property
    def gap(self) -> float:
        """Between t* of the two grids."""
        first, second = self.critical
        return NEVER if first is None or second is None else abs(first - second)


def conditioned(net: Conditional, family: int) -> Line:
    """theta(c) with c from one shape to another."""
    return lambda t: net.of_shapes(family, torch.tensor([[t, 0.0, 0.0]]))[0]


def straight(net: Conditional, family: int) -> Line:
    """The straight line in weight space between theta at t = 0 and t = 1."""
    low, high = (conditioned(net, family)(t) for t in (0.0, 1.0))
    return lambda t: torch.lerp(low, high, t)


def cross(line: Line, family: int, steps: int, sides: tuple[int, int], tolerance: float) -> Crossing:
    """Sweep a line in ``steps`` steps on the first grid, and find t* on both to half of ``tolerance``."""

    @cache
    def mesh(t: float, side: int) -> Mesh:
        return mesh_of(field_of(line(t)), side)

    solid, fine = (Solid.of_mesh(lambda t, side=side: (mesh(t, side).vertices, mesh(t, side).faces)) for side in sides)
    table = sweep(solid, 0.0, 1.0, steps)
    volumes = np.array([mesh(t, sides[0]).volume for t in table.strengths.tolist()])
    kind = FAMILIES[family]
    right = (table.at(0), table.at(-1)) == (kind.before, kind.after)
    if not len(table.changes):
        return Crossing(kind.name, table, volumes, steps + 1, NEVER, NEVER, (None, None), right)
    first, last = int(table.changes[0]), int(table.changes[-1]) + 1
    ends = line(float(table.strengths[first])), line(float(table.strengths[last]))
    jump = float(abs(volumes[last] - volumes[first]) / max(volumes[first], 1e-9))
    shift = float((ends[1] - ends[0]).norm() / ends[0].norm())
    here = _critical(solid, table, tolerance)
    there = None
    if here is not None:
        there = _critical(fine, sweep(fine, max(here - AROUND, 0), min(here + AROUND, 1), 2), tolerance)
    return Crossing(kind.name, table, volumes, last - first, jump, shift, (here, there), right)


def _critical(solid: Solid, table: Sweep, tolerance: float) -> float | None:
    """Where the last change lies: the one that stays."""
    if not table.transitions:
        return None
    last = table.transitions[-1]
    return refine(solid, sweep(solid, last.low, last.high, 1), tolerance).transitions[-1].strength


@dataclass(frozen=True)
class Subspace:
    """C3: a few examples span a low-dimensional space of weights in which moves keep the topology and shape the
    geometry. Sliders are the product's principal components, of theta as codes."""

    family: str
    sliders: Sliders
    kept: float  # share of random moves with the topology of the examples
    spearman: float  # of position and displacement, worst slider


def examples(count: int, seed: int) -> Tensor:
    """Shapes (count, 3) of one topology."""
    table = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.cat((LATEST * table[:, :1], 2 * table[:, 1:] - 1), dim=1)


def sliders_of(thetas: Tensor) -> Sliders:
    """As many principal components of thetas (n, LENGTH) as explain EXPLAINED of their variance."""
    codes = thetas.double().numpy()
    variance = whitening(codes).spread ** 2
    enough = int(np.searchsorted(np.cumsum(variance) / variance.sum(), EXPLAINED - 1e-9)) + 1
    return principal(codes, min(enough, len(variance)))


def theta_at(sliders: Sliders, amounts: NDArray) -> Tensor:
    """theta (LENGTH,) at a position (k,), in standard deviations from the mean."""
    return torch.from_numpy(sliders.moved(sliders.centre[None], amounts)[0]).float()


def explore(net: Conditional, family: int, count: int, moves: int, seed: int, side: int) -> Subspace:
    """Learn sliders from ``count`` examples, make random moves within REACH, and slide along each."""
    sliders = sliders_of(net.of_shapes(family, examples(count, seed)))
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(-REACH, REACH, (moves, len(sliders)))
    kept = [mesh_of(field_of(theta_at(sliders, row)), side).betti == FAMILIES[family].before for row in amounts]
    base = mesh_of(field_of(theta_at(sliders, np.zeros(len(sliders)))), side)
    monotone = [_spearman(sliders, number, base) for number in range(len(sliders))]
    return Subspace(FAMILIES[family].name, sliders, float(np.mean(kept)), min(monotone))


def _spearman(sliders: Sliders, number: int, base: Mesh) -> float:
    """Rank correlation of a slider's position with how far the surface moves where this slider moves it most."""
    points = torch.from_numpy(base.vertices).float()
    if not len(points):
        return 0.0
    positions = np.linspace(-REACH, REACH, POSITIONS)
    fields = [field_of(theta_at(sliders, at * np.eye(len(sliders))[number])) for at in positions]
    moved = torch.stack([displacement(field, points) for field in fields])
    whole = moved[-1] - moved[0]
    own = whole.abs() >= whole.abs().quantile(MOST_MOVED)
    along = (moved[:, own] * whole[own].sign()).mean(dim=1)
    return spearman(positions, along.numpy())


@dataclass(frozen=True)
class Locality:
    """C4: an edit of strength 0 changes nothing, and one of strength 1 changes its own region only."""

    family: str
    identical: bool  # whether strength 0 gives the base mesh bit for bit
    leaks: dict[str, float]  # by way: Chamfer distance of the untouched region over that of the edited one


def edited(net: Conditional, base: Tensor, goal: Tensor, strength: float) -> Field:
    """The field of theta_0 * (1 + style) on the way from one style (GAINS + PLACED,) to another."""
    return field_of(net.weights((base + strength * (goal - base))[None])[0])


def chamfer(one: Mesh, other: Mesh, middle: NDArray, radius: float, within: bool) -> float:
    """Mean distance between two meshes, both ways, from the vertices within ``radius`` of ``middle`` or beyond it."""
    parts = []
    for here, there in ((one, other), (other, one)):
        near = np.linalg.norm(here.vertices - middle, axis=1) < radius
        parts.append(nearest_on_mesh(there.vertices, there.faces, here.vertices[near == within]).distance.mean())
    return float(np.mean(parts))


def distil(net: Conditional, style: Tensor, wanted: Field, points: Tensor, steps: int) -> Tensor:
    """The style, from ``style`` on, whose field is the ``wanted`` one at points (N, 3)."""
    goal = style.clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    target = sample(wanted, points)

    def loss() -> Tensor:
        seen = torch.randint(len(points), (1536,), generator=generator)
        return (distance(net.weights(goal[None]), points[None, seen])[0] - target[seen]).abs().mean()

    descend([goal], loss, steps, 1e-3)
    return goal.detach()


def edit_locally(net: Conditional, family: int, steps: int, side: int) -> Locality:
    """Enlarge the knob of one family in three ways: the difference of two conditionings as it is; the same behind a
    mask in space (``edits.masks``); and the masked edit distilled back into weights, in ``steps``."""
    base, goal = net.style(torch.tensor([family, family]), torch.tensor([SMALL, LARGE]))
    untouched, plain = edited(net, base, goal, 0.0), edited(net, base, goal, 1.0)
    before, nothing = mesh_of(field_of(net.weights(base[None])[0]), side), mesh_of(untouched, side)
    identical = np.array_equal(before.vertices, nothing.vertices) and np.array_equal(before.faces, nothing.faces)
    middle = FAMILIES[family].knob(torch.tensor([LARGE]))[0].double().numpy()
    mask = SphereMask(middle, EDITED, FALLOFF)

    def masked(points: Tensor) -> Tensor:
        return torch.lerp(untouched(points), plain(points), torch.from_numpy(mask.at(points.numpy())))

    # near the surface, most densely around the knob, and anywhere
    rng = np.random.default_rng(0)
    near = before.vertices + rng.normal(scale=0.02, size=before.vertices.shape)
    around = middle + rng.normal(scale=0.12, size=near.shape)
    anywhere = rng.uniform(-1, 1, (len(near) // 2, 3))
    points = torch.from_numpy(np.concatenate((near, around, anywhere))).float()
    distilled = edited(net, base, distil(net, goal, masked, points, steps), 1.0)
    leaks = {}
    for way, field in (("plain", plain), ("distilled", distilled), ("masked", masked)):
        after = mesh_of(field, side)
        inner, outer = (chamfer(before, after, middle, EDITED + FALLOFF, within) for within in (True, False))
        leaks[way] = outer / max(inner, 1e-12)
    return Locality(FAMILIES[family].name, identical, leaks)


@dataclass(frozen=True)
class Bank:
    """C5: nets of S shapes of one family and topology. Halfway between two lies a shape when both were fitted from one
    start, and rubble when they were not: hidden units can be permuted without a change of the field."""

    family: int
    thetas: Tensor  # (S, LENGTH)

    def kept(self, side: int) -> float:
        """Share of the nets between every two that are one closed component of the family's topology."""
        mixes = [torch.lerp(one, other, t) for one, other in combinations(self.thetas, 2) for t in BETWEEN]
        right = [mesh_of(field_of(theta), side).betti == FAMILIES[self.family].before for theta in mixes]
        return sum(right) / len(right)


def banks(family: int, shapes: int, seed: int, steps: int) -> dict[str, Bank]:
    """A bank from each of STARTS; from the anchor half the steps are enough."""
    chosen = examples(shapes, seed)
    mean = torch.tensor([[LATEST / 2, 0.0, 0.0]])
    pool = Pool.of(torch.full((shapes + 1,), family), torch.cat((mean, chosen)), seed)
    own = Pool(*(part[1:] for part in (pool.family, pool.shape, pool.points, pool.distance)))
    first = start(seed)[None].expand(shapes + 1, -1)
    # the mean shape is fitted along with the others from the shared start
    shared = fit_each(pool, first, seed, steps)
    anchored = fit_each(own, shared[:1].expand(shapes, -1), seed, steps // 2)
    apart = torch.stack([start(1000 + 100 * seed + number) for number in range(shapes)])
    thetas = (anchored, shared[1:], fit_each(own, apart, seed, steps))
    return {name: Bank(family, theta) for name, theta in zip(STARTS, thetas, strict=True)}


@dataclass(frozen=True)
class Trial:
    """C6: signals that foretell that a mix sum a_i theta_i, sum a_i = 1, of the nets of one bank is broken. The
    linearity mismatch (LAMP, arXiv 2510.22491) asks how far the field of the mix is from the mix of the fields; the
    product's guards look at the surface: walls that will meet, and Betti numbers that depend on the grid."""

    scores: NDArray[np.float64]  # (len(SIGNALS), n): high where a break is expected
    broken: NDArray[np.bool_]  # (n,)

    def tells(self, fewest: int) -> bool:
        """Whether there are enough mixes of both kinds to judge the signals."""
        return bool(fewest <= self.broken.sum() <= len(self.broken) - fewest)

    def areas(self) -> list[float]:
        """Area under the ROC curve of each signal."""
        return [auroc(row[~self.broken], row[self.broken]) for row in self.scores]


def coefficients(shapes: int, count: int, seed: int) -> Tensor:
    """Rows (count, shapes) that sum to 1, their spread about even weights rising from 0 to FARTHEST."""
    noise = torch.randn(count, shapes, generator=torch.Generator().manual_seed(seed))
    noise = noise - noise.mean(dim=1, keepdim=True)
    noise = noise / noise.norm(dim=1, keepdim=True)
    return 1 / shapes + FARTHEST * torch.linspace(0, 1, count)[:, None] * noise


def mismatch(thetas: Tensor, amounts: Tensor, points: Tensor) -> Tensor:
    """Mean |f of sum a_i theta_i - sum a_i f of theta_i| (n,) for rows of amounts (n, S), thetas (S, LENGTH), at points
    (N, 3)."""
    alone = distance(thetas, points.expand(len(thetas), -1, -1))
    mixed = (distance((row @ thetas)[None], points[None])[0] - row @ alone for row in amounts)
    return torch.stack([off.abs().mean() for off in mixed])


def try_mixes(bank: Bank, count: int, seed: int, side: int) -> Trial:
    """Mix the nets of a bank ``count`` times; broken: another topology than the nets have."""
    amounts = coefficients(len(bank.thetas), count, seed)
    points = 2 * torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(seed)) - 1
    nonlinear = mismatch(bank.thetas, amounts, points).double().numpy()
    even = field_of(bank.thetas.mean(dim=0))
    base = mesh_of(even, side)
    broken, walls, unstable = [], [], []
    for row in amounts:
        field = field_of(row @ bank.thetas)
        meshes = [mesh_of(field, size) for size in (side, side - 16)]
        solid = Solid.of_mesh(*(lambda _, mesh=mesh: (mesh.vertices, mesh.faces) for mesh in meshes))
        betti = solid.betti(0.0)
        broken.append(betti != FAMILIES[bank.family].before)
        unstable.append(float(betti != solid.other(0.0)))
        walls.append(_meeting(base, even, field))
    spread = (amounts - amounts.mean(dim=1, keepdim=True)).norm(dim=1).double().numpy()
    return Trial(np.stack((nonlinear, spread, walls, unstable)), np.array(broken))


def _meeting(base: Mesh, here: Field, there: Field) -> float:
    """One over the strength at which walls of the base first meet on their way to the surface of another field."""
    points = torch.from_numpy(base.vertices).float()
    if not len(points):
        return 0.0
    normals = torch.nn.functional.normalize(slopes(here, points)[1], dim=1)
    move = displacement(there, points)[:, None] * normals
    margin = collision_margin(base.vertices, normals.double().numpy(), move.double().numpy(), 0.0, FORESEEN).margin
    return 1 / margin[1] if margin[1] > 0 else np.inf


def roc(scores: NDArray, broken: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates of false alarms and of hits as the bar falls, one point for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    rates = [np.cumsum(kind[order])[last] / max(kind.sum(), 1) for kind in (~broken, broken)]
    return np.append(0.0, rates[0]), np.append(0.0, rates[1])
