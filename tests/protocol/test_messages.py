from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ErrorCode, OmomiError
from backend.frames import Decoder, Packet, encode
from backend.mailbox import Mailbox
from backend.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Failure,
    FitDone,
    FitRequest,
    Hello,
    MeshFrame,
    Message,
    Ping,
    Pong,
    Progress,
    Shutdown,
)
from backend.wire import from_packet, job_of, jsonable, to_packet

HELLO = Hello(PROTOCOL_VERSION, "1.2", 42, "abc", "cpu", ("A", "B"), "2.0", "1.2", {"head": 1})
POINTS = np.arange(12, dtype="<f8").reshape(4, 3)
FACES = np.array([[0, 1, 2]], "<i4")
MESH = MeshFrame(3, 1, True, (1e12, 0.0, -1.0), POINTS.astype("<f4"), FACES, np.ones(4, "<f4"))
MESSAGES: list[Message] = [
    HELLO,
    FitRequest(1, "ジャグ", {"level": 2, "keep_islands": True}, POINTS),
    FitRequest(2, "", {}, POINTS.astype("<f4"), FACES, np.ones((4, 3), "<f4"), np.ones((4, 3), "<f4")),
    FitRequest(2, "", {}, np.zeros((0, 3), "<f4"), np.zeros((0, 3), "<i4")),
    Progress(1, 0.25, "level 1 of 3"),
    MESH,
    FitDone(1, {"seconds": 1.5, "levels": [{"a": 1}]}, {"dropped": 0}),
    Failure(None, ErrorCode.MODEL_MISSING, "There is no model.", "trace"),
    Failure(7, ErrorCode.CANCELLED, "Cancelled."),
    Cancel(9),
    Ping(),
    Pong(),
    Shutdown(),
]


def there_and_back(message: Message) -> Message:
    (packet,) = Decoder().feed(b"".join(encode(to_packet(message))))
    return from_packet(packet)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_arrive_as_they_were_sent(message: Message) -> None:
    received = there_and_back(message)
    assert type(received) is type(message)
    for field in dataclasses.fields(message):
        sent, came = getattr(message, field.name), getattr(received, field.name)
        if isinstance(sent, np.ndarray):
            assert came.dtype == sent.dtype and came.shape == sent.shape and came.tobytes() == sent.tobytes()
        else:
            assert came == sent and type(came) is type(sent)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_heads_are_json_rpc(message: Message) -> None:
    head = to_packet(message).head
    assert head["jsonrpc"] == "2.0"
    assert len({"method", "result", "error"} & set(head)) == 1
    if "error" in head:
        assert isinstance(head["error"]["code"], int)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@given(data=st.data())
def test_a_member_lost_or_replaced_is_refused_or_understood_but_never_crashes(
    message: Message, data: st.DataObject
) -> None:
    head = json.loads(json.dumps(to_packet(message).head))
    place: Any = head
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not (isinstance(place[key], dict) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    if data.draw(st.booleans()):
        del place[key]
    else:
        junk = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.none())
        place[key] = data.draw(junk | st.dictionaries(st.text(), st.none()))
    try:
        from_packet(Packet(head, to_packet(message).arrays))
    except OmomiError as error:
        assert error.code in (ErrorCode.PROTOCOL, ErrorCode.PROTOCOL_VERSION)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"points": np.zeros((4, 2), "<f4")},
        {"points": np.zeros(4, "<f4")},
        {"points": np.zeros((4, 3), "<i4")},
        {"points": np.zeros((4, 3), "<f4"), "faces": np.zeros((1, 4), "<i4")},
        {"points": np.zeros((4, 3), "<f4"), "faces": np.zeros((1, 3), "<f4")},
    ],
)
def test_arrays_of_a_wrong_type_or_shape_are_refused_with_their_job_known(arrays: dict[str, np.ndarray]) -> None:
    packet = Packet({**to_packet(MESSAGES[1]).head}, arrays)
    with pytest.raises(OmomiError) as caught:
        from_packet(packet)
    assert caught.value.code is ErrorCode.PROTOCOL
    assert job_of(packet) == 1


def test_a_hello_of_another_version_is_refused_naming_both() -> None:
    with pytest.raises(OmomiError) as caught:
        there_and_back(dataclasses.replace(HELLO, protocol=PROTOCOL_VERSION + 6))
    assert caught.value.code is ErrorCode.PROTOCOL_VERSION
    assert str(PROTOCOL_VERSION) in caught.value.message and str(PROTOCOL_VERSION + 6) in caught.value.message


def test_an_error_code_of_the_future_is_an_internal_error_with_its_sentence() -> None:
    packet = to_packet(Failure(1, ErrorCode.DISK, "The moon is in the wrong phase."))
    packet.head["error"]["data"]["code"] = "moon"
    assert from_packet(packet) == Failure(1, ErrorCode.INTERNAL, "The moon is in the wrong phase.")


def test_a_failure_stays_inside_the_bounds_however_long_its_trace() -> None:
    failure = Failure.of(1, OmomiError(ErrorCode.INTERNAL, "Why.", "é" * 2_000_000 + "the end"))
    received = there_and_back(failure)
    assert isinstance(received, Failure) and received.detail.endswith("the end")


def test_a_mesh_far_from_the_origin_keeps_its_precision() -> None:
    received = there_and_back(MESH)
    assert isinstance(received, MeshFrame)
    assert np.array_equal(received.world(), POINTS + [1e12, 0, -1])


def test_numbers_of_numpy_become_plain_and_non_finite_ones_become_null() -> None:
    @dataclasses.dataclass
    class Stats:
        count: Any
        levels: Any

    plain = jsonable(Stats(np.int64(3), ({"a": np.float32(0.5), "b": math.nan}, np.arange(2), None, True)))
    assert json.dumps(plain) == '{"count": 3, "levels": [{"a": 0.5, "b": null}, [0, 1], null, true]}'


def frame(job: int, level: int, final: bool = False) -> MeshFrame:
    return dataclasses.replace(MESH, id=job, level=level, final=final)


def test_newest_mesh_wins_and_the_final_one_and_the_response_stay() -> None:
    box = Mailbox()
    for level in range(1000):
        box.put(Progress(1, level / 1000, ""))
        box.put(frame(1, level))
        box.put(frame(2, level))
    box.put(frame(1, 1000, final=True))
    box.put(FitDone(1, {}, {}))
    kinds = [(type(message).__name__, getattr(message, "level", None)) for message in box.drain()]
    assert kinds == [("Progress", None), ("MeshFrame", 999), ("MeshFrame", 1000), ("FitDone", None)]


def test_dropping_a_job_leaves_its_response_and_other_jobs() -> None:
    box = Mailbox()
    for message in (Progress(1, 0, ""), frame(1, 0), frame(2, 0), Failure(1, ErrorCode.CANCELLED, "")):
        box.put(message)
    box.drop(1)
    assert [type(message) for message in box.drain()] == [MeshFrame, Failure]
    assert box.get(timeout=0.01) is None


def test_responses_all_arrive_in_order() -> None:
    box = Mailbox()
    for job in range(50):
        box.put(FitDone(job, {}, {}))
    assert [message.id for message in box.take(7)] == [7]  # type: ignore[union-attr]
    assert [message.id for message in box.drain()] == [*range(7), *range(8, 50)]  # type: ignore[union-attr]
