"""`omomi train` from nothing to a model that loads and fits, at the smallest size that still runs every step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from backend.errors import ErrorCode, OmomiError
from backend.field.fit import fit
from backend.field.onnx_model import CODE, CancelToken, load_model
from backend.formats.raw_scan import RawScan
from backend.prior.shape_prior import load_prior
from backend.protocol.fit_options import FitOptions
from backend.training import bank as bank_module
from backend.training import calibration as calibration_module
from backend.training import export as export_module
from backend.training import flow as flow_module
from backend.training import objective as objective_module
from backend.training import release as release_module
from backend.training import train as train_module
from backend.training.atom import AtomConfig
from backend.training.calibration import true_error
from backend.training.checkpoint import average_weights, save_average
from backend.training.export import CARD, CHECKPOINT, export, export_graph, graphs, stored_card
from backend.training.flow import FlowConfig
from backend.training.objective import TrainConfig, drawn_code, estimated_noise, rate_at
from backend.training.recursion import Recursion, attributes

LEVELS = (0, 1)
"""Those that are calibrated here."""
COMMON = ("--members", "2", "--batch", "2", "--shards")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of `omomi train` from nothing: folder with bank and checkpoint, and the model under "model"."""
    folder = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank_module, "POINTS", 3000)
        patch.setattr(bank_module, "CHAINS", 1)
        # one shard held out, one to train on
        patch.setattr(bank_module, "HELD_OUT_SEEDS", 1)
        patch.setattr(calibration_module, "LEVELS", LEVELS)
        patch.setattr(export_module, "OPTIMISED", False)
        # bfloat16 is slow where the processor has none
        patch.setattr(objective_module, "TRUNK_TYPE", None)
        patch.setattr(train_module, "evaluate", lambda *_: {"held_out_voxels": [0.5] * 5})
        patch.setattr(train_module, "Recursion", styled)
        for module in (export_module, release_module):
            patch.setattr(module, "Recursion", small)
        patch.setattr(flow_module, "FlowConfig", partial(FlowConfig, steps=20))
        # one shape has no directions
        patch.setattr(release_module, "named_directions", lambda *_: (np.zeros((0, CODE), np.float32), []))
        options = ["--minutes", "0.02", "--out", str(folder / "model"), "--calibration-scans", "1", "--no-study"]
        # the export itself raises where ONNX Runtime and torch differ by more than 1e-4
        train_module.main([str(folder), *COMMON, "2", *options])
        yield folder


def small(*_: AtomConfig) -> Recursion:
    """A model with few channels."""
    return Recursion(AtomConfig(widths=(8, 8, 16)))


def styled(*_: AtomConfig) -> Recursion:
    """One whose layers that begin at zero do not, so that all of it tells in what it says."""
    model = small()
    for layer in (model.phi.out, model.phi.code_out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    torch.nn.init.normal_(model.encoder.out.weight, std=0.02)
    return model


def test_one_command_makes_a_model_that_fits(work: Path) -> None:
    out = work / "model"
    card = json.loads((out / "card.json").read_text())
    assert card["training"]["step"] >= 1 and len(card["sigma_factors"]) == len(LEVELS)
    assert all(factor > 0 for factor in card["sigma_factors"])
    model = load_model("cpu", 1, out)
    assert model.hash == card["hash"]
    prior = load_prior(out)
    assert prior.archive is not None and len(prior.flow.sample(2, 0)) == 2
    assert card["prior"]["left out by a code"] > 0
    assert b"Audit of the model" in (out / "audit.html").read_bytes()
    direction = np.random.default_rng(0).normal(size=(5000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    mesh = fit(RawScan(direction, None, direction.astype(np.float32), None, "ball"), model, FitOptions(level=0)).mesh
    assert len(mesh.faces) > 0


def test_the_weights_that_are_released_are_enough_to_go_on_from(work: Path) -> None:
    again = work / "again"
    options = ["--minutes", "0.001", "--depth", "1", "--bank", str(work / "bank")]
    train_module.main([str(again), *COMMON, "2", *options, "--from", str(work / "model" / CHECKPOINT)])
    assert (again / "atom.safetensors").exists()


def test_a_model_that_was_trained_on_with_the_same_codes_is_a_successor(work: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(work / "model", folder)
    before, model, progress = stored_card(folder / CARD), small(), {"step": 2, "seconds": 1.0}
    for changed, predecessors in ((model.atom.head.weight, [before["hash"]]), (model.features.scale, [])):
        average_weights(folder / CHECKPOINT, model)
        changed.data += 0.01
        save_average(tmp_path / "atom.safetensors", model, progress)
        card = export(tmp_path / "atom.safetensors", folder, stored_card(folder / CARD))
        assert card["hash"] != before["hash"] and card["predecessors"] == predecessors
    # the codes that lie there are those of the models before
    with pytest.raises(OmomiError) as caught:
        load_prior(folder)
    assert caught.value.code is ErrorCode.MODEL_MISMATCH


def test_exported_graphs_agree_with_torch(work: Path) -> None:
    model = small()
    average_weights(work / "model" / CHECKPOINT, model)
    loaded = load_model("cpu", 1, work / "model")
    code = np.random.default_rng(0).normal(size=CODE).astype(np.float32)
    style = loaded.style(0.7, -0.5, 1, code, CancelToken())
    evidence = np.random.default_rng(1).normal(size=(1, 5, 32, 32, 32)).astype(np.float32)
    mean, sd = loaded.encode(evidence, loaded.seed(evidence, CancelToken()), CancelToken())
    with torch.no_grad():
        expected = model.phi(attributes(torch.tensor([0.7]), torch.tensor([-0.5]), 1), torch.from_numpy(code)[None])
        expected_mean, expected_log_sd = model.encode(torch.from_numpy(evidence))
    assert float(expected.abs().max()) > 0.1 and float(expected_mean.abs().max()) > 0.1
    assert np.abs(style - expected.numpy()).max() < 1e-5
    assert np.abs(mean - expected_mean[0].numpy()).max() < 1e-4
    assert np.abs(sd - expected_log_sd[0].exp().numpy()).max() < 1e-4


def test_the_bytes_of_a_graph_depend_on_its_weights_alone(work: Path, tmp_path: Path) -> None:
    model = small()
    average_weights(work / "model" / CHECKPOINT, model)
    export_graph(*graphs(model.eval())["phi"], tmp_path / "phi.onnx")
    assert (tmp_path / "phi.onnx").read_bytes() == (work / "model" / "phi.onnx").read_bytes()


def test_exported_files_name_no_source_file(work: Path) -> None:
    for path in (work / "model").glob("*.onnx"):
        graph = onnx.load(path)
        # three bytes of the weights may read so by chance
        for weights in graph.graph.initializer:
            weights.ClearField("raw_data")
        assert b".py" not in graph.SerializeToString()


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    config = TrainConfig()
    assert rate_at(config, 0, 0.0) < rate_at(config, config.warm_up, 0.0) == pytest.approx(config.rate)
    assert rate_at(config, 10_000, 1.0) == pytest.approx(0.01 * config.rate)


def test_the_noise_that_the_network_is_told_is_about_right() -> None:
    told = estimated_noise(torch.full((4000,), 0.01), torch.Generator().manual_seed(0))
    assert float(told.median()) == pytest.approx(0.01, rel=0.05)


def test_as_many_samples_hear_no_code_as_are_asked_for_and_blind_ones_the_true_code() -> None:
    count, generator = 4000, torch.Generator().manual_seed(0)
    mean, true, evidence = torch.full((count, CODE), 2.0), torch.ones(count, CODE), torch.ones(count, 5, 2, 2, 2)
    evidence[:100] = 0
    for absent in (0.0, 0.15, 1.0):
        code = drawn_code(mean, torch.full_like(mean, -9.0), true, evidence, absent, generator)[:, 0]
        assert (code[:100] == 1).all()
        shares = [float((code[100:].round() == value).float().mean()) for value in (0, 1, 2)]
        assert shares == pytest.approx([absent, 0.4 * (1 - absent), 0.6 * (1 - absent)], abs=0.03)


def test_error_near_a_plane_is_measured_to_the_plane_and_not_to_the_samples() -> None:
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20), [0]), -1).reshape(-1, 3) * 0.008
    normals = np.tile([0.0, 0.0, 1.0], (len(grid), 1))
    at = np.array([[0.075, 0.075, 0.001], [0.075, 0.075, -0.003], [0.076, 0.076, 0.5]])
    assert np.allclose(true_error(at, grid, normals)[:2], [0.001, 0.003], atol=1e-9)
    assert true_error(at, grid, normals)[2] == pytest.approx(0.5, rel=0.01)
