"""The benchmark counts failures, ignores cases without a figure, and sets its verdicts the right way
round."""

from __future__ import annotations

import pytest

from tests.benchmarks.bars import Bar, quality_bars, table


def scores(chamfer: float, unseen: float | None, handles: int, watertight: bool = True) -> dict:
    return {
        "CD": chamfer,
        "comp_unseen": unseen,
        "NC": 0.9,
        "mesh": {"watertight": watertight, "edge_manifold": True, "winding_consistent": True},
        "betti_difference": {"b0": 0, "b1": handles, "b2": 0},
        "betti_truth_agrees": True,
        "uncertainty": {"spearman": 0.6, "AUROC_unseen": None},
    }


def case(condition: str, ours: dict | None, peer: dict | None) -> dict:
    return {"model": "m", "condition": condition, "level": 2, "ours": ours, "peer": peer}


def test_ratios_are_geometric_means_over_the_cases_that_have_the_figure() -> None:
    records = [
        case("B", scores(0.001, None, 0), scores(0.004, 0.02, 0)),
        case("B", scores(0.004, 0.01, 5), scores(0.004, 0.05, 1)),
        case("B", None, scores(0.004, 0.05, 0)),
        case("D", scores(0.002, 0.01, 0, watertight=False), None),
    ]
    found = {bar.name: bar for bar in quality_bars(records, 2)}
    assert found["chamfer / peer, B"].value == pytest.approx(0.5)
    assert found["chamfer / peer, B"].cases == 2
    assert found["chamfer / peer, B"].passed
    assert found["unseen error / peer, B"].value == pytest.approx(0.2)
    assert found["chamfer / peer, D"].value is None and found["chamfer / peer, D"].passed is None
    assert found["watertight, manifold, consistent"].value == pytest.approx(0.5)
    assert found["watertight, manifold, consistent"].passed is False
    assert found["Betti errors not above the peer's"].value == pytest.approx(0.5)
    assert found["sigma: Spearman"].passed
    assert found["sigma: AUROC unseen"].cases == 0
    assert all(bar.cases == 0 for bar in quality_bars(records, 3))


def test_a_figure_on_the_bar_passes_from_either_side() -> None:
    assert Bar("a", 1.0, 1.0, True, 1).passed and Bar("b", 1.0, 1.0, False, 1).passed
    assert not Bar("a", 1.01, 1.0, True, 1).passed and not Bar("b", 0.99, 1.0, False, 1).passed


def test_table_columns_line_up() -> None:
    lines = table(["a", "long head"], [["first cell", "1"], ["", "22"]]).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
