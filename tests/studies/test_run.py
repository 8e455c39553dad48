"""The command ``omomi study`` on small made-up studies: its table, JSON, page, and what it does when one fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from backend.cli.main import main as command_line
from backend.report.pictures import png
from backend.studies import study as harness
from backend.studies.run import main, studies_page
from backend.studies.study import (
    STUDIES,
    Claim,
    Findings,
    Mean,
    Say,
    Sheet,
    Size,
    Source,
    Study,
    find_study,
    over_seeds,
    run_study,
)

CLAIMS = (
    Claim("C1", "two and two", 4.0, 4.0, 4.0, source=Source.EXACT),
    Claim(
        "C2",
        "error of a die <cast> twice",
        0.2,
        high=0.15,
        spread=float(np.std([0.1, 0.3], ddof=1)),
        seeds=2,
        note="Dice & chance.",
    ),
    Claim("C3", "time that it took (s)", 1.5, note="On a slow day."),
    Claim("C4", "what cannot be measured", float("nan"), low=0.0),
)


def made_up(size: Size, out: Path, say: Say) -> Findings:
    say("looking")
    print("a stray print")
    (out / "picture.png").write_bytes(png(np.zeros((2, 2), np.uint8)))
    figures = ((out / "picture.png", "Nothing <at all>"),)
    return Findings(
        "Made up", "Nobody 2026", CLAIMS, figures, {"size": size.value, "rows": np.arange(3), "far": np.inf}
    )


def failing(size: Size, out: Path, say: Say) -> Findings:
    raise ValueError("the dice are lost")


def only(study: Study = made_up, *missing: str) -> Callable[[str], Study]:
    """Finds ``study`` under every name but the missing ones."""

    def find(name: str) -> Study:
        if name in missing:
            raise ImportError(f"No module named '{name}'")
        return study

    return find


class Images(HTMLParser):
    """Sources of the images and links of a page, and whatever else it would fetch or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        self.links += [value or "" for name, value in attrs if name == "href"]


def test_a_study_prints_every_claim_with_its_target_spread_verdict_and_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fractal", "--out", str(tmp_path)], only()) == 0
    printed, errors = capsys.readouterr()
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "two and two" in rows["C1"] and rows["C1"].split()[-2:] == ["met", "exact"]
    assert "≤ 0.15" in rows["C2"] and "0.2 ± 0.14 (2)" in rows["C2"] and "missed" in rows["C2"]
    assert "reported" in rows["C3"] and "missed" in rows["C4"]
    assert "C2, missed: Dice & chance." in printed and "C4, missed: no reason is known." in printed
    assert "1 of 3 claims met" in printed
    assert "a stray print" not in printed and "fractal: looking" in errors


def test_at_the_small_size_a_miss_is_put_down_to_the_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["fractal", "--out", str(tmp_path), "--size", "test"], only())
    assert "C4, missed: at this size nothing is learned to the end." in capsys.readouterr().out


def test_what_was_measured_is_kept_as_json_with_seconds_seeds_and_device(tmp_path: Path) -> None:
    main(["xy-model", "--out", str(tmp_path), "--size", "test"], only())
    kept = json.loads((tmp_path / "xy-model.json").read_text("utf-8"))
    assert (kept["size"], kept["data"]["size"], kept["seeds"]) == ("test", "test", 2)
    assert kept["seconds"] >= 0 and kept["cpu_seconds"] >= 0
    assert kept["device"]["processor"] and kept["device"]["versions"]["numpy"] == np.__version__
    assert kept["data"]["rows"] == [0, 1, 2] and kept["data"]["far"] is None
    assert [claim["verdict"] for claim in kept["claims"]] == ["met", "missed", "reported", "missed"]
    assert kept["claims"][1]["spread"] == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert kept["claims"][3]["measured"] is None and kept["claims"][0]["source"] == "exact"
    assert (tmp_path / kept["figures"][0]["file"]).is_file()


def test_json_is_one_object_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all", "--out", str(tmp_path), "--json"], only(made_up, "fractal")) == 1
    printed, errors = capsys.readouterr()
    told = json.loads(printed)
    assert [each["study"] for each in told["studies"]] == list(STUDIES)
    assert Path(told["page"]).is_file()
    assert "fractal is not part of this installation" in told["studies"][-1]["error"]
    assert "fractal is not part of this installation" in errors


def test_a_study_that_fails_or_is_missing_ends_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def find(name: str) -> Study:
        return failing if name == "disentanglement" else only(made_up, "flow-alignment")(name)

    assert main(["all", "--out", str(tmp_path)], find) == 1
    printed, errors = capsys.readouterr()
    assert "disentanglement: The study disentanglement failed: ValueError: the dice are lost." in printed
    assert "flow-alignment is not part of this installation: No module named 'flow-alignment'." in printed
    assert "3 of 9 claims met, 2 of 5 studies failed" in printed and "Traceback" in errors
    assert "error" in json.loads((tmp_path / "disentanglement.json").read_text("utf-8"))
    assert "the dice are lost" in (tmp_path / "studies.html").read_text("utf-8")


def test_missed_claims_are_no_failure_of_the_command(tmp_path: Path) -> None:
    assert main(["all", "--out", str(tmp_path)], only()) == 0


def test_the_page_needs_no_other_file_and_escapes_what_it_shows(tmp_path: Path) -> None:
    main(["all", "--out", str(tmp_path)], only())
    page = (tmp_path / "studies.html").read_text("utf-8")
    found = Images(page)
    assert len(found.sources) == len(STUDIES) and all(one.startswith("data:image/png;base64,") for one in found.sources)
    assert set(found.links) == {f"#{name}" for name in STUDIES}
    assert "script" not in found.tags and "link" not in found.tags
    assert "prefers-color-scheme: dark" in page
    assert "&lt;cast&gt;" in page and "<cast>" not in page


def test_the_page_has_a_table_per_study_and_a_note_per_missed_claim(tmp_path: Path) -> None:
    main(["all", "--out", str(tmp_path)], only())
    page = (tmp_path / "studies.html").read_text("utf-8")
    assert page.count("<table>") == len(STUDIES)
    assert page.count("Dice &amp; chance.") == len(STUDIES)
    assert page.count("<li><b>C4</b>: no reason is known.</li>") == len(STUDIES)
    assert page.count("On a slow day.") == len(STUDIES)


def test_a_page_of_the_same_outcomes_is_the_same(tmp_path: Path) -> None:
    found = run_study("fractal", Size.TEST, tmp_path, lambda text: None, only())
    assert studies_page([found], tmp_path) == studies_page([found], tmp_path)


@pytest.mark.parametrize("name", STUDIES)
def test_a_sheet_has_keys_of_its_own_and_targets_that_can_be_read(name: str) -> None:
    sheet = Sheet.of(name)
    keys = [row[0] for row in sheet.rows]
    assert len(set(keys)) == len(keys) > 15 and all(len(row) == 5 for row in sheet.rows)
    assert "arXiv" in sheet.paper and len(sheet.figures) >= 4
    assert set(sheet.plans) == set(Size)


@pytest.mark.parametrize("name", STUDIES)
def test_a_plan_has_what_its_study_reads_and_nothing_else(name: str) -> None:
    package = Path(harness.__file__).parent / name.replace("-", "_")
    read = {word for path in package.glob("*.py") for word in re.findall(r"\bplan\.(\w+)", path.read_text("utf-8"))}
    assert all(vars(plan).keys() == read for plan in Sheet.of(name).plans.values())


def test_claims_are_the_measured_rows_of_a_sheet_with_their_bounds() -> None:
    rows = (
        ("a", "at least {bar}", "≥ {bar}", "exact", ""),
        ("b", "about two", "2 ± 0.5", "", "{bar} of them"),
        ("c", "three", "= 3", "", ""),
        ("d", "never asked {nothing}", "", "", ""),
        ("e", "as it is", "", "computed", ""),
    )
    measured = over_seeds([{"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 3.0}]) | {"e": Mean(4.0, 0.5, 3), "c": 3}
    found = Sheet("T", "P", rows, {}, {}).claims(measured, {"bar": 1.5})
    assert [(one.key, one.target, one.verdict) for one in found] == [
        ("a", "≥ 1.5", "met"),
        ("b", "1.5 to 2.5", "met"),
        ("c", "3", "met"),
        ("e", "reported", "reported"),
    ]
    assert found[0].what == "at least 1.5" and found[0].spread == pytest.approx(np.std([1, 2], ddof=1))
    assert (found[1].note, found[1].source, found[1].seeds) == ("1.5 of them", Source.PROPOSED, 2)
    assert (found[3].measured, found[3].spread, found[3].seeds, found[3].source) == (4.0, 0.5, 3, Source.COMPUTED)
    with pytest.raises(KeyError, match="no row for z"):
        Sheet("T", "P", rows, {}, {}).claims({"z": 1.0}, {})
    with pytest.raises(ValueError, match="about 3 is not a target"):
        Sheet("T", "P", (("a", "", "about 3", "", ""),), {}, {}).claims({"a": 1.0}, {})


def test_hyphens_of_a_name_are_underscores_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def import_module(name: str, package: str | None) -> object:
        asked.append(f"{package}{name}")
        raise ImportError

    monkeypatch.setattr(harness.importlib, "import_module", import_module)
    with pytest.raises(ImportError):
        find_study("xy-model")
    assert asked == ["backend.studies.xy_model.study"]


def test_the_command_line_knows_studies(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(["study", "alchemy"])
    assert ended.value.code == 2
    assert "phase-transition" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    assert command_line(["study", "fractal", "--out", str(tmp_path / "taken")]) == 1
    assert "a part of its path is not a folder" in capsys.readouterr().err
