"""An example whose vertices an artist moved is learned as that movement, whatever thin walls look like to a fit."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from backend.cli.main import main
from backend.edits.learned import learn
from backend.edits.pair_difference import moved_vertices, pair_difference
from backend.formats.raw_scan import RawScan
from backend.registration.similarity import Similarity
from backend.scan.prepare import prepare

THIN = 0.03


def cup(radius: float = 0.5, height: float = 1.0) -> trimesh.Trimesh:
    """A cup with a thin wall and a bottom, open at the top."""
    profile = [(0, 0), (radius, 0), (radius, height), (radius - THIN, height), (radius - THIN, THIN), (0, THIN)]
    rows = [np.linspace(a, b, 24, endpoint=False) for a, b in pairwise(profile)]
    return trimesh.creation.revolve(np.concatenate([*rows, profile[-1:]]), sections=96)


def flared(points: np.ndarray, by: float = 0.3) -> np.ndarray:
    """Wider towards the top, from .6 of the height on."""
    high = np.clip((points[:, 2] / points[:, 2].max() - 0.6) / 0.4, 0, 1)
    wide = 1 + by * high * high * (3 - 2 * high)
    return points * np.stack([wide, wide, np.ones_like(wide)], axis=1)


def raw(points: np.ndarray, faces: np.ndarray, name: str = "cup") -> RawScan:
    return RawScan(points, np.asarray(faces, np.int32), name=name)


def test_the_change_is_what_the_vertices_did_and_explains_all() -> None:
    mesh = cup()
    pair = raw(mesh.vertices, mesh.faces), raw(flared(mesh.vertices), mesh.faces)
    before, after = map(prepare, pair)
    change = pair_difference(before, after, moved_vertices(*pair))
    assert change.exact and change.unexplained == 0
    places = before.frame.to_world(change.surface.points)
    wanted = (flared(places) - places) * before.frame.scale
    # between two vertices of the rim's rings the nearest one speaks
    assert np.abs(change.displacement - wanted).max() < 0.03
    assert change.changed[np.linalg.norm(wanted, axis=1) > 0.02].all()
    assert not change.changed[places[:, 2] < 0.55].any()


@pytest.mark.parametrize("share", [0.0, 0.8])
def test_an_example_that_lies_elsewhere_is_put_back_where_most_of_it_coincides(share: float) -> None:
    mesh = cup()
    points = np.asarray(mesh.vertices)
    after = np.where(points[:, 2:] < share, points, flared(points)) if share else flared(points)
    turn = Rotation.from_rotvec([0.4, -0.2, 1.0])
    pair = raw(points, mesh.faces), raw(1.2 * turn.apply(after) + [3, 0, 0], mesh.faces)
    before, there = map(prepare, pair)
    change = pair_difference(before, there, moved_vertices(*pair))
    # the bottom and the lower wall, which hold most vertices, stay
    low = before.frame.to_world(change.surface.points)[:, 2] < 0.55
    assert np.abs(change.displacement[low]).max() < 1e-3 and change.changed[~low].any()


def test_quads_that_were_halved_the_other_way_are_the_same_mesh_and_others_are_not() -> None:
    mesh = cup()
    points, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    halved = faces.copy()
    (one, other), (first, second) = mesh.face_adjacency.T, mesh.face_adjacency_edges.T
    # the other diagonal of every pair of neighbours that shares no face with a pair before
    ends = np.stack([faces[one].sum(axis=1), faces[other].sum(axis=1)]) - first - second
    taken = np.zeros(len(faces), bool)
    for pair in range(0, len(one), 12):
        if not taken[[one[pair], other[pair]]].any():
            taken[[one[pair], other[pair]]] = True
            halved[one[pair]] = ends[0, pair], first[pair], ends[1, pair]
            halved[other[pair]] = ends[0, pair], ends[1, pair], second[pair]
    assert 0.05 < taken.mean() < 0.4
    assert moved_vertices(raw(points, faces), raw(flared(points), halved)) is not None
    assert moved_vertices(raw(points, faces), raw(flared(points), faces[::-1])) is None
    assert moved_vertices(raw(points, faces), raw(points[:-1], faces[(faces < len(points) - 1).all(axis=1)])) is None
    assert moved_vertices(RawScan(points), RawScan(flared(points))) is None
    nowhere = points.copy()
    nowhere[0] = np.nan
    assert moved_vertices(raw(points, faces), raw(nowhere, faces)) is None


def test_the_learned_movement_is_as_smooth_as_the_one_that_was_shown() -> None:
    mesh = cup()
    for _ in range(2):
        mesh = mesh.subdivide()
    pair = raw(mesh.vertices, mesh.faces), raw(flared(np.asarray(mesh.vertices)), mesh.faces)
    before, after = map(prepare, pair)
    edit = learn([pair_difference(before, after, moved_vertices(*pair))], [Similarity.identity()])
    places = np.asarray(mesh.vertices)
    there = before.frame.to_canonical(places).astype(np.float64)
    found = edit.displacement(there, np.asarray(mesh.vertex_normals)) / before.frame.scale
    error = np.linalg.norm(found - (flared(places) - places), axis=1)
    first, second = error[mesh.edges_unique].T
    assert error.max() < 0.01 and np.abs(first - second).max() < 0.007


def test_a_flared_rim_of_a_thin_cup_flares_another_cup_as_much(tmp_path: Path, capsys: Any) -> None:
    mesh, other = cup(), cup(0.42, 0.9)
    for name, one in (("before", mesh.vertices), ("after", flared(np.asarray(mesh.vertices)))):
        trimesh.Trimesh(one, mesh.faces, process=False).export(tmp_path / f"{name}.ply")
    other.export(tmp_path / "other.ply")
    pair = ["--before", str(tmp_path / "before.ply"), "--after", str(tmp_path / "after.ply")]
    edit, result = str(tmp_path / "flare.omomi"), str(tmp_path / "result.ply")
    assert main(["learn", *pair, "-o", edit, "--json"]) == 0
    learned = json.loads(capsys.readouterr().out)
    assert learned["gear"] == "movement" and learned["unexplained"] == 0
    words = ["edit", str(tmp_path / "other.ply"), "--keep-topology", "--edit", f"{edit}=1", "-o", result, "--json"]
    assert main(words) == 0
    moved = np.asarray(trimesh.load_mesh(result, process=False).vertices)
    wanted = flared(np.asarray(other.vertices))
    assert len(moved) == len(wanted)
    rim = other.vertices[:, 2] > 0.89
    radius = np.linalg.norm(moved[rim, :2], axis=1) / np.linalg.norm(other.vertices[rim, :2], axis=1)
    assert abs(np.median(radius) - 1.3) < 0.05 and np.quantile(np.abs(radius - 1.3), 0.95) < 0.1
    still = other.vertices[:, 2] < 0.5
    assert np.abs(moved[still] - other.vertices[still]).max() < 0.01
