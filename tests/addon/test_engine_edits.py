"""Edits through the shipped engine behind the installed extension; skipped while the zip holds no model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import key, previews, rest
from tests.benchmarks.weight_cases import edited_member

bpy = pytest.importorskip("bpy")


@pytest.fixture(autouse=True)
def coarse(engine: Any) -> None:
    bpy.context.scene.omomi.level = "0"


def bumpy(bump: float = 0.0, rings: int = 24) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """A closed egg of quads with a nose, longer by ``bump``."""
    theta = np.linspace(0, np.pi, rings + 2)[1:-1]
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    ball = np.stack([np.sin(t) * np.cos(p), 0.8 * np.sin(t) * np.sin(p), 1.3 * np.cos(t)], -1).reshape(-1, 3)
    points = np.concatenate([ball, [[0, 0, 1.3], [0, 0, -1.3]]])
    nose = np.exp(-((points - (1, 0, 0.2)) ** 2).sum(1) / 0.08)
    points = points * (1 + (0.25 + bump) * nose[:, None])
    n, m = rings, 2 * rings
    quads = [(i * m + j, (i + 1) * m + j, (i + 1) * m + (j + 1) % m, i * m + (j + 1) % m)
             for i in range(n - 1) for j in range(m)]  # fmt: skip
    caps = [(n * m, j, (j + 1) % m) for j in range(m)]
    caps += [(n * m + 1, (n - 1) * m + (j + 1) % m, (n - 1) * m + j) for j in range(m)]
    return points, [*quads, *caps]


def egg(make: Callable[..., Any], name: str = "egg", bump: float = 0.0) -> Any:
    obj = make(name, *bumpy(bump))
    layer = obj.data.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", np.random.default_rng(0).random(2 * len(obj.data.loops)).astype(np.float32))
    return obj


@pytest.mark.parametrize("name", ["thickness", "smoothness", "detail", "sharpness"])
def test_every_attribute_moves_the_vertices_and_keeps_the_rest(engine: Any, make: Any, name: str) -> None:
    scan = egg(make)
    uvs = [tuple(item.vector) for item in scan.data.uv_layers[0].uv]
    bpy.ops.omomi.add_edit(kind="attribute", name=name, strength=1.0)
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    first = key(scan)
    assert len(first) == len(rest(scan)) and not np.array_equal(first, rest(scan))
    assert [tuple(item.vector) for item in scan.data.uv_layers[0].uv] == uvs
    scan.omomi.edits[0].strength = 0
    bpy.ops.omomi.apply()
    assert np.array_equal(key(scan), rest(scan))
    scan.omomi.edits[0].strength = 1
    bpy.ops.omomi.apply()
    assert np.array_equal(key(scan), first)


def test_thickness_moves_outwards_by_a_share_of_the_longest_side(engine: Any, make: Any) -> None:
    scan = egg(make)
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=1.0)
    bpy.ops.omomi.apply()
    moved = np.linalg.norm(key(scan) - rest(scan), axis=1)
    assert np.median(moved) == pytest.approx(0.026, rel=0.2)


def test_a_drag_ends_where_apply_does_to_the_last_bit(engine: Any, make: Any, settle: Any) -> None:
    scan = egg(make)
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    for strength in (0.2, 0.5, 0.8):
        scan.omomi.edits[0].strength = strength
        settle()
    dragged = key(scan)
    assert not np.array_equal(dragged, rest(scan))
    bpy.ops.omomi.apply()
    assert np.array_equal(key(scan), dragged)


def test_another_process_gives_the_same_bits(engine: Any, make: Any) -> None:
    scan = egg(make)
    bpy.ops.omomi.add_edit(kind="attribute", name="smoothness", strength=0.7)
    bpy.ops.omomi.apply()
    first, pid = key(scan), engine.process.running().pid
    bpy.ops.omomi.restart()
    bpy.ops.omomi.apply()
    assert engine.process.running().pid != pid and np.array_equal(key(scan), first)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_backend_killed_under_a_slider_is_replaced(engine: Any, make: Any, settle: Any) -> None:
    scan = egg(make)
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    settle()
    first = key(scan)
    os.kill(engine.process.running().pid, signal.SIGKILL)
    scan.omomi.edits[0].strength = 0.25
    settle()
    scan.omomi.edits[0].strength = 0.5
    settle()
    assert np.array_equal(key(scan), first)


def test_vertices_outside_of_the_paint_stay_where_they_are(engine: Any, make: Any) -> None:
    scan = egg(make)
    far = rest_of(scan)[:, 0] < -0.3
    scan.vertex_groups.new(name="front").add(np.flatnonzero(~far).tolist(), 1.0, "REPLACE")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=2.0)
    scan.omomi.edits[0].mask = "front"
    bpy.ops.omomi.apply()
    moved = np.linalg.norm(key(scan) - rest(scan), axis=1)
    assert moved[rest(scan)[:, 0] > 0.3].min() > 0.02 and (moved[rest(scan)[:, 0] < -0.6] == 0).all()


def rest_of(obj: Any) -> np.ndarray:
    return np.array([v.co for v in obj.data.vertices], np.float32)


def test_a_new_mesh_is_closed_and_in_place_and_has_uvs(engine: Any, make: Any, world: Any) -> None:
    scan = egg(make)
    scan.location, scan.scale = (4, 5, 6), (2, 2, -2)
    bpy.context.view_layer.update()
    before = world(scan)
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=1.0)
    assert bpy.ops.omomi.apply(result="NEW") == {"FINISHED"}
    made = bpy.context.view_layer.objects.active
    assert engine.mesh_io.open_loops(made.data) == 0 and made.data.uv_layers[0].name == "UVMap"
    after = world(made)
    assert np.allclose((after.min(0) + after.max(0)) / 2, (before.min(0) + before.max(0)) / 2, atol=0.1)
    assert (np.ptp(after, axis=0) > np.ptp(before, axis=0)).all()
    uvs = np.array([item.vector for item in made.data.uv_layers[0].uv])
    assert np.isfinite(uvs).all() and np.ptp(uvs) > 0.5


def test_check_sweep_and_solve_answer(engine: Any, make: Any) -> None:
    scan = egg(make)
    bpy.ops.omomi.check()
    lines = scan.omomi.check.splitlines()
    assert lines[0].startswith("1 piece, closed") and any(line.startswith("volume") for line in lines)
    assert len(scan.data.attributes["omomi_sigma"].data) == len(scan.data.vertices)
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    bpy.ops.omomi.sweep(low=-1, high=1, steps=6)
    edit = scan.omomi.edits[0]
    assert edit.safe and edit.safe_low <= 0 <= edit.safe_high
    bpy.ops.omomi.solve(measure="length_z", value=2.65)
    assert edit.strength == pytest.approx(1, abs=0.5)


def test_an_edit_learned_from_a_pair_acts_on_another_object(engine: Any, make: Any) -> None:
    before, after = egg(make, "before"), egg(make, "after", 0.15)
    for obj in bpy.context.scene.objects:
        obj.select_set(obj in (before, after))
    bpy.context.view_layer.objects.active = after
    bpy.ops.omomi.add_pair()
    assert bpy.ops.omomi.learn(name="longer nose") == {"FINISHED"}
    other = egg(make, "other")
    assert bpy.ops.omomi.add_from_library(name="longer nose") == {"FINISHED"}
    other.omomi.edits[0].strength = 1.0
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    moved = np.linalg.norm(key(other) - rest(other), axis=1)
    tip = rest(other)[:, 0].argmax()
    assert moved[tip] == pytest.approx(0.15, abs=0.06) and moved[rest(other)[:, 0] < -0.3].max() < 0.02


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that outlives a test."""
    return tmp_path_factory.mktemp("drills")


@pytest.fixture
def drilled(engine: Any, make: Any, drills: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plate with an edit that drills it, learned from one other pair of plates; the result is a new mesh."""
    monkeypatch.setattr(engine.preferences, "library_folder", lambda: drills)
    bpy.context.scene.omomi.level = "1"
    if not (drills / "drill.omomi").is_file():
        pair = edited_member("drill", 0)
        made = [make(name, scan.points, scan.faces) for name, scan in (("before", pair.before), ("after", pair.after))]
        bpy.ops.omomi.add_pair()
        assert bpy.ops.omomi.learn(name="drill") == {"FINISHED"}
        for obj in made:
            obj.select_set(False)
    other = edited_member("drill", 3)
    bpy.context.scene.omomi.result = "NEW"
    plate = make("plate", other.before.points, other.before.faces)
    assert bpy.ops.omomi.add_from_library(name="drill") == {"FINISHED"}
    return plate


def test_an_edit_acts_on_the_legs_that_are_ticked_or_on_the_one_that_is_placed(engine: Any, make: Any) -> None:
    """Learned on one leg of a stool; the other stool is moved, turned and scaled as an object."""
    bpy.context.scene.omomi.level = "1"
    pair, other = edited_member("feet", 0, example=True), edited_member("feet", 3)
    made = [make(name, scan.points, scan.faces) for name, scan in (("before", pair.before), ("after", pair.after))]
    bpy.ops.omomi.add_pair()
    assert bpy.ops.omomi.learn(name="foot") == {"FINISHED"}
    for obj in made:
        obj.select_set(False)
    stool = make("stool", other.before.points, other.before.faces)
    stool.location, stool.rotation_euler, stool.scale = (10, 20, 30), (0.3, 0.2, 0.1), (2, 2, 2)
    assert bpy.ops.omomi.add_from_library(name="foot") == {"FINISHED"}
    edit, size = stool.omomi.edits[0], other.scale

    def pushed() -> list[bool]:
        """Whether the edit acts at each of its places, as they were found."""
        assert bpy.ops.omomi.apply() == {"FINISHED"}
        move = np.linalg.norm(key(stool) - rest(stool), axis=1)
        near = [np.linalg.norm(rest(stool) - foot, axis=1) < 0.2 * size for foot in feet]
        return [bool(move[one].max() > 0.02 * size) for one in near]

    assert bpy.ops.omomi.find_places() == {"FINISHED"}
    feet = np.array([place.location for place in edit.places])
    shown = (feet - other.offset) @ other.turn / other.scale
    assert len(feet) == 4 and np.abs(np.abs(shown[:, :2]) - 0.36).max() < 0.03 and np.ptp(shown[:, 2]) < 0.02
    edit.places[1].use = False
    assert pushed() == [True, False, True, True]
    bpy.ops.omomi.cursor_to_place(number=3)
    assert bpy.ops.omomi.place_at_cursor() == {"FINISHED"} and pushed() == [False, False, True, False]
    edit.place.location.x += 100
    with pytest.raises(RuntimeError, match="Move its object there, or press Clear Place"):
        bpy.ops.omomi.apply()


def tunnels(mesh: Any) -> float:
    return 1 - (len(mesh.vertices) - len(mesh.edges) + len(mesh.polygons)) / 2


def pump_until(engine: Any, condition: Callable[[], bool]) -> None:
    while not condition():
        engine.live.pump()
        time.sleep(0.002)


def test_at_rest_the_network_drills_the_preview_and_apply_the_result(engine: Any, drilled: Any, settle: Any) -> None:
    settle()
    (preview,) = previews()
    assert tunnels(preview.data) == 1 and engine.live.error() == "" and drilled.data.shape_keys is None
    # Touched again, it is solid at once, and its new mesh is that of the new strength.
    drilled.omomi.edits[0].strength = 0.1
    pump_until(engine, lambda: not engine.live._marked)
    assert tunnels(preview.data) == 0
    settle()
    assert tunnels(previews()[0].data) == 0
    drilled.omomi.edits[0].strength = 1.0
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    made = bpy.data.objects["plate.edit"]
    assert tunnels(made.data) == 1 and engine.mesh_io.open_loops(made.data) == 0 and previews() == []
    assert len(drilled.data.vertices) and tunnels(drilled.data) == 0


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_backend_killed_while_it_drills_leaves_the_scan_and_is_replaced(
    engine: Any, drilled: Any, settle: Any
) -> None:
    before = rest_of(drilled)
    pump_until(engine, engine.live.shows_new_mesh)
    os.kill(engine.process.running().pid, signal.SIGKILL)
    settle()
    # A job of which nothing was heard yet is done by the next process, which makes the fit again.
    said = engine.live.error()
    assert (said == "" or "Move the slider to try again" in said) and np.array_equal(rest_of(drilled), before)
    drilled.omomi.edits[0].strength = 0.9
    settle()
    assert engine.live.error() == "" and tunnels(previews()[0].data) == 1


def test_a_broken_file_is_named_and_muting_it_is_the_way_out(engine: Any, make: Any) -> None:
    folder = engine.preferences.library_folder()
    folder.mkdir()
    (folder / "junk.omomi").write_bytes(b"junk")
    scan = egg(make)
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.add_from_library(name="junk")
    scan.omomi.edits[1].strength = 1.0
    with pytest.raises(RuntimeError, match="junk"):
        bpy.ops.omomi.apply()
    scan.omomi.edits[1].mute = True
    assert bpy.ops.omomi.apply() == {"FINISHED"}


def test_a_blend_lies_between_the_two(engine: Any, make: Any) -> None:
    scan = egg(make, "short")
    egg(make, "long", 0.15)
    bpy.context.view_layer.objects.active = scan
    assert bpy.ops.omomi.blend(other="long", share=0.5) == {"FINISHED"}
    made = bpy.data.objects["short.blend"]
    tips = [rest_of(bpy.data.objects[name])[:, 0].max() for name in ("short", "short.blend", "long")]
    assert tips[0] < tips[1] < tips[2] and engine.mesh_io.open_loops(made.data) == 0
