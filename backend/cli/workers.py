"""Tasks for worker processes that end with the process that started them, however that ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ..server.stdio import die_with_parent, leave_interrupts_to_the_parent

Task = TypeVar("Task")
Result = TypeVar("Result")
_GRACE_SECONDS = 1.0
"""For a worker that is stopped to remove its temporary files."""


def results(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, Result | None]]:
    """Each task with its result as soon as that is there, in any order; None where its process died over it, which
    costs no other task. ``work`` raises nothing; it and the tasks can be pickled."""
    # Spawned, for neither ONNX Runtime nor CUDA survives a fork.
    context = get_context("spawn")
    waiting, busy = deque(tasks), dict[Connection, tuple[BaseProcess, Task]]()
    idle: list[tuple[Connection, BaseProcess]] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                connection, process = idle.pop() if idle else _started(context, work)
                try:
                    connection.send(waiting[0])
                except OSError:  # it died while it had nothing to do
                    connection.close()
                    continue
                busy[connection] = process, waiting.popleft()
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                process, task = busy.pop(connection)
                try:
                    result = connection.recv()
                except (EOFError, OSError):
                    connection.close()
                    process.join()
                    yield task, None
                    continue
                idle.append((connection, process))
                yield task, result
    finally:
        _stop([process for _, process in idle] + [process for process, _ in busy.values()])


def _started(context: Any, work: Callable[[Any], Any]) -> tuple[Connection, BaseProcess]:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    # Not an argument: the worker reads it once it watches its parent, for with it come all imports.
    ours.send(work)
    # Else the end of the worker would not be the end of the pipe.
    theirs.close()
    return ours, process


def _stop(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _work(connection: Connection) -> None:
    leave_interrupts_to_the_parent()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    die_with_parent()
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        work = connection.recv()
        while True:
            connection.send(work(connection.recv()))
    except EOFError:
        return


def _watch_parent() -> None:
    """Where the kernel does not end a process with its parent."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
