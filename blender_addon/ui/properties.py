"""Properties: the settings of a scene, which mean the same as on the command line, and the edits of an object."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..backend.protocol.recipe import Point
from ..scene import measures, places
from ..session import edits, library, live, travel
from . import preferences
from .choices import CLOSES, KINDS, LEVELS, READ_AS, RESULTS


def _families(settings: Any, context: Any, text: str) -> list[str]:
    names = [path.stem for path in library.listing(preferences.library_folder(), library.PROFILE)]
    return [name for name in names if text.lower() in name.lower()]


_RESULT: dict[str, Any] = {
    "name": "Result", "description": "What becomes of the result", "items": RESULTS, "default": "SHAPE_KEY",
}  # fmt: skip
_LENGTHS = [(f"length_{axis.lower()}", f"Length {axis}", f"Extent along {axis}") for axis in "XYZ"]


def _value(settings: Any) -> float:
    return settings.value


def _set_value(settings: Any, value: float) -> None:
    settings.value = value


def _measure_chosen(settings: Any, context: Any) -> None:
    """Start from what the measure is now, where that is known."""
    obj = context.active_object
    settings.value = 0.0 if obj is None else measures.now(obj, settings.measure)


# Shared by the scene's settings and the operators, so that a default is written once.
FIT_OPTIONS: dict[str, Any] = {
    "level": EnumProperty(name="Detail", description="Resolution of the fitted field", items=LEVELS, default=2),
    "kind": EnumProperty(
        name="Read as", description="What kind of thing the mesh is, which decides what of it counts", items=READ_AS
    ),
    "denoise": FloatProperty(
        name="Denoise",
        description="How noisy to take the scan, against what was measured: 0 is as noisy, 1 twice and 2 four times, "
        "which smooths more; -1 is half, which keeps more detail",
        default=0.0, min=-2.0, max=2.0, precision=2,
    ),
    "fill": FloatProperty(
        name="Fill",
        description="How eagerly openings are closed: 0 as the scan suggests, 1 as eagerly as can be, -1 reluctantly",
        default=0.0, min=-1.0, max=1.0, precision=2,
    ),
    "denoise_mask": StringProperty(
        name="Denoise Mask", description="Vertex group that says where Denoise acts; empty for everywhere"
    ),
    "fill_mask": StringProperty(
        name="Fill Mask", description="Vertex group that says where Fill acts, painted around the holes; empty for "
        "everywhere",
    ),
    "keep_islands": BoolProperty(
        name="Keep Islands",
        description="Keep every separate piece that the scan supports; off keeps only the largest",
        default=True,
    ),
    "symmetry": BoolProperty(
        name="Symmetry",
        description="Where the scan is mirror-symmetric or turned, fill the unseen parts from the seen ones",
        default=True,
    ),
    "base": BoolProperty(
        name="Flat Base",
        description="Close the flat bottom of what stood on a table, which no camera saw, by a plane. Untick it for a "
        "vessel that stood on its mouth",
        default=True,
    ),
    "walls": BoolProperty(
        name="Continue Walls",
        description="Where one side of a thin wall was not seen, such as the inside of a cup, the wall goes on as "
        "thick as where both sides were seen",
        default=True,
    ),
    "keep_thin": BoolProperty(
        name="Keep Thin Walls",
        description="Make walls that are too thin for the level thick enough to stay, where both sides are known",
        default=True,
    ),
    "register_views": BoolProperty(
        name="Register Views",
        description="Register the views of a scan, whose poses are slightly wrong, to one another first. The mesh has "
        "their numbers in the point attribute 'view'",
        default=False,
    ),
    "thickness": FloatProperty(
        name="Sheet Thickness",
        description="Make a sheet a closed solid this thick, with the sheet in its middle. 0 leaves it open",
        default=0.0, min=0.0, max=1e6, unit="LENGTH",
    ),
    "profile": StringProperty(
        name="Family",
        description="A family of your library: it fills unseen parts the way its members look, and Check compares the "
        "scan with it. Empty for none",
        search=_families,
    ),
    "result": EnumProperty(**_RESULT),
}  # fmt: skip
BLEND_OPTIONS: dict[str, Any] = {
    "share": FloatProperty(
        name="Share", description="0 is this object, 1 is the other", default=0.5, min=0.0, max=1.0, subtype="FACTOR"
    ),
    "guarded": BoolProperty(
        name="Guarded", description="Take the path that keeps the topology, where there is one", default=True
    ),
}
_MEASURE: dict[str, Any] = {
    "name": "Measure",
    "description": "What to reach a value of",
    "items": [
        ("thickness", "Thickness", "Thickness of the walls"),
        ("volume", "Volume", "Enclosed volume"),
        ("area", "Area", "Area of the surface"),
        *_LENGTHS,
    ],
}
SOLVE_OPTIONS: dict[str, Any] = {
    "measure": EnumProperty(**_MEASURE),
    "value": FloatProperty(
        name="Value",
        description="The value to reach, in world units: 1 is one unit of Blender, its square or its cube",
        default=0.0, min=0.0, precision=4,
    ),
}
# The same value with the unit of the measure, by that.
VALUES: dict[str, Any] = {
    kind: FloatProperty(
        name="Value", description="The value to reach", unit=kind, min=0.0, precision=4, get=_value, set=_set_value
    )
    for kind in ("LENGTH", "AREA", "VOLUME")
}
PATCH_OPTIONS: dict[str, Any] = {
    "close": EnumProperty(name="Close", description="What a hole is closed with", items=CLOSES),
    "smaller": FloatProperty(
        name="Smaller Than",
        description="Close holes of a smaller radius only; 0 for any size",
        default=0.0, min=0.0, subtype="DISTANCE",
    ),
}  # fmt: skip
COMPLETIONS: Any = IntProperty(
    name="How Many", description="How many other completions to make", default=3, min=2, max=5
)
FACES: Any = IntProperty(
    name="Faces", description="About how many faces Fewer, Quads and Bake Low-Poly leave", default=10_000, min=12,
    soft_max=200_000,
)
SAMPLES: Any = IntProperty(name="How Many", description="How many shapes, from this seed on", default=3, min=1, max=16)
SEED: Any = IntProperty(
    name="Seed", description="The same number gives the same shape again", default=1, min=0, max=2_000_000_000
)


def _touched(group: Any, context: Any) -> None:
    owner = group.id_data
    live.mark(owner if isinstance(owner, bpy.types.Object) else None)


def _given(edit: Any, context: Any) -> None:
    edit.by_amount = False
    _touched(edit, context)


def _moved(edit: Any, context: Any) -> None:
    # The interval was measured for the edit where it acted before.
    edits.unmeasured(edit)
    _touched(edit, context)


def _chosen(place: Any, context: Any) -> None:
    path, _, _ = place.path_from_id().rpartition(".places")
    _moved(place.id_data.path_resolve(path), context)


def _is_other(edit: Any, obj: Any) -> bool:
    return obj != edit.id_data


def _is_mesh(settings: Any, obj: Any) -> bool:
    return obj.type == "MESH"


def _amount(edit: Any) -> float:
    return travel.amount(edit, edit.strength)


def _set_amount(edit: Any, amount: float) -> None:
    edit.strength = travel.strength_at(edit, amount)
    edit.by_amount = not travel.is_known(edit)


class OmomiPlace(bpy.types.PropertyGroup):
    """A place of the part that a learned edit changes."""

    __annotations__ = {
        "use": BoolProperty(
            name="Use", description="Whether the edit acts at this place", default=True, update=_chosen
        ),
        # In the local frame of the scan.
        "location": FloatVectorProperty(size=3),
    }


class OmomiLayer(bpy.types.PropertyGroup):
    """One edit of a stack."""

    __annotations__ = {
        "kind": EnumProperty(name="Kind", description="Where the edit comes from", items=KINDS),
        "path": StringProperty(name="File", description="Of a learned edit", subtype="FILE_PATH"),
        "strength": FloatProperty(
            name="Strength",
            description="How strong the edit is, as presets and recipes keep it: 0 does nothing, 1 is what the "
            "examples of a learned edit show; a negative value reverses it",
            default=0.0, soft_min=-2.0, soft_max=2.0, min=-100.0, max=100.0, precision=3, step=1, update=_given,
        ),
        # The strength again, as the slider shows it: the same travel for every edit.
        "amount": FloatProperty(
            name="Amount",
            description="How strong the edit is: from 1 % on a difference is seen, and up to 100 % pieces and tunnels "
            "of this scan are expected to stay, or it does what the examples of a learned edit show; a negative value "
            "reverses it",
            subtype="PERCENTAGE", soft_min=-100.0, soft_max=100.0, precision=0, step=100, get=_amount, set=_set_amount,
        ),
        "mute": BoolProperty(name="Mute", description="Leave this edit out", update=_touched),
        "mask": StringProperty(
            name="Mask", description="Vertex group that says where the edit acts; empty for everywhere",
            update=_moved,
        ),
        "place": PointerProperty(
            name="Place",
            description="An object, such as an Empty, that says where a learned edit belongs on this scan. Without one "
            "Omomi finds the place",
            type=bpy.types.Object, poll=_is_other, update=_moved,
        ),
        # Of the part that a learned edit changes on this scan, as Omomi has found them.
        "places": CollectionProperty(type=OmomiPlace),
        # Whether the interval in which the topology stays was measured; that interval, and the one that was looked at.
        "safe": BoolProperty(),
        "safe_low": FloatProperty(),
        "safe_high": FloatProperty(),
        "swept": FloatVectorProperty(size=2),
        # The interval that the backend expects without measuring; 0 and 0 where unknown.
        "foretold": FloatVectorProperty(size=2),
        # What the backend measures at rest: the interval in which the topology stays, and the strengths from which a
        # difference is seen, the first below the second; 0 and 0 where unknown.
        "kept": FloatVectorProperty(size=2),
        "seen": FloatVectorProperty(size=2),
        # Whether the strength was given as an amount before the travel on this scan was known.
        "by_amount": BoolProperty(),
        # Lines: what happens at the ends of the measured interval.
        "transitions": StringProperty(),
        # What the backend says of the edit on this object, and which gear makes its new mesh; empty where unknown.
        "note": StringProperty(),
        "gear": StringProperty(),
    }  # fmt: skip

    @property
    def at(self) -> Point | None:
        """Where ``place`` is, as of `places.given`."""
        edit: Any = self
        return places.given(edit.id_data, edit.place)


class OmomiOrigin(bpy.types.PropertyGroup):
    """The scan and the settings of a fit (see `scene.fit_provenance`)."""

    __annotations__ = {
        **{name: made for name, made in FIT_OPTIONS.items() if name != "result"},
        "scan": PointerProperty(type=bpy.types.Object),
        "mesh": PointerProperty(type=bpy.types.Mesh),
        "modifiers": StringProperty(),
        # What the scan was read as (never auto) and why, empty where unknown; and lines: what the artist should know.
        "found": StringProperty(),
        "reason": StringProperty(),
        "notes": StringProperty(),
    }


class OmomiHole(bpy.types.PropertyGroup):
    """A hole or an opening of an object's own mesh; see `scene.holes`."""

    __annotations__ = {
        "use": BoolProperty(name="Close", description="Whether Close Holes closes this one", default=True),
        "number": IntProperty(),
        "is_hole": BoolProperty(),
        # A clause: why it is an opening; empty for a hole.
        "why": StringProperty(),
        "edges": IntProperty(),
        "radius": FloatProperty(),
        # The first of the vertices of its border: with the number of edges it tells one hole from the others.
        "vertex": IntProperty(),
    }


class OmomiObject(bpy.types.PropertyGroup):
    """``object.omomi``"""

    __annotations__ = {
        # Of a fit.
        "origin": PointerProperty(type=OmomiOrigin),
        # Of another completion of a fit: that fit, and the number of the completion from 1 on.
        "completes": PointerProperty(type=bpy.types.Object),
        "variation": IntProperty(),
        "edits": CollectionProperty(type=OmomiLayer),
        "active": IntProperty(name="Active Edit", description="Counted from 0", min=0),
        "holes": CollectionProperty(type=OmomiHole),
        "active_hole": IntProperty(name="Active Hole", description="Counted from 0", min=0),
        # Lines: what the last search for holes, or the last closing of them, said.
        "holes_report": StringProperty(),
        # As of `scene.measures`.
        "measures": FloatVectorProperty(size=len(measures.NAMES)),
        # Lines: what the last result of the edits and the last check said.
        "report": StringProperty(),
        "check": StringProperty(),
    }


class OmomiPair(bpy.types.PropertyGroup):
    """An example to learn from."""

    __annotations__ = {
        "before": PointerProperty(
            name="Before", description="A mesh without the edit", type=bpy.types.Object, poll=_is_mesh
        ),
        "after": PointerProperty(
            name="After", description="The same mesh with the edit", type=bpy.types.Object, poll=_is_mesh
        ),
        "mark": PointerProperty(
            name="Mark",
            description="An object, such as an empty, where the edit is on the mesh before. A place that you give the "
            "edit on another scan is the same place there",
            type=bpy.types.Object,
        ),
    }


class OmomiSettings(bpy.types.PropertyGroup):
    """``scene.omomi``"""

    __annotations__ = {
        **FIT_OPTIONS,
        **BLEND_OPTIONS,
        **SOLVE_OPTIONS,
        **{f"value_{kind.lower()}": made for kind, made in VALUES.items()},
        **PATCH_OPTIONS,
        "measure": EnumProperty(**_MEASURE, update=_measure_chosen),
        "result": EnumProperty(**_RESULT, update=_touched),
        "other": PointerProperty(
            name="Other", description="The object to blend with", type=bpy.types.Object, poll=_is_mesh
        ),
        "pairs": CollectionProperty(type=OmomiPair),
        "learn_name": StringProperty(name="Name", description="Name of the edit to learn", default="My edit"),
        # Lines: what was learned last, and what there is to say of it.
        "learn_report": StringProperty(),
        "completions": COMPLETIONS,
        "faces": FACES,
        "seed": SEED,
        "samples": SAMPLES,
        "family_name": StringProperty(name="Name", description="Name of the new family", default="My family"),
        "family_report": StringProperty(),
    }


CLASSES = (OmomiPlace, OmomiLayer, OmomiOrigin, OmomiHole, OmomiObject, OmomiPair, OmomiSettings)


def add_to_blender() -> None:
    scene: Any = bpy.types.Scene
    scene.omomi = PointerProperty(type=OmomiSettings)
    obj: Any = bpy.types.Object
    obj.omomi = PointerProperty(type=OmomiObject)


def remove_from_blender() -> None:
    delattr(bpy.types.Object, "omomi")
    delattr(bpy.types.Scene, "omomi")
