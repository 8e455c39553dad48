"""What a scan wears (UVs, colours, materials, groups, an artist's own values) is on its fit, too."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window

bpy = pytest.importorskip("bpy")

RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


def fit(undo: bool = False, **options: Any) -> Any:
    return bpy.ops.omomi.fit("EXEC_DEFAULT", undo, **{"level": "1", "result": "NEW", **options})


def grid_cube(steps: int, without: Callable[[np.ndarray], np.ndarray] = lambda middle: middle[:, 0] > 9) -> Any:
    """Vertices and quads of a cube from -1 to 1, ``steps`` quads along each edge, but for some of these middles."""
    line = np.linspace(-1, 1, steps + 1)
    u, v = np.meshgrid(line, line, indexing="ij")
    number = np.arange((steps + 1) ** 2).reshape(steps + 1, steps + 1)
    quads = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], -1).reshape(-1, 4)
    points, faces = [], []
    for axis in range(3):
        for side in (-1, 1):
            sheet = np.empty((u.size, 3))
            sheet[:, axis], sheet[:, (axis + 1) % 3], sheet[:, (axis + 2) % 3] = side, u.ravel(), v.ravel()
            faces.append((quads if side > 0 else quads[:, ::-1]) + len(points) * u.size)
            points.append(sheet)
    table, faces = np.concatenate(points), np.concatenate(faces)
    _, first, back = np.unique(np.round(table, 6), axis=0, return_index=True, return_inverse=True)
    faces = back.reshape(-1)[faces]
    return table[first], faces[~without(table[first][faces].mean(1))]


def dressed(obj: Any) -> Any:
    """Each side of the cube has its part of the UV map, its colour and its number; the left half is of one material and
    of one group, the right half of another."""
    mesh = obj.data
    middle = np.array([p.center for p in mesh.polygons])
    side = 2 * np.abs(middle).argmax(1) + (middle[np.arange(len(middle)), np.abs(middle).argmax(1)] > 0)
    corners = np.array([mesh.vertices[loop.vertex_index].co for loop in mesh.loops])
    of = np.repeat(side, 4)
    across = np.stack([corners[np.arange(len(of)), (of // 2 + k) % 3] for k in (1, 2)], 1)
    # a strip of six squares with gaps between
    uvs = (across + 1) / 2 * 0.8 + np.stack([of, 0 * of], 1)
    mesh.uv_layers.new(name="skin").uv.foreach_set("vector", uvs.astype(np.float32).ravel())
    mesh.uv_layers.new(name="other").uv.foreach_set("vector", (0.5 * uvs).astype(np.float32).ravel())
    mesh.uv_layers.active = mesh.uv_layers["other"]
    points = np.array([v.co for v in mesh.vertices])
    colours = [
        ("points", "FLOAT_COLOR", "POINT", np.c_[(points + 1) / 2, np.ones(len(points))]),
        ("bytes", "BYTE_COLOR", "POINT", np.where(points[:, :1] < 0, RED, BLUE)),
        ("corners", "BYTE_COLOR", "CORNER", np.where((of == 5)[:, None], RED, BLUE)),
        ("fine", "FLOAT_COLOR", "CORNER", np.c_[(corners + 1) / 2, np.ones(len(corners))]),
    ]
    for name, kind, domain, values in colours:
        made = mesh.color_attributes.new(name=name, type=kind, domain=domain)
        made.data.foreach_set("color", values.astype(np.float32).ravel())
    mesh.color_attributes.active_color = mesh.color_attributes["corners"]
    own = [
        ("heat", "FLOAT", "POINT", points[:, 2]),
        ("flow", "FLOAT_VECTOR", "POINT", points),
        ("label", "INT", "POINT", np.where(points[:, 0] < 0, 3, 7)),
        ("side", "INT", "FACE", side),
        ("lit", "BOOLEAN", "FACE", side == 5),
        ("turn", "INT", "CORNER", of),
    ]
    for name, kind, domain, values in own:
        made = mesh.attributes.new(name, kind, domain)
        member = "vector" if kind == "FLOAT_VECTOR" else "value"
        made.data.foreach_set(member, np.ascontiguousarray(values, np.float32 if "FLOAT" in kind else None).ravel())
    for name in ("left", "right"):
        mesh.materials.append(bpy.data.materials.new(name))
    for polygon, x in zip(mesh.polygons, middle[:, 0], strict=True):
        polygon.material_index = int(x > 0)
    obj.vertex_groups.new(name="empty")
    obj.vertex_groups.new(name="low").add(np.flatnonzero(points[:, 2] < 0).tolist(), 1.0, "REPLACE")
    return obj


def values(mesh: Any, name: str) -> np.ndarray:
    data = mesh.attributes[name].data
    member = next(m for m in ("vector", "color", "value") if hasattr(data[0], m))
    first = np.array(getattr(data[0], member))
    found = np.empty((len(data), *first.shape), np.float32 if first.dtype == np.float64 else first.dtype)
    data.foreach_get(member, found.reshape(-1))
    return found


def places(mesh: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of vertices, corners and the middles of faces, local."""
    points, corners = np.empty((len(mesh.vertices), 3), np.float32), np.empty(len(mesh.loops), np.int32)
    middle = np.empty((len(mesh.polygons), 3), np.float32)
    mesh.vertices.foreach_get("co", points.reshape(-1))
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("center", middle.reshape(-1))
    return points, points[corners], middle


def snapshot(obj: Any) -> Any:
    mesh = obj.data
    kept = {a.name: values(mesh, a.name).tolist() for a in mesh.attributes if not a.name.startswith(".")}
    return kept, [g.name for g in obj.vertex_groups], [m.name for m in mesh.materials], obj.matrix_world.copy()


@pytest.mark.parametrize("scale", [(1, 1, 1), (-2, 1, 1)])
def test_a_fit_wears_what_the_scan_wears_in_its_place(engine: Any, make: Callable[..., Any], scale: Any) -> None:
    scan = dressed(make("box", *grid_cube(16)))
    scan.scale, scan.location = scale, (30, 0, -4)
    bpy.context.view_layer.update()
    before = snapshot(scan)
    assert fit(level="1") == {"FINISHED"}
    assert snapshot(scan) == before
    made = bpy.data.objects["box.fit"]
    mesh = made.data
    points, corners, middle = places(mesh)
    flat = np.abs(middle).max(1) > 0.8  # away from the rounded edges
    second = np.sort(np.abs(middle), 1)[:, 1] < 0.8
    sure = flat & second
    assert sure.mean() > 0.4
    side = 2 * np.abs(middle).argmax(1) + (middle[np.arange(len(middle)), np.abs(middle).argmax(1)] > 0)
    assert np.array_equal(values(mesh, "side")[sure], side[sure])
    assert np.array_equal(values(mesh, "lit")[sure], side[sure] == 5)
    of = np.repeat(side, 3)
    inner = np.repeat(sure, 3)
    across = np.stack([corners[np.arange(len(of)), (of // 2 + k) % 3] for k in (1, 2)], 1)
    uvs = (across + 1) / 2 * 0.8 + np.stack([of, 0 * of], 1)
    assert np.abs(values(mesh, "skin") - uvs)[inner].max() < 0.02
    assert np.abs(2 * values(mesh, "other") - uvs)[inner].max() < 0.04
    # no face is stretched over the gaps of the map
    assert np.ptp(values(mesh, "skin").reshape(-1, 3, 2), axis=1).max() < 0.3
    assert mesh.uv_layers.active.name == "other" and mesh.uv_layers["skin"].active_render
    assert mesh.color_attributes.active_color.name == "corners"
    kinds = {a.name: (a.domain, a.data_type) for a in mesh.attributes}
    assert kinds["corners"] == ("CORNER", "BYTE_COLOR") and kinds["bytes"] == ("POINT", "BYTE_COLOR")
    assert kinds["fine"] == ("CORNER", "FLOAT_COLOR") and kinds["points"] == ("POINT", "FLOAT_COLOR")
    assert np.allclose(values(mesh, "corners")[inner], np.where((of == 5)[:, None], RED, BLUE)[inner], atol=0.01)
    assert np.abs(values(mesh, "points")[:, :3] - (np.clip(points, -1, 1) + 1) / 2).max() < 0.1
    assert np.abs(values(mesh, "fine")[:, :3] - (np.clip(corners, -1, 1) + 1) / 2).max() < 0.1
    left = points[:, 0] < -0.2
    assert np.allclose(values(mesh, "bytes")[left], RED, atol=0.01)
    assert set(values(mesh, "label")[left]) == {3} and set(values(mesh, "label")[points[:, 0] > 0.2]) == {7}
    assert np.abs(values(mesh, "heat") - np.clip(points[:, 2], -1, 1)).max() < 0.1
    assert np.array_equal(values(mesh, "turn")[inner], of[inner])
    assert [m.name for m in mesh.materials] == ["left", "right"]
    clear = np.abs(middle[:, 0]) > 0.2
    assert np.array_equal(values(mesh, "material_index")[clear], (middle[:, 0] > 0)[clear])
    assert [g.name for g in made.vertex_groups] == ["empty", "low"]
    weights = np.array([sum(e.weight for e in v.groups if e.group == 1) for v in mesh.vertices])
    assert (weights[points[:, 2] < -0.2] == 1).all() and (weights[points[:, 2] > 0.2] == 0).all()
    assert not values(mesh, "omomi_invented").any() and not mesh.validate()


def test_what_covers_a_hole_is_marked_and_takes_the_colour_of_its_border(engine: Any, make: Any) -> None:
    """The colour of the top is green around the hole and nowhere else."""
    hole = lambda middle: (middle[:, 2] > 0.99) & (np.abs(middle[:, :2]).max(1) < 0.6)  # noqa: E731
    scan = make("box", *grid_cube(20, hole))
    points, _, _ = places(scan.data)
    made = scan.data.color_attributes.new(name="paint", type="FLOAT_COLOR", domain="POINT")
    green = np.where(points[:, 2:] > 0.99, (0, 1, 0, 1), (1, 0, 0, 1))
    made.data.foreach_set("color", green.astype(np.float32).ravel())
    assert fit(level="1", fill=1.0) == {"FINISHED"}
    mesh = bpy.data.objects["box.fit"].data
    attribute = mesh.attributes["omomi_invented"]
    assert (attribute.domain, attribute.data_type) == ("FACE", "BOOLEAN")
    invented = values(mesh, "omomi_invented")
    points, _, middle = places(mesh)
    lid = np.abs(middle[:, :2]).max(1) < 0.4
    assert invented[lid & (middle[:, 2] > 0)].all() and not invented[np.abs(middle[:, :2]).max(1) > 0.75].any()
    inside = np.unique([v for p in np.flatnonzero(invented) for v in mesh.polygons[p].vertices])
    assert np.abs(values(mesh, "paint")[inside] - (0, 1, 0, 1)).max() < 0.15
    # a fit of the mesh of this fit knows that the lid was made up
    bpy.ops.object.select_all(action="DESELECT")
    copy = bpy.data.objects.new("box.fit", bpy.data.objects["box.fit"].data)
    bpy.context.scene.collection.objects.link(copy)
    copy.name = "copy"
    copy.select_set(True)
    assert fit(level="1") == {"FINISHED"}
    mesh = bpy.data.objects["copy.fit"].data
    _, _, middle = places(mesh)
    again = values(mesh, "omomi_invented")
    assert again[(np.abs(middle[:, :2]).max(1) < 0.4) & (middle[:, 2] > 0)].all()
    assert not again[np.abs(middle[:, :2]).max(1) > 0.75].any()
    assert [a.name for a in mesh.attributes].count("omomi_invented") == 1


def test_bare_points_give_their_colours_and_values(engine: Any, make: Any) -> None:
    random = np.random.default_rng(5)
    points = random.normal(size=(6000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    scan = make("cloud", points)
    for name, kind in (("Col", "BYTE_COLOR"), ("warm", "FLOAT_COLOR")):
        made = scan.data.color_attributes.new(name=name, type=kind, domain="POINT")
        made.data.foreach_set("color", np.where(points[:, :1] < 0, RED, BLUE).astype(np.float32).ravel())
    label = scan.data.attributes.new("label", "INT", "POINT")
    label.data.foreach_set("value", np.where(points[:, 2] < 0, 3, 7).astype(np.int32))
    assert fit(level="1", result="REPLACE") == {"FINISHED"}
    mesh = scan.data
    assert len(mesh.polygons) and len(bpy.data.meshes["cloud.original"].vertices) == 6000
    made, _, _ = places(mesh)
    for name in ("Col", "warm"):
        assert np.allclose(values(mesh, name)[made[:, 0] < -0.2], RED, atol=0.01)
        assert np.allclose(values(mesh, name)[made[:, 0] > 0.2], BLUE, atol=0.01)
    assert set(values(mesh, "label")[made[:, 2] < -0.1]) == {3} and set(values(mesh, "label")[made[:, 2] > 0.1]) == {7}
    assert values(mesh, "omomi_invented").mean() < 0.01


def test_bare_points_that_are_edited_without_a_fit_keep_their_colours(engine: Any, make: Any) -> None:
    points = np.random.default_rng(5).normal(size=(6000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    scan = make("cloud", points)
    colours = scan.data.color_attributes.new(name="Col", type="BYTE_COLOR", domain="POINT")
    colours.data.foreach_set("color", np.where(points[:, :1] < 0, RED, BLUE).astype(np.float32).ravel())
    bpy.context.scene.omomi.level = "1"
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.1)
    assert bpy.ops.omomi.apply(result="NEW") == {"FINISHED"}
    mesh = bpy.data.objects["cloud.edit"].data
    made, _, _ = places(mesh)
    assert np.allclose(values(mesh, "Col")[made[:, 0] < -0.2], RED, atol=0.01)
    assert np.allclose(values(mesh, "Col")[made[:, 0] > 0.2], BLUE, atol=0.01)


def test_a_fit_takes_what_the_modifiers_show(fake: Any, make: Any) -> None:
    scan = dressed(make("box", *grid_cube(2)))
    scan.modifiers.new("s", "SUBSURF").levels = 1
    assert fit() == {"FINISHED"}
    (asked,) = fake.asked("TransferRequest")
    assert len(asked["points"]) > len(scan.data.vertices) and len(asked["faces"]) == 2 * 4 * len(scan.data.polygons)
    assert [layer.name for layer in bpy.data.objects["box.fit"].data.uv_layers] == ["skin", "other"]


def test_a_scan_that_wears_nothing_asks_for_no_transfer(fake: Any, make: Any) -> None:
    scan = make("plain")
    scan.data.materials.append(bpy.data.materials.new("only"))
    assert fit() == {"FINISHED"}
    assert not fake.asked("TransferRequest")
    mesh = bpy.data.objects["plain.fit"].data
    assert [m.name for m in mesh.materials] == ["only"] and "omomi_invented" not in mesh.attributes


def test_several_scans_are_dressed_in_one_undo_step(fake: Any, make: Any) -> None:
    fake.notes = ["3.0% of the faces lie beyond the scan."]
    for name in ("a", "b"):
        dressed(make(name, *grid_cube(2)))
    bpy.ops.ed.undo_push(message="before")
    assert fit(undo=True) == {"FINISHED"}
    for name in ("a.fit", "b.fit"):
        assert [m.name.split(".")[0] for m in bpy.data.objects[name].data.materials] == ["left", "right"]
        assert {"skin", "other"} <= set(bpy.data.objects[name].data.uv_layers.keys())
    bpy.ops.ed.undo()
    assert sorted(obj.name for obj in bpy.data.objects) == ["a", "b"]


def test_what_has_no_place_on_a_new_mesh_is_named(fake: Any, make: Any, capfd: Any) -> None:
    scan = dressed(make("box", *grid_cube(2)))
    scan.data.attributes.new("seams", "FLOAT", "EDGE")
    scan.data.attributes.new("words", "STRING", "POINT")
    fit()
    told = capfd.readouterr().out.replace("words and seams", "seams and words")
    assert "lacks the attributes seams and words" in told


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_a_fit_stays_where_the_transfer_does_not_come_through(
    fake: Any, addon: Any, make: Any, how: str, capfd: Any
) -> None:
    scan = dressed(make("box", *grid_cube(2)))
    code = {"fails": "out_of_memory", "dies": "backend_died"}[how]
    fake.failures["TransferRequest"] = [addon.errors.OmomiError(code, "It is gone.")]
    assert fit() == {"FINISHED"}
    mesh = bpy.data.objects["box.fit"].data
    assert len(mesh.polygons) and not mesh.uv_layers and scan.hide_get() and len(scan.data.uv_layers) == 2
    told = capfd.readouterr().out
    assert told.count("box.fit lacks the texture, colours and groups of its scan. It is gone.") == 1
    assert fit_again(scan) == {"FINISHED"}


def fit_again(scan: Any) -> Any:
    bpy.ops.object.select_all(action="DESELECT")
    scan.hide_set(False)
    scan.select_set(True)
    return fit()


@pytest.mark.parametrize("end", ["escape", "death"])
def test_a_fit_stays_where_its_transfer_is_ended_in_the_window(
    fake: Any, addon: Any, make: Any, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types)
    monkeypatch.setattr(importlib.import_module(f"{addon.name}.operators.modal"), "bpy", window)
    scan = dressed(make("box", *grid_cube(2)))
    fake.slow.add("TransferRequest")
    operator = Operator(
        importlib.import_module(f"{addon.name}.operators.fit").OMOMI_OT_fit, Window(), level="1", result="NEW"
    )
    assert operator.start() == {"RUNNING_MODAL"}
    operator.run(lambda _: fake.kinds["TransferRequest"] == 1)
    if end == "escape":
        assert operator.event("ESC", "PRESS") == {"FINISHED"}
        said = "The transfer was cancelled. Press Fit to start again."
    else:
        fake.die()
        assert operator.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
        said = "The backend stopped unexpectedly."
    assert len(bpy.data.objects["box.fit"].data.polygons) and len(scan.data.uv_layers) == 2
    (warning,) = [text for kind, text in operator.reports if kind == {"WARNING"} and "lacks" in text]
    assert warning.startswith("box.fit lacks the texture, colours and groups of its scan. ") and said in warning
    assert not [text for kind, text in operator.reports if kind == {"ERROR"}]


def test_other_completions_wear_it_too(fake: Any, make: Any) -> None:
    dressed(make("box", *grid_cube(2)))
    fit()
    assert bpy.ops.omomi.complete_otherwise(count=2) == {"FINISHED"}
    mesh = bpy.data.objects["box.completion.3"].data
    assert {"skin", "other"} <= set(mesh.uv_layers.keys()) and values(mesh, "omomi_invented").any()
    assert bpy.ops.omomi.pick_completion(name="box.completion.3") == {"FINISHED"}
    assert [g.name for g in bpy.data.objects["box.fit"].vertex_groups] == ["empty", "low"]
