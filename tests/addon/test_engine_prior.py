"""What the model knows of whole shapes, through the shipped engine behind the installed extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import key
from tests.addon.test_engine_edits import bumpy

bpy = pytest.importorskip("bpy")


COARSE_FAMILIES = """
import importlib, runpy, sys
from pathlib import Path
del sys.argv[0]
runpy.run_path(sys.argv[0])["load_package"](Path(sys.argv[0]).parent)
sys.path.append(sys.argv[sys.argv.index("--site") + 1])
family, fitted_shape = (importlib.import_module(f"backend.prior.profile.{name}") for name in ("family", "fitted_shape"))
family.POINTS, family.CANDIDATES, family.COMPARED = 1000, 1, 1
fitted_shape.GROWTHS, fitted_shape.REFINED = (1.0,), 1
sys.exit(importlib.import_module("backend.cli.main").main())
"""
"""Starts the installed backend with families that are learned from fewer points and poses."""


@pytest.fixture(autouse=True)
def coarse(engine: Any) -> None:
    bpy.context.scene.omomi.level = "0"


@pytest.fixture
def prior(engine: Any) -> Any:
    """The same, where the model has a prior over shapes."""
    if not (engine.process.BACKEND / "models" / "flow.safetensors").is_file():
        pytest.skip("the zip holds no prior")
    return engine


def half_egg(make: Callable[..., Any], name: str = "egg", seed: int = 3) -> Any:
    """Points of the upper two thirds of an egg."""
    points = np.random.default_rng(seed).normal(size=(6000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return make(name, points[points[:, 2] > -0.3] * (1.0, 0.8, 1.3))


def vertices(obj: Any) -> np.ndarray:
    return np.array([v.co for v in obj.data.vertices])


def test_other_completions_differ_where_nothing_was_seen(engine: Any, make: Callable[..., Any]) -> None:
    half_egg(make)
    assert bpy.ops.omomi.fit(result="NEW", symmetry=False) == {"FINISHED"}
    fit = bpy.data.objects["egg.fit"]
    assert bpy.ops.omomi.complete_otherwise(count=2) == {"FINISHED"}
    made = [bpy.data.objects[f"egg.completion.{number}"] for number in (2, 3)]
    assert all(engine.mesh_io.open_loops(obj.data) == 0 for obj in made)
    first, second = map(vertices, made)
    assert first.shape != second.shape or not np.allclose(first, second)
    # What was measured is where it was: its distance from the egg.
    for found in (vertices(fit), first, second):
        seen = found[found[:, 2] > 0]
        assert np.quantile(abs(np.linalg.norm(seen / (1.0, 0.8, 1.3), axis=1) - 1), 0.95) < 0.06
    assert bpy.ops.omomi.pick_completion(name="egg.completion.3") == {"FINISHED"}
    assert np.array_equal(vertices(fit), second)


def test_check_tells_how_usual_the_shape_is(prior: Any, make: Callable[..., Any]) -> None:
    scan = half_egg(make)
    assert bpy.ops.omomi.check() == {"FINISHED"}
    assert "plausibility" in scan.omomi.check and "real shapes are no more usual" in scan.omomi.check


def test_the_slider_toward_the_plausible_applies(prior: Any, make: Callable[..., Any]) -> None:
    half_egg(make)
    bpy.ops.omomi.fit(result="NEW")
    bpy.ops.omomi.add_edit(kind="shape", name="plausible", strength=0.5)
    assert bpy.ops.omomi.apply() == {"FINISHED"}


def test_a_shape_slider_moves_a_fit_both_ways_and_at_0_not_at_all(prior: Any, make: Callable[..., Any]) -> None:
    half_egg(make)
    bpy.ops.omomi.fit(result="NEW")
    fit = bpy.data.objects["egg.fit"]
    name = next(one.name for one in prior.edits.built_in() if one.kind == "shape")
    bpy.ops.omomi.add_edit(kind="shape", name=name)
    moved = []
    for strength in (1.0, -1.0, 0.0):
        fit.omomi.edits[0].strength = strength
        assert bpy.ops.omomi.apply() == {"FINISHED"}
        moved.append(key(fit) - vertices(fit).astype(np.float32))
    up, down, none = moved
    # Seen by the eye, and still the egg, which is 2.6 long.
    assert all(0.01 < np.linalg.norm(one, axis=1).max() < 0.8 for one in (up, down))
    assert (up * down).sum() < 0 and (none == 0).all()


def test_a_family_of_three_completes_a_scan_of_a_fourth_and_judges_it(
    engine: Any, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A family of ten in all its detail takes minutes.
    monkeypatch.setattr(engine.operators.learn, "FEWEST_MEMBERS", 3)
    command = engine.process.command()
    entry = command.index(str(engine.process.BACKEND / "__main__.py"))
    monkeypatch.setattr(engine.process, "command", lambda: [*command[:entry], "-c", COARSE_FAMILIES, *command[entry:]])
    for bump in (-0.1, 0.0, 0.15):
        make(f"member {bump}", *bumpy(bump))
    assert bpy.ops.omomi.align(name="eggs") == {"FINISHED"}
    assert bpy.context.scene.omomi.family_report.startswith("eggs: 3 members")
    bpy.ops.object.select_all(action="DESELECT")
    points = bumpy(0.05, rings=40)[0]
    make("fourth", points[points[:, 0] > -0.3])
    assert bpy.ops.omomi.fit(result="NEW", profile="eggs", symmetry=False) == {"FINISHED"}
    fit = bpy.data.objects["fourth.fit"]
    assert engine.mesh_io.open_loops(fit.data) == 0
    found = vertices(fit)
    unseen = found[found[:, 0] < -0.6]
    assert len(unseen) > 20 and np.quantile(abs(np.linalg.norm(unseen / (1.0, 0.8, 1.3), axis=1) - 1), 0.9) < 0.08
    assert bpy.ops.omomi.check(profile="eggs") == {"FINISHED"}
    assert "for eggs" in fit.omomi.check
    assert len(fit.data.attributes["omomi_deviation"].data) == len(found)


def test_what_is_imagined_is_closed_and_the_same_for_one_seed(prior: Any, scene: Any) -> None:
    assert bpy.ops.omomi.sample(seed=1, count=1) == {"FINISHED"}
    first = bpy.context.view_layer.objects.active
    assert prior.mesh_io.open_loops(first.data) == 0 and "plausibility" in first.omomi.check
    bpy.ops.omomi.sample(seed=1, count=1)
    assert np.array_equal(vertices(first), vertices(bpy.context.view_layer.objects.active))


def test_the_audit_is_a_page(prior: Any, make: Callable[..., Any], tmp_path: Any) -> None:
    half_egg(make)
    assert bpy.ops.omomi.audit(filepath=str(tmp_path / "audit.html")) == {"FINISHED"}
    assert "<html" in (tmp_path / "audit.html").read_text("utf-8")[:1000].lower()
