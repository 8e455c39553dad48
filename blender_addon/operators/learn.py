"""Operators that learn from the artist's meshes: an edit from pairs of before and after, a family from its members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..backend.protocol.requests import AlignRequest, LearnRequest
from ..scene import places
from ..scene.snapshot import READING, read_scan
from ..session import library
from ..session.backend_fit import need, profile_path
from ..session.slices import in_thread, renamed
from ..session.task import Client, Task, Work
from ..text import Refusal, family_report, gear_text
from ..ui import preferences
from ..ui.widgets import selected_meshes
from .modal import WAIT, ActionOperator, PolledOperator, RunOperator, why_not_start

MOST_PAIRS = 5
FEWEST_MEMBERS, MOST_MEMBERS = 10, 80


class OMOMI_OT_add_pair(PolledOperator, bpy.types.Operator):
    """Add the two selected objects as an example: the active one shows the other after the edit"""

    bl_idname = "omomi.add_pair"
    bl_label = "Add Pair"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def why_not(cls, context: Any) -> str:
        selected = selected_meshes(context)
        if len(selected) != 2 or context.active_object not in selected:
            return "Select the mesh before the edit, then the mesh after it"
        full = len(context.scene.omomi.pairs) >= MOST_PAIRS
        return f"{MOST_PAIRS} pairs are the most; remove one first" if full else ""

    def execute(self, context: Any) -> Any:
        after = context.active_object
        pair = context.scene.omomi.pairs.add()
        pair.after = after
        pair.before = next(obj for obj in selected_meshes(context) if obj != after)
        return {"FINISHED"}


class OMOMI_OT_remove_pair(ActionOperator, bpy.types.Operator):
    """Remove a pair from the list; its objects stay"""

    bl_idname = "omomi.remove_pair"
    bl_label = "Remove Pair"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"index": IntProperty(name="Index", description="Counted from 0", min=0)}

    def _act(self, context: Any) -> str:
        pairs = context.scene.omomi.pairs
        if self.index >= len(pairs):
            raise Refusal(f"There is no pair number {self.index}.")
        pairs.remove(self.index)
        return ""


class OMOMI_OT_learn(RunOperator, bpy.types.Operator):
    """Learn an edit from the pairs and put it in the library; Esc cancels"""

    bl_idname = "omomi.learn"
    bl_label = "Learn"
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the edit; else the scene's setting"),
        "overwrite": BoolProperty(name="Overwrite", description="Replace an edit of the same name"),
        **WAIT,
    }
    _name = ""

    @classmethod
    def why_not(cls, context: Any) -> str:
        pairs = len(context.scene.omomi.pairs)
        return why_not_start(context) or (
            "" if pairs else "Add a pair first: the mesh before the edit and the mesh after it"
        )

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        self._name = library.check_name(self.name or context.scene.omomi.learn_name)
        path = library.room_for(preferences.library_folder(), self._name, library.EDIT, overwrite=self.overwrite)
        objects, marks = list(_examples(context)), _marks(context.scene.omomi.pairs)
        how = {"name": self._name, "path": str(path), "marks": marks}
        work = _learned(client, LearnRequest, objects, "Choose a mesh with faces", **how)
        return Task(client, work, "reading the pairs")

    def _commit(self, context: Any, run: Any) -> None:
        warnings = run.result.get("warnings", ())
        for warning in warnings:
            self.tell("WARNING", warning)
        examples = run.result.get("examples", len(context.scene.omomi.pairs))
        name = self._name
        learned = f"Learned '{name}' from 1 pair" if examples == 1 else f"Learned '{name}' from {examples} pairs"
        gear = gear_text(run.result.get("gear"))
        use = "Select other scans and press its name in the panel Library."
        context.scene.omomi.learn_report = "\n".join(filter(None, (f"{learned}.", use, gear, *warnings)))
        self.tell("INFO", f"{learned}. {gear}" if gear else learned)


class OMOMI_OT_align(RunOperator, bpy.types.Operator):
    """Learn what the selected meshes have in common and how they differ, and keep it as a family in the library"""

    bl_idname = "omomi.align"
    bl_label = "Learn Family"
    bl_description = (
        f"Learn what {FEWEST_MEMBERS} to {MOST_MEMBERS} selected meshes of one kind have in common and how they "
        "differ. The family goes into the library: it completes scans of that kind and shows where one departs from "
        "it; Esc cancels"
    )
    __annotations__ = {
        "name": StringProperty(name="Name", description="Of the family; else the scene's setting"),
        "overwrite": BoolProperty(name="Overwrite", description="Replace a family of the same name"),
        **WAIT,
    }
    _name = ""

    @classmethod
    def why_not(cls, context: Any) -> str:
        count = len(selected_meshes(context))
        wanted = f"Select {FEWEST_MEMBERS} to {MOST_MEMBERS} meshes of one kind ({count} are selected)"
        return why_not_start(context) or ("" if FEWEST_MEMBERS <= count <= MOST_MEMBERS else wanted)

    def _make(self, context: Any, client: Client, stream: bool) -> Task:
        self._name = library.check_name(self.name or context.scene.omomi.family_name)
        path = library.room_for(preferences.library_folder(), self._name, library.PROFILE, overwrite=self.overwrite)
        members = selected_meshes(context)
        how = {"name": self._name, "path": str(path), "names": tuple(obj.name for obj in members)}
        work = _learned(client, AlignRequest, members, "Deselect it, or fit it first", **how)
        return Task(client, work, "reading the members")

    def _commit(self, context: Any, run: Any) -> None:
        learned, *warnings = family_report(self._name, run.result)
        context.scene.omomi.family_report = "\n".join([learned, *warnings])
        if warnings:
            self.tell("WARNING", "\n".join(warnings))
        self.tell("INFO", learned)


class OMOMI_OT_choose_family(ActionOperator, bpy.types.Operator):
    """Use this family: fits fill what is unseen as its members look, and Check compares with it. Press again: none"""

    bl_idname = "omomi.choose_family"
    bl_label = "Use Family"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    __annotations__ = {"name": StringProperty(name="Name", description="Of the family; empty for none")}

    def _act(self, context: Any) -> str:
        settings = context.scene.omomi
        profile_path(self.name)
        settings.profile = "" if settings.profile == self.name else self.name
        return ""


CLASSES = (OMOMI_OT_add_pair, OMOMI_OT_remove_pair, OMOMI_OT_learn, OMOMI_OT_align, OMOMI_OT_choose_family)


def _examples(context: Any) -> Iterator[Any]:
    """The objects of the pairs, before and after in turn. Raises `Refusal` for one that was deleted."""
    for number, pair in enumerate(context.scene.omomi.pairs, 1):
        for which in ("before", "after"):
            obj = getattr(pair, which)
            if obj is None or obj.name not in context.scene.objects:
                raise Refusal(f"The mesh {which} of pair {number} was deleted. Remove the pair, or choose another.")
            yield obj


def _marks(pairs: Iterable[Any]) -> np.ndarray | None:
    """Where the edit is on each mesh before (k, 3), as the backend has its positions, NaN where nothing marks it; None
    where no pair is marked."""
    found = [places.given(pair.before, pair.mark) for pair in pairs]
    return np.array([(np.nan,) * 3 if mark is None else mark for mark in found]) if any(found) else None


def _learned(client: Client, kind: type[Any], objects: Iterable[Any], instead: str, **fields: Any) -> Work:
    """What a request about objects, as they are shown, results in. It has all points, all faces, and how many each mesh
    has. instead: what to do with an object without faces. Raises OmomiError."""
    # which an undo may free meanwhile
    wanted = [(obj.session_uid, obj.name) for obj in objects]
    meshes: list[tuple[np.ndarray, np.ndarray]] = []
    for number, (uid, name) in enumerate(wanted, 1):
        said = f"{name} ({number} of {len(wanted)}): {READING}"
        scan = yield from renamed(read_scan(need(uid, name), shown=True), said)
        if scan.faces is None:
            raise Refusal(f"{name} has no faces, so nothing can be learned from it. {instead}.")
        meshes.append((scan.points, scan.faces))
    counts = tuple(len(array) for mesh in meshes for array in mesh)

    def joined() -> list[np.ndarray]:
        return [np.concatenate(arrays) for arrays in zip(*meshes, strict=True)]

    points, faces = yield from in_thread(joined, READING)
    answer = yield client.request(kind, counts=counts, points=points, faces=faces, **fields)
    return answer.done.result
