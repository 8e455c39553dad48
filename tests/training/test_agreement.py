"""What training computes in torch the engine computes in numpy: the same numbers, or the network sees another world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.field.blocks import bricks_of, distinct, gather_parent
from backend.field.bricks import OUTSIDE, BrickGrid, BrickMap
from backend.field.evidence import gather_evidence
from backend.field.evidence import splat as engine_splat
from backend.field.onnx_model import CODE, CancelToken, load_model
from backend.training.checkpoint import save_checkpoint
from backend.training.export import export
from backend.training.grids import splat as training_splat
from backend.training.rollout import Recursion, attributes, parent_block


def test_evidence_is_the_same() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.9, 0.9, (4000, 3)).astype(np.float32)
    normals = rng.normal(size=(4000, 3)).astype(np.float32)
    blocks = np.array([[1, 0, 2], [4, 4, 3]], np.int32)
    coords = distinct(bricks_of(blocks))
    bricks = BrickMap.of(coords, np.full((16, 16, 16), OUTSIDE, np.int32), 4)
    ours = gather_evidence(engine_splat(points, normals, 64, bricks), bricks.find(bricks_of(blocks)))
    for block, evidence in zip(blocks, ours, strict=True):
        theirs = training_splat(
            torch.from_numpy(points), torch.from_numpy(normals), torch.from_numpy(block * 8).long(), 1
        )
        assert np.abs(evidence - theirs.numpy()).max() < 1e-3


def test_parents_are_cut_alike() -> None:
    dense = np.random.default_rng(1).normal(size=(2, 32, 32, 32)).astype(np.float32).clip(-3, 3)
    grid = BrickGrid.from_dense(dense)
    bricks = BrickMap.of(grid.coords, np.full((4, 4, 4), OUTSIDE, np.int32), 0)
    blocks = np.array([[0, 1, 3], [-1, 4, 2]], np.int32)
    ours = gather_parent(grid, bricks, blocks)
    field = torch.from_numpy(dense)[None].expand(2, -1, -1, -1, -1)
    theirs = parent_block(field, torch.zeros(2, 3, dtype=torch.long), torch.from_numpy(blocks * 8).long())
    assert np.array_equal(ours, theirs.numpy())


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recursion, Path]:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    model = Recursion()
    model.features.fit(torch.randn(200, 1, 32, 32, 32).clamp(-3, 3))
    for layer in (model.phi.out, model.phi.code_out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    save_checkpoint(folder / "c.safetensors", model, average, torch.optim.AdamW(model.parameters()), {"step": 0})
    # export itself raises when ONNX Runtime and torch differ by more than 1e-4
    export(folder / "c.safetensors", folder, {})
    return model, folder


def test_exported_graphs_agree_with_torch(untrained: tuple[Recursion, Path]) -> None:
    model, folder = untrained
    loaded = load_model("cpu", 1, folder)
    code = np.random.default_rng(0).normal(size=CODE).astype(np.float32)
    style = loaded.style(0.7, -0.5, 1, code, CancelToken())
    evidence = np.random.default_rng(1).normal(size=(1, 5, 32, 32, 32)).astype(np.float32)
    mean, sd = loaded.encode(evidence, loaded.seed(evidence, CancelToken()), CancelToken())
    with torch.no_grad():
        expected = model.phi(attributes(torch.tensor([0.7]), torch.tensor([-0.5]), 1), torch.from_numpy(code)[None])
        expected_mean, expected_log_sd = model.encode(torch.from_numpy(evidence))
    assert np.abs(style - expected.numpy()).max() < 1e-5
    assert np.abs(mean - expected_mean[0].numpy()).max() < 1e-4
    assert np.abs(sd - expected_log_sd[0].exp().numpy()).max() < 1e-4


def test_exported_files_name_no_source_file(untrained: tuple[Recursion, Path]) -> None:
    for path in untrained[1].glob("*.onnx"):
        assert b".py" not in path.read_bytes()
