"""Coverage-guided fuzzing of every reader, by atheris: inputs that reach new lines are kept and changed further.

python -m tests.formats.fuzz SUFFIX FOLDER [--seconds N]

One process looks at one kind of file. What it finds worth keeping lies in FOLDER/SUFFIX, for the next run; what a
reader failed on in FOLDER, and the exit code is not 0 then. `python3.11 build_addon.py fuzz` runs all kinds in turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["backend.formats", "backend.protocol", "backend.edits.masks"]):
    from tests.formats.test_fuzz import CORPUS, look

LONGEST = 1 << 14
"""Bytes of a file: what is short is looked at often."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suffix", choices=sorted({path.suffix for path in CORPUS}))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    seeds, kept = options.folder / "seeds" / options.suffix[1:], options.folder / options.suffix[1:]
    for folder in (seeds, kept):
        folder.mkdir(parents=True, exist_ok=True)
    for path in CORPUS:
        if path.suffix == options.suffix:
            (seeds / path.name).write_bytes(path.read_bytes())
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"damaged{options.suffix}"

        def one(data: bytes) -> None:
            path.write_bytes(data)
            look(path)

        limits = f"-max_total_time={options.seconds}", f"-max_len={LONGEST}", "-timeout=5", "-rss_limit_mb=2048"
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={options.folder}/found-", str(kept), str(seeds)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
