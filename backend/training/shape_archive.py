"""The archive that is written beside a model: what it learned from, for the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from ..prior.archive import PICTURE, Archive
from ..report.pictures import thumbnail
from .batches import HELD_OUT_SEEDS
from .shapes.families import FAMILIES

SHAPES = 1600
PERPLEXITY = 20.0
READ = ("field0", "points", "normals")

Encoder: TypeAlias = Callable[[Mapping[str, NDArray]], NDArray]
"""From the arrays field0, points and normals of a shard, see `bank.make_shard`, to codes (members, d)."""


def build_archive(
    folder: Path, encode: Encoder, model: str = "", weights: NDArray | None = None, most: int = SHAPES, seed: int = 0
) -> Archive:
    """The archive of the shapes that were trained on, those of the shards in ``folder`` that are not held out.

    encode, model: the model's encoder and hash; weights (d,): how much each number of a code counts in a distance, by
    default all the same. Whitened codes need those that undo it: without, the three nearest shapes from other programs
    are of one family in 24 cases of 100, with them in 37. Of more than ``most`` shapes a random choice is kept. Raises
    ValueError where there are fewer than two shapes.
    """
    paths = [path for path in sorted(folder.glob("*.npz")) if int(path.stem[:6]) >= HELD_OUT_SEEDS]
    sizes = [_members(path) for path in paths]
    if sum(sizes) < 2:
        raise ValueError(f"{folder} holds no shapes to make an archive of")
    seeds = np.repeat([int(path.stem[:6]) for path in paths], sizes)
    family = np.array([FAMILIES.index(path.stem[7:]) for path in paths]).repeat(sizes)
    kept = np.sort(np.random.default_rng(seed).permutation(len(seeds))[:most])
    codes, pictures = [], []
    for path, members in zip(paths, np.split(kept, np.searchsorted(kept, np.cumsum(sizes)[:-1])), strict=True):
        if len(members):
            shard = _shard(path, members - np.searchsorted(seeds, int(path.stem[:6])))
            codes.append(np.asarray(encode(shard), np.float32))
            pictures += [
                thumbnail(points / 32767.0, normals / 127.0, PICTURE)
                for points, normals in zip(shard["points"], shard["normals"], strict=True)
            ]
    table = np.concatenate(codes)
    weights = np.ones(table.shape[1]) if weights is None else np.asarray(weights)
    return Archive(
        codes=table,
        families=FAMILIES,
        family=family[kept].astype(np.int32),
        seeds=seeds[kept].astype(np.int32),
        pictures=np.stack(pictures),
        places=flat_map(table * weights, seed),
        trained=np.bincount(family, minlength=len(FAMILIES)).astype(np.int32),
        weights=weights.astype(np.float32),
        model=model,
    )


def flat_map(codes: NDArray, seed: int = 0) -> NDArray[np.float32]:
    """Places (n, 2) within [-1, 1] where neighbours among codes (n, d) are neighbours, by t-SNE (van der Maaten and
    Hinton 2008) from the principal plane."""
    perplexity = min(PERPLEXITY, (len(codes) - 1) / 3)
    places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(np.asarray(codes, np.float64))
    places -= (places.min(axis=0) + places.max(axis=0)) / 2
    return (places / max(float(np.abs(places).max()), 1e-12)).astype(np.float32)


def _members(path: Path) -> int:
    with np.load(path, allow_pickle=False) as file:
        return len(file["field0"])


def _shard(path: Path, members: NDArray) -> dict[str, NDArray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name][members] for name in READ}
