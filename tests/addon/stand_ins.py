"""Stand-ins for what only a window has (an operator that Python holds, the window, the layout of a panel), and what
the tests read off the scene."""

from __future__ import annotations

import time
from collections.abc import Callable
from inspect import isfunction
from types import MethodType, SimpleNamespace
from typing import Any

import bpy
import numpy as np

from tests.fake_server import LIVENESS


class Window:
    """The parts of the window manager and of the workspace that a modal operator touches."""

    def __init__(self) -> None:
        self.timers: list[object] = []
        self.handlers = 0
        self.status: str | None = None
        self.windows: list[Any] = []

    def event_timer_add(self, seconds: float, window: Any) -> object:
        self.timers.append(object())
        return self.timers[-1]

    def event_timer_remove(self, timer: object) -> None:
        self.timers.remove(timer)

    def modal_handler_add(self, operator: Any) -> None:
        self.handlers += 1

    def status_text_set(self, text: str | None) -> None:
        self.status = text


class Operator:
    """An operator's own methods on a plain object, since Blender makes no operators for Python to hold."""

    def __init__(self, cls: Any, window: Window, **given: Any) -> None:
        self.reports: list[tuple[set[str], str]] = []
        self.properties = SimpleNamespace(is_property_set=lambda name: name in given)
        self.window = window
        self.wait, self.bl_label, self.bl_idname = False, cls.bl_label, cls.__name__
        self.__dict__.update(given)
        for name in dir(cls):
            if isfunction(method := getattr(cls, name, None)) and name not in vars(bpy.types.Operator):
                setattr(self, name, MethodType(method, self))
        self._timer = self._run = None

    def report(self, kind: set[str], text: str) -> None:
        self.reports.append((kind, text))

    @property
    def context(self) -> Any:
        return SimpleNamespace(
            window_manager=self.window,
            workspace=self.window,
            window=None,
            scene=bpy.context.scene,
            selected_objects=list(bpy.context.selected_objects),
            active_object=bpy.context.active_object,
        )

    def event(self, kind: str, value: str = "NOTHING") -> Any:
        return self.modal(self.context, SimpleNamespace(type=kind, value=value))  # type: ignore[attr-defined]

    def start(self) -> Any:
        return self.invoke(self.context, SimpleNamespace(type="LEFTMOUSE", value="PRESS"))  # type: ignore[attr-defined]

    def run(self, until: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + LIVENESS
        while not until(answer := self.event("TIMER")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return answer


class Layout:
    """Records what a panel draws."""

    def __init__(self) -> None:
        self.drawn: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self.drawn.append((name, args, options))
            return self

        return call

    def texts(self) -> str:
        return "\n".join(str(options["text"]) for _, _, options in self.drawn if "text" in options)

    def operators(self) -> list[str]:
        return [args[0] for name, args, _ in self.drawn if name == "operator"]


class Drawing:
    """A panel or menu of a class, since Blender makes none for Python to hold."""

    def __init__(self, cls: Any) -> None:
        self.cls, self.layout, self.bl_idname = cls, Layout(), cls.__name__

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.cls, name)
        return MethodType(found, self) if isfunction(found) else found


def draw(cls: Any) -> Layout:
    """What a panel or menu draws; cls: it, or its name."""
    drawing = Drawing(getattr(bpy.types, cls) if isinstance(cls, str) else cls)
    drawing.draw(bpy.context)
    return drawing.layout


def previews() -> list[Any]:
    """The objects that show a preview."""
    return [obj for obj in bpy.data.objects if "omomi_preview" in obj]


def key(obj: Any) -> np.ndarray:
    """Vertices of the shape key of the edits."""
    return _positions(obj.data.shape_keys.key_blocks["Omomi"])


def rest(obj: Any) -> np.ndarray:
    """Vertices of the basis."""
    return _positions(obj.data.shape_keys.reference_key)


def _positions(key: Any) -> np.ndarray:
    return np.array([point.co for point in key.data], np.float32)
