"""A signed distance as a small perceptron whose weights are one vector theta, and the conditional one: weights theta_0
* (1 + Phi(c)) with the product's own Phi; and how both are fitted to the analytic families."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...field.onnx_model import CODE
from ...training.atom import ATTRIBUTES, WAVES, AtomConfig, Phi
from ..instruments import minimise
from .solids import FAMILIES, NUMBERS, Field, truth

WIDTH = 128
FEATURES = 3 * WAVES  # of a position: itself, and the cosines that the atom's layer of the position sees
SIZES = ((FEATURES, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))  # inputs and outputs of the layers
LENGTH = sum((inputs + 1) * outputs for inputs, outputs in SIZES)  # of theta
PLACED = FEATURES * WIDTH  # weights that see the position; they come first
GAINS = 3 * WIDTH
POOL = 4096
"""Points kept of each shape: half of them anywhere in the cube, a quarter near the surface, a quarter around the place
where the topology changes, which is a small part of the surface and decides everything."""
NEAR, AROUND = 0.04, 0.12  # how near that is, canonical units


def start(seed: int) -> Tensor:
    """A random theta (LENGTH,); the layers keep the size of what passes through them."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for inputs, outputs in SIZES:
        parts += [torch.randn(inputs * outputs, generator=generator) * math.sqrt(2 / inputs), torch.zeros(outputs)]
    return torch.cat(parts)


def layers(theta: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Matrices (B, inputs, outputs) and biases (B, 1, outputs) of nets theta (B, LENGTH)."""
    sizes = [size for inputs, outputs in SIZES for size in (inputs * outputs, outputs)]
    parts = iter(theta.split(sizes, dim=1))
    return [(next(parts).unflatten(1, size), next(parts)[:, None]) for size in SIZES]


def distance(theta: Tensor, points: Tensor) -> Tensor:
    """Signed distances (B, N) of nets theta (B, LENGTH) at points (B, N, 3)."""
    angle = (points + 1) * (math.pi / 2)
    hidden = torch.cat((points, *(torch.cos(wave * angle) for wave in range(1, WAVES))), dim=2)
    for number, (matrix, bias) in enumerate(layers(theta)):
        hidden = torch.baddbmm(bias, functional.silu(hidden) if number else hidden, matrix)
    return hidden[..., 0]


def field_of(theta: Tensor) -> Field:
    """The field of one net theta (LENGTH,)."""
    return lambda points: distance(theta[None], points[None])[0]


class Conditional(nn.Module):
    """Family and numbers of a shape -> theta, as in the atom: the style scales the outputs of every hidden layer, which
    is the same as scaling rows of its weights; what is beyond the gains is added to the layer of the position."""

    def __init__(self, seed: int, inner: int = 96) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.phi = Phi(AtomConfig(phi_width=8, code_width=inner), GAINS, GAINS + PLACED)
        self.theta = nn.Parameter(start(seed))
        generator = torch.Generator().manual_seed(seed)
        self.lift = nn.Buffer(torch.randn(len(FAMILIES) * (1 + NUMBERS), CODE, generator=generator))

    def style(self, family: Tensor, shape: Tensor) -> Tensor:
        """Phi(c) (B, GAINS + PLACED) of families (B,) and shapes (B, 3)."""
        numbers = torch.cat((torch.ones_like(shape[:, :1]), 2 * shape[:, :1] - 1, shape[:, 1:]), dim=1)
        own = functional.one_hot(family, len(FAMILIES)).to(shape)[:, :, None] * numbers[:, None]
        return self.phi(shape.new_zeros(len(shape), ATTRIBUTES), own.flatten(1) @ self.lift)

    def of_shapes(self, family: int, shape: Tensor) -> Tensor:
        """theta (B, LENGTH) of shapes (B, 3) of one family."""
        return self.weights(self.style(torch.full((len(shape),), family), shape))

    def weights(self, style: Tensor) -> Tensor:
        """theta (B, LENGTH) of styles (B, GAINS + PLACED)."""
        gains = [1 + part[:, None] for part in style[:, :GAINS].split(WIDTH, dim=1)]
        *hidden, last = layers(self.theta[None])
        scaled = [part * gain for layer, gain in zip(hidden, gains, strict=True) for part in layer]
        flat = [part.flatten(1) for part in (*scaled, *(part.expand(len(style), -1, -1) for part in last))]
        return torch.cat((flat[0] + style[:, GAINS:], *flat[1:]), dim=1)


@dataclass(frozen=True)
class Pool:
    """Training points."""

    family: Tensor  # (S,)
    shape: Tensor  # (S, 3)
    points: Tensor  # (S, POOL, 3), in [-1, 1]^3
    distance: Tensor  # (S, POOL)

    @classmethod
    def of(cls, family: Tensor, shape: Tensor, seed: int) -> Pool:
        generator = torch.Generator().manual_seed(seed)
        points, distances = [], []
        for kind, numbers in zip(family.tolist(), shape, strict=True):
            wide = 2 * torch.rand(8 * POOL, 3, generator=generator) - 1
            weight = torch.exp(-truth(kind, numbers, wide).abs() / NEAR)
            near = torch.multinomial(weight, POOL // 4, generator=generator)
            saddle = torch.tensor(FAMILIES[kind].saddle) + AROUND * torch.randn(POOL // 4, 3, generator=generator)
            points.append(torch.cat((wide[: POOL // 2], wide[near], saddle)))
            distances.append(truth(kind, numbers, points[-1]))
        return cls(family, shape, torch.stack(points), torch.stack(distances))

    def error(self, theta: Tensor, chosen: Tensor, seen: Tensor) -> Tensor:
        """|distance - truth| (B, N) of nets theta (B, LENGTH) for shapes ``chosen`` (B,) at their points ``seen``."""
        rows = chosen[:, None], seen
        return (distance(theta, self.points[rows]) - self.distance[rows]).abs()


def descend(parameters: Iterable[Tensor], loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    """Adam with a rate that rises and falls once; at least ten steps."""
    adam = torch.optim.Adam(parameters, rate)
    minimise(loss, torch.optim.lr_scheduler.OneCycleLR(adam, rate, steps, pct_start=0.2), steps)


def fit_conditional(pool: Pool, seed: int, steps: int) -> Conditional:
    """One net for all shapes of a pool, by its mean absolute error on 36 shapes and 112 points of each at a step."""
    net = Conditional(seed)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        chosen = torch.randint(len(pool.shape), (36,), generator=generator)
        seen = torch.randint(POOL, (36, 112), generator=generator)
        theta = net.weights(net.style(pool.family[chosen], pool.shape[chosen]))
        return pool.error(theta, chosen, seen).mean()

    descend(net.parameters(), loss, steps, 5e-3)
    return net.requires_grad_(False)


def fit_each(pool: Pool, first: Tensor, seed: int, steps: int) -> Tensor:
    """A net for each shape of a pool, on 768 points at a step: theta (S, LENGTH), from ``first`` (S, LENGTH)."""
    theta = first.clone().requires_grad_()
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        seen = torch.randint(POOL, (len(theta), 768), generator=generator)
        # a sum over shapes: Adam steps each net as if it were alone
        return pool.error(theta, torch.arange(len(theta)), seen).mean(dim=1).sum()

    descend([theta], loss, steps, 3e-3)
    return theta.detach()


def errors(net: Conditional, pool: Pool, seed: int = 7, points: int = 4096) -> Tensor:
    """Mean |distance - truth| (S,) over the cube, for each shape."""
    seen = 2 * torch.rand(points, 3, generator=torch.Generator().manual_seed(seed)) - 1
    shapes = zip(pool.family.tolist(), pool.shape, strict=True)
    pairs = [(distance(net.of_shapes(kind, one[None]), seen[None])[0], truth(kind, one, seen)) for kind, one in shapes]
    return torch.stack([(found - true).abs().mean() for found, true in pairs])
