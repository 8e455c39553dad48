"""A job ends soon after its cancel wherever it is, and never where that would leave something half done."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from backend.edits.threads import JobThreads
from backend.errors import ErrorCode, OmomiError
from backend.geometry.normals import unit
from backend.protocol.requests import PoseRequest
from backend.server.jobs import Job
from tests.children import LIVENESS


@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_job_that_never_looks_at_its_token_ends_at_its_next_step(side_by_side: bool) -> None:
    job, ended, begun = Job(PoseRequest(1, 1, ())), [], threading.Event()

    def compute(_: int = 0) -> None:
        while True:
            unit(np.ones((9, 3)))
            begun.set()

    def work() -> None:
        try:
            with job.interruptible():
                if side_by_side:
                    with JobThreads() as pool:
                        list(pool.map(compute, range(2)))
                compute()
        except OmomiError as error:
            ended.append(error.code)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(LIVENESS)
    job.cancel()
    thread.join(LIVENESS)
    assert ended == [ErrorCode.CANCELLED]
    # Afterwards the thread is as before.
    assert len(unit(np.ones((9, 3)))[0]) == 9 and sys.getprofile() is None


def test_a_cancel_does_not_break_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_module.py").write_text(
        "import numpy as np\nfrom backend.geometry.normals import unit\nvalue = unit(np.ones((1, 3)))[0]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    job = Job(PoseRequest(1, 1, ()))
    job.cancelled = True
    with job.interruptible():
        module = importlib.import_module("late_module")
    assert np.isfinite(module.value).all()
