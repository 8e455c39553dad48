"""Virtual scans, the peer's meshes and the scores, made by the scoring tool and kept on disk by content.

The tool is the package ``score`` beside the folder of scans. It runs as a child process, so that a crash of a
native library in it costs one case and not the benchmark.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE, SMOOTH, VIEWS = (f"tests.benchmarks.{name}" for name in ("table_scan", "smooth_peer", "view_scan"))
"""Modules of our own that run as the tool's commands do."""
PEER_DEPTH = {2: 7, 3: 8, 4: 9}
"""Depth of screened Poisson that has about the resolution of our level."""


def arguments(about: str | None, name: str, quick: str = "fewer cases") -> argparse.ArgumentParser:
    """With the options that all benchmarks have; name: of the folder of results. `prepared` makes their folders."""
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / name)
    found.add_argument("--cache", type=Path, default=ROOT / "build" / "bench" / "cache")
    found.add_argument("--quick", action="store_true", help=quick)
    return found


def prepared(options: argparse.Namespace) -> ScoringTool | None:
    """The scoring tool, and folders to write into; None after saying that there is no tool."""
    options.out, options.cache = options.out.resolve(), options.cache.resolve()
    tool = ScoringTool.find(options.cache, getattr(options, "folder", "clean"))
    if tool is None:
        print("The benchmark needs the folder of scans (OMOMI_SCANS) with the scoring tool beside it: skipped.")
    for folder in (options.out, options.cache) if tool else ():
        folder.mkdir(parents=True, exist_ok=True)
    return tool


class CaseFailed(Exception):
    """A child process did not give a result; the message says why."""


@dataclass(frozen=True)
class Case:
    """One virtual scan: a model under a scanning condition."""

    model: str
    condition: str
    seed: int = 0

    @property
    def scanned(self) -> str:
        """Condition of the scanner: V is E with the views told apart, which ours registers and a peer cannot."""
        return "E" if self.condition == "V" else self.condition

    def __str__(self) -> str:
        return f"{self.model} {self.condition}"


def _source(module: str) -> bytes:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").read_bytes()


def find_scans() -> Path | None:
    """Folder of real scans: OMOMI_SCANS, or the usual place beside the repository; None if there is none."""
    named = os.environ.get("OMOMI_SCANS")
    folder = Path(named) if named else ROOT.parent / "shared" / "scans"
    return folder.resolve() if (folder / "clean").is_dir() else None


def run_json(command: Sequence[str], folder: Path, cores: Sequence[int] = (), timeout: float = 1800) -> dict:
    """The JSON object that a Python command prints, run in ``folder`` on ``cores`` (all of them when empty).

    Raises CaseFailed for a crash, a time-out, or an object with "fail" or "error".
    """

    def stay() -> None:
        os.sched_setaffinity(0, cores)

    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            preexec_fn=stay if cores and hasattr(os, "sched_setaffinity") else None,
        )
    except subprocess.TimeoutExpired as error:
        raise CaseFailed(f"no result within {timeout:.0f} s") from error
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        last = done.stderr.strip().splitlines()[-1:]
        raise CaseFailed(f"exit {done.returncode}: {' '.join(last) or 'nothing printed'}") from error
    if "fail" in found or "error" in found:
        raise CaseFailed(str(found.get("fail") or found.get("error")))
    return found


@dataclass(frozen=True)
class ScoringTool:
    """The scoring tool and the folder of what it made before.

    folder: where ``python -m score`` runs. scans: the real scans. cache: kept between runs; a result is found
    again by the model's bytes, the tool's source and the arguments.
    """

    folder: Path
    scans: Path
    cache: Path
    chosen: str = "clean"

    @classmethod
    def find(cls, cache: Path, chosen: str = "clean") -> ScoringTool | None:
        """The tool beside the scans, or None; chosen: the folder of models with a known truth."""
        scans = find_scans()
        if scans is None or not (scans.parent / "score" / "__main__.py").is_file():
            return None
        return cls(scans.parent, scans, cache, chosen)

    def models(self) -> list[str]:
        """Names of the models with a known truth."""
        return sorted(path.stem for path in (self.scans / self.chosen).glob("*.ply"))

    def _model(self, case: Case) -> Path:
        return self.scans / self.chosen / f"{case.model}.ply"

    def _place(self, case: Case) -> Path:
        """Folder of everything about a case."""
        digest = hashlib.sha256(self._model(case).read_bytes())
        for source in sorted((self.folder / "score").glob("*.py")):
            digest.update(source.read_bytes())
        digest.update(_source(TABLE) if case.condition == "T" else b"")
        place = self.cache / f"{case.model}_{case.scanned}{case.seed}_{digest.hexdigest()[:12]}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _once(self, record: Path, command: Sequence[str]) -> dict:
        """The record of a command of the tool, from disk if it ran before."""
        if not record.exists():
            own = command[0] in (TABLE, SMOOTH, VIEWS)
            found = run_json(["-m", *(command if own else ["score", *command])], ROOT if own else self.folder)
            unfinished = record.with_suffix(".part")
            unfinished.write_text(json.dumps(found))
            os.replace(unfinished, record)
        return json.loads(record.read_text())

    def scan(self, case: Case) -> tuple[Path, Path]:
        """Scan (points with normals) and truth of a case, as PLY files."""
        place = self._place(case)
        scan, truth = place / "formats.ply", place / "truth.ply"
        model, seed = str(self._model(case)), str(case.seed)
        command = ["scan", model, "--condition", case.scanned, "--seed", seed]
        command += ["-o", str(scan), "--truth-out", str(truth)]
        if case.condition == "T":
            command = [TABLE, str(self.folder), model, str(scan), str(truth), seed]
        self._once(place / "scan.json", command)
        return scan, truth

    def views(self, case: Case) -> Path:
        """Scan of a case under condition V, with the view of each point."""
        scan, _ = self.scan(case)
        digest = hashlib.sha256(_source(VIEWS)).hexdigest()[:8]
        views = scan.with_name(f"views_{digest}.npz")
        command = [VIEWS, str(self.folder), str(self._model(case)), str(scan), str(views), str(case.seed)]
        self._once(views.with_suffix(".json"), command)
        return views

    def said_of_scan(self, case: Case) -> dict:
        """What the scanner said of a case: under condition T the way up and the height of the table."""
        self.scan(case)
        return json.loads((self._place(case) / "scan.json").read_text())

    def peer(self, case: Case, level: int) -> Path:
        """The peer's mesh of a case."""
        scan, _ = self.scan(case)
        mesh = self._place(case) / f"peer{PEER_DEPTH[level]}.ply"
        command = ["peer", str(scan), "-o", str(mesh), "--depth", str(PEER_DEPTH[level])]
        self._once(mesh.with_suffix(".json"), command)
        return mesh

    def smooth_peer(self, case: Case) -> Path:
        """The second peer's mesh of a case, see `smooth_peer`."""
        scan, _ = self.scan(case)
        digest = hashlib.sha256(_source(SMOOTH)).hexdigest()[:8]
        mesh = self._place(case) / f"smooth_{digest}.ply"
        self._once(mesh.with_suffix(".json"), [SMOOTH, str(scan), str(mesh)])
        return mesh

    def peer_seconds(self, case: Case, level: int, cores: Sequence[int]) -> float:
        """Time (s) that the peer takes now on the given cores; never from disk."""
        scan, _ = self.scan(case)
        command = ["-m", "score", "peer", str(scan), "-o", str(self._place(case) / "timed.ply")]
        return run_json([*command, "--depth", str(PEER_DEPTH[level])], self.folder, cores)["seconds"]

    def score_peer(self, case: Case, mesh: Path, quick: bool) -> dict:
        """Scores of a peer's mesh."""
        record = mesh.with_name(f"{mesh.stem}_score{'_quick' if quick else ''}.json")
        return self._once(record, self._repair(case, mesh, None, quick))

    def score(self, case: Case, mesh: Path, sigma: Path, quick: bool) -> dict:
        """Scores of our mesh, never from disk."""
        return run_json(["-m", "score", *self._repair(case, mesh, sigma, quick)], self.folder)

    def _repair(self, case: Case, mesh: Path, sigma: Path | None, quick: bool) -> list[str]:
        scan, truth = self.scan(case)
        command = ["repair", str(mesh), str(truth), str(scan)]
        command += [] if sigma is None else ["--sigma", str(sigma)]
        return command + (["--res", "64", "--samples", "20000"] if quick else [])

    def pairs(self, edit: str, k: int, seed: int) -> Path:
        """Folder of k training pairs and two test pairs of mouse skulls; the test pairs are other specimens."""
        digest = hashlib.sha256()
        for source in sorted((self.folder / "score").glob("*.py")):
            digest.update(source.read_bytes())
        place = self.cache / f"pairs_{edit}_{k}_{seed}_{digest.hexdigest()[:12]}"
        place.mkdir(parents=True, exist_ok=True)
        family = str(self.scans / "family_skulls")
        drawn = ["--k", str(k), "--test", "2", "--seed", str(seed)]
        self._once(place / "made.json", ["pairs", family, "--edit", edit, *drawn, "-o", str(place)])
        return place

    def copy_baseline(self, pairs: Path, samples: int) -> dict:
        """Scores of the copy baseline on a folder of pairs, from disk if it ran before."""
        return self._once(pairs / f"copy_{samples}.json", ["copy-baseline", str(pairs), "--samples", str(samples)])

    def score_edit(self, before: Path, after: Path, result: Path, mask: Path | None, samples: int) -> dict:
        """Scores of an edited mesh, never from disk."""
        command = ["-m", "score", "edit", str(before), str(after), str(result), "--samples", str(samples)]
        return run_json(command + ([] if mask is None else ["--mask", str(mask)]), self.folder)
