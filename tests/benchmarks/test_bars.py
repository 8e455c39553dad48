"""The benchmark counts failures, ignores cases without a figure, and sets its verdicts the right way
round."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from tests.benchmarks.bars import Bar, quality_bars, table, verdict, write_report
from tests.benchmarks.shape_cases import slider_bars


def scores(chamfer: float, unseen: float | None, handles: int, watertight: bool = True) -> dict:
    return {
        "CD": chamfer,
        "comp_unseen": unseen,
        "NC": 0.9,
        "mesh": {"watertight": watertight, "edge_manifold": True, "winding_consistent": True},
        "betti_difference": {"b0": 0, "b1": handles, "b2": 0},
        "betti_truth_agrees": True,
        "uncertainty": {"spearman": 0.6, "AUROC_unseen": None, "coverage_90": 0.9},
    }


def case(condition: str, ours: dict | None, peer: dict | None, smooth: dict | None = None) -> dict:
    return {"model": "m", "condition": condition, "level": 2, "ours": ours, "peer": peer, "smooth": smooth}


def test_ratios_are_geometric_means_over_the_cases_that_have_the_figure() -> None:
    records = [
        case("B", scores(0.001, None, 0), scores(0.004, 0.02, 0)),
        case("B", scores(0.004, 0.01, 5), scores(0.004, 0.05, 1)),
        case("B", None, scores(0.004, 0.05, 0)),
        case("D", scores(0.002, 0.01, 0, watertight=False), None, scores(0.004, 0.04, 0)),
    ]
    found = {bar.name: bar for bar in quality_bars(records, 2)}
    assert found["chamfer / peer, B"].value == pytest.approx(0.5)
    assert found["chamfer / peer, B"].cases == 2
    assert found["chamfer / peer, B"].passed
    assert found["unseen error / peer, B"].value == pytest.approx(0.2)
    assert found["unseen error / smooth surface, D"].value == pytest.approx(0.25)
    assert found["sigma: 90 % interval covers at most"].passed
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


def test_a_missed_bar_is_the_exit_status_and_the_report_says_what_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, missed = Bar("kept", 1.0, 2.0, True, 3), Bar("missed", 1.0, 2.0, False, 3)
    assert [verdict([], [kept]), verdict(["a table"], [kept, missed])] == [0, 1]
    assert "a table\n\n" in capsys.readouterr().out
    write_report(tmp_path / "r.json", Namespace(out=tmp_path), {"rows": [1]}, [missed])
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["options"] == {"out": str(tmp_path)} and found["rows"] == [1]
    assert [bar["passed"] for bar in found["bars"]] == [False]


def test_the_scores_that_training_writes_of_sliders_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    release, metrics = (
        pytest.importorskip(f"backend.training.{name}") for name in ("release", "disentanglement_metrics")
    )
    summary = {"mean": 0.5, "sd": 0.1}
    scores = {kind: dict.fromkeys(metrics.SCORES, summary) for kind in ("sliders", "components")}
    side = {"decoded": {"bent": {"mean": 0.1, "sd": 0.0}, "components": summary}}
    measured = {"space": "z", "settings": {}, "sliders": [], "cpu_seconds": 1.0}
    # The experiment is told what it finds, so that no codes are needed either.
    monkeypatch.setattr(release, "field_components", lambda: None)
    monkeypatch.setattr(release, "experiment", lambda *_: measured | {"scores": scores, "side_effect": side})
    found = slider_bars(release.slider_study(release.Recursion(), release.ExperimentSize(seeds=3)))
    assert [(bar.value, bar.limit, bar.cases, bar.passed) for bar in found] == [
        (0.5, 0.8, 3, False),
        (0.5, 0.4, 3, True),
        (0.1, 0.15, 3, True),
    ]
    assert [bar.passed for bar in slider_bars({})] == [None] * 3
