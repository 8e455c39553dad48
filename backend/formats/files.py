"""What all files share: bounded reading, strict JSON, and writing whole or not at all. Standard library only."""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ErrorCode, OmomiError

MESH_SUFFIXES = (".ply", ".obj", ".stl", ".glb", ".npz")
"""Of the meshes that Omomi reads and writes."""
SCAN_SUFFIXES = (*MESH_SUFFIXES, ".gltf", ".off", ".xyz", ".asc", ".pts", ".pcd", ".las", ".laz", ".e57")
"""Of the scans that it reads; the last three with the packages of the extra ``formats``."""


_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
"""Of this machine: folders may be shared with others, whose processes cannot be asked after."""
_ABANDONED_SECONDS = 86_400.0
_swept: set[Path] = set()


class FormatError(ValueError):
    """What is wrong with the contents of a file, worded as the end of a sentence without its full stop."""


def offset_path(path: Path) -> Path:
    """Where the place of a mesh stands whose file cannot hold it, beside the mesh."""
    return path.with_suffix(".offset.json")


def require(holds: object, flaw: str) -> None:
    """Raises FormatError(flaw) unless it ``holds``."""
    if not holds:
        raise FormatError(flaw)


def unreadable(name: str, reason: object) -> OmomiError:
    """The error for a file or text called ``name``."""
    return OmomiError(ErrorCode.UNREADABLE_FILE, f"{name} cannot be read: {reason}.")


def read_bounded(path: Path, most: int) -> bytes:
    """All bytes of a file of at most ``most`` bytes. Raises OmomiError(UNREADABLE_FILE)."""
    path = Path(path)
    try:
        # before opening, which would wait for ever on a pipe
        if path.exists() and not path.is_file():
            raise unreadable(path.name, "it is not a file")
        with path.open("rb") as stream:
            # asked of the system, so that no memory is taken for a file that will be refused
            size = os.fstat(stream.fileno()).st_size
            if size <= most:
                return stream.read(size)
    except OSError as error:
        raise unreadable(path.name, error.strerror or error) from error
    except (ValueError, MemoryError) as error:
        # a NUL in the path, or no room for the contents
        raise unreadable(path.name, str(error) or "it does not fit into memory") from error
    raise unreadable(path.name, f"it is larger than {most >> 20} MiB")


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A temporary path beside ``path``: what the block writes there is synced to the disk, then renamed.

    Raises OmomiError(DISK). After any error ``path`` holds what it held, and nothing is left beside it.
    """
    path = Path(path)
    temporary = path.parent / f".{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.part"
    try:
        _sweep(path.parent)
        try:
            yield temporary
            with temporary.open("r+b") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OmomiError(ErrorCode.DISK, f"{path} cannot be written: {error.strerror or error}.") from error


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; a process does so once."""
    folder = folder.absolute()
    if folder in _swept:
        return
    _swept.add(folder)
    for path in folder.glob(".*-*-*.part"):
        with suppress(OSError, ValueError):
            host, process, _ = path.name[1:].split("-")
            here = host == _HOST and os.name == "posix"
            if not _runs(int(process)) if here else time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` as a `whole_file`. Raises OmomiError(DISK)."""
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(data)
    except ValueError as error:  # a NUL in the path
        raise OmomiError(ErrorCode.DISK, f"{Path(path).name!r} cannot be written: {error}.") from error


def parse_json(text: bytes | str, what: str) -> Any:
    """The value of a JSON text (UTF-8) called ``what``.

    Raises FormatError: not JSON, a key twice in one object (readers differ in which they keep), NaN and infinities.
    """
    try:
        return json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise FormatError(f"the key {key!r:.80} stands in it twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError(f"{name} is not a number of JSON")
