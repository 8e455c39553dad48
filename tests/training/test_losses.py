"""The losses ask for what they promise: quantiles, scales, slopes, and energies against what geometry says."""

from __future__ import annotations

import math

import pytest
import torch

from backend.field.bricks import TRUNCATION
from backend.training.grids import grid_points
from backend.training.losses import NARROWEST, energies, energy_loss, laplace_loss, mean_error, slope_loss
from backend.training.recursion import Features

N = 32


def constant_field(mean: float, log_scale: float = 0.0) -> torch.Tensor:
    return torch.tensor([mean, log_scale]).reshape(1, 2, 1, 1, 1).expand(1, 2, 1, 1, 1001)


@pytest.mark.parametrize(("filling", "quantile"), [(0.0, 0.5), (1.0, 0.1), (-1.0, 0.9)])
def test_hole_filling_asks_for_a_quantile_of_the_distance(filling: float, quantile: float) -> None:
    # targets close to zero, where the surface weight is nearly constant
    target = torch.linspace(-0.1, 0.1, 1001).reshape(1, 1, 1, 1, -1)
    candidates = torch.linspace(-0.12, 0.12, 241)
    losses = [float(laplace_loss(constant_field(float(c)), target, torch.tensor([filling]))) for c in candidates]
    best = float(candidates[int(torch.tensor(losses).argmin())])
    assert best == pytest.approx(float(target.quantile(quantile)), abs=3e-3)


def test_the_scale_is_driven_to_the_mean_absolute_error() -> None:
    target = torch.linspace(-0.1, 0.1, 1001).reshape(1, 1, 1, 1, -1)

    def slope(scale: float) -> float:
        field = constant_field(0.0, math.log(scale)).clone().requires_grad_()
        laplace_loss(field, target, torch.zeros(1)).backward()
        assert field.grad is not None
        return float(field.grad[:, 1].sum())

    # weights that depend on the scale are held fixed, so it is the gradient that has to vanish there
    assert slope(0.049) < 0 < slope(0.051)


def test_beyond_the_truncation_any_distance_is_right() -> None:
    target = torch.full((1, 1, 4, 4, 4), 3.0)
    near, far = torch.full((1, 2, 4, 4, 4), 3.0), torch.full((1, 2, 4, 4, 4), 9.0)
    assert torch.equal(
        laplace_loss(near, target, torch.zeros(1)),
        laplace_loss(torch.cat([far[:, :1], near[:, 1:]], 1), target, torch.zeros(1)),
    )


def test_a_shifted_field_has_the_right_slope_and_the_shift_as_error() -> None:
    ramp = torch.linspace(-1.9, 1.9, 16).reshape(1, 1, 16, 1, 1).expand(1, 1, 16, 16, 16)
    field = torch.cat([ramp + 0.25, ramp], dim=1)
    assert float(slope_loss(field, ramp)) < 1e-6
    assert float(mean_error(field, ramp)) == pytest.approx(0.25, abs=1e-5)


def sphere(radius: float) -> torch.Tensor:
    """Signed distance (1, 1, N, N, N) in voxels."""
    distance = grid_points(N)[0].norm(dim=1) * N / 2 - radius
    return distance.reshape(1, 1, N, N, N)


def narrow(field: torch.Tensor) -> torch.Tensor:
    return torch.full_like(field, NARROWEST)


@pytest.mark.parametrize("radius", [6.0, 9.5])
def test_area_and_bending_of_a_ball_are_those_of_geometry(radius: float) -> None:
    area, bending, eikonal = energies(sphere(radius), narrow(sphere(radius)))[0].tolist()
    assert area == pytest.approx(4 * math.pi * radius**2, rel=0.06)
    # the squared mean curvature of a sphere integrates to 4 pi, whatever its size
    assert bending == pytest.approx(4 * math.pi, rel=0.12)
    assert eikonal == pytest.approx(0, abs=0.02 * area)


def test_a_plane_does_not_bend_and_has_the_area_of_its_face() -> None:
    plane = (torch.arange(N) - 15.3).reshape(1, 1, N, 1, 1).expand(1, 1, N, N, N)
    area, bending, eikonal = energies(plane, narrow(plane))[0].tolist()
    # a Laplace density this narrow, sampled at whole voxels, is right within a few per cent
    assert area == pytest.approx((N - 2) ** 2, rel=0.07)
    assert bending == pytest.approx(0, abs=1e-6)
    assert eikonal == pytest.approx(0, abs=1e-4)


def test_the_expected_area_under_a_wide_scale_is_that_of_the_surfaces_it_stands_for() -> None:
    # planes at a Laplace-distributed place: the field knows only their mean, and a scale of two voxels
    plane = (torch.arange(N) - 15.5).reshape(1, 1, N, 1, 1).expand(1, 1, N, N, N)
    wide = energies(plane, torch.full_like(plane, 2.0))[0, 0]
    assert float(wide) == pytest.approx((N - 2) ** 2, rel=0.02)


def test_a_field_that_is_twice_too_steep_pays_in_the_eikonal_energy() -> None:
    steep = 2 * sphere(8)
    assert float(energies(steep, narrow(steep))[0, 2]) > 10 * float(energies(sphere(8), narrow(sphere(8)))[0, 2])


def test_the_loss_is_least_where_field_and_target_agree() -> None:
    target = sphere(8).clamp(-TRUNCATION, TRUNCATION)

    def loss(field: torch.Tensor) -> float:
        return float(energy_loss(torch.cat([field, torch.full_like(field, math.log(NARROWEST))], 1), target))

    assert loss(target) == pytest.approx(0, abs=1e-5)
    assert loss(sphere(9)) > 0.05 and loss(sphere(7)) > 0.05


def test_features_are_whitened_linear_and_turned_back() -> None:
    generator = torch.Generator().manual_seed(0)
    # 200 fields of rank 160, so that the components leave almost nothing out
    fields = (torch.randn(200, 160, generator=generator) @ torch.randn(160, 16**3, generator=generator)) / 10
    fields = doubled(fields.reshape(200, 1, 16, 16, 16))
    features = Features()
    assert not features.fitted
    features.fit(fields)
    codes = features(fields)
    assert features.fitted
    assert torch.allclose(codes.mean(0), torch.zeros(codes.shape[1]), atol=1e-3)
    assert torch.allclose(codes.var(0), torch.ones(codes.shape[1]), atol=0.05)
    halves = features(0.5 * fields[:1] + 0.5 * fields[1:2])
    assert torch.allclose(halves, 0.5 * codes[:1] + 0.5 * codes[1:2], atol=1e-4)
    assert torch.allclose(features(doubled(features.inverse(codes))), codes, atol=1e-3)


def doubled(fields: torch.Tensor) -> torch.Tensor:
    return fields.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
