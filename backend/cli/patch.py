"""``omomi patch``: close the holes of a mesh and leave the rest as it is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..formats.files import MESH_SUFFIXES
from ..protocol.requests import Close
from .arguments import LARGEST, MakeEngine, integer, progress, real, report
from .paths import spare_inputs

MOST_HOLES = 1_000_000


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    patch = verbs.add_parser("patch", parents=parents, help="close holes of a mesh, and leave the rest as it is")
    patch.add_argument("mesh", type=Path, metavar="MESH", help="PLY, OBJ, STL, GLB or NPZ")
    patch.add_argument("-o", "--output", type=Path, metavar="OUT")
    patch.add_argument("--holes", type=_numbers, metavar="all|N,N", help="all holes, or these of --list, openings too")
    patch.add_argument("--smaller", type=real(0, LARGEST), metavar="RADIUS", help="only holes of a smaller radius")
    patch.add_argument(
        "--close", type=Close, choices=tuple(Close), default=Close.AUTO, help="what a hole is closed with"
    )
    patch.add_argument("--list", action="store_true", help="print the holes and write nothing")
    patch.set_defaults(run=_run, misuse=patch.error)


def _numbers(text: str) -> list[int] | None:
    """None for all."""
    return None if text == "all" else [integer(1, MOST_HOLES)(number) for number in text.split(",")]


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..edits.patch_values import addition
    from ..engine import patch_mesh
    from ..formats.files import offset_path
    from ..formats.mesh_files import check_output, load_scan, save_appended

    output, look = arguments.output, arguments.list
    if not look and (output is None or output.suffix.lower() not in MESH_SUFFIXES):
        arguments.misuse(f"OUT must end in one of {', '.join(MESH_SUFFIXES)}")
    if not look:
        check_output(output)
        spare_inputs([output, offset_path(output)], [arguments.mesh])
    with progress(arguments.mesh.name) as line:
        raw = load_scan(arguments.mesh)
        engine = make_engine(arguments.device, arguments.threads)
        chosen = {"numbers": [] if look else arguments.holes, "smaller": arguments.smaller}
        made = patch_mesh(engine, raw, arguments.close, line.show, **chosen)
        summary = made.summary()
        if not look:
            summary["notes"] = save_appended(output, arguments.mesh, raw, addition(raw, made))
            summary["output"] = str(output)
    rows: list[dict[str, Any]] = summary["holes"]  # type: ignore[assignment]
    if look:
        return report(arguments, summary, *_table(rows))
    closed = sum(bool(row["closed"]) for row in rows)
    added = f"{summary['new_vertices']} vertices and {summary['new_faces']} faces"
    return report(arguments, summary, f"{output}: {closed} of {len(rows)} border loops closed with {added}")


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of the holes: what an artist needs to tell one from the other."""
    if not rows:
        return ["no holes: the mesh has no border"]
    lengths = f"{'edges':>6} {'perimeter':>10} {'radius':>10} {'of side':>8} {'flat':>6}"
    return [f"{'':>6} {'kind':8} {lengths}  {'centre':30} why", *map(_line, rows)]


def _line(row: Mapping[str, Any]) -> str:
    centre = ", ".join(f"{value:.4g}" for value in row["centre"])
    kind = "hole" if row["is_hole"] else "opening"
    lengths = f"{row['edges']:>6} {row['perimeter']:>10.4g} {row['radius']:>10.4g} {row['share']:>8.1%}"
    return f"{row['number']:>6} {kind:8} {lengths} {1 - row['planarity']:>6.0%}  {centre:30} {row['why']}".rstrip()
