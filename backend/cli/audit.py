"""``omomi audit``: a page on what the model knows, how far it reaches and how far to trust it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import MakeEngine, add_fit, fit_options, folder, progress, report
from .paths import scans_of, spare_inputs

if TYPE_CHECKING:
    from ..prior.archive import Archive
    from ..report.scans import ScanLook


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    audit = verbs.add_parser("audit", parents=parents, help="what the model knows, and how far to trust it: a page")
    audit.add_argument("scans", nargs="*", type=Path, metavar="SCAN", help="where these lie, and how far sliders reach")
    audit.add_argument("--against", type=Path, metavar="CARD.json", help="of an older model: what has changed since")
    audit.add_argument("--quick", action="store_true", help="foretell how far sliders reach instead of trying")
    add_fit(audit)
    audit.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="report.html")
    audit.set_defaults(run=_run, misuse=audit.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..engine import fit_scan
    from ..field.onnx_model import MODEL_FOLDER
    from ..formats.files import write_whole
    from ..formats.mesh_files import load_scan
    from ..prior.shape_prior import installed_prior
    from ..report.audit import audit_page
    from ..report.card import read_card
    from ..report.scans import look

    scans = scans_of(arguments.scans)
    spare_inputs([arguments.output], [*scans, arguments.against, MODEL_FOLDER / "card.json"])
    card = read_card(MODEL_FOLDER / "card.json")
    against = None if arguments.against is None else read_card(arguments.against)
    prior = installed_prior()
    archive = None if prior is None else prior.archive
    looks = []
    if scans:
        engine = make_engine(arguments.device, arguments.threads)
        for path in scans:
            with progress(path.name) as line:
                fitted = fit_scan(engine, load_scan(path), fit_options(arguments), line.show)
                looks.append(look(fitted, prior, arguments.quick, line.show))
    page = audit_page(card, archive, looks, against)
    folder(arguments.output.parent)
    write_whole(arguments.output, page)
    told = [_told(path, seen, archive) for path, seen in zip(scans, looks, strict=True)]
    missed = [f"{bar.bench}: {bar.name}" for bar in card.bars if bar.passed is False]
    summary = {"output": str(arguments.output), "model": card.hash, "scans": told, "missed": missed}
    lines = [f"{scan['scan']}: {scan['verdict']}" for scan in told]
    bars = f"{len(missed)} of {len(card.bars)} bars missed" if card.bars else "no benchmark was run on this model"
    return report(arguments, summary, *lines, f"{arguments.output}: {bars}")


def _told(path: Path, seen: ScanLook, archive: Archive | None) -> dict[str, Any]:
    """What ``--json`` says of a scan."""
    from ..report.model_coverage import verdict

    standing = None if archive is None or seen.code is None else archive.position(seen.code)
    told: dict[str, Any] = {
        "scan": str(path),
        "verdict": verdict(standing)[0],
        "plausibility": seen.plausibility,
        "reach": {reach.name: list(reach.safe) for reach in seen.reaches},
    }
    if archive is not None and standing is not None:
        rows = standing.neighbours.rows.tolist()
        told |= {"farther_than": standing.rank, "fuller_than": standing.crowding}
        told["nearest"] = [
            {"family": archive.families[archive.family[row]], "number": int(archive.seeds[row]), "distance": distance}
            for row, distance in zip(rows, standing.neighbours.distances.tolist(), strict=True)
        ]
    return told
