"""The weights that are released: without the features that lie in the codes beside them, and whole again when read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from backend.errors import ErrorCode, OmomiError
from backend.prior.codes import FILE, Codes, save_codes
from backend.training import export as export_module
from backend.training.checkpoint import average_weights, load_checkpoint, parameters_in, save_average
from backend.training.export import CHECKPOINT, export, graphs
from backend.training.recursion import Features, Recursion


@pytest.fixture
def model() -> Recursion:
    torch.manual_seed(3)
    model = Recursion()
    features = model.features
    for buffer in (features.mean, features.basis, features.scale):
        buffer.copy_(torch.rand_like(buffer) + 0.1)
    return model


def save_beside(folder: Path, features: Features) -> None:
    mean, basis, scale = (buffer.numpy() for buffer in (features.mean, features.basis, features.scale))
    save_codes(folder / FILE, Codes(mean, basis, scale, np.zeros((0, len(scale)), np.float32)))


def write_weights(module: nn.Module, inputs: object, outputs: object, path: Path) -> None:
    """In place of a graph."""
    save_file(module.state_dict(), path)


def stored(path: Path) -> set[str]:
    with safe_open(path, framework="pt") as file:
        return {name for name in file.keys() if "features" in name}  # noqa: SIM118  no mapping


def test_features_are_left_out_where_the_codes_beside_hold_them(tmp_path: Path, model: Recursion) -> None:
    path = tmp_path / CHECKPOINT
    save_average(path, model, {"step": 7})
    whole = path.stat().st_size
    assert len(stored(path)) == 3
    save_beside(tmp_path, model.features)
    save_average(path, model, {"step": 7})
    assert stored(path) == set() and path.stat().st_size < whole - 4 * model.features.basis.numel()
    read = Recursion()
    assert average_weights(path, read) == {"step": 7}
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in model.state_dict().items())
    assert set(dict(model.named_parameters())) <= parameters_in(path)


def test_features_that_differ_from_those_beside_are_kept(tmp_path: Path, model: Recursion) -> None:
    save_beside(tmp_path, model.features)
    model.features.mean[0] += 1
    save_average(tmp_path / CHECKPOINT, model, {})
    read = Recursion()
    average_weights(tmp_path / CHECKPOINT, read)
    assert torch.equal(read.features.mean, model.features.mean)


@pytest.mark.parametrize("whole", [True, False])
def test_without_the_codes_such_a_checkpoint_is_refused(tmp_path: Path, model: Recursion, whole: bool) -> None:
    save_beside(tmp_path, model.features)
    save_average(tmp_path / CHECKPOINT, model, {})
    (tmp_path / FILE).unlink()
    with pytest.raises(OmomiError, match=FILE) as caught:
        load_checkpoint(tmp_path / CHECKPOINT, Recursion(), {}, None, whole)
    assert caught.value.code is ErrorCode.MODEL_MISSING


def test_an_export_of_released_weights_gives_the_same_model(
    tmp_path: Path, model: Recursion, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of the graphs only this one has the features in it; a graph's bytes depend on its weights alone
    monkeypatch.setattr(export_module, "graphs", lambda model: {"encoder": graphs(model)["encoder"]})
    monkeypatch.setattr(export_module, "export_graph", write_weights)
    monkeypatch.setattr(export_module, "largest_difference", lambda *_: 0.0)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    save_average(first / CHECKPOINT, model, {"step": 7})
    hashes = [export(first / CHECKPOINT, first, {})["hash"]]
    save_beside(first, model.features)
    save_average(first / CHECKPOINT, model, {"step": 7})
    hashes.append(export(first / CHECKPOINT, second, {})["hash"])
    assert stored(first / CHECKPOINT) == set() and len(stored(second / CHECKPOINT)) == 3
    assert hashes[0] == hashes[1]
