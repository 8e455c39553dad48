"""The measures of disentanglement on codes of known worth, channels of the shipped model's style, and two views of that
model: the archive of the shapes that it has seen, and the potential of its sliders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ...edits.attributes import attribute
from ...edits.collision_margin import collision_margin
from ...edits.displacement import Movement, displacement_of
from ...edits.fitted_scan import EditableMesh, FittedScan
from ...edits.reach import Reach, swept_reach
from ...edits.shape_sliders import shape_edit
from ...engine import OnnxEngine
from ...field.bricks import BLOCK
from ...field.onnx_model import ENCODER_NOISE, WHOLE, CancelToken, Model
from ...formats.raw_scan import RawScan
from ...geometry.moving_solid import moving_solid
from ...prior.archive import COVERED_SHARE, Archive, ArchivePosition
from ...prior.flow import auroc
from ...prior.shape_prior import ShapePrior
from ...protocol.fit_options import FitOptions
from ...protocol.names import ATTRIBUTES
from ...protocol.requests import EditTarget
from ...training import disentanglement_metrics as metrics
from ...training.atom import EVIDENCE, Atom
from ...training.bank import jittered
from ...training.demo_scan import true_surface
from ...training.latent_directions import locality, targets
from ...training.shapes.families import FAMILIES, draw
from ...training.shapes.mugs import FACTORS, HIGH, LOW, Mugs, descriptors, known_factors
from ...training.sliders import evidence
from ..flow_alignment.codes import FRESH, GAUSSIAN, OVERDRIVEN, fresh_codes, made_up, turned
from ..study import Measured, Plan, Say, over_seeds

DIAGONAL = np.diag(np.full(5, 5.0))
REDUNDANT = np.concatenate((DIAGONAL, DIAGONAL), axis=0)
SHARED = np.concatenate((DIAGONAL, DIAGONAL), axis=1)
EMPTY = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
POINTS = 4_000  # of a mug, from which its evidence is made
MUGS_AT_ONCE = 50
PUSH = 3.0  # standard deviations that a channel is moved by
HEARD = 1e-6  # least standard deviation of a gain that hears the code
ROUND = 100  # of the first seed: rounds of new programs below it serve other studies
SHAPES = ("csg", "rock", "creature", "furniture", "sweep", "vessel")  # families whose potential is looked at
SURFACE = 96  # voxels along an edge of the grid from which a shape is scanned
GRID = 128  # voxels along the canonical cube of the grid on which pieces, tunnels and hollows are counted
STEPS = 8  # fewest steps from end to end of a slider; the end of a reach is then bisected
SAFE = 0.5  # share of a predicted reach at which the topology is counted

Table = NDArray[np.float64]


def completeness(factors: int) -> float:
    """Of a code that holds every factor in two of its numbers, equally."""
    return 1 - math.log(2) / math.log(2 * factors)


def table_checks() -> dict[str, Measured]:
    """Deviations of the measures from exact values, on tables."""
    known = (
        (metrics.dci(REDUNDANT).completeness, completeness(5)),
        (metrics.dci(SHARED).disentanglement, completeness(5)),
        (metrics.modularity(SHARED), 1 - 1 / 9),
        (metrics.modularity(EMPTY), 2 / 3),
        (metrics.dci(EMPTY).disentanglement, 1.0),
    )
    return {f"M{number}": abs(value - exact) for number, (value, exact) in enumerate(known, 1)}


def code_checks(same: dict[str, float], useless: dict[str, float], twice: dict[str, float]) -> dict[str, Measured]:
    """The library's test targets, of the scores of three codes."""
    found: dict[str, Measured] = {"M6": min(same.values()), "M7": max(useless.values())}
    return found | {f"M{8 + k}": twice[name] for k, name in enumerate(("mig", "sap", "dci_d", "modularity", "dci_c"))}


def scores(kind: str, plan: Plan) -> dict[str, float]:
    """Scores of a code of this kind, a plain function of factors with equally likely values, as in the tests of the
    library of Locatello et al. 2019. Useless: a constant where a score asks for the best number, and the factors of
    each row in an order of its own where it asks how numbers share the factors."""
    mixed = "shuffled" if kind == "useless" else kind
    flat = "constant" if kind == "useless" else kind
    train, test = (factors_of(plan.factors, rows, seed) for seed, rows in enumerate((plan.train, plan.test)))
    parts = metrics.dci(metrics.importances(code(mixed, train), train, code(mixed, test), test, discrete=True)[0])
    first, second = (factors_of(plan.factors, plan.rows, seed) for seed in (2, 3))
    four = (code(flat, first), first, code(flat, second), second)
    several = factors_of(plan.factors, plan.many if kind == "useless" else plan.rows, 4)
    found = {
        "dci_d": parts.disentanglement,
        "dci_c": parts.completeness,
        "mig": metrics.mig(four[0], first, plan.factors),
        "sap": metrics.sap(four[0], first),
        "factor_vae": metrics.factor_vae(*four, np.random.default_rng(5)),
        "modularity": metrics.modularity(metrics.information(code(mixed, several), several, plan.factors)),
    }
    # a guess among so many factors is right by chance as often as that, and half of the time with two
    return found if kind == "useless" else found | {"beta_vae": metrics.beta_vae(*four, np.random.default_rng(6))}


def factors_of(factors: int, rows: int, seed: int) -> Table:
    """Factors (rows, factors)."""
    return np.random.default_rng([seed, rows]).integers(factors, size=(rows, factors)).astype(np.float64)


def code(kind: str, factors: Table) -> Table:
    """The code of each row of factors (n, k)."""
    if kind in ("identity", "doubled"):
        return np.tile(factors, 1 if kind == "identity" else 2)
    return np.zeros_like(factors) if kind == "constant" else np.random.default_rng(9).permuted(factors, axis=1)


@dataclass(frozen=True)
class Styles:
    """Single channels of the shipped model's style: whether they are more disentangled than its code, and how local
    they are (Wu et al. 2021, "StyleSpace analysis", arXiv 2011.12799, found that of a generator of pictures)."""

    code_dci: list[float]  # per seed
    style_dci: list[float]
    shares: Table  # (channels,): of the surface that a channel moves; most local first, without those that move nothing
    sides: Table  # (channels,): its side effect
    moves: tuple[str, ...]  # factor that each moves most
    heard: int  # gains that hear the code at all


class Shipped:
    """The graphs of the shipped model at level 0."""

    def __init__(self, model: Model) -> None:
        self._model, self._token = model, CancelToken()
        self._empty = np.zeros((1, EVIDENCE, BLOCK, BLOCK, BLOCK), np.float32)
        self._parent = model.seed(self._empty, self._token)
        self._gains = Atom().gains

    def codes(self, count: int, seed: int) -> tuple[Table, Table]:
        """Codes (count, CODE) and factors (count, 6) of mugs."""
        factors, _ = known_factors(count, seed)
        generator = torch.Generator().manual_seed(seed)
        found = []
        for part in factors.split(MUGS_AT_ONCE):
            for seen in evidence(Mugs(part), POINTS, generator).numpy():
                whole = seen[None].astype(np.float32)
                found.append(self._model.encode(whole, self._model.seed(whole, self._token), self._token)[0])
        return np.stack(found).astype(np.float64), factors.numpy().astype(np.float64)

    def style(self, code: NDArray) -> NDArray[np.float32]:
        """Style (S,): the gains of the channels and the weights of the position."""
        return self._model.style(ENCODER_NOISE, 0.0, 0, code, self._token)[0]

    def gains(self, codes: Table) -> Table:
        """Relative gain (n, channels) of every channel."""
        return np.stack([self.style(code)[: self._gains].astype(np.float64) for code in codes])

    def field(self, style: NDArray) -> NDArray[np.float32]:
        """Signed distances (32, 32, 32) that the atom makes of a style alone."""
        position = np.array([WHOLE], np.float32)
        return self._model.field(self._empty, self._parent, position, style[None], self._token)[0, 0]


def measured_styles(model: Model, plan: Plan) -> Styles:
    """Draw mugs with known factors, and look at their codes and styles."""
    shipped, code_dci, style_dci, heard = Shipped(model), [], [], 0
    codes = np.zeros((0, 0))
    for seed in range(plan.style_seeds):
        codes, factors = shipped.codes(plan.style_train, 2 * seed)
        others, truth = shipped.codes(plan.style_test, 2 * seed + 1)
        code_dci.append(metrics.dci(metrics.importances(codes, factors, others, truth, seed=seed)[0]).disentanglement)
        gains, tests = shipped.gains(codes), shipped.gains(others)
        live = gains.std(axis=0) > HEARD
        heard = int(live.sum())
        if heard:
            table = metrics.importances(gains[:, live], factors, tests[:, live], truth, seed=seed)[0]
            style_dci.append(metrics.dci(table).disentanglement)
    if not heard:
        return Styles(code_dci, [], np.zeros(0), np.zeros(0), (), 0)
    return Styles(code_dci, style_dci, *pushed(shipped, codes, plan), heard)


def pushed(shipped: Shipped, codes: Table, plan: Plan) -> tuple[Table, Table, tuple[str, ...]]:
    """Shares, side effects and what is moved by the channels with most spread, pushed one at a time."""
    spread = shipped.gains(codes).std(axis=0)
    chosen = np.argsort(-spread)[: plan.channels]
    styles = [shipped.style(code) for code in codes[: plan.base]]
    before = np.stack([shipped.field(style) for style in styles])
    surface = np.abs(before).min(axis=0) < 1
    step = np.eye(len(styles[0]), dtype=np.float32)[chosen] * (PUSH * spread[chosen, None]).astype(np.float32)
    after = np.stack([[shipped.field(style + each) for style in styles] for each in step])
    moved = np.abs(after - before)[:, :, surface].mean(axis=1)
    # some channels carry nothing where there is no evidence
    alive = moved.any(axis=1)
    if not alive.any():
        return np.zeros(0), np.zeros(0), ()
    moved, after = moved[alive], after[alive]
    effects = metrics.side_effects(descriptors(before), [descriptors(each) for each in after], clean_spread())
    most = targets(effects)
    order = np.argsort(locality(moved))
    moves = tuple(FACTORS[number] for number in most[order])
    return locality(moved)[order], effects.off_target_mean(most)[order], moves


def clean_spread() -> Table:
    """Standard deviation (6,) of the measures over clean mugs: uniform over their ranges."""
    return (np.array(HIGH) - np.array(LOW)) / np.sqrt(12)


def style_checks(found: Styles) -> dict[str, Measured]:
    measured: dict[str, Measured] = {"C1": found.heard, "C2": found.code_dci}
    if len(found.shares):
        measured["C3"] = [ours - code for ours, code in zip(found.style_dci, found.code_dci, strict=True)]
        measured["C4"] = float(found.shares[0])
        measured["C5"] = float(np.median(found.sides[: max(len(found.sides) // 4, 1)]))
        measured["C6"] = float(np.median(found.sides))
    return measured


@dataclass(frozen=True)
class Standings:
    """The archive view, of one seed: where new shapes lie among those that the shipped model learned from."""

    fresh: list[ArchivePosition]  # of new shapes
    random: list[ArchivePosition]  # of codes drawn from a normal distribution
    driven: list[ArchivePosition]  # of the new shapes with a slider far beyond its end
    family: NDArray[np.intp]  # index of each new shape's family in those of the archive
    # how well new shapes are told from random codes, area under the curve
    turned: float  # by the distance to the nearest training shape in any orientation of the cube
    told: float  # by the flow


def standings(prior: ShapePrior, archive: Archive, members: int, seed: int) -> Standings:
    """Where ``members`` shapes of one new program of each family lie, and as many codes of the other two kinds."""
    codes = fresh_codes(prior.codes, len(FAMILIES), members, ROUND + seed)
    made = made_up(codes, prior, seed)
    fresh, random, driven = (
        [archive.position(code) for code in table] for table in (codes, made[GAUSSIAN], made[OVERDRIVEN])
    )
    family = np.repeat([archive.families.index(name) for name in FAMILIES], members)
    tree = KDTree(turned(prior.codes, archive.codes) * archive.weights)
    near = (tree.query(table * archive.weights)[0] for table in (codes, made[GAUSSIAN]))
    told = auroc(prior.flow.score(codes), prior.flow.score(made[GAUSSIAN]))
    return Standings(fresh, random, driven, family, auroc(*near), told)


def archive_checks(archive: Archive, found: Sequence[Standings]) -> tuple[dict[str, Measured], dict[str, object]]:
    """A figure per seed each, of the families that the archive has shapes of."""

    count = np.bincount(archive.family, minlength=len(archive.families))
    present = count > 0
    chance = float((count / len(archive))[present].mean())

    def checks(one: Standings) -> dict[str, float]:
        known = [near for near, number in zip(one.fresh, one.family, strict=True) if present[number]]
        nearest = archive.family[[near.neighbours.rows[0] for near in known]]
        own, driven, random = (np.array([each.distance for each in kind]) for kind in (known, one.driven, one.random))
        return {
            "A1": float(np.mean(nearest == one.family[present[one.family]])),
            "A2": float(np.median([near.rank for near in known])),
            "A3": float(np.mean([near.neighbours.distances[0] <= archive.radius for near in known])),
            "A4": auroc(own, driven),
            "A5": auroc(own, random),
            "A5 turned": one.turned,
            "A6": one.told,
        }

    measured = over_seeds([checks(one) for one in found])
    measured |= {"A7": archive.kept_by_map(), "A8": float((~present).sum())}
    return measured, {"thrice": 3 * chance, "chance": chance, "common": COVERED_SHARE}


@dataclass(frozen=True)
class Slid:
    """The potential view: how far a slider of the shipped model goes on a new shape before its topology changes."""

    shape: str
    reach: Reach  # as counted on the grid
    foretold: tuple[float, float]  # low and high, by the walls that face each other
    kept: tuple[bool, bool]  # whether at SAFE of the foretold ends the topology is that of the shape

    @property
    def share(self) -> float:
        """Of the slider's range that is safe."""
        return (self.reach.safe[1] - self.reach.safe[0]) / (self.reach.high - self.reach.low)


def slid_shapes(prior: ShapePrior, count: int, sliders: int | None, say: Say) -> list[Slid]:
    """Every slider, or the first ``sliders`` of each kind, on new shapes of the first families of SHAPES."""
    engine, found = OnnxEngine("cpu", 1), []
    names = (*tuple(ATTRIBUTES)[:sliders], *tuple(prior.sliders)[:sliders])
    for number, family in enumerate(SHAPES[:count]):
        subject = fitted(engine, family, FRESH + number)
        shell = subject.mesh(EditTarget.FIT)
        for name in names:
            if name in ATTRIBUTES:
                movement, ends = attribute(name, subject.scan, subject.fit), ATTRIBUTES[name]
            else:
                ends = shape_edit(name, subject.scan, subject.fit, prior)
                movement = ends.movement
            unit = (ATTRIBUTES[name] if name in ATTRIBUTES else prior.sliders[name]).unit
            found.append(slid(family, shell, name, movement, unit, ends.low, ends.high))
        say(f"{family}: {np.mean([one.share for one in found if one.shape == family]):.0%} of the sliders is safe")
    return found


def fitted(engine: OnnxEngine, family: str, seed: int) -> FittedScan:
    """A new shape of a family, scanned all around without noise, and fitted by the shipped model to level 1."""
    generator = torch.Generator().manual_seed(seed)
    vertices, faces = true_surface(jittered(draw(family, 1, seed).sdf, 1, generator), SURFACE)
    raw = RawScan(vertices.astype(np.float64), faces, name=family)
    scan = engine.prepare(raw)
    fit = engine.fit(scan, FitOptions(1), lambda mesh: None, lambda share, text: None, engine.token())
    return FittedScan(raw, scan, fit)


def slid(shape: str, shell: EditableMesh, name: str, movement: Movement, unit: str, low: float, high: float) -> Slid:
    """How far a movement goes, foretold and counted."""
    whole = displacement_of(movement, shell.vertices, shell.normals)
    told = collision_margin(shell.vertices, shell.normals, whole.move, low, high).margin
    solid = moving_solid(shell.vertices, shell.faces, whole.move, GRID)
    still = solid.betti(0.0)
    kept = tuple(solid.betti(SAFE * end) == still for end in told)
    return Slid(shape, swept_reach(solid, name, unit, low, high, STEPS), told, (kept[0], kept[1]))


def reach_checks(found: Sequence[Slid]) -> dict[str, Measured]:
    own, learned = ([one.share for one in found if (one.reach.name in ATTRIBUTES) is kind] for kind in (True, False))
    ends = np.array([(one.foretold, one.reach.safe, (one.reach.low, one.reach.high)) for one in found])
    foretold, counted, whole = np.moveaxis(ends, 1, 0)
    there = whole != 0
    off = np.abs(foretold[there] / whole[there] - counted[there] / whole[there])
    measured: dict[str, Measured] = {
        "R1": float(np.mean([kept for one in found for kept in one.kept])),
        "R2": float(off.mean()),
        "R3": float(np.median(own)),
        "R5": float(np.mean([one.share < 0.02 for one in found])),
    }
    return measured | ({"R4": float(np.median(learned))} if learned else {})
