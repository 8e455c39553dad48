"""No death of the backend, at whichever message, costs more than the job that it was at."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from backend.errors import ErrorCode
from backend.protocol.client import BackendClient
from backend.protocol.messages import Failure, Response
from backend.protocol.process import ChildProcess
from backend.protocol.requests import PoseRequest
from tests.children import FAKE_SERVER, ask_fit, cloud, until
from tests.faults.conftest import Share

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


class Messages:
    """Counts what the client and its processes say to each other, and kills the process at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.fatal = 0, 0
        for name in ("_receive", "send"):
            monkeypatch.setattr(ChildProcess, name, self._watched(getattr(ChildProcess, name)))

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def passed(child: ChildProcess, message: Any) -> Any:
            self.count += 1
            if self.count == self.fatal:
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)
            return call(child, message)

        return passed


def talk() -> list[ErrorCode | None]:
    """A fit that is kept, three jobs that wait behind each other, one of them cancelled, one on the kept fit, and a
    last one; what each ended with, None for well."""
    ends: dict[int, list[ErrorCode | None]] = {}

    def heard(client: BackendClient, *jobs: int) -> bool:
        for event in client.poll():
            if isinstance(event, Response) and event.id is not None:
                ends.setdefault(event.id, []).append(event.code if isinstance(event, Failure) else None)
        return ends.keys() >= set(jobs)

    with BackendClient(FAKE_SERVER) as client:
        kept = ask_fit(client, cloud(), name="echo")
        until(lambda: heard(client, kept), "the kept fit")
        jobs = [ask_fit(client, cloud(), name=name) for name in ("flood", "slow", "echo")]
        client.cancel(jobs[1])
        jobs.append(client.request(PoseRequest, handle=kept, strengths=[]))
        until(lambda: heard(client, *jobs), "all that waited")
        last = ask_fit(client, cloud(), name="echo")
        until(lambda: heard(client, last), "the last one")
    assert all(len(codes) == 1 for codes in ends.values()), "a job ended twice"
    return [ends[job][0] for job in (kept, *jobs, last)]


def test_killed_at_any_message_the_backend_loses_one_job_and_no_kept_fit(
    monkeypatch: pytest.MonkeyPatch, share: Share
) -> None:
    messages = Messages(monkeypatch)
    # the toy's fits are kept, but cannot be edited
    usual = [None, None, ErrorCode.CANCELLED, None, ErrorCode.INTERNAL, None]
    assert talk() == usual
    places = list(range(1, messages.count + 1))
    assert len(places) > 15
    for number in share(places, 4):
        messages.count, messages.fatal = 0, number
        ends = talk()
        lost = [end for end, expected in zip(ends, usual, strict=True) if end != expected]
        # of a fit that was never made nothing is kept
        expected = [ErrorCode.BACKEND_DIED, ErrorCode.UNKNOWN_SCAN][: 1 + (ends[0] is not None)]
        assert lost in ([], expected), (number, lost)
