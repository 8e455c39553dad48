"""What training asks for: the settings of a run, the loss of a batch, and the errors that the log shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .bank import DEEPEST, WHOLLY_BLIND, Bank
from .flow import VelocityNetwork, alignment_loss
from .grids import Batch
from .losses import EVENNESS, SLOPE_WEIGHT, energy_loss, laplace_loss, mean_error, slope_loss
from .recursion import Recursion

ABSENT = 0.15  # share of the samples without a code
TAUGHT = 0.4  # share of the others with the true code; the rest get a draw of the posterior
ANCHOR_WEIGHT, KL_WEIGHT, ALIGN_WEIGHT = 2.0, 0.01, 0.01  # in `posterior_loss`; the last is lambda of Li et al. 2025
TRUNK_TYPE = torch.bfloat16  # number type of the atom's trunk while it is trained and judged
DRAWS = 4  # times and noises per code in the alignment (``flow_mul`` of the paper)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run."""

    minutes: float = 60.0  # wall-clock time that the schedule of the rate spans, over all resumed runs together
    batch: int = 16
    rate: float = 2e-3
    weight_decay: float = 1e-3
    average: float = 0.998  # of the running mean of the weights, which is what is released
    warm_up: int = 100  # steps
    deepest_share: float = 0.35  # share of the batches that go down to the deepest level; the others end one above
    evenness: float = EVENNESS  # see `losses.EVENNESS`
    energy: float = 0.02  # weight of the energy differences
    tuned: float = 1.0  # share of the rate for the weights that the origin brings along; 0 keeps them
    depth: int = DEEPEST  # deepest level
    blind: float = WHOLLY_BLIND  # share of the samples without evidence, which only their code tells apart
    scale: bool = True  # whether the head's scale is learned; else it is one voxel
    absent: float = ABSENT  # share of the samples without a code, as plain fits are
    seed: int = 0


def rate_at(config: TrainConfig, step: int, share: float) -> float:
    """Learning rate after ``share`` of the time: warm-up, then a cosine down to 1 %."""
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return config.rate * min(1.0, (step + 1) / config.warm_up) * cosine


def estimated_noise(noise: Tensor, generator: torch.Generator) -> Tensor:
    """The noise as the engine would measure it: right within a factor of about 1.3."""
    return noise * torch.exp(0.25 * torch.randn(noise.shape, generator=generator, device=noise.device))


def drawn_code(
    mean: Tensor, log_sd: Tensor, true: Tensor, evidence: Tensor, absent: float, generator: torch.Generator
) -> Tensor:
    """Code (B, CODE) of each sample; mean, log_sd of its posterior, true code, evidence of level 0; absent: share of
    the samples without a code."""
    kind = torch.rand(len(mean), 1, generator=generator, device=mean.device)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    blind = evidence[:, :1].flatten(1).amax(1, keepdim=True) == 0
    code = torch.where(kind < absent, torch.zeros_like(mean), mean + log_sd.exp() * noise)
    # without evidence only the true code tells one shape from another
    return torch.where((kind > 1 - TAUGHT * (1 - absent)) | blind, true, code)


def posterior_loss(
    mean: Tensor, log_sd: Tensor, true: Tensor, velocity: VelocityNetwork, generator: torch.Generator
) -> Tensor:
    """Anchor to the true code, KL to a standard normal, and alignment of a draw to the flow. The anchor is the
    likelihood of the true code under the posterior, which makes it wide where the evidence leaves the shape open."""
    anchor = (0.5 * ((true - mean) * torch.exp(-log_sd)).square() + log_sd).mean()
    kl = (0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd).mean()
    sample = mean + log_sd.exp() * torch.randn(mean.shape, generator=generator, device=mean.device)
    aligned = alignment_loss(velocity, sample, DRAWS, generator).mean()
    return ANCHOR_WEIGHT * anchor + KL_WEIGHT * kl + ALIGN_WEIGHT * aligned


def loss_of(fields: list[Tensor], batch: Batch, filling: Tensor, config: TrainConfig) -> Tensor:
    """Mean over the levels of likelihood, slopes and energies. Hole filling asks for another surface than the true
    one, so energies are compared for samples without it only."""
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


def learn_from(
    model: Recursion,
    batch: Batch,
    velocity: VelocityNetwork,
    config: TrainConfig,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> Tensor:
    """One step of the optimiser down the loss of a batch; returns the loss and the codes' part of it (2,). Codes, noise
    and hole filling are drawn."""
    # no hole filling for most, else anything in [-1, 1]
    value, chance = (torch.rand(len(batch.noise), generator=generator, device=generator.device) for _ in range(2))
    filling = torch.where(chance < 0.6, 0.0, 2 * value - 1)
    true = model.features(batch.target[0])
    mean, log_sd = model.encode(batch.evidence[0], TRUNK_TYPE)
    code = drawn_code(mean, log_sd, true, batch.evidence[0], config.absent, generator)
    fields = model(batch, filling, estimated_noise(batch.noise, generator), code, TRUNK_TYPE)
    latent = posterior_loss(mean, log_sd, true, velocity, generator)
    loss = loss_of(fields, batch, filling, config) + latent
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return torch.stack([loss.detach(), latent.detach()])


@torch.no_grad()
def evaluate(model: Recursion, bank: Bank, batches: int, size: int) -> dict[str, list[float]]:
    """Mean error (voxels of each level) near the surface on the held-out bank, always over the same draws.
    held_out_voxels: with the encoder's code; no_code; true_code; only_code: with the true code and without evidence."""
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(7)
    rows: dict[str, list[list[float]]] = {"held_out_voxels": [], "no_code": [], "true_code": [], "only_code": []}
    for _ in range(batches):
        batch = bank.draw(size, DEEPEST, generator)
        true = model.features(batch.target[0])
        blind = replace(batch, evidence=[torch.zeros_like(evidence) for evidence in batch.evidence])
        codes = model.encode(batch.evidence[0], TRUNK_TYPE)[0], torch.zeros_like(true), true, true
        for name, code in zip(rows, codes, strict=True):
            seen = blind if name == "only_code" else batch
            fields = model(seen, torch.zeros(size, device=device), batch.noise, code, TRUNK_TYPE)
            errors = (mean_error(field, target) for field, target in zip(fields, batch.target, strict=True))
            rows[name].append([float(error) for error in errors])
    return {
        name: [round(sum(column) / len(column), 4) for column in zip(*found, strict=True)]
        for name, found in rows.items()
    }
