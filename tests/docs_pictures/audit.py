"""The README's picture of the audit: the top of its page, as a browser shows it.

python -m tests.docs_pictures.audit [-o tests/docs_pictures/audit.png] [--model FOLDER]

Needs the `bench` extra and Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from backend.field.onnx_model import MODEL_FOLDER
from backend.prior.shape_prior import load_prior
from backend.report.audit import audit_page
from backend.report.card import read_card

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDE, TALL = 1180, 1350
COLOURS = 256


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, default=Path("tests/docs_pictures/audit.png"))
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, metavar="FOLDER")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("The picture needs Chromium or Chrome.", file=sys.stderr)
        return 1
    page = audit_page(read_card(options.model / "card.json"), load_prior(options.model).archive)
    with tempfile.TemporaryDirectory() as folder:
        file, shot = Path(folder, "audit.html"), Path(folder, "audit.png")
        file.write_bytes(page)
        # it may be run as root, where the sandbox does not start; the page has no scripts and fetches nothing
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        size = (f"--user-data-dir={folder}/profile", f"--window-size={WIDE},{TALL}")
        subprocess.run(
            [browser, *quiet, *size, f"--screenshot={shot}", file.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(shot) as picture:
            few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(options.output, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
