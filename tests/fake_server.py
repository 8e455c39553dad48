"""A backend process with the real server and a toy engine that the scan's name tells what to do.

python -I fake_server.py BACKEND_FOLDER
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class FakeMesh:
    vertices: np.ndarray
    faces: np.ndarray
    sigma: np.ndarray
    level: int = 0
    final: bool = False


@dataclass
class FakeStats:
    seconds: float
    path: list[str]
    threads: tuple[str, ...] = ()


@dataclass
class FakeFit:
    mesh: FakeMesh
    stats: FakeStats
    report: dict[str, Any]


class FakeToken:
    def __init__(self) -> None:
        self.event = threading.Event()

    def cancel(self) -> None:
        self.event.set()

    def raise_if_cancelled(self) -> None:
        from backend.errors import ErrorCode, OmomiError

        if self.event.is_set():
            raise OmomiError(ErrorCode.CANCELLED, "stopped by its token")


class FakeEngine:
    model: Any = None

    def info(self) -> Any:
        from backend.engine import EngineInfo

        return EngineInfo("0123456789abcdef", "cpu", ("CPUExecutionProvider",), "0.0")

    def token(self) -> Any:
        return FakeToken()

    def prepare(self, raw: Any) -> Any:
        """Bits must come back as they were given, and any scan will do."""
        return raw

    def fit(
        self,
        raw: Any,
        options: Any,
        on_frame: Callable[[Any], None],
        on_progress: Callable[[float, str], None],
        cancel: Any,
        guess: Any = None,
    ) -> Any:
        faces = np.zeros((0, 3), np.int32) if raw.faces is None else raw.faces
        mesh = FakeMesh(raw.points, faces, np.arange(len(raw.points), dtype=np.float32))
        on_progress(0.5, "half way")
        getattr(self, "do_" + raw.name.split(":")[0])(mesh, on_frame, cancel)
        stats = FakeStats(float("nan"), list(sys.path), tuple(thread.name for thread in threading.enumerate()))
        return FakeFit(
            mesh, stats, {"options": dataclasses.asdict(options), "pid": os.getpid(), "sockets": open_sockets()}
        )

    def do_echo(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        for level in range(2):
            on_frame(FakeMesh(mesh.vertices, mesh.faces, mesh.sigma, level))

    def do_print(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        print("a stray print of Python", flush=True)
        os.write(1, b"OMOM a stray print of native code\n")
        os.system("echo a stray print of a child")
        self.do_echo(mesh, on_frame, cancel)
        print("another one", flush=True)

    def do_slow(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        """Goes on until it is cancelled, so that a machine however busy finds it at work."""
        while True:
            time.sleep(0.02)
            cancel.raise_if_cancelled()

    def do_brief(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        time.sleep(2)

    def do_stuck(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        # Says that it has begun: a cancel before that would find it ready to listen.
        on_frame(mesh)
        time.sleep(60)

    def do_deaf(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        """Frames go on after the cancel, and the callbacks' refusal is swallowed."""
        from backend.errors import OmomiError

        late = 0
        while late < 50:
            late += cancel.event.is_set()
            time.sleep(0.01)
            with contextlib.suppress(OmomiError):
                on_frame(mesh)

    def do_flood(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        for level in range(300):
            on_frame(FakeMesh(mesh.vertices, mesh.faces, mesh.sigma, level))
        print("flooded", file=sys.stderr, flush=True)

    def do_exit(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        on_frame(mesh)
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)

    def do_kill(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        print("the last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def do_stop(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        # The other threads run on until the signal has reached them.
        time.sleep(60)

    def do_empty(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        from backend.errors import ErrorCode, OmomiError

        raise OmomiError(ErrorCode.EMPTY_SCAN, "The scan is empty.")

    def do_bug(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        raise ZeroDivisionError("in a place nobody thought of")

    def do_allocate(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        raise RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer of size 9")

    def do_memory(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        raise MemoryError


def open_sockets() -> list[str]:
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        return []
    links = []
    for name in os.listdir(folder):
        try:
            links.append(os.readlink(os.path.join(folder, name)))
        except OSError:
            # The descriptor that listed the folder is gone by now.
            continue
    return [link for link in links if link.startswith("socket:")]


def load_backend(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "backend", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["backend"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load_backend(Path(sys.argv[1]))
    from backend.server.server import serve

    serve(FakeEngine())
