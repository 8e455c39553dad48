"""The flow prior at run time: gradients, scores, samples, pulling, calibration, and files from anywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import ErrorCode, OmomiError
from backend.formats.tables import pack, unpack
from backend.prior.flow import LATE, LEVELS, WHOLE, FlowPrior, ScoreQuantiles, auroc, load_flow
from backend.prior.velocity import Block, Draws, Velocity, scores_of, slopes_of

SIZE, WIDTH, TIMES = 6, 20, 4


def velocity(seed: int = 0, size: int = SIZE, strength: float = 0.3, dtype: type = np.float32) -> Velocity:
    """A network with drawn weights; of ``strength`` 0 it is the Gaussian's alone."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return (strength * generator.standard_normal(shape)).astype(dtype)

    blocks = tuple(
        Block(draw(WIDTH, WIDTH), draw(WIDTH), draw(WIDTH, TIMES), draw(WIDTH, WIDTH), draw(WIDTH)) for _ in range(2)
    )
    return Velocity(draw(WIDTH, size), draw(WIDTH), blocks, draw(size, WIDTH), draw(size))


def gaussian_prior(size: int = 16) -> FlowPrior:
    """What a flow trained on N(3, 2^2 I) would be, calibrated on real draws."""
    nothing = ScoreQuantiles(np.zeros(len(LEVELS), np.float32))
    mean, whitening = np.full(size, 3, np.float32), np.eye(size, dtype=np.float32) / 2
    bare = FlowPrior(mean, whitening, velocity(size=size, strength=0), nothing, nothing)
    codes = real_codes(400, size, seed=1)
    return replace(
        bare, closeness=ScoreQuantiles.of(bare.alignment(codes)), plausibility=ScoreQuantiles.of(bare.score(codes))
    )


def real_codes(count: int, size: int = 16, seed: int = 0) -> np.ndarray:
    return (3 + 2 * np.random.default_rng(seed).standard_normal((count, size))).astype(np.float32)


@pytest.fixture(scope="module")
def prior() -> FlowPrior:
    return gaussian_prior()


def test_pullback_is_the_transposed_jacobian():
    network = velocity(dtype=np.float64)
    generator = np.random.default_rng(1)
    x, t, g = generator.standard_normal((5, SIZE)), generator.random(5), generator.standard_normal((5, SIZE))
    _, pullback = network.with_pullback(x, t)
    step = 1e-5 * np.eye(SIZE)
    numeric = [((network(x + row, t) - network(x - row, t)) * g).sum(1) / 2e-5 for row in step]
    assert np.allclose(pullback(g), np.stack(numeric, axis=1), atol=1e-7)


@pytest.mark.parametrize("span", [WHOLE, LATE])
def test_slope_of_the_score_agrees_with_finite_differences(span: tuple[float, float]):
    network, single = velocity(dtype=np.float64), Draws.fixed(SIZE, 32, 0, span)
    draws = Draws(single.times.astype(np.float64), single.starts.astype(np.float64))

    def at(points: np.ndarray) -> np.ndarray:
        return scores_of(network, points, draws)

    points = np.random.default_rng(2).standard_normal((3, SIZE))
    step = 1e-5 * np.eye(SIZE)
    numeric = [(at(points + row) - at(points - row)) / 2e-5 for row in step]
    assert np.allclose(slopes_of(network, points, draws), np.stack(numeric, axis=1), atol=1e-7)


def test_gradient_is_by_the_code_and_not_by_the_whitened_code():
    matrix = np.random.default_rng(3).standard_normal((SIZE, SIZE))
    whitening = (matrix @ matrix.T + np.eye(SIZE)).astype(np.float32)
    nothing = ScoreQuantiles(np.zeros(len(LEVELS), np.float32))
    prior = FlowPrior(np.ones(SIZE, np.float32), whitening, velocity(strength=0.1), nothing, nothing)
    code, step = np.full((1, SIZE), 1.1), 1e-2 * np.eye(SIZE)
    numeric = [(prior.score(code + row) - prior.score(code - row))[0] / 2e-2 for row in step]
    assert np.allclose(prior.gradient(code)[0], numeric, rtol=0.02, atol=0.02)


def test_a_gaussians_alignment_is_the_closed_form(prior: FlowPrior):
    codes = real_codes(20)
    square = ((codes - 3) ** 2 / 4).mean(1)
    assert np.allclose(prior.alignment(codes, draws=2000), math.pi / 4 * (1 + square), rtol=0.02)


def test_scores_do_not_depend_on_what_else_is_scored_and_repeat_exactly(prior: FlowPrior):
    codes = real_codes(150)
    together = prior.score(codes)
    assert np.allclose(together, np.concatenate([prior.score(code[None]) for code in codes]), rtol=1e-5)
    assert np.array_equal(together, prior.score(codes))
    assert prior.score(codes[:0]).shape == (0,)


def test_draws_are_stratified_and_balanced():
    draws = Draws.fixed(5, 64, 3, LATE)
    assert np.allclose(draws.starts.mean(0), 0, atol=1e-6)
    assert np.allclose((draws.starts**2).mean(0), 1, atol=1e-5)
    assert ((draws.times > 0.75) & (draws.times < 1)).all()
    counts, _ = np.histogram(draws.times, bins=32, range=LATE)
    assert (counts == 2).all()


def test_samples_have_the_datas_mean_and_spread_and_repeat(prior: FlowPrior):
    samples = prior.sample(4000, seed=5, steps=50)
    assert samples.mean() == pytest.approx(3, abs=0.05)
    assert samples.std() == pytest.approx(2, rel=0.02)
    assert np.array_equal(samples, prior.sample(4000, seed=5, steps=50))
    assert not np.array_equal(samples[:9], prior.sample(9, seed=6, steps=50))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 20))
def test_a_descent_ends_at_the_alignment_of_the_data_and_never_passes_it(prior: FlowPrior, seed: int, factor: float):
    code = (3 + factor * (real_codes(1, seed=seed)[0] - 3)).astype(np.float32)
    own = prior.closeness.score_of(0.5)
    way = prior.descent(code)
    closeness, plausible = prior.alignment(way.codes), prior.plausibility(way.scores)
    assert np.array_equal(way.codes[0], code)
    if closeness[0] <= own and plausible[0] >= 0.5:
        assert len(way.codes) == 1
    else:
        # a Gaussian's codes are judged by |y| alone, so the late part has little left to do
        assert closeness[-1] == pytest.approx(own, rel=0.03)
        assert (np.diff(closeness) < 0).all()
        assert plausible[-1] == pytest.approx(0.5, abs=0.1)


def test_a_descent_keeps_the_direction_and_the_spread_of_codes_beyond_their_range(prior: FlowPrior):
    offsets = real_codes(40, seed=8) - 3
    pulled = np.stack([prior.descent(3 + 3 * offset).at(1) for offset in offsets]) - 3
    lengths = np.linalg.norm(pulled, axis=1) * np.linalg.norm(offsets, axis=1)
    assert ((pulled * offsets).sum(1) / lengths > 0.97).all()
    assert pulled.std() == pytest.approx(2, rel=0.1)


def test_a_slider_runs_from_the_code_to_the_end_of_the_path(prior: FlowPrior):
    code = real_codes(1)[0] * 4
    way = prior.descent(code)
    assert np.array_equal(way.at(0), code)
    assert np.allclose(way.at(1), way.codes[-1])
    assert np.array_equal(prior.descent(code).at(0.4), way.at(0.4))
    moved = [np.linalg.norm(way.at(strength) - code) for strength in np.linspace(0, 1, 11)]
    assert (np.diff(moved) > 0).all()
    scores = prior.score(np.stack([way.at(strength) for strength in np.linspace(0, 1, 11)]))
    assert (np.diff(scores) < 0).all()
    for strength in (-0.1, 1.1, math.nan):
        with pytest.raises(OmomiError):
            way.at(strength)
        with pytest.raises(OmomiError):
            prior.descent(code, plausible=strength)


def test_the_path_of_a_plausible_code_is_the_code_itself(prior: FlowPrior):
    way = prior.descent(prior.mean)
    assert np.array_equal(way.codes, prior.mean[None])
    assert np.array_equal(way.at(0.7), prior.mean)


def test_plausibility_is_uniform_on_real_codes_and_falls_without_end():
    scores = np.random.default_rng(0).gamma(5, size=20000)
    judge = ScoreQuantiles.of(scores[:10000])
    for share in (0.05, 0.5, 0.95):
        assert np.mean(judge(scores[10000:]) < share) == pytest.approx(share, abs=0.02)
    assert judge(np.array([judge.score_of(0.3)]))[0] == pytest.approx(0.3, abs=1e-6)
    rising = judge(np.linspace(0, 60, 500))
    assert (np.diff(rising) <= 1e-9).all()
    assert rising[0] == 1
    assert 0 < rising[-1] < 1e-6


def test_auroc_agrees_with_its_definition():
    generator = np.random.default_rng(0)
    real, odd = generator.integers(0, 9, 60).astype(float), generator.integers(3, 12, 50).astype(float)
    pairs = (odd[:, None] > real).mean() + (odd[:, None] == real).mean() / 2
    assert auroc(real, odd) == pytest.approx(pairs)
    assert auroc(np.zeros(3), np.ones(2)) == 1
    assert auroc(np.ones(3), np.ones(2)) == 0.5


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros(16),
        np.zeros((2, 15)),
        np.zeros((1, 1, 16)),
        np.full((1, 16), np.nan),
        np.full((1, 16), np.inf),
        np.full((1, 16), 1e30),
    ],
)
def test_codes_of_another_size_or_not_finite_are_refused(prior: FlowPrior, codes: np.ndarray):
    for judged in (prior.score, prior.alignment, prior.gradient):
        with pytest.raises(OmomiError) as caught:
            judged(codes)
        assert caught.value.code == ErrorCode.BAD_OPTION
    with pytest.raises(OmomiError):
        prior.descent(codes[0])


@pytest.mark.parametrize(("count", "seed", "steps"), [(0, 0, 10), (-1, 0, 10), (10**9, 0, 10), (1, -1, 10), (1, 0, 0)])
def test_samples_that_cannot_be_drawn_are_refused(prior: FlowPrior, count: int, seed: int, steps: int):
    with pytest.raises(OmomiError) as caught:
        prior.sample(count, seed, steps)
    assert caught.value.code == ErrorCode.BAD_OPTION


def test_file_gives_back_the_prior(tmp_path: Path, prior: FlowPrior):
    whole = replace(prior, velocity=velocity(size=16))
    whole.save(tmp_path / "flow.safetensors")
    read = load_flow(tmp_path / "flow.safetensors")
    codes = real_codes(5)
    assert np.array_equal(read.score(codes), whole.score(codes))
    assert np.array_equal(read.plausibility(read.score(codes)), whole.plausibility(whole.score(codes)))
    assert np.array_equal(read.descent(codes[0] * 3).codes, whole.descent(codes[0] * 3).codes)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("mean", np.zeros(15, np.float32)),
        ("mean", np.zeros(16)),
        ("mean", None),
        ("enter", np.zeros((WIDTH, 15), np.float32)),
        ("enter", np.zeros(16, np.float32)),
        ("enter", np.zeros((0, 16), np.float32)),
        ("leave", np.full((16, WIDTH), 1e9, np.float32)),
        ("block.1.time", np.zeros((WIDTH, TIMES + 1), np.float32)),
        ("block.0.time", np.zeros(3, np.float32)),
        ("block.1.first", None),
        ("whitening", np.zeros((16, 16), np.float32)),
        ("quantiles", np.linspace(1, 0, 202, dtype=np.float32).reshape(2, 101)),
        ("quantiles", -np.ones((2, 101), np.float32)),
        ("quantiles", np.zeros((2, 100), np.float32)),
        ("surplus", np.zeros(3, np.float32)),
    ],
)
def test_files_whose_arrays_do_not_fit_are_refused(
    tmp_path: Path, prior: FlowPrior, name: str, array: np.ndarray | None
):
    path = tmp_path / "flow.safetensors"
    prior.save(path)
    arrays, metadata = unpack(path.read_bytes())
    arrays = {key: value for key, value in arrays.items() if key != name} | ({} if array is None else {name: array})
    path.write_bytes(pack(arrays, metadata))
    with pytest.raises(OmomiError) as caught:
        load_flow(path)
    assert caught.value.code == ErrorCode.UNREADABLE_FILE


def test_file_whose_velocity_overflows_is_refused(tmp_path: Path, prior: FlowPrior):
    path = tmp_path / "flow.safetensors"
    shapes = ((WIDTH, WIDTH), WIDTH, (WIDTH, 1), (WIDTH, WIDTH), WIDTH)
    block = Block(*(np.full(shape, 9e3, np.float32) for shape in shapes))
    huge = replace(velocity(size=16), blocks=(block,) * 6)
    replace(prior, velocity=huge).save(path)
    with pytest.raises(OmomiError) as caught:
        load_flow(path)
    assert caught.value.code == ErrorCode.UNREADABLE_FILE


def test_truncated_oversized_foreign_and_missing_files_are_refused(tmp_path: Path, prior: FlowPrior):
    path = tmp_path / "flow.safetensors"
    prior.save(path)
    data = path.read_bytes()
    arrays, _ = unpack(path.read_bytes())
    bad = {"truncated": data[: len(data) // 2], "empty": b"", "longer": data + b"\0", "noise": bytes(range(256)) * 9}
    for name, contents in bad.items():
        (tmp_path / name).write_bytes(contents)
    (tmp_path / "another kind").write_bytes(pack(arrays, {"kind": "something else"}))
    with (tmp_path / "oversized").open("wb") as stream:
        stream.truncate(1 << 30)
    for name in (*bad, "another kind", "oversized", "missing"):
        with pytest.raises(OmomiError) as caught:
            load_flow(tmp_path / name)
        assert caught.value.code == ErrorCode.UNREADABLE_FILE
