"""The sheet on which the results of a batch are looked through: a picture each, those to look at first at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OmomiError
from ..formats.mesh_files import load_scan
from .html import Markup, badge, el, page, plural
from .pictures import data_uri, mesh_picture, png

SIZE = 160
"""Pixels along the side of a picture."""
MOST_PICTURES = 200
"""Of a sheet, those that come first: each takes a few tenths of a second."""
_STYLES = {"done": "good", "failed": "bad", "lost": "bad"}


def review_page(rows: Sequence[Mapping[str, Any]], folder: Path) -> bytes:
    """The page of the rows of a batch, whose results lie in ``folder``: failures, then results with warnings, then the
    others, each as in ``rows``."""
    ordered = sorted(rows, key=_calm)
    flagged = sum(_calm(row) < 2 for row in rows)
    figures = [_figure(row, folder, number < MOST_PICTURES) for number, row in enumerate(ordered)]
    lead = f"{plural(len(rows), 'scan')}, {flagged} to look at first."
    return page("Review", el("header", el("h1", "Review"), el("p", lead, class_="lead")), _main(figures))


def _main(figures: list[Markup]) -> Markup:
    return el("main", el("div", *figures, class_="grid"))


def _calm(row: Mapping[str, Any]) -> int:
    """0 for a failure, 1 for a result that warns, 2 for the others."""
    return 0 if row["state"] != "done" else 1 if _said(row) else 2


def _said(row: Mapping[str, Any]) -> list[str]:
    layers = (said for layer in row.get("layers", ()) for said in layer.get("warnings", ()))
    return list(dict.fromkeys([*row.get("warnings", ()), *layers]))


def _figure(row: Mapping[str, Any], folder: Path, drawn: bool) -> Markup:
    sentences = [row["error"]["message"]] if "error" in row else _said(row)
    if row["state"] == "lost":
        sentences = ["Its result is gone, or was written by something else: run the batch again."]
    uri = _picture(folder / row["output"]) if drawn and row["state"] == "done" else None
    name = Path(row["output"]).stem
    style = "warn" if row["state"] == "done" and sentences else _STYLES[row["state"]]
    return el(
        "figure",
        *([] if uri is None else [el("img", src=uri, alt=name, width=SIZE, height=SIZE)]),
        el("h4", name, " ", badge(row["state"], style)),
        *(el("p", sentence, class_="small") for sentence in sentences),
    )


def _picture(path: Path) -> str | None:
    try:
        mesh = load_scan(path)
    except OmomiError:
        # What cannot be read has been told as lost, unless it went just now.
        return None
    faces = np.zeros((0, 3), np.int32) if mesh.faces is None else mesh.faces
    return data_uri(png(mesh_picture(mesh.points, faces, SIZE)))
