"""Cards: what a report reads from them, and what it finds between two of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import ErrorCode, OmomiError
from backend.protocol.names import LARGEST_CARD
from backend.report.audit import audit_page
from backend.report.card import MOST_LEAVES, Card, Curve, card_of, leaves, read_card
from backend.report.card_diff import drifts, match_sliders
from backend.report.card_diff import settings as changed_settings

KNOWN = ["hash", "parameters", "config", "training", "known_limits", "descriptors", "sliders", "disentanglement"]
KNOWN += ["calibration_curve", "few_shot", "prior", "bench_fit", "bench_prior", "history"]

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8)
            | st.sampled_from(["name", "reach", "effect", "ours", "nominal", "observed", "bar", "mig"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def rich() -> dict[str, Any]:
    """A card that says everything."""
    shares = [0.1, 0.5, 0.9, 0.95]
    return {
        "hash": "0123456789abcdef",
        "parameters": 1396152,
        "device": "cpu",
        "config": {"widths": [24, 48, 96]},
        "training": {"step": 833, "seconds": 1322.5},
        "known_limits": ["walls thinner than a voxel dissolve"],
        "descriptors": ["volume", "length", "bend"],
        "sliders": [
            {"name": "thickness", "kind": "attribute", "range": [-2, 2], "reach": [[-2, 1], [-1, 2], [-0.5, 0.5]],
             "side_effect": 0.1, "scores": {"MIG": 0.5}, "effect": [1.0, 0.1, 0.0]},
            {"name": "bend", "kind": "shape", "direction": 0, "reach": [-0.5, 1], "side_effect": 0.3,
             "effect": [0.0, 0.1, -1.0]},
        ],
        "disentanglement": {
            "seeds": 5,
            "DCI-D": {"ours": [0.85, 0.02], "pca": [0.3, 0.05]},
            "mig": {"ours": [0.35, 0.03], "pca": [0.1, 0.02]},
            "side_effect": {"ours": [0.2, 0.01]},
            "something new": {"ours": 0.5},
        },
        "calibration_curve": {"0": {"nominal": shares, "observed": [0.12, 0.55, 0.88, 0.93]},
                              "1": {"nominal": shares, "observed": [0.02, 0.2, 0.6, 0.7]}},
        "few_shot": {"nominal": shares, "observed": [0.2, 0.7, 0.97, 0.99]},
        "prior": {"samples_watertight": 1.0},
        "bench_fit": {
            "chamfer / peer": {"measured": 0.62, "bar": 0.65, "passed": True},
            "sigma: Spearman": {"measured": 0.38, "bar": 0.5, "passed": False},
            "not run": {"measured": None, "bar": 1.0, "passed": None},
        },
    }  # fmt: skip


def test_a_card_is_read_with_all_that_it_says() -> None:
    card = card_of(rich())
    assert [slider.name for slider in card.sliders] == ["thickness", "bend"]
    assert card.sliders[0].reach == ((-2, 1), (-1, 2), (-0.5, 0.5)) and card.sliders[1].reach == ((-0.5, 1),)
    assert (card.sliders[0].low, card.sliders[0].high) == (-2, 2) and card.seeds == 5
    assert [score.key for score in card.scores] == ["dci_disentanglement", "mig", "side_effect", "something_new"]
    assert card.scores[0].ours == (0.85, 0.02) and card.scores[2].pca is None and card.scores[3].ours == (0.5, 0)
    assert [curve.name for curve in card.calibration] == ["level 0", "level 1"]
    assert [bar.passed for bar in card.bars] == [True, False, None]
    assert [bar.at_most for bar in card.bars] == [True, False, None]


def test_the_card_that_is_shipped_is_read(tmp_path: Path) -> None:
    from backend.field.onnx_model import MODEL_FOLDER

    path = MODEL_FOLDER / "card.json"
    if not path.is_file():
        pytest.skip("no model is installed")
    card = read_card(path)
    assert card.hash and card.bars and b"Audit" in audit_page(card)


def test_what_is_missing_is_named_and_never_invented() -> None:
    page = audit_page(Card()).decode()
    assert page.count("Not measured") >= 3 and "not installed" in page and "No benchmark" in page
    assert "\u00b1" not in page and "passed</span>" not in page


@given(st.dictionaries(st.sampled_from(KNOWN), ANYTHING, max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_object_makes_a_card_and_a_page(raw: dict[str, Any]) -> None:
    card = card_of(raw)
    page = audit_page(card, against=card_of(rich()))
    assert page.startswith(b"<!DOCTYPE html>") and audit_page(card_of(rich()), against=card)


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "\xff", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"]
)
def test_what_is_no_card_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OmomiError) as caught:
        read_card(tmp_path / "card.json")
    assert caught.value.code is ErrorCode.UNREADABLE_FILE


def test_a_card_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"a": "x" * LARGEST_CARD}))
    with pytest.raises(OmomiError, match="larger"):
        read_card(tmp_path / "card.json")


def test_of_a_wide_card_only_so_much_is_compared() -> None:
    wide = {f"measure {row}": {f"part {column}": column for column in range(500)} for row in range(500)}
    paths = [path for path, _ in leaves(wide)]
    assert len(paths) == MOST_LEAVES and paths[501] == ("measure 1", "part 1")
    card = card_of(wide)
    assert len(drifts(card, card)) == MOST_LEAVES


def test_absurd_numbers_are_left_out() -> None:
    card = card_of({"sliders": [{"name": "a", "side_effect": 10**400}], "prior": {"a": 1e300, "b": True, "c": 1}})
    assert card.sliders[0].side_effect is None and card.prior == (("c", 1.0),)


def test_what_a_curve_holds_lies_between_its_points() -> None:
    assert Curve("", (0.5, 1.0), (0.4, 1.0)).held(0.9) == pytest.approx(0.88)
    assert Curve("", (0.95, 0.8), (0.9, 0.7)).held(0.8) == pytest.approx(0.7)
    assert Curve("", (0.5,), (0.5,)).held(0.9) == pytest.approx(0.9)


def with_effects(effects: np.ndarray, names: list[str], descriptors: list[str]) -> Card:
    sliders = [{"name": name, "effect": row.tolist()} for name, row in zip(names, effects, strict=True)]
    return card_of({"sliders": sliders, "descriptors": descriptors})


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_sliders_that_were_shuffled_turned_round_and_rescaled_are_found_again(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    effects = np.linalg.qr(rng.normal(size=(9, 9)))[0][:count]
    order, signs = rng.permutation(count), rng.choice([-1.0, 1.0], count)
    changed = (signs * rng.uniform(0.2, 5, count))[:, None] * effects[order] + 0.01 * rng.normal(size=(count, 9))
    descriptors = [f"d{number}" for number in range(9)]
    columns = rng.permutation(9)
    old = with_effects(effects, [f"old {n}" for n in range(count)], descriptors)
    new = with_effects(changed[:, columns], [f"new {n}" for n in range(count)], [descriptors[c] for c in columns])
    found = match_sliders(old, new)
    assert dict(found.pairs) == {int(was): now for now, was in enumerate(order)}
    assert all(np.sign(found.cosines[was, now]) == signs[now] for was, now in found.pairs)
    assert not found.gone and not found.added


def test_sliders_that_do_another_thing_are_gone_or_new() -> None:
    old = with_effects(np.eye(3)[:2], ["a", "b"], ["x", "y", "z"])
    new = with_effects(np.eye(3)[1:], ["b", "c"], ["x", "y", "z"])
    found = match_sliders(old, new)
    assert found.pairs == ((1, 0),) and found.gone == [0] and found.added == [1]
    assert not match_sliders(card_of({"sliders": [{"name": "a"}]}), new).pairs
    assert not match_sliders(Card(), new).pairs


def test_a_card_has_not_drifted_from_itself() -> None:
    card = card_of(rich())
    found = drifts(card, card)
    assert found and all(drift.change == 0 and drift.better is None for drift in found)
    assert not changed_settings(card, card)


def test_drift_is_for_the_better_where_the_bar_says_so() -> None:
    raw = rich()
    raw["bench_fit"]["chamfer / peer"]["measured"] = 0.5
    raw["bench_fit"]["sigma: Spearman"]["measured"] = 0.19
    raw["disentanglement"]["side_effect"]["ours"] = [0.1, 0.0]
    found = {drift.name: drift for drift in drifts(card_of(rich()), card_of(raw))}
    assert found["fit: chamfer / peer"].better is True
    assert found["fit: sigma: Spearman"].better is False
    assert found["fit: sigma: Spearman"].change == pytest.approx(-0.5)
    assert found["sliders: Side effect, sd"].better is True
    assert found["sliders: MIG"].better is None and found["sliders: MIG"].change == 0


def test_what_was_set_otherwise_is_listed() -> None:
    raw = rich()
    raw["config"]["widths"][2], raw["train"] = 128, {"rate": 0.0006}
    found = {one.name: (one.old, one.new) for one in changed_settings(card_of(rich()), card_of(raw))}
    assert found == {"config, widths, 2": ("96", "128"), "train, rate": (None, "0.0006")}
