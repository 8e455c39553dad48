"""Preferences of the extension: where the backend process runs and what it may use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..context import context
from ..translations import told

PACKAGE = (__package__ or "").rpartition(".")[0]

DEVICES = [
    ("auto", "Automatic", "A GPU where one does the same in less time, else the processor"),
    ("cpu", "CPU", "The processor only"),
    ("cuda", "GPU (CUDA)", "An NVIDIA GPU; an error that says why where it cannot be used"),
    ("webgpu", "GPU (WebGPU)", "Any GPU, by the package onnxruntime-ep-webgpu; an error that says why where it cannot"),
]


class OmomiPreferences(bpy.types.AddonPreferences):
    """Preferences of the extension. A change takes effect at the next fit."""

    bl_idname = PACKAGE
    __annotations__ = {
        "device": EnumProperty(
            name="Device", description="What the backend process computes on", items=DEVICES, default="auto"
        ),
        "threads": IntProperty(
            name="Threads", description="Processor threads of the backend process; 0 leaves the choice to it",
            default=0, min=0, max=256,
        ),
        "memory_mb": IntProperty(
            name="Memory Bound (MB)", description="Refuse a fit that would need more than this; 0 sets no bound",
            default=0, min=0, max=4_194_304,
        ),
        "log_file": StringProperty(
            name="Log File", description="Where the backend process writes; empty for the extension's user folder",
            subtype="FILE_PATH",
        ),
        "library": StringProperty(
            name="Library", description="Folder of your own edits and presets; empty for Blender's user folder",
            subtype="DIR_PATH",
        ),
        "interpreter": StringProperty(
            name="Python", subtype="FILE_PATH",
            description="Another Python to run the backend process, with its own onnxruntime; empty for Blender's own",
        ),
    }  # fmt: skip

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        chosen: Any = self
        layout.use_property_split = True
        for name in ("device", "threads", "memory_mb", "log_file", "library", "interpreter"):
            layout.prop(self, name)
        column = layout.column(align=True)
        column.label(text=f"Python {sys.version.split()[0]}: {chosen.interpreter or sys.executable}")
        column.label(text=told(f"Log: {log_path(self)}"), translate=False)
        row = layout.row()
        row.operator("omomi.doctor")
        row.operator("omomi.open_log")
        row.operator("omomi.restart")


def get() -> Any:
    """The preferences of the enabled extension."""
    return context.preferences.addons[PACKAGE].preferences


def log_path(preferences: Any) -> Path:
    """The log file chosen, or ``backend.log`` in the user folder of the extension (never the add-on's folder)."""
    if preferences.log_file:
        return Path(bpy.path.abspath(preferences.log_file))
    return Path(bpy.utils.extension_path_user(PACKAGE)) / "backend.log"


def library_folder() -> Path:
    """The folder of the artist's edits, presets and families. The extension's own goes with the extension."""
    chosen = get().library
    return Path(bpy.path.abspath(chosen) if chosen else bpy.utils.user_resource("DATAFILES", path="omomi"))
