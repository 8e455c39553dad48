"""Names of files on every system, and the shape sliders that a card lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.errors import ErrorCode, OmomiError
from backend.protocol.names import (
    ATTRIBUTES,
    LARGEST_CARD,
    LONGEST_NAME,
    CardSlider,
    card_members,
    card_sliders,
    is_file_name,
    name_flaw,
)

GOOD = {"name": "width", "kind": "shape", "direction": 1, "range": [-2, 1.5], "unit": "sd"}


@pytest.mark.parametrize("name", ["a", "é", "重み", "a.b", "left arm", "console", "com", "x" * LONGEST_NAME])
def test_names_that_any_file_system_takes(name: str) -> None:
    assert is_file_name(name) and name_flaw(name) == ""


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("", "1 to 64 characters"),
        ("x" * (LONGEST_NAME + 1), "1 to 64 characters"),
        ("new\nline", "printable"),
        ("\ud800", "printable"),
        ("../up", "none of"),
        ("a:b", "none of"),
        (" spaced", "a dot or a space"),
        ("ends.", "a dot or a space"),
        ("con", "Windows"),
        ("LPT1.old", "Windows"),
    ],
)
def test_what_cannot_name_a_file_is_told_with_the_reason(name: str, flaw: str) -> None:
    assert not is_file_name(name) and flaw in name_flaw(name)


@pytest.mark.parametrize("value", [None, 3, b"a", ["a"]])
def test_what_is_no_text_is_no_name(value: Any) -> None:
    assert not is_file_name(value)


def test_every_attribute_has_zero_and_one_on_its_slider_and_says_what_one_does() -> None:
    for name, one in ATTRIBUTES.items():
        assert one.name == name and name.isidentifier()
        assert one.low < 0 < 1 <= one.high and one.label and one.description and one.one


def test_a_slider_of_a_card_is_read_whole() -> None:
    (found,) = card_sliders({"sliders": [GOOD]})
    assert found == CardSlider("width", "sd", 1, (-2.0, 1.5))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"direction": -1}, {"direction": None}),
        ({"direction": True}, {"direction": None}),
        ({"range": [1, 2]}, {"range": None}),
        ({"range": [0, 0]}, {"range": None}),
        ({"range": [-1e9, 1]}, {"range": None}),
        ({"range": [-(10**400), 1]}, {"range": None}),
        ({"range": "ab"}, {"range": None}),
        ({"range": [True, 2]}, {"range": None}),
        ({"unit": "x" * 65}, {"unit": ""}),
        ({"unit": 3}, {"unit": ""}),
    ],
)
def test_what_a_card_says_wrongly_counts_as_not_said(given: dict[str, Any], expected: dict[str, Any]) -> None:
    (plain,) = card_sliders({"sliders": [GOOD]})
    (found,) = card_sliders({"sliders": [{**GOOD, **given}]})
    assert found == plain._replace(**expected)


@pytest.mark.parametrize(
    "sliders",
    [
        3,
        {"name": "x"},
        [None, 3, "width", [], {}],
        [{**GOOD, "kind": "style"}, {**GOOD, "name": "a/b"}, {**GOOD, "name": 3}, {**GOOD, "name": "plausible"}],
    ],
)
def test_what_is_no_shape_slider_is_left_out(sliders: Any) -> None:
    assert list(card_sliders({"sliders": sliders})) == [] == list(card_sliders({}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', "[" * 100_000, json.dumps({"a": "x" * LARGEST_CARD})])
def test_what_is_no_card_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(OmomiError) as caught:
        card_members(tmp_path / "card.json")
    assert caught.value.code is ErrorCode.UNREADABLE_FILE
