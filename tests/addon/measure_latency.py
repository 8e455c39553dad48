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
    for text, took in sorted(blocks.items(), key=lambda item: -item[1]):
        print(f"{million} M vertices: {took:.3f} s {text}")
    keep(**{f"block_{million}": max(blocks.values())})


def sheet(side: int) -> Any:
    """A selected object of side x side vertices and two triangles for each square, with UVs and colours."""
    mesh_io = importlib.import_module("bl_ext.user_default.omomi.scene.mesh_io")
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    a = np.arange(side * side, dtype=np.int32).reshape(side, side)
    corners = a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]
    faces = np.concatenate([np.stack([corners[k] for k in half], -1).reshape(-1, 3) for half in ((0, 1, 2), (0, 2, 3))])
    mesh = bpy.data.meshes.new("large")
    mesh_io.fill_mesh(mesh, np.stack([x, y, np.sin(9 * x) / 9], -1).reshape(-1, 3).astype(np.float32), faces)
    mesh.uv_layers.new(name="UVMap")
    mesh.attributes.new("Col", "BYTE_COLOR", "POINT")
    obj = bpy.data.objects.new("large", mesh)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.update()
    return obj
