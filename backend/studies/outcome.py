"""One study run, and what is told of it: rows of a table, and plain numbers for JSON."""

from __future__ import annotations

import importlib
import os
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

from ..protocol.codec import jsonable
from .claims import Claim, Findings, Say, Size, Study

STUDIES = ("phase-transition", "disentanglement", "xy-model", "flow-alignment", "fractal")
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "trimesh", "matplotlib", "onnxruntime")

Find: TypeAlias = Callable[[str], Study]
"""From a name to its study; raises ImportError."""


@dataclass(frozen=True)
class Outcome:
    """findings: None where the study could not be run, and then ``failure`` says why, in a sentence. seconds: of the
    clock; cpu_seconds: of all processors."""

    name: str
    size: Size
    seconds: float
    cpu_seconds: float
    findings: Findings | None = None
    failure: str = ""

    @property
    def judged(self) -> list[Claim]:
        """The claims that have a target."""
        return [] if self.findings is None else [claim for claim in self.findings.claims if has_target(claim)]

    @property
    def met(self) -> int:
        return sum(claim.met for claim in self.judged)

    def reason(self, claim: Claim) -> str:
        """Why a claim is missed."""
        hardly = "at this size nothing is learned to the end." if self.size is Size.TEST else ""
        return claim.note or hardly or "no reason is known."


def find_study(name: str) -> Study:
    """The study of a name of STUDIES. Raises ImportError where it, or a package that it needs, is not installed."""
    return importlib.import_module(f".{name.replace('-', '_')}.study", __package__).study


def run_study(name: str, size: Size, folder: Path, say: Say, find: Find = find_study) -> Outcome:
    """Run a study; its figures go into ``folder``, which is made. What fails in it is told in the outcome, and its
    traceback on stderr; raises OSError where the folder cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)
    start, cpu = time.perf_counter(), time.process_time()
    findings, failure = None, ""
    try:
        findings = find(name)(size, folder, say)
    except ImportError as error:
        failure = f"The study {name} is not part of this installation: {error}."
    except Exception as error:  # noqa: BLE001  one study that fails must not end the others
        traceback.print_exc()
        failure = f"The study {name} failed: {type(error).__name__}: {error}."
    return Outcome(name, size, time.perf_counter() - start, time.process_time() - cpu, findings, failure)


def has_target(claim: Claim) -> bool:
    return claim.target != "reported"


def verdict(claim: Claim) -> str:
    """met, missed, or reported where nothing is asked; what is not a number is missed."""
    return ("met" if has_target(claim) else "reported") if claim.met else "missed"


def measured(claim: Claim) -> str:
    """Mean and spread, in words."""
    spread = "" if claim.spread is None else f" ± {claim.spread:.2g}"
    return f"{claim.measured:.4g}{spread}"


def as_plain(outcome: Outcome, root: Path) -> dict[str, Any]:
    """An outcome for JSON; files are told relative to ``root``."""
    told: dict[str, Any] = {
        "study": outcome.name,
        "size": outcome.size.value,
        "seconds": round(outcome.seconds, 1),
        "cpu_seconds": round(outcome.cpu_seconds, 1),
        "device": device(),
    }
    found = outcome.findings
    if found is None:
        return told | {"error": outcome.failure}
    claims = [
        jsonable(claim) | {"source": claim.source.value, "target": claim.target, "verdict": verdict(claim)}
        for claim in found.claims
    ]
    figures = [{"file": os.path.relpath(path, root), "caption": caption} for path, caption in found.figures]
    told |= {"title": found.title, "paper": found.paper, "met": outcome.met, "judged": len(outcome.judged)}
    return (
        told
        | {"seeds": max((claim.seeds for claim in found.claims), default=1)}
        | {
            "claims": claims,
            "figures": figures,
            "data": jsonable(found.data),
        }
    )


def device() -> dict[str, Any]:
    """What it was measured on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system(), "versions": versions}


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
