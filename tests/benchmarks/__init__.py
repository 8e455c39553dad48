"""Benchmarks: `omomi bench NAME` in a checkout, or `build_addon.py bench NAME`, which installs what they need."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = tuple(sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py")))


def main(words: Sequence[str]) -> int:
    """Run one benchmark with the rest of the words as its own options."""
    if not words or words[0] not in NAMES:
        print(f"usage: omomi bench {{{','.join(NAMES)}}} ...", file=sys.stderr)
        return 2
    return importlib.import_module(f".bench_{words[0]}", __package__).main(words[1:])
