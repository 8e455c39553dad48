"""Where both sides of a thin wall were lost the wall is made whole; openings and one-sided holes are left alone."""

from __future__ import annotations

import numpy as np
import trimesh

from backend.field.fit import FittedMesh
from backend.field.onnx_model import Model
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import betti_of_mesh
from backend.prior.completion import completed_fit
from backend.prior.thin_walls import CLEARANCE, thin_wall_prior
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import PreparedScan, prepare

RADIUS, HEIGHT, STEP = 0.55, 1.6, 0.03
CENTRE = np.array([RADIUS, 0.0, 0.8])
"""Of the lost patch, in the wall."""


def mug(wall: float, lost: float = 0.2, outer_only: bool = False, noise: float = 0.002) -> RawScan:
    """A turned mug with its mouth at the top of z, whose wall has no faces within a distance of CENTRE."""
    outer = [(r, 0.0) for r in np.arange(0, RADIUS, STEP)] + [(RADIUS, z) for z in np.arange(0, HEIGHT, STEP)]
    inside = RADIUS - wall
    inner = [(inside, z) for z in np.arange(HEIGHT, wall, -STEP)] + [(r, wall) for r in np.arange(inside, 0, -STEP)]
    profile = np.array([*outer, (RADIUS - wall / 2, HEIGHT + wall / 2), *inner])
    profile[[0, -1], 0] = 0
    made = trimesh.creation.revolve(profile, sections=100)
    made.update_faces(made.nondegenerate_faces())
    normals = np.asarray(made.vertex_normals)
    place = np.asarray(made.vertices) + normals * np.random.default_rng(0).normal(size=(len(normals), 1)) * noise
    middle = np.asarray(made.triangles_center)
    gone = np.linalg.norm(middle - CENTRE, axis=1) < lost
    if outer_only:
        gone &= np.hypot(*middle[:, :2].T) > RADIUS - wall / 2
    return RawScan(place @ TURN.T, np.asarray(made.faces)[~gone], None, None, "mug")


TURN = trimesh.transformations.random_rotation_matrix(np.array([0.2, 0.5, 0.9]))[:3, :3]


def fitted(raw: RawScan, model: Model) -> tuple[PreparedScan, FittedMesh]:
    scan = prepare(raw)
    return scan, completed_fit(scan, model, FitOptions(level=2, symmetry=False)).mesh


def test_a_wall_that_was_lost_on_both_sides_is_made_whole_and_the_mouth_stays_open(model: Model) -> None:
    _, mesh = fitted(mug(0.035), model)
    found = betti_of_mesh(mesh.vertices, mesh.faces)
    assert (found.b0, found.b1) == (1, 0)
    upright = mesh.vertices @ TURN
    within = upright[(np.hypot(*upright[:, :2].T) < 0.3) & (upright[:, 2] > 0.3)]
    assert len(within) == 0


def test_the_plates_lie_on_both_sides_of_the_wall_and_are_unsure_inwards() -> None:
    scan = prepare(mug(0.05))
    found = thin_wall_prior(scan)
    assert found is not None and found.clearance is not None and (found.clearance == CLEARANCE).all()
    place = scan.frame.to_world(found.points) @ TURN
    out = (found.normals @ TURN * np.column_stack([place[:, :2], 0 * place[:, 0]])).sum(axis=1) > 0
    radius = np.hypot(*place[:, :2].T)
    assert np.abs(radius[out] - RADIUS).max() < 0.02 and np.abs(radius[~out] - RADIUS + 0.05).max() < 0.02
    depth = 0.2 - np.linalg.norm(place - CENTRE, axis=1)
    assert np.corrcoef(depth, found.sigma)[0, 1] > 0.8 and found.sigma.min() >= scan.noise


def test_a_hole_on_one_side_of_the_wall_is_left_to_the_network() -> None:
    assert thin_wall_prior(prepare(mug(0.05, outer_only=True))) is None


def test_a_whole_mug_with_an_opening_and_bare_points_have_no_lost_walls() -> None:
    whole, lost = mug(0.05, lost=0.0), mug(0.05)
    assert thin_wall_prior(prepare(whole, "scan")) is None
    assert thin_wall_prior(prepare(RawScan(lost.points, None, None, None, "points"))) is None
