"""A root that begins as the atom, and weights in fewer bytes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from backend.training import compact
from backend.training.atom import ATTRIBUTES, CODE, AtomConfig
from backend.training.export import example
from backend.training.growth import grow_root
from backend.training.recursion import Recursion


def drawn(wide: tuple[int, int, int]) -> Recursion:
    """A small model no layer of which is zero."""
    torch.manual_seed(0)
    model = Recursion(AtomConfig(widths=(4, 6, 8)), AtomConfig(widths=wide))
    for parameter in (*model.atom.parameters(), *model.phi.parameters()):
        nn.init.normal_(parameter, std=1 / max(1, parameter[0].numel()) ** 0.5)
    return model


@pytest.mark.parametrize("wide", [(4, 6, 8), (8, 6, 16), (7, 13, 9)])
@torch.no_grad()
def test_a_root_begins_with_the_field_of_the_atom_and_can_learn_more(wide: tuple[int, int, int]) -> None:
    model = drawn(wide)
    grow_root(model)
    *inputs, _style, _gain, _bias = example(2, 1).values()
    told, code = torch.randn(2, ATTRIBUTES), torch.randn(2, CODE)
    expected = model.atom(*inputs, model.phi(told, code))
    assert float(expected.std()) > 0.5
    assert torch.allclose(model.root(*inputs, model.root_phi(told, code)), expected, atol=1e-4)
    with torch.enable_grad():
        model.root(*inputs, model.root_phi(told, code)).square().mean().backward()
    heard = model.root.head.weight.grad
    assert heard is not None and heard[:, 4:].any() == (wide[0] > 4)


def graph_of(values: np.ndarray) -> onnx.ModelProto:
    """x -> x times a weight."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, size])
        for name, size in zip("xy", values.shape, strict=True)
    ]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(values, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(("rounded", "bits"), [(compact.round_to_half, 16), (compact.round_to_bytes, 8), (None, 32)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_graph_holds_rounded_weights_in_fewer_bytes_and_computes_the_same(
    rounded: object, bits: int, turned: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 96)
    if callable(rounded):
        rounded(layer)
    values = layer.weight.detach().numpy()
    values = np.ascontiguousarray(values.T if turned else values)
    model, x = graph_of(values), np.random.default_rng(0).normal(size=(2, len(values))).astype(np.float32)
    compact.pack(model)
    stored = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    assert values.size * bits / 8 <= stored <= values.size * bits / 8 + 4 * 96
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": x})[0], x @ values, atol=1e-5)


def test_small_weights_are_left_as_they_are() -> None:
    model = graph_of(np.ones((8, 8), np.float32))
    before = model.SerializeToString()
    compact.pack(model)
    assert model.SerializeToString() == before


def test_rounding_to_bytes_moves_a_weight_by_half_a_step_at_most() -> None:
    layer = nn.Conv3d(3, 5, 3)
    before = layer.weight.detach().clone()
    compact.round_to_bytes(layer)
    step = before.flatten(1).abs().amax(1) / compact.LARGEST
    assert bool(((layer.weight.detach() - before).flatten(1).abs().amax(1) <= 0.501 * step).all())
    once = layer.weight.detach().clone()
    compact.round_to_bytes(layer)
    assert torch.allclose(layer.weight.detach(), once, atol=1e-7)
