"""Faces that a program put over holes are told from large faces that were constructed."""

from __future__ import annotations

import numpy as np

from backend.formats.raw_scan import RawScan
from backend.scan.prepare import prepare
from tests import input_kinds as kinds


def capped(mesh: kinds.Mesh) -> kinds.Mesh:
    """A mesh with one hole closed by a zigzag between its border's vertices."""
    points, faces = mesh
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, first, uses = np.unique(np.sort(edges, 1) @ [len(points), 1], return_index=True, return_counts=True)
    follows = dict(edges[first[uses == 1]][:, ::-1].tolist())
    loop = [next(iter(follows))]
    while follows[loop[-1]] != loop[0]:
        loop.append(follows[loop[-1]])
    low, high, cap = 0, len(loop) - 1, []
    while high - low > 1:
        cap.append([loop[low], loop[low + 1], loop[high]])
        low += 1
        if high - low > 1:
            cap.append([loop[low], loop[high - 1], loop[high]])
            high -= 1
    return points, np.concatenate([faces, np.array(cap)])


def side_patch(middle: np.ndarray) -> np.ndarray:
    """Half around the body: no plane goes through its border."""
    return (np.abs(middle[:, 2]) < 0.3) & (middle[:, 0] > 0.1)


def test_a_closed_hole_of_a_scan_is_no_measurement() -> None:
    body = kinds.without(kinds.noisy(kinds.bumpy(70), 0.003), side_patch)
    found = prepare(RawScan(*capped(body)))
    assert found.report.kind == "scan" and found.report.closing_faces > 20
    assert "measure nothing" in found.report.notes[0]
    # all that is left of 5 % of the area is the rim of the patch
    assert len(found.points) < 1.01 * len(prepare(RawScan(*body)).points)


def test_nothing_is_dropped_where_nobody_closed_anything() -> None:
    for mesh in (kinds.bumpy(70), kinds.noisy(kinds.ball(60), 0.004), kinds.without(kinds.bumpy(70), side_patch)):
        found = prepare(RawScan(*mesh)).report
        assert (found.closing_faces, found.notes) == (0, ())


def test_large_faces_of_a_constructed_part_stay() -> None:
    """A cylinder with flat ends of long triangles beside a finely meshed round skin."""
    around, up = 200, 40
    angle = 2 * np.pi * np.arange(around) / around
    skin = np.stack(
        [np.tile(np.cos(angle), up), np.tile(np.sin(angle), up), np.repeat(np.linspace(0, 2, up), around)], 1
    )
    index = np.arange(len(skin)).reshape(up, around)
    right = np.roll(index, -1, axis=1)
    sides = [np.stack([index[:-1], right[:-1], right[1:]], -1), np.stack([index[:-1], right[1:], index[1:]], -1)]
    ends = [np.stack([np.full(around - 2, ring[0]), ring[1:-1], ring[2:]], 1) for ring in (index[0][::-1], index[-1])]
    faces = np.concatenate([*(side.reshape(-1, 3) for side in sides), *ends])
    found = prepare(RawScan(skin, faces)).report
    assert (found.kind, found.closing_faces) == ("solid", 0)


def test_the_base_that_a_thing_stands_on_stays() -> None:
    body = kinds.without(kinds.noisy(kinds.bumpy(70), 0.003), lambda middle: middle[:, 2] < -0.6)
    closed = capped(body)
    assert prepare(RawScan(*closed)).report.closing_faces == 0
