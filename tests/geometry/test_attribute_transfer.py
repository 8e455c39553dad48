"""Attributes carried to another mesh, and the search for nearest points that carries them."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backend.errors import ErrorCode, OmomiError
from backend.geometry.attribute_transfer import Transfer, label_charts
from backend.geometry.nearest import closest_on_triangles, nearest_on_mesh
from backend.geometry.normals import unit_normals

Mesh = tuple[NDArray, NDArray]


def ring(around: int, along: int, radius: float = 1.0) -> Mesh:
    """An open tube about z, its faces wound outwards."""
    angle = np.arange(around) * 2 * np.pi / around
    height = np.linspace(-1, 1, along)
    vertices = np.stack(
        [
            np.tile(radius * np.cos(angle), along),
            np.tile(radius * np.sin(angle), along),
            np.repeat(height, around),
        ],
        axis=1,
    )
    row, column = (part.ravel() for part in np.indices((along - 1, around)))
    low, right = row * around + column, row * around + (column + 1) % around
    up, across = low + around, right + around
    return vertices, np.concatenate([np.stack([low, right, across], 1), np.stack([low, across, up], 1)])


def square(side: int) -> Mesh:
    """The unit square in z = 0."""
    vertices = np.concatenate([np.argwhere(np.ones((side, side))) / (side - 1), np.zeros((side**2, 1))], 1)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    first = np.stack([corner, corner + side, corner + 1], 1)
    return vertices, np.concatenate([first, np.stack([corner + 1, corner + side, corner + side + 1], 1)])


def cube(cuts: int) -> Mesh:
    mesh = trimesh.creation.box((1, 1, 1))
    for _ in range(cuts):
        mesh = mesh.subdivide()
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def cube_uvs(vertices: NDArray, faces: NDArray) -> NDArray[np.float64]:
    """Each side of the unit cube in a column of its own, far from the others."""
    corners = vertices[faces]
    normal = unit_normals(corners)[0]
    axis = np.abs(normal).argmax(axis=1)
    side = 2 * axis + (normal[np.arange(len(faces)), axis] > 0)
    plane = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    return np.asarray(
        np.take_along_axis(corners, plane[:, None, :].repeat(3, 1), axis=2)
        + np.stack([10 * side, 0 * side], 1)[:, None],
        np.float64,
    )


def brute_force(corners: NDArray, points: NDArray) -> NDArray:
    """Distances (n, m) of all points to all triangles."""
    n, m = len(points), len(corners)
    _, distance = closest_on_triangles(np.tile(corners, (n, 1, 1)), np.repeat(points, m, axis=0))
    return distance.reshape(n, m)


triangle_soup = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.sampled_from(["any", "tiny and huge", "slivers", "points and segments", "grid"]),
)


def soup(seed: int, count: int, kind: str) -> tuple[NDArray, NDArray]:
    """Triangles (m, 3, 3) and points (n, 3)."""
    rng = np.random.default_rng(seed)
    corners, points = rng.normal(size=(count, 3, 3)), rng.normal(size=(40, 3)) * rng.choice([0.1, 1, 10])
    if kind == "tiny and huge":
        corners = rng.normal(size=(count, 1, 3)) + corners * 10 ** rng.uniform(-6, 2, (count, 1, 1))
    elif kind == "slivers":
        corners[:, 2] = corners[:, 0] + (corners[:, 1] - corners[:, 0]) * 0.3 + 1e-9 * corners[:, 2]
    elif kind == "points and segments":
        corners[::2, 1] = corners[::2, 0]
        corners[::3, 2] = corners[::3, 1]
    elif kind == "grid":
        corners, points = np.round(corners), np.round(points)
    return corners, points


@settings(max_examples=60, deadline=None)
@given(triangle_soup)
def test_the_nearest_point_of_a_triangle_is_the_nearest(parts: tuple[int, int, str]) -> None:
    corners, points = soup(*parts)
    points = points[np.arange(len(corners)) % len(points)]
    share, distance = closest_on_triangles(corners, points)
    assert (share >= 0).all()
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-12)
    foot = np.einsum("nk,nka->na", share, corners)
    np.testing.assert_allclose(np.linalg.norm(points - foot, axis=1), distance, atol=1e-12)
    # Half the squared distance is convex: how far it can fall is at most its slope towards the best corner.
    slope = np.einsum("na,nka->nk", foot - points, corners - foot[:, None]).min(axis=1)
    size = 1 + np.abs(corners).max() + np.abs(points).max()
    assert (slope >= -1e-8 * size**2).all()


@settings(max_examples=60, deadline=None)
@given(triangle_soup, st.booleans())
def test_nearest_on_mesh_equals_brute_force(parts: tuple[int, int, str], turned: bool) -> None:
    corners, points = soup(*parts)
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    normals = np.random.default_rng(parts[0]).normal(size=points.shape) if turned else None
    found = nearest_on_mesh(corners.reshape(-1, 3), faces, points, normals)
    cost = brute_force(corners, points)
    np.testing.assert_allclose(found.distance, cost[np.arange(len(points)), found.face], rtol=1e-12)
    if normals is not None:
        away = normals @ unit_normals(corners)[0].T <= 0
        cost = cost + away * 0.05 * np.linalg.norm(np.ptp(corners.reshape(-1, 3), axis=0))
    np.testing.assert_allclose(cost[np.arange(len(points)), found.face], cost.min(axis=1), rtol=1e-9, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(triangle_soup)
def test_labels_keep_queries_to_their_own_faces(parts: tuple[int, int, str]) -> None:
    corners, points = soup(*parts)
    rng = np.random.default_rng(parts[0])
    of_faces = rng.integers(0, 4, len(corners))
    of_points = rng.choice(of_faces, len(points))
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    found = nearest_on_mesh(corners.reshape(-1, 3), faces, points, labels=(of_faces, of_points))
    np.testing.assert_array_equal(of_faces[found.face], of_points)
    cost = np.where(of_faces == of_points[:, None], brute_force(corners, points), np.inf)
    np.testing.assert_allclose(found.distance, cost.min(axis=1), rtol=1e-9, atol=1e-12)


def test_more_queries_and_faces_than_fit_into_one_piece() -> None:
    vertices, faces = ring(300, 100)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20_000, 3)) * [0.02, 0.02, 0.3] + [1, 0, 0]
    found = nearest_on_mesh(vertices, faces, points)
    foot = np.einsum("nk,nka->na", found.barycentric, vertices[faces[found.face]])
    np.testing.assert_allclose(np.linalg.norm(foot - points, axis=1), found.distance, atol=1e-12)
    some = rng.choice(20_000, 4)
    np.testing.assert_allclose(found.distance[some], brute_force(vertices[faces], points[some]).min(axis=1), atol=1e-12)


def test_no_queries_no_faces_and_values_that_are_not_finite() -> None:
    vertices, faces = square(3)
    none = nearest_on_mesh(vertices, faces, np.zeros((0, 3)))
    assert none.face.shape == (0,) and none.barycentric.shape == (0, 3) and none.distance.shape == (0,)
    with pytest.raises(ValueError, match="no faces"):
        nearest_on_mesh(vertices, faces[:0], np.zeros((1, 3)))
    with pytest.raises(ValueError, match="finite"):
        nearest_on_mesh(vertices, faces, np.full((1, 3), np.nan))
    with pytest.raises(ValueError, match="label"):
        nearest_on_mesh(vertices, faces, np.zeros((1, 3)), labels=(np.zeros(8, int), np.ones(1, int)))
    vertices[0] = np.nan
    assert (faces[nearest_on_mesh(vertices, faces, np.zeros((1, 3))).face] != 0).all()


def test_a_mesh_gives_itself_exactly_what_it_has() -> None:
    rng = np.random.default_rng(1)
    for vertices, faces, uvs in (
        (*cube(3), cube_uvs(*cube(3))),
        (*ring(24, 7), rng.random((288, 3, 2))),
        (*square(6), square(6)[0][square(6)[1]][..., :2]),
    ):
        same = Transfer(vertices, faces, vertices, faces)
        values = rng.random((len(vertices), 4)).astype(np.float32)
        material = rng.integers(0, 5, len(faces)).astype(np.int32)
        np.testing.assert_array_equal(same.vertex_values(values), values)
        np.testing.assert_array_equal(same.face_values(material), material)
        assert same.face_values(material).dtype == np.int32
        assert same.face_values(material > 2).dtype == bool
        np.testing.assert_array_equal(same.corner_values(uvs), uvs.astype(np.float32))


def test_values_are_linear_over_faces() -> None:
    old, new = square(4), square(8)
    values = old[0][:, :2].astype(np.float32)
    np.testing.assert_allclose(Transfer(*old, *new).vertex_values(values), new[0][:, :2], atol=1e-6)


def test_a_value_that_is_not_finite_stays_where_it_was() -> None:
    old, new = square(4), square(7)
    values = np.ones((16, 1), np.float32)
    values[0] = np.nan
    found = Transfer(*old, *new).vertex_values(values)[:, 0]
    far = new[0][:, :2].max(axis=1) >= 1 / 3 - 1e-9
    assert (found[far] == 1).all() and np.isnan(found[0])


def test_charts_are_joined_across_edges_not_at_corners() -> None:
    vertices, faces = cube(2)
    charts = label_charts(faces, cube_uvs(vertices, faces))
    side = cube_uvs(vertices, faces)[:, 0, 0].round(-1)
    assert len(np.unique(charts)) == 6 and len(np.unique(np.stack([charts, side], 1), axis=0)) == 6
    fan = np.array([[0, 1, 2], [0, 3, 4]])
    assert len(np.unique(label_charts(fan, np.array([vertices[f][:, :2] for f in fan])))) == 2
    assert label_charts(np.zeros((0, 3), int), np.zeros((0, 3, 2))).shape == (0,)


def test_a_plane_with_a_seam_keeps_each_face_on_one_side_of_it() -> None:
    (vertices, faces), new = square(3), square(8)  # the seam at x = 1/2 is no edge of the new mesh
    right = vertices[faces][..., 0].mean(axis=1) > 0.5
    uvs = vertices[faces][..., :2] + np.where(right, 5.0, 0.0)[:, None, None]
    found = Transfer(vertices, faces, *new).corner_values(uvs)
    middle = new[0][new[1]].mean(axis=1)
    expected = new[0][new[1]][..., :2] + np.where(middle[:, 0] > 0.5, 5.0, 0.0)[:, None, None]
    sure = np.abs(middle[:, 0] - 0.5) > 1e-9
    np.testing.assert_allclose(found[sure], expected[sure], atol=1e-6)


def test_a_cube_with_six_charts() -> None:
    (vertices, faces), new = cube(1), cube(3)
    found = Transfer(vertices, faces, *new).corner_values(cube_uvs(vertices, faces))
    np.testing.assert_allclose(found, cube_uvs(*new), atol=1e-6)
    material = np.abs(unit_normals(vertices[faces])[0]).argmax(axis=1)
    np.testing.assert_array_equal(
        Transfer(vertices, faces, *new).face_values(material), np.abs(unit_normals(new[0][new[1]])[0]).argmax(axis=1)
    )


def test_a_tube_cut_open_along_one_line_is_not_stretched_where_the_chart_meets_itself() -> None:
    vertices, faces = ring(60, 9)
    turn = np.arctan2(vertices[faces][..., 1], vertices[faces][..., 0]) / (2 * np.pi) % 1
    turn = np.where(np.ptp(turn, axis=1)[:, None] > 0.5, np.where(turn < 0.5, turn + 1, turn), turn)
    uvs = np.stack([turn, vertices[faces][..., 2]], axis=2)
    assert len(np.unique(label_charts(faces, uvs))) == 1
    fresh, triangles = ring(47, 12)
    angle = 0.03  # no edge of the new mesh runs along the seam
    fresh = fresh @ np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    found = Transfer(vertices, faces, fresh, triangles).corner_values(uvs)
    assert np.ptp(found[..., 0], axis=1).max() < 1.2 / 47
    truth = np.arctan2(fresh[triangles][..., 1], fresh[triangles][..., 0]) / (2 * np.pi)
    assert np.abs((found[..., 0] - truth + 0.5) % 1 - 0.5).max() < 2e-3
    np.testing.assert_allclose(found[..., 1], fresh[triangles][..., 2], atol=1e-3)


def test_a_ball_with_charts_that_fit_no_face_of_the_new_mesh_has_no_stretched_face() -> None:
    vertices, faces = cube(4)
    uvs = cube_uvs(vertices, faces)
    vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    fresh = trimesh.creation.icosphere(3)
    found = Transfer(vertices, faces, fresh.vertices, fresh.faces).corner_values(uvs)
    corners = np.asarray(fresh.vertices)[fresh.faces]
    column = (found[..., 0] / 10).round().max(axis=1)
    assert ((found[..., 0] / 10).round().min(axis=1) == column).all() and len(np.unique(column)) == 6
    # The cube's own parameters run at most 1.5 times as fast as the ball's surface, at the cube's corners.
    runs = np.linalg.norm(found - np.roll(found, 1, axis=1), axis=2)
    assert (runs < 1.8 * np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)).all()
    # UVs name places on the cube: there the corner lies, up to what a face sags, wherever it is within its chart.
    axis, sign = (column // 2).astype(int), np.where(column % 2, 0.5, -0.5)
    plane = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    place = np.zeros((len(corners), 3, 3))
    np.put_along_axis(place, plane[:, None, :].repeat(3, 1), found - (10 * column)[:, None, None] * [1, 0], axis=2)
    place[np.arange(len(corners)), :, axis] = sign[:, None]
    off = np.linalg.norm(place / np.linalg.norm(place, axis=2, keepdims=True) - corners, axis=2)
    assert np.median(off) < 1e-3 and off.max() < 0.02


def plate(thickness: float, side: int) -> Mesh:
    vertices, faces = square(side)
    top = vertices + [0, 0, thickness / 2]
    return np.concatenate([top, vertices - [0, 0, thickness / 2]]), np.concatenate([faces, faces[:, ::-1] + side**2])


def test_a_thin_plate_painted_on_one_side_stays_painted_on_that_side() -> None:
    old = plate(1e-3, 6)
    new = plate(1e-3, 9)
    # The new plate is thicker and sits lower, so that its sides are nearer to the wrong ones.
    new = new[0] * [1, 1, 3] - [0, 0, 2e-3], new[1]
    carried = Transfer(*old, *new)
    colour = np.repeat([[1.0, 0.0]], 36, axis=0)
    found = carried.vertex_values(np.concatenate([colour, colour[:, ::-1]]).astype(np.float32))
    np.testing.assert_allclose(found, np.repeat([[1.0, 0.0], [0.0, 1.0]], 81, axis=0), atol=1e-6)
    material = np.repeat([3, 7], 50)
    np.testing.assert_array_equal(carried.face_values(material), np.repeat([3, 7], 128))


def test_meshes_that_cannot_be_transferred_are_refused() -> None:
    vertices, faces = square(3)
    for old in (
        (vertices, faces[:0]),
        (np.zeros((0, 3)), faces[:0]),
        (vertices * np.nan, faces),
        (vertices, faces + 5),
    ):
        with pytest.raises(OmomiError) as error:
            Transfer(*old, vertices, faces)
        assert error.value.code == ErrorCode.NOT_A_MESH
    with pytest.raises(OmomiError):
        Transfer(vertices, faces, vertices + np.inf, faces)
    with pytest.raises(OmomiError):
        Transfer(vertices, faces, vertices, -faces)
    empty = Transfer(vertices, faces, np.zeros((0, 3)), np.zeros((0, 3), int))
    assert empty.vertex_values(np.ones((9, 2), np.float32)).shape == (0, 2)
    assert empty.face_values(np.ones(8, np.int32)).shape == (0,)
    assert empty.corner_values(np.ones((8, 3, 2), np.float32)).shape == (0, 3, 2)
    with pytest.raises(ValueError, match="8 faces"):
        empty.face_values(np.ones(9))
    with pytest.raises(ValueError, match="9 vertices"):
        empty.vertex_values(np.ones((8, 1)))


def test_faces_without_area_get_attributes_too() -> None:
    vertices, faces = square(4)
    faces = np.concatenate([faces, [[0, 0, 1], [2, 2, 2]]])
    uvs = vertices[faces][..., :2]
    new = np.array([[0.2, 0.3, 0], [0.4, 0.3, 0]])
    carried = Transfer(vertices, faces, new, np.array([[0, 1, 1], [0, 0, 0]]))
    np.testing.assert_allclose(carried.corner_values(uvs), new[[[0, 1, 1], [0, 0, 0]]][..., :2], atol=1e-6)
