"""Runs that look for the holes of objects, and that close them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..backend.protocol.requests import Close, PatchRequest
from ..scene import holes, patches
from ..text import holes_report, patch_report, refuse
from . import backend_fit
from .object_run import ObjectRun, RunObject
from .task import Answer, Client, Work


class Looked(NamedTuple):
    """What was found in the mesh of one object."""

    found: holes.FoundHoles
    warning: str


class Patched(NamedTuple):
    """What closes the holes of one object."""

    source: patches.PatchSource
    answer: Answer
    found: holes.FoundHoles
    warning: str


class FindHolesRun(ObjectRun):
    """Looks for holes; ``obj.omomi.holes`` has them afterwards."""

    def __init__(self, client: Client, objects: Iterable[Any]) -> None:
        super().__init__(client, objects, "looking for holes", stream=False)

    def _one(self, item: RunObject, obj: Any) -> Work:
        _, found, warning = yield from _look(self._client, item.name, obj)
        return Looked(found, warning)

    def _place(self, item: RunObject, obj: Any) -> Any:
        found, warning = item.result
        holes.write(obj, found)
        obj.omomi.holes_report = "\n".join(filter(None, [holes_report(found.rows), warning]))
        return obj


class PatchRun(ObjectRun):
    """Closes the ticked holes of objects, or all where nobody has looked for them. ``obj.omomi.holes_report`` then has
    the report, then the warnings, one a line."""

    def __init__(self, client: Client, objects: Iterable[Any], close: str, smaller: float) -> None:
        """close: a `Close`; smaller: only holes of a smaller radius, world units, 0 for any."""
        self._close, self._smaller = Close(close), smaller
        super().__init__(client, objects, "looking for holes", stream=False)

    @property
    def closed(self) -> tuple[int, int]:
        """How many holes were closed, and with how many faces."""
        results = [item.result.answer.done.result for item in self.objects if item.result is not None]
        closed = sum(bool(row["closed"]) for result in results for row in result["holes"])
        return closed, sum(result["new_faces"] for result in results)

    def _one(self, item: RunObject, obj: Any) -> Work:
        source, found, warning = yield from _look(self._client, item.name, obj)
        obj = backend_fit.need(item.uid, item.name)
        numbers = holes.ticked(obj, found) if len(obj.omomi.holes) else ()
        answer = yield self._client.request(
            PatchRequest, name=item.name, numbers=numbers, smaller=self._smaller, close=str(self._close), look=False,
            points=source.scan.points, faces=source.scan.faces,
            values=source.values.reshape(-1) if source.values.shape[1] else None,
            uvs=source.uvs.reshape(-1, 2) if len(source.uvs) else None,
        )  # fmt: skip
        return Patched(source, answer, found, warning)

    def _place(self, item: RunObject, obj: Any) -> Any:
        source, answer, found, warning = item.result
        refuse(patches.why_not(obj))
        patches.append(obj, source, answer.mesh, answer.done)
        closed = [bool(row["closed"]) for row in answer.done.result["holes"]]
        holes.drop(obj, {key for key, done in zip(found.keys(), closed, strict=True) if done})
        lines = [*patch_report(answer.done.result), warning, patches.shared_with(obj)]
        obj.omomi.holes_report = "\n".join(filter(None, lines))
        return obj


def _look(client: Client, name: str, obj: Any) -> Work:
    """`PatchSource` and `FoundHoles` of an object's own mesh, and a warning or "". Raises OmomiError."""
    refuse(patches.why_not(obj))
    warning = patches.closed_by_modifiers(obj)
    source = yield from patches.read(obj)
    answer = yield client.request(
        PatchRequest, name=name, numbers=(), smaller=0.0, close=str(Close.AUTO), look=True,
        points=source.scan.points, faces=source.scan.faces, values=None, uvs=None,
    )  # fmt: skip
    return source, holes.FoundHoles.of(answer.done), warning
