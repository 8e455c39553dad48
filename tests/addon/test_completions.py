"""Other completions of a fit: made, looked at, one picked; and what must never happen to the fit and its scan."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window

bpy = pytest.importorskip("bpy")


def positions(obj: Any) -> np.ndarray:
    return np.array([v.co for v in obj.data.vertices])


def names() -> list[str]:
    return sorted(obj.name for obj in bpy.data.objects)


@pytest.fixture
def fitted(fake: Any, make: Callable[..., Any]) -> Any:
    """The scan owl, fitted; the fit is active."""
    scan = make("owl")
    scan.data.materials.append(bpy.data.materials.new("fur"))
    bpy.ops.omomi.fit(result="NEW", level="1", fill=0.5)
    return bpy.data.objects["owl.fit"]


def test_completions_lie_over_the_fit_and_only_the_first_is_shown(fitted: Any, fake: Any, world: Any) -> None:
    before = positions(fitted)
    assert bpy.ops.omomi.complete_otherwise(count=3) == {"FINISHED"}
    made = [bpy.data.objects[f"owl.completion.{number}"] for number in (2, 3, 4)]
    assert names() == ["owl", "owl.completion.2", "owl.completion.3", "owl.completion.4", "owl.fit"]
    (home,) = [c for c in bpy.data.collections if c.name == "Omomi completions"]
    assert all(list(obj.users_collection) == [home] for obj in made)
    assert [obj.hide_get() for obj in (fitted, *made)] == [True, False, True, True]
    assert [obj.hide_render for obj in (fitted, *made)] == [True, False, True, True]
    assert bpy.context.view_layer.objects.active is made[0]
    assert np.array_equal(positions(fitted), before) and not np.array_equal(positions(made[0]), positions(made[1]))
    centre = (world(made[2]).min(0) + world(made[2]).max(0)) / 2
    assert np.allclose(centre, 0.5, atol=0.1) and [m.name for m in made[0].data.materials] == ["fur"]
    assert "omomi_sigma" in made[0].data.attributes


def test_the_scan_is_fitted_as_it_was_but_for_the_variation(fitted: Any, fake: Any) -> None:
    """Whatever the settings of the scene are by now."""
    bpy.context.scene.omomi.symmetry = False
    bpy.ops.omomi.complete_otherwise(count=2)
    first, *others = fake.asked("FitRequest")
    assert (first["options"].level, first["options"].fill, first["options"].variation) == (1, 0.5, 0)
    for variation, fields in enumerate(others, 1):
        assert fields["options"] == replace(first["options"], variation=variation)
        assert np.array_equal(fields["points"], first["points"]) and np.array_equal(fields["faces"], first["faces"])
        assert fields["name"] == "owl"
    # The backend need not keep what is only to be looked at.
    assert len(fake.forgotten) == 2


def test_the_modifiers_and_the_place_of_a_hidden_scan_count(fake: Any, make: Callable[..., Any], world: Any) -> None:
    parent = bpy.data.objects.new("stand", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.location = (0, 0, 9)
    scan = make("owl")
    scan.parent, scan.scale = parent, (2, 2, 2)
    scan.modifiers.new("array", "ARRAY").count = 3
    bpy.context.view_layer.update()
    bpy.ops.omomi.fit(result="NEW")
    assert scan.hide_get()
    bpy.ops.omomi.complete_otherwise(count=2)
    first, second, _ = fake.asked("FitRequest")
    assert len(first["points"]) == 24 and np.array_equal(second["points"], first["points"])
    made = bpy.data.objects["owl.completion.2"]
    assert made.parent is parent and not made.modifiers
    assert np.allclose((world(made).min(0) + world(made).max(0)) / 2, (3, 1, 10), atol=0.2)


def test_a_pick_gives_the_fit_the_mesh_and_clears_the_rest(fitted: Any) -> None:
    scan = bpy.data.objects["owl"]
    old, before = fitted.data, positions(fitted)
    bpy.ops.omomi.complete_otherwise(count=3)
    wanted = positions(bpy.data.objects["owl.completion.3"])
    meshes = len(bpy.data.meshes)
    assert bpy.ops.omomi.pick_completion(name="owl.completion.3") == {"FINISHED"}
    assert names() == ["owl", "owl.fit"] and not [c for c in bpy.data.collections if "ompletion" in c.name]
    assert np.array_equal(positions(fitted), wanted) and not fitted.hide_get() and not fitted.hide_render
    assert bpy.context.view_layer.objects.active is fitted and scan.hide_get() and len(scan.data.vertices) == 8
    # What the fit was stays in the file.
    assert old.use_fake_user and old.name == "owl.fit.original" and np.allclose([v.co for v in old.vertices], before)
    assert len(bpy.data.meshes) == meshes - 2


def test_the_active_completion_is_picked_and_the_fit_itself_can_be_kept(fitted: Any) -> None:
    before = positions(fitted)
    bpy.ops.omomi.complete_otherwise(count=2)
    bpy.ops.omomi.pick_completion(name="owl.fit")
    assert names() == ["owl", "owl.fit"] and np.array_equal(positions(fitted), before)
    bpy.ops.omomi.complete_otherwise(count=2)
    bpy.ops.omomi.pick_completion()
    assert names() == ["owl", "owl.fit"] and not np.array_equal(positions(fitted), before)
    with pytest.raises(RuntimeError, match="no other completions to choose from"):
        bpy.ops.omomi.pick_completion()


def test_showing_one_hides_the_others(fitted: Any) -> None:
    bpy.ops.omomi.complete_otherwise(count=2)
    for name in ("owl.completion.3", "owl.fit", "owl.completion.2"):
        bpy.ops.omomi.show_completion(name=name)
        shown = [obj.name for obj in bpy.data.objects if not obj.hide_get()]
        assert shown == [name] and bpy.context.view_layer.objects.active.name == name


def test_asking_again_replaces_what_was_there_to_choose_from(fitted: Any) -> None:
    for count in (4, 2):
        bpy.ops.omomi.complete_otherwise(count=count)
    assert names() == ["owl", "owl.completion.2", "owl.completion.3", "owl.fit"]
    # Also from the scan.
    scan = bpy.data.objects["owl"]
    scan.hide_set(False)
    bpy.context.view_layer.objects.active = scan
    bpy.ops.omomi.complete_otherwise(count=3)
    assert len(names()) == 5


def test_one_that_is_moved_to_another_collection_is_the_artists_own(fitted: Any) -> None:
    bpy.ops.omomi.complete_otherwise(count=2)
    mine = bpy.data.objects["owl.completion.3"]
    mine.users_collection[0].objects.unlink(mine)
    bpy.context.scene.collection.objects.link(mine)
    with pytest.raises(RuntimeError, match="is an object of its own"):
        bpy.ops.omomi.pick_completion(name="owl.completion.3")
    bpy.ops.omomi.pick_completion(name="owl.completion.2")
    assert names() == ["owl", "owl.completion.3", "owl.fit"]


def test_a_collection_out_of_the_view_is_no_trap(fitted: Any) -> None:
    bpy.ops.omomi.complete_otherwise(count=2)
    bpy.context.view_layer.layer_collection.children["Omomi completions"].exclude = True
    bpy.ops.omomi.show_completion(name="owl.completion.3")
    assert bpy.ops.omomi.pick_completion(name="owl.completion.3") == {"FINISHED"}
    assert not fitted.hide_get()


def test_making_and_picking_are_one_undo_step_each(fitted: Any) -> None:
    bpy.ops.ed.undo_push(message="fitted")
    before = positions(fitted)
    bpy.ops.omomi.complete_otherwise("EXEC_DEFAULT", True, count=2)
    bpy.ops.omomi.pick_completion("EXEC_DEFAULT", True, name="owl.completion.3")
    picked = positions(bpy.data.objects["owl.fit"])
    bpy.ops.ed.undo()
    assert len(names()) == 4 and np.array_equal(positions(bpy.data.objects["owl.fit"]), before)
    bpy.ops.ed.undo()
    assert names() == ["owl", "owl.fit"] and not bpy.data.objects["owl.fit"].hide_get()
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    assert names() == ["owl", "owl.fit"] and np.array_equal(positions(bpy.data.objects["owl.fit"]), picked)


def test_a_scan_that_was_replaced_by_its_fit_can_be_completed_otherwise(fake: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    scan.modifiers.new("array", "ARRAY").count = 2
    scan.modifiers.new("asleep", "ARRAY").show_viewport = False
    bpy.ops.omomi.fit(result="REPLACE")
    assert bpy.ops.omomi.complete_otherwise(count=2) == {"FINISHED"}
    first, second, _ = fake.asked("FitRequest")
    assert len(first["points"]) == 16 and np.array_equal(second["points"], first["points"])
    assert not any(modifier.show_viewport for modifier in scan.modifiers)
    bpy.ops.omomi.pick_completion(name="owl.completion.2")
    assert names() == ["owl"] and len(bpy.data.meshes["owl.original"].vertices) == 8


def test_edits_of_the_fit_go_on_with_the_picked_mesh(fitted: Any) -> None:
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.complete_otherwise(count=2)
    assert not bpy.data.objects["owl.completion.2"].omomi.edits
    bpy.ops.omomi.pick_completion()
    assert [(edit.name, edit.strength) for edit in fitted.omomi.edits] == [("thickness", 0.0)]
    fitted.omomi.edits[0].strength = 0.25
    assert bpy.ops.omomi.apply() == {"FINISHED"} and fitted.data.shape_keys is not None


def test_what_was_not_fitted_is_refused(fake: Any, make: Callable[..., Any], scene: Any) -> None:
    with pytest.raises(RuntimeError, match="Make a fitted scan active"):
        bpy.ops.omomi.complete_otherwise()
    scan = make("owl")
    with pytest.raises(RuntimeError, match="owl has not been fitted; press Fit first"):
        bpy.ops.omomi.complete_otherwise()
    # An edit is no fit any more.
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.fit(result="NEW")
    bpy.context.view_layer.objects.active = bpy.data.objects["owl.fit"]
    bpy.data.objects["owl.fit"].omomi.edits[0].strength = 1.0
    bpy.ops.omomi.apply(result="NEW")
    assert bpy.context.view_layer.objects.active.name == "owl.fit.edit" and scan.hide_get()
    with pytest.raises(RuntimeError, match=r"owl\.fit\.edit has not been fitted"):
        bpy.ops.omomi.complete_otherwise()


def test_a_fit_in_another_scene_is_not_said_to_be_deleted(fitted: Any) -> None:
    bpy.ops.omomi.complete_otherwise(count=2)
    bpy.context.window.scene = other = bpy.data.scenes.new("other")
    mine = bpy.data.objects["owl.completion.2"]
    other.collection.objects.link(mine)
    bpy.context.view_layer.objects.active = mine
    with pytest.raises(RuntimeError, match=r"owl\.fit is not in this view layer"):
        bpy.ops.omomi.complete_otherwise()


def test_a_fit_that_was_deleted_is_said(fitted: Any) -> None:
    bpy.ops.omomi.complete_otherwise(count=2)
    fitted.users_collection[0].objects.unlink(fitted)
    with pytest.raises(RuntimeError, match=r"owl\.fit was deleted"):
        bpy.ops.omomi.pick_completion(name="owl.completion.2")
    with pytest.raises(RuntimeError, match=r"owl\.fit was deleted"):
        bpy.ops.omomi.complete_otherwise()


@pytest.mark.parametrize("code", ["no_surface", "cancelled", "backend_died", "out_of_memory"])
def test_a_failure_leaves_everything_as_it_was(fitted: Any, fake: Any, addon: Any, code: str) -> None:
    errors = addon.errors
    fake.failures["FitRequest"] = [errors.OmomiError(code, "It did not work.")]
    with pytest.raises(RuntimeError, match=r"It did not work\."):
        bpy.ops.omomi.complete_otherwise()
    assert names() == ["owl", "owl.fit"] and not fitted.hide_get()


@pytest.fixture
def running(fitted: Any, fake: Any, addon: Any, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """The operator in a window, while the backend is at the second completion."""
    module = importlib.import_module(f"{addon.name}.operators.fit")
    stand_in = SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types)
    monkeypatch.setattr(importlib.import_module(f"{addon.name}.operators.modal"), "bpy", stand_in)
    operator = Operator(module.OMOMI_OT_complete_otherwise, Window(), count=2)
    assert operator.start() == {"RUNNING_MODAL"}
    operator.run(lambda _: len(fake.asked("FitRequest")) == 3)
    fake.slow.add("FitRequest")
    return operator


def test_a_completion_streams_and_its_preview_goes(running: Operator, fake: Any) -> None:
    assert [obj for obj in bpy.data.objects if "omomi_preview" in obj]
    fake.slow.clear()
    assert running.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    assert names() == ["owl", "owl.completion.2", "owl.completion.3", "owl.fit"] and running.window.timers == []


def test_escape_drops_all_of_them(running: Operator, addon: Any) -> None:
    assert running.event("ESC", "PRESS") == {"CANCELLED"}
    assert names() == ["owl", "owl.fit"] and addon.fits.current() is None and running.window.status is None
    assert not bpy.data.objects["owl.fit"].hide_get()


@pytest.mark.parametrize("how", ["deleted", "edit mode", "another file", "undone"])
def test_what_happens_to_the_fit_meanwhile_is_safe(running: Operator, fake: Any, fitted: Any, how: str) -> None:
    if how == "deleted":
        bpy.data.objects.remove(fitted)
    elif how == "edit mode":
        bpy.ops.object.mode_set(mode="EDIT")
    elif how == "another file":
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    else:
        bpy.ops.ed.undo_push(message="one")
        bpy.ops.ed.undo_push(message="two")
        bpy.ops.ed.undo()
    fake.slow.clear()
    answer = running.run(lambda answer: answer != {"RUNNING_MODAL"})
    if how == "edit mode":
        bpy.ops.object.mode_set(mode="OBJECT")
    if how == "undone":
        assert answer == {"FINISHED"} and len(names()) == 4
    else:
        assert answer == {"CANCELLED"} and not [name for name in names() if "completion" in name]
    assert running.window.timers == []


def test_a_saved_file_remembers_where_a_fit_came_from(fitted: Any, tmp_path: Path) -> None:
    bpy.ops.omomi.complete_otherwise(count=2)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "owl é.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "owl é.blend"))
    assert bpy.ops.omomi.pick_completion(name="owl.completion.3") == {"FINISHED"}
    assert bpy.ops.omomi.complete_otherwise(count=2) == {"FINISHED"}


def test_symmetry_and_family_reach_the_fit(
    fake: Any, addon: Any, make: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = addon.preferences.library_folder()
    folder.mkdir()
    (folder / "skulls.profile").write_bytes(b"")
    make("owl")
    bpy.context.scene.omomi.profile = "skulls"
    bpy.ops.omomi.fit(symmetry=False)
    assert "what was not seen follows the family's profile" in capfd.readouterr().out
    bpy.ops.omomi.complete_otherwise(count=2)
    for fields in fake.asked("FitRequest"):
        assert fields["profile"] == str(folder / "skulls.profile") and fields["options"].symmetry is False
    bpy.ops.object.select_all(action="DESELECT")
    make("crow")
    bpy.ops.omomi.fit(profile="")
    assert fake.asked("FitRequest")[-1]["profile"] == "" and fake.asked("FitRequest")[-1]["options"].symmetry is True
    bpy.ops.omomi.fit(base=False, keep_thin=True, thickness=0.5)
    options = fake.asked("FitRequest")[-1]["options"]
    assert options.base is False and options.keep_thin is True and options.thickness == 0.5
    assert options.register_views is False and fake.asked("FitRequest")[-1]["view"] is None


@pytest.mark.parametrize("kind", ["INT", "FLOAT"])
def test_the_numbers_of_the_views_go_along(fake: Any, make: Callable[..., Any], kind: str) -> None:
    mesh = make("owl").data
    numbers = [3 * (number % 2) for number in range(len(mesh.vertices))]
    mesh.attributes.new("view", kind, "POINT").data.foreach_set("value", numbers)
    bpy.ops.omomi.fit(register_views=True)
    asked = fake.asked("FitRequest")[-1]
    assert asked["options"].register_views is True and asked["view"].tolist() == numbers


def test_a_family_that_is_gone_is_said_before_anything_is_asked(fake: Any, make: Callable[..., Any]) -> None:
    make("owl")
    bpy.context.scene.omomi.profile = "skulls"
    for operator in (bpy.ops.omomi.fit, bpy.ops.omomi.check):
        with pytest.raises(RuntimeError, match="The library has no 'skulls'"):
            operator()
    assert not fake.requests


def test_another_family_is_another_fit(fake: Any, addon: Any, make: Callable[..., Any]) -> None:
    folder = addon.preferences.library_folder()
    folder.mkdir()
    (folder / "skulls.profile").write_bytes(b"")
    make("owl")
    for profile, fits in (("", 1), ("", 1), ("skulls", 2), ("skulls", 2), ("", 3)):
        bpy.context.scene.omomi.profile = profile
        bpy.ops.omomi.check()
        assert fake.kinds["FitRequest"] == fits
