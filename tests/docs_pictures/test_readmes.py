"""READMEs: figures come from commands, pictures from scripts, links lead somewhere, the first page is short."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from backend.cli.main import _parser
from backend.report import manual_page
from backend.studies.study import STUDIES
from tests import docs_tables
from tests.benchmarks import NAMES

ROOT = Path(__file__).resolve().parents[2]
PICTURES = Path(__file__).parent
PAGES = [ROOT / name / "README.md" for name in (".", "blender_addon", "backend")] + [*docs_tables.PAGES]
ON_THE_FIRST_PAGE = 8192
"""Bytes."""
LINK = re.compile(r"\]\(([^)#]+)")


@pytest.mark.parametrize("page", docs_tables.PAGES, ids=lambda page: page.parent.name)
def test_tables_are_what_their_command_writes(page: Path) -> None:
    text = page.read_text("utf-8")
    assert docs_tables.filled(text) == text, "run python -m tests.docs_tables"


def test_every_benchmark_and_study_has_its_table() -> None:
    text = "".join(page.read_text("utf-8") for page in docs_tables.PAGES)
    assert all(f"<!-- table: bars {name} -->" in text for name in NAMES)
    assert all(f"<!-- table: study {name} -->" in text for name in STUDIES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_picture_is_shown() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    shown = {Path(target).name for target in LINK.findall(text)}
    assert {path.name for path in PICTURES.iterdir() if path.suffix in (".png", ".svg")} <= shown


def test_the_first_page_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= ON_THE_FIRST_PAGE


def test_a_stored_run_fills_its_table_and_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_tables, "CARD", tmp_path / "card.json")
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path / "results")
    (tmp_path / "card.json").write_text('{"hash": "abc"}')
    bar = {"name": "time", "value": 0.5, "limit": 1.0, "at_most": True, "cases": 3, "passed": True}
    run = tmp_path / "bench_fit.json"
    page = "<!-- table: bars fit -->\n<!-- end -->"
    assert "run `python3.11 build_addon.py bench fit`" in docs_tables.filled(page)
    run.write_text(json.dumps({"options": {"quick": "True"}, "tables": ["| a |"], "bars": [bar]}))
    with pytest.raises(SystemExit, match="quick run"):
        docs_tables.keep(run)
    run.write_text(json.dumps({"options": {"quick": "False"}, "tables": ["| a |"], "bars": [bar]}))
    docs_tables.keep(run)
    told = docs_tables.filled(page)
    assert "model `abc`" in told and "| a |" in told and "not measured" not in told
    assert re.search(r"\| time +\| ≤ 1 +\| 0.5 +\| 3 +\| pass", told)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card == {"hash": "abc", "bench_fit": {"time": {"measured": 0.5, "bar": 1.0, "passed": True}}}


def test_a_stored_study_fills_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_tables, "RESULTS", tmp_path / "results")
    claim = {"key": "C1", "what": "|x|", "measured": 0.5, "spread": 0.1, "target": "≥ 1", "verdict": "missed"}
    run = {"study": "fractal", "size": "test", "seconds": 1.0, "device": {}, "met": 0, "judged": 1, "claims": [claim]}
    page = "<!-- table: study fractal -->\n<!-- end -->"
    assert "run `omomi study fractal`" in docs_tables.filled(page)
    (tmp_path / "fractal.json").write_text(json.dumps(run))
    with pytest.raises(SystemExit, match="not a whole run"):
        docs_tables.keep(tmp_path / "fractal.json")
    (tmp_path / "fractal.json").write_text(json.dumps(run | {"size": "whole"}))
    docs_tables.keep(tmp_path / "fractal.json")
    assert "| C1: \\|x\\| " in docs_tables.filled(page) and "**missed**" in docs_tables.filled(page)


def source() -> str:
    files = [path for top in ("backend", "blender_addon") for path in (ROOT / top).rglob("*.py")]
    return "".join(path.read_text("utf-8") for path in files)


def test_the_backend_page_names_what_is_there() -> None:
    text = (ROOT / "backend" / "README.md").read_text("utf-8")
    files = re.findall(r"`([\w./]+(?:/|\.py|\.json))`", text)
    assert len(files) > 20
    assert not [name for name in files if not ((ROOT / "backend" / name).exists() or (ROOT / name).exists())]
    code, names = source(), re.findall(r"`([A-Z_]{4,}|_[a-z]+|[A-Z][a-z]+[A-Z]\w+)`", text)
    assert len(names) > 8 and not [name for name in names if not re.search(rf"\b{name}\b", code)]


@pytest.mark.parametrize(("page", "count"), [("README.md", 8), ("blender_addon/README.md", 7)])
def test_the_commands_of_the_pages_are_understood(page: str, count: int) -> None:
    lines = re.findall(r"^omomi [^#\n]+", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert len(lines) == count
    for line in lines:
        _parser().parse_args(line.split()[1:])


class Tags(HTMLParser):
    """What a page opens and closes, where its links lead, and its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.links, self.places = [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [tag] if tag not in ("meta",) else []
        self.links += [value for name, value in attrs if name == "href"]
        self.places += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_of_the_manual_has_its_words_and_working_links() -> None:
    markdown = (ROOT / "blender_addon" / "README.md").read_text("utf-8")
    text = manual_page.page(markdown)
    tags = Tags(text)
    assert not tags.open and "<img" not in text
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), re.MULTILINE)
    assert tags.places == [manual_page.anchor(heading) for heading in headings]
    assert len(tags.links) > 10 and all(link[1:] in tags.places for link in tags.links if link.startswith("#"))
    assert text.count("<tr>") > 30 and text.count("<li>") > 20 and text.count("<pre>") == markdown.count("```") / 2
    # no mark of the source is left but in code
    assert not re.findall(r"\*\*|\]\(|^\|", re.sub(r"<(pre|code)>.*?</\1>", "", text, flags=re.DOTALL), re.MULTILINE)


def test_the_manual_quotes_messages_and_operators_that_are_there() -> None:
    manual = (ROOT / "blender_addon" / "README.md").read_text("utf-8")
    code = source()
    messages = re.findall(r'"([^"]+)"', manual[manual.index("## When it says no") : manual.index("## Scripts")])
    operators = re.findall(r"bpy\.ops\.(omomi\.\w+)", manual)
    assert len(messages) > 15 and not [message for message in messages if message not in code]
    assert len(operators) > 10 and not [name for name in operators if f'bl_idname = "{name}"' not in code]


@pytest.mark.parametrize("folder", ["benchmarks", "docs_pictures", "demo"])
def test_scripts_that_the_tests_do_not_run_import_what_is_there(folder: str) -> None:
    for path in sorted((ROOT / "tests" / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("backend"):
                found = importlib.import_module(node.module or "")
                missing = [alias.name for alias in node.names if not _has(found, alias.name)]
                assert not missing, f"{path.name}: {node.module} has no {missing}"


def _has(module: ModuleType, name: str) -> bool:
    below = hasattr(module, "__path__") and importlib.util.find_spec(f"{module.__name__}.{name}") is not None
    return below or hasattr(module, name)
