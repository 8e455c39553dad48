"""The Fit operator, and those on other completions of a fit: make some, look at one, pick one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import bpy
from bpy.props import StringProperty

from ..backend.protocol.messages import MeshFrame
from ..scene import completions, fit_origin, fit_provenance, mesh_io, point_cloud, preview
from ..session import edits, fits
from ..session.backend_fit import FitSettings
from ..session.task import Client, Task
from ..text import Refusal, reading_text, refuse
from ..ui.properties import COMPLETIONS, FIT_OPTIONS
from ..ui.widgets import active_mesh, selected_meshes, selected_scans
from .edits import prepare, settle
from .modal import WAIT, ActionOperator, PolledOperator, RunOperator, chosen, why_not_start


def why_not_fitted(context: Any) -> str:
    """The reason why nothing can be started on the fit of the active object, or an empty text."""
    obj = active_mesh(context)
    if reason := why_not_start(context):
        return reason
    if obj is None:
        return "Make a fitted scan active"
    return "" if fit_origin.result_of(obj) is not None else f"{obj.name} has not been fitted; press Fit first"


class OMOMI_OT_fit(RunOperator, bpy.types.Operator):
    """Fit a surface to every selected mesh, as its modifiers show it; of a fit, its scan again, in its place. An option
    not given is the scene's setting."""

    bl_idname = "omomi.fit"
    bl_label = "Fit"
    bl_description = (
        "Fit a surface to every selected mesh, as its modifiers show it: closed, or open where the mesh is a sheet. A "
        "fit is made again from its scan, in its place; Esc cancels"
    )
    # No REGISTER: the redo panel would run the whole fit again, blocking, at every move of a slider.
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {**FIT_OPTIONS, **WAIT}
    # Of the meshes that stand for point clouds, and of these.
    _clouds: Mapping[int, int] = MappingProxyType({})

    @classmethod
    def why_not(cls, context: Any) -> str:
        if fits.current() is not None:
            return "A fit is running; press Esc to cancel it first"
        if context.mode.startswith("EDIT"):
            return "Leave Edit Mode first (Tab), then Fit"
        return "" if selected_scans(context) else "Select at least one mesh or point cloud to fit"

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        options = SimpleNamespace(**{name: chosen(self, context.scene, name) for name in FIT_OPTIONS})
        settings, replace = FitSettings.of(options), options.result == "REPLACE"
        clouds = [obj for obj in selected_scans(context) if obj.type == point_cloud.TYPE]
        if splats := [cloud.name for cloud in clouds if point_cloud.is_splat(cloud)]:
            self.tell("INFO", f"{', '.join(splats)}: the middles of the splats are fitted, as points")
        self._clouds = {point_cloud.as_mesh(cloud).session_uid: cloud.session_uid for cloud in clouds}
        return fits.FitRun(client, selected_meshes(context), settings, replace=replace, stream=stream)

    def _tidy(self, placed: list[Any]) -> None:
        """Bring back the point clouds that have no fit."""
        kept = {obj.session_uid for obj in (*placed, *(obj.omomi.origin.scan for obj in placed)) if obj is not None}
        for made, cloud in self._clouds.items():
            obj, shown = mesh_io.object_by_uid(made), mesh_io.object_by_uid(cloud)
            if made not in kept and obj is not None and shown is not None:
                mesh_io.discard(obj)
                if mesh_io.in_view(shown):
                    shown.hide_set(False)
                    shown.select_set(True)

    def _done(self, context: Any, run: Any) -> set[str]:
        # Of several objects, those that were fitted are placed, whatever became of the others.
        placed = run.commit()
        self._tidy(placed)
        for obj in placed:
            if not edits.is_neutral(obj.omomi.edits):
                # a fit that was made again keeps its strengths, so that its edits show on the new mesh
                prepare(obj, context.scene)
                settle(obj)
            told = obj.omomi.origin
            if reading := reading_text(told.found, told.reason):
                self.tell("INFO", f"{obj.name}: {reading}")
            for note in told.notes.splitlines():
                self.tell("WARNING", f"{obj.name}: {note}")
        if placed and not run.errors:
            vertices = sum(len(obj.data.vertices) for obj in placed)
            names = ", ".join(obj.name for obj in placed)
            filled = "; ".join(run.guesses)
            text = f"{names}: {vertices:,} vertices in {run.seconds:.1f} s"
            if filled:
                text = f"{text}; what was not seen follows {filled}"
            self.tell("INFO", ". ".join([text, *run.notes]))
        if run.lost:
            self.tell("WARNING", "\n".join(run.lost))
        return {"FINISHED"} if placed else {"CANCELLED"}


class OMOMI_OT_refit(RunOperator, bpy.types.Operator):
    """Fit the scan of the active fit again, read as another kind of thing. The new mesh takes the place of the fit's"""

    bl_idname = "omomi.refit"
    bl_label = "Refit"
    bl_description = (
        "Fit the scan again, read as this kind of thing. The fit's object gets the new mesh and keeps its edits; one "
        "undo takes it back, Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {"kind": FIT_OPTIONS["kind"], **WAIT}
    _done = OMOMI_OT_fit._done
    _tidy = OMOMI_OT_fit._tidy
    _clouds = OMOMI_OT_fit._clouds

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_fitted(context)

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        result = fit_origin.result_of(context.active_object)
        assert result is not None
        settings = FitSettings.of(result.omomi.origin)
        return fits.FitRun(client, [result], settings.read_as(self.kind), stream=stream)


class OMOMI_OT_complete_otherwise(RunOperator, bpy.types.Operator):
    """Make other completions of a fit: what was measured stays, what was not seen is filled otherwise"""

    bl_idname = "omomi.complete_otherwise"
    bl_label = "Complete Otherwise"
    bl_description = (
        "Fit the scan again a few times and fill what was not seen in other likely ways, to pick one. What was "
        "measured stays, and so does the fit until you pick; Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {"count": COMPLETIONS, **WAIT}
    _uid = 0

    @classmethod
    def why_not(cls, context: Any) -> str:
        return why_not_fitted(context)

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        result = fit_origin.result_of(context.active_object)
        assert result is not None
        refuse(completions.why_not(result))
        count = chosen(self, context.scene, "count", "completions")
        settings = FitSettings.of(result.omomi.origin)
        self._uid = result.session_uid
        key, name, offset = str(self._uid), fit_provenance.name_of(result), fit_provenance.place_of(result)

        def show(frame: MeshFrame) -> None:
            preview.show(key, name, frame.world() + offset, frame.faces)

        work = completions.complete(client, result, settings, count)
        return Task(client, work, "opening the scan", count, show if stream else None, (key,))

    def _commit(self, context: Any, run: Any) -> None:
        made = completions.commit(self._uid, run.result)
        self.tell("INFO", f"{len(made)} other completions in '{completions.NAME}'. Look at each, then pick one")


class CompletionOperator(PolledOperator, ActionOperator):
    """Mix-in of an operator on a fit or one of its other completions: the one named, else the active object. It
    supplies ``_use(context, obj)``, which returns what to report and may raise OmomiError."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"name": StringProperty(name="Name", description="Of the object; else the active one")}

    def _act(self, context: Any) -> str:
        objects: Any = bpy.data.objects
        obj = objects.get(self.name) if self.name else context.active_object
        if obj is None or obj.type != "MESH" or not completions.of(obj.omomi.completes or obj):
            raise Refusal("There are no other completions to choose from. Press Complete Otherwise first.")
        return self._use(context, obj)


class OMOMI_OT_show_completion(CompletionOperator, bpy.types.Operator):
    """Show this one and hide the others"""

    bl_idname = "omomi.show_completion"
    bl_label = "Show"

    def _use(self, context: Any, obj: Any) -> str:
        completions.show(obj)
        return f"{obj.name} is shown"


class OMOMI_OT_pick_completion(CompletionOperator, bpy.types.Operator):
    """Keep this one as the fit and remove the others; the mesh that the fit had stays in the file as NAME.original"""

    bl_idname = "omomi.pick_completion"
    bl_label = "Pick"

    def _use(self, context: Any, obj: Any) -> str:
        name = obj.name
        result = completions.pick(obj)
        if len(result.omomi.edits):
            prepare(result, context.scene)
        settle(result)
        return f"{result.name} has the shape of {name}" if name != result.name else f"{name} stays as it is"


CLASSES = (
    OMOMI_OT_fit, OMOMI_OT_refit, OMOMI_OT_complete_otherwise, OMOMI_OT_show_completion, OMOMI_OT_pick_completion,
)  # fmt: skip
