"""The filter of normals: noise goes, edges and walls stay, and exact surfaces are not touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.field.isosurface import Isosurface
from backend.field.normal_filter import LEAST_NOISE, STEPS, denoised
from backend.field.paint import Paint
from backend.field.scan_detail import ScanDetail
from backend.geometry.normals import face_normals, unit
from backend.geometry.topology import edge_report

NOISE = 0.3
"""Voxels, of a scan; what the network leaves of it is about a third."""
RIPPLE = 0.1


def surface(mesh: trimesh.Trimesh) -> Isosurface:
    vertices, faces = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
    return Isosurface(vertices, faces, np.zeros((len(vertices), 1), np.float32))


def rough(made: Isosurface, normals: np.ndarray) -> Isosurface:
    """With noise along the normals (n, 3)."""
    height = np.random.default_rng(0).normal(0, RIPPLE, (len(normals), 1))
    return replace(made, vertices=(made.vertices + height * normals).astype(np.float32))


def ball(radius: float = 12.0) -> Isosurface:
    return surface(trimesh.creation.icosphere(4, radius))


def rough_ball() -> Isosurface:
    exact = ball()
    return rough(exact, exact.vertices / 12)


def box() -> Isosurface:
    """Twelve voxels along each side, with triangles of about a voxel."""
    mesh = trimesh.creation.box((12, 12, 12))
    for _ in range(4):
        mesh = mesh.subdivide()
    return surface(mesh)


def tilts(found: Isosurface, exact: Isosurface) -> np.ndarray:
    """Angles (m,), degrees, between the triangles of two surfaces."""
    one, other = (unit(face_normals(made.vertices, made.faces))[0] for made in (found, exact))
    return np.degrees(np.arccos(np.clip((one * other).sum(axis=1), -1, 1)))


def test_a_rough_ball_becomes_smooth_and_keeps_its_size() -> None:
    before, after = rough_ball(), denoised(rough_ball(), NOISE)
    assert tilts(after, ball()).mean() < 0.5 * tilts(before, ball()).mean()
    radius = np.linalg.norm(after.vertices, axis=1)
    assert radius.std() < 0.6 * RIPPLE
    assert radius.mean() == pytest.approx(12, abs=0.03)


def test_the_edges_of_a_rough_box_stay_where_they_are() -> None:
    exact = box()
    face = np.argmax(np.abs(exact.vertices), axis=1)
    normals = np.zeros_like(exact.vertices)
    row = np.arange(len(face))
    normals[row, face] = np.sign(exact.vertices[row, face])
    before = rough(exact, normals)
    after = denoised(before, NOISE)
    assert tilts(after, exact).mean() < 0.6 * tilts(before, exact).mean()
    edge = (np.abs(exact.vertices) > 5.9).sum(axis=1) >= 2
    # no farther than the noise put them; an average that hears nothing of edges would round them by a third of a voxel
    assert np.abs(after.vertices - exact.vertices)[edge].max(axis=1).mean() < 1.5 * RIPPLE


def test_an_exact_surface_keeps_its_bits() -> None:
    made = rough_ball()
    assert denoised(made, 0.9 * LEAST_NOISE) is made


def test_a_ball_without_noise_hardly_moves() -> None:
    assert np.linalg.norm(denoised(ball(), NOISE).vertices, axis=1) == pytest.approx(12, abs=0.05)


def test_what_is_without_noise_beside_noise_keeps_its_bits() -> None:
    made = rough_ball()
    upper = made.vertices[:, 2] > 0
    after = denoised(made, np.where(upper, NOISE, 0))
    moved = (after.vertices != made.vertices).any(axis=1)
    assert not moved[~upper].any() and moved[upper].mean() > 0.9


def test_the_two_sides_of_a_wall_do_not_hear_each_other() -> None:
    inner, outer = ball(11.5), ball()
    wall = Isosurface(
        np.concatenate([outer.vertices, inner.vertices]),
        np.concatenate([outer.faces, inner.faces[:, ::-1] + len(outer.vertices)]).astype(np.int32),
        np.zeros((2 * len(outer.vertices), 1), np.float32),
    )
    outside = rough_ball()
    wall = replace(wall, vertices=np.concatenate([outside.vertices, inner.vertices]))
    assert np.array_equal(denoised(wall, NOISE).vertices[: len(outer.vertices)], denoised(outside, NOISE).vertices)


def test_a_change_reaches_as_many_rings_as_there_are_steps_and_no_farther() -> None:
    made = box()
    changed = replace(made, vertices=made.vertices.copy())
    corner = int(np.argmax(made.vertices.sum(axis=1)))
    changed.vertices[corner] += 0.2
    one, other = denoised(made, NOISE).vertices, denoised(changed, NOISE).vertices
    far = np.linalg.norm(made.vertices - made.vertices[corner], axis=1) > 2 * STEPS * 1.1
    assert far.any() and np.array_equal(one[far], other[far]) and not np.array_equal(one, other)


def test_triangles_stay_a_closed_surface_and_none_turns_over() -> None:
    for noise in (NOISE, 2.0):
        before = rough_ball()
        after = denoised(before, noise)
        assert np.array_equal(after.faces, before.faces)
        assert edge_report(after.faces).watertight
        turned = (face_normals(before.vertices, before.faces) * face_normals(after.vertices, after.faces)).sum(axis=1)
        assert (turned > 0).all()


def test_nothing_and_slivers_are_no_trouble() -> None:
    empty = Isosurface(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 1), np.float32))
    assert denoised(empty, NOISE) is empty
    made = ball()
    made.vertices[made.faces[0]] = made.vertices[made.faces[0, 0]]
    assert np.isfinite(denoised(made, NOISE).vertices).all()


class _Above:
    """The weight one above z = 0."""

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        return np.ones(len(centres), bool)

    def at(self, points: np.ndarray) -> np.ndarray:
        return (points[:, 2] > 0).astype(np.float32)


def test_a_painted_denoise_says_how_noisy_a_part_is() -> None:
    voxel = 1 / 32
    made = rough_ball()
    # canonical places are beside the middle by half a voxel, as those of voxels are
    placed = replace(made, vertices=made.vertices + np.float32(31.5))
    paint = Paint("denoise", 3.0, _Above())
    detail = ScanDetail(np.zeros((0, 3), np.float32), 0.05, None, voxel, (paint,))
    moved = (detail.added_to(placed).vertices != placed.vertices).any(axis=1)
    upper = made.vertices[:, 2] > 0.1
    assert moved[upper].mean() > 0.9 and not moved[made.vertices[:, 2] < -0.1].any()
