"""The stack of edits on a fitted scan: each is fitted to it once, and evaluated once on the mesh that it moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OmomiError, refuse
from ..field.onnx_model import Model
from ..field.weight_delta import FieldEdit, SummedEdit
from ..prior import shape_prior
from ..protocol.mask_ref import LARGEST_NUMBER
from ..protocol.recipe import MOST_ENTRIES, SHAPE, Layer, Point
from ..protocol.requests import EditTarget
from .apply_learned import AppliedEdit, apply_learned, said_of_places
from .attributes import STEPS, attribute, attribute_range
from .blend import Blend, blend
from .collision_margin import collision_margin
from .displacement import Displacement, Edited, Movement, SummedMovement, combine, displacement_of, masked, total
from .edit_file import stored_edit
from .fitted_scan import EditableMesh, FittedScan, OnProgress
from .gear import Gear, LearnedEdit
from .head_delta import PlacedDelta
from .learn import UNEXPLAINED, doubts
from .masks import Mask
from .network_edit import first_order
from .part import DistanceGrid
from .placement import Placement
from .regions import regions_of
from .shape_sliders import PLAUSIBLE, range_of, shape_edit

SEEN = (-1.0, 2.0)
"""Strengths of a learned edit that are near its examples, which show strength 1."""
MOST_FITTED = 32
"""Edits whose place on a scan is kept, unless more lie on it."""


def edit_range(layer: Layer) -> tuple[float, float]:
    """Strengths that the edit of a layer is made for. Raises OmomiError(BAD_OPTION) where nothing built in has this
    name."""
    if layer.source == "shape":
        return range_of(layer.edit, shape_prior.shipped_prior())
    return SEEN if layer.source == "learned" else attribute_range(layer.edit)


@dataclass(frozen=True)
class FittedEdit:
    """An edit where it belongs on a scan."""

    movement: Movement
    seen: tuple[float, float]  # strengths that it is made for
    misfit: float | None = None  # of its registration, in sizes of the scan
    warnings: tuple[str, ...] = ()  # what an artist should know of it
    strict: bool = False  # whether other strengths are brought back to those that were seen
    delta: FieldEdit | None = None  # what makes a new mesh, where that is the network and not the movement
    places: tuple[Point, ...] = ()  # world units, of the part that it changes, whether it acts there or not
    step: FieldEdit | None = None  # what makes a new mesh as the movement would, and joins and opens walls that meet
    whole: dict[EditTarget, Displacement] = field(default_factory=dict)  # without a mask, by the mesh that it moves
    ahead: list[Displacement] = field(default_factory=list)  # what `preview` shows without a mask, once it is known

    def within(self, strength: float) -> float:
        """The strength that it acts with."""
        return min(max(strength, self.seen[0]), self.seen[1]) if self.strict else strength

    def displacement(self, target: EditTarget, mesh: EditableMesh, mask: Mask | None) -> Displacement:
        """What it does to a mesh at strength 1 within a mask. Evaluating it takes far longer than masking it."""
        if target not in self.whole:
            self.whole[target] = displacement_of(self.movement, mesh.vertices, mesh.normals)
        whole = self.whole[target]
        return whole if mask is None else masked(whole, mask, mesh.vertices, mesh.normals)

    def acts_in(self, mask: Mask, target: EditTarget, mesh: EditableMesh) -> bool:
        """Whether a mask has a weight where it changes a mesh, or it changes nothing at all."""
        if self.delta is not None and target is EditTarget.FIT:
            changed = self.delta.touches(mesh.vertices, 0.0)
        else:
            changed = self.displacement(target, mesh, None).move.any(axis=1)
        normals = mesh.normals[changed]
        return not changed.any() or bool(mask.at(mesh.vertices[changed], normals).any())

    def preview(self, number: int, mesh: EditableMesh, mask: Mask | None, model: Model) -> NDArray[np.float64] | None:
        """What a slider shows (n, 3) on the mesh of a fit at level ``number`` until the network has made the new mesh;
        None where no network does."""
        if self.delta is None:
            return None
        if not self.ahead:
            move = first_order(self.delta, number, mesh, model)
            self.ahead.append(Displacement(move, np.broadcast_to(0.0, len(move))))
        whole = self.ahead[0]
        return (whole if mask is None else masked(whole, mask, mesh.vertices, mesh.normals)).move


@dataclass(frozen=True)
class EvaluatedLayer:
    """A layer on a scan. A muted one is not looked at: it has no place, and does nothing."""

    layer: Layer
    fitted: FittedEdit | None
    displacement: Displacement
    margin: tuple[float, float] | None = None  # strengths between which no walls should meet; None without an inside
    region: Mask | None = None
    preview: NDArray[np.float64] | None = None  # (n, 3) canonical, at strength 1; None where it is the displacement

    @property
    def summary(self) -> dict[str, Any]:
        """What an artist is told: {"name", "kind", "strength", "misfit", "foretold", "gear": "delta", or
        "movement" where the network has no part in it, "places": of the part that it changes, "warnings"}."""
        layer, fitted = self.layer, self.fitted
        return {
            "name": layer.edit,
            "kind": layer.source,
            "strength": self.strength(layer.strength),
            "misfit": fitted and fitted.misfit,
            "foretold": self.margin,
            "gear": "movement" if fitted is None or (fitted.delta is None and fitted.step is None) else "delta",
            "places": [] if fitted is None else [list(place) for place in fitted.places],
            "warnings": self.warnings(layer.strength),
        }

    def strength(self, given: float) -> float:
        """What it acts with at a strength that was given: 0 where it is muted."""
        return 0.0 if self.fitted is None else self.fitted.within(float(given))

    def warnings(self, strength: float) -> list[str]:
        """What there is to say of the edit, and of a strength that is allowed but far outside of what was seen."""
        if self.fitted is None:
            return []
        low, high = self.fitted.seen
        far = [] if low <= strength <= high else [f"{self.layer.edit}: {strength:.3g} is far outside of what was seen."]
        if strength < 0 and self.fitted.delta is not None and self.layer.source == "learned":
            far.append(f"{self.layer.edit}: below 0 it does the opposite to the surface, which undoes no hole or part.")
        return [*self.fitted.warnings, *far]


@dataclass(frozen=True)
class Stack:
    """Layers on a mesh of a scan."""

    mesh: EditableMesh
    layers: tuple[EvaluatedLayer, ...]
    world: NDArray[np.float64]  # (n, 3) the vertices of the mesh, world units
    scale: float  # canonical units in a world unit
    origin: tuple[float, float, float]  # world units, from which single precision suffices

    def moved(self, strengths: Sequence[float]) -> NDArray[np.float64]:
        """The vertices f64 (n, 3) at strengths (k,), world units; at strength 0 the mesh's own, bit for bit. Raises as
        `strengths`."""
        return self._moved([part.move for part in self.displacements], strengths)

    def pose(self, strengths: Sequence[float]) -> NDArray[np.float32]:
        """A step of a slider: the same, f32 and from the origin, but for edits whose new mesh the network makes. These
        move as that mesh will, to first order."""
        moves = [part.displacement.move if part.preview is None else part.preview for part in self.layers]
        return (self._moved(moves, strengths) - self.origin).astype(np.float32)

    def _moved(self, moves: Sequence[NDArray], strengths: Sequence[float]) -> NDArray[np.float64]:
        acting = self.strengths(strengths)
        if not any(acting):
            return self.world
        move = total(moves, acting, len(self.world))
        move /= self.scale
        move += self.world
        return move

    def edited(self, strengths: Sequence[float]) -> Edited:
        """What the layers together do at strengths (k,). Raises as `strengths`."""
        return combine(self.displacements, self.strengths(strengths), self.mesh.vertices, self.mesh.faces)

    def strengths(self, given: Sequence[float]) -> list[float]:
        """One strength for every layer, as they act with it. Raises OmomiError(BAD_OPTION) for another number of them
        than there are layers, and for strengths that are not finite or absurdly large."""
        if len(given) != len(self.layers):
            refuse(f"{len(given)} strengths were given for {len(self.layers)} edits")
        for value in given:
            # written so that NaN fails too
            if not abs(value) <= LARGEST_NUMBER:
                refuse(f"{value:g} is not a strength")
        return [layer.strength(value) for layer, value in zip(self.layers, given, strict=True)]

    @property
    def displacements(self) -> list[Displacement]:
        """What each layer does at strength 1."""
        return [layer.displacement for layer in self.layers]

    def deltas(self, strengths: Sequence[float]) -> list[tuple[EvaluatedLayer, FieldEdit, float]]:
        """Layers that act at strengths (k,) and whose new mesh the network makes: the layer, its delta, its strength.
        Raises as `strengths`."""
        return [
            (layer, layer.fitted.delta, value)
            for layer, value in zip(self.layers, self.strengths(strengths), strict=True)
            if value != 0 and layer.fitted is not None and layer.fitted.delta is not None
        ]

    def steps(self, strengths: Sequence[float]) -> list[tuple[EvaluatedLayer, FieldEdit, float]]:
        """Those that act and have a step: the layer, its step, its strength. Raises as `strengths`."""
        return [
            (layer, layer.fitted.step, value)
            for layer, value in zip(self.layers, self.strengths(strengths), strict=True)
            if value != 0 and layer.fitted is not None and layer.fitted.step is not None
        ]

    def movements(self, strengths: Sequence[float]) -> list[tuple[EvaluatedLayer, Movement, float]]:
        """The other layers that act: the layer, its movement, its strength. Raises as `strengths`."""
        return [
            (layer, layer.fitted.movement, value)
            for layer, value in zip(self.layers, self.strengths(strengths), strict=True)
            if value != 0 and layer.fitted is not None and layer.fitted.delta is None and layer.fitted.step is None
        ]

    def layer(self, number: int) -> tuple[Layer, FittedEdit]:
        """A layer that a sweep or a solution moves. Raises OmomiError(BAD_OPTION) for one that is absent or muted."""
        if not 0 <= number < len(self.layers):
            refuse(f"there is no edit number {number}")
        found = self.layers[number]
        if found.fitted is None:
            refuse(f"{found.layer.edit} is muted")
        return found.layer, found.fitted

    def warnings(self, strengths: Sequence[float]) -> list[str]:
        """What there is to say about strengths (k,). Raises as `strengths`."""
        values = zip(self.layers, self.strengths(strengths), strict=True)
        return [text for layer, value in values for text in layer.warnings(value)]


@dataclass
class EditSession:
    """A fitted scan and the edits on it."""

    fitted: FittedScan
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # world units, from which its meshes travel
    edits: dict[str, FittedEdit] = field(default_factory=dict)  # by what they are read from, least recently used first
    placed: dict[str, list[AppliedEdit]] = field(default_factory=dict)  # learned edits in all their places, likewise
    _stack: Stack | None = None
    _blend: tuple[FittedScan, bool, Blend] | None = None

    @property
    def stack(self) -> Stack:
        """As of the last `lay`; before that without edits on the fitted mesh."""
        if self._stack is None:
            self._stack = self._of(EditTarget.FIT, [])
        return self._stack

    def lay(
        self,
        target: EditTarget,
        layers: Sequence[Layer],
        masks: NDArray[np.float32] | None,
        on_progress: OnProgress,
        model: Model | None = None,
    ) -> Stack:
        """Put edits on the scan in place of those that it has, which stay where any of the new ones cannot be used.

        masks f32: end to end, each with one weight 0 .. 1 for every point of the scan as it was given; a layer's mask
        of the kind "row" says which. on_progress may raise. model: for what sliders show of edits that the network
        makes; not needed where nobody drags one.

        Each edit is registered and evaluated once, whatever strengths and masks it is used with. Raises OmomiError:
        BAD_OPTION; those of `stored_edit`, `apply_learned`, `shape_edit` and `FittedScan.mesh`.
        """
        if len(layers) > MOST_ENTRIES:
            refuse(f"at most {MOST_ENTRIES} edits can lie on a scan, not {len(layers)}")
        regions = regions_of(self.fitted, layers, masks)
        mesh = self.fitted.mesh(target)
        found: list[EvaluatedLayer] = []
        for number, (layer, region) in enumerate(zip(layers, regions, strict=True)):
            on_progress(number / len(layers), f"placing {layer.edit}")
            found.append(self._evaluated(layer, region, target, mesh, found, regions, model))
        for kept in (self.edits, self.placed):
            for key in list(kept)[: max(0, len(kept) - max(MOST_FITTED, len(layers)))]:
                del kept[key]
        self._stack = self._of(target, found)
        return self._stack

    def blend(self, other: FittedScan, guarded: bool, on_progress: OnProgress) -> Blend:
        """The blend with another scan, see `blend.blend`; the last one is kept, for a share that is dragged."""
        known = self._blend
        if known is None or known[0] is not other or known[1] != guarded:
            known = self._blend = other, guarded, blend(self.fitted, other, on_progress, guarded)
        return known[2]

    def _of(self, target: EditTarget, layers: Sequence[EvaluatedLayer]) -> Stack:
        fitted = self.fitted
        world = fitted.world(target)
        return Stack(fitted.mesh(target), tuple(layers), world, fitted.scan.frame.scale, self.origin)

    def _evaluated(
        self,
        layer: Layer,
        region: Mask | None,
        target: EditTarget,
        mesh: EditableMesh,
        before: Sequence[EvaluatedLayer],
        regions: Sequence[Mask | None],
        model: Model | None,
    ) -> EvaluatedLayer:
        if layer.mute:
            nothing = np.broadcast_to(0.0, mesh.vertices.shape)
            return EvaluatedLayer(layer, None, Displacement(nothing, nothing[:, 0]))
        try:
            fitted = self._fitted_edit(layer, before, regions)
        except OmomiError as error:
            # the artist has several edits, and has to know which one it is
            raise OmomiError(error.code, f"{layer.edit}: {error.message}", error.detail) from error
        part, (low, high) = fitted.displacement(target, mesh, region), fitted.seen
        if region is not None and not fitted.acts_in(region, target, mesh):
            said = f"{layer.edit} does nothing here: its mask leaves out all that it changes."
            fitted = replace(fitted, warnings=(*fitted.warnings, said))
        margin = None
        if mesh.closed:
            ends = min(low, layer.strength), max(high, layer.strength)
            margin = collision_margin(mesh.vertices, mesh.normals, part.move, *ends).margin
        preview = None
        if model is not None and target is EditTarget.FIT:
            preview = fitted.preview(self.fitted.level, mesh, region, model)
        return EvaluatedLayer(layer, fitted, part, margin, region, preview)

    def _fitted_edit(
        self, layer: Layer, before: Sequence[EvaluatedLayer], regions: Sequence[Mask | None]
    ) -> FittedEdit:
        scan, fit = self.fitted.scan, self.fitted.fit
        if layer.kind == SHAPE:
            moved = self._moved(before, regions) if layer.edit == PLAUSIBLE else None
            start = "" if moved is None else hashlib.sha256(moved.tobytes()).hexdigest()

            def shape() -> FittedEdit:
                made = shape_edit(layer.edit, scan, fit, shape_prior.shipped_prior(), moved)
                return FittedEdit(made.movement, (made.low, made.high), warnings=made.warnings, strict=made.strict)

            return self._kept(f"shape:{layer.edit}:{start}", shape)
        if layer.source == "attribute":

            def built_in() -> FittedEdit:
                if layer.edit in STEPS:
                    self.fitted.need_inside("this slider changes")
                made = attribute(layer.edit, scan, fit)
                return FittedEdit(made, edit_range(layer), step=STEPS.get(layer.edit))

            return self._kept(layer.edit, built_in)
        stored = stored_edit(layer)

        key = f"{stored.sha256}:{layer.at}"
        applied = self.placed[key] = self.placed.pop(key, None) or self._applied(stored.edit, layer.at)
        without = set(layer.without or ())
        chosen = [one for number, one in enumerate(applied) if number not in without]

        def learned() -> FittedEdit:
            edit, delta, said = stored.edit, None, []
            if scan.sheet is not None and edit.gear is Gear.DELTA:
                if edit.movement.unexplained > UNEXPLAINED:
                    self.fitted.need_inside("this edit, which puts on or takes away parts, needs")
                said.append("It moves this sheet and does nothing else: the network makes new meshes of solids only.")
            elif edit.gear is Gear.DELTA and edit.delta is not None:
                delta = SummedEdit(tuple(PlacedDelta(edit.delta, Placement.of(one.alignment)) for one in chosen))
            found = scan.frame.to_world(np.stack([one.place for one in applied])).tolist()
            places = tuple((x, y, z) for x, y, z in found)
            said = *said, *doubts(edit), *said_of_places(applied, len(chosen))
            return FittedEdit(
                SummedMovement(tuple(chosen)), SEEN, applied[0].alignment.misfit, said, False, delta, places
            )

        return self._kept(f"{key}:{sorted(without)}", learned)

    def _applied(self, edit: LearnedEdit, at: Point | None) -> list[AppliedEdit]:
        """An edit in its places; at: world units."""
        scan, fit = self.fitted.scan, self.fitted.fit
        levels = () if fit is None or fit.field is None else fit.field.levels[:2]
        grid = DistanceGrid.of(levels[-1]) if levels else None
        return apply_learned(
            edit, scan, grid=grid, at=None if at is None else self.fitted.to_canonical(np.array([at]))[0]
        )

    def _kept(self, key: str, make: Callable[[], FittedEdit]) -> FittedEdit:
        # moved to the end: the least recently used are the first to go
        known = self.edits.pop(key, None)
        self.edits[key] = known or make()
        return self.edits[key]

    def _moved(self, layers: Sequence[EvaluatedLayer], regions: Sequence[Mask | None]) -> NDArray[np.float64]:
        """Where layers at their strengths bring the vertices (n, 3) of the fit, canonical."""
        mesh = self.fitted.mesh(EditTarget.FIT)
        acting = [
            (found.fitted.displacement(EditTarget.FIT, mesh, region), found.strength(found.layer.strength))
            for found, region in zip(layers, regions, strict=False)
            if found.fitted is not None
        ]
        moves, strengths = [part.move for part, _ in acting], [strength for _, strength in acting]
        return mesh.vertices + total(moves, strengths, len(mesh.vertices))
