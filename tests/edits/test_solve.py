"""The strength for a wanted measure."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from backend.edits.displacement import Displacement
from backend.edits.fitted_scan import EditableMesh
from backend.edits.solve import solve_layer, solve_strength
from backend.errors import ErrorCode, OmomiError
from backend.geometry.measure import energies, mean_thickness


def shell_of(mesh: trimesh.Trimesh) -> EditableMesh:
    return EditableMesh(
        np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int32), np.zeros(len(mesh.vertices))
    )


def grown(shell: EditableMesh) -> Displacement:
    return Displacement(0.1 * shell.vertices, np.zeros(len(shell.vertices)))


@given(st.floats(-5, 5), st.floats(-3, 0), st.floats(0.1, 3))
def test_a_line_is_solved_wherever_it_is_reached(target: float, low: float, width: float) -> None:
    high = low + width
    if low <= (target - 1) / 2 <= high:
        found = solve_strength(lambda s: 2 * s + 1, target, low, high)
        assert found.reached and found.strength == pytest.approx((target - 1) / 2, abs=1e-4 * width)
    else:
        with pytest.raises(OmomiError) as caught:
            solve_strength(lambda s: 2 * s + 1, target, low, high)
        assert caught.value.code is ErrorCode.NO_SOLUTION
        assert f"{2 * low + 1:.4g}" in caught.value.message


def test_of_several_roots_the_smallest_edit_is_taken() -> None:
    assert solve_strength(lambda s: (s - 0.1) ** 2, 0.25, -0.6, 2.0).strength == pytest.approx(-0.4, abs=1e-3)
    assert solve_strength(lambda s: s * s, 0.0, -1.0, 2.0).strength == 0.0


def test_a_root_outside_the_safe_interval_is_found_and_warned_about() -> None:
    assert solve_strength(lambda s: s, 0.4, -1, 1, lambda _: (-0.5, 0.5)).warnings == ()
    (warning,) = solve_strength(lambda s: s, 0.8, -1, 1, lambda _: (-0.5, 0.5)).warnings
    assert "topology" in warning and "0.5" in warning


def test_a_jump_over_the_target_is_not_called_reached() -> None:
    found = solve_strength(lambda s: float(s > 0.3), 0.5, -1, 1)
    assert not found.reached and found.warnings


@pytest.mark.parametrize("target", [np.nan, np.inf])
def test_a_target_that_is_no_number_is_refused(target: float) -> None:
    with pytest.raises(OmomiError):
        solve_strength(lambda s: s, target, 0, 1)


@pytest.mark.parametrize(("measure", "power"), [("volume", 3), ("area", 2), ("length_y", 1), ("thickness", 1)])
def test_measures_are_in_world_units(measure: str, power: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Thickness is looked at two dozen times: a coarser look at the surface tells units as well.
    monkeypatch.setattr("backend.geometry.measure.SURFACE_SAMPLES", 4000)
    monkeypatch.setattr("backend.geometry.measure.BALLS", 1000)
    ball, scale = shell_of(trimesh.creation.icosphere(4, radius=0.5)), 0.25
    known = {"volume": np.pi / 6, "area": np.pi, "length_y": 1}.get(measure)
    if known is None:
        known = mean_thickness(ball.vertices, ball.faces)
        assert known == pytest.approx(0.95, abs=0.05)
    target = known / scale**power * 1.1**power
    found = solve_layer(ball, [grown(ball)], [0.0], 0, measure, target, -2, 2, scale)
    assert found.strength == pytest.approx(1, abs=0.05 if measure == "thickness" else 0.02)
    assert found.measured == pytest.approx(target, rel=1e-3)


def test_other_layers_stay_where_they_are() -> None:
    ball = shell_of(trimesh.creation.icosphere(3, radius=0.5))
    found = solve_layer(ball, [grown(ball), grown(ball)], [1.0, 0.7], 0, "length_x", 1.0, -2, 2)
    assert found.strength == pytest.approx(-0.7, abs=1e-4)


def test_balls_that_merge_on_the_way_are_warned_about() -> None:
    balls = [trimesh.creation.icosphere(3, radius=0.2).apply_translation([x, 0, 0]) for x in (-0.25, 0.25)]
    both = shell_of(trimesh.util.concatenate(balls))  # type: ignore[arg-type]
    move = Displacement(-0.2 * np.sign(both.vertices) * [1, 0, 0], np.zeros(len(both.vertices)))
    found = solve_layer(both, [move], [0.0], 0, "length_x", 0.7, 0, 1)
    assert found.strength == pytest.approx(0.5, abs=1e-3) and found.warnings


def test_what_has_no_inside_has_no_volume_but_a_length() -> None:
    ball = trimesh.creation.icosphere(3, radius=0.5)
    half = shell_of(trimesh.Trimesh(ball.vertices, ball.faces[1:], process=False))
    with pytest.raises(OmomiError) as caught:
        solve_layer(half, [grown(half)], [0.0], 0, "volume", 1, -1, 1)
    assert caught.value.code is ErrorCode.NOT_A_MESH
    assert solve_layer(half, [grown(half)], [0.0], 0, "length_z", 1.05, -1, 1).reached


@pytest.mark.parametrize(("measure", "layer"), [("weight", 0), ("volume", 1), ("volume", -1)])
def test_unknown_measures_and_layers_are_refused(measure: str, layer: int) -> None:
    ball = shell_of(trimesh.creation.icosphere(2))
    with pytest.raises(OmomiError) as caught:
        solve_layer(ball, [grown(ball)], [0.0], layer, measure, 1, -1, 1)
    assert caught.value.code is ErrorCode.BAD_OPTION


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_sphere_bends_by_four_pi_whatever_its_size(size: float) -> None:
    ball = trimesh.creation.icosphere(4, radius=size)
    found = energies(ball.vertices, ball.faces)
    assert found["bending"] == pytest.approx(4 * np.pi, rel=0.01)
    assert found["area"] == pytest.approx(4 * np.pi * size**2, rel=0.01)


def test_a_flat_sheet_does_not_bend_and_a_tube_does() -> None:
    x, y = np.meshgrid(np.arange(9.0), np.arange(9.0), indexing="ij")
    points = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3)
    at = np.arange(81).reshape(9, 9)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    assert energies(points, faces)["bending"] == pytest.approx(0, abs=1e-20)
    angle = points[:, 0] / 8
    bent = np.stack([8 * np.sin(angle), points[:, 1], 8 * np.cos(angle)], axis=1)
    # 1 / (2 r) squared over the inner seventh by seven parts of the sheet
    assert energies(bent, faces)["bending"] == pytest.approx(49 / 256, rel=0.1)
