"""What all files share: bounded reading, strict JSON, and writing whole or not at all. Standard library only."""

from __future__ import annotations

import json
import os
import platform
import secrets
import stat
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ..errors import ErrorCode, OmomiError, system_reason

MESH_SUFFIXES = (".ply", ".obj", ".stl", ".glb", ".npz")
"""Of the meshes that Omomi reads and writes."""
SCAN_SUFFIXES = (*MESH_SUFFIXES, ".gltf", ".off", ".xyz", ".asc", ".pts", ".pcd", ".las", ".laz", ".e57")
"""Of the scans that it reads; the last three with the packages of the extra ``formats``."""


_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
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


def unwritable(path: Path, error: OSError) -> OmomiError:
    """The error for a file that the system does not write."""
    reason = "its folder does not exist" if isinstance(error, FileNotFoundError) else system_reason(error)
    return OmomiError(ErrorCode.DISK, f"{path} cannot be written: {reason}.")


@contextmanager
def open_file(path: Path) -> Generator[BinaryIO]:
    """A file opened for reading, which is a file: nobody waits for a pipe, and no device is touched. Raises
    OmomiError(UNREADABLE_FILE), also for what goes wrong while it is read."""
    path = Path(path)
    try:
        # opening alone may wind a tape, so first a look; and another one, as the name may lead elsewhere by then
        require(stat.S_ISREG(os.stat(path).st_mode), "it is not a file")
        with os.fdopen(os.open(path, _READ), "rb") as stream:
            require(stat.S_ISREG(os.fstat(stream.fileno()).st_mode), "it is not a file")
            yield stream
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw
    except OSError as error:
        raise unreadable(path.name, system_reason(error)) from error
    except ValueError as error:
        raise unreadable(repr(path.name), "no file can have this name") from error
    except MemoryError as error:
        sentence = f"{path.name} does not fit into memory: close other programs, or thin or split it first."
        raise OmomiError(ErrorCode.TOO_LARGE, sentence) from error


def read_bounded(path: Path, most: int) -> bytes:
    """All bytes of a file of at most ``most`` bytes. Raises OmomiError: as `open_file`, and UNREADABLE_FILE for a
    larger one."""
    with open_file(path) as stream:
        return read_all(stream, most)


def read_all(stream: BinaryIO, most: int) -> bytes:
    """Raises FormatError for a file of more than ``most`` bytes."""
    # asked of the system, so that no memory is taken for a file that will be refused
    size = os.fstat(stream.fileno()).st_size
    require(size <= most, f"it is larger than {most >> 20} MiB")
    return stream.read(size)


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A temporary path beside ``path``: what the block writes there is synced to the disk, then renamed.

    Raises OmomiError(DISK). After any error ``path`` holds what it held, and nothing is left beside it.
    """
    path = Path(path)
    temporary = _temporary(path)
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
        raise unwritable(path, error) from error


def _temporary(path: Path) -> Path:
    """Beside ``path``, but of a short name, however long that of ``path`` is."""
    return path.parent / f".{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.part"


def check_writable(path: Path) -> None:
    """Refuse a path that `whole_file` could not write to, before any work is done for it. Raises OmomiError(DISK)."""
    path = Path(path)
    temporary = _temporary(path)
    try:
        # a name that is too long is found by looking for it
        with suppress(FileNotFoundError):
            require(stat.S_ISREG(os.stat(path).st_mode), "it is not a file")
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        temporary.unlink()
    except FormatError as flaw:
        raise OmomiError(ErrorCode.DISK, f"{path} cannot be written: {flaw}.") from flaw
    except OSError as error:
        raise unwritable(path, error) from error
    except ValueError as error:  # a NUL in the path
        raise OmomiError(ErrorCode.DISK, f"{path.name!r} cannot be written: no file can have this name.") from error
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
        sentence = f"{Path(path).name!r} cannot be written: no file can have this name."
        raise OmomiError(ErrorCode.DISK, sentence) from error


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
