"""The tables of figures in the READMEs, from the model's card and the stored results of benchmarks and studies.

    python -m tests.docs_tables                  fill the tables anew
    python -m tests.docs_tables --keep FILE ...  first store results: the JSON of a benchmark, or of ``omomi study``

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is written there by hand is lost. Where no
stored result holds the figures, the command that measures them stands in their place.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.report.card import Card, Spread, card_of
from tests.benchmarks.bars import number, table

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(ROOT / name / "README.md" for name in ("backend/models", "backend/studies", "tests/benchmarks"))
CARD = ROOT / "backend" / "models" / "card.json"
RESULTS = ROOT / "tests" / "benchmarks" / "results"
"""A file ``bench_NAME.json`` or ``study_NAME.json`` for each run that was stored."""
PLACE = re.compile(r"(<!-- table: ([\w-]+) ?([\w-]*) -->\n).*?(<!-- end -->)", re.DOTALL)
COMMANDS = {name: f"python -m backend bench {name}" for name in ("latency", "lost", "patch", "sliders", "weights")}
"""Of the benchmarks that need no environment of their own, or Blender in the same one."""
VERDICTS = {True: "pass", False: "**missed**", None: "not measured"}


def model_facts(card: Card, _: str) -> str:
    raw = card.raw or {}
    config, train = raw["config"], raw["train"]
    rows = [
        ["hash", f"`{card.hash}`"],
        ["weights", f"{card.parameters:,}"],
        ["channels of the atom", ", ".join(map(str, config["widths"]))],
        ["numbers of a code", str(config["code_width"])],
        ["last run: steps", str(raw["training"]["step"])],
        ["last run: minutes", f"{number((card.seconds or 0) / 60)} ({card.device})"],
        *([f"last run: {name.replace('_', ' ')}", str(value)] for name, value in train.items() if name != "minutes"),
    ]
    return table(["", "value"], rows)


def model_history(card: Card, _: str) -> str:
    return f"{card.history}."


def model_limits(card: Card, _: str) -> str:
    return "\n".join(f"- {line[0].upper()}{line[1:]}." for line in card.limits)


def bars_passed(card: Card, _: str) -> str:
    own: dict[str, list[bool]] = {}
    for bar in card.bars:
        own.setdefault(bar.bench, []).append(bar.passed is True)
    rows = [[f"`{command_of(name)}`", str(sum(found)), str(len(found))] for name, found in own.items()]
    total = [sum(found) for found in own.values()]
    return table(["benchmark", "passed", "of"], [*rows, ["all", str(sum(total)), str(len(card.bars))]])


def command_of(name: str) -> str:
    """What runs a benchmark."""
    return COMMANDS.get(name, f"python3.11 build_addon.py bench {name}")


def bars(card: Card, name: str) -> str:
    """The bars of a benchmark: of its stored result with a row for every case, or else as the card has them."""
    command, stored = command_of(name), RESULTS / f"bench_{name}.json"
    if stored.is_file():
        kept = json.loads(stored.read_text("utf-8"))
        rows = [
            [
                bar["name"],
                f"{'≤' if bar['at_most'] else '≥'} {bar['limit']:g}",
                number(bar["value"]),
                str(bar["cases"]),
                VERDICTS[bar["passed"]],
            ]
            for bar in kept["bars"]
        ]
        found = table(["measure", "to reach", "measured", "cases", ""], rows)
        return "\n\n".join([f"`{command}`, model `{kept['model']}`.", found, *kept["tables"]])
    if all(bar.bench != name for bar in card.bars):
        return f"Not measured on this version; run `{command}`."
    signs = {True: "≤ ", False: "≥ ", None: ""}
    rows = [
        [bar.name, f"{signs[bar.at_most]}{bar.limit:g}", number(bar.measured), VERDICTS[bar.passed]]
        for bar in card.bars
        if bar.bench == name
    ]
    cases = f"A row for every case: not measured on this version; run `{command}`."
    found = table(["measure", "to reach", "measured", ""], rows)
    return "\n\n".join(["From the card, measured on an earlier version.", found, cases])


def calibration(card: Card, _: str) -> str:
    curves = [*card.calibration, *([card.few_shot] if card.few_shot else ())]
    rows = [[curve.name, *(f"{100 * curve.held(share):.1f} %" for share in (0.5, 0.9))] for curve in curves]
    return table(["", "range said to hold 50 % holds", "range said to hold 90 % holds"], rows)


def sliders(card: Card, _: str) -> str:
    rows = [
        [
            slider.name,
            slider.kind,
            f"{number(slider.low)} to {number(slider.high)}",
            slider.unit or "-",
            number(slider.side_effect),
        ]
        for slider in card.sliders
    ]
    return table(["slider", "kind", "range", "unit", "side effect (sd)"], rows)


def disentanglement(card: Card, _: str) -> str:
    """A row for each measure: on the codes of one family and on z, each beside principal components."""
    on_z = {score.key: score for score in card.scores_z}
    rows = []
    for score in card.scores:
        other = on_z.get(score.key)
        found = [score.ours, score.pca, *((other.ours, other.pca) if other else (None, None))]
        rows.append([score.metric.name, *map(_spread, found)])
    return table([f"{card.seeds} seeds", "codes of one family", "PCA there", "on z", "PCA on z"], rows)


def ablation(card: Card, _: str) -> str:
    found = (card.raw or {})["ablation"]
    rows = [
        [name, *map(number, row["voxels"]), *(f"{100 * row[of]:+.0f} %" for of in ("area", "bending", "eikonal"))]
        for name, row in found["variants"].items()
    ]
    return table([f"loss, {found['steps']} steps", "error, level 0", "level 1", "area", "bending", "slope"], rows)


def codes(card: Card, _: str) -> str:
    raw = card.raw or {}
    kinds = {
        "code read from the scan": "held_out_voxels",
        "no code": "no_code",
        "code of the true shape": "true_code",
        "code alone, no scan": "only_code",
    }
    rows = [[title, *map(number, raw[key])] for title, key in kinds.items()]
    return table(["error (voxels)", *(f"level {level}" for level in range(len(raw["no_code"])))], rows)


def drawn(card: Card, _: str) -> str:
    return table(["measure", "value"], [[name, number(value)] for name, value in card.prior])


def study(_: Card, name: str) -> str:
    """The claims of a study, of its stored result."""
    stored = RESULTS / f"study_{name}.json"
    if not stored.is_file():
        return f"Figures: not measured on this version; run `omomi study {name}`."
    kept = json.loads(stored.read_text("utf-8"))
    rows = [
        [
            f"{claim['key']}: {claim['what']}".replace("|", "\\|"),
            "" if claim["verdict"] == "reported" else claim["target"],
            f"{claim['measured']:.4g}" + ("" if claim["spread"] is None else f" ± {claim['spread']:.2g}"),
            "**missed**" if claim["verdict"] == "missed" else claim["verdict"],
        ]
        for claim in kept["claims"]
    ]
    return table([f"`omomi study {name}`: {kept['met']} of {kept['judged']}", "to reach", "measured", ""], rows)


MAKERS = (model_facts, model_history, model_limits, bars_passed, bars, calibration, sliders, disentanglement)
MAKERS += (ablation, codes, drawn, study)
TABLES = {made.__name__.replace("_", "-"): made for made in MAKERS}


def filled(text: str) -> str:
    """A page with its tables filled anew. Raises KeyError for a table of another name."""
    card = card_of(json.loads(CARD.read_text("utf-8")))
    return PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]](card, place[3])}\n\n{place[4]}", text)


def keep(path: Path) -> None:
    """Store what the pages show of the JSON of a benchmark or a study. The bars of a benchmark go into the card too.

    Raises SystemExit for a run that did not do all cases.
    """
    found = json.loads(path.read_text("utf-8"))
    RESULTS.mkdir(exist_ok=True)
    if "study" in found:
        if found["size"] != "whole" or "error" in found:
            raise SystemExit(f"{path} is not a whole run.")
        kept = {key: found[key] for key in ("study", "seconds", "device", "met", "judged", "claims")}
        _store(RESULTS / f"study_{found['study']}.json", kept)
        return
    chosen = found["options"]
    if chosen.get("quick") == "True" or any(chosen.get(name, "None") != "None" for name in ("model", "scans", "edits")):
        raise SystemExit(f"{path} is of a quick run, of some cases only, or of another model than the shipped one.")
    card = json.loads(CARD.read_text("utf-8"))
    card[path.stem] = {
        bar["name"]: {"measured": bar["value"], "bar": bar["limit"], "passed": bar["passed"]} for bar in found["bars"]
    }
    _store(RESULTS / path.name, {"model": card["hash"], "tables": found["tables"], "bars": found["bars"]})
    _store(CARD, card)


def _store(path: Path, found: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _spread(found: Spread | None) -> str:
    return "-" if found is None else f"{found.mean:.3g} ± {found.sd:.2g}"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", nargs="+", type=Path, default=[], metavar="FILE", help="JSON of a whole run")
    for path in parser.parse_args(words).keep:
        keep(path)
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
