"""Paths on the command line: scans that a folder or a pattern names, and outputs that would be written over inputs."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ErrorCode, OmomiError
from ..formats.files import SCAN_SUFFIXES


def scans_of(named: Sequence[Path]) -> list[Path]:
    """The scans that paths name, in order: a folder those in it, a pattern such as scans/*.ply those that it matches
    where the shell has not done so; each once. Raises OmomiError(UNREADABLE_FILE) where one of them names none."""
    found: list[Path] = []
    for path in named:
        if not names_many(path):
            found.append(path)
            continue
        inside = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path)))
        scans = sorted(one for one in inside if one.suffix.lower() in SCAN_SUFFIXES and not one.name.startswith("."))
        if not scans:
            known = ", ".join(SCAN_SUFFIXES)
            raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{path} names no scan: there is no file with {known}.")
        found += scans
    return list(dict.fromkeys(found))


def names_many(path: Path) -> bool:
    """Whether a path is a folder or a pattern."""
    return path.is_dir() or (glob.has_magic(str(path)) and not path.exists())


def spare_inputs(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is read, under whatever name, before any work. Raises OmomiError(BAD_OPTION)."""
    read: dict[tuple[int, int], Path] = {}
    for path in inputs:
        if path is not None and (file := _file(path)):
            read.setdefault(file, path)
    for path in outputs:
        file = _file(path)
        if file in read:
            same = "" if path == read[file] else f" (it is {read[file]})"
            sentence = (
                f"{path}{same} is one of the inputs, and would be written over: choose another name for the output."
            )
            raise OmomiError(ErrorCode.BAD_OPTION, sentence)


def spare_folders(output: Path, scans: Iterable[Path]) -> None:
    """Refuse results in the folder of the scans, where they would be taken for scans. Raises OmomiError(BAD_OPTION)."""
    for folder in dict.fromkeys(scan.parent for scan in scans):
        if _file(output) is not None and _file(output) == _file(folder):
            sentence = f"{output} holds the scans, and results would lie among them: choose another folder."
            raise OmomiError(ErrorCode.BAD_OPTION, sentence)


def _file(path: Path) -> tuple[int, int] | None:
    """What tells a file from others, through links of any kind; None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
