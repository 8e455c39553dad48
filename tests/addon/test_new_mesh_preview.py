"""The new mesh that the preview shows once sliders rest, stepped as the timer of a window steps it.

The fake backend makes new meshes coarse to fine of edits with "delta" in their names.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window, draw, key, previews, rest

bpy = pytest.importorskip("bpy")

COARSE, FINE, POSED = 2 * 4 * 4 + 2, 2 * 8 * 8 + 2, 2 * 6 * 6 + 2
"""Vertices of the fake backend's first and last mesh, and of its fit."""
NEEDED = "makes more than a movement of the surface: it needs a new mesh of the fit."


@pytest.fixture
def clock(addon: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of the live preview, which stands still until it is set."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(addon.live, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def pump(addon: Any) -> Callable[..., None]:
    """Takes a few steps, fewer than a rest takes."""

    def steps(count: int = 20) -> None:
        for _ in range(count):
            addon.live.pump()

    return steps


@pytest.fixture
def drill(folder: Path, make: Callable[..., Any]) -> Any:
    """A scan with a learned edit that the network makes, at rest; the result is a new mesh."""
    folder.mkdir()
    (folder / "delta drill.omomi").write_bytes(b"drill")
    bpy.context.scene.omomi.result = "NEW"
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="delta drill")
    scan.omomi.edits[0].strength = 0.0
    return scan


def begin(fake: Any, clock: Any, pump: Any, scan: Any, strength: float = 0.5) -> None:
    """A slider is dragged and rests, and the backend has sent the first of the meshes that it makes."""
    fake.slow.add("RemeshRequest")
    scan.omomi.edits[0].strength = strength
    pump()
    clock.seconds += 1
    pump()
    fake.send_mesh(4)
    pump()
    assert shown() == COARSE


def shown() -> int:
    """Vertices of the one preview."""
    (one,) = previews()
    return len(one.data.vertices)


def untouched(scan: Any) -> bool:
    return len(scan.data.vertices) == 8 and scan.data.shape_keys is None and not scan.hide_get() and not veiled(scan)


def veiled(scan: Any) -> bool:
    """Whether only the box of the scan is drawn, as a hole in its preview would show its surface."""
    assert ("omomi_display_type" in scan) == (scan.display_type == "BOUNDS")
    return scan.display_type == "BOUNDS"


def test_a_drag_asks_for_positions_and_its_end_for_the_new_mesh(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any
) -> None:
    for strength in (0.1, 0.2, 0.3):
        drill.omomi.edits[0].strength = strength
        clock.seconds += addon.live.REST_SECONDS / 2
        pump()
        assert shown() == POSED
    assert fake.kinds["RemeshRequest"] == 0 and addon.live.pump()
    clock.seconds += addon.live.REST_SECONDS / 2 + 0.01
    pump()
    assert shown() == FINE and veiled(drill) and not addon.live.pump()
    (asked,) = fake.asked("RemeshRequest")
    assert np.allclose(asked["strengths"], 0.3)
    assert fake.kinds["StackRequest"] == 1


def test_meshes_come_coarse_to_fine_and_the_next_touch_shows_the_sliders_again(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any, world: Any
) -> None:
    drill.location = (10, 20, 30)
    bpy.context.view_layer.update()
    begin(fake, clock, pump, drill)
    assert np.allclose((world(previews()[0]).min(0) + world(previews()[0]).max(0)) / 2, [10.5, 20.5, 30.5], atol=1e-4)
    fake.send_mesh(6)
    pump()
    assert shown() == 2 * 6 * 6 + 2
    fake.send_mesh(4)
    pump()
    job = fake.requests[-1][1]
    drill.omomi.edits[0].strength = 0.7
    pump()
    assert fake.cancelled == [job] and shown() == POSED and untouched(drill)
    fake.slow.clear()
    clock.seconds += 1
    settle()
    assert shown() == FINE and [fields["strengths"] for fields in fake.asked("RemeshRequest")] == [
        pytest.approx((strength,)) for strength in (0.5, 0.7)
    ]


def test_escape_shows_the_sliders_again_until_the_next_touch(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any
) -> None:
    assert not bpy.ops.omomi.back_to_preview.poll()
    begin(fake, clock, pump, drill)
    assert "omomi.back_to_preview" in draw("OMOMI_PT_edits").operators()
    assert bpy.ops.omomi.back_to_preview() == {"FINISHED"}
    assert shown() == POSED and fake.cancelled == [fake.requests[-1][1]] and untouched(drill)
    fake.slow.clear()
    clock.seconds += 10
    pump()
    assert shown() == POSED and not addon.live.pump() and not bpy.ops.omomi.back_to_preview.poll()
    drill.omomi.edits[0].strength = 0.6
    pump()
    clock.seconds += 1
    pump()
    assert shown() == FINE
    assert bpy.ops.omomi.back_to_preview() == {"FINISHED"} and shown() == POSED and untouched(drill)


def test_a_preview_goes_along_with_its_object(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any, world: Any
) -> None:
    drill.location = (1, 2, 3)
    bpy.context.view_layer.update()
    drill.omomi.edits[0].strength = 0.5
    pump()
    posed = world(previews()[0])
    clock.seconds += 1
    settle()
    made = world(previews()[0])
    drill.location, drill.rotation_euler = (4, 2, 3), (0, 0, np.pi / 2)
    bpy.context.view_layer.update()
    pump()
    turned = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for mesh, back in ((made, True), (posed, False)):
        assert np.allclose(world(previews()[0]), (mesh - (1, 2, 3)) @ turned.T + (4, 2, 3), atol=1e-5)
        if back:
            addon.live.back_to_sliders()
            pump()
    # What is turned is another scan: the next touch fits it, and shows it where it is.
    drill.omomi.edits[0].strength = 0.6
    pump()
    assert fake.kinds["FitRequest"] == 2 and np.allclose(previews()[0].matrix_basis, np.eye(4))


def test_escape_is_bound_once(addon: Any, scene: Any) -> None:
    def bound() -> list[str]:
        keymaps = bpy.context.window_manager.keyconfigs.addon.keymaps
        items = [item for keymap in keymaps for item in keymap.keymap_items if "omomi" in item.idname]
        return sorted(item.idname for item in items if item.type == "ESC")

    every = ["omomi.back_to_preview", "omomi.hide_colours", "omomi.hide_holes", "omomi.stop_preview"]
    assert bound() == every
    bpy.ops.preferences.addon_disable(module=addon.name)
    assert bound() == []
    bpy.ops.preferences.addon_enable(module=addon.name)
    assert bound() == every


def test_what_is_painted_is_drawn_as_ever(fake: Any, drill: Any, clock: Any, pump: Any) -> None:
    begin(fake, clock, pump, drill)
    assert veiled(drill) and drill.select_get() and bpy.context.active_object == drill
    bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
    pump()
    assert untouched(drill)
    bpy.ops.object.mode_set(mode="OBJECT")
    pump()
    assert veiled(drill)


def test_the_artists_own_display_type_comes_back(fake: Any, addon: Any, drill: Any, clock: Any, pump: Any) -> None:
    drill.display_type = "WIRE"
    begin(fake, clock, pump, drill)
    assert veiled(drill)
    addon.live.stop()
    assert drill.display_type == "WIRE" and previews() == [] and untouched(drill)


def test_previews_add_no_undo_step_and_apply_adds_one(
    fake: Any, drill: Any, clock: Any, pump: Any, settle: Any
) -> None:
    bpy.ops.ed.undo_push(message="start")
    drill.omomi.edits[0].strength = 0.5
    bpy.ops.ed.undo_push(message="strength")
    pump()
    clock.seconds += 1
    settle()
    assert shown() == FINE
    assert bpy.ops.omomi.apply("EXEC_DEFAULT", True) == {"FINISHED"}
    assert "owl.edit" in bpy.data.objects and previews() == []
    bpy.ops.ed.undo()
    owl = bpy.data.objects["owl"]
    assert owl.omomi.edits[0].strength == 0.5 and "owl.edit" not in bpy.data.objects and untouched(owl)
    bpy.ops.ed.undo()
    owl = bpy.data.objects["owl"]
    assert owl.omomi.edits[0].strength == 0 and untouched(owl)
    settle()
    assert previews() == []


def test_undo_while_meshes_come_takes_them_back(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any
) -> None:
    bpy.ops.ed.undo_push(message="start")
    drill.omomi.edits[0].strength = 0.25
    bpy.ops.ed.undo_push(message="strength")
    begin(fake, clock, pump, drill)
    bpy.ops.ed.undo_push(message="more")
    job = fake.requests[-1][1]
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.undo):
        step()
        assert untouched(bpy.data.objects["owl"]) and previews() == []
    pump()
    owl = bpy.data.objects["owl"]
    assert job in fake.cancelled and shown() == POSED and owl.omomi.edits[0].strength == 0.25
    fake.slow.clear()
    bpy.ops.ed.undo()
    clock.seconds += 1
    settle()
    owl = bpy.data.objects["owl"]
    assert previews() == [] and owl.omomi.edits[0].strength == 0 and untouched(owl)
    assert addon.live.error() == ""


def test_undoing_the_object_itself_leaves_nothing_behind(
    fake: Any, addon: Any, folder: Path, make: Any, clock: Any, pump: Any
) -> None:
    bpy.ops.ed.undo_push(message="empty")
    folder.mkdir()
    (folder / "delta drill.omomi").write_bytes(b"drill")
    bpy.context.scene.omomi.result = "NEW"
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="delta drill")
    begin(fake, clock, pump, scan)
    bpy.ops.ed.undo_push(message="made")
    bpy.ops.ed.undo()
    pump()
    assert list(bpy.data.objects) == [] and not addon.live.pump() and not addon.live.shows_new_mesh()


def test_a_file_that_is_saved_while_meshes_come_opens_with_the_scan_alone(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, tmp_path: Path
) -> None:
    begin(fake, clock, pump, drill)
    assert veiled(drill)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert shown() == COARSE and untouched(drill)
    pump()
    assert veiled(drill)
    # As it is for one who opens the file without Omomi.
    shutil.copy(tmp_path / "saved.blend", tmp_path / "copy.blend")
    with bpy.data.libraries.load(str(tmp_path / "copy.blend")) as (held, loaded):
        assert [*held.objects, *held.meshes, *held.collections] == ["owl", "owl"]
        loaded.objects = ["owl"]
    assert untouched(loaded.objects[0])
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    (owl,) = bpy.data.objects
    assert untouched(owl) and owl.visible_get() and owl.omomi.edits[0].strength == 0.5
    assert not addon.live.pump() and not addon.live.shows_new_mesh() and fake.cancelled


def test_a_backend_killed_while_meshes_come_is_said_and_the_next_touch_starts_another(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any
) -> None:
    begin(fake, clock, pump, drill)
    fake.die()
    pump()
    assert "Move the slider to try again" in addon.live.error() and shown() == POSED and untouched(drill)
    drill.omomi.edits[0].strength = 0.6
    pump()
    clock.seconds += 1
    settle()
    assert addon.live.error() == "" and shown() == FINE and fake.kinds["FitRequest"] == 2


def test_a_scan_that_the_backend_has_dropped_is_fitted_again_for_its_new_mesh(
    fake: Any, drill: Any, clock: Any, pump: Any, settle: Any
) -> None:
    drill.omomi.edits[0].strength = 0.5
    pump()
    fake.close()
    clock.seconds += 1
    settle()
    assert shown() == FINE and fake.kinds["FitRequest"] == 2


@pytest.mark.parametrize("when", ["while meshes come", "while the new mesh is shown", "before the rest is over"])
def test_deleting_the_object_removes_its_preview(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any, when: str
) -> None:
    if when == "while meshes come":
        begin(fake, clock, pump, drill)
    else:
        drill.omomi.edits[0].strength = 0.5
        pump()
        if when == "while the new mesh is shown":
            clock.seconds += 1
            settle()
    bpy.data.objects.remove(drill)
    clock.seconds += 1
    settle()
    assert list(bpy.data.objects) == [] and addon.live.error() == "" and not addon.live.shows_new_mesh()


def test_a_new_mesh_that_cannot_be_made_is_said_once_and_the_sliders_stay(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any
) -> None:
    fake.failures["RemeshRequest"] = [addon.errors.OmomiError("no_surface", "Nothing is left of the solid.")]
    drill.omomi.edits[0].strength = 0.5
    pump()
    clock.seconds += 1
    settle()
    assert addon.live.error().startswith("Nothing is left of the solid.") and shown() == POSED
    clock.seconds += 10
    pump()
    assert fake.kinds["RemeshRequest"] == 1


@pytest.mark.parametrize("how", ["strength 0", "mute", "remove"])
def test_an_edit_that_does_nothing_any_more_takes_its_new_mesh_along(
    fake: Any, addon: Any, drill: Any, clock: Any, pump: Any, settle: Any, how: str
) -> None:
    begin(fake, clock, pump, drill)
    if how == "strength 0":
        drill.omomi.edits[0].strength = 0.0
    elif how == "mute":
        drill.omomi.edits[0].mute = True
    else:
        bpy.ops.omomi.remove_edit()
    pump()
    clock.seconds += 1
    settle()
    assert previews() == [] and untouched(drill) and not addon.live.shows_new_mesh()


def test_a_movement_is_shown_whole_by_its_sliders(fake: Any, make: Any, clock: Any, pump: Any, settle: Any) -> None:
    bpy.context.scene.omomi.result = "NEW"
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    pump()
    clock.seconds += 1
    settle()
    assert shown() == POSED and fake.kinds["RemeshRequest"] == 0 and untouched(scan)


def test_a_shape_key_shows_the_movement_and_says_that_a_new_mesh_is_needed(
    fake: Any, drill: Any, clock: Any, pump: Any, settle: Any
) -> None:
    bpy.context.scene.omomi.result = "SHAPE_KEY"
    bpy.ops.omomi.add_from_library(name="delta drill")
    pump()
    clock.seconds += 1
    settle()
    moved = key(drill)
    assert not np.array_equal(moved, rest(drill)) and previews() == [] and fake.kinds["RemeshRequest"] == 0
    assert NEEDED in draw("OMOMI_PT_edits").texts().replace("\n", " ")
    bpy.context.scene.omomi.result = "NEW"
    assert NEEDED not in draw("OMOMI_PT_edits").texts().replace("\n", " ")
    bpy.ops.omomi.apply(result="SHAPE_KEY")
    assert np.array_equal(key(drill), moved) and NEEDED in drill.omomi.report


def test_another_result_changes_what_is_shown(fake: Any, drill: Any, clock: Any, pump: Any, settle: Any) -> None:
    bpy.context.scene.omomi.result = "SHAPE_KEY"
    bpy.ops.omomi.add_from_library(name="delta drill")
    settle()
    bpy.context.scene.omomi.result = "REPLACE"
    pump()
    clock.seconds += 1
    settle()
    assert shown() == FINE
    bpy.context.scene.omomi.result = "SHAPE_KEY"
    settle()
    assert previews() == [] and not np.array_equal(key(drill), rest(drill))


def test_a_touch_of_another_object_comes_first_and_both_new_meshes_are_made(
    fake: Any, drill: Any, make: Any, clock: Any, pump: Any, settle: Any
) -> None:
    other = make("cat")
    other.location.x = 5
    drill.select_set(False)
    bpy.ops.omomi.add_from_library(name="delta drill")
    other.omomi.edits[0].strength = 0.0
    bpy.context.view_layer.objects.active = drill
    begin(fake, clock, pump, drill)
    bpy.context.view_layer.objects.active = other
    other.omomi.edits[0].strength = 0.25
    pump()
    assert len(fake.cancelled) == 1 and len(previews()) == 2
    fake.slow.clear()
    clock.seconds += 1
    settle()
    assert [len(one.data.vertices) for one in previews()] == [FINE, FINE]
    assert sorted(fields["strengths"] for fields in fake.asked("RemeshRequest")) == [(0.25,), (0.5,), (0.5,)]


def test_in_background_mode_nothing_is_shown(fake: Any, addon: Any, drill: Any) -> None:
    drill.omomi.edits[0].strength = 0.5
    assert bpy.app.background and not bpy.app.timers.is_registered(addon.live._tick)
    assert bpy.ops.omomi.apply() == {"FINISHED"} and previews() == []
    assert fake.kinds["RemeshRequest"] == 0


@pytest.fixture
def applying(fake: Any, addon: Any, drill: Any, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """The Apply operator in a window."""
    running = importlib.import_module(f"{addon.name}.operators.modal")
    module = importlib.import_module(f"{addon.name}.operators.edits")
    monkeypatch.setattr(running, "bpy", SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types))
    return Operator(module.OMOMI_OT_apply, Window())


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
@pytest.mark.parametrize("hidden", [False, True])
def test_escape_in_apply_brings_the_preview_back(
    applying: Any, fake: Any, drill: Any, clock: Any, pump: Any, settle: Any, result: str, hidden: bool
) -> None:
    bpy.context.scene.omomi.result = result
    # As an artist does who wants to see the preview alone.
    drill.hide_set(hidden)
    drill.omomi.edits[0].strength = 0.5
    pump()
    clock.seconds += 1
    settle()
    fake.slow.add("ApplyRequest")
    applying.start()
    applying.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    fake.send_mesh(4)
    applying.event("TIMER")
    assert applying.event("ESC", "PRESS") == {"CANCELLED"}
    pump()
    assert shown() == POSED and len(drill.data.vertices) == 8 and drill.hide_get() == hidden
    fake.slow.clear()
    clock.seconds += 1
    settle()
    assert shown() == FINE


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
def test_what_is_applied_is_previewed_no_more(
    applying: Any, fake: Any, drill: Any, clock: Any, pump: Any, settle: Any, result: str
) -> None:
    bpy.context.scene.omomi.result = result
    drill.omomi.edits[0].strength = 0.5
    pump()
    applying.start()
    assert applying.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    clock.seconds += 1
    settle()
    assert previews() == [] and fake.kinds["RemeshRequest"] == 0


def test_a_check_brings_the_preview_back(fake: Any, drill: Any, clock: Any, pump: Any, settle: Any) -> None:
    drill.omomi.edits[0].strength = 0.5
    pump()
    bpy.ops.omomi.check()
    clock.seconds += 1
    settle()
    assert shown() == FINE
