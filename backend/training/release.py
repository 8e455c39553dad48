"""From a checkpoint to a model as it ships: graphs, what codes stand for, the flow, the archive, calibration, card."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.manifold import TSNE
from torch import Tensor
from torch.nn.functional import avg_pool3d

from ..prior.archive import FILE as ARCHIVE
from ..prior.archive import PICTURE, Archive, save_archive
from ..prior.codes import FILE as CODES
from ..prior.codes import Codes, save_codes
from ..prior.flow import FILE as FLOW
from ..report.pictures import thumbnail
from .bank import Bank, turned_fields
from .calibration import calibrate
from .checkpoint import average_weights, save_average
from .export import CARD, CHECKPOINT, export, update_card
from .flow import export_flow, flow_of
from .model_audit import store_audit
from .recursion import Features, Recursion
from .shapes.families import FAMILIES
from .slider_names import MEASURES, named_directions
from .sliders import ExperimentSize, Space, evidence, experiment, field_components

STUDY = ExperimentSize(train=2_000, test=1_000, seeds=5, decoded=40, swept=10)
ARCHIVED_SHAPES = 1600  # the archive keeps a random choice of at most this many training shapes
PERPLEXITY = 20.0  # of the archive's map: about how many neighbours of a shape it keeps close
READ = ("field0", "points", "normals")  # arrays of a shard that the archive is made from
HELD_OUT_TURNS = 24  # symmetries of the cube under which the held-out shapes calibrate plausibility


ShardEncoder: TypeAlias = Callable[[Mapping[str, NDArray]], NDArray]  # the arrays READ of a shard -> codes (members, d)


def release(
    checkpoint: Path, bank: Path, folder: Path, card: dict, calibration_scans: int, study: ExperimentSize | None = STUDY
) -> None:
    """Write the model of a checkpoint and all that belongs to it, its audit too, into ``folder``; study: size of the
    experiment with sliders of known factors; None for none, nor for how far sliders reach. Raises ValueError as
    `export`."""
    card = export(checkpoint, folder, card)
    model = Recursion()
    progress = average_weights(checkpoint, model)
    known, held_out = Bank(bank), Bank(bank, held_out=True)
    with torch.no_grad():
        found = release_prior(model.features, checkpoint.parent, known, held_out, folder, card["hash"])
    # once more, without the features: they lie beside it now
    save_average(folder / CHECKPOINT, model, progress)
    update_card(folder / CARD, found)
    found = calibrate(folder, held_out, calibration_scans)
    if study is not None:
        update_card(folder / CARD, slider_study(model.eval(), study))
    store_audit(folder, None if study is None else bank)
    print(json.dumps(found["calibration"] | {"sigma_factors": found["sigma_factors"]}), flush=True)


@torch.no_grad()
def slider_study(model: Recursion, size: ExperimentSize) -> dict:
    """Sliders for known factors of a procedural family, for the card: on the family's own codes, as a profile has them,
    and on z, which has to serve all families."""
    z = Space(
        "z",
        lambda mugs, generator: as_array(model.encode(evidence(mugs, 4_000, generator))[0]),
        lambda codes: as_array(model.decode(torch.from_numpy(codes).float())[:, 0]),
    )
    found = {}
    for name, space in (("disentanglement", field_components()), ("disentanglement_z", z)):
        measured = experiment(space, size)
        ours, plain = measured["scores"]["sliders"], measured["scores"]["components"]
        side = measured["side_effect"]["decoded"]
        pairs = {measure: (ours[measure], plain[measure]) for measure in ours}
        pairs["side_effect"] = side["bent"], side["components"]
        # mean and standard deviation
        rows = {key: {"ours": list(one.values()), "pca": list(other.values())} for key, (one, other) in pairs.items()}
        more = {key: measured[key] for key in ("space", "settings", "side_effect", "sliders", "cpu_seconds")}
        found |= {name: rows | {"seeds": size.seeds}, f"{name}_detail": more}
    return found


def release_prior(features: Features, work: Path, known: Bank, held_out: Bank, folder: Path, model: str) -> dict:
    """Write codes, flow and archive; returns what the card says of them."""
    generator = torch.Generator().manual_seed(0)
    fields = turned_fields(held_out, HELD_OUT_TURNS, generator)
    codes = features(fields)
    trained = features(turned_fields(known, HELD_OUT_TURNS // 8, generator))
    velocity = flow_of(work / "velocity.safetensors", trained, 0)
    prior = export_flow(folder / FLOW, velocity, codes)
    directions, sliders = named_directions(features, known, held_out)
    stands_for = as_array(features.mean), as_array(features.basis), as_array(features.scale)
    save_codes(folder / CODES, Codes(*stands_for, directions, model))
    weights = as_array(features.scale) / np.sqrt(len(features.mean))
    archive = build_archive(
        known, lambda shard: as_array(features(torch.from_numpy(shard["field0"]).float()[:, None])), model, weights
    )
    save_archive(folder / ARCHIVE, archive)
    samples = prior.sample(len(codes), 0)
    left = (avg_pool3d(fields, 2) - features.inverse(codes)).square().mean().sqrt()
    found = likeness(*(as_array(table) * weights for table in (torch.from_numpy(samples), codes, trained)))
    return {"descriptors": MEASURES, "sliders": sliders, "prior": found | {"left out by a code": round(float(left), 4)}}


def build_archive(
    known: Bank, encode: ShardEncoder, model: str = "", weights: NDArray | None = None, most: int = ARCHIVED_SHAPES
) -> Archive:
    """The archive of the shapes of a bank, a random choice where there are more than ``most``. encode, model: the
    model's encoder and hash; weights (d,): how much each number of a code counts in a distance, by default all the
    same; whitened codes need those that undo it. Raises ValueError for fewer than two shapes."""
    if len(known.members) < 2:
        raise ValueError(f"{known.folder} holds no shapes to make an archive of")
    seeds = np.array([int(path.stem[:6]) for path, _ in known.members])
    family = np.array([FAMILIES.index(path.stem[7:]) for path, _ in known.members])
    kept = np.sort(np.random.default_rng(0).permutation(len(seeds))[:most])
    codes, pictures = [], []
    for path, shard in known.shards.items():
        chosen = [number for owner, number in (known.members[place] for place in kept) if owner == path]
        if chosen:
            part = {name: shard[name][chosen] for name in READ}
            codes.append(np.asarray(encode(part), np.float32))
            surfaces = zip(part["points"] / 32767.0, part["normals"] / 127.0, strict=True)
            pictures += [thumbnail(points, normals, PICTURE) for points, normals in surfaces]
    table = np.concatenate(codes)
    weights = np.ones(table.shape[1]) if weights is None else np.asarray(weights)
    return Archive(
        codes=table,
        families=FAMILIES,
        family=family[kept].astype(np.int32),
        seeds=seeds[kept].astype(np.int32),
        pictures=np.stack(pictures),
        places=flat_map(table * weights),
        trained=np.bincount(family, minlength=len(FAMILIES)).astype(np.int32),
        weights=weights.astype(np.float32),
        model=model,
    )


def flat_map(codes: NDArray) -> NDArray[np.float32]:
    """Places (n, 2) within [-1, 1] where neighbours among codes (n, d) are neighbours, by t-SNE (van der Maaten and
    Hinton 2008) from the principal plane."""
    perplexity = min(PERPLEXITY, (len(codes) - 1) / 3)
    places = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(np.asarray(codes, np.float64))
    places -= (places.min(axis=0) + places.max(axis=0)) / 2
    return (places / max(float(np.abs(places).max()), 1e-12)).astype(np.float32)


def likeness(samples: np.ndarray, held_out: np.ndarray, trained: np.ndarray) -> dict[str, float]:
    """How samples (n, d) compare with shapes that the flow has not seen, as training shapes do that are as many.

    coverage: share of held-out shapes that are the nearest one of some sample; matching: mean distance from a held-out
    shape to its nearest sample (Achlioptas et al. 2018); nearest training: mean distance from a sample to the nearest
    training shape, which no copy would have. Distances are rms voxels of level 0 between coarse fields.
    """
    others = trained[np.random.default_rng(0).permutation(len(trained))[: len(samples)]]
    found = {}
    for name, shapes in (("samples", samples), ("training shapes", others)):
        nearest = KDTree(held_out).query(shapes)[1]
        found[f"coverage, {name}"] = round(len(np.unique(nearest)) / len(held_out), 4)
        found[f"matching distance, {name}"] = round(float(KDTree(shapes).query(held_out)[0].mean()), 4)
    found["nearest training shape, samples"] = round(float(KDTree(trained).query(samples)[0].mean()), 4)
    found["nearest training shape, held out"] = round(float(KDTree(trained).query(held_out)[0].mean()), 4)
    return found


def as_array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)
