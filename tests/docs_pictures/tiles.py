"""Pictures for the READMEs: meshes and points drawn without Blender, tiles with words below them, virtual scans.

Needs the `bench` and `train` extras.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
import trimesh
from matplotlib.colors import Colormap, LinearSegmentedColormap
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from trimesh.ray.ray_pyembree import RayMeshIntersector

from backend.field.onnx_model import MODEL_FOLDER
from backend.formats.raw_scan import RawScan
from backend.training.scanner import ScanSettings, scan_points, surface_points, visible
from backend.training.shapes.families import Shapes

BACKGROUND = np.array([0.96, 0.96, 0.97])
GREY = np.array([0.80, 0.78, 0.74])
BACK = np.array([0.85, 0.25, 0.20])
SUPERSAMPLING = 2
VALUES = matplotlib.colormaps["viridis"]
ORIGIN = np.zeros(3)
DOUBT = LinearSegmentedColormap.from_list("doubt", np.array([GREY, (0.93, 0.62, 0.30), (0.80, 0.30, 0.12)]))
"""From plain clay to a warning."""
DEPARTURE = LinearSegmentedColormap.from_list("departure", np.array([(0.10, 0.34, 0.82), GREY, (0.80, 0.30, 0.12)]))
"""From what falls short to what stands out."""
SURFACE_POINTS = 60_000
LINE = 26
"""Height of a line of words, pixels."""
WORDS = 17
INK = (0.24, 0.23, 0.21)
COLOURS = 256
NOISE, FLYING, PATCHES, PATCH = 0.003 * 1.6, 0.005, 5, 0.07 * 1.6
"""Of the scans: few views with lost patches (condition D of the scoring tool), canonical."""


def arguments(about: str | None, picture: str) -> argparse.ArgumentParser:
    """The options of a script that makes one picture."""
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("-o", dest="output", type=Path, default=Path(__file__).with_name(picture))
    found.add_argument("--model", type=Path, default=MODEL_FOLDER, metavar="FOLDER")
    return found


def basis(towards_camera: np.ndarray) -> np.ndarray:
    """Rows right, up and towards the camera, all unit vectors; z is up in the picture where possible."""
    forward = np.asarray(towards_camera, float) / np.linalg.norm(towards_camera)
    pole = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
    right = np.cross(pole, forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def shade(normals: np.ndarray, colours: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Colours (n, 3) lit by a key light from the upper left and a little light from the camera; back sides are red."""
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


def tile(
    shape: trimesh.Trimesh | np.ndarray,
    view: Sequence[float],
    size: int,
    half: float = 1.0,
    values: np.ndarray | None = None,
    colours: Colormap = DOUBT,
    middle: np.ndarray = ORIGIN,
) -> np.ndarray:
    """Picture (size, size, 3) of a mesh or of points (n, 3), ``half`` wide to either side of ``middle``, seen from the
    direction ``view``; values (n,) from 0 to 1 paint the vertices."""
    big, axes = size * SUPERSAMPLING, basis(np.array(view))
    if isinstance(shape, np.ndarray):
        drawn = draw_points(shape, middle, half, axes, big)
    else:
        drawn = draw_mesh(shape, values, middle, half, axes, big, colours)
    return drawn.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean(axis=(1, 3))


def middle_of(mesh: trimesh.Trimesh) -> np.ndarray:
    """The middle (3,) of the box around a mesh."""
    return mesh.bounds.mean(axis=0)


def with_words(picture: np.ndarray, *lines: str) -> np.ndarray:
    """The picture (h, w, 3) with lines of words below it, each in its middle."""
    wide = picture.shape[1]
    strip = np.tile(BACKGROUND, (LINE * len(lines) + LINE // 2, wide, 1))
    canvas = Image.fromarray(np.round(strip * 255).astype(np.uint8))
    pen, ink = ImageDraw.Draw(canvas), tuple(round(255 * part) for part in INK)
    for row, line in enumerate(lines):
        pen.text((wide / 2, LINE * (row + 0.5)), line, ink, ImageFont.load_default(WORDS), anchor="mm")
    return np.concatenate([picture, np.asarray(canvas) / 255])


def save(rows: Sequence[Sequence[np.ndarray]], path: Path) -> None:
    """Write rows of pictures of one height each as a PNG of few colours."""
    whole = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    picture = Image.fromarray(np.round(whole * 255).astype(np.uint8))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def scanned(shape: Shapes, cameras: Sequence[Sequence[float]], seed: int) -> RawScan:
    """A virtual scan of one procedural shape, as `scanned_surface`."""
    generator = torch.Generator().manual_seed(seed)
    points, normals = (part[0] for part in surface_points(shape.sdf, 1, SURFACE_POINTS, generator))
    return scanned_surface(points, normals, cameras, generator)


def scanned_mesh(
    mesh: trimesh.Trimesh, cameras: Sequence[Sequence[float]], seed: int, patches: int = PATCHES
) -> RawScan:
    """A virtual scan of a mesh in the unit ball, as `scanned_surface`."""
    found = trimesh.sample.sample_surface(mesh, SURFACE_POINTS, seed=seed)
    points, normals = np.array(found[0], np.float32), np.array(mesh.face_normals[found[1]], np.float32)
    generator = torch.Generator().manual_seed(seed)
    return scanned_surface(torch.from_numpy(points), torch.from_numpy(normals), cameras, generator, patches)


def scanned_surface(
    points: Tensor,
    normals: Tensor,
    cameras: Sequence[Sequence[float]],
    generator: torch.Generator,
    patches: int = PATCHES,
) -> RawScan:
    """A virtual scan, bare points with normals, of dense points (n, 3) and unit normals (n, 3), canonical, from the
    directions of cameras (v, 3)."""
    towards = torch.nn.functional.normalize(torch.tensor(cameras, dtype=torch.float32), dim=1)
    bits = 2 ** torch.arange(len(towards))
    seen = (visible(points, normals, towards).long() * bits[:, None]).sum(0)
    settings = ScanSettings(views=len(towards), noise=NOISE, flying=FLYING, patches=patches, patch_radius=PATCH)
    cloud, facing, to_sensor = scan_points(points, normals, seen.int(), towards, settings, generator)
    return RawScan(cloud.numpy().astype(np.float64), None, facing.numpy(), to_sensor.numpy())


def one_sided(look: Sequence[float]) -> list[list[float]]:
    """Directions of three cameras on the side of ``look``."""
    middle = np.array(look)
    aside = np.cross(middle, [0, 0, 1]) / 2
    return [
        one.tolist() for one in (middle + aside, middle - aside + np.array([0, 0, 0.5]), middle - np.array([0, 0, 0.6]))
    ]
