"""``omomi align``: the profile of a family of scans."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError
from ..protocol.names import PROFILE
from .arguments import MakeEngine, progress, report
from .paths import scans_of, spare_inputs


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    align = verbs.add_parser("align", parents=parents, help="learn the profile of a family from scans of its members")
    align.add_argument("family", type=Path, metavar="FAMILY_DIR", help="a folder of scans, in any pose and scale")
    align.add_argument("-o", "--output", type=Path, required=True, metavar="NAME.profile")
    align.set_defaults(run=_run, misuse=align.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..edits.family import align_family
    from ..formats.files import check_writable
    from ..formats.mesh_files import load_scan
    from ..prior.profile.profile import save_profile

    if arguments.output.suffix.lower() != PROFILE:
        arguments.misuse(f"NAME must end in {PROFILE}")
    if not arguments.family.is_dir():
        raise OmomiError(ErrorCode.UNREADABLE_FILE, f"{arguments.family} is not a folder of scans.")
    paths = scans_of([arguments.family])
    spare_inputs([arguments.output], paths)
    check_writable(arguments.output)
    started = time.perf_counter()
    with progress(arguments.output.stem) as line:
        scans = [(path.stem, lambda path=path: load_scan(path)) for path in paths]
        profile, found = align_family(scans, line.show)
        save_profile(arguments.output, profile)
    seconds, scores = time.perf_counter() - started, found["members"]
    odd = min(scores, key=lambda name: scores[name])
    report(
        arguments,
        {"output": str(arguments.output), **found, "seconds": seconds},
        f"{arguments.output}: learned from {len(scores)} scans in {seconds:.0f} s",
        f"least typical: {odd} (plausibility {scores[odd]:.3f})",
    )
    # the profile is there, but not of all that were given
    return 1 if found["left_out"] else 0
