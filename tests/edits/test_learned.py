"""Edits by example: registration, what a pair shows, the ridge and its posterior, and bringing it to another scan."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from backend.cli.main import main
from backend.edits.apply_learned import AppliedEdit, apply_learned, example_poses
from backend.edits.displacement import combine, displacement_of
from backend.edits.edit_file import load_edit, save_edit
from backend.edits.gear import Gear, LearnedEdit
from backend.edits.learned import LearnedMovement, learn
from backend.edits.pair_difference import Change, pair_difference
from backend.errors import ErrorCode, OmomiError
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.raw_scan import RawScan
from backend.geometry.normals import normals_of
from backend.registration.icp import Surface, register
from backend.registration.similarity import Similarity, angle_between, best_similarity
from backend.registration.warp import Bumps, Warp
from backend.scan.prepare import Frame, PreparedScan, prepare
from tests.fakes import MODEL, MeshEngine
from tests.movements import apply_movement

BUMP = np.array([0.9, 0.2, 0.1])


def blob(seed: int = 0, subdivisions: int = 4) -> trimesh.Trimesh:
    """A lumpy ellipsoid without symmetry; different seeds are members of one family."""
    rng = np.random.default_rng(seed)
    mesh = trimesh.creation.icosphere(subdivisions)
    points = np.asarray(mesh.vertices)
    lumps = np.array([[0, 0, 1], [0.3, 0.9, 0.2], [-0.7, -0.5, 0.5], [0.2, -0.8, -0.6]])
    heights = np.array([0.35, 0.25, -0.2, 0.3]) * rng.uniform(0.9, 1.1, 4)
    away = np.linalg.norm(points[:, None] - lumps / np.linalg.norm(lumps, axis=1, keepdims=True), axis=2)
    radius = 1 + np.exp(-0.5 * (away / 0.35) ** 2) @ heights
    return trimesh.Trimesh(points * radius[:, None] * [1.3, 1.0, 0.8], mesh.faces, process=False)


def pushed(mesh: trimesh.Trimesh, height: float = 0.15, where: np.ndarray = BUMP) -> np.ndarray:
    """Vertices with a bump of ``height`` grown outwards at one place."""
    points = np.asarray(mesh.vertices)
    centre = points[(points @ where).argmax()]
    away = np.linalg.norm(points - centre, axis=1)
    weight = np.maximum(0, np.exp(-0.5 * (away / 0.25) ** 2) - np.exp(-4.5))
    return points + height * weight[:, None] * np.asarray(mesh.vertex_normals)


def learn_movement(changes: list[Change]) -> LearnedMovement:
    """The movement that examples show."""
    return learn(changes, [pose.similarity for pose in example_poses(changes)])


def scan_of(vertices: np.ndarray, faces: np.ndarray, name: str = "blob") -> PreparedScan:
    return prepare(RawScan(vertices, np.asarray(faces, np.int32), name=name))


@cache
def example(seed: int, height: float = 0.15) -> Change:
    mesh = blob(seed)
    return pair_difference(scan_of(mesh.vertices, mesh.faces), scan_of(pushed(mesh, height), mesh.faces))


@pytest.fixture(scope="module")
def edit() -> LearnedMovement:
    return learn_movement([example(seed) for seed in range(2)])


def placed_on(edit: LearnedMovement, mesh: trimesh.Trimesh) -> tuple[AppliedEdit, Frame, np.ndarray]:
    """The edit on a mesh, its frame, and its canonical vertices."""
    scan = scan_of(mesh.vertices, mesh.faces)
    vertices = (np.asarray(mesh.vertices) - scan.frame.centre) * scan.frame.scale
    return apply_learned(LearnedEdit(edit), scan)[0], scan.frame, vertices


def moved_by(edit: LearnedMovement, mesh: trimesh.Trimesh, *strengths: float) -> list[np.ndarray]:
    """Displacements in the mesh's own units at each strength."""
    placed, frame, vertices = placed_on(edit, mesh)
    return [apply_movement(placed, strength, vertices, mesh.faces).move / frame.scale for strength in strengths]


rotations = st.integers(0, 2**32 - 1).map(
    lambda seed: Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 2, 3))
)


@given(rotations, st.floats(0.2, 5), st.integers(0, 2**32 - 1))
def test_best_similarity_recovers_the_transform_of_matched_points(turn, scale, seed) -> None:
    rng = np.random.default_rng(seed)
    points, shift = rng.normal(size=(20, 3)), rng.normal(size=3)
    found = best_similarity(points, scale * turn.apply(points) + shift, np.ones(20))
    assert np.allclose(found.rotation, turn.as_matrix(), atol=1e-9)
    assert np.isclose(found.scale, scale)
    assert np.allclose(found.shift, shift, atol=1e-9)


@given(rotations, st.floats(0.2, 5))
def test_a_similarity_after_its_inverse_is_nothing(turn, scale) -> None:
    there = Similarity(turn.as_matrix(), scale, np.array([1.0, -2.0, 0.5]))
    points = np.random.default_rng(0).normal(size=(10, 3))
    assert np.allclose(there.after(there.inverse()).points(points), points)
    assert np.allclose(there.inverse().vectors(there.vectors(points)), points)


@settings(max_examples=4, deadline=None)
@given(rotations)
def test_registration_finds_any_pose_of_a_shape_without_symmetry(turn) -> None:
    mesh = blob()
    surface = Surface(np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals))
    there = Similarity(turn.as_matrix(), 1.3, np.array([3.0, 1.0, -2.0]))
    found = register(surface, surface.moved(there))
    assert angle_between(found.transform.rotation, there.rotation) < np.radians(1)
    assert np.abs(found.transform.points(surface.points) - there.points(surface.points)).max() < 0.02
    assert all(residual > 1.3 * found.residual for _, residual in found.rivals)


def test_the_jacobian_of_a_warp_is_its_derivative() -> None:
    rng = np.random.default_rng(0)
    warp = Warp((Bumps(rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), 0.8),))
    points, step = rng.normal(size=(5, 3)), 1e-6
    for axis in range(3):
        ahead = np.zeros(3)
        ahead[axis] = step
        slope = (warp.displacement(points + ahead) - warp.displacement(points - ahead)) / (2 * step)
        assert np.allclose(warp.jacobian(points)[:, :, axis], slope, atol=1e-7)


def test_a_warp_turns_the_normals_of_the_surface_that_it_bends() -> None:
    # z is raised by a bump over the plane: the normal leans away from its top
    warp = Warp((Bumps(np.zeros((1, 3)), np.array([[0.0, 0.0, 1.0]]), 1.0),))
    found = warp.normals(np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0]]))
    slope = -np.exp(-0.5)
    assert np.allclose(found, [[-slope / np.hypot(1, slope), 0, 1 / np.hypot(1, slope)]])


def test_a_pair_shows_where_and_how_far_the_surface_moved() -> None:
    mesh = blob()
    change = example(0)
    scan = scan_of(mesh.vertices, mesh.faces)
    truth = (pushed(mesh) - mesh.vertices) * scan.frame.scale
    nearest = trimesh.proximity.ProximityQuery(
        trimesh.Trimesh(scan.frame.to_canonical(mesh.vertices), mesh.faces, process=False)
    ).vertex(change.surface.points)[1]
    wanted = truth[nearest]
    # a pair does not show how a surface slides along itself
    across = ((change.displacement - wanted) * change.surface.normals).sum(axis=1)
    assert np.linalg.norm(across) < 0.2 * np.linalg.norm(wanted)
    far = (
        np.linalg.norm(
            change.surface.points - scan.frame.to_canonical(mesh.vertices[[(mesh.vertices @ BUMP).argmax()]]), axis=1
        )
        > 1
    )
    assert not change.changed[far].any()
    assert change.unexplained < 0.1


def test_a_pair_may_differ_in_pose_scale_and_meshing() -> None:
    mesh = blob()
    after = trimesh.Trimesh(pushed(mesh), mesh.faces, process=False).subdivide()
    turned = 1.04 * Rotation.from_rotvec([0.05, -0.08, 0.03]).apply(after.vertices) + 0.02
    change = pair_difference(scan_of(mesh.vertices, mesh.faces), scan_of(turned, after.faces))
    wanted = example(0)
    error = np.linalg.norm(change.displacement - wanted.displacement)
    assert error < 0.2 * np.linalg.norm(wanted.displacement)


def test_identical_pairs_make_an_edit_that_moves_nothing() -> None:
    mesh = blob()
    scan = scan_of(mesh.vertices, mesh.faces)
    nothing = learn_movement([pair_difference(scan, scan)])
    assert nothing.changes_nothing
    assert not moved_by(nothing, mesh, 1.0)[0].any()


def test_two_different_objects_are_not_a_pair() -> None:
    mesh, other = blob(), trimesh.creation.box((1, 1, 0.05)).subdivide().subdivide().subdivide()
    with pytest.raises(OmomiError) as caught:
        pair_difference(scan_of(mesh.vertices, mesh.faces), scan_of(other.vertices, other.faces))
    assert caught.value.code == ErrorCode.NOT_REGISTERED


def test_an_edit_learned_from_two_examples_is_right_on_a_third_in_another_pose(edit: LearnedMovement) -> None:
    mesh = blob(7)
    turn = Rotation.from_rotvec([1.0, 2.0, -0.5])
    posed = trimesh.Trimesh(2.5 * turn.apply(mesh.vertices) + 40, mesh.faces, process=False)
    wanted = 2.5 * turn.apply(pushed(mesh) - mesh.vertices)
    across = ((moved_by(edit, posed, 1.0)[0] - wanted) * np.asarray(posed.vertex_normals)).sum(axis=1)
    assert np.linalg.norm(across) < 0.25 * np.linalg.norm(wanted)


def test_far_from_the_edit_nothing_moves_at_all(edit: LearnedMovement) -> None:
    mesh = blob(7)
    far = np.asarray(mesh.vertices)[:, 0] < 0
    assert not moved_by(edit, mesh, 1.0)[0][far].any()


def test_strength_scales_the_edit_and_zero_is_nothing(edit: LearnedMovement) -> None:
    once, back, nothing = moved_by(edit, blob(3), 1.0, -2.5, 0.0)
    assert np.allclose(back, -2.5 * once)
    assert not nothing.any()


def test_edits_add_in_any_order(edit: LearnedMovement) -> None:
    mesh = blob(3)
    placed, _, vertices = placed_on(edit, mesh)
    part = displacement_of(placed, vertices, normals_of(vertices, mesh.faces))
    forth, back = (combine([part, part], some, vertices, mesh.faces).move for some in ([0.5, -0.2], [-0.2, 0.5]))
    assert np.allclose(forth, back, atol=1e-15)
    assert np.allclose(forth, 0.3 * apply_movement(placed, 1.0, vertices, mesh.faces).move)


def test_contradicting_examples_raise_the_doubt(edit: LearnedMovement) -> None:
    torn = learn_movement([example(0), example(1, -0.15)])
    points, normals = edit.codes[:, :3], edit.codes[:, 3:] / edit.radius
    assert torn.disagreement > 3 * edit.disagreement
    assert torn.predict(points, normals)[1].mean() > 2 * edit.predict(points, normals)[1].mean()


def test_an_example_that_lies_in_several_poses_takes_the_one_that_shows_the_same_change() -> None:
    ball = trimesh.creation.icosphere(5)
    before = trimesh.Trimesh(np.asarray(ball.vertices) * [1.3, 1.0, 0.8], ball.faces, process=False)
    after, half_turn = pushed(before), np.array([-1.0, -1.0, 1.0])
    first = pair_difference(scan_of(before.vertices, ball.faces), scan_of(after, ball.faces))
    second = pair_difference(scan_of(before.vertices * half_turn, ball.faces), scan_of(after * half_turn, ball.faces))
    assert learn_movement([first, second]).disagreement < 2 * learn_movement([first]).disagreement + 0.1


def test_no_place_moves_farther_than_what_the_examples_show_around_it(edit: LearnedMovement) -> None:
    """At an edge the bumps of all its sides add up."""
    points, normals = edit.codes[:, :3], edit.codes[:, 3:] / edit.radius
    rng = np.random.default_rng(0)
    tilted = normals + rng.normal(0, 0.5, normals.shape)
    tilted /= np.linalg.norm(tilted, axis=1, keepdims=True)
    elsewhere = edit.displacement(points + rng.normal(0, 0.3 * edit.radius, points.shape), tilted)
    most = np.linalg.norm(edit.displacement(points, normals), axis=1).max()
    assert np.linalg.norm(elsewhere, axis=1).max() <= most * (1 + 1e-9)


def test_doubt_grows_where_no_example_reaches(edit: LearnedMovement) -> None:
    points, normals = edit.codes[:, :3], edit.codes[:, 3:] / edit.radius
    surest = edit.predict(points, normals)[1].argmin()
    point, normal = points[[surest]], normals[[surest]]
    assert edit.predict(point + 1.8 * edit.radius * normal, normal)[1] > 3 * edit.predict(point, normal)[1]


def test_both_walls_of_a_thin_plate_may_move_apart() -> None:
    """Position alone could not tell the walls apart: they are nearer than a bump is wide."""
    plate = trimesh.creation.box((2, 1.4, 0.06))
    for _ in range(5):
        plate = plate.subdivide()
    points = np.asarray(plate.vertices) + [0, 0, 0]
    # a wedge, so that the pose is known
    points = points * np.stack([1 + 0.2 * points[:, 1], 1 + 0.1 * points[:, 0], np.ones(len(points))], axis=1)
    near = np.exp(-0.5 * ((points[:, 0] - 0.3) ** 2 + points[:, 1] ** 2) / 0.2**2)
    after = points + 0.05 * (near * np.sign(points[:, 2]))[:, None] * [0, 0, 1]
    scan = scan_of(points, plate.faces)
    edit = learn_movement([pair_difference(scan, scan_of(after, plate.faces))])
    vertices = (points - scan.frame.centre) * scan.frame.scale
    move = (
        apply_movement(apply_learned(LearnedEdit(edit), scan, adapt=False)[0], 1.0, vertices, plate.faces).move[:, 2]
        / scan.frame.scale
    )
    middle = near > 0.8
    for side in (1, -1):
        wall = middle & (side * points[:, 2] > 0.02)
        assert np.allclose(move[wall], side * 0.05 * near[wall], atol=0.02)


def test_an_edit_survives_its_file(edit: LearnedMovement, tmp_path) -> None:
    stored = save_edit(tmp_path / "bump.omomi", LearnedEdit(edit), MODEL, "a, b")
    read = load_edit(tmp_path / "bump.omomi")
    assert (read.sha256, read.name, read.examples) == (stored.sha256, "bump", "a, b")
    points, normals = edit.reference.points[:500], edit.reference.normals[:500]
    movement = read.edit.movement
    assert read.edit.gear is Gear.MOVEMENT and read.edit.delta is None
    assert np.allclose(movement.displacement(points, normals), edit.displacement(points, normals), atol=1e-4)
    assert np.allclose(movement.predict(points, normals)[1], edit.predict(points, normals)[1], atol=1e-2)


def test_the_command_line_learns_applies_and_reproduces(tmp_path, capsys) -> None:
    for seed in range(3):
        mesh = blob(seed, 4)
        save_mesh(tmp_path / f"before{seed}.ply", mesh.vertices, mesh.faces)
        save_mesh(tmp_path / f"after{seed}.ply", pushed(mesh), mesh.faces)

    def omomi(*words: object) -> int:
        return main([str(word) for word in words], lambda device, threads: MeshEngine())

    pairs = [f"--{when}={tmp_path / when}{seed}.ply" for seed in (0, 1) for when in ("before", "after")]
    assert omomi("learn", *pairs, "-o", tmp_path / "bump.omomi", "--json") == 0
    scan, out = tmp_path / "before2.ply", tmp_path / "out.ply"
    recipe = tmp_path / "r.json"
    edit = f"--edit={tmp_path / 'bump.omomi'}"
    assert omomi("edit", scan, "-o", out, edit + "=0.8", "--keep-topology", "--save-recipe", recipe) == 0
    given_mesh, made = load_scan(scan), load_scan(out)
    assert given_mesh.faces is not None and made.faces is not None
    assert np.array_equal(given_mesh.faces, made.faces)
    assert np.abs(made.points - given_mesh.points).max() > 0.05
    assert omomi("edit", scan, "-o", tmp_path / "again.ply", "--recipe", recipe, "--keep-topology") == 0
    assert (tmp_path / "again.ply").read_bytes() == out.read_bytes()
    assert omomi("edit", scan, "-o", tmp_path / "same.ply", edit + "=0", "--keep-topology") == 0
    assert np.array_equal(load_scan(tmp_path / "same.ply").points, given_mesh.points)
    # a mask that paints nothing, and one of the wrong length
    np.save(tmp_path / "none.npy", np.zeros(len(given_mesh.points), np.float32))
    mask = f"--mask={tmp_path / 'none.npy'}"
    assert omomi("edit", scan, "-o", tmp_path / "masked.ply", edit, "--keep-topology", mask) == 0
    assert np.array_equal(load_scan(tmp_path / "masked.ply").points, given_mesh.points)
    np.save(tmp_path / "short.npy", np.zeros(5, np.float32))
    assert omomi("edit", scan, "-o", out, edit, "--keep-topology", f"--mask={tmp_path / 'short.npy'}") == 1
    assert "5" in capsys.readouterr().err


def test_normals_of_a_sphere_point_outwards() -> None:
    sphere = trimesh.creation.icosphere(3)
    assert (normals_of(sphere.vertices, sphere.faces) * sphere.vertices).sum(axis=1).min() > 0.99
