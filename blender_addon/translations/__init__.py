"""Japanese and German for what an artist reads. The English text is the key, so that the code reads as before.

Blender translates labels, tooltips and constant texts by itself. `told` does it for sentences with values in them, also
those that the backend process sends and those that are kept in a file: a key may hold placeholders. One whose name
begins with "text" holds text to be translated in turn, with "num" a number, and any other something to leave alone, as
the name of an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import bpy

from ..context import context
from . import de, ja

LANGUAGES: Mapping[str, Mapping[str, str]] = {"ja_JP": ja.TEXTS, "de_DE": de.TEXTS}
"""From English, by the locale."""
CONTEXT = "Omomi"
"""In which Blender looks for labels: its own words for the same English are often others, as for Thickness."""
EVERYWHERE = "*"
"""In which it looks for tooltips and plain texts."""

# Blender's own classes are bases of other add-ons' classes, too.
_EXTENSION = __name__.rpartition(".")[0]
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Of a text that is one sentence. The key of such a sentence has no stop.
_STOP = "{text}."


class TextFormat(NamedTuple):
    """A key with placeholders."""

    english: str
    fixed: str  # its longest part without placeholders
    pattern: re.Pattern[str]
    is_joint: bool  # whether it has no words of its own


def register(classes: Iterable[Any]) -> None:
    """Add the translations to Blender, and have it find those of the labels of these classes, which are not registered
    yet."""
    for cls in classes:
        cls.bl_translation_context = CONTEXT
        for base in cls.__mro__:
            if not base.__module__.startswith(_EXTENSION):
                continue
            for made in vars(base).get("__annotations__", {}).values():
                if hasattr(made, "keywords"):
                    made.keywords["translation_context"] = CONTEXT
    contexts = EVERYWHERE, CONTEXT
    texts = {
        language: {(place, english): text for english, text in table.items() for place in contexts}
        for language, table in LANGUAGES.items()
    }
    bpy.app.translations.register(__name__, texts)


def unregister() -> None:
    """Take the translations from Blender."""
    bpy.app.translations.unregister(__name__)


def language() -> str:
    """The locale of Blender's interface; empty for English."""
    return bpy.app.translations.locale if context.preferences.view.use_translate_interface else ""


def told(text: str) -> str:
    """A text, line by line, in the language of the interface; what has no translation stays English."""
    found = language()
    return "\n".join(_line(line, found) for line in text.split("\n")) if found in LANGUAGES else text


# A sidebar draws the same lines again and again.
@lru_cache(maxsize=1024)
def _line(text: str, language: str) -> str:
    table = LANGUAGES[language]
    if text in table:
        return table[text]
    found = next((shown for form in _formats(language) if (shown := _filled(text, form, language))), "")
    return found or _listed(text, "; ", language) or _listed(text, ", ", language) or text


def _filled(text: str, form: TextFormat, language: str) -> str:
    """The translation of a text that has this format; empty where it does not, or where nothing would change."""
    match = form.pattern.fullmatch(text) if form.fixed in text else None
    if match is None:
        return ""
    values = match.groupdict()
    shown = {name: _line(part, language) if name.startswith("text") else part for name, part in values.items()}
    return "" if form.is_joint and shown == values else LANGUAGES[language][form.english].format(**shown)


def _listed(text: str, separator: str, language: str) -> str:
    """The translation of a list, one by one; empty where nothing of it has any."""
    parts = text.split(separator)
    shown = [_line(part, language) for part in parts] if len(parts) > 1 else parts
    return LANGUAGES[language].get(separator, separator).join(shown) if shown != parts else ""


@cache
def _formats(language: str) -> tuple[TextFormat, ...]:
    """Keys with placeholders, `_STOP` before all and then the longest, for a short one may match what is meant for a
    longer one."""
    found = [_format(english) for english in LANGUAGES[language] if _PLACEHOLDER.search(english)]
    return tuple(sorted(found, key=lambda form: (form.english != _STOP, -len(_PLACEHOLDER.sub("", form.english)))))


def _format(english: str) -> TextFormat:
    # Fixed parts and names of placeholders in turn.
    parts = _PLACEHOLDER.split(english)
    names, last = parts[1::2], parts[-2] if not parts[-1] else ""
    groups = [_group(name, is_last=name == last) for name in names]
    pattern = "".join(re.escape(fixed) + group for fixed, group in zip(parts[::2], [*groups, ""], strict=True))
    is_joint = not any(map(str.isalnum, "".join(parts[::2])))
    return TextFormat(english, max(parts[::2], key=len), re.compile(pattern), is_joint)


def _group(name: str, *, is_last: bool) -> str:
    """What matches a placeholder. None reaches beyond its sentence but for a text at the end, which may be several."""
    if name.startswith("num"):
        holds = r"[-+.,\de]*\d"
    elif name.startswith("text"):
        holds = ".*" if is_last else r"(?:(?!\. ).)*?"
    else:
        holds = r"(?:(?!\. |; |: ).)+?"
    return f"(?P<{name}>{holds})"
