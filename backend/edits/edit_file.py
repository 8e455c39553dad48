"""Learned edits as files, NAME.omomi: tensors with metadata, from anywhere, so checked in every part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..formats.files import FormatError, read_bounded, require, unreadable, write_whole
from ..formats.tables import LARGEST_FILE, pack, table, unpack
from ..protocol.recipe import check_model
from ..registration.icp import Surface
from .learned import MOST_CENTRES, LearnedEdit

KIND = "learned displacement, version 1"
_NUMBERS = ("radius", "noise", "size", "disagreement", "unexplained")
_LARGEST = 1e3
"""Canonical coordinates lie within the unit cube; nothing in a file may be farther out than this."""


@dataclass(frozen=True)
class StoredEdit:
    """edit; name and sha256 (hex) of its file; model: hash of the model it was made with; examples: their names."""

    edit: LearnedEdit
    name: str
    sha256: str
    model: str
    examples: str


def save_edit(path: Path, edit: LearnedEdit, model_hash: str, examples: str = "") -> StoredEdit:
    """Write an edit; equal edits give equal files. Raises OmomiError(DISK); what was at ``path`` is untouched then."""
    path = Path(path)
    arrays = {
        "reference.points": edit.reference.points,
        "reference.normals": edit.reference.normals,
        "codes": edit.codes,
        "gains": edit.gains,
        "factor": edit.factor,
    }
    numbers = {name: repr(float(getattr(edit, name))) for name in _NUMBERS}
    metadata = {"kind": KIND, "model": model_hash, "count": str(edit.examples), "examples": examples, **numbers}
    # single precision is finer than any scan and halves the file
    data = pack({name: np.asarray(array, np.float32) for name, array in arrays.items()}, metadata)
    write_whole(path, data)
    return StoredEdit(edit, path.stem, hashlib.sha256(data).hexdigest(), model_hash, examples)


def load_edit(path: Path, model_hash: str) -> StoredEdit:
    """Read an edit. Raises OmomiError: UNREADABLE_FILE; MODEL_MISMATCH for an edit made with another model."""
    path = Path(path)
    data = read_bounded(path, LARGEST_FILE)
    try:
        arrays, metadata = unpack(data)
        require(metadata.get("kind") == KIND, "it is not an edit that this Omomi knows")
        edit = _edit(arrays, metadata)
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw
    model = metadata.get("model", "")
    check_model(model, model_hash, path.name)
    return StoredEdit(edit, path.stem, hashlib.sha256(data).hexdigest(), model, metadata.get("examples", ""))


def _edit(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> LearnedEdit:
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
    return LearnedEdit(reference, codes, gains, factor=factor, examples=int(count), **numbers)


def _rows(arrays: Mapping[str, np.ndarray], name: str, columns: int) -> np.ndarray:
    return table(arrays, name, (None, columns), _LARGEST).astype(np.float64)


def _number(metadata: Mapping[str, str], name: str) -> float:
    try:
        value = float(metadata[name])
    except (KeyError, ValueError) as error:
        raise FormatError(f"it has no number {name}") from error
    require(0 <= value <= _LARGEST, f"its {name} is out of range")
    return value
