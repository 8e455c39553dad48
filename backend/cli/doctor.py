"""``omomi doctor``: what works here: interpreter, packages, providers (each proven by a session), model, Blender."""

from __future__ import annotations

import argparse
import base64
import contextlib
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from ..engine import Engine
from ..errors import OmomiError
from .arguments import MakeEngine
from .output import print_json, print_lines

_PACKAGES = ("numpy", "scipy", "safetensors", "onnxruntime")
_RUNTIMES = {"onnxruntime", "onnxruntime-gpu"}
_BLENDER_SECONDS = 30.0
_MODEL_CARD = Path(__file__).parent.parent / "models" / "card.json"

# An ONNX model (opset 20) of one node: a 3-D convolution of x, f32 (1, 1, 2, 2, 2), with the 1x1x1 kernel 2. It is a
# convolution because that is what the shipped model needs most, and what fails where CUDA is there but cuDNN is not.
_PROBE = base64.b64decode(
    "CAk6bQoPCgF4CgF3EgF5IgRDb252EgFnKhUIAQgBCAEIAQgBEAEiBAAAAEBCAXdaHwoBeBIaChgIARIUCgIIAQoCCAEKAggCCgIIAgoCCAJi"
    "HwoBeRIaChgIARIUCgIIAQoCCAEKAggCCgIIAgoCCAJCBAoAEBQ="
)


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    doctor = verbs.add_parser("doctor", parents=parents, help="say what works here")
    doctor.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    with contextlib.redirect_stdout(sys.stderr):
        findings = examine(make_engine(arguments.device, arguments.threads))
    (print_json if arguments.json else print_lines)(findings)
    return 0 if findings["ok"] else 1


def examine(engine: Engine) -> dict[str, Any]:
    """All findings; ``problems`` holds a sentence for each thing that keeps ``engine`` from fitting."""
    packages = {name: _version_of(name) for name in _PACKAGES}
    problems = [f"The package {name} cannot be loaded." for name in _PACKAGES if packages[name] is None]
    if {(found.metadata["Name"] or "").lower() for found in metadata.distributions()} >= _RUNTIMES:
        problems.append("onnxruntime and onnxruntime-gpu are both installed and break each other: remove one.")
    model: dict[str, Any] = {"card": _card()}
    try:
        info = engine.info()
    except OmomiError as error:
        problems.append(error.message)
    else:
        model |= {"hash": info.model_hash, "device": info.device}
    return {
        "ok": not problems,
        "problems": problems,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": packages,
        "providers": _providers() if packages["onnxruntime"] else {},
        "model": model,
        "blender": _blender(),
        "memory_mb": _memory_mb(),
        "processors": os.cpu_count(),
    }


def _version_of(name: str) -> str | None:
    try:
        return str(import_module(name).__version__)
    except ImportError:
        return None


def _providers() -> dict[str, str]:
    """Of each provider that ONNX Runtime lists: "works", or why a session on it does not run."""
    import onnxruntime

    from ..field.onnx_model import webgpu_device

    with contextlib.suppress(Exception):  # it says so itself where a session is asked for
        webgpu_device()
    return {name: _prove(name) for name in onnxruntime.get_available_providers()}


def _prove(provider: str) -> str:
    import numpy as np
    import onnxruntime

    from ..field.onnx_model import WEBGPU, session_options

    options = session_options(provider)
    options.log_severity_level = 4
    if provider != "CPUExecutionProvider":
        # Otherwise nodes that the provider cannot run would go to the CPU, and everything would seem to work.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(_PROBE, options, providers=None if provider == WEBGPU else [provider])
        if session.get_providers()[0] != provider:
            return "its libraries or its driver could not be loaded"
        (result,) = session.run(None, {"x": np.ones((1, 1, 2, 2, 2), np.float32)})
    except Exception as error:  # noqa: BLE001 - each provider has errors of its own, and the finding is the text
        return str(error).strip().splitlines()[0][:300] or type(error).__name__
    return "works" if np.array_equal(np.asarray(result), np.full((1, 1, 2, 2, 2), 2.0)) else "computes something wrong"


def _card() -> dict[str, Any] | None:
    try:
        return json.loads(_MODEL_CARD.read_text("utf-8"))
    except (OSError, ValueError):
        # The engine says what is wrong with the model; here it is only not there to be shown.
        return None


def _blender() -> str | None:
    """First line of ``blender --version``, or None without Blender on PATH."""
    path = shutil.which("blender")
    if path is None:
        return None
    try:
        run = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_BLENDER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} does not run: {error}"
    return f"{(run.stdout.strip().splitlines() or ['unknown version'])[0]} ({path})"


def _memory_mb() -> int | None:
    """Memory of the machine in MiB."""
    if sys.platform == "win32":
        kilobytes = ctypes.c_ulonglong()
        known = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
        return kilobytes.value >> 10 if known else None
    return (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) >> 20
