"""A hole of a sheet that is too large for the network is closed by what surrounds it; its outer border stays."""

from __future__ import annotations

import numpy as np

from backend.field.onnx_model import Model
from backend.formats.raw_scan import RawScan
from backend.geometry.topology import edge_report
from backend.prior.completion import completed_fit
from backend.prior.sheet_holes import sheet_hole_prior
from backend.protocol.fit_options import FitOptions
from backend.scan.prepare import prepare
from tests import input_kinds as kinds

MIDDLE, RADIUS = (0.45, 0.5), 0.16


def holed(radius: float = RADIUS) -> kinds.Mesh:
    return kinds.holes(kinds.grid(kinds.hills, 90), radius, MIDDLE)


def test_a_large_hole_of_a_sheet_is_closed_where_the_ground_was(model: Model) -> None:
    fit = completed_fit(RawScan(*holed()), model, FitOptions(level=2))
    assert fit.report.kind == "sheet" and edge_report(fit.mesh.faces).boundary_loops == 1
    x, y, z = fit.mesh.vertices.T
    within = np.hypot(x - MIDDLE[0], y - MIDDLE[1]) < 0.9 * RADIUS
    assert within.sum() > 500 and np.abs(z - kinds.hills(x, y))[within].mean() < 0.004
    assert np.abs(fit.mesh.vertices[:, :2] - 0.5).max() < 0.51


def test_the_outer_border_and_small_holes_of_a_sheet_and_other_scans_are_left_to_the_network() -> None:
    assert sheet_hole_prior(prepare(RawScan(*holed(0.0)))) is None
    assert sheet_hole_prior(prepare(RawScan(*holed(0.02)))) is None
    assert sheet_hole_prior(prepare(RawScan(*holed()), "scan")) is None
    assert sheet_hole_prior(prepare(RawScan(holed()[0]), "sheet")) is None
