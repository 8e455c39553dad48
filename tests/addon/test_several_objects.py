"""Edits, presets and Apply on every selected mesh, with the stack of the active one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import Operator, Window, key, previews, rest

bpy = pytest.importorskip("bpy")

NAMES = ("owl", "cat", "dog")


@pytest.fixture
def flock(fake: Any, make: Callable[..., Any]) -> list[Any]:
    """Three selected meshes, the last one active, and a lamp."""
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    lamp.select_set(True)
    return [make(name) for name in NAMES]


def add(name: str = "thickness", strength: float = 0.5) -> Any:
    bpy.ops.omomi.add_edit(kind="attribute", name=name, strength=strength)
    return bpy.context.active_object.omomi.edits[-1]


def stack(obj: Any) -> list[tuple[str, float]]:
    return [(edit.name, edit.strength) for edit in obj.omomi.edits]


def length(obj: Any) -> float:
    """How far the vertices are from the basis; the fake backend moves all by 0.1 at strength 1 of a thickness."""
    return float(np.linalg.norm(key(obj) - rest(obj), axis=1).mean())


def test_an_edit_that_is_added_lies_on_every_selected_mesh_and_is_shown_there(
    fake: Any, flock: list[Any], settle: Any
) -> None:
    add()
    settle()
    for obj in flock:
        assert stack(obj) == [("thickness", 0.5)] and length(obj) == pytest.approx(0.05, abs=1e-6)
    assert not bpy.data.objects["lamp"].omomi.edits
    add("detail", 0.25)
    bpy.ops.omomi.move_edit(direction="UP")
    assert all(stack(obj) == [("detail", 0.25), ("thickness", 0.5)] for obj in flock)
    bpy.ops.omomi.remove_edit()
    assert all(stack(obj) == [("thickness", 0.5)] for obj in flock)
    bpy.ops.omomi.reset_edits()
    assert all(stack(obj) == [("thickness", 0)] and np.array_equal(key(obj), rest(obj)) for obj in flock)


def test_one_that_cannot_be_shown_does_not_keep_the_others_from_it(
    fake: Any, addon: Any, flock: list[Any], settle: Any
) -> None:
    fake.failures["FitRequest"] = [addon.errors.OmomiError("no_surface", "Nothing is there.")]
    add()
    settle()
    assert sorted(round(length(obj), 6) for obj in flock) == [0, 0.05, 0.05]
    assert addon.live.error().startswith("Nothing is there.")


def test_a_preset_is_loaded_onto_every_selected_mesh(fake: Any, flock: list[Any]) -> None:
    bpy.ops.omomi.load_preset(name="Smoother")
    assert stack(flock[-1]) and all(stack(obj) == stack(flock[-1]) for obj in flock)


def test_what_is_not_selected_is_left_alone(fake: Any, flock: list[Any]) -> None:
    flock[0].select_set(False)
    add()
    bpy.ops.omomi.apply()
    assert not flock[0].omomi.edits and length(flock[1]) > 0
    # An active object that is not selected stands alone.
    flock[2].select_set(False)
    flock[2].omomi.edits[0].strength = 1.0
    bpy.ops.omomi.apply()
    assert stack(flock[1]) == [("thickness", 0.5)] and length(flock[2]) == pytest.approx(0.1, abs=1e-6)


def test_apply_gives_every_selected_mesh_what_the_sliders_of_the_active_one_say(
    fake: Any, flock: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    add()
    # A slider moves the active object alone.
    flock[2].omomi.edits[0].strength = 1.0
    assert stack(flock[0]) == [("thickness", 0.5)]
    capfd.readouterr()
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    for obj in flock:
        assert stack(obj) == [("thickness", 1.0)] and length(obj) == pytest.approx(0.1, abs=1e-6)
        assert "100 % of the vertices moved" in obj.omomi.report
    told = capfd.readouterr().out
    assert told.count("Info:") == 1 and "owl, cat, dog: the edits are on 3 of 3 objects" in told


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
def test_new_meshes_of_all_are_one_undo_step_and_keep_every_original(
    fake: Any, flock: list[Any], result: str
) -> None:
    add()
    bpy.ops.ed.undo_push(message="before")
    before = sorted(obj.name for obj in bpy.data.objects)
    assert bpy.ops.omomi.apply("EXEC_DEFAULT", True, result=result) == {"FINISHED"}
    objects = bpy.data.objects
    for name in NAMES:
        made = objects[f"{name}.edit" if result == "NEW" else name]
        original = objects[name].data if result == "NEW" else bpy.data.meshes[f"{name}.original"]
        assert len(made.data.vertices) > 8 and made.select_get() and stack(made) == [("thickness", 0)]
        assert len(original.vertices) == 8 and objects[name].hide_get() == (result == "NEW")
    assert bpy.context.view_layer.objects.active.name.startswith("dog")
    bpy.ops.ed.undo()
    objects = bpy.data.objects
    assert sorted(obj.name for obj in objects) == before
    for name in NAMES:
        assert len(objects[name].data.vertices) == 8 and stack(objects[name]) == [("thickness", 0.5)]


def test_one_that_fails_is_named_with_its_sentence_and_the_rest_go_on(
    fake: Any, addon: Any, flock: list[Any], make: Callable[..., Any]
) -> None:
    cloud = make("cloud", np.random.default_rng(0).normal(size=(50, 3)))
    bpy.context.view_layer.objects.active = flock[2]
    add()
    fake.failures["FitRequest"] = [addon.errors.OmomiError("no_surface", "Nothing is there.")]
    with pytest.raises(RuntimeError) as raised:
        bpy.ops.omomi.apply()
    assert "cloud has no faces" in str(raised.value)
    named = [obj for obj in flock if f"{obj.name}: Nothing is there. Raise Fill" in str(raised.value)]
    assert len(named) == 1 and not cloud.data.shape_keys
    assert [length(obj) > 0 for obj in flock] == [obj not in named for obj in flock]


def test_a_mask_that_an_object_does_not_have_is_said(fake: Any, flock: list[Any]) -> None:
    flock[2].vertex_groups.new(name="rim").add([0, 1], 1.0, "REPLACE")
    add().mask = "rim"
    bpy.ops.omomi.apply()
    sentence = "There is no vertex group 'rim', so the edits that it masks do nothing."
    assert [sentence in obj.omomi.report for obj in flock] == [True, True, False]
    assert length(flock[2]) > 0 and np.array_equal(key(flock[0]), rest(flock[0]))


def test_what_was_measured_of_the_same_edit_stays(fake: Any, flock: list[Any]) -> None:
    add()
    bpy.context.view_layer.objects.active = flock[0]
    bpy.ops.omomi.sweep()
    bpy.context.view_layer.objects.active = flock[2]
    flock[2].omomi.edits[0].strength = 0.75
    bpy.ops.omomi.apply()
    edit = flock[0].omomi.edits[0]
    assert edit.safe and edit.safe_high == 1.25 and edit.strength == 0.75
    # What the backend expects of it is known of each.
    assert [tuple(obj.omomi.edits[0].foretold) for obj in flock] == [(-0.75, 1.5)] * 3


@pytest.fixture
def applying(fake: Any, addon: Any, flock: list[Any], monkeypatch: pytest.MonkeyPatch) -> Operator:
    """The Apply operator in a window, with a new mesh as the result. The backend answers when it is told to."""
    running = importlib.import_module(f"{addon.name}.operators.modal")
    module = importlib.import_module(f"{addon.name}.operators.edits")
    monkeypatch.setattr(running, "bpy", SimpleNamespace(app=SimpleNamespace(background=False), types=bpy.types))
    add()
    bpy.context.scene.omomi.result = "NEW"
    fake.slow.add("ApplyRequest")
    return Operator(module.OMOMI_OT_apply, Window())


def test_one_bar_runs_over_all_and_never_goes_back(applying: Any, fake: Any, addon: Any) -> None:
    seen = []

    def step(_: Any) -> bool:
        run = addon.fits.current()
        if run is not None:
            seen.append((run.fraction, run.text))
            fake.report_progress()
        return run is None

    applying.start()
    applying.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    fake.slow.clear()
    applying.run(step)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and 0 < fractions[-1] <= 1
    texts = " ".join(text for _, text in seen)
    assert all(f"{name} ({number} of 3)" in texts for number, name in enumerate(NAMES, 1))


def test_escape_keeps_what_is_complete_and_drops_the_rest(applying: Any, fake: Any) -> None:
    applying.start()
    applying.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    fake.slow.clear()
    applying.run(lambda _: fake.kinds["TransferRequest"] == 1)
    fake.slow.add("ApplyRequest")
    applying.run(lambda _: fake.kinds["ApplyRequest"] == 2)
    fake.send_mesh(4)
    applying.event("TIMER")
    assert {obj["omomi_preview"] for obj in previews()} >= {str(bpy.data.objects["cat"].session_uid)}
    assert applying.event("ESC", "PRESS") == {"FINISHED"}
    assert previews() == [] and [f"{name}.edit" in bpy.data.objects for name in NAMES] == [True, False, False]
    assert applying.reports == [({"INFO"}, "owl.edit: the edits are on 1 of 3 objects")]


def test_a_slider_that_is_moved_meanwhile_changes_no_result(applying: Any, fake: Any, flock: list[Any]) -> None:
    applying.start()
    applying.run(lambda _: fake.kinds["ApplyRequest"] == 1)
    flock[2].omomi.edits[0].strength = 2.0
    bpy.data.objects.remove(flock[1])
    fake.slow.clear()
    assert applying.run(lambda answer: answer != {"RUNNING_MODAL"}) == {"FINISHED"}
    assert [fields["strengths"] for fields in fake.asked("ApplyRequest")] == [(0.5,)] * 2
    assert "cat was deleted" in applying.reports[-1][1] and "dog.edit" in bpy.data.objects


def test_what_fails_alike_for_several_objects_is_told_once_with_their_names(
    fake: Any, addon: Any, make: Callable[..., Any]
) -> None:
    for name in ("owl", "cat", "dog", "hen", "pig"):
        make(name)
    for name in ("owl", "cat", "dog", "hen", "pig"):
        bpy.data.objects[name].select_set(True)
    fake.failures["FitRequest"] = [addon.errors.OmomiError("no_surface", "Nothing is there.") for _ in range(4)]
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.omomi.fit()
    assert str(caught.value).count("Nothing is there") == 1 and "and 1 more: Nothing is there" in str(caught.value)
