"""Imports go down: the layers of the backend, the few modules that the add-on may see, and no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = (
    ("errors",),
    ("formats", "protocol", "geometry", "registration"),
    ("scan",),
    ("field",),
    ("prior",),
    ("edits",),
    ("engine",),
    ("server", "cli", "report"),
    ("training", "studies"),
)
"""Parts of the backend, lowest first; a part imports from its own row and the rows above it here."""
BESIDE = {
    # What the add-on imports stays free of everything but the standard library and numpy.
    "protocol": {"formats"},
    # Readers divide polygons into triangles.
    "formats": {"geometry"},
    "geometry": set[str](),
    "registration": {"geometry"},
    # A request asks for the page of the audit.
    "server": {"report"},
    "cli": {"server", "report"},
    "report": set[str](),
    "training": {"studies"},
    "studies": {"training"},
}
"""Of its own row, what a part may import beside itself."""
ENTRY = "__main__"
"""`python -m backend` starts the command line; nothing imports it."""
TORCH_MAY_BE_IMPORTED_BY = ("training", "studies")
ADDON_MAY_IMPORT = ("backend.protocol", "backend.errors")


@dataclass(frozen=True)
class Import:
    """One import: the module that makes it, the module that it reaches, and the line."""

    source: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Dotted names of the backend's and the add-on's modules, with their files."""
    found = {}
    for top in ("backend", "blender_addon"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import, those inside functions and under TYPE_CHECKING included."""
    return tuple(one for name, path in modules().items() for one in imports_of(name, path))


def imports_of(name: str, path: Path) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            # The add-on carries its backend as a package of its own.
            base = base.replace("blender_addon.backend", "backend", 1)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(name, full if full in modules() else base, node.lineno)


def part(module: str) -> str:
    """The folder or file of the backend that a module belongs to; "" for the package itself and for others' modules."""
    pieces = module.split(".")
    return pieces[1] if pieces[0] == "backend" and len(pieces) > 1 else ""


def rank(name: str) -> int:
    return next(i for i, row in enumerate(LAYERS) if name in row)


def test_every_part_of_the_backend_has_a_layer() -> None:
    named = {name for row in LAYERS for name in row}
    assert {part(name) for name in modules()} - {"", ENTRY} == named


def test_modules_import_each_other_in_no_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in imports():
        if one.target in graph and one.target != one.source:
            graph[one.source].add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_backend_never_imports_blender() -> None:
    blender = ("bpy", "bmesh", "mathutils", "gpu", "blf", "bl_ext", "addon_utils", "blender_addon")
    found = [str(one) for one in imports() if one.source.startswith("backend") and one.target.split(".")[0] in blender]
    assert not found, "\n".join(found)


def test_only_training_and_studies_import_torch() -> None:
    found = [
        str(one)
        for one in imports()
        if one.target.split(".")[0] in ("torch", "onnx", "onnxscript")
        and part(one.source) not in TORCH_MAY_BE_IMPORTED_BY
    ]
    assert not found, "\n".join(found)


def test_the_add_on_imports_the_protocol_and_the_errors_of_the_backend_only() -> None:
    found = [
        str(one)
        for one in imports()
        if one.source.startswith("blender_addon")
        and one.target.split(".")[0] == "backend"
        and not one.target.startswith(ADDON_MAY_IMPORT)
    ]
    assert not found, "\n".join(found)


def test_what_the_add_on_imports_needs_the_standard_library_and_numpy_only() -> None:
    """In a process that has no other package, every module of the protocol imports."""
    script = textwrap.dedent(
        """
        import importlib, importlib.abc, sys
        allowed = {*sys.stdlib_module_names, "numpy", "backend"}
        class Block(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] not in allowed:
                    raise ImportError(f"{name} is neither of the standard library nor numpy")
        import numpy
        sys.meta_path.insert(0, Block())
        sys.path.insert(0, sys.argv[1])
        for name in sys.argv[2:]:
            importlib.import_module(name)
        """
    )
    names = [name for name in modules() if name.startswith(ADDON_MAY_IMPORT)]
    done = subprocess.run([sys.executable, "-c", script, ROOT, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_imports_go_down() -> None:
    up = []
    for one in imports():
        source, target = part(one.source), part(one.target)
        if not source or not target or source in (target, ENTRY):
            continue
        beside = rank(source) == rank(target) and target in BESIDE.get(source, set())
        if rank(target) > rank(source) or (rank(target) == rank(source) and not beside):
            up.append(str(one))
    assert not up, "\n".join(up)
