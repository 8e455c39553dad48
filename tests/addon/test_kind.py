"""What a scan is read as: chosen, told with its reason, overruled with one click, and the same for edits and refits."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import draw, previews

bpy = pytest.importorskip("bpy")


def kinds(fake: Any) -> list[str]:
    return [asked["options"].kind for asked in fake.asked("FitRequest")]


def test_the_kind_is_a_setting_with_the_names_of_the_command_line(fake: Any, addon: Any, make: Any) -> None:
    options = importlib.import_module(f"{addon.name}.backend.protocol.fit_options")
    assert tuple(item[0] for item in addon.properties.READ_AS) == options.KINDS
    make("owl")
    bpy.ops.omomi.fit()
    assert bpy.context.scene.omomi.kind == "auto" and kinds(fake) == ["auto"]
    bpy.data.objects["owl"].select_set(True)
    bpy.ops.omomi.fit(kind="solid")
    assert kinds(fake)[-1] == "solid"


def test_the_panel_says_what_the_scan_was_read_as_and_why_and_every_note(fake: Any, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.fit()
    for obj in (bpy.data.objects["owl.fit"], scan):
        bpy.context.view_layer.objects.active = obj
        panel = draw("OMOMI_PT_scan")
        assert "Read as a scan: an open mesh" in panel.texts() and "A note on a scan." in panel.texts()
        offered = [options["text"] for name, args, options in panel.drawn if args[:1] == ("omomi.refit",)]
        assert offered == ["Solid", "Sheet"]
    icons = [options["icon"] for name, _, options in panel.drawn if options.get("text") == "A note on a scan."]
    assert icons == ["ERROR"]


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
def test_one_click_overrules_it_and_the_fit_keeps_its_object_and_edits(fake: Any, make: Any, result: str) -> None:
    scan = make("owl")
    scan.modifiers.new("Array", "ARRAY")
    bpy.context.view_layer.update()
    bpy.ops.omomi.fit(result=result, level="1", symmetry=False)
    fit = bpy.context.active_object
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    name = fit.name
    first, faces, objects = fake.asked("FitRequest")[0], len(fit.data.polygons), len(bpy.data.objects)
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.omomi.refit("EXEC_DEFAULT", True, kind="sheet") == {"FINISHED"}
    again = fake.asked("FitRequest")[-1]
    assert np.array_equal(again["points"], first["points"]) and np.array_equal(again["faces"], first["faces"])
    assert again["options"] == first["options"].__class__(level=1, symmetry=False, kind="sheet")
    assert len(bpy.data.objects) == objects and bpy.context.active_object == fit
    assert len(fit.data.polygons) == faces - 12 and fit.omomi.edits[0].strength == 0.5 and not previews()
    assert fit.omomi.origin.kind == fit.omomi.origin.found == "sheet"
    if result == "NEW":
        assert scan.hide_get() and fit.omomi.origin.scan == scan
    else:
        assert len(fit.omomi.origin.mesh.vertices) == 8 and not fit.modifiers["Array"].show_viewport
    bpy.ops.ed.undo()
    fit = bpy.data.objects[name]
    assert len(fit.data.polygons) == faces and fit.omomi.origin.found == "scan"


def test_a_refit_that_fails_leaves_everything(fake: Any, addon: Any, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.fit()
    fit = bpy.data.objects["owl.fit"]
    mesh = fit.data
    fake.failures["FitRequest"] = [addon.errors.OmomiError("no_surface", "Nothing is there.")]
    with pytest.raises(RuntimeError, match="Nothing is there"):
        bpy.ops.omomi.refit(kind="solid")
    assert fit.data == mesh and scan.hide_get() and fit.omomi.origin.kind == "auto"
    bpy.data.objects.remove(scan)
    with pytest.raises(RuntimeError, match="has not been fitted"):
        bpy.ops.omomi.refit(kind="solid")


def test_fit_on_a_fit_fits_its_scan_again_in_place(fake: Any, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.fit(level="1")
    fit = bpy.context.active_object
    fit.location = (3, 0, 0)
    group = fit.vertex_groups.new(name="ears")
    group.add([0], 1.0, "REPLACE")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    fit.omomi.edits[0].mask = "ears"
    first, objects = fake.asked("FitRequest")[0], len(bpy.data.objects)
    assert bpy.ops.omomi.fit(level="3", thickness=0.25) == {"FINISHED"}
    again = fake.asked("FitRequest")[-1]
    assert np.array_equal(again["points"], first["points"]) and again["options"].level == 3
    assert len(bpy.data.objects) == objects and bpy.context.active_object == fit and tuple(fit.location) == (3, 0, 0)
    assert fit.omomi.origin.scan == scan and fit.omomi.origin.level == "3" and fit.omomi.origin.thickness == 0.25
    assert fit.omomi.edits[0].strength == 0.5 and fit.omomi.edits[0].mask in fit.vertex_groups
    # and the new mesh can show what they do
    assert fit.data.shape_keys is not None and "Omomi" in fit.data.shape_keys.key_blocks
    assert scan.hide_get()


def test_a_fit_keeps_the_kind_that_its_artist_named_when_it_is_fitted_again(fake: Any, make: Any) -> None:
    make("leaf")
    bpy.ops.omomi.fit()
    bpy.ops.omomi.refit(kind="sheet")
    bpy.ops.omomi.fit(level="3")
    assert kinds(fake) == ["auto", "sheet", "sheet"]
    bpy.ops.omomi.fit(kind="solid")
    assert kinds(fake)[-1] == "solid"


def test_a_fit_that_its_artist_has_changed_stays_in_the_file_when_it_is_fitted_again(fake: Any, make: Any) -> None:
    make("owl")
    bpy.ops.omomi.fit()
    fit = bpy.context.active_object
    meshes = len(bpy.data.meshes)
    bpy.ops.omomi.fit()
    assert len(bpy.data.meshes) == meshes
    sculpted = fit.data
    sculpted.vertices[0].co.x += 1.0
    bpy.ops.omomi.fit()
    assert fit.data != sculpted and sculpted.use_fake_user and sculpted.name == "owl.fit.original"
    fit.shape_key_add(name="Basis")
    keyed = fit.data
    bpy.ops.omomi.fit()
    assert fit.data != keyed and keyed.use_fake_user
    # the shape key of an edit is not the artist's
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.apply()
    assert fit.data.shape_keys is not None
    meshes = len(bpy.data.meshes)
    bpy.ops.omomi.fit()
    assert len(bpy.data.meshes) == meshes


def test_edits_and_other_completions_use_the_kind_of_the_fit(fake: Any, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.fit(kind="sheet")
    fit = bpy.data.objects["owl.fit"]
    # The mesh of a sheet's fit is the sheet that it is.
    bpy.ops.omomi.check()
    assert kinds(fake) == ["sheet", "sheet"]
    bpy.ops.omomi.complete_otherwise(count=2)
    assert kinds(fake)[2:] == ["sheet", "sheet"]
    # The backend has the scan itself, and takes it for what it was fitted as.
    bpy.context.view_layer.objects.active = scan
    bpy.ops.omomi.check()
    assert len(kinds(fake)) == 4
    # A setting that says something wins over what it was.
    bpy.context.scene.omomi.kind = "solid"
    bpy.ops.omomi.check()
    assert kinds(fake)[-1] == "solid"
    # But a fit is what it is, whatever the next scan is to be read as.
    bpy.context.view_layer.objects.active = fit
    bpy.ops.omomi.check()
    assert "solid" not in kinds(fake)[5:]


def test_a_sheet_is_open_on_purpose(fake: Any, make: Callable[..., Any]) -> None:
    make("leaf")
    bpy.ops.omomi.fit(kind="sheet")
    fit = bpy.data.objects["leaf.fit"]
    assert "open (1 border)" in draw("OMOMI_PT_scan").texts()
    fit.omomi.check = "open: it encloses nothing"
    assert "open mesh" in draw("OMOMI_PT_check").texts().replace("\n", " ")
    fit.omomi.origin.found = "scan"
    assert "open mesh" not in draw("OMOMI_PT_check").texts().replace("\n", " ")
