"""Meshes of the backend, made in slices beside the scene: Blender draws and listens until one is put there."""

from __future__ import annotations

import zlib
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import ErrorCode, OmomiError
from ..backend.protocol.messages import MeshFrame
from ..session.slices import Pause, Sliced, at_once, in_thread
from . import attributes, mesh_io, storage
from .attributes import MAKING, MeshAttributes
from .scratch import Scratch
from .topology import edges

CHECKSUM = "omomi_checksum"
"""Property of a mesh: what it was when it was made."""
TYPES = {
    "position": ("FLOAT_VECTOR", "POINT"), ".corner_vert": ("INT", "CORNER"), ".corner_edge": ("INT", "CORNER"),
    ".edge_verts": ("INT32_2D", "EDGE"), "sharp_edge": ("BOOLEAN", "EDGE"), mesh_io.SIGMA: ("FLOAT", "POINT"),
    mesh_io.COLOUR: ("FLOAT_COLOR", "POINT"),
}  # fmt: skip
"""Type and domain of the attributes of a mesh that the backend made."""


class Draft:
    """A mesh of the backend with its sigma, the colours of that, and what it wears."""

    def __init__(
        self,
        frame: MeshFrame,
        linear: NDArray[np.float64],
        worn: MeshAttributes | None = None,
        painted: MeshAttributes | None = None,
        *,
        made: bool = True,
    ) -> None:
        """linear: as of `mesh_io.object_linear`, of the object that will show it; worn: the attributes that were
        transferred to it, and painted: vertex groups beside those; made: by a fit or an edit, which gives it a sigma,
        and not read from a file, which may hold faces that Blender cannot have."""
        self.frame = frame
        self.linear = linear
        self.worn = worn
        self._painted = painted
        self._made = made
        self._scratch: Scratch | None = None
        self._complete = False

    def fill(self) -> Sliced:
        """Make the mesh. It ends early where an undo takes that away: `take` makes it again."""
        self.discard()
        try:
            yield from self._filled()
        except OmomiError as error:
            if error.code != ErrorCode.CANCELLED:
                raise

    def take(self, name: str) -> Any:
        """The mesh, an ordinary one of this name from now on. What is not there is made without pauses."""
        if self._scratch is None or not self._complete or not self._scratch.is_there:
            self.discard()
            at_once(self._filled())
        assert self._scratch is not None
        mesh, self._scratch = self._scratch.release(), None
        mesh.name = name
        if not self._made:
            mesh.validate()
        return mesh

    def discard(self) -> None:
        """Remove the mesh, unless it was taken."""
        if self._scratch is not None:
            self._scratch.remove()
        self._scratch, self._complete = None, False

    def _filled(self) -> Sliced:
        layers, mark = yield from in_thread(self._layers, MAKING)
        # nobody is told where an undo takes it away
        scratch = self._scratch = Scratch(bpy.data.meshes.new("omomi"), "")

        def found() -> Any:
            return scratch.mesh

        count, faces = len(self.frame.vertices), len(self.frame.faces)
        sizes = {"vertices": count, "edges": len(layers.get(".edge_verts", ())), "loops": 3 * faces, "polygons": faces}
        for kind, size in sizes.items():
            getattr(found(), kind).add(size)
            yield Pause(MAKING)
        if faces:
            starts = np.arange(0, 3 * faces, 3, dtype=np.int32)[:, None]
            yield from storage.write(lambda: found().polygons, "INT", "loop_start", starts, MAKING)
        for name, values in layers.items():
            mesh_io.ensure_attribute(found(), name, *TYPES[name])
            yield Pause(MAKING)
            yield from attributes.write(found, name, values)
        if self._made:
            found()[mesh_io.MADE] = True
            found()[CHECKSUM] = mark
            found().color_attributes.active_color = found().attributes[mesh_io.COLOUR]
        if self.worn is not None:
            yield from attributes.apply(found, self.worn, bool(np.linalg.det(self.linear) < 0))
        if self._painted is not None:
            yield from attributes.paint_groups(found, self._painted)
        mesh_io.refresh(found())
        self._complete = True

    def _layers(self) -> tuple[dict[str, NDArray[Any]], str]:
        """What Blender stores, by names as of `TYPES`, and the checksum."""
        posed = self.frame.world()
        points, faces = mesh_io.to_local(posed, self.frame.faces, self.linear)
        layers: dict[str, NDArray[Any]] = {"position": points}
        if len(faces):
            found = edges(points, np.ascontiguousarray(faces), mesh_io.SHARP)
            layers |= {
                ".corner_vert": faces.reshape(-1, 1), ".corner_edge": found.of_corners[:, None],
                ".edge_verts": found.ends, "sharp_edge": found.sharp[:, None],
            }  # fmt: skip
        if self._made:
            colours = mesh_io.uncertainty_colours(self.frame.sigma, mesh_io.longest_side(posed))
            layers |= {mesh_io.SIGMA: self.frame.sigma[:, None], mesh_io.COLOUR: colours}
        return layers, checksum(points, len(faces))


def checksum(points: NDArray[np.float32], polygons: int) -> str:
    """Of the vertices of a mesh without shape keys, in its own frame, and of the number of its polygons."""
    # Blender's whole numbers have a sign
    return f"{zlib.crc32(np.ascontiguousarray(points).data):x} {polygons}"
