"""Operators on the holes of the selected meshes: find them, show them, close them."""

from __future__ import annotations

from typing import Any

import bpy

from ..session import patch
from ..session.task import Client, Task
from ..ui import hole_overlay
from ..ui.properties import PATCH_OPTIONS
from ..ui.widgets import selected_meshes
from .modal import WAIT, OmomiOperator, PolledOperator, RunOperator, chosen, why_not_start


class HolesOperator(RunOperator):
    """Mix-in of an operator on the holes of every selected mesh."""

    bl_options = {"UNDO"}  # noqa: RUF012

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_start(context) or ("" if selected_meshes(context) else "Select at least one mesh object")


class OMOMI_OT_find_holes(HolesOperator, bpy.types.Operator):
    """List the holes of the selected meshes, and number them in the view"""

    bl_idname = "omomi.find_holes"
    bl_label = "Find Holes"
    bl_description = (
        "List the holes of the selected meshes and number them in the view. Openings that seem to be meant, as the "
        "mouth of a jug or the outer border of a terrain, are listed without a tick"
    )
    __annotations__ = WAIT

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        return patch.FindHolesRun(client, selected_meshes(context))

    def _done(self, context: Any, run: Any) -> set[str]:
        looked = run.commit()
        for obj in looked:
            report, *warnings = obj.omomi.holes_report.splitlines()
            self.tell("INFO", f"{obj.name}: {report}")
            for warning in warnings:
                self.tell("WARNING", warning)
        if looked:
            hole_overlay.show()
        return {"FINISHED"} if looked else {"CANCELLED"}


class OMOMI_OT_close_holes(HolesOperator, bpy.types.Operator):
    """Close the ticked holes of the selected meshes; everything else of them stays"""

    bl_idname = "omomi.close_holes"
    bl_label = "Close Holes"
    bl_description = (
        "Close the ticked holes of the selected meshes, or all holes where you have not looked for them. Every vertex, "
        "face, UV, colour, weight and shape key stays as it is; new ones are added to them. Esc cancels"
    )
    __annotations__ = {**PATCH_OPTIONS, **WAIT}

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        # Objects that share a mesh share its holes.
        meshes = {obj.data.session_uid: obj for obj in reversed(selected_meshes(context))}
        options = {name: chosen(self, context.scene, name) for name in PATCH_OPTIONS}
        return patch.PatchRun(client, reversed(meshes.values()), **options)

    def _done(self, context: Any, run: Any) -> set[str]:
        # Of several objects, those that are complete stay, whatever became of the others.
        patched = run.commit()
        if not patched:
            return {"CANCELLED"}
        reports = [obj.omomi.holes_report.splitlines() for obj in patched]
        for warning in (line for report in reports for line in report[1:]):
            self.tell("WARNING", warning)
        closed, faces = run.closed
        if len(patched) == 1:
            self.tell("INFO", f"{patched[0].name}: {reports[0][0]}")
        else:
            self.tell("INFO", f"{len(patched)} meshes: {closed} holes closed with {faces:,} faces")
        return {"FINISHED"}


class OMOMI_OT_show_holes(OmomiOperator, bpy.types.Operator):
    """Show or hide the borders and numbers of the holes of the active object in the view; Esc hides them too"""

    bl_idname = "omomi.show_holes"
    bl_label = "Show Holes"

    def execute(self, context: Any) -> Any:
        if hole_overlay.is_shown():
            hole_overlay.hide()
        else:
            hole_overlay.show()
        return {"FINISHED"}


class OMOMI_OT_hide_holes(PolledOperator, bpy.types.Operator):
    """Hide the borders and numbers of holes in the view"""

    bl_idname = "omomi.hide_holes"
    bl_label = "Hide Holes"

    @classmethod
    def why_not(cls, context: Any) -> str:
        return "" if hole_overlay.is_shown() else "No holes are shown"

    def execute(self, context: Any) -> Any:
        hole_overlay.hide()
        return {"FINISHED"}


CLASSES = (OMOMI_OT_find_holes, OMOMI_OT_close_holes, OMOMI_OT_show_holes, OMOMI_OT_hide_holes)
