"""The examples in the backend's docstrings are right; those of the add-on run with it, in tests/addon."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_examples_of_the_backend_are_right() -> None:
    for path in sorted((ROOT / "backend").rglob("*.py")):
        if ">>>" in path.read_text("utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            assert doctest.testmod(importlib.import_module(name)).failed == 0, name
