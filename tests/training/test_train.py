"""`omomi train` from nothing to a model that loads and fits, at the smallest size that still runs every step."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.field.fit import fit
from backend.field.onnx_model import CODE, load_model
from backend.formats.raw_scan import RawScan
from backend.prior.shape_prior import load_prior
from backend.protocol.fit_options import FitOptions
from backend.training import bank as bank_module
from backend.training import latent as latent_module
from backend.training import release as release_module
from backend.training import train as train_module
from backend.training.batches import HELD_OUT_SEEDS
from backend.training.calibrate import true_error
from backend.training.flow import FlowConfig
from backend.training.objective import TrainConfig, estimated_noise, rate_at


def test_one_command_makes_a_model_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "POINTS", 3000)
    monkeypatch.setattr(bank_module, "CHAINS", 1)
    monkeypatch.setattr(train_module, "evaluate", lambda *_: {"held_out_voxels": [0.5] * 5})
    monkeypatch.setattr(latent_module, "FlowConfig", partial(FlowConfig, steps=20))
    # one shape has no directions
    none = np.zeros((0, CODE), np.float32), []
    monkeypatch.setattr(release_module, "named_directions", lambda *_: none)
    work, out = tmp_path / "work", tmp_path / "model"
    words = [str(work), "--shards", str(HELD_OUT_SEEDS + 1), "--members", "2", "--minutes", "0.02", "--batch", "2"]
    train_module.main([*words, "--out", str(out), "--calibration-scans", "1", "--no-study"])

    card = json.loads((out / "card.json").read_text())
    assert card["training"]["step"] >= 1 and len(card["sigma_factors"]) == 4
    assert all(factor > 0 for factor in card["sigma_factors"])
    model = load_model("cpu", folder=out)
    assert model.hash == card["hash"]
    prior = load_prior(out)
    assert prior.archive is not None and len(prior.flow.sample(2, 0)) == 2
    assert card["prior"]["left out by a code"] > 0
    assert b"Audit of the model" in (out / "audit.html").read_bytes()
    direction = np.random.default_rng(0).normal(size=(5000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    mesh = fit(RawScan(direction, None, direction.astype(np.float32), None, "ball"), model, FitOptions(level=0)).mesh
    assert len(mesh.faces) > 0

    # the weights that are committed are enough to go on from
    again = [str(tmp_path / "work2"), "--shards", str(HELD_OUT_SEEDS + 1), "--members", "2", "--minutes", "0.001"]
    (tmp_path / "work2").mkdir()
    (tmp_path / "work2" / "bank").symlink_to(work / "bank")
    train_module.main([*again, "--batch", "1", "--from", str(out / "checkpoint.safetensors")])
    assert (tmp_path / "work2" / "atom.safetensors").exists()


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    config = TrainConfig()
    assert rate_at(config, 0, 0.0) < rate_at(config, config.warm_up, 0.0) == pytest.approx(config.rate)
    assert rate_at(config, 10_000, 1.0) == pytest.approx(0.01 * config.rate)


def test_the_noise_that_the_network_is_told_is_about_right() -> None:
    told = estimated_noise(torch.full((4000,), 0.01), torch.Generator().manual_seed(0))
    assert float(told.median()) == pytest.approx(0.01, rel=0.05)


def test_error_near_a_plane_is_measured_to_the_plane_and_not_to_the_samples() -> None:
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20), [0]), -1).reshape(-1, 3) * 0.008
    normals = np.tile([0.0, 0.0, 1.0], (len(grid), 1))
    at = np.array([[0.075, 0.075, 0.001], [0.075, 0.075, -0.003], [0.076, 0.076, 0.5]])
    assert np.allclose(true_error(at, grid, normals)[:2], [0.001, 0.003], atol=1e-9)
    assert true_error(at, grid, normals)[2] == pytest.approx(0.5, rel=0.01)
