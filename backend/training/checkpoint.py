"""Checkpoints in safetensors: weights, their running average, the optimiser's moments, and where training stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import ErrorCode, OmomiError
from ..formats.files import write_whole
from ..prior.codes import FILE as CODES
from ..prior.codes import load_codes

WEIGHT, AVERAGE, MOMENT = "weight/", "average/", "moment/"  # begin the names of a checkpoint's tensors
FEATURES = "features."  # begins the names of what codes stand for, which a released model has in its codes too


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors, all or nothing: a run that is cut off leaves the last whole file. Raises OmomiError(DISK)."""
    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_whole(path, save(kept, metadata))


def load_tensors(path: Path, device: torch.device | str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the metadata. Raises FileNotFoundError."""
    with safe_open(path, framework="pt", device=str(device)) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  no mapping


def save_checkpoint(
    path: Path, model: nn.Module, average: dict[str, Tensor], optimiser: Optimizer, progress: dict
) -> None:
    """Write all that a run needs to go on. Raises OmomiError(DISK)."""
    tensors = _prefixed(WEIGHT, model.state_dict()) | _prefixed(AVERAGE, average)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            tensors[f"{MOMENT}{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    save_tensors(path, tensors, {"progress": json.dumps(progress)})


def load_checkpoint(
    path: Path, model: nn.Module, average: dict[str, Tensor], optimiser: Optimizer | None, whole: bool = True
) -> dict:
    """Restore what `save_checkpoint` wrote, in place; returns the progress. Not ``whole``: an older model may lack
    parts, which stay as they are. Raises FileNotFoundError; OmomiError as `features_beside`, for a checkpoint that was
    written without its features."""
    device = next(model.parameters()).device
    stored, metadata = load_tensors(path, device)
    weights = _with_prefix(WEIGHT, stored)
    if "features" in metadata:
        weights |= {name: value.to(device) for name, value in features_beside(path).items()}
    model.load_state_dict(weights, strict=whole)
    # a checkpoint for release holds the average alone, as its weights
    average.update({name: value.clone() for name, value in (_with_prefix(AVERAGE, stored) or weights).items()})
    if optimiser is not None:
        for name, parameter in model.named_parameters():
            moments = _with_prefix(f"{MOMENT}{name}/", stored)
            if moments:
                moments["step"] = moments["step"].cpu()
                optimiser.state[parameter] = moments
    return json.loads(metadata["progress"])


def parameters_in(path: Path) -> set[str]:
    """Names of the weights that a checkpoint holds."""
    return set(_with_prefix(WEIGHT, load_tensors(path)[0]))


def save_average(path: Path, model: nn.Module, progress: dict) -> bool:
    """Write the weights alone: what is committed, and enough to train on from. Features that the codes beside it hold
    as well, a fifth of all numbers, are left out. Returns whether they were."""
    state, metadata = model.state_dict(), {"progress": json.dumps(progress)}
    beside = features_beside(path) if path.with_name(CODES).is_file() else {}
    same = bool(beside) and all(torch.equal(state[name].cpu(), value) for name, value in beside.items())
    if same:
        state = {name: value for name, value in state.items() if name not in beside}
        metadata["features"] = CODES
    save_tensors(path, _prefixed(WEIGHT, state), metadata)
    return same


def average_weights(path: Path, model: nn.Module) -> dict:
    """Load only the running average into ``model``: what evaluation and export use. Returns the progress."""
    average: dict[str, Tensor] = {}
    progress = load_checkpoint(path, model, average, None)
    model.load_state_dict(average, strict=False)
    return progress


def features_beside(checkpoint: Path) -> dict[str, Tensor]:
    """The features in the codes beside a checkpoint, named as in the model. Raises OmomiError: MODEL_MISSING;
    UNREADABLE_FILE."""
    path = checkpoint.with_name(CODES)
    if not path.is_file():
        sentence = f"{checkpoint} was written without its features, and {CODES}, which holds them, is not beside it."
        raise OmomiError(ErrorCode.MODEL_MISSING, sentence)
    codes = load_codes(path)
    return {FEATURES + name: torch.from_numpy(getattr(codes, name)) for name in ("mean", "basis", "scale")}


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin with ``prefix``, named without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
