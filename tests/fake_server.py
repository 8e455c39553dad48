"""A backend process with the real server and a toy engine that the scan's name tells what to do.

python -I fake_server.py BACKEND_FOLDER                `FakeEngine`: the scan's own mesh comes back
python -I fake_server.py BACKEND_FOLDER SITE_FOLDER    `SphereEngine`, for the add-on: a sphere around the scan does
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LIVENESS = 120.0
"""Seconds, far beyond what any step takes: only a hang gets there."""
LONGER_THAN_ANY_TEST = 3600.0
"""Seconds that what hangs on purpose hangs for."""


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

    def prepare(self, raw: Any, kind: str = "auto", on_progress: Any = None) -> Any:
        """Bits must come back as they were given, and any scan will do."""
        return raw

    def fit(
        self,
        raw: Any,
        options: Any,
        on_frame: Callable[[Any], None],
        on_progress: Callable[[float, str], None],
        cancel: Any,
        completion: Any = None,
        within: Any = None,
        masks: Any = None,
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
        time.sleep(LONGER_THAN_ANY_TEST)

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
        time.sleep(LONGER_THAN_ANY_TEST)

    def do_empty(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        from backend.errors import ErrorCode, OmomiError

        raise OmomiError(ErrorCode.EMPTY_SCAN, "The scan is empty.")

    def do_bug(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        raise ZeroDivisionError("in a place nobody thought of")

    def do_memory(self, mesh: FakeMesh, on_frame: Callable[[Any], None], cancel: Any) -> None:
        raise MemoryError


class SphereEngine(FakeEngine):
    """Returns a sphere around the scan, coarse to fine. Words in the scan's name choose how it behaves: ``slow``
    (seconds, many frames), ``noisy`` (prints on fd 1), ``fatal`` (the process dies after the first frame), ``checked``
    (the real cleaning of scans runs first)."""

    _given: Any = None

    def info(self) -> Any:
        from backend.engine import EngineInfo

        return EngineInfo("toy", "cpu", ("CPUExecutionProvider",), "none")

    def prepare(self, raw: Any, kind: str = "auto", on_progress: Any = None) -> Any:
        """What edits need, where the scan is good enough for it; the toy itself takes any scan, as it was given."""
        from backend.errors import OmomiError
        from backend.scan.prepare import prepare

        self._given = raw
        try:
            return prepare(raw, kind)
        except OmomiError:
            return raw

    def fit(
        self, raw: Any, options: Any, on_frame: Any, on_progress: Any, cancel: Any, completion: Any = None,
        within: Any = None,
        masks: Any = None,
    ) -> Any:  # fmt: skip
        raw = self._given or raw
        if "checked" in raw.name:
            from backend.scan.prepare import prepare

            prepare(raw)
        steps = 50 if "slow" in raw.name else options.level + 1
        low, high = raw.points.min(0), raw.points.max(0)
        mesh = FakeMesh(raw.points, raw.faces, np.zeros(len(raw.points)))
        for step in range(steps):
            on_progress(step / steps, f"step {step + 1} of {steps}")
            if "slow" in raw.name:
                time.sleep(0.05)
            cancel.raise_if_cancelled()
            vertices, faces = sphere((low + high) / 2, (high - low) / 2, 8 + 4 * min(step, 8))
            sigma = np.linspace(0, 0.1, len(vertices), dtype=np.float32)
            mesh = FakeMesh(vertices, faces, sigma, step, step == steps - 1)
            on_frame(mesh)
            if "noisy" in raw.name:
                os.write(1, b"a stray print from native code\n" * 50)
                print("and one from Python", flush=True)
            if "fatal" in raw.name:
                os._exit(7)
        return FakeFit(mesh, FakeStats(0.0, []), {"faces": 0 if raw.faces is None else len(raw.faces)})


def sphere(centre: np.ndarray, radii: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed ellipsoid of n rings of 2n vertices, wound outwards."""
    theta = np.linspace(0, np.pi, n + 2)[1:-1]
    phi = np.linspace(0, 2 * np.pi, 2 * n, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    ring = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 0, 1], [0, 0, -1]]])
    i, j = np.meshgrid(np.arange(n - 1), np.arange(2 * n), indexing="ij")
    a, b = i * 2 * n + j, i * 2 * n + (j + 1) % (2 * n)
    sides = np.concatenate([np.stack([a, a + 2 * n, b], -1), np.stack([b, a + 2 * n, b + 2 * n], -1)]).reshape(-1, 3)
    first, top = np.arange(2 * n), len(ring)
    second = (first + 1) % (2 * n)
    last = (n - 1) * 2 * n
    caps = [
        np.stack([first, second, 0 * first + top], -1),
        np.stack([last + second, last + first, 0 * first + top + 1], -1),
    ]
    return vertices * radii + centre, np.concatenate([sides, *caps]).astype(np.int32)


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


if __name__ == "__main__":
    backend = Path(sys.argv[1])
    sys.path += sys.argv[2:]
    runpy.run_path(str(backend / "__main__.py"))["load_package"](backend)
    from backend.server.server import serve

    serve(SphereEngine() if sys.argv[2:] else FakeEngine())
