"""The verbs of the command line that edit scans, and those of the prior over shapes. Importing this is cheap, as for
``cli``."""

from __future__ import annotations

import argparse
from typing import Any

from . import align, audit, batch, blend, edit, learn, sample, score, solve, sweep


def add_verbs(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    for module in (learn, edit, sweep, blend, solve, batch, sample, score, align, audit):
        module.add(verbs, parents)
