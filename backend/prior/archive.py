"""The archive: the shapes that the model learned from, where a scan lies among them, and what they leave out.

Schaerf, "Reflections on Disentanglement and the Latent Space": a latent space, seen as an archive, is described by its
density, by the neighbours of a point, and by its coverage.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ErrorCode, OmomiError
from ..field.bricks import TRUNCATION
from ..formats.files import FormatError, require
from ..formats.tables import load_tables, save_tables, table

FILE = "archive.safetensors"
"""Beside the model."""
KIND = "archive of training shapes, version 1"
LARGEST_FILE = 8 << 20
MOST_SHAPES = 4096
MOST_FAMILIES = 64
MOST_NUMBERS = 512
"""Numbers in a code."""
LONGEST_NAME = 40
"""Characters in the name of a family."""
LARGEST_CODE = 1e6
PICTURE = 64
"""Pixels along a side of a picture."""
COARSE = 16
"""Voxels along a side of the fields that codes are read from; each is the mean of 2^3 at level 0."""
NEIGHBOURS = 8
"""Nearest shapes that describe the surroundings of a code."""
COVERED_SHARE = 0.75
"""A shape is covered if its nearest relative is as near as this share of the training shapes have theirs."""
NEARBY_ON_MAP = 0.15
"""Neighbours farther from the nearest one on the map than this do not count for the place of a new shape there."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest training shapes, nearest first."""

    rows: NDArray[np.int64]  # (k,), in the archive
    distances: NDArray[np.float64]  # (k,), between codes


@dataclass(frozen=True)
class Coverage:
    """What the archive holds of a family."""

    family: str
    shapes: int  # trained on
    kept: int  # of those, in the archive
    draws: int  # procedural programs that the kept ones come from
    covered: float | None  # share of the kept with a near relative, of any family, from another program
    typical: int  # row of the shape in the middle of the family, -1 where none is kept


@dataclass(frozen=True)
class ArchivePosition:
    """Where a shape lies among the training shapes."""

    neighbours: Neighbours
    distance: float  # to the nearest training shape, over the median distance between nearest relatives
    rank: float  # share of the training shapes whose own nearest relative is nearer
    crowding: float  # share of the training shapes whose surroundings are emptier
    place: NDArray[np.float64]  # (2,), on the map


@dataclass(frozen=True)
class Archive:
    """Training shapes as codes, pictures and places on a map."""

    codes: NDArray[np.float32]  # (n, d)
    families: tuple[str, ...]
    family: NDArray[np.int32]  # (n,), index into ``families``
    seeds: NDArray[np.int32]  # (n,); shapes of one seed come from one program, so they are siblings
    pictures: NDArray[np.uint8]  # (n, PICTURE, PICTURE), greys, 0 beside the shape
    places: NDArray[np.float32]  # (n, 2), the map, within [-1, 1]
    trained: NDArray[np.int32]  # (families,), shapes of each family in training, in the archive or not
    weights: NDArray[np.float32]  # (d,), weight of each number of a code in a distance
    model: str = ""  # hash of the model whose codes these are

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def relatives(self) -> NDArray[np.float64]:
        """Distances f64 (n, k), rising, of every shape to its nearest relatives, those from other programs; infinite
        where there are fewer than k = NEIGHBOURS."""
        found = np.full((len(self), NEIGHBOURS), np.inf)
        for start in range(0, len(self), 512):
            rows = slice(start, start + 512)
            distance = self._distances(self.codes[rows])
            distance[self.seeds[rows, None] == self.seeds] = np.inf
            nearest = np.sort(np.partition(distance, min(NEIGHBOURS, len(self)) - 1, axis=1)[:, :NEIGHBOURS], axis=1)
            found[rows, : nearest.shape[1]] = nearest
        return found

    @cached_property
    def radius(self) -> float:
        """The distance within which COVERED_SHARE of the shapes have a relative; infinite where none has one."""
        return float(np.quantile(self.relatives[:, 0], COVERED_SHARE, method="lower"))

    def nearest(self, code: ArrayLike, count: int = NEIGHBOURS) -> Neighbours:
        """The training shapes nearest to a code (d,). Raises OmomiError(BAD_OPTION) for a code of another length or
        with numbers that are not finite."""
        distance = self._distances(self._code(code)[None])[0]
        rows = np.argsort(distance, kind="stable")[:count]
        return Neighbours(rows, distance[rows])

    def position(self, code: ArrayLike, count: int = NEIGHBOURS) -> ArchivePosition:
        """Where a code (d,) lies, with its ``count`` nearest neighbours. Raises as `nearest`."""
        near = self.nearest(code, max(count, NEIGHBOURS))
        own, usual = self.relatives, float(np.median(self.relatives[:, 0]))
        first = float(near.distances[0])
        around = float(near.distances[:NEIGHBOURS].mean())
        return ArchivePosition(
            Neighbours(near.rows[:count], near.distances[:count]),
            first / usual if np.isfinite(usual) and usual > 0 else float("nan"),
            float((own[:, 0] < first).mean()) if np.isfinite(usual) else 1.0,
            float((own.mean(axis=1) > around).mean()),
            self._place(near),
        )

    def coverage(self) -> list[Coverage]:
        """One for every family, in their order."""
        found = []
        for number, name in enumerate(self.families):
            rows = np.flatnonzero(self.family == number)
            draws, covered, typical = len(np.unique(self.seeds[rows])), None, -1
            if len(rows):
                own = self.codes[rows] * self.weights
                typical = int(rows[np.argmin(_distances(own, own).sum(axis=0))])
            if len(rows) and np.isfinite(self.radius):
                covered = float((self.relatives[rows, 0] <= self.radius).mean())
            found.append(Coverage(name, int(self.trained[number]), len(rows), draws, covered, typical))
        return found

    def loneliest(self, count: int) -> NDArray[np.int64]:
        """Rows of the shapes farthest from any of another program, the loneliest first; at most one of a program."""
        order = np.argsort(-self.relatives[:, 0], kind="stable")
        first = np.unique(self.seeds[order], return_index=True)[1]
        return order[np.sort(first)[:count]]

    def kept_by_map(self, count: int = 10) -> float:
        """Share of the ``count`` nearest shapes of a shape that are also among its ``count`` nearest on the map."""
        count = min(count, len(self) - 1)
        if count < 1:
            return 1.0
        shared = 0
        for start in range(0, len(self), 512):
            rows = np.arange(start, min(start + 512, len(self)))
            both = []
            for distance in (self._distances(self.codes[rows]), _distances(self.places[rows], self.places)):
                distance[np.arange(len(rows)), rows] = np.inf
                near = np.zeros(distance.shape, bool)
                np.put_along_axis(near, np.argpartition(distance, count - 1, axis=1)[:, :count], True, axis=1)
                both.append(near)
            shared += int((both[0] & both[1]).sum())
        return shared / (count * len(self))

    def _place(self, near: Neighbours) -> NDArray[np.float64]:
        """Mean of the places of those neighbours that lie near the nearest one on the map, weighted by nearness."""
        places = self.places[near.rows].astype(np.float64)
        width = max(float(near.distances[min(2, len(near.distances) - 1)]), 1e-12)
        weight = np.exp(-((near.distances / width) ** 2))
        weight = weight * (np.linalg.norm(places - places[0], axis=1) <= NEARBY_ON_MAP)
        return weight @ places / weight.sum()

    def _distances(self, codes: NDArray) -> NDArray[np.float64]:
        return _distances(codes * self.weights, self.codes * self.weights)

    def _code(self, code: ArrayLike) -> NDArray[np.float64]:
        found = np.asarray(code, np.float64).reshape(-1)
        if len(found) != self.codes.shape[1] or not (np.abs(found) <= LARGEST_CODE).all():
            raise OmomiError(ErrorCode.BAD_OPTION, "This code does not belong to the model of the archive.")
        return found


def coarse(fields: NDArray) -> NDArray[np.float32]:
    """Fields (n, 32, 32, 32) of level 0 as rows (n, COARSE^3)."""
    fields = np.asarray(fields, np.float32).clip(-TRUNCATION, TRUNCATION)
    blocks = fields.reshape(len(fields), COARSE, 2, COARSE, 2, COARSE, 2)
    return blocks.mean(axis=(2, 4, 6)).reshape(len(fields), -1)


def _distances(one: NDArray, other: NDArray) -> NDArray[np.float64]:
    """Distances (n, m) between rows (n, d) and (m, d)."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.sqrt(squares.clip(min=0))


def save_archive(path: Path, archive: Archive) -> None:
    """Write an archive; equal ones give equal files. Raises OmomiError: BAD_OPTION for one that `load_archive` would
    refuse, DISK."""
    arrays = {
        "codes": np.asarray(archive.codes, np.float32),
        "family": np.asarray(archive.family, np.int32),
        "seeds": np.asarray(archive.seeds, np.int32),
        "places": np.asarray(archive.places, np.float32),
        "trained": np.asarray(archive.trained, np.int32),
        "weights": np.asarray(archive.weights, np.float32),
        "pictures": np.frombuffer(zlib.compress(np.ascontiguousarray(archive.pictures).tobytes(), 9), np.uint8),
    }
    metadata = {"kind": KIND, "families": "\n".join(archive.families), "model": archive.model}
    save_tables(path, arrays, metadata, LARGEST_FILE, _archive)


def load_archive(path: Path) -> Archive:
    """Read an archive. Raises OmomiError(UNREADABLE_FILE) for anything that is not one, within the bounds."""
    return load_tables(path, LARGEST_FILE, _archive)


def _archive(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Archive:
    require(metadata.get("kind") == KIND, "it is not an archive in a format that this Omomi reads")
    families = tuple(metadata.get("families", "").split("\n"))
    names = all(0 < len(name) <= LONGEST_NAME and name.isprintable() for name in families)
    require(names and len(set(families)) == len(families) <= MOST_FAMILIES, "the names of its families are not valid")
    codes = table(arrays, "codes", (None, None), LARGEST_CODE)
    count, size = codes.shape
    require(0 < count <= MOST_SHAPES and 0 < size <= MOST_NUMBERS, f"it holds {count} codes of {size} numbers")
    family = table(arrays, "family", (count,), kind=np.int32)
    require(family.min() >= 0 and family.max() < len(families), "the family of a shape is out of range")
    trained = table(arrays, "trained", (len(families),), kind=np.int32)
    if (trained < np.bincount(family, minlength=len(families))).any():
        raise FormatError("it holds more shapes of a family than were trained on")
    places = table(arrays, "places", (count, 2), 1)
    seeds = table(arrays, "seeds", (count,), kind=np.int32)
    packed = table(arrays, "pictures", (None,), kind=np.uint8)
    pictures = _unpacked(packed.tobytes(), count * PICTURE**2).reshape(count, PICTURE, PICTURE)
    weights = table({"weights": np.ones(size, np.float32), **arrays}, "weights", (size,), LARGEST_CODE)
    require(weights.min() >= 0 and weights.any(), "the weights of its codes are out of range")
    return Archive(codes, families, family, seeds, pictures, places, trained, weights, metadata.get("model", ""))


def _unpacked(data: bytes, size: int) -> np.ndarray:
    """Exactly ``size`` bytes that were packed, without room for more. Raises FormatError."""
    opened = zlib.decompressobj()
    try:
        found = opened.decompress(data, size)
    except zlib.error as error:
        raise FormatError("its pictures cannot be unpacked") from error
    if len(found) != size or (not opened.eof and opened.decompress(opened.unconsumed_tail, 1)):
        raise FormatError("its pictures are of another size")
    return np.frombuffer(found, np.uint8)
