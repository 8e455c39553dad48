"""What the fractal is compared with: cells one after the other in raster order, and cells that know of no other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .atom import Block, Cache, surprise
from .learning import optimiser
from .shapes import turned


class Flat(nn.Module):
    """A causal transformer over all cells of an s^3 grid: dense attention, GPT-2's block, learned places."""

    def __init__(self, side: int, width: int, blocks: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.side = side
        self.state = nn.Embedding(3, width)
        self.places = nn.Parameter(0.02 * torch.randn(3, side, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def place(self) -> Tensor:
        """(s^3, width): each token stands at the cell that it predicts."""
        x, y, z = self.places
        return (x[:, None, None] + y[None, :, None] + z[None, None]).flatten(0, 2)

    def forward(self, cells: Tensor) -> Tensor:
        """Logits (n, s^3) that a cell is occupied given all before it; ``cells`` bool (n, s, s, s)."""
        before = functional.pad(cells.flatten(1)[:, :-1].long(), (1, 0), value=2)
        x = self.state(before) + self.place()
        for block in self.blocks:
            x = block(x)[0]
        return self.head(self.norm(x))[..., 0]

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Cells (n, s, s, s), one token at a time with kept keys and values."""
        places, before = self.place(), torch.full((count,), 2)
        cells, past = torch.zeros(count, self.side**3, dtype=torch.bool), []
        for number in range(self.side**3):
            x, present = (self.state(before) + places[number])[:, None], Cache()
            for layer, block in enumerate(self.blocks):
                x, kept = block(x, past[layer] if past else None)
                present.append(kept)
            past = present
            cells[:, number] = torch.rand(count, generator=generator) < self.head(self.norm(x))[:, 0, 0].sigmoid()
            before = cells[:, number].long()
        return cells.reshape(count, self.side, self.side, self.side)


class Raster(nn.Module):
    """Cells of a whole grid in raster order, each by a network of what lies before it within REACH cells, and of where
    it is: a flat autoregression that fits two cores, since it attends to nothing far away."""

    REACH = 3

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.side = side
        window = (2 * self.REACH + 1) ** 3
        self.net = nn.Sequential(
            nn.Linear(window // 2 + 3 * side, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def seen(self, cells: Tensor, chosen: Tensor) -> Tensor:
        """f32 (m, features) of cells ``chosen`` (m, 4: shape, x, y, z): 1 occupied, -1 empty, then the place."""
        reach, width = self.REACH, self.side + 2 * self.REACH
        padded = functional.pad(cells, (reach,) * 6).flatten()
        weight = torch.tensor([width**3, width**2, width, 1])
        axis = torch.arange(2 * reach + 1)
        window = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) @ weight[1:]
        before = padded[(chosen @ weight)[:, None] + window[: len(window) // 2]]
        return torch.cat((2 * before.float() - 1, functional.one_hot(chosen[:, 1:], self.side).flatten(1).float()), 1)

    def forward(self, cells: Tensor, chosen: Tensor) -> Tensor:
        """Logits (m,) of the chosen cells."""
        return self.net(self.seen(cells, chosen))[:, 0]


def teach_flat(flat: Flat, cells: Tensor, steps: int, at_once: int, rate: float, seed: int) -> list[float]:
    """Train on grids (n, s, s, s); returns the loss of every step, bits per shape."""
    generator = torch.Generator().manual_seed(seed)
    adam, falling = optimiser(flat, steps, rate)
    history = []
    for _ in range(steps):
        batch = turned(cells[torch.randint(len(cells), (at_once,), generator=generator)], generator)
        loss = surprise(flat(batch), batch.flatten(1)).sum(1).mean()
        _learn(flat, adam, loss)
        falling.step()
        history.append(float(loss.detach()))
    return history


def teach_raster(raster: Raster, cells: Tensor, steps: int, at_once: int, rate: float, seed: int) -> list[float]:
    """Train on ``at_once`` cells per step of grids (n, s, s, s); returns the loss of every step, bits per shape."""
    generator = torch.Generator().manual_seed(seed)
    adam, falling = optimiser(raster, steps, rate)
    history = []
    for _ in range(steps):
        batch = turned(cells[torch.randint(len(cells), (32,), generator=generator)], generator)
        place = torch.randint(raster.side, (at_once, 3), generator=generator)
        chosen = torch.cat((torch.randint(len(batch), (at_once, 1), generator=generator), place), 1)
        bits = surprise(raster(batch, chosen), batch[chosen.unbind(1)])
        loss = bits.mean() * raster.side**3
        _learn(raster, adam, loss)
        falling.step()
        history.append(float(loss.detach()))
    return history


def _learn(model: nn.Module, adam: torch.optim.Optimizer, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 300.0)
    adam.step()


def bits_of_independent_cells(train: Tensor, held: Tensor) -> Tensor:
    """Bits (n,) of held-out grids when every cell is drawn by itself, as often as in the training set (with Laplace's
    rule of succession, so that nothing is impossible)."""
    rate = (train.float().sum(0) + 1) / (len(train) + 2)
    return -torch.where(held, rate, 1 - rate).log2().flatten(1).sum(1)


@torch.no_grad()
def bits_of_flat(flat: Flat, held: Tensor) -> float:
    """Mean bits of grids (n, s, s, s) under the flat transformer."""
    rows = [surprise(flat(part), part.flatten(1)).sum(1) for part in held.split(16)]
    return float(torch.cat(rows).mean())


@torch.no_grad()
def bits_of_raster(raster: Raster, held: Tensor) -> float:
    """Mean bits of grids (n, s, s, s) under the raster network."""
    places = torch.ones(1, *held.shape[1:], dtype=torch.bool).nonzero()
    total = sum(float(surprise(raster(grid[None], places), grid.flatten()).sum()) for grid in held)
    return total / len(held)
