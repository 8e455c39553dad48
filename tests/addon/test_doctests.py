"""The examples in the add-on's docstrings are right."""

from __future__ import annotations

import doctest
import importlib
from typing import Any


def test_examples_of_the_add_on_are_right(addon: Any) -> None:
    folder, tried = addon.process.BACKEND.parent, 0
    for path in sorted([*folder.glob("*.py"), *folder.glob("[!b]*/**/*.py")]):
        if ">>>" in path.read_text("utf-8"):
            module = importlib.import_module(".".join([addon.name, *path.relative_to(folder).with_suffix("").parts]))
            found = doctest.testmod(module)
            assert found.failed == 0, path.name
            tried += found.attempted
    assert tried
