"""Files of scans that Blender does not read are opened with what their points carry."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window

bpy = pytest.importorskip("bpy")


def read(mesh: Any, name: str, member: str, width: int) -> np.ndarray:
    data = mesh.attributes[name].data
    values = np.empty((len(data), width), np.float32)
    data.foreach_get(member, values.reshape(-1))
    return values


def test_points_come_with_normals_colours_views_and_numbers(fake: Any, addon: Any, scene: Any, tmp_path: Path) -> None:
    path = tmp_path / "yard.xyz"
    assert bpy.ops.omomi.open_scan(filepath=str(path)) == {"FINISHED"}
    assert fake.asked("ReadRequest") == [{"path": str(path)}]
    obj = bpy.context.active_object
    mesh = obj.data
    assert obj.name == mesh.name == "yard" and obj.select_get() and len(mesh.polygons) == 0
    assert read(mesh, "position", "vector", 3).tolist() == [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]
    assert read(mesh, "normal", "vector", 3).tolist() == [[0, 0, 1]] * 4
    assert np.allclose(read(mesh, "Color", "color_srgb", 4), [0.2, 0.4, 0.6, 1], atol=1 / 255)
    assert mesh.color_attributes.active_color.name == "Color"
    assert [item.value for item in mesh.attributes["view"].data] == [7] * 4
    assert read(mesh, "heat", "value", 1).tolist() == [[2]] * 4
    # it is no result of ours: nothing tells how sure its points are
    assert addon.mesh_io.SIGMA not in mesh.attributes and not mesh.get(addon.mesh_io.MADE)


def test_what_was_opened_can_be_fitted(fake: Any, scene: Any) -> None:
    bpy.ops.omomi.open_scan(filepath="/yard.xyz")
    assert bpy.ops.omomi.fit() == {"FINISHED"}
    (fields,) = fake.asked("FitRequest")
    assert fields["normals"].tolist() == [[0, 0, 1]] * 4 and fields["view"].tolist() == [7] * 4


def test_a_mesh_keeps_its_uvs_and_what_is_far_has_its_own_origin(
    fake: Any, scene: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    bpy.ops.omomi.open_scan(filepath="/far.off")
    obj = bpy.context.active_object
    assert tuple(obj.location) == (5e5, 0, 0) and len(obj.data.polygons) == 2
    uvs = read(obj.data, "UVMap", "vector", 2)
    assert uvs.tolist() == [[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]]
    said = capfd.readouterr().out
    assert "far is far from the origin" in said and "1 of its 5 points have no finite position" in said


def test_several_files_are_several_objects_and_one_undo(fake: Any, scene: Any) -> None:
    assert bpy.ops.omomi.open_scan(directory="/", files=[{"name": "a.pcd"}, {"name": "b.pcd"}]) == {"FINISHED"}
    assert sorted(obj.name for obj in bpy.context.selected_objects) == ["a", "b"]


def test_a_file_that_cannot_be_read_leaves_nothing(fake: Any, addon: Any, scene: Any) -> None:
    error = addon.errors.OmomiError("unreadable_file", "yard.xyz cannot be read: it has no line of numbers.")
    fake.failures["ReadRequest"] = [error]
    with pytest.raises(RuntimeError, match="it has no line of numbers"):
        bpy.ops.omomi.open_scan(filepath="/yard.xyz")
    assert not bpy.data.objects and not bpy.data.meshes
    with pytest.raises(RuntimeError, match="No file is chosen"):
        bpy.ops.omomi.open_scan()


def test_what_is_dropped_on_a_view_is_read_while_the_window_goes_on(
    fake: Any, addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"{addon.name}.operators.scan_file")
    monkeypatch.setattr(
        importlib.import_module(f"{addon.name}.operators.modal"),
        "bpy",
        SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types, path=bpy.path),
    )
    given = {"filepath": "/yard.xyz", "directory": "", "files": (), "wait": False}
    operator = Operator(module.OMOMI_OT_open_scan, Window(), **given)
    assert operator.start() == {"RUNNING_MODAL"}
    assert operator.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    assert "yard" in bpy.data.objects


def test_scans_can_be_dropped_on_a_view(addon: Any, scene: Any) -> None:
    handler = bpy.types.OMOMI_FH_scan
    assert handler.bl_import_operator == "omomi.open_scan" and ".xyz" in handler.bl_file_extensions.split(";")
    assert handler.poll_drop(SimpleNamespace(area=SimpleNamespace(type="VIEW_3D")))
