"""Blending two scans."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import trimesh

from backend.edits.blend import Blend, blend, sweep_blend
from backend.errors import ErrorCode, OmomiError
from backend.field.fit import ignore
from backend.geometry.measure import measure
from backend.geometry.nearest import nearest_on_mesh
from tests.edits.test_learned import blob
from tests.fakes import subject_of


def link(hole: float) -> trimesh.Trimesh:
    """A lumpy ring without symmetry whose tunnel has a radius of about ``hole``."""
    ring = trimesh.creation.torus(0.6, 0.6 - hole, major_sections=80, minor_sections=40)
    points = np.asarray(ring.vertices)
    points = points * [1.4, 1.0, 1.0] + 0.15 * np.exp(-(((points - [0.7, 0.3, 0.2]) / 0.3) ** 2).sum(1))[:, None]
    return trimesh.Trimesh(points, ring.faces, process=False)


def distance(one: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    """Mean distance of some of the points (n, 3) to a mesh."""
    return float(nearest_on_mesh(vertices, faces, one[:: max(1, len(one) // 500)]).distance.mean())


@pytest.fixture(scope="module")
def blobs() -> Blend:
    """Blobs of one family, the second turned, three times as large and far away."""
    second = blob(7)
    turn = trimesh.transformations.rotation_matrix(2.0, [1, -1, 0.5])
    second.apply_transform(turn)
    second.vertices = np.asarray(second.vertices) * 3 + 100
    return blend(subject_of(blob(2), "first"), subject_of(second, "second"), ignore)


def test_share_0_is_the_first_scan_bit_for_bit(blobs: Blend) -> None:
    vertices, faces, _ = blobs.world(0.0)
    assert np.array_equal(vertices, blob(2).vertices) and np.array_equal(faces, blob(2).faces)


def test_share_1_is_the_second_scan_in_the_place_of_the_first(blobs: Blend) -> None:
    vertices, faces, _ = blobs.world(1.0)
    assert np.array_equal(faces, blob(7).faces)
    # a similarity of the second scan, and upright as the first one: blob 7 itself, up to a little
    size = np.linalg.norm(vertices - vertices.mean(axis=0)) / np.linalg.norm(blob(7).vertices - blob(7).centroid)
    assert 0.85 < size < 1.15
    assert distance(vertices, np.asarray(blob(7).vertices), faces) < 0.1
    assert blobs.residual < 0.1


def test_between_them_every_mesh_is_closed_and_moves_steadily(blobs: Blend) -> None:
    first, second = (blobs.world(share)[:2] for share in (0.0, 1.0))
    away = []
    for share in (0.02, 0.5, 0.98):
        vertices, faces, sigma = blobs.world(share)
        found = measure(vertices, faces)
        assert found.watertight and found.edge_manifold and (found.b0, found.b1, found.b2) == (1, 0, 0)
        assert len(sigma) == len(vertices) and np.isfinite(sigma).all()
        away.append((distance(vertices, *first), distance(vertices, *second)))
    assert away[0][0] < away[1][0] < away[2][0] and away[0][1] > away[1][1] > away[2][1]
    assert max(away[0][0], away[2][1]) < 0.1 * away[0][1]


def test_a_part_that_both_have_moves_and_leaves_no_ghost() -> None:
    """Two bars with a knob in different places: half way there is one knob, in the middle."""
    bar = trimesh.creation.box((1.6, 0.4, 0.3))
    for _ in range(5):
        bar = bar.subdivide()
    points = np.asarray(bar.vertices) * [1, 1, 1] + 0.1 * np.asarray(bar.vertices)[:, :1] * [0, 1, 0]

    def knob(at: float) -> trimesh.Trimesh:
        top = np.exp(-0.5 * ((points[:, 0] - at) / 0.12) ** 2) * (points[:, 2] > 0.1)
        return trimesh.Trimesh(points + 0.3 * top[:, None] * [0, 0, 1], bar.faces, process=False)

    found = blend(subject_of(knob(-0.1)), subject_of(knob(0.1)), ignore)
    vertices, _, _ = found.world(0.5)
    ridge = vertices[vertices[:, 2] > 0.35]
    assert abs(ridge[:, 0].mean()) < 0.05 and vertices[:, 2].max() > 0.4


def test_a_blend_of_a_scan_with_itself_is_constant() -> None:
    one = subject_of(blob(3))
    found = blend(one, one, ignore)
    vertices, _, _ = found.world(0.5)
    assert found.residual < 1e-3
    assert distance(vertices, np.asarray(blob(3).vertices), np.asarray(blob(3).faces)) < 1e-3
    swept = sweep_blend(found, 4, "itself", ignore)
    assert swept["transitions"] == [] and swept["safe"] == [0.0, 1.0]


def test_a_tunnel_that_closes_on_the_way_is_seen_and_drawn() -> None:
    open_ring, plug = link(0.25), blob(0)
    found = Blend(subject_of(open_ring), *_unregistered(open_ring, plug), path=((0.0, 0.0), (0.0, 1.0)))
    swept = sweep_blend(found, 8, "ring to blob", ignore)
    assert [swept["rows"][row]["b1"] for row in (0, -1)] == [1, 0]
    assert any("tunnel" in turn["change"] for turn in swept["transitions"])
    assert swept["picture"].startswith("<svg") and swept["safe"][0] == 0.0 < swept["safe"][1] < 1


def _unregistered(first: trimesh.Trimesh, second: trimesh.Trimesh):
    from backend.edits.blend_solid import Mix
    from backend.protocol.requests import EditTarget
    from backend.registration.similarity import Similarity

    shells = [subject_of(mesh).mesh(EditTarget.FIT) for mesh in (first, second)]
    still = tuple(np.zeros_like(shell.vertices) for shell in shells)
    return Mix(shells[0], shells[1], cast(tuple[np.ndarray, np.ndarray], still)), Similarity.identity(), 0.1


def test_a_guarded_blend_keeps_a_tunnel_where_it_can_and_says_where_it_cannot() -> None:
    ring = link(0.25)
    found = blend(subject_of(ring), subject_of(link(0.18)), ignore, guarded=True)
    assert found.keeps and not found.summary["warnings"]
    assert found.path[0] == (0.0, 0.0) and found.path[-1] == (1.0, 1.0)
    assert all(found.solid.betti(share) == (1, 1, 0) for share in (0.0, 0.3, 0.6, 1.0))
    cut = Blend(subject_of(ring), *_unregistered(ring, blob(0))).guarded(ignore)
    assert cut.keeps is False and cut.summary["warnings"]


def test_the_mesh_at_the_ends_of_a_path_is_the_same_whatever_the_path(blobs: Blend) -> None:
    around = Blend(blobs.first, blobs.mix, blobs.into_first, blobs.residual, ((0, 0), (1, 0), (1, 1)))
    assert around.place(0.5) == (1, 0) and around.place(0.75) == (1, 0.5)
    assert np.array_equal(around.world(0.0)[0], blobs.world(0.0)[0])


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_a_share_beyond_the_ends_is_refused(blobs: Blend, share: float) -> None:
    with pytest.raises(OmomiError) as caught:
        blobs.mesh(share)
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_scans_that_have_nothing_in_common_are_refused() -> None:
    with pytest.raises(OmomiError) as caught:
        rod = trimesh.creation.box((2, 0.05, 0.05)).subdivide().subdivide().subdivide().subdivide()
        blend(subject_of(blob(0), "lump"), subject_of(rod, "rod"), ignore)
    assert caught.value.code is ErrorCode.NOT_REGISTERED and "rod" in caught.value.message


def test_an_open_surface_cannot_be_blended() -> None:
    whole = blob(0)
    with pytest.raises(OmomiError) as caught:
        blend(subject_of(whole), subject_of(trimesh.Trimesh(whole.vertices, whole.faces[1:], process=False)), ignore)
    assert caught.value.code is ErrorCode.NOT_A_MESH
