"""The process side of the protocol: who owns fd 0 and 1, how the process dies, how much memory it may take."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def claim_streams() -> tuple[io.FileIO, io.FileIO]:
    """Take stdin and stdout for the protocol; returns (reader, writer), unbuffered and binary.

    Afterwards fd 1 is stderr and fd 0 is empty, also for native code and child processes, so that a stray print or
    read cannot corrupt the protocol.
    """
    sys.stdout.flush()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if sys.platform == "win32":
        import msvcrt

        # A text-mode descriptor would turn every 0x0A of an array into 0x0D 0x0A.
        msvcrt.setmode(source, os.O_BINARY)
        msvcrt.setmode(sink, os.O_BINARY)
    return io.FileIO(source, "rb"), io.FileIO(sink, "wb")


def leave_interrupts_to_the_parent() -> None:
    """Ctrl-C in a terminal reaches every process of the group; only the parent decides what it means. SIGTERM, which is
    for this process, ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def die_with_parent() -> None:
    """On Linux, let the kernel kill this process when the thread that started it ends.

    The end of stdin does the same everywhere; this also covers a process that is stuck in native code.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have gone before the call above.
    if os.getppid() != parent:
        os._exit(1)


def limit_memory(megabytes: int) -> None:
    """Let allocations beyond the bound fail with MemoryError; 0 is no bound. Not available on Windows and macOS."""
    if megabytes > 0 and sys.platform == "linux":
        import resource

        # RLIMIT_DATA counts private writable memory; RLIMIT_AS would also count what CUDA only reserves.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        bound = megabytes << 20
        resource.setrlimit(resource.RLIMIT_DATA, (bound if hard < 0 else min(bound, hard), hard))
