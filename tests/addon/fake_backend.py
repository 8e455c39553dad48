"""A backend process with the real server and a toy engine: it returns a sphere around the scan, coarse to fine.

Words in the scan's name choose how it behaves: ``slow`` (seconds, many frames), ``noisy`` (prints on fd 1),
``fatal`` (the process dies after the first frame), ``checked`` (the real cleaning of scans runs first).

    python -I fake_backend.py BACKEND_FOLDER SITE_FOLDER
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


def load(folder: Path, site: str) -> None:
    sys.path.append(site)
    spec = importlib.util.spec_from_file_location(
        "backend", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec and spec.loader
    package = importlib.util.module_from_spec(spec)
    sys.modules["backend"] = package
    spec.loader.exec_module(package)


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


@dataclass
class Token:
    event: threading.Event

    def cancel(self) -> None:
        self.event.set()

    def raise_if_cancelled(self) -> None:
        from backend.errors import ErrorCode, OmomiError

        if self.event.is_set():
            raise OmomiError(ErrorCode.CANCELLED, "The job was cancelled.")


class ToyEngine:
    model: Any = None
    _given: Any = None

    def info(self) -> Any:
        from backend.engine import EngineInfo

        return EngineInfo("toy", "cpu", ("CPUExecutionProvider",), "none")

    def token(self) -> Token:
        return Token(threading.Event())

    def prepare(self, raw: Any) -> Any:
        """What edits need, where the scan is good enough for it; the toy itself takes any scan, as it was given."""
        from backend.errors import OmomiError
        from backend.scan.prepare import prepare

        self._given = raw
        try:
            return prepare(raw)
        except OmomiError:
            return raw

    def fit(self, raw: Any, options: Any, on_frame: Any, on_progress: Any, cancel: Any, guess: Any = None) -> Any:
        raw = self._given or raw
        if "checked" in raw.name:
            from backend.scan.prepare import prepare

            prepare(raw)
        steps = 100 if "slow" in raw.name else options.level + 1
        low, high = raw.points.min(0), raw.points.max(0)
        for step in range(steps):
            on_progress(step / steps, f"step {step + 1} of {steps}")
            if "slow" in raw.name:
                time.sleep(0.05)
            cancel.raise_if_cancelled()
            vertices, faces = sphere((low + high) / 2, (high - low) / 2, 8 + 4 * min(step, 8))
            sigma = np.linspace(0, 0.1, len(vertices), dtype=np.float32)
            final = step == steps - 1
            mesh = SimpleNamespace(vertices=vertices, faces=faces, sigma=sigma, level=step, final=final)
            on_frame(mesh)
            if "noisy" in raw.name:
                os.write(1, b"a stray print from native code\n" * 50)
                print("and one from Python", flush=True)
            if "fatal" in raw.name:
                os._exit(7)
        return SimpleNamespace(
            mesh=mesh, stats={"seconds": 0.0}, report={"faces": 0 if raw.faces is None else len(raw.faces)}
        )


if __name__ == "__main__":
    load(Path(sys.argv[1]), sys.argv[2])
    from backend.server.server import Server
    from backend.server.stdio import claim_streams, die_with_parent, leave_interrupts_to_the_parent

    reader, writer = claim_streams()
    die_with_parent()
    leave_interrupts_to_the_parent()
    code = Server(ToyEngine(), reader, writer).run()
    os._exit(code)
