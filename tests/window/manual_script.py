"""The scripts of the artist's manual, and what they work on. Standard library only: Blender's Python reads it, too."""

from __future__ import annotations

import re
from pathlib import Path

MANUAL = Path(__file__).resolve().parents[2] / "blender_addon" / "README.md"
SELECTED = {
    "omomi.fit(level": ("owl", "crow"), "omomi.fit(kind": ("owl",), "omomi.close_holes": ("owl", "crow"),
    "omomi.complete_otherwise": ("owl.fit",), "omomi.add_pair": ("owl", "crow"), "omomi.add_from_library": ("crow",),
    "omomi.align": tuple(f"mug {number}" for number in range(10)),
}  # fmt: skip
"""What an artist has selected before a line with this in it, the active object last; the others go on from there."""
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def lines() -> list[str]:
    """The lines as they are written."""
    blocks = _BLOCK.findall(MANUAL.read_text("utf-8"))
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def selection(line: str) -> tuple[str, ...]:
    """Names of the objects to select before a line; none where it goes on from the one before."""
    return next((names for start, names in SELECTED.items() if start in line), ())
