"""What the command line shows: progress on stderr, one JSON object or plain lines on stdout."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Generator, Mapping
from typing import Any

from ..errors import ErrorCode, OmomiError, lacks_memory, library_error, system_reason

_BAR_WIDTH = 24


class ProgressLine:
    """Progress on stderr: a bar on a terminal, elsewhere a line whenever the text changes."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._terminal = sys.stderr.isatty()
        self._last = ""

    def show(self, fraction: float, text: str) -> None:
        """``fraction`` in 0..1 and what is being done."""
        if self._terminal:
            full = round(min(max(fraction, 0.0), 1.0) * _BAR_WIDTH)
            bar = "#" * full + "-" * (_BAR_WIDTH - full)
            print(f"\r\033[K{self._label} [{bar}] {text}", end="", file=sys.stderr, flush=True)
        elif text != self._last:
            print(f"{self._label}: {text}", file=sys.stderr, flush=True)
        self._last = text

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._terminal and self._last:
            print(file=sys.stderr, flush=True)


def escape_unprintable() -> None:
    """Names that a stream cannot print are escaped: a result is no failure because of how its file is called."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Mapping[str, Any]) -> None:
    """The one object that ``--json`` promises on stdout."""
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def print_lines(value: Mapping[str, Any], indent: str = "") -> None:
    """A mapping as ``name: value`` lines."""
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            print(f"{indent}{name}:")
            print_lines(item, indent + "  ")
        else:
            print(f"{indent}{name}: {_plain(item)}")


def _plain(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.6g}"
    if isinstance(item, list | tuple):
        return ", ".join(map(_plain, item)) or "none"
    if item is None or item == {}:
        return "none"
    return {True: "yes", False: "no"}[item] if isinstance(item, bool) else str(item)


@contextlib.contextmanager
def system_errors() -> Generator[None]:
    """Turns errors of the file system, a want of memory and of libraries into OmomiError(DISK, OUT_OF_MEMORY or
    BACKEND_START)."""
    try:
        yield
    except OmomiError:
        raise
    except Exception as error:
        if lacks_memory(error):
            sentence = "The memory does not suffice: close other programs, take a lower level, or thin the scan."
            raise OmomiError(ErrorCode.OUT_OF_MEMORY, sentence) from error
        if isinstance(error, ImportError):
            raise library_error(error) from error
        if isinstance(error, OSError):
            sentence = f"{error.filename or 'A file'} cannot be written or read: {system_reason(error)}."
            raise OmomiError(ErrorCode.DISK, sentence) from error
        raise
