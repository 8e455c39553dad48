"""Elements of a page or a picture as text, with all contents escaped, and the shapes of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TypeAlias

LONGEST = 600
"""Characters of a text from a file; what is longer was not written for people."""
_EMPTY = frozenset({"br", "col", "hr", "img", "meta"})
"""Elements of HTML that have no end."""


class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | None"
"""A `Markup` stands in the page as it is, everything else is escaped; None is nothing."""


def text(value: object, longest: int = LONGEST) -> Markup:
    """Any text, escaped. What cannot be seen, such as marks that turn the direction of writing, becomes a question
    mark, and what is too long is cut."""
    shown = _visible(str(value)[: longest + 1])
    return Markup(escape(shown if len(shown) <= longest else short(shown, longest)))


def short(name: str, most: int) -> str:
    """The name, cut to ``most`` characters."""
    return name if len(name) <= most else name[: most - 1] + "\u2026"


def el(name: str, /, *children: Child, **attributes: Child) -> Markup:
    """An element. Attributes: ``class_`` is class, and an underscore elsewhere a hyphen; None leaves one out."""
    if name in _EMPTY:
        return Markup(f"<{name}{_written(attributes)}>")
    return Markup(f"<{name}{_written(attributes)}>{join(children)}</{name}>")


def leaf(name: str, /, **attributes: Child) -> Markup:
    """An element of a picture that stands by itself, as XML spells it."""
    return Markup(f"<{name}{_written(attributes)}/>")


def join(children: Sequence[Child], between: str = "") -> Markup:
    told = (child if isinstance(child, Markup) else text(child) for child in children if child is not None)
    return Markup(between.join(told))


def drawing(wide: float, tall: float, *parts: Markup, label: str | None = None, style: str | None = None) -> Markup:
    """A picture in a page; label: what it shows, for who cannot see it."""
    size: dict[str, Child] = {"viewBox": f"0 0 {wide:.6g} {tall:.6g}", "width": wide, "height": tall, "font_size": 13}
    told: dict[str, Child] = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    return el("svg", join(parts), **size, **told, style=style)


def rect(x: float, y: float, wide: float, tall: float, fill: str, **more: Child) -> Markup:
    return el("rect", x=x, y=y, width=max(wide, 0.0), height=tall, fill=fill, **more)


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, wide: float, cap: str | None = None) -> Markup:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=wide, stroke_linecap=cap)


def words(
    x: float, y: float, said: str, anchor: str | None = None, soft: bool = False, turn: float | None = None,
    style: str | None = None,
) -> Markup:  # fmt: skip
    """A line of text at a place; turn: by so many degrees around it."""
    turned = None if turn is None else f"rotate({turn:g} {x:.6g} {y:.6g})"
    look = "soft" if soft else None
    return el("text", said, x=x, y=y, text_anchor=anchor, class_=look, style=style, transform=turned)


def points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in places)


def _written(attributes: dict[str, Child]) -> str:
    """Attributes as they stand in the tag of an element."""
    given = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    return "".join(f' {key}="{_value(value)}"' for key, value in given)


def _value(value: Child) -> str:
    return f"{value:.6g}" if isinstance(value, float) else escape(_visible(str(value)))


def _visible(given: str) -> str:
    return given if given.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in given)
