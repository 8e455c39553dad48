"""A fit with the shipped model: closed, in place, deterministic, cancellable, sure where it was measured."""

from __future__ import annotations

import threading
import time

import numpy as np
import onnxruntime
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.field.fit import FittedMesh, compacted, divided_progress, fit
from backend.field.onnx_model import CancelToken, Model, load_model
from backend.field.pieces import kept_faces
from backend.formats.raw_scan import RawScan
from backend.geometry.measure import measure
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import label_faces
from backend.protocol.fit_options import FitOptions
from tests import input_kinds as kinds
from tests.children import LIVENESS


def sphere_scan(radius: float = 1.0, centre: tuple[float, float, float] = (0, 0, 0), hole: bool = False) -> RawScan:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(20_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    if hole:
        direction = direction[direction[:, 2] < 0.7]
    return RawScan(direction * radius + np.array(centre), None, direction.astype(np.float32), None, "sphere")


@pytest.fixture(scope="module")
def whole(model: Model) -> FittedMesh:
    """A fitted sphere."""
    return fit(sphere_scan(), model, FitOptions(level=1)).mesh


@pytest.fixture(scope="module")
def holed(model: Model) -> FittedMesh:
    """A fitted sphere of which the scan lacks the top."""
    return fit(sphere_scan(hole=True), model, FitOptions(level=1)).mesh


def test_a_sphere_comes_back_closed_in_place_and_in_size(model: Model) -> None:
    result = fit(sphere_scan(2.5, (10, -20, 30)), model, FitOptions(level=1))
    vertices, faces = result.mesh.vertices, result.mesh.faces
    report = measure(vertices, faces)
    assert report.watertight and report.edge_manifold and report.winding_consistent
    assert (report.b0, report.b1, report.b2) == (1, 0, 0)
    radius = np.linalg.norm(vertices - np.array([10, -20, 30]), axis=1)
    # a voxel at level 1 is 5 / 51 wide
    assert np.abs(radius - 2.5).mean() < 0.05
    assert report.volume == pytest.approx(4 / 3 * np.pi * 2.5**3, rel=0.05)


def test_frames_come_coarse_to_fine_and_the_last_is_the_result(model: Model) -> None:
    frames: list[FittedMesh] = []
    shares: list[float] = []
    result = fit(
        sphere_scan(),
        model,
        FitOptions(level=2),
        on_frame=frames.append,
        on_progress=lambda share, _: shares.append(share),
    )
    assert [frame.level for frame in frames] == [0, 1, 2]
    assert [frame.final for frame in frames] == [False, False, True]
    assert frames[-1] is result.mesh
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert len(frames[0].faces) < len(frames[1].faces) < len(frames[2].faces)


@pytest.mark.parametrize("points", [0, 10_000, 50_000_000])
def test_the_bar_runs_over_the_preparation_and_the_fit_and_never_back(points: int) -> None:
    shares: list[float] = []
    preparing, fitting = divided_progress(lambda share, _: shares.append(share), points, 2)
    for say in (preparing, fitting):
        for done in (0.0, 0.5, 1.0):
            say(done, "words")
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0, 1) and shares[2] == shares[3]
    # of a large scan most is preparation, of a small one next to nothing
    assert shares[2] == pytest.approx({0: 0.0, 10_000: 0.01, 50_000_000: 0.98}[points], abs=0.001)


def test_the_same_scan_gives_the_same_bits(model: Model, whole: FittedMesh) -> None:
    other = fit(sphere_scan(), model, FitOptions(level=1)).mesh
    assert np.array_equal(whole.vertices, other.vertices)
    assert np.array_equal(whole.faces, other.faces) and np.array_equal(whole.sigma, other.sigma)


def test_sigma_is_larger_where_nothing_was_measured(holed: FittedMesh) -> None:
    # whatever lid it puts there, bulging or flat
    unseen = (np.linalg.norm(holed.vertices[:, :2], axis=1) < 0.4) & (holed.vertices[:, 2] > 0)
    assert unseen.any()
    assert np.median(holed.sigma[unseen]) > 2 * np.median(holed.sigma[~unseen])
    assert (holed.sigma > 0).all() and np.isfinite(holed.sigma).all()


def test_fill_moves_the_lid_of_a_hole_and_not_what_was_measured(model: Model, holed: FittedMesh) -> None:
    less, more = (fit(sphere_scan(hole=True), model, FitOptions(level=1, fill=fill)).mesh for fill in (-1, 1))
    voxel = np.ptp(holed.vertices, axis=0).max() * 2 / 1.6 / 64
    lids = []
    for mesh in (holed, less, more):
        lid = (np.linalg.norm(mesh.vertices[:, :2], axis=1) < 0.3) & (mesh.vertices[:, 2] > 0)
        lids.append(mesh.vertices[lid, 2].mean())
        measured = mesh.vertices[mesh.vertices[:, 2] < 0]
        away = nearest_on_mesh(holed.vertices, holed.faces, measured).distance
        assert np.quantile(away, 0.99) < 0.1 * voxel
    assert lids[1] < lids[0] - voxel / 2 and lids[2] > lids[0] + voxel / 2


def test_an_offset_of_ten_to_the_twelfth_costs_no_detail(model: Model, whole: FittedMesh) -> None:
    far = fit(sphere_scan(1000.0, (1e12, -1e12, 1e12)), model, FitOptions(level=1)).mesh
    back = (far.vertices - np.array([1e12, -1e12, 1e12])) / 1000
    assert abs(np.linalg.norm(back, axis=1).mean() - np.linalg.norm(whole.vertices, axis=1).mean()) < 1e-3


def test_cancel_stops_a_fit_inside_the_network(model: Model) -> None:
    """How soon is measured by `bench latency`; a fit that does not listen ends with a mesh instead of the error."""
    cancel, started = CancelToken(), threading.Event()
    codes: list[ErrorCode] = []

    def run() -> None:
        with pytest.raises(OmomiError) as caught:
            fit(sphere_scan(), model, FitOptions(level=4), cancel=cancel, on_progress=lambda *_: started.set())
        codes.append(caught.value.code)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(LIVENESS)
    time.sleep(0.5)
    cancel.cancel()
    thread.join(LIVENESS)
    assert codes == [ErrorCode.CANCELLED]
    assert fit(sphere_scan(), model, FitOptions(level=0)).mesh.final


def test_cancel_ends_every_run_in_progress() -> None:
    cancel = CancelToken()
    done, one, other = (onnxruntime.RunOptions() for _ in range(3))
    with cancel.running(done):
        pass
    with cancel.running(one), cancel.running(other):
        cancel.cancel()
    assert [run.terminate for run in (done, one, other)] == [False, True, True]


@pytest.mark.parametrize("options", [{"level": 6}, {"level": -1}, {"denoise": float("nan")}, {"fill": 2.0}])
def test_options_out_of_range_are_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(OmomiError) as caught:
        FitOptions(**options)  # type: ignore[arg-type]
    assert caught.value.code == ErrorCode.BAD_OPTION and next(iter(options)) in caught.value.message


def test_an_unusable_cuda_is_an_error_that_says_why() -> None:
    try:
        model = load_model("cuda")
    except OmomiError as error:
        assert error.code == ErrorCode.DEVICE_UNAVAILABLE and "CUDA" in error.message
    else:
        assert model.device == "cuda"


def test_a_missing_model_is_named(tmp_path: object) -> None:
    with pytest.raises(OmomiError) as caught:
        load_model("cpu", folder=tmp_path)  # type: ignore[arg-type]
    assert caught.value.code == ErrorCode.MODEL_MISSING and "atom.onnx" in caught.value.message


def box(centre: float, half: float, inward: bool = False) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array(np.meshgrid(*[[-half, half]] * 3, indexing="ij")).reshape(3, -1).T + [centre, 0, 0]
    faces = np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    )
    return corners.astype(np.float32), faces[:, ::-1] if inward else faces


def test_pieces_without_scan_points_go_and_supported_ones_stay() -> None:
    parts = [box(-0.4, 0.3), box(0.3, 0.1), box(0.7, 0.1)]
    vertices = np.concatenate([part[0] for part in parts])
    faces = np.concatenate([part[1] + 8 * number for number, part in enumerate(parts)]).astype(np.int32)
    points = np.concatenate([parts[0][0], parts[2][0]])
    assert len(kept_faces(vertices, faces, points, False)[0]) == 24
    assert len(kept_faces(vertices, faces, points, True)[0]) == 12
    used, renumbered = compacted(vertices, kept_faces(vertices, faces, points, False)[0])
    assert np.array_equal(vertices[used], np.concatenate([parts[0][0], parts[2][0]]))
    assert renumbered.max() == 15


def test_a_wall_thinner_than_a_coarse_voxel_is_found_by_the_finer_levels(model: Model) -> None:
    rng = np.random.default_rng(1)
    flat = rng.uniform(-1, 1, (60_000, 2))
    side = np.where(np.arange(60_000) % 2, 1.0, -1.0)
    points = np.column_stack([flat, side * 0.02])
    normals = np.column_stack([np.zeros((60_000, 2)), side]).astype(np.float32)
    mesh = fit(RawScan(points, None, normals, None, "sheet"), model, FitOptions(level=2)).mesh
    # 0.04 thick: two thirds of a voxel at level 0, two and a half at level 2
    middle = np.abs(mesh.vertices[:, :2]).max(axis=1) < 0.7
    assert np.median(np.abs(np.abs(mesh.vertices[middle, 2]) - 0.02)) < 0.008


def test_a_thin_plate_keeps_its_thickness_below_what_hovers_over_it(model: Model) -> None:
    beads = [kinds.ball(10, 0.012, (x, 0.1, 0.03)) for x in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    mesh = kinds.joined(kinds.box((1.0, 0.6, 0.02), count=17), *beads)
    found = fit(RawScan(*mesh), model, FitOptions(level=2))
    points, voxel = np.asarray(found.mesh.vertices), 1.0 / (0.8 * 128)
    label, count = label_faces(found.mesh.faces)
    plate = points[found.mesh.faces[label == np.argmax(np.bincount(label))]].reshape(-1, 3)
    inner = plate[(np.abs(plate[:, 0]) < 0.45) & (np.abs(plate[:, 1]) < 0.25)]
    assert count == 6 and np.abs(np.abs(inner[:, 2]) - 0.01).max() < voxel
    assert found.report.invented < 0.01
