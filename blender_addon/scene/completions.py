"""Other completions of a fit: the scan is fitted again and its unseen parts are filled otherwise, to pick one.

Each is an object over the fit, in a collection of their own, the first one shown. The fit itself is hidden meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..context import context
from ..session import backend_fit, edits
from ..session.backend_fit import FitSettings
from ..session.task import Client, Work
from ..text import Refusal, refuse
from . import fit_provenance, preview, results
from .attributes import transfer_to_fit
from .draft import Draft

NAME = "Omomi completions"
MARK = "omomi_completions"


def why_not(result: Any) -> str | None:
    """The reason why this fit cannot be given another completion, or None."""
    if not result.users_scene:
        return f"{result.name} was deleted. Undo that, or press Fit again."
    if context.scene not in result.users_scene:
        return f"{result.name} is not in this view layer. Show it first."
    return results.why_not_replace(result)


def of(result: Any) -> list[Any]:
    """The other completions of a fit, in their order. One that the artist moved to another collection is not among
    them."""
    homes = [child for child in context.scene.collection.children if MARK in child]
    found = {obj for home in homes for obj in home.objects if obj.type == "MESH" and obj.omomi.completes == result}
    return sorted(found, key=lambda obj: obj.omomi.variation)


def complete(client: Client, result: Any, settings: FitSettings, count: int) -> Work:
    """A `Draft` of each of ``count`` other completions of a fit. Raises OmomiError."""
    name, made = fit_provenance.name_of(result), list[Draft]()
    original = yield from fit_provenance.read(result, settings.groups)
    for variation in range(1, count + 1):
        options = replace(settings.options, variation=variation)
        answer = yield replace(settings, options=options).ask(client, original.scan, name)
        frame, worn = answer.mesh, None
        try:
            if original.attributes is not None and len(frame.faces):
                scan = original.attributes, original.scan
                worn = yield from transfer_to_fit(client, answer.job, *scan, frame)
        finally:
            client.forget(answer.job)
        made.append(Draft(frame, original.linear, worn))
    return made


def commit(uid: int, found: list[Draft]) -> list[Any]:
    """Put the completions of a fit in the scene, in place of those that it had. Raises OmomiError."""
    result = backend_fit.need(uid, "The fit")
    refuse(why_not(result))
    preview.remove_objects(of(result), MARK)
    name, home = fit_provenance.name_of(result), preview.marked_collection(MARK, NAME)
    for variation, draft in enumerate(found, 1):
        obj = results.double(result, draft, f"{name}.completion.{variation + 1}")
        obj.omomi.completes, obj.omomi.variation = result, variation
        home.objects.link(obj)
    made = of(result)
    show(made[0])
    return made


def show(chosen: Any) -> None:
    """Show this one alone of a fit and its completions, and make it active."""
    result, layer = chosen.omomi.completes or chosen, context.view_layer.objects
    for obj in (result, *of(result)):
        hidden = obj != chosen
        obj.hide_render = hidden
        # The artist may have taken the collection out of the view.
        if layer.get(obj.name) == obj:
            obj.hide_set(hidden)
            obj.select_set(not hidden)
    if layer.get(chosen.name) == chosen:
        layer.active = chosen


def pick(chosen: Any) -> Any:
    """Give the fit the mesh of this completion and remove the others; where it is the fit itself, its mesh stays. The
    mesh that the fit had is kept in the file. Returns the object of the fit. Raises `Refusal`."""
    result = chosen.omomi.completes or chosen
    refuse(why_not(result))
    if chosen != result and chosen not in of(result):
        raise Refusal(f"{chosen.name} was moved out of '{NAME}', so it is an object of its own. Choose another.")
    if chosen != result:
        results.keep_mesh(result)
        mesh, chosen.data = chosen.data, result.data
        result.data = mesh
        mesh.name = result.name
        edits.settle(result, new_mesh=True)
    preview.remove_objects(of(result), MARK)
    show(result)
    return result
