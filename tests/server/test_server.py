"""The server process without the client: what it says on its streams, and how it ends."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ErrorCode
from backend.protocol.codec import from_packet, to_packet
from backend.protocol.fit_options import FitOptions
from backend.protocol.framing import Packet, encode, read_packets
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
from backend.protocol.requests import (
    ApplyRequest,
    BlendRequest,
    CheckRequest,
    FitRequest,
    LearnRequest,
    PoseRequest,
    RemeshRequest,
    SolveRequest,
    StackRequest,
    SweepRequest,
    TransferRequest,
    TravelRequest,
)
from backend.server import server as server_module
from tests.children import FAKE_SERVER, LIVENESS, cloud
from tests.fake_server import FakeEngine


class Conversation:
    """A server process, spoken to and listened to in turn."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(FAKE_SERVER, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin = self.process.stdin
        self._messages = map(from_packet, read_packets(self.process.stdout))
        hello = self.hear()
        assert isinstance(hello, Hello)
        self.hello = hello

    def say(self, *messages: Message | Packet) -> None:
        for message in messages:
            packet = message if isinstance(message, Packet) else to_packet(message)
            self.stdin.write(b"".join(encode(packet)))

    def hear(self) -> Message:
        return next(self._messages)

    def hear_until(self, kind: type) -> list[Message]:
        heard = [self.hear()]
        while not isinstance(heard[-1], kind):
            heard.append(self.hear())
        return heard

    def hear_half_way(self) -> None:
        """Until the engine itself has said something: a job's first progress may come from the server."""
        while getattr(self.hear_until(Progress)[-1], "fraction", 0) < 0.5:
            pass

    def hear_aside(self, words: bytes) -> None:
        """Until a line with these words comes on the error stream."""
        assert self.process.stderr is not None
        assert any(words in line for line in self.process.stderr)

    def end(self) -> int:
        self.stdin.close()
        code = self.process.wait(LIVENESS)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def watched(conversation: Conversation) -> Generator[Conversation]:
    """A server that hangs is killed, so that the test hears the end of its stream."""
    watch = threading.Timer(LIVENESS, conversation.process.kill)
    watch.start()
    yield conversation
    watch.cancel()


def ended(conversation: Conversation) -> None:
    conversation.process.kill()
    conversation.end()


@pytest.fixture
def server() -> Iterator[Conversation]:
    with watched(Conversation()) as conversation:
        yield conversation
    ended(conversation)


@pytest.fixture(scope="module")
def shared() -> Iterator[Conversation]:
    conversation = Conversation()
    yield conversation
    ended(conversation)


@pytest.fixture
def lasting(shared: Conversation) -> Iterator[Conversation]:
    """A server that several tests speak to."""
    with watched(shared):
        yield shared


def scan(job: int, name: str) -> FitRequest:
    return FitRequest(job, name, FitOptions(), "", cloud())


def test_it_introduces_itself_first(server: Conversation) -> None:
    assert server.hello.protocol == PROTOCOL_VERSION
    assert server.hello.pid == server.process.pid
    assert server.hello.numpy == np.__version__
    assert server.hello.limits["arrays"] == 16


@pytest.mark.parametrize("name", ["slow", "stuck", "echo"])
def test_the_end_of_stdin_ends_it_even_mid_job(server: Conversation, name: str) -> None:
    server.say(scan(1, name))
    server.hear_until(Progress)
    assert server.end() == 0


def test_a_shutdown_ends_it(server: Conversation) -> None:
    server.say(Shutdown())
    assert server.process.wait(LIVENESS) == 0


def test_it_answers_a_ping_while_it_works(server: Conversation) -> None:
    server.say(scan(1, "slow"), Ping())
    assert isinstance(server.hear_until(Pong)[-1], Pong)


def test_a_cancel_stops_the_engine_itself(lasting: Conversation) -> None:
    lasting.say(scan(1, "slow"))
    lasting.hear_half_way()
    lasting.say(Cancel(1))
    # The engine never ends by itself.
    failure = lasting.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (1, ErrorCode.CANCELLED)
    lasting.say(scan(2, "echo"))
    assert isinstance(lasting.hear_until(FitDone)[-1], FitDone)


def test_nothing_of_a_job_follows_its_response(server: Conversation) -> None:
    server.say(scan(1, "deaf"))
    server.hear_until(MeshFrame)
    server.say(Cancel(1))
    server.hear_until(Failure)
    server.say(scan(2, "slow"))
    # The first one and some heartbeats.
    assert [getattr(server.hear(), "id", 2) for _ in range(5)] == [2] * 5


def test_cancels_of_jobs_that_are_over_or_never_were_are_ignored(server: Conversation) -> None:
    server.say(Cancel(99), scan(1, "echo"))
    server.hear_until(FitDone)
    server.say(Cancel(1), Ping())
    assert isinstance(server.hear(), Pong)


def test_a_job_number_in_use_is_refused(server: Conversation) -> None:
    server.say(scan(1, "deaf"), scan(1, "echo"))
    failure = server.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and failure.code is ErrorCode.PROTOCOL


@pytest.mark.parametrize(
    "head",
    [
        {"jsonrpc": "2.0", "id": 5, "method": "conquer", "params": {}},
        {"jsonrpc": "2.0", "id": 5, "method": "fit", "params": {"name": 3}},
        {"jsonrpc": "2.0", "id": 5, "method": "pong"},
        {"id": 5},
    ],
)
def test_a_message_it_does_not_understand_is_answered_and_survived(server: Conversation, head: dict) -> None:
    server.say(Packet(head), Ping())
    failure = server.hear()
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (5, ErrorCode.PROTOCOL)
    assert isinstance(server.hear(), Pong)


def test_bytes_that_are_no_packets_end_it_with_a_reason(server: Conversation) -> None:
    server.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
    failure = server.hear()
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (None, ErrorCode.PROTOCOL)
    assert server.process.wait(LIVENESS) == 1


def test_a_reader_that_stops_listening_does_not_stop_the_work_and_gets_the_newest(server: Conversation) -> None:
    server.say(FitRequest(1, "flood", FitOptions(), "", cloud(20_000)))
    server.hear_aside(b"flooded")
    frames = [message for message in server.hear_until(FitDone) if isinstance(message, MeshFrame)]
    # 300 were made. What was in the pipe and the newest one of what waited came, the final one last.
    assert len(frames) < 100
    assert [frame.final for frame in frames] == [False] * (len(frames) - 1) + [True]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_waiting_frames_do_not_pile_up_in_memory(server: Conversation) -> None:
    server.say(FitRequest(1, "flood", FitOptions(), "", cloud(100_000)))
    server.hear_aside(b"flooded")
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (peak,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    # All 300 meshes would be 480 MB.
    assert peak < 250_000
    server.hear_until(FitDone)


TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], "<i4")
ON_A_SCAN: list[Message] = [
    StackRequest(5, 1, "fit", ()),
    PoseRequest(5, 1, ()),
    ApplyRequest(5, 1, (), "carried"),
    RemeshRequest(5, 1, ()),
    SweepRequest(5, 1, (0.0,), 0, -1.0, 1.0, 4),
    TravelRequest(5, 1, 0),
    CheckRequest(5, 1, (), ""),
    SolveRequest(5, 1, (0.0,), 0, "volume", 1.0),
    BlendRequest(5, 1, 1, 0.5, False, 0),
]


def transfer(job: int, channels: int = 1, count: int = 4) -> TransferRequest:
    points, values = cloud(4), np.arange(count, dtype="<f4")
    return TransferRequest(job, -1, channels, (), points, TETRAHEDRON, points, TETRAHEDRON[::-1].copy(), values)


@pytest.mark.parametrize("request_", ON_A_SCAN, ids=lambda message: type(message).__name__)
def test_a_job_on_a_scan_that_is_not_there_says_so(lasting: Conversation, request_: Message) -> None:
    lasting.say(request_, Ping())
    failure = lasting.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (5, ErrorCode.UNKNOWN_SCAN)


@pytest.mark.parametrize("name", ["empty", "bug"])
def test_a_fit_that_failed_left_nothing_to_edit(lasting: Conversation, name: str) -> None:
    lasting.say(scan(1, name), PoseRequest(2, 1, ()))
    lasting.hear_until(Failure)
    failure = lasting.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (2, ErrorCode.UNKNOWN_SCAN)


def test_a_fit_that_was_cancelled_left_nothing_to_edit(lasting: Conversation) -> None:
    lasting.say(scan(1, "slow"), StackRequest(2, 1, "fit", ()))
    lasting.hear_until(Progress)
    lasting.say(Cancel(1))
    failures = [lasting.hear_until(Failure)[-1] for _ in range(2)]
    assert [(f.id, f.code) for f in failures if isinstance(f, Failure)] == [
        (1, ErrorCode.CANCELLED),
        (2, ErrorCode.UNKNOWN_SCAN),
    ]


def test_a_newer_pose_ends_the_one_that_waits_for_the_same_scan_only(lasting: Conversation) -> None:
    lasting.say(scan(1, "slow"))
    lasting.hear_until(Progress)
    lasting.say(PoseRequest(2, 9, ()), PoseRequest(3, 8, ()), StackRequest(4, 9, "fit", ()), PoseRequest(5, 9, ()))
    failure = lasting.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (2, ErrorCode.CANCELLED)
    lasting.say(Cancel(1))
    failures = [lasting.hear_until(Failure)[-1] for _ in range(4)]
    unknown = ErrorCode.UNKNOWN_SCAN
    assert [(f.id, f.code) for f in failures if isinstance(f, Failure)] == [
        (1, ErrorCode.CANCELLED),
        (3, unknown),
        (4, unknown),
        (5, unknown),
    ]


def test_a_flood_of_poses_has_one_answer_each_and_leaves_one_to_do(lasting: Conversation) -> None:
    lasting.say(scan(1, "slow"))
    lasting.hear_until(Progress)
    lasting.say(*(PoseRequest(job, 9, (0.5,)) for job in range(2, 2002)), Cancel(1))
    answers = [lasting.hear_until(Failure)[-1] for _ in range(2001)]
    codes = {answer.id: answer.code for answer in answers if isinstance(answer, Failure)}
    assert sorted(code for code in codes if code) == list(range(1, 2002))
    assert [job for job, code in codes.items() if code is not ErrorCode.CANCELLED] == [2001]


def test_a_pose_with_the_number_of_the_one_that_waits_is_refused_and_ends_nothing(server: Conversation) -> None:
    server.say(scan(1, "slow"))
    server.hear_until(Progress)
    server.say(PoseRequest(2, 9, ()), PoseRequest(2, 9, ()))
    failure = server.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (2, ErrorCode.PROTOCOL)


def test_jobs_of_all_kinds_wait_their_turn_and_can_be_cancelled_while_they_do(lasting: Conversation) -> None:
    lasting.say(scan(1, "slow"), transfer(2), CheckRequest(5, 1, (), ""), transfer(3), Cancel(2))
    cancelled = lasting.hear_until(Failure)[-1]
    assert isinstance(cancelled, Failure) and (cancelled.id, cancelled.code) == (2, ErrorCode.CANCELLED)
    lasting.say(Cancel(1))
    done = lasting.hear_until(Done)[-1]
    assert isinstance(done, Done) and done.id == 3


def test_a_transfer_carries_values_and_says_where_faces_come_from(lasting: Conversation) -> None:
    lasting.say(transfer(1))
    done = lasting.hear_until(Done)[-1]
    assert isinstance(done, Done) and done.values is not None and done.sources is not None
    assert done.corners is None and done.invented is None
    assert np.allclose(done.values, np.arange(4), atol=1e-5)
    assert done.sources.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    "request_",
    [
        transfer(1, channels=2),
        transfer(1, channels=-1),
        transfer(1, count=5),
        LearnRequest(1, "a", "a.omomi", (4, 4, 4), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a.omomi", (4, 4, 4, 4), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a.omomi", (8, 4, -4, 0), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a.omomi", (4, 4, 4, 4), cloud(8), np.tile(TETRAHEDRON, (2, 1)), np.zeros((2, 3))),
        LearnRequest(1, "a", "a.omomi", (1 << 62, 4, 1 << 62, 0), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a.omomi", (), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a.exe", (2, 2, 2, 2), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a\0.omomi", (2, 2, 2, 2), cloud(4), TETRAHEDRON),
        LearnRequest(1, "a", "a.omomi", (0, 0, 0, 0) * 6, cloud(0), TETRAHEDRON[:0]),
    ],
)
def test_arrays_that_are_not_as_long_as_they_should_be_are_refused(lasting: Conversation, request_: Message) -> None:
    lasting.say(request_)
    failure = lasting.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and failure.code is ErrorCode.BAD_OPTION


def test_faces_of_a_pair_that_point_outside_of_its_mesh_are_refused(lasting: Conversation) -> None:
    lasting.say(LearnRequest(1, "a", "a.omomi", (2, 2, 2, 2), cloud(4), TETRAHEDRON))
    failure = lasting.hear_until(Failure)[-1]
    assert isinstance(failure, Failure) and failure.code is ErrorCode.NOT_A_MESH


def test_arrays_that_wait_are_bounded_and_a_job_that_is_over_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_WAITING_BYTES", 3 * cloud().nbytes)
    # nothing works off its jobs
    idle = server_module.Server(FakeEngine(), io.BytesIO(), io.BytesIO())
    for job in (1, 2, 3, 4):
        idle._accept(scan(job, "echo"))
    failure = idle._outbox.get(0)
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (4, ErrorCode.OUT_OF_MEMORY)
    idle._cancel(2)
    idle._accept(scan(5, "echo"))
    (cancelled,) = idle._outbox.drain()
    assert isinstance(cancelled, Failure) and (cancelled.id, cancelled.code) == (2, ErrorCode.CANCELLED)


def test_forgetting_what_was_never_there_is_no_error(lasting: Conversation) -> None:
    lasting.say(Forget(99), transfer(1))
    assert isinstance(lasting.hear_until(Done)[-1], Done)
