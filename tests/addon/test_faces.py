"""Fewer faces and quads of a result, by Blender's own tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.addon.test_fit_attributes import grid_cube

bpy = pytest.importorskip("bpy")


def shown_faces(obj: Any) -> int:
    return len(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.polygons)


def test_fewer_faces_are_shown_and_all_come_back_without_the_modifier(fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(12))
    count = len(box.data.polygons)
    assert bpy.ops.omomi.fewer_faces(faces=300) == {"FINISHED"}
    assert 280 <= shown_faces(box) <= 320 and len(box.data.polygons) == count
    bpy.ops.omomi.fewer_faces(faces=100)
    assert len(box.modifiers) == 1 and 80 <= shown_faces(box) <= 120
    box.modifiers.clear()
    assert shown_faces(box) == count
    with pytest.raises(RuntimeError, match="Ask for fewer"):
        bpy.ops.omomi.fewer_faces(faces=1_000_000)


def test_quads_are_a_copy_and_the_mesh_stays_hidden_behind_it(fake: Any, make: Any) -> None:
    box = make("box", *grid_cube(12))
    count = len(box.data.polygons)
    assert bpy.ops.omomi.quads(faces=400) == {"FINISHED"}
    made = bpy.data.objects["box.quads"]
    quads = [len(polygon.vertices) == 4 for polygon in made.data.polygons]
    assert all(quads) and 150 <= len(quads) <= 900
    assert len(box.data.polygons) == count and box.hide_get() and bpy.context.active_object == made


def test_what_quadriflow_cannot_take_is_said_and_leaves_nothing(fake: Any, make: Any) -> None:
    fan = make("fan", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)], [(0, 1, 2), (0, 1, 3), (0, 1, 4)])
    before = len(bpy.data.objects), len(bpy.data.meshes)
    with pytest.raises(RuntimeError, match="QuadriFlow"):
        bpy.ops.omomi.quads(faces=100)
    assert (len(bpy.data.objects), len(bpy.data.meshes)) == before and not fan.hide_get()
