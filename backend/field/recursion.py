"""The recursion: one network, the atom, evaluated again at every level on the blocks that the surface crosses.

Level 0 is one block. `_refine` chooses the blocks of the next level: those with bricks near the surface of the level
above or with many scan points. The recursion stops at the requested level, or where `_refine` finds no block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy.spatial import KDTree

from ..geometry.nearest import LEAF
from ..scan.solid import CELL_RADIUS, Interior
from . import tunnels
from .blocks import BlockAverage, among, bricks_of, cover, cover_on_lattice, distinct, gather_parent
from .bricks import (
    BLOCK,
    BLOCK_BRICKS,
    BRICK,
    INSIDE,
    OUTSIDE,
    BrickGrid,
    BrickMap,
    Level,
    resolution,
    voxel_places,
    voxel_size,
)
from .completion_prior import CompletionPoints
from .evidence import add_splat, gather_evidence, splat
from .interpolation import FROM, Support, joined_bricks, mixed
from .level_atom import Inputs, LevelAtom
from .onnx_model import CODE, CancelToken, Model
from .paint import Paint, shares
from .uncertainty import Variation

REFINE_DISTANCE = 1.0
"""Voxels. A brick is refined where the field of the level above comes this close to the surface."""
AVERAGED = 0
"""Levels down to this one are evaluated twice and averaged; the second time the scan is reflected through the centre.
The network's own errors differ between the two, most of all where nothing was measured, and finer levels follow these
there. On `scans/valid`, conditions B and D, level 1 gained 1 per cent for a twelfth of the time, and more orientations
nothing.
"""
FAR = 2.0
"""Voxels from any point beyond which the interior of a solid decides the side."""
NEAR, SURE, STEEP = 1.0, 3.0, 0.5
"""Voxels, and standard deviations of the noise, from the nearest point beyond which its face decides together with the
interior, where the way there leaves the face at more than 30 degrees. Chosen on a plate with beads above it and on
four models with thin walls: at half a voxel walls of a voxel get more tunnels, and at 1.5 more of the plate's error
stays."""


Within = Callable[[np.ndarray, float], np.ndarray]
"""Whether balls around canonical points (m, 3), of one radius, meet a region: (m,)."""


@dataclass(frozen=True)
class ScanEvidence:
    """What the network is told of a scan, on every level."""

    points: np.ndarray  # f32 (n, 3), canonical
    normals: np.ndarray  # f32 (n, 3)
    noise: float  # standard deviation of the points along their normals, canonical
    filling: float  # -1 .. 1, hole filling
    completion: CompletionPoints | None = None  # surface where the scan has none
    interior: Interior | None = None  # of a solid: which side is inside where no point is near
    paints: tuple[Paint, ...] = ()  # what is added to the noise and the filling in parts of the scan

    def known(self, number: int) -> np.ndarray:
        """Points f32 (k, 3) of the scan and of its completion that count on a level."""
        added = None if self.completion is None else self.completion.at(voxel_size(number))
        return self.points if added is None else np.concatenate([self.points, added.points])

    def sums(self, number: int, bricks: BrickMap) -> np.ndarray:
        """The evidence of a level, as `splat` returns it."""
        sums = splat(self.points, self.normals, resolution(number), bricks)
        if self.completion is not None:
            added = self.completion.at(voxel_size(number))
            add_splat(sums, added.points, added.normals, resolution(number), bricks)
        return sums

    def support(self, above: Level) -> Support:
        """Of the level below another one; completions count as well."""
        return Support.of(self.known(above.number + 1), self.noise, above)

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points, LEAF, balanced_tree=False)

    def sided(self, mean: np.ndarray, coords: np.ndarray, number: int) -> np.ndarray:
        """Field f32 (m, 2, 8, 8, 8) of bricks with coordinates (m, 3), moved to the side where the interior of a solid
        says that it is: an inside needs evidence on its border, and a plate is not blown up on coarse levels."""
        if self.interior is None:
            return mean
        voxel = voxel_size(number)
        inner = np.arange(BRICK) + 0.5
        places = [(coords[:, axis, None] * BRICK + inner) * voxel - 1 for axis in range(3)]
        inside = self.interior.on_bricks(*places)
        wrong = np.argwhere((mean[:, 0] < 0) != inside)
        brick, *voxels = wrong.T
        place = np.stack([places[axis][brick, voxels[axis]] for axis in range(3)], axis=1)
        within = inside[brick, *voxels]
        away, nearest = self._tree.query(place, distance_upper_bound=max(FAR * voxel, CELL_RADIUS))
        far = ~np.isfinite(away)
        # nearer to the surface the side is sure where the face next to it agrees, and noise cannot have moved it so far
        close = np.flatnonzero(~far & (away > NEAR * voxel + SURE * self.noise))
        height = ((place[close] - self.points[nearest[close]]) * self.normals[nearest[close]]).sum(axis=1)
        agree = close[((height < 0) == within[close]) & (np.abs(height) > STEEP * away[close])]
        distance = np.where(far, 1.0, 0.0)
        distance[agree] = away[agree] / voxel
        sure = distance > 0
        at = (brick[sure], 0, *(along[sure] for along in voxels))
        mean[at] = np.where(within, -distance, distance)[sure]
        return mean

    def styles(self, number: int, code: np.ndarray, model: Model, cancel: CancelToken) -> list[np.ndarray]:
        """Styles f32 (1, S) of a level: without hole filling, and then with it where there is any."""
        noise = self.noise / voxel_size(number)
        fillings = (0.0, self.filling) if self.filling else (0.0,)
        return [model.style(noise, filling, number, code, cancel) for filling in fillings]

    def told(self, paint: Paint, share: float) -> ScanEvidence:
        """The same with a share of what is painted everywhere."""
        amount = share * paint.amount
        if paint.option == "fill":
            return replace(self, filling=amount)
        return replace(self, noise=self.noise * 2.0**amount)


def recursion(
    scan: ScanEvidence,
    deepest: int,
    model: Model,
    cancel: CancelToken,
    on_blocks: Callable[[int, int, int], None],
    code: np.ndarray | None = None,
    variation: Variation | None = None,
    within: Within | None = None,
) -> Iterator[Level]:
    """Fields of levels 0 .. ``deepest``, coarse to fine; fewer where a level has no surface.

    Parameters
    ----------
    on_blocks: called as (level, blocks done, blocks of the level) after each batch.
    code: f32 (CODE,), of the shape. Without it the zero code is heard: on scans of things that the network was not
        trained on the code that the encoder reads made the errors larger.
    variation: draws another completion than the most likely one.
    within: the region that is wanted below level 0; everywhere without.

    Raises OmomiError(CANCELLED).
    """
    level: Level | None = None
    given = code is not None
    if code is None:
        code = np.zeros(CODE, np.float32) if variation is None else variation.code(*encoded(scan, model, cancel))
    # of the level above, for each paint: the field without it, and with it
    painted: list[tuple[Level, Level] | None] = [None] * len(scan.paints)
    for number in range(deepest + 1):
        blocks, plain, sides = _first_block() if level is None else _refine(level, scan, within)
        if not len(blocks) and not len(plain):
            return
        coords = joined_bricks(bricks_of(blocks), plain)
        bricks = BrickMap.of(coords, sides, margin=BLOCK_BRICKS if number else 0)
        sums = scan.sums(number, bricks)
        drawn = not given and variation is not None
        # a code that was given or drawn does not belong to the reflected scan
        twice = not (given or drawn) and number <= AVERAGED
        atom_of = partial(_level_atom, number, code, drawn and number == 0, twice, model, cancel)
        atom, average, done = atom_of(scan), BlockAverage(len(coords), 2), 0
        for batch in _batches(blocks, model):
            index = bricks.find(bricks_of(batch))
            average.add(atom(_inputs(number, batch, sums, index, level, model, cancel)), index)
            done += len(batch)
            on_blocks(number, done, len(blocks))
        grid = BrickGrid(coords, scan.sided(mixed(average, level, coords, plain), coords, number))
        level = Level(number, grid if variation is None else variation.field(grid, number), bricks, blocks, code)
        if not given and number in tunnels.LEVELS and scan.interior is None and scan.filling >= 0:
            level = tunnels.closed(level)
        shown, on_batch = level, partial(on_blocks, number, len(blocks), len(blocks))
        for row, (paint, above) in enumerate(zip(scan.paints, painted, strict=True)):
            without = shown if above is None else extended(
                shown, above[0], near_children(above[1]), scan, model, cancel
            )
            shown = _painted(without, above and above[1], paint, scan, atom_of, model, cancel, variation, on_batch)
            painted[row] = without, shown
        yield shown


def _level_atom(
    number: int,
    code: np.ndarray,
    uncoded: bool,
    averaged: bool,
    model: Model,
    cancel: CancelToken,
    scan: ScanEvidence,
) -> LevelAtom:
    """The atom of a level as a scan tells it. uncoded: whether the scale comes from a run with the zero code, because a
    code makes it too small where nothing was measured; the mean keeps the code."""
    plain = scan.styles(number, np.zeros_like(code), model, cancel) if uncoded else ()
    return LevelAtom(model, cancel, scan.styles(number, code, model, cancel), plain, averaged)


def _inputs(
    number: int,
    blocks: np.ndarray,
    sums: np.ndarray,
    index: np.ndarray,
    above: Level | None,
    model: Model,
    cancel: CancelToken,
) -> Inputs:
    """The atom's inputs for blocks (b, 3) of a level whose bricks have the numbers (b, 4, 4, 4) in its evidence."""
    evidence = gather_evidence(sums, index)
    parent = model.seed(evidence, cancel) if above is None else gather_parent(above.grid, above.bricks, blocks)
    return evidence, parent, _position(blocks, number)


def _painted(
    level: Level,
    above: Level | None,
    paint: Paint,
    scan: ScanEvidence,
    atom_of: Callable[[ScanEvidence], LevelAtom],
    model: Model,
    cancel: CancelToken,
    variation: Variation | None,
    on_batch: Callable[[], None],
) -> Level:
    """A level with an option that is painted; above: the painted level above. What has no weight keeps its bits."""
    number, coords = level.number, level.grid.coords
    sides = level.bricks.index if above is None else child_sides(above)
    bricks = BrickMap.of(coords, sides, level.bricks.margin)
    weights = np.zeros((len(coords), 1, BRICK, BRICK, BRICK), np.float32)
    (touched,) = np.nonzero(paint.weights.touches(*brick_balls(coords, number)))
    places = voxel_places(coords[touched], level.voxel)
    weights[touched, 0] = paint.weights.at(places.reshape(-1, 3)).reshape(places.shape[:-1])
    share = shares(weights[bricks.find(bricks_of(level.blocks))])
    blocks, share = level.blocks[share > 0], share[share > 0]
    plain = coords[weights.any(axis=(1, 2, 3, 4)) & ~among(coords, bricks_of(level.blocks))]
    if not len(blocks) and not len(plain):
        return replace(level, bricks=bricks)
    own = joined_bricks(bricks_of(blocks), plain)
    inner, rows = BrickMap.of(own, level.bricks.index, level.bricks.margin), bricks.find(own)
    sums, average = scan.sums(number, bricks), BlockAverage(len(own), 3)
    for amount in np.unique(share):
        atom, some = atom_of(scan.told(paint, float(amount))), blocks[share == amount]
        for batch in _batches(some, model):
            every = bricks_of(batch)
            field = atom(_inputs(number, batch, sums, bricks.find(every), above, model, cancel))
            taken = np.full_like(field[:, :1], amount)
            average.add(np.concatenate([field, taken], axis=1), inner.find(every))
            on_batch()
    mean = mixed(average, above, own, plain, weights[rows])
    found = BrickGrid(own, scan.sided(mean[:, :2].copy(), own, number))
    found = found if variation is None else variation.field(found, number)
    values = level.grid.values.copy()
    # blocks overlap, and may have run with different amounts
    part = np.minimum(weights[rows] / np.maximum(mean[:, 2:], np.finfo(np.float32).tiny), 1)
    values[rows] += part * (found.values - values[rows])
    return replace(level, grid=BrickGrid(coords, values), bricks=bricks)


def encoded(scan: ScanEvidence, model: Model, cancel: CancelToken) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation f32 (CODE,) of the shape's code, read from the evidence of level 0.

    Raises OmomiError(CANCELLED)."""
    blocks, _, sides = _first_block()
    bricks = BrickMap.of(bricks_of(blocks).reshape(-1, 3), sides, margin=0)
    evidence = gather_evidence(scan.sums(0, bricks), bricks.find(bricks_of(blocks)))
    return model.encode(evidence, model.seed(evidence, cancel), cancel)


def _batches(blocks: np.ndarray, model: Model) -> Iterator[np.ndarray]:
    """Blocks (b, 3) in parts that the model runs at once; a fit can be cancelled between two of them."""
    return (blocks[start : start + model.batch] for start in range(0, len(blocks), model.batch))


def _first_block() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The block of level 0, and the sides of the bricks of its domain, as `_refine` returns them."""
    return np.zeros((1, 3), np.int32), np.zeros((0, 3), np.int32), np.full((BLOCK_BRICKS,) * 3, OUTSIDE, np.int32)


def _position(blocks: np.ndarray, number: int) -> np.ndarray:
    """The atom's position f32 (b, 4): canonical centre of the block, canonical voxel size."""
    voxel = voxel_size(number)
    centre = (blocks * BRICK + BLOCK / 2) * voxel - 1
    return np.concatenate([centre, np.full((len(blocks), 1), voxel)], axis=1).astype(np.float32)


def _refine(
    level: Level, scan: ScanEvidence, within: Within | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The blocks of the next level as their first bricks i32 (b, 3), and further bricks i32 (k, 3), which are
    interpolated; none of either where the surface ends.

    Also the sides i32 (s, s, s), OUTSIDE or INSIDE, of all bricks of that level's domain with a margin of one block.
    """
    number, support = level.number + 1, scan.support(level)
    active = distinct(np.concatenate([near_children(level), np.argwhere(support.held)]))
    if within is not None:
        active = active[within(*brick_balls(active, number))]
    network = support.runs_on(active)
    return cover(active[network]), active[~network], child_sides(level)


def brick_balls(coords: np.ndarray, number: int) -> tuple[np.ndarray, float]:
    """Canonical middles (m, 3) of bricks of a level with coordinates (m, 3), and the radius of balls around them."""
    side = BRICK * voxel_size(number)
    return (coords + 0.5) * side - 1, side * np.sqrt(3) / 2


def near_children(level: Level) -> np.ndarray:
    """Bricks i32 (m, 3) of the next level that come near the surface of this one."""
    mean = level.grid.values[:, 0].reshape(-1, *[2, BRICK // 2] * 3)
    near = _children(level)[np.abs(mean).min(axis=(2, 4, 6)) < REFINE_DISTANCE]
    return near[((near >= 0) & (near < resolution(level.number + 1) // BRICK)).all(axis=1)]


def _children(level: Level) -> np.ndarray:
    """Coordinates i32 (m, 2, 2, 2, 3) of the bricks below the stored ones."""
    octants = np.stack(np.meshgrid(*[np.arange(2, dtype=np.int32)] * 3, indexing="ij"), axis=-1)
    return 2 * level.grid.coords[:, None, None, None] + octants


def child_sides(level: Level) -> np.ndarray:
    """Sides i32 (s, s, s) of the next level's domain, with a margin of one block around it.

    Bricks below those that are not stored take the side of these.
    """
    parents, count = level.bricks, resolution(level.number + 1) // BRICK
    inside = level.grid.values[:, 0].reshape(-1, *[2, BRICK // 2] * 3).mean(axis=(2, 4, 6)) < 0
    margin = BLOCK_BRICKS
    place = np.arange(-margin, count + margin) // 2 + parents.margin
    known = np.clip(place, 0, len(parents.index) - 1)
    sides = parents.index[np.ix_(known, known, known)]
    stored = (_children(level) + margin).reshape(-1, 3)
    in_domain = ((stored >= 0) & (stored < len(sides))).all(axis=1)
    x, y, z = stored[in_domain].T
    sides[x, y, z] = np.where(inside.reshape(-1), INSIDE, OUTSIDE)[in_domain]
    beyond = (place < 0) | (place >= len(parents.index))
    sides[beyond] = sides[:, beyond] = sides[:, :, beyond] = OUTSIDE
    return sides


def extended(
    level: Level, above: Level, wanted: np.ndarray, scan: ScanEvidence, model: Model, cancel: CancelToken
) -> Level:
    """A level with further bricks i32 (m, 3), by blocks on the lattice of its own; above: the level above.

    The bricks that the level has keep their values to the bit. Raises OmomiError(CANCELLED).
    """
    fresh = wanted[level.bricks.find(wanted) < 0]
    if not len(fresh):
        return level
    # asking all points would take longer than the few blocks of an edit
    network = scan.support(above).runs_on(fresh) if level.number >= FROM else np.ones(len(fresh), bool)
    plain, blocks = fresh[~network], np.zeros((0, 3), np.int32)
    if network.any():
        blocks = cover_on_lattice(fresh[network], level.blocks[0] if len(level.blocks) else blocks.sum(axis=0))
    coords = joined_bricks(bricks_of(blocks), plain)
    bricks = BrickMap.of(coords, np.where(level.bricks.index >= 0, OUTSIDE, level.bricks.index), level.bricks.margin)
    sums, average = scan.sums(level.number, bricks), BlockAverage(len(coords), 2)
    atom = LevelAtom(model, cancel, scan.styles(level.number, level.code, model, cancel))
    for batch in _batches(blocks, model):
        index = bricks.find(bricks_of(batch))
        parent = gather_parent(above.grid, above.bricks, batch)
        average.add(atom((gather_evidence(sums, index), parent, _position(batch, level.number))), index)
    new = level.bricks.find(coords) < 0
    every = np.concatenate([level.grid.coords, coords[new]])
    found = scan.sided(mixed(average, above, coords, plain)[new], coords[new], level.number)
    order = np.lexsort(every.T[::-1])
    values = np.concatenate([level.grid.values, found])[order]
    bricks = BrickMap.of(every[order], level.bricks.index, level.bricks.margin)
    joined = np.concatenate([level.blocks, blocks])
    return Level(level.number, BrickGrid(every[order], values), bricks, joined, level.code)
