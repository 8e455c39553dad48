"""The model's card as the report reads it. What a card lacks, or spells in another way, counts as missing.

The members of ``card.json`` that the report shows, all of them optional:

- hash, parameters, device, history; known_limits: sentences; config, train, training: settings.
- descriptors: names of the properties of a shape, in the order of every slider's ``effect``.
- sliders: [{name, kind: "attribute" | "shape" | "style", unit, range: [low, high], reach: [[low, high], ...] or
  [low, high], side_effect, scores: {name: number}, effect: [number, ...]}], see `MeasuredSlider`.
- disentanglement: {metric: {ours: [mean, sd], pca: [mean, sd]}, seeds: count}, metrics as in `METRICS`, of sliders on
  the codes of one family; disentanglement_z: the same on z, which serves shapes of all kinds.
- calibration_curve: {level: {nominal: [share, ...], observed: [share, ...]}}; few_shot: {nominal, observed, ...}.
- prior: {name: number}; bench_NAME: {bar: {measured, bar, passed}}.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..protocol.names import card_members, card_predecessors

MOST = 512
"""Sliders, bars or values of a list; the rest is left out."""
DEEPEST = 6
"""Levels of nesting that are read."""
MOST_LEAVES = 20_000
"""Numbers, texts and truth values of a card that are compared with those of another: a card of ours has 1,300."""


class Metric(NamedTuple):
    """How the report explains a measure of disentanglement."""

    name: str
    asks: str
    bar: float | None = None  # to reach; None where nothing is asked
    lower_is_better: bool = False


METRICS: dict[str, Metric] = {
    "dci_disentanglement": Metric("DCI, disentanglement", "Does each slider serve one property?", 0.8),
    "dci_completeness": Metric("DCI, completeness", "Is each property served by one slider?"),
    "dci_informativeness": Metric("DCI, informativeness", "Can the properties be read from the sliders at all?"),
    "mig": Metric("MIG", "Does the best slider know a property much better than the second best?", 0.4),
    "sap": Metric("SAP", "Does it predict the property much better, too?"),
    "factor_vae": Metric("FactorVAE", "If one property is held, does one slider stand still?"),
    "beta_vae": Metric("beta-VAE", "If one property is held, can one tell which?"),
    "modularity": Metric("Modularity", "Does a slider know of one property only?"),
    "explicitness": Metric("Explicitness", "Is a property read off plainly?"),
    "side_effect": Metric("Side effect, sd", "How much does a slider move what it should not?", 0.15, True),
}
_ALIASES = {"dci_d": "dci_disentanglement", "dci": "dci_disentanglement", "dci_c": "dci_completeness"}
_ALIASES |= {"dci_i": "dci_informativeness", "factorvae": "factor_vae", "betavae": "beta_vae"}
_ALIASES |= {"side_effects": "side_effect", "attribute_dependency": "side_effect"}


class Spread(NamedTuple):
    """A mean and its standard deviation over seeds, 0 where it was measured once."""

    mean: float
    sd: float


@dataclass(frozen=True)
class MeasuredSlider:
    """A slider and its measures. Effects are of one unit, in standard deviations over the reference shapes."""

    name: str
    kind: str = ""
    unit: str = ""
    low: float = -1.0
    high: float = 1.0
    reach: tuple[tuple[float, float], ...] = ()  # for each reference shape, the strengths that keep its topology
    side_effect: float | None = None  # mean change of what the slider should not move
    scores: tuple[tuple[str, float], ...] = ()
    effect: tuple[float, ...] = ()  # mean change of each descriptor


@dataclass(frozen=True)
class Score:
    """A measure of disentanglement; None where it was not measured."""

    key: str
    metric: Metric
    ours: Spread | None
    pca: Spread | None  # of plain principal components


@dataclass(frozen=True)
class Curve:
    """A calibration curve."""

    name: str
    nominal: tuple[float, ...]  # (n,) shares of the surface that a range was said to hold
    observed: tuple[float, ...]  # (n,) shares that it held

    def held(self, share: float = 0.9) -> float:
        """The share that a range held which was said to hold ``share``, interpolated."""
        order = np.argsort(self.nominal)
        x, y = np.array(self.nominal)[order], np.array(self.observed)[order]
        return float(np.interp(share, [0.0, *x, 1.0], [0.0, *y, 1.0]))


@dataclass(frozen=True)
class Bar:
    """A figure of a benchmark against its limit; None where it was not measured."""

    bench: str
    name: str
    measured: float | None
    limit: float
    passed: bool | None

    @property
    def at_most(self) -> bool | None:
        """Whether the limit is the largest that passes; None where the card does not tell."""
        if self.measured is None or self.passed is None or self.measured == self.limit:
            return None
        return self.passed == (self.measured < self.limit)


@dataclass(frozen=True)
class Card:
    """What a card says."""

    hash: str = ""
    predecessors: tuple[str, ...] = ()  # hashes of earlier models to which codes and edits meant the same
    parameters: int | None = None
    seconds: float | None = None  # of the last training
    device: str = ""
    descriptors: tuple[str, ...] = ()
    sliders: tuple[MeasuredSlider, ...] = ()
    scores: tuple[Score, ...] = ()  # on the codes of one family
    scores_z: tuple[Score, ...] = ()  # on z
    seeds: int | None = None
    calibration: tuple[Curve, ...] = ()
    few_shot: Curve | None = None
    prior: tuple[tuple[str, float], ...] = ()
    bars: tuple[Bar, ...] = ()
    limits: tuple[str, ...] = ()
    history: str = ""
    raw: Mapping[str, Any] | None = None  # all of it

    @property
    def models(self) -> tuple[str, ...]:
        """Hashes of the model and its predecessors; none where the card has no hash."""
        return (self.hash, *self.predecessors) if self.hash else ()


def read_card(path: Path) -> Card:
    """Read a card. Raises OmomiError(UNREADABLE_FILE) for what is no JSON object of at most LARGEST_CARD bytes."""
    return card_of(card_members(path))


def card_of(raw: Mapping[str, Any]) -> Card:
    """A card from its JSON. Parts that are not as the module says are left out."""
    training = _object(raw.get("training"))
    scores = _object(raw.get("disentanglement"))
    curves = _object(raw.get("calibration_curve")).items()
    calibration = [_curve(f"level {name}" if name.isdigit() else name, value) for name, value in list(curves)[:MOST]]
    seconds, parameters = _number(training.get("seconds")), _number(raw.get("parameters"))
    seeds = _number(scores.get("seeds"))
    return Card(
        hash=_string(raw.get("hash")),
        predecessors=card_predecessors(raw),
        parameters=None if parameters is None else int(parameters),
        seconds=seconds,
        device=_string(raw.get("device")),
        descriptors=tuple(map(_string, _array(raw.get("descriptors")))),
        sliders=tuple(filter(None, map(_slider, _array(raw.get("sliders"))))),
        scores=tuple(_scores(scores)),
        scores_z=tuple(_scores(_object(raw.get("disentanglement_z")))),
        seeds=None if seeds is None else int(seeds),
        calibration=tuple(filter(None, calibration)),
        few_shot=_curve("few examples", raw.get("few_shot")),
        prior=tuple(_numbers(raw.get("prior"))),
        bars=tuple(_bars(raw)),
        limits=tuple(line for line in _array(raw.get("known_limits")) if isinstance(line, str)),
        history=_string(raw.get("history")),
        raw=raw,
    )


def leaves(card: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], float | str | bool]]:
    """The first MOST_LEAVES numbers, texts and truth values of a card, each with its path; entries of lists by their
    number."""
    return islice(_leaves(card, ()), MOST_LEAVES)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float | str | bool]]:
    if isinstance(value, (Mapping, list)) and len(path) < DEEPEST:
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in list(entries)[:MOST]:
            yield from _leaves(item, (*path, str(key)))
    elif isinstance(value, (bool, str)):
        yield path, value
    elif (found := _number(value)) is not None:
        yield path, found


def _slider(value: Any) -> MeasuredSlider | None:
    given = _object(value)
    name = _string(given.get("name"))
    if not name:
        return None
    ends = _pair(given.get("range")) or (-1.0, 1.0)
    reach = given.get("reach")
    pairs = [_pair(reach)] if _pair(reach) else [_pair(one) for one in _array(reach)]
    return MeasuredSlider(
        name,
        _string(given.get("kind")),
        _string(given.get("unit")),
        *(ends if ends[0] < ends[1] else (-1.0, 1.0)),
        tuple(pair for pair in pairs if pair is not None and pair[0] <= pair[1]),
        _number(given.get("side_effect")),
        tuple(_numbers(given.get("scores"))),
        tuple(_list(given.get("effect")) or ()),
    )


def _scores(given: Mapping[str, Any]) -> Iterator[Score]:
    """The scores of METRICS in their order, then the others."""
    named = {_key(name): value for name, value in given.items() if name != "seeds"}
    for key in (*METRICS, *(name for name in named if name not in METRICS)):
        value = _object(named.get(key))
        ours, pca = _spread(value.get("ours")), _spread(value.get("pca"))
        if ours is not None or pca is not None:
            yield Score(key, METRICS.get(key, Metric(key.replace("_", " "), "")), ours, pca)


def _key(name: str) -> str:
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return _ALIASES.get(plain, plain)


def _spread(value: Any) -> Spread | None:
    if (single := _number(value)) is not None:
        return Spread(single, 0.0)
    found = _list(value)
    return Spread(found[0], abs(found[1]) if len(found) > 1 else 0.0) if found else None


def _curve(name: str, value: Any) -> Curve | None:
    given = _object(value)
    nominal, observed = _list(given.get("nominal")), _list(given.get("observed"))
    if not nominal or not observed or len(nominal) != len(observed):
        return None
    if not all(0 <= share <= 1 for share in (*nominal, *observed)):
        return None
    return Curve(name, tuple(nominal), tuple(observed))


def _bars(raw: Mapping[str, Any]) -> Iterator[Bar]:
    for key in [key for key in raw if key.startswith("bench_")][:MOST]:
        for name, value in list(_object(raw[key]).items())[:MOST]:
            given = _object(value)
            limit, passed = _number(given.get("bar")), given.get("passed")
            if limit is not None:
                known = passed if isinstance(passed, bool) else None
                yield Bar(key.removeprefix("bench_"), name, _number(given.get("measured")), limit, known)


def _numbers(value: Any) -> Iterator[tuple[str, float]]:
    for path, leaf in leaves(_object(value)):
        if not isinstance(leaf, (str, bool)):
            yield ", ".join(path), leaf


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _array(value: Any) -> list[Any]:
    return value[:MOST] if isinstance(value, list) else []


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    """A finite number of at most 1e15: JSON can spell integers that no float holds."""
    if type(value) not in (int, float) or not abs(value) <= 1e15:
        return None
    return float(value) if math.isfinite(value) else None


def _list(value: Any) -> list[float] | None:
    """Numbers, all of them or none."""
    found = [_number(one) for one in _array(value)]
    return None if None in found else [one for one in found if one is not None]


def _pair(value: Any) -> tuple[float, float] | None:
    found = _list(value)
    return (found[0], found[1]) if found and len(found) == 2 else None
