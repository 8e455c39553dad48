"""The shipped model: five ONNX graphs, called as functions of arrays. onnxruntime is imported on first use.

seed: the field above level 0. encoder: the shape's code. phi: from attributes and code to the style, the channel gains
of the atom. atom: the network that the recursion applies at every level. delta: from places to an edit of its head.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ErrorCode, OmomiError, lacks_memory

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
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MOST_APART = 0.1
"""Voxels by which a device may differ from the CPU. Errors of a thousandth in every result, as TF32 has, make .02."""
WHOLE = (0.0, 0.0, 0.0, 1 / 16)
"""The atom's position of the block of level 0: its centre and voxel size, canonical."""


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
    device: str  # "cpu" or "cuda"
    card: dict[str, Any]
    providers: list[str]
    sessions: dict[str, Any]  # by graph
    seconds: float = field(default=0.0)  # spent inside the sessions so far
    runs: Counter[str] = field(default_factory=Counter)  # of each graph so far
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # of these two

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
    """Open the graphs of ``folder`` (the shipped ones by default) on ``device``: auto, cpu or cuda.

    threads: of the CPU provider, 0 for all cores. Raises OmomiError: MODEL_MISSING; DEVICE_UNAVAILABLE when
    CUDA was asked for by name and does not run here; `auto` takes the CPU then.
    """
    folder = folder or MODEL_FOLDER
    missing = [name for name in (*(f"{graph}.onnx" for graph in GRAPHS), "card.json") if not (folder / name).is_file()]
    if missing:
        raise OmomiError(ErrorCode.MODEL_MISSING, f"The model is incomplete: {', '.join(missing)} is not installed.")
    card, found = json.loads((folder / "card.json").read_text(encoding="utf-8")), digest(folder)
    # graphs that the card does not know are another model
    named = card["hash"] if found == card.get("graphs") else found
    if device not in ("auto", "cpu", "cuda"):
        raise OmomiError(ErrorCode.BAD_OPTION, f"There is no device '{device}': use auto, cpu or cuda.")

    def opened(name: str, *providers: str) -> tuple[Model, np.ndarray]:
        """The model on one device, and what it makes of nothing."""
        sessions = _sessions(folder, threads, [*providers, CPU])
        model = Model(named, name, card, list(sessions["atom"].get_providers()), sessions)
        return model, _warm_up(model)

    plain, expected = opened("cpu")
    if device == "cpu":
        return plain
    try:
        if CUDA not in _providers():
            raise LookupError("this onnxruntime has no CUDA provider")
        fast, found = opened("cuda", CUDA)
    except Exception as error:  # noqa: BLE001  onnxruntime has no base class for its errors
        reason = str(error).splitlines()[0]
    else:
        # the session may fall back to the CPU without an error
        if CUDA not in fast.providers:
            reason = "the CUDA libraries or the driver could not be loaded"
        elif (apart := float(np.abs(found - expected).max())) > MOST_APART:
            reason = f"it makes another field than the CPU, by {apart:.2g} voxels"
        else:
            return fast
    if device == "cuda":
        raise OmomiError(ErrorCode.DEVICE_UNAVAILABLE, f"CUDA cannot be used here: {reason}.")
    return plain


def digest(folder: Path, graphs: Iterable[str] = GRAPHS) -> str:
    """Of graphs in a folder: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for graph in graphs:
        found.update((folder / f"{graph}.onnx").read_bytes())
    return found.hexdigest()[:16]


def _providers() -> list[str]:
    """What this onnxruntime is built with, which says nothing of what runs here."""
    import onnxruntime

    return onnxruntime.get_available_providers()


def _sessions(folder: Path, threads: int, providers: list[str]) -> dict[str, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return {
        graph: onnxruntime.InferenceSession(folder / f"{graph}.onnx", options, providers=providers) for graph in GRAPHS
    }


def _warm_up(model: Model) -> np.ndarray:
    """One run of every graph, so that the first fit does not pay for allocations; also proves that they run. Returns
    the atom's field f32 (1, 2, 32, 32, 32) of no evidence under a parent of 0."""
    cancel = CancelToken()
    empty = np.zeros((1, 5, 32, 32, 32), np.float32)
    parent = model.seed(empty, cancel)
    model.encode(empty, parent, cancel)
    style = model.style(0.0, 0.0, 0, np.zeros(CODE, np.float32), cancel)
    found = model.field(empty, np.zeros_like(parent), np.array([WHOLE], np.float32), style, cancel)
    model.seconds = 0.0
    return found
