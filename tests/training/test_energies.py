"""Energies of a field against what geometry says, and the code's features."""

from __future__ import annotations

import math

import pytest
import torch

from backend.field.bricks import TRUNCATION
from backend.training.energies import NARROWEST, energies, energy_loss
from backend.training.features import Features
from backend.training.grids import grid_points

N = 32


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
