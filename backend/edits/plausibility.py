"""How usual a shape is: its plausibility under the flow over codes, and the training shapes that it is most like.

The code sees what is coarse. That an edit has pushed the surface through itself, or turned it inside out, it does not
see, and no solid is like that: the plausibility falls with the share of the space that is enclosed so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field.onnx_model import CancelToken, Model
from ..geometry.winding_number import tangled_share
from ..prior import shape_prior
from ..prior.archive import Archive
from ..prior.codes import code_of_surface, level0_field, level0_winding
from ..prior.shape_prior import ShapePrior
from .fitted_scan import EditableMesh
from .stack import EditSession

NEAREST = 3
"""Families that are named."""
LOOKED_AT = 256
"""Training shapes, the nearest ones, among which these families are sought."""
TANGLED = 0.005
"""An edit after which this share of the space is enclosed twice or inside out has lost most of its plausibility."""


@dataclass(frozen=True)
class Near:
    """The nearest training shape of a family. distance: between codes, 1 being what is usual between relatives."""

    family: str
    distance: float


@dataclass(frozen=True)
class Plausibility:
    """value: the share of real shapes that are no more usual, 0 .. 1; nearest: of each of the families nearest to the
    shape, nearest first; empty where the model has no archive. code f32 (CODE,). tangled: share of the enclosed space
    that an edit has made the surface enclose more than once, or inside out."""

    value: float
    nearest: tuple[Near, ...]
    code: NDArray[np.float32]
    tangled: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """{"value", "tangled", "nearest": [{"family", "distance"}]}."""
        return {
            "value": self.value,
            "tangled": self.tangled,
            "nearest": [asdict(one) for one in self.nearest],
        }


def plausibility_at(session: EditSession, strengths: Sequence[float], model: Model | None) -> dict[str, Any] | None:
    """How plausible a scan is with its edits at strengths, as JSON; None where the model has no prior over shapes."""
    prior, stack = shape_prior.installed_prior(), session.stack
    if prior is None:
        return None
    found = plausibility_of(stack.mesh, stack.edited(strengths).move, prior, model)
    return None if found is None else found.to_json()


def plausibility_of_code(code: NDArray, prior: ShapePrior) -> Plausibility:
    """What there is to say of a shape by its code (CODE,). Raises OmomiError(BAD_OPTION) for one that is not finite."""
    value = float(prior.flow.plausibility(prior.flow.score(np.asarray(code)[None]))[0])
    return Plausibility(value, nearest_families(code, prior.archive), np.asarray(code, np.float32))


def plausibility_of(
    mesh: EditableMesh, move: NDArray | None, prior: ShapePrior, model: Model | None
) -> Plausibility | None:
    """What there is to say of a mesh whose vertices have moved by ``move`` (n, 3), canonical.

    A closed mesh is measured; of an open one the encoder of ``model`` says what it is likely to be, and without a model
    there is nothing to say.
    """
    vertices = mesh.vertices if move is None else mesh.vertices + move
    if mesh.closed:
        winding = level0_winding(vertices, mesh.outwards)
        verdict = plausibility_of_code(prior.codes.of_field(level0_field(vertices, mesh.outwards, winding)), prior)
        if move is None:
            return verdict
        # some scans come with walls within walls: only what the edit has tangled counts
        tangled = max(tangled_share(winding) - mesh.tangled, 0.0)
        return replace(verdict, value=verdict.value * math.exp(-tangled / TANGLED), tangled=tangled)
    if model is None:
        return None
    finite = np.isfinite(vertices).all(axis=1)
    return plausibility_of_code(code_of_surface(vertices[finite], mesh.normals[finite], model, CancelToken()), prior)


def nearest_families(code: NDArray, archive: Archive | None) -> tuple[Near, ...]:
    """The nearest training shape of each of the NEAREST nearest families."""
    if archive is None:
        return ()
    near = archive.nearest(code, LOOKED_AT)
    usual = float(np.median(archive.relatives[:, 0]))
    unit = usual if np.isfinite(usual) and usual > 0 else 1.0
    families, first = np.unique(archive.family[near.rows], return_index=True)
    order = np.argsort(first)[:NEAREST]
    return tuple(
        Near(archive.families[families[one]], float(near.distances[first[one]]) / unit) for one in order.tolist()
    )
