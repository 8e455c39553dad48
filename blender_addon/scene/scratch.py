"""Meshes beside the scene, which no object shows: copies that are read, and results that are made."""

from __future__ import annotations

from typing import Any

import bpy

from ..backend.errors import ErrorCode, OmomiError

MARK = "omomi_scratch"
"""Property of such a mesh."""

# Their uids.
_in_use: set[int] = set()


def sweep() -> None:
    """Remove those that are not in use, also those that undo or redo brought back."""
    meshes: Any = bpy.data.meshes
    for mesh in [mesh for mesh in meshes if MARK in mesh and mesh.session_uid not in _in_use]:
        meshes.remove(mesh)


class Scratch:
    """Such a mesh, found anew at every use: an undo takes it away."""

    def __init__(self, mesh: Any, gone: str) -> None:
        """gone: what the error says where it was taken away."""
        mesh[MARK] = True
        self._uid = mesh.session_uid
        self._gone = gone
        _in_use.add(self._uid)

    @property
    def mesh(self) -> Any:
        """For use up to the next pause. Raises ``CANCELLED`` where an undo has taken it away."""
        if (mesh := self._found()) is None:
            raise OmomiError(ErrorCode.CANCELLED, self._gone)
        return mesh

    @property
    def is_there(self) -> bool:
        """Whether nothing has taken it away."""
        return self._found() is not None

    def release(self) -> Any:
        """The mesh, which is an ordinary one from now on. Raises as `mesh`."""
        mesh = self.mesh
        _in_use.discard(self._uid)
        del mesh[MARK]
        return mesh

    def remove(self) -> None:
        """Remove it, unless it was released or taken away."""
        _in_use.discard(self._uid)
        sweep()

    def _found(self) -> Any | None:
        return next((mesh for mesh in bpy.data.meshes if mesh.session_uid == self._uid), None)
