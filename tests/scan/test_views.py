"""Raw scans of several views: where the numbers of the views come from, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.formats.mesh_files import load_scan, save_mesh
from backend.formats.raw_scan import RawScan
from backend.geometry.surface_attributes import SurfaceAttributes
from backend.registration.views import ViewMotion
from backend.scan.views import MOST_VIEWS, registered, said_of_views
from tests.scan_shapes import box, cube

TILT = np.array([[1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1], [1, 0, -1], [-1, 0.2, -1]])


def box_views(off: float) -> RawScan:
    """A box seen from six sides, three faces at a time, the first view ``off`` its place."""
    points, normals = box(6000)
    points = (points + np.random.default_rng(1).normal(0, 0.002, (6000, 1)) * normals) * [1, 0.8, 0.6]
    seen = [np.flatnonzero(normals @ eye > 0.1) for eye in TILT]
    view = np.repeat(np.arange(len(TILT)), [len(one) for one in seen])
    chosen = np.concatenate(seen)
    return RawScan(points[chosen] + off * (view == 0)[:, None], None, normals[chosen], name="box", view=view)


def refused(raw: RawScan) -> str:
    with pytest.raises(OmomiError) as caught:
        registered(raw)
    assert caught.value.code is ErrorCode.BAD_OPTION and caught.value.message.endswith(".")
    return caught.value.message


@pytest.mark.parametrize("directions", ["given", "to the sensor", "unknown"])
def test_a_view_is_moved_back_whatever_is_known_of_its_normals(directions: str) -> None:
    raw, right = box_views(0.01), box_views(0.0)
    if directions != "given":
        raw = replace(raw, normals=None, to_sensor=raw.normals if directions == "to the sensor" else None)
    found, motions = registered(raw)
    assert [one.state for one in motions] == ["moved"] + ["right"] * 5
    assert np.abs(found.points - right.points).mean() < 0.001 < np.abs(raw.points - right.points).mean()


def test_points_that_are_nowhere_stay_nowhere() -> None:
    raw = box_views(0.01)
    points = raw.points.copy()
    points[::50] = [np.nan, np.inf, -1e200]
    found, motions = registered(replace(raw, points=points))
    assert np.array_equal(np.isnan(found.points), np.isnan(points)) and motions[0].state == "moved"


def test_a_view_of_a_few_points_stays_and_is_said() -> None:
    raw = box_views(0.01)
    view = raw.view.copy()  # type: ignore[union-attr]
    view[:5] = 9
    found, motions = registered(replace(raw, view=view))
    assert motions[-1] == ViewMotion(9, "apart") and np.array_equal(found.points[:5], raw.points[:5])


def test_a_scan_without_usable_views_is_refused_with_the_reason() -> None:
    raw = box_views(0.0)
    assert "which view each point is of" in refused(replace(raw, view=None))
    assert "no two views" in refused(replace(raw, view=np.zeros(len(raw.points), int)))
    assert f"at most {MOST_VIEWS}" in refused(replace(raw, view=np.arange(len(raw.points))))


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((8, 2)), np.full(8, 0.5), np.full(8, np.nan), np.full(8, "a")])
def test_wrong_labels_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(OmomiError, match=r"The view of cup is not one whole number for each point\."):
        RawScan(cube()[0], name="cup", view=wrong)


def test_npz_and_ply_say_the_view_of_each_point(tmp_path: Path) -> None:
    points, faces = cube()
    view = np.arange(8) // 3
    np.savez(tmp_path / "a.npz", points=points, faces=faces, view=view)
    save_mesh(tmp_path / "a.ply", points, faces, attributes=SurfaceAttributes(values={"view": view.astype(np.float32)}))
    views = {f"{name}{number}": value for number in range(2) for name, value in zip("VF", (points, faces), strict=True)}
    np.savez(tmp_path / "b.npz", **views, dir0=np.ones(3), dir1=-np.ones(3))
    assert [load_scan(tmp_path / name).view.tolist() for name in ("a.npz", "a.ply")] == [view.tolist()] * 2  # type: ignore[union-attr]
    assert load_scan(tmp_path / "b.npz").view.tolist() == [0] * 8 + [1] * 8  # type: ignore[union-attr]
    save_mesh(tmp_path / "c.ply", points, faces, attributes=SurfaceAttributes(values={"view": view / np.float32(2)}))
    assert load_scan(tmp_path / "c.ply").view is None


def test_scans_become_the_views_of_one_and_keep_what_all_have() -> None:
    points, faces = cube()
    grey, here = np.full((8, 3), 128, np.uint8), {"heat": np.arange(8, dtype=np.float32)}
    one = RawScan(points, faces, name="a", sigma=np.ones(8), attributes=SurfaceAttributes(grey, values=here))
    two = RawScan(
        points + 2, faces, normals=points, name="b", view=np.repeat([5, 7], 4), attributes=SurfaceAttributes(grey)
    )
    whole = RawScan.of_views([one, two])
    assert whole.name == "a" and whole.faces is not None and np.array_equal(whole.faces[12:], faces + 8)
    assert whole.view is not None and whole.view.tolist() == [0] * 8 + [1] * 4 + [2] * 4
    assert whole.normals is None and whole.sigma is not None and np.isnan(whole.sigma[8:]).all()
    assert whole.attributes is not None and whole.attributes.colours is not None and not whole.attributes.values
    bare = RawScan.of_views([one, RawScan(points)])
    assert bare.faces is None and bare.attributes is None


def test_what_was_done_is_said_in_a_sentence_for_each_kind() -> None:
    moved = [ViewMotion(0, "moved", 0.0121, 0.25), ViewMotion(1, "moved", 0.004, 0.9), ViewMotion(2, "right")]
    assert said_of_views(moved) == ("2 of 3 views moved, by up to 1.2 % of the longest side and 0.9 degrees.",)
    others = [ViewMotion(0, "right"), ViewMotion(1, "right"), ViewMotion(2, "apart"), ViewMotion(3, "far", 0.1, 2.0)]
    assert said_of_views(others) == (
        "No view moved: those that overlap are right already.",
        "1 of 4 views stayed: they overlap no other.",
        "1 of 4 views stayed: they are too far off.",
    )
