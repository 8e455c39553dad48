"""Profiles as files: what was saved comes back, and what is not a profile in every part is refused."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.cli import align
from backend.errors import ErrorCode, OmomiError
from backend.formats.tables import pack, unpack
from backend.prior.profile.gaussian import ShapeGaussian
from backend.prior.profile.profile import KIND, Profile, load_profile, save_profile


@pytest.fixture
def profile() -> Profile:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(50, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    shape = ShapeGaussian(
        unit * 0.5, unit, rng.normal(size=(2, 50, 3)) * 0.01, np.full(50, 0.01), np.array([0.5, 0.2, 0.0, 0.1])
    )
    usual = rng.uniform(0.5, 2, 50)
    return Profile(
        shape, True, np.array([0.1, -0.2, 0.3, 0.0]), rng.uniform(1e-5, 1e-3, 6), usual, 1.25, ("a", "b", "c", "d")
    )


def test_a_saved_profile_comes_back(profile: Profile, tmp_path: Path) -> None:
    save_profile(tmp_path / "one.profile", profile)
    save_profile(tmp_path / "two.profile", profile)
    assert (tmp_path / "one.profile").read_bytes() == (tmp_path / "two.profile").read_bytes()
    found = load_profile(tmp_path / "one.profile")
    assert found.members == profile.members and found.sided
    assert np.allclose(found.departures, profile.departures)
    assert np.allclose(found.usual, profile.usual) and np.allclose(found.residual, profile.residual)
    assert found.sigma_factor == profile.sigma_factor
    for name in ("points", "normals", "modes", "amplitude", "shares"):
        assert np.allclose(getattr(found.shape, name), getattr(profile.shape, name), atol=1e-6)


def test_the_score_is_the_share_that_departs_more(profile: Profile) -> None:
    assert profile.score(float(np.median(profile.departures))) == pytest.approx(0.5)
    scores = [profile.score(departure) for departure in (-1.0, 0.0, 0.5, 1.0, 5.0)]
    assert scores == sorted(scores, reverse=True) and scores[-1] < 1e-3 and scores[0] > 0.9


Damage = Callable[[dict[str, np.ndarray], dict[str, str]], None]


def scaled(name: str, factor: float) -> Damage:
    def damage(arrays: dict[str, np.ndarray], _: dict[str, str]) -> None:
        arrays[name] = arrays[name] * np.float32(factor)

    return damage


def shortened(name: str) -> Damage:
    def damage(arrays: dict[str, np.ndarray], _: dict[str, str]) -> None:
        arrays[name] = arrays[name][1:]

    return damage


def said(key: str, text: str) -> Damage:
    def damage(_: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        metadata[key] = text

    return damage


def without(name: str) -> Damage:
    def damage(arrays: dict[str, np.ndarray], _: dict[str, str]) -> None:
        del arrays[name]

    return damage


def doubled(arrays: dict[str, np.ndarray], _: dict[str, str]) -> None:
    arrays["modes"] = arrays["modes"].astype(np.float64)


@pytest.mark.parametrize(
    "damage",
    [
        scaled("points", 1e6), scaled("points", 0.0), scaled("normals", 0.5), scaled("amplitude", -1.0),
        scaled("amplitude", 0.0), scaled("shares", 3.0), scaled("shares", -1.0), shortened("points"),
        shortened("normals"), shortened("amplitude"), shortened("shares"), shortened("departures"),
        shortened("usual"), scaled("usual", 0.0), shortened("rest"), scaled("rest", -1.0),
        scaled("rest", 0.0), scaled("stretch", -1.0), shortened("stretch"),
        said("kind", "something else"), said("sided", "perhaps"), said("members", "a"), doubled,
        *(without(name) for name in ("points", "normals", "modes", "amplitude", "shares", "departures")),
        without("rest"), without("usual"),
    ],
)  # fmt: skip
def test_what_is_not_a_profile_is_refused_with_a_reason(profile: Profile, tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "bad.profile"
    save_profile(path, profile)
    arrays, metadata = unpack(path.read_bytes())
    assert metadata["kind"] == KIND
    damage(arrays, metadata)
    path.write_bytes(pack(arrays, metadata))
    with pytest.raises(OmomiError) as refused:
        load_profile(path)
    assert refused.value.code == ErrorCode.UNREADABLE_FILE and path.name in refused.value.message


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_cut_file_is_refused(profile: Profile, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.profile"
    save_profile(path, profile)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(OmomiError) as refused:
        load_profile(path)
    assert refused.value.code == ErrorCode.UNREADABLE_FILE


def aligned(*words: str) -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true")
    parser = argparse.ArgumentParser()
    align.add(parser.add_subparsers(), [common])
    arguments = parser.parse_args(["align", *words])
    return arguments.run(arguments, lambda *_: None)


def test_align_needs_a_folder_with_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "family.profile"
    with pytest.raises(SystemExit):
        aligned(str(tmp_path), "-o", str(tmp_path / "family.txt"))
    with pytest.raises(OmomiError) as refused:
        aligned(str(tmp_path / "nowhere"), "-o", str(output))
    assert refused.value.code == ErrorCode.UNREADABLE_FILE
    (tmp_path / "broken.ply").write_bytes(b"ply\n")
    with pytest.raises(OmomiError) as refused:
        aligned(str(tmp_path), "-o", str(output))
    assert refused.value.code == ErrorCode.BAD_OPTION and not output.exists()
