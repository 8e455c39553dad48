"""Edits on sheets: the border stays where it is and the result is open, or a sentence says what to do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.edits.apply import apply_stack
from backend.edits.blend import blend
from backend.edits.fitted_scan import FittedScan
from backend.edits.masks import BorderMask
from backend.edits.stack import EditSession
from backend.edits.sweep import sweep_stack
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import fit, ignore
from backend.field.onnx_model import Model
from backend.formats.raw_scan import RawScan
from backend.geometry.measure import measure
from backend.geometry.topology import edge_report
from backend.protocol.fit_options import FitOptions
from backend.protocol.recipe import Layer
from backend.protocol.requests import EditTarget, Outcome
from backend.scan.prepare import prepare
from tests import input_kinds as kinds


@pytest.fixture(scope="module", params=["terrain with holes", "a bent sheet"])
def session(request: pytest.FixtureRequest, model: Model) -> EditSession:
    raw = RawScan(*kinds.sheets()[request.param])
    scan = prepare(raw)
    return EditSession(FittedScan(raw, scan, fit(scan, model, FitOptions(level=1)), 1))


def border(faces: NDArray) -> NDArray:
    """The vertices at edges of one face."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    return np.unique(edges[uses == 1])


@pytest.mark.parametrize("outcome", [Outcome.CARRIED, Outcome.REMESHED])
@pytest.mark.parametrize("name", ["smoothness", "detail", "sharpness"])
def test_a_slider_moves_a_sheet_and_leaves_its_border(
    name: str, outcome: Outcome, session: EditSession, model: Model
) -> None:
    session.lay(EditTarget.FIT, [Layer(name, 1.0)], None, ignore)
    found, before = apply_stack(session, [1.0], outcome, model, ignore), session.fitted.world(EditTarget.FIT)
    assert edge_report(found.faces).boundary_loops == 1
    assert np.array_equal(found.vertices[border(found.faces)], before[border(found.faces)])
    assert np.abs(found.vertices - before).max() > 1e-4


def test_what_needs_an_inside_is_refused_and_says_what_to_do(session: EditSession) -> None:
    def thicken() -> None:
        session.lay(EditTarget.FIT, [Layer("thickness", 1.0)], None, ignore)

    def follow() -> None:
        session.lay(EditTarget.FIT, [Layer("detail", 1.0)], None, ignore)
        sweep_stack(session, [1.0], 0, -1, 1, 4, ignore)

    for what in (thicken, follow, lambda: blend(session.fitted, session.fitted, ignore)):
        with pytest.raises(OmomiError, match=r"is a sheet.*with a thickness, or as a scan or a solid, first") as caught:
            what()
        assert caught.value.code == ErrorCode.NOT_A_MESH


def test_a_sheet_that_was_given_a_thickness_is_edited_as_a_solid(model: Model) -> None:
    raw = RawScan(*kinds.sheets()["a leaf"])
    scan = prepare(raw)
    session = EditSession(FittedScan(raw, scan, fit(scan, model, FitOptions(level=1, thickness=0.08)), 1))
    session.lay(EditTarget.FIT, [Layer("thickness", 1.0)], None, ignore)
    found = apply_stack(session, [1.0], Outcome.REMESHED, model, ignore)
    assert edge_report(found.faces).closed
    before = measure(session.fitted.world(EditTarget.FIT), session.fitted.mesh(EditTarget.FIT).faces)
    assert measure(found.vertices, found.faces).volume > 1.05 * before.volume  # type: ignore[operator]


def test_a_border_mask_is_nothing_at_the_border_and_all_beyond_its_width() -> None:
    points, faces = kinds.grid(lambda x, y: 0 * x, 21)
    mask = BorderMask(points, faces, 0.2)
    away = np.minimum(points[:, :2], 1 - points[:, :2]).min(axis=1)
    weights = mask.at(points)
    assert (weights[away == 0] == 0).all() and (weights[away > 0.21] == 1).all()
    assert (np.diff(weights[np.argsort(away, kind="stable")]) > -1e-6).all()
