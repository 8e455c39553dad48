"""A flat bottom that was not seen is closed by a plane; mouths, tubes, single views and seen faces are left alone."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.field.onnx_model import Model
from backend.formats.raw_scan import RawScan
from backend.prior.base import NOTE, find_base
from backend.prior.completion import completed_fit
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan, prepare

NOISE = 0.002
POSES = [1, 2, 3]


def turn(seed: int) -> np.ndarray:
    return trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).random(3))[:3, :3]


def lathed(profile: list[tuple[float, float]], seed: int = 1, count: int = 24_000) -> PreparedScan:
    """Noisy points on the surface that a profile of (radius, height) corners sweeps around z, normals to its right as
    it runs, in a random pose."""
    rng = np.random.default_rng(seed)
    corners = np.array(profile)
    way = np.diff(corners, axis=0)
    area = np.hypot(*way.T) * (corners[1:, 0] + corners[:-1, 0])
    part = rng.choice(len(way), count, p=area / area.sum())
    along = rng.random(count)
    radius, height = (corners[part] + along[:, None] * way[part]).T
    out, up = way[part, 1] / np.hypot(*way[part].T), -way[part, 0] / np.hypot(*way[part].T)
    kept = rng.random(count) < radius / np.maximum(corners[part, 0], corners[part + 1, 0])
    around = rng.random(count) * 2 * np.pi
    ring = np.stack([np.cos(around), np.sin(around)], axis=1)
    points = np.column_stack([radius[:, None] * ring, height])[kept]
    normals = np.column_stack([out[:, None] * ring, up])[kept]
    return scan_of(points, normals, seed)


def scan_of(points: np.ndarray, normals: np.ndarray, seed: int, faces: np.ndarray | None = None) -> PreparedScan:
    noise = np.random.default_rng(seed).normal(size=(len(points), 1)) * NOISE
    moved = ((points + noise * normals) @ turn(seed).T, (normals @ turn(seed).T).astype(np.float32))
    return prepare(RawScan(moved[0], faces, moved[1] if faces is None else None, None, "thing"), "scan")


BUST = [(0.5, 0.0), (0.35, 0.5), (0.5, 1.0), (0.3, 1.4), (0.0, 1.5)]
"""Without its bottom at height 0, which faces down."""
MOUTH = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0)]
"""The outside of a cup, bottom seen, whose mouth is at height 1."""


@pytest.mark.parametrize("seed", POSES)
def test_the_base_of_a_turned_bust_of_bare_points_is_found(seed: int) -> None:
    scan = lathed(BUST, seed)
    base = find_base(scan.points, scan.normals, scan.noise)
    assert base is not None
    assert base.normal @ turn(seed)[:, 2] < -np.cos(np.radians(1.5))
    foot = scan.frame.to_canonical(np.zeros((1, 3)))[0]
    assert abs(base.offset - float(foot @ base.normal)) < 0.012
    true = np.pi * (0.5 * scan.frame.scale) ** 2
    assert abs(base.area / true - 1) < 0.12
    assert np.allclose(base.points @ base.normal, base.offset, atol=1e-5)


@pytest.mark.parametrize("what", ["broken", "ragged"])
def test_the_base_within_a_broken_or_ragged_rim_is_found(what: str) -> None:
    whole = lathed([(0.5, 0.0), (0.5, 0.7), (0.4, 1.1), (0.0, 1.2)])
    upright = (whole.points - whole.frame.to_canonical(np.zeros((1, 3)))) @ turn(1)
    around, height = np.arctan2(upright[:, 1], upright[:, 0]), upright[:, 2]
    gone = {
        "broken": (height < 0.12) & (np.sin(3 * around) > 0.8),
        "ragged": height < 0.05 * np.clip(np.sin(5 * around) - 0.5, 0, None),
    }[what]
    points, normals = whole.points[~gone], whole.normals[~gone]
    base = find_base(points, normals, whole.noise)
    assert base is not None and base.normal @ turn(1)[:, 2] < -np.cos(np.radians(3))
    assert abs(base.area / (np.pi * (0.5 * whole.frame.scale) ** 2) - 1) < 0.2


@pytest.mark.parametrize(("broken", "found"), [(0.9, True), (0.5, False)])
def test_the_rim_of_a_low_thing_of_which_most_faces_up_may_be_a_little_broken(broken: float, found: bool) -> None:
    whole = lathed([(0.5, 0.0), (0.5, 0.1), (0.0, 0.12)])
    upright = (whole.points - whole.frame.to_canonical(np.zeros((1, 3)))) @ turn(1)
    around, height = np.arctan2(upright[:, 1], upright[:, 0]), upright[:, 2]
    kept = ~((height < 0.09) & (np.sin(3 * around) > broken))
    base = find_base(whole.points[kept], whole.normals[kept], whole.noise)
    assert (base is not None) == found
    assert base is None or base.normal @ turn(1)[:, 2] < -np.cos(np.radians(3))


def test_the_base_of_an_open_mesh_that_is_not_round_is_found() -> None:
    block = trimesh.creation.box([1.6, 0.5, 0.8]).subdivide_to_size(0.05)
    assert isinstance(block, trimesh.Trimesh)
    open_below = block.faces[block.face_normals[:, 2] > -0.5]
    scan = scan_of(np.asarray(block.vertices), np.asarray(block.vertex_normals), 4, open_below)
    assert scan.mesh is not None
    base = find_base(scan.points, scan.normals, scan.noise)
    assert base is not None and base.normal @ turn(4)[:, 2] < -0.999
    assert abs(base.area / (0.8 * scan.frame.scale**2) - 1) < 0.12


@pytest.mark.parametrize(
    ("what", "profile"),
    [
        ("a bottom that was seen", [(0.0, 0.0), *BUST]),
        ("a mouth with its inside seen", [*MOUTH, (0.45, 1.0), (0.45, 0.05), (0.0, 0.05)]),
        ("a mouth into which only the upper wall is seen", [*MOUTH, (0.45, 1.0), (0.45, 0.7)]),
        ("a tube with both ends open", [(0.5, 0.0), (0.5, 1.0)]),
        ("a tube seen inside", [(0.5, 0.0), (0.5, 1.0), (0.42, 1.0), (0.42, 0.0)]),
        ("a whole ball", [(np.sin(a), -np.cos(a)) for a in np.linspace(0, np.pi, 30)]),
        ("one view of a ball", [(np.sin(a), -np.cos(a)) for a in np.linspace(np.radians(105), np.pi, 15)]),
    ],
)
def test_what_has_no_unseen_base_gets_none(what: str, profile: list[tuple[float, float]]) -> None:
    scan = lathed(profile)
    assert find_base(scan.points, scan.normals, scan.noise) is None, what


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_mouth_into_which_one_side_of_the_wall_is_seen_is_no_base(seed: int) -> None:
    bottom = [(radius, 0.0) for radius in np.linspace(0, 0.5, 11)]
    scan = lathed([*bottom, (0.5, 0.2), (0.45, 0.2), (0.45, 0.06)], seed, 60_000)
    upright = (scan.points - scan.frame.to_canonical(np.zeros((1, 3)))) @ turn(seed)
    facing = scan.normals @ turn(seed)
    inside = (facing[:, :2] * upright[:, :2]).sum(axis=1) < 0
    kept = (facing[:, 2] < 0.5) & ~(inside & (upright[:, 0] < 0.1))
    assert find_base(scan.points[kept & ~inside], scan.normals[kept & ~inside], scan.noise) is not None
    assert find_base(scan.points[kept], scan.normals[kept], scan.noise) is None


def test_a_border_that_is_not_in_one_plane_gets_none() -> None:
    sphere = trimesh.creation.icosphere(5).vertices
    wavy = sphere[sphere[:, 2] > -0.4 + 0.25 * np.sin(3 * np.arctan2(sphere[:, 1], sphere[:, 0]))]
    scan = scan_of(wavy, wavy, 1)
    assert find_base(scan.points, scan.normals, scan.noise) is None


@pytest.mark.parametrize("count", [32, 40, 300])
def test_few_points_do_no_harm(count: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(count, 3))
    scan = scan_of(points, points / np.linalg.norm(points, axis=1, keepdims=True), 1)
    find_base(scan.points, scan.normals, scan.noise)


def test_the_fit_ends_at_the_base_and_says_so_and_it_can_be_left_out(model: Model) -> None:
    scan = lathed(BUST)
    with_base, without = (completed_fit(scan, model, FitOptions(level=1, base=on)) for on in (True, False))
    bottoms = []
    for found in (with_base, without):
        upright = found.mesh.vertices @ turn(1)
        bottoms.append(upright[(np.hypot(*upright[:, :2].T) < 0.35) & (upright[:, 2] < 0.3), 2])
    assert len(bottoms[0]) > 20 and np.abs(bottoms[0]).mean() < 0.015
    assert np.abs(bottoms[0]).mean() < 0.5 * np.abs(bottoms[1]).mean()
    assert NOTE in with_base.report.notes and "a flat base" in with_base.stats.guess
    assert NOTE not in without.report.notes and "a flat base" not in without.stats.guess
