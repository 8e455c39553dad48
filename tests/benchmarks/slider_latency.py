"""How long a step of a slider takes: from the request to the new positions at the client, over the pipes of a backend
process that keeps the fitted scan.

python -m tests.benchmarks.slider_latency SCAN [--edit FILE.omomi] [--level 0..5] [--steps N]

Without an edit, one is learned from the scan and a copy of it with a bump. The bars stand in BARS.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from backend.client import BackendClient, default_command
from backend.protocol import Body, Done, LearnRequest, PoseRequest, StackRequest
from backend.scan.load import load_scan
from backend.scan.raw import RawScan

STEPS = 200
BARS = {"median": 33.0, "p95": 60.0}
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
    client: BackendClient, raw: RawScan, layer: dict[str, str], options: dict[str, int], body: Body, steps: int = STEPS
) -> Latency:
    """Fit a scan, put one edit on it, and ask for ``steps`` poses, one after the other, as a slider does.

    layer: {"attribute": NAME} or {"path": FILE}; options: of the fit. Raises OmomiError.
    """
    handle = client.request_fit(raw.points, raw.faces, options=options, name=raw.name)
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path, metavar="SCAN")
    parser.add_argument("--edit", type=Path, metavar="FILE.omomi")
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args(argv)
    raw = load_scan(arguments.scan)
    with BackendClient(default_command(sys.executable, BACKEND)) as client, tempfile.TemporaryDirectory() as folder:
        path = arguments.edit or Path(folder) / "bump.omomi"
        if arguments.edit is None:
            learned_bump(client, raw, path)
        found = {
            body.value: asdict(
                measure(client, raw, {"path": str(path)}, {"level": arguments.level}, body, arguments.steps)
            )
            for body in Body
        }
    print(json.dumps({"bars": BARS, **found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
