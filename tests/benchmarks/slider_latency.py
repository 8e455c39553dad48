"""How long a step of a slider takes: from the request to the new positions at the client, over the pipes of a backend
process that keeps the fitted scan. Part of `bench_edits`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.formats.raw_scan import RawScan
from backend.protocol.client import BackendClient
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Done
from backend.protocol.requests import (
    EditTarget,
    FitRequest,
    LearnRequest,
    PoseRequest,
    StackRequest,
)

STEPS = 200
LATENCY_BARS = {"median": 33.0, "p95": 60.0}
"""Milliseconds at most."""
BACKEND = Path(__file__).parents[2] / "backend"


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a step of a slider on a mesh of so many vertices."""

    vertices: int
    steps: int
    median: float
    p95: float
    largest: float


def measure(
    client: BackendClient,
    raw: RawScan,
    layer: dict[str, str],
    options: FitOptions,
    body: EditTarget,
    steps: int = STEPS,
) -> Latency:
    """Fit a scan, put one edit on it, and ask for ``steps`` poses, one after the other, as a slider does.

    layer: {"attribute": NAME} or {"path": FILE}; options: of the fit. Raises OmomiError.
    """
    handle = client.request(FitRequest, name=raw.name, options=options, profile="", points=raw.points, faces=raw.faces)
    client.wait(handle)
    client.wait(client.request(StackRequest, handle=handle, body=body.value, layers=[layer]))
    took, vertices = [], 0
    for strength in np.linspace(-1.0, 2.0, steps).tolist():
        started = time.perf_counter()
        done = client.wait(client.request(PoseRequest, handle=handle, strengths=[strength]))
        took.append(1000 * (time.perf_counter() - started))
        assert isinstance(done, Done) and done.vertices is not None
        vertices = len(done.vertices)
    client.forget(handle)
    median, p95 = np.percentile(took, [50, 95]).tolist()
    return Latency(vertices, steps, median, p95, max(took))


def learned_bump(client: BackendClient, raw: RawScan, path: Path) -> None:
    """Write an edit learned from a scan with faces and a copy of it with a bump on one side."""
    assert raw.faces is not None
    low, high = raw.points.min(axis=0), raw.points.max(axis=0)
    size = float((high - low).max())
    summit = raw.points[raw.points[:, 0].argmax()]
    away = np.linalg.norm(raw.points - summit, axis=1) / size
    after = raw.points + 0.05 * size * np.exp(-0.5 * (away / 0.08) ** 2)[:, None] * [1.0, 0.0, 0.0]
    counts = [len(raw.points), len(raw.faces)] * 2
    points, faces = np.concatenate([raw.points, after]), np.concatenate([raw.faces, raw.faces])
    client.wait(client.request(LearnRequest, name="bump", path=str(path), counts=counts, points=points, faces=faces))
