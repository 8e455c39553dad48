from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.protocol.client import BackendClient, State, default_command
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Failure, FitDone, MeshFrame, Progress
from tests.children import BACKEND, FAKE_SERVER, LIVENESS, ask_fit, cloud, response, until

MakeClient = Callable[..., BackendClient]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        text = state.read_text() if state.exists() else ") R"
    except (ProcessLookupError, FileNotFoundError):
        # It may go between two of these steps.
        return False
    # A zombie that waits for its new parent counts as dead.
    return text.rsplit(")", 1)[1].split()[0] != "Z"


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def fit(client: BackendClient, name: str, points: np.ndarray | None = None, faces: np.ndarray | None = None) -> FitDone:
    job = ask_fit(client, cloud() if points is None else points, faces, name=name)
    done = client.wait(job, timeout=LIVENESS)
    assert isinstance(done, FitDone)
    return done


@pytest.mark.parametrize("points", [cloud(5), cloud(0), cloud(5).astype(np.float64) + 1e12, cloud(200_000)])
def test_a_scan_comes_back_bit_for_bit(lasting_client: BackendClient, points: np.ndarray) -> None:
    faces = np.array([[0, 1, 2], [2, 3, 4]], np.int32) if len(points) else np.zeros((0, 3), np.int32)
    frames: list[MeshFrame] = []
    job = ask_fit(lasting_client, points, faces, name="echo", options=FitOptions(level=3, fill=-0.5))
    done = lasting_client.wait(job, lambda event: frames.append(event) if isinstance(event, MeshFrame) else None)
    assert isinstance(done, FitDone)
    final = frames[-1]
    assert final.final and not any(frame.final for frame in frames[:-1])
    assert np.array_equal(final.faces, faces)
    assert np.array_equal(final.sigma, np.arange(len(points), dtype=np.float32))
    # The vertices travel around an origin in f32: exact to a ulp of the extent, wherever the scan lies.
    assert np.allclose(final.world(), points, rtol=1e-15, atol=1e-5)
    assert done.report["options"] == asdict(FitOptions(level=3, fill=-0.5))
    assert done.stats["seconds"] is None


def test_the_state_follows_the_process(client: BackendClient) -> None:
    assert client.state is State.STOPPED and client.hello is None
    client.start()
    assert client.state is State.STARTING  # pyrefly: ignore[unnecessary-comparison]
    until(lambda: client.poll() or client.state is State.READY, "a hello")
    hello = client.hello
    assert hello is not None and hello.pid == client.pid and hello.model_hash == "0123456789abcdef"
    job = ask_fit(client, cloud(), name="slow")
    assert client.state is State.BUSY
    client.cancel(job)
    assert client.state is State.READY
    client.close()
    assert client.state is State.STOPPED and not alive(hello.pid)


def test_jobs_queue_and_each_has_one_response(lasting_client: BackendClient) -> None:
    names = ["echo", "empty", "bug", "memory", "echo"]
    jobs = [ask_fit(lasting_client, cloud(), name=name) for name in names]
    ended: dict[int | None, FitDone | Failure] = {}

    def all_ended() -> bool:
        ended.update({event.id: event for event in lasting_client.poll() if isinstance(event, FitDone | Failure)})
        return len(ended) == len(jobs)

    until(all_ended, "all responses")
    outcomes = [getattr(ended[job], "code", "done") for job in jobs]
    assert outcomes == ["done", ErrorCode.EMPTY_SCAN, ErrorCode.INTERNAL, ErrorCode.OUT_OF_MEMORY, "done"]
    bug = ended[jobs[2]]
    assert isinstance(bug, Failure) and "ZeroDivisionError" in bug.detail


def test_faces_that_point_nowhere_fail_the_job_and_not_the_process(lasting_client: BackendClient) -> None:
    with pytest.raises(OmomiError) as caught:
        fit(lasting_client, "echo", points=cloud(3), faces=np.array([[0, 1, 3]]))
    assert caught.value.code is ErrorCode.NOT_A_MESH
    assert fit(lasting_client, "echo")


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.zeros(3), np.zeros((2, 3, 3))])
def test_a_request_of_a_wrong_shape_is_refused_before_it_leaves(client: BackendClient, points: np.ndarray) -> None:
    with pytest.raises(OmomiError) as caught:
        ask_fit(client, points)
    assert caught.value.code is ErrorCode.PROTOCOL
    assert client.state is State.STOPPED


def test_stray_prints_do_not_corrupt_the_stream(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(log_path=tmp_path / "logs" / "backend.log")
    assert fit(client, "print")
    assert fit(client, "echo")
    client.close()
    log = (tmp_path / "logs" / "backend.log").read_text()
    assert all(f"a stray print of {source}" in log for source in ("Python", "native code", "a child"))


@posix_only
@pytest.mark.parametrize("way", ["exit", "kill"])
def test_a_death_mid_job_fails_that_job_and_another_process_does_those_that_wait(
    client: BackendClient, way: str
) -> None:
    failing, waiting = ask_fit(client, cloud(), name=way), ask_fit(client, cloud(), name="echo")
    failure = response(client, failing)
    assert isinstance(failure, Failure) and failure.code is ErrorCode.BACKEND_DIED
    assert "the last words" in failure.detail
    assert isinstance(client.wait(waiting, timeout=LIVENESS), FitDone)
    assert fit(client, "echo")


@posix_only
def test_killed_from_outside_while_idle_the_next_job_starts_another(client: BackendClient) -> None:
    first = fit(client, "echo").report["pid"]
    os.kill(first, signal.SIGKILL)
    until(lambda: client.poll() or client.state is State.STOPPED, "the death of the process")
    assert client.failure is not None and client.failure.code is ErrorCode.BACKEND_DIED
    assert fit(client, "echo").report["pid"] != first
    assert client.failure is None


@posix_only
def test_a_request_just_after_the_death_of_an_idle_process_is_sent_again(client: BackendClient) -> None:
    for _ in range(2):
        first = fit(client, "echo").report["pid"]
        os.kill(first, signal.SIGKILL)
        assert fit(client, "echo").report["pid"] != first


def test_a_process_that_always_dies_is_started_three_times_and_then_left(
    make_client: MakeClient, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    client = make_client(python(f"open({str(starts)!r}, 'a').write('x'); raise SystemExit('no luck')"))
    failures = [response(client, ask_fit(client, cloud())) for _ in range(6)]
    assert starts.read_text() == "xxx"
    assert client.state is State.FAILED and client.failure is not None
    for failure in failures:
        assert isinstance(failure, Failure) and failure.code is ErrorCode.BACKEND_START
        assert "no luck" in failure.detail
    client.reset()
    assert client.state is State.STOPPED  # pyrefly: ignore[unnecessary-comparison]
    response(client, ask_fit(client, cloud()))
    assert starts.read_text() == 6 * "x"


@posix_only
def test_a_process_that_dies_before_it_is_ready_costs_no_job(make_client: MakeClient, tmp_path: Path) -> None:
    starts, words = tmp_path / "starts", FAKE_SERVER
    client = make_client(
        python(
            f"import os, signal\nopen({str(starts)!r}, 'a').write('x')\n"
            f"if os.path.getsize({str(starts)!r}) < 3: os.kill(os.getpid(), signal.SIGKILL)\n"
            f"os.execv({words[0]!r}, {words!r})"
        )
    )
    jobs = [ask_fit(client, cloud(), name="echo") for _ in range(2)]
    assert all(isinstance(client.wait(job, timeout=LIVENESS), FitDone) for job in jobs)
    assert starts.read_text() == "xxx"


@posix_only
def test_deaths_of_a_process_that_was_ready_are_no_reason_to_give_up(client: BackendClient) -> None:
    dying = [ask_fit(client, cloud(), name="exit") for _ in range(4)]
    waiting = ask_fit(client, cloud(), name="echo")
    assert all(isinstance(response(client, job), Failure) for job in dying)
    assert isinstance(client.wait(waiting, timeout=LIVENESS), FitDone)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["no-such-interpreter-anywhere"], ErrorCode.BACKEND_START),
        (python("import os; os.write(1, b'Hello, world'); import time; time.sleep(60)"), ErrorCode.PROTOCOL),
        (
            python(
                "import os, struct, time\n"
                'head = b\'{"jsonrpc":"2.0","method":"hello","params":{"protocol":999}}\'\n'
                "os.write(1, struct.pack('<4sI', b'OMOM', len(head)) + head); time.sleep(60)"
            ),
            ErrorCode.PROTOCOL_VERSION,
        ),
    ],
)
def test_what_would_fail_the_same_again_is_not_tried_again(
    make_client: MakeClient, command: list[str], code: ErrorCode
) -> None:
    client = make_client(command)
    failure = response(client, ask_fit(client, cloud()))
    assert isinstance(failure, Failure) and failure.code is code
    assert client.state is State.FAILED


def test_a_missing_model_is_what_the_job_fails_with(make_client: MakeClient) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(BACKEND.parent)!r})\n"
        "from backend.errors import ErrorCode, OmomiError\n"
        "from backend.server.server import serve\n"
        "class Bare:\n"
        "    def info(self): raise OmomiError(ErrorCode.MODEL_MISSING, 'There is no model.')\n"
        "serve(Bare())"
    )
    client = make_client(python(code))
    failure = response(client, ask_fit(client, cloud()))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.message) == (ErrorCode.MODEL_MISSING, "There is no model.")


def test_a_python_without_a_package_is_named_with_what_it_lacks(make_client: MakeClient) -> None:
    code = "import sys; sys.stderr.write(\"ModuleNotFoundError: No module named 'onnxruntime.capi'\"); sys.exit(1)"
    client = make_client([sys.executable, "-c", code])
    client.start()
    with pytest.raises(OmomiError, match="lacks the package onnxruntime") as caught:
        while client.failure is None:
            client.poll()
            time.sleep(0.01)
        raise client.failure
    assert caught.value.code is ErrorCode.BACKEND_START and sys.executable in caught.value.message


def test_a_command_that_cannot_run_and_a_log_that_cannot_be_written_are_named(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client([str(tmp_path / "python")])
    failure = response(client, ask_fit(client, cloud()))
    assert isinstance(failure, Failure)
    assert failure.message == f"{tmp_path / 'python'} cannot be started: it does not exist."
    (tmp_path / "file").touch()
    client = make_client(log_path=tmp_path / "file" / "backend.log")
    response(client, ask_fit(client, cloud()))
    assert client.log_failure.startswith(f"The log {tmp_path / 'file' / 'backend.log'} cannot be written: ")


def test_a_process_that_never_says_hello_is_given_up(make_client: MakeClient) -> None:
    client = make_client(python("import time; time.sleep(60)"), start_timeout=0.3)
    failure = response(client, ask_fit(client, cloud()))
    assert isinstance(failure, Failure) and failure.code is ErrorCode.BACKEND_START
    assert "0.3 s" in failure.message


@posix_only
def test_a_process_that_falls_silent_over_a_job_is_killed(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(silence_timeout=1.0)
    client.start()
    until(lambda: client.poll() or client.hello, "a hello")
    pid = client.pid
    failure = response(client, ask_fit(client, cloud(), name="stop"))
    assert isinstance(failure, Failure) and failure.code is ErrorCode.BACKEND_TIMEOUT
    assert pid is not None and not alive(pid)
    # On a busy machine the next process, too, may be silent for a second.
    monkeypatch.setattr(client, "_silence_timeout", LIVENESS)
    assert fit(client, "echo")


def test_a_busy_engine_shows_signs_of_life_by_itself(lasting_client: BackendClient) -> None:
    job = ask_fit(lasting_client, cloud(), name="slow")
    beats: list[Progress] = []

    def four_beats() -> bool:
        beats.extend(event for event in lasting_client.poll() if isinstance(event, Progress))
        return len(beats) >= 4

    # The engine reports once; the rest comes from the server.
    until(four_beats, "four beats")
    with pytest.raises(OmomiError) as caught:
        lasting_client.wait(job, timeout=0.2)
    assert caught.value.code is ErrorCode.BACKEND_TIMEOUT and "did not end" in caught.value.message
    lasting_client.cancel(job)


def test_cancel_ends_the_job_soon_and_the_process_lives_on(lasting_client: BackendClient) -> None:
    first = fit(lasting_client, "echo").report["pid"]
    job = ask_fit(lasting_client, cloud(), name="slow")
    until(lambda: any(isinstance(event, Progress) and event.fraction > 0 for event in lasting_client.poll()), "work")
    lasting_client.cancel(job)
    (failure,) = lasting_client.poll()
    assert isinstance(failure, Failure) and failure.code is ErrorCode.CANCELLED
    # The job itself never ends: where the next one runs through in the same process, the worker was freed.
    assert fit(lasting_client, "echo").report["pid"] == first


def test_cancel_of_a_job_that_only_waits_leaves_the_running_one(lasting_client: BackendClient) -> None:
    running, waiting = ask_fit(lasting_client, cloud(), name="brief"), ask_fit(lasting_client, cloud(), name="echo")
    lasting_client.cancel(waiting)
    assert isinstance(response(lasting_client, waiting), Failure)
    assert isinstance(response(lasting_client, running), FitDone)


def test_late_frames_of_a_cancelled_job_are_dropped(client: BackendClient) -> None:
    job = ask_fit(client, cloud(), name="deaf")
    until(lambda: any(isinstance(event, MeshFrame) for event in client.poll()), "a frame")
    client.cancel(job)
    events = client.poll()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        events += client.poll()
        time.sleep(0.01)
    assert [type(event) for event in events] == [Failure]
    client.cancel(job)
    assert client.poll() == []


def test_a_job_that_ignores_its_cancel_costs_the_process_and_not_the_client(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.protocol.client._CANCEL_SECONDS", 0.3)
    client = make_client()
    job = ask_fit(client, cloud(), name="stuck")
    until(lambda: any(isinstance(event, MeshFrame) for event in client.poll()), "work")
    pid = client.pid
    waiting = [ask_fit(client, cloud(), name="echo") for _ in range(2)]
    client.cancel(job)
    assert pid is not None
    until(lambda: client.poll() is not None and not alive(pid), "the death of the process")
    # The jobs behind it are innocent, and deaths by cancel, however many, are no reason to give up.
    assert isinstance(client.wait(waiting[1], timeout=LIVENESS), FitDone)
    for _ in range(4):
        job = ask_fit(client, cloud(), name="stuck")
        until(lambda: any(isinstance(event, MeshFrame) for event in client.poll()), "work")
        client.cancel(job)
        assert fit(client, "echo")


def test_newest_frame_wins_over_a_slow_reader(lasting_client: BackendClient) -> None:
    job = ask_fit(lasting_client, cloud(20_000), name="flood")
    time.sleep(1.0)
    deadline, frames = time.monotonic() + LIVENESS, []
    while time.monotonic() < deadline:
        events = lasting_client.poll()
        assert sum(isinstance(event, MeshFrame) for event in events) <= 1
        frames += [event for event in events if isinstance(event, MeshFrame)]
        if any(isinstance(event, FitDone) for event in events):
            break
        time.sleep(0.3)
    assert frames[-1].final and len(frames) < 150
    assert [frame.level for frame in frames[:-1]] == sorted(frame.level for frame in frames[:-1])
    assert job == frames[-1].id


def test_wait_leaves_the_events_of_other_jobs(lasting_client: BackendClient) -> None:
    first, second = ask_fit(lasting_client, cloud(), name="echo"), ask_fit(lasting_client, cloud(), name="echo")
    lasting_client.wait(second, timeout=LIVENESS)
    assert any(isinstance(event, FitDone) and event.id == first for event in lasting_client.poll())


def test_an_interrupted_wait_cancels_its_job(lasting_client: BackendClient) -> None:
    def interrupt(event: object) -> None:
        raise KeyboardInterrupt

    job = ask_fit(lasting_client, cloud(), name="slow")
    with pytest.raises(KeyboardInterrupt):
        lasting_client.wait(job, interrupt)
    assert lasting_client.state is not State.BUSY
    assert fit(lasting_client, "echo")


@pytest.mark.parametrize("name", ["slow", "stuck"])
def test_close_ends_the_process_even_mid_job_and_fails_the_job(client: BackendClient, name: str) -> None:
    job = ask_fit(client, cloud(), name=name)
    until(lambda: any(isinstance(event, Progress) for event in client.poll()), "work")
    pid = client.pid
    client.close()
    assert pid is not None and not alive(pid)
    (failure,) = client.poll()
    assert isinstance(failure, Failure) and (failure.id, failure.code) == (job, ErrorCode.CANCELLED)
    assert fit(client, "echo")


def test_close_leaves_no_thread_behind(client: BackendClient) -> None:
    before = set(threading.enumerate())
    fit(client, "echo")
    client.close()
    until(lambda: set(threading.enumerate()) <= before, "the threads")


@linux_only
def test_the_child_dies_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = (
        f"import sys, time; sys.path.insert(0, {str(BACKEND.parent)!r})\n"
        "import numpy as np\n"
        "from backend.protocol.client import BackendClient\n"
        "from tests.children import ask_fit\n"
        f"client = BackendClient({FAKE_SERVER!r})\n"
        "ask_fit(client, np.ones((9, 3)), name='stuck')\n"
        "while not client.poll(): time.sleep(.01)\n"
        "print(client.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(pid), "the death of the child")


@linux_only
def test_neither_side_opens_a_socket(lasting_client: BackendClient) -> None:
    before = {
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    }
    assert fit(lasting_client, "echo").report["sockets"] == []
    links = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    ]
    assert not {link for link in links if link.startswith("socket:")} - before


def test_a_hostile_environment_changes_nothing(make_client: MakeClient, tmp_path: Path) -> None:
    for module in ("numpy", "json", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('hijacked')")
    hostile = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path), "PYTHONSTARTUP": str(tmp_path)}
    client = make_client(env=hostile)
    assert str(tmp_path) not in fit(client, "echo").stats["path"]
    # Without isolated mode the variables would still not reach the child.
    loose = make_client([word for word in FAKE_SERVER if word != "-I"], env=hostile)
    assert str(tmp_path) not in fit(loose, "echo").stats["path"]


def test_the_command_is_isolated_and_names_every_folder() -> None:
    command = default_command("py", Path("b"), ["s1", "s2"], "cpu", 3, 100, Path("l"))
    assert command[:2] == ["py", "-I"] and command[4:6] == [str(Path("b") / "__main__.py"), "serve"]
    assert [command[i + 1] for i, word in enumerate(command) if word == "--site"] == ["s1", "s2"]
