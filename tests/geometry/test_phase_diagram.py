"""The phase picture."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from backend.geometry.phase_diagram import phase_picture
from backend.geometry.topology import Betti
from backend.geometry.topology_sweep import Solid, Sweep, refine, sweep

SVG = "{http://www.w3.org/2000/svg}"


def picture(swept: Sweep, title: str) -> ElementTree.Element:
    assert swept.unstable is not None
    drawn = swept.strengths, swept.betti, swept.safe_interval(), swept.unstable, title, 0.0
    found = phase_picture(*drawn)
    assert found == phase_picture(*drawn)
    return ElementTree.fromstring(found)


def test_the_phase_picture_draws_what_the_sweep_found() -> None:
    solid = Solid(
        lambda strength: Betti(1 + (strength > 0.5), 0, 0), lambda strength: Betti(1 + (strength > 0.52), 0, 0)
    )
    swept = refine(solid, sweep(solid, -1, 1, 10, check=True), 2 / 1024)
    drawn = picture(swept, "Thick & <thin>")
    by_class = {item.get("class"): item for item in drawn.iter() if item.get("class")}
    assert by_class["title"].text == "Thick & <thin>"
    safe, line = by_class["safe"], by_class["transition"]
    left, right = float(safe.get("x", 0)), float(safe.get("x", 0)) + float(safe.get("width", 0))
    frame = next(item for item in drawn.iter(f"{SVG}rect") if item.get("stroke"))
    start, width = float(frame.get("x", 0)), float(frame.get("width", 0))
    assert left == start and right == pytest.approx(start + 0.75 * width, abs=1)
    assert float(line.get("x1", 0)) == pytest.approx(start + 0.75 * width, abs=1)
    assert float(by_class["value"].text or "nan") == pytest.approx(0.5, abs=0.0015)
    steps = by_class["pieces"].get("d", "").split()
    assert steps[2] == f"H{float(line.get('x1', 0)):.2f}" and steps[3].startswith("V")
    assert " V" not in by_class["tunnels"].get("d", "")
    assert float(by_class["unstable"].get("width", 0)) > 0


def test_the_phase_picture_takes_a_crowd_of_transitions_and_refuses_nonsense() -> None:
    strengths = np.linspace(0, 1e-3, 60)
    crowd = np.arange(60)[:, None] % [2, 3, 50]
    drawn = ElementTree.fromstring(phase_picture(strengths, crowd, (0.0, 0.0), np.zeros(60, bool), "Crowd", None))
    places = [float(number) for item in drawn.iter(f"{SVG}text") for number in (item.get("x", 0), item.get("y", 0))]
    assert min(places) > 0 and max(places) < 720
    for x, counts in (
        ([0.0], [[1, 0, 0]]),
        ([0, 0], [[1, 0, 0]] * 2),
        ([0, 1], [[1, 0]] * 2),
        ([0, np.inf], [[1, 0, 0]] * 2),
    ):
        with pytest.raises(ValueError, match="strengths"):
            phase_picture(x, counts, (0.0, 0.0), [False] * len(x), "Nonsense", None)
