"""The contestants, trained on the same shapes with equal parameters: the fractal and what it is measured against."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..claims import Say
from .atom import AtomConfig, Ladder, parameters
from .flat import Flat, Raster, bits_of_flat, bits_of_raster, teach_flat, teach_raster
from .learning import Schedule, teach
from .measure import Reading, read
from .octree import pyramid
from .shapes import SIDE

COARSE = 8
"""Side of the grid on which dense attention over all cells can be trained on two cores: 512 tokens."""
RATE = 4e-3
FLAT_RATE = 2e-3
ABLATIONS = ("one-shot splits", "no neighbours")


@dataclass(frozen=True)
class Effort:
    """Steps of a ladder, of the flat transformer (``flat_shapes`` each) and of the raster network (``raster_cells``
    each); seeds of every contestant."""

    steps: int
    flat_steps: int
    raster_steps: int
    seeds: int
    flat_shapes: int = 8
    raster_cells: int = 4096


def ladders() -> dict[str, tuple[AtomConfig, bool]]:
    """Configuration of each kind of ladder, and whether one atom serves all levels."""
    config = AtomConfig()
    whole = parameters(Ladder(config))
    narrow = matched(lambda context: Ladder(_narrowed(config, context), shared=False), whole, 1)
    return {
        "shared": (config, True),
        "separate, equal total": (_narrowed(config, narrow), False),
        "separate, equal width": (config, False),
        "one-shot splits": (AtomConfig(siblings=False), True),
        "no neighbours": (AtomConfig(neighbours=False), True),
    }


def _narrowed(config: AtomConfig, context: int) -> AtomConfig:
    return AtomConfig(config.width // 2, config.blocks, config.heads, context)


def matched(build: Callable[[int], nn.Module], target: int, step: int) -> int:
    """The width, a multiple of ``step``, whose model comes nearest to ``target`` parameters: the number grows with the
    width, so it is found by halving."""
    low, high = 1, 1024 // step
    while low < high:
        middle = (low + high) // 2
        if parameters(build(middle * step)) < target:
            low = middle + 1
        else:
            high = middle
    return step * min((max(low - 1, 1), low), key=lambda number: abs(parameters(build(number * step)) - target))


@dataclass(frozen=True)
class Contest:
    """readings: of every kind of ladder, one per seed. first: the ladders of seed 0. flat: bits per shape of the flat
    transformer on 8^3, raster: of the raster network on 16^3, per seed. flat_model: that of seed 0. sizes: parameters
    of each; seconds: CPU time that the training of one took."""

    readings: dict[str, list[Reading]]
    first: dict[str, Ladder]
    flat: list[float]
    raster: list[float]
    flat_model: Flat
    sizes: dict[str, int]
    seconds: dict[str, float]


def compete(train: Tensor, held: Tensor, effort: Effort, say: Say) -> Contest:
    """Train all contestants, the ablations on the first seed only."""
    readings: dict[str, list[Reading]] = {}
    first, sizes, seconds = {}, {}, {}
    for kind, (config, shared) in ladders().items():
        readings[kind] = []
        for seed in range(1 if kind in ABLATIONS else effort.seeds):
            torch.manual_seed(seed)
            ladder = Ladder(config, shared)
            start = time.process_time()
            teach(ladder, train, Schedule(effort.steps, RATE, seed=seed))
            seconds[kind] = time.process_time() - start
            readings[kind].append(read(ladder, held))
            say(f"{kind}, seed {seed}: {readings[kind][-1].total:.1f} bits per shape")
            first.setdefault(kind, ladder)
        sizes[kind] = parameters(first[kind])

    coarse, coarse_held = (pyramid(cells)[COARSE.bit_length() - 1] for cells in (train, held))
    flat_width = matched(lambda width: Flat(COARSE, width), sizes["shared"], 4)
    raster_width = matched(lambda width: Raster(SIDE, width), sizes["shared"], 1)
    flats, rasters, models = [], [], []
    for seed in range(effort.seeds):
        torch.manual_seed(seed)
        flat, raster = Flat(COARSE, flat_width), Raster(SIDE, raster_width)
        start = time.process_time()
        teach_flat(flat, coarse, effort.flat_steps, effort.flat_shapes, FLAT_RATE, seed)
        middle = time.process_time()
        teach_raster(raster, train, effort.raster_steps, effort.raster_cells, FLAT_RATE, seed)
        seconds |= {"flat": middle - start, "raster": time.process_time() - middle}
        flats.append(bits_of_flat(flat, coarse_held))
        rasters.append(bits_of_raster(raster, held))
        models.append(flat)
        say(f"seed {seed}: flat transformer {flats[-1]:.1f} bits on 8^3, raster network {rasters[-1]:.1f} on 16^3")
    sizes |= {"flat": parameters(models[0]), "raster": parameters(Raster(SIDE, raster_width))}
    return Contest(readings, first, flats, rasters, models[0], sizes, seconds)
