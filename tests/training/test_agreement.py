"""What training computes in torch the engine computes in numpy: the same numbers, or the network sees another world."""

from __future__ import annotations

import numpy as np
import torch

from backend.field.blocks import bricks_of, distinct, gather_parent
from backend.field.bricks import OUTSIDE, BrickGrid, BrickMap
from backend.field.evidence import gather_evidence
from backend.field.evidence import splat as engine_splat
from backend.training.grids import parent_block
from backend.training.grids import splat as training_splat


def test_evidence_is_the_same() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.9, 0.9, (4000, 3)).astype(np.float32)
    normals = rng.normal(size=(4000, 3)).astype(np.float32)
    blocks = np.array([[1, 0, 2], [4, 4, 3]], np.int32)
    coords = distinct(bricks_of(blocks))
    bricks = BrickMap.of(coords, np.full((16, 16, 16), OUTSIDE, np.int32), 4)
    ours = gather_evidence(engine_splat(points, normals, 64, bricks), bricks.find(bricks_of(blocks)))
    for block, evidence in zip(blocks, ours, strict=True):
        theirs = training_splat(
            torch.from_numpy(points), torch.from_numpy(normals), torch.from_numpy(block * 8).long(), 1
        )
        assert np.abs(evidence - theirs.numpy()).max() < 1e-3


def test_parents_are_cut_alike() -> None:
    dense = np.random.default_rng(1).normal(size=(2, 32, 32, 32)).astype(np.float32).clip(-3, 3)
    grid = BrickGrid.from_dense(dense)
    bricks = BrickMap.of(grid.coords, np.full((4, 4, 4), OUTSIDE, np.int32), 0)
    blocks = np.array([[0, 1, 3], [-1, 4, 2]], np.int32)
    ours = gather_parent(grid, bricks, blocks)
    field = torch.from_numpy(dense)[None].expand(2, -1, -1, -1, -1)
    theirs = parent_block(field, torch.zeros(2, 3, dtype=torch.long), torch.from_numpy(blocks * 8).long())
    assert np.array_equal(ours, theirs.numpy())
