"""The zip, its installation, and what enabling it does to Blender."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

MODULE = "bl_ext.user_default.omomi"

SPY = """
import sys, os, socket, subprocess, threading
import bpy
opened = []
watched = ("socket.bind", "socket.connect", "subprocess.Popen", "os.posix_spawn", "os.fork")
sys.addaudithook(lambda event, args: opened.append(event) if event in watched else None)
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=False)
opened.clear()
threads, modules = threading.active_count(), set(sys.modules)
import addon_utils
addon_utils.enable("bl_ext.user_default.omomi")
heavy = [name for name in ("onnxruntime", "scipy", "trimesh", "torch", "gpu") if name in set(sys.modules) - modules]
omomi = sys.modules["bl_ext.user_default.omomi"]
omomi.unregister()
omomi.register()
print("RESULT", {"opened": opened, "threads": threading.active_count() - threads, "heavy": heavy})
addon_utils.disable("bl_ext.user_default.omomi")
"""


def names(package: Path) -> list[str]:
    with zipfile.ZipFile(package) as archive:
        return archive.namelist()


def test_zip_holds_the_libraries_of_this_python_alone_and_no_numpy(package: Path) -> None:
    wheels = [name for name in names(package) if name.endswith(".whl")]
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    for library in ("onnxruntime", "scipy"):
        assert [name for name in wheels if f"/{library}-" in name and f"{tag}-{tag}" in name], library
        assert len([name for name in wheels if f"/{library}-" in name]) == 1
    assert any("/safetensors-" in name and "-abi3-" in name for name in wheels)
    assert not any(re.search(r"/(numpy|torch|trimesh|requests|certifi)-", name) for name in wheels)
    assert package.stat().st_size < 75e6


def test_zip_holds_no_training_code_tests_or_caches(package: Path) -> None:
    found = [
        name for name in names(package) if re.search(r"backend/(training|studies)/|__pycache__|(^|/)tests?/", name)
    ]
    assert not found


def test_zip_lists_every_wheel_in_its_manifest_and_one_platform(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        prefix = next(name for name in archive.namelist() if name.endswith("blender_manifest.toml")).removesuffix(
            "blender_manifest.toml"
        )
        manifest = tomllib.loads(archive.read(f"{prefix}blender_manifest.toml").decode())
        listed = {prefix + wheel.removeprefix("./") for wheel in manifest["wheels"]}
        assert listed == {name for name in archive.namelist() if name.endswith(".whl")}
    assert len(manifest.get("build", {}).get("generated", manifest)["platforms"]) == 1
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]


NOTED = ("blender_addon/CHANGES.md", "blender_addon/blender_manifest.toml", "pyproject.toml")


def test_the_version_stands_in_one_place_and_has_its_notes(package: Path, addon: Any) -> None:
    own = importlib.import_module(f"{addon.name}.backend").__version__
    with zipfile.ZipFile(package) as archive:
        path = next(name for name in archive.namelist() if name.endswith("blender_manifest.toml"))
        assert tomllib.loads(archive.read(path).decode())["version"] == own
    assert f"-{own}-" in package.name
    root = Path(__file__).resolve().parents[2]
    written = {name: (root / name).read_text("utf-8") for name in NOTED}
    assert [name for name, text in written.items() if own in text] == ["blender_addon/CHANGES.md"]


def test_the_zip_without_libraries_is_small(package: Path) -> None:
    (other,) = package.parent.glob("*without-libraries.zip")
    assert other.stat().st_size < 16e6 and not [name for name in names(other) if name.endswith(".whl")]


def test_enabling_starts_nothing_and_imports_nothing_heavy(package: Path, tmp_path: Path) -> None:
    script = tmp_path / "spy.py"
    script.write_text(SPY)
    run = subprocess.run(
        [sys.executable, str(script), str(package)], capture_output=True, text=True, timeout=120,
        env={"BLENDER_USER_RESOURCES": str(tmp_path / "profile"), "PATH": "", "HOME": str(tmp_path)},
    )  # fmt: skip
    found = re.search(r"RESULT (.*)", run.stdout)
    assert found, run.stdout + run.stderr
    result = eval(found[1])
    assert result["opened"] == [] and result["threads"] == 0 and result["heavy"] == []


def test_disable_leaves_nothing_behind_and_enable_works_again(addon: Any, scene: Any) -> None:
    def ours() -> list[Any]:
        handlers = [f for f in vars_of_handlers() if getattr(f, "__module__", "").startswith(MODULE)]
        classes = [name for name in dir(bpy.types) if "omomi" in name.lower()]
        threads = [t.name for t in threading.enumerate() if "omomi" in t.name]
        return [*handlers, *classes, *threads, *(["scene"] if hasattr(bpy.types.Scene, "omomi") else [])]

    def vars_of_handlers() -> list[Any]:
        lists = [getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)]
        return [function for found in lists if isinstance(found, list) for function in found]

    assert ours()
    for _ in range(2):
        bpy.ops.preferences.addon_disable(module=MODULE)
        assert ours() == []
        bpy.ops.preferences.addon_enable(module=MODULE)
        assert ours()


def test_blender_reports_no_policy_violation(addon: Any) -> None:
    addon_utils = pytest.importorskip("addon_utils")
    if not hasattr(addon_utils, "_extensions_warnings_get"):
        pytest.skip("this Blender has no such report")
    assert MODULE not in addon_utils._extensions_warnings_get()


def test_every_error_code_has_a_sentence_and_a_next_step(addon: Any) -> None:
    ADVICE, errors = addon.text.ADVICE, addon.errors
    assert set(ADVICE) == set(errors.ErrorCode)
    for advice in ADVICE.values():
        assert advice.sentence[0].isupper() and advice.next_step.format(again="Press Fit")[0].isupper()
        assert not advice.sentence.endswith(".") and not advice.next_step.endswith(".")


def test_explain_is_one_line_and_falls_back_to_the_table(addon: Any) -> None:
    errors, explain = addon.errors, addon.text.explain
    text = explain(errors.OmomiError(errors.ErrorCode.NO_SURFACE, "Nothing\n was found."))
    assert text.startswith("Nothing was found. ") and "\n" not in text
    assert explain(errors.OmomiError(errors.ErrorCode.DISK, "")).startswith("A file could not be written. ")


def test_missing_libraries_are_one_sentence_with_both_versions(
    addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addon.process, "site_folder", lambda: Path("/nowhere"))
    with pytest.raises(Exception, match=rf"Python {sys.version_info[0]}\.{sys.version_info[1]}") as caught:
        addon.process.command()
    assert f"only for cp{sys.version_info[0]}{sys.version_info[1]}" in str(caught.value)
    assert "preferences" in str(caught.value)
    monkeypatch.setattr(addon.process, "BACKEND", Path("/nowhere/backend"))
    with pytest.raises(Exception, match="nor any others"):
        addon.process.command()


def test_backend_command_is_the_bundled_python_isolated(addon: Any, scene: Any) -> None:
    command = addon.process.command()
    assert command[0] == sys.executable and "-I" in command[:4]
    assert command[command.index("--site") + 1] == str(addon.process.site_folder())


def test_preferences_reach_the_command(addon: Any, scene: Any) -> None:
    chosen = addon.preferences.get()
    try:
        chosen.device, chosen.threads, chosen.memory_mb = "cpu", 3, 2000
        command = " ".join(addon.process.command())
        assert "--device cpu" in command and "--threads 3" in command and "--memory-mb 2000" in command
    finally:
        chosen.device, chosen.threads, chosen.memory_mb = "auto", 0, 0


def test_log_lies_in_the_users_folder_and_not_in_the_extension(addon: Any, scene: Any) -> None:
    path = addon.preferences.log_path(addon.preferences.get())
    assert addon.process.BACKEND.parent not in path.parents


@pytest.mark.parametrize(
    ("device", "no_gpu", "asked", "expected"),
    [
        ("cuda", "", "auto", "Runs on CUDA"),
        ("webgpu", "CUDA cannot be used here: no.", "auto", "Runs on WebGPU"),
        ("cpu", "", "auto", "Runs on the CPU: no library for a GPU is installed"),
        ("cpu", "CUDA cannot be used here: no cuDNN.", "auto", "Runs on the CPU: CUDA cannot be used here: no cuDNN"),
        ("cpu", "", "cpu", "Runs on the CPU, as chosen in the preferences"),
    ],
)
def test_device_line_says_why_not_the_gpu(addon: Any, device: str, no_gpu: str, asked: str, expected: str) -> None:
    hello = addon.messages.Hello(1, "0", 1, "m", device, (), "2", "1", {}, no_gpu)
    assert addon.process.describe_device(hello, asked) == expected
