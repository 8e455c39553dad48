"""The places of a learned edit: those that are found and unticked, and the artist's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mathutils import Vector

from tests.addon.stand_ins import draw, key, previews, rest

bpy = pytest.importorskip("bpy")

# Vertices of the cube that `make` makes: the places that the fake backend finds, in this order.
FEET = (0, 2, 4, 6)


@pytest.fixture
def stocked(folder: Path) -> None:
    folder.mkdir()
    for name in ("legs", "legs delta", "beak"):
        (folder / f"{name}.omomi").write_bytes(name.encode())


@pytest.fixture
def scan(stocked: None, make: Callable[..., Any], settle: Any) -> Any:
    """A cube that is moved, turned and scaled, with an edit that acts at four places of it."""
    obj = make("owl")
    obj.location, obj.rotation_euler, obj.scale = (10, 20, 30), (0.3, 0.2, 0.1), (2, 0.5, -3)
    bpy.ops.omomi.add_from_library(name="legs")
    settle()
    return obj


def owl() -> Any:
    return bpy.data.objects["owl"]


def edit_of(obj: Any) -> Any:
    return obj.omomi.edits[0]


def moved(obj: Any) -> list[int]:
    """Numbers of the vertices that the edits move."""
    return np.flatnonzero((key(obj) != rest(obj)).any(axis=1)).tolist()


def use(obj: Any) -> list[bool]:
    return [place.use for place in edit_of(obj).places]


def vertex(obj: Any, number: int) -> Any:
    """Where a vertex of the rest shape is in the world."""
    bpy.context.view_layer.update()
    return obj.matrix_world @ Vector(rest(obj)[number])


def sent(fake: Any) -> Any:
    return fake.asked("StackRequest")[-1]["layers"][0]


def at_cursor(where: Any) -> Any:
    """The empty that marks the place of the active object's first edit, which is put there."""
    bpy.context.scene.cursor.location = where
    assert bpy.ops.omomi.place_at_cursor() == {"FINISHED"}
    return edit_of(bpy.context.active_object).place


def select(obj: Any, *numbers: int) -> None:
    """Select these vertices of the active object alone, and leave Edit Mode."""
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="DESELECT")
    bpy.ops.object.mode_set(mode="OBJECT")
    for number in numbers:
        obj.data.vertices[number].select = True


# What is found.


def test_the_places_are_listed_where_they_are_in_the_world(fake: Any, scan: Any) -> None:
    assert use(scan) == [True] * 4 and moved(scan) == [*FEET]
    for number, foot in enumerate(FEET, 1):
        assert bpy.ops.omomi.cursor_to_place(number=number) == {"FINISHED"}
        assert np.allclose(bpy.context.scene.cursor.location, vertex(scan, foot), atol=1e-4)
    with pytest.raises(RuntimeError, match="There is no place 5"):
        bpy.ops.omomi.cursor_to_place(number=5)
    panel = draw("OMOMI_PT_edits")
    assert "Place 4" in panel.texts() and "Place 5" not in panel.texts()


def test_a_place_that_is_unticked_is_left_alone_at_once(fake: Any, scan: Any, settle: Any) -> None:
    edit_of(scan).places[1].use = False
    settle()
    assert moved(scan) == [0, 4, 6] and sent(fake).without == (1,) and fake.kinds["FitRequest"] == 1
    edit_of(scan).places[1].use = True
    settle()
    assert moved(scan) == [*FEET] and sent(fake).without is None
    for place in edit_of(scan).places:
        place.use = False
    settle()
    assert moved(scan) == []


def test_the_new_mesh_at_rest_follows_the_choice(fake: Any, stocked: None, make: Any, settle: Any) -> None:
    bpy.context.scene.omomi.result = "NEW"
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="legs delta")
    settle()
    made = fake.kinds["RemeshRequest"]
    edit_of(scan).places[2].use = False
    settle()
    assert sent(fake).without == (2,) and fake.kinds["RemeshRequest"] == made + 1 and len(previews()) == 1


def test_a_choice_is_one_undo_step_and_stays_with_the_list(fake: Any, scan: Any, settle: Any) -> None:
    bpy.ops.ed.undo_push(message="all")
    edit_of(scan).places[1].use = False
    bpy.ops.ed.undo_push(message="three")
    settle()
    bpy.ops.ed.undo()
    settle()
    assert use(owl()) == [True] * 4 and moved(owl()) == [*FEET]
    bpy.ops.ed.redo()
    settle()
    assert use(owl()) == [True, False, True, True] and moved(owl()) == [0, 4, 6]


def test_a_list_that_came_after_the_undo_step_is_back_after_undo(
    fake: Any, stocked: None, make: Any, settle: Any
) -> None:
    make("owl")
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.omomi.add_from_library("EXEC_DEFAULT", True, name="legs") == {"FINISHED"}
    settle()
    edit_of(owl()).strength = 0.5
    bpy.ops.ed.undo_push(message="strength")
    settle()
    bpy.ops.ed.undo()
    settle()
    assert edit_of(owl()).strength == 1 and use(owl()) == [True] * 4 and moved(owl()) == [*FEET]


def test_a_choice_survives_files_copies_and_another_process(
    fake: Any, addon: Any, scan: Any, settle: Any, tmp_path: Path
) -> None:
    edit_of(scan).places[1].use = False
    settle()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "owl.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "owl.blend"))
    assert use(owl()) == [True, False, True, True]
    fake.die()
    bpy.ops.omomi.apply()
    assert moved(owl()) == [0, 4, 6] and fake.kinds["FitRequest"] == 2
    owl().name = "eule"
    bpy.ops.object.duplicate()
    twin = bpy.context.active_object
    edit_of(twin).places[3].use = False
    bpy.ops.omomi.apply()
    assert moved(twin) == [0, 4] and use(bpy.data.objects["eule"]) == [True, False, True, True]


def test_places_that_are_found_in_another_order_keep_the_choice(fake: Any, scan: Any, settle: Any) -> None:
    """As they may be at another level of detail, where they fit about as well as one another."""
    edit_of(scan).places[1].use = False
    settle()
    fake.legs = [2, 6, 0, 4]
    bpy.context.scene.omomi.level = "3"
    bpy.ops.omomi.apply()
    assert moved(scan) == [0, 4, 6] and use(scan) == [False, True, True, True] and sent(fake).without == (0,)


@pytest.mark.parametrize("legs", [[0, 2, 6], [], [2]])
def test_another_number_of_places_drops_the_choice(fake: Any, scan: Any, settle: Any, legs: list[int]) -> None:
    edit_of(scan).places[1].use = False
    settle()
    fake.legs = legs
    scan.data.shape_keys.reference_key.data[7].co.z += 0.001
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    assert use(scan) == [True] * len(legs) and sent(fake).without is None
    if legs:
        assert moved(scan) == legs


def test_muting_keeps_the_choice(fake: Any, scan: Any, settle: Any) -> None:
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    edit_of(scan).places[1].use = False
    edit_of(scan).mute = True
    settle()
    edit_of(scan).mute = False
    scan.omomi.edits[1].mute = True
    settle()
    assert use(scan) == [True, False, True, True] and moved(scan) == [0, 4, 6]


def test_scripts_find_the_places_before_anything_is_made(fake: Any, stocked: None, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="legs")
    assert not edit_of(scan).places
    assert bpy.ops.omomi.find_places() == {"FINISHED"}
    edit_of(scan).places[0].use = False
    bpy.ops.omomi.apply()
    assert moved(scan) == [2, 4, 6]


# The artist's own.


def test_the_3d_cursor_places_the_edit_on_an_object_with_a_transform(fake: Any, scan: Any, settle: Any) -> None:
    marker = at_cursor(vertex(scan, 5))
    settle()
    assert moved(scan) == [5] and np.allclose(sent(fake).at, vertex(scan, 5) - scan.matrix_world.translation, atol=1e-5)
    assert marker.name == "legs on owl" and marker.parent is None and marker.hide_render
    assert list(marker.users_collection) == list(scan.users_collection)
    # Again: the same empty. The list is out of the way, and back with its choice.
    assert at_cursor(vertex(scan, 7)) == marker and len(bpy.data.objects) == 2
    settle()
    assert moved(scan) == [7] and "Place 1" not in draw("OMOMI_PT_edits").texts()
    assert bpy.ops.omomi.clear_place() == {"FINISHED"}
    settle()
    assert moved(scan) == [*FEET] and len(bpy.data.objects) == 1 and sent(fake).at is None


def test_the_choice_is_kept_while_the_edit_is_placed(fake: Any, scan: Any, settle: Any) -> None:
    edit_of(scan).places[1].use = False
    at_cursor(vertex(scan, 5))
    settle()
    assert sent(fake).without is None
    bpy.ops.omomi.clear_place()
    settle()
    assert use(scan) == [True, False, True, True] and moved(scan) == [0, 4, 6]


def test_a_selected_vertex_places_the_edit(fake: Any, scan: Any, settle: Any) -> None:
    with pytest.raises(RuntimeError, match="Select a vertex in Edit Mode first"):
        bpy.ops.omomi.place_at_vertex()
    select(scan)
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="No vertex is selected"):
        bpy.ops.omomi.place_at_vertex()
    select(scan, 3)
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.omomi.place_at_vertex() == {"FINISHED"}
    settle()
    assert scan.mode == "OBJECT" and moved(scan) == [3]
    assert (edit_of(scan).place.matrix_world.translation - vertex(scan, 3)).length < 1e-4


def test_each_way_is_one_undo_step(fake: Any, scan: Any, settle: Any) -> None:
    bpy.ops.ed.undo_push(message="found")
    bpy.context.scene.cursor.location = vertex(scan, 5)
    assert bpy.ops.omomi.place_at_cursor("EXEC_DEFAULT", True) == {"FINISHED"}
    settle()
    assert bpy.ops.omomi.clear_place("EXEC_DEFAULT", True) == {"FINISHED"}
    settle()
    for step, expected in ((bpy.ops.ed.undo, [5]), (bpy.ops.ed.undo, [*FEET]), (bpy.ops.ed.redo, [5])):
        step()
        settle()
        assert moved(owl()) == expected and ("legs on owl" in bpy.data.objects) == (expected == [5])


def test_placing_at_a_vertex_and_leaving_edit_mode_are_one_undo_step(fake: Any, scan: Any, settle: Any) -> None:
    select(scan, 3)
    bpy.ops.ed.undo_push(message="found")
    bpy.ops.object.mode_set("EXEC_DEFAULT", True, mode="EDIT")
    assert bpy.ops.omomi.place_at_vertex("EXEC_DEFAULT", True) == {"FINISHED"}
    settle()
    assert moved(owl()) == [3]
    bpy.ops.ed.undo()
    assert owl().mode == "EDIT" and edit_of(owl()).place is None and len(bpy.data.objects) == 1
    bpy.ops.ed.redo()
    settle()
    assert owl().mode == "OBJECT" and edit_of(owl()).place.name == "legs on owl" and moved(owl()) == [3]


def test_an_object_of_the_artist_is_followed_when_it_rests_and_never_removed(fake: Any, scan: Any, settle: Any) -> None:
    mine = bpy.data.objects.new("mine", None)
    bpy.context.scene.collection.objects.link(mine)
    mine.location = vertex(scan, 5)
    bpy.context.view_layer.update()
    edit_of(scan).place = mine
    settle()
    assert moved(scan) == [5]
    asked = fake.kinds["StackRequest"]
    for share in np.linspace(0, 1, 20):
        mine.location = vertex(scan, 5).lerp(vertex(scan, 7), share)
        bpy.context.view_layer.update()
    settle()
    assert moved(scan) == [7] and fake.kinds["StackRequest"] == asked + 1
    assert at_cursor(vertex(scan, 1)) != mine and np.allclose(mine.location, vertex(scan, 7))
    edit_of(scan).place = mine
    bpy.ops.omomi.clear_place()
    assert "mine" in bpy.data.objects


@pytest.mark.parametrize("how", ["data", "delete"])
def test_a_deleted_empty_gives_the_place_back(fake: Any, scan: Any, settle: Any, how: str) -> None:
    marker = at_cursor(vertex(scan, 5))
    settle()
    if how == "data":
        bpy.data.objects.remove(marker)
    else:
        # Blender keeps what a property refers to, in no collection.
        with bpy.context.temp_override(selected_objects=[marker], active_object=marker):
            bpy.ops.object.delete()
        assert "legs on owl is deleted" in draw("OMOMI_PT_edits").texts()
    bpy.context.view_layer.update()
    settle()
    assert moved(scan) == [*FEET]
    # Placed again, it has an empty that can be seen.
    assert at_cursor(vertex(scan, 7)).users_scene
    settle()
    assert moved(scan) == [7]


def test_a_place_survives_files_renaming_and_another_process(
    fake: Any, scan: Any, settle: Any, tmp_path: Path
) -> None:
    at_cursor(vertex(scan, 5))
    scan.name = "eule"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "owl.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "owl.blend"))
    scan, marker = bpy.data.objects["eule"], bpy.data.objects["legs on owl"]
    fake.die()
    # Nothing was touched since the file is open.
    marker.location = vertex(scan, 7)
    bpy.context.view_layer.update()
    settle()
    assert moved(scan) == [7]


def test_a_place_far_from_the_scan_is_one_sentence_and_the_way_back_is_open(
    fake: Any, addon: Any, scan: Any, settle: Any
) -> None:
    marker = at_cursor((0, 0, 0))
    settle()
    assert "not at the surface of the scan. Move its object there, or press Clear Place" in addon.live.error()
    with pytest.raises(RuntimeError, match="Clear Place"):
        bpy.ops.omomi.apply()
    marker.location = vertex(scan, 5)
    bpy.context.view_layer.update()
    settle()
    assert addon.live.error() == "" and moved(scan) == [5]


def test_a_scan_that_fits_in_several_poses_is_told_of_the_button(fake: Any, addon: Any, scan: Any) -> None:
    fake.failures["StackRequest"] = [addon.errors.OmomiError("ambiguous_pose", "owl fits in several poses.")]
    edit_of(scan).places[1].use = False
    with pytest.raises(RuntimeError, match=bpy.ops.omomi.place_at_cursor.get_rna_type().name):
        bpy.ops.omomi.apply()


def test_a_copy_of_a_scan_gets_an_empty_of_its_own(fake: Any, scan: Any, settle: Any) -> None:
    marker = at_cursor(vertex(scan, 5))
    marker.select_set(False)
    bpy.ops.object.duplicate()
    twin = bpy.context.active_object
    assert edit_of(twin).place == marker
    assert at_cursor(vertex(twin, 7)) != marker and edit_of(scan).place == marker
    settle()
    assert moved(twin) == [7] and moved(scan) == [5]
    bpy.ops.omomi.remove_edit()
    assert [obj.name for obj in bpy.data.objects if obj.type == "EMPTY"] == [marker.name]


def test_only_a_learned_edit_has_a_place(fake: Any, scan: Any) -> None:
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    for call in (bpy.ops.omomi.place_at_cursor, bpy.ops.omomi.clear_place, bpy.ops.omomi.find_places):
        with pytest.raises(RuntimeError, match="learned from examples"):
            call()
    assert "omomi.place_at_cursor" not in draw("OMOMI_PT_edits").operators()


# Several objects, and presets.


def test_places_stay_with_their_object_when_edits_are_shared(fake: Any, stocked: None, make: Any, settle: Any) -> None:
    cat, dog = make("cat"), make("dog")
    bpy.ops.omomi.add_from_library(name="legs")
    settle()
    edit_of(cat).places[0].use = False
    edit_of(dog).places[1].use = False
    at_cursor(vertex(dog, 5))
    assert edit_of(cat).place is None
    # Another edit before it, another order, another strength.
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    bpy.ops.omomi.move_edit(direction="UP")
    assert [edit.name for edit in cat.omomi.edits] == ["thickness", "legs"]
    dog.omomi.edits[1].strength = 0.5
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    assert moved(cat) == [2, 4, 6] and moved(dog) == [5]
    assert [place.use for place in cat.omomi.edits[1].places] == [False, True, True, True]
    assert cat.omomi.edits[1].place is None and cat.omomi.edits[1].strength == 0.5


@pytest.mark.parametrize("result", ["NEW", "REPLACE"])
def test_new_meshes_of_several_objects_have_the_places_of_their_own(
    fake: Any, stocked: None, make: Any, settle: Any, result: str
) -> None:
    make("cat")
    dog = make("dog")
    bpy.ops.omomi.add_from_library(name="legs")
    settle()
    edit_of(dog).places[1].use = False
    assert bpy.ops.omomi.apply(result=result) == {"FINISHED"}
    layers = [fields["layers"][0].without for fields in fake.asked("StackRequest")[-4:]]
    assert layers == [None, None, (1,), (1,)]


def test_a_preset_has_no_places(fake: Any, folder: Path, scan: Any, make: Any) -> None:
    edit_of(scan).places[1].use = False
    at_cursor(vertex(scan, 5))
    bpy.ops.omomi.save_preset(name="mine")
    text = (folder / "mine.json").read_text()
    assert '"at"' not in text and '"without"' not in text
    # One that the command line has saved.
    (folder / "theirs.json").write_text(text.replace('"mute"', '"at": [1, 2, 3], "without": [0], "mute"'))
    other = make("crow")
    bpy.ops.omomi.load_preset(name="theirs")
    assert edit_of(other).at is None and not edit_of(other).places
    bpy.ops.omomi.apply()
    assert sent(fake).at is None and sent(fake).without is None
