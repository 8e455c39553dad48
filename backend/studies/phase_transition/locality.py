"""C4: an edit of strength 0 is nothing at all, and one of strength 1 leaves alone what it is not about.

The edit makes the knob larger. Three ways: the difference of two conditionings as it is; the same behind a mask in
space, as the product's edits are (weights/masks.py); and the masked edit distilled back into weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...edits.masks import SphereMask
from ...geometry.nearest import nearest_on_mesh
from .families import FAMILIES
from .fit import descend
from .net import Conditional, distance, field_of
from .solids import Field, Mesh, mesh_of, sample

SMALL, LARGE = (0.1, 0.0, -1.0), (0.1, 0.0, 1.0)
"""The shape before and after."""
EDITED, FALLOFF = 0.2, 0.06
"""Around the knob's middle: what the edit is about, and how far beyond it its mask ends."""


@dataclass(frozen=True)
class Locality:
    """identical: whether strength 0 gives the base mesh bit for bit; leaks: Chamfer distance of the untouched region
    over that of the edited one, by way."""

    family: str
    identical: bool
    leaks: dict[str, float]


@dataclass(frozen=True)
class Edit:
    """A change of style from ``base`` to ``goal`` (GAINS + PLACED,)."""

    net: Conditional
    base: Tensor
    goal: Tensor

    def at(self, strength: float) -> Field:
        """The field of theta_0 * (1 + style)."""
        return field_of(self.net.weights((self.base + strength * (self.goal - self.base))[None])[0])


def chamfer(one: Mesh, other: Mesh, middle: NDArray, radius: float, within: bool) -> float:
    """Mean distance between two meshes, both ways, from the vertices within ``radius`` of ``middle`` or beyond it."""
    parts = []
    for here, there in ((one, other), (other, one)):
        near = np.linalg.norm(here.vertices - middle, axis=1) < radius
        parts.append(nearest_on_mesh(there.vertices, there.faces, here.vertices[near == within]).distance.mean())
    return float(np.mean(parts))


def distil(edit: Edit, wanted: Field, points: Tensor, steps: int, rate: float = 1e-3) -> Edit:
    """The edit to the style whose field is the ``wanted`` one at points (N, 3)."""
    goal = edit.goal.clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    target = sample(wanted, points)

    def loss() -> Tensor:
        seen = torch.randint(len(points), (1536,), generator=generator)
        return (distance(edit.net.weights(goal[None]), points[None, seen])[0] - target[seen]).abs().mean()

    descend([goal], loss, steps, rate)
    return replace(edit, goal=goal.detach())


def judge(net: Conditional, family: int, steps: int, side: int) -> Locality:
    """Edit the knob of one family in the three ways; ``steps`` of distillation."""
    base, goal = net.style(torch.tensor([family, family]), torch.tensor([SMALL, LARGE]))
    edit = Edit(net, base, goal)
    before = mesh_of(field_of(net.weights(base[None])[0]), side)
    nothing = mesh_of(edit.at(0.0), side)
    identical = np.array_equal(before.vertices, nothing.vertices) and np.array_equal(before.faces, nothing.faces)

    middle = FAMILIES[family].knob(torch.tensor([LARGE]))[0].double().numpy()
    mask = SphereMask(middle, EDITED, FALLOFF)

    def masked(points: Tensor) -> Tensor:
        return torch.lerp(edit.at(0.0)(points), edit.at(1.0)(points), torch.from_numpy(mask.at(points.numpy())))

    distilled = distil(edit, masked, _points(before, middle), steps)
    ways: dict[str, Field] = {"plain": edit.at(1.0), "distilled": distilled.at(1.0), "masked": masked}
    leaks = {}
    for way, field in ways.items():
        after = mesh_of(field, side)
        inner, outer = (chamfer(before, after, middle, EDITED + FALLOFF, within) for within in (True, False))
        leaks[way] = outer / max(inner, 1e-12)
    return Locality(FAMILIES[family].name, identical, leaks)


def _points(mesh: Mesh, middle: NDArray) -> Tensor:
    """Where the edit is distilled: near the surface, most densely around the knob, and anywhere."""
    rng = np.random.default_rng(0)
    near = mesh.vertices + rng.normal(scale=0.02, size=mesh.vertices.shape)
    around = middle + rng.normal(scale=0.12, size=near.shape)
    anywhere = rng.uniform(-1, 1, (len(near) // 2, 3))
    return torch.from_numpy(np.concatenate((near, around, anywhere))).float()
