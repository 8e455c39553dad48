"""What tests give to worker processes, which import this module. It imports what it needs where it needs it."""

from __future__ import annotations

import os
from typing import Any


def ball() -> Any:
    import trimesh

    return trimesh.creation.icosphere(4, radius=2.0).apply_translation([10, 0, 0])


def engine_of_balls(device: str, threads: int) -> Any:
    from tests.fakes import MeshEngine

    return MeshEngine(**{name: ball() for name in ("ball", "other")})


def shout(task: str) -> str:
    if task == "die":
        os._exit(9)
    return task.upper()
