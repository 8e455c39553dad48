"""The verbs of the command line that edit scans. Importing this is cheap, as for ``cli``."""

from __future__ import annotations

import argparse
from typing import Any

from . import batch, blend, edit, learn, solve, sweep


def add_verbs(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    for module in (learn, edit, sweep, blend, solve, batch):
        module.add(verbs, parents)
