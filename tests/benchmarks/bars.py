"""What the benchmarks ask of the figures, and how they show and keep them."""

from __future__ import annotations

import json
import math
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CHAMFER = {"A": 0.6, "B": 0.55, "C": 0.65, "D": 0.4, "E": 0.55, "V": 0.55}
UNSEEN = {"B": 0.4, "D": 0.3, "T": 0.4}
SMOOTH = {"D": 0.6, "T": 0.6}
"""Of the unseen error, against the smooth surface of `smooth_peer`."""
WORST_UNSEEN = {"D": 0.8}
"""Of each model."""
BORDER = {"D": 0.5, "T": 0.5}
BOTTOM, FLAT_BOTTOM = 0.01, 10.0
"""Mean distance of a bottom, shares of the side, and tilt, degrees."""
NORMALS = {"B": 0.6, "C": 0.35}
BETTI_SHARE = 0.9
BETTI_OFF = 3
"""Most that a case is off by where the peer is right."""
SPEARMAN = 0.45
AUROC = 0.98
COVERAGE = (0.88, 0.92)
TIME_RATIO = {2: 0.45, 3: 0.7, 4: 0.4}
"""Of each level."""
FIRST_FRAME_SECONDS = 0.5
NETWORK_SHARE = 0.6
PEAK_BYTES = 2e9
SMALLEST = 1e-9
"""Stands for a perfect 0 in a ratio."""


@dataclass(frozen=True)
class Bar:
    """One figure against what is asked of it; ``value`` None where no case gives the figure."""

    name: str
    value: float | None
    limit: float
    at_most: bool
    cases: int

    @property
    def passed(self) -> bool | None:
        """None where there is no figure."""
        if self.value is None:
            return None
        # numpy's own truth values would not be JSON
        return bool(self.value <= self.limit if self.at_most else self.value >= self.limit)

    def row(self) -> list[str]:
        """Cells for a table."""
        verdict = {None: "-", True: "pass", False: "MISS"}[self.passed]
        sign = "<=" if self.at_most else ">="
        return [self.name, number(self.value), f"{sign} {self.limit:g}", str(self.cases), verdict]

    def to_json(self) -> dict:
        """The bar with its verdict."""
        return {**asdict(self), "passed": self.passed}


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    return "-" if value is None else f"{value:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def write_report(
    path: Path, options: Namespace, measured: dict, found: Sequence[Bar], tables: Sequence[str] = ()
) -> None:
    """Write what was asked for, what was measured, the tables, and the bars with their verdicts."""
    asked = {name: str(value) for name, value in vars(options).items()}
    report = {"options": asked, **measured, "tables": list(tables), "bars": [bar.to_json() for bar in found]}
    path.write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")


class Journal:
    """Rows so far, in a file, so that a run that was cut off leaves figures, and can go on."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.rows: list[dict] = json.loads(path.read_text())["rows"] if resume and path.is_file() else []

    def known(self, **of: object) -> list[dict]:
        """The rows with these values."""
        return [row for row in self.rows if all(row.get(name) == value for name, value in of.items())]

    def add(self, rows: Sequence[dict]) -> None:
        self.rows += rows
        self.path.write_text(json.dumps({"rows": self.rows}, indent=1))


def verdict(tables: Sequence[str], found: Sequence[Bar]) -> int:
    """Print the tables and the bars; the exit status, 1 when a bar is missed."""
    print("\n\n".join([*tables, table(["measure", "value", "bar", "cases", ""], [bar.row() for bar in found])]))
    return int(any(bar.passed is False for bar in found))


def say(text: str) -> None:
    """Progress, away from the tables."""
    print(text, file=sys.stderr, flush=True)


def mean(values: Sequence[float]) -> float | None:
    """Arithmetic mean, None of nothing."""
    return sum(values) / len(values) if values else None


def geometric_mean(values: Sequence[float]) -> float | None:
    """Geometric mean, None of nothing."""
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else None


def ratios(
    records: Sequence[dict], condition: str, figure: Callable[[dict], float | None], against: str = "peer"
) -> list[float]:
    """Ours over the peer's for each case of a condition in which both have the figure; against: which peer."""
    found = []
    for record in records:
        if record["condition"] == condition and record.get("ours") and record.get(against):
            ours, peer = figure(record["ours"]), figure(record[against])
            if ours is not None and peer is not None:
                found.append(max(ours, SMALLEST) / max(peer, SMALLEST))
    return found


def betti_error(score: dict) -> int:
    """Sum of the errors in b0, b1 and b2."""
    return sum(score["betti_difference"].values())


def quality_bars(records: Sequence[dict], level: int) -> list[Bar]:
    """Bars on the scores of one level.

    records: {model, condition, level, ours: scores or None, peer: scores or None} per case. A case that we
    failed to fit counts against validity.
    """
    records = [record for record in records if record["level"] == level]
    bars = []
    for title, limits, figure in (
        ("chamfer / peer", CHAMFER, lambda score: score["CD"]),
        ("unseen error / peer", UNSEEN, lambda score: score["comp_unseen"]),
        ("normal error / peer", NORMALS, lambda score: 1 - score["NC"]),
    ):
        for condition, limit in limits.items():
            found = ratios(records, condition, figure)
            bars.append(Bar(f"{title}, {condition}", geometric_mean(found), limit, True, len(found)))
    for condition, limit in WORST_UNSEEN.items():
        found = ratios(records, condition, lambda score: score["comp_unseen"])
        bars.append(Bar(f"unseen error / peer, {condition}, worst", max(found, default=None), limit, True, len(found)))
    for condition, limit in SMOOTH.items():
        found = ratios(records, condition, lambda score: score["comp_unseen"], "smooth")
        bars.append(Bar(f"unseen error / smooth surface, {condition}", geometric_mean(found), limit, True, len(found)))
    for condition, limit in BORDER.items():
        areas = [
            (r["ours"]["border"], r["peer"]["border"])
            for r in records
            if r["condition"] == condition and r.get("ours") and r.get("peer") and r["ours"].get("border") is not None
        ]
        # some have none, so that a mean of ratios says nothing
        total = sum(ours for ours, _ in areas) / max(sum(peer for _, peer in areas), SMALLEST) if areas else None
        bars.append(Bar(f"wrong at the scan's border / peer, {condition}", total, limit, True, len(areas)))
    flat = [b for r in records if r["condition"] == "T" and r.get("ours") and (b := r["ours"].get("bottom"))]
    for title, key, limit in (("distance (side)", "distance", BOTTOM), ("tilt (degrees)", "tilt", FLAT_BOTTOM)):
        bars.append(Bar(f"bottoms: {title}, T", mean([one[key] for one in flat]), limit, True, len(flat)))
    valid = [bool(record["ours"]) and _valid(record["ours"]["mesh"]) for record in records]
    bars.append(Bar("watertight, manifold, consistent", mean(valid), 1.0, False, len(valid)))
    counted = [r for r in records if r.get("ours") and r.get("peer") and r["ours"]["betti_truth_agrees"]]
    for title, chosen in (("", counted), (", D", [r for r in counted if r["condition"] == "D"])):
        better = [betti_error(r["ours"]) <= betti_error(r["peer"]) for r in chosen]
        bars.append(Bar(f"Betti errors not above the peer's{title}", mean(better), BETTI_SHARE, False, len(better)))
    off = [betti_error(r["ours"]) for r in counted if betti_error(r["peer"]) == 0]
    bars.append(Bar("Betti errors where the peer is right, worst", max(off, default=None), BETTI_OFF, True, len(off)))
    sigmas = [record["ours"]["uncertainty"] for record in records if record.get("ours")]
    for title, key, limit in (
        ("sigma: Spearman", "spearman", SPEARMAN),
        ("sigma: AUROC unseen", "AUROC_unseen", AUROC),
    ):
        found = [sigma[key] for sigma in sigmas if sigma[key] is not None]
        bars.append(Bar(title, mean(found), limit, False, len(found)))
    covered = mean([sigma["coverage_90"] for sigma in sigmas if sigma["coverage_90"] is not None])
    for word, limit, at_most in zip(("least", "most"), COVERAGE, (False, True), strict=True):
        bars.append(Bar(f"sigma: 90 % interval covers at {word}", covered, limit, at_most, len(sigmas)))
    return bars


def _valid(mesh: dict) -> bool:
    return mesh["watertight"] and mesh["edge_manifold"] and mesh["winding_consistent"]


def case_table(records: Sequence[dict], level: int) -> str:
    """One row per case: ours / peer."""
    rows = []
    for record in records:
        if record["level"] != level:
            continue
        ours, peer = record.get("ours"), record.get("peer")
        name = f"{record['model']} {record['condition']}"
        if not ours:
            rows.append([name, record.get("failure", "failed")[:60], *[""] * 9])
            continue
        pair = [
            f"{number(figure(ours))} / {number(figure(peer) if peer else None)}"
            for figure in (
                lambda score: score["CD"],
                lambda score: score["comp_unseen"],
                lambda score: 1 - score["NC"],
                lambda score: score["IoU"],
            )
        ]
        betti = ["/".join(str(n) for n in score["betti"].values()) if score else "-" for score in (ours, peer)]
        truth = "/".join(str(n) for n in ours["betti_truth"].values())
        sigma = ours["uncertainty"]
        smooth = record.get("smooth")
        rows.append(
            [
                name,
                *pair,
                number(smooth["comp_unseen"] if smooth else None),
                f"{betti[0]} : {betti[1]} ({truth}{'' if ours['betti_truth_agrees'] else ' ?'})",
                "yes" if _valid(ours["mesh"]) else "NO",
                number(sigma["spearman"]),
                number(sigma["AUROC_unseen"]),
                number(sigma["coverage_90"]),
            ]
        )
    head = [
        "case (ours / peer)",
        "chamfer",
        "unseen",
        "1 - NC",
        "IoU",
        "unseen, smooth",
        "b0/b1/b2 ours : peer (truth)",
        "valid",
    ]
    return table([*head, "Spearman", "AUROC", "cover 90"], rows)
