"""`omomi export`: a checkpoint becomes five ONNX graphs and a card, checked against torch.

The model's hash names its weights: edits and recipes go by it. Another form of a graph of the same weights keeps it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from ..field.blocks import PARENT
from ..field.bricks import BLOCK
from ..field.onnx_model import CODE, digest
from ..formats.files import write_whole
from ..protocol.names import card_predecessors
from .atom import ATTRIBUTES, EVIDENCE, Atom, HeadDelta
from .checkpoint import average_weights, save_average
from .recursion import Encoder, Features, Recursion
from .sliced_atom import SlicedAtom

OPSET = 20
OPTIMISED = True
"""Whether graphs are rewritten for speed, which takes a minute."""
CARD = "card.json"
CHECKPOINT = "checkpoint.safetensors"  # the weights for torch, not staged into the extension
TOLERANCE = 1e-4  # largest difference between torch and ONNX Runtime (voxels, log scale)
FREE = {"places": "places", "centres": "centres", "weights": "centres", "radius": None}
"""The free size of an input along its first axis, where that is not the batch; None where it is fixed."""
BATCHES = (1, 3)  # batch sizes that the check runs; the graphs take any


def example(count: int, style_size: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs as a scan would give them: a wavy sheet of points with their normals."""
    generator = torch.Generator().manual_seed(seed)
    evidence = torch.zeros(count, EVIDENCE, BLOCK, BLOCK, BLOCK)
    for block in range(count):
        points = torch.rand(4000, 3, generator=generator) * BLOCK
        points[:, 2] = BLOCK / 2 + 4 * torch.sin(points[:, 0] / 5 + block)
        normals = nn.functional.normalize(
            torch.stack([-0.8 * torch.cos(points[:, 0] / 5 + block), 0 * points[:, 0], 1 + 0 * points[:, 0]], 1), dim=1
        )
        x, y, z = points.floor().long().clamp(0, BLOCK - 1).T
        moment = (normals * (points - BLOCK / 2)).sum(1, keepdim=True)
        rows = torch.cat([torch.ones_like(moment), normals, moment], 1)
        evidence[block].index_put_((torch.arange(EVIDENCE)[:, None], x, y, z), rows.T, accumulate=True)
    parent = torch.randn(count, 2, PARENT, PARENT, PARENT, generator=generator)
    position = torch.cat([torch.rand(count, 3, generator=generator) - 0.5, torch.full((count, 1), 1 / 64)], 1)
    edit = torch.randn(2, count, 1, BLOCK, BLOCK, BLOCK, generator=generator)
    return {
        "evidence": evidence,
        "parent": parent,
        "position": position,
        "style": 0.1 * torch.randn(count, style_size, generator=generator),
        "gain": edit[0],
        "bias": edit[1],
    }


def delta_example() -> dict[str, Tensor]:
    """Places around the centres of an edit of the head, with its weights and radius."""
    generator = torch.Generator().manual_seed(2)
    return {
        "places": torch.rand(50, 3, generator=generator),
        "centres": torch.rand(7, 3, generator=generator),
        "weights": torch.randn(7, 2, generator=generator),
        "radius": torch.tensor([0.1]),
    }


class Sight(nn.Module):
    """The encoder with the features that it sees by: field of level 0 -> mean and log sd of the code."""

    def __init__(self, encoder: Encoder, features: Features) -> None:
        super().__init__()
        self.encoder, self.features = encoder, features

    def forward(self, field: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder(self.features, field)


def graphs(model: Recursion) -> dict[str, tuple[nn.Module, dict[str, Tensor], list[str]]]:
    """Module, example inputs and output names of each graph."""
    inputs = example(2, model.atom.style_size)
    generator = torch.Generator().manual_seed(1)
    attributes, code = torch.randn(2, ATTRIBUTES, generator=generator), torch.randn(2, CODE, generator=generator)
    field = {"field": torch.randn(2, 2, BLOCK, BLOCK, BLOCK, generator=generator)}
    return {
        "seed": (model.seed, {"evidence": inputs["evidence"]}, ["parent"]),
        "encoder": (Sight(model.encoder, model.features), field, ["mean", "log_sd"]),
        "phi": (model.phi, {"attributes": attributes, "code": code}, ["style"]),
        "atom": (model.atom, inputs, ["field"]),
        "delta": (HeadDelta(), delta_example(), ["gain_bias"]),
    }


def export_graph(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path) -> None:
    """Write one graph with free sizes, see FREE, in the form that is fast. Its bytes depend on the weights alone."""
    sizes = {name: torch.export.Dim(name, min=1, max=1 << 24) for name in ("batch", *filter(None, FREE.values()))}
    free = [FREE.get(name, "batch") for name in inputs]
    torch.onnx.export(
        SlicedAtom(module).eval() if isinstance(module, Atom) else module,
        tuple(inputs.values()),
        path,
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=outputs,
        dynamic_shapes=tuple({0: sizes[name]} if name else {} for name in free),
        external_data=False,
        optimize=OPTIMISED,
        verbose=False,
    )
    _strip(path)


def _strip(path: Path) -> None:
    """Remove what the exporter writes for debugging: it names source files and paths of this machine."""
    model = onnx.load(path)
    graph = model.graph
    del graph.value_info[:]
    for part in (model, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.metadata_props[:]
    onnx.save(model, path)


@torch.no_grad()
def largest_difference(module: nn.Module, path: Path, inputs: dict[str, Tensor]) -> float:
    """Largest absolute difference of any output between torch and ONNX Runtime, relative to the output's size."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in BATCHES:
        given = {name: value if name in FREE else torch.cat([value] * count)[:count] for name, value in inputs.items()}
        expected = module(*given.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(None, {name: value.numpy() for name, value in given.items()})
        for one, other in zip(expected, found, strict=True):
            scale = max(1.0, float(one.abs().max()))
            worst = max(worst, float(np.abs(one.numpy() - other).max()) / scale)
    return worst


def export(checkpoint: Path, folder: Path, card: dict) -> dict:
    """Write graphs, ``card.json`` and the averaged weights to ``folder``. card: that of the model there before, if any,
    which becomes a predecessor where its codes stand for the same. Raises ValueError where ONNX Runtime differs from
    torch."""
    model = Recursion()
    progress = average_weights(checkpoint, model)
    model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = graphs(model)
        for name, (module, inputs, outputs) in made.items():
            path = Path(temporary) / f"{name}.onnx"
            export_graph(module, inputs, outputs, path)
            difference = largest_difference(module, path, inputs)
            if difference > TOLERANCE:
                raise ValueError(f"{name}.onnx differs from torch by {difference:.1e}, more than {TOLERANCE:.0e}")
            card.setdefault("onnx_difference", {})[name] = difference
        # only a whole, checked model takes the place of the old one
        for name in made:
            os.replace(Path(temporary) / f"{name}.onnx", folder / f"{name}.onnx")
    same_codes = save_average(folder / CHECKPOINT, model, progress)
    weights, before = digest_of_weights(model), card.get("hash")
    if card.get("weights") != weights:
        predecessors = [*card_predecessors(card), before] if same_codes and before else []
        card |= {"hash": weights, "weights": weights, "predecessors": predecessors}
    card |= {
        "graphs": digest(folder, made),
        "config": asdict(model.atom.config),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training": progress,
    }
    write_card(folder / CARD, card)
    return card


def digest_of_weights(model: nn.Module) -> str:
    """Names the weights of a model: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Write a model's card: what it is, how it was made, and everything that was measured of it. Raises
    OmomiError(DISK)."""
    write_whole(path, (json.dumps(card, indent=1) + "\n").encode())


def update_card(path: Path, entries: dict[str, Any]) -> None:
    """Put ``entries`` into the card at ``path``, in place of those of the same name. Raises OmomiError(DISK)."""
    write_card(path, stored_card(path) | entries)


def stored_card(path: Path) -> dict[str, Any]:
    """The card at ``path`` as it is written; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="omomi export", description="Export a checkpoint to ONNX.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    card = stored_card(options.folder / CARD)
    card.pop("onnx_difference", None)
    print(json.dumps(export(options.checkpoint, options.folder, card), indent=1))
