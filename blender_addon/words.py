"""What the backend found out, in words for an artist. No bpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["aligned", "applied", "checked", "measures", "pieces", "plausible", "swept", "typical"]

# Of kinds of shapes that are named.
MOST_KINDS = 3
# A smaller share of a shape that overlaps itself is not worth a line.
LEAST_TANGLED = 0.001

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


def plausible(found: Any) -> list[str]:
    """How usual a shape is, and which kinds of shapes are like it; nothing where it was not told.

    >>> plausible({"value": 0.83, "nearest": [{"family": "skull", "distance": 0.125}]})
    ['plausibility 0.83: 83 % of real shapes are no more usual', 'most like: skull (0.12)']
    >>> plausible({"value": 0.0, "tangled": 0.034})[1]
    'the edits push the surface through itself: 3.4 % of the shape'
    >>> plausible(None)
    []
    """
    if not isinstance(found, Mapping) or not isinstance(found.get("value"), int | float):
        return []
    lines = [f"plausibility {found['value']:.2f}: {100 * found['value']:.0f} % of real shapes are no more usual"]
    if (tangled := found.get("tangled") or 0.0) >= LEAST_TANGLED:
        lines.append(f"the edits push the surface through itself: {100 * tangled:.1f} % of the shape")
    named = [item for item in found.get("nearest") or () if isinstance(item, Mapping) and item.get("family")]
    kinds: dict[str, float] = {}
    for item in named:
        kinds.setdefault(str(item["family"]), item.get("distance") or 0.0)
    if kinds:
        nearest = list(kinds.items())[:MOST_KINDS]
        lines.append("most like: " + ", ".join(f"{family} ({distance:.2f})" for family, distance in nearest))
    return lines


def typical(found: Any) -> list[str]:
    """How typical of a family a shape is; nothing where it was not compared with one.

    >>> typical({"name": "skulls", "typical": 0.7, "outside": 0.04})
    ['typical 0.7 for skulls, 4 % of the surface departs']
    >>> typical(None)
    []
    """
    if not isinstance(found, Mapping):
        return []
    share = f", {100 * found['outside']:.0f} % of the surface departs" if found.get("outside") is not None else ""
    return [f"typical {found.get('typical') or 0.0:.2g} for {found.get('name')}{share}"]


def aligned(name: str, result: Mapping[str, Any]) -> list[str]:
    """What came of learning a family, in one line, and what is to be known of it.

    >>> aligned("skulls", {"members": 12, "left_out": [{"name": "owl", "why": "it fits no pose"}], "explained": 0.873})
    ['skulls: 12 members, explains 87 % of how they differ', 'left out owl: it fits no pose']
    """
    explained = result.get("explained")
    share = f", explains {100 * explained:.0f} % of how they differ" if explained is not None else ""
    lines = [f"{name}: {result.get('members', 0)} members{share}"]
    left_out = {item["name"]: item["why"].rstrip(".") for item in result.get("left_out") or ()}
    lines += [f"left out {member}: {why}" for member, why in left_out.items()]
    told = tuple(f"{member} is left out" for member in left_out)
    return lines + [_sentence(text) for text in result.get("warnings") or () if not text.startswith(told)]


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
