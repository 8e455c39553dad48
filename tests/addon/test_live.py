"""The preview while a slider is dragged, stepped as the timer of a window steps it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import draw, key, previews, rest

bpy = pytest.importorskip("bpy")


def length(obj: Any) -> float:
    """How far the vertices are from the basis; the fake backend moves all by 0.1 at strength 1."""
    return float(np.linalg.norm(key(obj) - rest(obj), axis=1).mean())


@pytest.fixture
def scan(fake: Any, make: Callable[..., Any]) -> Any:
    obj = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    return obj


def test_a_drag_moves_the_shape_key_and_asks_only_for_positions(fake: Any, scan: Any, settle: Any) -> None:
    settle()
    assert not fake.requests
    for strength in (0.1, 0.2, 0.7):
        scan.omomi.edits[0].strength = strength
        settle()
        assert length(scan) == pytest.approx(strength / 10, abs=1e-6)
    assert fake.kinds == {"FitRequest": 1, "StackRequest": 1, "PoseRequest": 1 + 3, "TravelRequest": 1}
    scan.omomi.edits[0].strength = 0.0
    settle()
    assert np.array_equal(key(scan), rest(scan)) and fake.kinds["PoseRequest"] == 4


def test_an_edit_of_the_library_shows_what_it_does_at_once(fake: Any, folder: Path, make: Any, settle: Any) -> None:
    folder.mkdir()
    (folder / "beak.omomi").write_bytes(b"beak")
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="beak")
    settle()
    assert scan.omomi.edits[0].strength == 1 and length(scan) == pytest.approx(0.3, abs=1e-6)


def test_one_request_at_a_time_and_the_newest_strength_wins(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    scan.omomi.edits[0].strength = 0.1
    settle()
    asked = fake.kinds["PoseRequest"]
    fake.slow.add("PoseRequest")
    for strength in np.linspace(0.2, 0.9, 50):
        scan.omomi.edits[0].strength = strength
        addon.live.pump()
    assert fake.kinds["PoseRequest"] == asked + 1 and length(scan) == pytest.approx(0.01, abs=1e-6)
    fake.slow.clear()
    settle()
    assert fake.kinds["PoseRequest"] == asked + 2 and length(scan) == pytest.approx(0.09, abs=1e-6)


def test_mute_and_order_and_removal_are_followed(fake: Any, scan: Any, settle: Any) -> None:
    bpy.ops.omomi.add_edit(kind="attribute", name="sharpness", strength=0.5)
    scan.omomi.edits[0].strength = 1.0
    settle()
    assert length(scan) == pytest.approx(0.2, abs=1e-6)
    scan.omomi.edits[1].mute = True
    settle()
    assert length(scan) == pytest.approx(0.1, abs=1e-6)
    scan.omomi.edits[1].mute = False
    bpy.ops.omomi.move_edit(direction="UP")
    settle()
    assert length(scan) == pytest.approx(0.2, abs=1e-6)
    bpy.ops.omomi.remove_edit()
    settle()
    assert [e.name for e in scan.omomi.edits] == ["thickness"] and length(scan) == pytest.approx(0.1, abs=1e-6)


def test_undo_of_a_drag_whose_last_answer_was_late_ends_at_the_same_bits(fake: Any, scan: Any, settle: Any) -> None:
    """Blender makes the undo step at the release, before the last positions have come."""
    bpy.ops.ed.undo_push(message="start")
    shapes = {}
    for strength in (0.3, 0.8):
        owl = bpy.data.objects["owl"]
        owl.omomi.edits[0].strength = strength
        bpy.ops.ed.undo_push(message=f"strength {strength}")
        settle()
        shapes[owl.omomi.edits[0].strength] = key(owl)
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.undo):
        step()
        settle()
        owl = bpy.data.objects["owl"]
        assert np.array_equal(key(owl), shapes[owl.omomi.edits[0].strength])
    bpy.ops.ed.undo()
    settle()
    owl = bpy.data.objects["owl"]
    assert owl.omomi.edits[0].strength == 0 and np.array_equal(key(owl), rest(owl))
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    settle()
    owl = bpy.data.objects["owl"]
    assert np.array_equal(key(owl), shapes[owl.omomi.edits[0].strength]) and len(set(shapes)) == 2


def test_the_first_touch_shows_the_progress_of_the_fit_and_can_be_stopped(
    fake: Any, addon: Any, scan: Any, settle: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle()
    fake.slow.add("FitRequest")
    scan.omomi.edits[0].strength = 0.5
    monkeypatch.setattr(addon.live, "QUICK_SECONDS", 3600.0)
    # the mesh is read by a thread first
    for _ in range(1000):
        addon.live.pump()
        if fake.asked("FitRequest"):
            break
        time.sleep(0.01)
    assert addon.live.waiting() is None and not bpy.ops.omomi.stop_preview.poll()
    monkeypatch.setattr(addon.live, "QUICK_SECONDS", 0.0)
    fake.report_progress()
    addon.live.pump()
    bar = next(options for name, _, options in draw("OMOMI_PT_edits").drawn if name == "progress")
    assert (bar["factor"], bar["text"]) == (0.5, "half way")
    assert "omomi.stop_preview" in draw("OMOMI_PT_edits").operators()
    make("crow")
    assert "owl: half way" in draw("OMOMI_PT_edits").texts()
    bpy.context.view_layer.objects.active = scan
    assert bpy.ops.omomi.stop_preview() == {"FINISHED"} and len(fake.cancelled) == 1
    assert "press Fit first" in addon.live.error() and not addon.live.pump()
    # the slider stays, and its next touch begins anew
    assert scan.omomi.edits[0].strength == 0.5
    fake.slow.clear()
    scan.omomi.edits[0].strength = 0.6
    settle()
    assert length(scan) == pytest.approx(0.06, abs=1e-6) and not addon.live.error()


def test_undo_while_an_answer_is_on_its_way_is_safe(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    bpy.ops.ed.undo_push(message="start")
    scan.omomi.edits[0].strength = 0.5
    bpy.ops.ed.undo_push(message="strength")
    fake.slow.add("PoseRequest")
    for _ in range(10):
        addon.live.pump()
    bpy.ops.ed.undo()
    fake.slow.clear()
    settle()
    owl = bpy.data.objects["owl"]
    assert owl.omomi.edits[0].strength == 0 and np.array_equal(key(owl), rest(owl))


def test_deleting_the_object_in_the_middle_of_a_drag_is_silent(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    scan.omomi.edits[0].strength = 0.5
    for _ in range(3):
        addon.live.pump()
    bpy.data.objects.remove(scan)
    settle()
    assert addon.live.error() == "" and previews() == []


@pytest.mark.parametrize("kind", ["FitRequest", "StackRequest", "PoseRequest"])
def test_a_failure_is_one_sentence_and_the_next_touch_tries_again(
    fake: Any, addon: Any, scan: Any, settle: Any, kind: str
) -> None:
    errors = addon.errors
    fake.failures[kind] = [errors.OmomiError("out_of_memory", "Too large.")]
    scan.omomi.edits[0].strength = 0.5
    settle()
    assert addon.live.error().startswith("Too large. Choose a lower detail") and np.array_equal(key(scan), rest(scan))
    scan.omomi.edits[0].strength = 0.6
    settle()
    assert addon.live.error() == "" and length(scan) == pytest.approx(0.06, abs=1e-6)


def test_a_killed_backend_is_followed_by_a_fit_in_the_next(fake: Any, scan: Any, settle: Any) -> None:
    scan.omomi.edits[0].strength = 0.5
    settle()
    fake.die()
    scan.omomi.edits[0].strength = 0.6
    settle()
    assert fake.kinds["FitRequest"] == 2 and length(scan) == pytest.approx(0.06, abs=1e-6)


def test_a_new_mesh_is_previewed_beside_the_scan_and_goes_with_the_strength(
    fake: Any, scan: Any, settle: Any, world: Any
) -> None:
    scan.location = (10, 20, 30)
    bpy.context.view_layer.update()
    bpy.context.scene.omomi.result = "NEW"
    scan.omomi.edits[0].strength = 1.0
    settle()
    (shown,) = previews()
    assert np.allclose((world(shown).min(0) + world(shown).max(0)) / 2, [10.5, 20.5, 30.5], atol=1e-4)
    first, mesh = np.ptp(world(shown)), shown.data
    scan.omomi.edits[0].strength = 3.0
    settle()
    (shown,) = previews()
    assert np.ptp(world(shown)) > first and shown.data is mesh and np.array_equal(key(scan), rest(scan))
    scan.omomi.edits[0].strength = 0.0
    settle()
    assert previews() == []


def test_undo_takes_a_preview_along(fake: Any, scan: Any, settle: Any) -> None:
    bpy.context.scene.omomi.result = "NEW"
    bpy.ops.ed.undo_push(message="start")
    scan.omomi.edits[0].strength = 1.0
    settle()
    bpy.ops.ed.undo_push(message="strength")
    bpy.ops.ed.undo()
    settle()
    assert previews() == []
    bpy.ops.ed.redo()
    settle()
    assert bpy.data.objects["owl"].omomi.edits[0].strength == 1 and len(previews()) <= 1


def test_apply_ends_the_preview(fake: Any, scan: Any, settle: Any) -> None:
    bpy.context.scene.omomi.result = "NEW"
    scan.omomi.edits[0].strength = 1.0
    settle()
    bpy.ops.omomi.apply()
    settle()
    assert previews() == [] and "owl.edit" in bpy.data.objects


def test_a_run_has_the_backend_for_itself(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    fake.slow.add("PoseRequest")
    scan.omomi.edits[0].strength = 0.5
    for _ in range(10):
        addon.live.pump()
    run = addon.fits.FitRun(fake, [scan], addon.fits.FitSettings(), stream=False)
    addon.fits.set_current(run)
    assert addon.live.pump() and fake.cancelled
    addon.fits.set_current(None)
    fake.slow.clear()
    settle()
    assert length(scan) == pytest.approx(0.05, abs=1e-6)


def test_edit_mode_is_left_alone(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    scan.omomi.edits[0].strength = 0.5
    settle()
    before = key(scan)
    bpy.ops.object.mode_set(mode="EDIT")
    scan.omomi.edits[0].strength = 0.7
    settle()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert "Edit Mode" in addon.live.error() and np.array_equal(key(scan), before)


def test_loading_a_file_drops_everything(fake: Any, addon: Any, scan: Any) -> None:
    fake.slow.add("StackRequest")
    scan.omomi.edits[0].strength = 0.5
    for _ in range(5):
        addon.live.pump()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert not addon.live.pump() and not bpy.data.objects and fake.cancelled


def test_steps_of_a_slider_pose_the_stack_that_is_there(fake: Any, make: Callable[..., Any], settle: Any) -> None:
    """How long a step takes is measured by `bench latency`."""
    make("ball")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.1)
    settle()
    for strength in np.linspace(0.2, 1, 9):
        bpy.context.active_object.omomi.edits[0].strength = strength
        settle()
    assert fake.kinds["StackRequest"] == 1 and fake.kinds["PoseRequest"] >= 9
