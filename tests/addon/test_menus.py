"""Where Blender's habits look for Omomi: menus and F3, dropped files, the colours of a check, masks and reset."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from tests.addon.stand_ins import Layout, draw

bpy = pytest.importorskip("bpy")

# Buttons of one row of a list, and steps that other buttons take.
DETAILS = {
    "add_edit", "remove_edit", "move_edit", "add_from_library", "load_preset", "rename_file", "delete_file",
    "export_file", "choose_family", "remove_pair", "cursor_to_place", "show", "show_completion", "pick_completion",
    "refit", "cancel", "back_to_preview", "hide_holes", "hide_colours", "reset_options", "paint_mask", "find_places",
    "sample",
}  # fmt: skip


def overlay(addon: Any) -> Any:
    return importlib.import_module(f"{addon.name}.ui.colour_overlay")


def test_every_operator_is_in_the_menu_but_for_those_of_single_rows(addon: Any, scene: Any) -> None:
    menus = importlib.import_module(f"{addon.name}.ui.menus")
    listed = {entry.removeprefix("omomi.") for entry in menus.ENTRIES if entry}
    assert listed | DETAILS == set(dir(bpy.ops.omomi)) and not listed & DETAILS


def test_blenders_menus_offer_omomi(addon: Any, scene: Any) -> None:
    menus = importlib.import_module(f"{addon.name}.ui.menus")
    drawn = []
    for _, entry in menus._EXTENDED:
        layout = Layout()
        entry(SimpleNamespace(layout=layout), bpy.context)
        drawn += [args[0] for name, args, _ in layout.drawn if name in ("operator", "menu")]
    assert {"OMOMI_MT_object", "omomi.fit", "omomi.close_holes", "omomi.sample", "omomi.import_file"} <= set(drawn)
    shown = draw("OMOMI_MT_object")
    assert "omomi.learn" in shown.operators()
    assert menus._object_menu in bpy.types.VIEW3D_MT_object._dyn_ui_initialize()


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
