"""Work on Blender's own thread in slices, between which it draws and listens, and what numpy does meanwhile on another.

A generator yields a `Pause` wherever it can be interrupted. No bpy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple, TypeAlias

WAIT_SECONDS = 0.002


class Pause(NamedTuple):
    """The work goes on at the next step, unless there is time left in this one."""

    text: str  # what it is doing


Sliced: TypeAlias = Generator[Pause, None, Any]


def in_thread(call: Callable[[], Any], text: str) -> Sliced:
    """What ``call()``, which must not touch Blender, returns or raises on a thread of its own."""
    found: list[Any] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)

    thread = threading.Thread(target=run, name="omomi-numpy", daemon=True)
    thread.start()
    thread.join(WAIT_SECONDS)
    while thread.is_alive():
        yield Pause(text)
        thread.join(WAIT_SECONDS)
    if failures:
        raise failures[0]
    return found[0]


def renamed(work: Sliced, text: str) -> Sliced:
    """The same work, whose pauses say this."""
    with closing(work):
        while True:
            try:
                next(work)
            except StopIteration as stop:
                return stop.value
            yield Pause(text)


def at_once(work: Sliced) -> Any:
    """What the work returns, without pauses."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
