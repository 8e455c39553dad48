"""What to tell the artist: for every error code what happened and the one next step. No bpy."""

from __future__ import annotations

from typing import NamedTuple

from .backend.errors import ErrorCode, OmomiError

__all__ = ["ADVICE", "Advice", "Refusal", "explain"]


class Advice(NamedTuple):
    """``sentence`` stands in when the error brings no message of its own; ``next_step`` is always added.
    "Press Fit" in it stands for whatever starts the work again."""

    sentence: str
    next_step: str


class Refusal(OmomiError):
    """What the add-on itself will not do. ``message`` is complete: it says the next step too."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.BAD_OPTION, message)


FIT = "Press Fit"
LOG = "open the log from the Omomi preferences"

ADVICE: dict[ErrorCode, Advice] = {
    ErrorCode.EMPTY_SCAN: Advice("The scan has no points", "Select a mesh object that has vertices"),
    ErrorCode.TOO_FEW_POINTS: Advice("The scan has too few usable points", "Select a denser scan"),
    ErrorCode.FLAT_SCAN: Advice(
        "The scan is flat, so it encloses nothing", "Check its scale and its shape in the viewport"
    ),
    ErrorCode.BAD_COORDINATES: Advice("No point of the scan has a finite position", "Import the scan again"),
    ErrorCode.UNREADABLE_FILE: Advice("The file cannot be read", "Check that it is complete and export it again"),
    ErrorCode.NOT_A_MESH: Advice("This is neither a mesh nor a point cloud", "Convert it to a mesh first"),
    ErrorCode.TOO_LARGE: Advice("The scan is too large", "Decimate it or split it into parts"),
    ErrorCode.BAD_OPTION: Advice("A setting is out of range", "Set it to its default value"),
    ErrorCode.MODEL_MISSING: Advice("The model of the extension is missing", "Install the extension again"),
    ErrorCode.MODEL_MISMATCH: Advice("The model does not belong to this version", "Install the extension again"),
    ErrorCode.DEVICE_UNAVAILABLE: Advice(
        "The device asked for cannot be used", "Choose Automatic in the Omomi preferences"
    ),
    ErrorCode.OUT_OF_MEMORY: Advice("There was not enough memory", "Choose a lower detail, or close other programs"),
    ErrorCode.CANCELLED: Advice("It was cancelled", "Press Fit to start again"),
    ErrorCode.BACKEND_START: Advice("The backend process did not start", f"Press Restart, or {LOG}"),
    ErrorCode.BACKEND_DIED: Advice("The backend process ended unexpectedly", f"Press Fit to try again, or {LOG}"),
    ErrorCode.BACKEND_TIMEOUT: Advice("The backend process stopped answering", f"Press Fit to try again, or {LOG}"),
    ErrorCode.PROTOCOL: Advice("The backend process sent something that makes no sense", f"Press Restart, or {LOG}"),
    ErrorCode.PROTOCOL_VERSION: Advice(
        "The backend process is of another version", "Restart Blender to finish the update"
    ),
    ErrorCode.DISK: Advice("A file could not be written", "Free some space, or choose another folder"),
    ErrorCode.NO_SURFACE: Advice(
        "No surface was found in the scan", "Raise Fill, lower Denoise, or clean the scan of stray points"
    ),
    ErrorCode.NOT_REGISTERED: Advice(
        "The scan does not look like the examples", "Use it on scans of the same kind of object"
    ),
    ErrorCode.AMBIGUOUS_POSE: Advice(
        "The scan fits the examples in more than one pose", "Turn it the way the first example stands"
    ),
    ErrorCode.UNKNOWN_SCAN: Advice("The backend process has this scan no longer", "Press Fit to open it again"),
    ErrorCode.NO_SOLUTION: Advice(
        "No strength reaches this measure", "Ask for a value nearer to the present one, or use another edit"
    ),
    ErrorCode.INTERNAL: Advice("Something unforeseen failed in the backend process", f"Please report it: {LOG}"),
}


def explain(error: OmomiError, again: str = FIT) -> str:
    """One line for the status bar or an exception: what happened, then what to do.

    >>> explain(OmomiError(ErrorCode.EMPTY_SCAN, "owl has no vertices"))
    'owl has no vertices. Select a mesh object that has vertices.'
    """
    if isinstance(error, Refusal):
        return error.message
    sentence, next_step = ADVICE[error.code]
    happened = " ".join(error.message.split()).rstrip(".") or sentence
    return f"{happened}. {next_step.replace(FIT, again)}."
