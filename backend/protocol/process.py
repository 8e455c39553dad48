"""The backend as a child process: its start, its three threads, why it ended. Standard library and numpy only."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ErrorCode, OmomiError, system_reason
from .codec import from_packet
from .framing import CHUNK_BYTES, Decoder, write
from .mailbox import Mailbox
from .messages import Failure, Hello, Message

_TAIL_BYTES = 8192
_LOG_BYTES = 4 << 20
if sys.platform == "win32":
    _WINDOWS_FLAGS = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _WINDOWS_FLAGS = 0

# What a process that died is known to write, and the sentence that helps more than its last line.
_KNOWN_ENDINGS = (
    ("std::bad_alloc", ErrorCode.OUT_OF_MEMORY, "The memory did not suffice: use a lower level."),
    ("MemoryError", ErrorCode.OUT_OF_MEMORY, "The memory did not suffice: use a lower level."),
    ("DLL load failed", ErrorCode.BACKEND_START, "A library is missing: install Microsoft's Visual C++ runtime."),
)


def default_command(
    python: str,
    backend_dir: Path,
    site_dirs: Sequence[Path | str] = (),
    device: str = "auto",
    threads: int = 0,
    memory_mb: int = 0,
    log: Path | None = None,
) -> list[str]:
    """The argv of a backend process in isolated mode. backend_dir: folder of this package; site_dirs: folders with the
    packages that it needs; 0 leaves threads and memory to the backend."""
    command = [python, "-I", "-X", "utf8", str(Path(backend_dir) / "__main__.py"), "serve"]
    command += ["--device", device, "--threads", str(threads), "--memory-mb", str(memory_mb)]
    if log is not None:
        command += ["--log", str(log)]
    for folder in site_dirs:
        command += ["--site", str(folder)]
    return command


def child_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """``env`` (this process's when None) without what would lead a Python child to other packages."""
    source = os.environ if env is None else env
    return {key: value for key, value in source.items() if key.upper() not in ("PYTHONPATH", "PYTHONHOME")}


class ChildProcess:
    """One run of a backend process. Its messages come to ``inbox``, which closes when the process has ended."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None, log_path: Path | None) -> None:
        self.inbox = Mailbox()
        self.started = time.monotonic()
        self.last_activity = self.started
        self.hello: Hello | None = None
        # Set when the inbox closes: why the process ended, and whether another start would end the same.
        self.error: OmomiError | None = None
        self.hopeless = False
        self._command = list(command)
        self._env = child_environment(env)
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._outgoing: queue.SimpleQueue[list[memoryview] | None] = queue.SimpleQueue()
        self._may_write = threading.Event()
        self._complaint: OmomiError | None = None
        self.killed = False  # from here
        self.log_failure = ""  # a sentence where the log cannot be written
        self._silenced = False
        self._tail = b""
        # Popen runs on this thread and not on the caller's: on Linux a child dies with the thread that started it.
        self._reading = threading.Thread(target=self._run, name="omomi-read", daemon=True)
        self._reading.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def ending(self) -> bool:
        """The process has ended or been killed, though perhaps its last messages are still to come."""
        # poll() alone knows nothing while another thread is in wait(), which comes after the end of stdout.
        ended = self._process is not None and self._process.poll() is not None
        return ended or self.killed or self._silenced

    def send(self, buffers: list[memoryview]) -> None:
        """Queue an encoded message; it is written once the process has said a hello of this version."""
        self._outgoing.put(buffers)

    def kill(self, reason: OmomiError) -> None:
        """End the process now; ``reason`` becomes its error."""
        if self.error is None:
            self.error = reason
        self.killed = True
        process = self._process
        if process is None or process.poll() is not None:
            return
        if sys.platform == "win32":
            process.kill()
        else:
            # The child leads a session of its own: this reaches a wrapper's children too. While another thread waits
            # for its end, `poll` does not tell that it has ended.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def stop(self, grace: float = 0.5) -> None:
        """Let the process end by closing its stdin, then kill it; returns when it is gone."""
        self._outgoing.put(None)
        self._may_write.set()
        self._reading.join(grace)
        if self._reading.is_alive():
            self.kill(OmomiError(ErrorCode.BACKEND_DIED, "The backend was stopped."))
            self._reading.join(2.0)

    def _run(self) -> None:
        try:
            process = subprocess.Popen(
                self._command,
                env=self._env,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # No Ctrl-C that is meant for the parent, and on Windows no console window.
                start_new_session=sys.platform != "win32",
                creationflags=_WINDOWS_FLAGS,
            )
        except (OSError, ValueError) as error:
            why = system_reason(error) if isinstance(error, OSError) else error
            sentence = f"{self._command[0]} cannot be started: {why}."
            self.error = OmomiError(ErrorCode.BACKEND_START, sentence)
            self.hopeless = True
            self.inbox.close()
            return
        self._process = process
        if self.killed:
            process.kill()
        writing = threading.Thread(target=self._write, args=(process,), name="omomi-write", daemon=True)
        logging = threading.Thread(target=self._log, args=(process,), name="omomi-log", daemon=True)
        writing.start()
        logging.start()
        refusal = self._read(process)
        if refusal is not None:
            self.kill(refusal)
        self._silenced = True
        code = _wait(process)
        self._outgoing.put(None)
        self._may_write.set()
        logging.join(1.0)
        writing.join(1.0)
        assert process.stdout is not None
        process.stdout.close()
        if self.error is None:
            self.error = self._explain(code)
        self.inbox.close()

    def _read(self, process: subprocess.Popen[bytes]) -> OmomiError | None:
        """Fill the inbox until the stream ends; the error when the process says what it must not."""
        assert process.stdout is not None
        decoder = Decoder()
        try:
            while data := process.stdout.read(CHUNK_BYTES):
                self.last_activity = time.monotonic()
                for packet in decoder.feed(data):
                    self._receive(from_packet(packet))
        except OmomiError as error:
            self.hopeless = self.hello is None
            return error
        # A packet cut short is not an error of its own: the process has died, and that is reported.
        return None

    def _receive(self, message: Message) -> None:
        if isinstance(message, Failure) and message.id is None:
            self._complaint = message.error()
            self.hopeless = self.hello is None
        elif isinstance(message, Hello):
            self.hello = message
            self._may_write.set()
        elif self.hello is None:
            raise OmomiError(ErrorCode.PROTOCOL, "The backend did not introduce itself.")
        else:
            self.inbox.put(message)

    def _write(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._may_write.wait()
        try:
            while (buffers := self._outgoing.get()) is not None:
                for _ in write(process.stdin, buffers):
                    self.last_activity = time.monotonic()
        except OSError as error:
            # The reading side sees the end of the process and reports it; this is only for the log.
            self._note(f"writing to the backend failed: {error}\n".encode())
        finally:
            process.stdin.close()

    def _log(self, process: subprocess.Popen[bytes]) -> None:
        """Drain stderr, so that the child never blocks on it, into a bounded tail and a bounded log file."""
        assert process.stderr is not None
        with process.stderr as stream:
            try:
                log = _open_log(self._log_path)
            except OSError as error:
                self.log_failure = f"The log {self._log_path} cannot be written: {system_reason(error)}."
                self._note(f"{self.log_failure}\n".encode())
                log = None
            room = _LOG_BYTES
            while data := stream.read(4096):
                self._note(data)
                if log is not None and room > 0:
                    room -= log.write(data[:room])
            if log is not None:
                log.close()

    def _note(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def _explain(self, code: int) -> OmomiError:
        """Why a process that nobody killed ended with ``code``."""
        tail = self._tail.decode("utf-8", "replace").strip()
        if self._complaint is not None and code == 1:
            return self._complaint
        for sign, known, sentence in _KNOWN_ENDINGS:
            if sign in tail:
                return OmomiError(known, sentence, tail)
        if missing := re.search(r"No module named '(\w+)", tail):
            sentence = f"{self._command[0]} lacks the package {missing[1]}: install it there, or choose another Python."
            return OmomiError(ErrorCode.BACKEND_START, sentence, tail)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if self.hello is None:
            sentence = f"The backend ended before it was ready ({how})."
            return OmomiError(ErrorCode.BACKEND_START, sentence, tail)
        return OmomiError(ErrorCode.BACKEND_DIED, f"The backend stopped unexpectedly ({how}).", tail)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Exit code of a process that has closed its stdout, by force if it lingers."""
    try:
        return process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _open_log(path: Path | None) -> io.FileIO | None:
    """The log file, for appending; one that has grown large is moved aside first. Raises OSError."""
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        os.replace(path, path.with_name(path.name + ".old"))
    return io.FileIO(path, "a")
