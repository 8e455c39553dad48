"""The server process without the client: what it says on its streams, and how it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ErrorCode
from backend.frames import Packet, encode, read_packets
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
from backend.wire import from_packet, to_packet
from tests.protocol.children import FAKE_SERVER, LIVENESS, cloud


class Conversation:
    """A server process, spoken to and listened to in turn."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(FAKE_SERVER, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
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

    def end(self) -> int:
        self.stdin.close()
        code = self.process.wait(LIVENESS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def server() -> Iterator[Conversation]:
    conversation = Conversation()
    yield conversation
    conversation.process.kill()
    conversation.end()


def scan(job: int, name: str) -> FitRequest:
    return FitRequest(job, name, {}, cloud())


def test_it_introduces_itself_first(server: Conversation) -> None:
    assert server.hello.protocol == PROTOCOL_VERSION
    assert server.hello.pid == server.process.pid
    assert server.hello.numpy == np.__version__
    assert server.hello.limits["arrays"] == 16


@pytest.mark.parametrize("name", ["slow", "stuck", "echo"])
def test_the_end_of_stdin_ends_it_even_mid_job(server: Conversation, name: str) -> None:
    server.say(scan(1, name))
    server.hear_until(Progress)
    start = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - start < 10


def test_a_shutdown_ends_it(server: Conversation) -> None:
    server.say(Shutdown())
    assert server.process.wait(LIVENESS) == 0


def test_it_answers_a_ping_while_it_works(server: Conversation) -> None:
    server.say(scan(1, "slow"), Ping())
    assert isinstance(server.hear_until(Pong)[-1], Pong)


def test_a_cancel_stops_the_engine_itself(server: Conversation) -> None:
    server.say(scan(1, "slow"))
    server.hear_until(Progress)
    time.sleep(0.3)
    start = time.monotonic()
    server.say(Cancel(1))
    failure = server.hear_until(Failure)[-1]
    # Half a second is promised; the bound leaves room for a machine that is busy with other things.
    assert time.monotonic() - start < 2.5
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (1, ErrorCode.CANCELLED)
    server.say(scan(2, "echo"))
    assert isinstance(server.hear_until(FitDone)[-1], FitDone)


def test_nothing_of_a_job_follows_its_response(server: Conversation) -> None:
    server.say(scan(1, "deaf"))
    server.hear_until(MeshFrame)
    server.say(Cancel(1))
    server.hear_until(Failure)
    server.say(scan(2, "slow"))
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        assert getattr(server.hear(), "id", 2) == 2


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
    server.say(FitRequest(1, "flood", {}, cloud(20_000)))
    time.sleep(1.5)
    frames = [message for message in server.hear_until(FitDone) if isinstance(message, MeshFrame)]
    # 300 were made. What was in the pipe and the newest one of what waited came, the final one last.
    assert len(frames) < 100
    assert [frame.final for frame in frames] == [False] * (len(frames) - 1) + [True]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_waiting_frames_do_not_pile_up_in_memory(server: Conversation) -> None:
    server.say(FitRequest(1, "flood", {}, cloud(100_000)))
    time.sleep(2.0)
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (peak,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    # All 300 meshes would be 480 MB.
    assert peak < 250_000
    server.hear_until(FitDone)
