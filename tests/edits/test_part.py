"""Parts that an edit changes are told from skins and plates, and found on other scans wherever and however often."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from backend.edits import apply_learned
from backend.edits.apply_learned import UNLIKE_PART, AppliedEdit, said_of_places
from backend.edits.learned import LearnedMovement
from backend.edits.part import DistanceGrid, Part, part_alignments
from backend.registration.align import Alignment
from backend.registration.icp import Surface
from backend.registration.similarity import Similarity
from backend.registration.warp import Bumps, Warp
from tests.benchmarks.weight_cases import _box

IDENTITY = Alignment(Similarity.identity(), Warp(), 0.0)
GRID = 64


def surface(mesh: trimesh.Trimesh, count: int = 20_000) -> Surface:
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)[:2]
    return Surface(np.asarray(points), np.asarray(mesh.face_normals[faces]))


def plate(p: NDArray, *knobs: tuple[float, float], turn: float = 0.0) -> NDArray:
    """Distances of a plate with upright bars on it, each of them turned around its middle (radians)."""
    found = _box(p, (0, 0, 0), (0.8, 0.5, 0.1))
    cos, sin = np.cos(turn), np.sin(turn)
    for x, y in knobs:
        q = p - (x, y, 0)
        q = np.stack([cos * q[:, 0] + sin * q[:, 1], cos * q[:, 1] - sin * q[:, 0], q[:, 2]], axis=1)
        found = np.minimum(found, _box(q, (0, 0, 0.2), (0.12, 0.06, 0.14)))
    return found


def fields(*knobs: tuple[float, float], turn: float = 0.0) -> tuple[DistanceGrid, Surface]:
    """Distances of the plate on a grid, and points of its surface, which Newton steps bring there."""
    line = (np.arange(GRID) + 0.5) * (2 / GRID) - 1
    centres = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    means = (plate(centres, *knobs, turn=turn) * (GRID / 2)).clip(-3, 3).reshape((GRID,) * 3).astype(np.float32)
    points = np.random.default_rng(0).uniform((-0.9, -0.6, -0.2), (0.9, 0.6, 0.5), (40_000, 3))
    points = points[np.abs(plate(points, *knobs, turn=turn)) < 0.06]

    def distance(p: NDArray) -> NDArray:
        return plate(p, *knobs, turn=turn)

    def slope(p: NDArray) -> NDArray:
        return np.stack([distance(p + step) - distance(p - step) for step in 1e-4 * np.eye(3)], axis=1) / 2e-4

    for _ in range(4):
        points = points - distance(points)[:, None] * slope(points)
    points = points[np.abs(distance(points)) < 1e-4]
    normals = slope(points)
    return DistanceGrid(means), Surface(points, normals / np.linalg.norm(normals, axis=1, keepdims=True))


def bar(x: float = -0.4, y: float = 0.1) -> NDArray:
    """Places of a change: the bar of a plate."""
    axes = np.meshgrid(np.linspace(-0.1, 0.1, 5), np.linspace(-0.05, 0.05, 3), np.linspace(0.12, 0.34, 5))
    return np.stack(axes, axis=-1).reshape(-1, 3) + (x, y, 0)


@pytest.fixture(scope="module")
def part() -> Part:
    found = Part.of(fields((-0.4, 0.1))[1], bar())
    assert found is not None
    return found


@pytest.mark.parametrize(
    "mesh",
    [
        trimesh.creation.box((2.0, 1.6, 0.1)),
        trimesh.creation.icosphere(4, 0.8),
        trimesh.creation.cylinder(0.4, 1.6, sections=96).apply_translation([0, 0, 0.05]),
    ],
    ids=["plate", "sphere", "cylinder"],
)
def test_a_change_in_the_middle_of_a_skin_that_slides_on_itself_is_no_part(mesh: trimesh.Trimesh) -> None:
    skin = surface(mesh)
    nearest = skin.points[np.argmin(np.linalg.norm(skin.points - [0.4, 0.0, 0.05], axis=1))]
    around = skin.points[np.linalg.norm(skin.points - nearest, axis=1) < 0.1]
    assert Part.of(skin, around) is None


def test_no_change_and_a_change_of_the_whole_are_no_parts() -> None:
    skin = fields((-0.4, 0.1))[1]
    assert Part.of(skin, np.zeros((0, 3))) is None
    assert Part.of(skin, skin.points[::10]) is None


def test_a_part_in_place_stays_where_registration_says(part: Part) -> None:
    grid, skin = fields((-0.4, 0.1))
    assert part_alignments(part, grid, skin, IDENTITY) == [IDENTITY]
    assert part.misfit(IDENTITY, grid) < 0.5 * grid.voxel


def test_a_part_elsewhere_is_found_in_its_own_turn(part: Part) -> None:
    grid, skin = fields((0.45, -0.15), turn=0.4)
    (found,) = part_alignments(part, grid, skin, IDENTITY)
    place = found.back(part.middle[None])[0]
    assert place == pytest.approx([0.45, -0.15, part.middle[2]], abs=0.5 * grid.voxel)
    # half a turn brings the bar onto itself
    turn = Rotation.from_matrix(found.similarity.rotation).magnitude()
    assert min(abs(turn - 0.4), abs(turn - np.pi + 0.4)) < 0.06
    assert part.misfit(found, grid) < 0.5 * grid.voxel < part.misfit(IDENTITY, grid)


def test_a_part_that_occurs_several_times_is_found_as_often_and_nothing_is_invented(part: Part) -> None:
    knobs = [(-0.4, 0.1), (0.5, 0.3), (0.1, -0.3), (0.6, -0.2)]
    grid, skin = fields(*knobs)
    found = part_alignments(part, grid, skin, IDENTITY)
    assert found[0] is IDENTITY and len(found) == len(knobs)
    places = np.array([one.back(part.middle[None])[0, :2] for one in found])
    away = np.linalg.norm(places[:, None] - np.array(knobs), axis=2)
    assert (away.min(axis=0) < grid.voxel).all() and (away.min(axis=1) < grid.voxel).all()


def test_a_scan_without_the_part_keeps_the_alignment_of_the_whole(part: Part) -> None:
    grid, skin = fields()
    assert part_alignments(part, grid, skin, IDENTITY)[0] is IDENTITY
    # which is told from a part in its place
    assert part.misfit(IDENTITY, grid) > UNLIKE_PART > 2 * part.misfit(IDENTITY, fields((-0.4, 0.1))[0])


def test_a_part_that_hardly_fits_is_looked_for_from_other_turns_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = fields((-0.4, 0.1))[1]
    asked: list[Alignment] = []

    def fitting(part: Any, grid: Any, surface: Any, whole: Alignment) -> list[Alignment]:
        asked.append(whole)
        return [whole]

    def off(alignment: Alignment, grid: Any) -> float:
        turned = Rotation.from_matrix(alignment.similarity.rotation)
        return float((turned * Rotation.from_euler("z", 45, degrees=True).inv()).magnitude())

    monkeypatch.setattr(apply_learned, "part_alignments", fitting)
    turned: Any = SimpleNamespace(misfit=off)
    grid: Any = None
    found = apply_learned._part_places(turned, grid, reference, IDENTITY, reference)
    assert len(asked) == 4 and off(found[0], grid) < np.radians(5)
    # the whole turns about its middle
    middle = reference.points.mean(axis=0, keepdims=True)
    assert found[0].similarity.points(middle) == pytest.approx(middle)
    asked.clear()
    fits: Any = SimpleNamespace(misfit=lambda *_: 0.0)
    apply_learned._part_places(fits, grid, reference, IDENTITY, reference)
    assert len(asked) == 1


def test_what_hardly_looks_like_the_part_is_said() -> None:
    skin = fields((-0.4, 0.1))[1]
    nothing = LearnedMovement(skin, np.zeros((0, 6)), np.zeros((0, 3)), 1.0, np.zeros((0, 0)), 0.0, 1.0, 0.0, 1, 0.0)
    place = AppliedEdit(nothing, IDENTITY, skin)
    assert said_of_places([place], 1) == []
    assert said_of_places([replace(place, moved=True)], 1) == [
        "The part that it changes is elsewhere on this scan: it acts there."
    ]
    there, doubtful = said_of_places([place, replace(place, unlike=True)], 2)
    assert "at 2 places" in there and "hardly looks like the part" in doubtful


def test_an_alignment_takes_back_what_its_warp_bends() -> None:
    rng = np.random.default_rng(0)
    bumps = Bumps(rng.uniform(-1, 1, (5, 3)), rng.normal(0, 0.05, (5, 3)), 0.4)
    pose = Similarity(Rotation.random(rng=rng).as_matrix(), 1.3, rng.normal(size=3))
    alignment, points = Alignment(pose, Warp((bumps,)), 0.0), rng.uniform(-0.5, 0.5, (50, 3))
    there = alignment.bend(points, np.tile([0.0, 0, 1], (50, 1))).points
    assert alignment.back(there) == pytest.approx(points, abs=1e-3)


def test_distances_of_a_grid_are_those_of_the_solid_and_slope_outwards() -> None:
    grid, skin = fields((-0.4, 0.1))
    # linear interpolation rounds the edges
    assert np.quantile(np.abs(grid.at(skin.points)), 0.9) < 0.1 * grid.voxel
    assert np.median((grid.slope(skin.points) * skin.normals).sum(axis=1)) == pytest.approx(1.0, abs=0.05)
    assert grid.nearest(skin.points[:9].reshape(3, 3, 3)).shape == (3, 3)


def test_where_nothing_is_left_to_look_at_the_alignment_of_the_whole_stays(part: Part) -> None:
    grid, skin = fields()
    nothing = Surface(np.zeros((0, 3)), np.zeros((0, 3)))
    assert part_alignments(part, grid, nothing, IDENTITY) == [IDENTITY]
    assert part.warped(IDENTITY, nothing) is IDENTITY
    # a sheet that faces one way
    up = skin.normals[:, 2] > 0.99
    sheet = Surface(skin.points[up], skin.normals[up])
    assert IDENTITY in part_alignments(part, grid, sheet, IDENTITY)
