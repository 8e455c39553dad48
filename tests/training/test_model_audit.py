"""The stored audit: the card learns how far its sliders reach, and loses nothing by it."""

from __future__ import annotations

from backend.edits.reach import Reach
from backend.report.audit import audit_page
from backend.report.card import card_of
from backend.training.model_audit import with_reach

BEND = {"name": "bend", "kind": "shape", "direction": 0, "unit": "sd", "range": [-2.0, 2.0], "side_effect": 0.1}
STYLE = {"name": "old style", "kind": "style", "range": [-1.0, 1.0]}


def reach(low: float, high: float) -> Reach:
    return Reach("", "", -2.0, 2.0, (low, high))


def test_reach_is_added_to_what_the_card_says_of_a_slider() -> None:
    rows = with_reach([BEND, STYLE], {"bend": [reach(-1.23456, 2.0), reach(-2.0, 0.5)]})
    assert rows == [STYLE, BEND | {"reach": [[-1.235, 2.0], [-2.0, 0.5]]}]
    assert card_of({"sliders": rows}).sliders[1].reach == ((-1.235, 2.0), (-2.0, 0.5))


def test_built_in_sliders_are_added_and_measured_twice_stay_once() -> None:
    once = with_reach([BEND], {"thickness": [reach(-1.0, 1.0)], "bend": [reach(-1.0, 1.0)]})
    assert [row["name"] for row in once] == ["thickness", "bend"] and once[0]["kind"] == "attribute"
    assert with_reach(once, {"thickness": [reach(-1.0, 1.0)], "bend": [reach(-1.0, 1.0)]}) == once


def test_a_slider_without_references_keeps_its_range_and_is_shown_as_not_measured() -> None:
    rows = with_reach([BEND], {"bend": []})
    assert rows == [BEND | {"reach": []}]
    assert b"Not measured for this model" in audit_page(card_of({"sliders": rows}))


def test_figures_of_the_prior_with_one_name_share_a_row() -> None:
    prior = {"coverage, samples": 0.25, "coverage, training shapes": 0.5, "left out by a code": 0.125, "other": 1.0}
    page = audit_page(card_of({"prior": prior})).decode()
    assert page.count("<b>coverage</b>") == 1 and "0.5 (training shapes)" in page
    assert all(figure in page for figure in (">0.25<", ">0.125<", "<b>other</b>"))
