"""The edits that lie on one scan: loaded, brought to their place, and evaluated once on the vertices that they move."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..engine import Engine
from ..errors import ErrorCode, OmomiError
from ..field.bricks import voxel_size
from ..prior import shape_prior
from ..protocol.recipe import LARGEST_NUMBER, MOST_ENTRIES
from ..protocol.requests import EditTarget
from .apply_learned import apply_learned
from .attributes import ATTRIBUTES, attribute
from .blend import Blend, blend
from .displacement import Displacement, Edited, Layer, Movement, combine, units
from .edit_file import load_edit
from .fitted_scan import EditableMesh, FittedScan, Progress
from .layer import LayerSpec
from .learn import doubts
from .learned import LearnedEdit
from .masks import Mask, PaintedMask
from .shape_sliders import PLAUSIBLE, shape_edit
from .topology_check import layer_margin

SEEN = (-1.0, 2.0)
"""Of a learned edit: strengths beyond these are far from any example, for 1 is what the examples show."""
MOST_PLACED = 32
"""Edits that a scan keeps the place of, unless more lie on it."""


@dataclass(frozen=True)
class FittedEdit:
    """An edit where it belongs on a scan. seen: the strengths that it was made for; misfit: of the registration
    (sizes), None where there is none; warnings: what an artist should know of it; strict: whether strengths are brought
    back to those seen; units: what it does everywhere to the bodies that it was evaluated on."""

    movement: Movement
    seen: tuple[float, float]
    misfit: float | None = None
    warnings: tuple[str, ...] = ()
    strict: bool = False
    units: dict[EditTarget, Displacement] = field(default_factory=dict)

    def within(self, strength: float) -> float:
        """The strength that it acts with."""
        return min(max(strength, self.seen[0]), self.seen[1]) if self.strict else strength

    def unit(self, body: EditTarget, shell: EditableMesh, mask: Mask | None) -> Displacement:
        """What it does to a body at strength 1 within a mask; evaluating it takes far longer than masking it."""
        if body not in self.units:
            (self.units[body],) = units([Layer(self.movement, 1.0)], shell.vertices, shell.normals)
        whole = self.units[body]
        if mask is None:
            return whole
        finite, share = np.isfinite(shell.vertices).all(axis=1), np.zeros(len(shell.vertices))
        share[finite] = mask.at(shell.vertices[finite], shell.normals[finite])
        return Displacement(share[:, None] * whole.move, share * whole.doubt)


@dataclass(frozen=True)
class EvaluatedLayer:
    """A layer of the stack: what was asked for, where it belongs, and what it does at strength 1. A muted one is not
    looked at: it has no place, and does nothing. foretold: strengths between which no walls are expected to meet, None
    where the body has no inside."""

    spec: LayerSpec
    placed: FittedEdit | None
    unit: Displacement
    foretold: tuple[float, float] | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """What an artist is told: name, kind, misfit, foretold, warnings."""
        spec, placed = self.spec, self.placed
        told = {"name": spec.name, "kind": spec.kind, "misfit": placed and placed.misfit, "foretold": self.foretold}
        return told | {"warnings": [] if placed is None else [*placed.warnings, *self.warnings(spec.strength)]}

    def strength(self, given: float) -> float:
        """What it acts with at a strength that was given: 0 where it is muted."""
        return 0.0 if self.placed is None else self.placed.within(float(given))

    def warnings(self, strength: float) -> list[str]:
        """See `strength_warnings`."""
        return [] if self.placed is None else strength_warnings(self.spec.name, strength, self.placed.seen)


@dataclass(frozen=True)
class Stack:
    """Layers on a shell. base f32 (n, 3): the body's vertices, world units, from the fit's origin; moves f32 (k, 3 n):
    displacement by each layer at strength 1, world units."""

    shell: EditableMesh
    layers: tuple[EvaluatedLayer, ...]
    base: NDArray[np.float32]
    moves: NDArray[np.float32]

    def pose(self, strengths: Sequence[float]) -> NDArray[np.float32]:
        """The body's vertices f32 (n, 3) at strengths (k,), world units, from the fit's origin; at strength 0 they are
        the body's own bit for bit. Raises as `strengths`."""
        weights = np.array(self.strengths(strengths), np.float32)
        if not weights.any():
            return self.base.copy()
        moved = weights @ self.moves
        moved += self.base.reshape(-1)
        return moved.reshape(-1, 3)

    def edited(self, strengths: Sequence[float]) -> Edited:
        """What the layers together do at strengths (k,). Raises as `strengths`."""
        return combine(self.units, self.strengths(strengths), self.shell.vertices, self.shell.faces)

    def strengths(self, given: Sequence[float]) -> list[float]:
        """One strength for every layer, as they act with it. Raises OmomiError(BAD_OPTION) for another number of them
        than there are layers, and strengths that are not finite or absurdly large."""
        if len(given) != len(self.layers):
            _refuse(f"{len(given)} strengths were given for {len(self.layers)} edits")
        for value in given:
            # written so that NaN fails too
            if not abs(value) <= LARGEST_NUMBER:
                _refuse(f"{value:g} is not a strength")
        return [layer.strength(value) for layer, value in zip(self.layers, given, strict=True)]

    @property
    def units(self) -> list[Displacement]:
        """What each layer does at strength 1."""
        return [layer.unit for layer in self.layers]

    def layer(self, number: int) -> tuple[LayerSpec, FittedEdit]:
        """A layer that a slider moves. Raises OmomiError(BAD_OPTION) for one that is absent or muted."""
        if not 0 <= number < len(self.layers):
            _refuse(f"there is no edit number {number}")
        spec, placed = self.layers[number].spec, self.layers[number].placed
        if placed is None:
            _refuse(f"{spec.name} is muted")
        return spec, placed

    def warnings(self, strengths: Sequence[float]) -> list[str]:
        """What there is to say about strengths (k,). Raises as `strengths`."""
        values = zip(self.layers, self.strengths(strengths), strict=True)
        return [text for layer, value in values for text in layer.warnings(value)]


@dataclass
class EditSession:
    """A fitted scan and the edits on it. origin: what its meshes travel from, world units."""

    subject: FittedScan
    origin: tuple[float, float, float]
    placed: dict[str, FittedEdit] = field(default_factory=dict)
    _stack: Stack | None = None
    _blend: tuple[FittedScan, bool, Blend] | None = None

    @property
    def level(self) -> int:
        """Of the fit, for resolutions."""
        return 2 if self.subject.fit is None else self.subject.fit.mesh.level

    @property
    def stack(self) -> Stack:
        """As of the last `lay`; without edits on the fitted mesh before that."""
        if self._stack is None:
            self._stack = self._laid(EditTarget.FIT, [])
        return self._stack

    def lay(self, body: EditTarget, specs: Sequence[LayerSpec], engine: Engine, on_progress: Progress) -> Stack:
        """Put these edits on the scan in place of those that it has, which stay where any of these cannot be used.

        Each is registered and evaluated once, whatever strengths and masks it is used with. Raises OmomiError:
        BAD_OPTION; those of `load_edit`, `apply_learned` and `FittedScan.shell`.
        """
        if len(specs) > MOST_ENTRIES:
            _refuse(f"at most {MOST_ENTRIES} edits can lie on a scan, not {len(specs)}")
        for spec in specs:
            if not abs(spec.strength) <= LARGEST_NUMBER:
                _refuse(f"{spec.strength:g} is not a strength")
        shell = self.subject.shell(body)
        laid: list[EvaluatedLayer] = []
        for number, spec in enumerate(specs):
            on_progress(number / len(specs), f"placing {spec.name}")
            laid.append(_muted(spec, shell) if spec.mute else self._evaluated(spec, body, shell, engine, laid))
        for key in list(self.placed)[: max(0, len(self.placed) - max(MOST_PLACED, len(specs)))]:
            del self.placed[key]
        self._stack = self._laid(body, laid)
        return self._stack

    def blend(self, other: FittedScan, guarded: bool, on_progress: Progress) -> Blend:
        """The blend with another scan, see `blending.blend`; the last one is kept, for a share that is dragged."""
        known = self._blend
        if known is None or known[0] is not other or known[1] != guarded:
            known = self._blend = other, guarded, blend(self.subject, other, on_progress, guarded)
        return known[2]

    def _laid(self, body: EditTarget, layers: Sequence[EvaluatedLayer]) -> Stack:
        shell, subject = self.subject.shell(body), self.subject
        world = subject.raw.points if body is EditTarget.SCAN or subject.fit is None else subject.fit.mesh.vertices
        moves = np.zeros((len(layers), 3 * len(shell.vertices)), np.float32)
        for row, layer in zip(moves, layers, strict=True):
            row[:] = (layer.unit.move / subject.scan.frame.scale).reshape(-1)
        base = (np.asarray(world, np.float64) - self.origin).astype(np.float32)
        return Stack(shell, tuple(layers), base, moves)

    def _evaluated(
        self, spec: LayerSpec, body: EditTarget, shell: EditableMesh, engine: Engine, before: Sequence[EvaluatedLayer]
    ) -> EvaluatedLayer:
        mask = None if spec.mask is None else self._painted(spec.mask)
        try:
            placed = self._placed(spec, engine, before)
        except OmomiError as error:
            # the artist has several edits, and has to know which one it is
            raise OmomiError(error.code, f"{spec.name}: {error.message}", error.detail) from error
        unit, (low, high) = placed.unit(body, shell, mask), placed.seen
        told = layer_margin(shell, unit, min(low, spec.strength), max(high, spec.strength)) if shell.closed else None
        return EvaluatedLayer(spec, placed, unit, told and told.margin)

    def _placed(self, spec: LayerSpec, engine: Engine, before: Sequence[EvaluatedLayer]) -> FittedEdit:
        if spec.shape is not None:
            moved = self._moved(before) if spec.shape == PLAUSIBLE else None
            start = "" if moved is None else hashlib.sha256(moved.tobytes()).hexdigest()
            return self._kept(f"shape:{spec.shape}:{start}", lambda: self._shape(spec.name, moved))
        if spec.path is None:
            return self._kept(spec.name, lambda: self._attribute(spec.name, engine))
        stored = load_edit(spec.path, engine.info().model_hash)
        return self._kept(stored.sha256, lambda: self._found(stored.edit))

    def _kept(self, key: str, make: Callable[[], FittedEdit]) -> FittedEdit:
        # moved to the end: the least recently used are the first to go
        known = self.placed.pop(key, None)
        self.placed[key] = known or make()
        return self.placed[key]

    def _moved(self, layers: Sequence[EvaluatedLayer]) -> NDArray[np.float64]:
        """Where layers at their strengths bring the vertices (n, 3) of the fit."""
        shell = self.subject.shell(EditTarget.FIT)
        moved = shell.vertices.copy()
        for layer in layers:
            strength = layer.strength(layer.spec.strength)
            if layer.placed is not None and strength != 0:
                mask = None if layer.spec.mask is None else self._painted(layer.spec.mask)
                moved += strength * layer.placed.unit(EditTarget.FIT, shell, mask).move
        return moved

    def _shape(self, name: str, moved: NDArray | None) -> FittedEdit:
        made = shape_edit(name, self.subject.scan, self.subject.fit, shape_prior.shipped_prior(), moved)
        return FittedEdit(made.movement, (made.low, made.high), warnings=made.warnings, strict=made.strict)

    def _attribute(self, name: str, engine: Engine) -> FittedEdit:
        movement = attribute(name, self.subject.scan, self.subject.fit, engine.model)
        return FittedEdit(movement, (ATTRIBUTES[name].low, ATTRIBUTES[name].high))

    def _found(self, edit: LearnedEdit) -> FittedEdit:
        placed = apply_learned(edit, self.subject.scan)
        return FittedEdit(placed, SEEN, placed.alignment.misfit, tuple(doubts(edit)))

    def _painted(self, weights: NDArray) -> Mask:
        """The mask with these weights at the points of the scan. Raises OmomiError(BAD_OPTION)."""
        subject = self.subject
        voxel = voxel_size(self.level)
        if subject.raw.faces is None or not len(subject.raw.faces):
            return PaintedMask(subject.to_canonical(subject.raw.points), weights, voxel)
        own = subject.shell(EditTarget.SCAN)
        return PaintedMask.of_mesh(own.vertices, own.faces, weights, voxel, own.normals)


def _muted(spec: LayerSpec, shell: EditableMesh) -> EvaluatedLayer:
    nothing = np.broadcast_to(0.0, shell.vertices.shape)
    return EvaluatedLayer(spec, None, Displacement(nothing, nothing[:, 0]))


def strength_warnings(name: str, strength: float, seen: tuple[float, float] = SEEN) -> list[str]:
    """What there is to say where a strength, which is allowed, is far outside of what was seen."""
    if seen[0] <= strength <= seen[1]:
        return []
    return [f"{name}: a strength of {strength:.3g} is far outside of what was seen."]


def _refuse(why: str) -> NoReturn:
    raise OmomiError(ErrorCode.BAD_OPTION, f"{why[0].upper()}{why[1:]}.")
