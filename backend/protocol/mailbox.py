"""A message queue between threads in which newer news replaces older news. Standard library and numpy only.

Both ends use it: the backend for what waits to be written, the client for what waits to be polled. However slow the
reader, at most one progress report and one unfinished mesh of a job wait, so memory stays bounded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from .messages import MeshFrame, Message, Pong, Progress


class Mailbox:
    """Ordered messages; thread-safe."""

    def __init__(self) -> None:
        self._messages: OrderedDict[Hashable, Message] = OrderedDict()
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    def put(self, message: Message) -> None:
        """Append. A progress report or mesh takes the place of the waiting one of its job."""
        with self._changed:
            self._count += 1
            key = _replaces(message) or self._count
            self._messages.pop(key, None)
            self._messages[key] = message
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Message | None:
        """The oldest message, or None when none came within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(self._ready, timeout)
            return self._messages.popitem(last=False)[1] if self._messages else None

    def drain(self) -> list[Message]:
        """All messages, oldest first, without waiting."""
        with self._changed:
            messages = list(self._messages.values())
            self._messages.clear()
            return messages

    def take(self, job: int) -> list[Message]:
        """All messages of one job, oldest first, without waiting."""
        with self._changed:
            keys = [key for key, message in self._messages.items() if getattr(message, "id", None) == job]
            return [self._messages.pop(key) for key in keys]

    def drop(self, job: int) -> None:
        """Forget the progress and meshes of one job; its response stays."""
        with self._changed:
            for kind in ("progress", "frame"):
                self._messages.pop((kind, job), None)

    def wait(self, timeout: float) -> None:
        """Return when a message waits, or after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(self._ready, timeout)

    def close(self) -> None:
        """Say that nothing more will come: readers no longer wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ready(self) -> bool:
        return bool(self._messages) or self._closed

    @property
    def closed(self) -> bool:
        """Nothing more will come; something may still wait."""
        with self._changed:
            return self._closed


def _replaces(message: Message) -> Hashable | None:
    """What the message is news of; None for those that must all arrive."""
    match message:
        case Progress(id=job):
            return "progress", job
        case MeshFrame(id=job):
            return "frame", job
        case Pong():
            return "pong"
    return None
