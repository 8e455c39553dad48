"""`omomi ablate`: what the energy differences and the scale head are worth, each trained from nothing for a few steps
on two levels, with the same draws for all four variants. It compares losses; it does not rank models."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .bank import Bank
from .checkpoint import average_weights
from .export import update_card
from .flow import VelocityNetwork, flow_of
from .losses import NARROWEST, energies, mean_error, truncated
from .objective import TRUNK_TYPE, TrainConfig, learn_from, rate_at
from .recursion import Features, Recursion

DEPTH = 1
BATCHES, SIZE = 8, 8  # held-out draws that the errors are taken over
VARIANTS: dict[str, dict[str, Any]] = {
    "energy and scale": {},
    "no energy": {"energy": 0.0},
    "no scale head": {"scale": False},
    "neither": {"energy": 0.0, "scale": False},
}
ENERGIES = ("area", "bending", "eikonal")


def ablation(
    bank_folder: Path, features: Features, velocity: VelocityNetwork, steps: int, batch: int, seed: int
) -> dict:
    """Errors of each variant on held-out shapes. voxels: of the distance near the surface, for each level. area,
    bending, eikonal: signed relative errors of the mean's energies; a mean that is too smooth has too little area and
    bends too little."""
    bank, held_out = Bank(bank_folder), Bank(bank_folder, held_out=True)
    found = {}
    for name, changes in VARIANTS.items():
        config = replace(TrainConfig(batch=batch, seed=seed, evenness=0.15), **changes)
        model = trained(bank, features, velocity, config, steps)
        found[name] = judged(model, held_out)
        print(json.dumps({name: found[name]}), flush=True)
    return {"steps": steps, "batch": batch, "levels": DEPTH + 1, "seed": seed, "variants": found}


def trained(bank: Bank, features: Features, velocity: VelocityNetwork, config: TrainConfig, steps: int) -> Recursion:
    """A small training run from nothing."""
    torch.manual_seed(config.seed)
    model = Recursion()
    model.features.load_state_dict(features.state_dict())
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    generator, draws = (torch.Generator().manual_seed(config.seed + add) for add in (0, 1))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, step, step / steps)
        learn_from(model, bank.draw(config.batch, DEPTH, draws), velocity, config, optimiser, generator)
    return model.eval()


@torch.no_grad()
def judged(model: Recursion, held_out: Bank) -> dict:
    """Errors on the same held-out draws for every model."""
    generator = torch.Generator().manual_seed(7)
    errors, missed = [], []
    for _ in range(BATCHES):
        batch = held_out.draw(SIZE, DEPTH, generator)
        code, _ = model.encode(batch.evidence[0], TRUNK_TYPE)
        fields = model(batch, torch.zeros(SIZE), batch.noise, code, TRUNK_TYPE)
        errors.append([float(mean_error(field, target)) for field, target in zip(fields, batch.target, strict=True)])
        narrow = torch.full_like(batch.target[0], NARROWEST)
        own = energies(truncated(fields[0][:, :1], batch.target[0]), narrow).sum(0)
        true = energies(batch.target[0], narrow).sum(0)
        missed.append(torch.stack([own, true]))
    own, true = torch.stack(missed).sum(0)
    return {
        "voxels": [round(sum(column) / len(column), 4) for column in zip(*errors, strict=True)],
        **{name: round(value, 4) for name, value in zip(ENERGIES, (own / true - 1).tolist(), strict=True)},
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="omomi ablate", description="What parts of the loss are worth.")
    parser.add_argument("bank", type=Path)
    parser.add_argument("checkpoint", type=Path, help="gives the features of the codes")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--card", type=Path, help="write the table into this card.json")
    options = parser.parse_args(argv)
    torch.set_flush_denormal(True)
    model = Recursion()
    average_weights(options.checkpoint, model)
    velocity = flow_of(
        options.checkpoint.with_name("velocity.safetensors"), torch.empty(0, len(model.features.scale)), 0
    )
    found = ablation(options.bank, model.features, velocity, options.steps, options.batch, options.seed)
    if options.card:
        update_card(options.card, {"ablation": found})
