"""What a file of named arrays stands for: read whole or refused, and written only if it can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from ..errors import ErrorCode, OmomiError
from .files import FormatError, read_bounded, unreadable, write_whole
from .safetensors import pack, unpack

T = TypeVar("T")
Build: TypeAlias = Callable[[Mapping[str, np.ndarray], Mapping[str, str]], T]
"""From arrays and metadata, which may come from anywhere, to what they stand for. Raises FormatError."""


def load_tables(path: Path, most: int, build: Build[T]) -> T:
    """What ``build`` makes of a file of at most ``most`` bytes. Raises OmomiError(UNREADABLE_FILE)."""
    path = Path(path)
    data = read_bounded(path, most)
    try:
        return build(*unpack(data))
    except FormatError as flaw:
        raise unreadable(path.name, flaw) from flaw


def save_tables(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], most: int, build: Build[Any]
) -> None:
    """Write arrays and metadata; equal ones give equal files. Raises OmomiError: BAD_OPTION for what `load_tables`
    would refuse, DISK; what was at ``path`` is untouched then."""
    path = Path(path)
    try:
        data = pack(arrays, metadata)
        if len(data) > most:
            raise FormatError(f"it would be larger than {most >> 20} MiB")
        build(arrays, metadata)
    except FormatError as flaw:
        raise OmomiError(ErrorCode.BAD_OPTION, f"{path.name} cannot be written: {flaw}.") from flaw
    write_whole(path, data)


def table(
    arrays: Mapping[str, np.ndarray],
    name: str,
    shape: Sequence[int | None],
    largest: float = np.inf,
    kind: type = np.float32,
) -> np.ndarray:
    """The array ``name`` of this type and shape, None for any length, without a number farther from 0 than
    ``largest``. Raises FormatError."""
    found = arrays.get(name)
    if found is None or found.dtype != kind or found.ndim != len(shape):
        raise FormatError(f"it has no proper table {name}")
    if any(wanted not in (None, length) for length, wanted in zip(found.shape, shape, strict=True)):
        raise FormatError(f"its table {name} has the shape {found.shape}")
    # written so that NaN fails too
    if not (np.abs(found) <= largest).all():
        raise FormatError(f"the numbers in {name} are absurdly large")
    return found
