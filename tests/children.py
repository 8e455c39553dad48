"""How to run the toy backend and commands, and to wait for what they do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from backend.protocol.client import BackendClient
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Response
from backend.protocol.requests import FitRequest
from tests.fake_server import LIVENESS

Run: TypeAlias = Callable[..., tuple[int, dict[str, Any], str]]
"""Runs a command; its exit code, the object on stdout, and stderr."""
HERE = Path(__file__).parent
BACKEND = HERE.parent / "backend"
FAKE_SERVER = [sys.executable, "-I", str(HERE / "fake_server.py"), str(BACKEND)]


def cloud(count: int = 50) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, 3)).astype(np.float32)


def ask_fit(
    client: BackendClient,
    points: np.ndarray,
    faces: np.ndarray | None = None,
    name: str = "",
    options: FitOptions | None = None,
) -> int:
    """Ask for a fit; the number of the job."""
    fields = {"name": name, "options": options or FitOptions(), "profile": "", "points": points, "faces": faces}
    return client.request(FitRequest, **fields)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIVENESS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)


def response(client: BackendClient, job: int) -> Response:
    """Poll until the job ends; what else arrives is dropped."""
    deadline = time.monotonic() + LIVENESS
    while time.monotonic() < deadline:
        for event in client.poll():
            if isinstance(event, Response) and event.id == job:
                return event
        time.sleep(0.01)
    raise AssertionError(f"job {job} never ended")
