"""The study: the measures themselves, sliders with and without labels, and two views of the shipped model: as an
archive of what it has seen, and as the potential of what can still be made of a shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...field.onnx_model import load_model
from ...prior.shape_prior import load_prior
from ...training.sliders import ExperimentSize
from ..claims import Claim, Findings, Say, Size
from ..threads import one_thread
from . import figures
from .archived import archive_claims, standings
from .exact import Protocol, code_claims, table_claims
from .moving import FEW, MANY, measured_sliders, slider_claims
from .reaching import reach_claims, slid_shapes
from .styles import Scale, measured_styles, style_claims

TITLE = "Disentanglement: archive and potential"
PAPER = (
    'Schaerf 2024, "Reflections on Disentanglement and the Latent Space", arXiv 2410.09094 (an essay, without figures)'
)
Pictures = list[tuple[Path, str]]


@dataclass(frozen=True)
class Effort:
    """members, seeds: of new shapes of each family that the archive is asked of; shapes, sliders: whose reach is
    counted, None for all sliders."""

    protocol: Protocol
    settings: ExperimentSize
    styles: Scale
    members: int
    seeds: int
    shapes: int
    sliders: int | None


EFFORTS = {
    Size.TEST: Effort(Protocol(4, 600, 400, 1_000), FEW, Scale(60, 30, 1, 4, 2), 1, 1, 1, 1),
    Size.WHOLE: Effort(Protocol(), MANY, Scale(), 4, 4, 6, None),
}


@one_thread()
def study(size: Size, out: Path, say: Say) -> Findings:
    effort, pictures, data = EFFORTS[size], [], {}
    claims = [
        *_measures(effort, data, say),
        *_sliders(effort, out, pictures, data, say),
        *_styles(effort, out, pictures, data, say),
        *_views(effort, out, pictures, data, say),
    ]
    return Findings(TITLE, PAPER, tuple(claims), tuple(pictures), data)


def _measures(effort: Effort, data: dict[str, Any], say: Say) -> list[Claim]:
    say("the measures against what is known of them")
    claims, data["codes"] = code_claims(effort.protocol)
    return [*table_claims(), *claims]


def _sliders(effort: Effort, out: Path, pictures: Pictures, data: dict[str, Any], say: Say) -> list[Claim]:
    say("sliders with labels and without")
    found = data["sliders"] = measured_sliders(effort.settings, say)
    figures.scores_figure(found, out / "scores.png")
    figures.side_effects_figure(found, out / "side_effects.png")
    pictures += [
        (
            out / "scores.png",
            "All measures on mugs with six known factors: where a shape stands on sliders with labels, on plain "
            "components, and in the code itself. Dashed: what is asked. Bars: standard deviation over the seeds.",
        ),
        (
            out / "side_effects.png",
            "What a slider moves beside its own measure, for one standard deviation of that one, on decoded shapes. "
            "Learned where factors go together, a slider takes its neighbours along; debiasing takes that out.",
        ),
    ]
    return slider_claims(found)


def _styles(effort: Effort, out: Path, pictures: Pictures, data: dict[str, Any], say: Say) -> list[Claim]:
    say("channels of the shipped model's style")
    model = load_model("cpu", 1)
    found = measured_styles(model, effort.styles)
    data["model"], data["styles"] = model.hash, asdict(found)
    if len(found.shares):
        figures.styles_figure(found, out / "styles.png")
        caption = (
            "Channels of the shipped model's style, ranked by how much of the surface they move, without any labels. "
            "Lowest and leftmost would be best: one measure, in one place."
        )
        pictures.append((out / "styles.png", caption))
    return style_claims(found)


def _views(effort: Effort, out: Path, pictures: Pictures, data: dict[str, Any], say: Say) -> list[Claim]:
    prior = load_prior()
    say("the archive")
    claims: list[Claim] = []
    if prior.archive is not None:
        found = [standings(prior, prior.archive, effort.members, seed) for seed in range(effort.seeds)]
        figures.archive_figure(prior.archive, found, out / "archive.png")
        caption = (
            "The archive view: what the shipped model learned from, where new shapes fall, and which families have "
            "near relatives. The map is of neighbours; distances across it say little."
        )
        pictures.append((out / "archive.png", caption))
        claims += archive_claims(prior.archive, found)
    say("the potential")
    slid = slid_shapes(prior, effort.shapes, effort.sliders, say)
    data["reach"] = [asdict(one) for one in slid]
    figures.reach_figure(slid, out / "reach.png")
    caption = (
        "The potential view: the part of every slider (built-in attributes, then sliders of the shape code) in which "
        "new shapes, fitted by the shipped model, keep their pieces, tunnels and hollows."
    )
    pictures.append((out / "reach.png", caption))
    return [*claims, *reach_claims(slid)]
