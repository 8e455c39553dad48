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
    (path,) = [path for folder in bpy.utils.preset_paths("omomi/fit") for path in Path(folder).glob("*.py")]
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


def test_splats_are_said_to_be_points(fake: Any, addon: Any, make: Any) -> None:
    cloud = cloud_of(make)
    point_cloud = importlib.import_module(f"{addon.name}.scene.point_cloud")
    assert not point_cloud.is_splat(cloud)
    cloud.data.attributes.new("opacity", "FLOAT", "POINT")
    assert point_cloud.is_splat(cloud)


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
