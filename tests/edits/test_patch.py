"""A patch closes holes and leaves the mesh bit for bit; its faces meet the border, are well shaped, and carry on what
the mesh carries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh

from backend.edits.patch import FillWay, Patch
from backend.edits.patch_values import corner_values, face_sources, vertex_values
from backend.engine import patch_mesh
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import ignore
from backend.formats.raw_scan import RawScan
from backend.geometry.nearest import nearest_on_mesh
from backend.geometry.normals import face_normals
from backend.geometry.topology import edge_report
from backend.prior.fitted_surface import FittedSurface
from backend.prior.symmetry import Plane
from backend.protocol.requests import Close
from backend.scan.hole_fill import HoleFill
from tests.fakes import MeshEngine
from tests.scan.test_holes import mug


def ball_with_holes(level: int = 5) -> RawScan:
    """A ball, radius 1, with a large, a middle-sized and a triangular hole."""
    mesh = trimesh.creation.icosphere(level)
    x, y, z = mesh.triangles_center.T
    gone = (z > 0.93) | (x > 0.97)
    gone[np.argmin(y)] = True
    return RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces)[~gone], name="ball")


def engine() -> MeshEngine:
    """Its fit of "ball" is a larger ball: the offset at the border has to come off."""
    return MeshEngine(ball=trimesh.creation.icosphere(5, 1.02))


def patched(raw: RawScan, close: Close = Close.AUTO, **chosen: Any) -> Patch:
    return patch_mesh(engine(), raw, close, ignore, **chosen)


def whole(raw: RawScan, made: Patch) -> tuple[np.ndarray, np.ndarray]:
    assert raw.faces is not None
    return np.concatenate([raw.points, made.vertices]), np.concatenate([raw.faces, made.faces])


@pytest.mark.parametrize("close", list(Close))
def test_all_holes_closed_make_the_mesh_watertight_and_wound_alike(close: Close) -> None:
    raw = ball_with_holes()
    made = patched(raw, close)
    _, faces = whole(raw, made)
    report = edge_report(faces)
    assert report.watertight and report.winding_consistent and not made.warnings
    assert len(np.unique(np.sort(faces, axis=1), axis=0)) == len(faces)
    assert set(made.of_hole) == {1, 2, 3}


def test_the_mesh_stays_bit_for_bit_and_the_patch_is_appended() -> None:
    raw = ball_with_holes()
    before = raw.points.tobytes(), raw.faces.tobytes()  # type: ignore[union-attr]
    made = patched(raw)
    points, faces = whole(raw, made)
    assert (raw.points.tobytes(), raw.faces.tobytes()) == before  # type: ignore[union-attr]
    assert points[: len(raw.points)].tobytes() == before[0]
    # the new faces use the border's own vertices: none of the new ones lies on one of them
    assert made.faces.min() >= 0 and made.faces.max() < len(points)
    assert len(np.unique(points[np.unique(faces)], axis=0)) == len(np.unique(faces))


def test_a_smooth_and_a_model_fill_follow_the_ball_and_a_flat_one_does_not() -> None:
    raw = ball_with_holes()
    errors = {}
    for close in Close:
        radius = np.linalg.norm(patched(raw, close).vertices, axis=1)
        errors[close] = np.abs(radius - 1).max()
    assert errors[Close.SMOOTH] < 3e-3 and errors[Close.AUTO] < 4e-3
    assert errors[Close.MODEL] < 6e-3 < 0.03 < errors[Close.FLAT]


def test_new_triangles_are_as_large_as_those_around_and_well_shaped() -> None:
    raw = ball_with_holes()
    made = patched(raw)
    points = whole(raw, made)[0]
    assert raw.faces is not None
    edges = [
        np.linalg.norm(points[table] - points[np.roll(table, -1, axis=1)], axis=2).mean()
        for table in (raw.faces, made.faces[made.of_hole == 1])
    ]
    assert 0.7 < edges[1] / edges[0] < 1.4
    angles = np.degrees(trimesh.Trimesh(points, made.faces, process=False).face_angles).min(axis=1)
    assert np.quantile(angles, 0.05) > 25
    outwards = np.einsum("na,na->n", face_normals(points, made.faces), points[made.faces].mean(axis=1))
    assert (outwards > 0).all()


def test_the_same_mesh_gives_the_same_bits() -> None:
    one, two = patched(ball_with_holes()), patched(ball_with_holes())
    assert one.vertices.tobytes() == two.vertices.tobytes() and one.faces.tobytes() == two.faces.tobytes()


def test_only_the_holes_that_were_asked_for_are_closed() -> None:
    raw = ball_with_holes()
    made = patched(raw, numbers=[2])
    assert set(made.of_hole) == {2}
    radius = made.found.holes[1].radius
    assert set(patched(raw, smaller=radius * 1.01).of_hole) == {2, 3}
    with pytest.raises(OmomiError) as refused:
        patched(raw, numbers=[4])
    assert refused.value.code == ErrorCode.BAD_OPTION


def test_the_mouth_of_a_mug_stays_open_and_is_said_unless_it_is_named() -> None:
    points, faces = mug()
    raw = RawScan(points, faces, name="ball")
    made = patched(raw, Close.SMOOTH)
    assert set(made.of_hole) == {1}
    assert [said for said in made.warnings if "Opening 2 is left open" in said]
    assert edge_report(whole(raw, patched(raw, Close.FLAT, numbers=[1, 2]))[1]).watertight


def test_small_holes_and_straight_ones_need_no_fit() -> None:
    mesh = trimesh.creation.icosphere(4)
    gone = np.zeros(len(mesh.faces), bool)
    gone[5] = True
    raw = RawScan(np.asarray(mesh.vertices), mesh.faces[~gone], name="ball")
    used = engine()
    made = patch_mesh(used, raw, Close.AUTO, ignore)
    assert used.fits == 0 and made.closed[0].way is FillWay.FACES and len(made.faces) == 1


def test_an_edge_that_the_mesh_has_already_is_not_made_again() -> None:
    """Beside a quad that is missing, both of whose diagonals are edges of ears that stand on it."""
    mesh = trimesh.creation.icosphere(3)
    pair = mesh.face_adjacency[10]
    gone = np.zeros(len(mesh.faces), bool)
    gone[pair] = True
    loop = np.unique(mesh.faces[pair])
    ends = mesh.face_adjacency_edges[10]
    others = np.setdiff1d(loop, ends)
    top = np.asarray(mesh.vertices)[loop].mean(axis=0) * [[1.5], [1.6]]
    count = len(mesh.vertices)
    ears = [[*ends, count], [*others, count + 1]]
    raw = RawScan(np.concatenate([mesh.vertices, top]), np.concatenate([mesh.faces[~gone], ears]), name="ball")
    made = patched(raw, Close.FLAT)
    _, faces = whole(raw, made)
    assert len(made.faces) and edge_report(faces).edge_manifold


def _inner(raw: RawScan) -> int:
    """The number of the loop about the hole, and not about the ring."""
    holes = patched(raw, numbers=[]).found.holes
    return min(holes, key=lambda hole: hole.radius).number


def test_a_ragged_loop_of_thousands_of_edges_is_closed_without_folds() -> None:
    """A ragged hole in a ring of faces."""
    edges = 1500
    turn = np.linspace(0, 2 * np.pi, edges, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn), np.zeros(edges)], axis=1)
    rings = [r * circle + [0, 0, 0.3 - 0.3 * r**2] for r in (1, 1.02, 1.04, 1.06)]
    rings[0] += 0.001 * np.random.default_rng(0).normal(size=(edges, 3))
    points = np.concatenate(rings)
    inner = np.arange(3 * edges)
    nxt = (inner // edges) * edges + (inner + 1) % edges
    faces = np.concatenate([np.stack([inner, inner + edges, nxt], 1), np.stack([nxt, inner + edges, nxt + edges], 1)])
    raw = RawScan(points, faces, name="ball")
    made = patched(raw, Close.SMOOTH, numbers=[_inner(raw)])
    closed = edge_report(np.concatenate([faces, made.faces]))
    assert closed.boundary_loops == 1 and closed.edge_manifold and closed.winding_consistent
    assert not [said for said in made.warnings if "fold" in said]
    assert np.abs(made.vertices[:, 2] - (0.3 - 0.3 * (made.vertices[:, :2] ** 2).sum(axis=1))).max() < 0.1


def test_deep_teeth_of_a_long_loop_are_filled_without_folds() -> None:
    """Forty teeth, each as deep as a third of the hole, of which a coarse loop would cut off the tips."""
    mesh = trimesh.creation.icosphere(5)
    x, y, z = mesh.triangles_center.T
    teeth = 0.12 * np.sign(np.sin(20 * np.arctan2(y, x)))
    raw = RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces)[z < 0.75 + teeth], name="ball")
    hole = max(patched(raw, numbers=[]).found.holes, key=lambda one: len(one.loop))
    assert len(hole.loop) > 400
    made = patched(raw, Close.SMOOTH, numbers=[hole.number])
    assert not made.warnings and made.closed[hole.number - 1].way is FillWay.SMOOTH
    assert edge_report(whole(raw, made)[1]).edge_manifold


def test_colours_and_weights_are_harmonic_from_the_border() -> None:
    raw = ball_with_holes()
    made = patched(raw, Close.SMOOTH)
    values = np.stack([np.ones(len(raw.points)), raw.points[:, 0]], axis=1)
    found = vertex_values(raw.points, made, values)
    assert np.allclose(found[:, 0], 1)
    cap = made.vertices[:, 2] > 0.9
    assert np.abs(found[cap, 1] - made.vertices[cap, 0]).max() < 0.05
    border = values[made.found.holes[0].loop, 1]
    assert border.min() - 1e-9 <= found[cap, 1].min() and found[cap, 1].max() <= border.max() + 1e-9


def test_uvs_run_on_from_the_border_and_no_face_crosses_a_seam() -> None:
    raw = ball_with_holes()
    assert raw.faces is not None
    made = patched(raw, Close.SMOOTH)
    corners = raw.points[raw.faces]
    uvs = corners[..., :2].copy()
    found = corner_values(raw.points, made, uvs)
    at = np.concatenate([raw.points, made.vertices])[made.faces]
    cap = made.of_hole == 1
    assert np.abs(found[cap] - at[cap][..., :2]).max() < 0.05
    # an atlas of two charts, cut along x = 0 through the hole
    right = corners.mean(axis=1)[:, 0] > 0
    uvs[right] += 10
    found = corner_values(raw.points, made, uvs)
    assert (np.ptp(found[cap][..., 0], axis=1) < 1).all()
    assert {True, False} == set((found[cap][..., 0].mean(axis=1) > 5).tolist())
    assert (face_sources(raw.points, made) < len(raw.faces)).all()


def test_a_named_hole_is_closed_whatever_its_size() -> None:
    raw = ball_with_holes()
    assert set(patched(raw, Close.FLAT, numbers=[1], smaller=1e-6).of_hole) == {1}


def test_a_fit_that_is_elsewhere_at_the_border_is_not_followed() -> None:
    """Of half the size it is nowhere near the surface that it should continue."""
    raw = ball_with_holes()
    used = MeshEngine(ball=trimesh.creation.icosphere(5, 0.5))
    made = patch_mesh(used, raw, Close.MODEL, ignore)
    assert used.fits == 1 and made.closed[0].way is FillWay.SMOOTH
    assert np.abs(np.linalg.norm(made.vertices, axis=1) - 1).max() < 3e-3


@pytest.mark.parametrize("place", [(0.5, 0.1, 0.3), (0.5, 0.4, 0.3)], ids=["edge", "corner"])
def test_a_fill_across_a_ridge_is_as_sharp_as_its_counterpart(
    place: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FittedSurface, "planes", lambda self: [Plane(np.array([1.0, 0.0, 0.0]), 0.0, 1.0)])
    box = trimesh.creation.box([1, 0.8, 0.6]).subdivide_to_size(0.03)
    assert isinstance(box, trimesh.Trimesh)
    gone = np.linalg.norm(box.triangles_center - place, axis=1) < 0.2
    raw = RawScan(np.asarray(box.vertices), np.asarray(box.faces)[~gone], name="box")
    made = patch_mesh(MeshEngine(box=box), raw, Close.AUTO, ignore)
    assert [one.way for one in made.closed] == [FillWay.MIRROR] and not made.warnings
    off = nearest_on_mesh(np.asarray(box.vertices), np.asarray(box.faces), made.vertices).distance
    assert off.mean() < 0.0006


def test_a_limb_that_was_cut_off_is_rounded_unless_the_model_was_asked_for() -> None:
    """The end of a capsule is missing, and the fit closes it flat."""
    mesh = trimesh.creation.capsule(1, 0.3, count=[32, 32]).subdivide()
    mesh.merge_vertices()
    points, end = np.asarray(mesh.vertices), 0.55
    raw = RawScan(points, np.asarray(mesh.faces)[mesh.triangles_center[:, 2] < end], name="ball")
    flat = trimesh.Trimesh(np.minimum(points, [np.inf, np.inf, end]), mesh.faces, process=False)
    ways, heights = {}, {}
    for close in (Close.AUTO, Close.MODEL):
        made = patch_mesh(MeshEngine(ball=flat), raw, close, ignore)
        ways[close], heights[close] = made.closed[0].way, made.vertices[:, 2].max()
    assert ways == {Close.AUTO: FillWay.SMOOTH, Close.MODEL: FillWay.MODEL}
    assert heights[Close.AUTO] > end + 0.12 > heights[Close.MODEL]


def test_a_fill_that_cuts_the_mesh_is_said() -> None:
    """A plate stands across the hole: through the smooth fill, or above it."""
    raw = ball_with_holes(4)
    count = len(raw.points)

    def with_plate(low: float) -> RawScan:
        assert raw.faces is not None
        plate = [[-0.1, 0.01, 1.2], [0.1, 0.012, 1.2], [0.1, 0.05, low], [-0.1, 0.055, low]]
        faces = np.array([[0, 1, 2], [0, 2, 3]]) + count
        return RawScan(np.concatenate([raw.points, plate]), np.concatenate([raw.faces, faces]), name="ball")

    for low, cuts in ((0.5, True), (1.05, False)):
        warnings = patched(with_plate(low), Close.SMOOTH, numbers=[1]).warnings
        assert any("cuts through" in said for said in warnings) == cuts


def test_folds_in_a_fill_are_taken_out_where_they_are() -> None:
    raw = ball_with_holes()
    found = patched(raw, numbers=[]).found
    smooth = HoleFill.of(found, found.holes[0]).smooth()
    vertices = smooth.vertices.copy()
    # a vertex pulled far over its neighbours
    far = np.flatnonzero(smooth.free)[np.argmax(smooth.vertices[smooth.free][:, 2])]
    vertices[far] += [0.15, 0, 0]
    folded = smooth.moved(vertices)
    assert folded.folds() and not folded.unfolded().folds()
    assert np.median(np.linalg.norm(folded.unfolded().vertices - smooth.vertices, axis=1)) < 1e-9


def test_an_island_in_a_hole_is_said() -> None:
    mesh = trimesh.creation.icosphere(4)
    z = mesh.triangles_center[:, 2]
    raw = RawScan(np.asarray(mesh.vertices), np.asarray(mesh.faces)[(z < 0.8) | (z > 0.97)], name="ball")
    made = patched(raw, Close.SMOOTH)
    assert set(made.of_hole) == {1} and [said for said in made.warnings if "piece of mesh inside" in said]


def test_points_without_faces_are_refused() -> None:
    with pytest.raises(OmomiError) as refused:
        patched(RawScan(np.zeros((5, 3)), name="points"))
    assert refused.value.code == ErrorCode.NOT_A_MESH
