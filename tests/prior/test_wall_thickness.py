"""The unseen sides of thin walls lie behind the seen ones, as far as the walls are thick; solid things stay solid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.field.onnx_model import Model
from backend.prior import completion
from backend.prior.base import base_prior
from backend.prior.completion import completed_fit
from backend.prior.wall_thickness import NOTE, wall_prior
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan
from tests.prior.test_base import POSES, lathed, scan_of, turn

THICK = 0.05
CUP = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.2), (0.5 - THICK, 1.2)]
"""The outside of a cup, and its rim."""


BRIM = [(0.0, 0.0), (0.3, 0.0), (0.3, 0.3), (0.5, 0.3), (0.5, 0.35), (0.3, 0.35), (0.3, 1.2), (0.0, 1.2)]


def cup(seen_to: float, seed: int = 1) -> PreparedScan:
    """A cup whose inside was seen from the rim at 1.2 down to a height."""
    return lathed([*CUP, (0.5 - THICK, seen_to)], seed)


def upright(scan: PreparedScan, points: np.ndarray, seed: int = 1) -> np.ndarray:
    """Points (n, 3) of a scan in the frame that `lathed` made it in."""
    return scan.frame.to_world(points) @ turn(seed)


@pytest.mark.parametrize("seed", POSES)
@pytest.mark.parametrize("seen_to", [1.1, 0.6])
def test_the_unseen_inside_of_a_cup_lies_behind_its_outside(seen_to: float, seed: int) -> None:
    scan = cup(seen_to, seed)
    found = wall_prior(scan)
    assert found is not None and found.notes == (NOTE,)
    places = upright(scan, found.points, seed)
    radius, height = np.hypot(*places.T[:2]), places[:, 2]
    inside = np.minimum(np.abs(radius - (0.5 - THICK)), np.abs(height - THICK))
    assert np.quantile(inside, 0.95) < 0.015
    # the wall down to the bottom, and the bottom, but not what was seen
    assert np.mean((radius > 0.4) & (height < seen_to)) > 0.3 and np.mean(radius < 0.3) > 0.02
    assert np.mean(height > seen_to + 0.03) < 0.01
    facing = found.normals @ turn(seed)
    assert np.mean((facing[:, :2] * places[:, :2]).sum(axis=1)[(radius > 0.4) & (height > 0.2)] < 0) > 0.99


@pytest.mark.parametrize(
    ("what", "profile"),
    [
        ("a solid thing", [(0.0, 0.0), (0.5, 0.0), (0.5, 1.2), (0.0, 1.2)]),
        ("a cup into which nothing was seen", [(0.0, 0.0), (0.5, 0.0), (0.5, 1.2)]),
        ("a cup that was seen whole", [*CUP, (0.5 - THICK, THICK), (0.0, THICK)]),
        ("a thick vessel", [(0.0, 0.0), (0.5, 0.0), (0.5, 1.2), (0.35, 1.2), (0.35, 0.8)]),
        ("a solid thing with a thin brim", BRIM),
        ("a thin rod", [(0.0, 0.0), (0.03, 0.0), (0.03, 1.2), (0.0, 1.2)]),
    ],
)
def test_what_has_no_wall_of_which_one_side_is_unseen_gets_none(what: str, profile: list[tuple[float, float]]) -> None:
    assert wall_prior(lathed(profile)) is None, what


def test_a_box_with_a_thin_fin_stays_solid() -> None:
    box, fin = trimesh.creation.box([1, 0.8, 0.6]), trimesh.creation.box([0.6, 0.04, 0.5])
    fin.apply_translation([0, 0, 0.55])
    points, normals = [], []
    for part, other in ((box, fin), (fin, box)):
        places, face = trimesh.sample.sample_surface(part, 12_000, seed=1)
        kept = np.abs(places - other.bounds.mean(axis=0)).max(axis=1) > 0
        kept &= ~other.contains(places)
        points.append(places[kept])
        normals.append(part.face_normals[face][kept])
    assert wall_prior(scan_of(np.concatenate(points), np.concatenate(normals), 1)) is None


def test_normals_that_point_both_ways_tell_of_no_wall() -> None:
    scan = cup(0.6)
    assert wall_prior(scan) is not None
    sign = np.where(np.random.default_rng(0).random(len(scan.points)) < 0.1, -1, 1)[:, None].astype(np.float32)
    assert wall_prior(replace(scan, normals=scan.normals * sign)) is None


def test_noise_as_thick_as_a_wall_hides_it() -> None:
    scan = cup(0.6)
    assert wall_prior(replace(scan, noise=0.05)) is None


def test_a_wall_too_thin_for_the_finest_level_becomes_thick_enough_for_it() -> None:
    scan = cup(0.6)
    found = wall_prior(scan, voxel=0.08)
    assert found is not None
    wall = np.hypot(*upright(scan, found.points).T[:2])
    wall = wall[upright(scan, found.points)[:, 2] > 0.3]
    assert np.allclose(0.5 - wall, 1.5 * 0.08 / scan.frame.scale, atol=0.01)


@pytest.mark.parametrize("count", [32, 300])
def test_few_points_do_no_harm(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 3))
    wall_prior(scan_of(points, points / np.linalg.norm(points, axis=1, keepdims=True), 1))


def test_a_mouth_through_which_little_of_the_inside_was_seen_is_no_base() -> None:
    scan = cup(1.12)
    walls = wall_prior(scan)
    assert walls is not None and base_prior(scan, walls) is None
    # of a cup into which nobody looked nothing tells it from a solid thing
    closed = lathed(CUP[:3])
    assert wall_prior(closed) is None and base_prior(closed) is not None


def test_the_fit_of_a_cup_is_hollow_and_says_why_and_walls_can_be_left_alone(model: Model) -> None:
    scan = cup(0.9)
    on, off = (completed_fit(scan, model, FitOptions(level=2, walls=walls)) for walls in (True, False))
    assert NOTE in on.report.notes and NOTE not in off.report.notes
    volume = [float(trimesh.Trimesh(fit.mesh.vertices, fit.mesh.faces, process=False).volume) for fit in (on, off)]
    true = np.pi * (0.5**2 * 1.2 - (0.5 - THICK) ** 2 * (1.2 - THICK))
    assert abs(volume[0] / true - 1) < 0.25 < volume[1] / true - 1


def test_what_was_seen_whole_stays_solid_whatever_its_walls_look_like(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = lathed([(0.0, 0.0), (0.5, 0.0), (0.5, 1.2), (0.0, 1.2)]), cup(0.6)
    options = FitOptions(level=1, symmetry=False, base=False)
    alone = completed_fit(whole, model, replace(options, walls=False))
    wrong = wall_prior(part)
    assert wrong is not None
    monkeypatch.setattr(completion, "wall_prior", lambda *_: wrong)
    found = completed_fit(whole, model, options)
    assert NOTE not in found.report.notes and np.array_equal(found.mesh.vertices, alone.mesh.vertices)
    # a cup of which the inside was not seen has something to go on with
    assert NOTE in completed_fit(part, model, options).report.notes
