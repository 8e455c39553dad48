"""Files of edits and recipes: what goes in comes out to the last bit; what is damaged or hostile is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.errors import ErrorCode, OmomiError
from backend.field.fit import FitOptions
from backend.weights import recipe as recipe_module
from backend.weights import tensors as tensors_module
from backend.weights.files import Flaw
from backend.weights.recipe import (
    LONGEST_NAME,
    MOST_ENTRIES,
    Entry,
    MaskRef,
    Recipe,
    check_model,
    read_recipe,
    write_recipe,
)
from backend.weights.tensors import pack, read_tensors, unpack, write_tensors

MODEL = "500a390ab7d8e85b"
HASH = "0123456789abcdef" * 4

# A function-scoped folder is fine where every example writes its file anew.
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(path: Path, read=read_tensors) -> OmomiError:
    with pytest.raises(OmomiError) as caught:
        read(path)
    error = caught.value
    assert error.code is ErrorCode.UNREADABLE_FILE
    assert error.message.startswith(f"{path.name} ") and error.message.endswith(".") and error.message.isprintable()
    assert len(error.message) < 400
    return error


def flaw(data: bytes) -> str:
    with pytest.raises(Flaw) as caught:
        unpack(data)
    return str(caught.value)


def raw(header: Any, data: bytes = b"") -> bytes:
    """A file with any header: text as it is, else as JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def described(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and left[name].shape == right[name].shape
        and left[name].tobytes() == right[name].tobytes()
        for name in left
    )


def some_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "gains": rng.normal(size=(5, 3)).astype(np.float32),
        "covariance": rng.normal(size=(4, 4)),
        "frame": np.array(2.5),
        "steps": np.arange(-3, 4, dtype=np.int64),
        "levels": np.array([2, 3], np.int32),
        "bytes": np.arange(7, dtype=np.uint8),
        "used": np.array([True, False, True]),
        "none": np.zeros((0, 3), np.float32),
    }


SOME = pack(some_arrays(), {"model": MODEL, "kind": "ridge"})

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20).filter(
    lambda text: text != "__metadata__"
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
dtypes = st.sampled_from(["<f4", "<f8", "<i4", "<i8", "|u1", "|b1", ">f4", ">i8"])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if dtype[1] == "f" else None,
    )
)


@quick
@given(st.dictionaries(names, arrays, max_size=5), st.dictionaries(texts, texts, max_size=4))
def test_arrays_and_metadata_return_as_they_were(tmp_path, held, metadata):
    write_tensors(tmp_path / "a.omomi", held, metadata)
    found, about = read_tensors(tmp_path / "a.omomi")
    assert same(found, {name: array.astype(array.dtype.newbyteorder("=")) for name, array in held.items()})
    assert about == metadata
    assert all(array.flags.writeable and array.flags.aligned and array.flags.c_contiguous for array in found.values())
    assert os.listdir(tmp_path) == ["a.omomi"]


def test_views_are_written_as_what_they_show():
    whole = np.arange(24.0).reshape(4, 6)
    found, _ = unpack(pack({"turned": whole.T, "some": whole[::2, ::-3]}, {}))
    assert np.array_equal(found["turned"], whole.T) and np.array_equal(found["some"], whole[::2, ::-3])


def test_the_same_contents_give_the_same_bytes_in_any_order():
    held = some_arrays()
    assert pack(dict(reversed(held.items())), {"kind": "ridge", "model": MODEL}) == SOME


def test_the_data_of_every_array_are_aligned():
    (length,) = struct.unpack_from("<Q", SOME)
    header = json.loads(SOME[8 : 8 + length])
    assert length % 8 == 0
    for name, array in some_arrays().items():
        assert header[name]["data_offsets"][0] % array.dtype.itemsize == 0


def test_the_safetensors_package_reads_what_is_written_and_writes_what_is_read(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    safetensors = pytest.importorskip("safetensors")
    held, metadata = some_arrays(), {"model": MODEL, "note": 'quoted "重み" \U0001f600\n'}
    write_tensors(tmp_path / "ours", held, metadata)
    assert same(numpy_files.load_file(tmp_path / "ours"), held)
    with safetensors.safe_open(tmp_path / "ours", "np") as opened:
        assert opened.metadata() == metadata
    numpy_files.save_file(held, tmp_path / "theirs", metadata)
    found, about = read_tensors(tmp_path / "theirs")
    assert same(found, held) and about == metadata
    write_tensors(tmp_path / "empty", {})
    assert numpy_files.load_file(tmp_path / "empty") == {}


@quick
@given(st.binary(max_size=200))
@example(b"")
@example(struct.pack("<Q", 2**64 - 1))
@example(raw(b"[" * 5000))
@example(raw(b'{"a":' * 5000))
@example(raw(b'{"a":' + b"9" * 5000 + b"}"))
@example(raw(b"\xff\xfe"))
def test_bytes_that_are_no_file_of_arrays_are_refused(tmp_path, data):
    (tmp_path / "a.omomi").write_bytes(data)
    refused(tmp_path / "a.omomi")


def test_every_truncation_and_every_rest_is_refused():
    for size in range(len(SOME)):
        flaw(SOME[:size])
    assert "follow the header" in flaw(SOME + b"\0")
    assert same(unpack(SOME)[0], some_arrays())


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(SOME) - 1), st.integers(0, 255), st.integers(0, len(SOME) - 1), st.integers(0, 255))
def test_altered_bytes_are_refused_or_read_as_sound_arrays(first, value, second, other):
    data = bytearray(SOME)
    data[first], data[second] = value, other
    try:
        found, metadata = unpack(bytes(data))
    except Flaw:
        return
    assert all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f")
    # whatever is accepted can be written and read again
    again, about = unpack(pack(found, metadata))
    assert same(again, found) and about == metadata


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["a", "b", "__metadata__"]),
    st.sampled_from(["dtype", "shape", "data_offsets", "rest", None]),
    json_values,
)
def test_any_json_anywhere_in_the_header_is_refused_or_sound(name, key, value):
    header: dict[str, Any] = {"a": described(), "b": described("U8", [2, 1], [4, 6]), "__metadata__": {"x": "y"}}
    if key is None:
        header[name] = value
    else:
        header[name][key] = value
    try:
        found, metadata = unpack(raw(header, bytes(6)))
    except Flaw:
        return
    assert sum(array.nbytes for array in found.values()) == 6
    assert all(isinstance(text, str) for pair in metadata.items() for text in pair)


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"a": described(offsets=[4, 8])}, bytes(8), "do not start"),
        ({"a": described(), "b": described(offsets=[8, 12])}, bytes(12), "do not start"),
        ({"a": described(shape=[2], offsets=[0, 8]), "b": described(offsets=[4, 8])}, bytes(8), "do not start"),
        ({"a": described(), "b": described()}, bytes(4), "do not start"),
        ({"a": described(offsets=[0, 8])}, bytes(8), "do not agree"),
        ({"a": described(offsets=[4, 0])}, bytes(4), "do not agree"),
        ({"a": described(offsets=[-4, 0])}, b"", "two counts"),
        ({"a": described(offsets=[0.0, 4.0])}, bytes(4), "two counts"),
        ({"a": described(offsets=[0, 4, 4])}, bytes(4), "two counts"),
        ({"a": described(shape=[-1, -1])}, bytes(4), "counts"),
        ({"a": described(shape=[True])}, bytes(4), "counts"),
        ({"a": described(shape=[1.0])}, bytes(4), "counts"),
        ({"a": described(shape=4)}, bytes(4), "counts"),
        ({"a": described(shape=[1] * 9)}, bytes(4), "counts"),
        ({"a": described(shape=[0, 2**62], offsets=[0, 0])}, b"", "counts"),
        ({"a": described(shape=[0, 2**28, 2**28], offsets=[0, 0])}, b"", "larger than"),
        ({"a": described(shape=[2**16, 2**16], offsets=[0, 2**28])}, b"", "larger than"),
        ({"a": described("F16", [2])}, bytes(4), "type other than"),
        ({"a": described(["F32"])}, bytes(4), "type other than"),
        ({"a": {**described(), "more": 1}}, bytes(4), "not described by"),
        ({"a": {"dtype": "F32"}}, bytes(4), "not described by"),
        ({"a": None}, b"", "not described by"),
        ({"": described()}, bytes(4), "cannot be that of an array"),
        ({"a\nb": described()}, bytes(4), "cannot be that of an array"),
        ({"a" * 129: described()}, bytes(4), "cannot be that of an array"),
        ({"\ud800": described()}, bytes(4), "cannot be that of an array"),
        ({f"a{k}": described(shape=[0], offsets=[0, 0]) for k in range(257)}, b"", "more than 256"),
        ({"a": described("BOOL", [4])}, b"\0\1\2\0", "truth values"),
        ({"a": described()}, struct.pack("<f", np.nan), "not finite"),
        ({"a": described("F64", [1], [0, 8])}, struct.pack("<d", -np.inf), "not finite"),
        ({"__metadata__": {"a": 1}}, b"", "object of texts"),
        ({"__metadata__": ["a"]}, b"", "object of texts"),
        ({"__metadata__": None}, b"", "object of texts"),
        ({"__metadata__": {"a": "\udc00"}}, b"", "object of texts"),
        ({"__metadata__": {"a": "x" * (256 << 10)}}, b"", "metadata is longer"),
        (b'{"a":{},"a":{}}', b"", "twice"),
        (b'{"__metadata__":{"k":"a","k":"b"}}', b"", "twice"),
        (b'{"a":NaN}', b"", "not a number of JSON"),
        (b'{"a":1', b"", "not JSON"),
        (b'{"a":"\xff"}', b"", "not JSON"),
        (b" {}", b"", "brace"),
        (b"[]", b"", "brace"),
        (b"", b"", "brace"),
    ],
)
def test_headers_that_do_not_describe_the_file_exactly_are_refused_with_the_reason(header, data, reason):
    assert reason in flaw(raw(header, data))


def test_a_header_without_padding_is_read_too():
    found, _ = unpack(raw(b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', struct.pack("<d", 0.1)))
    assert found["a"].tolist() == [0.1] and found["a"].flags.aligned


def test_files_over_the_bounds_are_refused_before_they_are_read(tmp_path):
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(tensors_module.LARGEST_FILE + 1)
    assert "256 MiB" in refused(tmp_path / "huge").message
    assert "256 MiB" not in refused(tmp_path / "huge", read_recipe).message
    text = b"{}" + b" " * (1 << 20)
    assert "header is longer" in flaw(raw(text))


def test_what_is_absent_or_no_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    for read in (read_tensors, read_recipe):
        refused(tmp_path / "absent", read)
        refused(tmp_path / "folder", read)
        refused(tmp_path / "folder" / ("x" * 300), read)
        with pytest.raises(OmomiError):
            read(tmp_path / "nul\0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("held", "metadata"),
    [
        ({"a": np.array([np.nan])}, {}),
        ({"a": np.zeros(2, np.float16)}, {}),
        ({"a": np.array(["text"])}, {}),
        ({"a": np.array([None])}, {}),
        ({"a": np.zeros(2, complex)}, {}),
        ({"__metadata__": np.zeros(2)}, {}),
        ({"a\0": np.zeros(2)}, {}),
        ({"a": np.zeros((1,) * 9)}, {}),
        ({f"a{k}": np.zeros(1) for k in range(257)}, {}),
        ({"a": np.broadcast_to(np.zeros(1), (2**26,))}, {}),
        ({}, {"a": 1}),
        ({}, {"a": "\ud800"}),
        ({}, {"a": "\x00" * (200 << 10)}),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, held, metadata):
    with pytest.raises(OmomiError) as caught:
        write_tensors(tmp_path / "a.omomi", held, metadata)
    assert caught.value.code is ErrorCode.BAD_OPTION and caught.value.message.startswith("a.omomi ")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, broken):
    edit, stack = tmp_path / "a.omomi", tmp_path / "r.json"
    write_tensors(edit, some_arrays())
    write_recipe(stack, Recipe(MODEL))
    before = edit.read_bytes(), stack.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    for write in (
        lambda: write_tensors(edit, {"a": np.zeros(9)}),
        lambda: write_recipe(stack, Recipe(MODEL, FitOptions(level=1))),
    ):
        with pytest.raises(OmomiError) as caught:
            write()
        assert caught.value.code is ErrorCode.DISK and "No space left" in caught.value.message
    assert (edit.read_bytes(), stack.read_bytes()) == before
    assert sorted(os.listdir(tmp_path)) == ["a.omomi", "r.json"]


def test_where_nothing_can_be_written_the_disk_is_named(tmp_path):
    for path in (tmp_path / "absent" / "a.omomi", tmp_path / "nul\0"):
        with pytest.raises(OmomiError) as caught:
            write_tensors(path, {})
        assert caught.value.code is ErrorCode.DISK


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    write_tensors(tmp_path / "a.omomi", {})
    assert (tmp_path / "a.omomi").stat().st_mode == (tmp_path / "usual").stat().st_mode


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
entries = st.builds(Entry, file_names, numbers, st.sampled_from(["", HASH]), st.booleans(), st.none() | masks)
fits = st.builds(FitOptions, st.integers(0, 5), st.floats(-2, 2), st.floats(-1, 1), st.booleans())
recipes = st.builds(Recipe, st.sampled_from([MODEL, HASH]), fits, st.lists(entries, max_size=3).map(tuple))

ONE = Recipe(
    MODEL,
    FitOptions(level=3, fill=0.1),
    (
        Entry("thickness", 0.8, mask=MaskRef("vertex_group", "rim/left", falloff=0.02)),
        Entry("handle-fix", -1 / 3, HASH, True, MaskRef("box", low=(-1.0, -0.5, 0.0), high=(0.1, 0.2, 0.3))),
        Entry("handle-fix", 2.0, HASH, mask=MaskRef("sphere", centre=(0.0, 0.1, 0.2), radius=0.5)),
        Entry("grow", 5e-324, HASH, mask=MaskRef("file", "growth v2")),
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
    assert repr(Entry("a", np.float32(0.5)).strength) == "0.5"  # pyright: ignore[reportArgumentType]
    assert Recipe(MODEL, FitOptions(fill=1), (Entry("a", 1),)).to_json() == (
        Recipe(MODEL, FitOptions(fill=1.0), (Entry("a", 1.0),)).to_json()
    )


def test_what_a_recipe_leaves_out_takes_its_default():
    text = json.dumps({"version": 1, "model": MODEL, "entries": [{"edit": "thickness", "strength": 1}]})
    with_defaults = Recipe(MODEL, FitOptions(), (Entry("thickness", 1.0),))
    assert Recipe.from_json(text) == dataclasses.replace(with_defaults, version=recipe_module.VERSION)


def test_the_longest_recipe_can_be_read_again(tmp_path):
    name = "\U00020000" * LONGEST_NAME
    far = (-1e9 / 3, -1e9 / 3, -1e9 / 3)
    long = [MaskRef("file", name, falloff=1e9 / 3), MaskRef("box", low=far, high=far, falloff=1e9 / 3)]
    recipe = Recipe(MODEL, FitOptions(), tuple(Entry(name, 1e9 / 3, HASH, True, long[k % 2]) for k in range(256)))
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
    refused(tmp_path / "r.json", read_recipe)


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
    for make in (lambda: Entry(name, 1.0), lambda: MaskRef("file", name)):
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
        lambda: MaskRef("box", low=(0, 0, 0), high=(1, 1)),  # pyright: ignore[reportArgumentType]
        lambda: MaskRef("box", "name", low=(0, 0, 0), high=(1, 1, 1)),
        lambda: MaskRef("sphere", centre=(0, 0, 0), radius=-1),
        lambda: MaskRef("sphere", centre=(0, 0, 0), radius=True),
        lambda: MaskRef("vertex_group", "a\tb"),
        lambda: MaskRef("vertex_group", "rim", falloff=-0.1),
        lambda: MaskRef("vertex_group", "rim", falloff=np.inf),
        lambda: Entry("a", np.nan),
        lambda: Entry("a", 1e10),
        lambda: Entry("a", "1"),  # pyright: ignore[reportArgumentType]
        lambda: Entry("a", 1.0, HASH.upper()),
        lambda: Entry("a", 1.0, HASH[1:]),
        lambda: Entry("a", 1.0, HASH + "\n"),
        lambda: Entry("a", 1.0, mute=1),  # pyright: ignore[reportArgumentType]
        lambda: Entry("a", 1.0, mask="rim"),  # pyright: ignore[reportArgumentType]
        lambda: Recipe("shipped"),
        lambda: Recipe(MODEL, version=2),
        lambda: Recipe(MODEL, FitOptions(level=2.0)),  # pyright: ignore[reportArgumentType]
        lambda: Recipe(MODEL, entries=(Entry("a", 1.0),) * (MOST_ENTRIES + 1)),
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
        with pytest.raises(OmomiError) as caught:
            check_model(made_with, other, "handle.omomi")
        assert caught.value.code is ErrorCode.MODEL_MISMATCH
        assert all(part in caught.value.message for part in ("handle.omomi", MODEL, other))
    with pytest.raises(OmomiError) as caught:
        check_model("x\n" * 10_000, other)
    assert caught.value.message.isprintable() and len(caught.value.message) < 200
