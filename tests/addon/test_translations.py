"""Japanese is complete, nothing is translated that is not said, and English is told as it is."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.addon.sources import quoted, shape
from tests.addon.stand_ins import Layout, draw

bpy = pytest.importorskip("bpy")

WORD = re.compile(r"[A-Za-z]{2,}")
# What stays as it is in Japanese, what the tests have named, and what their backend says.
NAMES = {
    "Omomi", "Esc", "Shift", "CPU", "mm", "cm", "owl", "crow", "fit", "creature", "thick",
    # a note of the backend's
    "note", "on", "scan",
    # names of presets are those of files
    "Noisy", "Scan", "Modelled", "Parts", "Terrain", "or", "Cloth",
}  # fmt: skip
# Shapes of texts of the source that no artist reads as words: names of data, parts of a stamp, names of sliders.
UNTOLD = {
    "Omomi mask", "Omomi faces", "Omomi completions", "Omomi Preview", "Imagined {}", "Omomi bake",
    "Omomi low-poly", "Base Color",
    "{} on {}", "{} ({})", " at {}", " without {}",
    "lean in x", "lean in y", "lean in z", "standard deviations", "My edit", "My family", "My preset", "Log: {}",
    "The object", "Python {}: {}", "{} is left out", "the library folder", "Omomi: {}, {}   {}", "a first idea",
    "the usual choice", "very fine, slow", "needs much memory", "settings = bpy.context.scene.omomi",
}  # fmt: skip


@pytest.fixture
def japanese(addon: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The table from English to Japanese, which is the language of the interface."""
    monkeypatch.setattr(addon.translations, "language", lambda: "ja_JP")
    return addon.translations.LANGUAGES["ja_JP"]


def folder(addon: Any) -> Path:
    return Path(addon.translations.__file__).parents[1]


def classes(addon: Any) -> tuple[Any, ...]:
    return importlib.import_module(addon.name).CLASSES


def rna(cls: Any) -> Any:
    """How Blender describes a registered class."""
    operator = issubclass(cls, bpy.types.Operator)
    return getattr(bpy.ops.omomi, cls.bl_idname.partition(".")[2]).get_rna_type() if operator else cls.bl_rna


def properties(cls: Any) -> list[Any]:
    """The properties of a class that an artist may see. One without a name has its identifier for one."""
    annotations = [item for base in cls.__mro__ for item in vars(base).get("__annotations__", {}).items()]
    made = {name for name, value in annotations if hasattr(value, "keywords")}
    found = [prop for prop in rna(cls).properties if prop.identifier in made and not prop.is_hidden]
    return [prop for prop in found if prop.name != prop.identifier]


def labels(addon: Any, tooltips: bool = True) -> Iterator[str]:
    """What the registered classes say: labels, properties and the items of enumerations, and the tooltips of all."""
    for cls in classes(addon):
        if issubclass(cls, bpy.types.Operator) and tooltips:
            yield rna(cls).description
        if not issubclass(cls, (bpy.types.PropertyGroup, bpy.types.UIList, bpy.types.AddonPreferences)):
            yield cls.bl_label
        for prop in properties(cls):
            for told in (prop, *(prop.enum_items if prop.type == "ENUM" else ())):
                yield told.name
                if tooltips:
                    yield told.description
    for item in addon.edits.built_in():
        yield item.label


def said(addon: Any) -> set[str]:
    """Shapes of all texts of the extension, those of the backend process included, with and without their stop: a key
    that is one sentence has none, for reports join sentences."""
    paths = (path for path in folder(addon).rglob("*.py") if "translations" not in path.parts)
    found = {text for path in paths for text in quoted(path)} | {shape(text) for text in labels(addon)}
    return found | {text.removesuffix(".") for text in found}


def test_every_label_and_tooltip_is_in_japanese(addon: Any, scene: Any, japanese: Any) -> None:
    missing = {text for text in labels(addon) if WORD.search(text)} - set(japanese)
    assert not missing


def test_every_label_is_in_german(addon: Any, scene: Any) -> None:
    table = addon.translations.LANGUAGES["de_DE"]
    missing = {text for text in labels(addon, tooltips=False) if WORD.search(text)} - set(table)
    assert not missing


def test_every_sentence_of_the_add_on_is_in_japanese(addon: Any, scene: Any, japanese: Any) -> None:
    root, known = folder(addon), {shape(text).removesuffix(".") for text in japanese}
    paths = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in ("backend", "translations")]
    texts = {text.removesuffix(".") for path in paths for text in quoted(path)}
    prose = {text for text in texts if " " in text.strip() and WORD.search(text)}
    built = {text for text in prose if any(re.fullmatch(re.escape(text).replace(r"\{\}", ".+"), one) for one in known)}
    missing = prose - built - UNTOLD
    assert not missing


def test_every_operator_and_property_has_a_tooltip(addon: Any, scene: Any) -> None:
    operators = [cls for cls in classes(addon) if issubclass(cls, bpy.types.Operator)]
    silent = [cls.__name__ for cls in operators if not rna(cls).description]
    own = [(cls.__name__, prop) for cls in classes(addon) for prop in properties(cls)]
    silent += [f"{name}.{prop.identifier}" for name, prop in own if not prop.description]
    assert not silent


def test_every_number_has_a_unit_or_its_tooltip_says_what_it_counts(addon: Any, scene: Any) -> None:
    plain = []
    for cls in classes(addon):
        for prop in properties(cls):
            if prop.type == "FLOAT" and prop.unit == "NONE" and prop.subtype not in ("FACTOR", "PERCENTAGE"):
                plain.append((cls.__name__, prop.identifier, prop.description))
    # strengths, and what is measured against the scan: they say what 0 or 1 is
    assert plain and not [one for one in plain if not re.search(r"\b[01] ", one[2])]


@pytest.mark.parametrize("locale", ["ja_JP", "de_DE"])
def test_nothing_is_translated_that_is_not_said(addon: Any, scene: Any, locale: str) -> None:
    texts = said(addon)
    stale = {english for english in addon.translations.LANGUAGES[locale] if shape(english) not in texts}
    assert not stale


@pytest.mark.parametrize("locale", ["ja_JP", "de_DE"])
def test_a_translation_has_the_placeholders_and_percents_of_its_english(addon: Any, locale: str) -> None:
    for english, text in addon.translations.LANGUAGES[locale].items():
        for mark in (r"\{\w+\}", "%"):
            assert sorted(re.findall(mark, english)) == sorted(re.findall(mark, text)), english


def test_labels_are_looked_up_apart_from_blenders_own(addon: Any, scene: Any) -> None:
    context = addon.translations.CONTEXT
    assert bpy.types.Scene.bl_rna.properties["omomi"].fixed_type.properties["fill"].translation_context == context
    assert bpy.ops.omomi.fit.get_rna_type().translation_context == context
    assert bpy.types.OMOMI_PT_scan.bl_translation_context == context


def test_unregistering_takes_from_blender_what_registering_gave(addon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bpy of the tests is built without translations: its own functions do nothing.
    held: dict[str, Any] = {}
    blender = SimpleNamespace(register=held.setdefault, unregister=held.pop)
    monkeypatch.setattr(addon.translations, "bpy", SimpleNamespace(app=SimpleNamespace(translations=blender)))
    addon.translations.register(())
    (texts,) = held.values()
    context = addon.translations.CONTEXT
    assert texts["ja_JP"]["*", "Fit"] == texts["ja_JP"][context, "Fit"] == "フィット" and "de_DE" in texts
    addon.translations.unregister()
    assert not held


def test_english_is_told_as_it_is(addon: Any, scene: Any) -> None:
    text = "owl: 1 piece, 2 tunnels, closed - 4 % of the surface is guessed\nsize 1 m × 2 m × 3 m"
    assert addon.translations.told(text) == text


def test_sentences_are_told_with_their_values_and_the_names_of_objects(addon: Any, scene: Any, japanese: Any) -> None:
    told, text = addon.translations.told, addon.text
    topology = text.topology_text([1, 2, 0], 0.04)
    assert told(topology) == "パーツ1個、トンネル2個、閉じている - サーフェスの4%は推測"
    assert told("Scan: 1,234 vertices, closed") == "Scan: 頂点1,234個、閉じている"
    died = addon.errors.OmomiError(addon.errors.ErrorCode.BACKEND_DIED, "")
    assert not WORD.findall(told(text.explain(died, "Press Close Holes")).replace("Omomi", ""))
    reading = text.reading_text("solid", "3 closed parts, 2 of them overlap or lie inside others, the union is fitted")
    assert not WORD.search(told(reading))
    fitted = (
        "owl.fit: 1,234 vertices in 2.0 s; what was not seen follows mirror symmetry (69% of the seen surface meets "
        "its mirror image, 0% speaks against it). owl.fit had been changed by hand; its old mesh is kept as "
        "'owl.fit.original'"
    )
    assert {*WORD.findall(told(fitted))} == {"owl", "fit", "original"}


def test_what_the_system_says_of_files_is_in_japanese(addon: Any, scene: Any, japanese: Any) -> None:
    reasons = set(addon.errors.SYSTEM_REASONS.values())
    assert reasons and reasons <= set(japanese)
    full = addon.errors.OmomiError(addon.errors.ErrorCode.DISK, "/a/b.omomi cannot be written: the disk is full.")
    assert set(WORD.findall(addon.translations.told(addon.text.explain(full)))) == {"omomi"}


@pytest.mark.parametrize(
    "text",
    [
        "/a/b cannot be started: it does not exist.",
        "The log /a/b.c cannot be written: its disk is read-only.",
        "The memory does not suffice: use a lower level.",
        "Hole 2 is left open: its radius is 3.",
        "Hole 3 is closed flat: a smooth fill would fold.",
        "Hole 1 is closed, but its fill cuts through 4 faces of the mesh.",
        "A new mesh has other edges and holds no texts, so it lacks the attributes a and b.",
        "a: 2.0: 2 tunnels through it close, a piece splits off",
        "a (1 of 3): level 2 of 3",
        "a is a sheet, and a blend needs an inside: fit it with a thickness, or as a scan or a solid, first.",
        "3 mirror planes (across each, at least 69% of the seen surface meets its mirror image, and at most 1% speaks "
        "against it); a flat base. a: 12% of the surface is invented: nothing was measured near it",
        "the axis about which 87% of the seen surface is turned; mirror symmetry (91% of the seen surface meets its "
        "mirror image, 0% speaks against it). a: 3 small tunnels through what was not measured were closed.",
        "Topology: a tunnel through it closes (1 before, 0 after).",
        "b and 2 more: The backend stopped unexpectedly (3).",
    ],
)
def test_reports_are_told_whole(addon: Any, scene: Any, japanese: Any, text: str) -> None:
    assert not WORD.search(addon.translations.told(text))


def test_what_the_backend_says_is_told_with_or_without_its_stop(addon: Any, scene: Any, japanese: Any) -> None:
    silent = "The backend was silent for 60 s and was stopped"
    told, error = addon.translations.told, addon.errors.OmomiError
    assert told(f"{silent}.") == told(silent) + "。"
    explained = addon.text.explain(error(addon.errors.ErrorCode.BACKEND_TIMEOUT, f"{silent}."))
    assert told(explained).startswith(told(silent)) and "Press" not in told(explained)
    assert "レベル2" in told("owl: 30% of the input is thinner than a voxel of level 1. Level 2 keeps it.")


def test_what_nobody_has_translated_stays_whole(addon: Any, scene: Any, japanese: Any) -> None:
    for text in ("It rains, and it pours. All day: and all night.", "owl", "/home/a.b/c.log", ""):
        assert addon.translations.told(text) == text


def test_japanese_is_wrapped_between_letters_and_not_before_a_stop(
    addon: Any, scene: Any, japanese: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addon.widgets, "_columns", lambda: 20)
    lines = addon.widgets.wrapped("There was not enough memory. Choose a lower detail, or close other programs.")
    assert len(lines) > 2 and not any(line[0] in "、。" for line in lines)
    assert max(map(addon.widgets._width, lines)) <= 22


def shown(addon: Any, table: Any) -> Iterator[str]:
    """What all panels and menus show, as Blender translates it."""
    for cls in classes(addon):
        if not issubclass(cls, (bpy.types.Panel, bpy.types.Menu)):
            continue
        yield from translated(draw(cls), table)
    obj = bpy.context.active_object
    for cls, rows in (("edits", obj.omomi.edits), ("holes", obj.omomi.holes)) if obj else ():
        for row in rows:
            layout = Layout()
            getattr(addon.widgets, f"OMOMI_UL_{cls}").draw_item(None, bpy.context, layout, None, row, 0, None, "")
            yield from translated(layout, table)


def translated(layout: Layout, table: Any) -> Iterator[str]:
    for _, _, options in layout.drawn:
        text = str(options.get("text", ""))
        yield text if options.get("translate") is False else table.get(text, text)


def test_no_english_is_left_in_the_panels(
    fake: Any, addon: Any, scene: Any, make: Callable[..., Any], japanese: Any
) -> None:
    left = set(WORD.findall("\n".join(shown(addon, japanese))))
    owl = make("owl")
    left |= set(WORD.findall("\n".join(shown(addon, japanese))))
    bpy.ops.omomi.find_holes()
    bpy.ops.omomi.close_holes()
    left |= set(WORD.findall("\n".join(shown(addon, japanese))))
    bpy.ops.omomi.fit()
    bpy.ops.omomi.check()
    bpy.ops.omomi.add_edit(kind="attribute", name="thickness", strength=0.5)
    bpy.ops.omomi.add_edit(kind="shape", name="plausible")
    bpy.context.object.omomi.holes.add().is_hole = True
    bpy.context.object.omomi.holes.add()
    learned = addon.edits.add(bpy.context.object, "learned", "thick", "thick.omomi")
    for _ in range(2):
        learned.places.add()
    left |= set(WORD.findall("\n".join(shown(addon, japanese))))
    make("crow").select_set(True)
    owl.select_set(True)
    left |= set(WORD.findall("\n".join(shown(addon, japanese))))
    assert left <= NAMES
