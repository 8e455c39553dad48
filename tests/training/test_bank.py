"""From a procedural family to a trained step: a tiny bank made in seconds, consistent with itself and resumable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.field.bricks import resolution
from backend.field.onnx_model import CODE
from backend.training import bank as bank_module
from backend.training.atom import AtomConfig
from backend.training.bank import Bank, based, make_shard, rest_direction, write_shard
from backend.training.checkpoint import load_checkpoint, save_checkpoint
from backend.training.grids import Batch, splat
from backend.training.losses import laplace_loss
from backend.training.objective import TRUNK_TYPE
from backend.training.recursion import Recursion
from backend.training.scanner import ScanSettings, draw_settings, scan_points, surface_points, view_directions


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank_module, "POINTS", 6000)
        patch.setattr(bank_module, "CHAINS", 2)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    for seed, family in ((0, "csg"), (12, "vessel")):
        write_shard(folder, family, 2, seed, "cpu")
    return folder


def test_blocks_of_every_level_vanish_at_the_surface_points(folder: Path) -> None:
    from scipy.ndimage import map_coordinates

    with np.load(folder / "000000_csg.npz") as shard:
        for member in range(2):
            points = shard["points"][member] / 32767
            for level in (1, 2, 3):
                origin, field = shard["origins"][member, 0, level - 1], shard["fields"][member, 0, level - 1]
                local = (points + 1) * resolution(level) / 2 - origin - 0.5
                inside = ((local > 1) & (local < 30)).all(axis=1)
                assert inside.sum() > 3
                value = map_coordinates(field.astype(np.float32), local[inside].T, order=1)
                assert np.abs(value).mean() < 0.15, level


def test_blocks_are_nested_and_aligned_with_their_parents(folder: Path) -> None:
    with np.load(folder / "000012_vessel.npz") as shard:
        origins = shard["origins"].astype(int)
    assert (origins % 2 == 0).all()
    offset = origins[:, :, 1:] // 2 - origins[:, :, :-1]
    assert (offset >= 2).all() and (offset <= 14).all()


def test_a_shard_depends_on_its_seed_alone() -> None:
    one, same, other = make_shard("csg", 1, 5), make_shard("csg", 1, 5), make_shard("csg", 1, 6)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["points"], other["points"])


def test_symmetries_turn_evidence_and_target_together(folder: Path) -> None:
    batch = Bank(folder).draw(6, 2, torch.Generator().manual_seed(0))
    for level in (0, 1, 2):
        weight, target = batch.evidence[level][:, 0], batch.target[level][:, 0]
        for points, field in zip(weight, target, strict=True):
            if points.sum() > 50:
                # most points lie within the noise of the surface, wherever the cube's symmetry has put it
                assert float(field.abs()[points > 0].median()) < 1.6


def test_held_out_shards_are_never_drawn_for_training(folder: Path) -> None:
    train, held_out = Bank(folder), Bank(folder, held_out=True)
    assert {path.stem for path, _ in train.members}.isdisjoint({path.stem for path, _ in held_out.members})
    assert len(train.members) == 2 and len(held_out.members) == 2


def test_noise_moves_points_along_the_line_of_sight_by_its_deviation() -> None:
    count = 20_000
    points = torch.rand(count, 3) * torch.tensor([1.0, 1.0, 0.0])
    normals, cameras = torch.tensor([0.0, 0, 1]).expand(count, 3), torch.tensor([[0.0, 0, 1]])
    generator = torch.Generator().manual_seed(0)
    settings = ScanSettings(views=1, noise=0.01, flying=0.0, normal_noise=0.0)
    cloud, normal, to_sensor = scan_points(
        points, normals, torch.ones(count, dtype=torch.int32), cameras, settings, generator
    )
    assert float(cloud[:, 2].std()) == pytest.approx(0.01, rel=0.1)
    assert torch.allclose(normal, normals[: len(normal)], atol=1e-6)
    assert (to_sensor[:, 2] > 0.9).all()


def test_only_points_that_a_chosen_camera_sees_are_scanned() -> None:
    points, normals = torch.rand(1000, 3), torch.nn.functional.normalize(torch.ones(1000, 3), dim=1)
    seen = torch.zeros(1000, dtype=torch.int32)
    seen[:100] = 1
    cameras = torch.tensor([[1.0, 1, 1]]) / 3**0.5
    settings = ScanSettings(views=1, noise=0.0, flying=0.0, normal_noise=0.0)
    cloud, _, _ = scan_points(points, normals, seen, cameras, settings, torch.Generator().manual_seed(0))
    assert 0 < len(cloud) <= 100
    allowed = {tuple(point) for point in points[:100].tolist()}
    assert all(tuple(point) in allowed for point in cloud.tolist())


def scanned(up: torch.Tensor, above: float = -1.0, sided: float = -1.0) -> torch.Tensor:
    """A scan (n, 3) of a ball by cameras on all sides; each sees the half that faces it."""
    points = torch.nn.functional.normalize(torch.randn(4000, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    cameras = view_directions(24, torch.Generator().manual_seed(2))
    seen = ((points @ cameras.T > 0.3).long() * 2 ** torch.arange(24)).sum(1)
    settings = ScanSettings(views=12, noise=0.0, flying=0.0, above=above, sided=sided)
    return scan_points(points, points, seen, cameras, settings, torch.Generator().manual_seed(3), up)[0]


def test_cameras_over_a_table_see_no_bottom_and_those_on_one_side_not_the_other() -> None:
    up = torch.tensor([0.6, 0.0, 0.8])
    around, above, sided = scanned(up), scanned(up, above=0.3), scanned(up, sided=0.5)
    assert float((around @ up).min()) < -0.95
    # the lowest camera looks .3 above the table and sees as far as .3 before its own horizon
    assert float((above @ up).min()) > -0.85 and float((above @ up).max()) > 0.95
    middle = torch.nn.functional.normalize(sided.mean(0), dim=0)
    assert float((around @ middle).min()) < -0.95 < float((sided @ middle).min())


def test_a_camera_is_left_where_none_stands_where_it_should() -> None:
    up = torch.tensor([0.0, 0.0, 1.0])
    assert len(scanned(up, above=1.0)) > 100


def test_cut_shapes_have_a_flat_base_and_rest_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def ball(points: torch.Tensor) -> torch.Tensor:
        return points.norm(dim=-1) - 0.7

    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(bank_module, "BASED", 1.0)
    cut, up = based(ball, 3, generator)
    points, normals = surface_points(cut, 3, 4000, generator)
    for cloud, normal, way in zip(points, normals, up, strict=True):
        low = float((cloud @ way).min())
        assert -0.7 + 0.02 * 1.4 - 0.05 < low < -0.7 + 0.25 * 1.4 + 0.05
        base = cloud @ way < low + 0.01
        assert float((normal[base] @ way).median()) < -0.99
        assert float(rest_direction(cloud) @ way) > 0.99
    monkeypatch.setattr(bank_module, "BASED", 0.0)
    whole, up = based(ball, 3, generator)
    assert up.isnan().all() and torch.equal(whole(points), ball(points))


def test_drawn_settings_follow_the_generator() -> None:
    assert draw_settings(torch.Generator().manual_seed(4)) == draw_settings(torch.Generator().manual_seed(4))


def test_splat_keeps_every_point_and_normal_of_the_block() -> None:
    points, normals = 2 * torch.rand(500, 3) - 1, torch.nn.functional.normalize(torch.randn(500, 3), dim=1)
    evidence = splat(points, normals, torch.zeros(3, dtype=torch.long), 0)
    assert float(evidence[0].sum()) == 500
    assert torch.allclose(evidence[1:4].sum((1, 2, 3)), normals.sum(0), atol=1e-3)


def test_a_trunk_in_bfloat16_computes_nearly_the_same_field_and_has_gradients(folder: Path) -> None:
    batch = Bank(folder).draw(1, 1, torch.Generator().manual_seed(1))
    whole = Batch(batch.evidence[:1], batch.target[:1], batch.origins[:1], batch.noise)
    torch.manual_seed(0)
    model = Recursion()
    exact, rounded = (model(whole, torch.zeros(1), whole.noise, torch.zeros(1, CODE), t)[0] for t in (None, TRUNK_TYPE))
    assert not torch.equal(exact, rounded) and float((exact - rounded).detach().abs().max()) < 0.05
    rounded.sum().backward()
    gradient = model.atom.stem.weight.grad
    assert gradient is not None and torch.isfinite(gradient).all() and gradient.any()


def test_training_resumes_bit_for_bit_from_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    batch, small = Bank(folder).draw(1, 1, torch.Generator().manual_seed(1)), AtomConfig(widths=(8, 8, 8))

    def step(model: Recursion, optimiser: torch.optim.Optimizer) -> None:
        fields = model(batch, torch.zeros(1), batch.noise, torch.zeros(1, CODE), None)
        loss = sum(
            laplace_loss(field, target, torch.zeros(1)) for field, target in zip(fields, batch.target, strict=True)
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()

    torch.manual_seed(0)
    model = Recursion(small)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    step(model, optimiser)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    save_checkpoint(tmp_path / "c.safetensors", model, average, optimiser, {"step": 1})

    resumed = Recursion(small)
    again = torch.optim.AdamW(resumed.parameters(), lr=1e-3)
    assert load_checkpoint(tmp_path / "c.safetensors", resumed, {}, again)["step"] == 1
    step(model, optimiser)
    step(resumed, again)
    for one, other in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
