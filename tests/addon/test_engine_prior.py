"""What the model knows of whole shapes, through the shipped engine behind the installed extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


@pytest.fixture
def engine(addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """The extension with its own backend command, and an empty library."""
    if not list((addon.process.BACKEND / "models").glob("*.onnx")):
        pytest.skip("the zip holds no model")
    if not (addon.process.site_folder() / "onnxruntime").is_dir():
        pytest.skip("the zip holds no libraries for this Python")
    monkeypatch.setattr(addon.preferences, "library_folder", lambda: tmp_path / "library")
    bpy.context.scene.omomi.level = "0"
    return addon


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
