"""The archive: neighbours, density and coverage are what they say, and files from anywhere are checked."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import ErrorCode, OmomiError
from backend.formats.tables import pack, unpack
from backend.prior.archive import COARSE, COVERED_SHARE, KIND, PICTURE, Archive, coarse, load_archive, save_archive

FAMILIES = ("vessel", "rock", "chair")


def make_archive(count: int = 60, size: int = 5, seed: int = 0, draws: int = 4) -> Archive:
    """Random shapes of two of three families, ``draws`` of each program."""
    rng = np.random.default_rng(seed)
    family = (np.arange(count) // draws % 2).astype(np.int32)
    return Archive(
        codes=rng.normal(size=(count, size)).astype(np.float32),
        families=FAMILIES,
        family=family,
        seeds=(np.arange(count) // draws).astype(np.int32),
        pictures=rng.integers(0, 256, (count, PICTURE, PICTURE)).astype(np.uint8),
        places=rng.uniform(-1, 1, (count, 2)).astype(np.float32),
        trained=(np.bincount(family, minlength=3) + [5, 0, 0]).astype(np.int32),
        weights=np.ones(size, np.float32),
        model="0123456789abcdef",
    )


def same(one: Archive, other: Archive) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(Archive)
    )


def test_an_archive_comes_back_from_its_file_and_equal_ones_give_equal_files(tmp_path: Path) -> None:
    archive = make_archive()
    save_archive(tmp_path / "a", archive)
    save_archive(tmp_path / "b", make_archive())
    found = load_archive(tmp_path / "a")
    assert same(archive, found)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_nearest_shapes_are_the_nearest() -> None:
    archive, code = make_archive(), np.random.default_rng(2).normal(size=5)
    distance = np.linalg.norm(archive.codes - code, axis=1)
    found = archive.nearest(code, 7)
    assert found.rows.tolist() == np.argsort(distance)[:7].tolist()
    assert np.allclose(found.distances, np.sort(distance)[:7], atol=1e-6)


def test_numbers_of_a_code_count_by_their_weights() -> None:
    archive, code = make_archive(), np.random.default_rng(2).normal(size=5)
    weights = np.array([0, 2, 1, 0.5, 3], np.float32)
    weighed = dataclasses.replace(archive, weights=weights)
    distance = np.linalg.norm((archive.codes - code) * weights, axis=1)
    assert weighed.nearest(code, 9).rows.tolist() == np.argsort(distance)[:9].tolist()
    scaled = dataclasses.replace(archive, codes=archive.codes * weights)
    assert np.allclose(weighed.relatives, scaled.relatives)


def test_siblings_are_no_relatives() -> None:
    archive = make_archive(draws=10)
    for row in (0, 17, 59):
        others = archive.seeds != archive.seeds[row]
        expected = np.sort(np.linalg.norm(archive.codes[others] - archive.codes[row], axis=1))[:8]
        assert np.allclose(archive.relatives[row], expected, atol=1e-6)


def test_a_training_shape_has_distance_zero_and_a_far_one_a_high_rank() -> None:
    archive = make_archive()
    own, far = archive.position(archive.codes[12]), archive.position(np.full(5, 50.0))
    assert own.neighbours.rows[0] == 12 and own.distance < 1e-3 and own.rank == 0
    assert far.rank == 1 and far.crowding == 0 and far.distance > 10
    assert np.abs(far.place).max() <= 1


def test_a_shape_lies_on_the_map_where_its_neighbours_do() -> None:
    rng = np.random.default_rng(3)
    codes = rng.uniform(-1, 1, (400, 2)).astype(np.float32)
    archive = dataclasses.replace(
        make_archive(400, size=2), codes=codes, places=codes, seeds=np.arange(400, dtype=np.int32)
    )
    for code in rng.uniform(-0.8, 0.8, (20, 2)):
        assert np.linalg.norm(archive.position(code).place - code) < 0.15
    assert archive.kept_by_map() == 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_position_of_a_code_does_not_depend_on_the_axes(seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    archive, code = make_archive(), rng.normal(size=5)
    turn, shift = np.linalg.qr(rng.normal(size=(5, 5)))[0], rng.normal(size=5)
    moved = dataclasses.replace(archive, codes=(archive.codes @ turn + shift).astype(np.float32))
    one, other = archive.position(code), moved.position(code @ turn + shift)
    assert one.neighbours.rows.tolist() == other.neighbours.rows.tolist()
    assert one.distance == pytest.approx(other.distance, rel=1e-3)
    assert abs(one.rank - other.rank) <= 1 / 60 + 1e-9


def test_coverage_counts_families_and_those_that_have_no_shape() -> None:
    archive = make_archive(64)
    vessel, rock, chair = archive.coverage()
    assert (vessel.shapes, vessel.kept, vessel.draws) == (37, 32, 8) and (rock.shapes, rock.kept) == (32, 32)
    assert (chair.shapes, chair.kept, chair.covered, chair.typical) == (0, 0, None, -1)
    assert archive.family[vessel.typical] == 0 and archive.family[rock.typical] == 1
    assert vessel.covered is not None and rock.covered is not None
    assert (vessel.covered + rock.covered) / 2 == pytest.approx(COVERED_SHARE, abs=1 / 32)


def test_a_family_apart_from_all_others_is_found_to_be_thin() -> None:
    archive = make_archive(80)
    codes = archive.codes.copy()
    lone = archive.family == 1
    codes[lone] = 100 * np.random.default_rng(4).normal(size=(int(lone.sum()), 5))
    vessel, rock, _ = dataclasses.replace(archive, codes=codes).coverage()
    assert vessel.covered == 1 and rock.covered is not None and rock.covered <= 0.5


def test_the_loneliest_come_first_and_one_of_each_program() -> None:
    archive = make_archive(60)
    codes = archive.codes.copy()
    codes[[7, 30]] = [[90.0] * 5, [-50.0] * 5]
    rows = dataclasses.replace(archive, codes=codes).loneliest(6)
    assert rows[:2].tolist() == [7, 30]
    assert len(np.unique(archive.seeds[rows])) == 6


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tiny_archives_give_positions_and_coverage(count: int, tmp_path: Path) -> None:
    archive = make_archive(count)
    save_archive(tmp_path / "a", archive)
    found = load_archive(tmp_path / "a")
    standing = found.position(np.zeros(5))
    assert len(standing.neighbours.rows) == count and np.isfinite(standing.place).all()
    assert len(found.coverage()) == 3 and 0 <= found.kept_by_map() <= 1 and len(found.loneliest(8)) >= 1
    assert count >= 5 or standing.rank == 1


@pytest.mark.parametrize("code", [np.zeros(4), np.full(5, np.nan), np.full(5, 1e9)])
def test_a_code_of_another_model_is_refused(code: np.ndarray) -> None:
    with pytest.raises(OmomiError) as caught:
        make_archive().nearest(code)
    assert caught.value.code is ErrorCode.BAD_OPTION


def contents(**changes: object) -> dict[str, np.ndarray]:
    archive = make_archive(8)
    arrays: dict[str, object] = {
        "codes": archive.codes,
        "family": archive.family,
        "seeds": archive.seeds,
        "places": archive.places,
        "trained": archive.trained,
        "pictures": np.frombuffer(zlib.compress(archive.pictures.tobytes()), np.uint8),
    }
    return {name: array for name, array in (arrays | changes).items() if isinstance(array, np.ndarray)}


@pytest.mark.parametrize(
    "changes",
    [
        {"codes": None},
        {"codes": np.zeros((0, 5), np.float32)},
        {"codes": np.full((8, 5), 1e30, np.float32)},
        {"codes": np.zeros((8, 5), np.float64)},
        {"family": np.full(8, 3, np.int32)},
        {"family": np.full(8, -1, np.int32)},
        {"family": np.zeros(7, np.int32)},
        {"trained": np.zeros(3, np.int32)},
        {"places": np.full((8, 2), 1.5, np.float32)},
        {"pictures": np.zeros(100, np.uint8)},
        {"pictures": np.frombuffer(zlib.compress(bytes(10 * PICTURE**2)), np.uint8)},
        {"pictures": np.frombuffer(zlib.compress(bytes(8 * PICTURE**2))[:-8], np.uint8)},
        {"pictures": np.frombuffer(zlib.compress(bytes(60 << 20), 9), np.uint8)},
        {"weights": np.zeros(5, np.float32)},
        {"weights": np.ones(4, np.float32)},
        {"weights": -np.ones(5, np.float32)},
    ],
)
def test_contents_that_do_not_fit_together_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    metadata = {"kind": KIND, "families": "\n".join(FAMILIES), "model": ""}
    (tmp_path / "good").write_bytes(pack(contents(), metadata))
    (tmp_path / "bad").write_bytes(pack(contents(**changes), metadata))
    assert len(load_archive(tmp_path / "good")) == 8
    with pytest.raises(OmomiError) as caught:
        load_archive(tmp_path / "bad")
    assert caught.value.code is ErrorCode.UNREADABLE_FILE


@pytest.mark.parametrize(
    "names", ["", "a\na\nb", "a\nb\n\u202ec", "a\nb\n" + "c" * 500, "\n".join(map(str, range(99)))]
)
def test_families_without_valid_names_are_refused(names: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pack(contents(), {"kind": KIND, "families": names}))
    with pytest.raises(OmomiError, match="not valid"):
        load_archive(tmp_path / "a")


def test_an_archive_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    archive = dataclasses.replace(make_archive(), places=np.full((60, 2), 2.0, np.float32))
    with pytest.raises(OmomiError) as caught:
        save_archive(tmp_path / "a", archive)
    assert caught.value.code is ErrorCode.BAD_OPTION and not list(tmp_path.iterdir())


@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_a_changed_byte_is_read_or_refused(place: int, value: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pack(contents(), {"kind": KIND, "families": "\n".join(FAMILIES)}))
    data = bytearray((tmp_path / "a").read_bytes())
    data[place % len(data)] = value
    (tmp_path / "a").write_bytes(data)
    try:
        assert len(load_archive(tmp_path / "a")) == 8
    except OmomiError as error:
        assert error.code is ErrorCode.UNREADABLE_FILE


def test_a_coarse_field_is_the_mean_of_its_blocks() -> None:
    field = np.random.default_rng(6).normal(size=(32, 32, 32)) * 3
    found = coarse(field[None]).reshape(COARSE, COARSE, COARSE)
    assert found[3, 0, 15] == pytest.approx(field[6:8, 0:2, 30:32].clip(-3, 3).mean(), rel=1e-5)


def test_the_archive_of_a_bank_leaves_out_what_was_held_out(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from backend.training.bank import Bank
    from backend.training.release import build_archive
    from backend.training.shapes.families import FAMILIES as TRAINED

    rng = np.random.default_rng(5)
    for seed in (3, 12, 13, 24):
        points = rng.normal(size=(3, 4000, 3))
        points /= np.linalg.norm(points, axis=2, keepdims=True)
        shard = {
            "points": (0.8 * points * 32767).astype(np.int16),
            "normals": (127 * points).astype(np.int8),
            "field0": rng.normal(size=(3, 32, 32, 32)).astype(np.float16),
        }
        np.savez(tmp_path / f"{seed:06d}_{TRAINED[seed % 12]}.npz", **shard)

    def encode(shard: Mapping[str, np.ndarray]) -> np.ndarray:
        return shard["field0"].reshape(-1, 32**3)[:, :7]

    archive = build_archive(Bank(tmp_path), encode, "hash", np.arange(1, 8))
    assert archive.seeds.tolist() == [12] * 3 + [13] * 3 + [24] * 3
    assert archive.families == TRAINED and archive.trained.sum() == 9 and archive.model == "hash"
    assert [TRAINED[number] for number in archive.family] == [TRAINED[0]] * 3 + [TRAINED[1]] * 3 + [TRAINED[0]] * 3
    assert np.abs(archive.places).max() <= 1 and (archive.pictures > 0).mean() > 0.5
    with np.load(tmp_path / f"000013_{TRAINED[1]}.npz") as shard:
        assert np.array_equal(archive.codes[3:6], encode(shard))

    few = build_archive(Bank(tmp_path), encode, most=5)
    assert len(few) == 5 and few.trained.sum() == 9 and (few.weights == 1).all()
    assert all(np.flatnonzero((archive.codes == code).all(axis=1)).size for code in few.codes)
    save_archive(tmp_path / "a", few)
    assert same(few, load_archive(tmp_path / "a"))


def test_a_file_of_an_archive_holds_nothing_but_numbers_and_names(tmp_path: Path) -> None:
    save_archive(tmp_path / "a", make_archive())
    arrays, metadata = unpack((tmp_path / "a").read_bytes())
    assert set(metadata) == {"kind", "families", "model"} and all(a.dtype != object for a in arrays.values())
