"""Text for the artist: what an error means and what to do next, and what the backend found out. No bpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .backend.errors import ErrorCode, OmomiError

# Kinds of shapes, and objects, that a line names, and changes of the topology beside a slider.
MOST_KINDS = MOST_NAMES = MOST_TRANSITIONS = 3
# Share of a shape that intersects itself; a smaller one is not worth a line.
LEAST_TANGLED = 0.001

# What a learned edit does, by its gear.
GEARS = {
    "delta": "The network makes its new meshes: the examples change the topology, or a movement does worse.",
    "movement": "It moves the surface and keeps its vertices.",
}

# How holes were closed.
WAYS = {
    "faces": "{count} without new vertices", "flat": "{count} flat", "smooth": "{count} smooth",
    "model": "{count} by the fit", "mirror": "{count} from the other side",
}  # fmt: skip
# By the number of Betti.
COUNTED = (
    ("{count:,} piece", "{count:,} pieces"), ("{count:,} tunnel", "{count:,} tunnels"),
    ("{count:,} hollow", "{count:,} hollows"),
)  # fmt: skip

MEASURES = {"volume": "VOLUME", "area": "AREA", "thickness": "LENGTH"}
MEASURED = {"volume": "volume {value}", "area": "area {value}", "thickness": "thickness {value}"}


class Advice(NamedTuple):
    """What to tell about an error code."""

    sentence: str  # for an error that has no message of its own
    next_step: str  # always added; "{again}" in it stands for what starts the work again, such as "Press Fit"


class Refusal(OmomiError):
    """An error of the add-on itself. Its message is complete: it names the next step too."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.BAD_OPTION, message)


def refuse(reason: str | None) -> None:
    """Raises `Refusal` where there is a reason to."""
    if reason:
        raise Refusal(reason)


FIT = "Press Fit"
LOG = "open the log from the Omomi preferences"

ADVICE: dict[ErrorCode, Advice] = {
    ErrorCode.EMPTY_SCAN: Advice("The scan has no points", "Select a mesh object that has vertices"),
    ErrorCode.TOO_FEW_POINTS: Advice("The scan has too few usable points", "Select a denser scan"),
    ErrorCode.FLAT_SCAN: Advice(
        "The scan is flat, so it encloses nothing", "Check its scale and its shape in the viewport"
    ),
    ErrorCode.BAD_COORDINATES: Advice("No point of the scan has a finite position", "Import the scan again"),
    ErrorCode.UNREADABLE_FILE: Advice("The file cannot be read", "Check that it is complete and export it again"),
    ErrorCode.NOT_A_MESH: Advice("This is neither a mesh nor a point cloud", "Convert it to a mesh first"),
    ErrorCode.TOO_LARGE: Advice("The scan is too large", "Decimate it or split it into parts"),
    ErrorCode.BAD_OPTION: Advice("A setting is out of range", "Set it to its default value"),
    ErrorCode.MODEL_MISSING: Advice("The model of the extension is missing", "Install the extension again"),
    ErrorCode.MODEL_MISMATCH: Advice("The model does not belong to this version", "Install the extension again"),
    ErrorCode.DEVICE_UNAVAILABLE: Advice(
        "The device asked for cannot be used", "Choose Automatic in the Omomi preferences"
    ),
    ErrorCode.OUT_OF_MEMORY: Advice("There was not enough memory", "Choose a lower detail, or close other programs"),
    ErrorCode.CANCELLED: Advice("The job was cancelled", "{again} to start again"),
    ErrorCode.BACKEND_START: Advice("The backend process did not start", f"Press Restart, or {LOG}"),
    ErrorCode.BACKEND_DIED: Advice("The backend process ended unexpectedly", f"{{again}} to try again, or {LOG}"),
    ErrorCode.BACKEND_TIMEOUT: Advice("The backend process stopped answering", f"{{again}} to try again, or {LOG}"),
    ErrorCode.PROTOCOL: Advice("The backend process sent an invalid message", f"Press Restart, or {LOG}"),
    ErrorCode.PROTOCOL_VERSION: Advice(
        "The backend process belongs to another version", "Restart Blender to finish the update"
    ),
    ErrorCode.DISK: Advice("A file could not be written", "Free some space, or choose another folder"),
    ErrorCode.NO_SURFACE: Advice(
        "No surface was found", "Raise Fill, lower Denoise, or clean the scan of stray points"
    ),
    ErrorCode.NOT_REGISTERED: Advice(
        "The scan does not look like the examples", "Use it on scans of the same kind of object"
    ),
    ErrorCode.AMBIGUOUS_POSE: Advice(
        "The scan fits the examples in more than one pose",
        "An edit can be placed by hand: press Place at 3D Cursor",
    ),
    ErrorCode.BAD_PLACE: Advice(
        "The place of the edit is not at the surface of the scan", "Move its object there, or press Clear Place"
    ),
    ErrorCode.UNKNOWN_SCAN: Advice("The backend process no longer holds this scan", "{again} to open it again"),
    ErrorCode.NO_SOLUTION: Advice(
        "No strength reaches this measure", "Ask for a value nearer to the present one, or use another edit"
    ),
    ErrorCode.INTERNAL: Advice("An unexpected error occurred in the backend process", f"To report it, {LOG}"),
}


def explain(error: OmomiError, again: str = FIT) -> str:
    """One line for the status bar or an exception: what happened, then what to do.

    >>> explain(OmomiError(ErrorCode.EMPTY_SCAN, "owl has no vertices"))
    'owl has no vertices. Select a mesh object that has vertices.'
    """
    if isinstance(error, Refusal):
        return error.message
    sentence, next_step = ADVICE[error.code]
    happened = " ".join(error.message.split()).rstrip(".") or sentence
    return f"{happened}. {next_step.format(again=again)}."


def told_of(names: Sequence[str], message: str) -> str:
    """What concerns several objects.

    >>> told_of(["owl", "crow"], "no"), told_of(["a", "b", "c", "d", "e"], "no")
    ('owl, crow: no', 'a, b, c and 2 more: no')
    """
    first, more = ", ".join(names[:MOST_NAMES]), len(names) - MOST_NAMES
    return f"{first} and {more} more: {message}" if more > 0 else f"{first}: {message}"


def untextured(name: str, error: OmomiError) -> str:
    """That a fit does not have what its scan carries, and what to do.

    >>> untextured("owl.fit", OmomiError(ErrorCode.CANCELLED, "The transfer was cancelled"))
    'owl.fit lacks the texture, colours and groups of its scan. The transfer was cancelled. Press Fit to start again.'
    """
    return f"{name} lacks the texture, colours and groups of its scan. {explain(error)}"


def lost_attributes(names: Sequence[str]) -> str:
    """That attributes are not on a new mesh.

    >>> lost_attributes(["seam", "label"])
    'A new mesh has other edges and holds no texts, so it lacks the attributes seam and label.'
    >>> lost_attributes(["label"])
    'A new mesh has other edges and holds no texts, so it lacks the attribute label.'
    """
    words, last = ", ".join(names[:-1]), names[-1]
    listed = f"attributes {words} and {last}" if words else f"attribute {last}"
    return f"A new mesh has other edges and holds no texts, so it lacks the {listed}."


def betti_text(betti: Sequence[int] | None) -> str:
    """
    >>> betti_text([1, 2, 0])
    '1 piece, 2 tunnels, closed'
    >>> betti_text(None)
    'open: it encloses nothing'
    """
    if betti is None:
        return "open: it encloses nothing"
    found = [_count(count, *words) for count, words in zip(betti, COUNTED, strict=False)]
    return ", ".join([found[0], *(text for text in found[1:] if not text.startswith("0 ")), "closed"])


def topology_text(topology: Any, guessed: float | None) -> str:
    """
    >>> topology_text([1, 1, 0], 0.04)
    '1 piece, 1 tunnel, closed - 4 % of the surface is guessed'
    """
    text = betti_text(_betti(topology))
    return text if guessed is None else f"{text} - {100 * guessed:.0f} % of the surface is guessed"


def plausibility_lines(found: Any) -> list[str]:
    """How plausible a shape is, and which kinds of shapes it is most like; nothing where the backend does not say.

    >>> plausibility_lines({"value": 0.83, "nearest": [{"family": "skull", "distance": 0.125}]})
    ['plausibility 0.83: 83 % of real shapes are no more usual', 'most like: skull (0.12)']
    >>> plausibility_lines({"value": 0.0, "tangled": 0.034})[1]
    'the edits push the surface through itself: 3.4 % of the shape'
    >>> plausibility_lines(None)
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
        named = ", ".join(f"{family} ({distance:.2f})" for family, distance in nearest)
        lines.append(f"most like: {named}")
    return lines


def typicality_lines(found: Any) -> list[str]:
    """How typical of a family a shape is; nothing where it was compared with none.

    >>> typicality_lines({"name": "skulls", "typical": 0.7, "outside": 0.04})
    ['typical 0.7 for skulls, 4 % of the surface departs']
    >>> typicality_lines({"name": "skulls", "why": "owl does not look like the family"})
    ['not compared with skulls: owl does not look like the family']
    >>> typicality_lines(None)
    []
    """
    if not isinstance(found, Mapping):
        return []
    if found.get("why"):
        return [f"not compared with {found.get('name')}: {found['why'].rstrip('.')}"]
    text = f"typical {found.get('typical') or 0.0:.2g} for {found.get('name')}"
    outside = found.get("outside")
    return [text if outside is None else f"{text}, {100 * outside:.0f} % of the surface departs"]


def family_report(name: str, result: Mapping[str, Any]) -> list[str]:
    """One line on a family that was learned, then the members that were left out and the warnings.

    >>> left_out = [{"name": "owl", "why": "it fits no pose"}]
    >>> members = dict.fromkeys("abcdefghijkl", 0.5)
    >>> family_report("skulls", {"members": members, "left_out": left_out, "explained": 0.873})
    ['skulls: 12 members, explains 87 % of how they differ', 'left out owl: it fits no pose']
    """
    explained = result.get("explained")
    text = f"{name}: {len(result.get('members', ()))} members"
    lines = [text if explained is None else f"{text}, explains {100 * explained:.0f} % of how they differ"]
    left_out = {item["name"]: item["why"].rstrip(".") for item in result.get("left_out") or ()}
    lines += [f"left out {member}: {why}" for member, why in left_out.items()]
    told = tuple(f"{member} is left out" for member in left_out)
    return lines + [_sentence(text) for text in result.get("warnings") or () if not text.startswith(told)]


def measure_lines(found: Mapping[str, Any], shown: Callable[[str, float], str]) -> list[str]:
    """A line for each measure that is known; ``shown`` writes a LENGTH, AREA or VOLUME in world units.

    >>> measure_lines({"volume": 2, "area": None, "bounds": [[0, 0, 0], [1, 2, 3]]}, lambda _, value: f"{value} m")
    ['volume 2 m', 'size 1 m × 2 m × 3 m']
    """
    known = [(name, shown(kind, found[name])) for name, kind in MEASURES.items() if found.get(name) is not None]
    lines = [MEASURED[name].format(value=value) for name, value in known]
    if found.get("bounds"):
        low, high = found["bounds"]
        sides = " × ".join(shown("LENGTH", b - a) for a, b in zip(low, high, strict=True))
        lines.append(f"size {sides}")
    return lines


def edit_report(report: Mapping[str, Any], shown: Callable[[str, float], str]) -> tuple[str, list[str]]:
    """What a stack of edits did, and its warnings; shown: as of `measure_lines`.

    >>> report = {"moved": 0.25, "largest_move": 0.5, "warnings": ["Careful."]}
    >>> edit_report(report, lambda _, value: f"{value} m")
    ('25 % of the vertices moved, by 0.5 m at most', ['Careful.'])
    """
    largest = shown("LENGTH", report.get("largest_move", 0.0))
    text = f"{100 * report.get('moved', 0.0):.0f} % of the vertices moved, by {largest} at most"
    topology = report.get("topology")
    warnings = list(report.get("warnings", ()))
    if isinstance(topology, Mapping):
        if change := topology.get("change"):
            warnings = [*(line for line in warnings if line != change), f"Topology: {change}"]
        elif _betti(topology) is not None:
            text = f"{text}; {betti_text(_betti(topology))}, as before"
        if topology.get("unstable"):
            warnings.append("The topology is unstable: it depends on the resolution")
    return text, [_sentence(line) for line in warnings]


def gear_text(gear: Any) -> str:
    """How a learned edit makes a new mesh, and why; nothing where the backend does not say.

    >>> gear_text("movement")
    'It moves the surface and keeps its vertices.'
    """
    return GEARS.get(gear, "") if isinstance(gear, str) else ""


def transition_lines(result: Mapping[str, Any]) -> str:
    """The transitions of a sweep, one a line.

    >>> transition_lines({"transitions": [{"strength": 1.25, "change": "a tunnel closes"}]})
    'at 1.25: a tunnel closes'
    """
    return "\n".join(f"at {item['strength']:.3g}: {item['change']}" for item in result.get("transitions", ()))


def changes(lines: str) -> list[tuple[float, str]]:
    """The strength of each of lines as of `transition_lines`, and what happens there.

    >>> changes("at -1: a\\nat 0.5: b")
    [(-1.0, 'a'), (0.5, 'b')]
    """
    found = [line.removeprefix("at ").partition(": ") for line in lines.splitlines()]
    return [(float(strength), change) for strength, _, change in found]


def transitions_text(found: Iterable[tuple[float, str]], shown: Callable[[float], str]) -> str:
    """Changes as of `changes`, one a line; shown: writes a strength in the percent of its slider.

    >>> transitions_text([(0.5, "a tunnel closes")], lambda strength: f"{100 * strength:g}")
    'at 50 %: a tunnel closes'
    """
    return "\n".join(f"at {shown(strength)} %: {change}" for strength, change in found)


def nearest_transitions(lines: str, strength: float, shown: Callable[[float], str]) -> str:
    """Of lines as of `transition_lines` those nearest to a strength, in their order, and how many more there are.

    shown: as of `transitions_text`.

    >>> nearest_transitions("at -1: a\\nat 0.5: b\\nat 0.7: c\\nat 2: d\\nat 3: e", 0.6, "{:g}".format)
    'at 0.5 %: b\\nat 0.7 %: c\\nat 2 %: d\\n2 more changes'
    """
    found = changes(lines)
    nearest = sorted(sorted(found, key=lambda change: abs(change[0] - strength))[:MOST_TRANSITIONS])
    more = len(found) - len(nearest)
    told = [_count(more, "{count} more change", "{count} more changes")] if more else []
    return "\n".join([*transitions_text(nearest, shown).splitlines(), *told])


def reading_text(found: str, reason: str) -> str:
    """What a scan was read as, and why; nothing where that is unknown.

    >>> reading_text("sheet", "an open surface that faces one way, up to its border")
    'Read as a sheet: an open surface that faces one way, up to its border'
    """
    if not found:
        return ""
    return f"Read as a {found}: {reason}" if reason else f"Read as a {found}"


def holes_report(rows: Sequence[Mapping[str, Any]]) -> str:
    """
    >>> holes_report([{"is_hole": True}, {"is_hole": False}, {"is_hole": False}])
    '1 hole, 2 openings'
    """
    holes = sum(bool(row["is_hole"]) for row in rows)
    openings = len(rows) - holes
    counts = [_holes(holes), *([_count(openings, "{count:,} opening", "{count:,} openings")] if openings else [])]
    return ", ".join(counts) if rows else "No holes: the mesh has no border"


def patch_report(result: Mapping[str, Any]) -> list[str]:
    """What became of the holes of a mesh, then the warnings.

    >>> rows = [{"is_hole": True, "closed": "flat"}, {"is_hole": True, "closed": ""}]
    >>> patch_report({"holes": rows, "new_faces": 30, "warnings": ["Hole 2 is left open: its radius is 3."]})
    ['1 hole closed with 30 faces: 1 flat', 'Hole 2 is left open: its radius is 3.']
    """
    ways = Counter(row["closed"] for row in result.get("holes", ()) if row["closed"])
    if not ways:
        return ["No hole was closed", *map(_sentence, result.get("warnings", ()))]
    how = ", ".join(WAYS.get(way, "{count} " + way).format(count=count) for way, count in sorted(ways.items()))
    closed, faces = _holes(sum(ways.values())), _count(result.get("new_faces", 0), "{count:,} face", "{count:,} faces")
    return [f"{closed} closed with {faces}: {how}", *map(_sentence, result.get("warnings", ()))]


def _holes(count: int) -> str:
    return _count(count, "{count:,} hole", "{count:,} holes")


def _count(count: int, one: str, many: str) -> str:
    return (one if count == 1 else many).format(count=count)


def _betti(topology: Any) -> Sequence[int] | None:
    if isinstance(topology, Mapping):
        topology = topology.get("after") or topology.get("betti") or topology.get("before")
    return topology if isinstance(topology, Sequence) and len(topology) == 3 else None


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."
