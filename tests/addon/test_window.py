"""What only a window does: the modal operator and the panels, driven with stand-ins for window and layout."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.addon.stand_ins import Layout, Operator, Window, draw, previews

bpy = pytest.importorskip("bpy")


@pytest.fixture
def operator(toy: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Operator]:
    module = importlib.import_module(f"{toy.name}.operators.fit")
    running = importlib.import_module(f"{toy.name}.operators.modal")
    # The real bpy, but with a window.
    monkeypatch.setattr(running, "bpy", SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types))
    return lambda **given: Operator(module.OMOMI_OT_fit, Window(), **given)


def test_fit_returns_at_once_and_ends_by_itself(operator: Any, make: Any) -> None:
    make("owl")
    fit = operator()
    assert fit.start() == {"RUNNING_MODAL"}
    assert "owl.fit" not in bpy.data.objects
    assert fit.window.handlers == 1 and len(fit.window.timers) == 1
    assert fit.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    assert "owl.fit" in bpy.data.objects and fit.window.timers == [] and fit.window.status is None
    assert fit.reports[-1][0] == {"INFO"} and "owl.fit" in fit.reports[-1][1]


def test_other_events_pass_through_and_the_status_bar_tells_progress(operator: Any, make: Any) -> None:
    make("slow")
    fit = operator()
    fit.start()
    fit.run(lambda _: "step" in (fit.window.status or ""))
    assert "%" in fit.window.status and "Esc cancels" in fit.window.status
    assert fit.event("MOUSEMOVE") == {"PASS_THROUGH"} and fit.event("ESC", "RELEASE") == {"PASS_THROUGH"}
    fit.cancel(fit.context)


def test_escape_cancels_and_leaves_the_scene_as_it_was(operator: Any, toy: Any, make: Any) -> None:
    scan = make("slow")
    fit = operator()
    fit.start()
    fit.run(lambda _: len(bpy.data.objects) > 1)
    assert fit.event("ESC", "PRESS") == {"CANCELLED"}
    assert list(bpy.data.objects) == [scan] and not scan.hide_get()
    assert fit.window.timers == [] and fit.window.status is None and toy.fits.current() is None


def test_loading_a_file_ends_the_operator(operator: Any, make: Any) -> None:
    make("slow")
    fit = operator()
    fit.start()
    fit.event("TIMER")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert fit.event("TIMER") == {"CANCELLED"}
    assert fit.window.timers == [] and len(bpy.data.objects) == 0


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_dead_backend_ends_the_operator_with_a_sentence(operator: Any, toy: Any, make: Any) -> None:
    make("slow")
    fit = operator()
    fit.start()
    fit.run(lambda _: len(bpy.data.objects) > 1)
    os.kill(toy.process.running().pid, signal.SIGKILL)
    assert fit.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"CANCELLED"}
    kind, text = fit.reports[-1]
    assert kind == {"ERROR"} and "Press Fit to try again" in text and fit.window.timers == []


def test_an_unforeseen_error_in_a_tick_leaves_no_timer_behind(
    operator: Any, toy: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("slow")
    fit = operator()
    fit.start()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(toy.fits.preview, "show", broken)
    with pytest.raises(ZeroDivisionError):
        fit.run(lambda _: False)
    assert fit.window.timers == [] and toy.fits.current() is None


def test_a_backend_that_cannot_start_is_reported_without_a_traceback(
    operator: Any, toy: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy.process, "command", lambda: [sys.executable, "-c", "raise SystemExit(3)"])
    make("owl")
    fit = operator()
    fit.start()
    assert fit.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"CANCELLED"}
    assert fit.reports[-1][0] == {"ERROR"} and fit.window.timers == []


@pytest.fixture
def applying(fake: Any, addon: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Operator]:
    """A scan with one edit, and the Apply operator in a window. The backend does not answer the last request."""
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    running = importlib.import_module(f"{addon.name}.operators.modal")
    module = importlib.import_module(f"{addon.name}.operators.edits")
    monkeypatch.setattr(running, "bpy", SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types))
    fake.slow.add("ApplyRequest")
    bpy.ops.ed.undo_push(message="start")
    return scan, Operator(module.OMOMI_OT_apply, Window())


def moved(obj: Any) -> bool:
    keys = obj.data.shape_keys
    return [tuple(p.co) for p in keys.key_blocks["Omomi"].data] != [tuple(p.co) for p in keys.reference_key.data]


def test_apply_runs_beside_the_artist_and_ends_by_itself(applying: Any, fake: Any) -> None:
    scan, apply = applying
    assert apply.start() == {"RUNNING_MODAL"}
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    assert "Esc cancels" in apply.window.status and not moved(scan)
    fake.slow.clear()
    assert apply.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    assert moved(scan) and apply.window.timers == [] and apply.window.status is None


def test_escape_in_the_middle_of_apply_changes_nothing(applying: Any, fake: Any, addon: Any) -> None:
    scan, apply = applying
    apply.start()
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    assert apply.event("ESC", "PRESS") == {"CANCELLED"}
    assert not moved(scan) and apply.window.timers == [] and addon.fits.current() is None
    assert fake.cancelled == [fake.requests[-1][1]]


def test_a_backend_killed_in_the_middle_of_apply_changes_nothing(applying: Any, fake: Any) -> None:
    scan, apply = applying
    apply.start()
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    fake.die()
    assert apply.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"CANCELLED"}
    assert apply.reports[-1][0] == {"ERROR"} and "Press Apply to try again" in apply.reports[-1][1] and not moved(scan)


@pytest.mark.parametrize("how", ["deleted", "undone", "edited", "edit mode", "another file"])
def test_what_happens_to_the_scan_in_the_middle_of_apply_is_safe(applying: Any, fake: Any, how: str) -> None:
    scan, apply = applying
    apply.start()
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    if how == "deleted":
        bpy.data.objects.remove(scan)
    elif how == "undone":
        bpy.ops.ed.undo_push(message="now")
        bpy.ops.ed.undo()
    elif how == "edited":
        scan.shape_key_clear()
        scan.data.vertices.add(1)
    elif how == "edit mode":
        bpy.ops.object.mode_set(mode="EDIT")
    else:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    fake.slow.clear()
    answer = apply.run(lambda answer: answer != {"RUNNING_MODAL"})
    if how == "edit mode":
        bpy.ops.object.mode_set(mode="OBJECT")
        assert not moved(scan)
    if how in ("deleted", "edited", "edit mode"):
        assert answer == {"CANCELLED"} and apply.reports[-1][0] == {"ERROR"}
    assert apply.window.timers == []


def test_meshes_on_the_way_are_a_preview_that_gives_way_to_the_final_one(applying: Any, fake: Any) -> None:
    scan, apply = applying
    scan.location = (10, 0, 0)
    bpy.context.view_layer.update()
    bpy.context.scene.omomi.result = "NEW"
    apply.start()
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    for rings in (3, 5):
        fake.send_mesh(rings)
        apply.event("TIMER")
        (shown,) = previews()
        assert len(shown.data.vertices) == 2 * rings * rings + 2
        assert shown.name.startswith("owl") and "owl.edit" not in bpy.data.objects and not scan.hide_get()
    assert 10 < sum(v.co.x for v in shown.data.vertices) / len(shown.data.vertices) < 11
    fake.slow.clear()
    assert apply.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    assert previews() == [] and len(bpy.data.objects["owl.edit"].data.vertices) == 2 * 8 * 8 + 2


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
def test_escape_while_meshes_come_leaves_the_scene_as_it_was(
    applying: Any, fake: Any, addon: Any, result: str
) -> None:
    scan, apply = applying
    mesh = scan.data
    bpy.context.scene.omomi.result = result
    apply.start()
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    fake.send_mesh(4)
    apply.event("TIMER")
    assert previews()
    # the final one may have come when the artist gives up
    fake.send_mesh(8, final=True)
    apply.event("ESC", "PRESS")
    assert list(bpy.data.objects) == [scan] and scan.data is mesh and not scan.hide_get() and not moved(scan)
    assert list(bpy.data.meshes) == [mesh] and scan.omomi.edits[0].strength == 0.5
    assert apply.window.timers == [] and addon.fits.current() is None


def test_a_job_that_ends_without_its_final_mesh_has_no_result(applying: Any, fake: Any) -> None:
    scan, apply = applying
    bpy.context.scene.omomi.result = "NEW"
    apply.start()
    apply.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    fake.send_mesh(4)
    fake.send_done()
    assert apply.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"CANCELLED"}
    assert "sent no mesh" in apply.reports[-1][1] and list(bpy.data.objects) == [scan]


def test_apply_at_rest_needs_no_backend(applying: Any, fake: Any) -> None:
    scan, apply = applying
    scan.omomi.edits[0].strength = 0.0
    assert apply.start() == {"FINISHED"} and not fake.requests and not moved(scan)


def test_scan_panel_tells_vertices_holes_and_device_without_starting_anything(toy: Any, make: Any) -> None:
    grid = [(x, y, 0) for x in range(3) for y in range(3)]
    make("cloth", grid, [(0, 1, 4, 3), (1, 2, 5, 4), (3, 4, 7, 6), (4, 5, 8, 7)])
    layout = draw("OMOMI_PT_scan")
    assert "cloth: 9 vertices, open (1 border)" in layout.texts()
    assert "starts with the first fit" in layout.texts()
    assert "A fit: about 29,000 faces at 128³" in layout.texts()
    assert layout.operators() == ["omomi.fit"] and toy.process.running() is None


def test_scan_panel_shows_progress_and_cancel_while_a_fit_runs(operator: Any, toy: Any, make: Any) -> None:
    make("slow")
    fit = operator()
    fit.start()
    fit.run(lambda _: "step" in (fit.window.status or ""))
    layout = draw("OMOMI_PT_scan")
    assert layout.operators() == ["omomi.cancel"] and "step" in layout.texts() and "Runs on the CPU" in layout.texts()
    assert any(name == "progress" and 0 <= options["factor"] <= 1 for name, _, options in layout.drawn)
    fit.cancel(fit.context)


def test_every_property_that_a_panel_draws_exists(toy: Any, make: Any) -> None:
    make("owl")
    for panel in ("OMOMI_PT_scan", "OMOMI_PT_options", "OMOMI_PT_result"):
        for name, args, _ in draw(panel).drawn:
            if name == "prop":
                assert hasattr(args[0], args[1])
    layout = Layout()
    preferences = toy.preferences
    stand_in = SimpleNamespace(layout=layout, interpreter="", log_file="")
    preferences.OmomiPreferences.draw(stand_in, bpy.context)
    assert all(hasattr(preferences.get(), args[1]) for name, args, _ in layout.drawn if name == "prop")
    assert {name.removeprefix("omomi.") for name in layout.operators()} <= set(dir(bpy.ops.omomi))
