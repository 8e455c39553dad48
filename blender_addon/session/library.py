"""The artist's own edits, presets and profiles: files in a folder that may be missing, read-only or full of
junk. No bpy.

``NAME.omomi`` is a learned edit, ``NAME.json`` a preset: a recipe as the command line writes and reads it, and
``NAME.profile`` what a family of shapes is like.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from ..backend.errors import ErrorCode, OmomiError
from ..text import Refusal

__all__ = [
    "BUILT_IN", "EDIT", "PRESET", "PROFILE", "Step", "check_name", "delete", "digest", "export", "find", "import_file",
    "is_name", "listing", "read_preset", "rename", "room_for", "version", "write_preset", "write_whole",
]  # fmt: skip

EDIT, PRESET, PROFILE = ".omomi", ".json", ".profile"
LONGEST_NAME = 64
# A recipe of many edits takes a few kilobytes.
LARGEST_PRESET = 1 << 20
MOST_STEPS = 256
LARGEST_STRENGTH = 100.0

_FORBIDDEN = frozenset('/\\:*?"<>|')
# Windows opens devices under these names, whatever the suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Step(NamedTuple):
    """One edit of a preset. sha256: of its file, empty for what is built in; mask: name of a vertex group, or empty;
    kind: "shape" for a shape slider, empty for all else."""

    name: str
    strength: float
    sha256: str = ""
    mute: bool = False
    mask: str = ""
    kind: str = ""


BUILT_IN: Mapping[str, tuple[Step, ...]] = {
    "Smoother": (Step("smoothness", 0.6),),
    "Crisper": (Step("sharpness", 0.6), Step("detail", 0.3)),
    "Thicker walls": (Step("thickness", 1.0),),
    "Thinner walls": (Step("thickness", -0.5),),
    "Clay": (Step("smoothness", 0.8), Step("detail", -0.5), Step("sharpness", -0.4)),
}

_listed: dict[Path, tuple[int, tuple[Path, ...]]] = {}


def listing(folder: Path, suffix: str) -> list[Path]:
    """The files of one kind with a proper name, sorted; none where the folder cannot be read. Cheap enough to draw."""
    try:
        changed = os.stat(folder).st_mtime_ns
        if _listed.get(folder, (0, ()))[0] != changed:
            _listed[folder] = changed, tuple(sorted(_files(folder), key=lambda path: path.name.lower()))
        return [path for path in _listed[folder][1] if path.suffix == suffix]
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    kinds = (EDIT, PRESET, PROFILE)
    return [path for path in folder.iterdir() if path.suffix in kinds and not _flaw(path.stem) and path.is_file()]


def find(folder: Path, name: str, suffix: str) -> Path:
    """The file of this name. Raises `Refusal` where there is none."""
    path = folder / f"{check_name(name)}{suffix}"
    if not path.is_file():
        raise Refusal(f"The library has no '{name}'. Press Refresh, or import it again.")
    return path


def check_name(name: str) -> str:
    """The name without spaces around it. Raises `Refusal` where it does not do as the name of a file anywhere."""
    flaw = _flaw(name.strip())
    if flaw:
        raise Refusal(f"'{name[:LONGEST_NAME]}' does not do as a name: {flaw}. Choose another.")
    return name.strip()


def is_name(text: Any) -> TypeGuard[str]:
    """Whether an edit can be called this."""
    return isinstance(text, str) and not _flaw(text)


def _flaw(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME:
        return f"it must have 1 to {LONGEST_NAME} characters"
    if not name.isprintable():
        return "it has characters that cannot be seen"
    if _FORBIDDEN & set(name):
        return f"it must have none of {' '.join(sorted(_FORBIDDEN))}"
    if name != name.strip(" ."):
        return "it must not begin or end with a dot"
    return "the system keeps it for a device" if _DEVICE.fullmatch(name) else ""


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
    """Raises `Refusal`, OmomiError(DISK)."""
    source, target = find(folder, name, suffix), folder / f"{check_name(new)}{suffix}"
    if target.exists() and not os.path.samefile(source, target):
        raise Refusal(f"There is a '{target.stem}' already. Choose another name.")
    with _DiskErrors():
        source.rename(target)
    return target


def delete(folder: Path, name: str, suffix: str) -> None:
    """Raises `Refusal`, OmomiError(DISK)."""
    path = find(folder, name, suffix)
    with _DiskErrors():
        path.unlink()


def import_file(folder: Path, source: Path, *, overwrite: bool) -> Path:
    """Copy a file into the library. What is in it is for the backend to judge, when it is used.

    Raises `Refusal`, OmomiError(DISK).
    """
    if source.suffix.lower() not in (EDIT, PRESET, PROFILE):
        kinds = f"an edit (*{EDIT}), a preset (*{PRESET}) nor a family (*{PROFILE})"
        raise Refusal(f"{source.name} is neither {kinds}. Choose another file.")
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
    with _DiskErrors():
        data = source.read_bytes()
    write_whole(target, data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it, so that there is the old one or the new one, never a half.

    Makes the folder. Raises OmomiError(DISK).
    """
    with _DiskErrors():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=".omomi-", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def write_preset(path: Path, model: str, fit: Mapping[str, Any], steps: Sequence[Step]) -> None:
    """Write a recipe; model: hash of the model that it was made with, fit: options of the fit.

    Raises OmomiError(DISK).
    """
    entries = []
    for step in steps:
        entry: dict[str, Any] = {"edit": step.name, "strength": step.strength, "sha256": step.sha256, "mute": step.mute}
        if step.kind:
            entry["kind"] = step.kind
        if step.mask:
            entry["mask"] = {"kind": "vertex_group", "name": step.mask, "falloff": 0.0}
        entries.append(entry)
    recipe = {"version": 1, "model": model, "fit": dict(fit), "entries": entries}
    write_whole(path, (json.dumps(recipe, indent=1, allow_nan=False) + "\n").encode("ascii"))


def read_preset(path: Path) -> list[Step]:
    """The edits of a recipe, which may come from anywhere. Raises OmomiError(UNREADABLE_FILE)."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_PRESET + 1)
        if len(data) > LARGEST_PRESET:
            raise ValueError
        recipe = json.loads(data)
        if recipe["version"] != 1 or not 0 < len(recipe["entries"]) <= MOST_STEPS:
            raise ValueError
        return [_step(entry) for entry in recipe["entries"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path.name} is not a preset that this Omomi knows") from error


def _step(entry: Mapping[str, Any]) -> Step:
    name, strength, mute = entry["edit"], float(entry["strength"]), entry.get("mute", False)
    digest, mask, kind = entry.get("sha256", ""), entry.get("mask"), entry.get("kind") or ""
    group = mask["name"] if mask and mask["kind"] == "vertex_group" else ""
    texts = isinstance(name, str) and isinstance(digest, str) and isinstance(group, str) and isinstance(mute, bool)
    # A mask of another kind cannot be shown by a vertex group, and without it the edit would act everywhere.
    if kind not in ("", "shape") or (kind and digest):
        raise ValueError
    # `not <=`, so that NaN fails too.
    if not texts or _flaw(name) or not abs(strength) <= LARGEST_STRENGTH or bool(mask) != bool(group):
        raise ValueError
    return Step(name, strength, digest, mute, group, kind)


def version(path: str) -> tuple[int, int] | None:
    """What changes when a file is written anew; a file that is missing is the backend's to report."""
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


class _DiskErrors:
    """Turns what the file system says into OmomiError(DISK)."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, OSError):
            sentence = f"{error.strerror or type(error).__name__}: {error.filename or 'the library folder'}"
            raise OmomiError(ErrorCode.DISK, sentence) from error
