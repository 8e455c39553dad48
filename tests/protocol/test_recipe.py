"""Recipes: what goes in comes out to the last bit; what is damaged or hostile is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backend.errors import ErrorCode, OmomiError
from backend.protocol import recipe as recipe_module
from backend.protocol.fit_options import FitOptions
from backend.protocol.names import LONGEST_NAME
from backend.protocol.recipe import (
    MOST_ENTRIES,
    Layer,
    MaskRef,
    Recipe,
    check_model,
    read_recipe,
    write_recipe,
)

MODEL = "500a390ab7d8e85b"
HASH = "0123456789abcdef" * 4

# A function-scoped folder is fine where every example writes its file anew.
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(path: Path) -> OmomiError:
    with pytest.raises(OmomiError) as caught:
        read_recipe(path)
    error = caught.value
    assert error.code is ErrorCode.UNREADABLE_FILE
    assert error.message.startswith(f"{path.name} ") and error.message.endswith(".") and error.message.isprintable()
    assert len(error.message) < 400
    return error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

numbers = st.floats(-1e9, 1e9)
lengths = st.floats(0, 1e9)
points = st.tuples(numbers, numbers, numbers)
labels = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=LONGEST_NAME)
file_names = st.text("aZé重0 _.+-", max_size=LONGEST_NAME - 2).map(lambda middle: f"x{middle}y")


def box(ends: tuple[tuple[float, float], ...], falloff: float) -> MaskRef:
    x, y, z = (sorted(pair) for pair in ends)
    return MaskRef("box", low=(x[0], y[0], z[0]), high=(x[1], y[1], z[1]), falloff=falloff)


pairs = st.tuples(numbers, numbers)
masks = st.one_of(
    st.builds(lambda name, falloff: MaskRef("vertex_group", name, falloff=falloff), labels, lengths),
    st.builds(lambda name, falloff: MaskRef("file", name, falloff=falloff), file_names, lengths),
    st.builds(box, st.tuples(pairs, pairs, pairs), lengths),
    st.builds(lambda c, r, falloff: MaskRef("sphere", centre=c, radius=r, falloff=falloff), points, lengths, lengths),
)
entries = st.builds(Layer, file_names, numbers, st.sampled_from(["", HASH]), st.booleans(), st.none() | masks)
fits = st.builds(FitOptions, st.integers(0, 5), st.floats(-2, 2), st.floats(-1, 1), st.booleans())
recipes = st.builds(Recipe, st.sampled_from([MODEL, HASH]), fits, st.lists(entries, max_size=3).map(tuple))

ONE = Recipe(
    MODEL,
    FitOptions(level=3, fill=0.1, fill_mask=MaskRef("vertex_group", "rim/left")),
    (
        Layer("thickness", 0.8, mask=MaskRef("vertex_group", "rim/left", falloff=0.02)),
        Layer("handle-fix", -1 / 3, HASH, True, MaskRef("box", low=(-1.0, -0.5, 0.0), high=(0.1, 0.2, 0.3))),
        Layer("handle-fix", 2.0, HASH, mask=MaskRef("sphere", centre=(0.0, 0.1, 0.2), radius=0.5)),
        Layer("grow", 5e-324, HASH, mask=MaskRef("file", "growth v2")),
    ),
)


@quick
@given(recipes)
@example(ONE)
def test_a_recipe_returns_to_the_last_bit(tmp_path, recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe
    write_recipe(tmp_path / "r.json", recipe)
    found = read_recipe(tmp_path / "r.json")
    # repr also tells -0.0 from 0.0
    assert repr(found) == repr(recipe) and hash(found) == hash(recipe)
    assert found.to_json() == recipe.to_json()


def test_numbers_of_numpy_and_whole_numbers_are_kept_as_floats():
    assert repr(Layer("a", np.float32(0.5)).strength) == "0.5"  # pyrefly: ignore[bad-argument-type]
    assert Recipe(MODEL, FitOptions(fill=1), (Layer("a", 1),)).to_json() == (
        Recipe(MODEL, FitOptions(fill=1.0), (Layer("a", 1.0),)).to_json()
    )


def test_what_a_recipe_leaves_out_takes_its_default():
    text = json.dumps({"version": 1, "model": MODEL, "entries": [{"edit": "thickness", "strength": 1}]})
    with_defaults = Recipe(MODEL, FitOptions(), (Layer("thickness", 1.0),))
    assert Recipe.from_json(text) == dataclasses.replace(with_defaults, version=recipe_module.VERSION)


def test_the_longest_recipe_can_be_read_again(tmp_path):
    name = "\U00020000" * LONGEST_NAME
    far = (-1e9 / 3, -1e9 / 3, -1e9 / 3)
    long = [MaskRef("file", name, falloff=1e9 / 3), MaskRef("box", low=far, high=far, falloff=1e9 / 3)]
    recipe = Recipe(MODEL, FitOptions(), tuple(Layer(name, 1e9 / 3, HASH, True, long[k % 2]) for k in range(256)))
    write_recipe(tmp_path / "r.json", recipe)
    assert read_recipe(tmp_path / "r.json") == recipe


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(ONE.to_json()) - 1), st.integers(0, 255), st.booleans())
def test_an_altered_recipe_is_refused_or_sound(place, value, cut):
    text = bytearray(ONE.to_json().encode())
    text[place] = value
    try:
        found = Recipe.from_json(bytes(text[:place] if cut else text))
    except OmomiError as error:
        assert error.code is ErrorCode.UNREADABLE_FILE and error.message.isprintable()
        return
    assert Recipe.from_json(found.to_json()) == found


@quick
@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"version":1,"model":' + b"[" * 900 + b"]" * 900 + b"}")
@example(b'{"version":' + b"9" * 4000 + b"}")
@example(b" " * (1 << 20) + b"{}")
@example("\ud800".encode("utf-8", "surrogatepass"))
def test_bytes_that_are_no_recipe_are_refused(tmp_path, data):
    (tmp_path / "r.json").write_bytes(data)
    refused(tmp_path / "r.json")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, item in inner for way in [(*path, key), *places(item, (*path, key))]]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(places(json.loads(ONE.to_json()))), json_values)
@example(("entries", 0, "strength"), 10**400)
@example(("entries", 0, "strength"), float("nan"))
@example(("entries", 2, "mask", "radius"), -1)
@example(("fit", "level"), 10**400)
def test_any_json_anywhere_in_a_recipe_is_refused_or_sound(place, value):
    tree = json.loads(ONE.to_json())
    *way, last = place
    node = tree
    for key in way:
        node = node[key]
    node[last] = value
    try:
        found = Recipe.from_json(json.dumps(tree))
    except OmomiError as error:
        assert error.code is ErrorCode.UNREADABLE_FILE and error.message.isprintable()
        return
    assert Recipe.from_json(found.to_json()) == found


def test_unknown_and_missing_keys_are_refused_at_every_depth():
    for way in [("more",), ("fit", "more"), ("entries", 0, "more"), ("entries", 0, "mask", "more")]:
        tree = json.loads(ONE.to_json())
        node = tree
        for key in way[:-1]:
            node = node[key]
        node[way[-1]] = 1
        with pytest.raises(OmomiError, match="unknown key 'more'"):
            Recipe.from_json(json.dumps(tree))
    for key, inside in [("model", None), ("edit", 0), ("strength", 0)]:
        tree = json.loads(ONE.to_json())
        del (tree if inside is None else tree["entries"][inside])[key]
        with pytest.raises(OmomiError, match=f"has no {key}"):
            Recipe.from_json(json.dumps(tree))


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(OmomiError, match="'strength' stands in it twice"):
        Recipe.from_json(ONE.to_json().replace('"strength": 0.8', '"strength": 0.8, "strength": 8'))


def test_a_recipe_of_another_version_names_both_versions():
    with pytest.raises(OmomiError, match=r"R\.json cannot be read: it is of version 2, .* version 1\."):
        Recipe.from_json('{"version": 2, "anything": []}', "R.json")
    with pytest.raises(OmomiError):
        Recipe.from_json(ONE.to_json().replace('"version": 1', '"version": true'))


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b", "a\\b", "..", ".hidden", "a.", "a ", "C:x", "a\nb", "a\0", "nul", "COM1.x", "a*", "a" * 65,
     "\u202eabc", "\ud800", None, 7, ["a"]],
)  # fmt: skip
def test_names_that_are_no_names_of_files_are_refused(name):
    for make in (lambda: Layer(name, 1.0), lambda: MaskRef("file", name)):
        with pytest.raises(OmomiError) as caught:
            make()
        assert caught.value.code is ErrorCode.BAD_OPTION and caught.value.message.isprintable()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MaskRef("cone"),
        lambda: MaskRef("box"),
        lambda: MaskRef("box", low=(0, 0, 0), high=(1, 1, -1)),
        lambda: MaskRef("box", low=(0, 0, 0), high=(1, 1, np.nan)),
        lambda: MaskRef("box", low=(0, 0, 0), high=(1, 1)),  # pyrefly: ignore[bad-argument-type]
        lambda: MaskRef("box", "name", low=(0, 0, 0), high=(1, 1, 1)),
        lambda: MaskRef("sphere", centre=(0, 0, 0), radius=-1),
        lambda: MaskRef("sphere", centre=(0, 0, 0), radius=True),
        lambda: MaskRef("vertex_group", "a\tb"),
        lambda: MaskRef("vertex_group", "rim", falloff=-0.1),
        lambda: MaskRef("vertex_group", "rim", falloff=np.inf),
        lambda: Layer("a", np.nan),
        lambda: Layer("a", 1e10),
        lambda: Layer("a", "1"),  # pyrefly: ignore[bad-argument-type]
        lambda: Layer("a", 1.0, HASH.upper()),
        lambda: Layer("a", 1.0, HASH[1:]),
        lambda: Layer("a", 1.0, HASH + "\n"),
        lambda: Layer("a", 1.0, mute=1),  # pyrefly: ignore[bad-argument-type]
        lambda: Layer("a", 1.0, path="a\0b"),
        lambda: Layer("a", 1.0, kind="shape", path="a.omomi"),
        lambda: MaskRef("row", row=-1),
        lambda: MaskRef("row"),
        lambda: Recipe(MODEL, entries=(Layer("a", 1.0, mask=MaskRef("row", row=0)),)),
        lambda: Recipe(MODEL, FitOptions(fill_mask=MaskRef("row", row=0))),
        lambda: FitOptions(fill_mask="rim"),  # pyrefly: ignore[bad-argument-type]
        lambda: FitOptions.of({"fill_mask": {"kind": "file", "name": "rim", "size": 1}}),
        lambda: FitOptions.of({"fill_mask": {"name": "rim"}}),
        lambda: Recipe(MODEL, entries=(Layer("a", 1.0, path="a.omomi"),)),
        lambda: Layer("a", 1.0, mask="rim"),  # pyrefly: ignore[bad-argument-type]
        lambda: Recipe("shipped"),
        lambda: Recipe(MODEL, version=2),
        lambda: Recipe(MODEL, FitOptions(level=2.0)),  # pyrefly: ignore[bad-argument-type]
        lambda: Recipe(MODEL, entries=(Layer("a", 1.0),) * (MOST_ENTRIES + 1)),
    ],
)
def test_values_out_of_bounds_are_refused_when_they_are_made(make):
    with pytest.raises(OmomiError) as caught:
        make()
    assert caught.value.code is ErrorCode.BAD_OPTION and caught.value.message.endswith(".")


def test_a_recipe_or_edit_of_another_model_is_refused_by_name_and_both_hashes():
    check_model(ONE, MODEL)
    check_model(MODEL, MODEL)
    other = "f" * 16
    for made_with in (ONE, MODEL):
        check_model(made_with, other, predecessors=("0" * 16, MODEL))
        with pytest.raises(OmomiError) as caught:
            check_model(made_with, other, "handle.omomi")
        assert caught.value.code is ErrorCode.MODEL_MISMATCH
        assert all(part in caught.value.message for part in ("handle.omomi", MODEL, other))
    with pytest.raises(OmomiError) as caught:
        check_model("x\n" * 10_000, other)
    assert caught.value.message.isprintable() and len(caught.value.message) < 200
