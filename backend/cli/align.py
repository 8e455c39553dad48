"""``omomi align``: the profile of a family of scans."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError
from ..formats.files import MESH_SUFFIXES
from ..protocol.names import PROFILE
from .arguments import MakeEngine, progress, report


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    align = verbs.add_parser("align", parents=parents, help="learn the profile of a family from scans of its members")
    align.add_argument("family", type=Path, metavar="FAMILY_DIR", help="a folder of scans, in any pose and scale")
    align.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.profile")
    align.set_defaults(run=_run, misuse=align.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..formats.mesh_files import load_scan
    from ..prior.profile.family import Member, learn_profile
    from ..prior.profile.profile import save_profile
    from ..scan.prepare import prepare

    if arguments.output.suffix.lower() != PROFILE:
        arguments.misuse(f"NAME must end in {PROFILE}")
    if not arguments.family.is_dir():
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{arguments.family} is not a folder of scans.")
    paths = sorted(path for path in arguments.family.iterdir() if path.suffix.lower() in MESH_SUFFIXES)
    started = time.perf_counter()
    members, warnings = [], []
    with progress(arguments.output.stem) as line:
        for path in paths:
            line.show(0.0, f"reading {path.stem}")
            try:
                members.append(Member.of(prepare(load_scan(path))))
            except OmomiError as error:
                # one bad scan must not cost the others
                warnings.append(f"{path.name} is left out: {error.message}")
        profile = learn_profile(members, line.show)
        save_profile(arguments.output, profile)
    seconds = time.perf_counter() - started
    scores = {
        name: profile.score(departure) for name, departure in zip(profile.members, profile.departures, strict=True)
    }
    odd = min(scores, key=lambda name: scores[name])
    summary = {
        "output": str(arguments.output),
        "members": scores,
        "modes": len(profile.shape.modes),
        "sided": profile.sided,
        "seconds": seconds,
        "warnings": warnings,
    }
    return report(
        arguments,
        summary,
        f"{arguments.output}: learned from {len(members)} scans in {seconds:.0f} s",
        f"least typical: {odd} (plausibility {scores[odd]:.3f})",
    )
