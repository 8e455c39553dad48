"""Weights in fewer bytes. They are rounded in the checkpoint, so that a graph holds what torch computes with.

A graph holds rounded weights in 16 or 8 bits, and what makes float32 of them; a session does that once, when it opens.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

LARGEST = 127  # of the whole numbers
LEAST_SIZE = 4096  # numbers in a tensor that is worth the nodes
EXACT = 1e-6  # share of the largest weight by which a whole number and its scale may miss one


@torch.no_grad()
def round_to_half(module: nn.Module) -> None:
    """Round the weights of linear maps and convolutions to 16 bits: of the atom's field .0001 voxel."""
    for weight in _weights(module):
        weight.copy_(weight.half().float())


@torch.no_grad()
def round_to_bytes(module: nn.Module) -> None:
    """Round the weights of linear maps and convolutions to whole numbers of 8 bits times a scale for each output: of
    the atom's field .004 voxel."""
    for weight in _weights(module):
        scale = weight.flatten(1).abs().amax(1).clamp(min=1e-12).view(-1, *[1] * (weight.dim() - 1)) / LARGEST
        weight.copy_((weight / scale).round() * scale)


def pack(model: onnx.ModelProto) -> None:
    """Put the rounded weights of a graph in 16 or 8 bits, in place."""
    graph, made, kept = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        small = values.dtype != np.float32 or values.size < LEAST_SIZE
        nodes = [] if small else _half(tensor.name, values, kept) or _bytes(tensor.name, values, kept)
        if nodes:
            made += nodes
        else:
            kept.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _weights(module: nn.Module) -> list[Tensor]:
    return [part.weight for part in module.modules() if isinstance(part, nn.Conv3d | nn.Linear)]


def _half(name: str, values: NDArray, kept: list[TensorProto]) -> list[onnx.NodeProto]:
    half = values.astype(np.float16)
    if not np.array_equal(half, values):
        return []
    kept.append(numpy_helper.from_array(half, f"{name}_half"))
    return [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)]


def _bytes(name: str, values: NDArray, kept: list[TensorProto]) -> list[onnx.NodeProto]:
    for axis in range(values.ndim):
        others = tuple(each for each in range(values.ndim) if each != axis)
        scale = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12) / np.float32(LARGEST)
        whole = np.rint(values / scale)
        if np.abs(whole * scale - values).max() <= EXACT * np.abs(values).max():
            kept.append(numpy_helper.from_array(whole.astype(np.int8), f"{name}_whole"))
            kept.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
            return [
                helper.make_node("Cast", [f"{name}_whole"], [f"{name}_float"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name]),
            ]
    return []
