"""How long one waits: for a fit to heed a cancel, for a step of a slider in Blender, for the add-on to be enabled, for
Blender's window while a large scan is fitted and a large result made.

All figures but the longest block are ratios against a peer of the same run, so that they hold on a busy machine, too.
The parts in Blender need bpy in this interpreter and a zip in build/dist (`build_addon.py build`); without them they
are left out.

    .venv/bin/python -m backend bench latency
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.errors import ErrorCode, OmomiError
from backend.field.fit import fit
from backend.field.onnx_model import CancelToken, Model, load_model
from backend.formats.raw_scan import RawScan
from backend.protocol.fit_options import FitOptions
from tests.benchmarks.bars import Bar, verdict, write_report

ROOT = Path(__file__).parents[2]
CANCEL_SHARE = 0.1
"""Of the time of the whole fit, at most."""
STEP_RATIO = 4.0
"""Steps of a slider take so many times what Blender takes to write the vertices, at most."""
BLOCK_SECONDS = 0.1
"""Of processor time that Blender's thread works on a large scan or result without a pause, at most."""
ENABLE_RATIO = 10.0
"""Enabling takes so many times as long as that of Blender's own glTF exporter, some milliseconds, at most."""


def ball(count: int = 20_000) -> RawScan:
    """Points of a unit sphere."""
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return RawScan(normals, None, normals.astype(np.float32), None, "ball")


def longest_wait(model: Model, options: FitOptions, cancels: int) -> tuple[float, float]:
    """Seconds of a whole fit, and the longest from a cancel to the fit's end, over cancels spread along the fit."""
    started = time.perf_counter()
    fit(ball(), model, options)
    whole = time.perf_counter() - started
    waits = []
    for moment in (np.arange(cancels) + 0.5) / cancels * whole:
        cancel, asked = CancelToken(), [0.0]

        def ask(cancel: CancelToken = cancel, asked: list[float] = asked) -> None:
            asked[0] = time.perf_counter()
            cancel.cancel()

        timer = threading.Timer(moment, ask)
        timer.start()
        try:
            fit(ball(), model, options, cancel=cancel)
            # The fit was quicker this time.
            timer.cancel()
        except OmomiError as error:
            if error.code != ErrorCode.CANCELLED:
                raise
            waits.append(time.perf_counter() - asked[0])
    return whole, max(waits)


def in_blender(folder: Path) -> dict[str, float]:
    """Seconds of processor time, see tests/addon/measure_latency.py; empty where there is no Blender."""
    if importlib.util.find_spec("bpy") is None:
        return {}
    kept = folder / "latency.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/addon/measure_latency.py"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OMOMI_LATENCY": str(kept)}, check=True, stdout=sys.stderr)
    return json.loads(kept.read_text()) if kept.exists() else {}


def main(words: Sequence[str]) -> int:
    """Measure, print the bars, and write them to --out."""
    parser = argparse.ArgumentParser(prog="omomi bench latency", description=__doc__)
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--cancels", type=int, default=8)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(words)
    whole, wait = longest_wait(load_model("cpu"), FitOptions(level=options.level), options.cancels)
    with tempfile.TemporaryDirectory() as folder:
        blender = in_blender(Path(folder))
    found = [Bar("wait for a cancel / the whole fit", wait / whole, CANCEL_SHARE, True, options.cancels)]
    for name, ours, peer, limit in (
        ("step of a slider / writing the vertices", "step", "write", STEP_RATIO),
        ("enabling / enabling of glTF", "enable", "enable_peer", ENABLE_RATIO),
    ):
        ratio = blender[ours] / blender[peer] if blender else None
        found.append(Bar(name, ratio, limit, True, int(bool(blender))))
    for million in (1, 5):
        block = blender.get(f"block_{million}")
        found.append(Bar(f"longest block, {million} M vertices", block, BLOCK_SECONDS, True, int(bool(blender))))
        block = blender.get(f"result_{million}")
        found.append(Bar(f"longest block, result of {million} M", block, BLOCK_SECONDS, True, int(bool(blender))))
    if options.out:
        write_report(options.out, options, {"fit": whole, "cancel": wait, **blender}, found)
    return verdict([], found)
