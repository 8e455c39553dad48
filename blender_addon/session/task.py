"""A run of several requests: a timer steps it in the window, a loop in background mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import Done, Failure, FitDone, MeshFrame, Progress
from .slices import Pause

SLICE_SECONDS = 0.02
"""After so long a step begins no other slice of the work."""


class Client(Protocol):
    """The part of ``BackendClient`` that the add-on needs."""

    @property
    def pid(self) -> int | None: ...
    def request(self, kind: type[Any], /, **fields: Any) -> int: ...
    def poll(self) -> Sequence[Any]: ...
    def cancel(self, job: int) -> None: ...
    def forget(self, handle: int) -> None: ...


class Answer(NamedTuple):
    """The end of a job: its response, and the last mesh before it where there is one."""

    job: int
    done: Any
    frame: MeshFrame | None

    @property
    def mesh(self) -> MeshFrame:
        """The result. Raises ``PROTOCOL`` where there is none: a mesh that is not final is a preview."""
        if self.frame is None or not self.frame.final:
            raise OmomiError(ErrorCode.PROTOCOL, "The backend process sent no mesh")
        return self.frame


Work: TypeAlias = Generator[int | Pause, Any, Any]
"""Yields the number of each job and is sent its `Answer`; a job that fails raises OmomiError at the yield. Before and
after jobs it yields a `Pause` between two slices."""


class Task:
    """Runs one `Work`. Call `step` until `over`; ``result`` is then what the work returned.

    The work reads the scene between two requests, but what it makes is put there afterwards: so a task that fails or is
    cancelled leaves everything as it was.
    """

    def __init__(
        self,
        client: Client,
        work: Work,
        text: str,
        jobs: int = 1,
        on_frame: Callable[[MeshFrame], None] | None = None,
        keys: Collection[str] = (),
    ) -> None:
        """jobs: the number of jobs, about equally long, in the work; on_frame: takes the newest mesh; keys: of the
        previews that it shows."""
        self.keys = keys
        self.over = False
        self.fraction = 0.0
        self.text = text
        self.result: Any = None
        self.errors: list[OmomiError] = []
        self._client = client
        self._work = work
        self._job: int | None = None
        self._frame: MeshFrame | None = None
        self._jobs = jobs
        self._ended = 0
        self._on_frame = on_frame
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def step(self) -> None:
        """Take in what the backend sent, do the next slices of the work and send what is next. Never blocks."""
        if self.over:
            return
        if self._job is None:
            self._resume(None)
            return
        events = [event for event in self._client.poll() if event.id == self._job]
        frames = [event for event in events if isinstance(event, MeshFrame)]
        if frames:
            self._frame = frames[-1]
            if self._on_frame is not None:
                self._on_frame(frames[-1])
        for event in events:
            match event:
                case Progress():
                    self._report(event)
                case FitDone() | Done():
                    self._ended += 1
                    self._resume(Answer(event.id, event, self._frame))
                case Failure():
                    self._resume(event.error())

    def cancel(self) -> None:
        """Stop now."""
        if self.over:
            return
        job, self._job, self.over = self._job, None, True
        self._work.close()
        if job is not None:
            self._client.cancel(job)

    def abandon(self) -> None:
        """Stop, and drop what is finished."""
        self.cancel()
        self.result = None

    def _report(self, event: Progress) -> None:
        of = max(self._jobs, self._ended + 1)
        self.fraction = (self._ended + event.fraction) / of if self._jobs > 1 else event.fraction
        self.text = f"{self._ended + 1} of {of}: {event.text}" if self._jobs > 1 else event.text

    def _paused(self, text: str) -> None:
        """Say what the work is doing on this side."""
        self.text = text

    def _resume(self, answer: Answer | OmomiError | None) -> None:
        self._frame = None
        ends = time.monotonic() + SLICE_SECONDS
        try:
            asked = self._work.throw(answer) if isinstance(answer, OmomiError) else self._work.send(answer)
            while isinstance(asked, Pause) and time.monotonic() < ends:
                asked = next(self._work)
            self._job = None if isinstance(asked, Pause) else asked
            if isinstance(asked, Pause):
                self._paused(asked.text)
        except StopIteration as stop:
            self._job, self.result, self.over = None, stop.value, True
        except OmomiError as error:
            self._job, self.over = None, True
            self.errors.append(error)
        except BaseException:
            self._job, self.over = None, True
            raise

    def _withdraw(self, error: OmomiError) -> None:
        """Cancel the job and have it fail with this error."""
        if self._job is not None:
            self._client.cancel(self._job)
        self._resume(error)
