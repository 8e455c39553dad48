"""The artist's own edits, presets and families: files in a folder that may be missing or full of junk. No bpy.

``NAME.omomi`` is a learned edit, ``NAME.json`` a preset, which is a recipe as the command line writes and reads it, and
``NAME.profile`` the profile of a family.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..backend.errors import ErrorCode, OmomiError, system_reason
from ..backend.protocol.names import EDIT, LONGEST_NAME, PROFILE, is_file_name, name_flaw, write_whole
from ..backend.protocol.names import RECIPE as PRESET
from ..backend.protocol.recipe import Layer, read_recipe
from ..text import Refusal

# The range of the property that holds it.
LARGEST_STRENGTH = 100.0

BUILT_IN: Mapping[str, tuple[Layer, ...]] = {
    "Smoother": (Layer("smoothness", 0.6),),
    "Crisper": (Layer("sharpness", 0.6), Layer("detail", 0.3)),
    "Thicker walls": (Layer("thickness", 1.0),),
    "Thinner walls": (Layer("thickness", -0.5),),
    "Clay": (Layer("smoothness", 0.8), Layer("detail", -0.5), Layer("sharpness", -0.4)),
}

_listed: dict[Path, tuple[int, tuple[Path, ...]]] = {}


def listing(folder: Path, suffix: str) -> list[Path]:
    """The files of one kind with a proper name, sorted; none where the folder cannot be read. Cheap enough to draw."""
    try:
        changed = os.stat(folder).st_mtime_ns
        if _listed.get(folder, (0, ()))[0] != changed:
            kinds = (EDIT, PRESET, PROFILE)
            found = [path for path in folder.iterdir() if path.suffix in kinds and is_file_name(path.stem)]
            files = sorted((path for path in found if path.is_file()), key=lambda path: path.name.lower())
            _listed[folder] = changed, tuple(files)
        return [path for path in _listed[folder][1] if path.suffix == suffix]
    except OSError:
        return []


def find(folder: Path, name: str, suffix: str) -> Path:
    """The file of this name. Raises `Refusal` where there is none."""
    path = folder / f"{check_name(name)}{suffix}"
    if not path.is_file():
        raise Refusal(f"The library has no '{name}'. Choose another, or import it again.")
    return path


def check_name(name: str) -> str:
    """The name without spaces around it. Raises `Refusal` where it cannot name a file on every system."""
    flaw = name_flaw(name.strip())
    if flaw:
        raise Refusal(f"'{name[:LONGEST_NAME]}' is not a valid name: {flaw}. Choose another.")
    return name.strip()


def room_for(folder: Path, name: str, suffix: str, *, overwrite: bool) -> Path:
    """Where a new file of this name goes; its folder is made. Raises `Refusal`, OmomiError(DISK)."""
    path = folder / f"{check_name(name)}{suffix}"
    if path.exists() and not overwrite:
        raise Refusal(f"The library has a '{path.stem}' already. Choose another name, or allow overwriting.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OmomiError(ErrorCode.DISK, f"The folder of the library cannot be made: {folder}") from error
    return path


def rename(folder: Path, name: str, new: str, suffix: str) -> Path:
    """Give a file another name. Raises `Refusal`, OmomiError(DISK)."""
    source, target = find(folder, name, suffix), folder / f"{check_name(new)}{suffix}"
    if target.exists() and not os.path.samefile(source, target):
        raise Refusal(f"There is a '{target.stem}' already. Choose another name.")
    with _disk_errors():
        source.rename(target)
    return target


def delete(folder: Path, name: str, suffix: str) -> None:
    """Delete a file. Raises `Refusal`, OmomiError(DISK)."""
    path = find(folder, name, suffix)
    with _disk_errors():
        path.unlink()


def import_file(folder: Path, source: Path, *, overwrite: bool) -> Path:
    """Copy a file into the library; the backend checks it when it is used. Raises `Refusal`, OmomiError(DISK)."""
    if source.suffix.lower() not in (EDIT, PRESET, PROFILE):
        raise Refusal(
            f"{source.name} is neither an edit (*{EDIT}), a preset (*{PRESET}) nor a family (*{PROFILE}). "
            "Choose another file."
        )
    if not source.is_file():
        raise Refusal(f"There is no file {source.name}. Choose another.")
    if source.suffix.lower() == PRESET:
        read_preset(source)
    target = folder / f"{check_name(source.stem)}{source.suffix.lower()}"
    _copy(source, target, overwrite)
    return target


def export(folder: Path, name: str, suffix: str, target: Path, *, overwrite: bool) -> Path:
    """Copy a file out of the library. Raises `Refusal`, OmomiError(DISK)."""
    target = target if target.suffix.lower() == suffix else target.with_name(target.name + suffix)
    _copy(find(folder, name, suffix), target, overwrite)
    return target


def _copy(source: Path, target: Path, overwrite: bool) -> None:
    if target.exists():
        if os.path.samefile(source, target):
            return
        if not overwrite:
            raise Refusal(f"There is a '{target.name}' already. Allow overwriting, or rename it first.")
    with _disk_errors():
        data = source.read_bytes()
    write_file(target, data)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole, and its folder where it is missing. Raises OmomiError(DISK)."""
    with _disk_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)


def read_preset(path: Path) -> tuple[Layer, ...]:
    """The edits of a recipe, which may come from anywhere, but for their places: these are of the scan that the recipe
    was saved with. Raises OmomiError(UNREADABLE_FILE)."""
    layers = tuple(replace(layer, at=None, without=None) for layer in read_recipe(path).entries)
    flaw = "" if layers else "it has no edits"
    for layer in layers:
        if abs(layer.strength) > LARGEST_STRENGTH:
            flaw = f"the strength of '{layer.edit}' is beyond {LARGEST_STRENGTH:g}"
        # A vertex group cannot stand for a mask of another kind, and without its mask the edit would act everywhere.
        elif layer.mask is not None and layer.mask.kind != "vertex_group":
            flaw = f"the mask of '{layer.edit}' is not a vertex group"
    if flaw:
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} cannot be read: {flaw}.")
    return layers


def version(path: str) -> tuple[int, int] | None:
    """The time and size of a file, which change when it is written anew. None for a missing file, which the backend
    reports."""
    try:
        found = os.stat(Path(path))
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def digest(path: Path) -> str:
    """sha256 of a file in hex. Raises OmomiError(UNREADABLE_FILE)."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} cannot be read") from error


@contextmanager
def _disk_errors() -> Generator[None]:
    """Turn an OSError into OmomiError(DISK)."""
    try:
        yield
    except OSError as error:
        sentence = f"{error.filename or 'The library folder'} cannot be written: {system_reason(error)}."
        raise OmomiError(ErrorCode.DISK, sentence) from error
