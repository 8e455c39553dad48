"""Fitted scans that are kept for edits, by the number of the job that fitted them. Importing this is cheap."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ErrorCode, OmomiError

if TYPE_CHECKING:
    from ..edits.stack import EditSession

MOST_BYTES = 1 << 30
MOST_SESSIONS = 256


class FitCache:
    """What does not fit any more goes, least recently used first; the last one put or taken always stays."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_sessions: int = MOST_SESSIONS) -> None:
        self._most_bytes = most_bytes
        self._most_sessions = most_sessions
        self._sessions: OrderedDict[int, EditSession] = OrderedDict()

    def __contains__(self, handle: int) -> bool:
        return handle in self._sessions

    def __len__(self) -> int:
        return len(self._sessions)

    def put(self, handle: int, session: EditSession) -> None:
        self._sessions[handle] = session
        self._sessions.move_to_end(handle)
        self.trim()

    def take(self, handle: int) -> EditSession:
        """The scan with this handle, which stays. Raises OmomiError(UNKNOWN_SCAN)."""
        if handle not in self._sessions:
            raise OmomiError(ErrorCode.UNKNOWN_SCAN, "The backend does not have this fit any more: fit the scan again.")
        self._sessions.move_to_end(handle)
        return self._sessions[handle]

    def forget(self, handle: int) -> None:
        """Let go of a scan; one that is not here is not missed."""
        self._sessions.pop(handle, None)

    def trim(self) -> None:
        """Keep to the bounds; for when scans have grown, which they do with the edits that lie on them."""
        sizes = {handle: nbytes(session) for handle, session in self._sessions.items()}
        total = sum(sizes.values())
        while len(self._sessions) > 1 and (total > self._most_bytes or len(self._sessions) > self._most_sessions):
            handle, _ = self._sessions.popitem(last=False)
            total -= sizes[handle]


def nbytes(value: Any) -> int:
    """Bytes of all arrays that an object holds, in its attributes, and in lists, tuples and dicts there; of what is
    held twice, once."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            # A view keeps all of what it looks at.
            while isinstance(item.base, np.ndarray):
                item = item.base
            found[id(item)] = item.nbytes
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
        elif hasattr(item, "__dict__") and not isinstance(item, type):
            waiting += vars(item).values()
    return sum(found.values())
