"""Editing over the protocol with the shipped model: a real client, a real process, a real fit."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import ErrorCode, OmomiError
from backend.protocol.client import BackendClient, default_command
from backend.protocol.fit_options import FitOptions
from backend.protocol.messages import Done, MeshFrame
from backend.protocol.recipe import Layer, MaskRef
from backend.protocol.requests import (
    ApplyRequest,
    BlendRequest,
    CheckRequest,
    LearnRequest,
    PoseRequest,
    RemeshRequest,
    Request,
    SolveRequest,
    StackRequest,
    SweepRequest,
    TravelRequest,
)
from tests.children import BACKEND, LIVENESS, ask_fit, response

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("onnxruntime")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def pear(subdivisions: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A lumpy ellipsoid without symmetry, far from the origin: vertices f64, faces i32."""
    mesh = trimesh.creation.icosphere(subdivisions)
    points = np.asarray(mesh.vertices)
    lumps = np.array([[0, 0, 1], [0.3, 0.9, 0.2], [-0.7, -0.5, 0.5], [0.2, -0.8, -0.6]])
    away = np.linalg.norm(points[:, None] - lumps / np.linalg.norm(lumps, axis=1, keepdims=True), axis=2)
    radius = 1 + np.exp(-0.5 * (away / 0.35) ** 2) @ np.array([0.35, 0.25, -0.2, 0.3])
    return points * radius[:, None] * [1.3, 1.0, 0.8] + [1e5, 0, -1e5], np.asarray(mesh.faces, np.int32)


POINTS, FACES = pear()


def pushed() -> np.ndarray:
    """The pear with a bump on its right."""
    summit = POINTS[POINTS[:, 0].argmax()]
    away = np.linalg.norm(POINTS - summit, axis=1)
    return POINTS + 0.2 * np.exp(-0.5 * (away / 0.3) ** 2)[:, None] * [1.0, 0.0, 0.0]


def thickness(mask: int | None = None, mute: bool = False) -> Layer:
    return Layer("thickness", 1.0, mute=mute, mask=None if mask is None else MaskRef("row", row=mask))


class Session:
    """One client; `do` waits for a job, and keeps the meshes that came before its result."""

    def __init__(self, client: BackendClient) -> None:
        self.client = client
        self.frames: list[MeshFrame] = []

    def do(self, kind: type[Request], **fields: Any) -> Done:
        self.frames = []
        done = self.client.wait(self.client.request(kind, **fields), self._keep, LIVENESS)
        assert isinstance(done, Done)
        return done

    def fit(self, points: np.ndarray = POINTS, faces: np.ndarray | None = FACES) -> int:
        self.frames = []
        handle = ask_fit(self.client, points, faces, options=FitOptions(level=0), name="pear")
        self.client.wait(handle, self._keep, LIVENESS)
        return handle

    def refusal(self, kind: type[Request], **fields: Any) -> OmomiError:
        with pytest.raises(OmomiError) as caught:
            self.do(kind, **fields)
        return caught.value

    def pose(self, handle: int, *strengths: float) -> np.ndarray:
        vertices = self.do(PoseRequest, handle=handle, strengths=strengths).vertices
        assert vertices is not None
        return vertices

    def _keep(self, event: object) -> None:
        if isinstance(event, MeshFrame):
            self.frames.append(event)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with BackendClient(default_command(sys.executable, BACKEND, device="cpu", threads=1)) as client:
        yield Session(client)


@pytest.fixture(scope="module")
def edit(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """A layer with an edit that was learned over the protocol."""
    path = tmp_path_factory.mktemp("edits") / "bump.omomi"
    points, faces = np.concatenate([POINTS, pushed()]), np.concatenate([FACES, FACES])
    counts = [len(POINTS), len(FACES)] * 2
    done = session.do(LearnRequest, name="bump", path=str(path), counts=counts, points=points, faces=faces)
    assert path.is_file() and len(done.result["sha256"]) == 64
    assert done.result["examples"] == 1 and done.result["warnings"] == []
    return Layer("bump", 1.0, path=str(path))


@pytest.fixture(scope="module")
def handle(session: Session) -> int:
    return session.fit()


def test_an_edit_learned_over_the_protocol_moves_what_it_was_shown(session: Session, edit: Layer, handle: int) -> None:
    stacked = session.do(StackRequest, handle=handle, body="scan", layers=[edit])
    (layer,) = stacked.result["layers"]
    assert (layer["name"], layer["kind"], layer["warnings"]) == ("bump", "learned", [])
    assert 0 <= layer["misfit"] < 0.1
    rest, moved = session.pose(handle, 0.0), session.pose(handle, 1.0)
    wanted = pushed() - POINTS
    error = np.linalg.norm(moved - rest - wanted, axis=1)
    assert error.max() < 0.35 * np.linalg.norm(wanted, axis=1).max()
    far = np.linalg.norm(wanted, axis=1) < 1e-6
    assert np.abs(moved - rest)[far].max() < 1e-3


@pytest.mark.parametrize("learned", [False, True])
def test_strength_0_is_the_body_bit_for_bit_and_a_preview_is_the_result(
    session: Session, edit: Layer, learned: bool
) -> None:
    handle = session.fit()
    final = session.frames[-1]
    assert final.final
    assert session.pose(handle).tobytes() == final.vertices.tobytes()
    # the network makes the new mesh of the learned edit, which the fit's own vertices only foreshadow
    body = "scan" if learned else "fit"
    session.do(StackRequest, handle=handle, body=body, layers=[edit if learned else thickness(), thickness()])
    rest = session.pose(handle, 0.0, -0.0)
    if not learned:
        assert rest.tobytes() == final.vertices.tobytes()
    preview = session.pose(handle, 0.7, -0.5)
    done = session.do(ApplyRequest, handle=handle, strengths=[0.7, -0.5], outcome="carried")
    (applied,) = session.frames
    assert applied.final and applied.origin == final.origin
    assert applied.vertices.tobytes() == preview.tobytes()
    if not learned:
        assert applied.faces.tobytes() == final.faces.tobytes()
        assert (applied.sigma >= final.sigma * (1 - 1e-5)).all()
    assert set(done.result) == {"moved", "largest_move", "guessed", "folded_faces", "topology", "warnings"}
    assert done.result["topology"]["before"] == done.result["topology"]["after"] == [1, 0, 0]
    assert np.isclose(done.result["largest_move"], np.linalg.norm(preview - rest, axis=1).max(), rtol=1e-3)
    session.client.forget(handle)


def test_the_scans_own_vertices_come_back_far_from_the_origin(session: Session, handle: int) -> None:
    session.do(StackRequest, handle=handle, body="scan", layers=[])
    session.do(ApplyRequest, handle=handle, strengths=[], outcome="carried")
    (frame,) = session.frames
    assert np.abs(frame.world() - POINTS).max() < 1e-6
    assert np.array_equal(frame.faces, FACES)
    assert frame.vertices.tobytes() == session.pose(handle).tobytes()


def test_a_mask_says_where_an_edit_acts(session: Session, handle: int) -> None:
    left = (POINTS[:, 0] < POINTS[:, 0].mean()).astype(np.float32)
    layers = [thickness(mask=1), thickness(mask=0, mute=True)]
    masks = np.concatenate([np.ones_like(left), left])
    session.do(StackRequest, handle=handle, body="scan", layers=layers, masks=masks)
    moved = np.linalg.norm(session.pose(handle, 1.0, 5.0) - session.pose(handle, 0.0, 0.0), axis=1)
    # beside the paint the mask fades to 1e-7 of the edit: at most the last bit of a coordinate tips
    assert moved[left == 0].max() <= np.sqrt(3) * np.spacing(np.float32(2)) and np.median(moved[left == 1]) > 0.01


def test_a_new_mesh_encloses_what_the_moved_one_did(session: Session, handle: int) -> None:
    session.do(StackRequest, handle=handle, body="fit", layers=[thickness()])
    session.do(ApplyRequest, handle=handle, strengths=[2.0], outcome="carried")
    carried = session.frames[-1]
    session.do(ApplyRequest, handle=handle, strengths=[2.0], outcome="remeshed")
    made = session.frames[-1]
    volumes = [trimesh.Trimesh(mesh.vertices, mesh.faces).volume for mesh in (carried, made)]
    assert np.isclose(*volumes, rtol=0.01)
    assert made.origin == carried.origin and len(made.sigma) == len(made.vertices)


def test_checks_sweeps_and_solutions_come_as_the_protocol_says(session: Session, handle: int) -> None:
    session.do(StackRequest, handle=handle, body="fit", layers=[thickness()])
    check = session.do(CheckRequest, handle=handle, strengths=[0.0], profile="")
    assert set(check.result) == {"topology", "measures", "guessed", "plausibility", "family"}
    assert check.values is not None and len(check.values) == len(POINTS)
    low, high = check.result["measures"]["bounds"]
    assert np.allclose(low, POINTS.min(axis=0), atol=0.1) and np.allclose(high, POINTS.max(axis=0), atol=0.1)
    sweep = session.do(SweepRequest, handle=handle, strengths=[0.0], layer=0, low=-0.5, high=0.5, steps=2)
    assert {"safe", "transitions", "unstable", "rows", "picture"} <= set(sweep.result)
    assert sweep.result["safe"] == [-0.5, 0.5] and sweep.result["picture"].startswith("<svg")
    travel = session.do(TravelRequest, handle=handle, layer=0)
    assert travel.result["safe"] == [-2.0, 2.0] and travel.result["seen"] == pytest.approx([-0.1, 0.1])
    volume = 1.05 * check.result["measures"]["volume"]
    solved = session.do(SolveRequest, handle=handle, strengths=[0.0], layer=0, measure="volume", value=volume)
    assert set(solved.result) == {"strength", "reached", "measured", "safe", "warnings"}
    again = session.do(CheckRequest, handle=handle, strengths=[solved.result["strength"]], profile="")
    assert np.isclose(again.result["measures"]["volume"], volume, rtol=2e-3)


def test_a_blend_with_itself_is_itself(session: Session, handle: int) -> None:
    session.do(StackRequest, handle=handle, body="fit", layers=[])
    rest = session.pose(handle)
    blend = {"handle": handle, "other": handle, "guarded": False, "steps": 0}
    done = session.do(BlendRequest, share=0.0, **blend)
    (frame,) = session.frames
    assert frame.final and frame.vertices.tobytes() == rest.tobytes()
    assert done.result["topology"]["change"] == "" and done.result["residual"] < 0.01
    for share, code in ((1.5, ErrorCode.BAD_OPTION), (-1e-9, ErrorCode.BAD_OPTION)):
        assert session.refusal(BlendRequest, **{**blend, "share": share}).code is code
    assert session.refusal(BlendRequest, **{**blend, "share": 0.5, "other": 999}).code is ErrorCode.UNKNOWN_SCAN


def test_what_cannot_be_stacked_is_refused_and_the_old_stack_stays(
    session: Session, edit: Layer, handle: int, tmp_path: Path
) -> None:
    session.do(StackRequest, handle=handle, body="fit", layers=[thickness()])
    before = session.pose(handle, 0.5)
    other = tmp_path / "other.omomi"
    other.write_bytes(Path(edit.path).read_bytes()[:-5])
    bad, unreadable = ErrorCode.BAD_OPTION, ErrorCode.UNREADABLE_FILE
    masked = replace(edit, mask=MaskRef("row", row=0))
    cases: list[tuple[dict[str, Any], ErrorCode]] = [
        ({"layers": [Layer("charm", 1.0)]}, bad),
        ({"layers": [masked]}, bad),
        ({"layers": [masked], "masks": np.ones(len(POINTS) - 1)}, bad),
        ({"layers": [replace(edit, mask=MaskRef("row", row=1))], "masks": np.ones(len(POINTS))}, bad),
        ({"layers": [masked], "masks": np.full(len(POINTS), np.nan)}, bad),
        ({"layers": [masked], "masks": np.full(len(POINTS), 2.0)}, bad),
        ({"layers": [replace(edit, mask=MaskRef("vertex_group", "rim"))]}, bad),
        ({"layers": [thickness()] * 257}, bad),
        ({"layers": [], "body": "soul"}, bad),
        ({"layers": [Layer("none", 1.0, path=str(tmp_path / "none.omomi"))]}, unreadable),
        ({"layers": [Layer("folder", 1.0, path=str(tmp_path))]}, unreadable),
        ({"layers": [Layer("other", 1.0, path=str(other))]}, unreadable),
    ]
    for fields, code in cases:
        error = session.refusal(StackRequest, **{"handle": handle, "body": "fit", **fields})
        assert error.code is code, (fields, error.message)
    assert session.pose(handle, 0.5).tobytes() == before.tobytes()
    for strengths in ([], [0.5, 0.5], [1e12]):
        assert session.refusal(PoseRequest, handle=handle, strengths=strengths).code is bad
    assert session.refusal(ApplyRequest, handle=handle, strengths=[0.5], outcome="eaten").code is bad
    session.do(StackRequest, handle=handle, body="fit", layers=[Layer("smoothness", 0.5)])
    assert session.refusal(RemeshRequest, handle=handle, strengths=[0.5]).code is bad
    assert session.refusal(SweepRequest, handle=handle, strengths=[0.5], layer=1, low=0, high=1, steps=2).code is bad
    assert session.refusal(TravelRequest, handle=handle, layer=1).code is bad


def test_a_strength_that_was_never_seen_is_allowed_and_flagged(session: Session, edit: Layer, handle: int) -> None:
    stacked = session.do(StackRequest, handle=handle, body="fit", layers=[replace(edit, strength=50.0)])
    assert "bump" in stacked.result["layers"][0]["warnings"][-1]
    assert np.isfinite(session.pose(handle, 1e9)).all()


def test_points_without_faces_are_fitted_and_edited_but_keep_no_faces(session: Session) -> None:
    handle = session.fit(POINTS, None)
    mask = (POINTS[:, 2] > POINTS[:, 2].mean()).astype(np.float32)
    layers = [thickness(mask=0)]
    session.do(StackRequest, handle=handle, body="fit", layers=layers, masks=mask)
    moved = np.linalg.norm(session.pose(handle, 1.0) - session.pose(handle, 0.0), axis=1)
    assert (moved > 0).any() and (moved == 0).any()
    refusal = session.refusal(StackRequest, handle=handle, body="scan", layers=[])
    assert refusal.code is ErrorCode.NOT_A_MESH
    session.client.forget(handle)
    assert session.refusal(PoseRequest, handle=handle, strengths=[0.0]).code is ErrorCode.UNKNOWN_SCAN


def test_a_flood_of_poses_ends_with_the_newest(session: Session, handle: int) -> None:
    session.do(StackRequest, handle=handle, body="fit", layers=[thickness()])
    jobs = [session.client.request(PoseRequest, handle=handle, strengths=[step / 300]) for step in range(301)]
    ends = {job: response(session.client, job) for job in jobs[-1:]}
    last = ends[jobs[-1]]
    assert isinstance(last, Done) and last.vertices is not None
    assert last.vertices.tobytes() == session.pose(handle, 1.0).tobytes()


@posix_only
def test_a_process_killed_in_between_costs_nothing_but_time() -> None:
    with BackendClient(default_command(sys.executable, BACKEND, device="cpu", threads=1)) as client:
        session = Session(client)
        handle = session.fit()
        session.do(StackRequest, handle=handle, body="fit", layers=[thickness()])
        before = session.pose(handle, 0.5)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        # Fit and edits are made again from what was sent.
        assert session.pose(handle, 0.5).tobytes() == before.tobytes()
        client.forget(handle)
        assert session.refusal(PoseRequest, handle=handle, strengths=[0.5]).code is ErrorCode.UNKNOWN_SCAN
