"""The topology of a solid while an edit moves its mesh."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import pytest
import trimesh

from backend.cli.main import main
from backend.formats.mesh_files import save_mesh
from backend.geometry.moving_solid import enough_steps, moving_solid
from backend.geometry.topology import edge_report
from backend.geometry.topology_sweep import refine, sweep
from tests.edits.test_learned import blob, pushed
from tests.fakes import MeshEngine


def ball(radius: float, x: float) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(4, radius=radius)
    mesh.apply_translation([x, 0, 0])
    return mesh


def test_two_balls_that_approach_are_one_piece_from_where_they_touch() -> None:
    both = cast(trimesh.Trimesh, trimesh.util.concatenate([ball(0.3, -0.5), ball(0.3, 0.5)]))
    vertices = np.asarray(both.vertices)
    solid = moving_solid(vertices, both.faces, np.sign(vertices[:, :1]) * [-0.4, 0, 0])
    found = refine(solid, sweep(solid, 0.0, 1.0, 8), 1e-3)
    assert [(change.before.b0, change.after.b0) for change in found.transitions] == [(2, 1)]
    # they touch at .5; a voxel on each side of it is 1 / 64 wide, and both balls move by .4
    assert found.transitions[0].strength == pytest.approx(0.5, abs=1 / 64 / 0.4)
    assert found.safe_interval(0.0)[0] == 0.0


def test_a_tunnel_closes_where_its_walls_meet() -> None:
    torus = trimesh.creation.torus(0.6, 0.2, major_sections=96, minor_sections=48)
    vertices = np.asarray(torus.vertices)
    around = vertices * [1, 1, 0] / np.linalg.norm(vertices[:, :2], axis=1, keepdims=True)
    # the ring's middle line shrinks to a point at strength 1, its walls meet at .4 / .6
    solid = moving_solid(vertices, torus.faces, -0.6 * around)
    assert solid.betti(0.0) == (1, 1, 0)
    found = refine(solid, sweep(solid, 0.0, 0.9, enough_steps(0.9 * 0.6)), 1e-3)
    assert found.transitions[0].strength == pytest.approx(2 / 3, abs=1 / 64 / 0.6)
    assert found.transitions[0].after == (1, 0, 0)


def test_walls_that_pass_through_one_another_open() -> None:
    plate = trimesh.creation.box((1.4, 1.4, 0.2)).subdivide().subdivide().subdivide().subdivide()
    vertices = np.asarray(plate.vertices)
    dent = np.exp(-0.5 * ((vertices[:, :2] / 0.2) ** 2).sum(axis=1))
    solid = moving_solid(vertices, plate.faces, -np.sign(vertices[:, 2:]) * dent[:, None] * [0, 0, 0.1])
    assert solid.betti(0.9) == (1, 0, 0)
    assert solid.betti(1.6) == (1, 1, 0)


def test_the_grid_follows_what_moves_out_of_the_cube() -> None:
    mesh = ball(0.3, 0.0)
    solid = moving_solid(np.asarray(mesh.vertices), mesh.faces, np.full((len(mesh.vertices), 3), 2.0))
    assert solid.betti(1.5) == solid.betti(0.0) == (1, 0, 0)


def test_an_open_mesh_encloses_nothing() -> None:
    mesh = ball(0.3, 0.0)
    assert edge_report(mesh.faces).closed
    assert not edge_report(mesh.faces[1:]).closed
    assert not edge_report(np.concatenate([mesh.faces[:1, ::-1], mesh.faces[1:]])).closed


def test_the_command_line_draws_where_an_edit_is_safe(tmp_path, capsys) -> None:
    mesh = blob(0, 4)
    save_mesh(tmp_path / "before.ply", mesh.vertices, mesh.faces)
    save_mesh(tmp_path / "after.ply", pushed(mesh), mesh.faces)

    def omomi(*words: object) -> int:
        return main([str(word) for word in words], lambda device, threads: MeshEngine())

    pair = [f"--{when}={tmp_path / when}.ply" for when in ("before", "after")]
    assert omomi("learn", *pair, "-o", tmp_path / "bump.omomi") == 0
    edit = f"--edit={tmp_path / 'bump.omomi'}"
    scan, folder = tmp_path / "before.ply", tmp_path / "phase"
    assert omomi("sweep", scan, edit, "--from=-1", "--to=1", "--steps=4", "--keep-topology", "-o", folder) == 0
    table = json.loads((folder / "sweep.json").read_text())
    assert table["safe"] == [-1.0, 1.0]
    assert (table["rows"][0]["strength"], table["rows"][-1]["strength"]) == (-1.0, 1.0)
    assert len(table["rows"]) >= 5
    volumes = [row["volume"] for row in table["rows"]]
    assert volumes == sorted(volumes)
    assert volumes[0] < mesh.volume < volumes[-1]
    assert (folder / "phase.svg").read_text().startswith("<svg")
    capsys.readouterr()
    save_mesh(tmp_path / "open.ply", mesh.vertices, mesh.faces[1:])
    assert omomi("sweep", tmp_path / "open.ply", edit, "--keep-topology", "-o", folder) == 1
    assert "not closed" in capsys.readouterr().err
