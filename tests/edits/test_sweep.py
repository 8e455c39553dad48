"""Checks and sweeps of edits on a shell: topology, volume and area, in words and pictures."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import pytest
import trimesh

from backend.edits import apply, fitted_scan
from backend.edits.apply import check_topology
from backend.edits.collision_margin import collision_margin
from backend.edits.displacement import Displacement
from backend.edits.fitted_scan import EditableMesh
from backend.edits.sweep import sweep_layer
from backend.errors import ErrorCode, OmomiError
from backend.geometry.moving_solid import Reading, read_solid
from backend.geometry.topology import Betti
from backend.geometry.topology_sweep import Solid


def shell_of(mesh: trimesh.Trimesh) -> EditableMesh:
    vertices = np.array(mesh.vertices)
    return EditableMesh(vertices, np.asarray(mesh.faces, np.int32), np.zeros(len(vertices)))


def unit(move: np.ndarray) -> Displacement:
    return Displacement(move, np.zeros(len(move)))


def balls(radius: float = 0.2, x: float = 0.3) -> EditableMesh:
    pair = [trimesh.creation.icosphere(4, radius=radius).apply_translation([side * x, 0, 0]) for side in (-1, 1)]
    return shell_of(cast(trimesh.Trimesh, trimesh.util.concatenate(pair)))


def torus() -> EditableMesh:
    return shell_of(trimesh.creation.torus(0.5, 0.2, major_sections=96, minor_sections=48))


def apart(shell: EditableMesh) -> Displacement:
    """Both balls approach the middle by .2 at strength 1."""
    return unit(np.sign(shell.vertices[:, :1]) * [-0.2, 0.0, 0.0])


def test_a_check_says_what_one_pose_changes() -> None:
    shell = balls()
    near, far = (check_topology(shell, strength * apart(shell).move) for strength in (0.3, 0.8))
    assert near == {"before": Betti(2, 0, 0), "after": Betti(2, 0, 0), "change": "", "unstable": False}
    assert far is not None and (far["after"], far["unstable"]) == (Betti(1, 0, 0), False)
    assert far["change"] == "Pieces join or vanish (2 before, 1 after)."
    assert json.loads(json.dumps(far))["before"] == [2, 0, 0]


def test_a_pose_in_which_walls_nearly_touch_is_unstable_or_a_change() -> None:
    shell = balls()
    for gap in (0.002, -0.002):
        found = check_topology(shell, (0.2 - gap) / 0.4 * apart(shell).move)
        assert found is not None and (found["unstable"] or found["change"])


def test_nothing_moved_is_nothing_changed_even_where_walls_are_thinner_than_the_grid() -> None:
    shell = shell_of(trimesh.creation.box((1.2, 1.2, 0.003)).subdivide().subdivide())
    still = check_topology(shell, np.zeros_like(shell.vertices))
    assert still is not None and still["change"] == "" and not still["unstable"]


def test_thin_walls_elsewhere_do_not_make_a_check_unstable() -> None:
    sheet = trimesh.creation.box((0.6, 0.6, 0.004)).subdivide().subdivide().subdivide()
    sheet.apply_transform(trimesh.transformations.euler_matrix(0.3, 0.4, 0.5)).apply_translation([0, 0, -0.5])
    both = cast(trimesh.Trimesh, trimesh.util.concatenate([trimesh.creation.icosphere(4, radius=0.2), sheet]))
    shell = shell_of(both)
    alone = read_solid(shell.vertices, shell.faces)
    assert len({*alone.eulers}) > 1
    ball = np.linalg.norm(shell.vertices, axis=1) < 0.25
    found = check_topology(shell, np.where(ball[:, None], 0.1 * shell.vertices, 0.0))
    assert found is not None and found["change"] == "" and not found["unstable"]


def test_the_unmoved_shell_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(vertices: np.ndarray, faces: np.ndarray) -> Reading:
        seen.append(len(vertices))
        return read_solid(vertices, faces)

    for module in (apply, fitted_scan):
        monkeypatch.setattr(module, "read_solid", counted)
    shell = balls()
    for _ in range(3):
        check_topology(shell, 0.5 * apart(shell).move)
    assert len(seen) == 4


def test_a_mesh_without_an_inside_has_no_topology_to_check() -> None:
    closed = balls()
    opened = EditableMesh(closed.vertices, closed.faces[1:], closed.sigma)
    assert check_topology(opened, np.zeros_like(closed.vertices)) is None
    with pytest.raises(OmomiError) as caught:
        sweep_layer(opened, [apart(closed)], [0.0], 0, 0, 1, 4)
    assert caught.value.code is ErrorCode.NOT_A_MESH


def test_crumbs_are_not_pieces_but_make_a_reading_odd() -> None:
    speck = trimesh.creation.icosphere(1, radius=0.008).apply_translation([0.4, 0.1, 0.2])
    ball = trimesh.creation.icosphere(4, radius=0.3)
    both = cast(trimesh.Trimesh, trimesh.util.concatenate([ball, speck]))
    alone = read_solid(np.asarray(ball.vertices), ball.faces)
    found = read_solid(np.asarray(both.vertices), both.faces)
    assert found.betti == alone.betti == Betti(1, 0, 0)
    assert found.odd(alone) is not None and alone.odd(alone) is None



def test_a_sweep_finds_where_parts_join_and_knows_that_the_solid_grows_there() -> None:
    shell = balls()
    found = sweep_layer(shell, [apart(shell)], [0.0], 0, -1.0, 1.0, 8, scale=2.0)
    (turn,) = found.transitions
    assert turn.strength == pytest.approx(0.5, abs=1 / 128 / 0.2 / 2)
    assert (turn.before, turn.after, turn.grows) == (Betti(2, 0, 0), Betti(1, 0, 0), True)
    assert turn.change == "Pieces join (2 before, 1 after)."
    assert turn.give <= 2.0 / 256
    low, high = found.safe
    assert low == -1.0 and abs(high - turn.strength) <= turn.give
    # the mesh itself keeps both balls, whatever overlaps
    ball = trimesh.creation.icosphere(4, radius=0.2)
    np.testing.assert_allclose(found.volume, 2 * ball.volume / 8)
    np.testing.assert_allclose(found.area, 2 * ball.area / 4)


def test_a_sweep_that_shrinks_says_so() -> None:
    plate = shell_of(trimesh.creation.box((1.0, 1.0, 0.2)).subdivide().subdivide().subdivide().subdivide())
    dent = np.exp(-0.5 * ((plate.vertices[:, :2] / 0.2) ** 2).sum(axis=1))
    inwards = -np.sign(plate.vertices[:, 2:]) * dent[:, None] * [0, 0, 0.1]
    found = sweep_layer(plate, [unit(inwards)], [0.0], 0, 0.6, 1.4, 4)
    (turn,) = found.transitions
    # the walls meet at 1; less than half a voxel, 1 / 256, from the middle plane there may be no voxel's centre
    assert turn.strength == pytest.approx(1.0, abs=1 / 256 / 0.1)
    assert turn.grows is False and turn.change == "A tunnel through it opens (0 before, 1 after)."
    assert found.safe == pytest.approx((0.6, turn.strength - turn.give))


def test_the_other_layers_stay_at_their_strengths() -> None:
    shell = balls()
    alone = sweep_layer(shell, [apart(shell)], [0.0], 0, 0.0, 1.0, 4)
    helped = sweep_layer(shell, [apart(shell), apart(shell)], [0.9, 0.25], 0, 0.0, 1.0, 4)
    assert helped.transitions[0].strength == pytest.approx(alone.transitions[0].strength - 0.25, abs=1 / 64)


def test_the_safe_strengths_are_those_around_0_wherever_the_slider_is() -> None:
    shell = balls()
    for strength in (0.0, 0.9):
        found = sweep_layer(shell, [apart(shell)], [strength], 0, -0.5, 1.0, 4)
        assert found.safe[0] == -0.5 and found.safe[1] < found.transitions[0].strength < 0.6
    # where 0 is not in the range, around the end next to it
    assert sweep_layer(shell, [apart(shell)], [0.0], 0, 0.8, 1.0, 2).safe == (0.8, 1.0)


def test_walls_with_any_number_of_changes_are_looked_at_coarsely_but_for_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[float] = []

    def moving(*_: object) -> Solid:
        def betti(strength: float) -> Betti:
            looks.append(strength)
            return Betti(1, max(0, int((abs(strength) - 0.2) * 997)), 0)

        return Solid(betti, check=betti, grows=lambda low, high: None)

    monkeypatch.setattr("backend.edits.sweep.moving_solid", moving)
    shell = balls()
    far = unit(20 * apart(shell).move)
    found = sweep_layer(shell, [far], [0.0], 0, -1.0, 1.0, 24)
    # the least step would take 512 looks, and every change 8 more
    assert len(set(looks)) < 256
    for side, end in zip((-1, 1), found.safe, strict=True):
        assert side * end == pytest.approx(0.2, abs=2 / 256)
        ahead = [turn for turn in found.transitions[::side] if side * turn.strength > 0]
        assert all(turn.give <= 1 / 256 for turn in ahead[:3]) and ahead[-1].give > 1 / 256


def test_a_sweep_travels_as_json() -> None:
    shell = balls()
    told = json.loads(json.dumps(sweep_layer(shell, [apart(shell)], [0.0], 0, 0.0, 1.0, 4).to_json()))
    assert set(told) == {"safe", "shown", "transitions", "unstable", "rows", "picture"}
    assert set(told["rows"][0]) == {"strength", "b0", "b1", "b2", "volume", "area"}
    assert told["transitions"][0]["change"].startswith("Pieces join")
    assert told["picture"].startswith("<svg")


def test_empty_ranges_and_fields_that_are_not_finite_are_refused() -> None:
    shell = balls()
    for layer, low, high, steps in ((1, 0, 1, 4), (-1, 0, 1, 4), (0, 1, 1, 4), (0, 0, np.inf, 4), (0, 0, 1, 0)):
        with pytest.raises(OmomiError) as caught:
            sweep_layer(shell, [apart(shell)], [0.0], layer, low, high, steps)
        assert caught.value.code is ErrorCode.BAD_OPTION


def test_what_is_foretold_of_a_layer_is_where_its_sweep_changes() -> None:
    shell = balls()
    told = collision_margin(shell.vertices, shell.normals, apart(shell).move, -1.0, 1.0)
    assert told.margin == pytest.approx((-1.0, 0.5), abs=0.02)
    assert told.mismatch is not None and told.mismatch < 0.1
