"""The operator that learns what a family of shapes is like."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, StringProperty

from ..backend.errors import OmomiError
from ..backend.protocol.requests import AlignRequest
from ..scene import mesh_io
from ..session import fits, library
from ..session.fit_settings import profile_path
from ..session.task import Client, Task, Work
from ..text import Refusal, explain, family_report
from ..ui import preferences
from .modal import WAIT, Runs, why_not_start

__all__ = ["CLASSES", "FEWEST", "MOST"]

FEWEST, MOST = 10, 80


class OMOMI_OT_align(Runs, bpy.types.Operator):
    """Learn what the selected meshes have in common and how they differ, and keep it as a family in the library"""

    bl_idname = "omomi.align"
    bl_label = "Learn Family"
    bl_description = (
        f"Learn what {FEWEST} to {MOST} selected meshes of one kind have in common and how they differ. The family "
        "goes into the library: it completes scans of that kind and shows where one departs from it; Esc cancels"
    )
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the family; else the scene's setting"),
        "overwrite": BoolProperty(name="Overwrite", description="Replace a family of the same name"),
        **WAIT,
    }
    _name = ""

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason, count = why_not_start(context), len(_members(context))
        if not reason and not FEWEST <= count <= MOST:
            reason = f"Select {FEWEST} to {MOST} meshes of one kind ({count} are selected)"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _make(self, context: Any, client: Client, stream: bool) -> fits.Run:
        options: Any = self
        self._name = library.check_name(options.name or context.scene.omomi.family_name)
        folder = preferences.library_folder()
        path = library.room_for(folder, self._name, library.PROFILE, overwrite=options.overwrite)
        depsgraph = context.evaluated_depsgraph_get()
        members = {obj.name: mesh_io.read_scan(obj, depsgraph) for obj in _members(context)}
        return Task(client, _align(client, self._name, str(path), members), "reading the members")

    def _done(self, context: Any, run: Any) -> set[str]:
        if run.result is None:
            return {"CANCELLED"}
        learned, *warnings = family_report(self._name, run.result)
        context.scene.omomi.family_report = "\n".join([learned, *warnings])
        if warnings:
            self._report({"WARNING"}, "\n".join(warnings))
        self._report({"INFO"}, learned)
        return {"FINISHED"}


class OMOMI_OT_choose_family(bpy.types.Operator):
    """Use this family: fits fill what was not seen with what its members are like, and Check compares with it. Press
    again to use none"""

    bl_idname = "omomi.choose_family"
    bl_label = "Use Family"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"name": StringProperty(name="Name", description="Of the family; empty for none")}

    def execute(self, context: Any) -> Any:
        options: Any = self
        settings = context.scene.omomi
        try:
            profile_path(options.name)
        except OmomiError as error:
            self.report({"ERROR"}, explain(error))
            return {"CANCELLED"}
        settings.profile = "" if settings.profile == options.name else options.name
        return {"FINISHED"}


CLASSES = (OMOMI_OT_align, OMOMI_OT_choose_family)


def _members(context: Any) -> list[Any]:
    return [obj for obj in context.selected_objects if obj.type == "MESH"]


def _align(client: Client, name: str, path: str, members: dict[str, mesh_io.ScanArrays]) -> Work:
    for member, scan in members.items():
        if scan.faces is None:
            raise Refusal(f"{member} has no faces, so nothing can be learned from it. Deselect it, or fit it first.")
    faces = [scan.faces for scan in members.values() if scan.faces is not None]
    counts = [n for scan, own in zip(members.values(), faces, strict=True) for n in (len(scan.points), len(own))]
    answer = yield client.request(
        AlignRequest, name=name, path=path, names=tuple(members), counts=tuple(counts),
        points=np.concatenate([scan.points for scan in members.values()]), faces=np.concatenate(faces),
    )  # fmt: skip
    return answer.done.result
