"""Memory, a disk and a process that fail once, at the place that a test asks for.

A place is where the backend asks the system for something that it may not get: a line at which numpy takes memory, a
call that writes, syncs, renames or opens, a message of the protocol.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import random
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import pytest

from backend.edits.threads import JobThreads

BACKEND = str(Path(__file__).parents[1] / "backend")


# Memory

_SET_HANDLER, _GET_HANDLER = 304, 305  # places of PyDataMem_SetHandler and _GetHandler in numpy's table


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]


class _Handler(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


class Memory:
    """The memory that numpy takes for arrays on this thread and those of `JobThreads`.

    There is one of it: arrays that were made while it was watched may live as long as the process.
    """

    def __init__(self) -> None:
        self.met = False
        self._count, self._fails, self._sites = 0, 0, dict[str, list[int]]()
        api = ctypes.pythonapi
        core: Any = importlib.import_module(f"{'numpy.core' if np.__version__ < '2' else 'numpy._core'}.multiarray")
        api.PyCapsule_GetPointer.restype = ctypes.c_void_p
        api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        api.PyCapsule_New.restype = ctypes.py_object
        api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        table = ctypes.cast(api.PyCapsule_GetPointer(core._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
        self._set = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[_SET_HANDLER] or 0)
        self._usual = ctypes.PYFUNCTYPE(ctypes.py_object)(table[_GET_HANDLER] or 0)()
        own = _Handler.from_address(api.PyCapsule_GetPointer(self._usual, b"mem_handler")).allocator
        pointer = ctypes.c_void_p
        size = ctypes.c_size_t
        kinds = {"malloc": (size,), "calloc": (size, size), "realloc": (pointer, size)}
        self._calls = [
            # numpy's own, which are called with Python's lock held
            ctypes.CFUNCTYPE(pointer, pointer, *given)(
                self._watched(ctypes.PYFUNCTYPE(pointer, pointer, *given)(getattr(own, name)))
            )
            for name, given in kinds.items()
        ]
        addresses = (ctypes.cast(call, pointer) for call in self._calls)
        self._own, self._watching = own, _Allocator(own.context, *addresses, own.free)
        self._handler = _Handler(b"watched", 1, own)
        self._capsule = api.PyCapsule_New(ctypes.addressof(self._handler), b"mem_handler", None)
        # the last arrays are freed when Python has forgotten all of its objects
        api.Py_IncRef(ctypes.py_object(self._handler))

    def _watched(self, take: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            self._count += 1
            if self._fails:
                if self._count == self._fails:
                    self.met = True
                    # no Python may run until numpy has raised its error, which it may take memory for
                    self._handler.allocator = self._own
                    return None
            elif site := _site(sys._getframe(1)):
                self._sites.setdefault(site, []).append(self._count)
            return take(*given)

        return call

    @contextmanager
    def _watch(self, fails: int) -> Generator[None]:
        self._count, self._fails, self.met = 0, fails, False
        submit = JobThreads.submit
        # a thread begins without its starter's way of taking memory
        JobThreads.submit = lambda pool, task, *given, **more: submit(pool, copy_context().run, task, *given, **more)
        self._handler.allocator = self._watching
        self._set(self._capsule)
        try:
            yield
        finally:
            self._set(self._usual)
            JobThreads.submit = submit

    def places(self, work: Callable[[], Any]) -> list[int]:
        """For each line of the backend at which ``work``, which was done before, takes memory, the number of one of
        its allocations; in the order of the lines' first ones."""
        self._sites = {}
        with self._watch(fails=0):
            work()
        chosen = random.Random(0)
        return [chosen.choice(numbers) for numbers in self._sites.values()]

    def failing(self, number: int) -> Any:
        """Within this block the allocation of this number fails; ``met`` tells whether it was asked for."""
        return self._watch(number)


def _site(frame: FrameType | None) -> str:
    """The innermost line of the backend."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(BACKEND):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


# Disk


class Disk:
    """What the process asks of the disk: files and folders that are made, written, synced and renamed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self._fails, self._end = 0, _full
        for name in ("open", "mkdir", "write", "fsync", "replace"):
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))
        monkeypatch.setattr(Path, "write_bytes", self._watched("write_bytes", Path.write_bytes))

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any, **more: Any) -> Any:
            if name == "open" and not given[1] & os.O_CREAT:
                return call(*given, **more)
            self.calls += 1
            if self.calls == self._fails:
                if name.startswith("write"):
                    call(given[0], given[1][: len(given[1]) // 2])
                self._end()
            return call(*given, **more)

        return asked

    @contextmanager
    def failing(self, number: int, end: Callable[[], Any] | None = None) -> Generator[None]:
        """Within this block the call of this number, counted from 1, does half of what it should and ends with
        ``end``: with an error, in turn of a full disk and of a broken one, unless another end is given."""
        self.calls, self._fails, self._end = 0, number, end or (_full if number % 2 else _broken)
        try:
            yield
        finally:
            self._fails = 0

    def places(self, work: Callable[[], Any]) -> list[int]:
        """The numbers of the calls of ``work``."""
        self.calls = 0
        work()
        return list(range(1, self.calls + 1))


def _full() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _broken() -> NoReturn:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def died(work: Callable[[], Any]) -> bool:
    """Do the work in a copy of this process, and whether that died over it. POSIX only."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
