"""The audit that ships with a model: how far its sliders reach on shapes that it has not seen, and the page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..edits.fitted_scan import FittedScan
from ..edits.reach import Reach
from ..errors import ErrorCode, OmomiError
from ..field.onnx_model import MODEL_FOLDER, load_model
from ..formats.files import write_whole
from ..formats.raw_scan import RawScan
from ..prior.completion import completed_fit
from ..prior.shape_prior import ShapePrior, load_prior
from ..protocol.fit_options import FitOptions
from ..protocol.names import ATTRIBUTES
from ..protocol.requests import EditTarget
from ..report.audit import audit_page
from ..report.card import read_card
from ..report.scans import attribute_reach, shape_reach
from ..scan.prepare import prepare
from .bank import Bank
from .calibration import held_out_scans
from .export import CARD, stored_card, update_card

PAGE = "audit.html"  # beside the card. The extension does not carry it: the add-on writes a page of its own
REFERENCES = 6  # shapes on which reach is measured; each takes about a minute of a core
LEVEL = 1  # of the fits on which reach is measured


def store_audit(folder: Path, bank: Path | None = None, against: Path | None = None) -> Path:
    """Write the page of the model in ``folder`` beside its card; returns its path. Raises OmomiError. bank: the reach
    of every slider is measured on its held-out shapes and put into the card first; without a bank the card stays as it
    is. against: card of an older model."""
    prior = load_prior(folder)
    if bank is not None:
        card = stored_card(folder / CARD)
        references = held_out_scans(Bank(bank, held_out=True))
        chosen = [raw for raw, *_ in references[:: max(1, len(references) // REFERENCES)]]
        reaches = reach_of_sliders(folder, prior, chosen)
        update_card(folder / CARD, {"sliders": with_reach(card.get("sliders", []), reaches)})
    old = None if against is None else read_card(against)
    page = audit_page(read_card(folder / CARD), prior.archive, against=old)
    write_whole(folder / PAGE, page)
    return folder / PAGE


def reach_of_sliders(folder: Path, prior: ShapePrior, references: Sequence[RawScan]) -> dict[str, list[Reach]]:
    """How far each slider, built in or of the shape, reaches on each reference before the topology changes."""
    model = load_model("cpu", folder=folder)
    found: dict[str, list[Reach]] = {name: [] for name in (*ATTRIBUTES, *prior.sliders)}
    for raw in references:
        try:
            scan = prepare(raw)
            fitted = FittedScan(raw, scan, completed_fit(scan, model, FitOptions(level=LEVEL)))
        except OmomiError as error:
            # a thin shape that two views hardly saw may have no surface
            if error.code is not ErrorCode.NO_SURFACE:
                raise
            continue
        mesh = fitted.mesh(EditTarget.FIT)
        for name, reaches in found.items():
            if name in ATTRIBUTES:
                reaches.append(attribute_reach(fitted, mesh, name))
            else:
                reaches.append(shape_reach(fitted, mesh, name, prior))
    return found


def with_reach(sliders: Sequence[dict], reaches: dict[str, list[Reach]]) -> list[dict]:
    """The card's sliders with their reach; the built-in ones are added."""
    known = {slider["name"]: slider for slider in sliders}
    rows = []
    for name, found in reaches.items():
        built_in = ATTRIBUTES.get(name)
        row = {"name": name, "kind": "attribute", "unit": built_in.unit} if built_in is not None else known[name]
        low, high = (found[0].low, found[0].high) if found else (-1.0, 1.0)
        pairs = [[round(end, 3) for end in reach.safe] for reach in found]
        rows.append({"range": [low, high]} | row | {"reach": pairs})
    return [*(row for row in sliders if row["name"] not in reaches), *rows]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m backend.training.model_audit", description="Write the audit that ships with a model."
    )
    parser.add_argument("folder", type=Path, nargs="?", default=MODEL_FOLDER)
    parser.add_argument("--bank", type=Path, help="measure how far the sliders reach on its held-out shapes")
    parser.add_argument("--against", type=Path, help="card of an older model")
    options = parser.parse_args(argv)
    print(store_audit(options.folder, options.bank, options.against))


if __name__ == "__main__":
    main()
