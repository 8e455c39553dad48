"""Devices: a GPU that fails, or computes something else, is left for the processor, and the reason is said."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.field import onnx_model
from backend.field.onnx_model import CPU, CUDA, GPUS, WEBGPU, WHOLE, CancelToken, load_model

Sessions = dict[str, Any]


class Stand:
    """A session of a device that is not here: it runs on the processor and changes what comes out."""

    def __init__(self, session: Any, providers: list[str], change: Any) -> None:
        self._session, self._providers, self._change = session, providers, change

    def get_providers(self) -> list[str]:
        return self._providers

    def run(self, *arguments: Any) -> list[np.ndarray]:
        return [self._change(array) for array in self._session.run(*arguments)]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with a GPU of this behaviour: providers that its sessions name, and what it makes of a result."""
    real = onnx_model._sessions

    def machine(providers: list[str], change: Any) -> None:
        def sessions(folder: Path, threads: int, provider: str) -> Sessions:
            made = real(folder, threads, CPU)
            if provider == CPU:
                return made
            return {graph: Stand(session, [*providers, CPU], change) for graph, session in made.items()}

        monkeypatch.setattr(onnx_model, "_sessions", sessions)
        monkeypatch.setattr(onnx_model, "_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(onnx_model, "_pace", lambda model: float(model.device == "cpu"))

    return machine


def no_cudnn(array: np.ndarray) -> np.ndarray:
    raise RuntimeError("CUDNN_STATUS_NOT_INITIALIZED\nin Conv")


def refusal(device: str = "cuda") -> str:
    with pytest.raises(OmomiError) as caught:
        load_model(device, 1)
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    return caught.value.message


def test_a_gpu_that_computes_alike_is_used(gpu: Any) -> None:
    gpu([CUDA], lambda array: array * np.float32(1.001))
    assert load_model("auto", 1).device == load_model("cuda", 1).device == "cuda"
    assert load_model("cpu", 1).device == "cpu"


def test_a_gpu_that_fails_in_its_first_run_is_left_for_the_processor(gpu: Any) -> None:
    gpu([CUDA], no_cudnn)
    left = load_model("auto", 1)
    assert (left.device, left.no_gpu) == ("cpu", "CUDA cannot be used here: CUDNN_STATUS_NOT_INITIALIZED.")
    assert refusal() == "CUDA cannot be used here: CUDNN_STATUS_NOT_INITIALIZED."


def test_a_gpu_that_computes_something_else_is_left_for_the_processor(gpu: Any) -> None:
    gpu([CUDA], lambda array: array + np.float32(0.5))
    assert load_model("auto", 1).device == "cpu"
    assert "another field than the CPU" in refusal()


def test_a_gpu_that_makes_no_number_is_left_for_the_processor(gpu: Any) -> None:
    gpu([CUDA], lambda array: array * np.float32(np.nan))
    assert load_model("auto", 1).device == "cpu" and "another field than the CPU" in refusal()


def test_a_gpu_that_is_slower_is_taken_only_by_its_name(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu([CUDA], lambda array: array)
    monkeypatch.setattr(onnx_model, "_pace", lambda model: float(model.device == "cuda"))
    assert load_model("auto", 1).no_gpu == "CUDA cannot be used here: it is slower than the CPU."
    assert load_model("cuda", 1).device == "cuda"


def test_a_session_that_falls_back_in_silence_is_no_gpu(gpu: Any) -> None:
    gpu([], lambda array: array)
    assert load_model("auto", 1).device == "cpu"
    assert "its driver could not be loaded" in refusal()


def test_a_library_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "_providers", lambda: [CPU])
    left = load_model("auto", 1)
    assert (left.device, left.no_gpu) == ("cpu", "") and "no CUDA provider" in refusal()


@pytest.fixture
def plugin(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with the plug-in for WebGPU, without CUDA; what its library does when it is registered."""
    gpu([WEBGPU], lambda array: array)
    registered: list[str] = []
    onnx_model._register.cache_clear()
    found = [SimpleNamespace(ep_name=WEBGPU)]
    package = SimpleNamespace(get_library_path=lambda: "libwebgpu.so")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", package)
    monkeypatch.setattr(onnx_model, "_providers", lambda: [*([WEBGPU] if registered else []), CPU])
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda _, path: registered.append(path))
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: found if registered else [])
    yield SimpleNamespace(registered=registered, found=found)
    onnx_model._register.cache_clear()


def test_the_plug_in_for_webgpu_is_registered_once_and_used(plugin: Any) -> None:
    assert load_model("auto", 1).device == load_model("webgpu", 1).device == "webgpu"
    assert plugin.registered == ["libwebgpu.so"]


def test_a_plug_in_that_finds_no_gpu_or_cannot_be_loaded_is_left(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.found.clear()
    assert load_model("auto", 1).no_gpu == refusal("webgpu")

    def broken(*_: Any) -> None:
        raise RuntimeError("libvulkan.so.1: cannot open shared object file\nmore")

    plugin.registered.clear()
    onnx_model._register.cache_clear()
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", broken)
    assert refusal("webgpu") == "WebGPU cannot be used here: libvulkan.so.1: cannot open shared object file."


def test_without_the_plug_in_its_package_is_named(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", None)
    assert "the package onnxruntime-ep-webgpu is not installed" in refusal("webgpu")


@pytest.mark.parametrize("device", list(GPUS))
def test_every_gpu_that_is_here_makes_what_the_processor_makes_in_every_graph(device: str) -> None:
    """Of a scan's own evidence, within a hundredth of a voxel of the field."""
    try:
        fast = load_model(device, 1)
    except OmomiError as error:
        assert error.code is ErrorCode.DEVICE_UNAVAILABLE
        pytest.skip(error.message)
    plain, cancel, rng = load_model("cpu", 1), CancelToken(), np.random.default_rng(0)
    evidence = np.zeros((1, 5, 32, 32, 32), np.float32)
    evidence[:, :, 8:24, 8:24, 15:17] = rng.random((1, 5, 16, 16, 2))
    made: list[list[np.ndarray]] = []
    for model in (plain, fast):
        parent = model.seed(evidence, cancel)
        mean, sd = model.encode(evidence, parent, cancel)
        style = model.style(0.5, 0.0, 1, mean, cancel)
        field = model.field(evidence, parent, np.array([WHOLE], np.float32), style, cancel)
        places, centres = np.linspace(0, 1, 60).reshape(20, 3), np.linspace(0, 1, 15, dtype=np.float32).reshape(5, 3)
        change = model.delta(places, centres, np.ones((5, 2), np.float32), 0.5, cancel)
        made.append([parent, mean, sd, style, field, change])
    for one, other in zip(*made, strict=True):
        assert np.allclose(one, other, rtol=1e-3, atol=0.01), float(np.abs(one - other).max())
