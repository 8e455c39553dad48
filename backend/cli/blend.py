"""``omomi blend``: the shapes between two scans."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import MakeEngine, add_level, folder, opened, progress, report, write_json

if TYPE_CHECKING:
    from ..edits.fitted_scan import FittedScan


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    blend = verbs.add_parser("blend", parents=parents, help="meshes on the way from one scan to another")
    blend.add_argument("first", type=Path, metavar="A")
    blend.add_argument("second", type=Path, metavar="B")
    blend.add_argument("--steps", type=int, choices=range(1, 1001), default=8, metavar="N", help="N + 1 meshes")
    blend.add_argument("--guarded", action="store_true", help="take a path that keeps the topology, where there is one")
    add_level(blend)
    blend.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="for the meshes, blend.json and phase.svg"
    )
    blend.set_defaults(run=_run, misuse=blend.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    import numpy as np

    from ..edits.blend import blend, sweep_blend
    from ..field.bricks import resolution
    from ..formats.files import write_whole
    from ..formats.mesh_files import save_mesh
    from ..protocol.fit_options import FitOptions

    engine = make_engine(arguments.device, arguments.threads)
    options = FitOptions() if arguments.level is None else replace(FitOptions(), level=arguments.level)

    def opening(path: Path) -> FittedScan:
        with progress(path.name) as line:
            return opened(path, engine, options, line)

    first, second = opening(arguments.first), opening(arguments.second)
    with progress("blend") as line:
        found = blend(first, second, line.show, arguments.guarded)
        title = f"From {arguments.first.stem} to {arguments.second.stem}"
        swept = sweep_blend(found, arguments.steps, title, line.show)
        target, outputs = folder(arguments.output), []
        digits = len(str(arguments.steps))
        for number, share in enumerate(np.linspace(0, 1, arguments.steps + 1).tolist()):
            line.show(number / arguments.steps, f"writing {share:.2f}")
            path = target / f"blend-{number:0{digits}}.ply"
            save_mesh(path, *found.world(share, resolution(options.level)))
            outputs.append({"share": share, "output": str(path)})
        picture = swept.pop("picture")
        write_whole(target / "phase.svg", picture.encode())
        summary = {
            "first": str(arguments.first),
            "second": str(arguments.second),
            "residual": found.residual,
            "scale": found.into_first.scale,
            "keeps_topology": found.keeps,
            "frames": outputs,
            **swept,
            "warnings": found.warnings,
        }
        write_json(target / "blend.json", summary)
    return report(
        arguments,
        summary,
        f"{arguments.output}: {len(outputs)} meshes",
        *(f"{turn['share']:.3f}: {turn['change']}" for turn in swept["transitions"]),
    )
