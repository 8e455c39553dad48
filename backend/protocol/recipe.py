"""Recipes: an ordered stack of edits with strengths and masks. With the model's hash it reproduces a result."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import ErrorCode, OmomiError, refuse
from ..formats.files import FormatError, parse_json, read_bounded, require, unreadable, write_whole
from .fit_options import FitOptions
from .mask_ref import ROW, MaskRef, Point, file_name, flag, integer, number, point, settle

VERSION = 1
LARGEST_FILE = 1 << 20
"""Bytes. The longest recipe within the bounds below takes less."""
MOST_ENTRIES = 256

SHAPE = "shape"

_MODEL_HASH = re.compile(r"[0-9a-f]{8,64}")
_SHA256 = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True)
class Layer:
    """One edit of a stack, as recipes, presets, requests and the command line carry it. Raises OmomiError(BAD_OPTION).
    """

    edit: str  # name of an attribute or of a shape slider; stem of the edit's file
    strength: float
    sha256: str = ""  # hex digest of the edit's file in a recipe; empty for what is built in
    mute: bool = False
    mask: MaskRef | None = None  # None: everywhere
    kind: str | None = None  # SHAPE for a slider of the model's shape code, None for an attribute or a file
    path: str = ""  # of the edit's file in a request; the files of a recipe lie beside it
    at: Point | None = None  # world units: where a learned edit belongs on this scan; None: where Omomi finds its place
    without: tuple[int, ...] | None = None  # numbers of places of a learned edit that are left alone; None: none

    def __post_init__(self) -> None:
        file_name("the name of an edit", self.edit)
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            refuse("sha256 must be 64 hexadecimal digits, or empty for a built-in attribute")
        if not isinstance(self.path, str) or "\0" in self.path:
            refuse("the path of an edit must be a text without a null character")
        if self.mask is not None and not isinstance(self.mask, MaskRef):
            refuse("mask must be a mask or absent")
        if self.kind is not None and (self.kind != SHAPE or self.sha256 or self.path):
            refuse(f"kind must be {SHAPE}, of an edit that has no file, or absent")
        if (self.at is not None or self.without is not None) and self.source != "learned":
            refuse("only an edit that was learned from examples has places")
        if self.at is not None:
            settle(self, at=point("at", self.at))
        if self.without is not None:
            settle(self, without=_places(self.without))
        settle(self, strength=number("strength", self.strength), mute=flag("mute", self.mute))

    @property
    def source(self) -> str:
        """Where the edit comes from: "attribute", "shape" or "learned"."""
        return "shape" if self.kind == SHAPE else "learned" if self.sha256 or self.path else "attribute"

    def to_json(self) -> dict[str, Any]:
        """The members that are given."""
        members = asdict(self, dict_factory=_given)
        if not self.path:
            del members["path"]
        return members

    @classmethod
    def from_json(cls, value: Any) -> Layer:
        """The layer in a JSON object, which may come from anywhere. Raises OmomiError(BAD_OPTION)."""
        try:
            return _layer(value)
        except FormatError as error:
            raise OmomiError(ErrorCode.BAD_OPTION, f"An edit cannot be understood: {error}.") from error


@dataclass(frozen=True)
class Recipe:
    """A fit and the edits after it. Equal recipes have equal texts, and reading what `to_json` wrote gives an equal
    recipe, to the last bit. Raises OmomiError(BAD_OPTION)."""

    model: str  # hash of the model that the recipe was made with
    fit: FitOptions = field(default_factory=FitOptions)
    entries: tuple[Layer, ...] = ()
    version: int = VERSION

    def __post_init__(self) -> None:
        if type(self.version) is not int or self.version != VERSION:
            refuse(f"it is not of version {VERSION}, the only one that this Omomi knows")
        if not isinstance(self.model, str) or not _MODEL_HASH.fullmatch(self.model):
            refuse("the hash of its model must be 8 to 64 hexadecimal digits")
        if len(self.entries) > MOST_ENTRIES:
            refuse(f"it has more than {MOST_ENTRIES} entries")
        masks = *self.fit.masks.values(), *(layer.mask for layer in self.entries if layer.mask is not None)
        if any(layer.path for layer in self.entries) or any(mask.kind == ROW for mask in masks):
            refuse("its edits and masks must be named, as files or vertex groups")
        settle(self, entries=tuple(self.entries))

    def to_json(self) -> str:
        """The recipe as text, the same for equal recipes."""
        members = {"version": self.version, **asdict(self, dict_factory=_given)}
        members["entries"] = [layer.to_json() for layer in self.entries]
        return json.dumps(members, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "The recipe") -> Recipe:
        """The recipe in a text from anywhere, which errors call ``name``. Raises OmomiError(UNREADABLE_FILE)."""
        try:
            require(len(text) <= LARGEST_FILE, f"it is larger than {LARGEST_FILE >> 20} MiB")
            return _recipe(parse_json(text, "it"))
        except FormatError as flaw:
            raise unreadable(name, flaw) from flaw
        except OmomiError as error:
            raise unreadable(name, error.message[0].lower() + error.message[1:].rstrip(".")) from error


def read_recipe(path: Path) -> Recipe:
    """Raises OmomiError(UNREADABLE_FILE)."""
    path = Path(path)
    return Recipe.from_json(read_bounded(path, LARGEST_FILE), path.name)


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Raises OmomiError(DISK); what was at ``path`` is untouched then."""
    write_whole(Path(path), recipe.to_json().encode("ascii"))


def check_model(
    made_with: Recipe | str, model_hash: str, name: str = "The recipe", predecessors: Collection[str] = ()
) -> None:
    """Raises OmomiError(MODEL_MISMATCH) unless a recipe or hash belongs to the model with ``model_hash`` or to one of
    its predecessors, to which codes and edits meant the same."""
    theirs = made_with.model if isinstance(made_with, Recipe) else made_with
    if theirs != model_hash and theirs not in predecessors:
        # the hash may stand in a file from anywhere
        shown = theirs if _MODEL_HASH.fullmatch(theirs) else f"{theirs!r:.66}"
        raise OmomiError(
            ErrorCode.MODEL_MISMATCH, f"{name} was made with the model {shown}, not with {model_hash}, which is in use."
        )


def _recipe(value: Any) -> Recipe:
    version = value.get("version") if isinstance(value, dict) else None
    # first of all, for what follows may differ in another version
    if type(version) is int and version != VERSION:
        raise FormatError(f"it is of version {str(version)[:20]}, and this Omomi knows version {VERSION}")
    members = _members(Recipe, value, "the recipe")
    entries = members.get("entries", [])
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise FormatError(f"its entries are not a list of at most {MOST_ENTRIES}")
    members["entries"] = tuple(_layer(entry) for entry in entries)
    members["fit"] = FitOptions.of(_members(FitOptions, members.get("fit", {}), "fit"))
    return Recipe(**members)


def _layer(value: Any) -> Layer:
    members = _members(Layer, value, "an entry")
    mask = members.get("mask")
    if mask is not None:
        members["mask"] = MaskRef.of(mask)
    return Layer(**members)


def _members(cls: type, value: Any, what: str) -> dict[str, Any]:
    """What a JSON object gives for the fields of a dataclass: no other, and all that have no default."""
    if not isinstance(value, Mapping):
        raise FormatError(f"{what} is not an object")
    known = {item.name: item for item in fields(cls)}
    for key in value:
        require(key in known, f"{what} has the unknown key {key!r:.80}")
    for key, item in known.items():
        required = item.default is MISSING and item.default_factory is MISSING
        require(key in value or not required, f"{what} has no {key}")
    return dict(value)


def _given(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value is not None}


def _places(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_ENTRIES:
        refuse(f"without must be a list of at most {MOST_ENTRIES} numbers")
    return tuple(integer("the number of a place", item) for item in value)
