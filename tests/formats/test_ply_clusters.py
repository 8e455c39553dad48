"""Large PLY files, thinned while they are read: the surface stays where it is, in few points and little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.errors import ErrorCode, OmomiError
from backend.formats import ply_clusters
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.raw_scan import RawScan
from backend.geometry.surface_attributes import SurfaceAttributes
from tests.scan_shapes import globe

VOXELS = 8.0
POINTS, FACES = globe(160, 320)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ply_clusters, "THIN_ABOVE", 10_000)
    monkeypatch.setattr(ply_clusters, "ROWS", 7000)


def thinned(path: Path, points: NDArray = POINTS, faces: NDArray = FACES, **more: Any) -> RawScan:
    save_mesh(path, points, faces, **more)
    return load_scan(path, VOXELS)


def test_a_dense_mesh_becomes_few_points_with_normals_and_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.001, POINTS.shape)
    scan = thinned(tmp_path / "a.ply", POINTS + noise)
    assert scan.faces is None and scan.normals is not None and 500 < len(scan.points) < 6000
    assert f"{len(POINTS):,} vertices, which were thinned to {len(scan.points):,} points" in scan.notes[0]
    outwards, normals = (table / np.linalg.norm(table, axis=1)[:, None] for table in (scan.points, scan.normals))
    assert np.abs(np.linalg.norm(scan.points, axis=1) - 0.5).max() < 0.005
    assert ((outwards * normals).sum(axis=1) > 0.8).mean() > 0.99


def test_without_voxels_a_file_is_read_as_it_is_and_so_is_a_small_one(tmp_path: Path) -> None:
    save_mesh(tmp_path / "a.ply", POINTS, FACES)
    assert len(load_scan(tmp_path / "a.ply").points) == len(POINTS)
    points, faces = globe(24, 48)
    assert len(thinned(tmp_path / "b.ply", points, faces).points) == len(points)


def test_points_keep_the_means_of_colours_and_sigma(tmp_path: Path) -> None:
    colours = np.where(POINTS[:, :1] > 0, 200, 100).astype(np.uint8).repeat(3, axis=1)
    carried = SurfaceAttributes(colours)
    sigma = np.full(len(POINTS), 0.5)
    scan = thinned(tmp_path / "a.ply", faces=np.zeros((0, 3), np.int32), sigma=sigma, attributes=carried)
    assert scan.faces is None and scan.sigma is not None and np.allclose(scan.sigma, 0.5)
    assert scan.attributes is not None and scan.attributes.colours is not None
    right = scan.points[:, 0] > 0.2
    assert (scan.attributes.colours[right] == 200).all()
    assert np.abs(np.linalg.norm(scan.points, axis=1) - 0.5).max() < 0.01


def test_outliers_and_points_that_are_nowhere_do_not_make_the_cells_large(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[5], points[6] = 1e9, np.nan
    scan = thinned(tmp_path / "a.ply", points)
    assert len(scan.points) > 500 and np.isfinite(scan.points).all() and scan.points.max() == 1e9


def test_more_cells_than_memory_allows_are_taken_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(thinned(tmp_path / "a.ply").points)
    monkeypatch.setattr(ply_clusters, "MOST_CELLS", before - 1)
    assert len(load_scan(tmp_path / "a.ply", VOXELS).points) < before


def test_memory_does_not_follow_the_file(tmp_path: Path) -> None:
    save_mesh(tmp_path / "a.ply", POINTS, FACES)
    load_scan(tmp_path / "a.ply", VOXELS)  # its modules
    tracemalloc.start()
    load_scan(tmp_path / "a.ply", VOXELS)
    thin = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    load_scan(tmp_path / "a.ply")
    assert thin < tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_faces_that_point_nowhere_are_refused_and_polygons_are_read_whole(tmp_path: Path) -> None:
    save_mesh(tmp_path / "a.ply", POINTS, FACES + 1)
    with pytest.raises(OmomiError, match="points it does not have"):
        load_scan(tmp_path / "a.ply", VOXELS)
    save_mesh(tmp_path / "b.ply", POINTS, FACES)
    data = (tmp_path / "b.ply").read_bytes()
    # one more, of no corners
    (tmp_path / "b.ply").write_bytes(data.replace(b"face %d" % len(FACES), b"face %d" % (len(FACES) + 1)) + b"\0")
    assert len(load_scan(tmp_path / "b.ply", VOXELS).points) == len(POINTS)


def test_progress_is_told_from_the_first_row_to_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ply_clusters, "ROWS", len(POINTS) // 20)
    save_mesh(tmp_path / "a.ply", POINTS, FACES)
    told: list[str] = []
    load_scan(tmp_path / "a.ply", VOXELS, lambda done, text: told.append(text))
    shares = [int(text.rsplit(maxsplit=2)[1]) for text in told]
    assert shares == sorted(shares) and set(shares) == set(range(0, 100, 10))


def test_progress_may_end_it(tmp_path: Path) -> None:
    def stop(done: float, text: str) -> None:
        raise OmomiError(ErrorCode.CANCELLED, "Cancelled.")

    save_mesh(tmp_path / "a.ply", POINTS, FACES)
    with pytest.raises(OmomiError, match="Cancelled"):
        load_scan(tmp_path / "a.ply", VOXELS, stop)
