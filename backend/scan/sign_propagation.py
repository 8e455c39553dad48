"""Carrying signs along a spanning forest: which neighbours agree, and so which way everything turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph


def spread_signs(
    count: int, pairs: NDArray, relation: NDArray, cost: NDArray | None = None
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Choose a sign for each of ``count`` nodes so that the pairs of a spanning forest hold.

    pairs: (p, 2) node indices, each pair once; relation: (p,) +1 where both nodes of the pair should have the same
    sign, else -1; cost: (p,) positive, makes the forest the cheapest one (minimum spanning trees) in place of a
    breadth-first one.
    Returns signs (count,), +1 at one root per component, and component labels (count,).
    """
    tail, head = pairs[:, 0], pairs[:, 1]
    weight = np.ones(len(pairs)) if cost is None else cost
    graph = sparse.csr_matrix((weight, (tail, head)), shape=(count, count))
    parts, labels = csgraph.connected_components(graph, directed=False)
    if cost is not None:
        graph = csgraph.minimum_spanning_tree(graph)
    # One extra node is tied to the first node of every component, so that one walk visits the whole forest.
    roots = np.full(parts, count)
    np.minimum.at(roots, labels, np.arange(count))
    kept = graph.tocoo()
    ties = np.full(parts, count)
    forest = sparse.csr_matrix(
        (np.ones(kept.nnz + parts), (np.concatenate([kept.row, ties]), np.concatenate([kept.col, roots]))),
        shape=(count + 1, count + 1),
    )
    parent = csgraph.breadth_first_order(forest, count, directed=False)[1][:count].astype(np.int64)

    key_of_pair = np.minimum(tail, head).astype(np.int64) * (count + 1) + np.maximum(tail, head)
    order = np.argsort(key_of_pair)
    node = np.arange(count)
    wanted = np.minimum(node, parent) * (count + 1) + np.maximum(node, parent)
    place = np.minimum(np.searchsorted(key_of_pair, wanted, sorter=order), max(len(order) - 1, 0))
    sign = np.ones(count + 1, np.int8)
    inner = parent < count
    sign[:count][inner] = relation[order[place[inner]]]
    # Pointer jumping: each round doubles how far up the tree a sign already reaches.
    parent = np.append(parent, count)
    while np.any(parent != count):
        sign *= sign[parent]
        parent = parent[parent]
    return sign[:count], labels
