"""``omomi sample``: shapes that the model makes up."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ErrorCode
from .arguments import (
    MakeEngine,
    add_faces,
    add_level,
    first_error,
    folder,
    integer,
    one_of_many,
    progress,
    report,
    write_json,
)

LEVEL = 2
MOST = 1000


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    sample = verbs.add_parser("sample", parents=parents, help="make up shapes, each told by its seed")
    sample.add_argument("-n", dest="count", type=integer(1, MOST), default=1, metavar="N", help="how many")
    sample.add_argument(
        "--seed", type=integer(0, (1 << 31) - MOST), default=0, metavar="S", help="of the first; the others follow"
    )
    add_level(sample)
    add_faces(sample)
    sample.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for SEED.ply and samples.json")
    sample.set_defaults(run=_run, misuse=sample.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..edits.carried import with_fewer_faces
    from ..edits.sample_shape import sample_shape
    from ..formats.mesh_files import save_mesh

    engine = make_engine(arguments.device, arguments.threads)
    level = LEVEL if arguments.level is None else arguments.level
    target = folder(arguments.output)
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        # without a surface, another seed may well give a shape
        with one_of_many(rows, f"seed {seed}", {"seed": seed}, lambda error: error.code is not ErrorCode.NO_SURFACE):
            with progress(f"seed {seed}") as line:
                sampled = sample_shape(engine.model, seed, level, on_progress=line.show, cancel=engine.token())
                mesh, path = sampled.mesh, target / f"{seed}.ply"
                made = with_fewer_faces(mesh.vertices, mesh.faces, mesh.sigma, None, arguments.faces)
                save_mesh(path, *made)
            size = {"vertices": len(made[0]), "faces": len(made[1])}
            rows.append({"seed": seed, "output": str(path), **size, **sampled.summary})
    failed = first_error(rows)
    summary = {"model": engine.info().model_hash, "level": level, "samples": rows, **failed}
    write_json(target / "samples.json", summary)
    report(arguments, summary, *(_line(row) for row in rows if "output" in row))
    return 1 if failed else 0


def _line(row: dict[str, Any]) -> str:
    like = "".join(f", most like {one['family']} ({one['distance']:.2f})" for one in row["nearest"][:1])
    return f"{row['output']}: plausibility {row['plausibility']:.2f}{like}"
