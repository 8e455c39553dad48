"""What the client remembers of fits, so that another process can make them again. Standard library and numpy only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from .requests import FitRequest, Request, StackRequest

MOST_BYTES = 1 << 29
"""Of the scans that are remembered; those used longest ago go first."""
Encoded: TypeAlias = list[memoryview]


@dataclass
class _Fit:
    scan: Encoded  # the request that made it
    edits: Encoded | None = None  # the last stack that was laid on it
    held: bool = True  # by the process that runs, or on its way there

    @property
    def nbytes(self) -> int:
        return sum(len(buffer) for message in (self.scan, self.edits or ()) for buffer in message)


class KeptFits:
    """Fits by the number of the job that made them, which stays theirs."""

    def __init__(self) -> None:
        self._fits: OrderedDict[int, _Fit] = OrderedDict()
        self._making: set[int] = set()  # handles that the process is making again
        self._ending: set[int] = set()  # of those, whose numbers are free once it has let go of them

    def ended(self, request: Request, message: Encoded) -> None:
        """A job has ended well."""
        if isinstance(request, FitRequest):
            self._fits[request.id] = _Fit(message)
        elif isinstance(request, StackRequest) and request.handle in self._fits:
            self._fits[request.handle].edits = message
        total = sum(fit.nbytes for fit in self._fits.values())
        while total > MOST_BYTES and len(self._fits) > 1:
            total -= self._fits.popitem(last=False)[1].nbytes

    def ready(self, request: Request) -> bool:
        """Whether what this request needs can be sent now."""
        return not self._ending.intersection(_handles(request))

    def missing(self, request: Request) -> list[Encoded]:
        """What has to be sent before this request, of fits that the process does not have."""
        messages: list[Encoded] = []
        for handle in _handles(request):
            if handle not in self._fits:
                continue
            fit = self._fits[handle]
            self._fits.move_to_end(handle)
            if not fit.held:
                fit.held = True
                self._making.add(handle)
                messages += [fit.scan] if fit.edits is None else [fit.scan, fit.edits]
        return messages

    def dropped(self, request: Request) -> bool:
        """The process does not have a fit that this request needs; whether it can be made again."""
        known = [handle for handle in _handles(request) if handle in self._fits]
        for handle in known:
            self._fits[handle].held = False
        return bool(known)

    def made_again(self, job: int) -> None:
        """The process has answered a job that nobody waits for."""
        self._making.discard(job)
        self._ending.discard(job)

    def give_up(self) -> list[int]:
        """Numbers of the jobs that make fits again, which are no longer wanted."""
        given_up = sorted(self._making - self._ending)
        self._ending.update(given_up)
        for handle in given_up:
            self._fits[handle].held = False
        return given_up

    def forget(self, handle: int) -> None:
        self._fits.pop(handle, None)
        self._making.discard(handle)

    def process_ended(self) -> None:
        """Nothing is held any more."""
        self._making.clear()
        self._ending.clear()
        for fit in self._fits.values():
            fit.held = False


def _handles(request: Request) -> list[int]:
    """Of the fits that a request is about."""
    named = (getattr(request, name, None) for name in ("handle", "other"))
    return [handle for handle in named if isinstance(handle, int)]
