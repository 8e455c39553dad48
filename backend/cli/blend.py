"""``omomi blend``: the shapes between two scans."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import MakeEngine, add_faces, add_fit, fit_options, folder, integer, progress, report, write_json
from .paths import spare_inputs

if TYPE_CHECKING:
    from ..edits.fitted_scan import FittedScan


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    blend = verbs.add_parser("blend", parents=parents, help="meshes on the way from one scan to another")
    blend.add_argument("first", type=Path, metavar="A")
    blend.add_argument("second", type=Path, metavar="B")
    blend.add_argument("--steps", type=integer(1, 1000), default=8, metavar="N", help="N + 1 meshes")
    blend.add_argument("--guarded", action="store_true", help="take a path that keeps the topology, where there is one")
    add_faces(blend)
    add_fit(blend)
    blend.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="for the meshes, blend.json and phase.svg"
    )
    blend.set_defaults(run=_run, misuse=blend.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    import numpy as np

    from ..edits.blend import blend, sweep_blend
    from ..edits.carried import with_fewer_faces
    from ..engine import fit_scan
    from ..formats.files import write_whole
    from ..formats.mesh_files import load_scan, save_mesh

    digits = len(str(arguments.steps))
    names = [f"blend-{number:0{digits}}.ply" for number in range(arguments.steps + 1)]
    written = [arguments.output / name for name in (*names, "phase.svg", "blend.json")]
    spare_inputs(written, [arguments.first, arguments.second])
    engine, options = make_engine(arguments.device, arguments.threads), fit_options(arguments)

    def fitted(path: Path) -> FittedScan:
        with progress(path.name) as line:
            return fit_scan(engine, load_scan(path), options, line.show)

    first, second = fitted(arguments.first), fitted(arguments.second)
    with progress("blend") as line:
        found = blend(first, second, line.show, arguments.guarded)
        title = f"From {arguments.first.stem} to {arguments.second.stem}"
        swept = sweep_blend(found, arguments.steps, title, line.show)
        target, outputs = folder(arguments.output), []
        for number, share in enumerate(np.linspace(0, 1, arguments.steps + 1).tolist()):
            line.show(number / arguments.steps, f"writing {share:.2f}")
            path = target / names[number]
            made = with_fewer_faces(*found.world(share), None, arguments.faces)
            save_mesh(path, *made)
            outputs.append({"share": share, "output": str(path), "faces": len(made[1])})
        picture = swept.pop("picture")
        write_whole(target / "phase.svg", picture.encode())
        scans = {"first": str(arguments.first), "second": str(arguments.second)}
        summary = {**scans, "frames": outputs, **swept, **found.summary}
        write_json(target / "blend.json", summary)
    return report(
        arguments,
        summary,
        f"{arguments.output}: {len(outputs)} meshes",
        *(f"{turn['share']:.3f}: {turn['change']}" for turn in swept["transitions"]),
    )
