"""Holes, through the shipped engine behind the installed extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.addon.test_holes import everything, sizes
from tests.fake_server import sphere

bpy = pytest.importorskip("bpy")


def punctured(make: Callable[..., Any], name: str = "ball") -> Any:
    """A ball with two holes, a UV map with a seam and a vertex group."""
    vertices, faces = sphere(np.zeros(3), np.ones(3), 24)
    middle = vertices[faces].mean(1)
    gone = (middle @ (1, 0, 0) > 0.93) | (middle @ (0, 0, 1) > 0.9)
    obj = make(name, vertices, faces[~gone])
    mesh = obj.data
    layer = mesh.uv_layers.new(name="UVMap")
    for corner in mesh.loops:
        x, y, z = mesh.vertices[corner.vertex_index].co
        # The seam lies opposite to the hole at the side.
        layer.data[corner.index].uv = np.arctan2(y, x) / (2 * np.pi) + 0.5, np.arccos(z) / np.pi
    group = obj.vertex_groups.new(name="all")
    group.add(range(len(mesh.vertices)), 0.5, "REPLACE")
    obj.shape_key_add(name="Basis")
    for point in obj.shape_key_add(name="Up").data:
        point.co.z += 2
    mesh.shade_smooth()
    return obj


def test_the_holes_of_a_ball_are_closed_and_the_rest_of_it_stays(engine: Any, make: Callable[..., Any]) -> None:
    ball = punctured(make)
    ball.scale = (2, 2, -2)
    bpy.context.view_layer.update()
    counts = sizes(ball)
    before = everything(ball, counts)
    bpy.ops.omomi.find_holes()
    assert [hole.is_hole for hole in ball.omomi.holes] == [True, True]
    assert ball.omomi.holes[0].radius < 1 and engine.mesh_io.open_loops(ball.data) == 2
    assert bpy.ops.omomi.close_holes() == {"FINISHED"}
    mesh = ball.data
    after = everything(ball, counts)
    assert {name: after[name] for name in before} == before
    assert engine.mesh_io.open_loops(mesh) == 0 and not len(ball.omomi.holes)
    assert not mesh.copy().validate()
    places = np.array([vertex.co for vertex in mesh.vertices])
    assert np.allclose(np.linalg.norm(places[counts["POINT"] :], axis=1), 1, atol=0.03)
    # Wound as the faces around, and shaded as they are.
    new = list(mesh.polygons)[counts["FACE"] :]
    assert all(polygon.normal.dot(polygon.center) > 0.9 and polygon.use_smooth for polygon in new)
    assert all(vertex.groups[0].weight == pytest.approx(0.5, abs=1 / 255) for vertex in mesh.vertices)
    lifted = np.array([point.co for point in mesh.shape_keys.key_blocks["Up"].data]) - places
    assert np.allclose(lifted, (0, 0, 2), atol=1e-4)
    corners = [(mesh.loops[i].vertex_index, i) for polygon in new for i in polygon.loop_indices]
    beside = [(v, i) for v, i in corners if mesh.vertices[v].co.x > 0.8]
    for vertex, index in beside:
        x, y, z = mesh.vertices[vertex].co
        wanted = np.arctan2(y, x) / (2 * np.pi) + 0.5, np.arccos(np.clip(z, -1, 1)) / np.pi
        assert np.abs(np.array(mesh.uv_layers["UVMap"].data[index].uv) % 1 - np.array(wanted) % 1).max() < 0.05


@pytest.mark.parametrize("close", ["flat", "smooth", "model"])
def test_each_method_closes_the_same_holes_of_a_fit_and_doubts_them(
    engine: Any, make: Callable[..., Any], close: str
) -> None:
    ball = punctured(make)
    engine.mesh_io.paint_sigma(ball.data, np.full(len(ball.data.vertices), 0.001, np.float32), 2.0)
    ball.data[engine.mesh_io.MADE] = True
    counts = sizes(ball)
    bpy.ops.omomi.close_holes(close=close)
    sigma = np.array([item.value for item in ball.data.attributes["omomi_sigma"].data])
    assert np.isfinite(sigma[: counts["POINT"]]).all() and np.isnan(sigma[counts["POINT"] :]).all()
    assert engine.mesh_io.open_loops(ball.data) == 0 and len(sigma) > counts["POINT"]


def test_a_sheet_is_fitted_as_one_and_stays_open(engine: Any, make: Callable[..., Any]) -> None:
    x, y = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60), indexing="ij")
    points = np.stack([x, y, 0.05 * np.sin(6 * x) * np.cos(5 * y)], -1).reshape(-1, 3)
    index = np.arange(3600).reshape(60, 60)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    make("hills", points, quads.tolist())
    bpy.ops.omomi.fit(level="1")
    fit = bpy.data.objects["hills.fit"]
    assert fit.omomi.origin.found == "sheet" and fit.omomi.origin.kind == "auto" and fit.omomi.origin.reason
    assert engine.mesh_io.open_loops(fit.data) >= 1
    bpy.ops.omomi.check()
    assert "closed" not in fit.omomi.check
    assert bpy.ops.omomi.refit(kind="scan") == {"FINISHED"} and fit.omomi.origin.found == "scan"
