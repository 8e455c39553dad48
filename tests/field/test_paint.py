"""Denoise and fill in part of a scan: where the mask has a weight they act, and elsewhere no bit changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.edits.masks import NearestMask
from backend.edits.regions import fit_masks
from backend.errors import ErrorCode, OmomiError
from backend.field.bricks import BRICK, voxel_places, voxel_size
from backend.field.fit import Fit, fit
from backend.field.normal_filter import STEPS
from backend.field.onnx_model import Model
from backend.formats.raw_scan import RawScan
from backend.prior.completion import completed_fit
from backend.protocol.fit_options import PAINTED, FitOptions
from backend.protocol.mask_ref import ROW, MaskRef
from backend.scan.prepare import prepare

LEVEL = 1


@pytest.fixture(scope="module")
def raw() -> RawScan:
    """A noisy sphere with a hole at either pole."""
    rng = np.random.default_rng(100)
    direction = rng.normal(size=(6000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction = direction[np.abs(direction[:, 2]) < 0.8]
    return RawScan(direction * rng.normal(1, 0.02, (len(direction), 1)), None, direction.astype(np.float32))


@pytest.fixture(scope="module")
def plain(model: Model, raw: RawScan) -> Fit:
    return fit(raw, model, FitOptions(level=LEVEL))


def painted(model: Model, raw: RawScan, weights: np.ndarray, **given: Any) -> tuple[Fit, NearestMask]:
    """A fit with one mask for all the amounts that are given."""
    chosen: dict[str, Any] = {"level": LEVEL, **given}
    options = FitOptions(**chosen).masked({name: MaskRef(ROW, row=0) for name in PAINTED if name in given})
    scan = prepare(raw)
    masks = fit_masks(raw, scan, options, weights.astype(np.float32))
    return fit(scan, model, options, masks=masks), next(iter(masks.values()))


def means(found: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 3) of the voxels of the last level, and the field (n, 2) there."""
    assert found.field is not None
    level = found.field.levels[-1]
    values = level.grid.values.transpose(0, 2, 3, 4, 1)
    return voxel_places(level.grid.coords, level.voxel).reshape(-1, 3), values.reshape(-1, 2)


def known_in(one: Fit, other: Fit) -> np.ndarray:
    """Which voxel of a fit's last level, as `means` has them, each of another fit's is (m,), -1 where it is none."""
    assert one.field is not None and other.field is not None
    own, bricks = one.field.levels[-1].grid.coords.tolist(), other.field.levels[-1].grid.coords.tolist()
    row = {tuple(brick): number for number, brick in enumerate(own)}
    first = np.array([row.get(tuple(brick), -1) for brick in bricks])[:, None] * BRICK**3
    return np.where(first >= 0, first + np.arange(BRICK**3), -1).reshape(-1)


@pytest.fixture(scope="module")
def filled(model: Model, raw: RawScan) -> tuple[Fit, NearestMask]:
    """Painted above the middle."""
    return painted(model, raw, raw.points[:, 2] > 0, fill=1.0)


@pytest.fixture(scope="module")
def smoothed(model: Model, raw: RawScan) -> tuple[Fit, NearestMask]:
    return painted(model, raw, raw.points[:, 2] > 0, denoise=2.0)


@pytest.mark.parametrize("made", ["smoothed", "filled"])
def test_what_has_no_weight_keeps_its_bits_and_the_rest_changes(
    request: pytest.FixtureRequest, plain: Fit, made: str
) -> None:
    found, mask = request.getfixturevalue(made)
    (_, before), (own, after) = means(plain), means(found)
    known = known_in(plain, found)
    away = known >= 0
    same = (after[away] == before[known[away]]).all(axis=1)
    unpainted = mask.at(own[away]) == 0
    assert unpainted.any() and same[unpainted].all()
    assert (~same[~unpainted]).mean() > 0.01
    # the mesh, too, beyond the rings of vertices that its filter of normals reads, an edge each lying within a voxel
    below = -2 * STEPS * np.sqrt(3) * voxel_size(LEVEL)
    kept, moved = (
        {tuple(vertex) for vertex in mesh.vertices if vertex[2] < below} for mesh in (plain.mesh, found.mesh)
    )
    assert kept
    assert kept == moved


def test_a_hole_that_is_painted_is_filled_more_and_the_other_is_not(
    model: Model, raw: RawScan, plain: Fit, filled: tuple[Fit, NearestMask]
) -> None:
    found, _ = filled
    whole = fit(raw, model, FitOptions(level=LEVEL, fill=1.0))

    def lids(made: Fit) -> tuple[float, float]:
        near = np.linalg.norm(made.mesh.vertices[:, :2], axis=1) < 0.25
        height = made.mesh.vertices[near, 2]
        return float(height[height > 0].mean()), float(height[height < 0].mean())

    assert lids(found)[0] == pytest.approx(lids(whole)[0], abs=0.01) and lids(found)[0] > lids(plain)[0] + 0.01
    assert lids(found)[1] == lids(plain)[1]


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_mask_of_one_weight_everywhere_is_that_share_of_the_option(model: Model, raw: RawScan, share: float) -> None:
    # on finer levels the blocks may lie on another lattice
    found, _ = painted(model, raw, np.full(len(raw.points), share), level=0, denoise=2.0)
    whole = fit(raw, model, FitOptions(level=0, denoise=2.0 * share))
    (_, one), (_, other) = means(found), means(whole)
    assert np.abs(one - other).max() < 1e-6


def test_an_empty_mask_is_the_fit_without_the_option(model: Model, raw: RawScan, plain: Fit) -> None:
    found, _ = painted(model, raw, np.zeros(len(raw.points)), denoise=2.0, fill=-1.0)
    assert np.array_equal(found.mesh.vertices, plain.mesh.vertices)
    assert np.array_equal(found.mesh.sigma, plain.mesh.sigma)


def test_another_completion_keeps_what_has_no_weight(model: Model, raw: RawScan) -> None:
    one = fit(raw, model, FitOptions(level=0, variation=3))
    other, mask = painted(model, raw, raw.points[:, 2] > 0, level=0, variation=3, fill=1.0)
    (places, before), (_, after) = means(one), means(other)
    unpainted = mask.at(places) == 0
    assert np.array_equal(before[unpainted], after[unpainted]) and not np.array_equal(before, after)


def test_masks_that_do_not_fit_are_refused_in_a_sentence(model: Model, raw: RawScan) -> None:
    options, scan = FitOptions(level=0, fill=1.0).masked({"fill": MaskRef(ROW, row=0)}), prepare(raw)
    for masks in (np.ones(3), np.full(len(raw.points), 2.0), np.full(len(raw.points), np.nan)):
        with pytest.raises(OmomiError) as caught:
            fit_masks(raw, scan, options, masks.astype(np.float32))
        assert caught.value.code == ErrorCode.BAD_OPTION
    with pytest.raises(OmomiError, match="The mask of fill was not given"):
        fit(scan, model, options)


def test_a_completion_by_symmetry_is_the_same_beside_the_paint(model: Model, raw: RawScan) -> None:
    kept = raw.points[:, 0] < 0.5
    assert raw.normals is not None
    cut = RawScan(raw.points[kept], None, raw.normals[kept])
    scan, options = prepare(cut), FitOptions(level=LEVEL, denoise=2.0)
    painted_options = options.masked({"denoise": MaskRef("sphere", centre=(0.0, -0.8, 0.0), radius=0.3)})
    masks = fit_masks(cut, scan, painted_options, None)
    found = completed_fit(scan, model, painted_options, masks=masks)
    plain = completed_fit(scan, model, FitOptions(level=LEVEL))
    (places, after), (own, before) = means(found), means(plain)
    known = known_in(plain, found)
    assert np.array_equal(places[known >= 0], own[known[known >= 0]])
    unpainted = (masks["denoise"].at(places) == 0) & (known >= 0)
    assert np.array_equal(after[unpainted], before[known[unpainted]]) and found.stats.guess
