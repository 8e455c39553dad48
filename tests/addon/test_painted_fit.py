"""Vertex groups that say where Denoise and Fill act: sent with the fit, kept with it, told where they are missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


@pytest.fixture
def owl(make: Callable[..., Any]) -> Any:
    scan = make("owl")
    scan.vertex_groups.new(name="rim").add([0, 1], 0.5, "REPLACE")
    scan.vertex_groups.new(name="face").add([7], 1.0, "REPLACE")
    return scan


def test_each_slider_is_sent_with_the_weights_of_its_group(fake: Any, owl: Any) -> None:
    bpy.ops.omomi.fit(result="NEW", fill=0.5, fill_mask="rim", denoise=1.0, denoise_mask="face")
    (sent,) = fake.asked("FitRequest")
    masks = sent["options"].masks
    rows = sent["masks"].reshape(-1, 8)
    assert np.array_equal(rows[masks["fill"].row], [0.5, 0.5, 0, 0, 0, 0, 0, 0])
    assert np.array_equal(rows[masks["denoise"].row], [0, 0, 0, 0, 0, 0, 0, 1])
    # the fit can be made again as it was
    bpy.ops.omomi.complete_otherwise(count=2)
    again = fake.asked("FitRequest")[-1]
    assert again["options"].masks == masks and np.array_equal(again["masks"], sent["masks"])


def test_without_an_amount_or_a_group_nothing_is_sent(fake: Any, owl: Any) -> None:
    bpy.ops.omomi.fit(result="NEW", fill=0.0, fill_mask="rim", denoise=1.0)
    (sent,) = fake.asked("FitRequest")
    assert sent["masks"] is None and not sent["options"].masks


def test_the_weights_are_those_of_the_mesh_that_modifiers_show(fake: Any, owl: Any) -> None:
    owl.modifiers.new("two", "ARRAY")
    bpy.ops.omomi.fit(result="NEW", fill=0.5, fill_mask="rim")
    (sent,) = fake.asked("FitRequest")
    assert len(sent["masks"]) == len(sent["points"]) == 16 and sent["masks"].sum() == 2.0


def test_painting_anew_fits_anew_and_a_missing_group_is_told(fake: Any, owl: Any, addon: Any) -> None:
    settings = bpy.context.scene.omomi
    settings.fill, settings.fill_mask = 0.5, "rim"
    bpy.ops.omomi.check()
    bpy.ops.omomi.check()
    assert len(fake.asked("FitRequest")) == 1
    owl.vertex_groups["rim"].add([3], 1.0, "REPLACE")
    bpy.ops.omomi.check()
    assert len(fake.asked("FitRequest")) == 2
    assert addon.edits.unmasked(owl, ["rim", "gone"], "sliders") == [
        "There is no vertex group 'gone', so the sliders that it masks do nothing."
    ]
