"""Deltas of the network's head by example: the ridge on known fields, the choice of the gear, and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from backend.edits import head_delta
from backend.edits.banded_kernels import gated_kernels
from backend.edits.edit_file import TWO_SIDED_KIND, load_edit, save_edit
from backend.edits.gear import Gear, LearnedEdit, anchor_of, choose_gear
from backend.edits.head_delta import (
    LearnedDelta,
    PlacedDelta,
    centred_on_change,
    learn_delta,
    side_of,
)
from backend.edits.learn import doubts
from backend.edits.learned import LearnedMovement, learn
from backend.edits.pair_difference import Change
from backend.edits.pair_fields import FieldPair, voxel_centres
from backend.edits.placement import Placement
from backend.edits.threads import JobThreads
from backend.errors import ErrorCode, OmomiError
from backend.field.onnx_model import CancelToken
from backend.field.weight_delta import REACH
from backend.formats.tables import pack, unpack
from backend.registration.align import Alignment
from backend.registration.icp import Surface
from backend.registration.similarity import Similarity
from backend.registration.warp import Bumps, Warp

MODEL = "0123456789abcdef"
TOKEN = CancelToken()
HERE = Alignment(Similarity.identity(), Warp(), 0.0)
Solid = Callable[[np.ndarray], NDArray[np.float64]]


def plate(points: np.ndarray, half: float = 0.15) -> np.ndarray:
    """Signed distances (n,), nearly, of a plate around z = 0."""
    return np.abs(points[:, 2]) - half


def drilled(points: np.ndarray, x: float = 0.2, radius: float = 0.2) -> np.ndarray:
    return np.maximum(plate(points), radius - np.linalg.norm(points[:, :2] - [x, 0], axis=1))


def thicker(points: np.ndarray) -> np.ndarray:
    """Thicker by a smooth bump, which a movement makes as well."""
    return plate(points) - 0.06 * np.exp(-((points[:, :2] - [0.2, 0]) ** 2).sum(axis=1) / 0.08)


def means(solid: Solid) -> tuple[np.ndarray, ...]:
    """What a perfect fit holds on the levels 0 and 1."""
    found = []
    for resolution in (32, 64):
        points = voxel_centres(np.arange(resolution**3), resolution)
        box = np.abs(points).max(axis=1) - 0.8
        distance = np.maximum(solid(points), box) * (resolution / 2)
        found.append(distance.clip(-3, 3).astype(np.float32).reshape((resolution,) * 3))
    return tuple(found)


def pair(before: Solid, after: Solid) -> FieldPair:
    return FieldPair(means(before), means(after), KDTree(np.array([[0.2, 0.0, 0.15], [0.2, 0.0, -0.15]])))


@pytest.fixture(autouse=True)
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields of these pairs are known everywhere."""
    monkeypatch.setattr("backend.edits.pair_fields.AROUND", 4.0)


class Kernels:
    """Stands for the model: evaluates a delta as the graph does."""

    def delta(
        self, places: np.ndarray, centres: np.ndarray, weights: np.ndarray, radius: float, cancel: CancelToken
    ) -> np.ndarray:
        return (gated_kernels(places, centres, radius) @ weights).astype(np.float32)


def edited(delta: LearnedDelta, placement: Placement, before: np.ndarray, number: int, strength: float = 1.0):
    """The field (n, n, n) of a level with a delta."""
    points = voxel_centres(np.arange(before.size), len(before))
    mean = before.reshape(-1)
    gain, bias = PlacedDelta(delta, placement).at(number, points, mean, Kernels(), TOKEN).T  # type: ignore[arg-type]
    return np.clip(mean + strength * (gain * mean + bias), -3, 3).reshape(before.shape)


def wrong(found: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    return ((found < 0) != (after < 0)).sum() / ((before < 0) != (after < 0)).sum()


def test_a_delta_learned_from_one_pair_makes_its_hole_and_leaves_the_rest() -> None:
    shown = pair(plate, drilled)
    delta, rows = learn_delta([shown], [Placement(Similarity.identity())])
    assert rows[0].wrong(rows[0].predicted) < 0.1
    before, after = shown.before[1], shown.after[1]
    found = edited(delta, Placement(Similarity.identity()), before, 1)
    assert wrong(found, before, after) < 0.1
    far = np.linalg.norm(voxel_centres(np.arange(before.size), len(before))[:, :2] - [0.2, 0], axis=1) > 0.6
    assert np.array_equal(found.reshape(-1)[far], before.reshape(-1)[far])


def test_strength_0_is_nothing_and_more_strength_takes_more_away() -> None:
    shown = pair(plate, drilled)
    delta, _ = learn_delta([shown], [Placement(Similarity.identity())])
    before = shown.before[1]
    assert np.array_equal(edited(delta, Placement(Similarity.identity()), before, 1, 0.0), before)
    here = Placement(Similarity.identity())
    left = [int((edited(delta, here, before, 1, strength) < 0).sum()) for strength in (-1.0, 0.0, 0.5, 1.0)]
    assert left[0] >= left[1] > left[2] > left[3]


def test_a_hole_never_puts_on_and_follows_walls_that_lie_elsewhere() -> None:
    shown = pair(plate, drilled)
    delta, _ = learn_delta([shown], [Placement(Similarity.identity())])
    assert delta.side == 1
    new = pair(lambda points: plate(points, 0.1), lambda points: np.maximum(plate(points, 0.1), drilled(points)))
    found = edited(delta, Placement(Similarity.identity()), new.before[1], 1)
    assert (found >= new.before[1]).all()
    assert wrong(found, new.before[1], new.after[1]) < 0.2


def test_the_side_of_an_edit_is_that_of_all_examples() -> None:
    filled, both = pair(drilled, plate), pair(lambda points: drilled(points, x=0.4), drilled)
    assert [side_of([one]) for one in (pair(plate, drilled), filled, both)] == [1, -1, 0]
    assert side_of([pair(plate, drilled), filled]) == 0


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_a_delta_follows_a_pose_with_its_distances(scale: float) -> None:
    shown = pair(plate, drilled)
    delta, _ = learn_delta([shown], [Placement(Similarity.identity())])
    turn = Rotation.from_euler("xyz", [0.4, -0.7, 1.1]).as_matrix()
    there = Similarity(turn, 1 / scale, np.array([0.05, -0.1, 0.0]))

    def moved(solid: Solid) -> Solid:
        return lambda points: scale * solid(there.points(points))

    new = pair(moved(plate), moved(drilled))
    found = edited(delta, Placement(there), new.before[1], 1)
    assert wrong(found, new.before[1], new.after[1]) < 0.15


def test_examples_that_miss_each_other_are_brought_together_by_their_change() -> None:
    pairs = [pair(plate, drilled), pair(plate, lambda points: drilled(points, x=0.3))]
    ways = [Placement(Similarity.identity())] * 2
    centred, spread = centred_on_change(pairs, ways, ways)
    assert spread == pytest.approx(0.05, rel=0.1)
    assert [way.shift[0] for way in centred] == pytest.approx([0.05, -0.05], abs=0.005)
    smeared, sharp = (learn_delta(pairs, each)[1] for each in (ways, centred))
    assert sharp[0].wrong(sharp[0].predicted) < 0.6 * smeared[0].wrong(smeared[0].predicted)


def test_the_lattice_of_a_placement_follows_its_warp() -> None:
    rng = np.random.default_rng(0)
    warp = Warp((Bumps(rng.uniform(-1, 1, (6, 3)), 0.05 * rng.normal(size=(6, 3)), 0.5),))
    placement = Placement(Similarity(np.eye(3), 1.1, np.array([0.1, 0.0, 0.0])), warp, np.array([0.0, 0.02, 0.0]))
    points = rng.uniform(-1, 1, (500, 3))
    assert np.abs(placement(points) - placement.exact(points)).max() < 0.002


def test_doubt_is_small_where_examples_agree_and_nothing_is_said_out_of_reach() -> None:
    delta, _ = learn_delta([pair(plate, drilled)] * 2, [Placement(Similarity.identity())] * 2)
    level = delta.levels[1]
    assert level is not None
    placed = PlacedDelta(delta, Placement(Similarity.identity()))
    far = level.delta.centres.max(axis=0, keepdims=True) + (1 + REACH) * level.delta.radius
    assert placed.deviation(1, far).tolist() == [0.0] and not placed.touches(far, 0.0).any()
    agreed = placed.deviation(1, level.delta.centres).max()
    assert 0 < agreed < 2 / 64
    # one example does not say how others differ, and examples that differ do
    alone, _ = learn_delta([pair(plate, drilled)], [Placement(Similarity.identity())])
    other = pair(plate, lambda points: drilled(points, x=0.25))
    apart, _ = learn_delta([pair(plate, drilled), other], [Placement(Similarity.identity())] * 2)
    for delta in (alone, apart):
        assert PlacedDelta(delta, Placement(Similarity.identity())).deviation(1, level.delta.centres).max() > agreed


def change_of(solid: Solid) -> Change:
    """The plate's upper and lower face, and how far a solid moves them along z."""
    x, y = np.meshgrid(*[np.linspace(-0.7, 0.7, 60)] * 2)
    flat = np.stack([x.ravel(), y.ravel()], axis=1)
    rows = [np.column_stack([flat, np.full(len(flat), side * 0.15)]) for side in (1, -1)]
    points, normals = np.concatenate(rows), np.repeat([[0, 0, 1.0], [0, 0, -1.0]], len(flat), axis=0)
    moves = normals * np.clip(-solid(points), 0, None)[:, None]
    return Change(Surface(points, normals), moves, moves.any(axis=1), 0.0, Similarity.identity(), points[:1])


def test_where_the_topology_changes_the_gear_is_a_delta() -> None:
    change = change_of(drilled)
    edit = choose_gear([change], [HERE], [pair(plate, drilled)], [HERE])
    assert edit.gear is Gear.DELTA and edit.wrong[Gear.DELTA] < 0.1 < edit.wrong[Gear.MOVEMENT]
    assert not doubts(edit)


def test_examples_that_contradict_one_another_are_told_of_with_the_share() -> None:
    changes = [change_of(drilled)] * 2
    pairs = [pair(plate, drilled), pair(plate, lambda points: drilled(points, radius=0.08))]
    edit = choose_gear(changes, [HERE] * 2, pairs, [HERE] * 2)
    (told,) = doubts(edit)
    assert f"{min(1.0, edit.wrong[Gear.DELTA]):.0%}" in told and "contradict" in told


def test_a_single_example_that_the_network_makes_badly_contradicts_nobody() -> None:
    edit = choose_gear([change_of(drilled)], [HERE], [pair(plate, drilled)], [HERE])
    (told,) = doubts(replace(edit, wrong=dict(edit.wrong) | {Gear.DELTA.value: 0.49}))
    assert "49%" in told and "its own example" in told and "contradict" not in told


def test_vertices_that_were_moved_make_a_movement_whatever_the_fits_look_like() -> None:
    change = replace(change_of(drilled), exact=True)
    assert choose_gear([change], [HERE], [pair(plate, drilled)], [HERE]).gear is Gear.MOVEMENT


def test_topologies_of_a_pair_differ_only_where_both_fits_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = pair(plate, drilled)
    assert [betti.b1 for betti in shown.topology] == [0, 1]
    monkeypatch.setattr("backend.edits.pair_fields.AROUND", 0.01)
    assert [betti.b1 for betti in shown.topology] == [0, 0]


def test_a_pair_without_a_change_leaves_a_movement() -> None:
    change = change_of(plate)
    assert choose_gear([change], [HERE], [None], [HERE]).delta is None
    assert choose_gear([change], [HERE], [pair(plate, plate)], [HERE]).gear is Gear.MOVEMENT


@pytest.fixture(scope="module")
def learned() -> LearnedEdit:
    change = change_of(thicker)
    movement: LearnedMovement = learn([change], [HERE.similarity])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend.edits.pair_fields.AROUND", 4.0)
        delta, _ = learn_delta([pair(plate, drilled)], [Placement(Similarity.identity())])
    return LearnedEdit(movement, delta, Gear.DELTA, {"delta": 0.05, "movement": 0.9})


def test_a_delta_survives_its_file_and_equal_edits_make_equal_files(learned: LearnedEdit, tmp_path: Path) -> None:
    one = save_edit(tmp_path / "a.omomi", learned, MODEL)
    assert save_edit(tmp_path / "b.omomi", learned, MODEL).sha256 == one.sha256
    read = load_edit(tmp_path / "a.omomi").edit
    assert read.gear is Gear.DELTA and read.wrong == learned.wrong
    assert read.delta is not None and learned.delta is not None
    assert read.delta.side == learned.delta.side == 1
    for stored, level in zip(read.delta.levels, learned.delta.levels, strict=True):
        assert stored is not None and level is not None
        assert np.array_equal(stored.delta.centres, level.delta.centres)
        assert np.array_equal(stored.delta.weights, level.delta.weights)
        places = level.delta.centres[:20].astype(np.float64)
        assert np.allclose(stored.deviation(places), level.deviation(places), rtol=1e-2)
    assert save_edit(tmp_path / "c.omomi", read, MODEL).sha256 == one.sha256
    assert read.anchor is None


def test_a_delta_of_an_older_file_has_no_side(learned: LearnedEdit, tmp_path: Path) -> None:
    save_edit(tmp_path / "a.omomi", learned, MODEL)
    stored, metadata = unpack((tmp_path / "a.omomi").read_bytes())
    del metadata["side"]
    (tmp_path / "a.omomi").write_bytes(pack(stored, metadata | {"kind": TWO_SIDED_KIND}))
    read = load_edit(tmp_path / "a.omomi").edit.delta
    assert read is not None and read.side == 0


def test_an_anchor_survives_its_file(learned: LearnedEdit, tmp_path: Path) -> None:
    for edit in (learned, LearnedEdit(learned.movement)):
        save_edit(tmp_path / "a.omomi", replace(edit, anchor=np.array([0.25, -0.5, 0.125])), MODEL)
        read = load_edit(tmp_path / "a.omomi").edit
        assert read.anchor is not None and read.anchor.tolist() == [0.25, -0.5, 0.125]


def test_the_anchor_is_the_mean_of_the_places_that_were_marked_in_the_frame_of_the_edit() -> None:
    shift = np.array([0.5, 0, 0])
    here = Placement(Similarity.identity())
    ways = [here, Placement(Similarity(np.eye(3), 2.0, shift)), here]
    found = anchor_of([np.array([1.0, 0, 0]), np.array([0, 0.5, 0]), None], ways)
    assert found is not None and np.allclose(found, [0.75, 0.5, 0])
    assert anchor_of([None, None, None], ways) is None


@pytest.mark.parametrize(
    ("members", "arrays"),
    [
        ({"gear": "luck"}, {}),
        ({"levels": "9"}, {}),
        ({"levels": "two"}, {}),
        ({"levels": "0"}, {}),
        ({"side": "2"}, {}),
        ({"1.radius": "0"}, {}),
        ({"1.noise": "nan"}, {}),
        ({"wrong.delta": "-1"}, {}),
        ({}, {"1.weights": np.zeros((3, 2), np.float32)}),
        ({}, {"1.centres": np.zeros((4, 3), np.float32)}),
        ({}, {"1.factor": np.zeros((2, 2), np.float32)}),
        ({}, {"anchor": np.zeros((2, 3), np.float32)}),
        ({}, {"anchor": np.full((1, 3), 1e9, np.float32)}),
    ],
)
def test_a_damaged_delta_is_refused(
    learned: LearnedEdit, tmp_path: Path, members: dict[str, str], arrays: dict[str, np.ndarray]
) -> None:
    save_edit(tmp_path / "a.omomi", learned, MODEL)
    stored, metadata = unpack((tmp_path / "a.omomi").read_bytes())
    (tmp_path / "a.omomi").write_bytes(pack({**stored, **arrays}, {**metadata, **members}))
    with pytest.raises(OmomiError) as caught:
        load_edit(tmp_path / "a.omomi")
    assert caught.value.code is ErrorCode.UNREADABLE_FILE


def test_what_is_learned_does_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [pair(plate, drilled), pair(plate, lambda points: drilled(points, x=0.22))]
    ways = [Placement(Similarity.identity())] * 2
    many, many_rows = learn_delta(pairs, ways)
    monkeypatch.setattr(head_delta, "JobThreads", lambda: JobThreads(1))
    one, one_rows = learn_delta(pairs, ways)
    for here, there in zip(many.levels, one.levels, strict=True):
        assert here is not None and there is not None
        assert np.array_equal(here.delta.weights, there.delta.weights) and here.noise == there.noise
    assert all(np.array_equal(a.predicted, b.predicted) for a, b in zip(many_rows, one_rows, strict=True))
