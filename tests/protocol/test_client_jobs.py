"""Every kind of job through the client: results, refusals, deaths, cancels, and fits that are let go of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.protocol.client import BackendClient, State
from backend.protocol.messages import Done, Failure, FitDone
from backend.protocol.requests import ApplyRequest, LearnRequest, PoseRequest, StackRequest, TransferRequest
from tests.children import LIVENESS, ask_fit, cloud, response

MakeClient = Callable[..., BackendClient]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def fit(client: BackendClient, name: str, points: np.ndarray | None = None, faces: np.ndarray | None = None) -> FitDone:
    job = ask_fit(client, cloud() if points is None else points, faces, name=name)
    done = client.wait(job, timeout=LIVENESS)
    assert isinstance(done, FitDone)
    return done


TRIANGLE = {"points": cloud(3), "faces": [[0, 1, 2]], "target_points": cloud(3), "target_faces": [[0, 1, 2]]}


def test_any_job_ends_with_its_result_by_wait_and_by_poll(lasting_client: BackendClient) -> None:
    fields = {"handle": -1, "channels": 1, "widths": (), "values": [1, 2, 3], **TRIANGLE}
    done = lasting_client.wait(lasting_client.request(TransferRequest, **fields), timeout=LIVENESS)
    assert isinstance(done, Done) and done.values is not None
    assert np.allclose(done.values, [1, 2, 3], atol=1e-5)
    polled = response(lasting_client, lasting_client.request(TransferRequest, **fields))
    assert isinstance(polled, Done) and polled.values is not None
    assert polled.values.tobytes() == done.values.tobytes()
    assert lasting_client.state is State.READY


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (PoseRequest, {"handle": 1, "strengths": [float("nan")]}),
        (PoseRequest, {"handle": 1, "strengths": [float("inf")]}),
        (PoseRequest, {"handle": 1, "strengths": ["much"]}),
        (PoseRequest, {"handle": "1", "strengths": []}),
        (PoseRequest, {"handle": 1, "strengths": 0.5}),
        (StackRequest, {"handle": 1, "body": "fit", "layers": [{"path": Path("a.omomi")}]}),
        (StackRequest, {"handle": 1, "body": "fit", "layers": [], "masks": np.zeros((2, 2))}),
        (LearnRequest, {"name": "a", "path": Path("a"), "counts": [], "points": cloud(1), "faces": [[0, 0, 0]]}),
    ],
)
def test_fields_of_a_wrong_type_are_refused_before_they_leave(
    client: BackendClient, kind: type, fields: dict[str, object]
) -> None:
    with pytest.raises(OmomiError) as caught:
        client.request(kind, **fields)
    assert caught.value.code is ErrorCode.PROTOCOL
    assert client.state is State.STOPPED


def test_a_field_that_a_request_does_not_have_is_a_mistake_of_the_caller(client: BackendClient) -> None:
    with pytest.raises(TypeError):
        client.request(PoseRequest, handle=1, strengths=[], speed=2)


def test_numbers_of_numpy_and_arrays_of_other_types_travel(lasting_client: BackendClient) -> None:
    job = lasting_client.request(
        TransferRequest,
        handle=-1,
        channels=np.int64(1),
        widths=(),
        points=cloud(3).astype(">f8"),
        faces=np.array([[0, 1, 2]], np.int64),
        target_points=cloud(3).tolist(),
        target_faces=np.array([[0, 1, 2]], np.uint8),
        values=np.arange(3),
    )
    assert isinstance(lasting_client.wait(job, timeout=LIVENESS), Done)


@posix_only
@pytest.mark.parametrize("kind", [PoseRequest, ApplyRequest])
def test_a_death_fails_one_job_of_any_kind_and_what_it_kept_is_made_again(client: BackendClient, kind: type) -> None:
    handle = ask_fit(client, cloud(), name="echo")
    client.wait(handle, timeout=LIVENESS)
    more = {"outcome": "carried"} if kind is ApplyRequest else {}
    dying = ask_fit(client, cloud(), name="kill")
    waiting = client.request(kind, handle=handle, strengths=[], **more)
    with pytest.raises(OmomiError) as caught:
        client.wait(dying, timeout=LIVENESS)
    assert caught.value.code is ErrorCode.BACKEND_DIED
    # The toy's fits cannot be edited, but they are there.
    for again in (False, True):
        job = client.request(kind, handle=handle, strengths=[], **more) if again else waiting
        with pytest.raises(OmomiError) as caught:
            client.wait(job, timeout=LIVENESS)
        assert caught.value.code is ErrorCode.INTERNAL


def test_every_kind_of_job_is_cancelled_by_close_and_by_cancel(client: BackendClient) -> None:
    ask_fit(client, cloud(), name="slow")
    jobs = [client.request(PoseRequest, handle=1, strengths=[]) for _ in range(2)]
    client.cancel(jobs[0])
    failure = response(client, jobs[0])
    assert isinstance(failure, Failure) and failure.code is ErrorCode.CANCELLED
    client.close()
    ended = {event.id: event for event in client.poll() if isinstance(event, Failure)}
    assert ended[jobs[1]].code is ErrorCode.CANCELLED


def test_a_backend_that_cannot_start_fails_every_kind_of_job(make_client: MakeClient) -> None:
    client = make_client(["no-such-interpreter-anywhere"])
    for _ in range(2):
        failure = response(client, client.request(PoseRequest, handle=1, strengths=[]))
        assert isinstance(failure, Failure) and failure.code is ErrorCode.BACKEND_START


def test_forgetting_a_fit_that_still_goes_on_cancels_it(lasting_client: BackendClient) -> None:
    job = ask_fit(lasting_client, cloud(), name="slow")
    lasting_client.forget(job)
    failure = response(lasting_client, job)
    assert isinstance(failure, Failure) and failure.code is ErrorCode.CANCELLED
    assert fit(lasting_client, "echo")


def test_forgetting_without_a_process_does_not_start_one(client: BackendClient) -> None:
    client.forget(1)
    assert client.state is State.STOPPED


def test_a_forgotten_scan_is_gone(lasting_client: BackendClient) -> None:
    handle = ask_fit(lasting_client, cloud(), name="echo")
    lasting_client.wait(handle, timeout=LIVENESS)
    lasting_client.forget(handle)
    with pytest.raises(OmomiError) as caught:
        lasting_client.wait(lasting_client.request(PoseRequest, handle=handle, strengths=[]), timeout=LIVENESS)
    assert caught.value.code is ErrorCode.UNKNOWN_SCAN
