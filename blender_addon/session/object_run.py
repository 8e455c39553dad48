"""A run over several objects, one after the other, with one bar. Where one fails, the others go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame, Progress
from ..scene import mesh_io, preview
from ..scene.draft import Draft
from ..text import told_of
from .task import Client, Task, Work

PREVIEWED = 200_000
"""Vertices that Blender makes a mesh of in about a tenth of a second, during which the window waits. Of finer surfaces
the last coarser one stays until the result is placed."""


@dataclass
class RunObject:
    """One object of a run. Nothing here refers to Blender's data, which undo, deletion or loading a file may free."""

    uid: int  # its session_uid
    name: str
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))  # of its world matrix, for previews
    frame: MeshFrame | None = None  # the newest, and a preview only
    draft: Draft | None = None  # of the mesh that it gets
    result: Any = None  # what the work on it returned, once that is complete


class ObjectRun(Task, ABC):
    """Does the same with every object. Call `step` until ``over``, then `commit`. What fails is noted in ``errors``."""

    def __init__(self, client: Client, objects: Iterable[Any], text: str, *, stream: bool) -> None:
        """text: what it does first; stream: show previews."""
        self.objects = [RunObject(obj.session_uid, obj.name) for obj in objects]
        self._number = 0
        self._stream = stream
        # Of a failure: its code and message, what is told of it, and the objects.
        self._failed: dict[tuple[ErrorCode, str], tuple[OmomiError, list[str]]] = {}
        super().__init__(client, self._all(), text, on_frame=self._show, keys={str(item.uid) for item in self.objects})

    def step(self) -> None:
        # where the work pauses it looks for itself
        item = None if self.over or self._job is None else self.objects[self._number]
        if item is not None and mesh_io.object_by_uid(item.uid) is None:
            self._withdraw(_deleted(item))
        else:
            super().step()

    def abandon(self) -> None:
        super().abandon()
        self._discard()
        self.objects.clear()

    def commit(self) -> list[Any]:
        """Put what is complete, also of a cancelled run, in the scene, remove the previews and return the objects that
        show the results."""
        preview.remove_all_but(())
        shown = []
        for item in self.objects:
            if item.result is not None:
                try:
                    shown.append(self._place(item, _found(item)))
                except OmomiError as error:
                    self._note(item, error)
        self._discard()
        return shown

    @abstractmethod
    def _one(self, item: RunObject, obj: Any) -> Work:
        """The work on one object; it returns what `_place` needs. Raises OmomiError."""

    @abstractmethod
    def _place(self, item: RunObject, obj: Any) -> Any:
        """Put the result of an object in the scene and return the object that shows it. Raises OmomiError."""

    def _discard(self) -> None:
        """Remove what was made beside the scene and not placed."""
        for item in self.objects:
            if item.draft is not None:
                item.draft.discard()

    def _all(self) -> Work:
        for number, item in enumerate(self.objects):
            self._number = number
            try:
                obj = _found(item)
                item.offset = np.array(obj.matrix_world, np.float64)[:3, 3]
                item.result = yield from self._one(item, obj)
            except OmomiError as error:
                self._note(item, error)
                preview.remove(str(item.uid))

    def _note(self, item: RunObject, error: OmomiError) -> None:
        """Note a failure. What fails alike for several objects is told once, with their names."""
        if len(self.objects) == 1 or error.message.startswith(f"{item.name} "):
            self.errors.append(error)
            return
        message = error.message
        known, names = self._failed.setdefault((error.code, message), (error, []))
        names.append(item.name)
        known.message = told_of(names, message)
        if known is error:
            self.errors.append(error)

    def _show(self, frame: MeshFrame) -> None:
        item = self.objects[self._number]
        item.frame = frame
        if self._stream and len(frame.vertices) <= PREVIEWED:
            preview.show(str(item.uid), item.name, frame.world() + item.offset, frame.faces)

    def _report(self, event: Progress) -> None:
        before = self.fraction
        super()._report(event)
        if (count := len(self.objects)) > 1:
            # The bar does not go back, however many jobs an object takes.
            self.fraction = max(before, (self._number + event.fraction) / count)
            self._paused(event.text)

    def _paused(self, text: str) -> None:
        count = len(self.objects)
        several = f"{self.objects[self._number].name} ({self._number + 1} of {count}): {text}"
        self.text = text if count == 1 else several


def _found(item: RunObject) -> Any:
    obj = mesh_io.object_by_uid(item.uid)
    if obj is None:
        raise _deleted(item)
    return obj


def _deleted(item: RunObject) -> OmomiError:
    return OmomiError(ErrorCode.CANCELLED, f"{item.name} was deleted in the meantime")
