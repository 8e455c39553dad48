"""Learning an edit from pairs of objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import draw, previews

bpy = pytest.importorskip("bpy")


def select(*objects: Any) -> None:
    """The last one becomes active."""
    for obj in bpy.context.scene.objects:
        obj.select_set(obj in objects)
    bpy.context.view_layer.objects.active = objects[-1]


@pytest.fixture
def pair(fake: Any, make: Callable[..., Any]) -> tuple[Any, Any]:
    before, after = make("jug"), make("jug.fixed")
    after.location = (5, 0, 0)
    after.data.vertices[0].co.z -= 1
    select(before, after)
    bpy.ops.omomi.add_pair()
    return before, after


def test_the_active_object_is_the_one_after_the_edit(pair: Any) -> None:
    (stored,) = bpy.context.scene.omomi.pairs
    assert stored.before is pair[0] and stored.after is pair[1]


def test_learning_writes_a_file_that_is_in_the_library_at_once(fake: Any, addon: Any, pair: Any) -> None:
    assert bpy.ops.omomi.learn(name="handle fix") == {"FINISHED"}
    folder = addon.preferences.library_folder()
    assert [path.stem for path in addon.library.listing(folder, ".omomi")] == ["handle fix"]
    (_, _, asked) = fake.requests[-1]
    assert asked["counts"] == (8, 12, 8, 12) and asked["points"].shape == (16, 3) and asked["faces"].max() == 7
    # The meshes lie in the same place, wherever the artist put the objects.
    assert np.array_equal(asked["points"][1:8], asked["points"][9:16])
    select(pair[0])
    assert bpy.ops.omomi.add_from_library(name="handle fix") == {"FINISHED"}
    edit = pair[0].omomi.edits[0]
    assert (edit.kind, edit.name) == ("learned", "handle fix")
    bpy.ops.omomi.apply()
    layers = fake.asked("StackRequest")[0]["layers"]
    assert layers[0].path == str(folder / "handle fix.omomi")


def test_an_object_marks_where_the_edit_is_on_the_mesh_before(fake: Any, make: Callable[..., Any], pair: Any) -> None:
    assert bpy.ops.omomi.learn(name="plain") == {"FINISHED"}
    assert fake.requests[-1][2].get("marks") is None
    mark = bpy.data.objects.new("here", None)
    bpy.context.scene.collection.objects.link(mark)
    pair[0].location, mark.location = (1, 0, 0), (1.5, 0.25, 0)
    bpy.context.view_layer.update()
    bpy.context.scene.omomi.pairs[0].mark = mark
    select(make("cup"), make("cup.fixed"))
    bpy.ops.omomi.add_pair()
    assert bpy.ops.omomi.learn(name="marked") == {"FINISHED"}
    first, second = fake.requests[-1][2]["marks"]
    assert first.tolist() == [0.5, 0.25, 0] and np.isnan(second).all()


def test_the_name_comes_from_the_scene_and_a_second_of_that_name_is_refused(addon: Any, pair: Any) -> None:
    bpy.context.scene.omomi.learn_name = "取っ手"
    bpy.ops.omomi.learn()
    with pytest.raises(RuntimeError, match="has a '取っ手' already"):
        bpy.ops.omomi.learn()
    assert bpy.ops.omomi.learn(overwrite=True) == {"FINISHED"}


@pytest.mark.parametrize("name", ["", "../up", "a/b", "con", "nul.txt", "x" * 65, "dot.", "a\tb", "  "])
def test_a_name_that_is_no_file_name_is_refused(fake: Any, pair: Any, name: str) -> None:
    bpy.context.scene.omomi.learn_name = name
    with pytest.raises(RuntimeError, match="is not a valid name"):
        bpy.ops.omomi.learn()
    assert not fake.requests


def test_warnings_of_the_backend_are_reported(pair: Any, capfd: pytest.CaptureFixture[str]) -> None:
    bpy.ops.omomi.learn(name="same")
    assert "show no change" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("delta", "The network makes its new meshes: the examples change the topology, or a movement does worse."),
        ("push", "It moves the surface and keeps its vertices."),
    ],
)
def test_the_report_says_what_makes_a_new_mesh(pair: Any, capfd: Any, name: str, sentence: str) -> None:
    bpy.ops.omomi.learn(name=name)
    assert f"Learned '{name}' from 1 pair. {sentence}" in capfd.readouterr().out


def test_the_panel_says_how_to_give_an_example_and_then_what_was_learned_of_it(
    fake: Any, addon: Any, make: Callable[..., Any]
) -> None:
    assert "Change a copy of a mesh" in draw("OMOMI_PT_learn").texts().replace("\n", " ")
    select(make("jug"), make("jug.fixed"))
    bpy.ops.omomi.add_pair()
    assert "Change a copy" not in draw("OMOMI_PT_learn").texts() and "Pair 1" in draw("OMOMI_PT_learn").texts()
    bpy.ops.omomi.learn(name="same")
    told = draw("OMOMI_PT_learn").texts().replace("\n", " ")
    assert "Learned 'same' from 1 pair" in told and "show no change" in told and "in the panel Library" in told


def learned(folder: Path, name: str) -> None:
    """Put an edit of the library on the active object."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.omomi").write_bytes(name.encode())
    bpy.ops.omomi.add_from_library(name=name)


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
def test_of_the_meshes_that_the_network_sends_the_final_one_is_the_result(
    fake: Any, folder: Path, make: Callable[..., Any], result: str
) -> None:
    make("owl")
    learned(folder, "delta")
    assert bpy.ops.omomi.apply(result=result) == {"FINISHED"}
    made = bpy.context.view_layer.objects.active
    assert len(made.data.vertices) == 2 * 8 * 8 + 2 and previews() == []


def test_an_edit_that_needs_a_new_mesh_says_so_where_the_result_is_a_shape_key(
    fake: Any, folder: Path, make: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    scan = make("owl")
    learned(folder, "delta")
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    sentence = "delta makes more than a movement of the surface: it needs a new mesh of the fit."
    assert sentence in scan.omomi.report and sentence in capfd.readouterr().out
    bpy.ops.omomi.apply(result="NEW")
    assert sentence not in capfd.readouterr().out


def test_what_is_missing_is_said(fake: Any, make: Callable[..., Any], scene: Any) -> None:
    with pytest.raises(RuntimeError, match="Add a pair first"):
        bpy.ops.omomi.learn()
    with pytest.raises(RuntimeError, match="Select the mesh before the edit, then"):
        bpy.ops.omomi.add_pair()
    for _ in range(5):
        select(make("a"), make("b"))
        bpy.ops.omomi.add_pair()
    with pytest.raises(RuntimeError, match="5 pairs are the most"):
        bpy.ops.omomi.add_pair()
    with pytest.raises(RuntimeError, match="no pair number 9"):
        bpy.ops.omomi.remove_pair(index=9)
    bpy.ops.omomi.remove_pair(index=0)
    assert len(bpy.context.scene.omomi.pairs) == 4


def test_a_deleted_mesh_of_a_pair_is_named(fake: Any, pair: Any) -> None:
    bpy.data.objects.remove(pair[1])
    with pytest.raises(RuntimeError, match="The mesh after of pair 1 was deleted"):
        bpy.ops.omomi.learn()


def test_a_mesh_without_faces_is_named(fake: Any, make: Callable[..., Any]) -> None:
    select(make("jug"), make("cloud", np.zeros((4, 3))))
    bpy.ops.omomi.add_pair()
    with pytest.raises(RuntimeError, match="cloud has no faces"):
        bpy.ops.omomi.learn()


@pytest.mark.parametrize("code", ["not_registered", "ambiguous_pose", "backend_died", "disk"])
def test_a_failure_leaves_no_file(fake: Any, addon: Any, pair: Any, code: str) -> None:
    errors = addon.errors
    fake.failures["LearnRequest"] = [errors.OmomiError(code, "It went wrong.")]
    with pytest.raises(RuntimeError, match="It went wrong"):
        bpy.ops.omomi.learn()
    assert addon.library.listing(addon.preferences.library_folder(), ".omomi") == []


def test_a_folder_that_cannot_be_made_is_said(addon: Any, pair: Any) -> None:
    addon.preferences.library_folder().write_text("a file in its place")
    with pytest.raises(RuntimeError, match="folder of the library cannot be made"):
        bpy.ops.omomi.learn()


def stepped(addon: Any, monkeypatch: pytest.MonkeyPatch, between: Callable[[Any], None]) -> None:
    """Have runs stop after every slice, to do something."""

    def run_to_end(run: Any) -> None:
        while not run.over:
            run.step()
            between(run)

    monkeypatch.setattr(addon.task, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(addon.fits, "run_to_end", run_to_end)


def test_the_pairs_are_read_in_slices_that_say_which_mesh(
    fake: Any, addon: Any, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    stepped(addon, monkeypatch, lambda run: told.append(run.text))
    assert bpy.ops.omomi.learn(name="sliced") == {"FINISHED"}
    read = list(dict.fromkeys(text for text in told if text.endswith("reading the mesh")))
    assert read[:2] == ["jug (1 of 2): reading the mesh", "jug.fixed (2 of 2): reading the mesh"]


def test_a_cancel_while_a_pair_is_read_leaves_nothing(
    fake: Any, addon: Any, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes = set(bpy.data.meshes)
    stepped(addon, monkeypatch, lambda run: run.cancel())
    assert bpy.ops.omomi.learn(name="cancelled") == {"CANCELLED"}
    assert set(bpy.data.meshes) == meshes and not fake.asked("LearnRequest")


def test_a_mesh_that_is_deleted_while_the_pairs_are_read_is_named(
    fake: Any, addon: Any, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(run: Any) -> None:
        if "jug.fixed" in bpy.data.objects:
            bpy.data.objects.remove(bpy.data.objects["jug.fixed"])

    stepped(addon, monkeypatch, delete)
    with pytest.raises(RuntimeError, match=r"jug\.fixed was deleted in the meantime"):
        bpy.ops.omomi.learn(name="deleted")
    assert not fake.asked("LearnRequest")
