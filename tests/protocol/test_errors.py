"""What the system, numpy and other libraries say becomes one sentence that an artist can act on."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import pytest

from backend.engine import OnnxEngine
from backend.errors import ErrorCode, OmomiError, lacks_memory, library_error, system_reason
from backend.formats.files import check_writable, open_file, write_whole
from backend.protocol.codec import from_packet
from backend.protocol.framing import read_packets
from backend.protocol.messages import Failure
from backend.server import server as server_module
from tests.fake_server import FakeEngine


def test_a_reason_of_the_system_has_no_number() -> None:
    known = (errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EISDIR)
    reasons = [system_reason(OSError(number, os.strerror(number), "a.ply")) for number in known]
    assert len(set(reasons)) == len(known) and not any("Errno" in reason for reason in reasons)
    assert system_reason(OSError("odd")) == "odd" and system_reason(OSError()) == "OSError"


def test_a_folder_that_is_missing_is_named_as_such(tmp_path: Any) -> None:
    for write in (check_writable, lambda path: write_whole(path, b"")):
        with pytest.raises(OmomiError, match="its folder does not exist"):
            write(tmp_path / "no" / "a.ply")
    with pytest.raises(OmomiError, match=r"a\.ply cannot be read: it does not exist"), open_file(tmp_path / "a.ply"):
        pass


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(), SystemError("error return without exception set"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("a.so: failed to map segment from shared object"), RuntimeError("can't start new thread"),
        RuntimeError("pthread_create failed, error code: 12 error msg: Cannot allocate memory"),
    ],
)  # fmt: skip
def test_a_lack_of_memory_is_known_by_whatever_says_it(error: Exception) -> None:
    assert lacks_memory(error)


@pytest.mark.parametrize("error", [ValueError("memory"), ImportError("No module named 'scipy'"), OSError(2, "gone")])
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not lacks_memory(error)


def test_a_library_that_is_missing_is_named_with_the_python_that_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OmomiError) as caught:
        OnnxEngine("cpu").info()
    assert caught.value.code is ErrorCode.BACKEND_START
    assert caught.value.message.startswith(f"{sys.executable} lacks the package onnxruntime")
    broken = library_error(ImportError("libcudart.so: wrong ELF class"))
    assert broken.code is ErrorCode.BACKEND_START and "libcudart" in broken.message


@pytest.mark.parametrize(("bound", "said"), [(200, "memory bound of 200 MB"), (0, "use a lower level")])
def test_a_backend_without_memory_names_the_bound_that_it_has(bound: int, said: str) -> None:
    class Hungry(FakeEngine):
        def info(self) -> Any:
            raise RuntimeError("pthread_create failed: Cannot allocate memory")

    written = io.BytesIO()
    assert server_module.Server(Hungry(), io.BytesIO(), written, bound).run() == 1
    (failure,) = (from_packet(packet) for packet in read_packets(io.BytesIO(written.getvalue())))
    assert isinstance(failure, Failure) and failure.code is ErrorCode.OUT_OF_MEMORY and said in failure.message
