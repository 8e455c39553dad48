"""Points that agree on it move the surface onto them: all the way where they are exact, less the noisier they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.field import scan_detail
from backend.field.isosurface import Isosurface
from backend.field.onnx_model import Model
from backend.field.paint import Paint
from backend.field.scan_detail import FARTHEST, Residuals, ScanDetail
from backend.formats.raw_scan import RawScan
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import edge_report
from backend.prior.completion import completed_fit
from backend.protocol.fit_options import FitOptions
from tests.scan_shapes import sphere

RADIUS = 12.0
"""Voxels."""
OFF = 0.15
"""Voxels that the points lie outside of the surface."""


def ball(radius: float = RADIUS) -> Isosurface:
    mesh = trimesh.creation.icosphere(4, radius)
    return Isosurface(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32), np.zeros((0, 0)))


def points(noise: float, count: int = 9_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, normals, and distances from the ball of points ``OFF`` voxels outside of it."""
    facing, _ = sphere(count)
    facing = facing / np.linalg.norm(facing, axis=1, keepdims=True)
    distance = OFF + np.random.default_rng(0).normal(0, noise, count) if noise else np.full(count, OFF)
    return (RADIUS + distance[:, None]) * facing, facing.astype(np.float32), distance


def height(surface: Isosurface) -> np.ndarray:
    return np.linalg.norm(surface.vertices, axis=1) - RADIUS


def test_exact_points_move_the_surface_onto_them() -> None:
    moved = Residuals.of(*points(0.0), 0.0).moved(ball())
    assert height(moved).mean() == pytest.approx(OFF, rel=0.08)
    assert height(moved).std() < 0.1 * OFF


def test_noisy_points_move_it_less_and_it_stays_smooth() -> None:
    noise = 0.2
    many, few = (height(Residuals.of(*points(noise, count), noise).moved(ball())) for count in (9_000, 400))
    assert many.mean() == pytest.approx(OFF, rel=0.08)
    assert 0.3 * OFF < few.mean() < 0.9 * OFF
    # a sixth of the points' own noise
    assert many.std() < noise / 6


def test_nothing_moves_where_no_point_is() -> None:
    place, facing, distance = points(0.0)
    seen = place[:, 2] > 0
    moved = Residuals.of(place[seen], facing[seen], distance[seen], 0.0).moved(ball())
    below = ball().vertices[:, 2] < -2.5
    assert np.array_equal(moved.vertices[below], ball().vertices[below])


def test_the_points_of_one_side_of_a_thin_wall_leave_its_other_side() -> None:
    outer, inner = ball(), ball(RADIUS - 1)
    back = inner.faces[:, ::-1] + len(outer.vertices)
    vertices, faces = np.concatenate([outer.vertices, inner.vertices]), np.concatenate([outer.faces, back])
    wall = Isosurface(vertices, faces, outer.values)
    moved = height(Residuals.of(*points(0.0), 0.0).moved(wall))
    assert moved[: len(outer.vertices)].mean() > 0.9 * OFF
    assert np.abs(moved[len(outer.vertices) :] + 1).max() < 1e-5


def test_no_triangle_turns_over_on_points_that_disagree() -> None:
    place, facing, _ = points(0.0)
    wild = np.random.default_rng(0).uniform(-FARTHEST, FARTHEST, len(place))
    moved = Residuals.of(place, facing, wild, 0.0).moved(ball())
    mesh, old = (trimesh.Trimesh(each.vertices, each.faces, process=False) for each in (moved, ball()))
    assert ((mesh.face_normals * old.face_normals).sum(axis=1) > 0).all()


@pytest.fixture(scope="module")
def thing() -> trimesh.Trimesh:
    """Bumps whose wave length is a few voxels, which the network smooths."""
    mesh = trimesh.creation.icosphere(6)
    waves = 1 + 0.02 * np.sin(14 * mesh.vertices).prod(axis=1)
    return trimesh.Trimesh(mesh.vertices * waves[:, None], mesh.faces, process=False)


def test_a_fit_of_exact_points_lies_nearer_to_them_closed_as_before(
    model: Model, thing: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, face = trimesh.sample.sample_surface(thing, 40_000, seed=0)[:2]
    raw = RawScan(np.asarray(place), None, thing.face_normals[face].astype(np.float32), None, "bumps")

    def missed() -> float:
        mesh = completed_fit(raw, model, FitOptions(level=2)).mesh
        report = edge_report(mesh.faces)
        assert report.closed and report.edge_manifold
        return float(nearest_on_mesh(thing.vertices, thing.faces, mesh.vertices).distance.mean())

    now = missed()
    monkeypatch.setattr(scan_detail, "NOISIEST", -1.0)
    assert now < 0.75 * missed()


class HalfPainted:
    """Weights of 1 where x > 0."""

    def touches(self, centres: np.ndarray, reach: float) -> np.ndarray:
        return centres[:, 0] > -reach

    def at(self, points: np.ndarray) -> np.ndarray:
        return (points[:, 0] > 0).astype(np.float32)


def test_points_whose_noise_is_painted_move_nothing(model: Model, thing: trimesh.Trimesh) -> None:
    place, face = trimesh.sample.sample_surface(thing, 20_000, seed=0)[:2]
    raw = RawScan(np.asarray(place), None, thing.face_normals[face].astype(np.float32), None, "bumps")
    field = completed_fit(raw, model, FitOptions(level=1)).field
    assert field is not None
    counts = []
    for option in ("denoise", "fill"):
        evidence = replace(field.evidence, paints=(Paint(option, 1.0, HalfPainted()),))
        residuals = ScanDetail.of(field.levels[-1], evidence).residuals
        assert residuals is not None
        counts.append(residuals.counts.sum())
    assert 0.4 * counts[1] < counts[0] < 0.6 * counts[1]
