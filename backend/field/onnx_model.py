"""The shipped model: five ONNX graphs, called as functions of arrays. onnxruntime is imported on first use.

seed: the field above level 0. encoder: the shape's code. phi: from attributes and code to the style, the channel gains
of the atom. atom: the network that the recursion applies at every level. delta: from places to an edit of its head.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ErrorCode, OmomiError, lacks_memory
from ..protocol.names import card_predecessors

if TYPE_CHECKING:
    import onnxruntime

MODEL_FOLDER = Path(__file__).parent.parent / "models"
GRAPHS = ("seed", "encoder", "phi", "atom", "delta")
CODE = 128
"""Numbers in a shape code z; the code 0 is the mean of all shapes."""
CODED_LEVELS = 2
"""Levels that depend on the code, from level 0 on. With the code, finer levels learned the training shapes by heart and
had larger errors on other shapes than without it."""
LEAST_NOISE = 0.05
"""Less noise than this (voxels) counts as this much: it does not change the field."""
ENCODER_NOISE = 0.1
"""Noise (voxels of level 0) for the atom when it makes the field that the encoder reads."""
MOST_KERNELS = 1 << 22
"""Pairs of a place and a centre in one run of the graph delta: bounds its memory."""
CPU, CUDA, WEBGPU = "CPUExecutionProvider", "CUDAExecutionProvider", "WebGpuExecutionProvider"
GPUS = {"cuda": ("CUDA", CUDA), "webgpu": ("WebGPU", WEBGPU)}
"""Names and providers of devices beside the CPU, in the order in which they are tried."""
CPU_BATCH, GPU_BATCH = 2, 16
"""Blocks in one run of the atom. On a CPU, what more of them pass from layer to layer leaves the cache. On a GPU every
run has a cost of its own; the number is a guess that no card was tried with."""
MOST_APART = 0.1
"""Voxels by which a device may differ from the CPU. Errors of a thousandth in every result, as TF32 has, make .02."""
WHOLE = (0.0, 0.0, 0.0, 1 / 16)
"""The atom's position of the block of level 0: its centre and voxel size, canonical."""

_log = logging.getLogger(__name__)


class NotInstalled(LookupError):
    """This Python does not have what a device needs."""


class CancelToken:
    """Asks a running fit to stop, from any thread; network runs in progress are ended too."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._runs: list[onnxruntime.RunOptions] = []

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        self._event.set()
        with self._lock:
            for run in self._runs:
                run.terminate = True

    def raise_if_cancelled(self) -> None:
        """Raises OmomiError(CANCELLED) once `cancel` was called."""
        if self._event.is_set():
            raise OmomiError(ErrorCode.CANCELLED, "The job was cancelled.")

    @contextmanager
    def running(self, options: onnxruntime.RunOptions) -> Generator[None]:
        """Within this block `cancel` terminates the run that has these options."""
        with self._lock:
            self._runs.append(options)
        try:
            # checked after the run is set, so that no `cancel` is missed between the two
            self.raise_if_cancelled()
            yield
        except Exception:
            # a terminated run fails with an exception of its own
            self.raise_if_cancelled()
            raise
        finally:
            with self._lock:
                self._runs.remove(options)


@dataclass
class Model:
    """The graphs' sessions on one device."""

    hash: str  # of the weights, which edits and recipes go by
    device: str  # "cpu", or one of `GPUS`
    card: dict[str, Any]
    providers: list[str]
    sessions: dict[str, Any]  # by graph
    seconds: float = field(default=0.0)  # spent inside the sessions so far
    runs: Counter[str] = field(default_factory=Counter)  # of each graph so far
    no_gpu: str = ""  # sentences: why a GPU that is installed is not used
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # of these two

    @property
    def batch(self) -> int:
        """Blocks in one run of the atom."""
        return CPU_BATCH if self.device == "cpu" else GPU_BATCH

    @property
    def predecessors(self) -> tuple[str, ...]:
        """Hashes of earlier models to which codes and edits meant the same."""
        return card_predecessors(self.card)

    def seed(self, evidence: np.ndarray, cancel: CancelToken) -> np.ndarray:
        """Field above level 0, f32 (1, 2, 18, 18, 18), from the evidence of level 0, f32 (1, 5, 32, 32, 32)."""
        return self._run("seed", ["parent"], {"evidence": evidence}, cancel)[0]

    def encode(self, evidence: np.ndarray, parent: np.ndarray, cancel: CancelToken) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the shape's code, each f32 (CODE,).

        evidence: of level 0; parent: the field above it, as `seed` returns it. The encoder reads the atom's field for
        the zero code.
        """
        unknown = np.zeros(CODE, np.float32)
        style = self.style(ENCODER_NOISE, 0.0, 0, unknown, cancel)
        field = self.field(evidence, parent, np.array([WHOLE], np.float32), style, cancel)
        mean, log_sd = self._run("encoder", ["mean", "log_sd"], {"field": field}, cancel)
        return mean[0], np.exp(log_sd[0])

    def style(self, noise: float, filling: float, level: int, code: np.ndarray, cancel: CancelToken) -> np.ndarray:
        """Style f32 (1, S), the channel gains of the atom.

        noise: in voxels of the level; filling: -1 .. 1; code f32 (CODE,): ignored from level CODED_LEVELS on.
        """
        attributes = [np.log2(max(noise, LEAST_NOISE)) / 3, filling, level / 5, float(level == 0)]
        code = np.asarray(code, np.float32) if level < CODED_LEVELS else np.zeros(CODE, np.float32)
        inputs = {"attributes": np.array([attributes], np.float32), "code": code[None]}
        return self._run("phi", ["style"], inputs, cancel)[0]

    def field(
        self,
        evidence: np.ndarray,
        parent: np.ndarray,
        position: np.ndarray,
        style: np.ndarray,
        cancel: CancelToken,
        edit: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Mean and log scale (voxels) of b blocks, f32 (b, 2, 32, 32, 32); inputs as in `training.atom.Atom`. edit:
        gain and bias of the head at every voxel, f32 (b, 1, 32, 32, 32)."""
        inputs = {"evidence": evidence, "parent": parent, "position": position, "style": style}
        still = np.zeros((len(evidence), 1, *evidence.shape[2:]), np.float32)
        inputs["gain"], inputs["bias"] = edit or (still, still)
        return self._run("atom", ["field"], inputs, cancel)[0]

    def delta(
        self, places: np.ndarray, centres: np.ndarray, weights: np.ndarray, radius: float, cancel: CancelToken
    ) -> np.ndarray:
        """Gain and bias f32 (n, 2) at places (n, 3), see `weight_delta.LevelDelta`."""
        parts = [np.zeros((0, 2), np.float32)]
        rows = max(1, MOST_KERNELS // max(1, len(centres)))
        for start in range(0, len(places), rows):
            part = np.ascontiguousarray(places[start : start + rows], np.float32)
            inputs = {"places": part, "centres": centres, "weights": weights, "radius": np.array([radius], np.float32)}
            parts.append(self._run("delta", ["gain_bias"], inputs, cancel)[0])
        return np.concatenate(parts)

    def _run(
        self, graph: str, outputs: list[str], inputs: dict[str, np.ndarray], cancel: CancelToken
    ) -> list[np.ndarray]:
        import onnxruntime

        options = onnxruntime.RunOptions()
        started = time.perf_counter()
        with cancel.running(options):
            try:
                result = self.sessions[graph].run(outputs, inputs, options)
            except Exception as error:  # onnxruntime has no base class for its errors, nor a MemoryError
                if lacks_memory(error):
                    raise MemoryError(str(error)) from error
                raise
        with self._lock:
            self.seconds += time.perf_counter() - started
            self.runs[graph] += 1
        return result


def load_model(device: str = "auto", threads: int = 0, folder: Path | None = None) -> Model:
    """Open the graphs of ``folder`` (the shipped ones by default) on ``device``: cpu, one of `GPUS`, or auto, the first
    GPU that makes the same field as the CPU in less time, else the CPU.

    threads: of the CPU provider, 0 for all cores. Raises OmomiError: MODEL_MISSING; DEVICE_UNAVAILABLE when a GPU was
    asked for by name and does not run here.
    """
    folder = folder or MODEL_FOLDER
    missing = [name for name in (*(f"{graph}.onnx" for graph in GRAPHS), "card.json") if not (folder / name).is_file()]
    if missing:
        raise OmomiError(ErrorCode.MODEL_MISSING, f"The model is incomplete: {', '.join(missing)} is not installed.")
    card, found = json.loads((folder / "card.json").read_text(encoding="utf-8")), digest(folder)
    # graphs that the card does not know are another model
    named = card["hash"] if found == card.get("graphs") else found
    if device not in ("auto", "cpu", *GPUS):
        devices = ", ".join(("auto", "cpu", *GPUS))
        raise OmomiError(ErrorCode.BAD_OPTION, f"There is no device '{device}': use one of {devices}.")

    def opened(name: str, provider: str) -> tuple[Model, np.ndarray]:
        """The model on one device, and what it makes of nothing."""
        sessions = _sessions(folder, threads, provider)
        model = Model(named, name, card, list(sessions["atom"].get_providers()), sessions)
        return model, _warm_up(model)

    plain, expected = opened("cpu", CPU)
    reasons = []
    for name in GPUS if device == "auto" else {device} - {"cpu"}:
        label, provider = GPUS[name]
        try:
            _find(provider)
            fast, made = opened(name, provider)
            _check(fast, provider, made, expected)
            if device != "auto" or _pace(fast) < _pace(plain):
                return fast
            reason = "it is slower than the CPU"
        except NotInstalled as error:
            if device == "auto":
                continue
            reason = str(error)
        except Exception as error:  # noqa: BLE001  onnxruntime has no base class for its errors
            reason = str(error).splitlines()[0]
        if device != "auto":
            raise OmomiError(ErrorCode.DEVICE_UNAVAILABLE, f"{label} cannot be used here: {reason}.")
        reasons.append(f"{label} cannot be used here: {reason}.")
        _log.warning(reasons[-1])
    plain.no_gpu = " ".join(reasons)
    return plain


def digest(folder: Path, graphs: Iterable[str] = GRAPHS) -> str:
    """Of graphs in a folder: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for graph in graphs:
        found.update((folder / f"{graph}.onnx").read_bytes())
    return found.hexdigest()[:16]


def _find(provider: str) -> None:
    """Raises `NotInstalled` where this onnxruntime does not have a provider."""
    if provider == WEBGPU:
        webgpu_device()
    elif provider not in _providers():
        raise NotInstalled("this onnxruntime has no CUDA provider")


def _check(fast: Model, provider: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Raises LookupError where a GPU does not run, or makes another field than the CPU."""
    # the session may fall back to the CPU without an error
    if provider not in fast.providers:
        raise LookupError("its libraries or its driver could not be loaded")
    apart = float(np.abs(found - expected).max())
    if not apart <= MOST_APART:
        raise LookupError(f"it makes another field than the CPU, by {apart:.2g} voxels")


def _providers() -> list[str]:
    """What this onnxruntime is built with, which says nothing of what runs here."""
    import onnxruntime

    return onnxruntime.get_available_providers()


def webgpu_device() -> Any:
    """The device of the plug-in for WebGPU, which is registered first. Raises `NotInstalled`, and LookupError where the
    plug-in finds no GPU."""
    import onnxruntime

    try:
        plugin = import_module("onnxruntime_ep_webgpu")
    except ImportError as error:
        raise NotInstalled("the package onnxruntime-ep-webgpu is not installed") from error
    _register(plugin.get_library_path())
    # the plug-in takes one device alone, and chooses the GPU by itself
    device = next((found for found in onnxruntime.get_ep_devices() if found.ep_name == WEBGPU), None)
    if device is None:
        raise LookupError("its libraries or its driver could not be loaded")
    return device


@cache
def _register(library: str) -> None:
    """Have onnxruntime load a plug-in, which it refuses to do twice."""
    import onnxruntime

    onnxruntime.register_execution_provider_library("omomi-webgpu", library)


def session_options(provider: str) -> Any:
    """Options of a session on a provider, whose own device they name where it is a plug-in."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if provider == WEBGPU:
        options.add_provider_for_devices([webgpu_device()], {})
    return options


def _sessions(folder: Path, threads: int, provider: str) -> dict[str, Any]:
    import onnxruntime

    options = session_options(provider)
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # a plug-in has its place in the options
    given = None if provider == WEBGPU else list(dict.fromkeys([provider, CPU]))
    return {graph: onnxruntime.InferenceSession(folder / f"{graph}.onnx", options, providers=given) for graph in GRAPHS}


def _pace(model: Model) -> float:
    """Seconds that the atom takes for a block, where it has as many as a run may have."""
    # memory for so many is taken first
    _warm_field(model, model.batch)
    before = model.seconds
    _warm_field(model, model.batch)
    taken, model.seconds = model.seconds - before, before
    return taken / model.batch


def _warm_up(model: Model) -> np.ndarray:
    """One run of every graph, so that the first fit does not pay for allocations; also proves that they run. Returns
    the atom's field f32 (1, 2, 32, 32, 32) of no evidence under a parent of 0."""
    cancel = CancelToken()
    empty = np.zeros((1, 5, 32, 32, 32), np.float32)
    model.encode(empty, model.seed(empty, cancel), cancel)
    place, nothing = np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float32)
    model.delta(place, place, nothing, 1.0, cancel)
    found = _warm_field(model)
    model.seconds = 0.0
    return found


def _warm_field(model: Model, blocks: int = 1) -> np.ndarray:
    cancel = CancelToken()
    style = model.style(0.0, 0.0, 0, np.zeros(CODE, np.float32), cancel)
    empty, parent = np.zeros((blocks, 5, 32, 32, 32), np.float32), np.zeros((blocks, 2, 18, 18, 18), np.float32)
    inputs = (empty, parent, np.array([WHOLE] * blocks, np.float32), np.repeat(style, blocks, axis=0))
    return model.field(*inputs, cancel)
