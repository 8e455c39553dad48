"""Operators that show what the model knows: shapes sampled from it, and its audit, a page on what it can do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, StringProperty
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError, system_reason
from ..backend.protocol.messages import MeshFrame
from ..backend.protocol.requests import AuditRequest, SampleRequest
from ..scene import preview, results
from ..scene.draft import Draft
from ..session import backend_fit
from ..session.backend_fit import FitSettings
from ..session.task import Client, Task, Work
from ..text import plausibility_lines
from ..ui.properties import SAMPLES, SEED
from ..ui.widgets import active_mesh
from .edits import why_not_editable
from .modal import FILE, WAIT, RunOperator, absolute, chosen

# What the model samples is 1.6 long; the centres of two shapes are this far apart.
LONGEST, SPACING = 1.6, 2.0
PREVIEW = "sample"


class OMOMI_OT_sample(RunOperator, bpy.types.Operator):
    """Sample new shapes from the model"""

    bl_idname = "omomi.sample"
    bl_label = "Imagine"
    bl_description = (
        "Sample new shapes from the model and place them in a row that starts at the 3D cursor, as large as the active "
        "mesh or the others; Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {"seed": SEED, "count": SAMPLES, **WAIT}
    _seed = 1
    _cursor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _scale = 1.0

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        scene = context.scene
        self._cursor, self._seed = tuple(scene.cursor.location), chosen(self, scene, "seed")
        count = chosen(self, scene, "count", "samples")
        self._scale = _size(context) / LONGEST
        made: list[tuple[MeshFrame, dict[str, Any]]] = []

        def show(frame: MeshFrame) -> None:
            preview.show(PREVIEW, "Imagined", self._scale * frame.world() + self._location(len(made)), frame.faces)

        work = _samples(client, self._seed, count, int(scene.omomi.level), made)
        return Task(client, work, "imagining", count, show if stream else None, (PREVIEW,))

    def _location(self, number: int) -> NDArray[np.float64]:
        return np.array(self._cursor) + (self._scale * SPACING * number, 0.0, 0.0)

    def _commit(self, context: Any, run: Any) -> None:
        for obj in context.selected_objects:
            obj.select_set(False)
        for number, (frame, said) in enumerate(run.result):
            place = tuple(self._location(number).tolist())
            obj = results.new(Draft(frame, np.eye(3)), f"Imagined {self._seed + number}", place)
            obj.scale = (self._scale,) * 3
            obj.omomi.check = "\n".join(plausibility_lines({**said, "value": said.get("plausibility")}))
        count = len(run.result)
        seconds = f"{run.seconds:.1f}"
        alone = count == 1
        self.tell("INFO", f"1 shape imagined in {seconds} s" if alone else f"{count} shapes imagined in {seconds} s")


class OMOMI_OT_audit(RunOperator, bpy.types.Operator):
    """Write a page with pictures that says what the model knows, how far its sliders reach, and how far to trust it"""

    bl_idname = "omomi.audit"
    bl_label = "Audit"
    bl_description = (
        "Write a page with pictures that says what the model knows, how far its sliders reach, how far to trust it, "
        "and where the active object lies among what it was trained on; it opens in the browser. Esc cancels"
    )
    __annotations__ = {
        "filepath": StringProperty(name="Page", description="HTML file to write; empty for a temporary one", **FILE),
        "place": BoolProperty(
            name="Place the Active Object", description="Also say where the active object lies", default=True
        ),
        "against": StringProperty(
            name="Against", description="The card of an older model, to be compared with", **FILE
        ),
        **WAIT,
    }
    # A temporary file that is still empty.
    _spare: Path | None = None

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        obj = context.active_object if self.place and not why_not_editable(context.active_object) else None
        path = absolute(self.filepath) if self.filepath else _temporary()
        self._spare = None if self.filepath else path
        if path.suffix.lower() != ".html":
            path = path.with_name(f"{path.name}.html")
        against = str(absolute(self.against)) if self.against else ""
        uid, settings = (None if obj is None else obj.session_uid), FitSettings.of(context.scene.omomi)
        arguments = client, uid, settings, str(path), against
        if uid is None:
            return Task(client, _audit(*arguments), "reading the card")
        return Task(client, backend_fit.retried(uid, lambda: _audit(*arguments)), "opening the scan")

    def _done(self, context: Any, run: Any) -> set[str]:
        if run.result is None and self._spare is not None:
            self._spare.unlink(missing_ok=True)
        return RunOperator._done(self, context, run)

    def _commit(self, context: Any, run: Any) -> None:
        self.tell("INFO", f"The audit is in {run.result}")
        if not bpy.app.background:
            bpy.ops.wm.url_open(url=Path(run.result).as_uri())


CLASSES = (OMOMI_OT_sample, OMOMI_OT_audit)


def _size(context: Any) -> float:
    """The longest side of the active mesh, else of most meshes of the view, else `LONGEST`."""
    active = active_mesh(context)
    near = [obj for obj in context.view_layer.objects if obj.type == "MESH"] if active is None else [active]
    sides = [side for side in (max(obj.dimensions) for obj in near) if side > 0]
    return float(np.median(sides)) if sides else LONGEST


def _samples(client: Client, seed: int, count: int, level: int, made: list[tuple[MeshFrame, dict[str, Any]]]) -> Work:
    """Fills and returns ``made``: for each seed the canonical mesh and what is said of it. Raises OmomiError."""
    for number in range(count):
        answer = yield client.request(SampleRequest, seed=seed + number, level=level)
        made.append((answer.mesh, answer.done.result))
    return made


def _audit(client: Client, uid: int | None, settings: FitSettings, path: str, against: str) -> Work:
    """The path of the page. Raises OmomiError."""
    handle = -1
    if uid is not None and len(backend_fit.need(uid).data.vertices):
        handle = (yield from backend_fit.opened(client, uid, settings)).handle
    answer = yield client.request(AuditRequest, handle=handle, path=path, against=against)
    return answer.done.result.get("path") or path


def _temporary() -> Path:
    """Not in Blender's own folder for such files, which goes when it ends. Raises OmomiError(DISK)."""
    try:
        with tempfile.NamedTemporaryFile(prefix="omomi-audit-", suffix=".html", delete=False) as file:
            return Path(file.name)
    except OSError as error:
        raise OmomiError(ErrorCode.DISK, f"No temporary file can be made: {system_reason(error)}") from error
