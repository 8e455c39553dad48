"""What stands in quotes in the source of the installed extension, for the tests of its translations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path


def shape(text: str) -> str:
    """A text with its placeholders emptied.

    >>> shape("{name} has {count:,} places")
    '{} has {} places'
    """
    return re.sub(r"\{[^{}]*\}", "{}", text)


def quoted(path: Path) -> Iterator[str]:
    """The `shape` of every text and f-string of a file but docstrings."""
    left_out = set()
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            left_out.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            # its parts stand in it, and what formats its values is no text
            left_out |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            formats = [part.format_spec for part in node.values if isinstance(part, ast.FormattedValue)]
            left_out |= {id(one) for one in formats if one is not None}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield shape(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield shape("".join(parts))
