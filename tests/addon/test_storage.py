"""What is copied from and to memory in slices is what foreach_get and foreach_set give and take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

KINDS = (
    "FLOAT", "FLOAT2", "FLOAT_VECTOR", "FLOAT_COLOR", "BYTE_COLOR", "QUATERNION", "FLOAT4X4", "INT", "INT8", "INT16_2D",
    "INT32_2D", "BOOLEAN",
)  # fmt: skip
COUNT = 2000


class Layer:
    """A mesh with an attribute of a type."""

    def __init__(self, addon: Any, kind: str) -> None:
        self.kind, self._storage = kind, addon.storage
        self.member, self.width, self.dtype, _ = addon.attributes.KINDS[kind]
        self.mesh = bpy.data.meshes.new("m")
        self.mesh.vertices.add(COUNT)
        self.mesh.attributes.new("a", kind, "POINT")

    def elements(self) -> Any:
        return self.mesh.attributes["a"].data

    def random(self) -> np.ndarray:
        random, shape = np.random.default_rng(100), (COUNT, self.width)
        if self.dtype == np.float32:
            return random.uniform(0, 1, shape).astype(np.float32)
        return random.integers(0, 2 if self.dtype == np.bool_ else 100, shape).astype(self.dtype)

    def given(self) -> np.ndarray:
        """What foreach_get gives."""
        values = np.empty((COUNT, self.width), self.dtype)
        self.elements().foreach_get(self.member, values.reshape(-1))
        return values

    def give(self, values: np.ndarray) -> None:
        self.elements().foreach_set(self.member, values.reshape(-1))

    def read(self) -> Iterator[Any]:
        return self._storage.read(self.elements, self.kind, self.member, self.width, self.dtype, "reading")

    def write(self, values: np.ndarray) -> Iterator[Any]:
        return self._storage.write(self.elements, self.kind, self.member, values, "writing")


@pytest.fixture(params=KINDS)
def layer(request: Any, addon: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """An attribute of each type, which takes several slices."""
    monkeypatch.setattr(addon.storage, "COPIED", 1024)
    monkeypatch.setattr(addon.storage, "CONVERTED", 999)
    return Layer(addon, request.param)


def steps(work: Iterator[Any], between: Callable[[], None] = lambda: None) -> tuple[Any, int]:
    """What the work returns, and the number of its pauses."""
    pauses = 0
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value, pauses
        between()
        pauses += 1


def test_values_are_read_in_slices_as_blender_gives_them(layer: Layer) -> None:
    layer.give(layer.random())
    found, pauses = steps(layer.read())
    assert pauses > 2 and found.dtype == layer.dtype and np.array_equal(found, layer.given())


def test_values_are_written_in_slices_as_blender_takes_them(layer: Layer) -> None:
    values = layer.random()
    pauses = steps(layer.write(values))[1]
    found = layer.given()
    layer.give(values)
    assert pauses > 2 and np.array_equal(found, layer.given())


def test_elements_that_do_not_lie_one_after_the_other_are_left_to_blender(
    layer: Layer, addon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if an element were larger than is known
    stored, width = addon.storage.STORED[layer.kind]
    monkeypatch.setitem(addon.storage.STORED, layer.kind, (stored, width + 1))
    values = layer.random()
    layer.give(values)
    wanted = layer.given()
    assert np.array_equal(steps(layer.read())[0], wanted)
    layer.give(np.zeros_like(values))
    steps(layer.write(values))
    assert np.array_equal(layer.given(), wanted)


def test_values_that_move_between_two_slices_are_found(layer: Layer) -> None:
    layer.give(layer.random())
    wanted, places = layer.given(), set()

    def move() -> None:
        # a copy shares the values until they are asked for again, and then keeps the old place
        layer.mesh.copy()
        places.add(layer.elements()[0].as_pointer())

    found, _ = steps(layer.read(), move)
    assert len(places) > 1 and np.array_equal(found, wanted)


def test_what_else_shows_the_same_values_keeps_them(layer: Layer) -> None:
    other, wanted = layer.mesh.copy(), layer.given()
    steps(layer.write(layer.random()))
    kept = np.empty_like(wanted)
    other.attributes["a"].data.foreach_get(layer.member, kept.reshape(-1))
    assert np.array_equal(kept, wanted)


@pytest.mark.skipif(bpy.app.version < (5, 0), reason="from 5.0 on a file has a working space of its own")
def test_colours_are_converted_as_the_working_space_of_the_file_asks(addon: Any, scene: Any) -> None:
    layer = Layer(addon, "BYTE_COLOR")
    layer.give(layer.random())
    usual = layer.given()
    bpy.ops.wm.set_working_color_space(working_space="ACEScg", convert_colors=False)
    assert not np.allclose(layer.given(), usual)
    assert np.array_equal(steps(layer.read())[0], layer.given())


def test_one_element_and_none_are_read(addon: Any, scene: Any) -> None:
    for count in (0, 1):
        mesh = bpy.data.meshes.new("m")
        mesh.vertices.add(count)
        mesh.attributes.new("a", "FLOAT", "POINT")
        mesh.attributes["a"].data.foreach_set("value", np.full(count, 3, np.float32))
        work = addon.storage.read(lambda mesh=mesh: mesh.attributes["a"].data, "FLOAT", "value", 1, np.float32, "")
        assert steps(work)[0].tolist() == [[3.0]] * count
