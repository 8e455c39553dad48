"""How a slider goes through the strengths of an edit."""

from __future__ import annotations

import pytest

from backend.protocol.slider_travel import FIRST, LEAST_TRAVEL, Side, slider_travel

USEFUL = (-2.0, 1.0)


@pytest.mark.parametrize("side", [Side(2.0), Side(-1.0), Side(2.0, 0.3), Side(-1.0, -0.99)])
def test_a_share_of_the_way_and_its_strength_belong_together(side: Side) -> None:
    for share in (0.0, 0.004, FIRST, 0.3, 1.0, 1.5):
        assert side.share(side.strength(share)) == pytest.approx(share, abs=1e-12)
    assert side.strength(0.0) == 0 and side.strength(1.0) == pytest.approx(side.end)


def test_the_first_hundredth_of_the_way_leads_to_where_a_difference_is_seen() -> None:
    below, above = slider_travel(USEFUL, (-9.0, 9.0), (-1.5, 1.0), (-0.5, 0.25))
    assert (below.end, above.end) == (-1.5, 1.0) and below.room and above.room
    assert below.strength(FIRST) == pytest.approx(-0.5) and above.strength(FIRST) == pytest.approx(0.25)


def test_unmeasured_sides_go_most_of_the_way_to_what_is_foretold_within_the_range() -> None:
    assert slider_travel(USEFUL) == (Side(-2.0), Side(1.0))
    assert slider_travel(USEFUL, (-1.0, 9.0)) == (Side(-0.8), Side(1.0))
    least = LEAST_TRAVEL * 2.0
    assert slider_travel(USEFUL, (0.0, 0.0)) == slider_travel(USEFUL, safe=(0.0, 0.0)) == (Side(-least), Side(least))


def test_a_side_that_shows_nothing_says_so_and_goes_as_far_as_without_a_measure() -> None:
    # the topology changes before a difference is seen, and the range ends before
    below, above = slider_travel(USEFUL, (-1.0, 9.0), (-0.1, 1.0), (-0.2, 1.0))
    assert (below, above) == (Side(-0.8, room=False), Side(1.0, room=False))


def test_a_side_that_the_edit_is_not_made_for_has_nothing_to_say() -> None:
    below, above = slider_travel((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 0.1))
    assert below == Side(-LEAST_TRAVEL) and above.seen == 0.1
