"""The benchmark of edits that the network makes knows its truth, and counts what is wrong, refusals included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.scan.prepare import prepare
from tests.benchmarks.bars import Journal
from tests.benchmarks.bench_weights import bars, edit_table, figures
from tests.benchmarks.weight_cases import AWAY, EDITS, ELSEWHERE, PLATE, REPEATED, edited_member

KINDS = [(edit, away) for edit in (*EDITS, *REPEATED) for away in (False, True) if not away or edit in ELSEWHERE]


@pytest.mark.parametrize(("edit", "elsewhere"), KINDS)
def test_scans_of_a_member_lie_on_its_solids_and_the_edit_changes_them(edit: str, elsewhere: bool) -> None:
    member = edited_member(edit, 3, elsewhere)
    for scan, solid in zip((member.before, member.after), member.solids, strict=True):
        own = (scan.points - member.offset) / member.scale @ member.turn
        assert np.percentile(np.abs(solid(own)), 99) < 0.012
        assert np.linalg.norm(own, axis=1).max() < 1.05
    before, after = member.inside(prepare(member.before).frame, 64)
    share = (before ^ after).sum() / before.sum()
    assert 0.005 < share < 0.2


def test_the_truth_is_the_solid_at_the_centres_of_all_voxels() -> None:
    member, resolution = edited_member("bore", 4), 32
    frame = prepare(member.before).frame
    line = (np.arange(resolution) + 0.5) * (2 / resolution) - 1
    centres = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    own = (frame.to_world(centres) - member.offset) / member.scale @ member.turn
    for solid, inside in zip(member.solids, member.inside(frame, resolution), strict=True):
        assert ((solid(own) < 0).reshape(inside.shape) == inside).all()


def test_members_follow_their_number_and_a_part_elsewhere_is_neither_near_nor_lost() -> None:
    first, again, other = (edited_member("bore", seed) for seed in (5, 5, 6))
    assert (first.before.points == again.before.points).all()
    assert first.scale != other.scale
    plane = np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    middle = np.append(plane, np.zeros((len(plane), 1)), axis=1)
    for seed in range(3):
        before, after = (solid(middle) < 0 for solid in edited_member("bore", seed, elsewhere=True).solids)
        away = np.linalg.norm(plane[before & ~after].mean(axis=0) - (0.3, 0.0)) / (2 * PLATE)
        assert AWAY[0] - 0.01 < away < AWAY[1] + 0.01


def test_an_example_shows_one_of_several_parts_and_the_truth_all_of_them() -> None:
    for edit in REPEATED:
        one, every = (edited_member(edit, 3, example=shown) for shown in (True, False))
        assert (one.before.points == every.before.points).all()
        solids = [member.inside(prepare(member.before).frame, 64) for member in (one, every)]
        shown, wanted = (figures(before, before, (before, after)) for before, after in solids)
        assert shown["parts"] == 1 and 3 <= wanted["parts"] <= 5 and wanted["made"] == 0
        before, after = solids[1]
        assert figures(after, before, (before, after))["made"] == wanted["parts"]


def test_figures_of_the_truth_of_nothing_done_and_of_a_change_far_away() -> None:
    axes = np.indices((40, 40, 40))
    before = np.asarray(np.abs(axes - 20).max(axis=0) < 8)
    after = np.logical_and(before, np.hypot(axes[0] - 20, axes[1] - 20) > 3)
    truth = before, after
    done, nothing = figures(after, before, truth), figures(before, before, truth)
    assert (done["E_in"], done["beside"], done["drift"]) == (0, 0, 0)
    assert (nothing["E_in"], nothing["beside"], nothing["drift"]) == (1, 0, 0)
    assert done["betti"] == done["betti_truth"] == [1, 1, 0] and nothing["betti"] == [1, 0, 0]
    strayed, spilled = after.copy(), after.copy()
    strayed[0, :2, 0] = True
    spilled[20, 24, 20] = False
    volume = (before ^ after).sum()
    assert figures(strayed, before, truth)["drift"] == pytest.approx(2 / volume)
    assert figures(spilled, before, truth)["beside"] == pytest.approx(1 / volume)
    # what the fit has wrong there anyway is not the edit's fault
    assert figures(spilled, before & spilled | (before ^ after), truth)["beside"] == pytest.approx(0)


def test_a_refusal_counts_as_nothing_done_and_has_no_times() -> None:
    case = {"part": "edits", "edit": "fill", "k": 3, "elsewhere": False, "beside": 0.0, "drift": 0.0}
    case |= {"parts": 1, "made": 1}
    done = {"E_in": 0.02, "betti": [1, 2, 0], "betti_truth": [1, 2, 0], "gear": "delta"}
    done |= {"seconds": 1.0, "first_frame": 0.2, "runs": 3}
    refused = {"E_in": 1.0, "betti": [1, 3, 0], "betti_truth": [1, 2, 0], "refused": "not alike"}
    learning = {"part": "learning", "edit": "fill", "k": 3, "seconds": 2.0, "gear": "delta"}
    rows = [learning, case | done, case | refused, case | refused | {"elsewhere": True}]
    found = {bar.name: bar for bar in bars(rows)}
    assert found["fill, k = 3: median E_in"].value == pytest.approx(0.51)
    assert found["fill elsewhere: median E_in"].value == 1
    assert found["Betti numbers are right"].value == 0.5
    assert found["new mesh, median (s)"].cases == found["deltas: the network runs"].cases == 1
    assert "fill, k = 1: median E_in" not in found
    assert len(edit_table(rows).splitlines()) == 4
    assert {bar.value for bar in bars([learning | {"refused": "", "seconds": 0.0}])} == {None, 0.0}


def test_a_journal_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    Journal(tmp_path / "rows.json", False).add([{"edit": "fill", "k": 3}])
    assert Journal(tmp_path / "rows.json", True).known(edit="fill", k=3)
    assert not Journal(tmp_path / "rows.json", True).known(edit="fill", k=1)
    assert not Journal(tmp_path / "rows.json", False).rows
