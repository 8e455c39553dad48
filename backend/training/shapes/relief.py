"""Height fields that displace a surface: added to a distance, their slope stays well below one."""

from __future__ import annotations

import torch

from .draws import Draws
from .primitives import Field, cells, waves


def noise(draws: Draws, octaves: int, low: float, slope: float, sharp: bool = False) -> Field:
    """Height field of several octaves from the frequency `low` (radians per unit) on, creased if `sharp`."""
    vectors, amplitudes = [], []
    frequency = draws.log_uniform(low, low * 2)
    for _ in range(octaves):
        for _ in range(5):
            vectors.append(draws.direction() * frequency * draws.uniform(0.7, 1.3))
            amplitudes.append(slope / octaves / frequency * 0.6)
        frequency = frequency * 2.1
    vector, amplitude = torch.stack(vectors, 1), torch.cat(amplitudes, 1)
    phase = draws.uniform(0.0, 6.28, vector.shape[1])
    if sharp:
        return lambda p: waves(p, vector, phase, amplitude).abs_()
    return lambda p: waves(p, vector, phase, amplitude)


def patches(draws: Draws) -> Field:
    """Smooth weight in 0..1 that covers a random half of space in patches of about .5."""
    cover = noise(draws, 1, 2.5, 2.5)
    shift = draws.uniform(-0.3, 0.5)
    return lambda p: cover(p).add_(shift).mul_(6).sigmoid_()


def knobs(draws: Draws, count: int, low: float, high: float) -> Field:
    """Rounded scales or pits around `count` random centres, of a radius in low..high, slope about .35."""
    centres = draws.uniform(-0.9, 0.9, 3 * count).reshape(-1, count, 3)
    radius = draws.log_uniform(low, high)

    def field(p: torch.Tensor) -> torch.Tensor:
        inside = (radius - cells(p, centres)).clamp_(min=0)
        return inside.mul_(inside).mul_(-0.17 / radius)

    return field


def lattice(draws: Draws) -> Field:
    """Regular bumps or grooves: products of sines along random skew axes, as in knitting or scales."""
    frequency = draws.log_uniform(20.0, 90.0)
    height = torch.minimum(draws.log_uniform(0.003, 0.015), 0.3 / frequency)
    axes = torch.stack([draws.direction() * frequency for _ in range(3)], 1)
    phase = draws.uniform(0.0, 6.28, 3)
    bias = draws.uniform(-0.3, 0.3)[:, :, None]

    def field(p: torch.Tensor) -> torch.Tensor:
        a, b, c = torch.sin(torch.baddbmm(phase[:, :, None], axes, p)).unbind(1)
        return (a * b).add_(c * 0.5).add_(bias[:, 0]).clamp_(-0.6, 0.6).mul_(height)

    return field


def detail(draws: Draws) -> Field:
    """Fine detail of a random kind, everywhere or in patches; amplitude .002 to .015."""
    kind = draws.choice(("sines", "sines", "creases", "knobs", "lattice"))
    if kind == "knobs":
        relief = knobs(draws, draws.choice((60, 120)), 0.04, 0.12)
    elif kind == "lattice":
        relief = lattice(draws)
    else:
        relief = noise(draws, draws.integer(1, 2), draws.choice((8.0, 16.0, 32.0, 48.0)), 0.25, kind == "creases")
    if not draws.chance(0.4):
        return relief
    weight = patches(draws)
    return lambda p: relief(p).mul_(weight(p))
