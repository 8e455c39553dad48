"""The client's half: keeps a backend process at hand and turns what it says into events.

One thread (in Blender the main thread) owns a ``BackendClient`` and calls all of it; nothing here blocks except
``wait`` and ``close``. Reading and writing happen on the threads of ``ChildProcess``. Standard library and numpy only.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import ErrorCode, OmomiError
from .codec import to_packet
from .framing import encode
from .kept_fits import KeptFits
from .mailbox import Mailbox
from .messages import Cancel, Done, Failure, FitDone, Forget, Hello, MeshFrame, Message, Progress, Response
from .process import ChildProcess
from .process import default_command as default_command
from .requests import Request

Event: TypeAlias = Progress | MeshFrame | Response

# A process that ends so often in a row before it is ready would only do so again.
_STARTS = 3
_FIRST_PAUSE_SECONDS = 0.25
# Native code between two checks may take a while to notice; past this the process goes. What else it had to do, and the
# fits that it kept, are made again.
_CANCEL_SECONDS = 0.3


class State(Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"


@dataclass
class _OpenJob:
    """A job that has no response yet."""

    request: Request
    message: list[memoryview]
    sent: bool = False  # to the process that runs
    begun: bool = False  # the process has said something of it
    retried: bool = False


class BackendClient:
    """Runs ``command`` (see ``default_command``) when it is first needed and again when it has died.

    Every job ends with exactly one ``FitDone``, ``Done`` or ``Failure``. When the process cannot be started the state
    is FAILED, and jobs fail at once with the reason, until ``reset``. A process that dies costs the job that it was at,
    and one that dies before it is ready none: the next process is sent those that waited, and makes again the fits that
    they need.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        start_timeout: float = 30.0,
        silence_timeout: float = 20.0,
    ) -> None:
        self._command = list(command)
        self._env = env
        self._log_path = log_path
        self._start_timeout = start_timeout
        self._silence_timeout = silence_timeout
        self._child: ChildProcess | None = None
        self._failure: OmomiError | None = None
        self._given_up = False
        self._events = Mailbox()
        self._numbers = itertools.count(1)
        self._open: dict[int, _OpenJob] = {}  # in the order in which they are done
        self._kept = KeptFits()
        self._cancelling: dict[int, float] = {}
        self._failed_starts = 0  # in a row
        self._start_after = 0.0
        self._busy_since = 0.0

    def __enter__(self) -> BackendClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def state(self) -> State:
        """As of the last ``poll`` or ``wait``."""
        if self._given_up:
            return State.FAILED
        if self._child is None:
            return State.STARTING if self._open else State.STOPPED
        if self._child.hello is None:
            return State.STARTING
        return State.BUSY if self._open else State.READY

    @property
    def failure(self) -> OmomiError | None:
        """Why the last process ended by itself; None when none did or another one was started since."""
        return self._failure

    @property
    def hello(self) -> Hello | None:
        """What the running process said of itself: device, model, versions."""
        return self._child.hello if self._child is not None else None

    @property
    def log_failure(self) -> str:
        """Why the running process has no log, a sentence; else empty."""
        return self._child.log_failure if self._child is not None else ""

    @property
    def pid(self) -> int | None:
        """The running process."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the process if it does not run, without waiting for it; a job does this by itself."""
        self._pump()
        if self._child is None and not self._given_up:
            self._spawn()

    def request(self, kind: type[Request], **fields: Any) -> int:
        """Ask for a job of this kind, with the request's fields but the id; its number. Arrays must not change from
        then on: another process may need them again. Raises OmomiError: PROTOCOL for fields of a wrong type or shape,
        TOO_LARGE."""
        number = next(self._numbers)
        request = _request(kind, number, fields)
        message = encode(to_packet(request))
        # A process that died since the last call must not be what the job is sent to.
        self._pump()
        self._open[number] = _OpenJob(request, message)
        if self._given_up and self._failure is not None:
            self._finish(Failure.of(number, self._failure))
        else:
            self._advance()
        return number

    def forget(self, handle: int) -> None:
        """The fit that job ``handle`` made is not needed any more; where it still goes on it is cancelled."""
        self.cancel(handle)
        self._kept.forget(handle)
        # Another process than the one that made it does not have it.
        if self._child is not None and not self._child.ending:
            self._child.send(encode(to_packet(Forget(handle))))

    def poll(self) -> list[Event]:
        """What happened since the last call, oldest first, without waiting. Of several meshes or progress reports of
        one job only the newest is there."""
        self._pump()
        return [event for event in self._events.drain() if isinstance(event, Event)]

    def wait(
        self,
        job: int,
        on_event: Callable[[Progress | MeshFrame], None] | None = None,
        timeout: float | None = None,
    ) -> FitDone | Done:
        """Block until ``job`` ends, passing its progress and meshes to ``on_event``; events of others stay for later.

        Raises OmomiError: what the job failed with, or BACKEND_TIMEOUT after ``timeout`` seconds. Whatever ends the
        wait (Ctrl-C, an error in ``on_event``) cancels the job."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                self._pump()
                known = job in self._open
                for event in self._events.take(job):
                    if isinstance(event, FitDone | Done):
                        return event
                    if isinstance(event, Failure):
                        raise event.error()
                    if on_event is not None and isinstance(event, Progress | MeshFrame):
                        on_event(event)
                if not known:
                    raise OmomiError(ErrorCode.INTERNAL, f"Job {job} has ended already or never began.")
                if deadline is not None and time.monotonic() > deadline:
                    raise OmomiError(ErrorCode.BACKEND_TIMEOUT, f"The job did not end within {timeout:g} s.")
                self._sleep(0.1)
        finally:
            self.cancel(job)
            self._events.take(job)

    def cancel(self, job: int) -> None:
        """Give up a job: of its events only a ``Failure`` with the code CANCELLED still comes. One that has ended
        already is left alone."""
        if job not in self._open:
            return
        first = next(iter(self._open)) == job
        if self._open[job].sent and self._child is not None:
            # What is made again for this job alone is not wanted either.
            unwanted = self._kept.give_up() if len(self._open) == 1 else []
            for number in (job, *unwanted):
                self._child.send(encode(to_packet(Cancel(number))))
            # Those that only wait are let go of for sure, once the process has read so.
            running = [job, *unwanted] if first else []
            self._cancelling |= dict.fromkeys(running, time.monotonic() + _CANCEL_SECONDS)
        self._finish(Failure(job, ErrorCode.CANCELLED, "The job was cancelled."))

    def reset(self) -> None:
        """Forget that the process could not be started: the next job tries again."""
        self._failure = None
        self._given_up = False
        self._failed_starts = 0
        self._start_after = 0.0

    def close(self) -> None:
        """End the process and fail what was open with CANCELLED. Blocks until the process is gone, which it is within
        half a second when it behaves. The client can be used again."""
        for job in list(self._open):
            self._finish(Failure(job, ErrorCode.CANCELLED, "The backend was closed."))
        self._cancelling.clear()
        self._kept.process_ended()
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _pump(self) -> None:
        """Take in what the process has said, and look after its life."""
        child = self._child
        if child is not None:
            ended = child.inbox.closed
            for message in child.inbox.drain():
                self._receive(message)
            if ended:
                self._bury(child)
            else:
                self._watch(child)
        self._advance()

    def _receive(self, message: Message) -> None:
        match message:
            case Progress(id=job) | MeshFrame(id=job) if job in self._open:
                self._open[job].begun = True
                self._events.put(message)
            case FitDone(id=job) | Done(id=job) | Failure(id=job) if job in self._open:
                self._answered(self._open[job], message)
            case FitDone(id=job) | Done(id=job) | Failure(id=job) if job is not None:
                self._cancelling.pop(job, None)
                self._kept.made_again(job)

    def _answered(self, job: _OpenJob, response: Response) -> None:
        if not isinstance(response, Failure):
            self._kept.ended(job.request, job.message)
        elif response.code is ErrorCode.UNKNOWN_SCAN and not job.retried and self._kept.dropped(job.request):
            # The process was short of memory.
            job.sent, job.retried = False, True
            return
        self._finish(response)

    def _finish(self, response: Response) -> None:
        """Close a job with its response. What waited of a failed job is no longer of interest."""
        assert response.id is not None
        self._open.pop(response.id, None)
        if isinstance(response, Failure):
            self._events.drop(response.id)
        self._events.put(response)

    def _watch(self, child: ChildProcess) -> None:
        """Kill a process that does not start, falls silent over a job, or holds on to a cancelled one."""
        now = time.monotonic()
        if child.hello is None:
            if now - child.started > self._start_timeout:
                sentence = f"The backend did not start within {self._start_timeout:g} s."
                child.kill(OmomiError(ErrorCode.BACKEND_START, sentence))
        elif self._open and now - max(child.last_activity, self._busy_since) > self._silence_timeout:
            sentence = f"The backend was silent for {self._silence_timeout:g} s and was stopped."
            child.kill(OmomiError(ErrorCode.BACKEND_TIMEOUT, sentence))
        elif self._cancelling and now > min(self._cancelling.values()):
            sentence = "The backend did not let go of a cancelled job and was stopped."
            child.kill(OmomiError(ErrorCode.BACKEND_TIMEOUT, sentence))

    def _bury(self, child: ChildProcess) -> None:
        """The process has ended: fail its jobs, and decide whether another one may be started."""
        error = child.error or OmomiError(ErrorCode.BACKEND_DIED, "The backend stopped unexpectedly.")
        # A cancelled job is to blame before the first of those that still wait.
        blamed = bool(self._cancelling)
        self._child = None
        self._cancelling.clear()
        self._kept.process_ended()
        self._failed_starts = 0 if child.hello is not None else self._failed_starts + 1
        if self._failed_starts:
            self._start_after = time.monotonic() + _FIRST_PAUSE_SECONDS * 2 ** (self._failed_starts - 1)
        self._failure = error
        self._given_up = child.hopeless or self._failed_starts >= _STARTS
        late = child.hello is None and child.killed
        for number, job in list(self._open.items()):
            # Of those that were sent the first one ran, unless nothing was heard of it: then it may have come when the
            # process was already dead, and has another try.
            ran, blamed = job.sent and not blamed, blamed or job.sent
            guilty = ran and (job.begun or job.retried or error.code is ErrorCode.BACKEND_TIMEOUT)
            if self._given_up or late or guilty:
                self._finish(Failure.of(number, error))
            job.sent, job.retried = False, job.retried or ran

    def _advance(self) -> None:
        """Send what has not been sent, starting a process if there is none and its time has come."""
        waiting = [job for job in self._open.values() if not job.sent]
        if not waiting:
            return
        if self._child is None and time.monotonic() >= self._start_after:
            self._spawn()
        # To a process that is ending nothing is sent: the next one will have it.
        if self._child is not None and self._child.hello is not None and not self._child.ending:
            self._busy_since = time.monotonic()
            for job in waiting:
                if not self._kept.ready(job.request):
                    break
                for message in (*self._kept.missing(job.request), job.message):
                    self._child.send(message)
                job.sent = True

    def _spawn(self) -> None:
        self._failure = None
        self._child = ChildProcess(self._command, self._env, self._log_path)

    def _sleep(self, seconds: float) -> None:
        if self._child is not None:
            self._child.inbox.wait(seconds)
        else:
            time.sleep(min(seconds, 0.02))


def _request(kind: type[Request], number: int, fields: Mapping[str, Any]) -> Request:
    """The request with arrays of the types that travel, and numbers of numpy made plain."""
    rules = {field.name: field.metadata for field in dataclasses.fields(kind)}
    values = dict(fields)
    for name, value in fields.items():
        if rules.get(name) and value is not None:
            array, dtypes = np.asarray(value), [np.dtype(dtype) for dtype in rules[name]["dtypes"]]
            values[name] = array if array.dtype in dtypes else array.astype(dtypes[-1])
        elif isinstance(value, np.ndarray | np.generic):
            values[name] = value.tolist()
    return kind(id=number, **values)
