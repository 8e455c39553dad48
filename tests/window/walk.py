"""Walk through the artist's steps in a real window of Blender, on the screen or on one in memory.

python -m tests.window.walk --blender PROGRAM --package ZIP [--python PYTHON] -o FOLDER [STEP ...]

Pictures are taken by scrot, since Blender's own are black under a software renderer. Without a display Xvfb makes one.
Exits with 1 where a step failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from . import scans

SCREEN = ":93"
SIZE = 1600, 1000
BACKGROUND = "script"
"""The step that needs no window: the scripts of the manual."""
VIEW = 0, 20, 1310, 900
"""Of the 3D view in it."""


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", required=True)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--python", default="", help="the backend's; Blender's own if not given")
    parser.add_argument("-o", dest="folder", type=Path, required=True)
    parser.add_argument("--picture", type=Path, help="where the manual's picture of the window goes")
    parser.add_argument("steps", nargs="*", help="all of them if none is named")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    scans.write(options.folder)
    given = {"ZIP": options.package, "PYTHON": options.python, "FOLDER": options.folder}
    given["STEPS"] = " ".join(options.steps)
    env = {**os.environ, **{f"OMOMI_{name}": str(value) for name, value in given.items()}}
    env["BLENDER_USER_RESOURCES"] = str(options.folder / "profile")
    width, height = map(str, SIZE)
    screen = None
    if "DISPLAY" not in env:
        env |= {"DISPLAY": SCREEN, "LIBGL_ALWAYS_SOFTWARE": "1"}
        screen = subprocess.Popen(["Xvfb", SCREEN, "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"])
    try:
        code, factory = 0, [options.blender, "--factory-startup"]
        if not options.steps or BACKGROUND in options.steps:
            code = walk([*factory, "--background", "--python", str(Path(__file__).with_name("background.py"))], env)
        if options.steps != [BACKGROUND]:
            words = ["--enable-event-simulate", "--window-geometry", "0", "0", width, height]
            steps = ["--python", str(Path(__file__).with_name("steps.py"))]
            code = max(code, walk([*factory, *words, *steps], env))
        if options.picture is not None:
            shown = Image.open(options.folder / "check.png").crop(VIEW)
            shown.convert("P", palette=Image.Palette.ADAPTIVE, colors=200).save(options.picture, optimize=True)
        return code
    finally:
        if screen is not None:
            screen.terminate()


def walk(command: list[str], env: dict[str, str]) -> int:
    """Run Blender, take the pictures that it asks for, and tell the outcome of each step."""
    blender = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE)
    assert blender.stdout is not None
    failed = 0
    for line in blender.stdout:
        kind, _, told = line.strip().partition(" ")
        if kind == "PICTURE":
            subprocess.run(["scrot", "-o", told], env=env, check=True)
        elif kind == "STEP":
            step = json.loads(told)
            failed += bool(step["failure"])
            outcome = step["failure"] or "as it should be"
            print(f"{step['step']} ({step['seconds']:.0f} s): {step['what']}\n{outcome}", flush=True)
        else:
            print(line, end="", flush=True)
    print(f"{failed} steps failed")
    return 1 if blender.wait() or failed else 0


if __name__ == "__main__":
    sys.exit(main())
