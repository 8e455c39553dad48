"""How far the slider of an edit goes on its scan: as the backend expects at first, and measures once sliders rest."""

from __future__ import annotations

from typing import Any

from ..backend.protocol.requests import EditTarget, TravelRequest
from ..backend.protocol.slider_travel import Side, slider_travel
from . import backend_fit, edits
from .backend_fit import FitSettings
from .task import Client, Work


def sides(edit: Any) -> tuple[Side, Side]:
    """The sides of an edit's slider, below 0 and above. Of a learned edit they end at -1 and 1, which is what its
    examples show; of the others see `slider_travel`.

    >>> from types import SimpleNamespace
    >>> edit = SimpleNamespace(kind="attribute", name="thickness", safe=False, foretold=(-0.5, 9.0), seen=(0, 0))
    >>> [side.end for side in sides(edit)]
    [-0.4, 2.0]
    """
    known = edits.find(edit.kind, edit.name)
    if edit.kind == "learned" or known is None:
        return Side(-1.0), Side(1.0)
    foretold = _ends(edit.foretold) if edit.foretold[0] < edit.foretold[1] else None
    safe = safe_range(edit) if edit.safe or is_measured(edit) else None
    return slider_travel(known.useful, foretold, safe, _ends(edit.seen) if is_measured(edit) else None)


def amount(edit: Any, strength: float) -> float:
    """Where the slider stands at a strength, in %: from -100 to 100 up to its ends."""
    below, above = sides(edit)
    return 100 * above.share(strength) if strength > 0 else -100 * below.share(strength)


def shown(edit: Any, strength: float) -> str:
    """The same as an artist reads it.

    >>> from types import SimpleNamespace
    >>> shown(SimpleNamespace(kind="learned", name="drill"), 0.614)
    '61.4'
    """
    return f"{amount(edit, strength):z.3g}"


def strength_at(edit: Any, amount: float) -> float:
    """The strength where the slider stands at ``amount``."""
    below, above = sides(edit)
    return above.strength(amount / 100) if amount > 0 else below.strength(-amount / 100)


def is_known(edit: Any) -> bool:
    """Whether anything is known of the travel of the edit's slider on this scan."""
    return edit.safe or is_measured(edit) or edit.foretold[0] < edit.foretold[1]


def is_measured(edit: Any) -> bool:
    """Whether the backend has measured the travel at rest."""
    return edit.seen[0] < edit.seen[1]


def safe_range(edit: Any) -> tuple[float, float]:
    """The interval in which the topology stays, of a search for it, else as measured at rest, else as expected; 0 and 0
    where none is known."""
    if edit.safe:
        return edit.safe_low, edit.safe_high
    return _ends(edit.kept if is_measured(edit) else edit.foretold)


def outside(edit: Any) -> bool:
    """Whether the topology is another one at this strength, as measured or as expected. At 0 an edit does nothing."""
    low, high = safe_range(edit)
    acts = not edit.mute and edit.strength != 0
    return acts and is_known(edit) and not low <= edit.strength <= high


def safe_text(edit: Any) -> str:
    """In the percent of the slider.

    >>> from types import SimpleNamespace
    >>> edit = SimpleNamespace(kind="learned", name="drill", safe=True, safe_low=-0.4, safe_high=1.25, seen=(0, 0))
    >>> safe_text(edit)
    'safe -40 .. 125 %'
    """
    if not is_known(edit):
        return "safe range not measured"
    low, high = (shown(edit, strength) for strength in safe_range(edit))
    sure = edit.safe or is_measured(edit)
    return f"safe {low} .. {high} %" if sure else f"safe about {low} .. {high} %"


def room_text(edit: Any) -> str:
    """A sentence where one side of the slider, or both, can do nothing that is seen; empty where both can."""
    below, above = sides(edit)
    if below.room and above.room:
        return ""
    if below.room:
        return "Above 0 no difference is seen on this scan while its topology stays"
    if above.room:
        return "Below 0 no difference is seen on this scan while its topology stays"
    return "No difference is seen on this scan while its topology stays"


def unmeasured(stack: edits.Edits) -> list[int]:
    """The edits of a stack whose travel the backend can measure, and has not."""
    return [
        number
        for number, edit in enumerate(stack)
        if edit.kind != "learned" and edits.find(edit.kind, edit.name) and not edit.mute and not is_measured(edit)
    ]


def measured(client: Client, uid: int, settings: FitSettings, body: EditTarget) -> Work:
    """Measure the travel of the edits of an object while its stack stays. Strengths stay. Raises OmomiError."""
    fit = yield from backend_fit.stacked(client, uid, settings, body)
    structure = edits.structure(backend_fit.need(uid).omomi.edits)
    for number in unmeasured(backend_fit.need(uid).omomi.edits):
        answer = yield client.request(TravelRequest, handle=fit.handle, layer=number)
        stack = backend_fit.need(uid).omomi.edits
        if edits.structure(stack) != structure:
            return
        edit, found = stack[number], answer.done.result
        edit.kept, edit.seen, edit.by_amount = found["safe"], found["seen"], False


def _ends(pair: Any) -> tuple[float, float]:
    low, high = pair
    return low, high
