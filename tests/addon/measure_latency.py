"""How long the add-on keeps Blender's window waiting, beside what Blender itself takes; run by `bench latency`.

Not named as a test, for times do not belong into the suite. ``OMOMI_LATENCY`` names the file for the figures.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
addon_utils = pytest.importorskip("addon_utils")

SIDE = 316
"""Vertices along a side of the mesh, a hundred thousand in all."""
STEPS = 15
PEER = "io_scene_gltf2"
"""An add-on of Blender's own, whose enabling is the measure of ours."""


def seconds(call: Callable[[], object]) -> float:
    begun = time.thread_time()
    call()
    return time.thread_time() - begun


def keep(**figures: float) -> None:
    path = Path(os.environ["OMOMI_LATENCY"])
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | figures))


def test_a_step_of_a_slider(fake: Any, make: Callable[..., Any], settle: Any) -> None:
    """A step of the timer, the arithmetic of the fake backend included; its peer writes the vertices alone."""
    x, y = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    points = np.stack([x, y, np.sin(9 * x) / 9], -1).reshape(-1, 3)
    a = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    make("large", points, np.stack([a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]], -1).reshape(-1, 4).tolist())
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.1)
    settle()
    obj, ours, peer = bpy.context.active_object, [], []
    flat = np.ascontiguousarray(points, np.float32).reshape(-1)
    beside = obj.data.copy()

    def write() -> None:
        beside.vertices.foreach_set("co", flat)
        beside.update()

    for strength in np.linspace(0.2, 1, STEPS):
        obj.omomi.edits[0].strength = strength
        ours.append(seconds(settle))
        peer.append(seconds(write))
    keep(step=float(np.median(ours)), write=float(np.median(peer)))


def test_enabling_the_add_on(addon: Any, scene: Any) -> None:
    """Disabled and enabled again, its modules imported already; so is its peer."""
    addon_utils.enable(PEER)

    def again(name: str) -> Callable[[], object]:
        addon_utils.disable(name)
        return lambda: addon_utils.enable(name)

    took = {name: min(seconds(again(name)) for _ in range(5)) for name in (addon.name, PEER)}
    keep(enable=took[addon.name], enable_peer=took[PEER])


@pytest.mark.parametrize("million", [1, 5])
def test_a_fit_of_a_large_scan(toy: Any, million: int) -> None:
    """The longest that Blender's thread works without a pause, by what it is doing, from Fit to the result."""
    side = int((million * 1e6) ** 0.5)
    obj = sheet(side)
    settings = toy.backend_fit.FitSettings.of(bpy.context.scene.omomi)
    run = toy.fits.FitRun(toy.process.started(), [obj], settings, stream=True)
    blocks: dict[str, float] = {}
    while not run.over:
        text, took = run.text, seconds(run.step)
        blocks[text] = max(blocks.get(text, 0.0), took)
        time.sleep(0.01)
    assert not run.errors, run.errors
    blocks["placing the result"] = seconds(run.commit)
    keep(**{f"block_{million}": told(f"a scan of {million} M vertices", blocks)})


@pytest.mark.parametrize("million", [1, 5])
def test_a_large_result(addon: Any, scene: Any, million: int) -> None:
    """The same of the mesh of a result, which wears UVs and colours, from when the backend has sent it to when it is in
    the scene; by what is made of it."""
    source = sheet(int((million * 1e6) ** 0.5))
    with addon.snapshot.Snapshot(source, shown=True) as copy:
        scan = addon.slices.at_once(copy.scan())
        worn = addon.slices.at_once(addon.attributes.read_shown(copy))
    sigma = np.full(len(scan.points), 0.01, np.float32)
    frame = addon.messages.MeshFrame(1, 2, True, (0, 0, 0), scan.points.astype(np.float32), scan.faces, sigma)
    draft, blocks = addon.draft.Draft(frame, np.eye(3), worn), dict[str, float]()
    work = draft.fill()
    running = True
    while running:
        begun = time.thread_time()
        running = next(work, None) is not None
        took, what = time.thread_time() - begun, standing(work)
        blocks[what] = max(blocks.get(what, 0.0), took)
        time.sleep(0.002)
    blocks["placing the result"] = seconds(lambda: addon.results.place(source, draft, replace=False))
    keep(**{f"result_{million}": told(f"a result of {million} M vertices", blocks)})


def standing(work: Any) -> str:
    """Where sliced work pauses, and the name of the attribute that is on its way."""
    lines, name = [], ""
    while getattr(work, "gi_frame", None) is not None:
        known = work.gi_frame.f_locals
        name = known.get("name") or getattr(known.get("layer"), "name", name)
        lines.append(f"{work.gi_frame.f_code.co_name}:{work.gi_frame.f_lineno}")
        work = work.gi_yieldfrom
    return " ".join([*lines, name]) or "the end"


def told(of: str, blocks: dict[str, float]) -> float:
    """The longest, after all that took a hundredth of a second have been printed."""
    for text, took in sorted(blocks.items(), key=lambda item: -item[1]):
        if took >= 0.01:
            print(f"{of}: {took:.3f} s {text}")
    return max(blocks.values())


def sheet(side: int) -> Any:
    """A selected object of side x side vertices and two triangles for each square, with UVs, colours and
    normals."""
    mesh_io = importlib.import_module("bl_ext.user_default.omomi.scene.mesh_io")
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    a = np.arange(side * side, dtype=np.int32).reshape(side, side)
    corners = a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]
    faces = np.concatenate([np.stack([corners[k] for k in half], -1).reshape(-1, 3) for half in ((0, 1, 2), (0, 2, 3))])
    mesh = bpy.data.meshes.new("large")
    mesh_io.fill_mesh(mesh, np.stack([x, y, np.sin(9 * x) / 9], -1).reshape(-1, 3).astype(np.float32), faces)
    mesh.uv_layers.new(name="UVMap")
    mesh.attributes.new("Col", "BYTE_COLOR", "POINT")
    mesh.attributes.new("normal", "FLOAT_VECTOR", "POINT")
    obj = bpy.data.objects.new("large", mesh)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.update()
    return obj
