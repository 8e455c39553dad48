#!/usr/bin/env python3.11
"""Build, test and show Omomi.

    python3.11 build_addon.py demo        the main job end to end; pictures and meshes land in build/demo
    python3.11 build_addon.py test        all checks and tests (--fast: in one Blender; --all: every suite in each)
    python3.11 build_addon.py stage       the extension folder, build/stage/omomi
    python3.11 build_addon.py build       the zip, in build/dist (--all-platforms: one for each)
    python3.11 build_addon.py validate    the staged folder and the zip, by Blender's own rules
    python3.11 build_addon.py bench NAME  a benchmark of the backend
    python3.11 build_addon.py window      the artist's steps in a real window of Blender, with pictures
    python3.11 build_addon.py fuzz        damaged files and killed backends, other ones each time (--minutes N)
    python3.11 build_addon.py faults      memory, the disk or the process fails, at every place in turn

Standard library only. Each verb makes the virtual environments that it needs and installs into them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from backend.report import manual_page

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
STAGE = BUILD / "stage" / "omomi"
DIST = BUILD / "dist"

# What the backend needs beside the numpy inside Blender. The last scipy that takes numpy 1.26 (Blender 4.5, 5.0) and 2.
BUNDLED = ("onnxruntime==1.31.1", "scipy==1.17.1", "safetensors==0.8.0", "flatbuffers", "packaging", "protobuf")
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64", "macosx_11_0_universal2"),
}
BPY_STUBS = "fake-bpy-module-latest==20261026"
# A step that hangs must not hang the suite; on two busy cores the longest takes a quarter of an hour.
STEP_SECONDS = 3600
# What differs between versions of Blender: meshes, installation, the operator, the window, menus, nodes, one fit by the
# real engine.
VERSIONED = (
    "test_mesh_io.py", "test_storage.py", "test_draft.py", "test_package.py", "test_fit.py", "test_window.py",
    "test_menus.py",
    "test_engine.py::test_points_of_a_sphere_become_a_closed_sphere_in_place",
)  # fmt: skip
# Of the folders of tests; a long file that starts last would keep one core waiting.
LONGEST_FIRST = ("studies", "training", "server", "edits", "protocol", "prior", "scan", "field", "cli")
# A worker of the training tests takes a gigabyte.
MOST_WORKERS = 4
NOT_SHIPPED = shutil.ignore_patterns(
    "__pycache__", "training", "studies", "*.pyc", "checkpoint.safetensors", "audit.html", "README.md", "manual_page.py"
)


def version() -> str:
    """Of Omomi, which stands in the backend alone."""
    return re.findall(r'^__version__ = "(.+)"', (ROOT / "backend" / "__init__.py").read_text("utf-8"), re.MULTILINE)[0]


@dataclass(frozen=True)
class Package:
    """A zip of the extension: for the Blenders of one Python, with its libraries, or without any for all of them."""

    name: str
    python: str | None
    least: str  # version of Blender
    below: str | None  # the first version of Blender with another Python

    def manifest(self, platforms: Sequence[str], wheels: Sequence[Path]) -> str:
        lines = [f'version = "{version()}"']
        lines += [f'blender_version_max = "{self.below}"'] if self.below else []
        if wheels:
            listed = json.dumps([f"./wheels/{wheel.name}" for wheel in wheels], indent=2)
            lines += [f"platforms = {json.dumps(list(platforms))}", f"wheels = {listed}"]
        return "\n".join([f'blender_version_min = "{self.least}"', *lines])


PACKAGES = (
    Package("blender4.5", "3.11", "4.5.0", "5.1.0"),
    Package("blender5.1", "3.13", "5.1.0", None),
    # For a Blender with a Python of its own; the interpreter in the preferences brings the libraries.
    Package("without-libraries", None, "4.5.0", None),
)


@dataclass(frozen=True)
class Blender:
    """One bpy wheel, the environment it lives in and the Python it needs."""

    bpy: str
    folder: str
    python: str

    @property
    def environment(self) -> Path:
        return ROOT / self.folder


MAIN = Blender("4.5.15", ".venv", "3.11")
OTHERS = (Blender("5.0.1", ".venv-5.0", "3.11"), Blender("5.2.3", ".venv-5.2", "3.13"))
# The benchmark's peer and scores want a newer numpy than Blender 4.5 has, and no Blender.
BENCH = Blender("", ".venv-bench", "3.11")
FUZZ = Blender("", ".venv-fuzz", "3.11")


class Failed(Exception):
    """A step failed; the message says which."""


def say(text: str) -> None:
    print(f"== {text}", flush=True)


def run(*command: object, check: bool = True, **options: object) -> int:
    code = subprocess.run([str(part) for part in command], cwd=ROOT, **options).returncode  # type: ignore[call-overload]
    if check and code:
        raise Failed(f"{Path(str(command[0])).name} {' '.join(map(str, command[1:4]))} ended with exit code {code}")
    return code


def python_in(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def find_python(version: str) -> str | None:
    """An interpreter of this minor version that really runs, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [sys.executable, f"python{version}", *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in candidates:
        probe = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        try:
            found = subprocess.run([candidate, "-c", probe], capture_output=True, text=True)
        except OSError:
            continue
        if found.stdout.strip() == version:
            return candidate
    return None


def requirements(*extras: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]


def environment(blender: Blender, packages: Sequence[str]) -> Path | None:
    """The Python of an environment that holds ``packages``, made or brought up to date; None without an interpreter."""
    python, stamp = python_in(blender.environment), blender.environment / "omomi-packages.txt"
    wanted = "\n".join(sorted(packages))
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return python
    interpreter = find_python(blender.python)
    if interpreter is None:
        return None
    say(f"installing {len(packages)} packages into {blender.folder}")
    if not python.is_file():
        run(interpreter, "-m", "venv", blender.environment)
    # most of what comes is never imported, so Python compiles the rest when it is
    run(python, "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check", *packages)
    stamp.write_text(wanted, "utf-8")
    return python


def needed(blender: Blender, packages: Sequence[str]) -> Path:
    """As `environment`. Raises `Failed` without an interpreter."""
    python = environment(blender, packages)
    if python is None:
        raise Failed(f"Python {blender.python} was not found: install it and run this again")
    return python


def main_environment() -> Path:
    # This exact torch, since a plain `torch` brings gigabytes of CUDA where a CPU build would do.
    packages = [line for line in requirements("cpu", "train", "dev") if not re.match(r"(torch|bpy)\b", line)]
    return needed(MAIN, [*packages, "torch==2.13.0", f"bpy=={MAIN.bpy}", BPY_STUBS, "numpy>=1.26,<2"])


def own_platform() -> str:
    return {"win32": "windows-x64", "darwin": "macos-arm64"}.get(sys.platform, "linux-x64")


def wheels(platform: str, python: str) -> list[Path]:
    """The wheels for one platform and Python, downloaded once."""
    mark = hashlib.sha256(repr(("slim", *BUNDLED)).encode()).hexdigest()[:8]
    folder = BUILD / "wheels" / f"{platform}-{python}-{mark}"
    if not folder.is_dir():
        say(f"downloading wheels for {platform}, Python {python}")
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        tags = [option for tag in PLATFORMS[platform] for option in ("--platform", tag)]
        run(
            python_in(MAIN.environment), "-m", "pip", "download", "-qq", "--disable-pip-version-check",
            "--only-binary=:all:", "--no-deps", "--implementation", "cp", "--python-version", python, *tags,
            "--dest", part, *BUNDLED,
        )  # fmt: skip
        for wheel in part.glob("*.whl"):
            slim(wheel)
        part.rename(folder)
    return sorted(folder.glob("*.whl"))


def slim(wheel: Path) -> None:
    """Take a package's own tests out of its wheel: those of scipy are 4.6 MB, of the 75 MB that a zip may have."""
    whole = wheel.with_suffix(".whole")
    wheel.rename(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith(".dist-info/RECORD"):
                lines = content.decode().splitlines(keepends=True)
                content = "".join(line for line in lines if "/tests/" not in line).encode()
            if "/tests/" not in entry.filename:
                new.writestr(entry, content)
    whole.unlink()


def stage(platforms: Sequence[str], package: Package = PACKAGES[0]) -> Path:
    """Lay out the extension folder: add-on, backend without training, wheels, manifest."""
    main_environment()
    python = package.python
    found = {wheel.name: wheel for platform in platforms for wheel in wheels(platform, python)} if python else {}
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "blender_addon", STAGE, ignore=NOT_SHIPPED)
    shutil.copytree(ROOT / "backend", STAGE / "backend", ignore=NOT_SHIPPED)
    shutil.copy2(ROOT / "LICENSE", STAGE)
    manual = (ROOT / "blender_addon" / "README.md").read_text("utf-8")
    (STAGE / "manual.html").write_text(manual_page.page(manual), "utf-8")
    if found:
        (STAGE / "wheels").mkdir()
    for wheel in found.values():
        shutil.copy2(wheel, STAGE / "wheels")
    manifest = STAGE / "blender_manifest.toml"
    # Top-level keys must come before the first table.
    lines = f"{package.manifest(platforms, list(found.values()))}\n\n[permissions]"
    manifest.write_text(manifest.read_text("utf-8").replace("[permissions]", lines, 1), "utf-8")
    tomllib.loads(manifest.read_text("utf-8"))
    return STAGE


def extension_tool(*arguments: object) -> None:
    """Blender's own packaging tool, which the bpy wheel carries; it runs without Blender."""
    python = main_environment()
    tool = next(MAIN.environment.glob("**/bl_pkg/cli/blender_ext.py"))
    run(python, tool, *arguments)


def validate(target: Path) -> None:
    tags = next(MAIN.environment.glob("**/_bpy_internal/extensions/tags.py"))
    extension_tool("validate", f"--valid-tags={tags}", target)


def build(platforms: Sequence[str], packages: Sequence[Package] = PACKAGES) -> list[Path]:
    """Stage, build and check the zips: one for each package and platform, named after both."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir(parents=True)
    # the first stays staged
    for package in reversed(packages):
        stage(platforms, package)
        validate(STAGE)
        made = DIST / package.name
        made.mkdir()
        split = ["--split-platforms"] if package.python else []
        extension_tool("build", "--source-dir", STAGE, "--output-dir", made, *split)
        for path in made.glob("*.zip"):
            path.rename(DIST / f"{path.stem}-{package.name}.zip")
        made.rmdir()
    zips = sorted(DIST.glob("*.zip"))
    for path in zips:
        validate(path)
        say(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.0f} MB")
    return zips


def zip_for(python: str) -> Path:
    """The zip in ``build/dist`` for this platform and the Blenders of this Python."""
    [package] = [package for package in PACKAGES if package.python == python]
    [found] = DIST.glob(f"*-{own_platform().replace('-', '_')}-{package.name}.zip")
    return found


@dataclass
class Tally:
    """What passed, and how long each step took; steps may run at the same time."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    steps: list[tuple[str, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        with self._lock:
            self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped

    def run(self, name: str, *command: object, **settings: str) -> int:
        """Run one step; its output comes in one piece once it has ended, so that steps do not mix theirs."""
        say(f"{name} ...")
        began = time.monotonic()
        # without bytecode every process would compile each package that it imports
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **settings}
        try:
            done = subprocess.run(
                [str(part) for part in command], cwd=ROOT, env=env, text=True, errors="replace",
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STEP_SECONDS,
            )  # fmt: skip
            code, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            code, output = 1, f"{(late.stdout or b'').decode(errors='replace')}\nstopped after {STEP_SECONDS} s"
        with self._lock:
            self.steps.append((name, time.monotonic() - began))
            say(f"{name}: {self.steps[-1][1]:.0f} s\n{output.rstrip()}")
        return code

    def check(self, name: str, *command: object) -> None:
        passed = self.run(name, *command) == 0
        self.add(passed=passed, failed=not passed)

    def pytest(self, name: str, python: Path, *arguments: object, **settings: str) -> None:
        report = BUILD / "reports" / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.xml"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        command = (python, "-m", "pytest", "-o", "faulthandler_timeout=300", f"--junitxml={report}", *arguments)
        code = self.run(name, *command, **settings)
        if not report.is_file():
            say(f"{name}: pytest ended with exit code {code} and left no report")
            self.add(failed=1)
            return
        suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
        total, skipped, failed = (int(suite.get(key, 0)) for key in ("tests", "skipped", "failures"))
        failed += int(suite.get("errors", 0))
        self.add(max(total - skipped - failed, 0), failed or (code not in (0, 5)), skipped)


def test(fast: bool, everything: bool, only: Sequence[str]) -> int:
    """The tests without Blender; beside them ruff, pyrefly and the installed extension in each Blender."""
    tally, others = Tally(), () if fast else OTHERS
    with ThreadPoolExecutor(4) as lanes:
        # While these download, the main environment is made and at work.
        pythons = {one: lanes.submit(environment, one, [f"bpy=={one.bpy}", "pytest"]) for one in others}
        python = main_environment()
        without_blender = lanes.submit(test_without_blender, python, tally, only)
        in_blender = lanes.submit(test_add_on, python, tally, pythons, everything)
        without_blender.result()
        in_blender.result()
    for name, seconds in tally.steps:
        print(f"{seconds:5.0f} s  {name}")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed else 0


def test_without_blender(python: Path, tally: Tally, only: Sequence[str]) -> None:
    if only:
        return tally.pytest("chosen tests", python, *only)
    folders = [path for path in sorted((ROOT / "tests").iterdir()) if any(path.glob("test_*.py"))]
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    chosen = [path for path in folders if path.name != "addon"]
    chosen.sort(key=lambda path: places.get(path.name, len(places)))
    # what runs beside them fills the cores while tests wait, and every worker imports all packages
    workers = ("-n", min(os.cpu_count() or 1, MOST_WORKERS), "--dist", "loadfile", "--no-loadscope-reorder")
    return tally.pytest("tests without Blender", python, *workers, *chosen, OMP_NUM_THREADS="1")


def test_add_on(python: Path, tally: Tally, others: Mapping[Blender, Future[Path | None]], everything: bool) -> None:
    """Build the zip, check what is written, and run the add-on's tests in the main Blender and some in the others."""
    build([own_platform()])
    tally.check("ruff", python, "-m", "ruff", "check", ".")
    # The add-on finds its backend only where both are staged.
    staged = [path for path in STAGE.rglob("*.py") if STAGE / "backend" not in path.parents]
    checked = ("--min-severity=warn", "--output-format=min-text", "backend", "tests", "build_addon.py", *staged)
    tally.check("pyrefly", python, "-m", "pyrefly", "check", *checked)
    for blender in (MAIN, *others):
        name = f"add-on in Blender {blender.bpy}"
        addon = python if blender is MAIN else others[blender].result()
        if addon is None:
            say(f"{name}: skipped, Python {blender.python} is not on this machine")
            tally.add(skipped=1)
            continue
        suites = ["tests/addon"] if blender is MAIN or everything else [f"tests/addon/{name}" for name in VERSIONED]
        # Three suites would write the same cache; what other tests share needs packages that Blender does not have.
        options = ("-p", "no:cacheprovider", "--confcutdir=tests/addon")
        tally.pytest(name, addon, *options, *suites, OMOMI_ZIP=str(zip_for(blender.python)), OMP_NUM_THREADS="1")


def demo(picture: Path | None) -> int:
    """Scan a procedural object, install the zip into a throw-away Blender profile, fit, render before and after."""
    python = main_environment()
    build([own_platform()], PACKAGES[:1])
    folder = BUILD / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    scan, truth = folder / "scan.ply", folder / "truth.ply"
    run(python, "-m", "backend.training.demo_scan", scan, "--truth", truth)
    profile = folder / "profile"
    env = {**os.environ, "BLENDER_USER_RESOURCES": str(profile)}
    run(python, "tests/demo/demo_in_blender.py", zip_for(MAIN.python), scan, folder, env=env)
    shutil.rmtree(profile, ignore_errors=True)
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / "before_after.png", picture)
    say(f"see {folder.relative_to(ROOT)}")
    return 0


def window(blender: str, bundled: bool, picture: Path | None, chosen: Sequence[str]) -> int:
    """The artist's steps in a real window of Blender; pictures land in build/window."""
    python, folder = main_environment(), BUILD / "window"
    build([own_platform()])
    version = subprocess.run([blender, "--version"], capture_output=True, text=True, check=True).stdout
    own = zip_for("3.11" if re.search(r"Blender (4|5\.0)\.", version) else "3.13")
    package = own if bundled else next(DIST.glob(f"*-{PACKAGES[-1].name}.zip"))
    interpreter = [] if bundled else ["--python", python]
    words = ["--blender", blender, "--package", package, *interpreter, "-o", folder, *chosen]
    if picture is not None:
        words = ["--picture", picture, *words]
    return run(python, "-m", "tests.window.walk", *words, check=False)


def fuzz(minutes: float) -> int:
    """Damaged files and killed backends until something fails or the time is over. For half of it files are guided by
    the lines of the readers that they reach, from where the last run ended, where atheris can be had; then both are
    from new seeds."""
    end = time.monotonic() + 60 * minutes
    if sys.platform == "linux":
        guided = needed(FUZZ, [*requirements("cpu"), "atheris>=3", "hypothesis", "pytest"])
        kinds = sorted({path.suffix for path in (ROOT / "tests/formats/corpus").iterdir()})
        for kind in kinds:
            say(kind)
            seconds = max(1, round(30 * minutes / len(kinds)))
            run(guided, "-m", "tests.formats.fuzz", kind, BUILD / "fuzz", "--seconds", seconds)
    files = "tests/formats/test_fuzz.py", "tests/server/test_kills.py"
    words = main_environment(), "-m", "pytest", "-x", "-p", "no:cacheprovider", *files
    while time.monotonic() < end:
        seed = time.time_ns() % (1 << 32)
        say(f"seed {seed}")
        more = {"OMOMI_FUZZ_EXAMPLES": "500", "OMOMI_KILLS": "20", "OMOMI_KILLS_SEED": str(seed)}
        run(*words, f"--hypothesis-seed={seed}", env={**os.environ, **more})
    return 0


def faults() -> int:
    """Every place where memory, the disk or a process can fail: about an hour."""
    settings = {**os.environ, "OMOMI_FAULTS": "all", "OMP_NUM_THREADS": "1"}
    words = "-m", "pytest", "-p", "no:cacheprovider", "-n", min(os.cpu_count() or 1, MOST_WORKERS), "tests/faults"
    return run(main_environment(), *words, check=False, env=settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("demo").add_argument("--picture", type=Path, help="also copy the before/after picture here")
    tests = verbs.add_parser("test")
    tests.add_argument("--fast", action="store_true", help="no Blender but the main one")
    tests.add_argument("--all", action="store_true", help="every suite of the add-on in each Blender")
    tests.add_argument("only", nargs="*", help="these test files or folders in place of all that need no Blender")
    for verb in ("stage", "build"):
        verbs.add_parser(verb).add_argument("--all-platforms", action="store_true")
    verbs.add_parser("validate")
    walk = verbs.add_parser("window")
    walk.add_argument("--blender", default="blender", help="the program")
    walk.add_argument("--bundled", action="store_true", help="with the libraries in the zip (Blender from blender.org)")
    walk.add_argument("--picture", type=Path, help="also put the manual's picture of the window here")
    walk.add_argument("steps", nargs="*", help="these steps in place of all")
    verbs.add_parser("fuzz").add_argument("--minutes", type=float, default=10.0, metavar="N")
    verbs.add_parser("faults")
    verbs.add_parser("bench").add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    platforms = list(PLATFORMS) if getattr(options, "all_platforms", False) else [own_platform()]
    try:
        match options.verb:
            case "demo":
                return demo(options.picture)
            case "test":
                return test(options.fast, options.all, options.only)
            case "stage":
                say(f"staged {stage(platforms).relative_to(ROOT)}")
            case "build" | "validate":
                build(platforms)
            case "window":
                return window(options.blender, options.bundled, options.picture, options.steps)
            case "fuzz":
                return fuzz(options.minutes)
            case "faults":
                return faults()
            case "bench":
                python = needed(BENCH, requirements("cpu", "bench"))
                return run(python, "-m", "backend", "bench", *options.arguments, check=False)
    except Failed as failure:
        print(f"build_addon.py: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
