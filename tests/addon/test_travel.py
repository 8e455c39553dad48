"""The travel of sliders as the backend measures it while they rest, stepped as the timer of a window does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.addon.stand_ins import draw, key, rest

bpy = pytest.importorskip("bpy")

NOTHING = "while its topology stays"


@pytest.fixture
def scan(fake: Any, make: Callable[..., Any]) -> Any:
    obj = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness")
    return obj


def test_an_edit_that_was_added_and_not_touched_is_not_measured(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    settle()
    assert not fake.requests and not addon.travel.is_measured(scan.omomi.edits[0])


def test_at_rest_the_slider_takes_its_travel_and_the_edit_stays_as_strong_as_it_was(
    fake: Any, addon: Any, scan: Any, settle: Any
) -> None:
    edit = scan.omomi.edits[0]
    edit.strength = 0.5
    settle()
    assert edit.strength == 0.5 and addon.travel.safe_text(edit) == "safe -100 .. 100 %"
    # a difference is seen from 0.125 on
    for amount, strength in ((1, 0.125), (100, 1.25), (-1, -0.125), (-100, -0.5), (0, 0)):
        edit.amount = amount
        assert edit.strength == pytest.approx(strength) and edit.amount == pytest.approx(amount)
    edit.strength = 0.5
    settle()
    assert fake.kinds["TravelRequest"] == 1


def test_each_edit_that_can_be_measured_is_measured_once(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    bpy.ops.omomi.add_edit(kind="attribute", name="detail")
    bpy.ops.omomi.add_edit(kind="attribute", name="smoothness")
    first, muted, last = scan.omomi.edits
    muted.mute, first.strength, last.strength = True, 0.5, 0.25
    settle()
    assert [asked["layer"] for asked in fake.asked("TravelRequest")] == [0, 2]
    assert [addon.travel.is_measured(edit) for edit in scan.omomi.edits] == [True, False, True]


def test_a_touch_comes_before_the_measure_which_begins_again_at_rest(
    fake: Any, addon: Any, scan: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = scan.omomi.edits[0]
    monkeypatch.setattr(addon.live, "REST_SECONDS", 0.0)
    monkeypatch.setattr(addon.live, "QUICK_SECONDS", 0.0)
    fake.slow.add("TravelRequest")
    edit.strength = 0.5
    while not fake.asked("TravelRequest"):
        addon.live.pump()
    # nobody waits for it
    assert addon.live.waiting() is None and not addon.live.shows_new_mesh()
    edit.strength = 0.75
    addon.live.pump()
    assert len(fake.cancelled) == 1
    fake.slow.clear()
    settle()
    assert (key(scan) != rest(scan)).any() and edit.strength == 0.75 and addon.travel.is_measured(edit)
    assert fake.kinds["TravelRequest"] == 2


def test_another_mesh_or_mask_has_another_travel(fake: Any, addon: Any, scan: Any, settle: Any) -> None:
    edit = scan.omomi.edits[0]
    edit.strength = 0.5
    settle()
    edit.foretold = (-0.25, 9.0)
    bpy.ops.omomi.check()
    assert not addon.travel.is_measured(edit) and addon.travel.safe_text(edit) == "safe about -125 .. 125 %"
    edit.strength = 0.25
    settle()
    assert addon.travel.is_measured(edit)
    edit.mask = "rim"
    assert not addon.travel.is_measured(edit)


@pytest.mark.parametrize(
    ("kept", "seen", "said"),
    [
        ((-0.5, 1.25), (-0.125, 0.125), ""),
        ((-0.1, 1.25), (-0.125, 0.125), "Below 0 no difference is seen on this scan while its topology stays"),
        ((-0.5, 2.0), (-0.125, 2.0), "Above 0 no difference is seen on this scan while its topology stays"),
        ((-0.1, 0.0), (-0.125, 0.125), "No difference is seen on this scan while its topology stays"),
    ],
)
def test_the_panel_says_where_a_slider_can_do_nothing_that_is_seen(
    kept: Any, seen: Any, said: str, fake: Any, addon: Any, scan: Any
) -> None:
    edit = scan.omomi.edits[0]
    edit.foretold, edit.kept, edit.seen = (-0.5, 1.25), kept, seen
    texts = draw("OMOMI_PT_edits").texts().replace("\n", " ")
    assert addon.travel.room_text(edit) == said and (NOTHING in texts) == bool(said)
    # such a side still goes as far as is foretold, with a warning
    edit.amount = -100
    assert edit.strength == pytest.approx(-0.4 if kept[0] > seen[0] else kept[0])
    assert addon.travel.outside(edit) == (kept[0] > seen[0])
