"""The README's phase picture: a plate with one hole turns into one with two, so that a tunnel has to open.

python -m tests.docs_pictures.blend [-o tests/docs_pictures/phase.svg]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from backend.edits.blend import blend, sweep_blend
from backend.edits.fitted_scan import FittedScan
from backend.engine import OnnxEngine
from backend.field.fit import ignore
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare

POINTS = 40_000


def bracket(holes: tuple[tuple[float, float, float], ...], seed: int) -> RawScan:
    """Points of a plate with round holes (x, y, radius), and their normals."""
    rng = np.random.default_rng(seed)
    half, thick = np.array([1.0, 0.6]), 0.18
    flat = rng.uniform(-half, half, (POINTS, 2))
    inside = np.all([np.hypot(*(flat - [x, y]).T) > radius for x, y, radius in holes], axis=0)
    side = rng.choice([-1.0, 1.0], POINTS)
    points = [np.column_stack([flat, side * thick])[inside]]
    normals = [np.column_stack([np.zeros((POINTS, 2)), side])[inside]]
    count = POINTS // 8
    height = rng.uniform(-thick, thick, (4 + len(holes), count))
    for number, (axis, sign) in enumerate(((0, -1), (0, 1), (1, -1), (1, 1))):
        wall, facing = np.empty((count, 3)), np.zeros((count, 3))
        wall[:, axis], wall[:, 1 - axis] = sign * half[axis], rng.uniform(-1, 1, count) * half[1 - axis]
        wall[:, 2], facing[:, axis] = height[number], sign
        points.append(wall)
        normals.append(facing)
    for number, (x, y, radius) in enumerate(holes):
        angle = rng.uniform(0, 2 * np.pi, count)
        out = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
        points.append(np.array([x, y, 0]) + radius * out + height[4 + number][:, None] * [0, 0, 1])
        normals.append(-out)
    return RawScan(np.concatenate(points), None, np.concatenate(normals), name=f"{len(holes)} hole(s)")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, default=Path("tests/docs_pictures/phase.svg"))
    options = parser.parse_args()
    engine = OnnxEngine("cpu")

    def fitted(raw: RawScan) -> FittedScan:
        scan = prepare(raw)
        return FittedScan(raw, scan, engine.fit(scan, FitOptions(), ignore, ignore, engine.token()))

    first = fitted(bracket(((-0.45, 0.1, 0.25),), 0))
    second = fitted(bracket(((-0.45, 0.1, 0.25), (0.5, -0.05, 0.3)), 1))
    found = sweep_blend(blend(first, second, ignore), 24, "A plate with one hole turns into one with two", ignore)
    options.output.write_text(found["picture"], encoding="utf-8")
    for turn in found["transitions"]:
        print(f"{turn['share']:.3f}: {turn['change']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
