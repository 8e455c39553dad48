"""Thickness as a step of the head's bias: grown walls merge, shrunk ones vanish, and the slider's mesh is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

pytest.importorskip("onnxruntime")

from backend.cli.main import main
from backend.edits.apply import apply_stack
from backend.edits.stack import EditSession, FittedEdit
from backend.engine import OnnxEngine, fit_scan
from backend.formats.mesh_files import load_scan
from backend.formats.raw_scan import RawScan
from backend.geometry.moving_solid import read_solid
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.topology import betti_of_mesh
from backend.protocol.fit_options import FitOptions
from backend.protocol.recipe import Layer, MaskRef
from backend.protocol.requests import EditTarget, Outcome


def ignore(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    return OnnxEngine("cpu", 1)


def fitted(engine: OnnxEngine, inside: Callable[[np.ndarray], np.ndarray], parts: list[trimesh.Trimesh]) -> EditSession:
    """Fitted at 64^3: the solid inside, whose surface lies on those of the parts."""
    points, normals = [], []
    for number, part in enumerate(parts):
        found, faces = trimesh.sample.sample_surface(part, 12_000, seed=number)[:2]
        points.append(np.asarray(found))
        normals.append(part.face_normals[faces])
    point, normal = np.concatenate(points), np.concatenate(normals)
    out, into = inside(point + 1e-4 * normal), inside(point - 1e-4 * normal)
    facing = np.where(out[:, None], -normal, normal)[out != into].astype(np.float32)
    raw = RawScan(point[out != into], None, facing, None, "solid")
    # a mirror would complete what is cut on one side only
    return EditSession(fit_scan(engine, raw, FitOptions(level=1, symmetry=False), ignore))


def box(low: list[float], high: list[float]) -> trimesh.Trimesh:
    return trimesh.creation.box(bounds=[low, high])


def within(points: np.ndarray, part: trimesh.Trimesh) -> np.ndarray:
    low, high = part.bounds
    return ((points > low) & (points < high)).all(axis=1)


@pytest.fixture(scope="module")
def frame(engine: OnnxEngine) -> EditSession:
    """A square frame, 2 wide, that a gap of .16 opens."""
    parts = [box([-1, -1, -0.3], [1, 1, 0.3]), box([-0.5, -0.5, -1], [0.5, 0.5, 1]), box([0, -0.08, -1], [2, 0.08, 1])]
    whole, hole, gap = parts
    session = fitted(engine, lambda p: within(p, whole) & ~within(p, hole) & ~within(p, gap), parts)
    assert session.stack.mesh.topology.betti == (1, 0, 0)
    return session


@pytest.fixture(scope="module")
def dumbbell(engine: OnnxEngine) -> EditSession:
    """Two boxes, and a bar of .12 between them."""
    parts = [
        box([-1, -0.4, -0.4], [-0.4, 0.4, 0.4]), box([0.4, -0.4, -0.4], [1, 0.4, 0.4]),
        box([-0.5, -0.06, -0.06], [0.5, 0.06, 0.06]),
    ]  # fmt: skip
    return fitted(engine, lambda p: np.any([within(p, part) for part in parts], axis=0), parts)


def thicker(session: EditSession, engine: OnnxEngine | None, strength: float, *others: Layer, **more: Any) -> Any:
    """Without an engine: of the moved mesh."""
    layers = [Layer("thickness", strength, **more), *others]
    session.lay(EditTarget.FIT, layers, None, ignore)
    strengths = [layer.strength for layer in layers]
    return apply_stack(session, strengths, Outcome.REMESHED, None if engine is None else engine.model, ignore)


def test_a_new_mesh_of_thickness_is_made_by_the_network_and_is_that_of_the_slider(
    frame: EditSession, engine: OnnxEngine
) -> None:
    for strength in (-1.0, 1.0):
        runs = engine.model.runs["delta"]
        moved, made = thicker(frame, None, strength), thicker(frame, engine, strength)
        assert engine.model.runs["delta"] > runs
        assert betti_of_mesh(made.vertices, made.faces) == (1, 0, 0)
        # moved vertices fold at the sharp edges, in places smaller than a voxel
        solid = read_solid(frame.fitted.to_canonical(moved.vertices), moved.faces)
        assert solid.betti == (1, 0, 0)
        volumes = [abs(trimesh.Trimesh(each.vertices, each.faces).volume) for each in (moved, made)]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.02)
        away = nearest_on_mesh(moved.vertices, moved.faces, made.vertices).distance
        assert np.median(away) < 0.01
    assert frame.stack.layers[0].summary["gear"] == "delta"


def test_grown_walls_merge_and_it_is_said(frame: EditSession, engine: OnnxEngine) -> None:
    made = thicker(frame, engine, 5.0)
    assert betti_of_mesh(made.vertices, made.faces) == (1, 1, 0)
    assert made.summary["topology"]["change"] in made.summary["warnings"]


def test_a_shrunk_bar_vanishes_and_both_ends_stay(dumbbell: EditSession, engine: OnnxEngine) -> None:
    made = thicker(dumbbell, engine, -5.0)
    assert betti_of_mesh(made.vertices, made.faces) == (2, 0, 0)
    ends = np.sort(np.abs(made.vertices[:, 0]))
    assert ends[0] == pytest.approx(0.5, abs=0.03) and ends[-1] == pytest.approx(0.9, abs=0.03)
    assert made.summary["topology"]["change"] in made.summary["warnings"]


def test_a_mask_keeps_thickness_on_its_side(frame: EditSession, engine: OnnxEngine) -> None:
    mask = MaskRef("box", low=(-1.0, -1.0, -1.0), high=(0.0, 1.0, 1.0))
    made = thicker(frame, engine, 3.0, mask=mask)
    assert made.vertices[:, 0].min() == pytest.approx(-1.06, abs=0.02)
    assert made.vertices[:, 0].max() == pytest.approx(1.0, abs=0.02)


def test_other_edits_move_the_thickened_surface_as_they_move_the_fit(frame: EditSession, engine: OnnxEngine) -> None:
    """Though it lies farther from the fit than movements reach."""

    class Lift:
        def evaluate(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            near = KDTree(frame.stack.mesh.vertices).query(points)[0] < 0.05
            return near[:, None] * np.array([0, 0, 0.05]), np.zeros(len(points))

    frame.edits["detail"] = FittedEdit(Lift(), (-1, 1))
    plain, lifted = thicker(frame, engine, 5.0), thicker(frame, engine, 5.0, Layer("detail", 1.0))
    del frame.edits["detail"]
    scale = frame.fitted.scan.frame.scale
    assert (lifted.vertices - plain.vertices.mean(axis=0)).mean(axis=0)[2] == pytest.approx(0.05 / scale, abs=0.01)


def test_the_same_vertices_with_thickness_are_those_of_the_slider_to_the_bit(
    frame: EditSession, engine: OnnxEngine
) -> None:
    frame.lay(EditTarget.FIT, [Layer("thickness", 5.0)], None, ignore)
    runs = sum(engine.model.runs.values())
    kept = apply_stack(frame, [5.0], Outcome.CARRIED, engine.model, ignore)
    assert np.array_equal(kept.vertices, frame.stack.moved([5.0])) and sum(engine.model.runs.values()) == runs
    assert kept.summary["warnings"][-1] == kept.summary["topology"]["change"]
    assert not any("new mesh" in text for text in kept.summary["warnings"])


def test_a_new_mesh_of_thickness_is_the_same_through_the_command_line(
    tmp_path: Path, frame: EditSession, engine: OnnxEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, raw = tmp_path / "frame.npz", frame.fitted.raw
    assert raw.normals is not None
    np.savez(scan, points=raw.points, normals=raw.normals)
    words = ["edit", str(scan), "--set", "thickness=-2", "--level", "1", "--remesh", "-o", str(tmp_path / "thin.npz")]
    assert main([*words, "--save-recipe", str(tmp_path / "thin.json"), "--json"], lambda device, threads: engine) == 0
    again = ["edit", str(scan), "--recipe", str(tmp_path / "thin.json"), "--remesh", "-o", str(tmp_path / "again.npz")]
    assert main(again, lambda device, threads: engine) == 0
    session = EditSession(fit_scan(engine, load_scan(scan), FitOptions(level=1), ignore))
    made = thicker(session, engine, -2.0)
    for name in ("thin", "again"):
        found = load_scan(tmp_path / f"{name}.npz")
        assert found.faces is not None
        assert np.array_equal(found.points, made.vertices) and np.array_equal(found.faces, made.faces)
