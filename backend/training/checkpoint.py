"""Checkpoints in safetensors: weights, their running average, the optimiser's moments, and where training stands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


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
    parts, which stay as they are. Raises FileNotFoundError."""
    device = next(model.parameters()).device
    with safe_open(path, framework="pt", device=str(device)) as file:
        progress = json.loads(file.metadata()["progress"])
        names = list(file.keys())
        stored = {name: file.get_tensor(name) for name in names}
    weights = {name[7:]: value for name, value in stored.items() if name.startswith("weight/")}
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
    return progress


def parameters_in(path: Path) -> set[str]:
    """Names of the weights that a checkpoint holds."""
    with safe_open(path, framework="pt") as file:
        return {name[7:] for name in file.keys() if name.startswith("weight/")}  # noqa: SIM118  no mapping


def save_average(path: Path, model: nn.Module, progress: dict) -> None:
    """Write the weights alone: what is committed, and enough to train on from."""
    tensors = {f"weight/{name}": value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata={"progress": json.dumps(progress)})
    os.replace(partial, path)


def average_weights(path: Path, model: nn.Module) -> dict:
    """Load only the running average into ``model``: what evaluation and export use. Returns the progress."""
    average: dict[str, Tensor] = {}
    progress = load_checkpoint(path, model, average, None)
    model.load_state_dict(average, strict=False)
    return progress
