"""Files of arrays: what goes in comes out to the last bit; what is damaged or hostile is refused."""

from __future__ import annotations

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
from backend.formats.files import FormatError, whole_file
from backend.formats.tables import LARGEST_FILE, load_tables, pack, save_tables, unpack
from backend.protocol.fit_options import FitOptions
from backend.protocol.recipe import Recipe, read_recipe, write_recipe

MODEL = "500a390ab7d8e85b"
HASH = "0123456789abcdef" * 4

# A function-scoped folder is fine where every example writes its file anew.
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of a file, as they are."""
    return load_tables(path, LARGEST_FILE, lambda arrays, metadata: (dict(arrays), dict(metadata)))


def save(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    save_tables(path, arrays, metadata or {}, LARGEST_FILE, lambda *_: None)


def refused(path: Path, read=load) -> OmomiError:
    with pytest.raises(OmomiError) as caught:
        read(path)
    error = caught.value
    assert error.code is ErrorCode.UNREADABLE_FILE
    assert error.message.startswith(f"{path.name} ") and error.message.endswith(".") and error.message.isprintable()
    assert len(error.message) < 400
    return error


def flaw(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
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
    save(tmp_path / "a.omomi", held, metadata)
    found, about = load(tmp_path / "a.omomi")
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
    save(tmp_path / "ours", held, metadata)
    assert same(numpy_files.load_file(tmp_path / "ours"), held)
    with safetensors.safe_open(tmp_path / "ours", "np") as opened:
        assert opened.metadata() == metadata
    numpy_files.save_file(held, tmp_path / "theirs", metadata)
    found, about = load(tmp_path / "theirs")
    assert same(found, held) and about == metadata
    save(tmp_path / "empty", {})
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
    assert "does not describe its data" in flaw(SOME + b"\0")
    assert same(unpack(SOME)[0], some_arrays())


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(SOME) - 1), st.integers(0, 255), st.integers(0, len(SOME) - 1), st.integers(0, 255))
def test_altered_bytes_are_refused_or_read_as_sound_arrays(first, value, second, other):
    data = bytearray(SOME)
    data[first], data[second] = value, other
    try:
        found, metadata = unpack(bytes(data))
    except FormatError:
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
    except FormatError:
        return
    assert sum(array.nbytes for array in found.values()) == 6
    assert all(isinstance(text, str) for pair in metadata.items() for text in pair)


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"a": described(offsets=[4, 8])}, bytes(8), "does not describe"),
        ({"a": described(), "b": described(offsets=[8, 12])}, bytes(12), "does not describe"),
        ({"a": described(shape=[2], offsets=[0, 8]), "b": described(offsets=[4, 8])}, bytes(8), "does not describe"),
        ({"a": described(), "b": described()}, bytes(4), "does not describe"),
        ({"a": described(offsets=[0, 8])}, bytes(8), "does not describe"),
        ({"a": described(offsets=[4, 0])}, bytes(4), "does not describe"),
        ({"a": described(offsets=[-4, 0])}, b"", "does not describe"),
        ({"a": described(offsets=[0.0, 4.0])}, bytes(4), "does not describe"),
        ({"a": described(offsets=[0, 4, 4])}, bytes(4), "does not describe"),
        ({"a": described(shape=[-1, -1])}, bytes(4), "does not describe"),
        ({"a": described(shape=[True])}, bytes(4), "does not describe"),
        ({"a": described(shape=[1.0])}, bytes(4), "does not describe"),
        ({"a": described(shape=4)}, bytes(4), "does not describe"),
        ({"a": described(shape=[1] * 9)}, bytes(4), "too many dimensions"),
        ({"a": described(shape=[0, 2**62], offsets=[0, 0])}, b"", "too large"),
        ({"a": described(shape=[0, 2**28, 2**28], offsets=[0, 0])}, b"", "too large"),
        ({"a": described(shape=[2**16, 2**16], offsets=[0, 2**28])}, b"", "does not describe"),
        ({"a": described("F16", [2])}, bytes(4), "type other than"),
        ({"a": described(["F32"])}, bytes(4), "does not describe"),
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
        stream.truncate(LARGEST_FILE + 1)
    assert "256 MiB" in refused(tmp_path / "huge").message
    assert "256 MiB" not in refused(tmp_path / "huge", read_recipe).message
    text = b"{}" + b" " * (1 << 20)
    assert "header is longer" in flaw(raw(text))


def test_what_is_absent_or_no_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    for read in (load, read_recipe):
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
        save(tmp_path / "a.omomi", held, metadata)
    assert caught.value.code is ErrorCode.BAD_OPTION and caught.value.message.startswith("a.omomi ")
    assert os.listdir(tmp_path) == []


def test_an_error_while_a_file_is_written_leaves_the_old_one_and_no_rubbish(tmp_path):
    path = tmp_path / "a.omomi"
    path.write_bytes(b"old")
    for error, seen in ((KeyError("a"), KeyError), (OSError(28, "No space left on device"), OmomiError)):
        with pytest.raises(seen), whole_file(path) as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.omomi"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, broken):
    edit, stack = tmp_path / "a.omomi", tmp_path / "r.json"
    save(edit, some_arrays())
    write_recipe(stack, Recipe(MODEL))
    before = edit.read_bytes(), stack.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    for write in (
        lambda: save(edit, {"a": np.zeros(9)}),
        lambda: write_recipe(stack, Recipe(MODEL, FitOptions(level=1))),
    ):
        with pytest.raises(OmomiError) as caught:
            write()
        assert caught.value.code is ErrorCode.DISK and "the disk is full" in caught.value.message
    assert (edit.read_bytes(), stack.read_bytes()) == before
    assert sorted(os.listdir(tmp_path)) == ["a.omomi", "r.json"]


def test_where_nothing_can_be_written_the_disk_is_named(tmp_path):
    for path in (tmp_path / "absent" / "a.omomi", tmp_path / "nul\0"):
        with pytest.raises(OmomiError) as caught:
            save(path, {})
        assert caught.value.code is ErrorCode.DISK


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    save(tmp_path / "a.omomi", {})
    assert (tmp_path / "a.omomi").stat().st_mode == (tmp_path / "usual").stat().st_mode
