"""Shape sliders: what the card of the model offers, as edits like any other; and a card that is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.addon.stand_ins import draw

bpy = pytest.importorskip("bpy")

ELONGATION = {"name": "elongation", "kind": "shape", "unit": "sd", "range": [-1.5, 2.5]}


@pytest.fixture
def card(addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a card in place of the shipped one; texts as they are, all else as the sliders of a card."""
    path = tmp_path / "card.json"
    monkeypatch.setattr(addon.edits, "CARD", path)

    def write(sliders: Any) -> Path:
        path.write_text(sliders if isinstance(sliders, str) else json.dumps({"hash": "x", "sliders": sliders}))
        return path

    write([ELONGATION])
    return write


def signature(addon: Any, obj: Any) -> Any:
    return addon.slices.at_once(addon.edits.read(obj, obj.omomi.edits)).signature


def found(addon: Any) -> list[str]:
    return [item.name for item in addon.edits.built_in() if item.kind == "shape"]


def test_a_shape_slider_is_an_edit_and_travels_by_its_name(fake: Any, card: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    assert bpy.ops.omomi.add_edit(kind="shape", name="elongation", strength=0.5) == {"FINISHED"}
    bpy.ops.omomi.add_edit(kind="shape", name="plausible", strength=0.25)
    edit = scan.omomi.edits[0]
    assert (edit.kind, edit.name, edit.strength) == ("shape", "elongation", 0.5)
    assert bpy.ops.omomi.apply() == {"FINISHED"}
    (asked,) = fake.asked("StackRequest")
    told = [(layer.edit, layer.kind, layer.strength, layer.mute) for layer in asked["layers"]]
    assert told == [("elongation", "shape", 0.5, False), ("plausible", "shape", 0.25, False)]


def test_sliders_of_shapes_and_of_learned_edits_have_the_same_travel(fake: Any, card: Any, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="shape", name="elongation")
    bpy.ops.omomi.add_edit(kind="shape", name="plausible")
    learned = scan.omomi.edits.add()
    learned.kind, learned.name = "learned", "horns"
    for edit, low, high in zip(scan.omomi.edits, (-1.5, -0.02, -1), (2.5, 1, 1), strict=True):
        for amount, strength in ((-100, low), (100, high)):
            edit.amount = amount
            assert edit.strength == pytest.approx(strength)


def test_a_slider_that_the_model_does_not_have_is_refused(fake: Any, card: Any, make: Callable[..., Any]) -> None:
    scan = make("owl")
    with pytest.raises(RuntimeError, match=r"no shape slider 'wings'\. Choose one of the list"):
        bpy.ops.omomi.add_edit(kind="shape", name="wings")
    assert not scan.omomi.edits and scan.data.shape_keys is None


def test_a_shape_and_an_attribute_of_one_name_are_two_edits(fake: Any, addon: Any, card: Any, make: Any) -> None:
    card([{**ELONGATION, "name": "thickness"}])
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=1.0)
    first = addon.edits.stamp(scan.omomi.edits), signature(addon, scan)
    bpy.ops.omomi.reset_edits(remove=True)
    bpy.ops.omomi.add_edit(kind="shape", name="thickness", strength=1.0)
    second = addon.edits.stamp(scan.omomi.edits), signature(addon, scan)
    assert first[0] != second[0] and first[1] != second[1]


def test_a_slider_is_warned_of_by_what_is_known_of_this_scan_alone(fake: Any, addon: Any, card: Any, make: Any) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="shape", name="elongation")
    edit = scan.omomi.edits[0]
    edit.strength = 2.6
    assert addon.travel.safe_text(edit) == "safe range not measured" and not addon.travel.outside(edit)
    bpy.ops.omomi.check()
    assert addon.travel.safe_text(edit) == "safe about -125 .. 125 %" and addon.travel.outside(edit)


def test_an_amount_stays_where_it_was_set_when_the_travel_on_this_scan_becomes_known(
    fake: Any, card: Any, make: Any
) -> None:
    scan = make("owl")
    bpy.ops.omomi.add_edit(kind="shape", name="elongation")
    bpy.ops.omomi.add_edit(kind="shape", name="elongation")
    by_amount, by_strength = scan.omomi.edits
    by_amount.amount, by_strength.strength = 50, 1.25
    assert by_amount.strength == by_strength.strength == 1.25
    bpy.ops.omomi.check()
    assert by_amount.amount == pytest.approx(50) and by_amount.strength == pytest.approx(0.6)
    assert by_strength.strength == 1.25
    # undone and told of again, it stays
    bpy.ops.omomi.check()
    assert by_amount.strength == pytest.approx(0.6)


@pytest.mark.parametrize("result", ["SHAPE_KEY", "NEW"])
def test_apply_makes_what_the_sliders_say_where_amounts_were_given_before_the_travel_is_known(
    result: str, fake: Any, addon: Any, card: Any, make: Any
) -> None:
    crow, scan = make("crow"), make("owl")
    bpy.context.view_layer.objects.active = scan
    bpy.ops.omomi.add_edit(kind="shape", name="elongation")
    scan.omomi.edits[0].amount = 50
    assert bpy.ops.omomi.apply(result=result) == {"FINISHED"}
    assert [asked["strengths"] for asked in fake.asked("ApplyRequest")] == [pytest.approx((0.6,))] * 2
    assert scan.omomi.edits[0].amount == pytest.approx(50)
    if result == "SHAPE_KEY":
        assert all(addon.live.shape_key.shows(obj) for obj in (crow, scan))


def test_a_sweep_goes_over_the_range_unless_told_otherwise(fake: Any, card: Any, make: Any) -> None:
    make("owl")
    bpy.ops.omomi.add_edit(kind="shape", name="plausible")
    bpy.ops.omomi.sweep()
    bpy.ops.omomi.sweep(low=-0.5)
    spans = [(fields["low"], fields["high"]) for fields in fake.asked("SweepRequest")]
    assert spans == [(0, 1), (-0.5, 2)]


@pytest.mark.parametrize(
    "sliders",
    [
        "", "{", "[]", "null", '{"sliders": 3}', '{"sliders": {"name": "x"}}', "[" * 10_000, '{"hash": "x"}',
        [None, 3, "elongation", [], {}, {"name": 3, "kind": "shape"}, {"name": "", "kind": "shape"}],
        [{"name": name, "kind": "shape"} for name in ("new\nline", "x" * 65, "../up", " spaced ", "con", "a:b")],
        [{"name": "thickness", "kind": "attribute"}, {"name": "style 3", "kind": "style"}, {"name": "nameless"}],
        [{"name": "plausible", "kind": "shape", "range": [-9, 9]}],
        # JSON has no such number, so the whole card is not to be trusted.
        [{"name": "elongation", "kind": "shape", "range": [float("nan"), 1]}],
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_slider_is_left_out(addon: Any, card: Any, sliders: Any) -> None:
    card(sliders)
    assert found(addon) == ["plausible"]
    assert addon.edits.find("shape", "plausible").useful == (0.0, 1.0)


def test_a_missing_card_and_one_that_is_too_large_have_none(addon: Any, card: Any) -> None:
    path = card([ELONGATION, {**ELONGATION, "unit": "x" * (5 << 20)}])
    assert found(addon) == ["plausible"]
    path.unlink()
    assert found(addon) == ["plausible"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"range": [-2, 3]}, (-2, 3)),
        ({"range": [3, -2]}, (-1, 1)),
        ({"range": [None, 1]}, (-1, 1)),
        ({"range": [-1e300, 1e300]}, (-1, 1)),
        ({"range": "far"}, (-1, 1)),
        ({}, (-1, 1)),
    ],
)
def test_the_range_is_that_of_the_card(addon: Any, card: Any, given: Any, expected: Any) -> None:
    card([{"name": "elongation", "kind": "shape", **given}])
    assert addon.edits.find("shape", "elongation").useful == expected


def test_the_list_follows_a_new_card_and_names_come_once(addon: Any, card: Any) -> None:
    assert found(addon) == ["elongation", "plausible"]
    card([{**ELONGATION, "name": name} for name in ("roundness", "roundness", "flatness")])
    assert found(addon) == ["roundness", "flatness", "plausible"]
    card([{**ELONGATION, "name": f"slider {number}"} for number in range(1000)])
    assert len(found(addon)) == 65


def test_the_shipped_card_can_be_read(addon: Any, scene: Any) -> None:
    assert addon.edits.CARD == addon.process.BACKEND / "models" / "card.json"
    assert found(addon)[-1] == "plausible"


def test_the_menu_offers_the_sliders_with_a_tooltip(fake: Any, addon: Any, card: Any, make: Any) -> None:
    make("owl")
    assert {"Elongation", "Usual Shape", "Thickness"} <= set(draw("OMOMI_MT_add_edit").texts().splitlines())
    tip = addon.operators.edits.OMOMI_OT_add_edit.description
    said = {
        name: tip(bpy.context, SimpleNamespace(kind=kind, name=name))
        for kind, name in (("shape", "elongation"), ("shape", "plausible"), ("attribute", "detail"), ("learned", ""))
    }
    assert said["elongation"].endswith("in sd; useful from -1.5 to 2.5")
    assert said["plausible"].startswith("Move the shape toward the most usual one")
    assert "relief" in said["detail"] and said[""].startswith("Add an edit")


def test_a_preset_keeps_shape_sliders(fake: Any, addon: Any, card: Any, make: Any) -> None:
    make("owl")
    bpy.ops.omomi.add_edit(kind="shape", name="elongation", strength=0.5)
    bpy.ops.omomi.add_edit(kind="attribute", name="detail", strength=-0.5)
    bpy.ops.omomi.save_preset(name="mine")
    recipe = json.loads((addon.preferences.library_folder() / "mine.json").read_text())
    assert [entry.get("kind") for entry in recipe["entries"]] == ["shape", None]
    other = make("crow")
    bpy.ops.omomi.load_preset(name="mine")
    assert [(edit.kind, edit.name) for edit in other.omomi.edits] == [("shape", "elongation"), ("attribute", "detail")]
    # Another model may not have it.
    card([])
    with pytest.raises(RuntimeError, match="no built-in edit 'elongation'"):
        bpy.ops.omomi.load_preset(name="mine")
    assert len(other.omomi.edits) == 2
