"""Every line of the scripts in the artist's manual runs as it is written, with a stand-in for the backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.window import manual_script

bpy = pytest.importorskip("bpy")


def test_the_online_manual_of_everything_is_a_section_of_the_page_in_the_zip(addon: Any, scene: Any) -> None:
    manual = importlib.import_module(f"{addon.name}.ui.manual")
    assert manual.links in bpy.utils._manual_map
    page, text = manual.PAGE.as_uri(), manual.PAGE.read_text("utf-8")
    named = [name for names in manual.SECTIONS.values() for name in names]
    assert set(named) <= set(dir(bpy.ops.omomi)) and len(named) == len(set(named))
    look_up = importlib.import_module("bl_operators.wm").WM_OT_doc_view_manual._lookup_rna_url
    for identifier, section in (
        *((f"bpy.ops.omomi.{name}", "") for name in dir(bpy.ops.omomi)),
        ("bpy.ops.omomi.solve", "safe-range-and-solve"),
        ("bpy.types.OmomiSettings.fill", "fit-a-scan"), ("bpy.types.OmomiLayer.strength", "edits-masks-results"),
    ):  # fmt: skip
        found = look_up(identifier, verbose=False)
        start, _, anchor = found.partition("#")
        assert start == page and f"id='{anchor}'" in text and section in ("", anchor), identifier


def select(*names: str) -> None:
    """Select these objects; the last is the active one."""
    for obj in bpy.context.view_layer.objects:
        obj.hide_set(False)
        obj.select_set(obj.name in names)
    bpy.context.view_layer.objects.active = bpy.data.objects[names[-1]]


def open_box(make: Callable[..., Any], name: str) -> None:
    vertices = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    make(name, vertices, [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4)])


def add_places() -> None:
    for _ in range(2):
        bpy.context.object.omomi.edits[0].places.add()


def test_every_line_of_the_manuals_scripts_runs_as_written(
    fake: Any, addon: Any, make: Callable[..., Any], tmp_path: Path
) -> None:
    for name in ("owl", "crow", *(f"mug {number}" for number in range(10))):
        open_box(make, name)
    bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(bpy.data.objects["Empty"])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "mugs.blend"))
    (tmp_path / "library").mkdir(exist_ok=True)
    lines = manual_script.lines()
    assert len(lines) > 20
    scope = {"bpy": bpy}
    for line in lines:
        if names := manual_script.selection(line):
            select(*names)
        if "places[1]" in line:
            add_places()
        try:
            exec(line, scope)
        except Exception as error:
            raise AssertionError(f"{line}: {error}") from error
    assert (tmp_path / "audit.html").is_file()
    assert {"owl.fit", "crow.fit", "Imagined 7", "Imagined 9"} <= {obj.name for obj in bpy.data.objects}
    assert fake.kinds["FitRequest"] >= 5 and {"LearnRequest", "SweepRequest", "AlignRequest"} <= set(fake.kinds)
