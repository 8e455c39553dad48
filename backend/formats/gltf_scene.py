"""The scene of a glTF file: which meshes it shows, and where."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import FormatError, require

LARGEST = 1 << 53
"""Of counts and offsets: what a number of JSON holds exactly."""
FARTHEST = 1e30
"""Of the numbers of a placement, which are multiplied by coordinates in double precision."""


class MeshInstance(NamedTuple):
    """A mesh of the scene."""

    mesh: int
    matrix: NDArray[np.float64]  # (4, 4), from the mesh to the world


def mesh_instances(header: dict[str, Any]) -> list[MeshInstance]:
    """The meshes of the scene in a header; without scenes those of all nodes, without nodes all there are. Raises
    FormatError where nodes are no trees, as they have to be: each has at most one parent."""
    nodes, scenes, meshes = (header.get(key) or [] for key in ("nodes", "scenes", "meshes"))
    every = [nodes, scenes, meshes]
    require(all(isinstance(some, list) for some in every), "its header is damaged")
    require(all(isinstance(one, dict) for some in every for one in some), "its header is damaged")
    if not nodes:
        return [MeshInstance(number, np.eye(4)) for number in range(len(meshes))]
    children = [_numbers(node.get("children", []), len(nodes)) for node in nodes]
    if scenes:
        shown = header.get("scene", 0)
        require(type(shown) is int and 0 <= shown < len(scenes), "its header is damaged")
        roots = _numbers(scenes[shown].get("nodes", []), len(nodes))
    else:
        below = {child for some in children for child in some}
        roots = [number for number in range(len(nodes)) if number not in below]
    found, seen = [], set()
    # no recursion, as chains may be long
    left = [(root, np.eye(4)) for root in reversed(roots)]
    while left:
        number, above = left.pop()
        require(number not in seen, "its nodes are not a tree")
        seen.add(number)
        with np.errstate(over="ignore", invalid="ignore"):
            matrix = above @ _matrix(nodes[number])
        require((np.abs(matrix) < FARTHEST).all(), "one of its meshes is nowhere")
        mesh = nodes[number].get("mesh")
        if mesh is not None:
            require(type(mesh) is int and 0 <= mesh < len(meshes), "its scene shows a mesh that it does not have")
            found.append(MeshInstance(mesh, matrix))
        left += [(child, matrix) for child in reversed(children[number])]
    return found


def _numbers(value: Any, count: int) -> list[int]:
    valid = isinstance(value, list) and all(type(one) is int and 0 <= one < count for one in value)
    require(valid, "its header is damaged")
    return value


def _matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    """(4, 4), of a node in its parent."""
    if "matrix" in node:
        return _vector(node, "matrix", np.eye(4)).reshape(4, 4).T
    x, y, z, w = _vector(node, "rotation", np.array([0.0, 0, 0, 1]))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * _vector(node, "scale", np.ones(3))
    matrix[:3, 3] = _vector(node, "translation", np.zeros(3))
    return matrix


def _vector(node: dict[str, Any], key: str, default: NDArray) -> NDArray[np.float64]:
    value = node.get(key)
    if value is None:
        return default
    numbers = isinstance(value, list) and len(value) == default.size
    if not numbers or not all(type(one) in (int, float) and -FARTHEST < one < FARTHEST for one in value):
        raise FormatError("one of its meshes is nowhere")
    return np.array(value, np.float64)
