"""What the window works on: a scan with holes, and a family of solids of which two are edited.

python -m tests.window.scans FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import trimesh

from backend.formats.raw_scan import RawScan
from backend.training import demo_scan
from tests.benchmarks.weight_cases import Edited, edited_member

EDIT = "horn"
EXAMPLES, OTHERS = (0, 1), (3, 4, 5, 6)
"""Members of the family; those that the edit is applied to are none of the examples."""
FAMILY = 10
"""Members that the script of the manual learns a family from."""


def write(folder: Path) -> None:
    """Write ``scan.ply``, ``before0.ply``, ``after0.ply`` and so on, ``other3.ply`` and so on, and ``member0.ply`` and
    so on, side by side."""
    demo_scan.main([str(folder / "scan.ply")])
    for number, seed in enumerate(EXAMPLES):
        member = edited_member(EDIT, seed, example=True)
        _place(member, member.before, (2.0 * number, 4.0), folder / f"before{seed}.ply")
        _place(member, member.after, (2.0 * number, 6.0), folder / f"after{seed}.ply")
    for number, seed in enumerate(OTHERS):
        member = edited_member(EDIT, seed)
        _place(member, member.before, (2.0 * number, 2.0), folder / f"other{seed}.ply")
    for number in range(FAMILY):
        member = edited_member(EDIT, number)
        _place(member, member.before, (2.0 * number, 8.0), folder / f"member{number}.ply")


def _place(member: Edited, scan: RawScan, xy: tuple[float, float], path: Path) -> None:
    points = (scan.points - member.offset) / member.scale @ member.turn + (*xy, 0.0)
    trimesh.Trimesh(points, scan.faces, process=False).export(path)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
