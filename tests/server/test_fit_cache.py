"""The cache of fits: what stays, what goes, and how bytes are counted."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ErrorCode
from backend.protocol.requests import EditTarget
from backend.server.fit_cache import FitCache, nbytes
from tests.edits.test_stack import ignore, layer, refusal, session_of


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.booleans()), max_size=30))
def test_the_cache_keeps_the_most_recently_used_that_fit(steps: list[tuple[int, int, bool]]) -> None:
    cache, order = FitCache(most_bytes=100, most_sessions=4), []
    for handle, size, take in steps:
        if take and handle in order:
            cache.take(handle)
            order.append(order.pop(order.index(handle)))
        else:
            session: Any = SimpleNamespace(array=np.zeros(size, np.uint8))
            cache.put(handle, session)
            order = [other for other in order if other != handle] + [handle]
        while len(order) > 4 or sum(size_in(cache, other) for other in order if other in cache) > 100:
            order.pop(0)
        order = [other for other in order if other in cache]
        assert len(cache) == len(order) and all(other in cache for other in order)
        assert handle in cache


def size_in(cache: FitCache, handle: int) -> int:
    return nbytes(cache._sessions[handle])


def test_what_is_too_large_for_the_cache_stays_as_long_as_it_is_the_last() -> None:
    cache = FitCache(most_bytes=10)
    large, small = (SimpleNamespace(array=np.zeros(size, np.uint8)) for size in (1000, 1))
    cache.put(1, large)  # type: ignore[arg-type]
    assert cache.take(1) is large
    cache.put(2, small)  # type: ignore[arg-type]
    assert 1 not in cache and 2 in cache


def test_what_grows_in_the_cache_pushes_others_out() -> None:
    cache = FitCache(most_bytes=100)
    sessions = [SimpleNamespace(arrays=[np.zeros(10, np.uint8)]) for _ in range(3)]
    for handle, session in enumerate(sessions):
        cache.put(handle, session)  # type: ignore[arg-type]
    cache.take(0)
    sessions[0].arrays.append(np.zeros(75, np.uint8))
    cache.trim()
    assert [handle in cache for handle in range(3)] == [True, False, True]


def test_a_scan_that_was_forgotten_is_unknown_and_can_be_forgotten_again() -> None:
    cache = FitCache()
    cache.put(1, session_of())
    cache.forget(1)
    cache.forget(1)
    assert refusal(lambda: cache.take(1)).code is ErrorCode.UNKNOWN_SCAN


def test_bytes_are_counted_once_through_views_caches_and_cycles() -> None:
    class Holder:
        def __init__(self) -> None:
            self.whole = np.zeros((10, 3))
            self.views = [self.whole[2:5], self.whole.T, {"again": self.whole}]
            self.itself = self

        @cached_property
        def more(self) -> np.ndarray:
            return np.zeros(7, np.uint8)

    holder = Holder()
    assert nbytes(holder) == 240
    assert len(holder.more) and nbytes(holder) == 247
    assert nbytes([holder.whole[:1]]) == 240


def test_a_piece_grows_with_its_edits() -> None:
    session = session_of()
    before = nbytes(session)
    assert before > session.fitted.raw.points.nbytes
    layers = [layer(name) for name in ("thickness", "detail", "smoothness")]
    session.lay(EditTarget.FIT, layers, None, ignore)
    assert nbytes(session) >= before + 3 * 32 * len(session.fitted.raw.points)
