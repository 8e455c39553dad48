"""How many of the places where something can fail are tried: a few, always the same ones, or all of them with
OMOMI_FAULTS=all, as `python3.11 build_addon.py faults` does."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import pytest

ALL = os.environ.get("OMOMI_FAULTS") == "all"
Share: TypeAlias = Callable[[Sequence[int], int], list[int]]


@pytest.fixture
def share(record_property: Callable[[str, object], None]) -> Share:
    """So many of the places, spread over all of them."""

    def chosen(places: Sequence[int], few: int) -> list[int]:
        chance, edges = random.Random(0), [len(places) * step // few for step in range(few + 1)]
        some = [places[chance.randrange(low, high)] for low, high in pairwise(edges) if low < high]
        tried = list(places) if ALL else some
        record_property("places", len(tried))
        return tried

    return chosen


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    tried = sum(value for report in reports for name, value in report.user_properties if name == "places")
    terminalreporter.line(f"{tried} places tried")
