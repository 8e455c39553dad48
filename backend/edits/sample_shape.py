"""Shapes that the model makes up: drawn from the flow, decoded, and judged as any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import refuse
from ..field.fit import FittedMesh, ignore
from ..field.onnx_model import CancelToken, Model
from ..prior import shape_prior
from ..prior.decode_shape import Outline, decode_shape, outline_of
from ..prior.shape_prior import ShapePrior
from .fitted_scan import EditableMesh, OnProgress
from .plausibility import Plausibility, plausibility_of

MOST_SEEDS = 1 << 31
AT_ONCE = 16
"""Codes that are drawn for a seed; the first of them whose shape is whole is taken."""
WHOLE = 0.9999
"""Share of the volume in one piece from which an outline is whole. What is apart would be thrown away, and a piece that
is small in the outline may be large in the shape: with .98, one shape in ten came in pieces."""


@dataclass(frozen=True)
class SampledShape:
    """A shape that the model made up."""

    mesh: FittedMesh  # canonical
    verdict: Plausibility  # of the surface that was made, not of the code that was drawn

    @property
    def summary(self) -> dict[str, Any]:
        """{"plausibility": 0 .. 1, "nearest": [{"family", "distance"}]}."""
        return {"plausibility": self.verdict.value, "nearest": self.verdict.to_json()["nearest"]}


def sample_shape(
    model: Model,
    seed: int,
    level: int,
    on_frame: Callable[[FittedMesh], None] = ignore,
    on_progress: OnProgress = ignore,
    cancel: CancelToken | None = None,
) -> SampledShape:
    """The shape of a seed, the same every time on one device; on_frame and on_progress as in `decode_shape`.

    Raises OmomiError: MODEL_MISSING where the model has no prior over shapes; BAD_OPTION; those of `decode_shape`.
    """
    if not 0 <= seed < MOST_SEEDS:
        refuse(f"the seed must lie between 0 and {MOST_SEEDS - 1}, not at {seed}")
    prior = shape_prior.shipped_prior()
    on_progress(0.0, "drawing a shape")
    code, outline = drawn_code(prior, seed)
    listening = {"on_frame": on_frame, "on_progress": on_progress, "cancel": cancel}
    made = decode_shape(code, model, level, outline=outline, **listening)
    mesh = EditableMesh(np.asarray(made.vertices, np.float64), made.faces, np.asarray(made.sigma, np.float64))
    found = plausibility_of(mesh, None, prior, model)
    assert found is not None, "a decoded shape is closed"
    return SampledShape(made, found)


def drawn_code(prior: ShapePrior, seed: int) -> tuple[NDArray[np.float32], Outline]:
    """The first code of a seed whose outline is in one piece, the most nearly whole one where none is."""
    drawn: list[tuple[NDArray[np.float32], Outline]] = []
    for code in prior.flow.sample(AT_ONCE, seed):
        drawn.append((code, outline_of(code, prior.codes)))
        if drawn[-1][1].whole >= WHOLE:
            break
    return max(drawn, key=lambda one: one[1].whole)
