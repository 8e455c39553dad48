"""Learned edits as files, NAME.omomi: tensors with metadata, from anywhere, so checked in every part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import ErrorCode, OmomiError
from ..field.weight_delta import DEEPEST_DELTA, LevelDelta
from ..formats.files import FormatError, read_bounded, require, unreadable, write_whole
from ..formats.tables import LARGEST_FILE, pack, table, unpack
from ..protocol.recipe import Layer
from ..registration.icp import Surface
from .gear import Gear, LearnedEdit
from .head_delta import MOST_CENTRES as MOST_DELTA_CENTRES
from .head_delta import LearnedDelta, LearnedLevel
from .learned import MOST_CENTRES, LearnedMovement

KIND = "learned edit, version 3"
TWO_SIDED_KIND, MOVEMENT_KIND = "learned edit, version 2", "learned displacement, version 1"
"""Of files whose deltas have no side, and of those that hold a movement alone."""
_NUMBERS = ("radius", "noise", "size", "disagreement", "unexplained")
_LARGEST = 1e3
"""Canonical coordinates lie within the unit cube; nothing in a file may be farther out than this."""


@dataclass(frozen=True)
class StoredEdit:
    """edit; name and sha256 (hex) of its file; model: hash of the model it was made with; examples: their names.

    Any model can use it: movements and deltas of the head are in lengths, not in the model's features.
    """

    edit: LearnedEdit
    name: str
    sha256: str
    model: str
    examples: str


def save_edit(path: Path, edit: LearnedEdit, model_hash: str, examples: str = "") -> StoredEdit:
    """Write an edit; equal edits give equal files. Raises OmomiError(DISK); what was at ``path`` is untouched then."""
    path, movement = Path(path), edit.movement
    arrays: dict[str, np.ndarray] = {
        "reference.points": movement.reference.points,
        "reference.normals": movement.reference.normals,
        "codes": movement.codes,
        "gains": movement.gains,
        "factor": movement.factor,
    }
    if edit.anchor is not None:
        arrays["anchor"] = edit.anchor[None]
    numbers = {name: float(getattr(movement, name)) for name in _NUMBERS}
    numbers |= {f"wrong.{gear}": share for gear, share in edit.wrong.items()}
    for number, level in enumerate(() if edit.delta is None else edit.delta.levels):
        if level is not None:
            arrays |= {f"{number}.centres": level.delta.centres, f"{number}.weights": level.delta.weights}
            arrays[f"{number}.factor"] = level.factor
            numbers |= {f"{number}.radius": level.delta.radius, f"{number}.noise": level.noise}
    metadata = {"kind": KIND, "model": model_hash, "count": str(movement.examples), "examples": examples}
    levels, side = (0, 0) if edit.delta is None else (len(edit.delta.levels), edit.delta.side)
    metadata |= {"gear": edit.gear.value, "levels": str(levels), "side": str(side)}
    metadata |= {name: repr(float(value)) for name, value in numbers.items()}
    # single precision is finer than any scan and halves the file
    data = pack({name: np.asarray(array, np.float32) for name, array in arrays.items()}, metadata)
    write_whole(path, data)
    return StoredEdit(edit, path.stem, hashlib.sha256(data).hexdigest(), model_hash, examples)


def load_edit(path: Path) -> StoredEdit:
    """Read an edit. Raises OmomiError(UNREADABLE_FILE)."""
    path = Path(path)
    data = read_bounded(path, LARGEST_FILE)
    try:
        arrays, metadata = unpack(data)
        known = metadata.get("kind") in (KIND, TWO_SIDED_KIND, MOVEMENT_KIND)
        require(known, "it is not an edit that this Omomi knows")
        edit = LearnedEdit(_movement(arrays, metadata))
        if metadata["kind"] != MOVEMENT_KIND:
            edit = _with_delta(edit, arrays, metadata)
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw
    digest = hashlib.sha256(data).hexdigest()
    return StoredEdit(edit, path.stem, digest, metadata.get("model", ""), metadata.get("examples", ""))


def _movement(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> LearnedMovement:
    points, normals = _rows(arrays, "reference.points", 3), _rows(arrays, "reference.normals", 3)
    codes, gains = _rows(arrays, "codes", 6), _rows(arrays, "gains", 3)
    factor = _rows(arrays, "factor", len(codes))
    require(len(points) == len(normals) > 0, "its reference has no points, or not one normal for each")
    require(len(codes) == len(gains) == len(factor) <= MOST_CENTRES, "its parts do not fit together")
    require(np.ptp(points, axis=0).max() > 0, "its reference has no extent")
    require((np.diagonal(factor) > 0).all(), "its posterior is not a Cholesky factor")
    numbers = {name: _number(metadata, name) for name in _NUMBERS}
    require(numbers["radius"] > 0, "its radius is not above 0")
    count = metadata.get("count", "")
    counted = count.isascii() and count.isdigit() and 1 <= int(count[:9]) <= 10**6
    require(counted, "it does not say how many examples it comes from")
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    reference = Surface(points, normals / np.maximum(lengths, 1e-12))
    return LearnedMovement(reference, codes, gains, factor=factor, examples=int(count), **numbers)


def _with_delta(edit: LearnedEdit, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> LearnedEdit:
    gear, levels, side = metadata.get("gear"), metadata.get("levels", ""), metadata.get("side")
    if metadata["kind"] == TWO_SIDED_KIND:
        side = "0"
    require(side in ("-1", "0", "1"), "it does not say whether it takes away or puts on")
    require(gear in tuple(Gear), "it does not say how it makes a new mesh")
    require(levels in map(str, range(DEEPEST_DELTA + 2)), "it does not say how many levels it has")
    if "anchor" in arrays:
        anchor = _rows(arrays, "anchor", 3)
        require(len(anchor) == 1, "its anchor is not one place")
        edit = replace(edit, anchor=anchor[0])
    if levels == "0":
        require(gear == Gear.MOVEMENT, "it has no delta")
        return edit
    stored = [f"{number}.centres" in arrays for number in range(int(levels))]
    found = [_level(arrays, metadata, number) if known else None for number, known in enumerate(stored)]
    wrong = {one.value: _number(metadata, f"wrong.{one}") for one in Gear}
    return replace(edit, delta=LearnedDelta(tuple(found), int(side or 0)), gear=Gear(gear), wrong=wrong)


def _level(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], number: int) -> LearnedLevel:
    centres, weights = _rows(arrays, f"{number}.centres", 3), _rows(arrays, f"{number}.weights", 2)
    factor, radius = _rows(arrays, f"{number}.factor", len(centres)), _number(metadata, f"{number}.radius")
    fits = 0 < len(centres) == len(weights) == len(factor) <= MOST_DELTA_CENTRES
    require(fits, "the parts of its delta do not fit together")
    require((np.diagonal(factor) > 0).all(), "the posterior of its delta is not a Cholesky factor")
    require(radius > 0, "the radius of its delta is not above 0")
    delta = LevelDelta(centres.astype(np.float32), radius, weights.astype(np.float32))
    return LearnedLevel(delta, factor.astype(np.float32), _number(metadata, f"{number}.noise"))


def _rows(arrays: Mapping[str, np.ndarray], name: str, columns: int) -> np.ndarray:
    return table(arrays, name, (None, columns), _LARGEST).astype(np.float64)


def _number(metadata: Mapping[str, str], name: str) -> float:
    try:
        value = float(metadata[name])
    except (KeyError, ValueError) as error:
        raise FormatError(f"it has no number {name}") from error
    require(0 <= value <= _LARGEST, f"its {name} is out of range")
    return value


def stored_edit(layer: Layer) -> StoredEdit:
    """The learned edit of a layer, read from its file. Raises OmomiError(UNREADABLE_FILE), also where it is not the
    file that the layer was made with."""
    stored = load_edit(Path(layer.path))
    if layer.sha256 and stored.sha256 != layer.sha256:
        name = Path(layer.path).name
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{name} is not the edit that the recipe was made with.")
    return stored
