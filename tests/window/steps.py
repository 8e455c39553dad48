"""The artist's steps in a real window. Blender runs this file; `tests.window.walk` starts it and says with what.

Each step is a generator that yields seconds to wait, since Blender draws and runs modal operators between two calls of
a timer. Lines on stdout tell the outcome of a step and ask for a picture.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

bpy: Any = importlib.import_module("bpy")

MODULE = "bl_ext.user_default.omomi"
FOLDER = Path(os.environ["OMOMI_FOLDER"])
"""Of the scans, and of the pictures."""
LONGEST = 300.0
"""Seconds that one job may take."""

Steps = Generator[float, None, None]


class Window:
    """The first window and its 3D view."""

    def __init__(self) -> None:
        self.window = bpy.context.window_manager.windows[0]
        self.area = next(area for area in self.window.screen.areas if area.type == "VIEW_3D")

    def region(self, kind: str) -> Any:
        return next(region for region in self.area.regions if region.type == kind)

    def override(self) -> Any:
        return bpy.context.temp_override(window=self.window, area=self.area, region=self.region("WINDOW"))

    def event(self, kind: str, value: str, xy: tuple[int, int] | None = None) -> None:
        x, y = xy or self.middle()
        self.window.event_simulate(type=kind, value=value, x=x, y=y)

    def middle(self) -> tuple[int, int]:
        region = self.region("WINDOW")
        return region.x + region.width // 3, region.y + region.height // 2

    def click(self, xy: tuple[int, int]) -> Steps:
        self.event("MOUSEMOVE", "NOTHING", xy)
        yield 0.2
        self.event("LEFTMOUSE", "PRESS", xy)
        yield 0.1
        self.event("LEFTMOUSE", "RELEASE", xy)
        yield 0.3

    def key(self, kind: str) -> Steps:
        self.event("MOUSEMOVE", "NOTHING")
        yield 0.1
        self.event(kind, "PRESS")
        yield 0.1
        self.event(kind, "RELEASE")
        yield 0.3


def addon(path: str) -> Any:
    return importlib.import_module(f"{MODULE}.{path}")


def invoke(operator: str, **options: object) -> None:
    """Press the button of an operator."""
    with Window().override():
        getattr(bpy.ops.omomi, operator)("INVOKE_DEFAULT", **options)


def until_idle() -> Steps:
    """Wait for the end of the job in the window, then for the preview, which tells of itself after half a second."""
    end, fits, live = time.monotonic() + LONGEST, addon("session.fits"), addon("session.live")
    yield 1.2
    while fits.current() is not None or live.waiting():
        assert time.monotonic() < end, "a job did not end in time"
        yield 0.2
    assert not live.error(), live.error()
    yield 0.5


def picture(name: str) -> Steps:
    """Have a picture of the whole window taken."""
    path = FOLDER / f"{name}.png"
    path.unlink(missing_ok=True)
    yield 0.5
    print(f"PICTURE {path}", flush=True)
    for _ in range(100):
        if path.is_file():
            return
        yield 0.1
    raise AssertionError(f"{path.name} was not taken")


def open_files(*names: str) -> list[Any]:
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    found = []
    for name in names:
        bpy.ops.wm.ply_import(filepath=str(FOLDER / f"{name}.ply"))
        found.append(bpy.context.active_object)
    with Window().override():
        bpy.ops.view3d.view_all()
    return found


def select(*chosen: Any) -> None:
    """Select these objects; the last is the active one."""
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj in chosen)
    bpy.context.view_layer.objects.active = chosen[-1]


def run(operator: str, **options: object) -> Steps:
    """Press the button of an operator, and wait for the end of its job."""
    invoke(operator, **options)
    yield from until_idle()


def fitted_scan() -> Generator[float, None, Any]:
    """The scan is opened and fitted; returns the fit."""
    open_files("scan")
    yield from run("fit")
    return bpy.context.active_object


def borders(obj: Any) -> int:
    """Edges with one face."""
    counted: dict[tuple[int, int], int] = {}
    for polygon in obj.data.polygons:
        for key in polygon.edge_keys:
            counted[key] = counted.get(key, 0) + 1
    return sum(count == 1 for count in counted.values())


def install() -> Steps:
    """The zip is installed and its tab stands in the sidebar."""
    bpy.ops.extensions.package_install_files(
        filepath=os.environ["OMOMI_ZIP"], repo="user_default", enable_on_install=True
    )
    assert MODULE in bpy.context.preferences.addons, "the zip was not installed"
    bpy.context.preferences.addons[MODULE].preferences.interpreter = os.environ["OMOMI_PYTHON"]
    bpy.context.preferences.view.show_splash = False
    window = Window()
    window.area.spaces[0].show_region_ui = True
    yield 1.0
    sidebar = window.region("UI")
    for step in range(30):
        yield from window.click((sidebar.x + sidebar.width - 8, sidebar.y + sidebar.height - 30 - 25 * step))
        if sidebar.active_panel_category == "Omomi":
            return
    raise AssertionError("no tab of the sidebar is ours")


def fit() -> Steps:
    """A scan becomes a closed mesh; the scan stays, hidden."""
    [scan] = open_files("scan")
    before = len(scan.data.vertices)
    invoke("fit")
    yield 1.0
    yield from picture("fit_running")
    yield from until_idle()
    result = bpy.context.active_object
    assert result.name == f"{scan.name}.fit" and borders(result) == 0
    assert scan.hide_get() and len(scan.data.vertices) == before
    yield from picture("fit")


def escape() -> Steps:
    """Esc ends a fit and leaves nothing behind."""
    [scan] = open_files("scan")
    names = {obj.name for obj in bpy.data.objects}
    bpy.context.scene.omomi.level = "3"
    invoke("fit")
    yield 2.0
    began = time.monotonic()
    yield from Window().key("ESC")
    while addon("session.fits").current() is not None:
        yield 0.05
    took = time.monotonic() - began
    bpy.context.scene.omomi.level = "2"
    began = time.monotonic()
    with Window().override():
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=4)
    # the window is drawn between two events, which a software renderer takes long for
    drawn = time.monotonic() - began
    assert took < 2.0 + 2 * drawn, f"Esc took {took:.1f} s, four pictures {drawn:.1f} s"
    yield 0.5
    assert {obj.name for obj in bpy.data.objects} == names and not scan.hide_get()


def refit() -> Steps:
    """A fit is read as another kind of thing, in its place; one undo takes it back."""
    result = yield from fitted_scan()
    yield from run("refit", kind="sheet")
    assert bpy.context.active_object == result and result.omomi.origin.found == "sheet" and borders(result)
    yield from picture("refit")
    with Window().override():
        bpy.ops.ed.undo()
    yield 0.5
    assert bpy.context.active_object.omomi.origin.found == "scan"


def holes() -> Steps:
    """The holes are numbered in the view, and closed."""
    [scan] = open_files("scan")
    borders_before, vertices = borders(scan), len(scan.data.vertices)
    yield from run("find_holes")
    yield from picture("holes")
    yield from run("close_holes")
    scan = bpy.context.active_object
    assert borders(scan) < borders_before and len(scan.data.vertices) > vertices
    yield from picture("holes_closed")


def sliders() -> Steps:
    """A slider moves the fit in the view; Apply makes a mesh, and one undo takes it back."""
    fitted = yield from fitted_scan()
    invoke("add_edit", kind="attribute", name="thickness")
    yield 0.5
    bpy.context.scene.omomi.result = "NEW"
    fitted.omomi.edits[0].strength = 0.5
    yield from until_idle()
    yield from picture("slider")
    yield from run("apply")
    assert "scan.fit.edit" in bpy.data.objects
    with Window().override():
        bpy.ops.ed.undo()
    yield 0.5
    assert "scan.fit.edit" not in bpy.data.objects


def again() -> Steps:
    """Fit on a fit makes it anew at another detail, in place: two clicks."""
    open_files("scan")
    bpy.context.scene.omomi.level = "1"
    yield from run("fit")
    result = bpy.context.active_object
    coarse = len(result.data.vertices)
    bpy.context.scene.omomi.level = "2"
    yield from run("fit")
    assert bpy.context.active_object == result and len(result.data.vertices) > 2 * coarse
    assert len([obj for obj in bpy.data.objects if obj.type == "MESH"]) == 2


def search() -> Steps:
    """F3 finds our operators."""
    open_files("scan")
    window = Window()
    yield from window.key("F3")
    for letter in "close holes":
        window.window.event_simulate(
            type=letter.upper() if letter != " " else "SPACE", value="PRESS", unicode=letter, x=0, y=0
        )
        yield 0.1
        window.window.event_simulate(type=letter.upper() if letter != " " else "SPACE", value="RELEASE", x=0, y=0)
        yield 0.05
    yield from picture("search")
    yield from window.key("ESC")
    yield from window.key("ESC")


def learn() -> Steps:
    """An edit is learned from two pairs and applied to four others at once."""
    made = open_files("before0", "after0", "before1", "after1", "other3", "other4", "other5", "other6")
    settings = bpy.context.scene.omomi
    settings.pairs.clear()
    for before, after in (made[0:2], made[2:4]):
        select(before, after)
        invoke("add_pair")
    settings.learn_name = "Horn"
    yield from run("learn", overwrite=True)
    yield from picture("learned")
    settings.result = "NEW"
    select(*made[4:])
    yield from run("add_from_library", name="Horn")
    yield from run("apply")
    results = [obj for obj in bpy.context.view_layer.objects if obj.name.startswith("other") and not obj.hide_get()]
    assert len(results) >= 4
    yield from picture("applied")


def check() -> Steps:
    """Check tells the topology and paints what was guessed."""
    yield from fitted_scan()
    yield from run("check")
    assert bpy.context.active_object.omomi.check and addon("ui.colour_overlay").shown()
    yield from picture("check")
    yield from Window().key("ESC")
    assert not addon("ui.colour_overlay").shown(), "Esc does not take the colours away"


def japanese() -> Steps:
    """The panels are in Japanese, and in English again."""
    view = bpy.context.preferences.view
    if "ja_JP" not in {item.identifier for item in view.bl_rna.properties["language"].enum_items}:
        print("this Blender has no translations", flush=True)
        return
    open_files("scan")
    view.language, view.use_translate_interface, view.use_translate_tooltips = "ja_JP", True, True
    yield 1.0
    yield from picture("japanese")
    view.language = "en_US"


def faces() -> Steps:
    """A fit becomes quads, and a low-poly copy with its detail baked."""
    fitted = yield from fitted_scan()
    before = len(fitted.data.polygons)
    invoke("fewer_faces", faces=4000)
    yield 0.5
    shown = fitted.evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert abs(len(shown.data.polygons) - 4000) < 100 and len(fitted.data.polygons) == before
    fitted.modifiers.clear()
    invoke("bake_detail", faces=2000, size=512)
    yield 1.0
    low = bpy.context.active_object
    assert len(low.data.polygons) < 2100 and low.data.uv_layers and len(fitted.data.polygons) == before
    bpy.context.scene.render.engine = "BLENDER_EEVEE"
    Window().area.spaces[0].shading.type = "MATERIAL"
    yield 30.0  # a software renderer compiles the shaders for as long
    yield from picture("low_poly")
    Window().area.spaces[0].shading.type = "SOLID"
    low.hide_set(True)
    fitted.hide_set(False)
    select(fitted)
    invoke("quads", faces=3000)
    yield 1.0
    made = bpy.context.active_object
    assert all(len(polygon.vertices) == 4 for polygon in made.data.polygons) and fitted.hide_get()
    yield from picture("quads")


def safe_range() -> Steps:
    """The range of a slider is measured, and drawn under it; a value is solved for."""
    fitted = yield from fitted_scan()
    invoke("add_edit", kind="attribute", name="thickness")
    yield 0.5
    yield from run("sweep")
    edit = fitted.omomi.edits[0]
    assert edit.safe and edit.safe_low <= 0 <= edit.safe_high
    yield from picture("safe_range")
    yield from run("check")
    yield from Window().key("ESC")
    settings = bpy.context.scene.omomi
    settings.measure = "volume"
    assert settings.value > 0
    settings.value *= 1.02
    yield from run("solve")
    assert edit.strength > 0
    yield from picture("solved")


def blend() -> Steps:
    """A scan becomes what lies between it and another one; both stay."""
    first, second = open_files("before0", "other3")
    select(first)
    yield from run("blend", other=second.name, share=0.5)
    made = bpy.context.active_object
    assert made not in (first, second) and {first.name, second.name} <= set(bpy.data.objects.keys())
    yield from picture("blend")


def completions() -> Steps:
    """Other completions of what was not seen stand side by side."""
    yield from fitted_scan()
    yield from run("complete_otherwise")
    yield from picture("completions")


def no_data() -> Steps:
    """What the scan does not show wears a material of its own, until the modifier goes."""
    fitted = yield from fitted_scan()
    before = len(fitted.data.vertices)
    invoke("mark_no_data")
    Window().area.spaces[0].shading.type = "MATERIAL"
    yield 2.0
    yield from picture("no_data")
    Window().area.spaces[0].shading.type = "SOLID"
    assert fitted.modifiers and len(fitted.data.vertices) == before
    invoke("mark_no_data")
    assert not fitted.modifiers


def presets() -> Steps:
    """A preset sets the options of a fit; the artist's own is kept, chosen and removed."""
    settings, menu = bpy.context.scene.omomi, "OMOMI_PT_fit_presets"
    folders = [Path(folder) for folder in bpy.utils.preset_paths("omomi/fit")]
    own = {path.stem: path for folder in folders for path in folder.glob("*.py")}
    before = settings.denoise
    with Window().override():
        bpy.ops.script.execute_preset(filepath=str(own["Noisy_Scan"]), menu_idname=menu)
        assert settings.denoise != before
        bpy.ops.omomi.add_fit_preset(name="Mine")
        noisy, settings.denoise = settings.denoise, before
        [mine] = [path for folder in bpy.utils.preset_paths("omomi/fit") for path in Path(folder).glob("Mine.py")]
        bpy.ops.script.execute_preset(filepath=str(mine), menu_idname=menu)
        assert settings.denoise == noisy
        bpy.ops.omomi.add_fit_preset(name="Mine", remove_name=True)
        assert not mine.exists()
    settings.denoise = before
    with Window().override():
        bpy.ops.wm.call_panel(name=menu)
    yield from picture("presets")
    yield from Window().key("ESC")


def dropped() -> Steps:
    """A file of points that Blender does not read is opened as a drop opens it, and fitted."""
    [scan] = open_files("scan")
    path = FOLDER / "dropped.xyz"
    rows = [f"{x:.5f} {y:.5f} {z:.5f}" for x, y, z in (vertex.co for vertex in scan.data.vertices)]
    path.write_text("\n".join(rows))
    yield from run("open_scan", filepath=str(path))
    points = bpy.context.active_object
    assert points.name == "dropped" and len(points.data.vertices) == len(rows) and not points.data.polygons
    scan.hide_set(True)
    yield from run("fit")
    assert bpy.context.active_object.name == "dropped.fit" and borders(bpy.context.active_object) == 0
    yield from picture("dropped")


def killed() -> Steps:
    """The backend is killed in mid-fit: it is made all the same, or one sentence says why not and the next works."""
    [scan] = open_files("scan")
    invoke("fit")
    yield 1.5
    os.kill(addon("session.process").running().pid, 9)
    yield from until_idle()
    if not scan.hide_get():
        select(scan)
        yield from run("fit")
    assert bpy.context.active_object.name.startswith(f"{scan.name}.fit")


STEPS: tuple[Callable[[], Steps], ...] = (
    install, fit, escape, refit, again, search, holes, sliders, safe_range, learn, blend, completions, faces, check,
    no_data, presets, dropped, japanese, killed,
)  # fmt: skip


def walk() -> Steps:
    chosen = os.environ.get("OMOMI_STEPS", "").split()
    for step in STEPS:
        if chosen and step is not install and step.__name__ not in chosen:
            continue
        began, failure = time.monotonic(), ""
        try:
            yield from step()
        except (AssertionError, RuntimeError, AttributeError, KeyError, OSError, TypeError):
            # told, and the next step is tried
            failure = traceback.format_exc()
        told = {"step": step.__name__, "what": step.__doc__, "seconds": time.monotonic() - began, "failure": failure}
        print(f"STEP {json.dumps(told)}", flush=True)


def main() -> None:
    steps = walk()

    def tick() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            sys.stdout.flush()
            # what is unsaved would hold Blender open
            os._exit(0)

    bpy.app.timers.register(tick, first_interval=3.0)


main()
