"""The edits that lie on one scan: loaded, brought to their place, and evaluated once on the vertices that they move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..engine import Engine
from ..errors import ErrorCode, OmomiError
from ..protocol import Body
from ..weights.attributes import ATTRIBUTES, attribute
from ..weights.learned import LearnedEdit
from ..weights.masks import Mask, PaintedMask
from ..weights.placing import place
from ..weights.recipe import LARGEST_NUMBER, MOST_ENTRIES
from ..weights.stack import Edited, Layer, Movement, Unit, combine, units
from ..weights.store import load_edit
from .blending import Blend, blend
from .checking import foretell
from .learning import doubts
from .subject import Progress, Shell, Subject

SEEN = (-1.0, 2.0)
"""Of a learned edit: strengths beyond these are far from any example, for 1 is what the examples show."""
MOST_PLACED = 32
"""Edits that a scan keeps the place of, unless more lie on it."""


@dataclass(frozen=True)
class LayerSpec:
    """An edit as it is asked for: one of a built-in attribute or a file. mask: f32 (n,), one weight for every point of
    the scan as it was given, or None for everywhere."""

    attribute: str | None
    path: Path | None
    strength: float = 1.0
    mute: bool = False
    mask: NDArray[np.float32] | None = None

    @property
    def name(self) -> str:
        return self.attribute or (self.path.stem if self.path else "")

    @property
    def kind(self) -> str:
        return "attribute" if self.attribute else "learned"


@dataclass(frozen=True)
class Placed:
    """An edit where it belongs on a scan. seen: the strengths that it was made for; misfit: of the registration
    (sizes), None for an attribute; warnings: what an artist should know of it; units: what it does everywhere to the
    bodies that it was evaluated on."""

    movement: Movement
    seen: tuple[float, float]
    misfit: float | None = None
    warnings: tuple[str, ...] = ()
    units: dict[Body, Unit] = field(default_factory=dict)

    def unit(self, body: Body, shell: Shell, mask: Mask | None) -> Unit:
        """What it does to a body at strength 1 within a mask; evaluating it takes far longer than masking it."""
        if body not in self.units:
            (self.units[body],) = units([Layer(self.movement, 1.0)], shell.vertices, shell.normals)
        whole = self.units[body]
        if mask is None:
            return whole
        finite, share = np.isfinite(shell.vertices).all(axis=1), np.zeros(len(shell.vertices))
        share[finite] = mask.at(shell.vertices[finite], shell.normals[finite])
        return Unit(share[:, None] * whole.move, share * whole.doubt)


@dataclass(frozen=True)
class Laid:
    """A layer of the stack: what was asked for, where it belongs, and what it does at strength 1. A muted one is not
    looked at: it has no place, and does nothing. foretold: strengths between which no walls are expected to meet, None
    where the body has no inside."""

    spec: LayerSpec
    placed: Placed | None
    unit: Unit
    foretold: tuple[float, float] | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """What an artist is told: name, kind, misfit, foretold, warnings."""
        spec, placed = self.spec, self.placed
        told = {"name": spec.name, "kind": spec.kind, "misfit": placed and placed.misfit, "foretold": self.foretold}
        return told | {"warnings": [] if placed is None else [*placed.warnings, *self.warnings(spec.strength)]}

    def warnings(self, strength: float) -> list[str]:
        """See `strength_warnings`."""
        return [] if self.placed is None else strength_warnings(self.spec.name, strength, self.placed.seen)


@dataclass(frozen=True)
class Stack:
    """Layers on a shell. base f32 (n, 3): the body's vertices, world units, from the fit's origin; moves f32 (k, 3 n):
    displacement by each layer at strength 1, world units."""

    shell: Shell
    layers: tuple[Laid, ...]
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
        """One strength for every layer, 0 for the muted ones. Raises OmomiError(BAD_OPTION) for another number of them
        than there are layers, and strengths that are not finite or absurdly large."""
        if len(given) != len(self.layers):
            _refuse(f"{len(given)} strengths were given for {len(self.layers)} edits")
        for value in given:
            # written so that NaN fails too
            if not abs(value) <= LARGEST_NUMBER:
                _refuse(f"{value:g} is not a strength")
        return [0.0 if layer.spec.mute else float(value) for layer, value in zip(self.layers, given, strict=True)]

    @property
    def units(self) -> list[Unit]:
        """What each layer does at strength 1."""
        return [layer.unit for layer in self.layers]

    def layer(self, number: int) -> tuple[LayerSpec, Placed]:
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
class Piece:
    """A fitted scan and the edits on it. origin: what its meshes travel from, world units."""

    subject: Subject
    origin: tuple[float, float, float]
    placed: dict[str, Placed] = field(default_factory=dict)
    _stack: Stack | None = None
    _blend: tuple[Subject, bool, Blend] | None = None

    @property
    def level(self) -> int:
        """Of the fit, for resolutions."""
        return 2 if self.subject.fit is None else self.subject.fit.mesh.level

    @property
    def stack(self) -> Stack:
        """As of the last `lay`; without edits on the fitted mesh before that."""
        if self._stack is None:
            self._stack = self._laid(Body.FIT, [])
        return self._stack

    def lay(self, body: Body, specs: Sequence[LayerSpec], engine: Engine, on_progress: Progress) -> Stack:
        """Put these edits on the scan in place of those that it has, which stay where any of these cannot be used.

        Each is registered and evaluated once, whatever strengths and masks it is used with. Raises OmomiError:
        BAD_OPTION; those of `load_edit`, `place` and `Subject.shell`.
        """
        if len(specs) > MOST_ENTRIES:
            _refuse(f"at most {MOST_ENTRIES} edits can lie on a scan, not {len(specs)}")
        for spec in specs:
            if not abs(spec.strength) <= LARGEST_NUMBER:
                _refuse(f"{spec.strength:g} is not a strength")
        shell = self.subject.shell(body)
        laid = []
        for number, spec in enumerate(specs):
            on_progress(number / len(specs), f"placing {spec.name}")
            laid.append(_muted(spec, shell) if spec.mute else self._evaluated(spec, body, shell, engine))
        for key in list(self.placed)[: max(0, len(self.placed) - max(MOST_PLACED, len(specs)))]:
            del self.placed[key]
        self._stack = self._laid(body, laid)
        return self._stack

    def blend(self, other: Subject, guarded: bool, on_progress: Progress) -> Blend:
        """The blend with another scan, see `blending.blend`; the last one is kept, for a share that is dragged."""
        known = self._blend
        if known is None or known[0] is not other or known[1] != guarded:
            known = self._blend = other, guarded, blend(self.subject, other, on_progress, guarded)
        return known[2]

    def _laid(self, body: Body, layers: Sequence[Laid]) -> Stack:
        shell, subject = self.subject.shell(body), self.subject
        world = subject.raw.points if body is Body.SCAN or subject.fit is None else subject.fit.mesh.vertices
        moves = np.zeros((len(layers), 3 * len(shell.vertices)), np.float32)
        for row, layer in zip(moves, layers, strict=True):
            row[:] = (layer.unit.move / subject.scan.frame.scale).reshape(-1)
        base = (np.asarray(world, np.float64) - self.origin).astype(np.float32)
        return Stack(shell, tuple(layers), base, moves)

    def _evaluated(self, spec: LayerSpec, body: Body, shell: Shell, engine: Engine) -> Laid:
        mask = None if spec.mask is None else self._painted(spec.mask)
        try:
            placed = self._placed(spec, engine)
        except OmomiError as error:
            # the artist has several edits, and has to know which one it is
            raise OmomiError(error.code, f"{spec.name}: {error.message}", error.detail) from error
        unit, (low, high) = placed.unit(body, shell, mask), placed.seen
        told = foretell(shell, unit, min(low, spec.strength), max(high, spec.strength)) if shell.closed else None
        return Laid(spec, placed, unit, told and told.margin)

    def _placed(self, spec: LayerSpec, engine: Engine) -> Placed:
        stored = None if spec.path is None else load_edit(spec.path, engine.info().model_hash)
        key = spec.name if stored is None else stored.sha256
        # moved to the end: the least recently used are the first to go
        known = self.placed.pop(key, None)
        self.placed[key] = known or (self._attribute(spec.name, engine) if stored is None else self._found(stored.edit))
        return self.placed[key]

    def _attribute(self, name: str, engine: Engine) -> Placed:
        movement = attribute(name, self.subject.scan, self.subject.fit, engine.model)
        return Placed(movement, (ATTRIBUTES[name].low, ATTRIBUTES[name].high))

    def _found(self, edit: LearnedEdit) -> Placed:
        placed = place(edit, self.subject.scan)
        return Placed(placed, SEEN, placed.alignment.misfit, tuple(doubts(edit)))

    def _painted(self, weights: NDArray) -> Mask:
        """The mask with these weights at the points of the scan. Raises OmomiError(BAD_OPTION)."""
        subject = self.subject
        voxel = 2.0 / (32 * 2**self.level)
        if subject.raw.faces is None or not len(subject.raw.faces):
            return PaintedMask(subject.to_canonical(subject.raw.points), weights, voxel)
        own = subject.shell(Body.SCAN)
        return PaintedMask.of_mesh(own.vertices, own.faces, weights, voxel, own.normals)


def _muted(spec: LayerSpec, shell: Shell) -> Laid:
    nothing = np.broadcast_to(0.0, shell.vertices.shape)
    return Laid(spec, None, Unit(nothing, nothing[:, 0]))


def strength_warnings(name: str, strength: float, seen: tuple[float, float] = SEEN) -> list[str]:
    """What there is to say where a strength, which is allowed, is far outside of what was seen."""
    if seen[0] <= strength <= seen[1]:
        return []
    return [f"{name}: a strength of {strength:.3g} is far outside of what was seen."]


def specs_of(layers: Sequence[Mapping[str, Any]], masks: NDArray[np.float32] | None, points: int) -> list[LayerSpec]:
    """The layers of a `StackRequest` on a scan of ``points`` points. Raises OmomiError(BAD_OPTION)."""
    if masks is None:
        masks = np.zeros(0, np.float32)
    if len(masks) % max(points, 1):
        _refuse(f"a mask has one weight for each of the scan's {points:,} points, and {len(masks):,} is no such number")
    rows = masks.reshape(-1, points) if points else masks.reshape(0, 0)
    return [_spec(layer, rows) for layer in layers]


def _spec(layer: Mapping[str, Any], masks: NDArray[np.float32]) -> LayerSpec:
    if unknown := sorted(set(layer) - {"attribute", "path", "strength", "mute", "mask"}):
        _refuse(f"an edit has no {unknown[0]!r:.80}")
    attribute, path, mask = layer.get("attribute"), layer.get("path"), layer.get("mask")
    strength, mute = layer.get("strength", 1.0), layer.get("mute", False)
    name = path if attribute is None else attribute
    if (attribute is None) == (path is None) or not isinstance(name, str) or not name or "\0" in name:
        _refuse("an edit is either the name of an attribute or the path of a file")
    if type(strength) not in (int, float) or not math.isfinite(strength):
        _refuse(f"the strength of {name} is not a number")
    if not isinstance(mute, bool):
        _refuse(f"whether {name} is muted must be true or false")
    if mask is not None and (type(mask) is not int or not 0 <= mask < len(masks)):
        _refuse(f"the mask of {name} was not sent")
    weights = None if mask is None else masks[mask]
    return LayerSpec(attribute, None if path is None else Path(path), float(strength), mute, weights)


def _refuse(why: str) -> NoReturn:
    raise OmomiError(ErrorCode.BAD_OPTION, f"{why[0].upper()}{why[1:]}.")
