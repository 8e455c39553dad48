"""The atom: a causal transformer over the eight children of a parent, conditioned on what the parent sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .octree import CHILDREN, FEATURES, LEVELS, seen_features

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values (m, heads, t, width of a head) of every block."""


@dataclass(frozen=True)
class AtomConfig:
    width: int = 32
    blocks: int = 2
    heads: int = 4
    context: int = 128
    """Width of the two layers that read the context: they run once per parent, the blocks once per child."""
    siblings: bool = True
    """Off: children are drawn without a look at each other or at the cousins, all in one shot."""
    neighbours: bool = True
    """Off: a parent knows where it and its ancestors are, not what is around them."""


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


class Atom(nn.Module):
    """Token j holds the state of child j - 1 and gives the logit that child j is occupied; token 0 is the parent's
    condition, prepended as in the paper. Each place also hears the condition in its own words: one projection for each
    of the eight, since a child needs other neighbours than its brother."""

    sight: Tensor

    def __init__(self, config: AtomConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("sight", seen_features(config.siblings and config.neighbours, config.neighbours))
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
        x, present = x[:, None], []
        for number, block in enumerate(self.blocks):
            x, kept = block(x, past[number] if past else None)
            present.append(kept)
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
