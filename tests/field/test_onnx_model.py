"""Devices: a GPU that fails, or computes something else, is left for the processor, and the reason is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.field import onnx_model
from backend.field.onnx_model import CPU, CUDA, load_model

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
        def sessions(folder: Path, threads: int, wanted: list[str]) -> Sessions:
            made = real(folder, threads, [CPU])
            if CUDA not in wanted:
                return made
            return {graph: Stand(session, providers, change) for graph, session in made.items()}

        monkeypatch.setattr(onnx_model, "_sessions", sessions)
        monkeypatch.setattr(onnx_model, "_providers", lambda: [CUDA, CPU])

    return machine


def no_cudnn(array: np.ndarray) -> np.ndarray:
    raise RuntimeError("CUDNN_STATUS_NOT_INITIALIZED\nin Conv")


def refusal() -> str:
    with pytest.raises(OmomiError) as caught:
        load_model("cuda", 1)
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    return caught.value.message


def test_a_gpu_that_computes_alike_is_used(gpu: Any) -> None:
    gpu([CUDA, CPU], lambda array: array * np.float32(1.001))
    assert load_model("auto", 1).device == load_model("cuda", 1).device == "cuda"
    assert load_model("cpu", 1).device == "cpu"


def test_a_gpu_that_fails_in_its_first_run_is_left_for_the_processor(gpu: Any) -> None:
    gpu([CUDA, CPU], no_cudnn)
    assert load_model("auto", 1).device == "cpu"
    assert refusal() == "CUDA cannot be used here: CUDNN_STATUS_NOT_INITIALIZED."


def test_a_gpu_that_computes_something_else_is_left_for_the_processor(gpu: Any) -> None:
    gpu([CUDA, CPU], lambda array: array + np.float32(0.5))
    assert load_model("auto", 1).device == "cpu"
    assert "another field than the CPU" in refusal()


def test_a_session_that_falls_back_in_silence_is_no_gpu(gpu: Any) -> None:
    gpu([CPU], lambda array: array)
    assert load_model("auto", 1).device == "cpu"
    assert "the driver could not be loaded" in refusal()


def test_a_library_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "_providers", lambda: [CPU])
    assert load_model("auto", 1).device == "cpu"
    assert "no CUDA provider" in refusal()
