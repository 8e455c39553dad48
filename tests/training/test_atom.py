"""The atom's mathematics: exact on planes, styled as promised, seeded with the right sides."""

from __future__ import annotations

import math

import pytest
import torch

from backend.field.blocks import PARENT
from backend.field.bricks import BLOCK
from backend.field.onnx_model import CODE
from backend.training.atom import (
    WAVES,
    Atom,
    LocalPlanes,
    Phi,
    StyledBlock,
    binomial_band,
    depth_to_space,
    doubling_band,
    gaussian_band,
    interpolation_band,
    separable,
)
from backend.training.grids import grid_points, splat
from backend.training.recursion import Seed


def plane_evidence(normal: torch.Tensor, offset: float, count: int = 60_000) -> torch.Tensor:
    """Points spread over normal . x = offset (canonical), as evidence of level 0."""
    generator = torch.Generator().manual_seed(3)
    points = 2 * torch.rand(count, 3, generator=generator) - 1
    points = points - ((points @ normal) - offset)[:, None] * normal
    return splat(points, normal.expand_as(points).contiguous(), torch.zeros(3, dtype=torch.long), 0)[None]


def test_distance_to_a_plane_is_exact_wherever_points_are_near() -> None:
    normal = torch.nn.functional.normalize(torch.tensor([1.0, 2.0, -0.5]), dim=0)
    known, mean_normal, distance = LocalPlanes(0.8)(plane_evidence(normal, 0.1))
    exact = ((grid_points(BLOCK)[0] @ normal) - 0.1).reshape(BLOCK, BLOCK, BLOCK) * BLOCK / 2
    near = (exact.abs() < 1.5) & (known[0, 0] > 0.9)
    assert near.sum() > 1000
    assert (distance / known)[0, 0][near].sub(exact[near]).abs().max() < 1e-3
    assert torch.allclose(mean_normal[0, :, near].T, normal.expand(int(near.sum()), 3), atol=1e-2)


def test_without_points_nothing_is_known() -> None:
    known, normal, distance = LocalPlanes(2.0)(torch.zeros(1, 5, BLOCK, BLOCK, BLOCK))
    assert not known.any() and not normal.any() and not distance.any()


@pytest.mark.parametrize("band", [binomial_band(), interpolation_band(), doubling_band(8)])
def test_bands_keep_a_constant(band: torch.Tensor) -> None:
    volume = torch.full((1, 2, *[band.shape[1]] * 3), 1.7)
    assert torch.allclose(separable(volume, band), torch.tensor(1.7), atol=1e-6)


def test_gaussian_band_has_no_denormal_numbers() -> None:
    for sigma in (0.8, 2.0):
        band = gaussian_band(sigma)
        positive = band[band > 0]
        assert float(positive.min()) > 1e-6
        assert float(band[BLOCK // 2].sum()) == pytest.approx(1, abs=2e-3)


def test_interpolation_from_the_parent_is_exact_for_linear_fields() -> None:
    parent_centres = 2 * (torch.arange(PARENT) - 1) + 1.0
    field = (parent_centres[:, None, None] * 0.3 + parent_centres[:, None] * -0.2 + parent_centres * 0.7)[None, None]
    child = torch.arange(BLOCK) + 0.5
    expected = child[:, None, None] * 0.3 + child[:, None] * -0.2 + child * 0.7
    assert torch.allclose(separable(field, interpolation_band())[0, 0], expected, atol=1e-4)


def test_depth_to_space_puts_sub_voxels_where_a_strided_view_reads_them() -> None:
    volume = torch.randn(2, 24, 4, 4, 4)
    wide = depth_to_space(volume)
    assert wide.shape == (2, 3, 8, 8, 8)
    assert torch.equal(wide[:, 1, 1::2, 0::2, 1::2], volume[:, 8 + 5])


def test_a_gain_is_a_movement_of_the_weights() -> None:
    block = StyledBlock(6)
    torch.nn.init.normal_(block.second.weight)
    x, gain = torch.randn(2, 6, 5, 5, 5), 0.5 + torch.rand(1, 6, 1, 1, 1)
    styled = block(x, gain)
    with torch.no_grad():
        assert block.first.bias is not None
        block.first.weight *= gain.reshape(6, 1, 1, 1, 1)
        block.first.bias *= gain.reshape(6)
    assert torch.allclose(block(x, torch.ones(1, 6, 1, 1, 1)), styled, atol=1e-5)


def test_an_untrained_atom_passes_the_parent_on_where_nothing_was_measured() -> None:
    atom = Atom()
    torch.nn.init.zeros_(atom.head.weight)
    parent = torch.full((1, 2, PARENT, PARENT, PARENT), 0.4)
    field = atom(torch.zeros(1, 5, BLOCK, BLOCK, BLOCK), parent, torch.zeros(1, 4), torch.zeros(1, atom.style_size))
    # one voxel of the parent is two of the child
    assert torch.allclose(field[:, 0], torch.tensor(0.8), atol=1e-5)


def test_phi_starts_as_the_identity_style() -> None:
    atom = Atom()
    assert not Phi(atom.config, atom.gains, atom.style_size)(torch.randn(3, 4), torch.randn(3, CODE)).any()


def test_without_a_code_phi_hears_the_attributes_alone() -> None:
    atom = Atom()
    phi = Phi(atom.config, atom.gains, atom.style_size)
    for parameter in phi.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    attributes = torch.randn(3, 4)
    style = phi(attributes, torch.zeros(3, CODE))
    assert not style[:, atom.gains :].any()
    for layer in (phi.code_in, phi.code_middle, phi.code_out):
        torch.nn.init.normal_(layer.weight)
    assert torch.equal(phi(attributes, torch.zeros(3, CODE)), style)
    assert not torch.allclose(phi(attributes, torch.ones(3, CODE)), style)


def test_the_position_layer_is_a_sum_of_products_of_cosines_over_the_canonical_frame() -> None:
    atom = Atom()
    weights = torch.zeros(1, atom.style_size - atom.gains)
    weights[0, 1 * WAVES**3 + 1 * WAVES**2 + 2 * WAVES + 3] = 1.0
    wave = atom.waves(weights, torch.tensor([[0.1, 0.2, -0.3, 1 / 32]]))
    x, y, z = ((torch.arange(16) - 7.5) * 2 / 32 + centre + 1 for centre in (0.1, 0.2, -0.3))
    waves = torch.cos(math.pi / 2 * x), torch.cos(math.pi * y), torch.cos(1.5 * math.pi * z)
    expected = waves[0][:, None, None] * waves[1][:, None] * waves[2]
    assert torch.allclose(wave[0, 1], expected, atol=1e-6)
    assert not wave[0, [0, *range(2, atom.config.widths[0])]].any()


def test_seed_knows_inside_from_outside_of_a_sphere() -> None:
    direction = torch.nn.functional.normalize(torch.randn(40_000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    evidence = splat(0.6 * direction, direction, torch.zeros(3, dtype=torch.long), 0)[None]
    parent = Seed()(evidence)[0, 0, 1:-1, 1:-1, 1:-1]
    radius = grid_points(BLOCK // 2)[0].norm(dim=1).reshape(16, 16, 16)
    assert (parent[radius < 0.45] < -0.2).all()
    assert (parent[(radius > 0.8) & (radius < 1.0)] > 0.2).all()
    flipped = Seed()(splat(0.6 * direction, -direction, torch.zeros(3, dtype=torch.long), 0)[None])
    assert flipped[0, 0, 9, 9, 9] > 0
    assert math.isfinite(float(flipped.abs().max()))
