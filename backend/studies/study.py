"""What all studies share: a table of claims, what was measured of each, and the record of a run for JSON and pages."""

from __future__ import annotations

import ast
import importlib
import math
import os
import platform
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..protocol.codec import jsonable

STUDIES = ("phase-transition", "disentanglement", "xy-model", "flow-alignment", "fractal")
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "matplotlib", "onnxruntime")
REPORTED = "reported"  # target and verdict of a claim of which nothing is asked


class Size(Enum):
    """TEST runs within a minute and asserts what holds at any size; WHOLE measures the claims, within 15 minutes on two
    cores."""

    TEST = "test"
    WHOLE = "whole"


class Source(Enum):
    """Where a target comes from."""

    PAPER = "paper"
    EXACT = "exact"  # mathematics, or physics known beforehand
    COMPUTED = "computed"  # a reference that was computed for this project
    PROPOSED = "proposed"  # by us: the paper has no figure for it


class Mean(NamedTuple):
    """A mean over ``seeds`` runs with its standard deviation, None where nothing varies."""

    value: float
    spread: float | None = None
    seeds: int = 1


Plan: TypeAlias = SimpleNamespace  # how much a study does, by the names in its sheet
Measured: TypeAlias = "float | Sequence[float] | Mean"  # one number, one for each seed, or their mean


@dataclass(frozen=True)
class Claim:
    """A row of a study's table. It is met when low <= measured <= high."""

    key: str  # short, such as C2
    what: str  # the claim in words
    measured: float  # mean over the seeds
    low: float = -math.inf
    high: float = math.inf
    spread: float | None = None  # standard deviation over the seeds
    seeds: int = 1
    source: Source = Source.PROPOSED
    note: str = ""  # why it is missed, or what limits it

    @property
    def target(self) -> str:
        """The target in words."""
        if math.isinf(self.high):
            return REPORTED if math.isinf(self.low) else f"≥ {self.low:g}"
        if math.isinf(self.low):
            return f"≤ {self.high:g}"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"

    @property
    def verdict(self) -> str:
        """met, missed, or reported where nothing is asked; what is not a number is missed."""
        if not self.low <= self.measured <= self.high:
            return "missed"
        return REPORTED if self.target == REPORTED else "met"


@dataclass(frozen=True)
class Sheet:
    """``claims.md`` of a study: a heading, the paper, tables of its claims and its figures, and the plan of each size.

    Columns of a claim: key, claim, target, source, note. A target is one of ``≥ 1``, ``≤ 1``, ``= 1``, ``1 to 2``,
    ``1 ± 2``, or empty; without a source it is proposed. Names in braces stand for values that a run gives.
    """

    title: str
    paper: str
    rows: Sequence[tuple[str, ...]]
    figures: Mapping[str, tuple[str, str]]  # title and caption by name
    plans: Mapping[Size, Plan]

    @classmethod
    def of(cls, study: str) -> Sheet:
        """That of a study of STUDIES. Raises OSError."""
        text = (Path(__file__).parent / study.replace("-", "_") / "claims.md").read_text("utf-8")
        title, paper, claims, figures, plan = text.strip().split("\n\n")
        shown = {name: (title, caption) for name, title, caption in _cells(figures)}
        names, *sizes, _ = zip(*_cells(plan), strict=True)
        plans = {
            size: SimpleNamespace(**dict(zip(names, map(ast.literal_eval, column), strict=True)))
            for size, column in zip(Size, sizes, strict=True)
        }
        return cls(title.removeprefix("# "), paper, _cells(claims), shown, plans)

    def claims(self, measured: Mapping[str, Measured], values: Mapping[str, object]) -> list[Claim]:
        """The rows of which something was measured, in the table's order. Raises ValueError for another target or
        source, KeyError for a measurement without a row."""
        claims = []
        for key, *cells in self.rows:
            if key in measured:
                what, target, source, note = (cell.format_map(values) for cell in cells)
                given, bounds = measured[key], _bounds(target)
                mean = given if isinstance(given, Mean) else _mean(given)
                origin = Source(source or "proposed")
                claims.append(Claim(key, what, mean.value, *bounds, mean.spread, mean.seeds, origin, note))
        if unknown := set(measured) - {claim.key for claim in claims}:
            raise KeyError(f"no row for {', '.join(sorted(unknown))}")
        return claims


def _cells(table: str) -> list[tuple[str, ...]]:
    """Of the rows of a table in Markdown, without its head."""
    rows = (re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()[2:])
    return [tuple(cell.strip().replace(r"\|", "|") for cell in cells) for cells in rows]


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, Measured]:
    """What was measured in one run per seed, by key."""
    return {key: [run[key] for run in runs] for key in runs[0]}


def _mean(found: float | Sequence[float]) -> Mean:
    if not isinstance(found, Sequence):
        return Mean(found)
    return Mean(float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else None, len(found))


def _bounds(target: str) -> tuple[float, float]:
    match target.split():
        case []:
            return -math.inf, math.inf
        case ["≥", low]:
            return float(low), math.inf
        case ["≤", high]:
            return -math.inf, float(high)
        case ["=", value]:
            return float(value), float(value)
        case [low, "to", high]:
            return float(low), float(high)
        case [middle, "±", reach]:
            return float(middle) - float(reach), float(middle) + float(reach)
    raise ValueError(f"{target} is not a target")


@dataclass(frozen=True)
class Findings:
    """What a study found."""

    title: str
    paper: str
    claims: Sequence[Claim]
    figures: Sequence[tuple[Path, str]] = ()  # PNG files with a caption each, in the order in which they are shown
    data: dict = field(default_factory=dict)  # plain numbers and lists, for JSON


Say: TypeAlias = Callable[[str], None]  # receives a line of text on what a study does at the moment
Study: TypeAlias = Callable[[Size, Path, Say], Findings]
"""``study(size, out, say)``: runs with fixed seeds and writes figures into ``out``, an existing folder."""
Find: TypeAlias = Callable[[str], Study]  # from a name to its study; raises ImportError
Record: TypeAlias = dict[str, Any]
"""A study that was run, plain enough for JSON: study, size, seconds (of the clock), cpu_seconds (of all processors),
device, and ``error``, or what was found: title, paper, met, judged, seeds, claims, figures, data."""


def find_study(name: str) -> Study:
    """The study of a name of STUDIES. Raises ImportError where it, or a package that it needs, is not installed."""
    return importlib.import_module(f".{name.replace('-', '_')}.study", __package__).study


def run_study(name: str, size: Size, root: Path, say: Say, find: Find = find_study) -> Record:
    """Run a study with figures in ``root / name``, which is made; paths in the record are relative to ``root``. An
    error in the study stands in the record, its traceback on stderr. Raises OSError where the folder cannot be made."""
    (root / name).mkdir(parents=True, exist_ok=True)
    start, cpu = time.perf_counter(), time.process_time()
    found, error = None, ""
    try:
        found = find(name)(size, root / name, say)
    except ImportError as missing:
        error = f"The study {name} is not part of this installation: {missing}."
    except Exception as failure:  # noqa: BLE001  one study that fails must not end the others
        traceback.print_exc()
        error = f"The study {name} failed: {type(failure).__name__}: {failure}."
    seconds, cpu_seconds = round(time.perf_counter() - start, 1), round(time.process_time() - cpu, 1)
    record = {"study": name, "size": size.value, "seconds": seconds, "cpu_seconds": cpu_seconds, "device": device()}
    if found is None:
        return record | {"error": error}
    verdicts = [claim.verdict for claim in found.claims if claim.target != REPORTED]
    return record | {
        "title": found.title,
        "paper": found.paper,
        "met": verdicts.count("met"),
        "judged": len(verdicts),
        "seeds": max((claim.seeds for claim in found.claims), default=1),
        "claims": [
            jsonable(claim) | {"source": claim.source.value, "target": claim.target, "verdict": claim.verdict}
            for claim in found.claims
        ],
        "figures": [{"file": os.path.relpath(path, root), "caption": caption} for path, caption in found.figures],
        "data": jsonable(found.data),
    }


def device() -> dict[str, Any]:
    """The machine and the versions of the libraries."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system(), "versions": versions}


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    text = listed.read_text("utf-8", "replace") if listed.is_file() else ""
    named = re.search(r"^model name\s*:\s*(.*\S)", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()
