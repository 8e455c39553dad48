"""Thin walls of a scan: where both sides were seen they are moved apart, so that the network keeps the wall whole."""

from __future__ import annotations

import numpy as np
import pytest

from backend.field.bricks import voxel_size
from backend.field.fit import fit
from backend.field.onnx_model import Model
from backend.field.thin_walls import WIDTH, parted
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import label_faces
from backend.geometry.winding_number import winding_at
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import LONGEST_SIDE, prepare
from tests import input_kinds as kinds

LEVEL = 2
VOXEL = voxel_size(LEVEL) / (LONGEST_SIDE / 2)
"""Of shapes that are two long, in their own units."""


def plate(thickness: float, noise: float = 0.0, count: int = 20_000, seed: int = 0) -> RawScan:
    """Bare points with normals of both sides of a disc of so many voxels, bent like a leaf, and of its rim."""
    rng = np.random.default_rng(seed)
    radius, turn = np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    x, y = radius * np.cos(turn), radius * np.sin(turn)
    side = np.where(rng.random(count) < 0.5, 1.0, -1.0)
    slope = 0.5 * x
    facing = np.stack([-slope, np.zeros(count), np.ones(count)], axis=1)
    facing *= (side / np.linalg.norm(facing, axis=1))[:, None]
    points = np.stack([x, y, 0.25 * x**2], axis=1) + (thickness * VOXEL / 2) * facing
    points += rng.normal(0, noise * VOXEL, (count, 1)) * facing
    return RawScan(points, None, facing.astype(np.float32), name="leaf")


def apart(raw: RawScan, points: np.ndarray) -> float:
    """Mean distance, voxels, between the two sides of a plate whose points are at canonical ``points``."""
    assert raw.normals is not None and len(points) == len(raw.points)
    upper = raw.normals[:, 2] > 0
    middle = np.abs(points[:, :2]).max(axis=1) < 0.3
    fitted = [np.polyfit(points[middle & side, 0], points[middle & side, 2], 2)[2] for side in (upper, ~upper)]
    return float(fitted[0] - fitted[1]) / voxel_size(LEVEL)


@pytest.mark.parametrize("noise", [0.0, 0.35])
@pytest.mark.parametrize("thickness", [0.5, 1.0])
def test_both_sides_of_a_thin_wall_move_apart_evenly(thickness: float, noise: float) -> None:
    raw = plate(thickness, noise)
    scan = prepare(raw)
    points, said = parted(scan, LEVEL)
    assert apart(raw, scan.points) == pytest.approx(thickness, abs=0.1)
    assert apart(raw, points) == pytest.approx(WIDTH, abs=0.2)
    assert "100% of the scan is thinner than 1.5 voxels of level 2" in said
    move = points - scan.points
    assert (move * scan.normals).sum(axis=1) == pytest.approx(np.linalg.norm(move, axis=1), abs=1e-6)


def test_a_thick_wall_and_a_thin_one_on_a_finer_level_keep_their_bits() -> None:
    thick, thin = prepare(plate(4.0, 0.35)), prepare(plate(1.0))
    assert parted(thick, LEVEL) == (thick.points, "")
    assert parted(thin, LEVEL + 1)[0] is thin.points


def test_the_two_sides_of_a_gap_stay_where_they_are() -> None:
    # what faces itself across a gap of one voxel, as two blocks that almost touch
    gap = plate(1.0)
    assert gap.normals is not None
    scan = prepare(RawScan(gap.points, None, -gap.normals))
    assert parted(scan, LEVEL)[0] is scan.points


def test_one_side_alone_says_nothing_of_a_thickness() -> None:
    both = plate(1.0)
    assert both.normals is not None
    upper = both.normals[:, 2] > 0
    scan = prepare(RawScan(both.points[upper], None, both.normals[upper]))
    assert parted(scan, LEVEL)[0] is scan.points


def test_the_thin_part_of_a_scan_moves_and_the_rest_stays() -> None:
    leaf = plate(1.0)
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(10_000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    assert leaf.normals is not None
    points = np.concatenate([leaf.points, 0.5 * ball + [1.6, 0, 0.5]])
    scan = prepare(RawScan(points, None, np.concatenate([leaf.normals, ball]).astype(np.float32)))
    moved = (parted(scan, LEVEL)[0] != scan.points).any(axis=1)
    assert len(moved) == len(points)
    assert moved[: len(leaf.points)].mean() > 0.95 and moved[len(leaf.points) + 100 :].mean() < 0.05


def test_a_wall_of_one_voxel_of_which_both_sides_were_seen_is_kept_whole_and_said(model: Model) -> None:
    raw = plate(1.0, 0.35)
    rng = np.random.default_rng(2)
    radius, turn = 0.95 * np.sqrt(rng.random(4000)), 2 * np.pi * rng.random(4000)
    x, y = radius * np.cos(turn), radius * np.sin(turn)
    inside = np.stack([x, y, 0.25 * x**2], axis=1)
    kept, lost = (fit(raw, model, FitOptions(level=LEVEL, kind="scan", keep_thin=keep)) for keep in (True, False))
    whole = [float((winding_at(made.mesh.vertices, made.mesh.faces, inside) > 0.5).mean()) for made in (kept, lost)]
    assert whole[0] > 0.99 and whole[1] < 0.9
    assert label_faces(kept.mesh.faces)[1] == 1
    assert any("such walls were made as thick, to stay" in note for note in kept.report.notes)


def test_the_first_frame_of_a_solid_does_not_wait_for_its_walls_and_changes_nothing(model: Model) -> None:
    for thickness, levels in ((1.0, [0, 0, 1, 2]), (20.0, [0, 1, 2])):
        block = kinds.box((2.0, 1.0, 1.0))
        fin = kinds.box((2.0, 1.2, thickness * VOXEL), at=(0.0, 0.8, 0.0))
        raw, frames = RawScan(*kinds.joined(block, fin)), []
        watched = fit(raw, model, on_frame=frames.append)
        alone = fit(raw, model)
        assert [frame.level for frame in frames] == levels
        assert np.array_equal(watched.mesh.vertices, alone.mesh.vertices)
        assert [row["level"] for row in watched.stats.levels] == [0, 1, 2]
