"""Operators of the Learn panel: pairs of before and after, and learning an edit from them."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..backend.protocol.requests import LearnRequest
from ..scene import mesh_io
from ..session import fits, library
from ..session.task import Client, Task, Work
from ..text import Refusal
from ..ui import preferences
from .modal import WAIT, Runs, why_not_start

__all__ = ["CLASSES"]

MOST_PAIRS = 5


class OMOMI_OT_add_pair(bpy.types.Operator):
    """Take the two selected objects as an example: the active one is the other after the edit"""

    bl_idname = "omomi.add_pair"
    bl_label = "Add Pair"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: Any) -> bool:
        selected = [obj for obj in context.selected_objects if obj.type == "MESH"]
        if len(selected) != 2 or context.active_object not in selected:
            cls.poll_message_set("Select the mesh before the edit, then the mesh after it")
            return False
        if len(context.scene.omomi.pairs) >= MOST_PAIRS:
            cls.poll_message_set(f"{MOST_PAIRS} pairs are the most; remove one first")
            return False
        return True

    def execute(self, context: Any) -> Any:
        after = context.active_object
        pair = context.scene.omomi.pairs.add()
        pair.after = after
        pair.before = next(obj for obj in context.selected_objects if obj.type == "MESH" and obj != after)
        return {"FINISHED"}


class OMOMI_OT_remove_pair(bpy.types.Operator):
    """Take a pair off the list; its objects stay"""

    bl_idname = "omomi.remove_pair"
    bl_label = "Remove Pair"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"index": IntProperty(name="Index", min=0)}

    def execute(self, context: Any) -> Any:
        options: Any = self
        pairs = context.scene.omomi.pairs
        if options.index >= len(pairs):
            self.report({"ERROR"}, f"There is no pair number {options.index}.")
            return {"CANCELLED"}
        pairs.remove(options.index)
        return {"FINISHED"}


class OMOMI_OT_learn(Runs, bpy.types.Operator):
    """Learn an edit from the pairs and put it in the library; Esc cancels"""

    bl_idname = "omomi.learn"
    bl_label = "Learn"
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the edit; else the scene's setting"),
        "overwrite": BoolProperty(name="Overwrite", description="Replace an edit of the same name"),
        **WAIT,
    }
    _name = ""

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = why_not_start(context)
        if not reason and not len(context.scene.omomi.pairs):
            reason = "Add a pair first: the mesh before the edit and the mesh after it"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _make(self, context: Any, client: Client, stream: bool) -> fits.Run:
        options: Any = self
        self._name = library.check_name(options.name or context.scene.omomi.learn_name)
        path = library.room_for(preferences.library_folder(), self._name, library.EDIT, overwrite=options.overwrite)
        pairs = [(pair.before, pair.after) for pair in context.scene.omomi.pairs]
        return Task(client, _learn(client, self._name, str(path), _arrays(pairs)), "reading the pairs")

    def _done(self, context: Any, run: Any) -> set[str]:
        if run.result is None:
            return {"CANCELLED"}
        for warning in run.result.get("warnings", ()):
            self._report({"WARNING"}, warning)
        examples = run.result.get("examples", len(context.scene.omomi.pairs))
        self._report({"INFO"}, f"Learned '{self._name}' from {examples} {'pair' if examples == 1 else 'pairs'}")
        return {"FINISHED"}


CLASSES = (OMOMI_OT_add_pair, OMOMI_OT_remove_pair, OMOMI_OT_learn)


def _arrays(pairs: list[tuple[Any, Any]]) -> list[mesh_io.ScanArrays]:
    """The meshes as they are shown, before and after in turn. Raises OmomiError."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = []
    for number, pair in enumerate(pairs, 1):
        for obj, which in zip(pair, ("before", "after"), strict=True):
            if obj is None or obj.name not in bpy.context.scene.objects:
                raise Refusal(f"The mesh {which} of pair {number} was deleted. Remove the pair, or choose another.")
            scan = mesh_io.read_scan(obj, depsgraph)
            if scan.faces is None:
                raise Refusal(f"{obj.name} has no faces, so nothing can be learned from it. Choose a mesh with faces.")
            found.append(scan)
    return found


def _learn(client: Client, name: str, path: str, meshes: list[mesh_io.ScanArrays]) -> Work:
    faces = [mesh.faces for mesh in meshes if mesh.faces is not None]
    counts = [count for mesh, own in zip(meshes, faces, strict=True) for count in (len(mesh.points), len(own))]
    answer = yield client.request(
        LearnRequest, name=name, path=path, counts=tuple(counts),
        points=np.concatenate([mesh.points for mesh in meshes]), faces=np.concatenate(faces),
    )  # fmt: skip
    return answer.done.result
