"""The study: toys with the exact velocity, toys with trained flows, and codes of shapes under the shipped flow."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import ScalarFormatter, SymmetricalLogLocator
from numpy.typing import NDArray

from ...field.bricks import BrickGrid
from ...field.isosurface import extract
from ...prior.shape_prior import ShapePrior, load_prior
from ...report.pictures import mesh_picture
from ..instruments import Album, Result, counted, study_of
from ..study import Measured, Plan, Say, over_seeds
from . import codes, latents
from .toys import five_gaussians, toys


@study_of("flow-alignment")
def study(plan: Plan, album: Album, say: Say) -> Result:
    """Every target of the paper's toy, and the same questions of the shipped model's codes of shapes."""
    toy = five_gaussians()
    runs = [latents.run(toy, plan, seed) for seed in counted(say, f"{toy.name}, exact velocity: latents", plan.seeds)]
    over = latents.maps(toy, plan.draws)
    five = [latents.train_and_align(toy, plan, seed) for seed in counted(say, f"{toy.name}: flow", plan.flows)]
    others = [latents.train_and_align(toys()[number], plan, 0) for number in counted(say, "other toys:", plan.others)]
    latents.draw_maps(album, toy, over)
    latents.draw_ways(album, toy, plan, runs)
    latents.draw_ends(album, toy, runs[0])
    latents.draw_trained(album, [five[-1], *others])

    prior = load_prior()
    real = codes.fresh_codes(prior.codes, plan.families, plan.members)
    say(f"shapes: {len(real)} real codes and made-up ones")
    found = codes.compare_scores(real, prior, plan.sets, plan.followed, plan.steps)
    made = (codes.made_up(real, prior, seed) for seed in counted(say, "shapes: draws", plan.sets))
    sets = [codes.shape_draws(real, prior, each, plan.outlined, plan.pulled) for each in made]
    draw_scores(album, found)
    draw_likelihood(album, found)
    draw_samples(album, sets[0], prior, plan.pixels)
    left = [sets[0].denoised[level] for level in codes.NOISE_LEVELS]
    noisy: dict[str, Measured] = {f"N{number}": flow / plain for number, (plain, flow) in enumerate(left, 1)}
    measured = (
        latents.exact_checks(toy, plan, runs, over)
        | latents.trained_checks(five, others)
        | codes.score_checks(found)
        | over_seeds([codes.draw_checks(one) for one in sets])
        | noisy
    )
    values = {"best": {one.toy.name: one.best for one in others}, "left": [plain for plain, _ in left]}
    ways = (latents.SURPRISE, latents.LOSS, latents.CUT)
    distance = [{kind: float(value.mean()) for kind, value in one.distance.items()} for one in sets]
    data = {
        "toys": {"marks": plan.marks} | {way: [one.ways[way] for one in runs] for way in ways},
        "shapes": {"model": prior.codes.model, "auc": found.auc, "rank": found.rank, "distance": distance}
        | {"doubt": [one.denoised for one in sets]},
    }
    return measured, values, data


SHOWN = 8  # shapes of a kind
COLOURS = {codes.KL: latents.GREY, codes.TYPICAL: "#c9c9c9", codes.WHOLE: "#7fa8d6", codes.LATE: latents.BLUE}


def draw_scores(album: Album, found: codes.ScoreComparison) -> None:
    """AUROC by kind and judge, and the scores of real codes beside made-up ones."""
    with album.figure("told", (11, 7.4)) as figure:
        top, bottom = figure.subplots(2, 1, height_ratios=(1, 1))
        kinds = list(found.auc[codes.KL])
        # in two lines, so that labels stand side by side
        labels = [kind.replace(" ", "\n", 1) for kind in (codes.REAL, *kinds)]
        places = np.arange(len(kinds))
        for number, (name, colour) in enumerate(COLOURS.items()):
            runs = np.array([found.auc[name][kind] for kind in kinds])
            top.bar(places + 0.2 * (number - 1.5), runs.mean(axis=1), 0.19, color=colour, label=name)
        top.axhline(0.5, color="black", linewidth=0.8)
        top.set(ylim=(0, 1.2), ylabel="AUROC against real shapes")
        top.set_title("Which score tells made-up codes from real ones")
        top.set_xticks(places, labels[1:])
        top.legend(ncols=4, fontsize=9, loc="upper left")
        places = np.arange(len(labels))
        for name, offset, colour in ((codes.KL, -0.2, latents.GREY), (codes.LATE, 0.2, latents.BLUE)):
            middle = np.median(found.scores[name][codes.REAL])
            boxes = [found.scores[name][kind] / middle for kind in (codes.REAL, *kinds)]
            style = {"boxprops": {"facecolor": colour}, "medianprops": {"color": "black"}}
            bottom.boxplot(boxes, positions=places + offset, widths=0.3, showfliers=False, patch_artist=True, **style)
        bottom.axhline(1, color="black", linewidth=0.8, linestyle="--")
        bottom.set_xticks(places, labels)
        bottom.set(ylabel="score / median of real", title="Scores: Gaussian (grey) and late L (blue)")


def draw_likelihood(album: Album, found: codes.ScoreComparison) -> None:
    """The scores of codes against the flow's own likelihood."""
    with album.figure("likelihood", (11, 4.2)) as figure:
        axes = figure.subplots(1, 3)
        for axis, name in zip(axes, (codes.KL, codes.WHOLE, codes.LATE), strict=True):
            for kind, surprise in found.surprise.items():
                table = found.scores[name][kind]
                chosen = table[np.linspace(0, len(table) - 1, len(surprise)).astype(int)]
                colour = "black" if kind == codes.REAL else None
                axis.plot(surprise, chosen, ".", markersize=4, color=colour, label=kind)
            axis.set(xlabel="flow's −log p (nats per number)", xscale="symlog", yscale="log")
            axis.set_title(f"{name}: Spearman {found.rank[name]:.2f}")
            axis.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_formatter(ScalarFormatter())
            axis.tick_params(which="both", labelsize=8)
        axes[0].set_ylabel("score")
        axes[0].legend(fontsize=7)


def draw_samples(album: Album, found: codes.ShapeDraws, prior: ShapePrior, pixels: int) -> None:
    """The first shapes of every kind by their outlines, and how far all are from training shapes."""
    kinds = (codes.REAL, codes.SAMPLED, codes.GAUSSIAN, codes.PULLED, codes.SHRUNK)
    with album.figure("samples", (11, 9.4)) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=(5, 2), squeeze=False)[:, 0]
        for row, kind in zip(upper.subplots(len(kinds), SHOWN, squeeze=False), kinds, strict=True):
            table = found.codes[kind]
            # neighbours in the table of real shapes are of one program
            chosen = table[:: max(1, len(table) // SHOWN)] if kind == codes.REAL else table
            for axis in row:
                axis.axis("off")
            for axis, code in zip(row, chosen, strict=False):
                axis.imshow(picture(code, prior, pixels))
            row[0].set_title(kind, fontsize=10, loc="left")
        axis = lower.subplots()
        for kind, colour in zip(kinds[:4], ("black", latents.BLUE, latents.GREY, latents.RED), strict=True):
            distances = np.sort(found.distance[kind])
            axis.plot(distances, (np.arange(len(distances)) + 1) / len(distances), color=colour, label=kind)
        axis.set_xlabel("distance to the nearest training shape (rms voxels of level 0)")
        axis.set_ylabel("share of shapes nearer")
        axis.legend(fontsize=9)


def picture(code: NDArray, prior: ShapePrior, pixels: int) -> NDArray[np.uint8]:
    """RGBA of the surface of a code's coarse field, four voxels drawn for each, clear where there is none."""
    field = np.asarray(codes.magnified(prior.codes.field_of(code), 4), np.float32)
    surface = extract(BrickGrid.from_dense(field[None]))
    return mesh_picture(surface.vertices, surface.faces, pixels)
