"""A class stands once, a module is a noun of the field, a file is short, and no name of the first release is left."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MOST_LINES = 400
"""What one can read in a sitting."""
FIELD_WORDS_IN_ING = {
    "framing": "of messages in a stream of bytes",
    "smoothing": "of surfaces",
    "inpainting": "of the part of a shape that is missing",
    "sampling": "of a distribution, of a field",
    "fitting": "of a profile to a scan",
    "training": "of a model",
}
"""Module names in -ing that are the field's own nouns."""
OLD_MODULES = (
    # Modules and folders of release 1, by the last part of their names.
    "weights", "editing", "shape", "verbs", "wire", "frames", "child", "tasks", "belonging", "judging", "guess",
    "guessing", "completing", "imagining", "posing", "foretell", "moving", "guard", "fairing", "placing", "examples",
    "voxelise", "winding", "knows", "moves", "trust", "against", "islands", "doubt", "spanning", "words", "knowing",
    "origins", "rows", "claims", "judge", "drawing",
)  # fmt: skip
OLD_DEFINITIONS = (
    "Bench", "Shelf", "Piece", "Subject", "Shell", "Body", "Laid", "Placed", "Unit", "Flaw", "Unmeasured", "Witness",
    "Way", "Worn", "dress", "request_fit", "read_tensors", "write_tensors",
)  # fmt: skip
"""Classes and functions of release 1."""


@cache
def files() -> tuple[Path, ...]:
    return tuple(path for top in ("backend", "blender_addon") for path in sorted((ROOT / top).rglob("*.py")))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def definitions() -> tuple[tuple[str, str, bool], ...]:
    """(name, file:line, whether it is a class) of every class and function, nested ones and methods too."""
    return tuple(found for path in files() for found in definitions_of(path))


def definitions_of(path: Path) -> Iterator[tuple[str, str, bool]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, f"{place(path)}:{node.lineno}", isinstance(node, ast.ClassDef)


def test_no_file_is_longer_than_one_can_read() -> None:
    long = {place(path): count for path in files() if (count := len(path.read_text("utf-8").splitlines())) > MOST_LINES}
    assert not long


def test_modules_and_folders_are_named_for_things() -> None:
    stems = {part for path in files() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert {stem for stem in stems if stem.endswith("ing")} <= set(FIELD_WORDS_IN_ING)


def test_no_module_of_the_old_names_is_left() -> None:
    left = [place(path) for path in files() if set(path.relative_to(ROOT).with_suffix("").parts) & set(OLD_MODULES)]
    assert not left, "\n".join(left)


def test_no_definition_of_the_old_names_is_left() -> None:
    left = [f"{name}: {at}" for name, at, _ in definitions() if name in OLD_DEFINITIONS]
    assert not left, "\n".join(left)


def test_a_class_name_stands_for_one_class() -> None:
    where = defaultdict(list)
    for name, at, is_class in definitions():
        if is_class and not at.startswith("backend/studies/"):
            where[name].append(at)
    twice = [f"{name}: {', '.join(places)}" for name, places in sorted(where.items()) if len(places) > 1]
    assert not twice, "\n".join(twice)
