"""Small shaded pictures of shapes, and PNG, with numpy alone."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, zoom

from ..geometry.winding_number import face_columns

VIEW = (1.0, -1.3, 0.9)
"""Towards the camera, canonical. All pictures share it, so that shapes can be compared."""
MARGIN = 1.06
"""Width of the picture over that of the shape."""
SUPERSAMPLING = 2
"""Samples along each side of a pixel."""
MOST_CANDIDATES = 1 << 20
"""Pairs of a face and a pixel that are tested at a time."""
KEY_LIGHT = np.array([-0.5, 0.62, 0.6])
"""Right, up and towards the camera."""
CAVITY = 0.04
"""Radius around a pixel, as a share of the picture's width, whose mean depth darkens hollows."""
CLAY = np.array([0.86, 0.82, 0.76])
DARKEST = 24
"""Darkest grey of a thumbnail's surface; 0 is the background."""
SHADE_STEP = 8
"""Distance between the greys of a thumbnail: few greys pack well."""
SHADES, COVERS = 32, 8
"""Of a thumbnail on a page: numbers of greys and of degrees of coverage."""


def mesh_picture(vertices: ArrayLike, faces: ArrayLike, size: int = 320) -> NDArray[np.uint8]:
    """RGBA (size, size, 4) of a mesh in orthographic view on a clear background; vertices (n, 3), faces (m, 3). Faces
    with vertices that are not finite are left out."""
    points, corners = np.asarray(vertices, np.float64).reshape(-1, 3), np.asarray(faces, np.int64).reshape(-1, 3)
    if len(corners):
        corners = corners[np.isfinite(points).all(axis=1)[corners].all(axis=1)]
    if not len(corners):
        return np.zeros((size, size, 4), np.uint8)
    side = size * SUPERSAMPLING
    turned = points @ _basis().T
    used = np.unique(corners)
    placed = _framed(turned, turned[used], side)
    depth, face = _nearest_faces(placed, corners, side)
    seen = face >= 0
    edges = placed[corners[face[seen]]]
    across = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    normals = np.zeros((side, side, 3))
    # towards the camera, whichever way the face is wound; rows run downwards
    normals[seen] = across * np.sign(across[:, 2:]) * [1, -1, 1]
    mean, count = _reduced(_shade(depth, normals, seen), seen, SUPERSAMPLING)
    return _rgba(mean, count / SUPERSAMPLING**2)


def thumbnail(points: ArrayLike, normals: ArrayLike, size: int = 64) -> NDArray[np.uint8]:
    """Greys (size, size) of a surface of dense points (n, 3) with outward normals (n, 3); the background is 0."""
    axes = _basis()
    turned, facing = np.asarray(points, np.float64) @ axes.T, np.asarray(normals, np.float64) @ axes.T
    side = 2 * size
    placed = _framed(turned, turned, side)
    front = np.flatnonzero((facing[:, 2] > 0.05) & np.isfinite(placed).all(axis=1))
    depth, best = np.full(side * side, -np.inf), np.full(side * side, -1)
    column, row = np.floor(placed[front, :2]).astype(np.int64).T
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            x, y = column + right, row + down
            inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
            _keep_nearest(depth, best, (y * side + x)[inside], placed[front[inside], 2], front[inside])
    depth, best = depth.reshape(side, side), best.reshape(side, side)
    seen = best >= 0
    towards = np.zeros((side, side, 3))
    towards[seen] = facing[best[seen]]
    grey, count = _reduced(_shade(depth, towards, seen), seen, 2)
    steps = np.clip(np.round(grey * 255 / SHADE_STEP) * SHADE_STEP, DARKEST, 255)
    return np.where(count >= 2, steps, 0).astype(np.uint8)


def thumbnail_uri(grey: NDArray[np.uint8], times: int = 2) -> str:
    """A thumbnail (s, s) as text that stands in a page, ``times`` as large, with soft edges."""
    seen = grey > 0
    weight = gaussian_filter(seen.astype(float), 1.0)
    around = np.where(seen, grey, gaussian_filter(grey.astype(float), 1.0) / np.maximum(weight, 1e-3))
    soft = gaussian_filter(seen.astype(float), 0.6)
    large, cover = (np.asarray(zoom(each, times, order=1, mode="nearest", grid_mode=True)) for each in (around, soft))
    shade = np.clip(large / 255, 0, 1) * (SHADES - 1)
    cover = np.clip((cover - 0.35) / 0.3, 0, 1) * (COVERS - 1)
    mixed = np.round(shade) * COVERS + np.round(cover)
    # RGBA of every shade at every coverage: with 256 colours a thumbnail takes a sixth of the bytes
    palette = _rgba(*np.meshgrid(np.linspace(0, 1, SHADES), np.linspace(0, 1, COVERS), indexing="ij")).reshape(-1, 4)
    return data_uri(png(np.where(np.round(cover) > 0, mixed, 0).astype(np.uint8), palette))


def png(pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """The file; pixels (h, w) grey, or rows of the RGBA ``palette`` (n, 4), or (h, w, 3) RGB, or (h, w, 4) RGBA.
    Raises ValueError for other arrays."""
    kinds: dict[tuple[int, ...], int] = {(): 0 if palette is None else 3, (3,): 2, (4,): 6}
    pixels = np.ascontiguousarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in kinds or 0 in pixels.shape:
        raise ValueError(f"no picture: {pixels.dtype} {pixels.shape}")
    high, wide = pixels.shape[:2]
    lines = pixels.reshape(high, -1)
    # lines pack better as differences to the line above, PNG's filter 2
    lines = np.diff(lines, axis=0, prepend=np.zeros_like(lines[:1]))
    data = zlib.compress(np.concatenate([np.full((high, 1), 2, np.uint8), lines], axis=1).tobytes(), 9)
    head = struct.pack(">IIBBBBB", wide, high, 8, kinds[pixels.shape[2:]], 0, 0, 0)
    colours = b""
    if palette is not None:
        colours = _chunk(b"PLTE", palette[:, :3].tobytes()) + _chunk(b"tRNS", palette[:, 3].tobytes())
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + colours + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def data_uri(file: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(file).decode("ascii")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _basis() -> NDArray[np.float64]:
    """Rows right, up, and towards the camera."""
    forward = np.array(VIEW) / np.linalg.norm(VIEW)
    right = np.cross([0.0, 0.0, 1.0], forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def _framed(turned: NDArray, shown: NDArray, side: int) -> NDArray[np.float64]:
    """Points (n, 3) in pixels, rows downwards, the third towards the camera, so that ``shown`` fills the picture."""
    shown = shown[np.isfinite(shown).all(axis=1)]
    if not len(shown):
        return np.full_like(turned, np.nan)
    low, high = shown.min(axis=0), shown.max(axis=0)
    scale = side / (MARGIN * max(float((high - low)[:2].max()), 1e-12))
    return (turned - (low + high) / 2) * scale * [1, -1, 1] + [side / 2, side / 2, 0]


def _nearest_faces(placed: NDArray, faces: NDArray, side: int) -> tuple[NDArray, NDArray]:
    """Depth (side, side) towards the camera and the face that each pixel sees, -1 where there is none."""
    depth, best = np.full(side * side, -np.inf), np.full(side * side, -1)
    flat = placed[:, :2]
    low = np.maximum(np.ceil(np.min([flat[faces[:, k]] for k in range(3)], axis=0) - 0.5), 0).astype(np.int64)
    high = np.minimum(np.floor(np.max([flat[faces[:, k]] for k in range(3)], axis=0) - 0.5), side - 1).astype(np.int64)
    wide, tall = np.maximum(high - low + 1, 0).T
    for owner, y, x in face_columns(low[:, 1], tall, low[:, 0], wide, MOST_CANDIDATES):
        corners = placed[faces[owner]]
        away = corners[:, :, :2] - np.stack([x + 0.5, y + 0.5], axis=1)[:, None]
        share = np.stack([_cross(away[:, (k + 1) % 3], away[:, (k + 2) % 3]) for k in range(3)], axis=1)
        whole = share.sum(axis=1)
        hit = np.flatnonzero((np.abs(whole) > 1e-12) & ((share >= 0).all(axis=1) | (share <= 0).all(axis=1)))
        height = (share[hit] * corners[hit, :, 2]).sum(axis=1) / whole[hit]
        _keep_nearest(depth, best, (y * side + x)[hit], height, owner[hit])
    return depth.reshape(side, side), best.reshape(side, side)


def _cross(one: NDArray, other: NDArray) -> NDArray:
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


def _keep_nearest(depth: NDArray, best: NDArray, pixel: NDArray, height: NDArray, owner: NDArray) -> None:
    """Write ``owner`` where it is nearer to the camera than what is there; the nearest of a pixel stays."""
    nearer = np.flatnonzero(height > depth[pixel])
    # of several values for one pixel, numpy keeps the last
    order = nearer[np.argsort(height[nearer], kind="stable")]
    depth[pixel[order]], best[pixel[order]] = height[order], owner[order]


def _shade(depth: NDArray, normals: NDArray, seen: NDArray) -> NDArray[np.float64]:
    """Light (s, s), 0 to 1, of normals (s, s, 3): right, up, towards the camera; hollows are darker, as in daylight.

    Hollows lie deeper than the mean of what is around them (unsharp masking of the depth buffer, Luft et al. 2006).
    """
    length = np.maximum(np.linalg.norm(normals, axis=2), 1e-12)
    facing = np.clip(normals[..., 2] / length, 0, 1)
    key = np.clip(normals @ (KEY_LIGHT / np.linalg.norm(KEY_LIGHT)) / length, 0, 1)
    radius = CAVITY * depth.shape[0]
    weight = gaussian_filter(seen.astype(float), radius)
    mean = gaussian_filter(np.where(seen, depth, 0.0), radius) / np.maximum(weight, 1e-6)
    hollow = np.where(seen, (mean - np.where(seen, depth, mean)) / (2 * radius), 0.0)
    # at the rim of a slanted plane the mean covers one side only
    hollow *= np.clip(2 * weight - 1, 0, 1)
    return np.clip((0.2 + 0.24 * facing + 0.64 * key) * (1 - np.clip(hollow, -0.1, 0.5)), 0, 1)


def _reduced(shade: NDArray, seen: NDArray, side: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean shade of the seen pixels of every block of ``side``^2, and how many they are."""
    blocks = (len(shade) // side, side, len(shade) // side, side)
    count = seen.reshape(blocks).sum(axis=(1, 3))
    return (shade * seen).reshape(blocks).sum(axis=(1, 3)) / np.maximum(count, 1), count


def _rgba(shade: NDArray, cover: NDArray) -> NDArray[np.uint8]:
    colour = np.clip(shade[..., None] ** 0.85 * CLAY, 0, 1)
    return np.round(np.concatenate([colour, cover[..., None]], axis=2) * 255).astype(np.uint8)
