"""Check, safe range, the strength for a measure, and blends; and the panels that show them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Layout, draw

bpy = pytest.importorskip("bpy")


@pytest.fixture
def scan(fake: Any, make: Callable[..., Any]) -> Any:
    obj = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    return obj


def test_check_tells_topology_measures_and_paints_the_uncertainty(fake: Any, scan: Any) -> None:
    points = [tuple(v.co) for v in scan.data.vertices]
    assert bpy.ops.omomi.check() == {"FINISHED"}
    lines = scan.omomi.check.splitlines()
    assert lines[0] == "1 piece, 1 tunnel, closed - 4 % of the surface is guessed"
    assert "volume 2 m³" in lines and "area 8 m²" in lines
    sigma = [item.value for item in scan.data.attributes["omomi_sigma"].data]
    assert len(sigma) == 8 and min(sigma) >= 0 and "omomi_uncertainty" in scan.data.color_attributes
    assert [tuple(v.co) for v in scan.data.vertices] == points
    count = len(scan.data.attributes)
    bpy.ops.omomi.check()
    assert len(scan.data.attributes) == count


def test_what_omomi_made_is_checked_at_its_own_detail(fake: Any, make: Callable[..., Any]) -> None:
    settings = bpy.context.scene.omomi

    def levels() -> list[int]:
        return [fields["options"].level for fields in fake.asked("FitRequest")]

    make("owl")
    settings.level = "1"
    bpy.ops.omomi.fit()
    settings.level = "4"
    bpy.ops.omomi.check()
    # an edit of the fit has its detail; a fit that is made again has the new one
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.apply(result="NEW")
    bpy.ops.omomi.check()
    first = levels()
    assert len(first) >= 3 and set(first) == {1}
    bpy.context.object.select_set(False)
    fit = bpy.context.view_layer.objects.active = bpy.data.objects["owl.fit"]
    fit.hide_set(False)
    fit.select_set(True)
    bpy.ops.omomi.fit()
    bpy.ops.omomi.check()
    # a scan is opened at the detail of the panel
    make("crow")
    bpy.ops.omomi.check()
    again = levels()[len(first) :]
    assert len(again) >= 3 and set(again) == {4}


def test_check_needs_no_edits_and_works_on_points(fake: Any, make: Callable[..., Any]) -> None:
    cloud = make("cloud", np.random.default_rng(0).normal(size=(50, 3)))
    assert bpy.ops.omomi.check() == {"FINISHED"} and "1 tunnel" in cloud.omomi.check


def test_a_sweep_fills_the_safe_range_and_the_picture(fake: Any, addon: Any, scan: Any, tmp_path: Path) -> None:
    assert bpy.ops.omomi.sweep(low=2, high=-2, picture=str(tmp_path / "phase.svg")) == {"FINISHED"}
    edit = scan.omomi.edits[0]
    assert (edit.safe, edit.safe_low, edit.safe_high) == (True, -0.5, 1.25)
    assert edit.transitions == "at 1.25: a tunnel through it closes"
    assert (tmp_path / "phase.svg").read_text() == "<svg/>"
    assert addon.travel.safe_text(edit) == "safe -100 .. 100 %" and not addon.travel.outside(edit)
    edit.strength = 1.5
    assert addon.travel.outside(edit)
    edit.mask = "rim"
    assert not edit.safe and not edit.transitions
    (asked,) = fake.asked("SweepRequest")
    assert (asked["low"], asked["high"], asked["layer"]) == (-2, 2, 0)


def test_what_is_foretold_stands_in_until_the_range_is_measured(fake: Any, addon: Any, scan: Any) -> None:
    edit = scan.omomi.edits[0]
    assert addon.travel.safe_text(edit) == "safe range not measured"
    bpy.ops.omomi.check()
    assert addon.travel.safe_text(edit) == "safe about -125 .. 125 %" and not addon.travel.outside(edit)
    edit.strength = 1.6
    assert addon.travel.outside(edit)
    bpy.ops.omomi.sweep()
    assert addon.travel.safe_text(edit) == "safe -100 .. 100 %"
    edit.mask = "rim"
    assert addon.travel.safe_text(edit) == "safe range not measured"


def test_the_slider_of_an_edit_ends_where_the_topology_of_this_scan_does(fake: Any, scan: Any) -> None:
    edit = scan.omomi.edits[0]
    edit.amount = 100
    useful = edit.strength
    bpy.ops.omomi.check()
    # -0.75 to 1.5 is what the backend expects, and a slider goes four fifths of the way
    for amount, strength in ((100, min(1.2, useful)), (-100, -0.6), (-50, -0.3), (0, 0)):
        edit.amount = amount
        assert edit.strength == pytest.approx(strength) and edit.amount == pytest.approx(amount)
    strength = edit.strength = -0.25
    bpy.ops.omomi.sweep()
    # -0.5 to 1.25 was measured: the edit stays as strong as it was
    assert edit.strength == strength and edit.amount == pytest.approx(-50)


def test_a_slider_without_room_still_moves_a_little(fake: Any, addon: Any, scan: Any) -> None:
    edit = scan.omomi.edits[0]
    edit.safe, edit.safe_low, edit.safe_high = True, 0.0, 0.0
    edit.amount = 100
    assert 0 < edit.strength <= 0.05 and addon.travel.outside(edit)
    edit.amount = -100
    assert -0.05 <= edit.strength < 0


def test_solve_sets_the_strength(fake: Any, scan: Any) -> None:
    assert bpy.ops.omomi.solve(measure="volume", value=3.0) == {"FINISHED"}
    assert scan.omomi.edits[0].strength == 0.75
    bpy.context.scene.omomi.value = 2.0
    bpy.ops.omomi.solve()
    assert scan.omomi.edits[0].strength == 0.5
    assert [f["measure"] for kind, _, f in fake.requests if kind == "SolveRequest"] == ["volume", "thickness"]


def test_the_value_to_solve_for_starts_from_what_it_is_and_has_its_unit(fake: Any, addon: Any, scan: Any) -> None:
    settings = bpy.context.scene.omomi
    with pytest.raises(RuntimeError, match="no value to reach"):
        bpy.ops.omomi.solve()
    assert "Check says what it is now" in draw("OMOMI_PT_solve").texts()
    settings.measure = "volume"
    bpy.ops.omomi.check()
    assert settings.value == 2 and "now 2 m³" in draw("OMOMI_PT_solve").texts()
    for measure, value, unit in (("area", 8, "AREA"), ("length_y", 0, "LENGTH")):
        settings.measure = measure
        prop = settings.bl_rna.properties[f"value_{unit.lower()}"]
        assert settings.value == value and prop.unit == unit
        assert any(args[1:] == (prop.identifier,) for name, args, _ in draw("OMOMI_PT_solve").drawn if name == "prop")
    settings.value_length = 3
    bpy.ops.omomi.solve()
    assert fake.asked("SolveRequest")[0]["value"] == 3
    # a check leaves what the artist has typed, and another mesh has other measures
    bpy.ops.omomi.check()
    assert settings.value == 3 and max(scan.omomi.measures) == 8
    bpy.ops.omomi.apply(result="REPLACE")
    assert max(scan.omomi.measures) == 0


def test_no_solution_leaves_the_strength(fake: Any, addon: Any, scan: Any) -> None:
    errors = addon.errors
    fake.failures["SolveRequest"] = [errors.OmomiError("no_solution", "No strength gives a volume of 9.")]
    with pytest.raises(RuntimeError, match=r"No strength gives a volume of 9\. Ask for a value nearer"):
        bpy.ops.omomi.solve(value=9)
    assert scan.omomi.edits[0].strength == 0.5


def test_a_blend_is_a_new_object_and_both_others_stay(fake: Any, scan: Any, make: Any) -> None:
    other = make("crow")
    other.location = (9, 9, 9)
    bpy.context.view_layer.objects.active = scan
    bpy.context.scene.omomi.other = other
    assert bpy.ops.omomi.blend(share=0.25, guarded=False) == {"FINISHED"}
    made = bpy.data.objects["owl.blend"]
    assert made.omomi.check == "1 piece, closed" and scan.hide_get() and not other.hide_get()
    assert len(scan.data.vertices) == len(other.data.vertices) == 8 and scan.omomi.edits[0].strength == 0.5
    (asked,) = fake.asked("BlendRequest")
    assert asked["share"] == 0.25 and asked["guarded"] is False and asked["handle"] != asked["other"]


def test_a_check_that_ends_in_edit_mode_says_what_it_found_and_paints_nothing(
    fake: Any, addon: Any, scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_end = addon.fits.run_to_end

    def run_to_end(run: Any) -> None:
        to_end(run)
        bpy.ops.object.mode_set(mode="EDIT")

    monkeypatch.setattr(addon.fits, "run_to_end", run_to_end)
    assert bpy.ops.omomi.check() == {"FINISHED"} and scan.omomi.check
    bpy.ops.object.mode_set(mode="OBJECT")
    assert "omomi_sigma" not in scan.data.attributes


def test_a_blend_says_what_is_missing(fake: Any, scan: Any) -> None:
    with pytest.raises(RuntimeError, match="Choose the other object"):
        bpy.ops.omomi.blend()
    with pytest.raises(RuntimeError, match="Choose another object"):
        bpy.ops.omomi.blend(other="owl")
    bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    with pytest.raises(RuntimeError, match="Choose the other object"):
        bpy.ops.omomi.blend(other="sun")


@pytest.mark.parametrize("operator", ["check", "sweep", "solve", "blend", "apply"])
def test_a_dead_backend_changes_nothing(fake: Any, addon: Any, scan: Any, make: Any, operator: str) -> None:
    bpy.context.scene.omomi.other, bpy.context.scene.omomi.value = make("crow"), 2.0
    bpy.context.view_layer.objects.active = scan
    names = [obj.name for obj in bpy.data.objects]
    errors = addon.errors
    for kind in ("CheckRequest", "SweepRequest", "SolveRequest", "BlendRequest", "ApplyRequest"):
        fake.failures[kind] = [errors.OmomiError("backend_died", "The backend stopped unexpectedly.")]
    with pytest.raises(RuntimeError, match="stopped unexpectedly"):
        getattr(bpy.ops.omomi, operator)()
    edit = scan.omomi.edits[0]
    assert (edit.strength, edit.safe, scan.omomi.check) == (0.5, False, "")
    assert [obj.name for obj in bpy.data.objects] == names and not scan.data.color_attributes


@pytest.mark.parametrize("operator", ["check", "sweep", "solve", "blend", "apply", "add_edit", "load_preset"])
def test_a_scene_without_objects_is_one_sentence(fake: Any, scene: Any, operator: str) -> None:
    with pytest.raises(RuntimeError, match="Make a mesh object active"):
        getattr(bpy.ops.omomi, operator)()


PANELS = ["OMOMI_PT_edits", "OMOMI_PT_solve", "OMOMI_PT_learn", "OMOMI_PT_library", "OMOMI_PT_blend", "OMOMI_PT_check",
          "OMOMI_MT_add_edit", "OMOMI_MT_presets"]  # fmt: skip


def test_all_that_the_panels_draw_exists_and_drawing_starts_nothing(fake: Any, addon: Any, scan: Any) -> None:
    folder = addon.preferences.library_folder()
    folder.mkdir()
    (folder / "beak.omomi").write_bytes(b"")
    bpy.context.scene.omomi.pairs.add()
    for panel in PANELS:
        for kind, args, _ in draw(panel).drawn:
            if kind in ("prop", "prop_search"):
                assert hasattr(args[0], args[1]), (panel, args[1])
            if kind == "operator":
                assert args[0].removeprefix("omomi.") in dir(bpy.ops.omomi), (panel, args[0])
            if kind == "menu":
                assert hasattr(bpy.types, args[0])
    assert not fake.requests


def test_panels_draw_without_an_object(fake: Any, addon: Any, scene: Any) -> None:
    for panel in PANELS:
        draw(panel)
    assert "Make a mesh object active" in draw("OMOMI_PT_edits").texts()


def test_a_strength_outside_of_the_safe_range_is_warned_of(fake: Any, addon: Any, scan: Any) -> None:
    bpy.ops.omomi.sweep()
    edit = scan.omomi.edits[0]
    assert "safe -100 .. 100 %" in draw("OMOMI_PT_edits").texts()
    layout = Layout()
    item = addon.widgets.OMOMI_UL_edits.draw_item
    item(None, bpy.context, layout, None, edit, 0, None, "")
    assert not any(options.get("icon") == "ERROR" for _, _, options in layout.drawn)
    assert "come or go" not in draw("OMOMI_PT_edits").texts()
    edit.strength = 2.0
    assert "come or go" in draw("OMOMI_PT_edits").texts()
    layout = Layout()
    item(None, bpy.context, layout, None, edit, 0, None, "")
    assert any(options.get("icon") == "ERROR" for _, _, options in layout.drawn)


def test_apply_stays_where_it_is_whatever_the_active_edit_has_to_say(fake: Any, addon: Any, scan: Any) -> None:
    def above_apply() -> list[str]:
        drawn = draw("OMOMI_PT_edits").drawn
        return [name for name, _, _ in drawn[: [args[:1] for _, args, _ in drawn].index(("omomi.apply",))]]

    before = above_apply()
    bpy.ops.omomi.sweep()
    scan.omomi.edits[0].note = "It stands elsewhere."
    scan.omomi.edits[0].strength = 2.0
    assert above_apply() == before


def test_the_bar_of_a_run_is_in_the_place_of_its_button(
    fake: Any, addon: Any, scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    monkeypatch.setattr(addon.fits, "set_current", lambda *given: runs.append(given))
    bpy.ops.omomi.check()
    monkeypatch.undo()
    run, starter = next(given for given in runs if given[0] is not None)
    addon.fits.set_current(run, starter)
    assert "omomi.check" not in draw("OMOMI_PT_check").operators()
    assert "omomi.cancel" in draw("OMOMI_PT_check").operators()
    assert "omomi.sweep" in draw("OMOMI_PT_edits").operators()
    assert "omomi.cancel" not in draw("OMOMI_PT_edits").operators()
    addon.fits.set_current(None)
    assert "omomi.check" in draw("OMOMI_PT_check").operators()


def test_a_sweep_shows_the_nearest_changes_and_lists_all_in_a_text(fake: Any, addon: Any, scan: Any) -> None:
    edit = scan.omomi.edits[0]
    edit.transitions = "\n".join(f"at {0.1 * number:.3g}: a tunnel opens" for number in range(1, 21))
    edit.safe, edit.safe_high = True, 0.1
    panel = draw("OMOMI_PT_edits")
    assert "at 500 %: " in panel.texts() and "17 more changes" in panel.texts() and "at 800" not in panel.texts()
    assert bpy.ops.omomi.list_changes() == {"FINISHED"}
    lines = [line.body for line in bpy.data.texts["owl thickness"].lines]
    assert len(lines) >= 21 and lines[5] == "at 500 %: a tunnel opens"


def filled() -> list[float]:
    """How much of each part of the bar is filled that the panel draws."""
    return [options["factor"] for name, _, options in draw("OMOMI_PT_edits").drawn if name == "progress"]


def test_a_bar_shows_the_range_that_was_swept_filled_up_to_the_strength(fake: Any, addon: Any, scan: Any) -> None:
    edit = scan.omomi.edits[0]
    assert not filled()
    bpy.ops.omomi.sweep(low=-1, high=2)
    # a tick at 1.25
    for strength, shares in ((0.5, [1.5 / 2.25, 0]), (1.625, [1, 0.5]), (-3, [0, 0]), (9, [1, 1])):
        edit.strength = strength
        assert filled() == pytest.approx(shares)
    assert {"-200 %", "160 %"} <= set(draw("OMOMI_PT_edits").texts().splitlines())
    edit.mask = "rim"
    assert not filled()


def test_ticks_that_are_too_near_share_one_and_the_safe_part_keeps_its_ends(addon: Any) -> None:
    segments = importlib.import_module(f"{addon.name}.ui.range_bar").segments
    ticks = [*np.linspace(-1, -0.2, 200), *np.linspace(0.85, 1, 200)]
    parts = segments(-1.0, 1.0, (-0.19, 0.84), ticks)
    assert len(parts) <= 20 and (parts[0].low, parts[-1].high) == (-1, 1)
    assert all(part.high - part.low >= 2 / 20 for part in parts)
    assert all(one.high == other.low for one, other in pairwise(parts))
    (safe,) = [part for part in parts if part.is_safe]
    assert tuple(safe)[:2] == pytest.approx((-0.2, 0.85))
    # nothing happens: one part
    assert segments(0.0, 1.0, (0.0, 1.0), []) == [(0.0, 1.0, True)]


def test_at_strength_0_no_edit_is_out_of_its_range(fake: Any, addon: Any, scan: Any) -> None:
    edit = scan.omomi.edits[0]
    # of what the network makes, the range is that of the topology which the examples show
    fake.shown = [0.6, 1.9]
    bpy.ops.omomi.sweep()
    assert addon.travel.safe_text(edit) == "safe 31.6 .. 100 %"
    for strength, red in ((0.0, False), (0.3, True), (1.0, False), (2.0, True)):
        edit.strength = strength
        assert addon.travel.outside(edit) == red


def test_solving_says_nothing_of_the_range_beyond_its_strength(fake: Any, scan: Any) -> None:
    bpy.ops.omomi.sweep()
    fake_range = tuple(scan.omomi.edits[0].swept), scan.omomi.edits[0].safe_high
    bpy.ops.omomi.solve(measure="volume", value=3.0)
    edit = scan.omomi.edits[0]
    assert (tuple(edit.swept), edit.safe_high) == fake_range and edit.strength == 0.75


def test_what_was_measured_of_an_edit_is_not_said_of_another_mesh(fake: Any, addon: Any, scan: Any) -> None:
    bpy.ops.omomi.sweep()
    assert scan.omomi.edits[0].safe
    bpy.ops.omomi.apply(result="NEW")
    made = bpy.data.objects["owl.edit"].omomi.edits[0]
    assert not made.safe and made.transitions == "" and scan.omomi.edits[0].safe
