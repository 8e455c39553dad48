"""The solid that the network makes of a fit while one layer of its edits goes through its strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import ErrorCode, OmomiError, refuse
from ..field.fit import ignore
from ..field.onnx_model import CancelToken, Model
from ..field.weight_delta import DEEPEST_DELTA, FieldEdit, RememberedEdit
from ..geometry.measure import volume_and_area
from ..geometry.topology import Betti, betti_of_mesh
from ..protocol.requests import EditTarget
from .apply import made_by_network
from .fitted_scan import EditableMesh
from .stack import EditSession, EvaluatedLayer


class SolidReading(NamedTuple):
    """What a new mesh is like; its size canonical."""

    betti: Betti
    volume: float
    area: float


def made_anew(session: EditSession, strengths: Sequence[float], number: int) -> bool:
    """Whether the network makes new meshes of a fit while a layer goes through its strengths: the layer is a delta, or
    another one that acts at ``strengths``."""
    moving = [*strengths]
    moving[number] = 1.0
    of_fit = session.fitted.fit is not None and session.stack.mesh is session.fitted.mesh(EditTarget.FIT)
    return of_fit and bool(session.stack.deltas(moving))


class EditedSolid:
    """New meshes of a session in which one layer takes other strengths than the others, which keep theirs.

    An edit is asked once for what it does at a place, whatever the strengths: it goes in proportion to these. Levels
    below DEEPEST_DELTA, where an edit says nothing that is new, are left out.
    """

    def __init__(
        self,
        session: EditSession,
        strengths: Sequence[float],
        number: int,
        model: Model | None,
        cancel: CancelToken | None = None,
    ) -> None:
        fit = session.fitted.fit
        if model is None or fit is None or fit.field is None:
            refuse("only the fit of a scan can be followed through the strengths of this edit")
        self._strengths, self._number = list(strengths), number
        self._model, self._cancel = model, cancel
        self._edits: dict[int, RememberedEdit] = {}
        self._readings: dict[tuple[float, int], SolidReading] = {}
        self._sessions = [
            replace(session, fitted=replace(session.fitted, fit=replace(fit, field=replace(fit.field, levels=levels))))
            for count in range(1, min(len(fit.field.levels), DEEPEST_DELTA + 1) + 1)
            for levels in [fit.field.levels[:count]]
        ]

    @property
    def levels(self) -> int:
        """How many levels of detail there are."""
        return len(self._sessions)

    def mesh(self, strength: float, level: int = -1) -> EditableMesh | None:
        """The new mesh at a strength, canonical; None where nothing is left. Raises OmomiError(CANCELLED)."""
        strengths = [*self._strengths]
        strengths[self._number] = strength
        way = self._sessions[level], strengths, self._model, ignore
        try:
            return made_by_network(*way, cancel=self._cancel, wrapped=self._remembered)[0]
        except OmomiError as error:
            if error.code is not ErrorCode.NO_SURFACE:
                raise
            return None

    def reading(self, strength: float, level: int = -1) -> SolidReading:
        """Of the mesh at a strength, which is made once. Raises as `mesh`."""
        key = strength, level % self.levels
        if key not in self._readings:
            made = self.mesh(*key)
            found = SolidReading(Betti(0, 0, 0), 0.0, 0.0)
            if made is not None:
                sizes = volume_and_area(made.vertices, made.faces)
                found = SolidReading(betti_of_mesh(made.vertices, made.faces), *sizes)
            self._readings[key] = found
        return self._readings[key]

    def _remembered(self, layer: EvaluatedLayer, edit: FieldEdit) -> FieldEdit:
        return self._edits.setdefault(id(layer), RememberedEdit(edit))
