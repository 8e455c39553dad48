"""The one exception family of the backend: a code for programs, a sentence for people. Standard library only."""

from __future__ import annotations

from enum import StrEnum
from typing import NoReturn


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
