"""Files of release 0.1.0 (protocol 4) load; its messages are refused by a sentence that names both protocols.

The files hold procedural data, made by the formulas below.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.edits.edit_file import load_edit, save_edit
from backend.edits.gear import Gear
from backend.errors import ErrorCode, OmomiError
from backend.prior.profile.profile import load_profile, save_profile
from backend.protocol.codec import from_packet
from backend.protocol.fit_options import FitOptions
from backend.protocol.framing import Decoder
from backend.protocol.messages import PROTOCOL_VERSION
from backend.protocol.names import card_members, card_sliders
from backend.protocol.recipe import Layer, MaskRef, read_recipe, write_recipe
from backend.report.card import read_card

FILES = Path(__file__).parent / "old_release"
MODEL = "0123456789abcdef"


def ball(count: int = 64) -> np.ndarray:
    """Points of the unit sphere on a spiral."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + 5**0.5) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1)


def test_a_learned_edit_loads_as_a_movement_and_is_written_with_the_same_values(tmp_path: Path) -> None:
    stored = load_edit(FILES / "bump.omomi")
    edit, points = stored.edit.movement, ball()
    assert stored.edit.gear is Gear.MOVEMENT and stored.edit.delta is None
    assert (stored.name, stored.model, stored.examples, edit.examples) == ("bump", MODEL, "jug, jar", 3)
    assert np.allclose(edit.reference.points, 0.8 * points, atol=1e-7)
    assert np.allclose(edit.codes, np.concatenate([0.8 * points[:8], points[:8]], 1), atol=1e-7)
    assert np.allclose(edit.gains, 0.125 * points[:8], atol=1e-7)
    assert np.array_equal(edit.factor, np.eye(8) + np.tri(8) / 8)
    numbers = edit.radius, edit.noise, edit.size, edit.disagreement, edit.unexplained
    assert numbers == (0.25, 0.0625, 0.125, 0.5, 0.25)
    save_edit(tmp_path / "bump.omomi", stored.edit, MODEL, stored.examples)
    again = load_edit(tmp_path / "bump.omomi").edit.movement
    assert all(np.array_equal(getattr(again, name), getattr(edit, name)) for name in ("codes", "gains", "factor"))
    assert (again.radius, again.noise, again.size, again.examples) == (edit.radius, edit.noise, edit.size, 3)


def test_a_profile_loads_and_is_written_to_the_same_bytes(tmp_path: Path) -> None:
    profile, points = load_profile(FILES / "teeth.profile"), ball()
    assert profile.members == ("a", "é", "c") and profile.sided
    assert np.allclose(profile.shape.points, 0.8 * points, atol=1e-7)
    assert np.allclose(profile.shape.modes, [0.125 * points, 0.0625 * points[::-1]], atol=1e-7)
    assert profile.departures.tolist() == [0.5, 0.25, 0.75]
    save_profile(tmp_path / "teeth.profile", profile)
    assert (tmp_path / "teeth.profile").read_bytes() == (FILES / "teeth.profile").read_bytes()


def test_a_recipe_loads_and_is_written_with_the_options_that_came_since(tmp_path: Path) -> None:
    recipe = read_recipe(FILES / "recipe.json")
    assert recipe.model == MODEL and recipe.fit == FitOptions(3, -0.5, 0.25, False, 7, False)
    assert recipe.entries == (
        Layer("thickness", 1.5),
        Layer("bump", -0.5, "ab" * 32, True, MaskRef("vertex_group", name="arm/left")),
        Layer("width", 1e-3, kind="shape", mask=MaskRef("sphere", centre=(0.0, 0.5, -1.0), radius=0.25, falloff=0.1)),
        Layer("detail", 1 / 3, mask=MaskRef("box", low=(-1.0, -1.0, -1.0), high=(0.0, 1.0, 1.0))),
        Layer("sharpness", 0.0, mask=MaskRef("file", name="m")),
    )
    write_recipe(tmp_path / "recipe.json", recipe)
    written, old = (json.loads((folder / "recipe.json").read_text()) for folder in (tmp_path, FILES))
    since = ("base", "walls", "kind", "register_views", "keep_thin", "thickness")
    old["fit"] |= {name: getattr(FitOptions(), name) for name in since}
    assert written == old


def test_a_preset_of_the_add_on_loads_as_a_recipe() -> None:
    preset = read_recipe(FILES / "preset.json")
    assert preset.fit == FitOptions(fill=0.5, symmetry=False)
    assert preset.entries == (
        Layer("smoothness", 0.6),
        Layer("bump", 1.0, "cd" * 32, mask=MaskRef("vertex_group", name="rim")),
        Layer("width", -1.0, kind="shape"),
    )


def test_a_card_loads() -> None:
    card = read_card(FILES / "card.json")
    assert card.hash and card.bars and card.descriptors and card.calibration and card.scores
    assert [slider.name for slider in card.sliders][:4] == ["thickness", "smoothness", "detail", "sharpness"]
    width, depth = card_sliders(card_members(FILES / "card.json"))
    assert (width.name, width.direction, width.range) == ("width", 0, (-2.3, 2.22))
    assert (depth.name, depth.direction, depth.range) == ("depth", 1, (-2.29, 2.26))


def test_a_backend_of_the_old_protocol_is_refused_by_a_sentence_that_names_both() -> None:
    (packet,) = Decoder().feed((FILES / "hello.packet").read_bytes())
    with pytest.raises(OmomiError) as caught:
        from_packet(packet)
    assert caught.value.code is ErrorCode.PROTOCOL_VERSION
    assert "protocol 4," in caught.value.message and f"speaks {PROTOCOL_VERSION}:" in caught.value.message


def test_a_request_of_the_old_protocol_is_refused() -> None:
    (packet,) = Decoder().feed((FILES / "stack.packet").read_bytes())
    with pytest.raises(OmomiError) as caught:
        from_packet(packet)
    assert caught.value.code in (ErrorCode.BAD_OPTION, ErrorCode.PROTOCOL)
