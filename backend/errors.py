"""The one exception family of the backend: a code for programs, a sentence for people. Standard library only."""

from __future__ import annotations

import errno
import sys
from enum import StrEnum
from typing import NoReturn

SYSTEM_REASONS = {
    errno.ENOENT: "it does not exist",
    errno.EACCES: "this user may not",
    errno.EPERM: "this user may not",
    errno.EROFS: "its disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk space of this user is used up",
    errno.EIO: "the disk has a fault",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.EEXIST: "it exists already",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOEXEC: "it is not a program of this system",
    errno.ETXTBSY: "another program uses it",
    errno.EBUSY: "another program uses it",
    errno.EMFILE: "too many files are open",
}
"""What the system says of files, as the end of a sentence."""
# What libraries say where memory, the processor's or the GPU's, does not suffice; they have no MemoryError.
_NO_MEMORY = (
    "cannot allocate memory", "failed to allocate", "out of memory", "bad_alloc", "failed to map segment",
    "can't start new thread",
)  # fmt: skip


class ErrorCode(StrEnum):
    """What went wrong. The values travel over the wire and appear in ``--json`` output, so they are stable."""

    EMPTY_SCAN = "empty_scan"
    TOO_FEW_POINTS = "too_few_points"
    FLAT_SCAN = "flat_scan"
    BAD_COORDINATES = "bad_coordinates"
    UNREADABLE_FILE = "unreadable_file"
    NOT_A_MESH = "not_a_mesh"
    TOO_LARGE = "too_large"
    BAD_OPTION = "bad_option"
    MODEL_MISSING = "model_missing"
    MODEL_MISMATCH = "model_mismatch"
    DEVICE_UNAVAILABLE = "device_unavailable"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    BACKEND_START = "backend_start"
    BACKEND_DIED = "backend_died"
    BACKEND_TIMEOUT = "backend_timeout"
    PROTOCOL = "protocol"
    PROTOCOL_VERSION = "protocol_version"
    DISK = "disk"
    NO_SURFACE = "no_surface"
    NOT_REGISTERED = "not_registered"
    AMBIGUOUS_POSE = "ambiguous_pose"
    BAD_PLACE = "bad_place"
    UNKNOWN_SCAN = "unknown_scan"
    NO_SOLUTION = "no_solution"
    INTERNAL = "internal"


class OmomiError(Exception):
    """An expected failure.

    ``message`` is one sentence for a person; ``detail`` is for a log (a traceback, a tail of stderr) and may be empty.
    """

    def __init__(self, code: ErrorCode, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = ErrorCode(code)
        self.message = message
        self.detail = detail

    def __reduce__(self) -> tuple[type[OmomiError], tuple[ErrorCode, str, str]]:
        return type(self), (self.code, self.message, self.detail)


def refuse(why: str, code: ErrorCode = ErrorCode.BAD_OPTION) -> NoReturn:
    """Raise OmomiError with the sentence that ``why``, a clause without a full stop, makes."""
    raise OmomiError(code, f"{why[0].upper()}{why[1:]}.")


def system_reason(error: OSError) -> str:
    """Why the system did not do something with a file, as the end of a sentence."""
    return SYSTEM_REASONS.get(error.errno or 0, "") or error.strerror or str(error) or type(error).__name__


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, of whatever library, says that memory does not suffice."""
    # numpy's `where` without memory ends in a SystemError
    return isinstance(error, MemoryError | SystemError) or any(sign in str(error).lower() for sign in _NO_MEMORY)


def library_error(error: ImportError) -> OmomiError:
    """The error for a library that is missing, or cannot be loaded."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        sentence = f"{sys.executable} lacks the package {package}: install it there, or choose another Python."
    else:
        sentence = f"A package that the backend needs cannot be loaded: {error}."
    return OmomiError(ErrorCode.BACKEND_START, sentence, str(error))
