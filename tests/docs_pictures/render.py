"""Pictures of meshes and scans side by side, without Blender.

python -m tests.docs_pictures.render SCAN.ply PEER.ply OURS.ply -o picture.png [--colour sigma] [--view 1 .3 .4
...]

All files are shown in the frame of the first, so results of one scan line up. Several views (three numbers
each) make rows. Back sides are red. Needs the `bench` extra.
"""

# The benchmark has an environment of its own; the checks run in the one with Blender.
# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import trimesh
from matplotlib.colors import Colormap
from PIL import Image
from trimesh.ray.ray_pyembree import RayMeshIntersector

BACKGROUND = np.array([0.96, 0.96, 0.97])
GREY = np.array([0.80, 0.78, 0.74])
BACK = np.array([0.85, 0.25, 0.20])
SUPERSAMPLING = 2
VALUES = matplotlib.colormaps["viridis"]


def basis(towards_camera: np.ndarray) -> np.ndarray:
    """Rows right, up and towards the camera, all unit vectors; z is up in the picture where possible."""
    forward = np.asarray(towards_camera, float) / np.linalg.norm(towards_camera)
    pole = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
    right = np.cross(pole, forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def shade(normals: np.ndarray, colours: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Colours (n, 3) lit by a key light from the upper left and a little light from the camera."""
    facing = normals @ axes[2]
    lit = np.where(facing[:, None] < 0, BACK, colours)
    normals = np.where(facing[:, None] < 0, -normals, normals)
    key = axes.T @ np.array([-0.5, 0.6, 0.62])
    light = 0.25 + 0.25 * np.abs(facing) + 0.6 * np.clip(normals @ key, 0, None)
    return np.clip(lit * light[:, None], 0, 1)


def draw_mesh(
    mesh: trimesh.Trimesh,
    values: np.ndarray | None,
    centre: np.ndarray,
    half: float,
    axes: np.ndarray,
    size: int,
    colours: Colormap = VALUES,
) -> np.ndarray:
    """Orthographic picture (size, size, 3) in [0, 1], flat shaded; values (n,) in [0, 1] colour the
    vertices."""
    line = (np.arange(size) + 0.5) / size * 2 - 1
    across, along = np.meshgrid(line, -line)
    origins = centre + half * (across.reshape(-1, 1) * axes[0] + along.reshape(-1, 1) * axes[1] + 4 * axes[2])
    directions = np.broadcast_to(-axes[2], origins.shape).copy()
    face = RayMeshIntersector(mesh).intersects_first(origins, directions)
    hit = np.flatnonzero(face >= 0)
    face = face[hit]
    normals = mesh.face_normals[face]
    painted = np.broadcast_to(GREY, normals.shape)
    if values is not None:
        painted = colours(values[mesh.faces[face]].mean(axis=1))[:, :3]
    picture = np.broadcast_to(BACKGROUND, (size * size, 3)).copy()
    picture[hit] = shade(normals, painted, axes)
    return picture.reshape(size, size, 3)


def draw_points(points: np.ndarray, centre: np.ndarray, half: float, axes: np.ndarray, size: int) -> np.ndarray:
    """Orthographic picture of points, nearer ones darker."""
    across, along, depth = axes @ ((points - centre) / half).T
    column = ((across + 1) / 2 * size).astype(int)
    row = ((1 - along) / 2 * size).astype(int)
    shown = np.flatnonzero((np.minimum(column, row) >= 0) & (np.maximum(column, row) < size - 1))
    shown = shown[np.argsort(depth[shown])]
    picture = np.broadcast_to(BACKGROUND, (size, size, 3)).copy()
    grey = 0.75 - 0.6 * np.clip((depth[shown] + 1) / 2, 0, 1)
    for down in (0, 1):
        for right in (0, 1):
            picture[row[shown] + down, column[shown] + right] = grey[:, None]
    return picture


def load(path: Path) -> tuple[trimesh.Trimesh | np.ndarray, np.ndarray | None]:
    """A mesh, or the points of a file without faces; and the `sigma` of a PLY's vertices."""
    found = trimesh.load(path, process=False)
    if isinstance(found, trimesh.PointCloud):
        return np.asarray(found.vertices), None
    if not isinstance(found, trimesh.Trimesh):
        raise SystemExit(f"{path.name} holds neither a mesh nor points")
    vertex = found.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    names = getattr(getattr(vertex, "dtype", None), "names", None) or ()
    return found, np.asarray(vertex["sigma"]).reshape(-1) if vertex is not None and "sigma" in names else None


def render(
    paths: list[Path], views: np.ndarray, size: int = 500, colour: str = "none", zoom: float = 1.0
) -> np.ndarray:
    """Picture (rows, columns, 3) u8: a column per file, a row per view direction (n, 3)."""
    loaded = [load(path) for path in paths]
    first = loaded[0][0]
    points = first if isinstance(first, np.ndarray) else np.asarray(first.vertices)
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    centre, half = (low + high) / 2, 0.56 * float(np.linalg.norm(high - low)) / zoom
    big = size * SUPERSAMPLING
    rows = []
    for view in views:
        axes = basis(view)
        tiles = []
        for shape, sigma in loaded:
            if isinstance(shape, np.ndarray):
                tile = draw_points(shape, centre, half, axes, big)
            else:
                values = None
                if colour == "sigma" and sigma is not None:
                    values = np.clip(sigma / np.percentile(sigma, 98), 0, 1)
                tile = draw_mesh(shape, values, centre, half, axes, big)
            tiles.append(tile.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean(axis=(1, 3)))
        rows.append(np.concatenate(tiles, axis=1))
    return np.round(np.concatenate(rows) * 255).astype(np.uint8)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--view", type=float, nargs="+", default=[1.0, 0.5, 0.6, -1.0, -0.6, -0.4])
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--zoom", type=float, default=1.0)
    parser.add_argument("--colour", choices=["none", "sigma"], default="none")
    options = parser.parse_args()
    views = np.array(options.view).reshape(-1, 3)
    picture = render(options.paths, views, options.size, options.colour, options.zoom)
    Image.fromarray(picture).save(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
