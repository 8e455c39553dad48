"""``omomi measure``: volume, area, thickness, topology and energies of a mesh."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError
from .arguments import MakeEngine
from .output import print_json, print_lines


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    measure = verbs.add_parser("measure", parents=parents[:1], help="volume, area, thickness, topology and energies")
    measure.add_argument("scan", type=Path, metavar="SCAN")
    measure.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..formats.mesh_files import load_scan
    from ..geometry.measure import energies, measure
    from ..protocol.codec import jsonable

    with contextlib.redirect_stdout(sys.stderr):
        scan = load_scan(arguments.scan)
        if scan.faces is None or not len(scan.faces):
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{arguments.scan} holds points without faces: there is no surface.")
        try:
            measures = jsonable(measure(scan.points, scan.faces))
            measures["energies"] = energies(scan.points, scan.faces)
        except ValueError as error:
            raise OmomiError(ErrorCode.NOT_A_MESH, f"{arguments.scan} cannot be measured: {error}.") from error
    (print_json if arguments.json else print_lines)(measures)
    return 0
