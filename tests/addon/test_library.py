"""The artist's edits and presets: a folder of files that may be missing, read-only or full of junk."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")


@pytest.fixture
def stocked(folder: Path) -> Path:
    folder.mkdir()
    for name in ("beak.omomi", "wing.omomi"):
        (folder / name).write_bytes(name.encode())
    return folder


def stack(obj: Any) -> list[tuple[Any, ...]]:
    return [(e.kind, e.name, round(e.strength, 6), e.mute, e.mask) for e in obj.omomi.edits]


def names(addon: Any, folder: Path, suffix: str = ".omomi") -> list[str]:
    return [path.stem for path in addon.library.listing(folder, suffix)]


def test_only_files_with_proper_names_are_listed(addon: Any, stocked: Path) -> None:
    for junk in ("notes.txt", ".omomi", ".hidden.omomi.part", "con.omomi", "up.OMOMI.bak", ".DS_Store"):
        (stocked / junk).write_bytes(b"junk")
    (stocked / "a folder.omomi").mkdir()
    assert names(addon, stocked) == ["beak", "wing"]


def test_a_missing_folder_and_a_file_in_its_place_are_an_empty_library(addon: Any, folder: Path) -> None:
    assert names(addon, folder) == []
    folder.write_text("not a folder")
    assert names(addon, folder) == []


def test_a_listing_follows_what_other_programs_do(addon: Any, stocked: Path) -> None:
    assert names(addon, stocked) == ["beak", "wing"]
    os.utime(stocked, ns=(1, 1))
    (stocked / "beak.omomi").unlink()
    assert names(addon, stocked) == ["wing"]


def test_rename_delete_import_and_export(addon: Any, stocked: Path, tmp_path: Path, make: Callable[..., Any]) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="beak")
    bpy.ops.omomi.rename_file(kind="EDIT", name="beak", new_name="schnabel")
    assert names(addon, stocked) == ["schnabel", "wing"]
    assert scan.omomi.edits[0].name == "schnabel" and Path(scan.omomi.edits[0].path).is_file()
    bpy.ops.omomi.export_file(kind="EDIT", name="schnabel", filepath=str(tmp_path / "out"))
    assert (tmp_path / "out.omomi").read_bytes() == b"beak.omomi"
    bpy.ops.omomi.delete_file(kind="EDIT", name="schnabel")
    assert names(addon, stocked) == ["wing"]
    bpy.ops.omomi.import_file(filepath=str(tmp_path / "out.omomi"))
    assert names(addon, stocked) == ["out", "wing"] and (stocked / "out.omomi").read_bytes() == b"beak.omomi"


def test_nothing_is_overwritten_unasked(addon: Any, stocked: Path, tmp_path: Path) -> None:
    other = tmp_path / "wing.omomi"
    other.write_bytes(b"another")
    for call in (
        lambda **more: bpy.ops.omomi.import_file(filepath=str(other), **more),
        lambda **more: bpy.ops.omomi.export_file(kind="EDIT", name="beak", filepath=str(other), **more),
    ):
        with pytest.raises(RuntimeError, match="already"):
            call()
    assert (stocked / "wing.omomi").read_bytes() == b"wing.omomi" and other.read_bytes() == b"another"
    bpy.ops.omomi.import_file(filepath=str(other), overwrite=True)
    assert (stocked / "wing.omomi").read_bytes() == b"another"
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.omomi.rename_file(kind="EDIT", name="beak", new_name="wing")


@pytest.mark.parametrize("name", ["", "../up", "a\\b", "CON", "x" * 65, ".hidden", "new\nline"])
def test_names_that_lead_out_or_do_not_work_everywhere_are_refused(addon: Any, stocked: Path, name: str) -> None:
    with pytest.raises(RuntimeError, match=r"is not a valid name"):
        bpy.ops.omomi.rename_file(kind="EDIT", name="beak", new_name=name)
    with pytest.raises(RuntimeError):
        bpy.ops.omomi.delete_file(kind="EDIT", name=name)
    assert names(addon, stocked) == ["beak", "wing"]


def test_what_is_gone_is_said(addon: Any, stocked: Path, make: Callable[..., Any]) -> None:
    make("owl")
    for call in (
        lambda: bpy.ops.omomi.add_from_library(name="tail"),
        lambda: bpy.ops.omomi.load_preset(name="tail"),
        lambda: bpy.ops.omomi.delete_file(kind="EDIT", name="tail"),
    ):
        with pytest.raises(RuntimeError, match="The library has no 'tail'"):
            call()


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(
    addon: Any, stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "wing.omomi"
    other.write_bytes(b"another")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(addon.library.os, "replace", full)
    with pytest.raises(RuntimeError, match=r"the disk is full.*Free some space"):
        bpy.ops.omomi.import_file(filepath=str(other), overwrite=True)
    assert sorted(path.name for path in stocked.iterdir()) == ["beak.omomi", "wing.omomi"]
    assert (stocked / "wing.omomi").read_bytes() == b"wing.omomi"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights of folders")
def test_a_read_only_folder_is_one_sentence(addon: Any, stocked: Path) -> None:
    stocked.chmod(0o500)
    try:
        with pytest.raises(RuntimeError, match="this user may not"):
            bpy.ops.omomi.delete_file(kind="EDIT", name="wing")
    finally:
        stocked.chmod(0o700)


@pytest.mark.parametrize("name", ["Smoother", "Crisper", "Thicker walls"])
def test_built_in_presets_load_and_cannot_be_replaced(fake: Any, addon: Any, make: Any, name: str) -> None:
    scan = make("owl")
    assert bpy.ops.omomi.load_preset(name=name) == {"FINISHED"}
    known = {item.name for item in addon.edits.built_in() if item.kind == "attribute"}
    assert stack(scan) and all(kind == "attribute" and edit in known for kind, edit, *_ in stack(scan))
    with pytest.raises(RuntimeError, match="built-in"):
        bpy.ops.omomi.save_preset(name=name)


def test_a_saved_preset_gives_another_object_the_same_stack(addon: Any, stocked: Path, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="detail", strength=-1 / 3)
    bpy.ops.omomi.add_from_library(name="beak")
    scan.omomi.edits[1].mask, scan.omomi.edits[1].mute, scan.omomi.edits[1].strength = "rim", True, 0.1
    assert bpy.ops.omomi.save_preset(name="mine") == {"FINISHED"}
    other = make("crow")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    bpy.ops.omomi.load_preset(name="mine")
    assert stack(other) == stack(scan)
    assert [e.strength for e in other.omomi.edits] == [e.strength for e in scan.omomi.edits]
    bpy.ops.omomi.load_preset(name="Smoother", append=True)
    assert len(other.omomi.edits) == 3
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.omomi.save_preset(name="mine")
    recipe = json.loads((stocked / "mine.json").read_text())
    assert recipe["version"] == 1 and recipe["model"] == "0123456789abcdef" and recipe["fit"]["level"] == 2
    assert recipe["entries"][1]["mask"] == {"kind": "vertex_group", "name": "rim", "falloff": 0.0}


def test_a_preset_whose_edit_is_another_one_now_is_refused(addon: Any, stocked: Path, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_from_library(name="beak")
    bpy.ops.omomi.save_preset(name="mine")
    (stocked / "beak.omomi").write_bytes(b"learned anew")
    with pytest.raises(RuntimeError, match="is not the edit that the preset was made with"):
        bpy.ops.omomi.load_preset(name="mine")
    assert len(scan.omomi.edits) == 1


SPHERE = {"kind": "sphere", "centre": [0, 0, 0], "radius": 1}
GOOD = {"version": 1, "model": "0123456789abcdef", "entries": [{"edit": "detail", "strength": 0.5}]}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "[" * 10_000, '{"version": 2, "entries": []}', json.dumps({**GOOD, "entries": []}),
        json.dumps({**GOOD, "entries": [{"edit": "../x", "strength": 1}]}),
        json.dumps({**GOOD, "entries": [{"edit": "detail", "strength": float("nan")}]}),
        json.dumps({**GOOD, "entries": [{"edit": "detail", "strength": 1e9}]}),
        json.dumps({**GOOD, "entries": [{"edit": "detail", "strength": "much"}]}),
        json.dumps({**GOOD, "entries": [{"edit": "detail", "strength": 1, "mute": 1}]}),
        json.dumps({**GOOD, "entries": [{"edit": "detail", "strength": 1, "mask": SPHERE}]}),
        json.dumps({**GOOD, "entries": [{"edit": 3, "strength": 1}]}),
        json.dumps({**GOOD, "entries": [{"strength": 1}] * 300}),
        json.dumps({**GOOD, "entries": [{"edit": "detail", "strength": 1, "kind": "magic"}]}),
        json.dumps({**GOOD, "entries": [{"edit": "a", "strength": 1, "kind": "shape", "sha256": "0" * 64}]}),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_preset_that_is_none_is_refused_and_the_stack_stays(addon: Any, stocked: Path, make: Any, text: str) -> None:
    (stocked / "odd.json").write_text(text)
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="detail")
    with pytest.raises(RuntimeError, match=r"odd\.json cannot be read: "):
        bpy.ops.omomi.load_preset(name="odd")
    assert stack(scan) == [("attribute", "detail", 0, False, "")]


def test_a_preset_for_an_unknown_attribute_is_refused(stocked: Path, make: Any) -> None:
    make("owl")
    (stocked / "odd.json").write_text(json.dumps({**GOOD, "entries": [{"edit": "wings", "strength": 1}]}))
    with pytest.raises(RuntimeError, match="no built-in edit 'wings'"):
        bpy.ops.omomi.load_preset(name="odd")


def test_the_folder_is_not_the_extensions_own(addon: Any, scene: Any, tmp_path: Path) -> None:
    """Blender deletes that when the extension is uninstalled."""
    folder = addon.preferences.library_folder()
    assert "extensions" not in folder.parts and folder.name == "omomi"
    addon.preferences.get().library = str(tmp_path)
    try:
        assert addon.preferences.library_folder() == tmp_path
    finally:
        addon.preferences.get().library = ""
