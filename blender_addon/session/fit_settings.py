"""How a scan is fitted: what the artist chose, and the request for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

from ..backend.protocol.fit_options import FitOptions
from ..backend.protocol.requests import FitRequest
from ..scene.mesh_io import ScanArrays
from ..ui import preferences
from . import library
from .task import Client

__all__ = ["FitSettings", "from_settings", "profile_path"]


@dataclass(frozen=True)
class FitSettings:
    """Frozen at the start of a run, so that moving a slider meanwhile changes nothing.

    The fields of `FitOptions`, and profile: name of a family of the library, or empty.
    """

    level: int = 2
    denoise: float = 0.0
    fill: float = 0.0
    keep_islands: bool = True
    symmetry: bool = True
    variation: int = 0
    profile: str = ""

    def options(self) -> FitOptions:
        """Raises OmomiError(BAD_OPTION)."""
        given = asdict(self)
        del given["profile"]
        return FitOptions(**given)

    def mark(self) -> tuple[Any, ...]:
        """Equal for those that give the same fit. Raises as `profile_path`."""
        path = profile_path(self.profile)
        return (*astuple(self), path, library.version(path))

    def ask(self, client: Client, scan: ScanArrays, name: str) -> int:
        """Ask for the fit of a scan; the number of the job. Raises OmomiError."""
        return client.request(
            FitRequest, name=name, options=self.options(), profile=profile_path(self.profile),
            points=scan.points, faces=scan.faces, normals=scan.normals, sigma=scan.sigma,
        )  # fmt: skip


def from_settings(values: Mapping[str, Any]) -> FitSettings:
    """From properties of these names; others are passed over. Raises as `profile_path`."""
    fields = {name: values[name] for name in ("denoise", "fill", "keep_islands", "symmetry", "profile")}
    profile_path(fields["profile"])
    return FitSettings(int(values["level"]), **fields)


def profile_path(name: str) -> str:
    """The file of a family of the library; empty for none. Raises `Refusal` where the library does not have it."""
    return str(library.find(preferences.library_folder(), name, library.PROFILE)) if name else ""
