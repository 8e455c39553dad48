"""The operator that opens files of scans that Blender does not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, StringProperty

from ..backend.protocol.names import POINT_FILES
from ..backend.protocol.requests import ReadRequest
from ..scene.scan_file import ScanFile
from ..session.task import Client, Task, Work
from ..text import refuse
from .modal import WAIT, RunOperator, absolute


class OMOMI_OT_open_scan(RunOperator, bpy.types.Operator):
    """Open files of scans"""

    bl_idname = "omomi.open_scan"
    bl_label = "Open Scan"
    bl_description = (
        "Open scans that Blender does not read itself: points as XYZ, ASC, PTS or PCD, OFF and NPZ, with their colours "
        "and normals; LAS, LAZ and E57 where the interpreter has the packages for them. Esc cancels"
    )
    bl_options = {"UNDO"}  # noqa: RUF012
    __annotations__ = {
        "filepath": StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"}),
        "directory": StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"}),
        "files": CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"}),
        "filter_glob": StringProperty(default=";".join(f"*{suffix}" for suffix in POINT_FILES), options={"HIDDEN"}),
        **WAIT,
    }
    _is_browsed = False

    def invoke(self, context: Any, event: Any) -> Any:
        """What was dropped on a view is opened; else the artist chooses."""
        if self.filepath or self.files:
            return RunOperator.invoke(self, context, event)
        self._is_browsed = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Any:
        if not self._is_browsed or bpy.app.background:
            return RunOperator.execute(self, context)
        # the file browser calls this, which would block the window
        names = [{"name": item.name} for item in self.files]
        operators: Any = bpy.ops
        operators.omomi.open_scan("INVOKE_DEFAULT", filepath=self.filepath, directory=self.directory, files=names)
        return {"CANCELLED"}

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        chosen = [Path(self.directory) / item.name for item in self.files if item.name]
        refuse("" if chosen or self.filepath else "No file is chosen")
        paths = chosen or [absolute(self.filepath)]
        return Task(client, _read(client, paths), "reading the file", len(paths))

    def _commit(self, context: Any, run: Any) -> None:
        for obj in context.selected_objects:
            obj.select_set(False)
        for scan in run.result:
            obj = scan.put()
            self.tell("INFO", f"{obj.name}: {scan.points:,} points, {scan.faces:,} faces")
            if any(scan.place):
                self.tell("WARNING", f"{obj.name} is far from the origin, so it has an origin of its own")
            for note in scan.notes:
                self.tell("WARNING", note)


CLASSES = (OMOMI_OT_open_scan,)


def _read(client: Client, paths: list[Path]) -> Work:
    """`ScanFile` of each. Raises OmomiError."""
    found = []
    for path in paths:
        scan = ScanFile((yield client.request(ReadRequest, path=str(path))))
        found.append(scan)
        yield from scan.draft.fill()
    return found
