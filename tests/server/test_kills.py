"""The backend killed at random moments with jobs behind the one that it is at: that one may be lost, nothing else is.

`python3.11 build_addon.py fuzz --minutes N` kills more often, and the real backend too.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from backend.errors import ErrorCode
from backend.protocol.client import BackendClient, default_command
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Done, Failure, FitDone, Response
from backend.protocol.recipe import Layer
from backend.protocol.requests import PoseRequest, StackRequest
from tests.children import BACKEND, FAKE_SERVER, LIVENESS, ask_fit

KILLS = int(os.environ.get("OMOMI_KILLS", "0"))
SEED = int(os.environ.get("OMOMI_KILLS_SEED", "0"))
REAL = default_command(sys.executable, BACKEND, device="cpu", threads=1)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def ball(count: int = 500) -> np.ndarray:
    points = np.random.default_rng(3).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True) * [1, 0.7, 1.3]).astype(np.float32)


def answers(client: BackendClient, jobs: list[int], until: Callable[[], bool] = lambda: False) -> dict[int, Response]:
    """Polls until all jobs have ended, or so long."""
    found: dict[int, Response] = {}
    deadline = time.monotonic() + LIVENESS
    while len(found) < len(jobs) and not until():
        assert time.monotonic() < deadline, f"{set(jobs) - set(found)} never ended"
        found |= {event.id: event for event in client.poll() if isinstance(event, Response) and event.id in jobs}
        time.sleep(0.005)
    return found


def place(response: Response) -> bytes | ErrorCode:
    """What a pose says; the fits of the toy refuse theirs, once they are found."""
    if isinstance(response, Failure):
        return response.code
    assert isinstance(response, Done) and response.vertices is not None
    return response.vertices.tobytes()


def round_of_jobs(client: BackendClient, kept: int) -> list[int]:
    """A job to be at, and three behind it."""
    options = FitOptions(level=0)
    first = ask_fit(client, ball(), name="flood", options=options)
    fits = [ask_fit(client, ball(), name="echo", options=options) for _ in range(2)]
    return [first, fits[0], client.request(PoseRequest, handle=kept, strengths=[0.5]), fits[1]]


@pytest.mark.parametrize(
    ("command", "kills"),
    [
        pytest.param(FAKE_SERVER, KILLS or 6, id="toy"),
        pytest.param(REAL, KILLS, id="real", marks=pytest.mark.skipif(not KILLS, reason="OMOMI_KILLS is not set")),
    ],
)
def test_killed_at_random_moments_it_loses_one_job_at_most_and_no_fit(command: list[str], kills: int) -> None:
    moments = random.Random(SEED)
    layers = (Layer("thickness", 1.0),)
    with BackendClient(command) as client:
        kept = ask_fit(client, ball(), name="echo", options=FitOptions(level=0))
        assert isinstance(answers(client, [kept])[kept], FitDone)
        laid = client.request(StackRequest, handle=kept, body="fit", layers=layers)
        answers(client, [laid])
        jobs, began = round_of_jobs(client, kept), time.monotonic()
        before = place(answers(client, jobs)[jobs[2]])
        assert before is not ErrorCode.UNKNOWN_SCAN
        usual = time.monotonic() - began
        for _ in range(kills):
            jobs, strikes, ended = round_of_jobs(client, kept), moments.choice((1, 1, 2)), {}
            for _ in range(strikes):
                moment = time.monotonic() + moments.uniform(0, 1.5 * usual)
                ended |= answers(client, jobs, lambda moment=moment: time.monotonic() > moment)
                if client.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(client.pid, signal.SIGKILL)
            ended |= answers(client, [job for job in jobs if job not in ended])
            kept_well = [isinstance(ended[job], FitDone) for job in jobs]
            kept_well[2] = place(ended[jobs[2]]) == before
            lost = [ended[job] for job, well in zip(jobs, kept_well, strict=True) if not well]
            assert len(lost) <= strikes and all(isinstance(one, Failure) for one in lost), lost
            assert all(one.code is ErrorCode.BACKEND_DIED for one in lost if isinstance(one, Failure))
        again = client.request(PoseRequest, handle=kept, strengths=[0.5])
        assert place(answers(client, [again])[again]) == before
