"""One fit in a process of its own, for the benchmark: what it took, as one JSON object on standard output.

python -m tests.benchmarks.fit_once SCAN [-o MESH] [--sigma S.npy] [--level N] [--threads N] [--repeat N]
[--no-symmetry] [--register]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from backend.errors import OmomiError
from backend.field.fit import FittedMesh
from backend.field.onnx_model import load_model
from backend.formats.mesh_files import load_scan, save_mesh
from backend.prior.completion import completed_fit
from backend.protocol.fit_options import FitOptions
from backend.scan.views import registered


def fit_once(arguments: argparse.Namespace) -> dict:
    """Fit ``repeat`` times after a warming fit; times in s, median of the repeats."""
    raw = load_scan(arguments.scan)
    if arguments.register:
        raw, _ = registered(raw)
    model = load_model(arguments.device, arguments.threads, arguments.model)
    if arguments.repeat > 1:
        completed_fit(raw, model, FitOptions(level=min(arguments.level, 1), symmetry=arguments.symmetry))
    seconds, network, first = [], [], []
    while True:
        started = time.perf_counter()
        frames: list[float] = []

        def on_frame(_: FittedMesh, started: float = started, frames: list[float] = frames) -> None:
            frames.append(time.perf_counter() - started)

        chosen = FitOptions(level=arguments.level, symmetry=arguments.symmetry)
        done = completed_fit(raw, model, chosen, on_frame=on_frame)
        seconds.append(time.perf_counter() - started)
        network.append(done.stats.network_seconds)
        first.append(frames[0])
        if len(first) >= arguments.repeat:
            break
    if arguments.output:
        save_mesh(arguments.output, done.mesh.vertices, done.mesh.faces, done.mesh.sigma)
    if arguments.sigma:
        np.save(arguments.sigma, done.mesh.sigma)
    return {
        "seconds": float(np.median(seconds)),
        "network_seconds": float(np.median(network)),
        "first_frame_seconds": float(np.median(first)),
        "peak_bytes": done.stats.peak_bytes,
        "points": len(raw.points),
        "vertices": len(done.mesh.vertices),
        "faces": len(done.mesh.faces),
        "model": model.hash,
        "device": model.device,
        "guess": done.stats.guess,
    }


def main() -> int:
    """Run from the command line; a refusal becomes {"error": sentence} and status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("-o", dest="output", type=Path)
    parser.add_argument("--sigma", type=Path)
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-symmetry", dest="symmetry", action="store_false")
    parser.add_argument("--register", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    try:
        print(json.dumps(fit_once(parser.parse_args())))
    except OmomiError as error:
        print(json.dumps({"error": f"{error.code}: {error.message}"}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
