"""The losses ask for what they promise: quantiles, scales, slopes."""

from __future__ import annotations

import math

import pytest
import torch

from backend.training.losses import laplace_loss, mean_error, slope_loss


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
