"""The form of the atom that the graph has: the field of the plain one, whatever the weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from backend.field.onnx_model import GRAPHS, MODEL_FOLDER, digest, load_model
from backend.training.atom import Atom
from backend.training.checkpoint import average_weights
from backend.training.export import CARD, CHECKPOINT, digest_of_weights, example
from backend.training.recursion import Recursion
from backend.training.sliced_atom import SlicedAtom, SlicedConvolution, SlicedStep


@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_convolution_of_slices_is_that_of_the_volume(size: int) -> None:
    plain = nn.Conv3d(5, 7, 3, padding=1)
    volume = torch.randn(2, 5, size, size, size)
    with torch.no_grad():
        found = SlicedConvolution(plain, size)(volume.transpose(1, 2)).transpose(1, 2)
        assert torch.allclose(found, plain(volume), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_step_of_slices_is_that_of_the_volume(stride: int) -> None:
    plain = nn.Conv3d(5, 7, stride, stride=stride)
    volume = torch.randn(2, 5, 8, 8, 8)
    with torch.no_grad():
        found = SlicedStep(plain)(volume.transpose(1, 2)).transpose(1, 2)
        assert torch.allclose(found, plain(volume), atol=1e-5)


@torch.no_grad()
def test_the_field_is_that_of_the_plain_atom_with_any_weights() -> None:
    torch.manual_seed(0)
    atom = Atom()
    for parameter in atom.parameters():
        nn.init.normal_(parameter, std=1 / max(1, parameter[0].numel()) ** 0.5)
    inputs = example(2, atom.style_size)
    expected = atom(*inputs.values())
    assert float(expected.std()) > 0.5
    assert torch.allclose(SlicedAtom(atom)(*inputs.values()), expected, atol=1e-4)


@torch.no_grad()
def test_an_edit_of_zeros_changes_no_bit() -> None:
    atom = SlicedAtom(Atom())
    *inputs, gain, bias = example(1, atom.atom.style_size).values()
    field = atom.field(
        atom.trunk(given := atom.given(inputs[0].transpose(1, 2), inputs[1].transpose(1, 2)), *inputs[2:]), given
    )
    assert torch.equal(atom(*inputs, 0 * gain, 0 * bias), field.transpose(1, 2))


def test_the_shipped_model_is_named_after_its_weights_and_knows_its_graphs() -> None:
    model, card = Recursion(), json.loads((MODEL_FOLDER / CARD).read_text())
    average_weights(MODEL_FOLDER / CHECKPOINT, model)
    assert card["weights"] == digest_of_weights(model)
    assert card["graphs"] == digest(MODEL_FOLDER)
    # edits, recipes and profiles of the first release name it
    assert load_model("cpu", 1).hash == card["hash"] == "f0cdf2dde2cb9d95"


def test_graphs_that_the_card_does_not_know_are_another_model(tmp_path: Path) -> None:
    for name in (*(f"{graph}.onnx" for graph in GRAPHS), CARD):
        shutil.copy(MODEL_FOLDER / name, tmp_path)
    assert load_model("cpu", 1, tmp_path).hash == load_model("cpu", 1).hash
    card = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card | {"graphs": "0" * 16}))
    assert load_model("cpu", 1, tmp_path).hash == digest(tmp_path) != card["hash"]
