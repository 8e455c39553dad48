"""New meshes that the network makes: from examples through the command line and the stack, with the shipped model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import trimesh

pytest.importorskip("onnxruntime")

from backend.cli.main import main
from backend.edits.apply import apply_stack, check_stack, new_mesh
from backend.edits.edit_file import save_edit
from backend.edits.fitted_scan import FittedScan
from backend.edits.gear import Gear
from backend.edits.learn import learn_from
from backend.edits.network_edit import MaskedEdit
from backend.edits.solve import solve_stack
from backend.edits.stack import EditSession
from backend.edits.sweep import sweep_stack
from backend.engine import OnnxEngine, fit_scan
from backend.errors import ErrorCode, OmomiError
from backend.field.bricks import voxel_size
from backend.field.fit import FittedMesh, fit
from backend.field.onnx_model import CancelToken
from backend.formats.mesh_files import load_scan
from backend.formats.raw_scan import RawScan
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import betti_of_mesh
from backend.protocol.fit_options import FitOptions
from backend.protocol.recipe import Layer, MaskRef
from backend.protocol.requests import EditTarget, Outcome
from backend.scan.prepare import prepare
from tests.benchmarks.weight_cases import edited_member


def ignore(*_: object) -> None:
    pass


def sampled(hole: bool, count: int = 12_000, seed: int = 0) -> RawScan:
    """Points with normals on a plate with a knob in one corner, with a hole along z or without."""
    rng = np.random.default_rng(seed)

    def inside(points: np.ndarray) -> np.ndarray:
        body = (np.abs(points) < [1.0, 0.7, 0.25]).all(axis=1)
        knob = (np.abs(points - [-0.7, 0.45, 0.4]) < [0.2, 0.15, 0.25]).all(axis=1)
        return (body | knob) & ~(hole & (np.linalg.norm(points[:, :2] - [0.35, 0], axis=1) < 0.3))

    boxes = [((0, 0, 0), (2.0, 1.4, 0.5)), ((-0.7, 0.45, 0.4), (0.4, 0.3, 0.5))]
    points, normals = [], []
    for middle, size in boxes:
        box = trimesh.creation.box(size)
        found, faces = trimesh.sample.sample_surface(box, count, seed=int(rng.integers(1 << 30)))[:2]
        points.append(np.asarray(found) + middle)
        normals.append(box.face_normals[faces])
    if hole:
        angle, height = rng.uniform(0, 2 * np.pi, count // 3), rng.uniform(-0.25, 0.25, count // 3)
        ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
        points.append(0.3 * ring + np.stack([0 * angle + 0.35, 0 * angle, height], axis=1))
        normals.append(-ring)
    point, normal = np.concatenate(points), np.concatenate(normals)
    # what lies on the solid's own surface: solid on one side, none on the other
    kept = inside(point - 1e-4 * normal) & ~inside(point + 1e-4 * normal)
    return RawScan(point[kept], None, normal[kept].astype(np.float32), None, "plate")


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    return OnnxEngine("cpu", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: OnnxEngine) -> Path:
    """before.npz, after.npz, and drill.omomi, which the command line learned of them."""
    folder = tmp_path_factory.mktemp("drill")
    for name, hole in (("before", False), ("after", True)):
        scan = sampled(hole)
        assert scan.normals is not None
        np.savez(folder / f"{name}.npz", points=scan.points, normals=scan.normals)
    pair = ["--before", str(folder / "before.npz"), "--after", str(folder / "after.npz")]
    assert main(["learn", *pair, "-o", str(folder / "drill.omomi")], lambda device, threads: engine) == 0
    return folder


@pytest.fixture(scope="module")
def session(folder: Path, engine: OnnxEngine) -> EditSession:
    """Another scan of the plate, fitted at 64^3."""
    return EditSession(fit_scan(engine, sampled(False, seed=7), FitOptions(level=1), ignore))


def laid(session: EditSession, folder: Path, strength: float = 1.0, **more: Any) -> EditSession:
    layer = Layer("drill", strength, path=str(folder / "drill.omomi"), **more)
    session.lay(EditTarget.FIT, [layer], None, ignore)
    return session


def test_a_drill_learned_from_one_example_opens_a_tunnel_in_another_scan(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    frames: list[FittedMesh] = []
    runs = engine.model.runs["delta"]
    made = apply_stack(laid(session, folder), [1.0], Outcome.REMESHED, engine.model, ignore, frames.append)
    assert betti_of_mesh(made.vertices, made.faces) == (1, 1, 0)
    assert engine.model.runs["delta"] > runs
    assert [frame.level for frame in frames] == [0] and not frames[0].final
    change = made.summary["topology"]["change"]
    assert "tunnel" in change and change in made.summary["warnings"]
    ring = np.linalg.norm(made.vertices[:, :2] - [0.35, 0], axis=1)
    assert np.quantile(ring, 0.01) == pytest.approx(0.3, abs=0.05)
    (summary,) = [layer.summary for layer in session.stack.layers]
    assert summary["gear"] == "delta"


def test_only_deltas_thickness_and_the_options_of_a_fit_run_the_network(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    """As the table in backend/README.md says."""

    def runs(work: Callable[[], object]) -> Counter[str]:
        before = Counter(engine.model.runs)
        work()
        return Counter(engine.model.runs) - before

    def apply(layer: Layer) -> None:
        session.lay(EditTarget.FIT, [layer], None, ignore)
        apply_stack(session, [1.0], Outcome.REMESHED, engine.model, ignore)

    drill = Layer("drill", 1.0, path=str(folder / "drill.omomi"))
    others = [*(Layer(name, 1.0) for name in ("smoothness", "detail", "sharpness")), Layer("width", 1.0, kind="shape")]
    assert [runs(lambda layer=layer: apply(layer)).total() for layer in others] == [0, 0, 0, 0]
    for layer in (drill, Layer("thickness", 1.0)):
        assert runs(lambda layer=layer: apply(layer))["delta"] > 0
    scan = prepare(sampled(False, 2000, seed=7))
    plain, denoised, filled = (
        runs(lambda options=options: fit(scan, engine.model, options))["atom"]
        for options in (FitOptions(level=0), FitOptions(level=0, denoise=1.0), FitOptions(level=0, fill=1.0))
    )
    assert plain == denoised < filled


def test_strength_0_is_the_fit_to_the_bit_and_runs_nothing(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    runs = sum(engine.model.runs.values())
    kept = apply_stack(laid(session, folder, 0.0), [0.0], Outcome.CARRIED, engine.model, ignore)
    assert session.fitted.fit is not None
    assert np.array_equal(kept.vertices, session.fitted.fit.mesh.vertices)
    assert sum(engine.model.runs.values()) == runs


def test_a_result_with_the_same_vertices_says_that_it_needs_a_new_mesh(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    kept = apply_stack(laid(session, folder), [1.0], Outcome.CARRIED, engine.model, ignore)
    assert len(kept.vertices) == len(session.stack.mesh.vertices)
    assert any("needs a new mesh" in text for text in kept.summary["warnings"])


def test_a_slider_shows_what_the_network_makes_to_first_order(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    layer = Layer("drill", 1.0, path=str(folder / "drill.omomi"))
    stack = session.lay(EditTarget.FIT, [layer], None, ignore, engine.model)
    mesh, voxel = stack.mesh, voxel_size(session.fitted.level)
    made = apply_stack(session, [0.25], Outcome.REMESHED, engine.model, ignore)
    vertices = session.fitted.to_canonical(made.vertices)

    def apart(shown: np.ndarray) -> float:
        """Median distance (voxels) of the changed surface from what is shown (n, 3), canonical."""
        changed = nearest_on_mesh(mesh.vertices, mesh.faces, vertices).distance > 0.1 * voxel
        return float(np.median(nearest_on_mesh(shown, mesh.faces, vertices[changed]).distance)) / voxel

    assert apart(session.fitted.to_canonical(stack.pose([0.25]))) <= 0.3 < apart(mesh.vertices)
    assert stack.pose([0.0]).tobytes() == stack.world.astype(np.float32).tobytes()


def test_a_slider_at_rest_shows_what_apply_makes(session: EditSession, folder: Path, engine: OnnxEngine) -> None:
    frames: list[FittedMesh] = []
    applied = apply_stack(laid(session, folder), [1.0], Outcome.REMESHED, engine.model, ignore)
    vertices, faces, sigma = new_mesh(session, [1.0], engine.model, ignore, frames.append)
    assert np.array_equal(vertices, applied.vertices) and np.array_equal(faces, applied.faces)
    assert np.array_equal(sigma, applied.sigma) and [frame.level for frame in frames] == [0]
    with pytest.raises(OmomiError) as caught:
        new_mesh(session, [0.0], engine.model, ignore)
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_a_result_with_the_same_vertices_is_the_movement_to_the_bit(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    plain = laid(session, folder).stack.moved([0.5])
    layer = Layer("drill", 1.0, path=str(folder / "drill.omomi"))
    stack = session.lay(EditTarget.FIT, [layer], None, ignore, engine.model)
    kept = apply_stack(session, [0.5], Outcome.CARRIED, engine.model, ignore)
    assert kept.vertices.tobytes() == stack.moved([0.5]).tobytes() == plain.tobytes()


def test_a_mask_holds_back_what_a_slider_shows(session: EditSession, folder: Path, engine: OnnxEngine) -> None:
    mask = MaskRef("sphere", centre=(-0.8, 0.0, 0.0), radius=0.1, falloff=0.05)
    layer = Layer("drill", 1.0, path=str(folder / "drill.omomi"), mask=mask)
    stack = session.lay(EditTarget.FIT, [layer], None, ignore, engine.model)
    assert np.abs(stack.pose([1.0]) - stack.pose([0.0])).max() < 1e-3


def test_a_check_looks_at_the_new_mesh_and_a_sweep_says_that_it_cannot(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    found, sigma = check_stack(laid(session, folder), [1.0], engine.model, ignore)
    assert found["topology"]["after"] == (1, 1, 0) and len(sigma) == len(session.stack.mesh.vertices)
    assert found["measures"].volume < 0.97 * check_stack(session, [0.0], engine.model, ignore)[0]["measures"].volume


def test_a_sweep_of_a_drill_finds_where_the_tunnel_opens(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    told: list[float] = []
    laid(session, folder)
    found = sweep_stack(session, [0.0], 0, -0.5, 1.5, 6, lambda share, _: told.append(share), engine.model)
    # the wall may give way in two places at first
    first, last = found.transitions[0], found.transitions[-1]
    assert first.before == (1, 0, 0) and last.after == (1, 1, 0) and "tunnel" in first.change
    assert found.safe[0] == -0.5 and found.shown is not None and found.shown[1] == 1.5
    assert found.safe[1] < first.strength <= last.strength < found.shown[0] <= found.safe[1] + 4 / 64
    assert told == sorted(told) and max(told) < 1
    for strength, tunnels in ((found.safe[1], 0), (found.shown[0], 1)):
        made = apply_stack(session, [strength], Outcome.REMESHED, engine.model, ignore)
        assert betti_of_mesh(made.vertices, made.faces)[1] == tunnels
        row = int(np.flatnonzero(found.strengths == strength)[0])
        assert trimesh.Trimesh(made.vertices, made.faces).volume == pytest.approx(found.volume[row], rel=1e-3)
    # around the present strength
    again = sweep_stack(session, [1.0], 0, 0.9, 1.1, 2, ignore, engine.model)
    assert again.safe == again.shown == (0.9, 1.1) and not again.transitions


def test_the_strength_of_a_drill_for_a_volume_is_found_and_its_other_topology_told(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    laid(session, folder)
    whole, drilled = (
        check_stack(session, [strength], engine.model, ignore)[0]["measures"].volume for strength in (0.0, 1.0)
    )
    for share, warned in ((0.98, False), (0.1, True)):
        target = whole + share * (drilled - whole)
        found = solve_stack(session, [0.0], 0, "volume", target, ignore, 0.0, 1.5, model=engine.model)
        assert found.reached and found.safe is not None and any("topology" in text for text in found.warnings) is warned
        there = check_stack(session, [found.strength], engine.model, ignore)[0]["measures"].volume
        assert there == pytest.approx(target, rel=2e-3)


def test_a_sweep_of_what_the_network_makes_can_be_cancelled_and_needs_a_model(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    laid(session, folder)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(OmomiError) as caught:
        sweep_stack(session, [1.0], 0, 0.0, 1.0, 2, ignore, engine.model, cancel)
    assert caught.value.code is ErrorCode.CANCELLED
    with pytest.raises(OmomiError) as caught:
        sweep_stack(session, [1.0], 0, 0.0, 1.0, 2, ignore)
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_a_part_that_is_taken_away_whole_leaves_levels_without_a_surface(engine: OnnxEngine) -> None:
    ball, part = trimesh.creation.icosphere(4), trimesh.creation.icosphere(3)
    points, normals = np.asarray(ball.vertices), np.asarray(ball.vertex_normals)
    both = np.concatenate([points, 0.3 * np.asarray(part.vertices) + [2.0, 0, 0]])
    facing = np.concatenate([normals, np.asarray(part.vertex_normals)]).astype(np.float32)
    before = RawScan(both, None, facing, None, "two")
    after = RawScan(points, None, normals.astype(np.float32), None, "one")
    edit, said = learn_from([(before, after)], ["two"], engine.model, ignore)
    assert edit.gear is Gear.DELTA and said["wrong"]["delta"] < 0.2


def test_a_new_mesh_of_the_scans_own_mesh_is_that_of_the_movement(folder: Path, engine: OnnxEngine) -> None:
    knob = trimesh.creation.box((0.4, 0.3, 0.5)).apply_translation([-0.7, 0.45, 0.4])
    solid = cast(trimesh.Trimesh, trimesh.util.concatenate([trimesh.creation.box((2.0, 1.4, 0.5)), knob]))
    solid = solid.subdivide().subdivide().subdivide().subdivide()
    raw = RawScan(np.asarray(solid.vertices), np.asarray(solid.faces, np.int32), None, None, "own")
    own = EditSession(FittedScan(raw, engine.prepare(raw)))
    own.lay(EditTarget.SCAN, [Layer("drill", 1.0, path=str(folder / "drill.omomi"))], None, ignore)
    made = apply_stack(own, [1.0], Outcome.REMESHED, engine.model, ignore)
    assert len(made.faces) and any("new mesh of the fit" in text for text in made.summary["warnings"])


def test_a_mask_beside_the_hole_leaves_the_solid_whole(session: EditSession, folder: Path, engine: OnnxEngine) -> None:
    mask = MaskRef("sphere", centre=(-0.8, 0.0, 0.0), radius=0.1, falloff=0.05)
    made = apply_stack(laid(session, folder, mask=mask), [1.0], Outcome.REMESHED, engine.model, ignore)
    assert betti_of_mesh(made.vertices, made.faces) == (1, 0, 0)
    assert "drill does nothing here: its mask leaves out all that it changes." in made.summary["warnings"]
    # a mask that holds some of it says nothing, and the strength changes nothing of that
    some = replace(mask, centre=(0.3, 0.0, 0.2), radius=0.3)
    assert not laid(session, folder, mask=some).stack.warnings([1.0])


def test_a_mask_reaches_into_space_with_the_weight_of_the_nearest_vertex(session: EditSession) -> None:
    class One:
        def at(self, number: int, points: np.ndarray, means: np.ndarray, model: Any, cancel: Any) -> np.ndarray:
            return np.ones((len(points), 2), np.float32)

    class Right:
        def at(self, points: np.ndarray, normals: np.ndarray | None = None) -> np.ndarray:
            return (points[:, 0] > 0).astype(np.float32)

    masked = MaskedEdit.of(One(), Right(), session.stack.mesh)  # type: ignore[arg-type]
    places = np.array([[0.5, 0.0, 0.9], [-0.5, 0.0, 0.9]])
    assert masked.at(2, places, np.zeros(2), None, CancelToken()).tolist() == [[1, 1], [0, 0]]  # type: ignore[arg-type]


def test_the_command_line_writes_the_new_mesh_without_being_asked(
    folder: Path, engine: OnnxEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["edit", str(folder / "before.npz"), f"--edit={folder / 'drill.omomi'}=1", "--level", "1", "--json"]
    capsys.readouterr()
    assert main([*words, "-o", str(folder / "new.ply")], lambda device, threads: engine) == 0
    said = json.loads(capsys.readouterr().out)
    mesh = load_scan(folder / "new.ply")
    assert mesh.faces is not None and betti_of_mesh(mesh.points, mesh.faces) == (1, 1, 0)
    assert said["layers"][0]["gear"] == "delta"


def test_a_drill_backwards_leaves_a_hole_open_and_says_so(folder: Path, engine: OnnxEngine) -> None:
    holed = EditSession(fit_scan(engine, sampled(True, seed=3), FitOptions(level=1), ignore))
    made = apply_stack(laid(holed, folder, -1.0), [-1.0], Outcome.REMESHED, engine.model, ignore)
    assert betti_of_mesh(made.vertices, made.faces) == (1, 1, 0)
    assert any("undoes no hole" in text for text in made.summary["warnings"])


def test_a_strength_far_beyond_the_examples_is_told_and_leaves_one_closed_solid(
    session: EditSession, folder: Path, engine: OnnxEngine
) -> None:
    made = apply_stack(laid(session, folder, 3.0), [3.0], Outcome.REMESHED, engine.model, ignore)
    assert betti_of_mesh(made.vertices, made.faces) == (1, 1, 0)
    assert any("far outside" in text for text in made.summary["warnings"])


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((5, 3), np.nan), np.zeros((400, 3))])
def test_an_after_without_a_surface_is_refused_in_one_sentence(points: np.ndarray, engine: OnnxEngine) -> None:
    after = RawScan(points, None, None, None, "nothing")
    with pytest.raises(OmomiError, match="nothing") as caught:
        learn_from([(sampled(False), after)], ["plate"], engine.model, ignore)
    assert caught.value.code is not ErrorCode.INTERNAL and caught.value.message.count(".") <= 2


def test_a_handle_is_put_on_a_mug_that_turns_freely_where_one_place_says(tmp_path: Path, engine: OnnxEngine) -> None:
    mugs = [edited_member("cut handle", seed) for seed in (100, 110)]
    edit, _ = learn_from([(mugs[0].after, mugs[0].before)], ["a"], engine.model, ignore)
    save_edit(tmp_path / "handle.omomi", edit, engine.model.hash)
    other = mugs[1]
    session = EditSession(fit_scan(engine, other.after, FitOptions(level=1), ignore))
    layer = Layer("handle", 1.0, path=str(tmp_path / "handle.omomi"))
    with pytest.raises(OmomiError, match="place the edit on it") as caught:
        session.lay(EditTarget.FIT, [layer], None, ignore)
    assert caught.value.code is ErrorCode.AMBIGUOUS_POSE
    angle = 2.0
    wall = np.array([0.5 * np.cos(angle), 0.5 * np.sin(angle), 0.0])
    x, y, z = (other.offset + other.scale * other.turn @ wall).tolist()
    session.lay(EditTarget.FIT, [replace(layer, at=(x, y, z))], None, ignore)
    made = apply_stack(session, [1.0], Outcome.REMESHED, engine.model, ignore)
    assert betti_of_mesh(made.vertices, made.faces) == (1, 1, 0)
    own = (made.vertices - other.offset) / other.scale @ other.turn
    handle = own[np.linalg.norm(own[:, :2], axis=1) > 0.62].mean(axis=0)
    assert np.arctan2(handle[1], handle[0]) == pytest.approx(angle, abs=0.15)
