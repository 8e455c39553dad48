from __future__ import annotations

import io
import json
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from backend.errors import ErrorCode, OmomiError
from backend.protocol import framing
from backend.protocol.framing import Decoder, Packet, encode, read_packets, write

dtypes = st.sampled_from([np.dtype(d) for d in framing.DTYPES])
shapes = npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7)
arrays = dtypes.flatmap(lambda dtype: npst.arrays(dtype, shapes))
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
heads = st.dictionaries(st.text().filter(lambda key: key != "arrays"), scalars | st.text(), max_size=4)
names = st.text(min_size=1, max_size=20)
packets = st.builds(Packet, heads, st.dictionaries(names, arrays, max_size=4))


def on_the_wire(packet: Packet) -> bytes:
    return b"".join(encode(packet))


def framed(head: object, blobs: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<4sI", b"OMOM", len(text)) + text + blobs


def same(a: Packet, b: Packet) -> bool:
    return (
        a.head == b.head
        and list(a.arrays) == list(b.arrays)
        and all(
            x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
            for x, y in zip(a.arrays.values(), b.arrays.values(), strict=True)
        )
    )


@given(st.lists(packets, max_size=4), st.data())
def test_packets_survive_any_chunking(sent: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(on_the_wire, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder, received = Decoder(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:stop])
    decoder.close()
    assert len(received) == len(sent)
    assert all(map(same, received, sent))


@given(packets)
@settings(max_examples=30)
def test_packets_survive_single_bytes(sent: Packet) -> None:
    decoder = Decoder()
    received = [packet for byte in on_the_wire(sent) for packet in decoder.feed(bytes([byte]))]
    assert len(received) == 1 and same(received[0], sent)


def test_arrays_keep_every_bit() -> None:
    ugly = np.array([np.nan, -0.0, np.inf, 5e-324, np.float64(0.1)])
    payload = np.frombuffer(struct.pack("<I", 0x7FC0BEEF), "<f4")
    (received,) = Decoder().feed(on_the_wire(Packet({}, {"ugly": ugly, "payload": payload})))
    assert received.arrays["ugly"].tobytes() == ugly.tobytes()
    assert received.arrays["payload"].tobytes() == payload.tobytes()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0, 2)])
def test_empty_arrays_keep_their_shape(shape: tuple[int, ...]) -> None:
    sent = Packet({"a": 1}, {"before": np.ones(2), "empty": np.zeros(shape, "<i4"), "after": np.ones(1)})
    (received,) = Decoder().feed(on_the_wire(sent))
    assert same(received, sent)


@pytest.mark.parametrize("view", [np.arange(24.0).reshape(4, 6).T, np.arange(24.0)[::-3], np.arange(6, dtype=">f4")])
def test_strided_and_big_endian_arrays_arrive_as_their_values(view: np.ndarray) -> None:
    (received,) = Decoder().feed(on_the_wire(Packet({}, {"a": view})))
    assert np.array_equal(received.arrays["a"], view)


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_raise_nothing_but_protocol_errors(noise: bytes, plausible: bool) -> None:
    decoder = Decoder()
    stream = (b"OMOM" + noise) if plausible else noise
    try:
        decoder.feed(stream)
        decoder.close()
    except OmomiError as error:
        assert error.code is ErrorCode.PROTOCOL


json_values = st.recursive(
    scalars | st.text(max_size=8),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=3),
    max_leaves=8,
)
hostile_specs = st.fixed_dictionaries(
    {},
    optional={
        "name": json_values | st.just("a"),
        "dtype": json_values | st.sampled_from(framing.DTYPES),
        "shape": json_values | st.lists(st.integers(-2, 2**70), max_size=4),
    },
)


@given(st.lists(hostile_specs, max_size=20) | json_values, st.binary(max_size=64))
def test_hostile_heads_raise_nothing_but_protocol_errors(entries: Any, tail: bytes) -> None:
    decoder = Decoder()
    try:
        decoder.feed(framed({"arrays": entries}, tail))
        decoder.close()
    except OmomiError as error:
        assert error.code is ErrorCode.PROTOCOL


@given(packets, st.integers(0, 2**32), st.integers(0, 255))
def test_one_flipped_byte_raises_nothing_but_protocol_errors(sent: Packet, place: int, value: int) -> None:
    stream = bytearray(on_the_wire(sent))
    stream[place % len(stream)] = value
    try:
        Decoder().feed(stream)
    except OmomiError as error:
        assert error.code is ErrorCode.PROTOCOL


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1",
        b"O_",
        struct.pack("<4sI", b"OMOM", framing.MAX_HEAD_BYTES + 1),
        struct.pack("<4sI", b"OMOM", 0),
        framed(b"\xff\xfe{}"),
        framed(b"[1, 2]"),
        framed(b'{"a": NaN}'),
        framed(b"[" * 50_000),
        framed(b'{"a": ' + b"9" * 10_000 + b"}"),
        framed({"arrays": {}}),
        framed({"arrays": [{"name": "a", "dtype": "<f4", "shape": [1]}] * 2}),
        framed({"arrays": [{"name": str(i), "dtype": "<f4", "shape": [1]} for i in range(17)]}),
        framed({"arrays": [{"name": str(i), "dtype": "<u1", "shape": [1 << 30]} for i in range(3)]}),
        framed({"arrays": [{"name": "a", "dtype": "<f8", "shape": [1 << 28]}]}),
        framed({"arrays": [{"name": "a", "dtype": "<f4", "shape": [0, 1 << 62]}]}),
        framed({"arrays": [{"name": "a", "dtype": "<f4", "shape": [True]}]}),
        framed({"arrays": [{"name": "a", "dtype": "<f4", "shape": [2.0]}]}),
        framed({"arrays": [{"name": "a", "dtype": "<f4", "shape": [-1]}]}),
        framed({"arrays": [{"name": "a", "dtype": "<f4", "shape": []}]}),
        framed({"arrays": [{"name": "a", "dtype": "|O", "shape": [1]}]}),
        framed({"arrays": [{"name": "a", "dtype": ">f4", "shape": [1]}]}),
    ],
)
def test_malformed_packets_are_refused_at_once_and_for_good(stream: bytes) -> None:
    decoder = Decoder()
    with pytest.raises(OmomiError) as caught:
        decoder.feed(stream)
    assert caught.value.code is ErrorCode.PROTOCOL
    with pytest.raises(OmomiError):
        decoder.feed(on_the_wire(Packet({})))


def test_nothing_is_allocated_for_what_a_head_only_claims() -> None:
    head = {"arrays": [{"name": "a", "dtype": "<u1", "shape": [1 << 30]}]}
    tracemalloc.start()
    try:
        decoder = Decoder()
        assert decoder.feed(framed(head, b"only these bytes came")) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(packets, st.data())
@settings(max_examples=50)
def test_a_stream_that_ends_inside_a_packet_is_an_error(sent: Packet, data: st.DataObject) -> None:
    stream = on_the_wire(sent)
    cut = stream[: data.draw(st.integers(1, len(stream) - 1))]
    with pytest.raises(OmomiError) as caught:
        list(read_packets(io.BytesIO(cut)))
    assert caught.value.code is ErrorCode.PROTOCOL


class Reluctant(io.BytesIO):
    """Takes at most seven bytes at a time, as a pipe may."""

    def write(self, data: Any, /) -> int:
        return super().write(data[:7])


def test_partial_writes_lose_nothing() -> None:
    sent = Packet({"a": "b" * 100}, {"points": np.arange(99.0)})
    stream = Reluctant()
    assert sum(write(stream, encode(sent))) == len(stream.getvalue())
    (received,) = read_packets(io.BytesIO(stream.getvalue()))
    assert same(received, sent)


@pytest.mark.parametrize("array", [np.ones(2, complex), np.ones(2, np.int64), np.array(["a"]), np.array([object()])])
def test_arrays_of_other_types_do_not_leave(array: np.ndarray) -> None:
    with pytest.raises(OmomiError) as caught:
        encode(Packet({}, {"a": array}))
    assert caught.value.code is ErrorCode.PROTOCOL


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_heads_that_are_not_json_do_not_leave(value: object) -> None:
    with pytest.raises(OmomiError) as caught:
        encode(Packet({"a": value}))
    assert caught.value.code is ErrorCode.PROTOCOL


def test_what_would_be_refused_on_arrival_does_not_leave() -> None:
    too_large = np.broadcast_to(np.float64(0), (1 << 28,))
    with pytest.raises(OmomiError) as caught:
        framing.check_bounds({"a": too_large})
    assert caught.value.code is ErrorCode.TOO_LARGE
    with pytest.raises(OmomiError) as caught:
        encode(Packet({"text": "x" * framing.MAX_HEAD_BYTES}))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_message_without_room_in_memory_costs_itself_and_not_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scarce(bytearray):
        """Takes no more than a head."""

        def __iadd__(self, data: bytes) -> Scarce:  # type: ignore[override]
            if len(self) + len(data) > 1000:
                raise MemoryError
            self.extend(data)
            return self

    monkeypatch.setattr(framing, "bytearray", Scarce, raising=False)
    arrays = {"small": np.zeros(2, "<f4"), "large": np.zeros(5000, "<f4"), "last": np.ones(3, "<f4")}
    stream = b"".join(
        bytes(buffer)
        for packet in (Packet({"id": 1}, arrays), Packet({"id": 2}, {"small": np.ones(2, "<f4")}))
        for buffer in encode(packet)
    )
    decoder = Decoder()
    packets = [packet for at in range(0, len(stream), 300) for packet in decoder.feed(stream[at : at + 300])]
    decoder.close()
    assert [(packet.head["id"], packet.lost, list(packet.arrays)) for packet in packets] == [
        (1, True, []),
        (2, False, ["small"]),
    ]
