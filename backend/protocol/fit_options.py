"""How a scan is fitted: what a request, a recipe and the command line carry."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import refuse
from .mask_ref import MaskRef

DEEPEST_LEVEL = 5
MOST_VARIATIONS = 9999
LARGEST_THICKNESS = 1e6
KINDS = ("auto", "scan", "solid", "sheet")
"""What a scan can be read as; auto finds out. See `scan.kind`."""


PAINTED = ("denoise", "fill")
"""Options that may act in part of a scan."""
_MASKS = tuple(f"{name}_mask" for name in PAINTED)


@dataclass(frozen=True)
class FitOptions:
    """How a scan is fitted. Raises OmomiError(BAD_OPTION) for a value of another type or out of its range."""

    level: int = 2  # 0 .. DEEPEST_LEVEL: the resolution is 32 * 2^level
    denoise: float = 0.0  # -2 .. 2: octaves by which the scan counts as noisier than it measures
    fill: float = 0.0  # -1 .. 1: 0 closes smoothly what nobody saw, more eagerly, less reluctantly
    keep_islands: bool = True  # every piece that the scan supports, not only the largest
    variation: int = 0  # 0 .. MOST_VARIATIONS: which completion of what nobody saw; 0 is the most likely one
    symmetry: bool = True  # complete by the scan's own symmetry; only `prior.completion` looks for it
    base: bool = True  # close a flat bottom that was not seen by a plane; only `prior.completion` looks for it
    walls: bool = True  # continue thin walls of which one side was not seen; only `prior.completion` looks for them
    kind: str = "auto"  # one of KINDS
    register_views: bool = False  # register the views of a scan to one another before they are averaged
    keep_thin: bool = True  # make walls that are thinner than a voxel thick enough for the level
    denoise_mask: MaskRef | None = None  # how much of `denoise` acts where; None: all of it everywhere
    fill_mask: MaskRef | None = None
    thickness: float = 0.0  # of the solid that a sheet becomes, world units; 0 leaves it open

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "level": (0, DEEPEST_LEVEL),
            "denoise": (-2, 2),
            "fill": (-1, 1),
            "variation": (0, MOST_VARIATIONS),
            "thickness": (0, LARGEST_THICKNESS),
        }
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _MASKS:
                if value is not None and not isinstance(value, MaskRef):
                    refuse(f"the {field.name} must be a mask or absent")
                continue
            if field.type == "str":
                if value not in KINDS:
                    refuse(f"a scan is read as {', '.join(KINDS[:-1])} or {KINDS[-1]}, not as {value!r:.20}")
                continue
            if field.type == "bool":
                if not isinstance(value, bool):
                    refuse(f"the {field.name} is either on or off")
                continue
            if field.type == "int" and type(value) is not int:
                refuse(f"the {field.name} must be a whole number")
            if isinstance(value, bool) or not isinstance(value, int | float):
                refuse(f"the {field.name} must be a number")
            low, high = ranges[field.name]
            # written so that NaN fails too
            if not low <= value <= high:
                refuse(f"the {field.name} must lie between {low} and {high}, not {value!r:.20}")
            if field.type == "float":
                # equal options have equal texts
                object.__setattr__(self, field.name, float(value))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FitOptions:
        """The options with these names, the others at their defaults. Raises OmomiError(BAD_OPTION)."""
        if unknown := sorted(set(values) - {field.name for field in dataclasses.fields(cls)}):
            refuse(f"there is no option {', '.join(map(repr, unknown))}")
        given: dict[str, Any] = {
            name: MaskRef.of(value) if name in _MASKS and isinstance(value, Mapping) else value
            for name, value in values.items()
        }
        return cls(**given)

    @property
    def masks(self) -> dict[str, MaskRef]:
        """Masks of options of PAINTED, by the option; those that act everywhere are left out."""
        found = {name: getattr(self, mask) for name, mask in zip(PAINTED, _MASKS, strict=True)}
        return {name: mask for name, mask in found.items() if mask is not None}

    def masked(self, masks: Mapping[str, MaskRef]) -> FitOptions:
        """The same with these masks, by the option, in place of those that it has."""
        return dataclasses.replace(self, **{f"{name}_mask": masks.get(name) for name in PAINTED})
