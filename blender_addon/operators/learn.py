"""Operators that learn from the artist's meshes: an edit from pairs of before and after, a family from its members."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..backend.protocol.requests import AlignRequest, LearnRequest
from ..scene import mesh_io
from ..session import library
from ..session.backend_fit import profile_path
from ..session.task import Client, Task, Work
from ..text import Refusal, family_report
from ..ui import preferences
from .modal import WAIT, ActionOperator, PolledOperator, RunOperator, why_not_start

MOST_PAIRS = 5
FEWEST_MEMBERS, MOST_MEMBERS = 10, 80


class OMOMI_OT_add_pair(PolledOperator, bpy.types.Operator):
    """Add the two selected objects as an example: the active one shows the other after the edit"""

    bl_idname = "omomi.add_pair"
    bl_label = "Add Pair"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def why_not(cls, context: Any) -> str:
        selected = _selected(context)
        if len(selected) != 2 or context.active_object not in selected:
            return "Select the mesh before the edit, then the mesh after it"
        full = len(context.scene.omomi.pairs) >= MOST_PAIRS
        return f"{MOST_PAIRS} pairs are the most; remove one first" if full else ""

    def execute(self, context: Any) -> Any:
        after = context.active_object
        pair = context.scene.omomi.pairs.add()
        pair.after = after
        pair.before = next(obj for obj in _selected(context) if obj != after)
        return {"FINISHED"}


class OMOMI_OT_remove_pair(ActionOperator, bpy.types.Operator):
    """Remove a pair from the list; its objects stay"""

    bl_idname = "omomi.remove_pair"
    bl_label = "Remove Pair"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"index": IntProperty(name="Index", min=0)}

    def _act(self, context: Any) -> str:
        options: Any = self
        pairs = context.scene.omomi.pairs
        if options.index >= len(pairs):
            raise Refusal(f"There is no pair number {options.index}.")
        pairs.remove(options.index)
        return ""


class OMOMI_OT_learn(RunOperator, bpy.types.Operator):
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
    def why_not(cls, context: Any) -> str:
        pairs = len(context.scene.omomi.pairs)
        return why_not_start(context) or (
            "" if pairs else "Add a pair first: the mesh before the edit and the mesh after it"
        )

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        options: Any = self
        self._name = library.check_name(options.name or context.scene.omomi.learn_name)
        path = library.room_for(preferences.library_folder(), self._name, library.EDIT, overwrite=options.overwrite)
        return Task(client, _learn(client, self._name, str(path), _examples(context)), "reading the pairs")

    def _commit(self, context: Any, run: Any) -> None:
        for warning in run.result.get("warnings", ()):
            self._report({"WARNING"}, warning)
        examples = run.result.get("examples", len(context.scene.omomi.pairs))
        self._report({"INFO"}, f"Learned '{self._name}' from {examples} {'pair' if examples == 1 else 'pairs'}")


class OMOMI_OT_align(RunOperator, bpy.types.Operator):
    """Learn what the selected meshes have in common and how they differ, and keep it as a family in the library"""

    bl_idname = "omomi.align"
    bl_label = "Learn Family"
    bl_description = (
        f"Learn what {FEWEST_MEMBERS} to {MOST_MEMBERS} selected meshes of one kind have in common and how they "
        "differ. The family goes into the library: it completes scans of that kind and shows where one departs from "
        "it; Esc cancels"
    )
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the family; else the scene's setting"),
        "overwrite": BoolProperty(name="Overwrite", description="Replace a family of the same name"),
        **WAIT,
    }
    _name = ""

    @classmethod
    def why_not(cls, context: Any) -> str:
        count = len(_selected(context))
        wanted = f"Select {FEWEST_MEMBERS} to {MOST_MEMBERS} meshes of one kind ({count} are selected)"
        return why_not_start(context) or ("" if FEWEST_MEMBERS <= count <= MOST_MEMBERS else wanted)

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        options: Any = self
        self._name = library.check_name(options.name or context.scene.omomi.family_name)
        folder = preferences.library_folder()
        path = library.room_for(folder, self._name, library.PROFILE, overwrite=options.overwrite)
        depsgraph = context.evaluated_depsgraph_get()
        members = {obj.name: mesh_io.read_scan(obj, depsgraph) for obj in _selected(context)}
        return Task(client, _align(client, self._name, str(path), members), "reading the members")

    def _commit(self, context: Any, run: Any) -> None:
        learned, *warnings = family_report(self._name, run.result)
        context.scene.omomi.family_report = "\n".join([learned, *warnings])
        if warnings:
            self._report({"WARNING"}, "\n".join(warnings))
        self._report({"INFO"}, learned)


class OMOMI_OT_choose_family(ActionOperator, bpy.types.Operator):
    """Use this family: fits fill unseen parts the way its members look, and Check compares the scan with it. Press
    again to use none"""

    bl_idname = "omomi.choose_family"
    bl_label = "Use Family"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"name": StringProperty(name="Name", description="Of the family; empty for none")}

    def _act(self, context: Any) -> str:
        options: Any = self
        settings = context.scene.omomi
        profile_path(options.name)
        settings.profile = "" if settings.profile == options.name else options.name
        return ""


CLASSES = (OMOMI_OT_add_pair, OMOMI_OT_remove_pair, OMOMI_OT_learn, OMOMI_OT_align, OMOMI_OT_choose_family)


def _selected(context: Any) -> list[Any]:
    return [obj for obj in context.selected_objects if obj.type == "MESH"]


def _examples(context: Any) -> list[mesh_io.ScanArrays]:
    """The meshes of the pairs as they are shown, before and after in turn. Raises OmomiError."""
    depsgraph = context.evaluated_depsgraph_get()
    found = []
    for number, pair in enumerate(context.scene.omomi.pairs, 1):
        for which in ("before", "after"):
            obj = getattr(pair, which)
            if obj is None or obj.name not in context.scene.objects:
                raise Refusal(f"The mesh {which} of pair {number} was deleted. Remove the pair, or choose another.")
            scan = mesh_io.read_scan(obj, depsgraph)
            if scan.faces is None:
                raise Refusal(f"{obj.name} has no faces, so nothing can be learned from it. Choose a mesh with faces.")
            found.append(scan)
    return found


def _learn(client: Client, name: str, path: str, meshes: list[mesh_io.ScanArrays]) -> Work:
    answer = yield client.request(LearnRequest, name=name, path=path, **_packed(meshes))
    return answer.done.result


def _align(client: Client, name: str, path: str, members: dict[str, mesh_io.ScanArrays]) -> Work:
    for member, scan in members.items():
        if scan.faces is None:
            raise Refusal(f"{member} has no faces, so nothing can be learned from it. Deselect it, or fit it first.")
    packed = _packed(list(members.values()))
    answer = yield client.request(AlignRequest, name=name, path=path, names=tuple(members), **packed)
    return answer.done.result


def _packed(meshes: list[mesh_io.ScanArrays]) -> dict[str, Any]:
    """Several meshes in the fields of a request: all points, all faces, and how many of each a mesh has."""
    faces = [mesh.faces for mesh in meshes if mesh.faces is not None]
    counts = [count for mesh, own in zip(meshes, faces, strict=True) for count in (len(mesh.points), len(own))]
    points = np.concatenate([mesh.points for mesh in meshes])
    return {"counts": tuple(counts), "points": points, "faces": np.concatenate(faces)}
