"""What training asks for: settings, the loss of a batch, and the errors that the log shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .bank import DEEPEST
from .batches import WHOLLY_BLIND, Bank, Batch
from .energies import energy_loss
from .flow import Velocity
from .latent import drawn_code, posterior_loss
from .losses import EVENNESS, SLOPE_WEIGHT, laplace_loss, mean_error, slope_loss
from .rollout import Recursion


@dataclass(frozen=True)
class TrainConfig:
    """minutes: wall-clock time that the learning rate's schedule spans, over all resumed runs together. evenness: see
    `losses`. energy: weight of the energy differences. tuned: share
    of the rate for what the origin has already learned, 0 to keep it. depth: deepest level. blind: share of the samples
    without evidence, which only their code tells apart. scale: the head's scale is learned, else it is one voxel."""

    minutes: float = 60.0
    batch: int = 16
    rate: float = 2e-3
    weight_decay: float = 1e-3
    average: float = 0.998
    warm_up: int = 100
    deepest_share: float = 0.35
    evenness: float = EVENNESS
    energy: float = 0.02
    tuned: float = 1.0
    depth: int = DEEPEST
    blind: float = WHOLLY_BLIND
    scale: bool = True
    seed: int = 0


def rate_at(config: TrainConfig, step: int, share: float) -> float:
    """Learning rate after ``share`` of the time: warm-up, then a cosine down to 1 %."""
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return config.rate * min(1.0, (step + 1) / config.warm_up) * cosine


def draw_filling(size: int, generator: torch.Generator) -> Tensor:
    """The hole-filling attribute of each sample: 0 for most, else anything in [-1, 1]."""
    device = generator.device
    value = 2 * torch.rand(size, generator=generator, device=device) - 1
    return torch.where(torch.rand(size, generator=generator, device=device) < 0.6, torch.zeros_like(value), value)


def estimated_noise(noise: Tensor, generator: torch.Generator) -> Tensor:
    """The noise as the engine would measure it: right within a factor of about 1.3."""
    return noise * torch.exp(0.25 * torch.randn(noise.shape, generator=generator, device=noise.device))


def objective(
    model: Recursion,
    batch: Batch,
    velocity: Velocity,
    config: TrainConfig,
    generator: torch.Generator,
    dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the part of it that is the codes'. It draws codes, noise and filling."""
    filling = draw_filling(len(batch.noise), generator)
    true = model.features(batch.target[0])
    mean, log_sd = model.encode(batch.evidence[0], dtype)
    code = drawn_code(mean, log_sd, true, batch.evidence[0], generator)
    fields = model(batch, filling, estimated_noise(batch.noise, generator), code, dtype)
    latent = posterior_loss(mean, log_sd, true, velocity, generator)
    return loss_of(fields, batch, filling, config) + latent, latent.detach()


def loss_of(fields: list[Tensor], batch: Batch, filling: Tensor, config: TrainConfig) -> Tensor:
    """Mean over the levels of likelihood, slopes and energies. Hole filling asks for another surface than the true
    one, so only samples without it have to have its energies."""
    plain = filling == 0
    losses = []
    for field, target in zip(fields, batch.target, strict=True):
        if not config.scale:
            field = torch.cat([field[:, :1], torch.zeros_like(field[:, 1:])], dim=1)
        loss = laplace_loss(field, target, filling, config.evenness) + SLOPE_WEIGHT * slope_loss(field, target)
        if config.energy and plain.any():
            loss = loss + config.energy * energy_loss(field[plain], target[plain])
        losses.append(loss)
    return torch.stack(losses).mean()


@torch.no_grad()
def evaluate(
    model: Recursion, bank: Bank, batches: int, size: int, dtype: torch.dtype | None
) -> dict[str, list[float]]:
    """Mean error (voxels of each level) near the surface on the held-out bank, always on the same draws: with the code
    that the encoder sees, with none, with the true one, and with the true one alone, the evidence withheld."""
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(7)
    rows: dict[str, list[list[float]]] = {"held_out_voxels": [], "no_code": [], "true_code": [], "only_code": []}
    for _ in range(batches):
        batch = bank.draw(size, DEEPEST, generator)
        true = model.features(batch.target[0])
        blind = replace(batch, evidence=[torch.zeros_like(evidence) for evidence in batch.evidence])
        codes = model.encode(batch.evidence[0], dtype)[0], torch.zeros_like(true), true, true
        for name, code in zip(rows, codes, strict=True):
            seen = blind if name == "only_code" else batch
            fields = model(seen, torch.zeros(size, device=device), batch.noise, code, dtype)
            errors = (mean_error(field, target) for field, target in zip(fields, batch.target, strict=True))
            rows[name].append([float(error) for error in errors])
    return {
        name: [round(sum(column) / len(column), 4) for column in zip(*found, strict=True)]
        for name, found in rows.items()
    }
