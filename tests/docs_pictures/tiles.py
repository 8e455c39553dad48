"""Pictures for the README put together from tiles with words below them."""

# The benchmark has an environment of its own; the checks run in the one with Blender.
# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from matplotlib.colors import Colormap, LinearSegmentedColormap
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from backend.formats.raw_scan import RawScan
from backend.training.scanner import ScanSettings, scan_points, surface_points, visible
from backend.training.shapes.families import Shapes
from tests.docs_pictures.render import BACKGROUND, GREY, SUPERSAMPLING, basis, draw_mesh, draw_points

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


def tile(
    shape: trimesh.Trimesh | np.ndarray,
    view: Sequence[float],
    size: int,
    half: float = 1.0,
    values: np.ndarray | None = None,
    colours: Colormap = DOUBT,
) -> np.ndarray:
    """Picture (size, size, 3) of a mesh or of points (n, 3), ``half`` wide to either side of the origin, seen from the
    direction ``view``; values (n,) from 0 to 1 paint the vertices."""
    big, axes, middle = size * SUPERSAMPLING, basis(np.array(view)), np.zeros(3)
    if isinstance(shape, np.ndarray):
        drawn = draw_points(shape, middle, half, axes, big)
    else:
        drawn = draw_mesh(shape, values, middle, half, axes, big, colours)
    return drawn.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean(axis=(1, 3))


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
