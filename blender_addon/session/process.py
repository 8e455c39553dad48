"""The backend process of this Blender: the first fit starts it, and it ends with the extension."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import bpy

from ..backend.protocol.client import BackendClient, default_command
from ..backend.protocol.messages import Failure, Hello
from ..text import Refusal
from ..ui import preferences

GPUS = {"cuda": "CUDA", "webgpu": "WebGPU"}
BACKEND = Path(__file__).parents[1] / "backend"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

_client: BackendClient | None = None
_client_settings: tuple[list[str], Path] | None = None


def site_folder() -> Path:
    """Where Blender unpacks the wheels of extensions for its own Python."""
    return Path(bpy.utils.user_resource("EXTENSIONS")) / ".local" / "lib" / f"python{PYTHON}" / "site-packages"


def command() -> list[str]:
    """The argv of the backend. Raises `Refusal` where the package has no libraries for this Blender's Python and the
    preferences name no other."""
    chosen = preferences.get()
    interpreter, sites = chosen.interpreter, []
    if not interpreter:
        interpreter, sites = sys.executable, [site_folder()]
        if not (sites[0] / "onnxruntime").is_dir():
            raise Refusal(
                f"The installed package holds no libraries for Python {PYTHON} on this system, {_supported()}. Install "
                "the package for this Blender, or name a Python that has onnxruntime in the Omomi preferences."
            )
    return default_command(
        bpy.path.abspath(interpreter), BACKEND, sites,
        device=chosen.device, threads=chosen.threads, memory_mb=chosen.memory_mb,
    )  # fmt: skip


def _supported() -> str:
    wheels = (BACKEND.parent / "wheels").glob("onnxruntime-*.whl")
    found = sorted(" ".join(wheel.stem.split("-")[2::2]) for wheel in wheels)
    return f"only for {', '.join(found)}" if found else "nor any others"


def running() -> BackendClient | None:
    """The client of the process, or None before the first start."""
    return _client


def started() -> BackendClient:
    """A client whose process runs or is starting; a new process where the preferences changed. Raises as `command`."""
    global _client, _client_settings
    settings = command(), preferences.log_path(preferences.get())
    if _client is not None and settings != _client_settings:
        close()
    if _client is None:
        _client, _client_settings = BackendClient(settings[0], log_path=settings[1]), settings
    _client.start()
    return _client


def close() -> None:
    """End the process, if there is one."""
    global _client, _client_settings
    client, _client, _client_settings = _client, None, None
    if client is not None:
        client.close()


def introduced() -> Hello:
    """Wait for the hello of the process. Raises OmomiError where it does not start."""
    client = started()
    while client.hello is None:
        for event in client.poll():
            if isinstance(event, Failure) and event.id is None:
                raise event.error()
        if client.failure is not None:
            raise client.failure
        time.sleep(0.02)
    return client.hello


def describe(hello: Hello) -> list[str]:
    """Lines for the artist: device, model, versions, log."""
    chosen = preferences.get()
    return [
        describe_device(hello, chosen.device),
        f"Backend {hello.backend} (protocol {hello.protocol}), model {hello.model_hash}, process {hello.pid}",
        f"ONNX Runtime {hello.onnxruntime} with {', '.join(hello.providers)}; numpy {hello.numpy}",
        log_failure() or f"Log: {preferences.log_path(chosen)}",
    ]


def log_failure() -> str:
    """Why the running process has no log, a sentence; else empty."""
    return "" if _client is None else _client.log_failure


def describe_device(hello: Hello, asked: str) -> str:
    """One line: the device in use, and the reason where it is not a GPU."""
    if hello.device != "cpu":
        return f"Runs on {GPUS.get(hello.device, hello.device)}"
    if asked == "cpu":
        return "Runs on the CPU, as chosen in the preferences"
    return f"Runs on the CPU: {hello.no_gpu or 'no library for a GPU is installed'}".removesuffix(".")
