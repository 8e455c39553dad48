"""What a scan is read as: solids, sheets and scans of known kind, made procedurally."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.formats.raw_scan import RawScan
from backend.geometry.normals import unit
from backend.protocol.fit_options import FitOptions
from backend.scan.clean import CleanReport
from backend.scan.prepare import PreparedScan, prepare
from tests import input_kinds as kinds

SOLIDS, SHEETS, SCANS = kinds.solids(), kinds.sheets(), kinds.scans()


def read(mesh: kinds.Mesh, kind: str = "auto") -> PreparedScan:
    return prepare(RawScan(*mesh), kind)


@cache
def told(name: str) -> CleanReport:
    """What is said of a mesh of this name."""
    return read({**SOLIDS, **SHEETS, **SCANS}[name]).report


@pytest.mark.parametrize("name", SOLIDS)
def test_closed_parts_are_a_solid(name: str) -> None:
    found = told(name)
    assert (found.kind, "closed" in found.reason) == ("solid", True)


@pytest.mark.parametrize("name", SHEETS)
def test_a_surface_that_stays_open_is_a_sheet(name: str) -> None:
    assert told(name).kind == "sheet"


@pytest.mark.parametrize("name", SCANS)
def test_part_of_the_outside_of_a_solid_is_a_scan(name: str) -> None:
    assert told(name).kind == "scan"


def test_bare_points_are_a_scan_unless_the_artist_says_otherwise() -> None:
    points = kinds.grid(kinds.hills, 60)[0]
    normals = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    assert prepare(RawScan(points, None, normals)).report.kind == "scan"
    assert prepare(RawScan(points, None, normals), "sheet").sheet is not None


@pytest.mark.parametrize("kind", ["scan", "solid", "sheet"])
def test_the_artist_overrules(kind: str) -> None:
    for mesh in (SOLIDS["nested shells"], SHEETS["terrain"], SCANS["a bust"]):
        found = read(mesh, kind)
        assert found.report.kind == kind and "as asked" in found.report.reason
        assert (found.sheet is not None) == (kind == "sheet")


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(OmomiError) as caught:
        FitOptions(kind="blob")
    assert caught.value.code == ErrorCode.BAD_OPTION and "blob" in caught.value.message


@pytest.mark.parametrize("name", ["a bust", "a body with lost patches", "a view of a ring, 0"])
def test_a_scan_has_the_same_evidence_as_when_it_is_read_as_one(name: str) -> None:
    one, other = read(SCANS[name]), read(SCANS[name], "scan")
    assert np.array_equal(one.points, other.points) and np.array_equal(one.normals, other.normals)
    assert one.noise == other.noise and one.interior is None


@pytest.mark.parametrize("name", ["a closed bumpy body", "a mug", "two balls far apart"])
def test_a_solid_that_overlaps_nowhere_has_the_evidence_of_a_scan(name: str) -> None:
    solid, scan = read(SOLIDS[name]), read(SOLIDS[name], "scan")
    assert np.array_equal(solid.points, scan.points) and np.array_equal(solid.normals, scan.normals)
    assert solid.noise == scan.noise


def test_small_faces_of_a_noisy_scan_say_hardly_more_than_their_corners() -> None:
    mesh = kinds.noisy(kinds.without(kinds.ball(160), lambda middle: middle[:, 0] < 0.1), 0.004)
    corners = len(np.unique(mesh[1]))
    solid, scan = read(mesh, "solid"), read(mesh, "scan")
    assert len(solid.points) > 3 * corners > 2 * len(scan.points) > 2 * corners
    errors = []
    for one in (solid, scan):
        outward = unit(one.points - one.frame.to_canonical(np.zeros((1, 3))))[0]
        errors.append(np.median(np.arccos(np.clip((one.normals * outward).sum(axis=1), -1, 1))))
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize(
    "turned", [kinds.flipped, kinds.unwelded, lambda mesh: kinds.moved(mesh, (1e6, -1e6, 9), 0.01)]
)
@pytest.mark.parametrize("name", ["balls that overlap", "a hollow ball", "terrain with holes", "a bust"])
def test_winding_welding_and_place_do_not_change_the_kind(name: str, turned: object) -> None:
    mesh = {**SOLIDS, **SHEETS, **SCANS}[name]
    assert read(turned(mesh)).report.kind == told(name).kind  # type: ignore[operator]
