"""What the backend found out, in words for an artist. No bpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["applied", "checked", "measures", "pieces", "swept"]

_UNITS = {"volume": "³", "area": "²", "thickness": ""}


def pieces(betti: Sequence[int] | None) -> str:
    """
    >>> pieces([1, 2, 0])
    '1 piece, 2 tunnels, closed'
    >>> pieces(None)
    'open: it encloses nothing'
    """
    if betti is None:
        return "open: it encloses nothing"
    words = ("piece", "pieces"), ("tunnel", "tunnels"), ("hollow", "hollows")
    found = [f"{count} {one if count == 1 else many}" for count, (one, many) in zip(betti, words, strict=False)]
    return ", ".join([found[0], *(text for text in found[1:] if not text.startswith("0 ")), "closed"])


def checked(topology: Any, guessed: float | None) -> str:
    """
    >>> checked([1, 1, 0], 0.04)
    '1 piece, 1 tunnel, closed - 4 % of the surface is guessed'
    """
    text = pieces(_betti(topology))
    if guessed is not None:
        text += f" - {100 * guessed:.0f} % of the surface is guessed"
    return text


def measures(found: Mapping[str, Any]) -> list[str]:
    """Lines with the measures in world units that there are.

    >>> measures({"volume": 2.0, "area": None, "bounds": [[0, 0, 0], [1, 2, 0.5]]})
    ['volume 2³', 'size 1 × 2 × 0.5']
    """
    lines = [f"{name} {found[name]:.4g}{unit}" for name, unit in _UNITS.items() if found.get(name) is not None]
    if found.get("bounds"):
        low, high = found["bounds"]
        lines.append("size " + " × ".join(f"{b - a:.4g}" for a, b in zip(low, high, strict=True)))
    return lines


def applied(report: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a stack of edits did, and the warnings that go with it.

    >>> applied({"moved": 0.25, "largest": 0.5, "warnings": ["Careful."]})
    ('25 % of the vertices moved, by 0.5 at most', ['Careful.'])
    """
    text = f"{100 * report.get('moved', 0.0):.0f} % of the vertices moved, by {report.get('largest', 0.0):.3g} at most"
    topology = report.get("topology")
    warnings = list(report.get("warnings", ()))
    if isinstance(topology, Mapping):
        if topology.get("change"):
            warnings.append(f"Topology: {topology['change']}")
        elif _betti(topology) is not None:
            text += f"; {pieces(_betti(topology))}, as before"
        if topology.get("unstable"):
            warnings.append("The topology is on the brink: it depends on the resolution")
    return text, [_sentence(line) for line in warnings]


def swept(result: Mapping[str, Any]) -> str:
    """The transitions of a sweep, one a line.

    >>> swept({"transitions": [{"strength": 1.25, "change": "a tunnel closes"}]})
    'at 1.25: a tunnel closes'
    """
    return "\n".join(f"at {item['strength']:.3g}: {item['change']}" for item in result.get("transitions", ()))


def _betti(topology: Any) -> Sequence[int] | None:
    if isinstance(topology, Mapping):
        topology = topology.get("after") or topology.get("betti") or topology.get("before")
    return topology if isinstance(topology, Sequence) and len(topology) == 3 else None


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."
