"""Families of shapes: learned from selected meshes, kept in the library, compared with; imagined shapes; the audit."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window, draw

bpy = pytest.importorskip("bpy")


@pytest.fixture
def stocked(folder: Path) -> Path:
    folder.mkdir()
    for name in ("skulls.profile", "teeth.profile", "beak.omomi"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def members(fake: Any, make: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda count, name="skull": [make(f"{name} {number}") for number in range(count)]


def families(addon: Any, folder: Path) -> list[str]:
    return [path.stem for path in addon.library.listing(folder, ".profile")]


def test_a_family_is_learned_from_what_is_selected_and_is_in_the_library(
    fake: Any, addon: Any, folder: Path, members: Any
) -> None:
    objects = members(10)
    objects[3].location = (100, 0, 0)
    objects[4].scale = (2, 2, -2)
    bpy.context.view_layer.update()
    assert bpy.ops.omomi.align(name="skulls") == {"FINISHED"}
    assert families(addon, folder) == ["skulls"]
    (fields,) = fake.asked("AlignRequest")
    assert fields["names"] == tuple(f"skull {number}" for number in range(10))
    assert fields["counts"] == (8, 12) * 10 and fields["points"].shape == (80, 3) and fields["faces"].shape == (120, 3)
    # Each in its own place and size, wherever the artist put it; solids keep their outside.
    assert np.array_equal(fields["points"][24:32], fields["points"][:8]) and np.ptp(fields["points"][32:40]) == 4
    a, b, c = fields["points"][32:40][fields["faces"][48:60]].transpose(1, 0, 2)
    assert np.sum(a * np.cross(b, c)) > 0
    assert bpy.context.scene.omomi.family_report == "skulls: 10 members, explains 90 % of how they differ"


def test_members_that_were_left_out_are_named(fake: Any, members: Any, capfd: pytest.CaptureFixture[str]) -> None:
    members(10)
    members(1, "odd")
    bpy.context.scene.omomi.family_name = "頭骨"
    assert bpy.ops.omomi.align() == {"FINISHED"}
    assert bpy.context.scene.omomi.family_report.splitlines()[1:] == [
        "left out odd 0: it is like none of the others", "The members differ much.",
    ]  # fmt: skip
    assert "left out odd 0" in capfd.readouterr().out


@pytest.mark.parametrize("count", [0, 9, 81])
def test_too_few_and_too_many_are_refused(fake: Any, members: Any, count: int) -> None:
    members(count)
    with pytest.raises(RuntimeError, match=rf"Select 10 to 80 meshes of one kind \({count} are selected\)"):
        bpy.ops.omomi.align(name="skulls")
    assert not fake.requests


def test_a_member_without_faces_and_a_taken_name_are_refused(fake: Any, stocked: Path, members: Any, make: Any) -> None:
    members(10)
    with pytest.raises(RuntimeError, match="has a 'skulls' already"):
        bpy.ops.omomi.align(name="skulls")
    assert bpy.ops.omomi.align(name="skulls", overwrite=True) == {"FINISHED"}
    make("cloud", np.random.default_rng(0).normal(size=(50, 3)))
    with pytest.raises(RuntimeError, match="cloud has no faces"):
        bpy.ops.omomi.align(name="more")
    for name in ("../up", "con", "a/b"):
        with pytest.raises(RuntimeError, match="is not a valid name"):
            bpy.ops.omomi.align(name=name)
    assert not (stocked / "more.profile").exists()


def test_a_failure_leaves_no_family(fake: Any, addon: Any, folder: Path, members: Any) -> None:
    members(10)
    errors = addon.errors
    fake.failures["AlignRequest"] = [errors.OmomiError("not_registered", "They are of different kinds.")]
    with pytest.raises(RuntimeError, match="They are of different kinds"):
        bpy.ops.omomi.align(name="skulls")
    assert families(addon, folder) == [] and not bpy.context.scene.omomi.family_report


def test_rename_delete_import_and_export(addon: Any, stocked: Path, tmp_path: Path, make: Callable[..., Any]) -> None:
    settings = bpy.context.scene.omomi
    settings.profile = "skulls"
    make("owl")
    bpy.ops.omomi.fit(result="NEW")
    bpy.ops.omomi.rename_file(kind="PROFILE", name="skulls", new_name="heads")
    assert families(addon, stocked) == ["heads", "teeth"] and settings.profile == "heads"
    # The fit that used it can still be completed otherwise.
    assert bpy.ops.omomi.complete_otherwise(count=2) == {"FINISHED"}
    bpy.ops.omomi.export_file(kind="PROFILE", name="heads", filepath=str(tmp_path / "out"))
    assert (tmp_path / "out.profile").read_bytes() == b"skulls.profile"
    bpy.ops.omomi.delete_file(kind="PROFILE", name="heads")
    assert families(addon, stocked) == ["teeth"] and settings.profile == ""
    bpy.ops.omomi.import_file(filepath=str(tmp_path / "out.profile"))
    assert families(addon, stocked) == ["out", "teeth"]


def test_a_family_is_chosen_and_let_go_of(addon: Any, stocked: Path, scene: Any) -> None:
    for name, chosen in (("skulls", "skulls"), ("teeth", "teeth"), ("teeth", "")):
        assert bpy.ops.omomi.choose_family(name=name) == {"FINISHED"} and scene.omomi.profile == chosen
    with pytest.raises(RuntimeError, match="The library has no 'jaws'"):
        bpy.ops.omomi.choose_family(name="jaws")
    assert addon.properties._families(scene.omomi, bpy.context, "SK") == ["skulls"]


def test_check_tells_how_usual_the_shape_is(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    bpy.ops.omomi.check()
    lines = scan.omomi.check.splitlines()
    assert lines[1:3] == ["plausibility 0.83: 83 % of real shapes are no more usual", "most like: creature (0.12)"]
    assert "omomi_deviation" not in scan.data.attributes and not any("typical" in line for line in lines)


def test_with_a_family_check_paints_where_the_scan_departs(fake: Any, addon: Any, stocked: Path, make: Any) -> None:
    scan = make("owl")
    points = [tuple(v.co) for v in scan.data.vertices]
    assert bpy.ops.omomi.check(profile="skulls") == {"FINISHED"}
    assert fake.asked("CheckRequest")[0]["profile"] == str(stocked / "skulls.profile")
    assert "typical 0.7 for skulls, 4 % of the surface departs" in scan.omomi.check.splitlines()
    deviation = [item.value for item in scan.data.attributes["omomi_deviation"].data]
    assert deviation == [8 if z > 0.5 else -8 for _, _, z in points]
    colours = np.array([item.color[:] for item in scan.data.color_attributes["omomi_departure"].data])
    high = np.array([z > 0.5 for _, _, z in points])
    assert (colours[high, 0] > colours[high, 2]).all() and (colours[~high, 2] > colours[~high, 0]).all()
    assert scan.data.color_attributes.active_color.name == "omomi_departure"
    sigma = [item.value for item in scan.data.attributes["omomi_sigma"].data]
    assert len(sigma) == 8 and min(sigma) == 0 and max(sigma) == pytest.approx(0.1)
    assert [tuple(v.co) for v in scan.data.vertices] == points


def test_a_family_that_does_not_match_is_said_and_the_rest_of_the_check_done(
    fake: Any, addon: Any, stocked: Path, make: Any
) -> None:
    owl, why = make("owl"), "owl does not look like the family 'skulls'."
    bpy.context.scene.omomi.profile = "skulls"
    # opening the scan with the family fails already
    fake.failures["FitRequest"] = [addon.errors.OmomiError("not_registered", why)]
    fake.stranger = why
    assert bpy.ops.omomi.check() == {"FINISHED"}
    assert [fields["profile"] != "" for fields in fake.asked("FitRequest")] == [True, False]
    lines = owl.omomi.check.splitlines()
    assert f"not compared with skulls: {why.rstrip('.')}" in lines and "volume 2 m³" in lines
    assert owl.data.color_attributes.keys() == [addon.mesh_io.COLOUR]
    # without a family, and for another reason, a check fails as before
    bpy.context.scene.omomi.profile = ""
    addon.backend_fit.forget_all()
    fake.failures["FitRequest"] = [addon.errors.OmomiError("flat_scan", "owl is flat.")]
    with pytest.raises(RuntimeError, match="owl is flat"):
        bpy.ops.omomi.check()


def test_the_family_of_the_scene_is_what_check_compares_with(
    fake: Any, stocked: Path, make: Callable[..., Any]
) -> None:
    make("owl")
    bpy.context.scene.omomi.profile = "teeth"
    bpy.ops.omomi.check()
    bpy.ops.omomi.check(profile="")
    assert [Path(fields["profile"]).stem for fields in fake.asked("CheckRequest")] == ["teeth", ""]


def test_departure_is_grey_within_noise_and_grows_to_both_sides(addon: Any, scene: Any) -> None:
    io = addon.mesh_io
    deviation = np.array([0, 1.9, -1.9, np.nan, 2.5, -2.5, 5, -5, 1e9, -np.inf], np.float32)
    colours = io.departure_colours(deviation)
    assert colours.dtype == np.float32 and np.allclose(colours[:4, :3], io.GREY) and (colours[:, 3] == 1).all()
    assert np.allclose(colours[6:, :3], [io.RAMP[-1], io.RAMP[0]] * 2)
    for step, side in ((4, io.RAMP[-1]), (5, io.RAMP[0])):
        assert 0 < np.linalg.norm(colours[step, :3] - io.GREY) < np.linalg.norm(side - io.GREY)


def test_departure_does_not_wander_with_a_new_mesh(fake: Any, stocked: Path, make: Callable[..., Any]) -> None:
    """It belongs to the mesh that was looked at."""
    make("owl")
    bpy.ops.omomi.check(profile="skulls")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.apply(result="NEW")
    assert "omomi_departure" not in bpy.data.objects["owl.edit"].data.attributes


def test_show_switches_between_the_two_colourings(fake: Any, stocked: Path, make: Callable[..., Any]) -> None:
    scan = make("owl")
    with pytest.raises(RuntimeError, match=r"nothing to show yet\. Press Check with a family chosen first"):
        bpy.ops.omomi.show(what="DEPARTURE")
    bpy.ops.omomi.check(profile="skulls")
    for what, name in (("UNCERTAINTY", "omomi_uncertainty"), ("DEPARTURE", "omomi_departure")):
        assert bpy.ops.omomi.show(what=what) == {"FINISHED"}
        assert scan.data.color_attributes.active_color.name == name


def test_imagined_shapes_stand_in_a_row_from_the_cursor_on(fake: Any, make: Callable[..., Any], world: Any) -> None:
    scan = make("owl")
    bpy.context.scene.cursor.location = (10, 20, 30)
    bpy.context.scene.omomi.level = "1"
    assert bpy.ops.omomi.sample(seed=4, count=3) == {"FINISHED"}
    made = [bpy.data.objects[f"Imagined {seed}"] for seed in (4, 5, 6)]
    apart = 2 * max(scan.dimensions) / 1.6
    assert [(fields["seed"], fields["level"]) for fields in fake.asked("SampleRequest")] == [(4, 1), (5, 1), (6, 1)]
    for number, obj in enumerate(made):
        middle = (world(obj).min(0) + world(obj).max(0)) / 2
        assert np.allclose(middle, (10 + apart * number, 20, 30), atol=1e-5) and obj.select_get()
        assert "plausibility 0.50" in obj.omomi.check and "most like: vessel" in obj.omomi.check
        assert "omomi_sigma" in obj.data.attributes
    assert not scan.select_get() and bpy.context.view_layer.objects.active is made[-1]
    # What was made up can be worked on like a scan.
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    assert bpy.ops.omomi.apply() == {"FINISHED"}


def test_imagining_is_one_undo_step_and_needs_nothing_selected(fake: Any, scene: Any) -> None:
    bpy.ops.ed.undo_push(message="start")
    bpy.ops.omomi.sample("EXEC_DEFAULT", True)
    assert len(bpy.data.objects) == 3
    bpy.ops.ed.undo()
    assert len(bpy.data.objects) == 0


def test_the_audit_writes_a_page_and_prints_where(
    fake: Any, scene: Any, make: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "a page é.html"
    assert bpy.ops.omomi.audit(filepath=str(page)) == {"FINISHED"}
    assert page.read_text() == "<html></html>" and str(page) in capfd.readouterr().out
    make("owl")
    bpy.ops.omomi.audit(filepath=str(tmp_path / "second"), against=str(tmp_path / "old card.json"))
    bpy.ops.omomi.audit(filepath=str(page), place=False)
    handles = [fields["handle"] for fields in fake.asked("AuditRequest")]
    (fit,) = [number for kind, number, _ in fake.requests if kind == "FitRequest"]
    assert handles == [-1, fit, -1] and fake.asked("AuditRequest")[1]["against"] == str(tmp_path / "old card.json")
    assert (tmp_path / "second.html").is_file()


def test_a_page_beside_a_file_that_was_never_saved_is_refused(fake: Any, scene: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"//audit\.html is beside the open file, which was never saved"):
        bpy.ops.omomi.audit(filepath="//audit.html", place=False)
    assert not fake.requests
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert bpy.ops.omomi.audit(filepath="//audit.html", place=False) == {"FINISHED"}
    assert (tmp_path / "audit.html").is_file()


@pytest.fixture
def audit(fake: Any, addon: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Operator, list[str]]:
    """The operator in a window, and what it opens in the browser."""
    opened: list[str] = []
    window = SimpleNamespace(url_open=lambda url: opened.append(url))
    stand_in = SimpleNamespace(
        app=SimpleNamespace(background=False), types=bpy.types, path=bpy.path, ops=SimpleNamespace(wm=window)
    )
    module = importlib.import_module(f"{addon.name}.operators.sample_audit")
    for place in (module, importlib.import_module(f"{addon.name}.operators.modal")):
        monkeypatch.setattr(place, "bpy", stand_in)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return Operator(module.OMOMI_OT_audit, Window(), filepath="", against="", place=True), opened


def test_in_the_window_a_temporary_page_opens_in_the_browser(audit: Any, tmp_path: Path) -> None:
    operator, opened = audit
    assert operator.start() == {"RUNNING_MODAL"}
    assert operator.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    (page,) = tmp_path.glob("omomi-audit-*.html")
    assert opened == [page.as_uri()]


def test_a_cancelled_audit_opens_nothing_and_leaves_no_file(audit: Any, fake: Any, tmp_path: Path) -> None:
    operator, opened = audit
    fake.slow.add("AuditRequest")
    operator.start()
    operator.run(lambda _: bool(fake.asked("AuditRequest")))
    assert operator.event("ESC", "PRESS") == {"CANCELLED"}
    assert not opened and not list(tmp_path.glob("*.html")) and operator.window.timers == []


@pytest.mark.parametrize("operator", ["sample", "audit"])
def test_a_dead_backend_is_one_sentence(fake: Any, addon: Any, scene: Any, operator: str) -> None:
    errors = addon.errors
    for kind in ("SampleRequest", "AuditRequest"):
        fake.failures[kind] = [errors.OmomiError("backend_died", "The backend stopped unexpectedly.")]
    label = "Imagine" if operator == "sample" else "Audit"
    with pytest.raises(RuntimeError, match=f"stopped unexpectedly. Press {label} to try again"):
        getattr(bpy.ops.omomi, operator)()
    assert len(bpy.data.objects) == 0


PANELS = ["OMOMI_PT_completions", "OMOMI_PT_family", "OMOMI_PT_imagine"]


def test_all_that_the_panels_draw_exists_and_drawing_starts_nothing(
    fake: Any, addon: Any, stocked: Path, make: Callable[..., Any]
) -> None:
    for panel in PANELS:
        draw(panel)
    make("owl")
    bpy.ops.omomi.fit(result="NEW")
    bpy.ops.omomi.complete_otherwise(count=2)
    bpy.ops.omomi.add_edit(kind="shape", name="plausible")
    bpy.ops.omomi.check(profile="skulls")
    count, icons = (
        len(fake.requests),
        set(bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys()),
    )
    for panel in (*PANELS, "OMOMI_PT_scan", "OMOMI_PT_edits", "OMOMI_PT_check", "OMOMI_MT_add_edit"):
        for kind, args, options in draw(panel).drawn:
            if kind == "prop":
                assert hasattr(args[0], args[1]), (panel, args[1])
            if kind == "operator":
                assert args[0].removeprefix("omomi.") in dir(bpy.ops.omomi), (panel, args[0])
            assert options.get("icon", "NONE") in icons, (panel, options)
    assert len(fake.requests) == count
    texts = draw("OMOMI_PT_completions").texts().splitlines()
    assert {"The fit", "Completion 2", "Completion 3"} <= set(texts)
    assert {"skulls", "teeth"} <= set(draw("OMOMI_PT_family").texts().splitlines())


def test_a_family_that_is_gone_is_marked_in_the_panel(fake: Any, addon: Any, stocked: Path, scene: Any) -> None:
    scene.omomi.profile = "skulls"
    assert "has no" not in draw("OMOMI_PT_scan").texts()
    (stocked / "skulls.profile").unlink()
    assert "The library has no 'skulls'" in draw("OMOMI_PT_scan").texts()


def test_no_line_is_wider_than_the_sidebar(fake: Any, addon: Any, stocked: Path, make: Callable[..., Any]) -> None:
    scan = make("an owl with a name that is as long as Blender allows, or nearly so")
    bpy.ops.omomi.check(profile="skulls")
    bpy.context.scene.omomi.family_report = "\n".join(["left out " + "very " * 30 + "odd", "x" * 90])
    words = random.Random(0).choices(["open", "tunnel", "folded"], k=60)
    scan.omomi.report = " ".join(words)
    for panel in ("OMOMI_PT_scan", "OMOMI_PT_edits", "OMOMI_PT_check", *PANELS):
        for kind, _, options in draw(panel).drawn:
            if kind == "label":
                assert len(options["text"]) <= addon.widgets.COLUMNS, (panel, options["text"])
    shown = "".join(addon.widgets.wrapped(scan.omomi.check)).replace(" ", "")
    assert shown == scan.omomi.check.replace("\n", "").replace(" ", "")


def test_every_tooltip_says_what_happens(addon: Any, scene: Any) -> None:
    for cls in addon.operators.CLASSES:
        text = getattr(cls, "bl_description", "") or cls.__doc__
        assert text and text[0].isupper() and len(" ".join(text.split())) > 15 and not text.rstrip().endswith("."), cls


def test_imagined_shapes_are_as_large_as_the_active_mesh(fake: Any, make: Any) -> None:
    cup = make("cup")
    cup.scale = (0.03, 0.03, 0.03)
    bpy.context.view_layer.update()
    size = max(cup.dimensions)
    bpy.ops.omomi.sample(seed=4, count=2)
    bpy.context.view_layer.update()
    first, second = (bpy.data.objects[f"Imagined {seed}"] for seed in (4, 5))
    assert first.scale[0] == pytest.approx(size / 1.6, rel=1e-5)
    assert (second.location - first.location).length == pytest.approx(2.0 * size / 1.6, rel=1e-5)
