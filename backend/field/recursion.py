"""The recursion: the same atom at every level, on the blocks that the level above says the surface crosses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .blocks import BlockAverage, bricks_of, cover, distinct, gather_parent
from .bricks import BLOCK, BLOCK_BRICKS, BRICK, INSIDE, OUTSIDE, BrickGrid, BrickMap, Level, resolution, voxel_size
from .completion_prior import CompletionPoints
from .evidence import add_splat, gather_evidence, splat
from .onnx_model import CODED_LEVELS, CancelToken, Model
from .uncertainty import Variation

ACTIVE = 1.0
"""A brick is refined when the level above comes this close (its voxels) to the surface somewhere in the brick."""
LEAST_POINTS = 6
"""A brick with this many scan points is refined whatever the level above says: it may be too coarse to see a wall."""
MIRRORED = 2
"""Up to this level the last one is seen twice, the second time through its centre, and the two fields are averaged: the
errors that the network makes itself differ between the two. On finer levels that would take longer than it is worth."""
BATCH = 8
"""Blocks in one run of the network: the largest batch that still helps on the CPU, and small enough to stop between."""


def recursion(
    points: np.ndarray,
    normals: np.ndarray,
    noise: float,
    filling: float,
    deepest: int,
    model: Model,
    cancel: CancelToken,
    on_blocks: Callable[[int, int, int], None],
    guess: CompletionPoints | None = None,
    code: np.ndarray | None = None,
    variation: Variation | None = None,
) -> Iterator[Level]:
    """Fields of level 0 .. ``deepest``, coarse to fine.

    points, normals f32 (n, 3) and noise are canonical; filling -1 .. 1. on_blocks(level, done, of) after each batch.
    guess: surface where the scan has none; it counts as thin evidence. code f32 (CODE,): of the shape, else what the
    encoder makes of the scan. variation: another completion than the most likely one. Ends early
    when a level sees no surface anywhere. Raises OmomiError(CANCELLED).
    """
    level: Level | None = None
    encodes = code is None
    # a code that was given or drawn cannot be turned round with the scan
    sees_twice = encodes and variation is None
    turned_code: np.ndarray | None = None
    for number in range(deepest + 1):
        suggested = None if guess is None else guess.at(voxel_size(number))
        known = points if suggested is None else np.concatenate([points, suggested.points])
        blocks, sides = _first_block() if level is None else _refined(level, known)
        if len(blocks) == 0:
            return
        coords = distinct(bricks_of(blocks))
        margin = BLOCK_BRICKS if number else 0
        bricks = BrickMap.of(coords, sides, margin)
        sums = splat(points, normals, resolution(number), bricks)
        if suggested is not None:
            add_splat(sums, suggested.points, suggested.normals, resolution(number), bricks, suggested.weight)
        if code is None:
            code, turned_code = _codes(model, sums, bricks, sees_twice and deepest < CODED_LEVELS, variation, cancel)
        told = noise / voxel_size(number), filling, number
        style = model.style(*told, code, cancel)
        blend = BlockAverage(len(coords), 2)
        for start in range(0, len(blocks), BATCH):
            batch = blocks[start : start + BATCH]
            index = bricks.find(bricks_of(batch))
            evidence = gather_evidence(sums, index)
            parent = model.seed(evidence, cancel) if level is None else gather_parent(level.grid, level.bricks, batch)
            position = _position(batch, number)
            styles = np.repeat(style, len(batch), axis=0)
            field = model.field(evidence, parent, position, styles, cancel)
            if number == deepest <= MIRRORED and sees_twice:
                if turned_code is not None:
                    styles = np.repeat(model.style(*told, turned_code, cancel), len(batch), axis=0)
                seen_again = model.field(*mirrored(evidence, parent, position), styles, cancel)
                field = (field + seen_again[:, :, ::-1, ::-1, ::-1]) / 2
            if number == 0 and encodes:
                # what shapes are like moves the surface; how sure one can be the scan says alone, or its code would
                # make sigma surer of what nobody saw, and on what everybody saw rank the errors worse
                unmoved = model.style(*told, np.zeros_like(code), cancel)
                field[:, 1] = model.field(evidence, parent, position, unmoved, cancel)[:, 1]
            blend.add(field, index)
            on_blocks(number, start + len(batch), len(blocks))
        grid = BrickGrid(coords, blend.mean())
        level = Level(number, grid if variation is None else variation.field(grid, number), bricks, len(blocks), code)
        yield level


def _codes(
    model: Model,
    sums: np.ndarray,
    bricks: BrickMap,
    twice: bool,
    variation: Variation | None,
    cancel: CancelToken,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The shape's code from the evidence of level 0, and when looking ``twice`` that of the shape turned round."""
    blocks, _ = _first_block()
    evidence = gather_evidence(sums, bricks.find(bricks_of(blocks)))
    code, sd = model.encode(evidence, model.seed(evidence, cancel), cancel)
    if variation is not None:
        code = variation.code(code, sd)
    if not twice:
        return code, None
    turned, _, _ = mirrored(evidence, np.empty((1, 2, 2, 2, 2), np.float32), np.zeros((1, 4), np.float32))
    return code, model.encode(turned, model.seed(turned, cancel), cancel)[0]


def mirrored(
    evidence: np.ndarray, parent: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The atom's inputs for the same scan reflected through the centre of the canonical frame."""
    # normals turn round, normal . position does not
    turned = np.ascontiguousarray(evidence[:, :, ::-1, ::-1, ::-1])
    turned[:, 1:4] *= -1
    centre = position * np.array([-1, -1, -1, 1], np.float32)
    return turned, np.ascontiguousarray(parent[:, :, ::-1, ::-1, ::-1]), centre


def _first_block() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((1, 3), np.int32), np.full((BLOCK_BRICKS,) * 3, OUTSIDE, np.int32)


def _position(blocks: np.ndarray, number: int) -> np.ndarray:
    """The atom's position f32 (b, 4): canonical centre of the block, canonical voxel size."""
    voxel = voxel_size(number)
    centre = (blocks * BRICK + BLOCK / 2) * voxel - 1
    return np.concatenate([centre, np.full((len(blocks), 1), voxel)], axis=1).astype(np.float32)


def _refined(level: Level, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blocks (b, 3) of the next level, and the side of every brick of its domain (s, s, s) with a margin of 4."""
    mean = level.grid.values[:, 0].reshape(-1, 2, BRICK // 2, 2, BRICK // 2, 2, BRICK // 2)
    near = np.abs(mean).min(axis=(2, 4, 6)) < ACTIVE
    inside = mean.mean(axis=(2, 4, 6)) < 0
    octants = np.stack(np.meshgrid(*[np.arange(2, dtype=np.int32)] * 3, indexing="ij"), axis=-1)
    children = 2 * level.grid.coords[:, None, None, None] + octants
    count = BLOCK_BRICKS * 2 ** (level.number + 1)
    margin = BLOCK_BRICKS
    place = np.arange(-margin, count + margin) // 2 + level.bricks.margin
    known = np.clip(place, 0, len(level.bricks.index) - 1)
    sides = level.bricks.index[np.ix_(known, known, known)]
    stored = (children + margin).reshape(-1, 3)
    in_domain = ((stored >= 0) & (stored < len(sides))).all(axis=1)
    x, y, z = stored[in_domain].T
    sides[x, y, z] = np.where(inside.reshape(-1), INSIDE, OUTSIDE)[in_domain]
    beyond = (place < 0) | (place >= len(level.bricks.index))
    sides[beyond] = sides[:, beyond] = sides[:, :, beyond] = OUTSIDE
    measured = np.floor((points + np.float32(1)) * np.float32(count / 2)).astype(np.int32)
    within = ((measured >= 0) & (measured < count)).all(axis=1)
    members = np.bincount((measured[within] @ np.array([count * count, count, 1])), minlength=count**3)
    held = np.argwhere(members.reshape((count,) * 3) >= LEAST_POINTS)
    active = distinct(np.concatenate([children[near], held]))
    return cover(active[((active >= 0) & (active < count)).all(axis=1)]), sides
