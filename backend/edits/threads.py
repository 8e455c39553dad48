"""Threads that share the work of one job, and end with it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class JobThreads(ThreadPoolExecutor):
    """A pool of threads whose every task is interruptible if the job is, see `server.jobs.Job.interruptible`."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        return super().submit(_watched, fn, *args, **kwargs)


def _watched(task: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    # CPython takes the profile function away from a thread in which it raised, which then takes the next task
    if (look := threading.getprofile()) is not None:
        sys.setprofile(look)
    return task(*args, **kwargs)
