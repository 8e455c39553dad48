"""Operators on the files of the library: load an edit or a preset, save, rename, delete, import, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from ..backend.protocol.recipe import Layer, Recipe
from ..session import edits, library, process
from ..session.backend_fit import FitSettings
from ..text import Refusal
from ..ui import preferences
from .edits import EditOperator, show
from .modal import ActionOperator, absolute

KINDS = [
    ("EDIT", "Edit", "A learned edit"),
    ("PRESET", "Preset", "A stack of edits"),
    ("PROFILE", "Family", "The profile of a family of shapes"),
]
SUFFIX = {"EDIT": library.EDIT, "PRESET": library.PRESET, "PROFILE": library.PROFILE}
GLOB = f"*{library.EDIT};*{library.PRESET};*{library.PROFILE}"


class FileOperator(ActionOperator):
    """Mix-in of an operator on files. It supplies ``_use(context, folder)``, which works on the folder of the library,
    returns what to report, and may raise OmomiError."""

    bl_options = {"INTERNAL"}  # noqa: RUF012

    def _act(self, context: Any) -> str:
        return self._use(context, preferences.library_folder())


class OMOMI_OT_add_from_library(EditOperator, FileOperator, bpy.types.Operator):
    """Add an edit of the library to the stack of the selected meshes, at the strength that its examples show"""

    bl_idname = "omomi.add_from_library"
    bl_label = "Add from Library"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "stack"
    __annotations__ = {"name": StringProperty(name="Name", description="Of the file, without its suffix")}

    def _use(self, context: Any, folder: Path) -> str:
        path = library.find(folder, self.name, library.EDIT)
        edits.add(context.active_object, "learned", path.stem, str(path)).strength = 1.0
        show(context)
        return f"Added '{path.stem}'"


class OMOMI_OT_load_preset(EditOperator, FileOperator, bpy.types.Operator):
    """Give the selected meshes the edits of a preset in place of those that they have"""

    bl_idname = "omomi.load_preset"
    bl_label = "Load Preset"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    wants = "stack"
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the preset"),
        "append": BoolProperty(name="Append", description="Keep the edits that are there"),
    }

    def _use(self, context: Any, folder: Path) -> str:
        name = self.name
        layers = library.BUILT_IN.get(name) or library.read_preset(library.find(folder, name, library.PRESET))
        paths = [_file(layer, folder) for layer in layers]
        obj = context.active_object
        if not self.append:
            edits.remove_all(obj)
        for layer, path in zip(layers, paths, strict=True):
            edit = edits.add(obj, layer.source, layer.edit, path)
            edit.mask = (layer.mask.name or "") if layer.mask else ""
            edit.mute, edit.strength = layer.mute, layer.strength
        show(context)
        return f"{obj.name} has the edits of '{name}'"


class OMOMI_OT_save_preset(EditOperator, FileOperator, bpy.types.Operator):
    """Save the edits of the active object as a preset, a recipe that the command line reads as well"""

    bl_idname = "omomi.save_preset"
    bl_label = "Save Preset"
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the preset", default="My preset"),
        "overwrite": BoolProperty(name="Overwrite", description="Replace a preset of the same name"),
    }

    def invoke(self, context: Any, event: Any) -> Any:
        return context.window_manager.invoke_props_dialog(self)

    def _use(self, context: Any, folder: Path) -> str:
        name = library.check_name(self.name)
        if name in library.BUILT_IN:
            raise Refusal(f"'{name}' is a built-in preset, which cannot be changed. Choose another name.")
        path = library.room_for(folder, name, library.PRESET, overwrite=self.overwrite)
        layers = tuple(edits.preset_layer(edit) for edit in context.active_object.omomi.edits)
        fit = FitSettings.of(context.scene.omomi).options
        recipe = Recipe(process.introduced().model_hash, fit, layers)
        library.write_file(path, recipe.to_json().encode("ascii"))
        return f"Saved '{name}'"


class OMOMI_OT_rename_file(FileOperator, bpy.types.Operator):
    """Give an edit, a preset or a family of the library another name; what uses it in this file follows"""

    bl_idname = "omomi.rename_file"
    bl_label = "Rename"
    __annotations__ = {
        "kind": EnumProperty(name="Kind", description="What the file holds", items=KINDS),
        "name": StringProperty(name="Name", options={"HIDDEN"}),
        "new_name": StringProperty(name="New Name", description="Of the file, without its suffix"),
    }

    def invoke(self, context: Any, event: Any) -> Any:
        self.new_name = self.name
        return context.window_manager.invoke_props_dialog(self)

    def _use(self, context: Any, folder: Path) -> str:
        suffix = SUFFIX[self.kind]
        old = library.find(folder, self.name, suffix)
        path = library.rename(folder, self.name, self.new_name, suffix)
        objects: Any = bpy.data.objects
        for obj in objects:
            for edit in obj.omomi.edits if obj.library is None else ():
                if edit.kind == "learned" and Path(bpy.path.abspath(edit.path)) == old:
                    edit.path, edit.name = str(path), path.stem
        if self.kind == "PROFILE":
            _follow(self.name, path.stem)
        return f"'{self.name}' is now '{path.stem}'"


class OMOMI_OT_delete_file(FileOperator, bpy.types.Operator):
    """Delete an edit, a preset or a family of the library for good"""

    bl_idname = "omomi.delete_file"
    bl_label = "Delete"
    __annotations__ = {
        "kind": EnumProperty(name="Kind", description="What the file holds", items=KINDS),
        "name": StringProperty(name="Name", description="Of the file, without its suffix"),
    }

    def invoke(self, context: Any, event: Any) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def _use(self, context: Any, folder: Path) -> str:
        library.delete(folder, self.name, SUFFIX[self.kind])
        if self.kind == "PROFILE":
            _follow(self.name, "")
        return f"Deleted '{self.name}'"


class OMOMI_OT_import_file(FileOperator, bpy.types.Operator):
    """Copy edits, presets and families into the library"""

    bl_idname = "omomi.import_file"
    bl_label = "Import"
    __annotations__ = {
        "filepath": StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"}),
        "directory": StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"}),
        "files": CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"}),
        "filter_glob": StringProperty(default=GLOB, options={"HIDDEN"}),
        "overwrite": BoolProperty(name="Overwrite", description="Replace files of the same name"),
    }

    def invoke(self, context: Any, event: Any) -> Any:
        """What was dropped on a view is taken; else the artist chooses."""
        if self.filepath or self.files:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def _use(self, context: Any, folder: Path) -> str:
        chosen = [Path(self.directory) / item.name for item in self.files if item.name]
        sources = chosen or [absolute(self.filepath)]
        paths = [library.import_file(folder, source, overwrite=self.overwrite) for source in sources]
        return f"Imported {', '.join(path.stem for path in paths)}"


class OMOMI_OT_export_file(FileOperator, bpy.types.Operator):
    """Copy an edit, a preset or a family of the library to another folder"""

    bl_idname = "omomi.export_file"
    bl_label = "Export"
    __annotations__ = {
        "kind": EnumProperty(name="Kind", items=KINDS, options={"HIDDEN"}),
        "name": StringProperty(name="Name", options={"HIDDEN"}),
        "filepath": StringProperty(subtype="FILE_PATH"),
        "filter_glob": StringProperty(default=GLOB, options={"HIDDEN"}),
        "overwrite": BoolProperty(name="Overwrite", description="Replace a file of the same name"),
    }

    def invoke(self, context: Any, event: Any) -> Any:
        self.filepath = f"{self.name}{SUFFIX[self.kind]}"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def _use(self, context: Any, folder: Path) -> str:
        target = absolute(self.filepath)
        path = library.export(folder, self.name, SUFFIX[self.kind], target, overwrite=self.overwrite)
        return f"Exported {path.name}"


CLASSES = (
    OMOMI_OT_add_from_library, OMOMI_OT_load_preset, OMOMI_OT_save_preset,
    OMOMI_OT_rename_file, OMOMI_OT_delete_file, OMOMI_OT_import_file, OMOMI_OT_export_file,
)  # fmt: skip


def _file(layer: Layer, folder: Path) -> str:
    """The file of an edit of a preset, empty for what is built in. Raises `Refusal`."""
    if not layer.sha256:
        if edits.find(layer.source, layer.edit) is None:
            raise Refusal(f"There is no built-in edit '{layer.edit}'. The preset was made with another Omomi.")
        return ""
    path = library.find(folder, layer.edit, library.EDIT)
    if library.digest(path) != layer.sha256:
        raise Refusal(f"The '{layer.edit}' of the library is not the edit that the preset was made with. Import it.")
    return str(path)


def _follow(old: str, new: str) -> None:
    """Give a family its new name in the scenes and the fits of this file; empty for none."""
    scenes: Any = bpy.data.scenes
    objects: Any = bpy.data.objects
    users = [scene.omomi for scene in scenes if scene.library is None]
    users += [obj.omomi.origin for obj in objects if obj.library is None]
    for user in users:
        if user.profile == old:
            user.profile = new
