"""The study of disentanglement: exact values, codes of known worth, and views of a model that can be checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("onnxruntime")

import trimesh

from backend.edits.fitted_scan import EditableMesh
from backend.prior.archive import PICTURE, Archive, ArchivePosition, Neighbours
from backend.studies.disentanglement import measures
from backend.studies.disentanglement.measures import Standings, Styles, archive_checks, clean_spread, slid, style_checks
from backend.studies.disentanglement.study import slider_checks, study
from backend.studies.study import Claim, Findings, Measured, Sheet, Size
from backend.training.shapes.mugs import descriptors, known_factors
from backend.training.sliders import level0


def by_key(claims: Iterable[Claim]) -> dict[str, Claim]:
    return {claim.key: claim for claim in claims}


def claims_of(measured: Mapping[str, Measured], values: Mapping[str, object] = {}) -> dict[str, Claim]:
    return by_key(Sheet.of("disentanglement").claims(measured, values))


def test_tables_have_their_exact_values() -> None:
    found = claims_of(measures.table_checks()).values()
    assert len(found) == 5 and all(claim.verdict == "met" and claim.measured <= 1e-12 for claim in found)
    assert math.log(2) / math.log(10) + measures.completeness(5) == pytest.approx(1)


def test_a_code_that_is_there_twice_is_as_complete_as_its_entropy_allows() -> None:
    for factors in (2, 5, 10):
        twice = np.tile(np.eye(factors), (2, 1))
        assert measures.metrics.dci(twice).completeness == pytest.approx(measures.completeness(factors))


def test_codes_are_what_their_names_say() -> None:
    factors = measures.factors_of(4, 200, 0)
    assert set(np.unique(factors)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(measures.code("doubled", factors)[:, 4:], factors)
    np.testing.assert_array_equal(np.sort(measures.code("shuffled", factors), axis=1), np.sort(factors, axis=1))
    assert not measures.code("constant", factors).any()


def test_spread_of_the_measures_is_that_of_shapes_that_are_measured() -> None:
    _, mugs = known_factors(150, 3)
    np.testing.assert_allclose(descriptors(level0(mugs).numpy()).std(axis=0), clean_spread(), rtol=0.2)


def make_archive(count: int = 40) -> Archive:
    """Two of three families, far apart."""
    rng = np.random.default_rng(0)
    family = (np.arange(count) % 2).astype(np.int32)
    codes = rng.normal(size=(count, 3)).astype(np.float32) + 50 * family[:, None]
    return Archive(
        codes=codes.astype(np.float32),
        families=("vessel", "rock", "chair"),
        family=family,
        seeds=np.arange(count, dtype=np.int32),
        pictures=np.zeros((count, PICTURE, PICTURE), np.uint8),
        places=rng.uniform(-1, 1, (count, 2)).astype(np.float32),
        trained=np.array([count, count, 0], np.int32),
        weights=np.ones(3, np.float32),
    )


def test_shapes_of_an_archive_are_at_home_in_it_and_far_codes_are_not() -> None:
    archive = make_archive()
    at_home = [archive.position(code + 0.01) for code in archive.codes[:10]]
    far = [archive.position(np.full(3, 1e3 + number)) for number in range(10)]
    told = Standings(at_home, far, at_home, archive.family[:10].astype(np.intp), 0.6, 0.75)
    found = claims_of(*archive_checks(archive, [told]))
    assert found["A1"].measured == 1 and found["A3"].measured == 1
    assert (found["A4"].measured, found["A5"].measured, found["A6"].measured) == (0.5, 1, 0.75)
    assert found["A1"].low == pytest.approx(1.5) and found["A8"].measured == 1
    assert found["A2"].measured < 0.3


def test_families_that_the_archive_lacks_do_not_count_against_it() -> None:
    archive = make_archive()
    standing = ArchivePosition(Neighbours(np.array([0]), np.array([1.0])), 1.0, 0.5, 0.5, np.zeros(2))
    told = Standings([standing] * 3, [standing] * 3, [standing] * 3, np.array([0, 2, 2]), 0.5, 0.5)
    found = claims_of(*archive_checks(archive, [told]))
    assert found["A1"].measured == 1


def bar_with_a_hole() -> EditableMesh:
    """A ring around z whose hole, of radius .2, closes when its wall grows by that."""
    ring = trimesh.creation.annulus(0.2, 0.6, 0.5, sections=64)
    return EditableMesh(np.asarray(ring.vertices), np.asarray(ring.faces, np.int32), np.zeros(len(ring.vertices)))


class Inward:
    """Moves the wall of the hole towards the axis by .1 at strength 1."""

    def evaluate(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        radius = np.linalg.norm(points[:, :2], axis=1)
        move = np.zeros_like(points)
        inner = radius < 0.3
        move[inner, :2] = -0.1 * points[inner, :2] / radius[inner, None]
        return move, np.zeros(len(points))


def test_the_reach_of_a_slider_ends_where_a_hole_closes() -> None:
    found = slid("ring", bar_with_a_hole(), "close", Inward(), "", -1.0, 3.0)
    assert found.reach.safe[0] == -1 and found.reach.safe[1] == pytest.approx(2.0, abs=0.2)
    assert found.reach.above and not found.reach.below
    assert found.kept == (True, True)
    assert found.share == pytest.approx(0.75, abs=0.05)
    renamed = dataclasses.replace(found, reach=dataclasses.replace(found.reach, name="thickness"))
    rows = measures.reach_checks([renamed])
    assert rows["R1"] == 1 and rows["R3"] == pytest.approx(found.share) and "R4" not in rows


def test_a_model_that_does_not_hear_the_code_misses_a_claim_and_says_nothing_of_its_channels() -> None:
    rows = claims_of(style_checks(Styles([0.5], [], np.zeros(0), np.zeros(0), (), 0)))
    assert rows["C1"].verdict == "missed" and set(rows) == {"C1", "C2"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return study(Size.TEST, tmp_path_factory.mktemp("disentanglement"), lambda text: None)


def test_every_row_is_finite_and_every_figure_exists(found: Findings) -> None:
    assert len({claim.key for claim in found.claims}) == len(found.claims) > 30
    assert all(np.isfinite(claim.measured) for claim in found.claims)
    assert all(path.read_bytes().startswith(b"\x89PNG") and caption for path, caption in found.figures)
    assert {Path(path).stem for path, _ in found.figures} >= {"scores", "side_effects", "archive", "reach"}


def test_labels_disentangle_and_debiasing_frees_sliders_of_each_other(found: Findings) -> None:
    rows = by_key(found.claims)
    assert all(rows[key].verdict == "met" for key in ("S1", "S2", "S5"))
    assert rows["S8"].measured < 0.5 * rows["S7"].measured
    assert rows["S9"].measured < rows["S8"].measured < rows["S12"].measured


def test_a_gap_is_as_unsure_as_both_of_its_sides() -> None:
    summary = {"mean": 0.5, "sd": 0.3}
    scores = {kind: dict.fromkeys(("dci_d", "mig"), summary) for kind in ("sliders", "components")}
    scores["components"] = {name: {"mean": 0.2, "sd": 0.4} for name in ("dci_d", "mig")}
    side = dict.fromkeys(("before", "debiased", "bent", "components"), summary)
    rows = [{"name": "height", "follows": 1.0}, {"name": "", "follows": 0.9}]
    told = {
        "scores": scores,
        "settings": {"seeds": 3},
        "side_effect": {"decoded": side, "decoded, correlated": side},
        "worst_side_effect": summary,
        "sliders": rows,
        "components": rows,
    }
    found = claims_of(slider_checks(told))
    assert found["S5"].measured == pytest.approx(0.3) and found["S5"].spread == pytest.approx(0.5)
    assert found["S14"].measured == 0.9 and found["S15"].measured == 1
