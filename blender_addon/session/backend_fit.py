"""How a scan is fitted, and what the backend holds of it: under which handle, with which stack of edits.

Nothing of this is saved, for a handle belongs to one process. A scan that the process does not know, or that has
changed since, is fitted again without asking.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.fit_options import PAINTED, FitOptions
from ..backend.protocol.mask_ref import ROW, MaskRef
from ..backend.protocol.messages import MeshFrame
from ..backend.protocol.names import MOVEMENT
from ..backend.protocol.requests import EditTarget, FitRequest, PoseRequest, StackRequest
from ..scene import fit_origin, mesh_io, places
from ..scene.snapshot import READING, read_scan
from ..text import Refusal
from ..ui import preferences
from . import edits, library
from .slices import Sliced, in_thread
from .task import Answer, Client, Work

# Options of a fit that are on or off.
SWITCHES = ("keep_islands", "symmetry", "base", "walls", "keep_thin", "register_views")


@dataclass(frozen=True)
class FitSettings:
    """How a scan is fitted. Frozen at the start of a run, so that moving a slider meanwhile changes nothing."""

    options: FitOptions = field(default_factory=FitOptions)
    profile: str = ""  # name of a family of the library, or empty

    @classmethod
    def of(cls, group: Any) -> FitSettings:
        """From the properties of a scene's settings, or of another group that has them. Raises as `profile_path`."""
        profile_path(group.profile)
        switches = {name: getattr(group, name) for name in SWITCHES}
        given = {**switches, "kind": group.kind, "thickness": group.thickness}
        options = FitOptions(int(group.level), group.denoise, group.fill, **given)
        groups = {name: getattr(group, f"{name}_mask") for name in PAINTED if getattr(options, name)}
        masks = {name: MaskRef("vertex_group", name=group) for name, group in groups.items() if group}
        return cls(options.masked(masks), group.profile)

    @property
    def groups(self) -> tuple[str, ...]:
        """The vertex groups that say where options act, each once."""
        return tuple(dict.fromkeys(str(mask.name) for mask in self.options.masks.values()))

    def read_as(self, kind: str) -> FitSettings:
        """The same with another kind of scan, one of ``fit_options.KINDS``."""
        return replace(self, options=replace(self.options, kind=kind))

    def suited(self, obj: Any) -> FitSettings:
        """The same for the own mesh of an object: as of `fit_origin.kind_of` and `fit_origin.level_of`."""
        kind, level = fit_origin.kind_of(obj, self.options.kind), fit_origin.level_of(obj, self.options.level)
        return replace(self, options=replace(self.options, kind=kind, level=level))

    def mark(self) -> tuple[Any, ...]:
        """A value that is equal for settings that give the same fit. Raises as `profile_path`."""
        path = profile_path(self.profile)
        return (self.options, path, library.version(path))

    def ask(self, client: Client, scan: mesh_io.ScanArrays, name: str) -> int:
        """Request the fit of a scan that was read with these ``groups``; the number of the job. Raises OmomiError."""
        rows = {group: MaskRef(ROW, row=row) for row, group in enumerate(self.groups)}
        options = self.options.masked({name: rows[str(mask.name)] for name, mask in self.options.masks.items()})
        return client.request(
            FitRequest, name=name, options=options, profile=profile_path(self.profile), points=scan.points,
            faces=scan.faces, normals=scan.normals, sigma=scan.sigma, view=scan.view, masks=scan.masks,
        )  # fmt: skip


def profile_path(name: str) -> str:
    """The file of a family of the library; empty for none. Raises `Refusal` where the library does not have it."""
    return str(library.find(preferences.library_folder(), name, library.PROFILE)) if name else ""


@dataclass
class BackendFit:
    """A fitted scan that the backend process holds."""

    pid: int | None  # of the process
    handle: int
    fingerprint: tuple[Any, ...]  # of the scan and the settings of its fit
    own: NDArray[np.int32]  # (m, 3): the scan's own faces
    frame: MeshFrame  # the final mesh of the fit
    linear: NDArray[np.float64]  # as of `mesh_io.object_linear`
    stack: tuple[EditTarget, tuple[Any, ...]] | None = None  # body and signature of the edits that the backend has
    rest: NDArray[np.float32] | None = None  # (n, 3): the vertices of the body at strength 0
    told: Sequence[Mapping[str, Any]] = ()  # what the backend said of each of these edits

    @property
    def body(self) -> EditTarget:
        """The mesh whose vertices the edits move."""
        return EditTarget.FIT if self.stack is None else self.stack[0]

    def by_network(self, strengths: Sequence[float]) -> bool:
        """Whether the network makes the new mesh of the stack at these strengths."""
        gears = (said.get("gear", MOVEMENT) for said in self.told)
        return any(strength and gear != MOVEMENT for strength, gear in zip(strengths, gears, strict=False))

    @property
    def faces(self) -> NDArray[np.int32]:
        """The faces of the body."""
        return self.frame.faces if self.body is EditTarget.FIT else self.own


class Asked(NamedTuple):
    """The answer to a request about an object with its edits."""

    fit: BackendFit
    answer: Answer
    strengths: tuple[float, ...]  # that were sent
    stamp: str  # as of `edits.stamp`, at these strengths


_fits: dict[int, BackendFit] = {}


def known(uid: int) -> BackendFit | None:
    """The fit of the object with this ``session_uid``, if there is one."""
    return _fits.get(uid)


def forget_all() -> None:
    """Forget all fits: another file is open, or another process runs."""
    _fits.clear()


def remember(
    client: Client,
    uid: int,
    handle: int,
    scan: mesh_io.ScanArrays,
    fingerprint: tuple[Any, ...],
    frame: MeshFrame,
    linear: NDArray[np.float64],
) -> BackendFit:
    """Note that the backend has fitted this scan of the object; fingerprint: as of `fingerprint_of`."""
    old = _fits.get(uid)
    if old is not None and old.pid == client.pid:
        client.forget(old.handle)
    own = np.empty((0, 3), np.int32) if scan.faces is None else scan.faces
    _fits[uid] = BackendFit(client.pid, handle, fingerprint, own, frame, linear)
    return _fits[uid]


def need(uid: int, name: str = "The object") -> Any:
    """The object. Raises ``CANCELLED`` where it was deleted in the meantime."""
    obj = mesh_io.object_by_uid(uid)
    if obj is None:
        raise OmomiError(ErrorCode.CANCELLED, f"{name} was deleted in the meantime")
    return obj


def opened(client: Client, uid: int, settings: FitSettings) -> Work:
    """A `BackendFit` for the object's own mesh, which is fitted first where necessary. Raises OmomiError."""
    obj = need(uid)
    settings = settings.suited(obj)
    name, linear = obj.name, mesh_io.object_linear(obj)
    scan = yield from read_scan(obj, settings.groups, shown=False)
    fingerprint = yield from fingerprint_of(scan, settings)
    fit = _fits.get(uid)
    if fit is not None and fit.pid == client.pid and fit.fingerprint == fingerprint:
        return fit
    answer = yield settings.ask(client, scan, name)
    return remember(client, uid, answer.job, scan, fingerprint, answer.mesh, linear)


def body_of(obj: Any, result: str) -> EditTarget:
    """The mesh whose vertices the edits move."""
    return EditTarget.SCAN if result == "SHAPE_KEY" and len(obj.data.polygons) else EditTarget.FIT


def stacked(
    client: Client, uid: int, settings: FitSettings, body: EditTarget, stack: edits.Edits | None = None
) -> Work:
    """A `BackendFit` that has these edits, else the object's present ones, as its ``stack``. Raises OmomiError."""
    fit = yield from opened(client, uid, settings)
    obj = need(uid)
    if body is EditTarget.SCAN and not len(obj.data.polygons):
        raise Refusal(f"{obj.name} has no faces, so it can have no shape key. Choose New mesh as the result.")
    acting = edits.frozen(obj.omomi.edits if stack is None else stack)
    wanted = yield from edits.read(obj, acting)
    if fit.stack != (body, wanted.signature):
        fit.stack = fit.rest = None
        yield from _laid(client, fit, body, wanted)
        # What was left out may have another number now, or be gone.
        again = yield from edits.read(need(uid), edits.found_places(acting, fit.told, fit.linear))
        if again.signature != wanted.signature:
            wanted = again
            yield from _laid(client, fit, body, wanted)
        fit.rest = yield from posed(client, fit, (0.0,) * len(wanted.layers))
        fit.stack = body, wanted.signature
    obj = need(uid)
    # Also where the backend has the stack already: undo may have brought back an edit of which nothing was known yet.
    if edits.structure(obj.omomi.edits) == edits.structure(acting):
        note(obj, fit)
    return fit


def _laid(client: Client, fit: BackendFit, body: EditTarget, wanted: edits.StackSnapshot) -> Work:
    """Send a stack. Raises OmomiError."""
    answer = yield client.request(
        StackRequest, handle=fit.handle, body=str(body), layers=wanted.layers, masks=wanted.masks
    )
    fit.told = answer.done.result.get("layers", ())
    if len(fit.told) != len(wanted.layers):
        raise OmomiError(ErrorCode.PROTOCOL, "The backend process did not say what became of each edit")


def note(obj: Any, fit: BackendFit) -> None:
    """Write what the backend said of its edits to those of the object."""
    own = obj.omomi.edits
    if len(own) != len(fit.told):
        return
    for edit, found in zip(own, edits.found_places(own, fit.told, fit.linear), strict=True):
        places.write(edit, found.places)
    for edit, said in zip(own, fit.told, strict=True):
        edit.note = " ".join(said.get("warnings", ()))
        amount, before = edit.amount, tuple(edit.foretold)
        edit.foretold = said.get("foretold") or (0.0, 0.0)
        if tuple(edit.foretold) != before:
            # what was measured was so on another mesh
            edit.kept = edit.seen = (0.0, 0.0)
        if edit.by_amount and edit.foretold[0] < edit.foretold[1]:
            # the slider stays where the artist has it
            edit.amount = amount
        edit.gear = said.get("gear", "")


def asked(
    client: Client,
    uid: int,
    settings: FitSettings,
    body: EditTarget,
    kind: type[Any],
    stack: edits.Edits | None = None,
    **fields: Any,
) -> Work:
    """Send a request of this kind, with ``handle``, ``strengths`` and these fields: `Asked`. stack: as of `stacked`.
    Raises OmomiError."""
    fit = yield from stacked(client, uid, settings, body, stack)
    acting = need(uid).omomi.edits if stack is None else stack
    strengths, stamp = edits.strengths(acting), edits.stamp(acting)
    answer = yield client.request(kind, handle=fit.handle, strengths=strengths, **fields)
    return Asked(fit, answer, strengths, stamp)


def posed(client: Client, fit: BackendFit, strengths: tuple[float, ...]) -> Work:
    """Vertices f32 (n, 3) of the body at these strengths, posed minus the origin of the fit."""
    answer = yield client.request(PoseRequest, handle=fit.handle, strengths=strengths)
    if answer.done.vertices is None:
        raise OmomiError(ErrorCode.PROTOCOL, "The backend process sent no positions")
    return answer.done.vertices


def retried(uid: int, make: Callable[[], Work]) -> Work:
    """Do ``make()``, and once more where the backend has dropped the scan, as it does when memory is short."""
    try:
        return (yield from make())
    except OmomiError as error:
        if error.code != ErrorCode.UNKNOWN_SCAN:
            raise
    _fits.pop(uid, None)
    return (yield from make())


def fingerprint_of(scan: mesh_io.ScanArrays, settings: FitSettings) -> Sliced:
    """A value that is equal for scans and settings that give the same fit. Raises as `profile_path`."""
    mark = settings.mark()

    def found() -> tuple[Any, ...]:
        arrays = (None if array is None else np.ascontiguousarray(array) for array in scan)
        return (*(None if array is None else (array.shape, zlib.crc32(array.data)) for array in arrays), *mark)

    return (yield from in_thread(found, READING))
