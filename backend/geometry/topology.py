"""Topology of solids and meshes: Betti numbers (b0 parts, b1 handles, b2 cavities), edges, components, and a change of
topology in an artist's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .edges import edge_ends, edge_keys


class Betti(NamedTuple):
    """Parts, handles and cavities of a solid."""

    b0: int
    b1: int
    b2: int


@dataclass(frozen=True)
class EdgeReport:
    """How the faces of a mesh meet."""

    watertight: bool  # every edge has exactly two faces; False for a mesh without faces
    edge_manifold: bool  # no edge has more than two faces
    winding_consistent: bool  # the two faces of an edge run along it in opposite directions
    boundary_loops: int  # connected groups of edges with one face
    edges: int

    @property
    def closed(self) -> bool:
        """Whether the mesh has an inside at all."""
        return self.watertight and self.winding_consistent


def edge_report(faces: np.ndarray) -> EdgeReport:
    """Count how often each edge of ``faces`` (m, 3) is used, and in which direction."""
    if len(faces) == 0:
        return EdgeReport(False, True, True, 0, 0)
    directed = np.concatenate([faces, np.roll(faces, -1, axis=1)]).reshape(2, -1).T.astype(np.int64)
    forward = directed[:, 0] < directed[:, 1]
    edges, index, uses = np.unique(edge_keys(*directed.T), return_inverse=True, return_counts=True)
    forwards = np.bincount(index.reshape(-1), forward, minlength=len(edges))
    return EdgeReport(
        watertight=bool((uses == 2).all()),
        edge_manifold=bool((uses <= 2).all()),
        winding_consistent=bool((forwards[uses == 2] == 1).all()),
        boundary_loops=count_groups(edge_ends(edges[uses == 1])),
        edges=len(edges),
    )


def count_groups(ends: np.ndarray) -> int:
    """Number of connected groups of edges (e, 2)."""
    if len(ends) == 0:
        return 0
    used, local = np.unique(ends, return_inverse=True)
    local = local.reshape(ends.shape)
    graph = coo_matrix((np.ones(len(ends), np.int8), (local[:, 0], local[:, 1])), shape=(len(used), len(used)))
    return int(connected_components(graph, directed=False)[0])


def label_faces(faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Label i32 (m,) of each face of ``faces`` (m, 3), and the number of labels.

    Faces that share a vertex have the same label. Labels count from 0 in the order of the lowest vertex.
    """
    if len(faces) == 0:
        return np.zeros(0, np.int32), 0
    size = int(faces.max()) + 1
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, of_vertex = connected_components(graph, directed=False)
    used, labels = np.unique(of_vertex[faces[:, 0]], return_inverse=True)
    return labels.reshape(-1).astype(np.int32), len(used)


def signed_volumes(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Volume f64 (count,) inside each labelled component, in cubic units of ``vertices`` (n, 3).

    Positive where the normals point outwards. Meaningful for closed components only.
    """
    if len(faces) == 0:
        return np.zeros(count)
    used = vertices[faces].astype(np.float64)
    # About the middle of the mesh, because far from the origin the tetrahedra would cancel badly.
    a, b, c = (used - used.reshape(-1, 3).mean(axis=0)).transpose(1, 0, 2)
    return np.bincount(labels, (a * np.cross(b, c)).sum(axis=1) / 6, minlength=count)


def betti_of_mesh(vertices: np.ndarray, faces: np.ndarray) -> Betti:
    """Betti numbers of the solid bounded by a closed mesh, vertices (n, 3) and faces (m, 3).

    A component with positive volume is the outside of a part, one with negative volume the wall of a cavity; b1 is the
    sum of their genera. Right when parts do not overlap and each cavity's wall is wound into it. Raises ValueError for
    a mesh that is not closed and consistently wound.
    """
    report = edge_report(faces)
    if not report.closed:
        raise ValueError("only a closed, consistently wound mesh has Betti numbers")
    labels, count = label_faces(faces)
    volumes = signed_volumes(vertices, faces, labels, count)
    euler = len(np.unique(faces)) - report.edges + len(faces)
    return Betti(int((volumes > 0).sum()), count - euler // 2, int((volumes <= 0).sum()))


def betti_of_occupancy(inside: np.ndarray, least: int = 1) -> Betti:
    """Betti numbers of a boolean array (x, y, z); beyond its border all is outside.

    Inside voxels are closed cubes, so they are 26-connected, and outside voxels are 6-connected. Parts and cavities of
    fewer than ``least`` voxels count as what surrounds them.
    """
    padded = np.pad(np.asarray(inside, bool), 1)
    parts, crumbs = _groups(padded, True, least)
    padded.reshape(-1)[crumbs] = False
    outside, bubbles = _groups(~padded, False, least)
    padded.reshape(-1)[bubbles] = True
    cavities = outside - 1
    return Betti(parts, parts + cavities - _euler_of_cubes(np.packbits(padded, axis=-1)), cavities)


def euler_of_occupancy(inside: np.ndarray) -> tuple[int, int]:
    """Two Euler numbers b0 - b1 + b2 of a boolean array (x, y, z), far cheaper than the Betti numbers.

    The first joins voxels as `betti_of_occupancy` does; the second joins inside voxels across faces only, and outside
    voxels across edges and corners as well. Where the two differ, something is about as thin as a voxel.
    """
    padded = np.pad(np.asarray(inside, bool), 2)
    # The outside, a box with the solid cut out of it: it has the solid's tunnels, and a hollow for each of its parts.
    box = np.zeros(padded.shape[2], bool)
    box[1:-1] = True
    packed = np.packbits(padded, axis=-1)
    around = np.zeros_like(packed)
    around[1:-1, 1:-1] = ~packed[1:-1, 1:-1] & np.packbits(box)
    return _euler_of_cubes(packed), _euler_of_cubes(around) - 1


def _groups(mask: np.ndarray, corners: bool, least: int) -> tuple[int, np.ndarray]:
    """The number of connected groups of at least ``least`` True voxels, and the voxels (k,) of all smaller groups, as
    indices into the flat array. corners: whether voxels are joined across edges and corners, or across faces only.

    Runs along z are joined instead of single voxels, of which there are a hundred times as many. The border along x and
    y must be one value: a run at one end of a row of columns counts as beside the first column of the next row.
    """
    rows, width = mask.shape[1], mask.shape[2] + 1
    # True where a run starts and where it has ended, with a gap between columns that keeps runs apart
    turns = np.empty((*mask.shape[:2], width), bool)
    turns[..., 0], turns[..., -1] = mask[..., 0], mask[..., -1]
    np.not_equal(mask[..., 1:], mask[..., :-1], out=turns[..., 1:-1])
    start, end = np.flatnonzero(turns).reshape(-1, 2).T
    if not len(start):
        return 0, start
    slack = int(corners)
    pairs = []
    for across, along in ((1, 0), (0, 1), (1, 1), (1, -1)) if corners else ((1, 0), (0, 1)):
        shift = (across * rows + along) * width
        first = np.searchsorted(end, start + (shift - slack), "right")
        count = np.maximum(np.searchsorted(start, end + (shift + slack), "left") - first, 0)
        pairs.append(np.stack([np.repeat(np.arange(len(start)), count), _ranges(first, count)]))
    joined = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(joined.shape[1], bool), joined), (len(start), len(start)))
    number, label = connected_components(graph, directed=False)
    small = np.bincount(label, end - start, number) < least
    chosen = np.flatnonzero(small[label])
    return number - int(small.sum()), _ranges(start[chosen] - start[chosen] // width, end[chosen] - start[chosen])


def _ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, ... of ``count[0]`` numbers, then those from first[1] on, and so forth."""
    return np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())


def _euler_of_cubes(packed: np.ndarray) -> int:
    """Euler number of the union of closed voxels, eight along z in a byte; the array's border must be False.

    Along z the union is a set of segments over every square, edge and corner of the grid of columns: their numbers add
    up with alternating signs.
    """
    before = packed >> 1
    before[..., 1:] |= packed[..., :-1] << 7
    # what comes before a union is the union of what comes before
    both = np.stack([packed, before])
    over_x, over_y = both[:, 1:] | both[:, :-1], both[:, :, 1:] | both[:, :, :-1]
    over_corners = over_x[:, :, 1:] | over_x[:, :, :-1]
    return _segments(both) - _segments(over_x) - _segments(over_y) + _segments(over_corners)


def _segments(both: np.ndarray) -> int:
    """Number of runs of True along z; both: what is there, and what is there one voxel before."""
    here, before = both
    return int(np.count_nonzero(np.unpackbits(here & ~before)))


_Forms = tuple[str, str]
_TEXTS: dict[str, dict[bool | None, tuple[_Forms, _Forms]]] = {
    # by whether the solid grows there: fewer (one, several), more (one, several)
    "piece": {
        True: (("pieces join", "pieces join"), ("a new piece appears", "{} new pieces appear")),
        False: (("a piece vanishes", "{} pieces vanish"), ("a piece splits off", "{} pieces split off")),
        None: (
            ("pieces join or vanish", "pieces join or vanish"),
            ("pieces split off or appear", "pieces split off or appear"),
        ),
    },
    "tunnel": {
        True: (
            ("a tunnel through it closes", "{} tunnels through it close"),
            ("its parts touch around a new tunnel through it", "its parts touch around {} new tunnels through it"),
        ),
        False: (
            ("the rim of a tunnel through it breaks", "the rims of {} tunnels through it break"),
            ("a tunnel through it opens", "{} tunnels through it open"),
        ),
        None: (
            ("a tunnel through it closes", "{} tunnels through it close"),
            ("a tunnel through it opens", "{} tunnels through it open"),
        ),
    },
    "hollow": {
        True: (
            ("a hollow inside fills up", "{} hollows inside fill up"),
            ("a hollow inside is closed off", "{} hollows inside are closed off"),
        ),
        False: (
            ("a hollow inside is opened", "{} hollows inside are opened"),
            ("a hollow forms inside", "{} hollows form inside"),
        ),
        None: (
            ("a hollow inside opens or fills up", "{} hollows inside open or fill up"),
            ("a hollow inside is closed off", "{} hollows inside are closed off"),
        ),
    },
}


def describe(before: Betti, after: Betti, grows: bool | None = None) -> str:
    """One sentence on what changes between two solids of different topology.

    A tunnel goes through a solid; a hollow is enclosed in it. grows: whether the solid gains material where it changes,
    if known: it distinguishes joining from vanishing, and closing from breaking.
    """
    counts = [("piece", before.b0, after.b0), ("tunnel", before.b1, after.b1), ("hollow", before.b2, after.b2)]
    clauses = [_clause(name, old, new, grows) for name, old, new in counts if old != new]
    sentence = " and ".join(filter(None, [", ".join(clauses[:-1]), clauses[-1]]))
    return sentence[0].upper() + sentence[1:] + "."


def topology_change(before: Betti, after: Betti, unstable: bool) -> dict[str, Any]:
    """{"before", "after": Betti, "change": a sentence, or "" where nothing changes, "unstable"}."""
    change = describe(before, after) if before != after else ""
    return {"before": before, "after": after, "change": change, "unstable": unstable}


def _clause(name: str, before: int, after: int, grows: bool | None) -> str:
    one, several = _TEXTS[name][grows][after > before]
    count = abs(after - before)
    text = one if count == 1 else several.format(count)
    return f"{text} ({before} before, {after} after)"
