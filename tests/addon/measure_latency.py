"""How long the add-on keeps Blender's window waiting, beside what Blender itself takes; run by `bench latency`.

Not named as a test, for times do not belong into the suite. ``OMOMI_LATENCY`` names the file for the figures.
"""

from __future__ import annotations

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
    begun = time.process_time()
    call()
    return time.process_time() - begun


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
