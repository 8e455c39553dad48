"""What can happen while a fit runs. The run is stepped as the timer of a window steps it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.addon.stand_ins import previews
from tests.fake_server import LIVENESS

bpy = pytest.importorskip("bpy")


@pytest.fixture
def start(toy: Any) -> Callable[..., Any]:
    """Starts a streaming run over objects and makes it the current one."""

    def begin(*objects: Any, replace: bool = False, client: Any = None) -> Any:
        run = toy.fits.FitRun(
            client or toy.process.started(), objects, toy.fits.FitSettings(), replace=replace, stream=True
        )
        toy.fits.set_current(run)
        return run

    return begin


def finish(toy: Any, run: Any) -> list[Any]:
    toy.fits.set_current(None)
    return run.commit()


def test_preview_streams_and_is_gone_after_the_commit(
    toy: Any, make: Any, start: Any, step_until: Any, world: Any
) -> None:
    scan = make("slow")
    scan.location = (10, 20, 30)
    bpy.context.view_layer.update()
    run = start(scan)
    step_until(run, lambda: bool(previews()))
    (shown,) = previews()
    assert np.allclose((world(shown).min(0) + world(shown).max(0)) / 2, [10.5, 20.5, 30.5], atol=0.1)
    assert shown.hide_render and shown.hide_select and not scan.hide_get()
    first = len(shown.data.vertices)
    step_until(run, lambda: len(previews()[0].data.vertices) > first)
    assert 0 < run.fraction < 1 and "step" in run.text
    step_until(run, lambda: run.over)
    (result,) = finish(toy, run)
    assert result.name == "slow.fit" and previews() == []
    assert not any("Preview" in c.name for c in bpy.data.collections) and not any(
        "Preview" in m.name for m in bpy.data.meshes
    )


def test_cancel_leaves_the_scene_as_it_was_and_the_next_fit_works(
    toy: Any, make: Any, start: Any, step_until: Any
) -> None:
    scan = make("slow")
    run = start(scan)
    step_until(run, lambda: bool(previews()))
    bpy.ops.omomi.cancel()
    assert run.over
    assert finish(toy, run) == [] and run.errors == []
    assert list(bpy.data.objects) == [scan] and not scan.hide_get()
    scan.name = "quick"
    run = start(scan)
    step_until(run, lambda: run.over)
    assert [obj.name for obj in finish(toy, run)] == ["quick.fit"]


def test_cancelling_a_queue_keeps_what_is_finished(toy: Any, make: Any, start: Any, step_until: Any) -> None:
    objects = [make("first"), make("slow"), make("third")]
    run = start(*objects)
    step_until(run, lambda: run.objects[0].result is not None and run.objects[1].frame is not None)
    run.cancel()
    assert [obj.name for obj in finish(toy, run)] == ["first.fit"]


def test_late_results_of_a_cancelled_job_are_dropped(toy: Any, make: Any) -> None:
    protocol = toy.messages
    triangle = np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32), np.zeros(3, np.float32)

    class LateClient:
        def __init__(self) -> None:
            self.requests = 0
            self.events: list[Any] = []

        def request(self, *args: Any, **options: Any) -> int:
            self.requests += 1
            return self.requests

        def poll(self) -> list[Any]:
            events, self.events = self.events, []
            return events

        def cancel(self, job: int) -> None:
            pass

    client = LateClient()

    def asked(run: Any, requests: int) -> None:
        """Step until the run has read its scan, which takes more than a slice on a busy machine."""
        while client.requests < requests:
            run.step()

    first = toy.fits.FitRun(client, [make("a")], toy.fits.FitSettings(), stream=True)
    asked(first, 1)
    first.cancel()
    client.events = [protocol.MeshFrame(1, 0, True, (0, 0, 0), *triangle), protocol.FitDone(1, {}, {})]
    second = toy.fits.FitRun(client, [make("b")], toy.fits.FitSettings(), stream=True)
    asked(second, 2)
    second.step()
    assert not second.over and second.objects[0].frame is None and previews() == []
    client.events = [
        protocol.Failure(None, "backend_died", "An older process died."),
        protocol.Failure(1, "internal", "Late."),
    ]
    second.step()
    assert second.errors == []


def test_only_the_newest_of_many_frames_is_shown(
    toy: Any, make: Any, start: Any, step_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(make("slow"))
    step_until(run, lambda: run.objects[0].frame is not None)
    shown: list[int] = []
    monkeypatch.setattr(toy.fits.preview, "show", lambda key, name, vertices, faces: shown.append(len(vertices)))
    passed_over = 0
    while not run.over and passed_over < 3:
        # The window is busy while the backend sends a dozen frames.
        time.sleep(1.0)
        before = run.objects[0].frame.level
        shown.clear()
        run.step()
        assert len(shown) <= 1
        passed_over = run.objects[0].frame.level - before - 1
    assert passed_over >= 3


def test_deleting_the_scan_mid_job_is_reported_and_the_queue_goes_on(
    toy: Any, make: Any, start: Any, step_until: Any
) -> None:
    doomed, other = make("slow doomed"), make("other")
    run = start(doomed, other)
    step_until(run, lambda: bool(previews()))
    bpy.data.objects.remove(doomed)
    step_until(run, lambda: run.over)
    assert [obj.name for obj in finish(toy, run)] == ["other.fit"]
    assert ["slow doomed was deleted" in error.message for error in run.errors] == [True]
    assert previews() == []


def test_deleting_the_scan_after_its_fit_loses_no_other_result(
    toy: Any, make: Any, start: Any, step_until: Any
) -> None:
    doomed, slow = make("doomed"), make("slow")
    run = start(doomed, slow)
    step_until(run, lambda: run.objects[0].result is not None and run.objects[1].frame is not None)
    bpy.data.objects.remove(doomed)
    step_until(run, lambda: run.over)
    assert [obj.name for obj in finish(toy, run)] == ["slow.fit"]
    assert len(run.errors) == 1


def test_renaming_and_moving_the_scan_mid_job_is_followed(
    toy: Any, make: Any, start: Any, step_until: Any, world: Any
) -> None:
    scan = make("slow")
    run = start(scan)
    step_until(run, lambda: bool(previews()))
    scan.name = "renamed"
    scan.location = (7, 0, 0)
    make("slow")
    step_until(run, lambda: run.over)
    (result,) = finish(toy, run)
    assert result.name == "renamed.fit"
    assert np.allclose(world(result).min(0), [7, 0, 0], atol=0.1)


def test_undo_and_redo_mid_job_are_safe(toy: Any, make: Any, start: Any, step_until: Any) -> None:
    scan = make("slow")
    bpy.ops.ed.undo_push(message="made")
    scan.location.x = 3
    bpy.ops.ed.undo_push(message="moved")
    run = start(scan)
    step_until(run, lambda: bool(previews()))
    # A step that contains the preview.
    bpy.ops.ed.undo_push(message="something during the job")
    bpy.ops.ed.undo()
    run.step()
    bpy.ops.ed.undo()
    run.step()
    bpy.ops.ed.redo()
    step_until(run, lambda: run.over)
    (result,) = finish(toy, run)
    assert result.name == "slow.fit"
    bpy.ops.ed.undo_push(message="Fit")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo):
        while step.poll():
            step()
            assert previews() == []
    assert "slow.fit" in bpy.data.objects


def test_undoing_the_creation_of_the_scan_mid_job_counts_as_deleting_it(
    toy: Any, make: Any, start: Any, step_until: Any
) -> None:
    bpy.ops.ed.undo_push(message="empty")
    run = start(make("slow"))
    bpy.ops.ed.undo_push(message="made")
    step_until(run, lambda: run.objects[0].frame is not None)
    bpy.ops.ed.undo()
    step_until(run, lambda: run.over)
    assert finish(toy, run) == [] and "was deleted" in run.errors[0].message


def test_loading_a_file_mid_job_ends_the_run_and_leaves_the_file_alone(
    toy: Any, make: Any, start: Any, step_until: Any, tmp_path: Path
) -> None:
    scan = make("slow")
    run = start(scan)
    step_until(run, lambda: bool(previews()))
    # Saved mid-job, so the preview is in the file; opening it must not show a ghost.
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert toy.fits.current() is None and run.over
    run.step()
    assert run.commit() == []
    assert [obj.name for obj in bpy.data.objects] == ["slow"]
    assert bpy.data.objects["slow"].visible_get()


def test_entering_edit_mode_mid_job_is_safe(toy: Any, make: Any, start: Any, step_until: Any) -> None:
    scan = make("slow")
    run = start(scan, replace=True)
    step_until(run, lambda: bool(previews()))
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        step_until(run, lambda: run.over)
        assert finish(toy, run) == []
        assert "Edit Mode" in run.errors[0].message
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
    assert len(scan.data.vertices) == 8


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_backend_is_reported_and_the_next_fit_works(toy: Any, make: Any, start: Any, step_until: Any) -> None:
    scan = make("slow")
    run = start(scan)
    step_until(run, lambda: bool(previews()))
    os.kill(toy.process.running().pid, signal.SIGKILL)
    step_until(run, lambda: run.over)
    assert finish(toy, run) == [] and run.errors[0].code == "backend_died"
    assert list(bpy.data.objects) == [scan] and not scan.hide_get() and previews() == []
    scan.name = "quick"
    run = start(scan)
    step_until(run, lambda: run.over)
    assert [obj.name for obj in finish(toy, run)] == ["quick.fit"]


def test_a_backend_that_keeps_dying_is_given_up_until_restart(toy: Any, make: Any) -> None:
    make("fatal")
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"(?i)backend"):
            bpy.ops.omomi.fit()
    client = toy.process.running()
    with pytest.raises(RuntimeError, match=r"(?i)backend"):
        bpy.ops.omomi.fit()
    assert client.pid is None
    bpy.data.objects["fatal"].name = "quick"
    assert bpy.ops.omomi.restart() == {"FINISHED"}
    assert bpy.ops.omomi.fit() == {"FINISHED"}


def test_a_second_fit_is_refused_while_one_runs(toy: Any, make: Any, start: Any) -> None:
    start(make("slow"))
    with pytest.raises(RuntimeError, match="A fit is running"):
        bpy.ops.omomi.fit()


def test_doctor_reports_device_and_reason(toy: Any, scene: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert bpy.ops.omomi.doctor() == {"FINISHED"}
    printed = capfd.readouterr().out
    assert "Runs on the CPU: no library for a GPU is installed" in printed and "model toy" in printed


SCRIPT = """
import os, signal, sys
import bpy
# A suite that was started in the background hands on an ignored SIGINT, which Python then leaves ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
process = sys.modules["bl_ext.user_default.omomi.session.process"]
command = [sys.executable, "-I", sys.argv[2], str(process.BACKEND), str(process.site_folder())]
process.command = lambda: command
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
bpy.ops.mesh.primitive_cube_add()
bpy.context.object.name = "slow"
process.started()
process.introduced()
print("PID", process.running().pid, flush=True)
sys.addaudithook(lambda event, args: print("SOCKET", event, flush=True) if event.startswith("socket.bind") else None)
bpy.ops.omomi.fit()
"""


@pytest.fixture
def headless(package: Path, tmp_path: Path) -> Callable[[], tuple[subprocess.Popen[str], int]]:
    """Another Blender in the middle of a slow fit, and the pid of its backend."""

    def launch() -> tuple[subprocess.Popen[str], int]:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        fake = Path(__file__).parents[1] / "fake_server.py"
        env = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "profile")}
        child = subprocess.Popen(
            [sys.executable, str(script), str(package), str(fake)], stdout=subprocess.PIPE, text=True, env=env
        )
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("PID"):
                return child, int(line.split()[1])
        raise AssertionError(f"the script ended with {child.wait()}")

    return launch


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_backend_dies_with_a_killed_blender(headless: Any) -> None:
    child, pid = headless()
    assert alive(pid)
    child.kill()
    child.wait()
    deadline = time.monotonic() + LIVENESS
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_socket_is_open_in_the_backend_and_ctrl_c_ends_both(headless: Any) -> None:
    child, pid = headless()
    sockets = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    assert not any(target.startswith("socket:") for target in sockets)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=LIVENESS)
    assert child.returncode != 0 and "SOCKET" not in output
    assert not alive(pid)
