"""Every line of the manual's scripts as it is written, in ``blender --background``, with the real backend.

Blender runs this file; `tests.window.walk` starts it and says with what. Lines on stdout tell the outcome of each.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

bpy: Any = importlib.import_module("bpy")
sys.path.insert(0, str(Path(__file__).parent))
manual_script: Any = importlib.import_module("manual_script")

MODULE = "bl_ext.user_default.omomi"
FOLDER = Path(os.environ["OMOMI_FOLDER"])


def open_file(name: str, called: str) -> Any:
    bpy.ops.wm.ply_import(filepath=str(FOLDER / f"{name}.ply"))
    bpy.context.active_object.name = called
    return bpy.context.active_object


def select(names: tuple[str, ...]) -> None:
    """Select these objects; the last is the active one."""
    for obj in bpy.context.view_layer.objects:
        obj.select_set(False)
    for name in names:
        bpy.data.objects[name].hide_set(False)
        bpy.data.objects[name].select_set(True)
    bpy.context.view_layer.objects.active = bpy.data.objects[names[-1]]


def prepare() -> None:
    """The zip is installed; a pair of an edit, a family, and an Empty on the surface lie in a saved file."""
    bpy.ops.extensions.package_install_files(
        filepath=os.environ["OMOMI_ZIP"], repo="user_default", enable_on_install=True
    )
    bpy.context.preferences.addons[MODULE].preferences.interpreter = os.environ["OMOMI_PYTHON"]
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    open_file("before0", "owl")
    crow = open_file("after0", "crow")
    for number in range(10):
        open_file(f"member{number}", f"mug {number}")
    empty = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.location = crow.matrix_world @ crow.data.vertices[0].co
    rows = ["{:f} {:f} {:f}".format(*vertex.co) for vertex in crow.data.vertices]
    (FOLDER / "yard.xyz").write_text("\n".join(rows))
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "script.blend"))


def main() -> None:
    prepare()
    scope: dict[str, Any] = {"bpy": bpy}
    for line in manual_script.lines():
        began, failure = time.monotonic(), ""
        try:
            if names := manual_script.selection(line):
                select(names)
            exec(line, scope)
        except (RuntimeError, AttributeError, KeyError, IndexError, TypeError) as error:
            # told, and the next line is tried
            failure = repr(error)
        told = {"step": "script", "what": line, "seconds": time.monotonic() - began, "failure": failure}
        print(f"STEP {json.dumps(told)}", flush=True)


main()
