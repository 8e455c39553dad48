"""`omomi fit --register`: views of one scan, in one file or in several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.formats.mesh_files import save_mesh
from tests.conftest import Run
from tests.fakes import MeshEngine
from tests.scan_shapes import globe

OFF = 0.008


@pytest.fixture
def engine() -> MeshEngine:
    return MeshEngine(left=trimesh.creation.box())


@pytest.fixture
def views(omomi: Run, tmp_path: Path) -> list[Path]:
    """A cut of a dented globe, and another, which is off."""
    points, faces = globe(60, 120)
    points = points * (1 + 0.1 * np.sin(9 * points[:, :1]) * np.cos(8 * points[:, 1:2] + 5 * points[:, 2:]))
    paths = []
    for name, sign, off in (("left", -1, 0.0), ("right", 1, OFF)):
        kept = faces[(sign * points[faces][:, :, 0].mean(axis=1)) > -0.25]
        paths.append(tmp_path / f"{name}.ply")
        save_mesh(paths[-1], points + [off, 0, 0], kept)
    return paths


def test_several_files_become_one_scan_of_registered_views(
    omomi: Run, engine: MeshEngine, views: list[Path], tmp_path: Path
) -> None:
    code, out, err = omomi("fit", *views, "-o", tmp_path / "o.ply", "--register")
    assert code == 0 and engine.fits == 1 and engine.options.register_views
    (result,) = out["results"]
    assert result["joined"] == [str(path) for path in views] and result["scan"] == str(views[0])
    assert [one["view"] for one in result["report"]["views"]] == [0, 1]
    moved = [one for one in result["report"]["views"] if one["state"] == "moved"]
    assert sum(one["shift"] for one in moved) == pytest.approx(OFF, rel=0.1)
    assert result["report"]["notes"][0] in err and "of 2 views moved" in err


def test_with_a_folder_for_the_results_each_file_is_a_scan_of_its_own(omomi: Run, views: list[Path]) -> None:
    code, out, err = omomi("fit", *views, "-o", "done", "--register")
    assert code == 1 and len(out["results"]) == 2
    assert all(one["error"]["code"] == "bad_option" for one in out["results"])
    assert "left does not say which view each point is of" in err


def test_an_output_among_the_views_is_refused(omomi: Run, views: list[Path]) -> None:
    before = views[1].read_bytes()
    code, out, _ = omomi("fit", *views, "-o", views[1], "--register")
    assert code == 1 and "one of the inputs" in out["error"]["message"] and views[1].read_bytes() == before
