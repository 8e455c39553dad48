"""Procedural shapes: exact primitives, and signs, slopes, boxes and determinism of every family."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("torch")


from backend.training.shapes import primitives as prim
from backend.training.shapes.families import FAMILIES, SIDE, Shapes, draw

COUNT = 3
Surface = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def points(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.float32).transpose(1, 2)


def column(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


def grid(cells: int, half: float) -> torch.Tensor:
    axis = ((torch.arange(cells) + 0.5) / cells * 2 - 1) * half
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)


@pytest.fixture(scope="module", params=FAMILIES)
def shapes(request: pytest.FixtureRequest) -> Shapes:
    return draw(request.param, COUNT, seed=5)


def test_distances_of_primitives_are_exact_at_known_points() -> None:
    p = points((0, 0, 0), (2, 0, 0), (0, 0, 3), (2, 3, 0))
    root = math.sqrt
    cases = {
        "sphere": (prim.sphere(p, 1.0), (-1, 1, 2, root(13) - 1)),
        "box": (prim.box(p, column(1, 2, 0.5)), (-0.5, 1, 2.5, root(2))),
        "round box": (prim.box(p, column(1, 2, 0.5), 0.25), (-0.5, 1, 2.5, root(2 * 1.25**2) - 0.25)),
        "torus": (prim.torus(p, 2.0, 0.5), (1.5, -0.5, root(13) - 0.5, root(13) - 2.5)),
        "cylinder": (prim.cylinder(p, 1.0, 2.0), (-1, 1, 1, root(13) - 1)),
        "capsule": (prim.capsule(p, column(0, 0, 0), column(0, 0, 2), 0.5), (-0.5, 1.5, 0.5, root(13) - 0.5)),
    }
    for name, (found, expected) in cases.items():
        torch.testing.assert_close(found, column(*expected), msg=lambda text, name=name: f"{name}: {text}")


def test_ellipsoid_with_equal_radii_is_a_sphere() -> None:
    p = torch.randn(2, 3, 100, generator=torch.Generator().manual_seed(0))
    found = prim.ellipsoid(p, torch.full((2, 3), 0.7))
    torch.testing.assert_close(found, prim.sphere(p, 0.7), atol=1e-3, rtol=1e-3)


def test_polygon_of_a_rectangle_agrees_with_the_exact_box() -> None:
    x, y = torch.randn(2, 1, 500, generator=torch.Generator().manual_seed(1)).unbind(0)
    corners = torch.tensor([[[-1.0, -0.5], [1, -0.5], [1, 0.5], [-1, 0.5]]])
    torch.testing.assert_close(prim.polygon(x, y, corners), prim.corner(x.abs() - 1, y.abs() - 0.5))


def test_smooth_operators_meet_the_sharp_ones_outside_the_blend() -> None:
    a, b = torch.tensor([[-1.0, 0.5, 0.0]]), torch.tensor([[1.0, -0.5, 0.0]])
    torch.testing.assert_close(prim.union(a, b, 0.4)[:, :2], prim.union(a, b)[:, :2])
    assert prim.union(a, b, 0.4)[0, 2] == pytest.approx(-0.1)
    assert prim.subtract(a, b * 3, 0.4)[0, 0] == pytest.approx(-1.0)
    assert prim.intersect(a, b)[0, 0] == pytest.approx(1.0)


def test_place_undoes_a_rotation_and_a_shift() -> None:
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    found = prim.place(points((1, 3, 0)), turn, column(1, 1, 0))
    torch.testing.assert_close(found, points((2, 0, 0)))


def test_cells_is_the_distance_to_the_nearest_centre() -> None:
    generator = torch.Generator().manual_seed(2)
    p, centres = torch.rand(2, 3, 50, generator=generator), torch.rand(2, 9, 3, generator=generator)
    expected = torch.cdist(p.transpose(1, 2), centres).amin(2)
    torch.testing.assert_close(prim.cells(p, centres), expected, atol=1e-3, rtol=0)


def test_the_same_seed_gives_the_same_shapes_and_another_seed_others() -> None:
    sample = grid(12, 0.9).expand(COUNT, -1, -1)
    first, again, other = (draw("mechanical", COUNT, seed).sdf(sample) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_members_of_a_draw_differ(shapes: Shapes) -> None:
    distance = shapes.sdf(grid(24, 0.9).expand(COUNT, -1, -1))
    gap = (distance[0] - distance[1:]).abs().mean(1)
    assert (gap > 0.01).all()


def test_chunks_do_not_change_distances(shapes: Shapes) -> None:
    sample = grid(24, 0.9).expand(COUNT, -1, -1)
    torch.testing.assert_close(shapes.sdf(sample)[:, 10900:11000], shapes.sdf(sample[:, 10900:11000]))


def test_points_of_a_wrong_shape_are_refused(shapes: Shapes) -> None:
    with pytest.raises(ValueError, match="points must be"):
        shapes.sdf(torch.zeros(COUNT + 1, 5, 3))


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(KeyError):
        draw("unicorn", 1, seed=0)


def test_solids_fill_the_box_and_leave_its_outside_empty(shapes: Shapes) -> None:
    cells, half = 64, 1.0
    sample = grid(cells, half)
    distance = shapes.sdf(sample.expand(COUNT, -1, -1))
    assert torch.isfinite(distance).all()
    outside = sample[0].abs().amax(1) > SIDE / 2 * 1.02
    assert (distance[:, outside] > 0).all()
    # thin tips fall between the cells: a cell whose centre is nearer than its half diagonal counts as reached
    reached = distance < 1.7 * half / cells
    for member in range(COUNT):
        inside = sample[0][reached[member]]
        assert (inside.amax(0) - inside.amin(0)).max() > SIDE * 0.98 - 2 * half / cells


@pytest.fixture(scope="module")
def surface(shapes: Shapes) -> Surface:
    """Points, whether they lie on the surface, and the slope there."""
    p, found = surface_sample(shapes)
    return p, found, slope(shapes, p)


def surface_sample(shapes: Shapes) -> tuple[torch.Tensor, torch.Tensor]:
    """Points near the surface, and a mask of those found, by a few steps from random points down the distance."""
    generator = torch.Generator().manual_seed(7)
    p = (torch.rand(COUNT, 1500, 3, generator=generator) * 2 - 1) * 0.85
    for _ in range(4):
        gradient = slope(shapes, p)
        step = shapes.sdf(p)[..., None] * gradient / (gradient * gradient).sum(2, keepdim=True).clamp(min=0.1)
        p = p - step.clamp(-0.2, 0.2)
    return p, shapes.sdf(p).abs() < 2e-3


def slope(shapes: Shapes, p: torch.Tensor, step: float = 1e-3) -> torch.Tensor:
    shifts = torch.eye(3) * step
    return torch.stack([shapes.sdf(p + s) - shapes.sdf(p - s) for s in shifts], 2) / (2 * step)


def test_distances_near_the_surface_have_a_slope_of_about_one(surface: Surface) -> None:
    _, found, gradient = surface
    assert (found.float().mean(1) > 0.3).all()
    length = gradient.norm(dim=2)
    good = ((length > 0.6) & (length < 1.4)) | ~found
    assert (good.float().mean(1) > 0.85).all()


def test_the_sign_changes_across_the_surface(shapes: Shapes, surface: Surface) -> None:
    p, found, gradient = surface
    normal = torch.nn.functional.normalize(gradient, dim=2)
    outer, inner = shapes.sdf(p + 0.004 * normal), shapes.sdf(p - 0.004 * normal)
    crossed = ((outer > 0) & (inner < 0)) | ~found
    assert (crossed.float().mean(1) > 0.95).all()


def test_the_sign_changes_nowhere_but_at_a_zero(shapes: Shapes) -> None:
    cells = 48
    distance = shapes.sdf(grid(cells, 0.9).expand(COUNT, -1, -1)).reshape(COUNT, cells, cells, cells)
    spacing = 1.8 / cells
    for axis in (1, 2, 3):
        a, b = distance.narrow(axis, 0, cells - 1), distance.narrow(axis, 1, cells - 1)
        changes = (a < 0) != (b < 0)
        jumps = changes & ((a - b).abs() > 2 * spacing)
        assert jumps.sum() <= 0.005 * changes.sum()
