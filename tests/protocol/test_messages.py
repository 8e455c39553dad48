from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.errors import ErrorCode, OmomiError
from backend.protocol.codec import MOST_ITEMS, from_packet, job_of, jsonable, to_packet
from backend.protocol.fit_options import KINDS, FitOptions
from backend.protocol.framing import Decoder, Packet, encode
from backend.protocol.mailbox import Mailbox
from backend.protocol.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Done,
    Failure,
    FitDone,
    Forget,
    Hello,
    MeshFrame,
    Message,
    Ping,
    Pong,
    Progress,
    Shutdown,
)
from backend.protocol.recipe import Layer, MaskRef
from backend.protocol.requests import (
    AlignRequest,
    ApplyRequest,
    AuditRequest,
    BlendRequest,
    CheckRequest,
    FitRequest,
    LearnRequest,
    PatchRequest,
    PoseRequest,
    ReadRequest,
    RemeshRequest,
    Request,
    SampleRequest,
    SolveRequest,
    StackRequest,
    SweepRequest,
    TransferRequest,
    TravelRequest,
)

HELLO = Hello(PROTOCOL_VERSION, "1.2", 42, "abc", "cpu", ("A", "B"), "2.0", "1.2", {"head": 1})
POINTS = np.arange(12, dtype="<f8").reshape(4, 3)
FACES = np.array([[0, 1, 2]], "<i4")
SINGLES = POINTS.astype("<f4")
MESH = MeshFrame(3, 1, True, (1e12, 0.0, -1.0), POINTS.astype("<f4"), FACES, np.ones(4, "<f4"))
LAYERS = (Layer("é", 0.5, mask=MaskRef("row", row=0), path="é.omomi"), Layer("a", 1.0, kind="shape"))
MESSAGES: list[Message] = [
    HELLO,
    FitRequest(1, "ジャグ", FitOptions(3, -0.5, 1.0, False, 7, False), "/home/é/teeth.profile", POINTS),
    FitRequest(2, "", FitOptions(), "", POINTS.astype("<f4"), FACES, np.ones((4, 3), "<f4"), np.ones((4, 3), "<f4")),
    FitRequest(2, "", FitOptions(), "", np.zeros((0, 3), "<f4"), np.zeros((0, 3), "<i4")),
    Progress(1, 0.25, "level 1 of 3"),
    MESH,
    FitDone(1, {"seconds": 1.5, "levels": [{"a": 1}]}, {"dropped": 0}),
    Failure(None, ErrorCode.MODEL_MISSING, "There is no model.", "trace"),
    Failure(7, ErrorCode.CANCELLED, "Cancelled."),
    Cancel(9),
    Ping(),
    Pong(),
    Shutdown(),
    StackRequest(4, 1, "scan", LAYERS, np.ones(4, "<f4")),
    StackRequest(4, 1, "fit", ()),
    PoseRequest(5, 1, (0.5, -1e9, 0.0)),
    ApplyRequest(6, 1, (), "carried"),
    RemeshRequest(6, 1, (0.5,)),
    SweepRequest(7, 1, (0.25,), 0, -1.0, 2.0, 24),
    TravelRequest(7, 1, 0),
    CheckRequest(8, 1, (1.0,), ""),
    SolveRequest(9, 1, (1.0,), 0, "thickness", 2.5),
    BlendRequest(10, 1, 2, 0.5, True, 0),
    LearnRequest(11, "handle", "/home/é/handle.omomi", (2, 1, 2, 0), POINTS, FACES),
    TransferRequest(12, 1, 3, (2,), SINGLES, FACES, SINGLES, FACES, np.ones(12, "<f4"), np.ones(6, "<f4")),
    TransferRequest(12, -1, 0, (), SINGLES, FACES, SINGLES, FACES),
    AlignRequest(13, "teeth", "/home/é/teeth.profile", ("a", "é"), (2, 1, 2, 0), POINTS, FACES),
    SampleRequest(14, 7, 2),
    AuditRequest(15, -1, "report.html", ""),
    ReadRequest(16, "yard.xyz"),
    PatchRequest(16, "é", (1, 3), 0.5, "auto", False, POINTS, FACES),
    PatchRequest(17, "é", (), 0.0, "flat", True, POINTS, FACES, np.ones(4, "<f4"), np.ones((6, 2), "<f4")),
    Forget(1),
    Done(5, {}, SINGLES),
    Done(8, {"topology": {"before": [1, 0, 0], "change": ""}, "rows": [None, 0.5]}, values=np.ones(4, "<f4")),
    Done(12, {}, None, np.ones(12, "<f4"), np.ones(6, "<f4"), np.zeros(1, "<i4"), np.ones(1, "<u1")),
    Done(8, {"family": {"name": "é", "typical": 0.5, "outside": 0.0}}, values=SINGLES[0], deviation=SINGLES[0]),
]


def there_and_back(message: Message) -> Message:
    (packet,) = Decoder().feed(b"".join(encode(to_packet(message))))
    return from_packet(packet)


def assert_arrives_as_sent(message: Message) -> None:
    received = there_and_back(message)
    assert type(received) is type(message)
    for field in dataclasses.fields(message):
        sent, came = getattr(message, field.name), getattr(received, field.name)
        if isinstance(sent, np.ndarray):
            assert came.dtype == sent.dtype and came.shape == sent.shape and came.tobytes() == sent.tobytes()
        else:
            assert came == sent and type(came) is type(sent)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_arrive_as_they_were_sent(message: Message) -> None:
    assert_arrives_as_sent(message)


def test_every_kind_of_message_is_among_those_tested() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(Message))


MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63) + 1, 2**63 - 1),
    "float": st.floats(-1e300, 1e300),
    "str": st.text(st.characters(exclude_categories=["Cs"])),
    "bool": st.booleans(),
    "tuple[float, ...]": st.lists(st.floats(-1e300, 1e300), max_size=9).map(tuple),
    "tuple[int, ...]": st.lists(st.integers(-9, 10**12), max_size=9).map(tuple),
    "dict[str, Any]": st.dictionaries(st.text("abc"), st.none() | st.integers() | st.lists(st.booleans())),
}
MEMBERS["FitOptions"] = st.builds(
    FitOptions,
    st.integers(0, 5),
    st.floats(-2, 2),
    st.floats(-1, 1),
    st.booleans(),
    st.integers(0, 9999),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(KINDS),
    st.booleans(),
)
MEMBERS["tuple[str, ...]"] = st.lists(MEMBERS["str"], max_size=9).map(tuple)
MASKS = st.builds(lambda row, falloff: MaskRef("row", row=row, falloff=falloff), st.integers(0, 9), st.floats(0, 1e9))
LAYER = st.builds(
    lambda strength, mute, mask, path: Layer("é", strength, mute=mute, mask=mask, path=path),
    st.floats(-1e9, 1e9), st.booleans(), st.none() | MASKS, st.sampled_from(["", "/home/é/a.omomi"]),
)  # fmt: skip
MEMBERS["tuple[Layer, ...]"] = st.lists(LAYER, max_size=4).map(tuple)


def arrays(rules: Any) -> st.SearchStrategy[Any]:
    """Arrays as a field takes them, of any bits."""
    columns = () if rules["columns"] is None else (rules["columns"],)
    shape = st.integers(0, 5).map(lambda rows: (rows, *columns))
    made = st.sampled_from(rules["dtypes"]).flatmap(
        lambda dtype: hnp.arrays("<u1", shape.map(lambda s: (*s, np.dtype(dtype).itemsize))).map(
            lambda raw: raw.view(dtype).reshape(raw.shape[:-1])
        )
    )
    return made | st.none() if rules["optional"] else made


@pytest.mark.parametrize("kind", [*get_args(Request), Done, Forget])
@settings(max_examples=40)
@given(data=st.data())
def test_any_job_and_its_result_arrive_bit_for_bit(kind: Any, data: st.DataObject) -> None:
    fields = dataclasses.fields(kind)
    values = [data.draw(arrays(field.metadata) if field.metadata else MEMBERS[str(field.type)]) for field in fields]
    assert_arrives_as_sent(kind(*values))


@pytest.mark.parametrize(
    ("message", "member", "value"),
    [
        (PoseRequest(1, 1, ()), "strengths", 0.5),
        (PoseRequest(1, 1, ()), "strengths", [True]),
        (PoseRequest(1, 1, ()), "strengths", ["1"]),
        (PoseRequest(1, 1, ()), "strengths", [1e301]),
        (PoseRequest(1, 1, ()), "strengths", [0.0] * (MOST_ITEMS + 1)),
        (PoseRequest(1, 1, ()), "handle", 1.0),
        (PoseRequest(1, 1, ()), "handle", True),
        (StackRequest(1, 1, "fit", ()), "layers", [["path"]]),
        (StackRequest(1, 1, "fit", ()), "layers", {"path": "a"}),
        (StackRequest(1, 1, "fit", ()), "layers", [{}] * (MOST_ITEMS + 1)),
        (StackRequest(1, 1, "fit", ()), "body", None),
        (LearnRequest(1, "", "", (), POINTS, FACES), "counts", [1.5]),
        (LearnRequest(1, "", "", (), POINTS, FACES), "counts", [1 << 63]),
        (BlendRequest(1, 1, 2, 0.5, True, 0), "guarded", 1),
        (CheckRequest(1, 1, (), ""), "profile", None),
        (AlignRequest(1, "", "", (), (), POINTS, FACES), "names", [1]),
        (AlignRequest(1, "", "", (), (), POINTS, FACES), "names", "ab"),
        (SampleRequest(1, 0, 2), "seed", 0.5),
        (SampleRequest(1, 0, 2), "level", True),
        (AuditRequest(1, -1, "a", ""), "path", None),
    ],
)
def test_a_member_of_a_wrong_type_or_length_is_refused(message: Message, member: str, value: Any) -> None:
    packet = to_packet(message)
    packet.head["params"][member] = value
    with pytest.raises(OmomiError) as caught:
        from_packet(packet)
    assert caught.value.code is ErrorCode.PROTOCOL
    assert job_of(packet) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"warp": 9, "zeal": 1}, "There is no option 'warp', 'zeal'."),
        ({"level": 6}, "The level must lie between 0 and 5, not 6."),
        ({"level": True}, "The level must be a whole number."),
        ({"variation": 1.0}, "The variation must be a whole number."),
        ({"fill": "much"}, "The fill must be a number."),
        ({"denoise": None}, "The denoise must be a number."),
        ({"keep_islands": 1}, "The keep_islands is either on or off."),
        ({"symmetry": "perhaps"}, "The symmetry is either on or off."),
    ],
)
def test_options_that_a_fit_cannot_have_are_refused_by_name(options: dict[str, Any], sentence: str) -> None:
    packet = to_packet(MESSAGES[1])
    packet.head["params"]["options"] = options
    with pytest.raises(OmomiError) as caught:
        from_packet(packet)
    assert caught.value.code is ErrorCode.BAD_OPTION and caught.value.message == sentence
    assert job_of(packet) == 1


def test_options_that_are_not_named_keep_their_defaults() -> None:
    packet = to_packet(MESSAGES[1])
    packet.head["params"]["options"] = {"level": 4}
    message = from_packet(packet)
    assert isinstance(message, FitRequest) and message.options == FitOptions(level=4)


def test_what_the_other_side_would_refuse_is_not_sent() -> None:
    for message in (
        PoseRequest(1, 1.5, ()),  # type: ignore[arg-type]
        PoseRequest(1, 1, (0.0,) * (MOST_ITEMS + 1)),
        PoseRequest(1, 1, (True,)),
        FitRequest(1, "a", {"level": 2}, "", POINTS),  # type: ignore[arg-type]
        StackRequest(1, 1, "fit", ({"edit": "detail"},)),  # type: ignore[arg-type]
        CheckRequest(1, 1, (), None),  # type: ignore[arg-type]
    ):
        with pytest.raises(OmomiError) as caught:
            to_packet(message)
        assert caught.value.code is ErrorCode.PROTOCOL


def test_names_on_the_wire_stay() -> None:
    heads = [to_packet(message).head for message in MESSAGES]
    sent = {head.get("method") or head["result"]["method"] for head in heads if "error" not in head}
    assert sent == {
        "align", "apply", "audit", "blend", "cancel", "check", "done", "fit", "forget", "frame", "hello", "learn",
        "patch", "ping", "pong", "pose", "progress", "read", "remesh", "sample", "shutdown", "solve", "stack",
        "sweep", "transfer", "travel",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["conquer", "hello", ["fit"], {"a": 1}, None, 7])
def test_a_result_of_no_known_method_is_refused(name: Any) -> None:
    with pytest.raises(OmomiError) as caught:
        from_packet(Packet({"jsonrpc": "2.0", "id": 1, "result": {"method": name, "result": {}}}))
    assert caught.value.code is ErrorCode.PROTOCOL


def test_a_result_cannot_come_as_a_method() -> None:
    with pytest.raises(OmomiError):
        from_packet(Packet({"jsonrpc": "2.0", "id": 1, "method": "done", "params": {"result": {}}}))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_heads_are_json_rpc(message: Message) -> None:
    head = to_packet(message).head
    assert head["jsonrpc"] == "2.0"
    assert len({"method", "result", "error"} & set(head)) == 1
    if "error" in head:
        assert isinstance(head["error"]["code"], int)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@settings(max_examples=40)
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
        assert error.code in (ErrorCode.PROTOCOL, ErrorCode.PROTOCOL_VERSION, ErrorCode.BAD_OPTION)


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
