"""What edits and recipes share as files: bounded reading, strict JSON, and writing that never leaves half a file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ..errors import ErrorCode, OmomiError


class FormatError(ValueError):
    """What is wrong with the contents of a file, worded as the end of a sentence without its full stop."""


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
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream for the contents of ``path``. The file is written beside it, synced to the disk and renamed at the end,
    so that ``path`` holds the old contents or the new ones, never a part.

    Raises OmomiError(DISK), also for what the body finds wrong with the disk. Whatever the body raises, what was at
    ``path`` stays, and nothing is left beside it.
    """
    path = Path(path)
    if "\0" in str(path):
        raise OmomiError(ErrorCode.DISK, f"{path.name!r} cannot be written: its name holds a NUL.")
    # opened in the usual way, not by tempfile, so that it has the permissions of any new file
    temporary = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        try:
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OmomiError(ErrorCode.DISK, f"{path} cannot be written: {error.strerror or error}.") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` as `whole_file` does. Raises OmomiError(DISK)."""
    with whole_file(path) as stream:
        stream.write(data)


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
