"""The built zip, installed into a throw-away profile of the bpy that runs these tests.

``OMOMI_ZIP`` names the zip; without it the one in build/dist is taken.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.addon.fake_client import FakeClient
from tests.fake_server import LIVENESS

ROOT = Path(__file__).resolve().parents[2]
MODULE = "bl_ext.user_default.omomi"
# What the tests reach into, by its last name.
MODULES = (
    "operators", "text", "backend.errors", "backend.protocol.messages", "scene.holes", "scene.mesh_io", "scene.preview",
    "scene.attributes", "scene.draft", "scene.results", "scene.snapshot", "scene.storage", "session.backend_fit",
    "session.edits", "session.fits", "session.library", "session.live", "session.process", "session.slices",
    "session.task", "session.travel", "translations", "ui.hole_overlay", "ui.preferences", "ui.properties",
    "ui.widgets",
)  # fmt: skip
# An accent and spaces, as in the home folder of many an artist. Set before bpy is imported.
PROFILE = Path(tempfile.mkdtemp(prefix="omomi é ü 重み "))
os.environ["BLENDER_USER_RESOURCES"] = str(PROFILE)

# Where there is no Blender, the other suites still run.
if importlib.util.find_spec("bpy") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    bpy: Any = importlib.import_module("bpy")
    # While Blender imports an add-on, bpy has no context and no data. The bpy wheel takes them from another module.
    restricted = "bpy_restrict_state" if importlib.util.find_spec("bpy_restrict_state") else "_bpy_restrict_state"
    vars(importlib.import_module(restricted))["_bpy"] = bpy


def zip_under_test() -> Path:
    named = os.environ.get("OMOMI_ZIP")
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    blender = "blender4.5" if bpy.app.version < (5, 1) else "blender5.1"
    found = [Path(named)] if named else list((ROOT / "build" / "dist").glob(f"*-{system}*-{blender}.zip"))
    if not found:
        pytest.skip("no zip: run `python3.11 build_addon.py build` first")
    return found[0]


@pytest.fixture(scope="session")
def package() -> Path:
    """The zip under test."""
    return zip_under_test()


@pytest.fixture(scope="session")
def addon(package: Path) -> Iterator[Any]:
    """The installed and enabled extension."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(package), repo="user_default", enable_on_install=True)
    # The operator says FINISHED even where it failed.
    assert MODULE in bpy.context.preferences.addons
    modules = {path.rpartition(".")[2]: importlib.import_module(f"{MODULE}.{path}") for path in MODULES}
    yield SimpleNamespace(name=MODULE, **modules)
    bpy.ops.preferences.addon_disable(module=MODULE)
    shutil.rmtree(PROFILE, ignore_errors=True)


@pytest.fixture
def scene(addon: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty file; previews and processes of the test before are gone, but for the shipped engine and the toy, whose
    start takes the better part of a second."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    yield bpy.context.scene
    addon.live.stop()
    addon.fits.abort()
    if not {"engine", "toy"} & set(request.fixturenames):
        addon.process.close()


@pytest.fixture
def toy(addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fits run in a process whose engine returns spheres."""
    script = ROOT / "tests" / "fake_server.py"
    command = [sys.executable, "-I", str(script), str(addon.process.BACKEND), str(addon.process.site_folder())]
    monkeypatch.setattr(addon.process, "command", lambda: command)
    return addon


@pytest.fixture
def engine(addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The extension with its own backend process, and an empty library."""
    if not list((addon.process.BACKEND / "models").glob("*.onnx")):
        pytest.skip("the zip holds no model")
    if not (addon.process.site_folder() / "onnxruntime").is_dir():
        pytest.skip("the zip holds no libraries for this Python")
    monkeypatch.setattr(addon.preferences, "library_folder", lambda: tmp_path / "library")
    # threads that wait for work in vain cost other suites their time
    command = addon.process.command
    monkeypatch.setattr(addon.process, "command", lambda: [*command(), "--threads", "1"])
    return addon


@pytest.fixture
def fake(addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A `FakeClient` in place of the backend process, and an empty library."""
    client = FakeClient(addon.messages, addon.errors)
    monkeypatch.setattr(addon.process, "started", lambda: client)
    monkeypatch.setattr(addon.process, "introduced", lambda: SimpleNamespace(model_hash="0123456789abcdef"))
    monkeypatch.setattr(addon.preferences, "library_folder", lambda: tmp_path / "library")
    addon.backend_fit.forget_all()
    return client


@pytest.fixture
def folder(fake: Any, addon: Any) -> Path:
    """The empty library."""
    return addon.preferences.library_folder()


@pytest.fixture
def make(scene: Any) -> Callable[..., Any]:
    """Makes a selected mesh object from vertices and faces; a unit cube without."""

    def build(name: str = "scan", vertices: Any = None, faces: Any = None) -> Any:
        if vertices is None:
            vertices = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
            faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(
            np.asarray(vertices, float).tolist(), [], [tuple(f) for f in faces] if faces is not None else []
        )
        obj = bpy.data.objects.new(name, mesh)
        bpy.context.scene.collection.objects.link(obj)
        obj.select_set(True)
        bpy.context.view_layer.objects.active = obj
        bpy.context.view_layer.update()
        return obj

    return build


@pytest.fixture
def step_until() -> Callable[..., None]:
    """Step a run, as the timer in a window does, until a condition holds."""

    def drive(run: Any, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIVENESS
        while not condition():
            assert time.monotonic() < deadline, f"nothing happened in {LIVENESS} s: {run.text}, {run.errors}"
            run.step()
            time.sleep(0.005)

    return drive


@pytest.fixture
def settle(addon: Any) -> Callable[[], None]:
    """Pump as the timer of a window does, until nothing is left to show."""

    def drive() -> None:
        deadline = time.monotonic() + LIVENESS
        while addon.live.pump():
            assert time.monotonic() < deadline, addon.live.error()
            # the backend needs the core
            time.sleep(0.002)

    return drive


@pytest.fixture
def world() -> Callable[[Any], np.ndarray]:
    """Vertices of an object in world coordinates."""

    def read(obj: Any) -> np.ndarray:
        bpy.context.view_layer.update()
        local = np.array([v.co for v in obj.data.vertices], float).reshape(-1, 3)
        matrix = np.array(obj.matrix_world, float)
        return local @ matrix[:3, :3].T + matrix[:3, 3]

    return read
