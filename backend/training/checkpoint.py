"""Checkpoints in safetensors: weights, their running average, the optimiser's moments, and where training stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ErrorCode, OmomiError
from ..prior.codes import FILE as CODES
from ..prior.codes import load_codes

FEATURES = "features."
"""Begins the names of what codes stand for, which a released model has in its codes too."""


def save_checkpoint(
    path: Path, model: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer, progress: dict
) -> None:
    """Write all of it under a temporary name and rename, so that a cut-off run leaves the last whole checkpoint."""
    tensors = {f"weight/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            tensors[f"moment/{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    partial = path.with_suffix(".part")
    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file(kept, partial, metadata={"progress": json.dumps(progress)})
    os.replace(partial, path)


def load_checkpoint(
    path: Path,
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer | None,
    whole: bool = True,
) -> dict:
    """Restore what `save_checkpoint` wrote, in place; returns the progress. Not ``whole``: an older model may lack
    parts, which stay as they are. Raises FileNotFoundError; OmomiError as `features_beside`, for a checkpoint that was
    written without its features."""
    device = next(model.parameters()).device
    with safe_open(path, framework="pt", device=str(device)) as file:
        metadata = file.metadata()
        names = list(file.keys())
        stored = {name: file.get_tensor(name) for name in names}
    weights = {name[7:]: value for name, value in stored.items() if name.startswith("weight/")}
    if "features" in metadata:
        weights |= {name: value.to(device) for name, value in features_beside(path).items()}
    model.load_state_dict(weights, strict=whole)
    # a checkpoint for release holds the average alone, as its weights
    averaged = {name[8:]: value for name, value in stored.items() if name.startswith("average/")} or weights
    average.update({name: value.clone() for name, value in averaged.items()})
    if optimiser is not None:
        for name, parameter in model.named_parameters():
            moments = {
                key.rsplit("/", 1)[1]: value for key, value in stored.items() if key.startswith(f"moment/{name}/")
            }
            if moments:
                moments["step"] = moments["step"].cpu()
                optimiser.state[parameter] = moments
    return json.loads(metadata["progress"])


def parameters_in(path: Path) -> set[str]:
    """Names of the weights that a checkpoint holds."""
    with safe_open(path, framework="pt") as file:
        return {name[7:] for name in file.keys() if name.startswith("weight/")}  # noqa: SIM118  no mapping


def save_average(path: Path, model: nn.Module, progress: dict) -> None:
    """Write the weights alone: what is committed, and enough to train on from. Features that the codes beside it hold
    as well, a fifth of all numbers, are left out."""
    state, metadata = model.state_dict(), {"progress": json.dumps(progress)}
    beside = features_beside(path) if path.with_name(CODES).is_file() else {}
    if beside and all(torch.equal(state[name].cpu(), value) for name, value in beside.items()):
        state = {name: value for name, value in state.items() if name not in beside}
        metadata["features"] = CODES
    tensors = {f"weight/{name}": value.detach().cpu().contiguous() for name, value in state.items()}
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata=metadata)
    os.replace(partial, path)


def features_beside(checkpoint: Path) -> dict[str, Tensor]:
    """The features in the codes beside a checkpoint, named as in the model. Raises OmomiError: MODEL_MISSING;
    UNREADABLE_FILE."""
    path = checkpoint.with_name(CODES)
    if not path.is_file():
        sentence = f"{checkpoint} was written without its features, and {CODES}, which holds them, is not beside it."
        raise OmomiError(ErrorCode.MODEL_MISSING, sentence)
    codes = load_codes(path)
    return {FEATURES + name: torch.from_numpy(getattr(codes, name)) for name in ("mean", "basis", "scale")}


def average_weights(path: Path, model: nn.Module) -> dict:
    """Load only the running average into ``model``: what evaluation and export use. Returns the progress."""
    average: dict[str, Tensor] = {}
    progress = load_checkpoint(path, model, average, None)
    model.load_state_dict(average, strict=False)
    return progress
