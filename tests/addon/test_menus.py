"""Where Blender's habits look for Omomi: menus and F3, dropped files, the colours of a check, masks and reset."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Layout, draw

bpy = pytest.importorskip("bpy")


def overlay(addon: Any) -> Any:
    return importlib.import_module(f"{addon.name}.ui.colour_overlay")


def listed(layout: Layout) -> tuple[list[str], list[str]]:
    """The operators and the submenus of a menu."""
    found = [[args[0] for name, args, _ in layout.drawn if name == kind] for kind in ("operator", "menu")]
    return found[0], found[1]


def test_every_operator_is_in_blenders_menus_through_which_f3_searches(fake: Any, addon: Any) -> None:
    menus, folder = importlib.import_module(f"{addon.name}.ui.menus"), addon.preferences.library_folder()
    folder.mkdir()
    for name in ("beak.omomi", "mine.json", "skulls.profile"):
        (folder / name).write_bytes(b"{}")
    operators, waiting = [], []
    for name, entry in menus._EXTENDED:
        layout = Layout()
        entry(SimpleNamespace(layout=layout), bpy.context)
        assert entry in getattr(bpy.types, name)._dyn_ui_initialize()
        found, submenus = listed(layout)
        operators, waiting = operators + found, waiting + submenus
    while waiting:
        found, submenus = listed(draw(waiting.pop()))
        operators, waiting = operators + found, waiting + submenus
    assert {name.removeprefix("omomi.") for name in operators} == set(dir(bpy.ops.omomi))


def test_what_menus_and_panels_give_an_operator_is_one_of_its_options(fake: Any, addon: Any, make: Any) -> None:
    menus = importlib.import_module(f"{addon.name}.ui.menus")
    entries = [entry for cls in menus.CLASSES for entry in getattr(cls, "entries", ()) if isinstance(entry, tuple)]
    assert entries
    for operator, _, options in entries:
        known = getattr(bpy.ops.omomi, operator.removeprefix("omomi.")).get_rna_type().properties
        for name, value in options.items():
            assert name in known and (known[name].type != "ENUM" or value in known[name].enum_items), (operator, name)


def test_files_of_the_library_can_be_dropped_on_a_view(addon: Any, scene: Any) -> None:
    handler = bpy.types.OMOMI_FH_library
    assert set(handler.bl_file_extensions.split(";")) == {".omomi", ".json", ".profile"}
    assert handler.bl_import_operator == "omomi.import_file"
    assert handler.poll_drop(SimpleNamespace(area=SimpleNamespace(type="VIEW_3D")))
    assert not handler.poll_drop(SimpleNamespace(area=None))


def test_check_shows_its_colours_at_once_and_esc_takes_them_away(fake: Any, addon: Any, make: Any) -> None:
    colours = overlay(addon)
    make("owl")
    bpy.ops.omomi.check()
    assert colours.shown() == addon.mesh_io.COLOUR
    assert bpy.ops.omomi.hide_colours() == {"FINISHED"} and colours.shown() == ""
    assert not bpy.ops.omomi.hide_colours.poll()


def test_the_button_of_the_colours_is_a_switch(fake: Any, addon: Any, make: Any) -> None:
    colours = overlay(addon)
    owl = make("owl")
    bpy.ops.omomi.check()
    bpy.ops.omomi.show(what="UNCERTAINTY")
    assert colours.shown() == ""
    owl.data.color_attributes.active_color = owl.data.color_attributes.new("Paint", "FLOAT_COLOR", "POINT")
    bpy.ops.omomi.show(what="UNCERTAINTY")
    assert owl.data.color_attributes.active_color.name == colours.shown() == addon.mesh_io.COLOUR
    colours.hide()


def test_colours_of_views_come_back_as_they_were(addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = overlay(addon)
    kinds = [("SOLID", "TEXTURE"), ("RENDERED", "OBJECT"), ("SOLID", "OBJECT"), ("WIREFRAME", "MATERIAL")]
    shadings = [
        SimpleNamespace(type=kind, color_type=colour, as_pointer=lambda number=number: number)
        for number, (kind, colour) in enumerate(kinds)
    ]
    monkeypatch.setattr(colours, "_shadings", lambda: shadings)
    colours.show(addon.mesh_io.COLOUR)
    assert {(one.type, one.color_type) for one in shadings} == {("SOLID", "VERTEX")}
    # once more does not forget them, and what the artist chose meanwhile stays
    colours.show(addon.mesh_io.DEPARTURE)
    shadings[2].color_type, shadings[3].type = "RANDOM", "MATERIAL"
    colours.hide()
    now = [(one.type, one.color_type) for one in shadings]
    assert now == [*kinds[:2], ("SOLID", "RANDOM"), ("MATERIAL", "MATERIAL")]


def test_the_legend_tells_errors_in_units_of_the_scene(addon: Any, make: Any) -> None:
    owl = make("owl")
    size = max(owl.dimensions)
    told = overlay(addon).legend(owl, addon.mesh_io.COLOUR)
    metres = {"m": 1.0, "cm": 0.01, "mm": 0.001, "µm": 1e-6}
    for text, share in ((told.low, 0.001), (told.high, 0.03)):
        number, unit = text.split(",")[0].split()
        assert float(number) * metres[unit] == pytest.approx(share * size, rel=0.01)
    assert told.colours.shape == (32, 4) and told.colours[0, 2] > told.colours[0, 0] and told.colours[-1, 0] > 0.8


def test_the_options_of_a_fit_are_kept_under_a_name(fake: Any, addon: Any, tmp_path: Any) -> None:
    settings = bpy.context.scene.omomi
    settings.level, settings.fill, settings.symmetry, settings.learn_name = "4", 0.5, False, "Mine"
    assert bpy.ops.omomi.add_fit_preset(name="Noisy") == {"FINISHED"}
    presets = {path.stem: path for folder in bpy.utils.preset_paths("omomi/fit") for path in Path(folder).glob("*.py")}
    path = presets.pop("Noisy")
    # those that come with Omomi change what kind of thing is fitted, and leave the rest
    assert len(presets) == 3
    for shipped in presets.values():
        bpy.ops.script.execute_preset(filepath=str(shipped), menu_idname="OMOMI_PT_fit_presets")
        assert settings.kind != "auto" and settings.level == "4"
    bpy.ops.omomi.reset_options()
    settings.learn_name = "Other"
    bpy.ops.script.execute_preset(filepath=str(path), menu_idname="OMOMI_PT_fit_presets")
    assert (settings.level, settings.fill, settings.symmetry, settings.learn_name) == ("4", 0.5, False, "Other")
    panel = bpy.types.OMOMI_PT_fit_presets
    assert panel.preset_add_operator == "omomi.add_fit_preset" and panel.preset_subdir == "omomi/fit"
    bpy.ops.omomi.add_fit_preset(name="Noisy", remove_name=True)
    assert not path.exists()


def cloud_of(make: Any) -> Any:
    cloud = make("owl", np.random.default_rng(0).normal(size=(60, 3)))
    cloud.data.attributes.new("tint", "FLOAT_COLOR", "POINT").data[3].color = (1, 0.5, 0, 1)
    cloud.location, cloud.scale = (3, 2, 1), (2, 1, 1)
    assert bpy.ops.object.convert(target="POINTCLOUD") == {"FINISHED"} and cloud.type == "POINTCLOUD"
    bpy.context.view_layer.update()
    return cloud


def test_a_point_cloud_is_fitted_as_the_points_that_it_is(fake: Any, addon: Any, make: Any, world: Any) -> None:
    cloud = cloud_of(make)
    before = [tuple(cloud.matrix_world @ point.co) for point in cloud.data.points]
    assert "owl: 60 points" in draw("OMOMI_PT_scan").texts()
    assert bpy.ops.omomi.fit() == {"FINISHED"}
    points = bpy.data.objects["owl.points"]
    np.testing.assert_allclose(world(points), before, rtol=1e-6)
    assert tuple(points.data.attributes["tint"].data[3].color) == pytest.approx((1, 0.5, 0, 1))
    assert cloud.hide_get() and points.hide_get() and not bpy.data.objects["owl.points.fit"].hide_get()
    assert len(fake.asked("FitRequest")[0]["points"]) == 60


def test_a_point_cloud_without_a_fit_is_as_it_was(fake: Any, addon: Any, make: Any) -> None:
    cloud = cloud_of(make)
    fake.failures["FitRequest"] = [addon.errors.OmomiError("flat_scan", "owl is flat.")]
    with pytest.raises(RuntimeError, match="owl is flat"):
        bpy.ops.omomi.fit()
    assert [obj.name for obj in bpy.data.objects] == ["owl"] and not cloud.hide_get() and cloud.select_get()
    assert not bpy.data.meshes.get("owl.points")


def test_views_are_joined_to_one_scan_that_knows_them(fake: Any, addon: Any, make: Any, world: Any) -> None:
    settings = bpy.context.scene.omomi
    with pytest.raises(RuntimeError, match="two or more views"):
        bpy.ops.omomi.join_views()
    cloud = cloud_of(make)
    left, right = make("left"), make("right")
    left.location, right.scale = (5, 0, 0), (1, 2, 3)
    # two views already
    joined = right.data.attributes.new("view", "INT", "POINT")
    joined.data.foreach_set("value", [7, 7, 7, 7, 9, 9, 9, 9])
    right.modifiers.new("more", "MIRROR").mirror_object = left
    for obj in (cloud, left, right):
        obj.select_set(True)
    bpy.context.view_layer.objects.active = left
    bpy.context.view_layer.update()
    shown = [len(right.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.vertices), 60, 8]
    assert bpy.ops.omomi.join_views() == {"FINISHED"} and settings.register_views
    scan = bpy.data.objects["left.views"]
    view = np.array([item.value for item in scan.data.attributes["view"].data])
    assert len(view) == sum(shown) and set(view) == {0, 1, 2, 3} and scan == bpy.context.object
    assert {*np.bincount(view)} == {8, 60, shown[0] // 2}
    np.testing.assert_allclose(world(scan)[view == 0], world(left))
    assert all(obj.hide_get() for obj in (left, right, cloud)) and len(left.data.vertices) == 8
    assert bpy.context.selected_objects == [scan]
    bpy.ops.omomi.fit()
    (asked,) = fake.asked("FitRequest")
    assert sorted({*asked["view"]}) == [0, 1, 2, 3] and asked["options"].register_views


def test_a_mark_is_taken_away_whatever_its_modifier_is_called_and_made_anew_where_its_nodes_were_changed(
    fake: Any, addon: Any, make: Any
) -> None:
    owl = make("owl")
    owl.data.attributes.new("omomi_sigma", "FLOAT", "POINT")
    bpy.ops.omomi.mark_no_data()
    owl.modifiers[0].name = "mine"
    group = owl.modifiers[0].node_group
    bpy.ops.omomi.mark_no_data()
    assert not owl.modifiers
    group.interface.remove(next(item for item in group.interface.items_tree if item.name == "Error Above"))
    assert bpy.ops.omomi.mark_no_data() == {"FINISHED"}
    assert len(owl.modifiers) == 1 and owl.modifiers[0].node_group != group


@pytest.mark.parametrize("what", ["empty", "flat"])
def test_views_that_cannot_be_joined_are_as_they_were(what: str, fake: Any, addon: Any, make: Any) -> None:
    cloud, good = cloud_of(make), make("good")
    bad = make("bad", [] if what == "empty" else None)
    bad.scale.z = 0 if what == "flat" else 1
    cloud.select_set(True)
    bpy.context.view_layer.update()
    objects, meshes = set(bpy.data.objects), set(bpy.data.meshes)
    with pytest.raises(RuntimeError, match="bad has no vertices" if what == "empty" else "bad is scaled to zero"):
        bpy.ops.omomi.join_views()
    assert set(bpy.data.objects) == objects and set(bpy.data.meshes) == meshes
    assert {*bpy.context.selected_objects} == {cloud, good, bad} and bpy.context.object == bad
    assert not any(obj.hide_get() for obj in objects)


def test_joined_views_leave_no_mesh_behind_and_a_group_named_view_stays(fake: Any, addon: Any, make: Any) -> None:
    make("left").vertex_groups.new(name="view").add([0, 3], 1.0, "REPLACE")
    make("right").vertex_groups.new(name="fur").add([1], 1.0, "REPLACE")
    bpy.ops.omomi.join_views()
    scan = bpy.context.object
    assert {mesh.name for mesh in bpy.data.meshes} == {"left", "right", "right.views"}
    assert [group.name for group in scan.vertex_groups] == ["fur", "view group"]
    assert [len(vertex.groups) for vertex in scan.data.vertices] == [0, 1, *6 * [0], 1, 0, 0, 1, *4 * [0]]
    assert len(scan.data.attributes["view"].data) == 16


def test_splats_are_said_to_be_points(fake: Any, addon: Any, make: Any) -> None:
    cloud = cloud_of(make)
    point_cloud = importlib.import_module(f"{addon.name}.scene.point_cloud")
    assert not point_cloud.is_splat(cloud)
    cloud.data.attributes.new("opacity", "FLOAT", "POINT")
    assert point_cloud.is_splat(cloud)


def test_what_the_scan_does_not_show_is_marked_by_a_modifier_and_a_material(fake: Any, addon: Any, make: Any) -> None:
    def marked() -> list[float]:
        shown = owl.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        return [item.value for item in shown.attributes["omomi_no_data"].data]

    owl = make("owl")
    with pytest.raises(RuntimeError, match="Fit or check it first"):
        bpy.ops.omomi.mark_no_data()
    bpy.ops.omomi.check()
    # from 0 to .1, on a cube of side 1: .03 and more is a guess
    sigma = [item.value for item in owl.data.attributes["omomi_sigma"].data]
    assert bpy.ops.omomi.mark_no_data() == {"FINISHED"}
    (modifier,) = owl.modifiers
    assert marked() == [float(value > 0.03) for value in sigma] and 0 < sum(marked()) < len(sigma)
    owl.data.attributes.new("omomi_invented", "BOOLEAN", "FACE").data[0].value = True
    owl.update_tag()
    first = set(owl.data.polygons[0].vertices)
    assert all(value == 1.0 for number, value in enumerate(marked()) if number in first)
    shown = owl.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert shown.materials[shown.polygons[0].material_index].name == "Omomi No Data"
    assert not owl.data.materials[:] and "omomi_no_data" not in owl.data.attributes
    # the same nodes and material for all
    crow = make("crow")
    bpy.ops.omomi.check()
    bpy.ops.omomi.mark_no_data()
    assert crow.modifiers[0].node_group == modifier.node_group and len(bpy.data.materials) == 1
    assert bpy.ops.omomi.mark_no_data() == {"FINISHED"} and not crow.modifiers and owl.modifiers


def test_a_scan_and_what_is_made_of_it_lie_in_one_collection_inside_the_scans_own(fake: Any, make: Any) -> None:
    shelf = bpy.data.collections.new("shelf")
    bpy.context.scene.collection.children.link(shelf)
    owl = make("owl")
    shelf.objects.link(owl)
    bpy.context.scene.collection.objects.unlink(owl)
    bpy.ops.omomi.fit()
    fit = bpy.data.objects["owl.fit"]
    (group,) = fit.users_collection
    assert list(shelf.children) == [group] and list(owl.users_collection) == [group] and group.name == "owl"
    assert owl.hide_get() and fit.visible_get() and fit.select_get()
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.apply(result="NEW")
    assert {obj.name for obj in group.objects} == {"owl", "owl.fit", "owl.fit.edit"} and len(bpy.data.collections) == 2


def test_shapes_are_imagined_as_large_as_what_is_there(fake: Any, make: Any) -> None:
    for number, size in enumerate((0.06, 0.06, 3.0)):
        make(f"cup {number}").scale = (size,) * 3
    bpy.context.view_layer.objects.active = None
    bpy.context.view_layer.update()
    bpy.ops.omomi.sample(seed=1, count=1)
    made = bpy.data.objects["Imagined 1"]
    assert made.scale.x == pytest.approx(0.06 / 1.6) and [one.name for one in made.users_collection] == ["Imagined"]


def test_options_are_reset_together(fake: Any, make: Any) -> None:
    settings = bpy.context.scene.omomi
    settings.level, settings.fill, settings.symmetry, settings.learn_name = "4", 0.5, False, "Mine"
    assert bpy.ops.omomi.reset_options() == {"FINISHED"}
    assert (settings.level, settings.fill, settings.symmetry, settings.learn_name) == ("2", 0.0, True, "Mine")


def test_a_mask_is_one_click_from_being_painted(fake: Any, make: Any) -> None:
    owl = make("owl")
    with pytest.raises(RuntimeError, match="no edit to mask"):
        bpy.ops.omomi.paint_mask(owner="EDIT")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    assert bpy.ops.omomi.paint_mask(owner="EDIT") == {"FINISHED"}
    assert owl.mode == "WEIGHT_PAINT" and owl.omomi.edits[0].mask == owl.vertex_groups.active.name
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.omomi.paint_mask(owner="EDIT")
    assert len(owl.vertex_groups) == 1
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.omomi.paint_mask(owner="OPTION", setting="fill_mask")
    assert bpy.context.scene.omomi.fill_mask == owl.vertex_groups.active.name and len(owl.vertex_groups) == 2
    bpy.ops.object.mode_set(mode="OBJECT")


def test_the_fit_button_says_what_it_does(fake: Any, make: Any) -> None:
    def text() -> str:
        drawn = draw("OMOMI_PT_scan").drawn
        return next(options["text"] for name, args, options in drawn if args[:1] == ("omomi.fit",))

    make("owl")
    assert text() == "Fit"
    bpy.ops.omomi.fit()
    assert text() == "Fit Again"
    make("crow").select_set(True)
    bpy.data.objects["owl.fit"].select_set(True)
    assert text() == "Fit 2 Objects"
