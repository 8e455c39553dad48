"""The backend process: reads requests from stdin, runs one job at a time, writes messages to stdout.

Three threads: the caller's reads, one works, one writes. Nothing else touches the streams, so a slow reader on the
other side never holds up a job or a cancel.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
import traceback
from functools import partial
from typing import Any, NoReturn

import numpy as np

from .. import __version__
from ..engine import Engine
from ..errors import ErrorCode, OmomiError, lacks_memory, library_error
from ..protocol import framing
from ..protocol.codec import from_packet, job_of, to_packet
from ..protocol.framing import RawReader, RawWriter
from ..protocol.mailbox import Mailbox
from ..protocol.messages import (
    PROTOCOL_VERSION,
    Cancel,
    Failure,
    Forget,
    Hello,
    Message,
    Ping,
    Pong,
    Progress,
    Response,
    Shutdown,
)
from ..protocol.requests import PoseRequest, Request
from . import stdio
from .fit_cache import FitCache
from .handlers import JobContext, perform
from .jobs import Job

# Progress is promised twice a second; this leaves room for a busy machine.
HEARTBEAT_SECONDS = 0.3
MAX_WAITING_JOBS = 1024
MAX_WAITING_BYTES = 2 * framing.MAX_TOTAL_BYTES
# The part of a bounded memory that scans may take that are only kept for edits.
FITS_SHARE = 0.25

_NO_MEMORY = "The memory does not suffice: use a lower level."
_NO_ROOM_WITHIN = "The memory bound of {memory_mb} MB does not suffice: raise it, or use a lower level."
_NO_ROOM = "The memory does not suffice for what was sent: close other programs, or thin the scan."

_log = logging.getLogger(__name__)


def serve(engine: Engine, memory_mb: int = 0) -> NoReturn:
    """Be the backend process: speak on this process's stdin and stdout, then end it. ``memory_mb``: what the process
    may take, 0 for no bound."""
    stdio.leave_interrupts_to_the_parent()
    stdio.die_with_parent()
    reader, writer = stdio.claim_streams()
    code = Server(engine, reader, writer, memory_mb).run()
    logging.shutdown()
    sys.stderr.flush()
    # A job may still be in native code, which would crash if the interpreter were taken down around it.
    os._exit(code)


class Server:
    """Serves one client over a pair of streams with the given engine."""

    def __init__(self, engine: Engine, reader: RawReader, writer: RawWriter, memory_mb: int = 0) -> None:
        self._engine = engine
        self._reader = reader
        self._writer = writer
        self._outbox = Mailbox()
        self._todo: queue.SimpleQueue[Job | Forget] = queue.SimpleQueue()
        self._open: dict[int, Job] = {}
        self._open_bytes = 0  # of their arrays
        # of an error that says that memory does not suffice
        self._no_memory = _NO_ROOM_WITHIN.format(memory_mb=memory_mb) if memory_mb else _NO_MEMORY
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        # Touched by the worker alone.
        self._fits = FitCache(int((memory_mb << 20) * FITS_SHARE)) if memory_mb else FitCache()

    def run(self) -> int:
        """Serve until stdin ends or a shutdown is asked for; returns an exit code.

        A job may still be running then, on a daemon thread: the caller is expected to end the process.
        """
        writing = threading.Thread(target=self._write, name="omomi-write", daemon=True)
        writing.start()
        try:
            self._outbox.put(self._hello())
            threading.Thread(target=self._work, name="omomi-work", daemon=True).start()
            self._read()
            code = 0
        except OmomiError as error:
            _log.error("%s: %s", error.code, error.message)
            self._outbox.put(Failure.of(None, error))
            code = 1
        with self._lock:
            for job in self._open.values():
                job.cancel()
        self._outbox.close()
        writing.join(1.0)
        return code

    def _hello(self) -> Hello:
        info = _as_omomi_errors(self._engine.info, self._no_memory)
        limits = {
            "head": framing.MAX_HEAD_BYTES,
            "array": framing.MAX_ARRAY_BYTES,
            "total": framing.MAX_TOTAL_BYTES,
            "arrays": framing.MAX_ARRAYS,
        }
        return Hello(
            PROTOCOL_VERSION,
            __version__,
            os.getpid(),
            info.model_hash,
            info.device,
            info.providers,
            np.__version__,
            info.onnxruntime,
            limits,
            info.no_gpu,
        )

    def _read(self) -> None:
        """Take requests until the end of the stream; raises OmomiError when it is no longer a stream of packets."""
        for packet in framing.read_packets(self._reader):
            try:
                if packet.lost:
                    raise OmomiError(ErrorCode.OUT_OF_MEMORY, _NO_ROOM)
                message = _as_omomi_errors(partial(from_packet, packet), self._no_memory)
            except OmomiError as error:
                self._outbox.put(Failure.of(job_of(packet), error))
                continue
            match message:
                case _ if isinstance(message, Request):
                    self._accept(message)
                case Forget():
                    # In turn, for jobs that came before may still need the scan.
                    self._todo.put(message)
                case Cancel():
                    self._cancel(message.id)
                case Ping():
                    self._outbox.put(Pong())
                case Shutdown():
                    return
                case _:
                    refusal = OmomiError(ErrorCode.PROTOCOL, f"{type(message).__name__} is not for the backend.")
                    self._outbox.put(Failure.of(job_of(packet), refusal))

    def _accept(self, request: Request) -> None:
        job = Job(request)
        if isinstance(request, PoseRequest):
            self._supersede(request)
        with self._lock:
            if request.id in self._open:
                refusal = OmomiError(ErrorCode.PROTOCOL, f"Job {request.id} exists already.")
            elif len(self._open) >= MAX_WAITING_JOBS or self._open_bytes + job.nbytes > MAX_WAITING_BYTES:
                refusal = OmomiError(
                    ErrorCode.OUT_OF_MEMORY, "Too much work waits for the backend: ask for less at once."
                )
            else:
                self._open[request.id] = job
                self._open_bytes += job.nbytes
                self._todo.put(job)
                return
        self._outbox.put(Failure.of(request.id, refusal))

    def _supersede(self, request: PoseRequest) -> None:
        """Nobody wants to see a pose any more that still waits when a newer one comes."""
        with self._lock:
            waiting = [job.request for job in self._open.values() if not job.running]
        for other in waiting:
            if isinstance(other, PoseRequest) and other.handle == request.handle and other.id != request.id:
                self._cancel(other.id)

    def _cancel(self, number: int) -> None:
        with self._lock:
            job = self._open.get(number)
            if job is None:
                return
            job.cancel()
            if job.running:
                self._outbox.drop(number)
                return
            # One that only waits has its answer at once; the worker passes over it.
            self._close(number)
        self._outbox.put(_cancelled(number))

    def _close(self, number: int) -> None:
        """A job has, or is about to have, its response. Under the lock."""
        self._open_bytes -= self._open.pop(number).nbytes

    def _work(self) -> None:
        while True:
            job = self._todo.get()
            if isinstance(job, Forget):
                self._fits.forget(job.handle)
                continue
            with self._lock:
                job.running = job.request.id in self._open
            if job.running:
                response = self._respond(job)
                with self._lock:
                    self._close(job.request.id)
                    self._progress = None
                self._outbox.put(response)
            # Without this the scan would stay in memory until the next job comes.
            del job

    def _respond(self, job: Job) -> Response:
        """Run one job; its response."""
        number = job.request.id
        context = JobContext(self._engine, self._fits, job, partial(self._report, job), self._outbox.put)
        # The heart beats from here on; a job that is quicker than that says nothing but its response.
        self._progress = Progress(number, 0.0, "starting")
        try:
            job.begin(self._engine.token())
            with job.interruptible():
                return _as_omomi_errors(lambda: perform(context), self._no_memory)
        except OmomiError as error:
            if job.cancelled:
                # Whatever became of the interruption, the reason is the cancel.
                self._outbox.drop(number)
                return _cancelled(number)
            _log.warning("job %d: %s: %s\n%s", number, error.code, error.message, error.detail)
            return Failure.of(number, error)

    def _report(self, job: Job, fraction: float, text: str) -> None:
        job.raise_if_cancelled()
        progress = Progress(job.request.id, min(max(float(fraction), 0.0), 1.0), text)
        self._progress = progress
        self._outbox.put(progress)

    def _write(self) -> None:
        """Send what waits, and while a job runs repeat its last progress as a sign of life."""
        beat = time.monotonic()
        while True:
            message = self._outbox.get(HEARTBEAT_SECONDS)
            if message is not None:
                self._send(message)
            elif self._outbox.closed:
                return
            if isinstance(message, Progress):
                beat = time.monotonic()
            elif time.monotonic() - beat >= HEARTBEAT_SECONDS:
                # Through the outbox and under the lock, so that no progress follows the response of its job.
                with self._lock:
                    job = self._open.get(self._progress.id) if self._progress is not None else None
                    if job is not None and self._progress is not None and not job.cancelled:
                        self._outbox.put(self._progress)
                beat = time.monotonic()

    def _send(self, message: Message) -> None:
        try:
            for _ in framing.write(self._writer, framing.encode(to_packet(message))):
                pass
        except OSError:
            # Nobody listens any more, so nobody wants the result.
            os._exit(1)
        except OmomiError as error:
            _log.error("%s cannot be sent: %s", type(message).__name__, error.message)
            if not isinstance(message, Failure):
                self._send(Failure.of(getattr(message, "id", None), error))


def _as_omomi_errors(call: Any, no_memory: str) -> Any:
    """``call()``, with errors that nobody foresaw turned into OmomiError, so that one job cannot end the process.
    no_memory: the sentence where memory does not suffice."""
    try:
        return call()
    except OmomiError:
        raise
    except Exception as error:
        if lacks_memory(error):
            raise OmomiError(ErrorCode.OUT_OF_MEMORY, no_memory, str(error)) from error
        if isinstance(error, ImportError):
            raise library_error(error) from error
        _log.exception("unexpected error")
        summary = f"Something went wrong inside the backend ({type(error).__name__})."
        raise OmomiError(ErrorCode.INTERNAL, summary, traceback.format_exc()) from error


def _cancelled(number: int) -> Failure:
    return Failure(number, ErrorCode.CANCELLED, "The job was cancelled.")
