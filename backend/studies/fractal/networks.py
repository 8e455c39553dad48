"""The fractal's atom, a causal transformer over the eight children of a parent; what it is compared with, cells one
after the other in raster order and cells that know of no other; their training, and bits of shapes under each."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..instruments import minimise
from .octree import CHILDREN, FEATURES, LEVELS, children_of, context, pyramid, seen_features, turned, window

SHAPES_AT_ONCE, GRIDS_AT_ONCE = 32, 8  # in a step of ladders and raster networks, and in one of a flat transformer
PARENTS_AT_ONCE = (8, 32, 96, 256)  # drawn per step on each level, at most

Loss = Callable[[Tensor, torch.Generator], Tensor]  # of a batch (n, s, s, s)
Cache = list[tuple[Tensor, Tensor]]  # keys and values (m, heads, t, width of a head) of every block


@dataclass(frozen=True)
class AtomConfig:
    width: int = 32
    blocks: int = 2
    heads: int = 4
    context: int = 128  # width of the two layers that read the context, once per parent; the blocks run once per child
    siblings: bool = True  # off: children are drawn without a look at each other or at the cousins, all in one shot
    neighbours: bool = True  # off: a parent knows where it and its ancestors are, not what is around them


class Block(nn.Module):
    """Pre-norm causal attention and a two-layer network (GPT-2's block)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Tokens (m, t, width); with the ``past`` of the same sequences only one further token, which sees all."""
        q, k, v = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.between(x)), (k, v)


def advance(blocks: nn.ModuleList, x: Tensor, past: Cache) -> tuple[Tensor, Cache]:
    """One further token (m, 1, width) of sequences whose ``past`` is kept, empty at the first."""
    present = Cache()
    for number, block in enumerate(blocks):
        x, kept = block(x, past[number] if past else None)
        present.append(kept)
    return x, present


class Atom(nn.Module):
    """Token j holds the state of child j - 1 and gives the logit that child j is occupied; token 0 is the parent's
    condition, prepended as in the paper. Each of the eight places has a projection of the condition of its own, since
    each child needs other neighbours."""

    def __init__(self, config: AtomConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.sight = nn.Buffer(seen_features(config.siblings and config.neighbours, config.neighbours))
        first, second = nn.Linear(FEATURES, config.context), nn.Linear(config.context, config.context)
        self.read = nn.Sequential(first, nn.SiLU(), second, nn.SiLU())
        self.place = nn.Linear(config.context, CHILDREN * width)
        self.state = nn.Embedding(2, width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def condition(self, context: Tensor) -> Tensor:
        """Tokens (m, 8, width) before they hold states, from contexts (m, FEATURES)."""
        return self.place(self.read(context * self.sight)).unflatten(1, (CHILDREN, -1))

    def forward(self, context: Tensor, children: Tensor) -> Tensor:
        """Logits (m, 8) that a child is occupied given those before it; ``children`` bool (m, 8)."""
        return certain(self.logits(self.condition(context), children[:, :-1]), children)

    def logits(self, condition: Tensor, before: Tensor) -> Tensor:
        """Logits (m, t) of the first t children, from their ``condition`` (m, t, width) and the states ``before`` each
        but the first, bool (m, t - 1)."""
        x = condition + functional.pad(self.state(before.long()), (0, 0, 1, 0)) * self.config.siblings
        for block in self.blocks:
            x = block(x)[0]
        return self.head(self.norm(x))[..., 0]

    def step(self, condition: Tensor, before: Tensor | None, past: Cache) -> tuple[Tensor, Cache]:
        """Logit (m,) of the next child, from its token's ``condition`` (m, width) and the child ``before`` it, bool
        (m,); ``past`` is empty at the first."""
        x = condition if before is None else condition + self.state(before.long()) * self.config.siblings
        x, present = advance(self.blocks, x[:, None], past)
        return self.head(self.norm(x))[:, 0, 0], present


def certain(logits: Tensor, children: Tensor) -> Tensor:
    """``logits`` (m, 8) with the last child sure to be occupied where all others are empty: its parent is."""
    alone = ~children[:, :-1].any(1)
    return torch.cat((logits[:, :-1], logits[:, -1:].masked_fill(alone[:, None], math.inf)), 1)


class Ladder(nn.Module):
    """Atoms for all levels: one that serves every level, or one for each, as the paper has it."""

    def __init__(self, config: AtomConfig, shared: bool = True) -> None:
        super().__init__()
        self.atoms = nn.ModuleList(Atom(config) for _ in range(1 if shared else LEVELS))

    def at(self, level: int) -> Atom:
        atom = self.atoms[level if len(self.atoms) > 1 else 0]
        assert isinstance(atom, Atom)
        return atom


def surprise(logits: Tensor, occupied: Tensor) -> Tensor:
    """Negative log likelihood in bits of ``occupied`` (bool) under ``logits``, which may be infinite."""
    return functional.softplus(torch.where(occupied, -logits, logits)) / math.log(2)


def parameters(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def matched(build: Callable[[int], nn.Module], target: int, step: int) -> int:
    """The width, a multiple of ``step``, whose model comes nearest to ``target`` parameters, which grow with it."""
    high = bisect_left(range(1, 1024 // step), target, key=lambda number: parameters(build(number * step))) + 1
    return step * min((max(high - 1, 1), high), key=lambda number: abs(parameters(build(number * step)) - target))


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
        cells, past = torch.zeros(count, self.side**3, dtype=torch.bool), Cache()
        for number in range(self.side**3):
            x, past = advance(self.blocks, (self.state(before) + places[number])[:, None], past)
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
        self.before = (2 * self.REACH + 1) ** 3 // 2
        first, second = nn.Linear(self.before + 3 * side, width), nn.Linear(width, width)
        self.net = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), nn.Linear(width, 1))

    def forward(self, cells: Tensor, chosen: Tensor) -> Tensor:
        """Logits (m,) of cells ``chosen`` (m, 4: shape, x, y, z) of grids (n, s, s, s)."""
        before = window(cells, chosen, 2 * self.REACH + 1)[:, : self.before]
        place = functional.one_hot(chosen[:, 1:], self.side).flatten(1)
        # 1 occupied, -1 empty, then the place
        return self.net(torch.cat((2 * before.float() - 1, place.float()), 1))[:, 0]


def optimise(
    model: nn.Module, loss: Loss, cells: Tensor, at_once: int, steps: int, rate: float, seed: int, turns: bool = True
) -> list[float]:
    """AdamW on random batches of ``cells`` (n, s, s, s), under symmetries of the cube where it ``turns`` them; returns
    the loss of every step. The rate rises over the first tenth of the steps and falls as a cosine after."""
    generator = torch.Generator().manual_seed(seed)
    adam = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.05)
    warm = max(1, round(0.1 * steps))

    def share(step: int) -> float:
        return min((step + 1) / warm, 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)

    def drawn() -> Tensor:
        batch = cells[torch.randint(len(cells), (at_once,), generator=generator)]
        return loss(turned(batch, generator) if turns else batch, generator)

    return minimise(drawn, torch.optim.lr_scheduler.LambdaLR(adam, share), steps, largest=300.0)


def teach(ladder: Ladder, cells: Tensor, steps: int, rate: float, seed: int = 0, turns: bool = True) -> list[float]:
    """Train on shapes (n, 16, 16, 16); losses in bits per shape. Each step takes some parents of every level, whose
    surprise counts by how many there are, so that the loss is an unbiased estimate."""

    def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
        grids, total = pyramid(batch), torch.zeros(())
        for level, most in enumerate(PARENTS_AT_ONCE):
            parents = grids[level].nonzero()
            kept = parents[torch.randperm(len(parents), generator=generator)[:most]]
            bits = surprise_of(ladder, grids, level, kept)
            total = total + bits.sum(1).mean() * (len(parents) / len(batch))
        return total

    return optimise(ladder, loss, cells, SHAPES_AT_ONCE, steps, rate, seed, turns)


def teach_flat(flat: Flat, cells: Tensor, steps: int, rate: float, seed: int) -> list[float]:
    """Train on grids (n, s, s, s); losses in bits per shape."""

    def loss(batch: Tensor, _: torch.Generator) -> Tensor:
        return surprise(flat(batch), batch.flatten(1)).sum(1).mean()

    return optimise(flat, loss, cells, GRIDS_AT_ONCE, steps, rate, seed)


def teach_raster(raster: Raster, cells: Tensor, steps: int, at_once: int, rate: float, seed: int) -> list[float]:
    """Train on ``at_once`` cells per step of grids (n, s, s, s); losses in bits per shape."""

    def loss(batch: Tensor, generator: torch.Generator) -> Tensor:
        place = torch.randint(raster.side, (at_once, 3), generator=generator)
        chosen = torch.cat((torch.randint(len(batch), (at_once, 1), generator=generator), place), 1)
        return surprise(raster(batch, chosen), batch[chosen.unbind(1)]).mean() * raster.side**3

    return optimise(raster, loss, cells, SHAPES_AT_ONCE, steps, rate, seed)


def surprise_of(ladder: Ladder, grids: list[Tensor], level: int, parents: Tensor) -> Tensor:
    """Bits (m, 8) of the children of ``parents`` (m, 4)."""
    children = children_of(grids[level + 1])[parents.unbind(1)]
    return surprise(ladder.at(level)(context(grids, level, parents), children), children)


def bits_of_independent_cells(train: Tensor, held: Tensor) -> Tensor:
    """Bits (n,) of held-out grids when every cell is drawn by itself, as often as in the training set (with Laplace's
    rule of succession, so that nothing is impossible)."""
    rate = (train.float().sum(0) + 1) / (len(train) + 2)
    return -torch.where(held, rate, 1 - rate).log2().flatten(1).sum(1)


@torch.no_grad()
def bits_of_flat(flat: Flat, held: Tensor) -> float:
    """Mean bits of grids (n, s, s, s) under the flat transformer."""
    return float(torch.cat([surprise(flat(part), part.flatten(1)).sum(1) for part in held.split(16)]).mean())


@torch.no_grad()
def bits_of_raster(raster: Raster, held: Tensor) -> float:
    """Mean bits of grids (n, s, s, s) under the raster network."""
    places = torch.ones(1, *held.shape[1:], dtype=torch.bool).nonzero()
    return sum(float(surprise(raster(grid[None], places), grid.flatten()).sum()) for grid in held) / len(held)
